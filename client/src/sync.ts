// Sync: live queries, calls and optimistic layers of one client. Knows messages, not sockets: what to say on a new socket (`greeting`),
// what a message means (`receive`), and that a socket went (`lost`).
//
// Invariants, each with its test (test/sync.test.ts, test/model.test.ts):
//  S1  A transition is shown whole: watchers are called after all of it is applied, and see no state in between.
//  S2  With no calls under way a query shows exactly what the server told: rows that match, in order, within the limit.
//  S3  The layer of a call drops in the transition whose `r` holds it, or with the reply that ends it; neither before nor after.
//  S4  A call is sent under one id on every socket until it is answered, in the order made, also after a reload.
//  S5  A query is subscribed once however many watch it, and ends when the last has gone (after `linger`).
//  S6  What did not change keeps its identity: rows, arrays, snapshots.
//  S7  `synced` is true exactly when the present socket has answered the query.
//  S8  What is held is offered (`have`) with the key and hash last told, and no hash when the last change told none.
//  S9  Optimistic updates of function results show as layers do: from the call to the transition that holds it, in one step (updates.ts).

import { Calls, type Call, callMessage, tell } from "./calls.js";
import { MillraceError } from "./error.js";
import { newSecret } from "./ids.js";
import type { RowId } from "./keys.js";
import { Layers, type Operation, viewRows, withoutIncluded } from "./layers.js";
import { isEntitySpec, Result, type Spec } from "./results.js";
import { baseKey, specKey } from "./specs.js";
import type { StringStore } from "./stores.js";
import {
	type Ack,
	type Body,
	type ClientMessage,
	type ErrorInfo,
	ERRORS,
	PROTOCOL,
	type ReplyMessage,
	type ServerMessage,
	type SubscribeMessage,
	type TransitionMessage,
	type WelcomeMessage,
} from "./tables.js";
import { type Known, type Update, Updates } from "./updates.js";
import { type Row, shareUnchanged, type Value } from "./values.js";

export interface Snapshot {
	/** Rows of an entity query, the value of a function query; undefined: nothing has come yet. */
	readonly data: Value | undefined;
	readonly loading: boolean;
	readonly synced: boolean;
	readonly behind: boolean;
	readonly error: MillraceError | undefined;
}

export const LOADING: Snapshot = Object.freeze({ data: undefined, loading: true, synced: false, behind: false, error: undefined });

/** What a call is expected to do until it is answered: to rows, and to results of functions. */
export interface Expected {
	readonly operations?: readonly Operation[];
	readonly update?: Update | undefined;
}

interface Touched {
	readonly entities: ReadonlySet<string>;
	/** Keys of function queries. */
	readonly queries: ReadonlySet<string>;
}

interface LiveQuery {
	readonly spec: Spec;
	readonly key: string;
	readonly base: string;
	readonly id: number;
	readonly watchers: Set<() => void>;
	readonly result: Result;
	instance: number | undefined;
	/** Answered on the present socket. */
	fresh: boolean;
	/** Refused on the present socket: the server does not know it. */
	refused: boolean;
	snapshot: Snapshot;
	/** An optimistic update has stood in for its result: what is shown is not the very object that the server's result is. */
	stoodIn: boolean;
	/** The same query with another limit, shown until the first answer. */
	standIn: (() => void) | undefined;
	ending: ReturnType<typeof setTimeout> | undefined;
}

export interface SyncOptions {
	/** Says it on the present socket; there may be none. */
	readonly send: (message: ClientMessage) => void;
	/** Why the server would not take it, as far as is known. */
	readonly refusal: (message: ClientMessage) => ErrorInfo | undefined;
	readonly store: StringStore;
	readonly scope: string;
	/** Milliseconds for which a query outlives its last watcher. */
	readonly linger: number;
	readonly now: () => number;
	/** Errors that belong to no call and no query, and calls of an earlier page that failed. */
	readonly onError: (error: MillraceError) => void;
	/** The number of pending calls, or who the caller is, has changed. */
	readonly onChange: () => void;
}

const REFUSED_WAIT = 1000;
const LONGEST_ID = `100000.${Number.MAX_SAFE_INTEGER}`;
const RESEND_WAIT = [200, 400, 800, 1600, 3200];
/** Said of a call's hour, before anything is run. */
const REFUSED_IDS: ReadonlySet<string> = new Set(["bad_call_id", "call_expired"]);
const SEND_AGAIN: ReadonlySet<string> = new Set(["no_workers", "postgres_unavailable"]);

export class Sync {
	private readonly options: SyncOptions;
	private readonly queries = new Map<string, LiveQuery>();
	private readonly keys = new Map<string, readonly string[]>();
	private readonly byId = new Map<number, LiveQuery>();
	private readonly byInstance = new Map<number, Set<LiveQuery>>();
	private readonly layers = new Layers();
	private readonly updates = new Updates(throwLater);
	private readonly calls: Calls;
	/** Calls that are done though no transition has shown their effect: with what their layers touch. */
	private readonly ahead = new Map<string, Touched>();
	private readonly cut = new WeakMap<Snapshot, Map<number | undefined, Snapshot>>();
	private session: string;
	private position: string | undefined;
	private lastId = 0;
	private live = false;
	user: string | null | undefined;

	constructor(options: SyncOptions) {
		this.options = options;
		this.calls = new Calls(options.store, `${options.scope}:calls`);
		const known = options.store.getItem(this.sessionKey);
		this.session = known !== null && /^[\w-]{32,64}$/.test(known) ? known : newSecret();
		options.store.setItem(this.sessionKey, this.session);
		this.restore();
	}
	private get sessionKey(): string {
		return `${this.options.scope}:session`;
	}
	private restore(): void {
		const ended = (error: MillraceError | undefined): void => {
			if (error) this.options.onError(error);
		};
		for (const call of this.calls.restore(ended)) this.layers.put(call.id, call.operations);
	}
	get sessionId(): string {
		return this.session;
	}
	/** This tab's store is a copy of another tab's that is in use: take a session of our own, and leave the other its calls. */
	renewSession(): void {
		this.session = newSecret();
		this.options.store.setItem(this.sessionKey, this.session);
		const entities = new Set<string>();
		for (const call of this.calls.all()) {
			if (!call.restored) continue;
			this.calls.take(call.id);
			for (const entity of this.layers.drop(call.id)) entities.add(entity);
		}
		this.showEntities(entities);
		this.options.onChange();
	}

	/** There is a socket that has been greeted. */
	get connected(): boolean {
		return this.live;
	}
	get pending(): number {
		return this.calls.pending;
	}
	/** Something that was said on the present socket waits for its answer. */
	get unanswered(): boolean {
		if (this.calls.size > 0) return true;
		for (const query of this.byId.values()) if (!query.fresh) return true;
		return false;
	}
	/** All that is held has been answered on the present socket. */
	get caughtUp(): boolean {
		for (const { result, fresh } of this.byId.values()) if (result.has && !fresh) return false;
		return true;
	}

	// --- the socket ---

	/** All that a new socket is told, in order. */
	greeting(token: string | null): ClientMessage[] {
		this.live = true;
		this.byInstance.clear();
		const hello: ClientMessage = { t: "hello", protocol: PROTOCOL, session: this.session };
		if (token !== null) hello.token = token;
		if (this.position !== undefined) hello.position = this.position;
		const subscribes = [...this.byId.values()].map((query) => this.subscribeMessage(query));
		return [hello, ...[...subscribes, ...this.calls.messages()].filter((message) => !this.options.refusal(message))];
	}

	/** Another identity on the present socket; a later socket's greeting holds it anyway. */
	authenticate(token: string | null): void {
		if (this.live) this.options.send({ t: "auth", token });
	}

	lost(): void {
		if (!this.live) return;
		this.live = false;
		const changed = new Set<LiveQuery>();
		for (const query of this.byId.values()) {
			query.instance = undefined;
			query.fresh = false;
			query.refused = false;
			changed.add(query);
		}
		this.show(changed);
	}

	private subscribeMessage(query: LiveQuery): SubscribeMessage {
		const { spec, result } = query;
		const message: SubscribeMessage = { t: "subscribe", id: query.id };
		if (isEntitySpec(spec)) {
			message.entity = spec.entity;
			if (Object.keys(spec.where).length > 0) message.where = spec.where;
			if (spec.order) message.order = spec.order.map(([field, direction]) => [field, direction]);
			if (spec.limit !== undefined) message.limit = spec.limit;
			if (spec.include) message.include = spec.include;
		} else {
			message.fn = spec.fn;
			message.args = spec.args;
		}
		if (result.has && result.key !== "" && !result.error && !result.behind) message.have = { k: result.key, h: result.hash };
		return message;
	}

	// --- messages ---

	receive(message: ServerMessage): void {
		switch (message.t) {
			case "transition":
				return this.transition(message);
			case "reply":
				return this.reply(message);
			case "error":
				return this.refused(message.error, message.re);
			case "welcome":
				return this.welcome(message);
			case "dev":
				if (message.error === null) this.askAgain();
				return;
			case "expiry": // identity.ts
			case "status":
			case "console":
			case "pong":
				return;
			default:
				message satisfies never; // a message of a later version: nothing of ours depends on it
		}
	}

	private welcome(message: WelcomeMessage): void {
		this.calls.setHour(message.hour, this.options.now());
		this.user = message.user;
		this.refuseLocally();
		this.askAgain();
		this.options.onChange();
	}

	/** What this server will not take, though it may have been sent before that was known. */
	private refuseLocally(): void {
		for (const query of this.byId.values()) {
			const refusal = this.options.refusal(this.subscribeMessage(query));
			if (refusal) this.refused(refusal, query.id);
		}
		for (const call of this.calls.all()) {
			const error = this.options.refusal(callMessage(call));
			if (error) this.reply({ t: "reply", id: call.id, error });
		}
	}

	/** Queries that were refused may be answered now: the caller is another, or the app's code. */
	askAgain(): void {
		for (const query of this.byId.values()) if (query.refused) this.subscribe(query);
	}
	private subscribe(query: LiveQuery): void {
		query.refused = false;
		const message = this.subscribeMessage(query);
		const refusal = this.options.refusal(message);
		if (refusal) setTimeout(() => this.refused(refusal, query.id)); // whoever asks has no listener yet
		else if (this.live) this.options.send(message);
	}

	private transition(message: TransitionMessage): void {
		const changed = new Set<LiveQuery>();
		for (const ack of message.q ?? []) this.answered(ack, changed);
		for (const body of message.b ?? []) this.changed(body, changed);
		for (const query of changed) query.result.finish();
		if (message.p !== undefined && this.isWhole()) this.position = message.p;
		const ended: (() => void)[] = [];
		for (const reply of message.r ?? []) {
			this.dropLayer(reply.id, changed);
			const call = this.calls.take(reply.id);
			if (call) ended.push(() => call.resolve(reply.value ?? null));
		}
		this.dropAhead(changed);
		if (changed.size > 0 && this.layers.size > 0) this.addSiblings(changed);
		this.show(changed);
		for (const end of ended) end();
		if (ended.length > 0) this.options.onChange();
	}

	/** A position vouches for all that is held: not while rows from before wait for their answer, or a query is behind. */
	private isWhole(): boolean {
		for (const { result, fresh } of this.byId.values()) if (result.has && (!fresh || result.behind)) return false;
		return true;
	}

	private answered(ack: Ack, changed: Set<LiveQuery>): void {
		const query = this.byId.get(ack.id);
		if (!query) return; // unsubscribed meanwhile
		this.leaveInstance(query);
		query.instance = ack.i;
		let sharing = this.byInstance.get(ack.i);
		if (!sharing) this.byInstance.set(ack.i, (sharing = new Set()));
		sharing.add(query);
		query.fresh = true;
		query.result.answer(ack.k, ack.keep ?? false, ack.types, ack.key);
		if (isEntitySpec(query.spec)) this.keys.set(query.spec.entity, ack.key ?? ["id"]);
		changed.add(query);
	}

	private changed(body: Body, changed: Set<LiveQuery>): void {
		for (const query of this.byInstance.get(body.i) ?? []) {
			query.result.apply(body);
			changed.add(query);
		}
	}

	private leaveInstance(query: LiveQuery): void {
		if (query.instance === undefined) return;
		const sharing = this.byInstance.get(query.instance);
		sharing?.delete(query);
		if (sharing?.size === 0) this.byInstance.delete(query.instance);
		query.instance = undefined;
	}

	private reply(message: ReplyMessage): void {
		const call = this.calls.get(message.id);
		if (!call) return;
		if (!isUnknown(message.error?.data)) call.answered++;
		if (message.error && this.sendAgain(call, message.error)) return;
		this.calls.take(call.id);
		const changed = new Set<LiveQuery>();
		const touched: Touched = { entities: new Set(call.operations.map((operation) => operation.entity)), queries: this.updates.touched(call.id) };
		if (message.error || !(message.ahead || this.isStale(touched))) this.dropLayer(call.id, changed);
		else if (touched.entities.size + touched.queries.size > 0) this.ahead.set(call.id, touched);
		else this.updates.drop(call.id);
		this.show(changed);
		if (message.error) call.reject(failureOf(call, message.error));
		else call.resolve(message.value ?? null);
		this.options.onChange();
	}

	/** Whether the call goes on though it was answered with an error. */
	private sendAgain(call: Call, error: ErrorInfo): boolean {
		if (error.code === "shutting_down") return true; // the next socket's greeting holds it
		const now = this.options.now();
		if (REFUSED_IDS.has(error.code) && call.told === 1 && call.tries === 0 && !call.id.startsWith(`${this.calls.hour(now)}.`)) {
			const next = this.calls.reissue(call, now); // our clock was wrong when it was made; told once and refused, it never ran
			this.layers.rename(call.id, next.id);
			this.updates.rename(call.id, next.id);
			this.options.send(tell(next));
			return true;
		}
		const wait = RESEND_WAIT[call.tries];
		if (!SEND_AGAIN.has(error.code) || wait === undefined) return false;
		call.tries++;
		setTimeout(() => {
			if (this.live && this.calls.get(call.id)) this.options.send(tell(call));
		}, wait);
		return true;
	}

	private refused(error: ErrorInfo, re: number | undefined): void {
		const failure = new MillraceError(error.code, error.message, error.data);
		if (re === undefined) return this.options.onError(failure);
		const query = this.byId.get(re);
		if (!query) return;
		query.result.error = error;
		query.fresh = true;
		query.refused = true;
		this.show(new Set([query]));
		if (ERRORS[error.code]?.retry === "never") return;
		const again = setTimeout(() => {
			if (query.refused && this.byId.get(query.id) === query) this.subscribe(query);
		}, REFUSED_WAIT);
		(again as { unref?: () => void }).unref?.();
	}

	// --- layers ---

	private dropLayer(id: string, changed: Set<LiveQuery>): void {
		this.ahead.delete(id);
		this.updates.drop(id); // show() sees what it has left behind
		const entities = this.layers.drop(id);
		if (entities.length > 0)
			for (const query of this.byId.values()) if (isEntitySpec(query.spec) && entities.includes(query.spec.entity)) changed.add(query);
	}
	/** Queries of these entities look at their layers again. */
	private showEntities(entities: ReadonlySet<string>): void {
		if (entities.size === 0) return;
		const changed = new Set<LiveQuery>();
		for (const query of this.byId.values()) if (isEntitySpec(query.spec) && entities.has(query.spec.entity)) changed.add(query);
		this.show(changed);
	}
	/** Whether one of them shows what was before this line. (Who shows nothing yet has nothing to lose.) */
	private isStale({ entities, queries }: Touched): boolean {
		for (const { fresh, result, spec, key } of this.byId.values())
			if (!fresh && result.has && (isEntitySpec(spec) ? entities.has(spec.entity) : queries.has(key))) return true;
		return false;
	}
	private dropAhead(changed: Set<LiveQuery>): void {
		for (const [id, touched] of [...this.ahead]) if (!this.isStale(touched)) this.dropLayer(id, changed);
	}
	/** An optimistic update may rest on a row that only another query holds. */
	private addSiblings(changed: Set<LiveQuery>): void {
		const entities = new Set<string>();
		for (const { spec } of changed) if (isEntitySpec(spec) && this.layers.touches(spec.entity)) entities.add(spec.entity);
		if (entities.size > 0)
			for (const query of this.byId.values()) if (isEntitySpec(query.spec) && entities.has(query.spec.entity)) changed.add(query);
	}
	/** The fields of an entity's key, as far as it is known. */
	keyOf(entity: string): readonly string[] {
		return this.keys.get(entity) ?? ["id"];
	}
	/** The server's row, whichever query holds it; without what is included. */
	findRow(entity: string, id: RowId): Row | undefined {
		let bare: Row | undefined;
		for (const { spec, result } of this.byId.values()) {
			if (!isEntitySpec(spec) || spec.entity !== entity) continue;
			const row = result.rows.get(id);
			if (row && !spec.include) return row;
			if (row) bare = withoutIncluded(spec, row);
		}
		return bare;
	}

	// --- what is shown ---

	private show(changed: Set<LiveQuery>): void {
		this.replayUpdates(changed);
		const tell: LiveQuery[] = [];
		const overlays = new Map<string, Map<RowId, Row | null>>();
		for (const query of changed) {
			const next = this.makeSnapshot(query, overlays);
			if (next === query.snapshot) continue;
			query.snapshot = next;
			tell.push(query);
			if (query.result.has || query.result.error) this.endStandIn(query);
		}
		for (const query of tell) for (const watcher of [...query.watchers]) callSafely(watcher);
	}

	/** Optimistic updates of function results see all that is told; whom they change is shown anew. */
	private replayUpdates(changed: Set<LiveQuery>): void {
		if (this.updates.idle) return;
		for (const key of this.updates.replay(this.knownResults())) {
			const query = this.queries.get(key);
			if (query) changed.add(query);
		}
	}
	private knownResults(): ReadonlyMap<string, Known> {
		const known = new Map<string, Known>();
		for (const { spec, key, result } of this.queries.values())
			if (!isEntitySpec(spec)) known.set(key, { spec, value: result.has && !result.error ? result.value : undefined });
		return known;
	}

	private makeSnapshot(query: LiveQuery, overlays: Map<string, Map<RowId, Row | null>>): Snapshot {
		const { result, spec } = query;
		const error = result.error ? sameError(query.snapshot.error, result.error) : undefined;
		const over = isEntitySpec(spec) || error ? undefined : this.updates.over(query.key);
		if (over) return this.expected(query, over.value);
		if (!result.has && !error) return this.borrowed(query);
		let data: Value | undefined;
		if (!result.has) data = undefined;
		else if (!isEntitySpec(spec)) data = query.stoodIn && result.value !== undefined ? shareUnchanged(query.snapshot.data, result.value) : result.value;
		else data = this.viewOf(query, spec.entity, overlays);
		const next: Snapshot = { data, loading: !result.has && !error, synced: query.fresh && this.live, behind: result.behind, error };
		return sameSnapshot(query.snapshot, next) ? query.snapshot : next;
	}

	/** What an optimistic update says, in place of what the server told. */
	private expected(query: LiveQuery, value: Value | undefined): Snapshot {
		query.stoodIn = true;
		const data = value === undefined ? undefined : shareUnchanged(query.snapshot.data, value);
		const next: Snapshot = { data, loading: data === undefined, synced: query.fresh && this.live, behind: query.result.behind, error: undefined };
		return sameSnapshot(query.snapshot, next) ? query.snapshot : next;
	}

	private viewOf(query: LiveQuery, entity: string, overlays: Map<string, Map<RowId, Row | null>>): readonly Row[] {
		const { spec, result } = query;
		if (!isEntitySpec(spec)) return [];
		let overlay = overlays.get(entity);
		if (!overlay) overlays.set(entity, (overlay = this.layers.overlay(entity, (id) => this.findRow(entity, id), result.types)));
		const rows = viewRows(spec, result, overlay);
		const before = query.snapshot.data;
		return Array.isArray(before) && before.length === rows.length && rows.every((row, i) => row === before[i])
			? (before as readonly Row[])
			: rows;
	}

	/** Until the first answer: what the same query with another limit shows. */
	private borrowed(query: Pick<LiveQuery, "spec" | "base" | "key">): Snapshot {
		const sibling = this.sibling(query);
		if (!sibling) return LOADING;
		const limit = isEntitySpec(query.spec) ? query.spec.limit : undefined;
		let cuts = this.cut.get(sibling.snapshot);
		if (!cuts) this.cut.set(sibling.snapshot, (cuts = new Map()));
		let made = cuts.get(limit);
		if (!made) {
			const rows = sibling.snapshot.data as readonly Row[];
			const data = limit !== undefined && rows.length > limit ? rows.slice(0, limit) : rows;
			cuts.set(limit, (made = { data, loading: true, synced: false, behind: false, error: undefined }));
		}
		return made;
	}
	private sibling(query: Pick<LiveQuery, "spec" | "base" | "key">): LiveQuery | undefined {
		if (!isEntitySpec(query.spec)) return undefined;
		let best: LiveQuery | undefined;
		for (const other of this.queries.values()) {
			if (other.base !== query.base || other.key === query.key || !other.result.has || !Array.isArray(other.snapshot.data)) continue;
			if (!best || other.id > best.id) best = other;
		}
		return best;
	}
	private endStandIn(query: LiveQuery): void {
		const end = query.standIn;
		query.standIn = undefined;
		end?.();
	}

	// --- watchers ---

	/** What a query shows now, whether or not anybody watches it. */
	peek(spec: Spec, key = specKey(spec)): Snapshot {
		const query = this.queries.get(key);
		return query ? query.snapshot : this.borrowed({ spec, key, base: baseKey(spec) });
	}

	/** Keeps a query live and is told of its changes; gives the undo. */
	watch(spec: Spec, watcher: () => void, key = specKey(spec)): () => void {
		const query = this.queries.get(key) ?? this.begin(spec, key);
		clearTimeout(query.ending);
		query.ending = undefined;
		const one = () => watcher(); // the same function may watch twice
		query.watchers.add(one);
		return () => {
			if (query.watchers.delete(one) && query.watchers.size === 0) this.endLater(query);
		};
	}

	private begin(spec: Spec, key: string): LiveQuery {
		const query: LiveQuery = {
			spec,
			key,
			base: baseKey(spec),
			id: ++this.lastId,
			watchers: new Set(),
			result: new Result(spec),
			instance: undefined,
			fresh: false,
			refused: false,
			snapshot: LOADING,
			stoodIn: false,
			standIn: undefined,
			ending: undefined,
		};
		const sibling = this.sibling(query);
		this.queries.set(key, query);
		this.byId.set(query.id, query);
		if (sibling) {
			query.standIn = this.watch(sibling.spec, () => this.show(new Set([query])), sibling.key);
			query.snapshot = this.borrowed(query);
		}
		if (!isEntitySpec(spec) && !this.updates.idle) this.show(new Set([query]));
		this.subscribe(query);
		return query;
	}

	private endLater(query: LiveQuery): void {
		if (this.options.linger <= 0) return this.end(query);
		query.ending = setTimeout(() => this.end(query), this.options.linger);
		(query.ending as { unref?: () => void }).unref?.();
	}
	private end(query: LiveQuery): void {
		if (query.watchers.size > 0 || !this.queries.delete(query.key)) return;
		this.byId.delete(query.id);
		this.leaveInstance(query);
		this.endStandIn(query);
		if (this.live) this.options.send({ t: "unsubscribe", id: query.id });
		if (isEntitySpec(query.spec) && this.layers.touches(query.spec.entity)) this.showEntities(new Set([query.spec.entity]));
	}
	get openQueries(): number {
		return this.queries.size;
	}

	// --- calls ---

	call(fn: string, args: Value, durable: boolean, { operations = [], update }: Expected = {}): Promise<Value> {
		return new Promise((resolve, reject) => {
			const refusal = this.options.refusal({ t: "call", id: LONGEST_ID, fn, args });
			if (refusal) return reject(new MillraceError(refusal.code, refusal.message, refusal.data));
			if (update) this.updates.try(update, this.knownResults()); // who throws makes no call
			const call = this.calls.add({ fn, args, operations, durable, restored: false, resolve, reject }, this.options.now());
			this.layers.put(call.id, operations);
			if (update) this.updates.put(call.id, update);
			if (this.live) this.options.send(tell(call));
			if (update && operations.length === 0) this.show(new Set());
			this.showEntities(new Set(operations.map((operation) => operation.entity)));
			this.options.onChange();
		});
	}

	/** The client is closed: nothing will be answered any more. Mutations stay in the store, for the tab's next page. */
	close(): void {
		for (const query of this.byId.values()) clearTimeout(query.ending);
		this.lost();
		for (const call of this.calls.all()) call.reject(new MillraceError("shutting_down", "the client was closed before the answer came"));
	}
}

const UNKNOWN: Value = { outcome: "unknown" };

function isUnknown(data: Value | undefined): boolean {
	return typeof data === "object" && data !== null && (data as { readonly outcome?: Value }).outcome === "unknown";
}

/** What may pass says nothing of an earlier sending whose answer was lost. */
function failureOf(call: Call, { code, message, data }: ErrorInfo): MillraceError {
	const open = call.durable && call.told > call.answered && ERRORS[code]?.retry !== "never";
	return new MillraceError(code, message, open && data === undefined ? UNKNOWN : data);
}

function callSafely(watcher: () => void): void {
	try {
		watcher();
	} catch (e) {
		throwLater(e); // the watcher's own fault, and no other watcher suffers
	}
}

/** Reported as uncaught. */
function throwLater(e: unknown): void {
	setTimeout(() => {
		throw e;
	});
}

function sameError(old: MillraceError | undefined, error: ErrorInfo): MillraceError {
	return old && old.code === error.code && old.message === error.message ? old : new MillraceError(error.code, error.message, error.data);
}

function sameSnapshot(a: Snapshot, b: Snapshot): boolean {
	return a.data === b.data && a.loading === b.loading && a.synced === b.synced && a.behind === b.behind && a.error === b.error;
}
