// A small server for tests: one entity in memory, naive by intent, speaking the protocol. Ticks and calls run when the test says so.

import type { Ack, Body, CallMessage, ClientMessage, ErrorInfo, Seg, ServerMessage, SubscribeMessage } from "../src/tables.js";
import type { RowId } from "../src/keys.js";
import { type Row, sameValue, type Value } from "../src/values.js";

export const TYPES = { id: "uuid", channel: "string", n: "int", body: "string" };

interface Sub {
	readonly message: SubscribeMessage;
	readonly instance: number;
	sent: Value | undefined;
}
interface Session {
	readonly id: string;
	readonly say: (message: ServerMessage) => void;
	readonly subs: Map<number, Sub>;
	readonly fresh: SubscribeMessage[];
	readonly replies: { id: string; value: Value; ahead: boolean }[];
	user: string | null;
	welcomed: boolean;
	n: number;
}

/** Naive: the where language as far as tests use it. */
function matches(where: SubscribeMessage["where"], row: Row): boolean {
	return Object.entries(where ?? {}).every(([field, term]) => {
		const have = row[field] ?? null;
		if (typeof term !== "object" || term === null) return have === term;
		const { $gt, $lte } = term as { $gt?: number; $lte?: number };
		return typeof have === "number" && ($gt === undefined || have > $gt) && ($lte === undefined || have <= $lte);
	});
}
export function naiveQuery(rows: Iterable<Row>, { where, order, limit }: Pick<SubscribeMessage, "where" | "order" | "limit">): Row[] {
	const found = [...rows].filter((row) => matches(where, row));
	const terms = order ?? [];
	const tie = terms.at(-1)?.[1] === "desc" ? -1 : 1;
	const less = (a: Value | undefined, b: Value | undefined): number =>
		(a as string) < (b as string) ? -1 : (a as string) > (b as string) ? 1 : 0;
	found.sort((a, b) => {
		for (const [field, way] of terms) {
			const d = less(a[field], b[field]) * (way === "desc" ? -1 : 1);
			if (d) return d;
		}
		return less(a.id, b.id) * tie;
	});
	return found.slice(0, limit ?? Infinity);
}

export function hashOf(value: unknown): string {
	return JSON.stringify(value);
}

export class World {
	readonly rows = new Map<RowId, Row>();
	readonly sessions = new Set<Session>();
	readonly done = new Map<string, Value>();
	readonly executed: string[] = [];
	queue: { session: Session; call: CallMessage }[] = [];
	n = 100;
	private lastInstance = 0;
	private minted = 0;
	/** Called with each choice of how to say something; true: the terse way. */
	terse: () => boolean = () => true;
	/** Whether every transition tells its position and hashes. */
	tellHash: () => boolean = () => true;
	users = new Map<string, string>();
	mode: "development" | "production" = "production";

	connect(say: (message: ServerMessage) => void): { receive(message: ClientMessage): void; close(): void } {
		let session: Session | undefined;
		return {
			receive: (message) => {
				if (message.t === "hello") {
					session = {
						id: message.session,
						say,
						subs: new Map(),
						fresh: [],
						replies: [],
						user: this.users.get(message.token ?? "") ?? null,
						welcomed: false,
						n: 0,
					};
					this.sessions.add(session);
				} else if (session) this.receive(session, message);
			},
			close: () => {
				if (session) this.sessions.delete(session);
				this.queue = this.queue.filter((one) => one.session !== session); // runs again when it is resent
			},
		};
	}
	private welcome(session: Session): void {
		session.welcomed = true;
		session.say({ t: "welcome", protocol: 1, user: session.user, hour: 480000, mode: this.mode, app: "test", ping_interval: 25000, max_frame: 1048576, max_depth: 64 });
	}
	private receive(session: Session, message: ClientMessage): void {
		switch (message.t) {
			case "subscribe":
				if (session.subs.has(message.id)) throw new Error(`subscription ${message.id} is in use`);
				session.fresh.push(message);
				return;
			case "unsubscribe":
				session.subs.delete(message.id);
				session.fresh.splice(0, Infinity, ...session.fresh.filter((one) => one.id !== message.id));
				return;
			case "call":
				this.queue.push({ session, call: message });
				return;
			case "auth":
				session.user = this.users.get(message.token ?? "") ?? null;
				return this.welcome(session);
			case "ping":
				return session.say({ t: "pong" });
			default:
				throw new Error(`unexpected ${message.t}`);
		}
	}

	/** Runs the oldest waiting call. */
	runCall(): boolean {
		const next = this.queue.shift();
		if (!next) return false;
		const { session, call } = next;
		const key = `${session.id} ${call.id}`;
		const before = this.done.get(key);
		if (before !== undefined) {
			session.replies.push({ id: call.id, value: before, ahead: false });
			return true;
		}
		const outcome = this.execute(call.fn, call.args as { [key: string]: Value });
		if (outcome.error) session.say({ t: "reply", id: call.id, error: outcome.error });
		else if (call.fn === "messages.count" || call.fn === "messages.act") session.say({ t: "reply", id: call.id, value: outcome.value });
		else {
			this.executed.push(key);
			this.done.set(key, outcome.value);
			session.replies.push({ id: call.id, value: outcome.value, ahead: false });
		}
		return true;
	}
	mintId(): string {
		return `00000000-0000-7000-8000-${String(++this.minted).padStart(12, "0")}`;
	}
	private execute(fn: string, args: { [key: string]: Value }): { value: Value; error?: ErrorInfo } {
		switch (fn) {
			case "messages.send": {
				const id = typeof args["id"] === "string" ? args["id"] : this.mintId();
				this.rows.set(id, { id, channel: args["channel"] ?? null, n: args["n"] ?? 0, body: args["body"] ?? null });
				return { value: id };
			}
			case "messages.patch": {
				const row = this.rows.get(String(args["id"]));
				if (!row) return { value: null, error: { code: "not_found", message: "no such row" } };
				this.rows.set(row.id, { ...row, ...(args["changes"] as Row), id: row.id });
				return { value: null };
			}
			case "messages.remove":
				this.rows.delete(String(args["id"]));
				return { value: null };
			case "messages.count":
				return { value: this.evaluate({ t: "subscribe", id: 0, fn, args }) };
			case "messages.act":
				return { value: `did ${String(args["what"])}` };
			default:
				return { value: null, error: { code: "app_error", message: "refused", data: { code: "ConvexError", data: { why: "refused" } } } };
		}
	}
	evaluate(message: SubscribeMessage): Value {
		if (message.entity !== undefined) return this.including(naiveQuery(this.rows.values(), message), message);
		if (message.fn === "messages.page") return this.page(message.args as { readonly [name: string]: Value });
		const channels = new Map<string, number>();
		for (const row of this.rows.values()) channels.set(String(row["channel"]), (channels.get(String(row["channel"])) ?? 0) + 1);
		return [...channels].sort().map(([channel, count]) => ({ channel, count }));
	}

	/** Whatever name refers to the channel shows how many rows that has; of channel b nobody may know. */
	private including(rows: Row[], { include = {} }: SubscribeMessage): Row[] {
		const size = (channel: Value | undefined) => [...this.rows.values()].filter((row) => row["channel"] === channel).length;
		const home = (channel: Value | undefined) => (channel === "b" ? null : { id: String(channel), size: size(channel) });
		return rows.map((row) => ({ ...row, ...Object.fromEntries(Object.keys(include).map((name) => [name, home(row["channel"])])) }));
	}

	/** Rows of a channel, the highest `n` first, some at a time. */
	private page({ channel, paginationOpts }: { readonly [name: string]: Value }): Value {
		const { numItems, cursor, endCursor } = paginationOpts as { numItems: number; cursor: string | null; endCursor?: string };
		const all = naiveQuery(this.rows.values(), { where: { channel: channel as string }, order: [["n", "desc"]], limit: 1000 });
		const rest = all.filter((row) => cursor === null || (row["n"] as number) < Number(cursor));
		if (endCursor !== undefined) return { page: rest.filter((row) => (row["n"] as number) >= Number(endCursor)), isDone: false, continueCursor: endCursor };
		const page = rest.slice(0, numItems), isDone = rest.length <= numItems;
		return { page, isDone, continueCursor: isDone ? "end" : String(page.at(-1)?.["n"]) };
	}

	/** One tick for one session: everything that it is owed, in one transition. */
	tick(session: Session): void {
		if (!session.welcomed) this.welcome(session);
		const q: Ack[] = [];
		const b: Body[] = [];
		for (const message of session.fresh.splice(0)) {
			const sub: Sub = { message, instance: ++this.lastInstance, sent: undefined };
			session.subs.set(message.id, sub);
			const value = this.evaluate(message);
			const key = `${message.entity ?? message.fn} ${session.user ?? ""}`;
			const keep = message.have?.k === key && message.have.h === hashOf(value);
			q.push({
				id: message.id,
				i: sub.instance,
				k: key,
				...(keep ? { keep } : {}),
				...(message.entity !== undefined ? { types: TYPES } : {}),
			});
			if (!keep) b.push(this.whole(sub, value));
			sub.sent = value;
		}
		for (const sub of session.subs.values()) {
			const value = this.evaluate(sub.message);
			if (!sameValue(value, sub.sent)) b.push(this.terse() ? this.difference(sub, value) : this.whole(sub, value));
			sub.sent = value;
		}
		const r = session.replies.splice(0).map(({ id, value }) => ({ id, value }));
		session.n = ++this.n;
		session.say({
			t: "transition",
			n: this.n,
			...(this.tellHash() ? { p: `p${this.n}` } : {}),
			...(b.length ? { b } : {}),
			...(q.length ? { q } : {}),
			...(r.length ? { r } : {}),
		});
	}
	tickAll(): void {
		for (const session of this.sessions) this.tick(session);
	}
	/** Everything until nothing is left to do. */
	settle(): void {
		while (this.runCall());
		this.tickAll();
	}

	private whole(sub: Sub, value: Value): Body {
		const h = this.tellHash() ? { h: hashOf(value) } : {};
		return tellsRows(sub) ? { i: sub.instance, rows: value as Row[], ...h } : { i: sub.instance, value, ...h };
	}
	private difference(sub: Sub, value: Value): Body {
		const h = this.tellHash() ? { h: hashOf(value) } : {};
		if (!tellsRows(sub) && !Array.isArray(value)) return this.whole(sub, value);
		if (!tellsRows(sub)) return { i: sub.instance, segs: segments(sub.sent as Value[], value as Value[]), ...h };
		const before = new Map((sub.sent as Row[]).map((row) => [row.id, row]));
		const put: Row[] = [];
		const patch: [RowId, Row][] = [];
		for (const row of value as Row[]) {
			const old = before.get(row.id);
			before.delete(row.id);
			if (!old) put.push(row);
			else if (!sameValue(old, row))
				patch.push([row.id, Object.fromEntries(Object.entries(row).filter(([k, v]) => !sameValue(v, old[k]))) as Row]);
		}
		return { i: sub.instance, put, patch, del: [...before.keys()], ...h };
	}
}

const tellsRows = ({ message }: Sub) => message.entity !== undefined && message.include === undefined;

function segments(old: readonly Value[], next: readonly Value[]): Seg[] {
	return next.map((value): Seg => {
		const at = old.findIndex((one) => sameValue(one, value));
		return at >= 0 ? [at, 1] : { v: [value] };
	});
}
