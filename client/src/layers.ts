// Optimistic layers: what calls under way are expected to do. A layer is data - inserts, updates and deletes of rows - laid over the
// results of entity queries by the same predicates and order that the server uses. Dropping a layer is forgetting it; nothing is undone.
//
//  O1  With no layers a query shows exactly what the server told.
//  O2  Layers apply in the order in which their calls were made.
//  O3  An insert of a row that the server has told of already shows the server's row.
//  O4  Rows that a layer touched are marked (isPending), all others never.

import type { EntitySpec, Result } from "./results.js";
import { mergeSorted } from "./results.js";
import { idOf, type RowId } from "./keys.js";
import { type FieldTypes, matchWhere, type Row, shareUnchanged, type Value } from "./values.js";

export type Operation =
	| { readonly op: "insert"; readonly entity: string; readonly id: RowId; readonly fields: { readonly [field: string]: Value } }
	| { readonly op: "update"; readonly entity: string; readonly id: RowId; readonly fields: { readonly [field: string]: Value } }
	| { readonly op: "delete"; readonly entity: string; readonly id: RowId };

const pendingRows = new WeakSet<object>();

/** Whether a row shows what a call is expected to do, and not yet what the server said. */
export function isPending(row: object): boolean {
	return pendingRows.has(row);
}

type Overlay = Map<RowId, Row | null>;

export class Layers {
	private readonly layers = new Map<string, readonly Operation[]>();
	/** The overlays as last shown, so that an unchanged optimistic row keeps its identity. */
	private readonly shown = new Map<string, Overlay>();

	put(call: string, operations: readonly Operation[]): void {
		if (operations.length > 0) this.layers.set(call, operations);
	}
	drop(call: string): readonly string[] {
		const gone = this.layers.get(call) ?? [];
		this.layers.delete(call);
		return [...new Set(gone.map((operation) => operation.entity))];
	}
	/** Under a new id, in its old place. */
	rename(call: string, to: string): void {
		const all = [...this.layers];
		this.layers.clear();
		for (const [id, operations] of all) this.layers.set(id === call ? to : id, operations);
	}
	get size(): number {
		return this.layers.size;
	}
	touches(entity: string): boolean {
		for (const operations of this.layers.values()) if (operations.some((operation) => operation.entity === entity)) return true;
		return false;
	}

	/** What the layers make of an entity's rows: id -> row, or null for deleted. `known` finds the server's row. */
	overlay(entity: string, known: (id: RowId) => Row | undefined, types: FieldTypes): Overlay {
		const rows: Overlay = new Map();
		for (const operations of this.layers.values())
			for (const one of operations) if (one.entity === entity) applyOperation(rows, one, known, types);
		const before = this.shown.get(entity);
		for (const [id, row] of rows) {
			if (row === null) continue;
			const old = before?.get(id);
			const kept = old && pendingRows.has(old) ? (shareUnchanged(old, row) as Row) : row;
			pendingRows.add(kept);
			rows.set(id, kept);
		}
		if (rows.size === 0) this.shown.delete(entity);
		else this.shown.set(entity, rows);
		return rows;
	}
}

function applyOperation(rows: Overlay, one: Operation, known: (id: RowId) => Row | undefined, types: FieldTypes): void {
	const below = rows.has(one.id) ? rows.get(one.id) : known(one.id);
	switch (one.op) {
		case "insert": {
			if (below) return;
			const blank: Record<string, Value> = {};
			for (const field of Object.keys(types)) blank[field] = null;
			rows.set(one.id, { ...blank, ...one.fields, id: one.id });
			return;
		}
		case "update":
			if (below) rows.set(one.id, { ...below, ...one.fields, id: one.id });
			return;
		case "delete":
			if (below !== undefined) rows.set(one.id, null);
			return;
		default:
			one satisfies never;
	}
}

export function withoutIncluded({ include = {} }: EntitySpec, row: Row): Row {
	return Object.fromEntries(Object.entries(row).filter(([name]) => !Object.hasOwn(include, name))) as Row;
}

/** A row that is expected refers to what rows of this result refer to by the same value; to nothing, as far as is known, where none does. */
function withIncluded({ include }: EntitySpec, result: Result, row: Row): Row {
	if (!include) return row;
	const more = Object.entries(include).map(([name, one]) => {
		const field = typeof one === "string" ? one : one.field;
		const like = row[field] == null ? undefined : result.rows.rows.find((other) => other[field] === row[field] && other[name]);
		return [name, like?.[name] ?? null] as const;
	});
	const old = result.expected.get(row);
	const next = { ...row, ...Object.fromEntries(more) } as Row;
	const kept = old ? (shareUnchanged(old, next) as Row) : next;
	result.expected.set(row, kept);
	pendingRows.add(kept);
	return kept;
}

/** The result of a query with the overlay of its entity. */
export function viewRows(spec: EntitySpec, result: Result, overlay: Overlay): readonly Row[] {
	const base = result.rows.rows;
	const compare = result.rows.comparator;
	const entering: Row[] = [];
	let touched = false;
	for (const [id, row] of overlay) {
		const matches = row !== null && matchWhere(spec.where, row, result.types) === 1;
		if (matches) entering.push(withIncluded(spec, result, row));
		if (matches || result.rows.get(id)) touched = true;
	}
	if (!touched) return base;
	const merged = mergeSorted(
		base.filter((row) => !overlay.has(row.id)),
		entering.sort(compare),
		compare,
	);
	return spec.limit === undefined || merged.length <= spec.limit ? merged : merged.slice(0, spec.limit);
}

/** What a mutation's `optimistic` function is given. */
export class Transaction {
	/** @internal */
	readonly operations: Operation[] = [];
	private readonly mint: () => string;
	private readonly clean: (value: unknown, path: string) => Value;
	private readonly keyOf: (entity: string) => readonly string[];
	/** `keyOf`: the fields of an entity's key, as far as the server has told of it. */
	constructor(mint: () => string, clean: (value: unknown, path: string) => Value, keyOf: (entity: string) => readonly string[] = () => ["id"]) {
		this.mint = mint;
		this.clean = clean;
		this.keyOf = keyOf;
	}
	private fields(value: object): { readonly [field: string]: Value } {
		return this.clean(value, "optimistic value") as { readonly [field: string]: Value };
	}
	insert(entity: string, value: { readonly id?: RowId | undefined; readonly [field: string]: unknown }): RowId {
		const fields = this.fields(value);
		const id = (fields["id"] as RowId | undefined) ?? idOf(this.keyOf(entity), fields) ?? this.mint();
		this.operations.push({ op: "insert", entity, id, fields });
		return id;
	}
	update(entity: string, id: RowId, changes: object): void {
		this.operations.push({ op: "update", entity, id, fields: this.fields(changes) });
	}
	delete(entity: string, id: RowId): void {
		this.operations.push({ op: "delete", entity, id });
	}
}
