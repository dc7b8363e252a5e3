// How an app declares its entities and policies. Declaring registers: the manifest holds whatever the app's modules declared.

import { toJson, whereToJson } from "../json.js";
import type { RowId } from "../keys.js";
import type { Row, Value, Where } from "../values.js";
import type { SystemIndexes, SystemName, SystemRows } from "./system.js";
import { type IdValidator, Validator } from "./validators.js";

export type FieldType = "bool" | "int" | "bigint" | "float" | "numeric" | "string" | "uuid" | "datetime" | "bytes" | "json";
export type OnDelete = "restrict" | "cascade" | "set null";

/** A field as the manifest prints it. */
export interface FieldManifest {
	name: string;
	type: FieldType;
	optional?: true;
	unique?: true;
	default?: unknown;
	defaultNow?: true;
	serverOnly?: true;
	readonly?: true;
	owner?: true;
	references?: string;
	onDelete?: OnDelete;
	/** Of an adopted table: its name there, where that is another; and that the table fills it in. */
	column?: string;
	generated?: true;
	as?: "text" | "utc";
	/** The only values there are, bounds, and how many characters or bytes: kept by the database (CHECK). */
	values?: readonly unknown[];
	min?: unknown;
	max?: unknown;
	minLength?: number;
	maxLength?: number;
	/** It has rules besides, which the app's code alone knows. */
	checked?: true;
}

/** @internal */
export type Facts = Omit<FieldManifest, "name">;

/**
 * A field of an entity. Type parameters: what is read, what may be written, whether null is allowed, whether an insert may leave it
 * out, whether clients never see it, and of which entity it holds an id. Each method gives a new field.
 */
export class Field<
	Out extends Value,
	In = Out,
	Null extends boolean = false,
	Auto extends boolean = false,
	Hidden extends boolean = false,
	Ref extends string = never,
> {
	declare readonly _types?: { out: Out; in: In; null: Null; auto: Auto; hidden: Hidden; ref: Ref };
	/** @internal */
	readonly facts: Facts;
	/** @internal */
	constructor(facts: Facts) {
		this.facts = facts;
	}
	private with<N extends boolean, A extends boolean, H extends boolean>(more: Partial<Facts>): Field<Out, In, N, A, H, Ref> {
		return new Field({ ...this.facts, ...more });
	}
	/** May be null; an insert may leave it out. */
	optional(): Field<Out, In, true, Auto, Hidden, Ref> {
		return this.with({ optional: true });
	}
	unique(): Field<Out, In, Null, Auto, Hidden, Ref> {
		return this.with({ unique: true });
	}
	/** The value of rows that were inserted without one. */
	default(value: In): Field<Out, In, Null, true, Hidden, Ref> {
		return this.with({ default: toJson(value, "default") });
	}
	/** Not below this; of text and bytes: not so short. */
	min(value: number | bigint | string | Date): Field<Out, In, Null, Auto, Hidden, Ref> {
		return this.with(isLong(this.facts.type) ? { minLength: Number(value) } : { min: toJson(value, "min") });
	}
	/** Not above this; of text and bytes: not so long. */
	max(value: number | bigint | string | Date): Field<Out, In, Null, Auto, Hidden, Ref> {
		return this.with(isLong(this.facts.type) ? { maxLength: Number(value) } : { max: toJson(value, "max") });
	}
	/** Of an adopted table: what the column is called there. */
	column(name: string): Field<Out, In, Null, Auto, Hidden, Ref> {
		return this.with({ column: name });
	}
	/** Of an adopted table: it fills the column in, by a default, an identity or an expression; an insert may leave it out. */
	generated(): Field<Out, In, Null, true, Hidden, Ref> {
		return this.with({ generated: true });
	}
	/** Holds the id of a row of another entity, whose key is of this type: a foreign key. */
	references<const E extends string>(entity: E, options?: { onDelete?: OnDelete }): Field<Out, In, Null, Auto, Hidden, E> {
		return new Field({ ...this.facts, references: entity, ...(options?.onDelete ? { onDelete: options.onDelete } : {}) });
	}
	/** Never leaves the server, and cannot be used in clients' filters. */
	serverOnly(): Field<Out, In, Null, Auto, true, Ref> {
		return this.with({ serverOnly: true });
	}
	/** Cannot be changed by entity writes of clients. */
	readonly(): Field<Out, In, Null, Auto, Hidden, Ref> {
		return this.with({ readonly: true });
	}
	/** Entity inserts of clients stamp it with the caller's userId. */
	owner(): Field<Out, In, Null, Auto, Hidden, Ref> {
		return this.with({ owner: true });
	}
}

/** Measured by characters or bytes. */
const isLong = (type: FieldType): boolean => type === "string" || type === "bytes";

export class DatetimeField extends Field<string, string | number | Date> {
	/** The time of the insert. */
	defaultNow(): Field<string, string | number | Date, false, true, false> {
		return new Field({ ...this.facts, defaultNow: true });
	}
}

export const field = {
	string: (): Field<string> => new Field({ type: "string" }),
	/** A 64-bit integer as a number (a bigint where a number is not exact). */
	int: (): Field<number, number | bigint> => new Field({ type: "int" }),
	/** A 64-bit integer, always as a bigint. */
	bigint: (): Field<bigint, bigint | number> => new Field({ type: "bigint" }),
	float: (): Field<number> => new Field({ type: "float" }),
	number: (): Field<number> => new Field({ type: "float" }),
	bool: (): Field<boolean> => new Field({ type: "bool" }),
	boolean: (): Field<boolean> => new Field({ type: "bool" }),
	/** A uuid that is no reference, as lower-case text. */
	uuid: (): Field<string> => new Field({ type: "uuid" }),
	/** A decimal of any size, as text. */
	numeric: (): Field<string, string | number | bigint> => new Field({ type: "numeric" }),
	/** A point in time, as ISO 8601 text in UTC. */
	datetime: (): DatetimeField => new DatetimeField({ type: "datetime" }),
	/** Of an adopted table: a timestamp without time zone, which is meant to be in UTC. As `datetime`. */
	timestamp: (): DatetimeField => new DatetimeField({ type: "datetime", as: "utc" }),
	/** Of an adopted table: a date as text, `2026-11-21`. */
	date: (): Field<string> => new Field({ type: "string", as: "text" }),
	/** Of an adopted table: a time of day as text, `13:59:00`. */
	time: (): Field<string> => new Field({ type: "string", as: "text" }),
	/** Of an adopted table: a column of an enum type of Postgres, with its labels. Ordered as text. */
	pgEnum: <const L extends string>(..._labels: readonly L[]): Field<L> => new Field({ type: "string", as: "text" }),
	/** Any JSON. It cannot be used in filters. */
	json: <T extends Value = Value>(): Field<T> => new Field({ type: "json" }),
	bytes: (): Field<Uint8Array> => new Field({ type: "bytes" }),
	/** Text, one of these: `field.enum("open", "done")`, or a list of them. */
	enum: <const L extends string>(first: L | readonly L[], ...more: readonly L[]): Field<L> => {
		const values = Array.isArray(first) ? (first as readonly L[]) : [first as L, ...more];
		if (values[0] === undefined) throw new Error('field.enum("a", "b"): it has no values');
		return new Field({ type: "string", values });
	},
	/** The id of a row of another entity: a foreign key. */
	id: <const E extends string>(entity: E, options?: { onDelete?: OnDelete }): Field<string, string, false, false, false, E> =>
		new Field({ type: "uuid", references: entity, ...(options?.onDelete ? { onDelete: options.onDelete } : {}) }),
};

type FieldLike =
	| { readonly _types?: { out: Value; in: unknown; null: boolean; auto: boolean; hidden: boolean; ref: string } }
	| { readonly _types?: { out: unknown; presence: unknown; in: unknown } };
/** `field.*`, or validators: `v.string()` is a text column, `v.object(...)` one of JSON. */
export type Fields = { readonly [name: string]: FieldLike };

export interface IndexManifest {
	name: string;
	fields: readonly string[];
	unique: boolean;
	/** Of a partial index: the rows that it holds. */
	where?: unknown;
}
export interface CheckManifest {
	name: string;
	where: unknown;
}
type Indexes = { readonly [name: string]: readonly string[] };

interface EntityOptions<Name extends string> {
	readonly indexes?: readonly { readonly name: string; readonly fields: readonly (Name | "id")[]; readonly unique?: boolean }[];
}
/** The fields that are an adopted table's primary key. */
type Key = string | readonly string[];
type StoredRow<F extends Fields> = { readonly id: string } & { readonly [K in keyof F]: OutOf<F[K]> };

export class Entity<Name extends string, F extends Fields, I extends Indexes = Record<never, never>, K extends Key = "id"> {
	declare readonly _types?: { indexes: I; key: K };
	readonly name: Name;
	readonly fields: F;
	/** @internal */
	readonly indexes: IndexManifest[] = [];
	/** @internal Filters of partial indexes, by name. */
	readonly partial: { [index: string]: Where } = {};
	/** @internal */
	readonly checks: CheckManifest[] = [];
	/** @internal */
	place: { schema: string; table: string };
	/** @internal Of a table that is adopted as it stands: the fields of its primary key. */
	key: readonly string[] | undefined;

	/** @internal */
	constructor(name: Name, fields: F) {
		this.name = name;
		this.fields = fields;
		this.place = { schema: "public", table: name };
	}

	index<N extends string, const L extends readonly [(keyof F & string) | "id", ...((keyof F & string) | "id")[]]>(
		name: N,
		fields: L,
		options?: { readonly unique?: boolean; readonly where?: WhereOf<StoredRow<F>> },
	): Entity<Name, F, I & Readonly<Record<N, L>>, K> {
		if (this.indexes.some((index) => index.name === name)) throw new Error(`entity ${this.name} has two indexes named ${name}`);
		for (const f of fields)
			if (f !== "id" && !Object.hasOwn(this.fields, f))
				throw new Error(`index ${name} of entity ${this.name} names the unknown field ${f}`);
		const where = options?.where as Where | undefined;
		if (where) this.partial[name] = where;
		this.indexes.push({ name, fields: [...fields], unique: options?.unique ?? false, ...(where ? { where: whereToJson(where) } : {}) });
		return this as unknown as Entity<Name, F, I & Readonly<Record<N, L>>, K>;
	}

	/** No row is written for which this is false: the database sees to it, whoever writes. Unknown, as of nulls, is not false. */
	check(name: string, where: WhereOf<StoredRow<F>>): this {
		if (this.checks.some((one) => one.name === name)) throw new Error(`entity ${this.name} has two checks named ${name}`);
		this.checks.push({ name, where: whereToJson(where as Where) });
		return this;
	}

	/** Another table than the one of its name: an existing one gets what the declaration has and it has not. */
	adopt(place: { readonly schema?: string; readonly table?: string }): this {
		if (place.schema === "millrace") throw new Error(`entity ${this.name}: the schema millrace is Millrace's own`);
		this.place = { schema: place.schema ?? "public", table: place.table ?? this.name };
		return this;
	}
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

export function entity<Name extends string, F extends Fields>(
	name: Name,
	fields: F,
	options?: EntityOptions<keyof F & string>,
): Entity<Name, F> {
	checkNames(name, fields);
	for (const [key, value] of Object.entries(fields)) {
		if (key === "id") throw new Error(`entity ${name}: the field id is there by itself`);
		if (value instanceof Field && (value.facts.column !== undefined || value.facts.generated || value.facts.as))
			throw new Error(`entity ${name}, field ${key}: column(), generated(), timestamp, date, time and pgEnum are for tables that exist: entity.adopt("schema.table", ...)`);
	}
	const made = new Entity<Name, F>(name, fields);
	for (const index of options?.indexes ?? []) {
		const [first, ...rest] = index.fields;
		if (first === undefined) throw new Error(`index ${index.name} of entity ${name} has no fields`);
		made.index(index.name, [first, ...rest], { unique: index.unique ?? false });
	}
	registry.entities.set(name, made);
	return made;
}

function checkNames(name: string, fields: Fields): void {
	if (!NAME.test(name)) throw new Error(`entity name ${JSON.stringify(name)}: letters, digits and _ only, at most 63`);
	if (registry.entities.has(name)) throw new Error(`entity ${name} is declared twice`);
	for (const [key, value] of Object.entries(fields)) {
		if (!NAME.test(key)) throw new Error(`field name ${JSON.stringify(key)} of entity ${name}: letters, digits and _ only, at most 63`);
		if (!(value instanceof Field || value instanceof Validator))
			throw new Error(`entity ${name}, field ${key}: use field.string(), field.int(), ..., or v.string(), ...`);
	}
}

type TableName<T extends string> = T extends `${string}.${infer Table}` ? Table : T;

/**
 * A table that exists, as it stands: nothing of it is changed but that it gets the triggers that see its changes. `fields`: the columns that
 * the app knows, all of the primary key among them. `key`: the fields of the primary key, unless that is `id`. `name`: the entity's, unless
 * it is to be the table's.
 */
function adopt<const T extends string, F extends Fields, const K extends (keyof F & string) | readonly (keyof F & string)[] = "id", const N extends string = TableName<T>>(
	table: T,
	options: { readonly fields: F; readonly key?: K; readonly name?: N },
): Entity<N, F, Record<never, never>, K> {
	const [, schema = "public", base = ""] = /^(?:([^.]+)\.)?([^.]+)$/.exec(table) ?? [];
	if (!base) throw new Error(`entity.adopt(${JSON.stringify(table)}): expected "table" or "schema.table"`);
	const name = (options.name ?? base) as N;
	const { fields } = options;
	const key: readonly string[] = typeof options.key === "object" ? options.key : [(options.key as string | undefined) ?? "id"];
	if (!NAME.test(name)) throw new Error(`entity.adopt(${JSON.stringify(table)}): no entity can be named so; give it a name: { name: "Order", ... }`);
	checkNames(name, fields);
	if (key.length === 0) throw new Error(`entity ${name}: key: [] names no field`);
	for (const one of key)
		if (!Object.hasOwn(fields, one))
			throw new Error(`entity ${name}: its key is ${one}, which is not among its fields; declare it, or say the key: { key: "order_no", ... }`);
	if (Object.hasOwn(fields, "id") && (key.length > 1 || key[0] !== "id"))
		throw new Error(`entity ${name}: a field named id is the whole key; give the column another name, as in nr: field.int().column("id")`);
	const made = new Entity<N, F, Record<never, never>, K>(name, fields);
	made.place = { schema, table: base };
	made.key = key;
	registry.entities.set(name, made);
	return made;
}
entity.adopt = adopt;

export interface PolicyManifest {
	entity: string;
	read?: string;
	insert?: string;
	update?: string;
	delete?: string;
}
export interface PolicyRules {
	readonly read?: string | boolean;
	readonly insert?: string | boolean;
	readonly update?: string | boolean;
	readonly delete?: string | boolean;
}
export interface NamedPolicy {
	readonly name?: string;
	readonly entity: string;
	readonly allowRead?: string | boolean;
	readonly allowInsert?: string | boolean;
	readonly allowUpdate?: string | boolean;
	readonly allowDelete?: string | boolean;
}

/** Who may read and write an entity from a client. No policy: nobody. Several for one entity must all allow. */
export function policy(entity: string | { readonly name: string }, rules: PolicyRules): void;
export function policy(named: NamedPolicy): void;
export function policy(first: string | { readonly name?: string } | NamedPolicy, rules?: PolicyRules): void {
	if (rules) return addPolicy(typeof first === "string" ? first : (first.name ?? ""), rules);
	const named = first as NamedPolicy;
	const given: Record<keyof PolicyRules, string | boolean | undefined> = {
		read: named.allowRead,
		insert: named.allowInsert,
		update: named.allowUpdate,
		delete: named.allowDelete,
	};
	addPolicy(named.entity, given as PolicyRules);
}

function addPolicy(entityName: string, rules: { readonly [act: string]: string | boolean | undefined } | PolicyRules): void {
	const out: PolicyManifest = { entity: entityName };
	for (const act of ["read", "insert", "update", "delete"] as const) {
		const rule = (rules as PolicyRules)[act];
		if (rule !== undefined) out[act] = String(rule);
	}
	registry.policies.push(out);
}

/** What the app's modules have declared so far. */
export const registry: {
	readonly entities: Map<string, EntityLike>;
	readonly policies: PolicyManifest[];
	/** Entities whose rows functions see as documents (documents.ts). */
	readonly documents: Set<string>;
	/** Of functions that do not say. */
	access: "user" | "public";
} = { entities: new Map(), policies: [], documents: new Set(), access: "user" };
export interface EntityLike {
	readonly name: string;
	readonly fields: Fields;
	readonly indexes: readonly IndexManifest[];
	readonly partial: { readonly [index: string]: Where };
	readonly checks: readonly CheckManifest[];
	readonly place: { schema: string; table: string };
	readonly key: readonly string[] | undefined;
}

// --- types that follow from declarations; App is the type of the module app.ts (`typeof import("./app")`) ---

type Flat<T> = { [K in keyof T]: T[K] };
/** A field's types; a validator's in the same form. */
type TypesOf<F> = F extends { readonly _types?: infer T } ? Normal<NonNullable<T>> : never;
type Normal<T> = T extends { out: infer O; presence: infer P; in: infer I }
	? {
			out: Exclude<O, null>;
			in: Exclude<I, null>;
			null: P extends "optional" ? true : null extends O ? true : false;
			auto: P extends "defaulted" ? true : false;
			hidden: false;
		}
	: T;
type OutOf<F> = TypesOf<F> extends { out: infer O; null: infer N } ? (N extends true ? O | null : O) : never;
type InOf<F> = TypesOf<F> extends { in: infer O; null: infer N } ? (N extends true ? O | null : O) : never;
type IsHidden<F> = TypesOf<F> extends { hidden: true } ? true : false;
type MayOmit<F> = TypesOf<F> extends { null: true } ? true : TypesOf<F> extends { auto: true } ? true : false;

/** The entities that a module exports, by name. */
export type EntitiesOf<App> = {
	[K in keyof App as App[K] extends Entity<infer N, infer _F, infer _I, infer _K> ? N : never]: App[K];
};
export type EntityName<App> = keyof EntitiesOf<App> extends never ? string : keyof EntitiesOf<App> & string;
/** What can be read: these, and Millrace's own. */
export type ReadName<App> = EntityName<App> | SystemName;

type FieldsOf<App, E> = E extends keyof EntitiesOf<App>
	? EntitiesOf<App>[E] extends Entity<infer _N, infer F, infer _I, infer _K>
		? F
		: never
	: never;

/** Of one entity: the id's type, and what its rows are asked for by. */
type IdIn<F, K> = K extends readonly [infer One] ? IdIn<F, One> : K extends keyof F ? OutOf<F[K]> : string;
type PartsIn<F, K> = K extends readonly (keyof F)[]
	? K extends readonly [unknown]
		? never
		: { readonly [P in K[number]]: InOf<F[P]> } | { readonly [P in keyof K]: K[P] extends keyof F ? InOf<F[K[P]]> : never }
	: never;
/** The type of a row's `id`: that of its key's one column; else, and of the app's own entities, text. */
export type IdOf<App, E> = E extends keyof EntitiesOf<App>
	? EntitiesOf<App>[E] extends Entity<infer _N, infer F, infer _I, infer K>
		? IdIn<F, K>
		: string
	: string;
/** What names a row: its id, or the values of a key of several fields, by name or in their order. */
export type KeyOf<App, E> = E extends keyof EntitiesOf<App>
	? EntitiesOf<App>[E] extends Entity<infer _N, infer F, infer _I, infer K>
		? IdIn<F, K> | PartsIn<F, K>
		: string
	: E extends SystemName
		? string
		: RowId | readonly Value[] | { readonly [field: string]: Value };

/** A row as functions see it. */
export type ServerRow<App, E> = E extends keyof EntitiesOf<App>
	? Flat<{ readonly id: IdOf<App, E> } & { readonly [K in keyof FieldsOf<App, E>]: OutOf<FieldsOf<App, E>[K]> }>
	: OtherRow<E>;

/** A row as clients see it: without fields that are for the server only. */
export type ClientRow<App, E> = E extends keyof EntitiesOf<App>
	? Flat<
			{ readonly id: IdOf<App, E> } & {
				readonly [K in keyof FieldsOf<App, E> as IsHidden<FieldsOf<App, E>[K]> extends true ? never : K]: OutOf<FieldsOf<App, E>[K]>;
			}
		>
	: OtherRow<E>;

/** Of entities that the app does not declare. */
type OtherRow<E> = E extends SystemName ? SystemRows[E] : LooseRow;
/** Of those that are not known here. */
type LooseRow = Row & { readonly id: string };
type LooseWrite = { readonly [field: string]: Value | Date | undefined };

export type InsertOf<App, E> = E extends keyof EntitiesOf<App>
	? Flat<
			{ readonly id?: IdOf<App, E> } & {
				readonly [K in keyof FieldsOf<App, E> as MayOmit<FieldsOf<App, E>[K]> extends true ? never : K]: InOf<FieldsOf<App, E>[K]>;
			} & {
				readonly [K in keyof FieldsOf<App, E> as MayOmit<FieldsOf<App, E>[K]> extends true ? K : never]?:
					InOf<FieldsOf<App, E>[K]> | undefined;
			}
		>
	: LooseWrite;

type RefOf<F> = F extends IdValidator<infer E> ? E : TypesOf<F> extends { ref: infer E extends string } ? E : never;
/** As functions see it, or as clients do. */
export type RowOf<App, E, Side extends "server" | "client"> = Side extends "client" ? ClientRow<App, E> : ServerRow<App, E>;
/** Whose rows a field refers to, and what the fields of those refer to. */
export interface Reference<R, Refs> {
	readonly row: R;
	readonly refs: Refs;
}
export interface LooseRefs {
	readonly [field: string]: Reference<LooseRow, LooseRefs>;
}
/** What fields refer to, by the fields' names. */
export type RefsOf<App, E, Side extends "server" | "client" = "server"> = E extends keyof EntitiesOf<App>
	? {
			readonly [K in keyof FieldsOf<App, E> & keyof RowOf<App, E, Side> as [RefOf<FieldsOf<App, E>[K]>] extends [never] ? never : K]: Reference<
				RowOf<App, RefOf<FieldsOf<App, E>[K]>, Side>,
				RefsOf<App, RefOf<FieldsOf<App, E>[K]>, Side>
			>;
		}
	: E extends SystemName
		? Record<never, never>
		: LooseRefs;

/** What stands beside the fields of a row R: `{ sender: "author" }`; with what that refers to, `{ sender: { field: "author", include: { team: "team" } } }`. */
export interface IncludeIn<Refs> {
	readonly [name: string]: ReferenceIn<Refs>;
}
type ReferenceIn<Refs> = {
	[K in keyof Refs & string]: K | { readonly field: K; readonly include?: Refs[K] extends Reference<infer R, infer More> ? IncludeIn<More> & NoneOf<R> : never };
}[keyof Refs & string];
/** Names of fields are taken. */
type NoneOf<R> = string extends keyof R ? unknown : { readonly [K in keyof R]?: never };
/** A row with that. */
export type Included<R, Refs, M> = R extends unknown ? Flat<R & { readonly [N in keyof M]: Followed<Refs, M[N]> | null }> : never;
type Followed<Refs, One> = One extends keyof Refs
	? Refs[One] extends Reference<infer R, unknown>
		? R
		: never
	: One extends { readonly field: infer K extends keyof Refs }
		? Refs[K] extends Reference<infer R, infer More>
			? One extends { readonly include: infer M }
				? Included<R, More, M>
				: R
			: never
		: never;

/** What a client's query may include, and the rows that it gives then; M is `IncludeOf` itself where nothing is included. */
export type IncludeOf<App, E> = IncludeIn<RefsOf<App, E, "client">> & NoneOf<ClientRow<App, E>>;
export type RowWith<App, E, M> = string extends keyof M ? ClientRow<App, E> : Included<ClientRow<App, E>, RefsOf<App, E, "client">, M>;

/** What is added to a field on the server: whatever the row holds when the statement gets it. */
export class Increment<N extends number | bigint | string = number | bigint | string> {
	readonly by: N;
	/** @internal */
	constructor(by: N) {
		this.by = by;
	}
}

/**
 * `ctx.db.patch("Account", id, { balance: increment(5) })`: adds to a field of type int, bigint, float or numeric; less than nothing is
 * taken off. Nobody need have read the row, and concurrent ones are never lost. Null counts as 0. What the field cannot hold is `bad_value`.
 */
export function increment<N extends number | bigint | string>(by: N): Increment<N> {
	if (typeof by !== "number" && typeof by !== "bigint" && typeof by !== "string")
		throw new TypeError(`increment takes a number, a bigint or a decimal as text, got ${by === null ? "null" : typeof by}`);
	return new Increment(by);
}

export type PatchOf<App, E> = E extends keyof EntitiesOf<App>
	? { readonly [K in keyof FieldsOf<App, E>]?: InOf<FieldsOf<App, E>[K]> | undefined }
	: LooseWrite;

/** Numbers, whatever they travel as; neither points in time nor JSON of any kind, which may be numbers too. */
type AmountOf<In> = [Exclude<In, number | bigint | string | null>] extends [never]
	? [Extract<In, number | bigint>] extends [never]
		? never
		: Exclude<In, null>
	: never;
type IncrementOf<In> = [AmountOf<In>] extends [never] ? never : Increment<Extract<AmountOf<In>, number | bigint | string>>;

/** What `ctx.db.patch` takes: new values, and for numbers increments too. */
export type ChangesOf<App, E> = E extends keyof EntitiesOf<App>
	? {
			readonly [K in keyof FieldsOf<App, E>]?: InOf<FieldsOf<App, E>[K]> | IncrementOf<InOf<FieldsOf<App, E>[K]>> | undefined;
		}
	: { readonly [field: string]: Value | Date | Increment | undefined };

export type IndexesOf<App, E> = E extends keyof EntitiesOf<App>
	? EntitiesOf<App>[E] extends Entity<infer _N, infer _F, infer I, infer _K>
		? I
		: never
	: E extends SystemName
		? SystemIndexes[E]
		: Indexes;

/** A point in time is compared as text or as a Date. */
type Compared<T> = string extends T ? T | Date : T;
/** A filter on rows of type R. */
export type WhereOf<R> = {
	readonly [K in keyof R]?:
		| R[K]
		| Compared<NonNullable<R[K]>>
		| {
				readonly $gt?: Compared<NonNullable<R[K]>>;
				readonly $gte?: Compared<NonNullable<R[K]>>;
				readonly $lt?: Compared<NonNullable<R[K]>>;
				readonly $lte?: Compared<NonNullable<R[K]>>;
				readonly $not?: Compared<NonNullable<R[K]>> | null;
				readonly $in?: readonly (Compared<NonNullable<R[K]>> | null)[];
				/** `%` stands for any characters, `_` for one, a backslash before a character for that one. */
				readonly $like?: Extract<R[K], string>;
		  }
		| undefined;
} & { readonly $or?: readonly WhereOf<R>[]; readonly $and?: readonly WhereOf<R>[] };

/** An order on rows of type R: `{ createdAt: "desc" }` or `[["channel", "asc"], ["createdAt", "desc"]]`. */
export type OrderOf<R> = { readonly [K in keyof R & string]?: "asc" | "desc" } | readonly (readonly [keyof R & string, "asc" | "desc"])[];
