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
}
export type OperationKind = "get" | "query" | "summary" | "insert" | "patch" | "replace" | "delete" | "sql" | PartKind;
/** A part of the transaction begins, is done, is taken back. */
type PartKind = "savepoint" | "release" | "restore";

export interface Env {
	readonly kind: string;
	readonly auth: { readonly userId: string; readonly [claim: string]: Value } | null;
	readonly shared: boolean;
	readonly now: number;
	readonly seed: string | number;
	/** How many functions may be within each other. */
	readonly depth: number;
}

export interface Entry {
	manifest(): string;
	call(n: number, fn: string, args: string, env: string): void;
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
/** Calls that run, with their open operations. */
const running = new Map<number, Set<number>>();

export function begin(n: number): void {
	running.set(n, new Set());
}

export function forget(n: number): void {
	for (const op of running.get(n) ?? []) waiting.delete(op);
	running.delete(n);
}

/** Asks the host; the promise ends in `settle`. */
export function operate(n: number, kind: OperationKind, json: string): Promise<Value> {
	return new Promise((resolve, reject) => {
		const open = running.get(n);
		if (!open) return; // forgotten: its code never goes on from here
		const op = host().op(n, kind, json);
		open.add(op);
		waiting.set(op, { n, resolve, reject });
	});
}

export function settle(op: number, ok: boolean, json: string): void {
	const one = waiting.get(op);
	if (!one) return;
	waiting.delete(op);
	running.get(one.n)?.delete(op);
	if (ok) return one.resolve(json === "" ? null : parseWire(json));
	const info = parseWire(json) as { code: ErrorCode; message: string; data?: Value };
	one.reject(new MillraceError(info.code, info.message, info.data));
}
