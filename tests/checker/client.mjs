// A client by the rules of docs/protocol.md and nothing else: what it holds after each transition is told to the checker.
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { decode, encode } from "../lib/stack_msgpack.mjs";
import { print, QUERIES } from "./queries.mjs";

const WebSocket = createRequire(new URL("../../client/package.json", import.meta.url))("ws");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const EVENTS_KEPT = 400;
const TRANSITIONS_OF_A_TICK = 200; // answers and replies may come one by one, but not without end
/** Codes after which the same request is sent again: it never runs twice. */
const AGAIN = new Set(
	readFileSync(new URL("../../proto/tables/errors.toml", import.meta.url), "utf8").split("[[error]]")
		.filter((entry) => /^retry = "(later|same)"/m.test(entry)).map((entry) => /^code = "(\w+)"/m.exec(entry)[1]),
);

class Held {
	constructor(query) {
		this.query = query;
		this.rows = new Map();
		this.value = undefined;
		this.has = false;
		this.stale = false; // from an earlier socket, not answered yet
		this.k = this.h = "";
		this.behind = false;
		this.failed = undefined;
		this.events = []; // what it was told, for the one who must find out why it is wrong
		this.forgotten = 0;
	}
	note(event) {
		if (this.events.push(event) < 2 * EVENTS_KEPT) return;
		this.events.splice(0, EVENTS_KEPT);
		this.forgotten += EVENTS_KEPT;
	}
	apply(body) {
		if (body.behind !== undefined) this.behind = body.behind;
		const tells = ["rows", "put", "patch", "del", "value", "segs", "error"].some((part) => body[part] !== undefined);
		if (!tells) return;
		this.failed = body.error;
		if (body.h !== undefined) this.h = body.h;
		if (body.rows) this.rows = new Map(body.rows.map((row) => [row.id, row]));
		for (const row of body.put ?? []) this.rows.set(row.id, row);
		for (const [id, fields] of body.patch ?? []) {
			if (!this.rows.has(id)) throw new Error(`a patch of row ${id}, which is not held, by ${JSON.stringify(this.query.ask)}`);
			this.rows.set(id, { ...this.rows.get(id), ...fields });
		}
		for (const id of body.del ?? []) this.rows.delete(id);
		if (body.value !== undefined) this.value = body.value;
		if (body.segs) {
			const old = this.value;
			this.value = body.segs.flatMap((seg) => (Array.isArray(seg) ? old.slice(seg[0], seg[0] + seg[1]) : seg.v));
		}
		this.text = undefined;
	}
	print() {
		return (this.text ??= print(this.value === undefined ? [...this.rows.values()].sort(this.query.compare) : this.value));
	}
}

export class Client {
	constructor(number, url, random, checker) {
		Object.assign(this, { number, random, checker });
		this.url = url.replace(/^http/, "ws") + "api/sync";
		this.session = randomBytes(24).toString("base64url");
		this.held = new Map();
		this.calls = new Map();
		this.ended = new Map(); // id -> how it was answered
		this.sockets = 0;
		this.lastQuery = this.lastCall = 0;
		this.stopped = false;
		this.binary = number % 3 === 0;
	}

	send(message) {
		if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(this.binary ? encode(message) : JSON.stringify(message));
	}
	subscribe(id, held) {
		const have = held.has && held.k && !held.failed && !held.behind ? { have: { k: held.k, h: held.h } } : {};
		held.note({ subscribes: id, ...have });
		this.send({ t: "subscribe", id, ...held.query.ask, ...have });
	}

	async run() {
		while (!this.stopped) {
			await this.connected().catch(() => undefined);
			await sleep(20 + this.random.below(100));
		}
	}
	connected() {
		return new Promise((resolve) => {
			this.sockets++;
			const socket = (this.socket = new WebSocket(this.url, [`millrace.v1.${this.binary ? "msgpack" : "json"}`]));
			this.tick = -1;
			this.byInstance = new Map();
			socket.on("error", () => undefined);
			socket.on("open", () => this.greet());
			socket.on("message", (data) => this.receive(this.binary ? decode(data) : JSON.parse(data)));
			socket.on("close", () => {
				for (const held of this.held.values()) held.stale = held.has;
				for (const held of this.held.values()) held.note({ closed: true });
				resolve();
			});
		});
	}
	greet() {
		this.send({ t: "hello", protocol: 1, session: this.session, positions: true, ...(this.token ? { token: this.token } : {}), ...(this.position ? { position: this.position } : {}) });
		for (const [id, held] of this.held) this.subscribe(id, held);
		for (const call of this.calls.values()) this.ask(call);
	}

	receive(message) {
		try {
			this.take(message);
		} catch (e) {
			this.checker.fault(`client ${this.number}: ${e.message}`, this.number);
			this.socket.terminate();
		}
	}
	take(message) {
		if (message.t === "transition") this.transition(message);
		else if (message.t === "reply") this.reply(message);
		else if (message.t === "error") this.refused(message);
	}
	refused(message) {
		this.checker.refused(message.error.code);
		if (message.re === undefined) return;
		const held = this.held.get(message.re);
		this.later(() => held && this.held.get(message.re) === held && this.subscribe(message.re, held));
	}
	transition(message) {
		if (message.n < this.tick) this.checker.fault(`client ${this.number}: tick ${message.n} after ${this.tick}`, this.number);
		this.atTick = message.n === this.tick ? this.atTick + 1 : 1;
		if (this.atTick === TRANSITIONS_OF_A_TICK) this.checker.fault(`client ${this.number}: ${this.atTick} transitions at tick ${message.n}; the last: ${JSON.stringify({ ...message, t: undefined }).slice(0, 2000)}`, this.number);
		this.tick = message.n;
		for (const ack of message.q ?? []) this.answered(ack, message);
		for (const body of message.b ?? []) {
			for (const held of this.byInstance.get(body.i) ?? []) {
				held.note({ n: message.n, p: message.p !== undefined, ...body });
				if (!this.drops?.(body)) held.apply(body);
			}
		}
		for (const reply of message.r ?? []) this.done(reply.id, message.p, true);
		if (message.p) this.checked(message.p);
	}
	answered(ack, { n }) {
		const held = this.held.get(ack.id);
		if (!held) return;
		held.note({ n, answered: { ...ack, types: undefined } });
		for (const sharing of this.byInstance.values()) sharing.delete(held);
		if (!this.byInstance.has(ack.i)) this.byInstance.set(ack.i, new Set());
		this.byInstance.get(ack.i).add(held);
		if (!ack.keep) Object.assign(held, { rows: new Map(), value: undefined, text: undefined });
		Object.assign(held, { has: true, stale: false, behind: false, failed: undefined, k: ack.k });
	}
	checked(position) {
		const all = [...this.held.values()].filter((held) => held.has);
		if (all.some((held) => held.stale)) return; // the server may not have read that we hold it, yet
		if (all.some((held) => held.behind)) return void this.checker.fault(`client ${this.number}: a position, while a query is behind`, this.number);
		this.position = position;
		this.checker.failed += all.filter((held) => held.failed).length;
		this.checker.saw(this.number, position, all.filter((held) => !held.failed));
	}

	/** Its effect must be in the snapshot of the transition that brings its reply. */
	done(id, position, inTransition) {
		const call = this.calls.get(id);
		const how = { inTransition, socket: this.sockets, asked: call?.sent, at: Date.now() };
		if (!call) return void this.checker.fault(`client ${this.number}: a second or unasked reply to ${id}: ${JSON.stringify([this.ended.get(id), how])}`, this.number);
		this.calls.delete(id);
		this.ended.set(id, how);
		this.checker.acknowledged(call.mark, inTransition ? position : undefined, this.number);
	}
	reply(message) {
		if (!this.calls.has(message.id)) return; // answered before, on the socket before
		if (!message.error && !message.ahead) this.checker.fault(`client ${this.number}: the reply to ${message.id} came by itself, and did not say that it is ahead`, this.number);
		if (!message.error) return void this.done(message.id, undefined, false);
		const call = this.calls.get(message.id);
		if (AGAIN.has(message.error.code)) {
			this.checker.refused(message.error.code);
			return this.later(() => this.calls.get(message.id) === call && this.ask(call));
		}
		this.calls.delete(message.id);
		this.checker.refusedCall(call.mark, message.error);
	}

	/** Again on this socket; the next one begins with everything anyway. */
	later(act) {
		const { socket } = this;
		setTimeout(() => this.socket === socket && act(), 100);
	}

	/** One random act: ask, leave, write, or lose the line. */
	act(writes) {
		const { random } = this;
		const what = random.next();
		if (what < 0.02) return void this.socket?.terminate();
		if (what < 0.15 || this.held.size === 0) return void this.add();
		if (what < 0.25) return void this.remove();
		if (writes && this.calls.size < 5) this.write();
	}
	add(query = this.random.pick(QUERIES)) {
		if (this.held.size >= 6) return;
		const held = new Held(query);
		this.held.set(++this.lastQuery, held);
		this.subscribe(this.lastQuery, held);
	}
	remove() {
		const id = this.random.pick([...this.held.keys()]);
		this.held.delete(id);
		this.send({ t: "unsubscribe", id });
	}
	write(fn = `items.${this.random.pick(["addSerializable", "addRepeatable", "addCommitted", "move", "parts", "drop", "drop"])}`) {
		const { random } = this;
		const number = ++this.lastCall;
		const mark = `c${this.number}-${number}`;
		const id = `${Math.floor(Date.now() / 3600000)}.${number}`;
		const pickGroup = () => random.pick(["a", "b", "c", "d"]);
		const args = { mark, grp: pickGroup(), n: random.below(100), ...(["items.move", "items.parts"].includes(fn) ? { to: pickGroup() } : {}) };
		const call = { mark, message: { t: "call", id, fn, args }, sent: [] };
		this.calls.set(id, call);
		this.checker.asked.add(mark);
		this.ask(call);
	}
	ask(call) {
		call.sent.push(this.sockets);
		this.send(call.message);
	}

	/** From now on it is somebody else, who sees the same. */
	become(token) {
		this.token = token;
		this.send({ t: "auth", token });
	}
	/** It reads nothing from its socket any more, until it does again. */
	pause(on) {
		if (on) this.socket?.pause?.();
		else if (this.socket?.isPaused) this.socket.resume();
	}
	about() {
		return { sockets: this.sockets, open: this.socket?.readyState, tick: this.tick };
	}
	stop() {
		this.stopped = true;
		this.socket?.terminate();
	}
}
