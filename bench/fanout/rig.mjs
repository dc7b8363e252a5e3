// What the measurement is made of: the server under test, the floor and the load generator, each on its core; what a process has used; the
// messages that clients send.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, cpSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { BUILD, descendants, freePort, MILLRACE, millrace, ROOT, startOther, until } from "../../tests/lib/cli.mjs";
import { encode } from "../../tests/lib/stack_msgpack.mjs";
import { cpu } from "../lib.mjs";

export const hex = (bytes) => Buffer.from(bytes).toString("hex");

// ---- cores: what is measured has one to itself ----

const MEASURED = "0";
const OTHERS = cpus().length > 1 ? `1-${cpus().length - 1}` : "0";
function tryPin(pid) {
	return pid !== undefined && spawnSync("taskset", ["-apc", MEASURED, String(pid)]).status === 0;
}
/** Moves a process with all its threads to the core of what is measured. */
export function pin(pid) {
	if (!tryPin(pid)) throw new Error(`process ${pid} cannot be moved to core ${MEASURED}`);
	return pid;
}
const onCore = (core, command, args) => ["taskset", ["-c", core, command, ...args]];
export function startBeside(command, args, options) {
	return startOther(...onCore(OTHERS, command, args), options);
}
export function startMeasured(command, args, options) {
	return startOther(...onCore(MEASURED, command, args), options);
}

// ---- what a process has used ----

export async function cpuDuring(pid, what) {
	const before = cpu(pid);
	const result = await what();
	return { ...result, cpu: cpu(pid) - before };
}
/** Resident bytes. */
export function memory(pid) {
	const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
	return Number(/^Rss:\s+(\d+) kB/m.exec(text)[1]) * 1024;
}

// ---- processes ----

export function accepts(port) {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1");
		socket.once("connect", () => resolve(socket.destroy() && true));
		socket.once("error", () => resolve(false));
	});
}

export class Server {
	static async start(home, options = [], source = join(ROOT, "bench", "fanout", "app")) {
		const s = new Server();
		const app = join(home, "app");
		s.data = join(home, "data");
		cpSync(source, app, { recursive: true });
		const common = ["--app-dir", app, "--data-dir", s.data];
		const migrated = millrace(["migrate", "--apply", ...common]);
		if (migrated.status !== 0) throw new Error(migrated.err);
		appendFileSync(join(s.data, "pg", "data", "postgresql.auto.conf"), "track_commit_timestamp = on\n");
		s.port = await freePort();
		s.process = startBeside(MILLRACE, ["serve", ...common, "--port", String(s.port), ...options]);
		await s.process.ready();
		s.pid = pin(s.fanout());
		return s;
	}
	fanout() {
		return descendants(this.process.pid).find((p) => p.command.includes("/millrace-fanout "))?.pid;
	}
	/** kill -9 of the fanout; the supervisor starts another. */
	async killFanout() {
		const old = this.pid;
		process.kill(old, "SIGKILL");
		this.pid = await until("another fanout", () => {
			const pid = this.fanout();
			return pid !== old && tryPin(pid) && pid;
		});
		await until("it to listen", () => accepts(this.port));
	}
	async metric(name) {
		const text = await (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text();
		return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? NaN);
	}
	get conninfo() {
		return readFileSync(join(this.data, "run", "database"), "utf8").trim();
	}
	psql(sql) {
		const { status, out, err } = millrace(["psql", "--data-dir", this.data, "--", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql]);
		if (status !== 0) throw new Error(err);
		return out.trimEnd();
	}
}

export class Floor {
	static async start(...more) {
		const f = new Floor();
		f.port = await freePort();
		f.process = startMeasured(join(BUILD, "bench", "fanout", "floor"), [String(f.port), ...more]);
		await until("the floor", () => f.process.out.includes("listening") || f.process.over);
		f.pid = f.process.pid;
		return f;
	}
	stop() {
		return this.process.stop("SIGTERM");
	}
}

/** Commands of load.c and their answers. */
export class Load {
	constructor() {
		this.child = spawn(...onCore(OTHERS, join(BUILD, "bench", "fanout", "load"), []), { stdio: ["pipe", "pipe", "pipe"] });
		this.err = "";
		this.waiting = [];
		this.child.stderr.on("data", (d) => (this.err += d));
		this.child.stdin.on("error", () => {});
		createInterface({ input: this.child.stdout }).on("line", (line) => this.waiting.shift()?.resolve(JSON.parse(line)));
		this.child.once("close", () => {
			for (const { reject } of this.waiting.splice(0)) reject(new Error(this.err.trim() || "the load generator has ended"));
		});
	}
	get pid() {
		return this.child.pid;
	}
	/** A list of values is said once for each. */
	tell(command, options = {}) {
		const words = Object.entries(options).flatMap(([name, value]) => [value].flat().map((v) => `${name}=${Buffer.isBuffer(v) ? hex(v) : v}`));
		return new Promise((resolve, reject) => {
			this.waiting.push({ resolve, reject });
			this.child.stdin.write(`${[command, ...words].join(" ")}\n`);
		});
	}
	end() {
		this.child.stdin.end();
	}
}

// ---- what clients and writers say ----

export function upgrade(path, headers = {}) {
	const lines = ["Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: bGF0ZW5jeS1sYXRlbmN5IQ=="];
	return Buffer.from([`GET ${path} HTTP/1.1`, ...lines, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), "", ""].join("\r\n"));
}
const DEFLATE = { "Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover; server_no_context_takeover" };
const life = randomBytes(8).toString("hex");

/** Options of `open` for clients of Millrace with these live queries; @@@@@@ in one of them is the client's number. `ready` stands in what each
 * of them is answered. */
export function subscribers(server, n, queries, { json = false, deflate = false, hello = {}, have, ready = "types", tokens } = {}) {
	const message = (m) => (json ? Buffer.from(JSON.stringify(m)) : encode(m));
	const say = [message({ t: "hello", protocol: 1, session: `fanout-${life}-@@@@@@-aaaaaaaaaa`, ...hello })];
	queries.forEach((query, i) => say.push(message({ t: "subscribe", id: i + 1, ...query, have })));
	const protocol = { "Sec-WebSocket-Protocol": json ? "millrace.v1.json" : "millrace.v1.msgpack" };
	const request = upgrade("/api/sync", { ...protocol, ...(deflate ? DEFLATE : {}) });
	return { framing: "ws", port: server.port, n, request, say, ready: Buffer.from(ready), want: queries.length, binary: json ? 0 : 1, ...(tokens ? { tokens } : {}) };
}
/** Those of these channels. */
export const clients = (server, n, channels, options) => subscribers(server, n, channels.map((channel) => ({ entity: "Note", where: { channel } })), options);
/** The floor's: it speaks at once. */
export const bare = (floor, n, framing) => ({ framing, port: floor.port, n });

export function post(path, body, type = "application/json") {
	return Buffer.from(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
const MARK = "~#$$$$$$$$$$";
/** With the rest of the row, its keys and its id: 128 bytes of MessagePack. */
const SHORT = `${MARK}${" a row of 128 bytes with its keys, no more nor less.".padEnd(52, ".")}`;
export const add = (channel, body = SHORT) => post("/api/fn/notes.add", JSON.stringify({ channel, body }));
/** What a row of 1 KiB is like: an object as JSON, the same in all rows but for the mark. */
export const LONG = `${MARK}${JSON.stringify(
	Array.from({ length: 8 }, (_, i) => ({ id: life.slice(i) + i * 7919, name: ["Ada Lovelace", "Grace Hopper", "Edsger Dijkstra"][i % 3], city: "Utrecht", score: (i * 104729) % 1000, tags: ["open", "urgent"], note: "called twice" })),
).slice(0, 940)}`;
/** A message of a peer's, as long as the row. */
export const MESSAGE = `${MARK}${"a message of 128 bytes".padEnd(116, ".")}`;
