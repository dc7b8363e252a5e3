// Values <-> the JSON encoding: {"$int"}, {"$bytes"}, {"$float"} for what JSON lacks (docs/protocol.md).
// Needs nothing but the language, as it also runs in the workers' engine.

import { defineKey, isPlainObject, type Value, type Where } from "./values.js";

export class ValueError extends Error {
	override readonly name = "ValueError";
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** Values of characters; -1: none. */
const REVERSE = Int8Array.from({ length: 128 }, (_, i) => ALPHABET.indexOf(String.fromCharCode(i)));
const MAX_DEPTH = 512;

/** The engine's own, where it has them (the workers' does): many times faster, for bodies of routes above all. */
type Base64 = { readonly fromBase64?: (text: string, options: { readonly lastChunkHandling: "strict" }) => Uint8Array; readonly prototype: { readonly toBase64?: () => string } };
const { fromBase64, prototype: { toBase64 } } = Uint8Array as unknown as Base64;

export function bytesToBase64(bytes: Uint8Array): string {
	if (toBase64) return toBase64.call(bytes);
	let out = "";
	for (let i = 0; i < bytes.length; i += 3) {
		const a = bytes[i] ?? 0;
		const b = bytes[i + 1] ?? 0;
		const c = bytes[i + 2] ?? 0;
		const left = bytes.length - i;
		out += ALPHABET[a >> 2] ?? "";
		out += ALPHABET[((a & 3) << 4) | (b >> 4)] ?? "";
		out += left > 1 ? ALPHABET[((b & 15) << 2) | (c >> 6)] : "=";
		out += left > 2 ? ALPHABET[c & 63] : "=";
	}
	return out;
}

function quickly(read: NonNullable<Base64["fromBase64"]>, text: string): Uint8Array {
	if (/\s/.test(text)) throw new ValueError("not base64"); // it would pass over them
	try {
		return read.call(Uint8Array, text, { lastChunkHandling: "strict" });
	} catch {
		throw new ValueError("not base64");
	}
}

export function base64ToBytes(text: string): Uint8Array {
	if (fromBase64) return quickly(fromBase64, text);
	const clean = text.replace(/={0,2}$/, "");
	if (text.length % 4 !== 0) throw new ValueError("not base64");
	const out = new Uint8Array(Math.floor((clean.length * 3) / 4));
	let bits = 0;
	let held = 0;
	let at = 0;
	for (let i = 0; i < clean.length; i++) {
		const v = REVERSE[clean.charCodeAt(i)] ?? -1;
		if (v < 0) throw new ValueError("not base64");
		held = ((held << 6) | v) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[at++] = (held >> bits) & 255;
		}
	}
	if ((held & ((1 << bits) - 1)) !== 0) throw new ValueError("not base64");
	return out;
}

const UNFIT = /\p{Surrogate}|\0/u;
/** The engine's own, where it has it: it knows of most texts at once. */
const { isWellFormed } = String.prototype as { readonly isWellFormed?: () => boolean };
const isSound = isWellFormed ? (text: string) => isWellFormed.call(text) && !text.includes("\0") : (text: string) => !UNFIT.test(text);

/** A text of the value is longer than the whole may be. */
export class TextTooLong extends Error {}
let longest = Infinity; // text of the value that is being printed

/** Postgres has no NUL in text, and UTF-8 no half of a surrogate pair: refused here, where the place is known. */
function checkText(text: string, path: string): string {
	if (text.length > longest) throw new TextTooLong();
	if (isSound(text)) return text;
	const at = text.search(UNFIT);
	throw new ValueError(
		`${path}: the text holds ${text.charCodeAt(at) === 0 ? "a NUL character" : "half of a surrogate pair"}, which cannot be stored`,
	);
}

function floatWord(n: number): string | undefined {
	if (Number.isNaN(n)) return "NaN";
	if (n === Infinity) return "Infinity";
	if (n === -Infinity) return "-Infinity";
	if (Object.is(n, -0)) return "-0";
	return undefined;
}

/** A copy of a value that JSON.stringify prints in wire form. Dates become text. Throws a ValueError that names the path. */
export function toJson(value: unknown, path = "value", depth = 0): unknown {
	switch (typeof value) {
		case "string":
			return checkText(value, path);
		case "boolean":
			return value;
		case "number": {
			const word = floatWord(value);
			return word === undefined ? value : { $float: word };
		}
		case "bigint":
			return { $int: value.toString() };
		case "undefined":
			return null;
		case "object":
			return value === null ? null : objectToJson(value, path, depth);
		default:
			throw new ValueError(`${path}: a ${typeof value} cannot be sent`);
	}
}

function objectToJson(value: object, path: string, depth: number): unknown {
	if (depth >= MAX_DEPTH) throw new ValueError(`${path}: nests too deep`);
	if (Array.isArray(value)) return value.map((item, i) => toJson(item, `${path}[${i}]`, depth + 1));
	if (value instanceof Uint8Array) return { $bytes: bytesToBase64(value) };
	if (value instanceof Date) return dateText(value, path);
	if (!isPlainObject(value))
		throw new ValueError(`${path}: a ${value.constructor?.name ?? "strange object"} cannot be sent, only plain objects`);
	const out: Record<string, unknown> = {};
	for (const [key, item] of Object.entries(value)) {
		if (item === undefined) continue;
		if (key.startsWith("$")) throw new ValueError(`${path}: the key ${JSON.stringify(key)} is refused: "$" belongs to the protocol`);
		defineKey(out, checkText(key, path), toJson(item, `${path}.${key}`, depth + 1));
	}
	return out;
}

export function dateText(value: Date, path: string): string {
	if (Number.isNaN(value.getTime())) throw new ValueError(`${path}: an invalid Date cannot be sent`);
	return value.toISOString();
}

/** The value of parsed JSON in wire form; parts without tags are used as they are. */
export function fromJson(json: unknown): Value {
	if (Array.isArray(json)) {
		for (let i = 0; i < json.length; i++) json[i] = fromJson(json[i]);
		return json as Value[];
	}
	if (typeof json !== "object" || json === null) return json as Value;
	const map = json as Record<string, unknown>;
	for (const key of Object.keys(map)) {
		if (key.startsWith("$")) return fromTag(map, key);
		const item = map[key];
		if (typeof item === "object" && item !== null) defineKey(map, key, fromJson(item));
	}
	return map as { [key: string]: Value };
}

function fromTag(map: Record<string, unknown>, key: string): Value {
	const word = map[key];
	if (Object.keys(map).length === 1 && typeof word === "string") {
		if (key === "$int" && /^(0|-?[1-9]\d{0,999})$/.test(word)) return BigInt(word);
		if (key === "$bytes") return base64ToBytes(word);
		if (key === "$float" && ["NaN", "Infinity", "-Infinity", "-0"].includes(word)) return Number(word);
	}
	throw new ValueError(`${JSON.stringify(key)} is not a value of the protocol`);
}

/** Parses text in wire form. */
export function parseWire(text: string): Value {
	const json: unknown = JSON.parse(text);
	return text.includes('"$') || text.includes("\\u0024") ? fromJson(json) : (json as Value);
}

/** Whether JSON.stringify prints it in wire form as it is, as nearly all values, but for what its texts hold. */
function isPlain(value: unknown, depth = 0): boolean {
	switch (typeof value) {
		case "string":
			return value.length <= longest;
		case "boolean":
			return true;
		case "number":
			return value - value === 0 && (value !== 0 || 1 / value > 0); // finite, and not -0
		case "object":
			if (value === null) return true;
			if (depth >= MAX_DEPTH || (value as { toJSON?: unknown }).toJSON !== undefined) return false;
			return Array.isArray(value) ? isPlainList(value, depth) : isPlainObject(value) && isPlainMap(value, depth);
		default:
			return false;
	}
}
function isPlainList(list: readonly unknown[], depth: number): boolean {
	for (let i = 0; i < list.length; i++) if (!isPlain(list[i], depth + 1)) return false;
	return true;
}
function isPlainMap(map: Record<string, unknown>, depth: number): boolean {
	for (const key in map) { // many times faster than a list of the keys
		const item = map[key];
		if (key.charCodeAt(0) === 36 /* $ */ || (item !== undefined && !isPlain(item, depth + 1))) return false;
	}
	return true;
}

/** What may not be in a text is printed as \u, if at all: whoever copies it looks. */
export function printWire(value: unknown, path?: string): string {
	const text = isPlain(value) ? JSON.stringify(value) : undefined;
	return text === undefined || text.includes("\\u") ? JSON.stringify(toJson(value, path)) : text;
}

/** The same, but where a single text in it has more characters than that nothing is printed, and TextTooLong is thrown. */
export function printWireWithin(most: number, value: unknown, path?: string): string {
	longest = most;
	try {
		return printWire(value, path);
	} finally {
		longest = Infinity;
	}
}

/** A where in wire form: its operators keep their `$`. */
export function whereToJson(where: unknown, path = "where"): unknown {
	if (Array.isArray(where)) return where.map((part, i) => whereToJson(part, `${path}[${i}]`));
	if (!isPlainObject(where)) return toJson(where, path);
	const out: Record<string, unknown> = {};
	for (const [key, item] of Object.entries(where)) if (item !== undefined) defineKey(out, key, whereToJson(item, `${path}.${key}`));
	return out;
}

/** A value as it will be sent, in a canonical form: keys sorted, dates as text, absent members gone. Refuses what cannot travel. */
export function cleanValue(value: unknown, path: string, depth = 0): Value {
	if (value === undefined || value === null) return null;
	if (typeof value === "string") return checkText(value, path);
	if (typeof value !== "object")
		return typeof value === "function" || typeof value === "symbol" ? (toJson(value, path) as Value) : (value as Value);
	if (value instanceof Uint8Array) return value;
	if (value instanceof Date) return dateText(value, path);
	if (depth >= MAX_DEPTH) throw new ValueError(`${path}: nests too deep`);
	if (Array.isArray(value)) return value.map((item, i) => cleanValue(item, `${path}[${i}]`, depth + 1));
	if (!isPlainObject(value)) return toJson(value, path) as Value; // throws the sentence
	const out: Record<string, Value> = {};
	for (const key of Object.keys(value).sort()) {
		const item = value[key];
		if (item === undefined) continue;
		if (key.startsWith("$")) throw new ValueError(`${path}: the key ${JSON.stringify(key)} is refused: "$" belongs to the protocol`);
		defineKey(out, checkText(key, path), cleanValue(item, `${path}.${key}`, depth + 1));
	}
	return out;
}

/** The same for a where: operators keep their `$`. */
export function cleanWhere(where: unknown, path = "where", depth = 0): Where {
	if (!isPlainObject(where)) throw new ValueError(`${path}: expected an object of fields`);
	if (depth >= MAX_DEPTH) throw new ValueError(`${path}: nests too deep`);
	const out: Record<string, unknown> = {};
	for (const key of Object.keys(where).sort()) {
		const term = where[key];
		if (term === undefined) continue;
		const at = `${path}.${key}`;
		if ((key === "$or" || key === "$and") && Array.isArray(term))
			out[key] = term.map((part, i) => cleanWhere(part, `${at}[${i}]`, depth + 1));
		else if (isPlainObject(term)) {
			const comparison: Record<string, Value> = {};
			for (const op of Object.keys(term).sort()) if (term[op] !== undefined) comparison[op] = cleanValue(term[op], at, depth + 1);
			defineKey(out, key, comparison);
		} else defineKey(out, key, cleanValue(term, at, depth + 1));
	}
	return out as Where;
}
