// ctx.db.query(entity): an immutable description that becomes one operation when it is awaited.

import { printWire, whereToJson } from "../json.js";
import type { RowId } from "../keys.js";
import type { IndexRange, PaginationOptions, PaginationResult } from "../server/functions.js";
import { registry } from "../server/schema.js";
import { defineKey, isPlainObject, orderWithKey, type Comparison, type Direction, type Include, type Order, type Row, type Scalar, type Value, type Where } from "../values.js";
import { factsOf } from "./columns.js";
import { documentsOf, isDocuments, storedField, storedWhere } from "./documents.js";
import { bothJudges, type Judge, planFilter } from "./filter_plan.js";
import { after, END, placeOf, upTo } from "./pages.js";
import { bothWheres, normalWhere } from "./where.js";

export type Run = (kind: "query" | "summary", json: string) => Promise<Value>;

interface State {
	readonly entity: string;
	readonly where: Where;
	/** What else must hold of a row, which Postgres is not asked. */
	readonly judge: Judge | undefined;
	/** The fields of the index in use: what "asc" and "desc" speak of. */
	readonly natural: readonly string[];
	readonly order: Order | undefined;
	readonly limit: number | undefined;
	readonly forUpdate: boolean;
	/** Undefined: all. */
	readonly fields: readonly string[] | undefined;
	readonly include: References;
}
/** Names, and the fields whose references stand under them; with what those refer to in their turn. */
interface References {
	readonly [name: string]: { readonly field: string; readonly include: References };
}
const NO_REFERENCES: References = {};

/** What a client asks of an entity, checked before (fanout/instance_included.c). */
export interface Asked {
	readonly where: Where;
	readonly order: Order | null;
	readonly include: Include;
	readonly limit: number | undefined;
}

/** Rows that `for await` reads in one go; rows that are read at least and at most for those few that a judge lets through. */
const AT_ONCE = 256;
const JUDGED_LEAST = 32;
const JUDGED_MOST = 1024;

/** `{ createdAt: "desc" }`, `[["createdAt", "desc"]]`, "asc" or "desc". */
export function normalOrder(order: unknown, natural: readonly string[]): Order {
	const check = (field: unknown, direction: unknown): [string, Direction] => {
		if (typeof field !== "string" || (direction !== "asc" && direction !== "desc"))
			throw new Error('order: expected "asc", "desc", { field: "asc" } or [["field", "desc"]]');
		return [field, direction];
	};
	if (order === "asc" || order === "desc") return natural.map((field) => check(field, order));
	if (Array.isArray(order)) return order.map((term: unknown) => (Array.isArray(term) ? check(term[0], term[1]) : check(term, undefined)));
	if (typeof order === "object" && order !== null) return Object.entries(order).flatMap(([f, d]) => (d === undefined ? [] : [check(f, d)]));
	return [check(undefined, undefined)];
}

function wholeNumber(n: number, method: string): number {
	if (!Number.isSafeInteger(n) || n < 0) throw new Error(`${method}(${String(n)}): expected a whole number`);
	return n;
}

/** As far as its declaration says; a field that nobody declared is for the server to refuse. */
function mayBeNull(entity: string, name: string): boolean {
	return factsOf(entity, name)?.optional === true;
}

const union = (a: readonly string[], b: readonly string[]): readonly string[] => [...new Set([...a, ...b])];

/** The entity whose ids a field holds. */
function referredBy(entity: string, name: string): string {
	const { references } = factsOf(entity, name) ?? {};
	if (references === undefined) throw new Error(`include: ${entity}.${name} is not declared as a reference (field.id("Entity"))`);
	return references;
}

function checkName(entity: string, name: string): void {
	if (name === "id" || Object.hasOwn(registry.entities.get(entity)?.fields ?? {}, name))
		throw new Error(`include: ${entity} has a field named ${name}; give it another name`);
}

/** `{ sender: "author" }`, `{ sender: { field: "author", include: { team: "team" } } }`. */
function referencesOf(entity: string, include: unknown, check: typeof checkName): References {
	if (!isPlainObject(include)) throw new Error('include: expected { name: "field" }');
	const pairs = Object.entries(include).map(([name, one]) => {
		const { field, include: more } = isPlainObject(one) ? one : { field: one, include: undefined };
		if (typeof field !== "string") throw new Error(`include: ${name} is to be the name of a field, or { field, include }`);
		check(entity, name);
		const to = referredBy(entity, field);
		return [name, { field, include: more === undefined ? NO_REFERENCES : referencesOf(to, more, check) }] as const;
	});
	return Object.fromEntries(pairs);
}

function only(row: Row, fields: readonly string[]): Row {
	const out: { [field: string]: Value } = {};
	for (const field of fields) defineKey(out, field, row[field] ?? null);
	return out as Row;
}

class RangeBuilder {
	where: { [field: string]: Scalar | Comparison } = {};
	private add(field: string, term: Comparison): this {
		const have = this.where[field];
		if (have !== undefined && !isPlainObject(have)) throw new Error(`withIndex: ${field} is compared for equality and once more`);
		this.where[field] = { ...have, ...term };
		return this;
	}
	eq(field: string, value: Scalar | undefined): this {
		if (Object.hasOwn(this.where, field)) throw new Error(`withIndex: ${field} is compared for equality and once more`);
		this.where[field] = value ?? null;
		return this;
	}
	gt(field: string, value: Scalar): this {
		return this.add(field, { $gt: value });
	}
	gte(field: string, value: Scalar): this {
		return this.add(field, { $gte: value });
	}
	lt(field: string, value: Scalar): this {
		return this.add(field, { $lt: value });
	}
	lte(field: string, value: Scalar): this {
		return this.add(field, { $lte: value });
	}
}

type MeasureName = "count" | "sum" | "avg" | "min" | "max";
type Measure = { readonly [K in MeasureName]?: string | true };
type Measures = { readonly [name: string]: Measure };

function readMeasure(name: string, measure: unknown): readonly [MeasureName, string | null] {
	const [entry, ...more] = isPlainObject(measure) ? Object.entries(measure) : [];
	if (!entry || more.length > 0 || !["count", "sum", "avg", "min", "max"].includes(entry[0]))
		throw new Error(`${name}: expected { count: true }, { sum: "field" }, { avg: ... }, { min: ... } or { max: ... }`);
	return [entry[0] as MeasureName, entry[1] === true ? null : String(entry[1])];
}

type Summarize = (measures: Measures, more: { order?: Order; limit?: number }) => Promise<Value>;

/** Groups of a query's rows; each method gives a new one. */
class GroupBuilder {
	private readonly summarize: Summarize;
	private readonly fields: readonly string[];
	private readonly by: Order | undefined;
	private readonly most: number | undefined;
	constructor(summarize: Summarize, fields: readonly string[], by: Order | undefined, most: number | undefined) {
		this.summarize = summarize;
		this.fields = fields;
		this.by = by;
		this.most = most;
	}
	order(order: unknown): GroupBuilder {
		return new GroupBuilder(this.summarize, this.fields, normalOrder(order, this.fields), this.most);
	}
	limit(n: number): GroupBuilder {
		return new GroupBuilder(this.summarize, this.fields, this.by, wholeNumber(n, "limit"));
	}
	aggregate(measures: Measures): Promise<never> {
		for (const name of Object.keys(measures))
			if (this.fields.includes(name)) return Promise.reject(new Error(`aggregate: ${name} is a field of the groups`));
		const more = { ...(this.by ? { order: this.by } : {}), ...(this.most === undefined ? {} : { limit: this.most }) };
		return this.summarize(measures, more) as Promise<never>;
	}
	count(): Promise<never> {
		return this.aggregate({ count: { count: true } });
	}
}

/** What `LockingQuery` of server/functions.ts promises, without its types. */
export class QueryBuilder {
	private readonly run: Run;
	private readonly state: State;
	constructor(run: Run, state: State) {
		this.run = run;
		this.state = state;
	}
	static start(run: Run, entity: unknown): QueryBuilder {
		if (typeof entity !== "string") throw new Error("ctx.db.query takes the name of an entity");
		return new QueryBuilder(run, { entity, where: {}, judge: undefined, natural: ["id"], order: undefined, limit: undefined, forUpdate: false, fields: undefined, include: NO_REFERENCES });
	}
	private with(change: Partial<State>): this {
		return new QueryBuilder(this.run, { ...this.state, ...change }) as this;
	}

	fullTableScan(): this {
		return this;
	}
	withIndex(name: string, range?: (q: IndexRange<Row>) => IndexRange<Row>): this {
		const entity = registry.entities.get(this.state.entity);
		const index = entity?.indexes.find((one) => one.name === name) ?? this.ownIndex(name);
		if (!entity || !index) throw new Error(`withIndex: entity ${this.state.entity} has no index named ${JSON.stringify(name)}`);
		const builder = new RangeBuilder();
		range?.(builder as unknown as IndexRange<Row>);
		for (const field of Object.keys(builder.where))
			if (!index.fields.includes(this.stored(field)) && !(field === "_creationTime" && isDocuments(entity.name))) throw new Error(`withIndex: index ${name} does not hold the field ${field}`);
		const order = this.state.order ?? normalOrder("asc", index.fields);
		const rows = bothWheres(normalWhere(entity.partial[name] ?? {}), this.storedWhere(normalWhere(builder.where)));
		return this.with({ natural: index.fields, order, where: bothWheres(this.state.where, rows) });
	}
	filter(filter: unknown): this {
		if (typeof filter !== "function") return this.also(this.storedWhere(normalWhere(filter)));
		const { where, judge } = planFilter(this.state.entity, filter as (q: never) => unknown);
		return this.also(this.storedWhere(where)).with({ judge: bothJudges(this.state.judge, judge) });
	}
	/** Rows, by their own names. */
	private also(where: Where): this {
		return this.with({ where: bothWheres(this.state.where, where) });
	}
	/** Documents have names of their own for what is kept. */
	private storedWhere(where: Where): Where {
		return isDocuments(this.state.entity) ? storedWhere(this.state.entity, where) : where;
	}
	private stored(field: string): string {
		return isDocuments(this.state.entity) ? storedField(field, this.state.entity) : field;
	}
	private ownIndex(name: string): { readonly fields: readonly string[] } | undefined {
		return isDocuments(this.state.entity) && (name === "by_creation_time" || name === "by_id") ? { fields: ["id"] } : undefined;
	}
	private shown(rows: Row[]): Row[] {
		return isDocuments(this.state.entity) ? documentsOf(this.state.entity, rows) : rows;
	}
	where(where: unknown): this {
		return this.filter(where);
	}
	order(order: unknown): this {
		return this.with({ order: normalOrder(order, this.state.natural).map(([field, direction]) => [this.stored(field), direction] as const) });
	}
	orderBy(order: unknown): this {
		return this.order(order);
	}
	limit(n: number): this {
		return this.with({ limit: wholeNumber(n, "limit") });
	}
	forUpdate(): this {
		return this.with({ forUpdate: true });
	}

	select(...fields: readonly string[]): this {
		if (fields.length === 0) throw new Error('select("field", ...): it has no fields');
		return this.with({ fields: union(fields.map((field) => this.stored(field)), []) });
	}

	include(names: Include): this {
		return this.with({ include: { ...this.state.include, ...referencesOf(this.state.entity, names, checkName) } });
	}

	/** Rows as clients know them. */
	asked({ where, order, include, limit }: Asked): Promise<Row[]> {
		const references = referencesOf(this.state.entity, include, () => undefined); // fields that clients do not know are not in the way
		return this.with({ where, order: order ?? undefined, limit, include: references }).rows();
	}

	async collect(): Promise<Row[]> {
		return this.shown(await this.rows());
	}
	private async rows(): Promise<Row[]> {
		const { fields, include, limit, judge } = this.state;
		if (limit === 0) return [];
		const names = Object.keys(include);
		const wanted = fields && union(fields, Object.values(include).map(({ field }) => field));
		const rows = judge ? await this.judged(judge, wanted) : await this.read(wanted);
		if (names.length === 0) return rows;
		const joined = await this.join(rows);
		return fields ? joined.map((row) => only(row, union(fields, names))) : joined;
	}
	/** The rows that the judge lets through. A limit counts these: as many are read, some at a time, as it takes to find them. */
	private async judged(judge: Judge, wanted: readonly string[] | undefined): Promise<Row[]> {
		const most = this.state.limit ?? Infinity;
		const order = this.ordered();
		const seen = judge.fields.map((field) => this.stored(field));
		const fields = wanted && union(wanted, [...seen, ...order.map(([field]) => field)]);
		const found: Row[] = [];
		let from = this.with({ order });
		for (let n = Math.min(Math.max(2 * most, JUDGED_LEAST), JUDGED_MOST); ; n = Math.min(2 * n, JUDGED_MOST)) {
			const rows = await (most === Infinity ? from : from.limit(n)).read(fields);
			const shown = this.shown(rows);
			found.push(...rows.filter((_, i) => judge.lets(shown[i] as Row)));
			const last = rows.at(-1);
			if (found.length >= most || most === Infinity || rows.length < n || !last) break;
			from = this.with({ order }).also(this.after(placeOf(last, order), order));
		}
		return found.slice(0, most).map((row) => (wanted ? only(row, wanted) : row));
	}
	/** The query's order, with the key behind it. */
	private ordered(): Order {
		const { entity, order, natural } = this.state;
		return orderWithKey(order ?? normalOrder("asc", natural), registry.entities.get(entity)?.key ?? []);
	}
	private after(cursor: string, order: Order): Where {
		return after(order, cursor, (field) => mayBeNull(this.state.entity, field));
	}
	private async read(fields: readonly string[] | undefined): Promise<Row[]> {
		const { entity, where, order, limit, forUpdate } = this.state;
		const more = `${forUpdate ? ',"forUpdate":true' : ""}${fields ? `,"select":${printWire(fields)}` : ""}`;
		const json = `{"entity":${printWire(entity)},"where":${JSON.stringify(whereToJson(where))},"order":${order ? printWire(order) : "null"},"limit":${limit ?? "null"}${more}}`;
		return (await this.run("query", json)) as Row[];
	}
	/** One read for each name, of the rows that are referred to. */
	private async join(rows: readonly Row[]): Promise<Row[]> {
		const { entity, include } = this.state;
		const parts = Object.entries(include).map(async ([name, { field, include: more }]) => {
			const ids = [...new Set(rows.flatMap((row) => row[field] ?? []))] as string[];
			const others = QueryBuilder.start(this.run, referredBy(entity, field)).where({ id: { $in: ids } }).with({ include: more });
			const found = ids.length ? await others.rows() : [];
			return { name, field, byId: new Map(found.map((row) => [String(row.id), others.shown([row])[0]])) };
		});
		const read = await Promise.all(parts);
		return rows.map((row) => {
			const out: { [field: string]: Value } = { ...row };
			for (const { name, field, byId } of read) defineKey(out, name, byId.get(String(row[field] as RowId)) ?? null);
			return out as Row;
		});
	}
	take(n: number): Promise<Row[]> {
		const most = wholeNumber(n, "take");
		return this.with({ limit: Math.min(most, this.state.limit ?? most) }).collect();
	}
	async first(): Promise<Row | null> {
		return (await this.take(1))[0] ?? null;
	}
	async unique(): Promise<Row | null> {
		const rows = await this.take(2);
		if (rows.length > 1) throw new Error(`unique(): more than one row of ${this.state.entity} matches`);
		return rows[0] ?? null;
	}
	paginate(options: PaginationOptions): Promise<PaginationResult<Row>> {
		return this.page(options, 1);
	}
	/** ahead: rows that are read behind the page, to see whether there are any. */
	private async page(options: PaginationOptions, ahead: 0 | 1): Promise<PaginationResult<Row>> {
		const most = wholeNumber(options.numItems, "paginate");
		if (most === 0) throw new Error("paginate: numItems is 0");
		const { entity, limit, fields, include } = this.state;
		if (limit !== undefined) throw new Error("paginate: the query has a limit of its own");
		const order = this.ordered();
		const whole = this.with({ order, fields: fields && union(fields, order.map(([field]) => field)) });
		const from = options.cursor === null ? whole : whole.also(this.after(options.cursor, order));
		const cut = (rows: Row[]) => (fields ? rows.map((row) => only(row, union(fields, Object.keys(include)))) : rows);
		if (typeof options.endCursor === "string") {
			const page = await from.also(upTo(order, options.endCursor, (field) => mayBeNull(entity, field))).rows();
			return { page: this.shown(cut(page)), isDone: options.endCursor === END, continueCursor: options.endCursor };
		}
		const rows = await from.limit(most + ahead).rows();
		const page = rows.slice(0, most), last = page.at(-1);
		const isDone = rows.length < most + ahead;
		return { page: this.shown(cut(page)), isDone, continueCursor: isDone || !last ? END : placeOf(last, order) };
	}
	/** What is asked of all rows, or of each group of them. */
	private async summarize(groupBy: readonly string[], measures: Measures, more: { order?: Order; limit?: number } = {}): Promise<Value> {
		const { entity, where, limit, forUpdate, judge } = this.state;
		if (judge) throw new Error(`a summary is made by Postgres, which is not asked about ${judge.fields.join(", ")} in such a filter; collect() the rows and count them, or use ctx.db.sql`);
		if (limit !== undefined || forUpdate) throw new Error("a summary is of all rows that match: it takes no limit and locks nothing");
		const list = Object.entries(measures).map(([name, measure]) => [name, ...readMeasure(name, measure)]);
		const head = `{"entity":${printWire(entity)},"where":${JSON.stringify(whereToJson(where))}`;
		const order = more.order ? printWire(more.order) : "null";
		return this.run("summary", `${head},"groupBy":${printWire(groupBy)},"measures":${printWire(list)},"order":${order},"limit":${more.limit ?? "null"}}`);
	}
	private async measure(name: MeasureName, field: string | null): Promise<Value> {
		return ((await this.summarize([], { it: { [name]: field ?? true } as Measure })) as { readonly it: Value }).it;
	}
	async count(): Promise<number> {
		const { judge, limit, forUpdate, entity } = this.state;
		const isKeyed = (registry.entities.get(entity)?.key ?? []).length > 1;
		if (judge && limit === undefined && !forUpdate) return (await this.with({ fields: isKeyed ? undefined : ["id"], include: {} }).rows()).length;
		return Number(await this.measure("count", null));
	}
	sum(field: string): Promise<never> {
		return this.measure("sum", field) as Promise<never>;
	}
	avg(field: string): Promise<never> {
		return this.measure("avg", field) as Promise<never>;
	}
	min(field: string): Promise<never> {
		return this.measure("min", field) as Promise<never>;
	}
	max(field: string): Promise<never> {
		return this.measure("max", field) as Promise<never>;
	}
	aggregate(measures: Measures): Promise<never> {
		return this.summarize([], measures) as Promise<never>;
	}
	groupBy(...fields: readonly string[]): GroupBuilder {
		if (fields.length === 0) throw new Error('groupBy("field", ...): it has no fields');
		return new GroupBuilder((measures, more) => this.summarize(fields, measures, more), fields, undefined, undefined);
	}
	then<A = Row[], B = never>(
		onDone?: ((rows: Row[]) => A | PromiseLike<A>) | null,
		onFailed?: ((reason: unknown) => B | PromiseLike<B>) | null,
	): Promise<A | B> {
		return this.collect().then(onDone, onFailed);
	}
	/** Some rows at a time, each of them once: who stops early has not read all, and all are no more than they are (read_max_rows). */
	async *[Symbol.asyncIterator](): AsyncIterator<Row> {
		if (this.state.limit !== undefined) return yield* await this.collect();
		for (let cursor: string | null = null, isDone = false; !isDone; ) {
			const next: PaginationResult<Row> = await this.page({ cursor, numItems: AT_ONCE }, 0);
			yield* next.page;
			({ isDone, continueCursor: cursor } = next);
		}
	}
}
