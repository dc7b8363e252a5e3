// Entities as the manifest has them: columns made of validators, rules that the database keeps, partial indexes.

import assert from "node:assert/strict";
import test from "node:test";
import { register } from "millrace/runtime";
import { entity, field, v } from "millrace/server";

entity("Team", { name: field.string().min(1).max(40), size: field.int().min(0), state: field.enum("open", "closed").default("open"), mode: field.enum(["on", "off"]) });
entity("Task", {
	team: v.id("Team"),
	title: v.string().min(1).max(80).regex(/^\S/),
	code: v.string().length(4),
	state: v.enum("open", "done").default("open"),
	level: v.enum(1, 2, 3),
	points: v.nullable(v.int().min(0).max(100)),
	big: v.optional(v.bigint().max(10n)),
	ratio: v.number(),
	done: v.boolean(),
	due: v.datetime().min("2026-01-01T00:00:00Z"),
	key: v.bytes().max(16),
	tags: v.array(v.string()).max(5),
	place: v.optional(v.object({ x: v.number(), y: v.number() })),
	kind: v.union(v.literal("a"), v.union(v.literal("b"), v.null())),
	owner: v.union(v.id("Team"), v.null()),
	mixed: v.union(v.string(), v.number()),
	mood: v.optional(v.union(v.literal("good"), v.literal("bad"))),
	shade: v.nullable(v.union(v.literal(1), v.literal(2))),
	rating: v.optional(v.union(v.number(), v.null())),
	side: v.union(v.literal("l"), v.literal("r")).default("l"),
})
	.index("open_by_team", ["team", "due"], { where: { state: "open" } })
	.index("one_open", ["team"], { unique: true, where: { state: "open", big: { $gt: 3n } } })
	.check("done_has_points", { $or: [{ state: "open" }, { points: { $gt: 0 } }] });
register({ modules: {} });
const manifest = JSON.parse((globalThis as unknown as { __millrace: { manifest(): string } }).__millrace.manifest()) as {
	entities: { name: string; fields: { name: string }[]; indexes: unknown; checks?: unknown }[];
};
const of = (name: string) => manifest.entities.find((one) => one.name === name);

test("fields with rules", () => {
	assert.deepEqual(of("Team")?.fields, [
		{ name: "name", type: "string", minLength: 1, maxLength: 40 },
		{ name: "size", type: "int", min: 0 },
		{ name: "state", type: "string", values: ["open", "closed"], default: "open" },
		{ name: "mode", type: "string", values: ["on", "off"] },
	]);
	assert.equal(of("Team")?.checks, undefined);
});

test("validators as fields", () => {
	assert.deepEqual(of("Task")?.fields, [
		{ name: "team", type: "uuid", references: "Team" },
		{ name: "title", type: "string", minLength: 1, maxLength: 80, checked: true },
		{ name: "code", type: "string", minLength: 4, maxLength: 4 },
		{ name: "state", type: "string", default: "open", values: ["open", "done"] },
		{ name: "level", type: "int", values: [1, 2, 3] },
		{ name: "points", type: "int", optional: true, min: 0, max: 100 },
		{ name: "big", type: "bigint", optional: true, max: { $int: "10" } },
		{ name: "ratio", type: "float" },
		{ name: "done", type: "bool" },
		{ name: "due", type: "datetime", min: "2026-01-01T00:00:00Z" },
		{ name: "key", type: "bytes", maxLength: 16 },
		{ name: "tags", type: "json", checked: true },
		{ name: "place", type: "json", optional: true, checked: true },
		{ name: "kind", type: "string", optional: true, values: ["a", "b"] },
		{ name: "owner", type: "uuid", optional: true, references: "Team" },
		{ name: "mixed", type: "json", checked: true },
		{ name: "mood", type: "string", optional: true, values: ["good", "bad"] },
		{ name: "shade", type: "int", optional: true, values: [1, 2] },
		{ name: "rating", type: "float", optional: true },
		{ name: "side", type: "string", default: "l", values: ["l", "r"] },
	]);
});

test("partial indexes and checks", () => {
	assert.deepEqual(of("Task")?.indexes, [
		{ name: "open_by_team", fields: ["team", "due"], unique: false, where: { state: "open" } },
		{ name: "one_open", fields: ["team"], unique: true, where: { state: "open", big: { $gt: { $int: "3" } } } },
	]);
	assert.deepEqual(of("Task")?.checks, [{ name: "done_has_points", where: { $or: [{ state: "open" }, { points: { $gt: 0 } }] } }]);
});

test("what is no column is refused with a sentence", () => {
	assert.throws(() => entity("Bad", { a: {} as never }), /entity Bad, field a: use field\.string\(\)/);
	assert.throws(() => field.enum([]), /it has no values/);
	entity("Mixed", { a: v.enum("x", 1 as never) });
	assert.throws(() => register({ modules: {} }), /entity Mixed, field a: the values of an enum must be of one kind/);
});
