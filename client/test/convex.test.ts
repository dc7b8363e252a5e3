// A ported app against a fake host: the operations that its documents become.

import assert from "node:assert/strict";
import test from "node:test";
import { register } from "millrace/runtime";
import { defineSchema, defineTable, paginationResultValidator } from "millrace/convex/server";
import { v } from "millrace/convex/values";
import * as app from "./convex_app/app";
import * as messages from "./convex_app/messages";

type Op = { readonly kind: string; readonly json: Record<string, unknown> };
const ops: Op[] = [];
let answers: unknown[] = [];
let lastOp = 0;
const done = new Map<number, (result: { ok: boolean; value: unknown }) => void>();
interface Entry {
	manifest(): string;
	call(n: number, fn: string, args: string, env: string): void;
	settle(op: number, ok: boolean, json: string): void;
}
Object.assign(globalThis, {
	__host: {
		op(_n: number, kind: string, json: string): number {
			ops.push({ kind, json: JSON.parse(json) as Record<string, unknown> });
			const op = ++lastOp, answer = answers.shift() ?? null;
			setTimeout(() => entry.settle(op, true, JSON.stringify(answer)), 1);
			return op;
		},
		done: (n: number, ok: boolean, json: string) => done.get(n)?.({ ok, value: JSON.parse(json) }),
		log: () => undefined,
		identity: () => undefined,
	},
});
register({ app, modules: { messages } });
const entry = (globalThis as unknown as { __millrace: Entry }).__millrace;

let calls = 0;
function call(fn: string, args: unknown, given: unknown[] = [], now = 1234): Promise<{ ok: boolean; value: unknown }> {
	answers = given;
	ops.length = 0;
	const n = ++calls;
	return new Promise((resolve) => {
		done.set(n, resolve);
		const env = { kind: "mutation", auth: null, shared: false, now, seed: "0123456789abcdef0123456789abcdef", depth: 8, most: 1 << 20 };
		entry.call(n, fn, JSON.stringify(args), JSON.stringify(env));
	});
}
const ROOM = "00000000-0064-7000-8000-000000000001", ONE = "00000000-03e8-7000-8000-00000000000a";
const room = "rooms_00000000006470008000000000000001", one = "messages_0000000003e87000800000000000000a";
const row = { id: ONE, room: ROOM, body: "hi", state: "open", replyTo: null, editor: null, likes: null, tags: null };
const document = { _id: one, _creationTime: 1000, room, body: "hi", state: "open", editor: null };

test("the manifest: ordinary columns; unions of literals are enums; ids have no foreign keys; functions are everybody's", () => {
	const { entities, functions } = JSON.parse(entry.manifest()) as { entities: { name: string; fields: unknown; indexes: unknown }[]; functions: { name: string; auth: string }[] };
	const found = entities.find(({ name }) => name === "messages");
	assert.deepEqual(found?.fields, [
		{ name: "room", type: "uuid" },
		{ name: "body", type: "string" },
		{ name: "state", type: "string", values: ["open", "done"] },
		{ name: "replyTo", type: "uuid", optional: true },
		{ name: "editor", type: "uuid", optional: true },
		{ name: "likes", type: "float", optional: true },
		{ name: "tags", type: "json", optional: true, checked: true },
	]);
	assert.deepEqual(found?.indexes, [{ name: "by_room", fields: ["room", "state"], unique: false }]);
	const access = Object.fromEntries(functions.map(({ name, auth }) => [name, auth]));
	assert.deepEqual([access["messages.send"], access["messages.own"]], ["public", "user"]);
});

test("insert: ids without their table, one minted in order; ConvexError", async () => {
	const { ok, value } = await call("messages.send", { room, body: "x" });
	assert.ok(ok);
	const [{ kind, json } = { kind: "", json: {} }] = ops;
	const { id, ...fields } = json["value"] as { id: string };
	assert.equal(kind, "insert");
	assert.deepEqual(fields, { room: ROOM, body: "x", state: "open", editor: ROOM, tags: [room] });
	assert.match(id, /^00000000-04d2-7\d{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, "1234 ms");
	assert.equal(value, `messages_${id.replaceAll("-", "")}`);
	await call("messages.seed", {});
	const minted = ops.map((op) => (op.json["value"] as { id: string }).id);
	assert.ok(id < (minted[0] ?? "") && (minted[0] ?? "") < (minted[1] ?? ""), `${id} ${minted.join(" ")}`);
	await call("messages.seed", {}, [], 1200);
	assert.ok((minted[1] ?? "") < (ops[0]?.json["value"] as { id: string }).id, "also when another call began earlier");
	assert.deepEqual(await call("messages.send", { room, body: "" }), {
		ok: false,
		value: { code: "app_error", message: '{"why":"empty"}', data: { code: "ConvexError", data: { why: "empty" } } },
	});
});

test("arguments: an id of another table, or of none, is refused", async () => {
	for (const wrong of [one, ROOM, "rooms_x", ""]) {
		const { ok, value } = await call("messages.send", { room: wrong, body: "x" });
		assert.deepEqual([ok, value], [false, { code: "bad_args", message: `args.room: expected id of rooms, got ${JSON.stringify(wrong)}` }]);
	}
});

test("queries: index ranges, creation times, documents", async () => {
	const { value } = await call("messages.list", { room }, [[row, { ...row, likes: 2, tags: [room] }]]);
	assert.deepEqual(value, [document, { ...document, likes: 2, tags: [room] }]);
	assert.deepEqual(ops, [
		{
			kind: "query",
			json: {
				entity: "messages",
				where: { room: ROOM, state: "open", $and: [{ id: { $gte: "00000000-03e9-0000-0000-000000000000" } }] },
				order: [["room", "desc"], ["state", "desc"]],
				limit: 50,
			},
		},
	]);
});

test("get by the id alone, filters on ids, normalizeId", async () => {
	const { value } = await call("messages.find", { id: one, room }, [row, row, [row]]);
	assert.deepEqual(value, { message: document, again: document, more: [document], known: room, unknown: null });
	assert.deepEqual(ops.slice(0, 2).map(({ kind, json }) => [kind, json]), [
		["get", { entity: "messages", id: ONE }],
		["get", { entity: "messages", id: ONE }],
	]);
	const below = { id: { $lt: "00000000-0005-0000-0000-000000000000" } };
	assert.deepEqual(ops[2]?.json["where"], { $and: [{ id: { $not: ONE } }, { $or: [{ editor: ROOM }, { replyTo: null }] }, { $and: [below] }] });
	assert.deepEqual(await call("messages.find", { id: one, room }, [null, null, []]), {
		ok: true,
		value: { message: null, again: null, more: [], known: room, unknown: null },
	});
});

test("select and include", async () => {
	const of = { id: ROOM, name: "a" };
	const { value } = await call("messages.withRoom", { room }, [[row, { ...row, room: null }], [of], [{ body: "hi" }], [{ id: ONE, room: ROOM }]]);
	assert.deepEqual(value, [
		[
			{ ...document, of: { _id: room, _creationTime: 100, name: "a" } },
			{ ...document, room: null, of: null },
		],
		[{ body: "hi" }],
		[{ _id: one, _creationTime: 1000, room }],
	]);
	assert.deepEqual(ops.map(({ json }) => json["select"]), [undefined, undefined, ["body"], ["id", "room"]]);
	assert.deepEqual(ops[1]?.json["where"], { id: { $in: [ROOM] } });
});

test("pages by creation", async () => {
	const { value } = await call("messages.page", { paginationOpts: { numItems: 1, cursor: null } }, [[row, row]]);
	assert.deepEqual(value, { page: [document], isDone: false, continueCursor: JSON.stringify([ONE]) });
	assert.deepEqual([ops[0]?.json["order"], ops[0]?.json["limit"]], [[["id", "desc"]], 2]);
});

test("patch takes away what is undefined; replace and delete by the id alone", async () => {
	const { ok, value } = await call("messages.edit", { id: one }, [row, row, row, row, row]);
	assert.ok(ok, JSON.stringify(value));
	assert.deepEqual(ops, [
		{ kind: "patch", json: { entity: "messages", id: ONE, value: { body: "edited", likes: null, replyTo: ONE } } },
		{ kind: "patch", json: { entity: "messages", id: ONE, value: { editor: null } } },
		{ kind: "get", json: { entity: "messages", id: ONE } },
		{ kind: "replace", json: { entity: "messages", id: ONE, value: { room: ROOM, body: "hi", state: "open", editor: null } } },
		{ kind: "delete", json: { entity: "messages", id: ONE } },
	]);
});

test("a document that is gone is neither patched nor replaced nor deleted", async () => {
	for (const [given, method] of [[[null], "patch"], [[row, row, row, null], "replace"], [[row, row, row, row, null], "delete"]] as const)
		assert.deepEqual((await call("messages.edit", { id: one }, [...given])).value, { code: "not_found", message: `ctx.db.${method}: there is no document ${one}` });
});

test("what is no document is refused with a sentence", async () => {
	const { value } = await call("messages.strange", {});
	assert.match((value as { message: string }).message, /ctx\.db\.get/);
	assert.throws(() => defineSchema({ odd: defineTable({ _id: v.string() }) }), /table odd: the name _id is refused/);
	assert.throws(() => defineTable(v.union(v.object({}), v.object({})) as never), /defineTable: a table has fields/);
	assert.throws(() => defineSchema({}, { schemaValidation: false as never }), /schemaValidation: false is not to be had/);
	assert.equal(paginationResultValidator(v.string()).parse({ page: ["a"], isDone: true, continueCursor: "end" }).page[0], "a");
	assert.throws(() => paginationResultValidator(v.string()).parse({ page: [1], isDone: true, continueCursor: "" }, "result"), /result\.page\[0\]: expected string/);
});

test("scheduled functions are documents of the system, with Convex's fields", async () => {
	const ID = "00000000-07d0-7000-8000-00000000000b";
	const stored = { id: ID, name: "messages.send", kind: "mutation", args: { room, body: "x" }, runAt: "1970-01-01T00:00:01.500Z", state: "pending", attempt: 0, lost: 0, retry: null, error: null, cron: null, holder: null, startedAt: null, finishedAt: null };
	const bad = { ...stored, state: "failed", error: { code: "function_failed", message: "why" }, finishedAt: "1970-01-01T00:00:02.000Z" };
	const { ok, value } = await call("messages.schedule", { room, body: "x" }, [ID, stored, [bad], stored, null], 1000);
	assert.ok(ok, JSON.stringify(value));
	const { id, job, failed } = value as { id: string; job: unknown; failed: unknown };
	assert.match(id, /^_scheduled_functions_[0-9a-f]{32}$/);
	const shown = { _id: "_scheduled_functions_0000000007d070008000" + "00000000000b", _creationTime: 2000, name: "messages.send", args: [{ room, body: "x" }], scheduledTime: 1500 };
	assert.deepEqual(job, { ...shown, state: { kind: "pending" } });
	assert.deepEqual(failed, [{ ...shown, completedTime: 2000, state: { kind: "failed", error: "why" } }]);
	const inserted = (ops[0]?.json as { value: object }).value;
	assert.deepEqual({ ...inserted, id: 0 }, { id: 0, name: "messages.send", kind: "mutation", runAt: "1970-01-01T00:00:01.500Z", retry: null, args: { room, body: "x" } });
	assert.deepEqual(ops[2]?.json["where"], { $and: [{ state: "failed" }, { runAt: { $lt: "1970-01-01T00:00:01.000Z" } }] });
	assert.deepEqual([ops[4]?.kind, (ops[4]?.json as { value: { state: string } }).value.state], ["patch", "canceled"]);
});
