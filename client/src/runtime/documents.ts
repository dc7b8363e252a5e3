// Documents (server/documents.ts) over the rows that they are kept in: `_id` is the row's id with its table's name, `_creationTime` the
// time inside that id (uuid v7), columns that hold ids have them without the table, and an optional field that is null is left out.

import { MillraceError } from "../error.js";
import { fieldOfValidator } from "../server/columns.js";
import { documentId, readDocumentId } from "../server/documents.js";
import { registry } from "../server/schema.js";
import { Validator } from "../server/validators.js";
import { defineKey, isPlainObject, type Row, type Scalar, type Value, type Where } from "../values.js";
import { jobField, jobOf, jobWhere } from "./jobs.js";
import { seededRandom } from "./random.js";
import { SCHEDULED } from "../server/scheduler.js";

export const isDocuments = (entity: string): boolean => registry.documents.has(entity);

interface Columns {
	/** Fields that hold an id, with its table. */
	readonly ids: ReadonlyMap<string, string>;
	/** Fields whose null stands for nothing. */
	readonly optional: ReadonlySet<string>;
}
const columns = new Map<string, Columns>();

function columnsOf(table: string): Columns {
	let found = columns.get(table);
	if (!found) {
		const fields = Object.entries(registry.entities.get(table)?.fields ?? {}).flatMap(([name, one]) => (one instanceof Validator ? [[name, one as Validator<unknown>] as const] : []));
		const ids = fields.flatMap(([name, one]) => {
			const { type, references } = fieldOfValidator(one, `table ${table}, field ${name}`);
			return type === "uuid" && references !== undefined ? [[name, references] as const] : [];
		});
		const optional = fields.filter(([, one]) => one.presence === "optional" && (!one.mayBeNull || one.kind === "any")).map(([name]) => name);
		columns.set(table, (found = { ids: new Map(ids), optional: new Set(optional) }));
	}
	return found;
}

/** What a null in its column is to a document: null, or that there is no such field; "nothing": no null is in it. */
export function nullStandsFor(table: string, name: string): "nothing" | undefined | null {
	if (columnsOf(table).optional.has(name)) return undefined;
	const field: unknown = registry.entities.get(table)?.fields[name];
	return field instanceof Validator && (field.mayBeNull || field.presence === "optional") ? null : "nothing";
}

/** The uuid of a document of this table. */
export function uuidOf(table: string, id: unknown, what: string): string {
	const read = readDocumentId(id);
	if (read?.table === table) return read.uuid;
	throw new MillraceError("bad_args", `${what}: ${JSON.stringify(id) ?? "nothing"} is no id of ${table}`);
}

const timeOf = (uuid: string): number => Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);

export function documentOf(table: string, row: Row): Row {
	const { ids, optional } = columnsOf(table);
	const id = row.id as string | undefined;
	const isAsked = id !== undefined; // by select()
	const out: Record<string, Value> = !isAsked ? {} : { _id: documentId(table, id), _creationTime: timeOf(id) };
	if (table === SCHEDULED) return { ...out, ...jobOf(row) } as Row;
	for (const [name, value] of Object.entries(row)) {
		if (name === "id" || (value === null && optional.has(name))) continue;
		const of = ids.get(name);
		defineKey(out, name, of !== undefined && typeof value === "string" ? documentId(of, value) : value);
	}
	return out as Row;
}
export const documentsOf = (table: string, rows: readonly Row[]): Row[] => rows.map((row) => documentOf(table, row));

/** Fields as they are stored: checked already. */
export function storedFields(table: string, fields: { readonly [name: string]: unknown }, isChange: boolean): { readonly [name: string]: unknown } {
	const { ids, optional } = columnsOf(table);
	const out: Record<string, unknown> = {};
	for (const [name, value] of Object.entries(fields)) {
		if (name === "_id" || name === "_creationTime") continue;
		const of = ids.get(name);
		if (value === undefined) {
			if (isChange && optional.has(name)) out[name] = null; // taken away
		} else defineKey(out, name, of !== undefined && value !== null ? uuidOf(of, value, `${table}.${name}`) : value);
	}
	return out;
}

// --- filters ---

const NOTHING: Where = { $or: [] };
/** The least id of this millisecond. */
function firstOf(ms: number): string {
	const stamp = Math.min(Math.max(ms, 0), 0xffffffffffff).toString(16).padStart(12, "0");
	return `${stamp.slice(0, 8)}-${stamp.slice(8)}-0000-0000-000000000000`;
}
const from = (ms: number): Where => ({ id: { $gte: firstOf(ms) } });
const below = (ms: number): Where => ({ id: { $lt: firstOf(ms) } });
const at = (time: Scalar): Where =>
	typeof time === "number" && Number.isInteger(time) ? { id: { $gte: firstOf(time), $lt: firstOf(time + 1) } } : NOTHING;

type Term = { readonly [operator: string]: Scalar | readonly Scalar[] };
/** Equality is spelled without an operator. */
const termOf = (term: unknown): Term => (isPlainObject(term) ? (term as Term) : { $in: [(term ?? null) as Scalar] });

function timeWhere(operator: string, value: Scalar | readonly Scalar[]): Where {
	if (Array.isArray(value)) return { $or: (value as readonly Scalar[]).map(at) };
	const time = Number(value);
	switch (operator) {
		case "$gt":
			return from(Math.floor(time) + 1);
		case "$gte":
			return from(Math.ceil(time));
		case "$lt":
			return below(Math.ceil(time));
		case "$lte":
			return below(Math.floor(time) + 1);
		case "$not":
			return Number.isInteger(time) ? { $or: [below(time), from(time + 1)] } : {};
		default:
			throw new Error(`_creationTime: ${operator} compares no times`);
	}
}

/** What is compared with an id is one, or null; one of another table equals none. */
function idWhere(field: string, table: string, term: Term): Where {
	const uuid = (id: Scalar): Scalar | undefined => (id === null ? null : readDocumentId(id)?.table === table ? (readDocumentId(id)?.uuid ?? null) : undefined);
	const parts = Object.entries(term).map(([operator, value]): Where => {
		if (Array.isArray(value)) return { [field]: { $in: (value as readonly Scalar[]).map(uuid).filter((one) => one !== undefined) } };
		const known = uuid(value as Scalar);
		if (known === undefined) return operator === "$not" ? {} : NOTHING;
		return { [field]: { [operator]: known } };
	});
	return parts.length === 1 && parts[0] ? parts[0] : { $and: parts };
}

/** A filter on documents as one on their rows. */
export function storedWhere(table: string, where: Where): Where {
	const { ids } = columnsOf(table);
	const parts = Object.entries(where).map(([key, term]): Where => {
		if (key === "$or" || key === "$and") return { [key]: (term as readonly Where[]).map((part) => storedWhere(table, part)) };
		if (table === SCHEDULED && key !== "_id" && key !== "_creationTime") return jobWhere(key, term);
		if (key === "_creationTime") return { $and: Object.entries(termOf(term)).map(([operator, value]) => timeWhere(operator, value)) };
		const of = key === "_id" ? table : ids.get(key);
		const field = key === "_id" ? "id" : key;
		return of === undefined ? ({ [key]: term } as Where) : simple(field, idWhere(field, of, termOf(term)));
	});
	if (parts.length === 0) return {};
	const keys = parts.flatMap(Object.keys);
	return new Set(keys).size === keys.length ? (Object.assign({}, ...parts) as Where) : { $and: parts };
}
/** `{ f: { $in: [x] } }` is `{ f: x }`, which an index answers at once. */
function simple(field: string, where: Where): Where {
	const list = (where as { readonly [field: string]: { readonly $in?: readonly Scalar[] } })[field]?.$in;
	return list?.length === 1 ? ({ [field]: list[0] } as Where) : where;
}
/** What an order or an index names. */
export const storedField = (field: string, table: string): string =>
	field === "_id" || field === "_creationTime" ? "id" : table === SCHEDULED ? jobField(field) : field;

// --- ids ---

let lastTime = 0;
let count = 0;

/** A uuid v7 whose order is that in which this process minted them, and whose chance is the call's seed. */
export function mintUuid(now: number, seed: string | number): string {
	const time = Math.max(Math.floor(now), lastTime);
	count = time === lastTime ? count + 1 : 0;
	lastTime = time;
	if (count > 4095) {
		lastTime++;
		count = 0;
	}
	const stamp = lastTime.toString(16).padStart(12, "0");
	const chance = randomHex(String(seed));
	const variant = (8 | (Number.parseInt(chance[0] ?? "0", 16) & 3)).toString(16);
	return `${stamp.slice(0, 8)}-${stamp.slice(8)}-7${count.toString(16).padStart(3, "0")}-${variant}${chance.slice(1, 4)}-${chance.slice(4, 16)}`;
}
/** The worker's seeds are 32 random hex digits. */
function randomHex(seed: string): string {
	if (/^[0-9a-f]{32}$/.test(seed)) return seed.slice(16);
	const random = seededRandom(seed);
	return Array.from({ length: 16 }, () => Math.floor(random() * 16).toString(16)).join("");
}
