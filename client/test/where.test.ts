import assert from "node:assert/strict";
import test from "node:test";
import { matchWhere, type Row } from "../src/values.js";
import { bothWheres, normalWhere, whereFromFilter } from "../src/runtime/where.js";

type Q = Record<string, (...args: unknown[]) => unknown>;
const of = (filter: (q: Q) => unknown) => whereFromFilter(filter as unknown as (q: never) => unknown);

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
	assert.throws(() => of((q) => q["eq"]?.(f(q, "a"), f(q, "b"))), /cannot compare two fields \(a and b\); use ctx\.db\.sql/);
	assert.throws(() => of((q) => q["gt"]?.(q["add"]?.(f(q, "a"), 1), 2)), /q\.add is not supported/);
	assert.throws(() => of((q) => q["lt"]?.(f(q, "a"), null)), /null to compare/);
	assert.throws(() => of((q) => q["eq"]?.(f(q, "a"), { x: 1 })), /value that filters do not know/);
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
