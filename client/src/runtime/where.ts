// Filter functions -> the where language of docs/manifest.md. What it cannot say is refused here with a sentence.

import type { Expression } from "../server/functions.js";
import { dateText } from "../json.js";
import { isPlainObject, type Scalar, type Where } from "../values.js";

type Operator = "eq" | "neq" | "lt" | "lte" | "gt" | "gte";

/** What the filter builder builds: a tree that is only turned into a where when it is complete. */
type Node =
	| { readonly node: "field"; readonly name: string }
	| { readonly node: "compare"; readonly op: Operator; readonly field: string; readonly value: Scalar }
	| { readonly node: "in"; readonly field: string; readonly values: readonly Scalar[]; readonly negated: boolean }
	| { readonly node: "and" | "or"; readonly parts: readonly Node[] };

const NODE = Symbol("millrace.filter");
type Wrapped = Expression & { readonly [NODE]: Node };

const TRUE: Node = { node: "and", parts: [] };
const FALSE: Node = { node: "or", parts: [] };

const wrap = (node: Node): Expression => ({ [NODE]: node }) as unknown as Expression;

function isWrapped(x: unknown): x is Wrapped {
	return typeof x === "object" && x !== null && NODE in x;
}

function scalar(x: unknown, where: string): Scalar {
	if (x === undefined) return null;
	if (x instanceof Date) return dateText(x, where);
	if (
		x === null ||
		typeof x === "string" ||
		typeof x === "number" ||
		typeof x === "boolean" ||
		typeof x === "bigint" ||
		x instanceof Uint8Array
	)
		return x;
	throw new Error(`filter: ${where} compares with a value that filters do not know (only text, numbers, booleans, bytes and null)`);
}

/** A boolean field alone stands for `field = true`. */
function condition(x: unknown): Node {
	if (typeof x === "boolean") return x ? TRUE : FALSE;
	if (!isWrapped(x)) throw new Error('filter: the function must give an expression, for instance q.eq(q.field("name"), value)');
	const node = x[NODE];
	return node.node === "field" ? { node: "compare", op: "eq", field: node.name, value: true } : node;
}

const FLIP: Record<Operator, Operator> = { eq: "eq", neq: "neq", lt: "gt", lte: "gte", gt: "lt", gte: "lte" };
const NEGATE: Record<Operator, Operator> = { eq: "neq", neq: "eq", lt: "gte", lte: "gt", gt: "lte", gte: "lt" };

function constant(op: Operator, a: Scalar, b: Scalar): Node {
	if (op === "eq") return a === b ? TRUE : FALSE;
	if (op === "neq") return a === b ? FALSE : TRUE;
	throw new Error(`filter: q.${op} needs a field on one side`);
}

function compare(op: Operator, a: unknown, b: unknown): Node {
	const left = isWrapped(a) ? a[NODE] : undefined;
	const right = isWrapped(b) ? b[NODE] : undefined;
	if ((left && left.node !== "field") || (right && right.node !== "field"))
		throw new Error(`filter: q.${op} compares a field with a value; it cannot compare the result of another condition`);
	if (left?.node === "field" && right?.node === "field")
		throw new Error(`filter: q.${op} cannot compare two fields (${left.name} and ${right.name}); use ctx.db.sql for that`);
	if (left?.node !== "field" && right?.node !== "field") return constant(op, scalar(a, `q.${op}`), scalar(b, `q.${op}`));
	const [field, value, way] = left?.node === "field" ? [left.name, b, op] : [right?.node === "field" ? right.name : "", a, FLIP[op]];
	const wanted = scalar(value, field);
	if (wanted === null && way !== "eq" && way !== "neq") throw new Error(`filter: q.${way} on ${field} has null to compare with`);
	return { node: "compare", op: way, field, value: wanted };
}

function negate(node: Node): Node {
	switch (node.node) {
		case "field":
			return { node: "compare", op: "neq", field: node.name, value: true };
		case "compare":
			return { ...node, op: NEGATE[node.op] };
		case "in":
			return { ...node, negated: !node.negated };
		case "and":
			return { node: "or", parts: node.parts.map(negate) };
		case "or":
			return { node: "and", parts: node.parts.map(negate) };
		default:
			return node satisfies never;
	}
}

const unsupported = (name: string) => (): never => {
	throw new Error(`filter: q.${name} is not supported; use ctx.db.sql for arithmetic`);
};

const builder = {
	field: (name: string): Expression => {
		if (typeof name !== "string" || name === "" || name.startsWith("$")) throw new Error(`filter: ${JSON.stringify(name)} is no field`);
		return wrap({ node: "field", name });
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
		if (!isWrapped(a) || a[NODE].node !== "field") throw new Error("filter: q.in takes a field and an array of values");
		const { name } = a[NODE];
		return wrap({ node: "in", field: name, values: values.map((x) => scalar(x, name)), negated: false });
	},
	add: unsupported("add"),
	sub: unsupported("sub"),
	mul: unsupported("mul"),
	div: unsupported("div"),
	mod: unsupported("mod"),
	neg: unsupported("neg"),
};

const SPELLED: Record<Exclude<Operator, "eq">, string> = { neq: "$not", lt: "$lt", lte: "$lte", gt: "$gt", gte: "$gte" };

function print(node: Node): Where {
	switch (node.node) {
		case "field":
			return { [node.name]: true };
		case "compare":
			return node.op === "eq" ? { [node.field]: node.value } : { [node.field]: { [SPELLED[node.op]]: node.value } };
		case "in":
			return node.negated
				? { $and: node.values.map((value) => ({ [node.field]: { $not: value } })) }
				: { [node.field]: { $in: node.values } };
		case "and":
			return node.parts.length === 0 ? {} : { $and: node.parts.map(print) };
		case "or":
			return { $or: node.parts.map(print) };
		default:
			return node satisfies never;
	}
}

export function whereFromFilter(filter: (q: never) => unknown): Where {
	return print(condition((filter as (q: unknown) => unknown)(builder)));
}

/** Both must hold. */
export function bothWheres(a: Where | undefined, b: Where): Where {
	if (!a || Object.keys(a).length === 0) return b;
	if (Object.keys(b).length === 0) return a;
	const overlap = Object.keys(b).some((key) => Object.hasOwn(a, key));
	return overlap ? { $and: [a, b] } : { ...a, ...b };
}

/** A where as it is sent: dates become text, and shapes that no reader knows are refused. */
export function normalWhere(where: unknown, path = "where"): Where {
	if (!isPlainObject(where)) throw new Error(`${path}: expected an object of fields`);
	const out: Record<string, unknown> = {};
	for (const [key, term] of Object.entries(where)) {
		if (term === undefined) continue;
		if (key === "$or" || key === "$and") {
			if (!Array.isArray(term)) throw new Error(`${path}.${key}: expected an array of filters`);
			out[key] = term.map((part, i) => normalWhere(part, `${path}.${key}[${i}]`));
		} else if (key.startsWith("$"))
			throw new Error(`${path}: ${key} is not known; there are $or and $and, and on a field $gt $gte $lt $lte $not $in $like`);
		else out[key] = isPlainObject(term) ? normalTerm(term, `${path}.${key}`) : scalar(term, `${path}.${key}`);
	}
	return out as Where;
}

function normalTerm(term: Record<string, unknown>, path: string): Record<string, unknown> {
	const out: Record<string, unknown> = {};
	for (const [op, value] of Object.entries(term)) {
		if (value === undefined) continue;
		if (op === "$in") {
			if (!Array.isArray(value)) throw new Error(`${path}.$in: expected an array`);
			out[op] = value.map((item) => scalar(item, path));
		} else if (["$gt", "$gte", "$lt", "$lte", "$not"].includes(op)) {
			const wanted = scalar(value, path);
			if (wanted === null && op !== "$not") throw new Error(`${path}.${op}: null cannot be compared`);
			out[op] = wanted;
		} else if (op === "$like") {
			if (typeof value !== "string") throw new Error(`${path}.$like: expected text with % and _`);
			out[op] = value;
		} else throw new Error(`${path}: ${op} is not known; there are $gt $gte $lt $lte $not $in $like`);
	}
	return out;
}
