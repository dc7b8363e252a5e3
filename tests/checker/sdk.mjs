// A client by the SDK, with optimistic updates: what it shows after each transition is what Postgres holds at that snapshot and, on top, the rows
// of its own calls that have had no reply; so a call's row is there once, before and after.
import { createRequire } from "node:module";
import { createClient, functionRef, newId } from "../../client/dist/index.js";
import { print, QUERIES } from "./queries.mjs";

const WebSocket = createRequire(new URL("../../client/package.json", import.meta.url))("ws");
const CALLS_AT_ONCE = 3;
const AHEAD_MS = 3000;

const specOf = ({ ask }) => (ask.entity ? { entity: ask.entity, where: ask.where, order: ask.order, limit: ask.limit, include: ask.include } : { fn: ask.fn, args: ask.args });

/** A query that is watched, as the checker asks about it. */
class Watched {
	constructor(client, query) {
		Object.assign(this, { client, query, spec: specOf(query), events: [], forgotten: 0 });
		this.leave = client.watch(this.spec, () => undefined);
	}
	get state() {
		return this.client.peek(this.spec);
	}
	get has() {
		return !this.state.loading;
	}
	get stale() {
		return !this.state.synced;
	}
	get behind() {
		return this.state.behind;
	}
	get failed() {
		return this.state.error;
	}
	print() {
		return print([...this.state.data]);
	}
}

export class SdkClient {
	constructor(number, url, random, checker) {
		Object.assign(this, { number, random, checker, held: new Map(), calls: new Map() });
		this.lastCall = 0;
		this.doubtful = new Set(); // marks of calls that were sent before this line, or answered ahead of the screen
		const owner = this;
		/** The SDK's line, listened to. */
		class Tap {
			constructor(address, protocols) {
				this.inner = new WebSocket(address, protocols, { allowSynchronousEvents: false }); // as in a browser: a promise tells its end before the next message is heard
				owner.line = this.inner;
				for (const mark of owner.calls.keys()) owner.doubtful.add(mark);
				for (const name of ["onopen", "onclose", "onerror"]) this.inner[name] = (event) => this[name]?.(event);
				this.inner.onmessage = (event) => {
					this.onmessage?.(event);
					if (owner.line === this.inner) owner.heard(JSON.parse(event.data)); // what comes on a line that was given up for silent goes nowhere
				};
			}
			get readyState() {
				return this.inner.readyState;
			}
			send(text) {
				const message = JSON.parse(text);
				if (message.t === "hello") message.positions = true;
				if (message.t === "call") owner.ids.set(message.id, message.args.mark);
				this.inner.send(JSON.stringify(message));
			}
			close(...args) {
				this.inner.close(...args);
			}
		}
		this.ids = new Map();
		this.client = createClient({ url, token: null, encoding: "json", WebSocket: Tap, linger: 0 });
	}
	async run() {
		this.client.connect();
		await new Promise((resolve) => (this.ended = resolve));
	}
	heard(message) {
		// a call that was refused may be sent again by the SDK; its promise tells when it ends
		const ended = message.t === "transition" ? (message.r ?? []) : message.t === "reply" && !message.error ? [message] : [];
		for (const { id } of ended) {
			this.calls.delete(this.ids.get(id));
			if (!message.ahead) this.doubtful.delete(this.ids.get(id));
			else this.doubt(this.ids.get(id));
		}
		if (message.t === "transition" && message.p) this.check(message.p);
	}
	/** Its rows stay until the screen holds them, which nothing on the line tells. */
	doubt(mark) {
		this.doubtful.add(mark);
		setTimeout(() => this.doubtful.delete(mark), AHEAD_MS);
	}
	check(position) {
		if (this.doubtful.size) return;
		const shown = [];
		for (const watched of this.held.values()) {
			if (!watched.has) continue;
			if (watched.stale || watched.behind) return;
			if (!watched.failed) shown.push(this.view(watched));
		}
		this.checker.saw(this.number, position, shown);
	}
	view(watched) {
		const { query } = watched;
		const own = query.ask.entity ? [...this.calls.values()] : [];
		const expected = own.length ? { ask: { ...query.ask, optimistic: own }, print, expect: (rows) => query.expect([...rows, ...own]) } : query;
		return { query: expected, print: () => watched.print(), events: [], forgotten: 0 };
	}
	act() {
		const { random } = this;
		const what = random.next();
		if (what < 0.01) return void this.line?.terminate();
		if (what < 0.1 && this.held.size < 5) return void this.add();
		if (what < 0.15 && this.held.size > 1) return void this.remove();
		if (what < 0.3 && this.calls.size < CALLS_AT_ONCE) this.write();
	}
	add() {
		const query = this.random.pick(QUERIES);
		this.held.set(newId(), new Watched(this.client, query));
	}
	remove() {
		const key = this.random.pick([...this.held.keys()]);
		this.held.get(key).leave();
		this.held.delete(key);
	}
	write() {
		const { random } = this;
		const mark = `c${this.number}-${++this.lastCall}`;
		const row = { id: newId(), grp: random.pick(["a", "b", "c", "d"]), n: random.below(100), note: mark, parent: null };
		this.calls.set(mark, row);
		this.checker.asked.add(mark);
		const args = { mark, grp: row.grp, n: row.n };
		const { parent, ...guess } = row;
		this.client.mutation(functionRef(`items.${random.pick(["addSerializable", "addCommitted"])}`), args, { optimistic: (tx) => tx.insert("Item", guess) }).then(
			() => this.checker.acknowledged(mark, undefined, this.number),
			(error) => {
				this.calls.delete(mark);
				this.doubtful.delete(mark);
				this.checker.refusedCall(mark, error);
			},
		);
	}
	about() {
		return { open: this.line?.readyState, status: this.client.status, ids: [...this.ids].filter(([, mark]) => this.calls.has(mark)) };
	}
	pause(on) {
		if (on) this.line?.pause();
		else if (this.line?.isPaused) this.line.resume();
	}
	stop() {
		this.client.close();
		this.ended?.();
	}
}
