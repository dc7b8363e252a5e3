// The door to the process that hosts the engine (docs/manifest.md). All arguments are strings and numbers.

import { parseWire } from "../json.js";
import { MillraceError } from "../error.js";
import type { ErrorCode } from "../tables.js";
import type { Value } from "../values.js";
import { Strays } from "./strays.js";

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
	/** Longest result, in bytes. */
	readonly most: number;
}

export interface Entry {
	manifest(): string;
	call(n: number, fn: string, args: string, env: string): void;
	/** What a client writes to an entity: JSON text, `{ value }` or `{ error }`. */
	check(entity: string, json: string): string;
	settle(op: number, ok: boolean, json: string): void;
	/** In call n a promise was rejected, and nobody handled it. */
	rejected(n: number, promise: Promise<unknown>, reason: unknown): void;
	/** Call n is over for the host: its operations will not be answered, and what it still does is of no account. */
	forget(n: number): void;
}

export function host(): Host {
	const found = (globalThis as { __host?: Host }).__host;
	if (!found) throw new Error("millrace/runtime runs inside a Millrace worker only");
	return found;
}

/** A call that runs. */
interface Running {
	readonly n: number;
	strays?: Strays;
	/** Operations without an answer. */
	open: number;
	/** By their numbers, with the operation that each waits for. */
	timers?: Map<number, { op: number }>;
}
interface Waiting {
	readonly call: Running;
	readonly kind: OperationKind;
	readonly resolve: (value: Value) => void;
	readonly reject: (error: MillraceError) => void;
}
const waiting = new Map<number, Waiting>();
const running = new Map<number, Running>();
/** The call whose code runs has as much under way as it may, and nothing ends before that code does: what it asks for beyond is refused at once,
 * by one error. */
let full: { readonly n: number; readonly error: MillraceError } | undefined;

function fill(call: Running): MillraceError {
	const data = { setting: "action_operations" };
	const error = new MillraceError("too_many_operations", `The action has ${call.open} calls, timers and fetches under way (action_operations); await some before it begins others.`, data);
	full = { n: call.n, error };
	return error;
}
/** Throws when call n has as much under way as it may: before anything is made of what will be refused. */
export function throwIfFull(n: number): void {
	if (full?.n === n) throw full.error;
}

export function begin(n: number): void {
	full = undefined;
	running.set(n, { n, open: 0 });
}

export function forget(n: number): void {
	const call = running.get(n);
	running.delete(n);
	if (call && call.open > 0) for (const [op, one] of waiting) if (one.call === call) waiting.delete(op);
}

/** The failures of call n that nobody has seen; undefined: it is over. */
export function straysOf(n: number): Strays | undefined {
	const call = running.get(n);
	return call && (call.strays ??= new Strays());
}
export function firstStray(n: number): { readonly reason: unknown } | undefined {
	return running.get(n)?.strays?.first();
}

/** Asks the host; the promise ends in `settle`. */
export function operate(n: number, kind: OperationKind, json: string): Promise<Value> {
	return begun(n, kind, json).answer;
}

/** The same, with the operation's number (0: there is none, for its call is over, and its code never goes on from here, or has too many). */
export function begun(n: number, kind: OperationKind, json: string): { readonly op: number; readonly answer: Promise<Value> } {
	let op = 0;
	const answer = new Promise<Value>((resolve, reject) => {
		const call = running.get(n);
		if (!call) return;
		op = host().op(n, kind, json);
		if (op === 0) return reject(fill(call));
		call.open++;
		waiting.set(op, { call, kind, resolve, reject });
	});
	return { op, answer };
}

/** Timers of call n; those that have this timer among them. */
export function timersOf(n: number): Running["timers"] {
	const call = running.get(n);
	return call && (call.timers ??= new Map());
}
export function timersWith(id: number): Running["timers"] {
	for (const { timers } of running.values()) if (timers?.has(id)) return timers;
	return undefined;
}

function take(op: number): Waiting | undefined {
	const one = waiting.get(op);
	if (!one) return undefined;
	waiting.delete(op);
	one.call.open--;
	full = undefined;
	return one;
}

/** Nobody waits for it any more: its answer does not come. */
export function drop(op: number): void {
	const one = take(op);
	if (one) void operate(one.call.n, "drop", `{"op":${op}}`);
}

/** The row as it is now is nobody's to know; that there was none (null) is. */
function givesNothing(kind: OperationKind): boolean {
	return kind === "patch" || kind === "replace" || kind === "delete";
}
const NOTHING = undefined as unknown as Value;

export function settle(op: number, ok: boolean, json: string): void {
	full = undefined;
	const one = take(op);
	if (!one) return;
	if (ok) return one.resolve(givesNothing(one.kind) && json !== "null" ? NOTHING : json === "" ? null : parseWire(json));
	const info = parseWire(json) as { code: ErrorCode; message: string; data?: Value };
	one.reject(new MillraceError(info.code, info.message, info.data));
}
