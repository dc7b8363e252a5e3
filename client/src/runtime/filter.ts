// Filter functions of queries, `(q) => q.eq(q.field("a"), 1)`: the tree that they build. filter_plan.ts says what of it Postgres decides,
// filter_judge.ts decides the rest, row by row.

import { dateText } from "../json.js";
import type { Expression } from "../server/functions.js";
import { isPlainObject, type Value } from "../values.js";
import { computed } from "./filter_judge.js";

export type Operator = "eq" | "neq" | "lt" | "lte" | "gt" | "gte";
export type Arithmetic = "add" | "sub" | "mul" | "div" | "mod" | "neg";

export type Node =
	| { readonly node: "value"; readonly value: Value | undefined }
	| { readonly node: "field"; readonly path: string }
	| { readonly node: "compute"; readonly op: Arithmetic; readonly parts: readonly Node[] }
	| { readonly node: "compare"; readonly op: Operator; readonly left: Node; readonly right: Node }
	| { readonly node: "in"; readonly left: Node; readonly values: readonly (Value | undefined)[]; readonly negated: boolean }
	| { readonly node: "and" | "or"; readonly parts: readonly Node[] };

const NODE = Symbol("millrace.filter");
type Wrapped = Expression & { readonly [NODE]: Node };

export const TRUE: Node = { node: "and", parts: [] };
export const FALSE: Node = { node: "or", parts: [] };

const wrap = (node: Node): Expression => ({ [NODE]: node }) as unknown as Expression;

function isWrapped(x: unknown): x is Wrapped {
	return typeof x === "object" && x !== null && NODE in x;
}

/** A literal: what JSON columns may hold too. */
function value(x: unknown, where: string): Value | undefined {
	if (x instanceof Date) return dateText(x, where);
	if (x === undefined || x === null || ["string", "number", "boolean", "bigint"].includes(typeof x) || x instanceof Uint8Array) return x as Value | undefined;
	if (Array.isArray(x)) return x.map((item) => value(item, where) ?? null);
	if (isPlainObject(x)) return Object.fromEntries(Object.entries(x).flatMap(([key, item]) => (item === undefined ? [] : [[key, value(item, where) as Value]])));
	throw new Error(`filter: ${where} compares with a value that filters do not know (only text, numbers, booleans, bytes, null, and arrays and objects of these)`);
}

const operand = (x: unknown, where: string): Node => (isWrapped(x) ? x[NODE] : { node: "value", value: value(x, where) });

/** A boolean field alone stands for `field = true`. */
function condition(x: unknown): Node {
	if (typeof x === "boolean") return x ? TRUE : FALSE;
	if (!isWrapped(x)) throw new Error('filter: the function must give an expression, for instance q.eq(q.field("name"), value)');
	const node = x[NODE];
	if (node.node === "compute") throw new Error(`filter: q.${node.op} gives a number; compare it with something`);
	return node.node === "field" ? { node: "compare", op: "eq", left: node, right: { node: "value", value: true } } : node;
}

const NEGATE: Record<Operator, Operator> = { eq: "neq", neq: "eq", lt: "gte", lte: "gt", gt: "lte", gte: "lt" };

function negate(node: Node): Node {
	switch (node.node) {
		case "compare":
			return { ...node, op: NEGATE[node.op] };
		case "in":
			return { ...node, negated: !node.negated };
		case "and":
			return { node: "or", parts: node.parts.map(negate) };
		case "or":
			return { node: "and", parts: node.parts.map(negate) };
		default:
			return node; // condition() gives no others
	}
}

function compare(op: Operator, a: unknown, b: unknown): Node {
	const [left, right] = [operand(a, `q.${op}`), operand(b, `q.${op}`)];
	for (const { node } of [left, right])
		if (node !== "value" && node !== "field" && node !== "compute")
			throw new Error(`filter: q.${op} compares fields and values; it cannot compare the result of another condition`);
	return { node: "compare", op, left, right };
}

function compute(op: Arithmetic, ...given: readonly unknown[]): Node {
	const parts = given.map((x) => operand(x, `q.${op}`));
	for (const { node } of parts) if (node !== "value" && node !== "field" && node !== "compute") throw new Error(`filter: q.${op} computes with fields and numbers, not with conditions`);
	return parts.every((part) => part.node === "value") ? { node: "value", value: computed(op, parts.map((part) => part.value)) } : { node: "compute", op, parts };
}

const builder = {
	field: (path: string): Expression => {
		if (typeof path !== "string" || path === "" || path.startsWith("$")) throw new Error(`filter: ${JSON.stringify(path)} is no field`);
		return wrap({ node: "field", path });
	},
	eq: (a: unknown, b: unknown) => wrap(compare("eq", a, b)),
	neq: (a: unknown, b: unknown) => wrap(compare("neq", a, b)),
	lt: (a: unknown, b: unknown) => wrap(compare("lt", a, b)),
	lte: (a: unknown, b: unknown) => wrap(compare("lte", a, b)),
	gt: (a: unknown, b: unknown) => wrap(compare("gt", a, b)),
	gte: (a: unknown, b: unknown) => wrap(compare("gte", a, b)),
	and: (...parts: unknown[]) => wrap({ node: "and", parts: parts.map(condition) }),
	or: (...parts: unknown[]) => wrap({ node: "or", parts: parts.map(condition) }),
	not: (part: unknown) => wrap(negate(condition(part))),
	in: (a: unknown, values: readonly unknown[]) => {
		if (!isWrapped(a) || !Array.isArray(values)) throw new Error("filter: q.in takes a field and an array of values");
		return wrap({ node: "in", left: a[NODE], values: values.map((x) => value(x, "q.in")), negated: false });
	},
	add: (a: unknown, b: unknown) => wrap(compute("add", a, b)),
	sub: (a: unknown, b: unknown) => wrap(compute("sub", a, b)),
	mul: (a: unknown, b: unknown) => wrap(compute("mul", a, b)),
	div: (a: unknown, b: unknown) => wrap(compute("div", a, b)),
	mod: (a: unknown, b: unknown) => wrap(compute("mod", a, b)),
	neg: (a: unknown) => wrap(compute("neg", a)),
};

/** The tree of a filter function; there is no "not" in it. */
export function treeOf(filter: (q: never) => unknown): Node {
	return condition((filter as (q: unknown) => unknown)(builder));
}
