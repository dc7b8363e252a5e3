// timeout: 180
// The README's own words: its files are written, its commands run in order in one shell, and what it says they print must be printed.
// Marks before a block: `leave running: NAME` (it goes on behind the others), `shows: NAME` (what a running one has printed by then),
// `elsewhere: FILES` (the test that runs it).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { alive, BUILD, descendants, freePort, ROOT, temporary, until, writeFiles } from "../lib/cli.mjs";
import { finish, note, step } from "../lib/tap.mjs";
import { launch } from "./lib/page.mjs";

const text = readFileSync(join(ROOT, "README.md"), "utf8");
const port = await freePort();
const home = temporary("readme");
const app = join(home, "notes");

const blocks = [...text.matchAll(/(?:<!-- ([a-z ]+): (.*?) -->\n)?```(\w+)\n(.*?)```\n/gs)].map(([, mark, what, kind, body]) => ({ mark, what, kind, body }));

/** On this machine: another port, and the build that is being tested. */
const here = (command) => command.replaceAll("localhost:8080", `localhost:${port}`).replaceAll("$PWD/build/release", BUILD);

// --- one shell for all; the end of each command is told by a line of its own ---

const env = { ...process.env, HOME: home, MILLRACE_PORT: String(port) };
for (const name of ["DATABASE_URL", "MILLRACE", "MILLRACE_BUILD", "MILLRACE_ROOT"]) delete env[name];
const shell = spawn("bash", ["--norc"], { cwd: ROOT, env, stdio: ["pipe", "pipe", "pipe"] });
let out = "";
let problems = "";
shell.stdout.on("data", (d) => (out += d));
shell.stderr.on("data", (d) => (problems += d));
const running = new Map();

async function run(command, seconds = 60) {
	out = problems = "";
	shell.stdin.write(`${command}\necho "<<done $?>>"\n`);
	await until(command, () => /<<done \d+>>\n$/.test(out), seconds);
	const [, printed, status] = /^(.*)<<done (\d+)>>\n$/s.exec(out);
	assert.equal(status, "0", `${command}\n${printed}${problems}`);
	return printed;
}
async function leaveRunning(name, command) {
	const log = join(home, `${name}.log`);
	writeFileSync(log, ""); // the shell answers before what it leaves running has opened it
	await run(`(exec ${command.trim()}) >${log} 2>&1 &`);
	running.set(name, () => readFileSync(log, "utf8"));
}

// --- what is expected: the lines in this order, `...` stands for anything ---

function fits(expected, printed) {
	const line = (l) => l.split("...").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join(".*");
	return new RegExp(`^${expected.trimEnd().split("\n").map(line).join("$[^]*?^")}$`, "m").test(printed);
}
async function shows(expected, printed, what) {
	await until(`what ${what} prints`, () => fits(here(expected), printed()), 30).catch((e) => {
		throw new Error(`${e.message}\nexpected:\n${expected}\nprinted:\n${printed()}`);
	});
}

async function tryPage() {
	const browser = await launch();
	try {
		const page = await browser.newPage();
		const thrown = [];
		page.on("pageerror", (e) => thrown.push(String(e)));
		page.on("console", (m) => m.type() === "error" && thrown.push(`${m.text()} ${m.location().url}`));
		await page.goto(`http://localhost:${port}/`);
		const write = async (words) => {
			await page.getByLabel("New note").fill(words);
			await page.keyboard.press("Enter");
			await page.locator("li", { hasText: words }).waitFor({ timeout: 10000 });
		};
		await page.waitForFunction(() => Object.keys(localStorage).some((key) => key.endsWith(":token")), null, { timeout: 10000 });
		await write("from the page");
		await page.reload();
		await write("after a reload");
		assert.deepEqual(await page.locator("li").allTextContents(), ["after a reload", "from the page"]);
		assert.deepEqual(thrown, []);
	} finally {
		await browser.close();
	}
}

let last = () => "";
for (const { mark, what, kind, body } of blocks) {
	const title = body.trim().split("\n").at(kind === "sh" ? -1 : 0).slice(0, 70);
	if (kind === "ts" || kind === "html") {
		const [, name] = /^(?:\/\/|<!--) (\S+)/.exec(body);
		await step(`writes ${name}`, () => void writeFiles(app, { [name]: body }));
	} else if (mark === "elsewhere") {
		await step(`is run elsewhere: ${what}`, () => {
			for (const file of what.split(" ")) assert.ok(existsSync(join(ROOT, file)), file);
		});
	} else if (kind === "sh" && mark === "leave running") {
		await step(`runs ${title}`, async () => {
			await leaveRunning(what, here(body));
			last = running.get(what);
		});
	} else if (kind === "sh") {
		await step(`runs ${title}`, async () => {
			const printed = await run(here(body));
			last = () => printed;
		});
	} else {
		const printed = mark === "shows" ? running.get(what) : last;
		await step(`prints ${title}`, () => shows(body, printed ?? (() => ""), mark === "shows" ? what : "it"));
	}
}

await step("the page works", tryPage);
await step("Ann's stream has nothing of Ben's, and the types are right", async () => {
	await until("the end of the type check", () => !descendants(shell.pid).some((p) => p.command.includes("/tsc ")), 60);
	assert.doesNotMatch(running.get("live")(), /not for Ann|from the page/);
	assert.doesNotMatch(running.get("dev")(), /error TS|error/);
});
await step("every link leads somewhere", () => {
	for (const [, target] of text.matchAll(/\]\(([^)]+)\)/g)) assert.ok(existsSync(join(ROOT, target)), target);
});
if (process.exitCode) for (const [name, printed] of running) note(`${name}:\n${printed()}`);

// curl and `millrace dev` are the shell's children: ask each to stop, then the shell
const all = descendants(shell.pid);
for (const { pid, command } of all) if (/^(millrace|curl) /.test(command)) process.kill(pid, "SIGINT");
for (const { pid } of all) await until("its end", () => !alive(pid), 15).catch(() => process.kill(pid, "SIGKILL"));
shell.stdin.end();
finish();
