// timeout: 480
// The consistency check for two minutes, with every fault in turn; that what is wrong would be found, told as what it is, and found again.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { remove, ROOT, temporary } from "../lib/cli.mjs";

const LONG = process.env.MILLRACE_LONG === "1";
const SELF_TESTS = { drop: /^DIFFERENCE client \d+/m, text: / corrupted/, lost: /c0-lost was acknowledged and is not there/ };
/** Seeds whose choices once met a bug: each has a test of its own by now, and they stay. */
const ONCE_FAILED = [1, 2, 3, 11, 21, 32, 77, 78];
let number = 0;

const says = (pattern) => (text) => pattern.test(text);
const crashes = (text) => ["restart postgres", "kill backend"].reduce((n, name) => n + Number(new RegExp(`${name} (\\d+)`).exec(text)?.[1] ?? 0), 0);

function run(name, script, args, status, said = says(/^0 differences$/m), seconds = 300) {
	const done = spawnSync(process.execPath, [join(ROOT, "tests/checker", script), ...args], { encoding: "utf8", timeout: seconds * 1000 });
	const ok = done.status === status && said(done.stdout);
	for (const line of done.stdout.trimEnd().split("\n").slice(0, ok ? 7 : 80)) console.log(`# ${line.slice(0, 2000)}`);
	if (!ok) console.log(done.stderr.replace(/^/gm, "# "));
	console.log(`${ok ? "ok" : "not ok"} ${++number} - ${name}`);
	if (!ok) process.exitCode = 1;
}

const dir = temporary("histories");
const short = ["--seconds", "2", "--clients", "5"];
for (const [what, said] of Object.entries(SELF_TESTS))
	run(`a wrong history is found: ${what}`, "run.mjs", [...short, "--self-test", what, "--history", join(dir, `${what}.json`)], 1, says(said));
run("a history that differed is done again, and made shorter", "replay.mjs", [join(dir, "drop.json"), "--self-test", "drop"], 1, says(/by [12] transactions:/));
run("and does not differ where nothing is dropped", "replay.mjs", [join(dir, "drop.json"), "--times", "1"], 0, says(/does not differ/));
run("the bugs that the check is tried on still apply to the sources", "mutants.mjs", ["--check"], 0, says(/mutants apply/));
run("clients show what Postgres holds, whatever happens", "run.mjs", ["--seconds", "110", "--clients", "40", "--faults", "all"], 0);
for (const seed of LONG ? ONCE_FAILED : [])
	run(`seed ${seed}, which once failed`, "run.mjs", ["--seconds", "45", "--clients", "25", "--faults", "all", "--every", "500", "--seed", String(seed)], 0);
if (LONG) run("and for ten minutes", "run.mjs", ["--seconds", "600", "--faults", "all"], 0, undefined, 1200);
if (LONG) run("while Postgres crashes a hundred times under eight writers", "run.mjs", ["--seconds", "400", "--clients", "40", "--faults", "restart postgres,kill backend", "--every", "2000"], 0, (text) => crashes(text) >= 100, 900);
remove(dir);
console.log(`1..${number}`);
