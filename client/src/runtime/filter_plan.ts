// Of a filter's tree, what Postgres decides (a where) and what is judged row by row. Both give what the filter says: of a document as
// Convex has it, where undefined and null are below all else; of a row as `where` has it.

import { readDocumentId } from "../server/documents.js";
import { SCHEDULED } from "../server/scheduler.js";
import type { Row, Scalar, Value, Where } from "../values.js";
import { factsOf } from "./columns.js";
import { isDocuments, nullStandsFor } from "./documents.js";
import { type Node, type Operator, treeOf } from "./filter.js";
import { compareAny, holds, isTrue, type Reading } from "./filter_judge.js";

/** What is left to be judged of each row that was read, as functions see it. */
export interface Judge {
	/** The fields that it looks at. */
	readonly fields: readonly string[];
	readonly lets: (row: Row) => boolean;
}

const EVERYTHING: Where = {};
const NOTHING: Where = { $or: [] };
const SPELLED: Record<Exclude<Operator, "eq">, string> = { neq: "$not", lt: "$lt", lte: "$lte", gt: "$gt", gte: "$gte" };
const FLIP: Record<Operator, Operator> = { eq: "eq", neq: "neq", lt: "gt", lte: "gte", gt: "lt", gte: "lte" };
const compared = (field: string, op: Operator, value: Scalar): Where => ({ [field]: op === "eq" ? value : { [SPELLED[op]]: value } });

/** Jobs as documents, which are made of other columns. */
const isJobs = (entity: string): boolean => entity === SCHEDULED && isDocuments(entity);

/** The names of a path: a field may have a dot in its own name. */
function pathOf(entity: string, path: string): readonly string[] {
	return factsOf(entity, path) && !isJobs(entity) ? [path] : path.split(".");
}

function readingOf(entity: string): Reading {
	const typeOf = (path: string) => (pathOf(entity, path).length === 1 ? factsOf(entity, path)?.type : "json");
	return { entity, isDocuments: isDocuments(entity), path: (path) => pathOf(entity, path), typeOf };
}

// --- one comparison of a field with a value; undefined: not Postgres's to decide ---

function isInt64(value: Value): boolean {
	return typeof value === "bigint" && BigInt.asIntN(64, value) === value;
}

/** A value of the field's own kind, for which the column's order is that of documents. */
function isOfKind(entity: string, field: string, op: Operator, value: Value): value is Scalar {
	const same = op === "eq" || op === "neq";
	if (field === "_creationTime") return typeof value === "number" && Number.isFinite(value);
	const facts = factsOf(entity, field);
	const table = field === "_id" ? entity : facts?.type === "uuid" ? facts.references : undefined;
	if (table !== undefined) return typeof value === "string" && (same || readDocumentId(value)?.table === table);
	if (facts?.values) return same && typeof value !== "bigint" && facts.values.includes(value as never);
	switch (facts?.type) {
		case "string":
		case "datetime":
			return typeof value === "string";
		case "float":
			return typeof value === "number" && Number.isFinite(value);
		case "int":
			return Number.isSafeInteger(value);
		case "bigint":
			return isInt64(value);
		case "bool":
			return same && typeof value === "boolean";
		case "bytes":
			return value instanceof Uint8Array;
		default:
			return false;
	}
}

/** Null rows stand at their place in the order, below all others. */
function comparedDocuments(entity: string, field: string, op: Operator, value: Value | undefined): Where | undefined {
	const own = nullStandsFor(entity, field);
	if (value === undefined || value === null) {
		const atNull = own !== "nothing" && holds(op, compareAny(own, value)), atOther = holds(op, 1);
		if (atNull === atOther || own === "nothing") return atOther ? EVERYTHING : NOTHING;
		return { [field]: atNull ? null : { $not: null } };
	}
	if (!isOfKind(entity, field, op, value)) return undefined;
	const such = compared(field, op, value);
	return own !== "nothing" && (op === "lt" || op === "lte") ? { $or: [{ [field]: null }, such] } : such;
}

function comparedRows(field: string, op: Operator, value: Value | undefined): Where | undefined {
	if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) throw new Error(`filter: q.${op} compares ${field} with an array or object, which only JSON fields can be`);
	const wanted = (value ?? null) as Scalar;
	if (wanted === null && op !== "eq" && op !== "neq") throw new Error(`filter: q.${op} on ${field} has null to compare with`);
	return compared(field, op, wanted);
}

function comparedField(entity: string, path: string, op: Operator, value: Value | undefined): Where | undefined {
	const [field = "", ...inside] = pathOf(entity, path);
	if (isJobs(entity)) return inside.length > 0 && path !== "state.kind" ? undefined : comparedRows(path, op, value);
	if (inside.length > 0 || factsOf(entity, field)?.type === "json") return undefined;
	return isDocuments(entity) ? comparedDocuments(entity, field, op, value) : comparedRows(field, op, value);
}

// --- trees ---

/** `$in` where each of them is a plain equality. */
function anyOf(parts: readonly Where[]): Where {
	const pairs = parts.flatMap((part) => Object.entries(part));
	const [field] = pairs[0] ?? [];
	const plain = field !== undefined && pairs.length === parts.length && pairs.every(([key, term]) => key === field && !field.startsWith("$") && (typeof term !== "object" || term === null || term instanceof Uint8Array));
	return plain ? { [field]: { $in: pairs.map(([, term]) => term as Scalar) } } : { $or: parts };
}

function whereOf(entity: string, node: Node): Where | undefined {
	switch (node.node) {
		case "compare": {
			const { op, left, right } = node;
			if (left.node === "field" && right.node === "value") return comparedField(entity, left.path, op, right.value);
			if (left.node === "value" && right.node === "field") return comparedField(entity, right.path, FLIP[op], left.value);
			if (left.node === "value" && right.node === "value") return isTrue(node, {}, readingOf(entity)) ? EVERYTHING : NOTHING;
			return undefined;
		}
		case "in": {
			const parts = node.values.map((value) => whereOf(entity, { node: "compare", op: node.negated ? "neq" : "eq", left: node.left, right: { node: "value", value } }));
			if (!parts.every((part) => part !== undefined)) return undefined;
			return node.negated ? { $and: parts } : anyOf(parts);
		}
		case "and":
		case "or": {
			const parts = node.parts.map((part) => whereOf(entity, part));
			if (!parts.every((part) => part !== undefined)) return undefined;
			return node.node === "or" ? { $or: parts } : parts.length === 0 ? EVERYTHING : { $and: parts };
		}
		default:
			return undefined;
	}
}

function* fieldsOf(node: Node): Generator<string> {
	if (node.node === "field") yield node.path;
	else if (node.node === "compare") for (const part of [node.left, node.right]) yield* fieldsOf(part);
	else if (node.node === "in") yield* fieldsOf(node.left);
	else if (node.node !== "value") for (const part of node.parts) yield* fieldsOf(part);
}

/** Decides a whole tree by itself. */
export function judgeOf(entity: string, node: Node): Judge {
	const how = readingOf(entity);
	const fields = new Set([...fieldsOf(node)].map((path) => how.path(path)[0] ?? ""));
	for (const field of fields)
		if (!factsOf(entity, field) && !(how.isDocuments && (field === "_id" || field === "_creationTime" || isJobs(entity))))
			throw new Error(`filter: ${entity} has no field named ${field}`);
	return { fields: [...fields], lets: (row) => isTrue(node, row, how) };
}

/** What Postgres is asked for, and what must hold besides. */
export function planFilter(entity: string, filter: (q: never) => unknown): { readonly where: Where; readonly judge: Judge | undefined } {
	const tree = treeOf(filter);
	const parts = tree.node === "and" ? tree.parts : [tree];
	const wheres = parts.map((part) => whereOf(entity, part));
	const left = parts.filter((_, i) => wheres[i] === undefined);
	if (left.length === 0) return { where: whereOf(entity, tree) as Where, judge: undefined };
	const known = wheres.filter((where) => where !== undefined);
	return { where: known.length === 0 ? EVERYTHING : { $and: known }, judge: judgeOf(entity, { node: "and", parts: left }) };
}

/** Both must let it through. */
export function bothJudges(a: Judge | undefined, b: Judge | undefined): Judge | undefined {
	if (!a || !b) return a ?? b;
	return { fields: [...new Set([...a.fields, ...b.fields])], lets: (row) => a.lets(row) && b.lets(row) };
}
