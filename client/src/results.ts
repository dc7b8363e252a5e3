// What the server has told of one live query: a set of rows in the query's order, or a value. It holds no optimistic rows (layers.ts)
// and knows no subscriber (sync.ts). Rows and values that did not change keep their identity.

import type { RowId } from "./keys.js";
import type { Body, ErrorInfo, Seg } from "./tables.js";
import { type FieldTypes, type Include, type Order, type Row, rowComparator, sameValue, shareUnchanged, type Value, type Where } from "./values.js";

export interface EntitySpec {
	readonly entity: string;
	readonly where: Where;
	readonly order: Order | undefined;
	readonly limit: number | undefined;
	readonly include?: Include | undefined;
}
export interface FunctionSpec {
	readonly fn: string;
	readonly args: Value;
}
export type Spec = EntitySpec | FunctionSpec;

export function isEntitySpec(spec: Spec): spec is EntitySpec {
	return "entity" in spec;
}

/** `next`, or `old` when it says the same. */
function keepSame(old: Row | undefined, next: Row): Row {
	return old === undefined ? next : (shareUnchanged(old, next) as Row);
}

export class RowSet {
	private readonly byId = new Map<RowId, Row>();
	private sorted: readonly Row[] = [];
	private compare: (a: Row, b: Row) => number;
	private readonly order: Order | undefined;

	constructor(order: Order | undefined, types: FieldTypes) {
		this.order = order;
		this.compare = rowComparator(order, types);
	}
	setTypes(types: FieldTypes, key: readonly string[]): void {
		this.compare = rowComparator(this.order, types, key);
	}
	get rows(): readonly Row[] {
		return this.sorted;
	}
	get comparator(): (a: Row, b: Row) => number {
		return this.compare;
	}
	get(id: RowId): Row | undefined {
		return this.byId.get(id);
	}

	/** The whole result anew. */
	reset(rows: readonly Row[]): void {
		const next = rows.map((row) => keepSame(this.byId.get(row.id), row));
		this.byId.clear();
		for (const row of next) this.byId.set(row.id, row);
		this.settle([...this.byId.values()].sort(this.compare));
	}

	/** Rows that entered or changed, rows that left. */
	change(changed: ReadonlyMap<RowId, Row | null>): void {
		const moved = new Set<RowId>();
		const fresh: Row[] = [];
		for (const [id, row] of changed) {
			const old = this.byId.get(id);
			if (row === null) {
				if (old) moved.add(id);
				this.byId.delete(id);
				continue;
			}
			const next = keepSame(old, row);
			if (next === old) continue;
			if (old) moved.add(id);
			this.byId.set(id, next);
			fresh.push(next);
		}
		if (moved.size === 0 && fresh.length === 0) return;
		const stayed = moved.size === 0 ? this.sorted : this.sorted.filter((row) => !moved.has(row.id));
		this.settle(mergeSorted(stayed, fresh.sort(this.compare), this.compare));
	}

	private settle(rows: readonly Row[]): void {
		const same = rows.length === this.sorted.length && rows.every((row, i) => row === this.sorted[i]);
		if (!same) this.sorted = rows;
	}
}

export function mergeSorted(a: readonly Row[], b: readonly Row[], compare: (x: Row, y: Row) => number): Row[] {
	const out: Row[] = [];
	let i = 0;
	let j = 0;
	while (i < a.length || j < b.length) {
		const x = a[i];
		const y = b[j];
		if (x !== undefined && (y === undefined || compare(x, y) <= 0)) {
			out.push(x);
			i++;
		} else if (y !== undefined) {
			out.push(y);
			j++;
		}
	}
	return out;
}

export function applySegs(old: Value | undefined, segs: readonly Seg[]): Value {
	const from: readonly Value[] = Array.isArray(old) ? (old as readonly Value[]) : [];
	return segs.flatMap((seg): readonly Value[] => (Array.isArray(seg) ? from.slice(seg[0], seg[0] + seg[1]) : seg.v));
}

export class Result {
	readonly rows: RowSet;
	types: FieldTypes = {};
	/** Of the key, where it is more than the id. */
	private fields: readonly string[] = [];
	value: Value | undefined;
	/** Whether there is anything to show: an answer came at least once. */
	has = false;
	error: ErrorInfo | undefined;
	behind = false;
	/** Rows that are expected, as shown last with what they refer to (layers.ts). */
	readonly expected = new WeakMap<Row, Row>();
	/** Key and hash of what is held, to resume from; an empty hash equals nothing. */
	key = "";
	hash = "";
	private readonly isEntity: boolean;
	/** Rows that are told as a function's result is: the server runs queries with `include` as such. */
	private readonly isRun: boolean;

	constructor(spec: Spec) {
		this.isEntity = isEntitySpec(spec);
		this.isRun = isEntitySpec(spec) && spec.include !== undefined;
		this.rows = new RowSet(isEntitySpec(spec) ? spec.order : undefined, {});
	}

	/** The subscribe was answered: bodies apply to what is held, or to nothing. `fields`: the key's, where it is more than the id. */
	answer(key: string, keep: boolean, types: FieldTypes | undefined, fields: readonly string[] = []): void {
		if (types && !(sameValue(types, this.types) && sameValue(fields, this.fields))) {
			this.types = types;
			this.fields = fields;
			this.rows.setTypes(types, fields);
			this.rows.reset(this.rows.rows);
		}
		this.key = key;
		this.error = undefined;
		this.behind = false;
		if (keep) return;
		this.hash = "";
		this.emptied = true;
		this.has ||= this.isEntity && !this.isRun; // a value is shown until the new one is there
	}
	/** Started empty and no rows came yet: what was held before only lends its identity to equal rows. */
	private emptied = false;

	apply(body: Body): void {
		const content = body.rows ?? body.put ?? body.patch ?? body.del ?? body.segs ?? body.value; // null is a value
		if (content !== undefined || body.error) this.hash = body.h ?? "";
		if (body.behind !== undefined) this.behind = body.behind;
		if (body.error) {
			this.error = body.error;
			return;
		}
		if (content !== undefined) {
			this.error = undefined;
			this.has = true;
		}
		if (this.isEntity && !this.isRun) this.applyRows(body);
		else if (body.segs) this.value = shareUnchanged(this.value, applySegs(this.value, body.segs));
		else if (body.value !== undefined) this.value = shareUnchanged(this.value, body.value);
		if (this.isRun && content !== undefined) this.showRows();
	}

	/** Pieces of the next value count in the server's order, so the value stays as it is. */
	private showRows(): void {
		this.emptied = false;
		if (Array.isArray(this.value)) this.rows.reset(this.value as readonly Row[]);
	}

	private applyRows(body: Body): void {
		if (body.rows) {
			this.emptied = false;
			return this.rows.reset(body.rows);
		}
		this.finish();
		const changed = new Map<RowId, Row | null>();
		for (const id of body.del ?? []) changed.set(id, null);
		for (const row of body.put ?? []) changed.set(row.id, row);
		for (const [id, part] of body.patch ?? []) {
			const base = changed.get(id) ?? this.rows.get(id);
			if (base) changed.set(id, { ...base, ...part, id });
		}
		if (changed.size > 0) this.rows.change(changed);
	}

	/** The end of a transition. */
	finish(): void {
		if (!this.emptied) return;
		this.emptied = false;
		if (this.isEntity) this.rows.reset([]);
	}
}
