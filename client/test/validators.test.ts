// Validators: what they accept, what they make of it, and what they say of the rest.

import assert from "node:assert/strict";
import test from "node:test";
import { ValidationError, type Validator, v } from "millrace/server";

type Any = Validator<unknown, "required" | "optional" | "defaulted", unknown>;

function takes(validator: Any, ...values: readonly unknown[]): void {
	for (const value of values) assert.equal(validator.parse(value), value);
}
function refuses(validator: Any, ...pairs: readonly (readonly [value: unknown, sentence: string])[]): void {
	for (const [value, sentence] of pairs)
		assert.throws(
			() => validator.parse(value, "args"),
			(e) => e instanceof ValidationError && (assert.equal(e.message, sentence), true),
		);
}

test("each kind", () => {
	takes(v.string(), "", "\u{1f600}");
	takes(v.number(), 1.5, Number.NaN, -0);
	takes(v.float64(), Infinity);
	takes(v.int(), 0, -9007199254740991);
	takes(v.int64(), 0n, 2n ** 63n - 1n, -(2n ** 63n));
	takes(v.bigint(), 5n);
	takes(v.boolean(), true, false);
	takes(v.null(), null);
	takes(v.bytes(), new Uint8Array([1, 2]));
	takes(v.any(), null, 1n, [{ a: new Uint8Array() }]);
	takes(v.id("Item"), "01890000-0000-7000-8000-000000000001");
	takes(v.literal("x"), "x");
	takes(v.enum("open", "done"), "open", "done");
	takes(v.enum([1, 2]), 2);
	takes(v.datetime(), "2026-01-02T03:04:05Z", "2026-01-02 03:04:05.123456+02", "infinity");
	takes(v.array(v.int()), [], [1, 2]);
	takes(v.record(v.string(), v.int()), {}, { a: 1 });
	takes(v.union(v.string(), v.null()), "x", null);
	takes(v.nullable(v.int()), 1, null);
	takes(v.string().nullable(), "x", null);
	refuses(v.string(), [1, "args: expected string, got number"], [undefined, "args: expected string, got nothing"]);
	refuses(v.int(), [1.5, "args: expected whole number, got 1.5"], [2 ** 53, "args: expected whole number, got 9007199254740992"], [NaN, "args: expected whole number, got NaN"]);
	refuses(v.int64(), [1, "args: expected bigint, got number"], [2n ** 63n, "args: expected bigint, got bigint"]);
	refuses(v.enum("open", "done"), ["gone", 'args: expected "open" or "done", got "gone"'], [[], 'args: expected "open" or "done", got array']);
	refuses(v.literal(5), [6, "args: expected 5, got 6"], ["5", 'args: expected 5, got "5"']);
	refuses(v.union(v.literal("a"), v.literal("b")), ["c".repeat(99), `args: expected "a" or "b", got "${"c".repeat(60)}"`]);
	refuses(v.null(), [0, "args: expected null, got number"]);
	refuses(v.datetime(), ["2026-01-02", "args: expected datetime (ISO 8601 text with Z or an offset), got string"]);
	refuses(v.union(v.string(), v.null()), [1, "args: expected string or null, got number"]);
	refuses(v.nullable(v.int()), ["x", 'args: expected whole number, got "x"']);
	refuses(v.any(), [new Map(), "args: expected value, got object"], [[() => 1], "args[0]: expected value, got function"]);
});

test("bounds", () => {
	const name = v.string().min(2).max(3);
	takes(name, "ab", "abc", "\u{1f600}\u{1f600}\u{1f600}");
	refuses(name, ["a", "args: must be of at least 2 characters, is of 1"], ["abcd", "args: must be of at most 3 characters, is of 4"]);
	refuses(v.string().length(1), ["", "args: must be of 1 characters, is of 0"]);
	const code = v.string().regex(/^[A-Z]{2}\d$/g);
	takes(code, "AB1", "AB2", "AB3"); // a global pattern keeps no place
	refuses(code, ["ab1", 'args: must be text that matches /^[A-Z]{2}\\d$/, is "ab1"']);
	takes(v.number().min(0).max(1), 0, 0.5, 1);
	refuses(v.number().min(0), [-1, "args: must be at least 0, is -1"], [Number.NaN, "args: must be at least 0, is NaN"]);
	refuses(v.int().max(3), [4, "args: must be at most 3, is 4"], [2.5, "args: expected whole number, got 2.5"]);
	refuses(v.bigint().min(1n), [0n, "args: must be at least 1, is 0"]);
	refuses(v.array(v.int()).min(1).max(2), [[], "args: must be of at least 1 items, is of 0"], [[1, 2, 3], "args: must be of at most 2 items, is of 3"]);
	refuses(v.bytes().length(2), [new Uint8Array(3), "args: must be of 2 bytes, is of 3"]);
	const year = v.datetime().min("2026-01-01T00:00:00Z").max("2026-12-31T23:59:59.999999Z");
	takes(year, "2026-01-01T01:00:00+01:00", "2026-12-31 23:59:59.999999+00");
	refuses(
		year,
		["2026-01-01T00:00:00+01:00", "args: must be not before 2026-01-01T00:00:00Z, is 2026-01-01T00:00:00+01:00"],
		["2027-01-01T00:00:00Z", "args: must be not after 2026-12-31T23:59:59.999999Z, is 2027-01-01T00:00:00Z"],
		["infinity", "args: must be not after 2026-12-31T23:59:59.999999Z, is infinity"],
	);
	assert.throws(() => v.string().min(-1), /min\(-1\): expected a whole number/);
	assert.throws(() => v.enum(), /it has no values/);
});

const person = v.object({ name: v.string().min(1), age: v.optional(v.int().min(0)), role: v.enum("admin", "user").default("user") });

test("objects: fields that may be left out, and defaults", () => {
	assert.deepEqual(person.parse({ name: "Ada" }), { name: "Ada", role: "user" });
	const whole = { name: "Ada", age: 36, role: "admin" };
	assert.equal(person.parse(whole), whole, "nothing is copied where nothing changes");
	const given = { name: "Ada", age: undefined };
	assert.deepEqual(person.parse(given), { name: "Ada", age: undefined, role: "user" });
	assert.deepEqual(given, { name: "Ada", age: undefined }, "what was given stays as it was");
	refuses(
		person,
		[{}, "args.name: is missing, expected string"],
		[{ name: "" }, "args.name: must be of at least 1 characters, is of 0"],
		[{ name: "Ada", age: null }, "args.age: expected whole number, got null"],
		[{ name: "Ada", more: 1 }, "args.more: no such field is expected"],
		[[], "args: expected object, got array"],
	);
	const nested = v.object({ items: v.array(v.object({ price: v.number(), note: v.string().default("") })), "odd key": v.optional(v.int()) });
	assert.deepEqual(nested.parse({ items: [{ price: 1 }, { price: 2, note: "x" }] }), {
		items: [
			{ price: 1, note: "" },
			{ price: 2, note: "x" },
		],
	});
	refuses(
		nested,
		[{ items: [{ price: 1 }, { price: 2 }, { price: 3 }, { price: "4" }] }, "args.items[3].price: expected number, got string"],
		[{ items: [], "odd key": "x" }, 'args["odd key"]: expected whole number, got "x"'],
	);
	assert.deepEqual(v.record(v.string(), person).parse({ a: { name: "x" } }), { a: { name: "x", role: "user" } });
	assert.deepEqual(v.union(v.null(), person).parse({ name: "x" }), { name: "x", role: "user" });
	assert.deepEqual(v.object({ p: person.nullable() }).parse({ p: { name: "x" } }), { p: { name: "x", role: "user" } });
	assert.throws(() => v.int().min(1).default(0), /default: must be at least 1, is 0/);
	const hostile = JSON.parse('{"name":"x","__proto__":{"role":"admin"}}') as unknown;
	refuses(person, [hostile, "args.__proto__: no such field is expected"]);
});

test("objects made of others", () => {
	refuses(person.pick("name"), [{ name: "x", age: 1 }, "args.age: no such field is expected"]);
	refuses(person.omit("name"), [{ name: "x" }, "args.name: no such field is expected"]);
	const more = person.extend({ age: v.string(), team: v.id("Team") });
	assert.deepEqual(Object.keys(more.fields), ["name", "age", "role", "team"]);
	refuses(more, [{ name: "x", age: 1 }, "args.age: expected string, got number"]);
	assert.deepEqual(person.partial().parse({}), {});
	refuses(person.partial(), [{ name: "" }, "args.name: must be of at least 1 characters, is of 0"]);
});

test("unions say what is wrong deeper inside", () => {
	const shape = v.union(v.object({ kind: v.literal("circle"), r: v.number() }), v.array(v.number()));
	takes(shape, { kind: "circle", r: 1 }, [1]);
	refuses(shape, [{ kind: "circle", r: "1" }, "args.r: expected number, got string"], [5, "args: expected object or array, got number"]);
});
