// What a filter says of one row: for that which the predicate language does not know (two fields, arithmetic, what is inside JSON).

import type { FieldType } from "../server/schema.js";
import { compareText, compareValues, isPlainObject, type Value } from "../values.js";
import type { Arithmetic, Node, Operator } from "./filter.js";

type Maybe = Value | undefined;

/** How the rows are meant: a document's absent field is undefined, which like null is below all else; a row's null is nothing, as in SQL. */
export interface Reading {
	readonly entity: string;
	readonly isDocuments: boolean;
	/** Of a field: its own name, then the names inside it. */
	readonly path: (path: string) => readonly string[];
	readonly typeOf: (path: string) => FieldType | undefined;
}

// --- order: undefined, null, bigint, number, boolean, text, bytes, array, object; within one kind as Postgres has it ---

function kindOf(value: Maybe): number {
	if (value === undefined || value === null) return value === undefined ? 0 : 1;
	if (value instanceof Uint8Array) return 6;
	if (Array.isArray(value)) return 7;
	return { bigint: 2, number: 3, boolean: 4, string: 5 }[typeof value as string] ?? 8;
}
const KINDS = ["undefined", "null", "bigint", "number", "boolean", "text", "bytes", "an array", "an object"];
const kindName = (value: Maybe): string => KINDS[kindOf(value)] as string;

function compareLists(a: readonly Value[], b: readonly Value[]): number {
	for (let i = 0; i < a.length && i < b.length; i++) {
		const d = compareAny(a[i], b[i]);
		if (d !== 0) return d;
	}
	return a.length - b.length;
}
const entriesOf = (o: { readonly [key: string]: Value }): Value[] => Object.entries(o).sort(([a], [b]) => compareText(a, b)).flat();

/** Of any two values there are. */
export function compareAny(a: Maybe, b: Maybe): number {
	const [x, y] = [kindOf(a), kindOf(b)];
	if (x !== y) return x - y;
	if (x < 2) return 0;
	if (x < 7) return compareValues(undefined, a as Value, b as Value);
	return x === 7 ? compareLists(a as Value[], b as Value[]) : compareLists(entriesOf(a as { [key: string]: Value }), entriesOf(b as { [key: string]: Value }));
}

export function holds(op: Operator, d: number): boolean {
	switch (op) {
		case "eq":
			return d === 0;
		case "neq":
			return d !== 0;
		case "lt":
			return d < 0;
		case "lte":
			return d <= 0;
		case "gt":
			return d > 0;
		case "gte":
			return d >= 0;
		default:
			return op satisfies never;
	}
}

// --- arithmetic: of two numbers, or of two bigints ---

const WORDS: Record<Arithmetic, string> = { add: "add", sub: "subtract", mul: "multiply", div: "divide", mod: "take the remainder of", neg: "negate" };
const NUMBERS: Record<Arithmetic, (a: number, b: number) => number> = {
	add: (a, b) => a + b,
	sub: (a, b) => a - b,
	mul: (a, b) => a * b,
	div: (a, b) => a / b,
	mod: (a, b) => a % b,
	neg: (a) => -a,
};
const BIGINTS: Record<Arithmetic, (a: bigint, b: bigint) => bigint> = {
	add: (a, b) => a + b,
	sub: (a, b) => a - b,
	mul: (a, b) => a * b,
	div: (a, b) => a / b,
	mod: (a, b) => a % b,
	neg: (a) => -a,
};

export function computed(op: Arithmetic, parts: readonly Maybe[]): Value {
	const [a, b = a] = parts.length === 1 ? [parts[0], parts[0]] : parts;
	if (typeof a === "number" && typeof b === "number") return NUMBERS[op](a, b);
	if (typeof a !== "bigint" || typeof b !== "bigint") throw new Error(`filter: q.${op} cannot ${WORDS[op]} ${parts.map(kindName).join(" and ")}`);
	if (b === 0n && (op === "div" || op === "mod")) throw new Error(`filter: q.${op} divides by 0`);
	const result = BIGINTS[op](a, b);
	if (BigInt.asIntN(64, result) !== result) throw new Error(`filter: q.${op} gives ${result}, which no bigint of 64 bits can be`);
	return result;
}

// --- one row ---

type Shown = { readonly [field: string]: Maybe };

function fieldOf(row: Shown, path: string, how: Reading): Maybe {
	const [root = "", ...inside] = how.path(path);
	let at: Maybe = Object.hasOwn(row, root) ? row[root] : undefined;
	if (at === undefined && !how.isDocuments) throw new Error(`filter: ${how.entity}.${root} is not among the fields that may be read here`);
	for (const key of inside) at = isPlainObject(at) && Object.hasOwn(at, key) ? (at[key] as Value) : undefined;
	return how.isDocuments ? at : (at ?? null);
}

function valueOf(node: Node, row: Shown, how: Reading): Maybe {
	if (node.node === "value") return how.isDocuments ? node.value : (node.value ?? null);
	if (node.node === "field") return fieldOf(row, node.path, how);
	if (node.node !== "compute") return isTrue(node, row, how);
	const parts = node.parts.map((part) => valueOf(part, row, how));
	return !how.isDocuments && parts.includes(null) ? null : computed(node.op, parts);
}

const typeOf = (node: Node, how: Reading): FieldType | undefined => (node.node === "field" ? how.typeOf(node.path) : undefined);

function compares(op: Operator, left: Node, right: Node, row: Shown, how: Reading): boolean {
	const [a, b] = [valueOf(left, row, how), valueOf(right, row, how)];
	if (how.isDocuments && (a === undefined || b === undefined)) return holds(op, compareAny(a, b));
	if (a === null || b === null) return how.isDocuments || op === "eq" || op === "neq" ? holds(op, compareAny(a, b)) : false;
	const type = typeOf(left, how) ?? typeOf(right, how);
	const isOwn = type === "datetime" || type === "numeric" || (type !== undefined && type !== "json" && !how.isDocuments);
	const known = isOwn && typeof a !== "object" && typeof b !== "object";
	return holds(op, known ? compareValues(type, a as Value, b as Value) : compareAny(a, b));
}

/** Whether the row is one that the filter lets through. */
export function isTrue(node: Node, row: Shown, how: Reading): boolean {
	switch (node.node) {
		case "compare":
			return compares(node.op, node.left, node.right, row, how);
		case "in":
			return node.values.some((one) => compares("eq", node.left, { node: "value", value: one }, row, how)) !== node.negated;
		case "and":
			return node.parts.every((part) => isTrue(part, row, how));
		case "or":
			return node.parts.some((part) => isTrue(part, row, how));
		default:
			return valueOf(node, row, how) === true;
	}
}
