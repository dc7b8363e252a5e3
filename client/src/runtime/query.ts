// ctx.db.query(entity): an immutable description that becomes one operation when it is awaited.

import { printWire, whereToJson } from "../json.js";
import type { Expression, IndexRange, LockingQuery } from "../server/functions.js";
import { registry } from "../server/schema.js";
import { isPlainObject, type Comparison, type Direction, type Order, type Row, type Scalar, type Value, type Where } from "../values.js";
import { bothWheres, normalWhere, whereFromFilter } from "./where.js";

export type Run = (kind: "query", json: string) => Promise<Value>;

interface State {
	readonly entity: string;
	readonly where: Where;
	/** The fields of the index in use: what "asc" and "desc" speak of. */
	readonly natural: readonly string[];
	readonly order: Order | undefined;
	readonly limit: number | undefined;
	readonly forUpdate: boolean;
}

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

export class QueryBuilder implements LockingQuery<Row> {
	private readonly run: Run;
	private readonly state: State;
	constructor(run: Run, state: State) {
		this.run = run;
		this.state = state;
	}
	static start(run: Run, entity: unknown): QueryBuilder {
		if (typeof entity !== "string") throw new Error("ctx.db.query takes the name of an entity");
		return new QueryBuilder(run, { entity, where: {}, natural: ["id"], order: undefined, limit: undefined, forUpdate: false });
	}
	private with(change: Partial<State>): this {
		return new QueryBuilder(this.run, { ...this.state, ...change }) as this;
	}

	withIndex(name: string, range?: (q: IndexRange<Row>) => IndexRange<Row>): this {
		const entity = registry.entities.get(this.state.entity);
		const index = entity?.indexes.find((one) => one.name === name);
		if (!entity || !index) throw new Error(`withIndex: entity ${this.state.entity} has no index named ${JSON.stringify(name)}`);
		const builder = new RangeBuilder();
		range?.(builder as unknown as IndexRange<Row>);
		for (const field of Object.keys(builder.where))
			if (!index.fields.includes(field)) throw new Error(`withIndex: index ${name} does not hold the field ${field}`);
		const order = this.state.order ?? normalOrder("asc", index.fields);
		const rows = bothWheres(normalWhere(entity.partial[name] ?? {}), normalWhere(builder.where));
		return this.with({ natural: index.fields, order, where: bothWheres(this.state.where, rows) });
	}
	filter(filter: unknown): this {
		const where = typeof filter === "function" ? whereFromFilter(filter as (q: never) => Expression) : normalWhere(filter);
		return this.with({ where: bothWheres(this.state.where, where) });
	}
	where(where: unknown): this {
		return this.filter(where);
	}
	order(order: unknown): this {
		return this.with({ order: normalOrder(order, this.state.natural) });
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

	async collect(): Promise<Row[]> {
		const { entity, where, order, limit, forUpdate } = this.state;
		if (limit === 0) return [];
		const json = `{"entity":${printWire(entity)},"where":${JSON.stringify(whereToJson(where))},"order":${order ? printWire(order) : "null"},"limit":${limit ?? "null"}${forUpdate ? ',"forUpdate":true' : ""}}`;
		return (await this.run("query", json)) as Row[];
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
	then<A = Row[], B = never>(
		onDone?: ((rows: Row[]) => A | PromiseLike<A>) | null,
		onFailed?: ((reason: unknown) => B | PromiseLike<B>) | null,
	): Promise<A | B> {
		return this.collect().then(onDone, onFailed);
	}
	async *[Symbol.asyncIterator](): AsyncIterator<Row> {
		yield* await this.collect();
	}
}
