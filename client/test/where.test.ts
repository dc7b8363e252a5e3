import assert from "node:assert/strict";
import test from "node:test";
import { matchWhere, type Row } from "../src/values.js";
import { planFilter } from "../src/runtime/filter_plan.js";
import { bothWheres, normalWhere } from "../src/runtime/where.js";
import { entity, field } from "../src/server/schema.js";

entity("Shape", { a: field.int(), b: field.int().optional(), t: field.datetime(), done: field.bool(), name: field.string(), big: field.bigint(), meta: field.json().optional() });

type Q = Record<string, (...args: unknown[]) => unknown>;
const planned = (filter: (q: Q) => unknown) => planFilter("Shape", filter as unknown as (q: never) => unknown);
const of = (filter: (q: Q) => unknown) => {
	const { where, judge } = planned(filter);
	assert.equal(judge, undefined);
	return where;
};

test("filter functions become wheres", () => {
	const f = (q: Q, name: string) => q["field"]?.(name);
	assert.deepEqual(
		of((q) => q["eq"]?.(f(q, "a"), 1)),
		{ a: 1 },
	);
	assert.deepEqual(
		of((q) => q["eq"]?.(f(q, "a"), undefined)),
		{ a: null },
	);
	assert.deepEqual(
		of((q) => q["gt"]?.(5, f(q, "a"))),
		{ a: { $lt: 5 } },
	);
	assert.deepEqual(
		of((q) => q["neq"]?.(f(q, "a"), null)),
		{ a: { $not: null } },
	);
	assert.deepEqual(
		of((q) => q["not"]?.(q["or"]?.(q["eq"]?.(f(q, "a"), 1), q["gte"]?.(f(q, "b"), 2)))),
		{ $and: [{ a: { $not: 1 } }, { b: { $lt: 2 } }] },
	);
	assert.deepEqual(
		of((q) => q["not"]?.(q["in"]?.(f(q, "a"), [1, 2]))),
		{ $and: [{ a: { $not: 1 } }, { a: { $not: 2 } }] },
	);
	assert.deepEqual(
		of((q) => f(q, "done")),
		{ done: true },
	);
	assert.deepEqual(
		of((q) => q["not"]?.(f(q, "done"))),
		{ done: { $not: true } },
	);
	assert.deepEqual(
		of((q) => q["and"]?.(true, q["eq"]?.(1, 2))),
		{ $and: [{}, { $or: [] }] },
	);
	assert.deepEqual(
		of(() => true),
		{},
	);
	assert.deepEqual(
		of((q) => q["lt"]?.(f(q, "t"), new Date(0))),
		{ t: { $lt: "1970-01-01T00:00:00.000Z" } },
	);
});

test("what cannot be said is refused with a sentence", () => {
	const f = (q: Q, name: string) => q["field"]?.(name);
	assert.throws(() => of((q) => q["lt"]?.(f(q, "a"), null)), /null to compare/);
	assert.throws(() => of((q) => q["eq"]?.(f(q, "a"), new Map())), /value that filters do not know/);
	assert.throws(() => of((q) => q["eq"]?.(f(q, "a"), { x: 1 })), /compares a with an array or object/);
	assert.throws(() => of((q) => q["add"]?.(f(q, "a"), 1)), /q\.add gives a number; compare it/);
	assert.throws(() => of((q) => q["add"]?.(q["eq"]?.(1, 1), 1)), /not with conditions/);
	assert.throws(() => of((q) => q["eq"]?.(q["div"]?.(1n, 0n), 1)), /divides by 0/);
	assert.throws(() => of((q) => q["eq"]?.(q["mul"]?.(2n ** 62n, 2n), 1)), /64 bits/);
	assert.throws(() => of((q) => q["eq"]?.(q["add"]?.("1", 1), 1)), /q\.add cannot add text and number/);
	assert.throws(() => of((q) => q["gt"]?.(q["eq"]?.(1, 1), 1)), /result of another condition/);
	assert.throws(() => of((q) => q["lt"]?.(f(q, "a"), f(q, "c"))), /Shape has no field named c/);
	assert.throws(() => of(() => undefined), /must give an expression/);
	assert.throws(() => of((q) => f(q, "$or")), /is no field/);
	assert.throws(() => normalWhere({ a: { $match: "x" } }), /where\.a: \$match is not known/);
	assert.throws(() => normalWhere({ a: { $like: 1 } }), /where\.a\.\$like: expected text/);
	assert.throws(() => normalWhere({ $nor: [] }), /\$nor is not known/);
	assert.throws(() => normalWhere({ a: { $gt: null } }), /null cannot be compared/);
});

test("two wheres on one field both hold", () => {
	const row: Row = { id: "1", a: 5 };
	assert.equal(matchWhere(bothWheres({ a: { $gt: 3 } }, { a: { $lt: 5 } }), row, {}), 0);
	assert.equal(matchWhere(bothWheres({ a: { $gt: 3 } }, { a: { $lte: 5 } }), row, {}), 1);
});

const row = (more: object) => ({ id: "1", a: 1, b: null, t: "2026-01-01T00:00:00.000Z", done: true, name: "n", big: 1n, meta: null, ...more }) as unknown as Row;

test("what Postgres cannot be asked is left to be judged, and what it can is not", () => {
	const f = (q: Q, name: string) => q["field"]?.(name);
	const { where, judge } = planned((q) => q["and"]?.(q["eq"]?.(f(q, "name"), "n"), q["gt"]?.(f(q, "b"), f(q, "a")), q["lt"]?.(q["add"]?.(f(q, "a"), 2), 5)));
	assert.deepEqual([where, judge?.fields], [{ $and: [{ name: "n" }] }, ["b", "a"]]);
	const lets = (more: object) => judge?.lets(row(more));
	assert.deepEqual([lets({ a: 1, b: 2 }), lets({ a: 2, b: 2 }), lets({ a: 1, b: null }), lets({ a: 3, b: 4 })], [true, false, false, false]);
	assert.throws(() => judge?.lets({ id: "1", a: 1 } as Row), /Shape\.b is not among the fields that may be read here/);
	assert.deepEqual(of((q) => q["lt"]?.(f(q, "a"), q["mul"]?.(q["sub"]?.(5, 2), 2))), { a: { $lt: 6 } });
});

test("rows are judged as a where would judge them: null is neither less nor greater, and equals itself", () => {
	const f = (q: Q, name: string) => q["field"]?.(name);
	const holds = (filter: (q: Q) => unknown, more: object) => planned(filter).judge?.lets(row(more));
	const both = (op: string, a: unknown, b: unknown) => holds((q) => q[op]?.(f(q, "a"), f(q, "b")), { a, b });
	assert.deepEqual(["eq", "neq", "lt", "lte", "gt", "gte"].map((op) => both(op, null, null)), [true, false, false, false, false, false]);
	assert.deepEqual(["eq", "neq", "lt", "lte", "gt", "gte"].map((op) => both(op, 1, null)), [false, true, false, false, false, false]);
	assert.deepEqual(["eq", "neq", "lt", "lte", "gt", "gte"].map((op) => both(op, 1, 2)), [false, true, true, true, false, false]);
	assert.equal(holds((q) => q["eq"]?.(f(q, "a"), f(q, "big")), { a: 1, big: 1n }), true, "as numbers");
	assert.equal(holds((q) => q["not"]?.(q["gt"]?.(q["add"]?.(f(q, "b"), 1), 2)), { b: null }), false, "unknown");
	assert.equal(holds((q) => q["lt"]?.(f(q, "t"), f(q, "t")), { t: "2026-01-01T00:00:00.000001Z" }), false);
	const city = (value: unknown, meta: unknown) => holds((q) => q["eq"]?.(f(q, "meta.address.city"), value), { meta });
	assert.deepEqual([city("x", { address: { city: "x" } }), city("x", { address: "x" }), city("x", null), city(null, {}), city("x", { address: ["x"] })], [true, false, false, true, false]);
	assert.equal(holds((q) => q["eq"]?.(f(q, "meta.toString"), null), { meta: {} }), true, "own names only");
	assert.equal(holds((q) => q["eq"]?.(f(q, "meta"), { b: [1, "x"], a: null }), { meta: { a: null, b: [1, "x"] } }), true);
	assert.equal(holds((q) => q["in"]?.(q["mod"]?.(f(q, "a"), 3), [1, 2]), { a: 6 }), false);
	assert.equal(holds((q) => q["eq"]?.(q["neg"]?.(q["div"]?.(q["sub"]?.(f(q, "a"), 1), 2)), -2), { a: 5 }), true);
});
