// The value language: what may travel, and how values of the column types compare. The same rules as SQL and the C matcher
// (proto/value.h): text by code point, NaN equal to itself and largest, datetimes by microsecond, numerics exactly.

import type { RowId } from "./keys.js";

export type Value =
	null | boolean | number | bigint | string | Uint8Array | readonly Value[] | { readonly [key: string]: Value | undefined };

/** A row as it travels: its id and its fields. */
export type Row = { readonly id: RowId; readonly [field: string]: Value };

export type Scalar = null | boolean | number | bigint | string | Uint8Array;

/** Comparisons on one field. `$not` is "is distinct from": never unknown, also on null. */
export type Comparison<T = Scalar> = {
	readonly $gt?: T;
	readonly $gte?: T;
	readonly $lt?: T;
	readonly $lte?: T;
	readonly $not?: T | null;
	readonly $in?: readonly (T | null)[];
	/** Of text: `%` stands for any characters, `_` for one, a backslash before a character for that one. */
	readonly $like?: string;
};

/** What stands beside a row's fields: names, and the references whose rows they show; those may show more in their turn. */
export interface Include {
	readonly [name: string]: string | { readonly field: string; readonly include?: Include | undefined };
}

/** A filter as it travels: all members must hold. */
export type Where = { readonly [field: string]: Scalar | Comparison | readonly Where[] | undefined };

export type Direction = "asc" | "desc";
export type Order = readonly (readonly [field: string, direction: Direction])[];
export type FieldTypes = Readonly<Record<string, string>>;

export function isPlainObject(value: unknown): value is Record<string, unknown> {
	if (typeof value !== "object" || value === null) return false;
	const proto: unknown = Object.getPrototypeOf(value);
	return proto === Object.prototype || proto === null;
}

/** By code point, as `COLLATE "C"` in UTF-8: UTF-16 units differ from it where a surrogate meets a unit above U+DFFF. */
export function compareText(a: string, b: string): number {
	const n = Math.min(a.length, b.length);
	for (let i = 0; i < n; i++) {
		let x = a.charCodeAt(i);
		let y = b.charCodeAt(i);
		if (x === y) continue;
		if (x >= 0xd800 && y >= 0xd800) {
			x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
			y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
		}
		return x - y;
	}
	return a.length - b.length;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
	const n = Math.min(a.length, b.length);
	for (let i = 0; i < n; i++) {
		const d = (a[i] ?? 0) - (b[i] ?? 0);
		if (d !== 0) return d;
	}
	return a.length - b.length;
}

/** Numbers and bigints mixed, exactly; NaN is equal to itself and above all else. */
function compareNumber(a: number | bigint, b: number | bigint): number {
	const an = typeof a === "number" && Number.isNaN(a);
	const bn = typeof b === "number" && Number.isNaN(b);
	if (an || bn) return an === bn ? 0 : an ? 1 : -1;
	return a < b ? -1 : a > b ? 1 : 0;
}

type Decimal = { special: number } | { special: 0; negative: boolean; whole: string; fraction: string };

function parseDecimal(value: string | number | bigint): Decimal | undefined {
	const text = String(value).trim();
	const word = text.toLowerCase();
	if (word === "nan") return { special: 2 };
	if (word === "infinity" || word === "+infinity" || word === "inf") return { special: 1 };
	if (word === "-infinity" || word === "-inf") return { special: -1 };
	const m = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i.exec(text);
	if (!m || (!m[2] && !m[3])) return undefined;
	let whole = m[2] ?? "";
	let fraction = m[3] ?? "";
	const exponent = Number(m[4] ?? 0);
	if (Math.abs(exponent) > 200000) return undefined;
	if (exponent > 0) {
		fraction = fraction.padEnd(exponent, "0");
		whole += fraction.slice(0, exponent);
		fraction = fraction.slice(exponent);
	} else if (exponent < 0) {
		whole = whole.padStart(-exponent, "0");
		fraction = whole.slice(whole.length + exponent) + fraction;
		whole = whole.slice(0, whole.length + exponent);
	}
	whole = whole.replace(/^0+/, "");
	fraction = fraction.replace(/0+$/, "");
	return { special: 0, negative: m[1] === "-" && (whole !== "" || fraction !== ""), whole, fraction };
}

function compareDecimal(x: string | number | bigint, y: string | number | bigint): number {
	const a = parseDecimal(x);
	const b = parseDecimal(y);
	if (!a || !b) return compareText(String(x), String(y));
	if (a.special !== 0 || b.special !== 0) return a.special - b.special;
	if (!("whole" in a) || !("whole" in b)) return 0;
	if (a.negative !== b.negative) return a.negative ? -1 : 1;
	const sign = a.negative ? -1 : 1;
	const d = a.whole.length - b.whole.length || compareText(a.whole, b.whole) || compareText(a.fraction, b.fraction);
	return d === 0 ? 0 : sign * d;
}

function daysFromCivil(year: number, month: number, day: number): number {
	const y = month <= 2 ? year - 1 : year;
	const era = Math.floor(y / 400);
	const yoe = y - era * 400;
	const doy = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
	return era * 146097 + yoe * 365 + Math.floor(yoe / 4) - Math.floor(yoe / 100) + doy - 719468;
}

const ISO = /^([+-]?\d{4,6})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d\d(?::?\d\d)?(?::?\d\d)?)( BC)?$/i;

/** Microseconds since 1970, ±Infinity as text, or undefined when it is no point in time. */
export function datetimeMicros(value: string | number): bigint | "infinity" | "-infinity" | undefined {
	if (typeof value === "number") return Number.isFinite(value) ? BigInt(Math.round(value * 1000)) : undefined;
	if (value === "infinity" || value === "-infinity") return value;
	const m = ISO.exec(value);
	if (!m) return undefined;
	const year = m[9] ? 1 - Number(m[1]) : Number(m[1]);
	const zone = m[8] ?? "Z";
	let offset = 0;
	if (zone !== "Z" && zone !== "z") {
		const digits = zone.slice(1).replace(/:/g, "").padEnd(6, "0");
		offset = Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2, 4)) * 60 + Number(digits.slice(4, 6));
		if (zone[0] === "-") offset = -offset;
	}
	const seconds =
		daysFromCivil(year, Number(m[2]), Number(m[3])) * 86400 + Number(m[4]) * 3600 + Number(m[5]) * 60 + Number(m[6] ?? 0) - offset;
	return BigInt(seconds) * 1000000n + BigInt((m[7] ?? "").padEnd(6, "0").slice(0, 6));
}

function compareDatetime(a: string | number, b: string | number): number {
	if (typeof a === "string" && typeof b === "string") {
		if (a === b) return 0;
		const plain = a.length === 24 && b.length === 24 && a.charCodeAt(23) === 90 && b.charCodeAt(23) === 90;
		if (plain && a.charCodeAt(0) !== 45 && b.charCodeAt(0) !== 45) return a < b ? -1 : 1; // 2026-11-21T03:40:18.123Z
	}
	const x = datetimeMicros(a);
	const y = datetimeMicros(b);
	if (x === undefined || y === undefined) return compareText(String(a), String(b));
	const rank = (t: bigint | string): number => (t === "infinity" ? 1 : t === "-infinity" ? -1 : 0);
	if (rank(x) !== 0 || rank(y) !== 0) return rank(x) - rank(y);
	return x < y ? -1 : x > y ? 1 : 0;
}

/** Order of two values of one column type, both not null. */
export function compareValues(type: string | undefined, a: Value, b: Value): number {
	switch (type) {
		case "datetime":
			if ((typeof a === "string" || typeof a === "number") && (typeof b === "string" || typeof b === "number"))
				return compareDatetime(a, b);
			break;
		case "numeric":
			if (isNumeral(a) && isNumeral(b)) return compareDecimal(a, b);
			break;
		case "uuid":
			if (typeof a === "string" && typeof b === "string") return compareText(a.toLowerCase(), b.toLowerCase());
			break;
		case "json":
			return compareText(JSON.stringify(a), JSON.stringify(b));
		default:
			break;
	}
	if (typeof a === "string" && typeof b === "string") return a === b ? 0 : compareText(a, b);
	if ((typeof a === "number" || typeof a === "bigint") && (typeof b === "number" || typeof b === "bigint")) return compareNumber(a, b);
	if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
	if (a instanceof Uint8Array && b instanceof Uint8Array) return compareBytes(a, b);
	return compareText(typeof a, typeof b) || 1; // values that do not compare are at least never equal
}

function isNumeral(v: Value): v is string | number | bigint {
	return typeof v === "string" || typeof v === "number" || typeof v === "bigint";
}

/** Equality of any two values: what decides whether a row has changed. NaN equals itself. */
export function sameValue(a: unknown, b: unknown): boolean {
	if (a === b) return true;
	if (typeof a !== typeof b) return false;
	if (typeof a === "number") return Number.isNaN(a) && Number.isNaN(b);
	if (typeof a !== "object" || a === null || b === null || typeof b !== "object") return false;
	if (a instanceof Uint8Array || b instanceof Uint8Array)
		return a instanceof Uint8Array && b instanceof Uint8Array && compareBytes(a, b) === 0;
	if (Array.isArray(a) || Array.isArray(b)) {
		if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
		return a.every((item, i) => sameValue(item, b[i]));
	}
	const x = a as Record<string, unknown>;
	const y = b as Record<string, unknown>;
	const keys = Object.keys(x);
	return keys.length === Object.keys(y).length && keys.every((key) => Object.hasOwn(y, key) && sameValue(x[key], y[key]));
}

/** `next`, with every part that equals its counterpart in `old` taken from `old`, so that what did not change keeps its identity. */
export function shareUnchanged(old: Value | undefined, next: Value): Value {
	if (old === undefined || old === next) return next;
	if (Array.isArray(old) && Array.isArray(next)) return shareArray(old, next);
	if (isPlainObject(old) && isPlainObject(next)) {
		const was = old as { readonly [key: string]: Value };
		const out: Record<string, Value> = {};
		const keys = Object.keys(next);
		let same = keys.length === Object.keys(old).length;
		for (const key of keys) {
			const part = shareUnchanged(Object.hasOwn(was, key) ? was[key] : undefined, (next as { readonly [key: string]: Value })[key] ?? null);
			defineKey(out, key, part);
			same &&= Object.hasOwn(was, key) && part === was[key];
		}
		return same ? was : out;
	}
	return sameValue(old, next) ? old : next;
}

function idOf(item: Value): RowId | undefined {
	if (!isPlainObject(item)) return undefined;
	const id = item["id"] ?? item["_id"];
	return typeof id === "string" || typeof id === "number" || typeof id === "bigint" ? id : undefined;
}

/** Elements are paired by `id` (or `_id`) where they have one, else by place. */
function shareArray(old: readonly Value[], next: readonly Value[]): Value {
	const byId = new Map<RowId, Value>();
	for (const item of old) {
		const id = idOf(item);
		if (id !== undefined) byId.set(id, item);
	}
	let same = old.length === next.length;
	const out = next.map((item, i) => {
		const id = idOf(item);
		const part = shareUnchanged(id === undefined ? old[i] : byId.get(id), item);
		same &&= part === old[i];
		return part;
	});
	return same ? old : out;
}

/** Sets an own property, also when the key is `__proto__`. */
export function defineKey(target: object, key: string, value: unknown): void {
	if (key === "__proto__") Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
	else (target as Record<string, unknown>)[key] = value;
}

// --- predicates over one row: 1 true, 0 false, -1 unknown, as in proto/predicate.h ---

export type Truth = 1 | 0 | -1;

function and(parts: Iterable<Truth>): Truth {
	let result: Truth = 1;
	for (const part of parts) {
		if (part === 0) return 0;
		if (part === -1) result = -1;
	}
	return result;
}

function or(parts: Iterable<Truth>): Truth {
	let result: Truth = 0;
	for (const part of parts) {
		if (part === 1) return 1;
		if (part === -1) result = -1;
	}
	return result;
}

function fieldOf(row: Row, field: string): Value {
	return Object.hasOwn(row, field) ? (row[field] ?? null) : null;
}

function equals(type: string | undefined, have: Value, want: Value): Truth {
	if (want === null) return have === null ? 1 : 0;
	if (have === null) return -1;
	return compareValues(type, have, want) === 0 ? 1 : 0;
}

function ordered(type: string | undefined, have: Value, want: Value, test: (d: number) => boolean): Truth {
	if (have === null || want === null) return -1;
	return test(compareValues(type, have, want)) ? 1 : 0;
}

/** One step at the pattern's place p: how far both go on, or nothing where they differ. */
function likeStep(text: readonly string[], t: number, pattern: readonly string[], p: number): number {
	if (t === text.length || p === pattern.length) return 0;
	if (pattern[p] === "_") return 1;
	if (pattern[p] !== "\\") return pattern[p] === text[t] ? 1 : 0;
	return pattern[p + 1] === text[t] ? 2 : 0;
}

/** As proto/like.c: only the last "%" is ever tried again. */
function like(have: string, want: string): boolean {
	const [text, pattern] = [Array.from(have), Array.from(want)];
	let [t, p, againT, againP] = [0, 0, -1, 0];
	while (t < text.length || p < pattern.length) {
		const step = likeStep(text, t, pattern, p);
		if (pattern[p] === "%") {
			againP = ++p;
			againT = t;
		} else if (step > 0) {
			t++;
			p += step;
		} else {
			if (againT < 0 || againT >= text.length) return false;
			t = ++againT;
			p = againP;
		}
	}
	return true;
}

function* comparisons(type: string | undefined, have: Value, term: Comparison): Generator<Truth> {
	for (const [op, want] of Object.entries(term)) {
		if (want === undefined) continue;
		if (op === "$in") yield or((want as readonly Value[]).map((item) => equals(type, have, item)));
		else if (op === "$not") yield equals(type, have, want as Value) === 1 ? 0 : 1;
		else if (op === "$gt") yield ordered(type, have, want as Value, (d) => d > 0);
		else if (op === "$gte") yield ordered(type, have, want as Value, (d) => d >= 0);
		else if (op === "$lt") yield ordered(type, have, want as Value, (d) => d < 0);
		else if (op === "$lte") yield ordered(type, have, want as Value, (d) => d <= 0);
		else if (op === "$like") yield have === null ? -1 : like(String(have), String(want)) ? 1 : 0;
		else yield 0; // the server refuses such a filter; nothing matches meanwhile
	}
}

function* members(where: Where, row: Row, types: FieldTypes): Generator<Truth> {
	for (const [key, term] of Object.entries(where)) {
		if (term === undefined) continue;
		if (key === "$or") yield or((term as readonly Where[]).map((part) => matchWhere(part, row, types)));
		else if (key === "$and") yield and((term as readonly Where[]).map((part) => matchWhere(part, row, types)));
		else if (isPlainObject(term)) yield* comparisons(types[key], fieldOf(row, key), term as Comparison);
		else yield equals(types[key], fieldOf(row, key), term as Scalar);
	}
}

export function matchWhere(where: Where, row: Row, types: FieldTypes): Truth {
	return and(members(where, row, types));
}

/** With the key behind it, in the last direction, so that no two rows have one place. An id that is made of several fields stands for these. */
export function orderWithKey(order: Order, key: readonly string[]): Order {
	const fields = key.length > 1 ? key : ["id"];
	const own = order.findIndex(([field]) => field === "id");
	const given = own < 0 ? order : order.slice(0, own);
	const direction = own < 0 ? (order.at(-1)?.[1] ?? "asc") : (order[own]?.[1] ?? "asc");
	const rest = fields.filter((name) => !given.some(([field]) => field === name));
	return [...given, ...rest.map((name) => [name, direction] as const), ...(own < 0 || key.length > 1 ? [] : order.slice(own + 1))];
}

/** A comparator for an order: nulls last ascending and first descending, as Postgres; the key breaks ties. */
export function rowComparator(order: Order | undefined, types: FieldTypes, key: readonly string[] = []): (a: Row, b: Row) => number {
	const terms = orderWithKey(order ?? [], key);
	return (a, b) => {
		for (const [field, direction] of terms) {
			const x = fieldOf(a, field);
			const y = fieldOf(b, field);
			let d = 0;
			if (x === null || y === null) d = x === y ? 0 : x === null ? 1 : -1;
			else d = compareValues(types[field] ?? (field === "id" ? "uuid" : undefined), x, y);
			if (d !== 0) return direction === "desc" ? -d : d;
		}
		return 0;
	};
}
