// The door to the process that hosts the engine (docs/manifest.md). All arguments are strings and numbers.

import { parseWire } from "../json.js";
import { MillraceError } from "../error.js";
import type { ErrorCode } from "../tables.js";
import type { Value } from "../values.js";

export interface Host {
	op(n: number, kind: OperationKind, json: string): number;
	done(n: number, ok: boolean, json: string): void;
	log(n: number, level: string, text: string): void;
	identity(n: number): void;
	/** The call whose code runs now (0: none), and whether that is an action. */
	current(): number;
	live(): boolean;
}
export type OperationKind = DatabaseOperation | PartKind | ActionOperation;
type DatabaseOperation = "session" | "get" | "query" | "summary" | "insert" | "patch" | "replace" | "delete" | "sql";
/** A part of the transaction begins, is done, is taken back. */
type PartKind = "savepoint" | "release" | "restore";
type ActionOperation = "call" | "sleep" | "fetch" | "read" | "close" | "drop" | RouteOperation;
/** Of actions that answer a request. */
type RouteOperation = "body" | "respond" | "write" | "gone";

export interface Env {
	readonly kind: string;
	readonly auth: { readonly userId: string; readonly [claim: string]: Value } | null;
	readonly shared: boolean;
	readonly now: number;
	readonly seed: string | number;
	/** Of the session that the caller's token is of: not in queries, which all sessions of a caller share. */
	readonly sessionId?: string;
	/** How many functions may be within each other. */
	readonly depth: number;
}

export interface Entry {
	manifest(): string;
	call(n: number, fn: string, args: string, env: string): void;
	/** What a client writes to an entity: JSON text, `{ value }` or `{ error }`. */
	check(entity: string, json: string): string;
	settle(op: number, ok: boolean, json: string): void;
	/** Call n is over for the host: its operations will not be answered, and what it still does is of no account. */
	forget(n: number): void;
}

export function host(): Host {
	const found = (globalThis as { __host?: Host }).__host;
	if (!found) throw new Error("millrace/runtime runs inside a Millrace worker only");
	return found;
}

type Waiting = { readonly n: number; readonly resolve: (value: Value) => void; readonly reject: (error: MillraceError) => void };
const waiting = new Map<number, Waiting>();
/** A call that runs. */
interface Running {
	/** Operations without an answer. */
	readonly open: Set<number>;
	/** By their numbers, with the operation that each waits for. */
	readonly timers: Map<number, { op: number }>;
}
const running = new Map<number, Running>();

export function begin(n: number): void {
	running.set(n, { open: new Set(), timers: new Map() });
}

export function forget(n: number): void {
	for (const op of running.get(n)?.open ?? []) waiting.delete(op);
	running.delete(n);
}

/** Asks the host; the promise ends in `settle`. */
export function operate(n: number, kind: OperationKind, json: string): Promise<Value> {
	return begun(n, kind, json).answer;
}

/** The same, with the operation's number (0: its call is over, and its code never goes on from here). */
export function begun(n: number, kind: OperationKind, json: string): { readonly op: number; readonly answer: Promise<Value> } {
	let op = 0;
	const answer = new Promise<Value>((resolve, reject) => {
		const call = running.get(n);
		if (!call) return;
		op = host().op(n, kind, json);
		call.open.add(op);
		waiting.set(op, { n, resolve, reject });
	});
	return { op, answer };
}

/** Timers of call n; those that have this timer among them. */
export function timersOf(n: number): Running["timers"] | undefined {
	return running.get(n)?.timers;
}
export function timersWith(id: number): Running["timers"] | undefined {
	for (const { timers } of running.values()) if (timers.has(id)) return timers;
	return undefined;
}

/** Nobody waits for it any more: its answer does not come. */
export function drop(op: number): void {
	const one = waiting.get(op);
	if (!one) return;
	waiting.delete(op);
	running.get(one.n)?.open.delete(op);
	void operate(one.n, "drop", `{"op":${op}}`);
}

export function settle(op: number, ok: boolean, json: string): void {
	const one = waiting.get(op);
	if (!one) return;
	waiting.delete(op);
	running.get(one.n)?.open.delete(op);
	if (ok) return one.resolve(json === "" ? null : parseWire(json));
	const info = parseWire(json) as { code: ErrorCode; message: string; data?: Value };
	one.reject(new MillraceError(info.code, info.message, info.data));
}
