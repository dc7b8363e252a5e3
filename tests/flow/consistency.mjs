// timeout: 240
// The consistency check, with workers and the fanout killed in the middle; and that what is wrong would be found, and told as what it is.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../lib/cli.mjs";

const SELF_TESTS = { drop: /^DIFFERENCE client \d+/m, text: / corrupted/, lost: /c0-lost was acknowledged and is not there/ };
let number = 0;

function run(name, args, status, said = /^0 differences$/m) {
	const done = spawnSync(process.execPath, [join(ROOT, "tests/checker/run.mjs"), ...args], { encoding: "utf8", timeout: 200000 });
	const ok = done.status === status && said.test(done.stdout);
	for (const line of done.stdout.trimEnd().split("\n").slice(0, ok ? 4 : 60)) console.log(`# ${line.slice(0, 2000)}`);
	if (!ok) console.log(done.stderr.replace(/^/gm, "# "));
	console.log(`${ok ? "ok" : "not ok"} ${++number} - ${name}`);
	if (!ok) process.exitCode = 1;
}

for (const [what, said] of Object.entries(SELF_TESTS)) run(`a wrong history is found: ${what}`, ["--seconds", "2", "--clients", "5", "--self-test", what], 1, said);
run("clients show what Postgres holds, whoever is killed", ["--seconds", "60", "--clients", "50", "--faults", "all"], 0);
console.log(`1..${number}`);
