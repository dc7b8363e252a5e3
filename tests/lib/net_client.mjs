// A raw client for the tests of fanout/net.h: a TCP socket, HTTP by hand, WebSocket frames by hand (also wrong ones).
import net from "node:net";
import tls from "node:tls";
import crypto from "node:crypto";
import zlib from "node:zlib";
import { spawn } from "node:child_process";

export async function startServer(binary, ...args) {
	const child = spawn(binary, args.map(String), { stdio: ["pipe", "pipe", "inherit"] });
	const ended = new Promise((done) => child.on("exit", (code, signal) => done(signal ?? code)));
	const port = await new Promise((done, fail) => {
		let text = "";
		child.stdout.on("data", (d) => {
			text += d;
			const m = /port (\d+)/.exec(text);
			if (m) done(Number(m[1]));
		});
		ended.then((code) => fail(new Error(`the server ended with ${code}`)));
	});
	return {
		port,
		pid: child.pid,
		ended,
		async stop() {
			child.stdin.end();
			const code = await ended;
			if (code !== 0) throw new Error(`the server ended with ${code}`);
		},
	};
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** A socket whose bytes can be awaited. */
export class Raw {
	/** Set to speak TLS: { ca, files: [certificate, key] }. */
	static tls = undefined;
	bytes = Buffer.alloc(0);
	ended = false;
	error = null;
	#wake = () => {};
	constructor(port, options = {}) {
		const to = { port, host: "127.0.0.1", allowHalfOpen: true, ...options };
		this.socket = Raw.tls ? tls.connect({ ...to, ca: Raw.tls.ca }) : net.connect(to);
		this.socket.setNoDelay(true);
		this.socket.on("data", (d) => {
			this.bytes = Buffer.concat([this.bytes, d]);
			this.#wake();
		});
		const end = (e) => {
			this.ended = true;
			if (e instanceof Error) this.error = e;
			this.#wake();
		};
		this.socket.on("end", end).on("close", end).on("error", end);
	}
	write(data) {
		this.socket.write(data);
		return this;
	}
	/** Waits until test() gives something, the end, or the time is over. */
	async until(test, ms = 5000) {
		const limit = Date.now() + ms;
		for (;;) {
			const got = test();
			if (got) return got;
			if (this.ended) return test() || null;
			const left = limit - Date.now();
			if (left <= 0) throw new Error(`nothing came in ${ms} ms; have ${JSON.stringify(this.bytes.toString("latin1").slice(0, 300))}`);
			await new Promise((done) => {
				const timer = setTimeout(done, left);
				this.#wake = () => {
					clearTimeout(timer);
					done();
				};
			});
		}
	}
	take(n) {
		const b = this.bytes.subarray(0, n);
		this.bytes = this.bytes.subarray(n);
		return b;
	}
	/** Reads one response: { status, headers, body }. */
	async response(ms) {
		const at = await this.until(() => {
			const i = this.bytes.indexOf("\r\n\r\n");
			return i >= 0 ? i + 4 : 0;
		}, ms);
		if (!at) return null;
		const head = this.take(at).toString("latin1").split("\r\n");
		const headers = {};
		for (const line of head.slice(1)) {
			const colon = line.indexOf(":");
			if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
		}
		const status = Number(head[0].split(" ")[1]);
		const n = Number(headers["content-length"] ?? 0);
		await this.until(() => this.bytes.length >= n, ms);
		return { status, headers, body: this.take(n).toString() };
	}
	async end(ms = 5000) {
		const limit = Date.now() + ms;
		while (!this.ended && Date.now() < limit) await sleep(5);
		if (!this.ended) throw new Error(`still open after ${ms} ms`);
	}
	destroy() {
		this.socket.destroy();
	}
}

export function request(method, path, headers = {}, body = "") {
	const all = { Host: "localhost", ...headers };
	if (body.length) all["Content-Length"] = Buffer.byteLength(body);
	const lines = Object.entries(all).filter(([, v]) => v !== null).map(([k, v]) => `${k}: ${v}\r\n`);
	return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

export async function fetchRaw(port, method, path, headers, body) {
	const raw = new Raw(port);
	raw.write(request(method, path, { Connection: "close", ...headers }, body));
	const answer = await raw.response();
	raw.destroy();
	return answer;
}

export const getJson = async (port, path) => JSON.parse((await fetchRaw(port, "GET", path)).body);

export const CONT = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

export function frame(opcode, payload, { fin = true, mask = true, rsv = 0, length } = {}) {
	payload = Buffer.from(payload);
	const n = length ?? payload.length;
	const wide = n < 126 ? 0 : n < 65536 ? 2 : 8;
	const head = Buffer.alloc(2 + wide + (mask ? 4 : 0));
	head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
	head[1] = (mask ? 0x80 : 0) | (wide === 0 ? n : wide === 2 ? 126 : 127);
	if (wide === 2) head.writeUInt16BE(n, 2);
	if (wide === 8) head.writeBigUInt64BE(BigInt(n), 2);
	if (mask) {
		const key = crypto.randomBytes(4);
		key.copy(head, 2 + wide);
		for (let i = 0; i < payload.length; i++) payload[i] ^= key[i & 3];
	}
	return Buffer.concat([head, payload]);
}

export const UPGRADE = {
	Connection: "Upgrade",
	Upgrade: "websocket",
	"Sec-WebSocket-Version": "13",
	"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	"Sec-WebSocket-Protocol": "millrace.v1.json",
};

export class WebSocketRaw extends Raw {
	static async open(port, headers = {}, more = "") {
		const ws = new WebSocketRaw(port);
		ws.write(request("GET", "/api/sync", { ...UPGRADE, ...headers })).write(more);
		ws.answer = await ws.response();
		return ws;
	}
	send(payload, opcode = TEXT, options) {
		return this.write(frame(opcode, payload, options));
	}
	/** Next frame as it is: { opcode, fin, rsv, payload, text }, for a close frame also code and reason; null at the end. */
	async nextFrame(ms) {
		return this.until(() => {
			const b = this.bytes;
			if (b.length < 2) return null;
			if (b[1] & 0x80) throw new Error("a frame from the server is masked");
			let n = b[1] & 0x7f, at = 2;
			if (n === 126) {
				if (b.length < 4) return null;
				n = b.readUInt16BE(2);
				if (n < 126) throw new Error("a length not in its shortest form");
				at = 4;
			} else if (n === 127) {
				if (b.length < 10) return null;
				n = Number(b.readBigUInt64BE(2));
				if (n < 65536) throw new Error("a length not in its shortest form");
				at = 10;
			}
			if (b.length < at + n) return null;
			const opcode = b[0] & 15, fin = !!(b[0] & 0x80), rsv = (b[0] >> 4) & 7;
			if (opcode & 8 && (!fin || rsv || n > 125)) throw new Error(`a control frame begins with ${b[0].toString(16)}`);
			this.take(at);
			const payload = Buffer.from(this.take(n));
			const got = { opcode, fin, rsv, payload, text: payload.toString() };
			if (opcode === CLOSE && n >= 2) {
				got.code = payload.readUInt16BE(0);
				got.reason = payload.subarray(2).toString();
			}
			return got;
		}, ms);
	}
	/** Next control frame or whole message, put together from its fragments and inflated; null at the end. */
	async next(ms) {
		for (;;) {
			const got = await this.nextFrame(ms);
			if (!got || got.opcode & 8) return got;
			if ((got.opcode === CONT) !== !!this.begun) throw new Error(`opcode ${got.opcode} ${this.begun ? "within a message" : "goes on with nothing"}`);
			if (got.rsv & 3 || (got.rsv && (this.begun || !this.deflates))) throw new Error(`reserved bits ${got.rsv}`);
			this.begun ??= { opcode: got.opcode, rsv: got.rsv, pieces: [] };
			this.begun.pieces.push(got.payload);
			if (!got.fin) continue;
			const { opcode, rsv, pieces } = this.begun;
			this.begun = null;
			let payload = Buffer.concat(pieces);
			if (rsv) payload = inflate(payload);
			return { opcode, rsv, payload, text: payload.toString(), fragments: pieces.length };
		}
	}
}

/** A message's payload inflated (RFC 7692 7.2.2). */
export const inflate = (bytes) => zlib.inflateRawSync(Buffer.concat([bytes, Buffer.from([0, 0, 255, 255])]), { finishFlush: zlib.constants.Z_SYNC_FLUSH });
/** And deflated (7.2.1). */
export function deflate(bytes, options) {
	const out = zlib.deflateRawSync(bytes, { finishFlush: zlib.constants.Z_SYNC_FLUSH, ...options });
	return out.subarray(0, out.length - 4);
}

// --- a small runner: prints TAP ---
const tests = [];
export const test = (name, body) => tests.push([name, body]);
export async function run() {
	console.log(`1..${tests.length}`);
	let failed = 0;
	for (const [i, [name, body]] of tests.entries()) {
		try {
			await body();
			console.log(`ok ${i + 1} - ${name}`);
		} catch (e) {
			failed++;
			console.log(`not ok ${i + 1} - ${name}\n# ${String(e.stack).replaceAll("\n", "\n# ")}`);
		}
	}
	process.exit(failed ? 1 : 0);
}
