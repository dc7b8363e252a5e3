import assert from "node:assert/strict";
import test from "node:test";
import {
	compareText,
	compareValues,
	datetimeMicros,
	matchWhere,
	type Row,
	rowComparator,
	sameValue,
	shareUnchanged,
	type Where,
} from "../src/values.js";

test("rule 22: text compares by code point, not by UTF-16 unit", () => {
	const texts = ["", "Z", "a", "ab", "é", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{1f600}", "\u{1f600}a", "\u{10ffff}"];
	const utf8 = (s: string): Buffer => Buffer.from(s, "utf8");
	for (const a of texts)
		for (const b of texts) {
			if (/[\ud800-\udfff]/.test(a.replace(/[\ud800-\udbff][\udc00-\udfff]/g, ""))) continue;
			assert.equal(Math.sign(compareText(a, b)), Buffer.compare(utf8(a), utf8(b)), JSON.stringify([a, b]));
		}
});

test("rule 22: numbers and bigints compare exactly, NaN is largest and equal to itself, -0 equals 0", () => {
	assert.equal(compareValues("int", 9007199254740992, 9007199254740993n), -1);
	assert.equal(compareValues("float", NaN, NaN), 0);
	assert.equal(compareValues("float", NaN, Infinity), 1);
	assert.equal(compareValues("float", -0, 0), 0);
});

test("rule 22: numerics compare as decimals of any size", () => {
	const ascending = [
		"-Infinity",
		"-10",
		"-9.99",
		"-0.001",
		"0",
		"0.0010",
		"1",
		"1.5",
		"2",
		"10",
		"123456789012345678901234567890.1",
		"1e40",
		"Infinity",
		"NaN",
	];
	ascending.forEach((a, i) =>
		ascending.forEach((b, j) => assert.equal(Math.sign(compareValues("numeric", a, b)), Math.sign(i - j), `${a} ${b}`)),
	);
	assert.equal(compareValues("numeric", "1.0", "1.00"), 0);
	assert.equal(compareValues("numeric", "-0", "0.0"), 0);
	assert.equal(compareValues("numeric", "1.5e1", 15), 0);
});

test("rule 22: datetimes compare by microsecond, whatever their spelling", () => {
	const ascending = [
		"-infinity",
		"0044-03-15T00:00:00Z BC",
		"1969-12-31T23:59:59.999Z",
		"2026-11-21T03:40:18.123Z",
		"2026-11-21T03:40:18.123001Z",
		"2026-11-21T03:40:18.124Z",
		"12026-01-01T00:00:00Z",
		"infinity",
	];
	ascending.forEach((a, i) =>
		ascending.forEach((b, j) => assert.equal(Math.sign(compareValues("datetime", a, b)), Math.sign(i - j), `${a} ${b}`)),
	);
	assert.equal(compareValues("datetime", "2026-11-21T05:40:18.123+02:00", "2026-11-21T03:40:18.123Z"), 0);
	assert.equal(datetimeMicros("1970-01-01T00:00:00.000001Z"), 1n);
	assert.equal(datetimeMicros(1500), 1500000n);
	for (const text of ["2026-02-29T12:00:00.5Z", "2000-02-29T23:59:59Z", "0001-01-01T00:00:00Z"].slice(1))
		assert.equal(datetimeMicros(text), BigInt(Date.parse(text)) * 1000n);
	assert.equal(datetimeMicros("yesterday"), undefined);
});

test("bytes, booleans and uuids", () => {
	assert.ok(compareValues("bytes", new Uint8Array([1]), new Uint8Array([1, 0])) < 0);
	assert.ok(compareValues("bytes", new Uint8Array([255]), new Uint8Array([1, 0])) > 0);
	assert.ok(compareValues("bool", false, true) < 0);
	assert.equal(compareValues("uuid", "01890000-0000-7000-8000-00000000000A", "01890000-0000-7000-8000-00000000000a"), 0);
});

const types = { id: "uuid", s: "string", n: "int", b: "bool", f: "float", t: "datetime" };
const row: Row = { id: "1", s: "x", n: 5, b: true, f: NaN, t: null };

test("a where is three-valued", () => {
	const cases: [Where, number][] = [
		[{}, 1],
		[{ s: "x", n: 5 }, 1],
		[{ s: "y" }, 0],
		[{ t: null }, 1],
		[{ s: null }, 0],
		[{ t: "2026-01-01T00:00:00Z" }, -1],
		[{ t: { $gt: "2026-01-01T00:00:00Z" } }, -1],
		[{ t: { $not: "2026-01-01T00:00:00Z" } }, 1],
		[{ t: { $not: null } }, 0],
		[{ s: { $not: null } }, 1],
		[{ n: { $gt: 4, $lte: 5 } }, 1],
		[{ n: { $gte: 6 } }, 0],
		[{ n: 5n }, 1],
		[{ f: { $gt: 1e300 } }, 1],
		[{ f: NaN }, 1],
		[{ n: { $in: [] } }, 0],
		[{ n: { $in: [1, 5] } }, 1],
		[{ t: { $in: [null] } }, 1],
		[{ t: { $in: ["2026-01-01T00:00:00Z"] } }, -1],
		[{ $or: [] }, 0],
		[{ $and: [] }, 1],
		[{ $or: [{ s: "y" }, { n: 5 }] }, 1],
		[{ $or: [{ s: "y" }, { t: "2026-01-01T00:00:00Z" }] }, -1],
		[{ $and: [{ s: "y" }, { t: "2026-01-01T00:00:00Z" }] }, 0],
		[{ s: "x", t: "2026-01-01T00:00:00Z" }, -1],
	];
	for (const [where, wanted] of cases)
		assert.equal(
			matchWhere(where, row, types),
			wanted,
			JSON.stringify(where, (_k, v: unknown) => (typeof v === "bigint" ? `${v}n` : v)),
		);
});

test("order: nulls last ascending, first descending; the id breaks ties in the last direction", () => {
	const rows: Row[] = [
		{ id: "b", n: 1 },
		{ id: "a", n: 1 },
		{ id: "c", n: null },
		{ id: "d", n: 0 },
	];
	const ids = (order: [string, "asc" | "desc"][] | undefined) =>
		[...rows]
			.sort(rowComparator(order, types))
			.map((r) => r.id)
			.join("");
	assert.equal(ids([["n", "asc"]]), "dabc");
	assert.equal(ids([["n", "desc"]]), "cbad");
	assert.equal(ids(undefined), "abcd");
	assert.equal(ids([["id", "desc"]]), "dcba");
});

test("what did not change keeps its identity", () => {
	const old = {
		a: [
			{ id: "1", x: 1 },
			{ id: "2", x: 2 },
		],
		b: new Uint8Array([1]),
	};
	const same = shareUnchanged(old, {
		a: [
			{ id: "1", x: 1 },
			{ id: "2", x: 2 },
		],
		b: new Uint8Array([1]),
	});
	assert.equal(same, old);
	const next = shareUnchanged(old, {
		a: [
			{ id: "0", x: 0 },
			{ id: "1", x: 1 },
		],
		b: new Uint8Array([2]),
	}) as typeof old;
	assert.notEqual(next, old);
	assert.equal(next.a[1], old.a[0]);
	assert.ok(sameValue({ a: NaN }, { a: NaN }) && !sameValue({ a: 1 }, { a: 1, b: null }) && !sameValue({ a: 1n }, { a: 1 }));
	assert.equal(shareUnchanged([1, 2, 3], [1, 2]) instanceof Array, true);
});
