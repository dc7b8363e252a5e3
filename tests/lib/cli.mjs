// Starts `millrace` for tests: an app of its own, a data folder of its own, a free port; ends what it started.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const BUILD = process.env.MILLRACE_BUILD ?? join(ROOT, "build", "release");
export const MILLRACE = join(BUILD, "server", "cli", "millrace");
/** Is it built with a sanitizer? Such a one needs several times the memory and the time for the same work. */
export const sanitized = () => readFileSync(MILLRACE).includes("san_init");

/** A small app: messages, a mutation, a query, a page. */
export const SMALL_APP = {
	"app.ts": `import { entity, field, policy } from "millrace/server";
export const Message = entity("Message", { body: field.string(), createdAt: field.datetime().defaultNow() });
policy("Message", { read: "true", insert: "true" });
`,
	"functions/messages.ts": `import { v } from "millrace/server";
import { mutation, query } from "../_generated/server";
export const send = mutation({ args: { body: v.string() }, auth: "public", handler: (ctx, { body }) => ctx.db.insert("Message", { body }) });
export const list = query({ auth: "public", handler: (ctx) => ctx.db.query("Message").collect() });
export const word = query({ auth: "public", handler: () => "first" });
`,
	"web/index.html": `<!doctype html><html><head><title>small</title></head><body><div id="root"></div><script type="module" src="/main.ts"></script></body></html>
`,
	"web/main.ts": `import { api } from "../_generated/api";
document.title = String(typeof api);
`,
};

export function temporary(name) {
	return mkdtempSync(join(process.env.TMPDIR ?? tmpdir(), `${name}-`));
}

export function writeFiles(dir, files) {
	for (const [name, text] of Object.entries(files)) {
		mkdirSync(dirname(join(dir, name)), { recursive: true });
		writeFileSync(join(dir, name), text);
	}
	return dir;
}

export function makeApp(files = SMALL_APP) {
	return writeFiles(temporary("app"), files);
}

/** Runs a command of millrace to its end. */
export function millrace(args, options = {}) {
	const done = spawnSync(MILLRACE, args, { encoding: "utf8", timeout: 120000, maxBuffer: 1 << 28, ...options, env: { ...clean(), ...options.env } });
	return { status: done.status, out: done.stdout, err: done.stderr };
}

function clean() {
	const env = { ...process.env };
	for (const name of Object.keys(env)) if (/^MILLRACE(?!_VAR_)/.test(name) || name === "DATABASE_URL") delete env[name];
	return env;
}

export function freePort() {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.once("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

export async function until(what, test, seconds = 30) {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		const value = await test();
		if (value) return value;
		if (Date.now() > end) throw new Error(`waited ${seconds} s in vain for: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

/** Processes below pid, from /proc: [{ pid, command }]. */
export function descendants(pid) {
	const children = new Map();
	for (const entry of readdirSync("/proc")) {
		if (!/^\d+$/.test(entry)) continue;
		try {
			const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
			const end = stat.lastIndexOf(")");
			const parent = Number(stat.slice(end + 2).split(" ")[1]);
			const command = readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ");
			children.set(parent, [...(children.get(parent) ?? []), { pid: Number(entry), command }]);
		} catch {
			// it ended meanwhile
		}
	}
	const below = (p) => (children.get(p) ?? []).flatMap((c) => [c, ...below(c.pid)]);
	return below(pid);
}

export function alive(pid) {
	try {
		process.kill(pid, 0);
		return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
	} catch {
		return false;
	}
}

/** Gives a server that is started for the first time a private Postgres with nothing in it. It would make one for itself; a copy of one that was
 * made once for all tests is there some seconds sooner. For who does not test how a server begins. */
export function copyPostgres(app, data) {
	const made = process.env.MR_TEST_POSTGRES, own = join(data, "pg", "data");
	if (!made) return;
	if (existsSync(made)) {
		mkdirSync(dirname(own), { recursive: true });
		copyTree(made, own);
		return;
	}
	const { status, err } = millrace(["migrate", "--app-dir", app, "--data-dir", data]);
	if (status !== 3) throw new Error(err); // 3: planned, not applied
	const copy = `${made}.${process.pid}`;
	copyTree(own, copy);
	try {
		renameSync(copy, made);
	} catch (e) {
		if (!existsSync(made)) throw e;
		rmSync(copy, { recursive: true }); // another test was first
	}
}
function copyTree(from, to) {
	const { status, stderr } = spawnSync("cp", ["-a", from, to], { encoding: "utf8" }); // with its owner
	if (status !== 0) throw new Error(stderr);
}

/** A running supervisor. */
export class Server {
	constructor(command, args, options = {}) {
		this.out = "";
		this.err = "";
		this.began = Date.now();
		this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options, env: { ...clean(), ...options.env } });
		this.child.stdout.on("data", (d) => (this.out += d));
		this.child.stderr.on("data", (d) => (this.err += d));
		this.ended = new Promise((resolve) => this.child.once("close", (code, signal) => resolve({ code, signal })));
		this.over = false;
		void this.ended.then(() => (this.over = true));
	}

	get pid() {
		return this.child.pid;
	}

	/** Waits for the address; gives it. Throws when the server ends instead. */
	async ready(seconds = 60) {
		await until("the address", () => this.over || /Millrace serves .* at https?:/.test(this.out), seconds).catch((e) => {
			throw new Error(`${e.message}\n${this.out}${this.err}`);
		});
		const match = /at (https?:\S+)/.exec(this.out);
		if (!match) throw new Error(`it ended instead of serving:\n${this.out}${this.err}`);
		this.url = match[1];
		this.took = Date.now() - this.began;
		return this.url;
	}

	/** Waits for a line of its log: that comes by a pipe of its own, and so at times after the answer that it went before. */
	logs(pattern, from = 0) {
		return until(`${pattern} in the log`, () => this.err.slice(from).match(pattern));
	}

	/** Ctrl-C; gives { code, took } once it is gone. */
	async stop(signal = "SIGINT") {
		const began = Date.now();
		if (!this.over) this.child.kill(signal);
		const { code } = await this.ended;
		return { code, took: Date.now() - began };
	}
}

const started = [];
export async function serve(args, options) {
	const server = new Server(MILLRACE, args, options);
	started.push(server);
	return server;
}
export function startOther(command, args, options) {
	const server = new Server(command, args, options);
	started.push(server);
	return server;
}
/** Ends whatever a test left running. */
export async function endAll() {
	for (const server of started.splice(0)) {
		const timer = setTimeout(() => server.child.kill("SIGKILL"), 10000);
		await server.stop();
		clearTimeout(timer);
	}
}

export async function call(url, fn, args = {}, headers = {}) {
	const response = await fetch(new URL(`/api/fn/${fn}`, url), {
		method: "POST",
		headers: { "content-type": "application/json", ...headers },
		body: JSON.stringify(args),
		signal: AbortSignal.timeout(10000),
	});
	return { status: response.status, body: await response.json() };
}

export function remove(dir) {
	rmSync(dir, { recursive: true, force: true });
}
