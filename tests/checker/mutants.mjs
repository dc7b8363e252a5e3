// node tests/checker/mutants.mjs [--check] [--seconds N] [NAME...]
// Would the check find a bug? Each patch in tests/checker/mutants makes the server wrong in one way, mostly by switching off one rule of the clock;
// it is built in a copy of the sources and checked until a difference is found, a minute at the most. --check: only whether they still apply.
// Exit status: 0 each was found, 1 one was not, or does not apply.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { remove, ROOT, temporary } from "../lib/cli.mjs";

const FOLDER = join(ROOT, "tests/checker/mutants");
const PROGRAMS = ["server/cli/millrace", "server/worker/millrace-worker", "fanout/millrace-fanout"];
const SEEDS = [1, 2]; // one after the other, until one finds it

const names = process.argv.slice(2).filter((arg, i, all) => !arg.startsWith("--") && all[i - 1] !== "--seconds");
const at = process.argv.indexOf("--seconds");
const seconds = at < 0 ? 50 : Number(process.argv[at + 1]);
const mutants = readdirSync(FOLDER).map((file) => file.replace(/\.patch$/, "")).filter((name) => !names.length || names.includes(name));

function must(command, args, cwd) {
	const done = spawnSync(command, args, { cwd, encoding: "utf8", env: { ...process.env, CC: "clang" } });
	if (done.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${done.stdout}${done.stderr}`);
	return done.stdout;
}
const patch = (name, cwd, ...more) => spawnSync("patch", ["-p1", "--force", "--silent", ...more, "-i", join(FOLDER, `${name}.patch`)], { cwd, encoding: "utf8" });

/** The sources as they are, and the SDK as it is built. */
function copy(dir) {
	const files = execFileSync("git", ["ls-files", "-z"], { cwd: ROOT });
	const tar = execFileSync("tar", ["--null", "-T", "-", "-c"], { cwd: ROOT, input: files, maxBuffer: 1 << 28 });
	execFileSync("tar", ["-x"], { cwd: dir, input: tar });
	cpSync(join(ROOT, "client/dist"), join(dir, "client/dist"), { recursive: true });
	symlinkSync(join(ROOT, "client/node_modules"), join(dir, "client/node_modules"));
}
function build(dir) {
	must("ninja", ["-C", "build", ...PROGRAMS], dir);
}

/** The first difference that is found, and after how long; undefined when none is. */
function find(dir, asked) {
	const began = Date.now();
	for (const seed of SEEDS) {
		const args = [join(ROOT, "tests/checker/run.mjs"), "--seconds", String(seconds), "--clients", "25", "--seed", String(seed), "--faults", asked, "--every", "700", "--first"];
		const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8", env: { ...process.env, MILLRACE_BUILD: join(dir, "build"), MR_OWN_MOUNTS: "" }, timeout: 300000 });
		if (!/^\d+ differences$/m.test(stdout)) throw new Error(`the check could not run: ${stdout}`);
		const [found] = /^DIFFERENCE .*/m.exec(stdout) ?? [];
		if (found) return { found, seconds: Math.round((Date.now() - began) / 1000) };
	}
	return undefined;
}

let missed = 0;
if (process.argv.includes("--check")) {
	for (const name of mutants) {
		const done = patch(name, ROOT, "--dry-run");
		if (done.status === 0) continue;
		missed++;
		console.log(`${name} does not apply any more: ${done.stdout}${done.stderr}`);
	}
	console.log(`${mutants.length - missed} of ${mutants.length} mutants apply`);
} else {
	const dir = temporary("mutants");
	copy(dir);
	must("meson", ["setup", "build", "--buildtype=release", "-Dfaults=true"], dir);
	for (const name of mutants) {
		const text = readFileSync(join(FOLDER, `${name}.patch`), "utf8");
		const [, rules] = /^Rules: (.*)$/m.exec(text);
		const [, faults] = /^Faults: (.*)$/m.exec(text);
		const applied = patch(name, dir);
		if (applied.status !== 0) throw new Error(`${name} does not apply: ${applied.stdout}${applied.stderr}`);
		build(dir);
		const result = find(dir, faults);
		if (!result) missed++;
		console.log(`${result ? `found after ${result.seconds} s` : "NOT FOUND"}: ${name} (${rules.replace(/\.$/, "")})${result ? `\n  ${result.found.slice(0, 200)}` : ""}`);
		patch(name, dir, "-R");
	}
	remove(dir);
}
process.exit(missed ? 1 : 0);
