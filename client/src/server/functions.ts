// How an app declares its functions, and what their handlers see.

import type { ArgsOf, FunctionRef } from "../api.js";
import type { DocumentReader, DocumentWriter, Schema } from "./documents.js";
import type { Scheduler } from "./scheduler.js";
import type { CallSession, OwnSessions, Sessions } from "./sessions.js";
import type { ChangesOf, ClientRow, EntityName, IdOf, Included, IncludeIn, IndexesOf, InsertOf, KeyOf, LooseRefs, OrderOf, ReadName, RefsOf, ServerRow, WhereOf } from "./schema.js";
import type { SystemReader } from "./system.js";
import type { Infer, ObjectIn, ObjectOf, Presence, Shape } from "./validators.js";
import { ObjectValidator, Validator } from "./validators.js";
import type { Row, Value } from "../values.js";

export type FunctionKind = "query" | "mutation" | "action";
export type Access = "user" | "public";
export type Isolation = "serializable" | "repeatable read" | "read committed";

// --- the context ---

/** What the caller's token says: its claims, those of OpenID Connect by Convex's names too. */
export interface Identity {
	readonly userId: string;
	/** The userId. */
	readonly subject: string;
	/** One user's alone: the issuer (where its token names one) and the userId. */
	readonly tokenIdentifier: string;
	readonly issuer?: string;
	readonly name?: string;
	readonly givenName?: string;
	readonly familyName?: string;
	readonly nickname?: string;
	readonly preferredUsername?: string;
	readonly profileUrl?: string;
	readonly pictureUrl?: string;
	readonly email?: string;
	readonly emailVerified?: boolean;
	readonly gender?: string;
	readonly birthday?: string;
	readonly timezone?: string;
	readonly language?: string;
	readonly phoneNumber?: string;
	readonly phoneNumberVerified?: boolean;
	readonly [claim: string]: Value | undefined;
}

interface SomeAuth {
	readonly userId: string | null;
	getUserIdentity(): Promise<Identity | null>;
}
interface UserAuth extends SomeAuth {
	readonly userId: string;
	getUserIdentity(): Promise<Identity>;
}
/** With `auth: "user"` there is a user for certain. */
export type Auth<U extends Access = Access> = [U] extends ["user"] ? UserAuth : SomeAuth;

export interface Clock {
	/** Milliseconds since 1970, the same throughout one run. */
	now(): number;
	/** 0 <= x < 1, the same sequence when the function is run again. */
	random(): number;
}

interface Refuse {
	/** Ends the call with the app's own code: the caller sees error `app_error` with `data.code`. */
	error(code: string, message: string, data?: { readonly [key: string]: Value }): never;
}

interface Environment {
	/** What the server's environment has as MILLRACE_VAR_NAME, by NAME; the same as `process.env`. */
	readonly env: { readonly [name: string]: string | undefined };
}

interface RunQuery {
	/** Runs another query, internal ones too, within this call: the same moment, the same caller. */
	runQuery<A, R>(query: FunctionRef<"query", A, R>, ...args: ArgsOf<A>): Promise<R>;
}
interface RunMutation {
	/** Runs another mutation, internal ones too, within this transaction. If it fails, what it did is taken back, and the error is the caller's to
	 * handle; what other parts of this function ask for meanwhile waits for its end. */
	runMutation<A, R>(mutation: FunctionRef<"mutation", A, R>, ...args: ArgsOf<A>): Promise<R>;
}

/** Whether app.ts has Convex's schema as its default export. */
type HasSchema<App> = App extends { readonly default: Schema<infer _T> } ? true : false;
/** Who may call a function that does not say. */
type Default<App, Internal extends boolean> = Internal extends true ? "public" : HasSchema<App> extends true ? "public" : "user";

export interface QueryCtx<App = unknown, U extends Access = Access> extends Clock, Refuse, Environment, RunQuery {
	readonly db: HasSchema<App> extends true ? DocumentReader<App> : DbReader<App>;
	readonly auth: Auth<U> & OwnSessions;
}
export interface MutationCtx<App = unknown, U extends Access = Access> extends Clock, Refuse, Environment, RunQuery, RunMutation {
	readonly db: HasSchema<App> extends true ? DocumentWriter<App> : DbWriter<App>;
	readonly auth: Auth<U> & OwnSessions & Sessions;
	/** Functions that run later, if this one is committed. */
	readonly scheduler: Scheduler;
}
/**
 * What an action sees: it runs once at most, outside of any transaction. Time passes in it, and it may wait (`setTimeout`).
 * Each function that it calls is a call of its own, as the same caller; internal ones may be called.
 */
export interface ActionCtx<U extends Access = Access> extends Clock, Refuse, Environment {
	readonly auth: Auth<U> & CallSession;
	readonly runQuery: RunFunction<"query">;
	/** Its changes are there for all to see when the promise resolves. */
	readonly runMutation: RunFunction<"mutation">;
	readonly runAction: RunFunction<"action">;
	/** Functions that run later. Each call of it is a transaction of its own, done when its promise resolves. */
	readonly scheduler: Scheduler;
}

/** By reference (`api.tasks.list`, typed) or by name. Rejects with a MillraceError. */
export interface RunFunction<Kind extends FunctionKind> {
	<Args, Result>(fn: FunctionRef<Kind, Args, Result>, ...args: ArgsOf<Args>): Promise<Result>;
	(name: string, args?: { readonly [name: string]: Value | Date | undefined }): Promise<Value>;
}

// --- the database ---

/** `ctx.db.sql`: a tagged template whose values become parameters, or text with $1, $2, ... */
export interface Sql {
	<R extends object = { readonly [column: string]: Value }>(strings: TemplateStringsArray, ...values: readonly SqlParam[]): Promise<R[]>;
	<R extends object = { readonly [column: string]: Value }>(text: string, ...values: readonly SqlParam[]): Promise<R[]>;
	/** What its rows are, checked: ``sql({ author: v.string(), n: v.int() })`select author, count(*) as n from ...` ``. */
	<S extends Shape>(row: S | ObjectValidator<S>): (statement: TemplateStringsArray | string, ...values: readonly SqlParam[]) => Promise<ObjectOf<S>[]>;
}
export type SqlParam = Value | Date;

export interface DbReader<App = unknown> {
	/** The row, or null. */
	get<E extends ReadName<App>>(entity: E, id: KeyOf<App, E>): Promise<ServerRow<App, E> | null>;
	/** Rows of an entity; awaiting the query itself gives all of them. */
	query<E extends ReadName<App>>(entity: E): Query<ServerRow<App, E>, IndexesOf<App, E>, ServerRow<App, E>, RefsOf<App, E>>;
	/** The id as it is kept, or null when it is none: for ids that come from outside. Says nothing of whether there is such a row. */
	normalizeId<E extends ReadName<App>>(entity: E, id: string): IdOf<App, E> | null;
	/** What somebody may: the caller (`ctx.auth`), another identity, or nobody (null). Under the read policies, and without fields that are for the
	 * server only. Functions by themselves stand above policies. */
	as(who: Auth | Caller | null): ObeyingReader<App>;
	/** Scheduled functions and sessions, and these alone: `ctx.db.system.query("_scheduled_functions")`. */
	readonly system: SystemReader;
	readonly sql: Sql;
}

/** Whose rows and rights are meant. */
export type Caller = { readonly userId: string; readonly [claim: string]: Value | undefined };

type ObeyingQuery<App, E> = Query<ClientRow<App, E>, IndexesOf<App, E>, ClientRow<App, E>, RefsOf<App, E, "client">>;
export interface ObeyingReader<App = unknown> {
	/** The row, or null: when there is none, or it may not be seen. */
	get<E extends ReadName<App>>(entity: E, id: KeyOf<App, E>): Promise<ClientRow<App, E> | null>;
	query<E extends ReadName<App>>(entity: E): ObeyingQuery<App, E>;
}
/** What the policies do not allow is `forbidden`. */
export interface ObeyingWriter<App = unknown> extends ObeyingReader<App> {
	/** Fields of the owner are the caller. */
	insert<E extends EntityName<App>>(entity: E, value: InsertOf<App, E>): Promise<IdOf<App, E>>;
	/** Neither the id nor fields that are `owner` or `readonly`. */
	patch<E extends EntityName<App>>(entity: E, id: KeyOf<App, E>, changes: ChangesOf<App, E>): Promise<void>;
	update<E extends EntityName<App>>(entity: E, id: KeyOf<App, E>, changes: ChangesOf<App, E>): Promise<void>;
	delete<E extends EntityName<App>>(entity: E, id: KeyOf<App, E>): Promise<void>;
}

export interface DbWriter<App = unknown> extends DbReader<App> {
	/** The row, or null. `forUpdate`: nobody else changes or locks it until this call has ended; who wants to waits. */
	get<E extends ReadName<App>>(entity: E, id: KeyOf<App, E>, options?: { readonly forUpdate?: boolean }): Promise<ServerRow<App, E> | null>;
	query<E extends ReadName<App>>(entity: E): LockingQuery<ServerRow<App, E>, IndexesOf<App, E>, ServerRow<App, E>, RefsOf<App, E>>;
	/** Gives the id: the one in `value`, or a new one. */
	insert<E extends EntityName<App>>(entity: E, value: InsertOf<App, E>): Promise<IdOf<App, E>>;
	/** Changes the row of this key, or inserts it: with the key, `changes`, and `others` besides. The key: the fields of a unique index, a unique
	 * field, or the id. Gives the id. However many do so at once, there is one row. */
	upsert<E extends EntityName<App>, const K extends Partial<InsertOf<App, E>>, const C extends ChangesOf<App, E>>(
		entity: E,
		key: K & NoOthers<K, InsertOf<App, E>>,
		changes: C & NoOthers<C, ChangesOf<App, E>>,
		...others: RestOf<InsertOf<App, E>, keyof K | keyof C>
	): Promise<IdOf<App, E>>;
	/** Changes the fields given: to a value, or by `increment(n)`. */
	patch<E extends EntityName<App>>(entity: E, id: KeyOf<App, E>, changes: ChangesOf<App, E>): Promise<void>;
	/** The same as patch. */
	update<E extends EntityName<App>>(entity: E, id: KeyOf<App, E>, changes: ChangesOf<App, E>): Promise<void>;
	/** Sets all fields; those not given get null or their default. */
	replace<E extends EntityName<App>>(entity: E, id: KeyOf<App, E>, value: InsertOf<App, E>): Promise<void>;
	delete<E extends EntityName<App>>(entity: E, id: KeyOf<App, E>): Promise<void>;
	as(who: Auth | Caller | null): ObeyingWriter<App>;
}

/** Fields that T does not have are none. */
type NoOthers<Given, T> = { readonly [K in Exclude<keyof Given, keyof T>]: never };
/** What an insert takes beside the fields that are given: required as long as any of them is. */
type RestOf<T, Given extends PropertyKey> =
	Record<never, never> extends Omit<T, Given> ? [others?: Partial<T>] : [others: Omit<T, Given> & Partial<T>];

type Comparable = string | number | bigint | boolean | Uint8Array | null;

type Indexes = { readonly [name: string]: readonly string[] };

/** Some of its fields, and what was included. */
type Selected<R, K extends keyof R, Out> = [Exclude<keyof Out, keyof R>] extends [never] ? Pick<R, K> : Flat<Pick<R, K> & Omit<Out, keyof R>>;

/** One query that is being built, over rows R; each method gives a new one. Out: what it gives of each row; Refs: what its fields refer to. */
export interface Query<R = Row, I = Indexes, Out = R, Refs = LooseRefs> extends PromiseLike<Out[]>, AsyncIterable<Out> {
	/** All rows, in the order of their ids: what a query does that names no index. */
	fullTableScan(): this;
	/** Starts with a range of an index, and orders by its fields; of a partial index, with the rows that it holds. */
	withIndex<N extends keyof I & string>(name: N, range?: (q: IndexRange<R>) => IndexRange<R>): this;
	filter(filter: WhereOf<R> | ((q: FilterBuilder<R>) => Expression)): this;
	where(where: WhereOf<R>): this;
	order(order: "asc" | "desc" | OrderOf<R>): this;
	orderBy(order: OrderOf<R>): this;
	limit(n: number): this;
	/** These fields only. A live query that looks at few fields is not run again when others change. */
	select<const K extends keyof R & string>(...fields: readonly K[]): Query<R, I, Selected<R, K, Out>, Refs>;
	/** With each row, the rows that it refers to: `include({ sender: "author" })` gives `row.sender`, or null when there is none. With what that
	 * refers to: `include({ sender: { field: "author", include: { team: "team" } } })`. */
	include<const M extends IncludeIn<Refs>>(names: M): Query<R, I, Included<Out, Refs, M>, Refs>;
	take(n: number): Promise<Out[]>;
	first(): Promise<Out | null>;
	/** The only row, or null; an error when there are more. */
	unique(): Promise<Out | null>;
	collect(): Promise<Out[]>;
	/** How many rows match. */
	count(): Promise<number>;
	/** Null when no row has a value. What the field's type cannot hold is `bad_value`. */
	sum<K extends NumberField<R>>(field: K): Promise<NonNullable<R[K]> | null>;
	avg<K extends NumberField<R>>(field: K): Promise<AverageOf<R[K]> | null>;
	min<K extends OrderedField<R>>(field: K): Promise<NonNullable<R[K]> | null>;
	max<K extends OrderedField<R>>(field: K): Promise<NonNullable<R[K]> | null>;
	/** Several at once: `aggregate({ n: { count: true }, total: { sum: "amount" } })`. */
	aggregate<const M extends MeasuresOf<R>>(measures: M): Promise<Measured<R, M>>;
	/** The same for each group of rows that have the same values. */
	groupBy<const K extends keyof R & string>(...fields: readonly K[]): Groups<R, K>;
	/** So many rows from a place on; `for await` over the query reads so, a few hundred at a time. */
	paginate(options: PaginationOptions): Promise<PaginationResult<Out>>;
}

/** Text counts as a number where it is a decimal (`field.numeric()`); the server knows which it is. */
type NumberField<R> = { [K in keyof R]: [Extract<R[K], number | bigint | string>] extends [never] ? never : K }[keyof R] & string;
type OrderedField<R> = NumberField<R>;
type AverageOf<T> = NonNullable<T> extends string ? string : number;

export type MeasuresOf<R> = {
	readonly [name: string]:
		| { readonly count: true | (keyof R & string) }
		| { readonly sum: NumberField<R> }
		| { readonly avg: NumberField<R> }
		| { readonly min: OrderedField<R> }
		| { readonly max: OrderedField<R> };
};
type FieldOf<R, K> = K extends keyof R ? NonNullable<R[K]> : never;
export type Measured<R, M> = {
	readonly [N in keyof M]: M[N] extends { readonly count: unknown }
		? number
		: M[N] extends { readonly avg: infer K }
			? AverageOf<FieldOf<R, K>> | null
			: M[N] extends { readonly sum: infer K } | { readonly min: infer K } | { readonly max: infer K }
				? FieldOf<R, K> | null
				: never;
};

/** Groups of rows, in the order of their fields unless another is asked for. */
export interface Groups<R, K extends keyof R> {
	/** By fields of the groups and by measures: `order({ total: "desc" })`. */
	order(order: { readonly [name: string]: "asc" | "desc" } | readonly (readonly [string, "asc" | "desc"])[]): Groups<R, K>;
	/** So many groups. */
	limit(n: number): Groups<R, K>;
	aggregate<const M extends MeasuresOf<R>>(measures: M): Promise<Flat<{ readonly [F in K]: R[F] } & Measured<R, M>>[]>;
	/** Groups with `count`, how many rows each has. */
	count(): Promise<Flat<{ readonly [F in K]: R[F] } & { readonly count: number }>[]>;
}
type Flat<T> = { [K in keyof T]: T[K] };

export interface PaginationOptions {
	readonly numItems: number;
	/** `continueCursor` of the page before; null: from the beginning. */
	readonly cursor: string | null;
	/** Where the page ends, then: all rows between the two, however many. */
	readonly endCursor?: string | null;
}
export interface PaginationResult<R> {
	readonly page: R[];
	/** Nothing is behind it. */
	readonly isDone: boolean;
	readonly continueCursor: string;
}

/** A query of a mutation. */
export interface LockingQuery<R = Row, I = Indexes, Out = R, Refs = LooseRefs> extends Query<R, I, Out, Refs> {
	select<const K extends keyof R & string>(...fields: readonly K[]): LockingQuery<R, I, Selected<R, K, Out>, Refs>;
	include<const M extends IncludeIn<Refs>>(names: M): LockingQuery<R, I, Included<Out, Refs, M>, Refs>;
	/** Locks the rows that are read: nobody else changes or locks them until this call has ended. */
	forUpdate(): this;
}

export interface IndexRange<R> {
	eq<K extends keyof R & string>(field: K, value: R[K]): IndexRange<R>;
	gt<K extends keyof R & string>(field: K, value: NonNullable<R[K]>): IndexRange<R>;
	gte<K extends keyof R & string>(field: K, value: NonNullable<R[K]>): IndexRange<R>;
	lt<K extends keyof R & string>(field: K, value: NonNullable<R[K]>): IndexRange<R>;
	lte<K extends keyof R & string>(field: K, value: NonNullable<R[K]>): IndexRange<R>;
}

declare const expression: unique symbol;
/** A part of a filter. */
export interface Expression {
	readonly [expression]?: true;
}
/** Arrays and objects are for what JSON fields hold. */
type Operand = Expression | Comparable | undefined | readonly Value[] | { readonly [key: string]: Value };
type Numeric = Expression | number | bigint;

/** Names in an object, and of what is inside it: `"address" | "address.city"`. */
export type FieldPaths<T> = T extends Inner
	? string extends keyof T
		? string
		: { [K in keyof T & string]: K | `${K}.${FieldPaths<NonNullable<T[K]>>}` }[keyof T & string]
	: never;
type Inner = { readonly [key: string]: unknown } & { readonly length?: never; readonly byteLength?: never };

/** Comparisons of fields with values are Postgres's to decide; all else is decided row by row, of the rows that those let through. */
export interface FilterBuilder<R> {
	/** `q.field("address.city")`: what is inside a JSON field. */
	field(path: (keyof R & string) | FieldPaths<R>): Expression;
	eq(a: Operand, b: Operand): Expression;
	neq(a: Operand, b: Operand): Expression;
	lt(a: Operand, b: Operand): Expression;
	lte(a: Operand, b: Operand): Expression;
	gt(a: Operand, b: Operand): Expression;
	gte(a: Operand, b: Operand): Expression;
	and(...parts: readonly (Expression | boolean)[]): Expression;
	or(...parts: readonly (Expression | boolean)[]): Expression;
	not(part: Expression | boolean): Expression;
	in(a: Expression, values: readonly Comparable[]): Expression;
	/** Arithmetic of two numbers, or of two bigints. */
	add(a: Numeric, b: Numeric): Expression;
	sub(a: Numeric, b: Numeric): Expression;
	mul(a: Numeric, b: Numeric): Expression;
	div(a: Numeric, b: Numeric): Expression;
	mod(a: Numeric, b: Numeric): Expression;
	neg(a: Numeric): Expression;
}

// --- declaring ---

/** A declared function. The type parameters are what callers see. */
export class RegisteredFunction<
	Kind extends FunctionKind = FunctionKind,
	Args = unknown,
	Result = unknown,
	Internal extends boolean = boolean,
> {
	declare readonly _types?: { args: Args; result: Result };
	readonly kind: Kind;
	readonly internal: Internal;
	/** @internal */
	readonly options: FunctionOptions;
	/** @internal */
	constructor(kind: Kind, internal: Internal, options: FunctionOptions) {
		this.kind = kind;
		this.internal = internal;
		this.options = options;
	}
}

/** @internal */
export interface FunctionOptions {
	readonly args: Shape | undefined;
	readonly returns: Validator<unknown, Presence, unknown> | undefined;
	/** Undefined: the app's default. */
	readonly auth: Access | undefined;
	readonly isolation: Isolation | undefined;
	readonly cancelWithCaller: boolean | undefined;
	readonly handler: (ctx: never, args: never) => unknown;
}

type NoArgs = Record<never, never>;
/** A validator, or a map of them. */
type Returns<R> = Validator<R, Presence, unknown> | ({ readonly [K in keyof R]: Validator<R[K], Presence, unknown> } & Shape);

interface Definition<S extends Shape, U extends Access, Ctx, R> {
	/** A map of validators, or `v.object(...)`. */
	readonly args?: S | ObjectValidator<S>;
	readonly returns?: Returns<R>;
	/** "user": callers must be signed in, the default; of internal functions it is "public", since nobody outside calls them. */
	readonly auth?: U;
	readonly handler: (ctx: Ctx, args: ObjectOf<S>) => R | Promise<R>;
}
/** Its arguments are an object that nobody checks. */
interface Unchecked<A, U extends Access, Ctx, R> {
	readonly args?: undefined;
	readonly returns?: Returns<R>;
	readonly auth?: U;
	readonly handler: (ctx: Ctx, args: A) => R | Promise<R>;
}

export interface QueryDeclarer<App, Internal extends boolean> {
	<R, A = NoArgs>(handler: (ctx: QueryCtx<App, Default<App, Internal>>, args: A) => R): RegisteredFunction<"query", A, Awaited<R>, Internal>;
	<A = NoArgs, U extends Access = Default<App, Internal>, R = unknown>(
		definition: Unchecked<A, U, QueryCtx<App, U>, R>,
	): RegisteredFunction<"query", A, Awaited<R>, Internal>;
	<S extends Shape = NoArgs, U extends Access = Default<App, Internal>, R = unknown>(
		definition: Definition<S, U, QueryCtx<App, U>, R>,
	): RegisteredFunction<"query", ObjectIn<S>, Awaited<R>, Internal>;
}
export interface MutationDeclarer<App, Internal extends boolean> {
	<R, A = NoArgs>(handler: (ctx: MutationCtx<App, Default<App, Internal>>, args: A) => R): RegisteredFunction<"mutation", A, Awaited<R>, Internal>;
	<A = NoArgs, U extends Access = Default<App, Internal>, R = unknown>(
		definition: Unchecked<A, U, MutationCtx<App, U>, R> & { readonly isolation?: Isolation },
	): RegisteredFunction<"mutation", A, Awaited<R>, Internal>;
	<S extends Shape = NoArgs, U extends Access = Default<App, Internal>, R = unknown>(
		definition: Definition<S, U, MutationCtx<App, U>, R> & { readonly isolation?: Isolation },
	): RegisteredFunction<"mutation", ObjectIn<S>, Awaited<R>, Internal>;
}
interface ActionOptions {
	/** The action ends where it stands when its caller's connection closes. Else it goes on, and nobody is told its result. */
	readonly cancelWithCaller?: boolean;
}
export interface ActionDeclarer<App, Internal extends boolean> {
	<R, A = NoArgs>(handler: (ctx: ActionCtx<Default<App, Internal>>, args: A) => R): RegisteredFunction<"action", A, Awaited<R>, Internal>;
	<A = NoArgs, U extends Access = Default<App, Internal>, R = unknown>(
		definition: Unchecked<A, U, ActionCtx<U>, R> & ActionOptions,
	): RegisteredFunction<"action", A, Awaited<R>, Internal>;
	<S extends Shape = NoArgs, U extends Access = Default<App, Internal>, R = unknown>(
		definition: Definition<S, U, ActionCtx<U>, R> & ActionOptions,
	): RegisteredFunction<"action", ObjectIn<S>, Awaited<R>, Internal>;
}

type Given = Partial<FunctionOptions> | ((ctx: never, args: never) => unknown);

function declare_<Kind extends FunctionKind, Internal extends boolean>(
	kind: Kind,
	internal: Internal,
	given: Given,
): RegisteredFunction<Kind, never, never, Internal> {
	const options: Partial<FunctionOptions> = typeof given === "function" ? { handler: given } : given;
	if (typeof options !== "object" || options === null || typeof options.handler !== "function")
		throw new Error(`${kind}(): give it a function, or { args, handler }`);
	const args = options.args instanceof ObjectValidator ? (options.args.fields as Shape) : options.args;
	for (const [name, validator] of Object.entries(args ?? {}))
		if (!(validator instanceof Validator))
			throw new Error(`${kind}(): args.${name} is not a validator: use v.string(), v.id("Entity"), ...`);
	if (options.auth !== undefined && options.auth !== "user" && options.auth !== "public")
		throw new Error(`${kind}(): auth is "user" or "public"`);
	return new RegisteredFunction<Kind, never, never, Internal>(kind, internal, {
		args,
		returns: options.returns && (options.returns instanceof Validator ? options.returns : new ObjectValidator(options.returns)),
		auth: options.auth,
		isolation: options.isolation,
		cancelWithCaller: options.cancelWithCaller,
		handler: options.handler,
	});
}

/** The functions that declare functions, with `ctx.db` typed by the app's entities. */
export interface Declarers<App> {
	readonly query: QueryDeclarer<App, false>;
	readonly mutation: MutationDeclarer<App, false>;
	readonly action: ActionDeclarer<App, false>;
	readonly internalQuery: QueryDeclarer<App, true>;
	readonly internalMutation: MutationDeclarer<App, true>;
	readonly internalAction: ActionDeclarer<App, true>;
}

export function typed<App>(): Declarers<App> {
	const of = (kind: FunctionKind, internal: boolean) => (given: Given) => declare_(kind, internal, given);
	return {
		query: of("query", false),
		mutation: of("mutation", false),
		action: of("action", false),
		internalQuery: of("query", true),
		internalMutation: of("mutation", true),
		internalAction: of("action", true),
	} as unknown as Declarers<App>;
}

export const { query, mutation, action, internalQuery, internalMutation, internalAction } = typed<unknown>();

export type { Infer };
