// Filters of documents: what Postgres is asked and what is judged give together what the filter says of the document, for trees and
// documents that chance makes.

import assert from "node:assert/strict";
import test from "node:test";
import app from "./convex_app/app";
import { documentOf, storedWhere } from "../src/runtime/documents.js";
import { treeOf } from "../src/runtime/filter.js";
import { judgeOf, planFilter } from "../src/runtime/filter_plan.js";
import { seededRandom } from "../src/runtime/random.js";
import { matchWhere, type Row, type Value } from "../src/values.js";

assert.ok("things" in app.tables);
const TYPES = { id: "uuid", name: "string", n: "float", m: "float", big: "bigint", state: "string", maybe: "float", room: "uuid", done: "bool", bytes: "bytes", place: "json", more: "json" };
const random = seededRandom("filters");
const one = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
const uuid = (i: number) => `00000000-0${i}00-7000-8000-00000000000${i}`;
const idOf = (table: string, i: number) => `${table}_${uuid(i).replaceAll("-", "")}`;

const NUMBERS = [-1, 0, 1, 2.5], BIG = [-1n, 0n, 1n, 2n], TEXTS = ["", "a", "b", "\u{ffff}", "\u{10000}"];
const INSIDE: readonly Value[] = [null, { at: 1, city: "a" }, { at: 2.5 }, { at: 0, tags: ["a", "b"] }];
const MORE: readonly Value[] = [null, 1, "a", true, [1, "a"], [1], { city: "a" }, { city: null }];
const makeRow = (): Row =>
	({
		id: uuid(one([1, 2, 3])),
		name: one(TEXTS),
		n: one([null, ...NUMBERS]),
		m: one(NUMBERS),
		big: one(BIG),
		state: one(["a", "b"]),
		maybe: one([null, ...NUMBERS]),
		room: one([null, uuid(1), uuid(2)]),
		done: one([null, true, false]),
		bytes: one([null, new Uint8Array([1]), new Uint8Array([])]),
		place: one(INSIDE),
		more: one(MORE),
	}) as unknown as Row;

const PATHS = ["_id", "_creationTime", "name", "n", "m", "big", "state", "maybe", "room", "done", "bytes", "place", "place.at", "place.city", "place.tags", "more", "more.city", "name.length"];
const LITERALS: readonly unknown[] = [undefined, null, ...NUMBERS, ...BIG, ...TEXTS, true, false, NaN, Infinity, 2n ** 70n, idOf("things", 1), idOf("rooms", 1), idOf("rooms", 2), "zzz", new Uint8Array([1]), [1, "a"], { city: "a" }, 0x0200, 0x0300, 0x02ff + 0.5];

type Q = Record<string, (...args: unknown[]) => unknown>;
const operand = (q: Q): unknown => (random() < 0.6 ? q["field"]?.(one(PATHS)) : random() < 0.8 ? one(LITERALS) : q[one(["add", "sub", "mul", "mod"])]?.(q["field"]?.(one(["m", "m", "_creationTime"])), one(NUMBERS)));
function tree(q: Q, depth: number): unknown {
	const kind = depth === 0 ? 0 : random();
	if (kind < 0.5) return q[one(["eq", "neq", "lt", "lte", "gt", "gte"])]?.(operand(q), operand(q));
	if (kind < 0.6) return q["in"]?.(q["field"]?.(one(PATHS)), [one(LITERALS), one(LITERALS)]);
	if (kind < 0.7) return q["not"]?.(tree(q, depth - 1));
	return q[one(["and", "or"])]?.(...Array.from({ length: Math.floor(random() * 4) }, () => tree(q, depth - 1)));
}

test("a plan says what the whole filter says", () => {
	const rows = Array.from({ length: 40 }, makeRow);
	const seen = { asked: 0, judged: 0, both: 0, through: 0 };
	for (let i = 0; i < 4000; i++) {
		let made: unknown;
		const filter = (q: never) => (made ??= tree(q, 3));
		const whole = judgeOf("things", treeOf(filter));
		const { where, judge } = planFilter("things", filter);
		const isAsked = JSON.stringify(where, (_, x: unknown) => (typeof x === "bigint" ? String(x) : x)) !== "{}";
		seen[judge ? (isAsked ? "both" : "judged") : "asked"]++;
		for (const row of rows) {
			const document = documentOf("things", row);
			const expected = whole.lets(document);
			const got = matchWhere(storedWhere("things", where), row, TYPES) === 1 && (judge?.lets(document) ?? true);
			if (got !== expected) assert.fail(JSON.stringify({ where, judge: judge?.fields, document, expected }, (_, x: unknown) => (typeof x === "bigint" ? `${x}n` : x)));
			if (got) seen.through++;
		}
	}
	for (const [what, n] of Object.entries(seen)) assert.ok(n > 100, `${what}: ${n}`);
});

test("documents compare as Convex has it", () => {
	const row = (more: object): Row => documentOf("things", { ...(makeRow() as object), n: null, m: 1, maybe: null, big: 5n, state: "b", ...more } as unknown as Row);
	const holds = (filter: (q: Q) => unknown, more: object = {}) => judgeOf("things", treeOf(filter as never)).lets(row(more));
	const f = (q: Q, name: string) => q["field"]?.(name);
	assert.equal(holds((q) => q["lt"]?.(f(q, "n"), 5)), true, "what is not there is below all else");
	assert.equal(holds((q) => q["lt"]?.(f(q, "n"), null)), true);
	assert.equal(holds((q) => q["eq"]?.(f(q, "n"), f(q, "maybe"))), false, "undefined is not null");
	assert.equal(holds((q) => q["eq"]?.(f(q, "n"), f(q, "place.city")), { place: { at: 1 } }), true);
	assert.equal(holds((q) => q["gt"]?.(f(q, "m"), f(q, "big"))), true, "numbers stand above bigints");
	assert.equal(holds((q) => q["gt"]?.(f(q, "name"), f(q, "m")), { name: "" }), true, "and text above numbers");
	assert.equal(holds((q) => q["lt"]?.(f(q, "state"), "c")), true);
	assert.throws(() => holds((q) => q["eq"]?.(q["add"]?.(f(q, "n"), 1), 2)), /q\.add cannot add undefined and number/);
	assert.throws(() => holds((q) => q["eq"]?.(q["add"]?.(f(q, "m"), f(q, "big")), 2)), /cannot add number and bigint/);
	assert.equal(holds((q) => q["eq"]?.(q["add"]?.(f(q, "big"), 2n), 7n)), true);
});
