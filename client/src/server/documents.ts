// Tables as Convex declares them: `export default defineSchema({ messages: defineTable({ body: v.string() }) })` in app.ts. They are
// entities like any other to the database and to SQL; functions see their rows as documents, with `_id`, which names its table, and
// `_creationTime` (runtime/documents.ts).

import type { LockingQuery, Query, Sql } from "./functions.js";
import { entity, type Entity, type Increment, type Reference, registry } from "./schema.js";
import type { SystemDocumentReader } from "./system.js";
import { describe, type ObjectOf, ObjectValidator, type Shape, ValidationError, Validator } from "./validators.js";

/** The id of a document: text that names its table. */
export type Id<Table extends string> = string & { readonly __tableName: Table };

const DOCUMENT_ID = /^(.*)_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/;

/** `messages_0199...` -> table and uuid. */
export function readDocumentId(text: unknown): { readonly table: string; readonly uuid: string } | undefined {
	const found = typeof text === "string" ? DOCUMENT_ID.exec(text) : null;
	return found ? { table: found[1] ?? "", uuid: found.slice(2).join("-") } : undefined;
}
export function documentId(table: string, uuid: string): string {
	return `${table}_${uuid.replaceAll("-", "")}`;
}

/** `v.id("messages")` of a ported app. */
export function idOf<const Table extends string>(table: Table): Validator<Id<Table>> {
	const wants = `id of ${table}`;
	const check = (value: unknown, path: string): unknown => {
		if (readDocumentId(value)?.table === table) return value;
		throw new ValidationError(`${path}: expected ${wants}, got ${typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : describe(value)}`);
	};
	return new Validator({ kind: "id", wants, check, rules: { entity: table } });
}

type Indexes = { readonly [name: string]: readonly string[] };
type FieldOf<S extends Shape> = (keyof S & string) | "_creationTime";

export class TableDefinition<S extends Shape = Shape, I extends Indexes = Indexes> {
	declare readonly _types?: { indexes: I };
	readonly fields: S;
	/** @internal */
	readonly indexes: { readonly name: string; readonly fields: readonly string[] }[] = [];
	/** @internal */
	constructor(fields: S) {
		this.fields = fields;
	}
	/** Documents of an index come in the order of its fields, then of their creation. */
	index<N extends string, const L extends readonly [FieldOf<S>, ...FieldOf<S>[]]>(
		name: N,
		fields: L,
	): TableDefinition<S, I & Readonly<Record<N, L>>> {
		this.indexes.push({ name, fields });
		return this as unknown as TableDefinition<S, I & Readonly<Record<N, L>>>;
	}
}
type Built = { readonly by_creation_time: readonly ["_creationTime"]; readonly by_id: readonly ["_id"] };

export function defineTable<S extends Shape>(fields: S | ObjectValidator<S>): TableDefinition<S, Built> {
	if (fields instanceof ObjectValidator) return new TableDefinition(fields.fields as S);
	if ((fields as unknown) instanceof Validator)
		throw new Error("defineTable: a table has fields, { ... } or v.object({ ... }); of several kinds of documents make one object with optional fields, or several tables");
	return new TableDefinition(fields);
}

type Tables = { readonly [name: string]: TableDefinition<Shape, Indexes> };

export class Schema<T> {
	readonly tables: T;
	/** @internal */
	constructor(tables: T) {
		this.tables = tables;
	}
}

interface SchemaOptions {
	/** Documents are always as the schema has them: their columns are. */
	readonly schemaValidation?: true;
	/** There are no tables that are not declared. */
	readonly strictTableNameTypes?: boolean;
}

/** Declares all tables, and that functions are everybody's unless they say `auth: "user"`, as Convex has it. */
export function defineSchema<T extends { readonly [K in keyof T]: TableDefinition<never, never> | TableDefinition }>(tables: T, options: SchemaOptions = {}): Schema<T> {
	if ((options.schemaValidation as boolean | undefined) === false)
		throw new Error("defineSchema: schemaValidation: false is not to be had: documents are rows, whose columns the schema declares");
	for (const [name, table] of Object.entries(tables as unknown as Tables)) declareTable(name, table);
	registry.access = "public";
	return new Schema(tables);
}

function declareTable(name: string, table: TableDefinition<Shape, Indexes>): void {
	for (const field of Object.keys(table.fields))
		if (field.startsWith("_")) throw new Error(`table ${name}: the name ${field} is refused: those that begin with _ are there by themselves`);
	const made = entity(name, table.fields) as unknown as Entity<string, Shape, Indexes>;
	registry.documents.add(name);
	for (const { name: index, fields } of table.indexes) {
		const stored = fields.map((field) => (field === "_creationTime" ? "id" : field));
		made.index(index, stored as unknown as readonly [string, ...string[]]);
	}
}

// --- types that follow; App is the type of the module app.ts ---

/** The tables of the schema that a module has as its default export. */
export type TablesOf<App> = App extends { readonly default: Schema<infer T> } ? T : Record<never, never>;
export type TableName<App> = keyof TablesOf<App> & string;
type ShapeOf<App, T> = T extends keyof TablesOf<App> ? (TablesOf<App>[T] extends TableDefinition<infer S, infer _I> ? S : never) : never;
type IndexesOf<App, T> = T extends keyof TablesOf<App> ? (TablesOf<App>[T] extends TableDefinition<infer _S, infer I> ? I : never) : never;

type Flat<T> = { [K in keyof T]: T[K] };
// (Conditional, so that they stay what they are while T is open: a mutation's context is to serve where a query's is wanted.)
export type DocumentOf<App, T extends string> = T extends keyof TablesOf<App> ? Flat<{ _id: Id<T>; _creationTime: number } & ObjectOf<ShapeOf<App, T>>> : never;
/** Documents and indexes by table: `DataModel["messages"]["document"]`. */
export type DataModelOf<App> = { readonly [T in TableName<App>]: { readonly document: DocumentOf<App, T>; readonly fieldPaths: keyof DocumentOf<App, T> & string; readonly indexes: IndexesOf<App, T> } };
export type NewDocumentOf<App, T> = Flat<ObjectOf<ShapeOf<App, T>> & { _id?: never; _creationTime?: never }>;
type ChangesOf<App, T> = { readonly [K in keyof ObjectOf<ShapeOf<App, T>>]?: ObjectOf<ShapeOf<App, T>>[K] | IncrementOf<ObjectOf<ShapeOf<App, T>>[K]> | undefined };
type IncrementOf<V> = [V] extends [number | undefined] ? Increment<number> : [V] extends [bigint | undefined] ? Increment<bigint> : never;
/** What its ids refer to. */
type ReferredBy<App, T extends string> = T extends keyof TablesOf<App> ? Referred<App, ObjectOf<ShapeOf<App, T>>> : never;
type Referred<App, Fields> = {
	readonly [K in keyof Fields as NonNullable<Fields[K]> extends Id<string> ? K : never]: NonNullable<Fields[K]> extends Id<infer Other>
		? Reference<DocumentOf<App, Other>, ReferredBy<App, Other>>
		: never;
};
type ReplacementOf<App, T extends string> = Flat<ObjectOf<ShapeOf<App, T>> & { _id?: Id<T>; _creationTime?: number }>;

/** `ctx.db` of a query. Each method takes an id, or a table and an id. */
export interface DocumentReader<App> {
	get<T extends TableName<App>>(id: Id<T>): Promise<DocumentOf<App, T> | null>;
	get<T extends TableName<App>>(table: T, id: Id<NoInfer<T>>): Promise<DocumentOf<App, T> | null>;
	query<T extends TableName<App>>(table: T): Query<DocumentOf<App, T>, IndexesOf<App, T>, DocumentOf<App, T>, ReferredBy<App, T>>;
	/** The id, or null when it is none of this table. Says nothing of whether there is such a document. */
	normalizeId<T extends TableName<App>>(table: T, id: string): Id<T> | null;
	/** Scheduled functions and sessions: `ctx.db.system.query("_scheduled_functions")`. */
	readonly system: SystemDocumentReader;
	readonly sql: Sql;
}
export interface DocumentWriter<App> extends DocumentReader<App> {
	query<T extends TableName<App>>(table: T): LockingQuery<DocumentOf<App, T>, IndexesOf<App, T>, DocumentOf<App, T>, ReferredBy<App, T>>;
	insert<T extends TableName<App>>(table: T, document: NewDocumentOf<App, T>): Promise<Id<T>>;
	/** Sets the fields given; undefined removes an optional one. */
	patch<T extends TableName<App>>(id: Id<T>, changes: ChangesOf<App, T>): Promise<void>;
	patch<T extends TableName<App>>(table: T, id: Id<NoInfer<T>>, changes: ChangesOf<App, T>): Promise<void>;
	replace<T extends TableName<App>>(id: Id<T>, document: ReplacementOf<App, T>): Promise<void>;
	replace<T extends TableName<App>>(table: T, id: Id<NoInfer<T>>, document: ReplacementOf<App, T>): Promise<void>;
	delete<T extends TableName<App>>(id: Id<T>): Promise<void>;
	delete<T extends TableName<App>>(table: T, id: Id<NoInfer<T>>): Promise<void>;
}
