// The where language of docs/manifest.md as functions give it. What it cannot say is refused here with a sentence.

import { dateText } from "../json.js";
import { isPlainObject, type Scalar, type Where } from "../values.js";

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
