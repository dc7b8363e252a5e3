// For the tests of the whole server: an app from tests/flow/stack_app, raw WebSocket clients that keep the state which the protocol tells
// them, server-sent events, tokens, psql.
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { cpSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { copyPostgres, endAll, freePort, millrace, remove, ROOT, serve, temporary, until } from "./cli.mjs";
import { decode, encode } from "./stack_msgpack.mjs";

export { until } from "./cli.mjs";
export const WebSocket = createRequire(join(ROOT, "client", "package.json"))("ws");
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export const thisHour = () => Math.floor(Date.now() / 3600000);
export const uuid = () => {
	const b = randomBytes(16);
	b.writeUIntBE(Date.now(), 0, 6);
	b[6] = 0x70 | (b[6] & 15);
	b[8] = 0x80 | (b[8] & 63);
	return b.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
};

/** A server with a copy of the app; `within` is a folder for all that it writes. */
export class Stack {
	static async start(options = [], within = temporary("stack"), source = join(ROOT, "tests", "flow", "stack_app")) {
		const stack = new Stack();
		stack.home = within;
		stack.app = join(within, "app");
		stack.data = join(within, "data");
		cpSync(source, stack.app, { recursive: true });
		copyPostgres(stack.app, stack.data);
		stack.port = await freePort();
		const common = ["--app-dir", stack.app, "--data-dir", stack.data];
		stack.server = await serve(["dev", ...common, "--port", String(stack.port), "--workers", "2", ...options]);
		stack.url = await stack.server.ready();
		stack.secret = readFileSync(join(stack.data, "secret"), "utf8").trim();
		return stack;
	}
	async stop() {
		const ended = await this.server.stop();
		await endAll();
		remove(this.home);
		return ended;
	}
	psql(sql, ...more) {
		const { status, out, err } = millrace(["psql", "--data-dir", this.data, "--", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql, ...more]);
		assert.equal(status, 0, err);
		return out.trimEnd();
	}
	rows(sql) {
		return JSON.parse(this.psql(`select coalesce(json_agg(x), '[]') from (${sql}) x`));
	}
	get postmaster() {
		return Number(readFileSync(join(this.data, "pg/data/postmaster.pid"), "utf8").split("\n")[0]);
	}
	token(sub, claims = {}) {
		return sign(this.secret, { sub, exp: Math.floor(Date.now() / 1000) + 3600, ...claims });
	}
	async http(method, path, body, headers = {}) {
		const response = await fetch(new URL(path, this.url), {
			method,
			headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
			body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
			signal: AbortSignal.timeout(20000),
		});
		const text = await response.text();
		let json;
		try {
			json = JSON.parse(text);
		} catch {
			// not every answer is JSON
		}
		return { status: response.status, text, json, code: json?.error?.code, error: json?.error };
	}
	call(fn, args = {}, headers) {
		return this.http("POST", `/api/fn/${fn}`, args, headers);
	}
	async metric(name) {
		const found = new RegExp(`^${name} (\\S+)$`, "m").exec((await this.http("GET", "/metrics")).text);
		assert.ok(found, `no counter ${name}`);
		return Number(found[1]);
	}
	client(options) {
		return new Client(this, options).ready();
	}
}

const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
export function sign(secret, claims, header = { alg: "HS256", typ: "JWT" }) {
	const text = `${part(header)}.${part(claims)}`;
	return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** One live query as the server told it. */
class Live {
	rows = new Map();
	value = undefined;
	error = undefined;
	behind = false;
	answered = false;
	bodies = 0;
	constructor(query) {
		this.query = query;
	}
	get ids() {
		return [...this.rows.keys()].sort();
	}
	get list() {
		return [...this.rows.values()];
	}
	apply(b) {
		this.bodies++;
		if (b.h !== undefined) this.h = b.h;
		if (b.behind !== undefined) this.behind = b.behind;
		if (b.error) return void (this.error = b.error);
		if (b.rows || b.put || b.patch || b.del || b.segs || "value" in b) this.error = undefined;
		if (b.rows) this.rows = new Map(b.rows.map((r) => [r.id, r]));
		/* What is told in the answer to who comes back may have come and gone meanwhile. */
		for (const id of b.del ?? []) assert.ok(this.rows.delete(id) || this.resuming, `a row left that was not here: ${id}`);
		for (const row of b.put ?? []) this.rows.set(row.id, row);
		for (const [id, change] of b.patch ?? []) {
			assert.ok(this.rows.has(id), `a row changed that is not here: ${id}`);
			this.rows.set(id, { ...this.rows.get(id), ...change });
		}
		if (b.segs) this.value = b.segs.flatMap((s) => (Array.isArray(s) ? this.value.slice(s[0], s[0] + s[1]) : s.v));
		else if ("value" in b) this.value = b.value;
	}
}

export class Client {
	queries = new Map();
	byInstance = new Map();
	results = new Map();
	messages = [];
	wakes = [];
	calls = 0;
	n = 0;
	transitions = 0;
	constructor(stack, { encoding = "json", token, session = randomBytes(24).toString("base64url"), hello = true, positions = true, ws = {} } = {}) {
		Object.assign(this, { stack, encoding, token, session, positions, greets: hello, options: ws });
		this.connect();
	}
	connect() {
		this.closed = undefined;
		this.welcome = undefined;
		this.byInstance.clear();
		this.n = 0;
		this.ws = new WebSocket(new URL("/api/sync", this.stack.url).href.replace(/^http/, "ws"), `millrace.v1.${this.encoding}`, this.options);
		this.opened = new Promise((done) => {
			this.ws.once("open", done);
			this.ws.once("close", done);
		});
		this.ws.on("error", () => {});
		this.ws.on("close", (code) => {
			this.closed = code;
			this.wake();
		});
		this.ws.on("message", (data, binary) => {
			try {
				this.take(binary ? decode(data) : JSON.parse(data.toString()));
			} catch (e) {
				this.broken ??= e;
			}
			this.wake();
		});
	}
	async ready() {
		await this.opened;
		if (!this.greets) return this;
		this.hello();
		await this.until("the welcome", () => this.welcome);
		return this;
	}
	hello(more = {}) {
		this.send({ t: "hello", protocol: 1, session: this.session, token: this.token ?? null, positions: this.positions, ...more });
	}
	/** On a new socket: subscribes again to all with what is held. */
	async again() {
		await until("a connection", async () => {
			this.connect();
			await this.opened;
			if (this.closed === undefined) this.hello(this.p === undefined ? {} : { position: this.p });
			await until("welcome or the end", () => this.welcome || this.closed !== undefined, 5);
			return this.welcome;
		});
		for (const [id, live] of this.queries) {
			live.answered = false;
			this.send({ t: "subscribe", id, ...live.query, ...(live.h ? { have: { k: live.k, h: live.h } } : {}) });
		}
	}
	send(message) {
		this.raw(this.encoding === "json" ? JSON.stringify(message) : encode(message));
	}
	raw(data) {
		this.ws.send(data);
	}
	take(m) {
		this.messages.push(m);
		if (m.t === "welcome") this.welcome = m;
		else if (m.t === "reply") this.results.set(m.id, m);
		else if (m.t === "transition") this.transition(m);
	}
	transition(m) {
		this.transitions++;
		assert.ok(m.n >= this.n, `transition ${m.n} after ${this.n}`);
		this.n = m.n;
		if (m.p !== undefined) this.p = m.p;
		for (const q of m.q ?? []) {
			const live = this.queries.get(q.id);
			if (!live) continue; // unsubscribed meanwhile
			live.answered = true;
			live.k = q.k;
			live.kept = live.resuming = q.keep === true;
			live.error = undefined;
			live.behind = false;
			if (!q.keep) {
				live.rows = new Map();
				live.value = undefined;
				live.h = undefined;
			}
			for (const all of this.byInstance.values()) all.delete(live);
			this.byInstance.set(q.i, (this.byInstance.get(q.i) ?? new Set()).add(live));
		}
		for (const b of m.b ?? []) for (const live of this.byInstance.get(b.i) ?? []) live.apply(b);
		for (const q of m.q ?? []) if (this.queries.has(q.id)) this.queries.get(q.id).resuming = false;
		for (const r of m.r ?? []) this.results.set(r.id, { t: "reply", ...r });
	}
	/** Looks after each message. */
	async until(what, test, seconds = 10) {
		const end = Date.now() + seconds * 1000;
		for (;;) {
			if (this.broken) throw this.broken;
			const value = await test();
			if (value) return value;
			if (Date.now() > end) throw new Error(`waited ${seconds} s in vain for: ${what}; closed: ${this.closed}; last: ${this.last(4)}`);
			await new Promise((done) => {
				const timer = setTimeout(done, 100);
				this.wakes.push(() => done(clearTimeout(timer)));
			});
		}
	}
	last(n) {
		return JSON.stringify(this.messages.slice(-n), (_, v) => (typeof v === "bigint" ? `${v}n` : v)).slice(0, 1500);
	}
	wake() {
		for (const wake of this.wakes.splice(0)) wake();
	}
	subscribe(query) {
		const id = (this.lastQuery = (this.lastQuery ?? 0) + 1);
		const live = new Live(query);
		live.id = id;
		this.queries.set(id, live);
		this.send({ t: "subscribe", id, ...query });
		return live;
	}
	async live(query) {
		const live = this.subscribe(query);
		await this.until(`the answer to ${JSON.stringify(query)}`, () => live.answered && (live.error || live.query.entity || live.value !== undefined));
		return live;
	}
	unsubscribe(live) {
		this.queries.delete(live.id);
		this.send({ t: "unsubscribe", id: live.id });
	}
	/** The error message that answers this one (a subscribe, or anything without an id). */
	async refused(message) {
		const from = this.messages.length;
		this.send(message);
		return this.errorAfter(from, message.t === "subscribe" ? message.id : undefined);
	}
	errorAfter(from, re) {
		return this.until("an error", () => this.messages.slice(from).find((m) => m.t === "error" && m.re === re));
	}
	callId() {
		return `${thisHour()}.${++this.calls}`;
	}
	async call(fn, args = {}, { id = this.callId(), seconds = 15 } = {}) {
		this.results.delete(id);
		this.send({ t: "call", id, fn, args });
		return this.until(`the reply to ${fn}`, () => this.results.get(id), seconds);
	}
	async value(fn, args) {
		const reply = await this.call(fn, args);
		assert.equal(reply.error, undefined, JSON.stringify(reply.error));
		return reply.value;
	}
	async alive() {
		const from = this.messages.length;
		this.send({ t: "ping" });
		await this.until("a pong", () => this.messages.slice(from).find((m) => m.t === "pong"));
	}
	close() {
		this.ws.close();
	}
}

/** Server-sent events as they come: `events` of { id, event, data }. */
export class Events {
	events = [];
	ended = false;
	static async open(stack, query, headers = {}) {
		const events = new Events();
		const url = new URL("/api/live", stack.url);
		for (const [name, value] of Object.entries(query)) url.searchParams.set(name, typeof value === "string" ? value : JSON.stringify(value));
		events.control = new AbortController();
		events.response = await fetch(url, { headers, signal: events.control.signal });
		void events.read();
		return events;
	}
	async read() {
		let text = "";
		try {
			for await (const chunk of this.response.body.pipeThrough(new TextDecoderStream())) {
				text += chunk;
				for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) this.take(text.slice(0, end));
			}
		} catch {
			// the server went away, or we did
		}
		this.ended = true;
	}
	take(block) {
		const event = {};
		for (const line of block.split("\n")) {
			const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
			if (name) event[name] = name === "data" && event.data !== undefined ? `${event.data}\n${value}` : value;
		}
		if (event.data === undefined) return;
		event.json = JSON.parse(event.data);
		this.events.push(event);
		if (event.id !== undefined) this.last = event.id;
	}
	close() {
		this.control.abort();
	}
}
