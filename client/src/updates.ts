// Optimistic updates of function results (Convex's `withOptimisticUpdate`): what calls under way are expected to make of what functions
// give. Unlike layers of rows (layers.ts) they are code: they are run anew over what the server has told, in the order of their calls,
// whenever that changes or one of them goes. Nothing is undone, so nothing flickers. A reload forgets them; their calls go on.
//
//  U1  With no updates a function query shows exactly what the server told.
//  U2  An update sees what those before it made.
//  U3  An update that throws changes nothing: when it is first run its call is not made, later it is told once and left out.

import { functionName, type FunctionRef } from "./api.js";
import { MillraceError } from "./error.js";
import { cleanValue } from "./json.js";
import type { FunctionSpec } from "./results.js";
import { functionSpec, specKey } from "./specs.js";
import type { Value } from "./values.js";

/** The results of function queries on this page, as they will be shown. They are not to be changed in place. */
export interface LocalStore {
	/** Undefined: nobody watches it, or it has not come yet. */
	getQuery<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: Record<never, never> extends Args ? [args?: Args] : [args: Args]): Result | undefined;
	/** All that are watched, whatever their arguments. */
	getAllQueries<Args, Result>(fn: FunctionRef<"query", Args, Result>): { readonly args: Args; readonly value: Result | undefined }[];
	/** Undefined: shows it as loading. */
	setQuery<Args, Result>(fn: FunctionRef<"query", Args, Result>, args: Args, value: Result | undefined): void;
}
export type Update = (store: LocalStore) => unknown;

/** A live function query, with what the server told; undefined: nothing yet. */
export interface Known {
	readonly spec: FunctionSpec;
	readonly value: Value | undefined;
}
type Changes = Map<string, Value | undefined>;

class Store {
	private readonly known: ReadonlyMap<string, Known>;
	private readonly changes: Changes;
	constructor(known: ReadonlyMap<string, Known>, changes: Changes) {
		this.known = known;
		this.changes = changes;
	}
	private value(key: string): Value | undefined {
		return this.changes.has(key) ? this.changes.get(key) : this.known.get(key)?.value;
	}
	getQuery(fn: FunctionRef, args?: unknown): Value | undefined {
		return this.value(specKey(functionSpec(fn, args)));
	}
	getAllQueries(fn: FunctionRef): { readonly args: Value; readonly value: Value | undefined }[] {
		const name = functionName(fn);
		const all = [...this.known].filter(([, { spec }]) => spec.fn === name);
		return all.map(([key, { spec }]) => ({ args: spec.args, value: this.value(key) }));
	}
	setQuery(fn: FunctionRef, args: unknown, value: unknown): void {
		const key = specKey(functionSpec(fn, args));
		this.changes.set(key, value === undefined ? undefined : cleanValue(value, `the optimistic result of ${functionName(fn)}`));
	}
}

/** Runs one update; its changes count if it ends well. */
function runOne(update: Update, known: ReadonlyMap<string, Known>, before: Changes): Changes {
	const changes: Changes = new Map(before);
	const given = update(new Store(known, changes) as unknown as LocalStore);
	if (typeof (given as { then?: unknown } | undefined)?.then === "function")
		throw new MillraceError("bad_args", "an optimistic update must not be async: it is run anew whenever results change");
	return changes;
}

export class Updates {
	private readonly updates = new Map<string, Update>();
	/** Which queries each has changed, when it was last run. */
	private readonly touchedBy = new Map<string, ReadonlySet<string>>();
	private readonly report: (e: unknown) => void;
	private shown: ReadonlyMap<string, Value | undefined> = new Map();

	constructor(report: (e: unknown) => void) {
		this.report = report;
	}
	/** Throws what the update throws; then there is nothing to drop. */
	try(update: Update, known: ReadonlyMap<string, Known>): void {
		let before: Changes = new Map();
		for (const one of this.updates.values()) before = runOne(one, known, before);
		runOne(update, known, before);
	}
	put(call: string, update: Update): void {
		this.updates.set(call, update);
	}
	drop(call: string): void {
		this.updates.delete(call);
		this.touchedBy.delete(call);
	}
	/** Under a new id, in its old place. */
	rename(call: string, to: string): void {
		if (!this.updates.has(call)) return;
		const all = [...this.updates];
		this.updates.clear();
		for (const [id, update] of all) this.updates.set(id === call ? to : id, update);
		this.touchedBy.set(to, this.touched(call));
		this.touchedBy.delete(call);
	}
	/** Whether there is anything to run, or to take back. */
	get idle(): boolean {
		return this.updates.size === 0 && this.shown.size === 0;
	}
	touched(call: string): ReadonlySet<string> {
		return this.touchedBy.get(call) ?? new Set();
	}

	/** Runs all of them over what is known; gives the keys of queries that may show something else now. */
	replay(known: ReadonlyMap<string, Known>): Set<string> {
		const before = this.shown;
		let changes: Changes = new Map();
		for (const [call, update] of [...this.updates]) {
			try {
				const next = runOne(update, known, changes);
				this.touchedBy.set(call, new Set([...next].filter(([key, value]) => !changes.has(key) || changes.get(key) !== value).map(([key]) => key)));
				changes = next;
			} catch (e) {
				this.drop(call);
				this.report(e);
			}
		}
		this.shown = changes;
		return new Set([...before.keys(), ...changes.keys()]);
	}
	/** What stands in for the server's result, if anything does. */
	over(key: string): { readonly value: Value | undefined } | undefined {
		return this.shown.has(key) ? { value: this.shown.get(key) } : undefined;
	}
}
