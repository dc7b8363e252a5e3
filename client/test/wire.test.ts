import assert from "node:assert/strict";
import test from "node:test";
import { base64ToBytes, bytesToBase64, cleanValue, parseWire, printWire, toJson } from "../src/json.js";
import { decodeMsgpack, encodeMsgpack } from "../src/msgpack.js";
import { sameValue, type Value } from "../src/values.js";
import { decodeMessage, encodeMessage } from "../src/wire.js";

const samples: unknown[] = [
	null,
	true,
	false,
	0,
	1,
	-1,
	127,
	128,
	255,
	256,
	65535,
	65536,
	4294967295,
	4294967296,
	Number.MAX_SAFE_INTEGER,
	-32,
	-33,
	-128,
	-129,
	-32768,
	-32769,
	-2147483648,
	-2147483649,
	Number.MIN_SAFE_INTEGER,
	1.5,
	-0.1,
	1e300,
	5e-324,
	NaN,
	Infinity,
	-Infinity,
	0n,
	-1n,
	2n ** 63n - 1n,
	-(2n ** 63n),
	10n ** 30n,
	"",
	"abc",
	"é",
	"\u{1f600}",
	"\ufeffbom",
	"x".repeat(31),
	"x".repeat(32),
	"x".repeat(255),
	"é".repeat(40000),
	"\u0001",
	new Uint8Array(0),
	new Uint8Array([0, 255, 128]),
	new Uint8Array(300),
	new Uint8Array(70000),
	[],
	[1, [2, [3]]],
	Array.from({ length: 70000 }, (_, i) => i & 7),
	{},
	{ a: { b: [null] } },
	Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, i])),
	JSON.parse('{"__proto__":{"x":1}}'),
];

test("values survive both encodings", () => {
	for (const value of samples) {
		assert.ok(sameValue(decodeMsgpack(encodeMsgpack(value)), value), `msgpack ${String(value).slice(0, 50)}`);
		assert.ok(sameValue(parseWire(printWire(value)), value), `json ${String(value).slice(0, 50)}`);
	}
	assert.ok(Object.is(decodeMsgpack(encodeMsgpack(-0)), -0));
	assert.ok(Object.is(parseWire(printWire(-0)), -0));
	assert.equal(({} as { x?: number }).x, undefined);
});

test("undefined members are left out, keys that begin with $ are refused, dates become text", () => {
	assert.equal(printWire({ a: undefined, b: 1 }), '{"b":1}');
	assert.throws(() => printWire({ $x: 1 }), /belongs to the protocol/);
	assert.throws(() => cleanValue({ a: [{ $x: 1 }] }, "args"), /args\.a\[0\].*belongs to the protocol/);
	assert.throws(() => cleanValue({ a: () => 1 }, "args"), /args\.a: a function cannot be sent/);
	assert.throws(() => cleanValue({ a: new Map() }, "args"), /args\.a: a Map cannot be sent/);
	assert.equal(cleanValue(new Date(0), "x"), "1970-01-01T00:00:00.000Z");
	assert.equal(JSON.stringify(cleanValue({ b: 1, a: { d: 1, c: 2 } }, "x")), '{"a":{"c":2,"d":1},"b":1}');
	const round: Record<string, unknown> = {};
	round["self"] = round;
	assert.throws(() => cleanValue(round, "args"), /nests too deep/);
});

test("what is printed without a copy is what a copy prints, or is refused as it is", () => {
	class Point {
		x = 1;
	}
	const odd: unknown[] = [
		...samples,
		"half \ud83d", "\ude00", "a\0b", "C:\\users", "\\ud800", "\u0001", "\u2028", "$", "",
		NaN, Infinity, -Infinity, -0, 5n, undefined, () => 1, Symbol("x"),
		{ "half \ud83d": 1 }, { "a\0": 1 }, { $: 1 }, { "\u0001": 1 }, { a$: "$x" },
		[undefined, 1], new Array(3), Object.assign([1], { more: 2 }), Object.assign([1], { toJSON: () => 5 }),
		new Date(0), new Date(NaN), new Map([[1, 2]]), new Set([1]), new Point(), new Boolean(true), new Uint8Array([1, 2]),
		Object.create(null), Object.create({ inherited: 1 }), Object.defineProperty({ a: 1 }, "hidden", { value: 2 }),
		Object.defineProperty({ a: 1 }, "toJSON", { value: () => ({ $x: 1 }) }), { toJSON: 5 }, { toJSON: undefined },
		{ get a() { return "read"; } }, new Proxy({ a: 1 }, {}), new Proxy([1, 2], {}),
	];
	const said = (print: () => string): string => {
		try {
			return print();
		} catch (e) {
			return `refused: ${(e as Error).message}`;
		}
	};
	for (const one of odd)
		for (const value of [one, [one], { a: one }, [{ a: [1, one] }, "text"]]) assert.equal(said(() => printWire(value, "it")), said(() => JSON.stringify(toJson(value, "it"))));
});

test("bad tags, bad base64 and bad MessagePack are refused, never read past the end", () => {
	for (const text of [
		'{"$int":"1.5"}',
		'{"$int":5}',
		'{"$float":"1"}',
		'{"$bytes":"?"}',
		'{"$new":1}',
		'{"$int":"1","x":1}',
		'{"\\u0024x":1}',
	])
		assert.throws(() => parseWire(text), text);
	const good = encodeMsgpack({ a: [1, "text", 10n, new Uint8Array(5), 1.5], b: { c: -40000 } });
	for (let n = 0; n < good.length; n++) assert.throws(() => decodeMsgpack(good.subarray(0, n)), /ends in the middle/);
	assert.throws(() => decodeMsgpack(new Uint8Array([...good, 0])), /bytes follow/);
	assert.throws(() => decodeMsgpack(new Uint8Array([0xc1])), /unknown tag/);
	assert.throws(() => decodeMsgpack(new Uint8Array([0xa2, 0xc3, 0x28])), /not UTF-8/);
	assert.throws(() => decodeMsgpack(new Uint8Array([0x81, 0x01, 0x01])), /key is not text/);
	assert.throws(() => decodeMsgpack(new Uint8Array([0xd4, 5, 49])), /unknown extension/);
	assert.throws(() => decodeMsgpack(new Uint8Array([0xdd, 255, 255, 255, 255])), /ends in the middle/);
	assert.throws(() => decodeMsgpack(new Uint8Array(2000).fill(0x91)), /nests too deep/);
	for (let n = 0; n < 10; n++) {
		const bytes = Uint8Array.from({ length: n }, (_, i) => i * 50);
		assert.deepEqual(base64ToBytes(bytesToBase64(bytes)), bytes);
		assert.equal(bytesToBase64(bytes), Buffer.from(bytes).toString("base64"));
	}
});

test("random bytes never do worse than an error", () => {
	let seed = 7;
	const next = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
	for (let i = 0; i < 20000; i++) {
		const bytes = Uint8Array.from({ length: next() % 24 }, () => next() & 255);
		try {
			decodeMsgpack(bytes);
		} catch (e) {
			assert.equal((e as Error).name, "MsgpackError");
		}
	}
});

test("messages: a where keeps its operators in both encodings", () => {
	const message = { t: "subscribe" as const, id: 1, entity: "E", where: { a: { $gt: 10n }, $or: [{ b: null }] } };
	assert.equal(
		encodeMessage("json", message),
		'{"t":"subscribe","id":1,"entity":"E","where":{"a":{"$gt":{"$int":"10"}},"$or":[{"b":null}]}}',
	);
	assert.deepEqual(decodeMsgpack(encodeMessage("msgpack", message) as Uint8Array), message);
	assert.throws(() => decodeMessage("[]"), /a message is a map/);
	assert.throws(() => decodeMessage('{"t":'), /./);
});
