// timeout: 90
// An app as Convex has it (client/test/convex_app) on the real thing: documents, ids that name their table, times of creation.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { descendants, endAll, freePort, millrace, ROOT, serve, temporary, until, writeFiles } from "../lib/cli.mjs";
import { WebSocket } from "../lib/stack.mjs";
import { finish, step } from "../lib/tap.mjs";

const from = (name) => readFileSync(join(ROOT, "client", "test", "convex_app", name), "utf8");
const USERS = `	users: defineTable({ name: v.string(), key: v.string(), mood: v.optional(v.union(v.literal("good"), v.literal("bad"))), more: v.optional(v.any()) })
		.index("by_name", ["name"]).index("by_key", ["key"]).index("by_mood", ["mood"]),
	rooms:`;
const app = writeFiles(temporary("documents"), {
	"app.ts": from("app.ts").replace("	rooms:", USERS),
	"functions/messages.ts": `${from("messages.ts").replace("./server", "../_generated/server")}
import type { Doc, Id } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
const roomOf = async (ctx: QueryCtx, id: Id<"rooms">): Promise<Doc<"rooms"> | null> => await ctx.db.get(id);
export const roomName = query({ args: { room: v.id("rooms") }, handler: async (ctx, { room }) => (await roomOf(ctx, room))?.name ?? null });
export const between = query({
	args: { from: v.number(), to: v.number() },
	handler: async (ctx, { from, to }) => (await ctx.db.query("messages").withIndex("by_creation_time", (q) => q.gte("_creationTime", from).lte("_creationTime", to)).collect()).map((m) => m.body),
});
export const many = mutation({
	args: { room: v.id("rooms"), n: v.number() },
	handler: async (ctx, { room, n }) => {
		for (let i = 0; i < n; i++) await ctx.db.insert("messages", { room, body: String(i), state: i % 2 ? "done" : "open", editor: null });
	},
});
export const change = mutation({ args: { id: v.id("messages"), likes: v.optional(v.number()) }, handler: (ctx, { id, likes }) => ctx.db.patch(id, { likes, state: "done" }) });
export const remove = mutation({ args: { id: v.id("rooms") }, handler: (ctx, { id }) => ctx.db.delete(id) });
`,
	"functions/users.ts": `import { ConvexError, v } from "millrace/convex/values";
import { api, internal } from "../_generated/api";
import { action, internalMutation, mutation, query, type ActionCtx, type DatabaseReader, type DatabaseWriter } from "../_generated/server";
import type { DataModel, Id } from "../_generated/dataModel";

const called = (db: DatabaseReader, name: string): Promise<DataModel["users"]["document"] | null> => db.query("users").withIndex("by_name", (q) => q.eq("name", name)).unique();
const add = (db: DatabaseWriter, name: string, key: string): Promise<Id<"users">> => db.insert("users", { name, key, mood: "good" });
export const store = mutation({
	args: {},
	handler: async (ctx) => {
		const identity = await ctx.auth.getUserIdentity();
		if (identity === null) throw new ConvexError({ code: "not signed in" });
		const user = await ctx.db.query("users").withIndex("by_key", (q) => q.eq("key", identity.tokenIdentifier)).unique();
		return user ? user._id : await add(ctx.db, identity.name ?? "nobody", identity.tokenIdentifier);
	},
});
export const find = query({ handler: async (ctx, args: { readonly name: string }) => await called(ctx.db, args.name) });
export const moods = query({ args: {}, returns: { good: v.number(), none: v.number() }, handler: async (ctx) => {
	const of = async (mood: "good" | undefined) => (await ctx.db.query("users").filter((q) => q.eq(q.field("mood"), mood)).collect()).length;
	return { good: await of("good"), none: await of(undefined) };
} });
export const gone = internalMutation({ args: { id: v.id("users"), how: v.union(v.literal("patch"), v.literal("delete")) }, handler: async (ctx, { id, how }) => {
	await ctx.db.delete(id);
	if (how === "patch") await ctx.db.patch(id, { mood: undefined });
	else await ctx.db.delete(id);
} });
export const unseen = mutation({ args: { id: v.id("users"), how: v.string() }, handler: async (ctx, { id, how }) => {
	await ctx.db.insert("users", { name: "unseen", key: how });
	if (how === "alone") void ctx.db.patch(id, { mood: "bad" });
	if (how === "early") {
		void ctx.db.delete(id);
		await ctx.db.query("users").first();
	}
	if (how === "all") void Promise.all([ctx.db.patch(id, { mood: "bad" })]);
	if (how === "caught") void ctx.db.patch(id, { mood: "bad" }).catch(() => null);
	if (how === "later") {
		const one = ctx.db.patch(id, { mood: "bad" });
		await ctx.db.query("users").first();
		try {
			await one;
		} catch {
			return "caught";
		}
	}
	return how;
} });
export const unseenKeys = query({ args: {}, handler: async (ctx) => (await ctx.db.query("users").withIndex("by_name", (q) => q.eq("name", "unseen")).collect()).map((u) => u.key) });
const why = async (ctx: ActionCtx): Promise<unknown> => {
	try {
		return await ctx.runMutation(api.users.store, {});
	} catch (e) {
		return e instanceof ConvexError ? e.data : "another error";
	}
};
export const remind = mutation({ args: { id: v.id("users") }, handler: async (ctx, { id }): Promise<Id<"_scheduled_functions">> => await ctx.scheduler.runAfter(60000, internal.users.gone, { id, how: "patch" }) });
export const forget = mutation({ args: { job: v.id("_scheduled_functions") }, handler: async (ctx, { job }) => {
	await ctx.scheduler.cancel(job);
	return (await ctx.db.system.get(job))?.state.kind;
} });
export const refused = action({ args: {}, handler: (ctx): Promise<unknown> => why(ctx) });
export const twice = action({ args: { id: v.id("users"), how: v.union(v.literal("patch"), v.literal("delete")) }, handler: async (ctx, args): Promise<null> => await ctx.runMutation(internal.users.gone, args) });
`,
	"functions/things.ts": `import { v } from "millrace/convex/values";
import { paginationOptsValidator } from "millrace/convex/server";
import { mutation, query, type QueryCtx } from "../_generated/server";
import type { Id } from "../_generated/dataModel";

const such = {
	fields: (ctx: QueryCtx) => ctx.db.query("things").filter((q) => q.gt(q.field("n"), q.field("m"))),
	sums: (ctx: QueryCtx) => ctx.db.query("things").filter((q) => q.eq(q.mod(q.add(q.field("m"), 1), 2), q.sub(1, 0))),
	bigs: (ctx: QueryCtx) => ctx.db.query("things").filter((q) => q.lt(q.mul(q.field("big"), 2n), q.neg(0n))),
	inside: (ctx: QueryCtx) => ctx.db.query("things").filter((q) => q.and(q.eq(q.field("place.city"), "x"), q.lt(3, q.field("m")))),
	below: (ctx: QueryCtx) => ctx.db.query("things").filter((q) => q.lt(q.field("n"), 5)),
	none: (ctx: QueryCtx) => ctx.db.query("things").filter((q) => q.eq(q.field("n"), null)),
	either: (ctx: QueryCtx) => ctx.db.query("things").filter((q) => q.not(q.or(q.gte(q.field("m"), 4), q.neq(q.field("place.city"), "x")))),
	bytes: (ctx: QueryCtx) => ctx.db.query("things").filter((q) => q.eq(q.field("place"), { at: 1, city: "x" })),
};
const which = v.union(v.literal("fields"), v.literal("sums"), v.literal("bigs"), v.literal("inside"), v.literal("below"), v.literal("none"), v.literal("either"), v.literal("bytes"));
export const fill = mutation({ args: { n: v.number(), room: v.id("rooms") }, handler: async (ctx, { n, room }) => {
	for (let i = 0; i < n; i++)
		await ctx.db.insert("things", { name: String(i), m: i, big: BigInt(i - 2), state: "a", maybe: null, room, ...(i % 3 ? { n: i + (i % 2) } : {}), ...(i % 4 ? {} : { place: { at: 1, city: "x" } }) });
} });
export const all = query({ args: { which }, handler: async (ctx, args) => (await such[args.which](ctx).collect()).map((t) => t.m) });
export const some = query({ args: { which, n: v.number() }, handler: async (ctx, args) => (await such[args.which](ctx).order("desc").take(args.n)).map((t) => t.m) });
export const page = query({ args: { which, paginationOpts: paginationOptsValidator }, handler: async (ctx, args) => await such[args.which](ctx).select("m").paginate(args.paginationOpts) });
export const howMany = query({ args: { which }, handler: async (ctx, args) => {
	let n = 0;
	for await (const _ of such[args.which](ctx)) n++;
	return [n, await such[args.which](ctx).count()];
} });
export const ofRoom = query({ args: { room: v.id("rooms"), paginationOpts: paginationOptsValidator }, handler: async (ctx, { room, paginationOpts }) => await ctx.db.query("things").withIndex("by_room", (q) => q.eq("room", room)).order("desc").paginate(paginationOpts) });
export const set = mutation({ args: { id: v.id("things"), n: v.optional(v.number()) }, handler: (ctx, { id, n }): Promise<void> => ctx.db.patch(id as Id<"things">, { n }) });
export const wrong = query({ args: {}, handler: async (ctx) => (await ctx.db.query("things").filter((q) => q.eq(q.add(q.field("n"), 1), 1)).collect()).length });
`,
});
const data = join(app, ".data");
let server;

async function call(fn, args = {}, headers = {}) {
	const response = await fetch(new URL(`/api/fn/${fn}`, server.url), { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(args) });
	const { value, error } = await response.json();
	if (error) throw Object.assign(new Error(error.message), error);
	return value;
}
const psql = (sql) => millrace(["psql", "--data-dir", data, "--", "-Atqc", sql]).out.trim();
let room, ids;

await step("the server starts, and nobody need be signed in", async () => {
	server = await serve(["dev", "--app-dir", app, "--data-dir", data, "--port", String(await freePort()), "--workers", "2"]);
	await server.ready();
	room = await call("messages.seed");
	assert.match(room, /^rooms_[0-9a-f]{32}$/);
	assert.equal(await call("messages.roomName", { room }), "a");
	await assert.rejects(call("messages.own"), { code: "unauthenticated" });
});

await step("documents come in the order in which they were made, within one call too", async () => {
	const began = Date.now();
	await call("messages.many", { room, n: 200 });
	const { page, isDone, continueCursor } = await call("messages.page", { paginationOpts: { numItems: 120, cursor: null } });
	assert.deepEqual([page.map((m) => Number(m.body)), isDone], [Array.from({ length: 120 }, (_, i) => 199 - i), false]);
	const rest = await call("messages.page", { paginationOpts: { numItems: 120, cursor: continueCursor } });
	assert.deepEqual([rest.page.length, rest.page.at(-1).body, rest.isDone], [80, "0", true]);
	for (const m of page) assert.ok(Math.abs(m._creationTime - began) < 10000, `${m._creationTime}`);
	ids = [...page, ...rest.page].reverse().map((m) => m._id);
	assert.deepEqual(Object.keys(page[0]).sort(), ["_creationTime", "_id", "body", "editor", "room", "state"]);
	assert.equal(page[0].room, room);
	const open = await call("messages.list", { room });
	assert.deepEqual(open.map((m) => Number(m.body)), Array.from({ length: 50 }, (_, i) => 198 - 2 * i));
});

await step("ranges of creation times, by the index that every table has", async () => {
	await new Promise((resolve) => setTimeout(resolve, 30));
	const at = Date.now() + 1;
	await new Promise((resolve) => setTimeout(resolve, 30));
	await call("messages.send", { room, body: "later" });
	assert.deepEqual(await call("messages.between", { from: at + 0.5, to: at + 60000 }), ["later"]);
	assert.equal((await call("messages.between", { from: 0, to: at })).length, 200);
	const { message } = await call("messages.find", { id: ids[0], room });
	const [, ...others] = await call("messages.between", { from: message._creationTime, to: message._creationTime });
	assert.equal((await call("messages.between", { from: message._creationTime + 0.1, to: message._creationTime + 0.9 })).length, 0);
	assert.ok(Array.isArray(others));
});

await step("one document: get, filter, patch, what is undefined is taken away, a row of an ordinary table", async () => {
	const found = await call("messages.find", { id: ids[7], room });
	assert.equal(found.message.body, "7");
	assert.deepEqual(found.again, found.message);
	assert.deepEqual([found.more, found.known, found.unknown], [[], room, null]);
	await call("messages.change", { id: ids[7], likes: 3 });
	assert.equal((await call("messages.find", { id: ids[7], room })).message.likes, 3);
	await call("messages.change", { id: ids[7] });
	assert.ok(!("likes" in (await call("messages.find", { id: ids[7], room })).message));
	assert.equal(psql(`select body, state, likes from messages where id = '${ids[7].split("_")[1]}'`), "7|done|");
	assert.match(psql(`insert into messages (room, body, state) values (gen_random_uuid(), 'x', 'closed') returning 1`) || "refused", /refused/);
	await call("messages.edit", { id: ids[7] });
	assert.equal((await call("messages.find", { id: ids[7], room })).message, null);
});

await step("ids of another table are refused, and those of what is gone are not", async () => {
	await assert.rejects(call("messages.find", { id: room, room }), { code: "bad_args", message: /^args\.id: expected id of messages, got "rooms_/ });
	await call("messages.remove", { id: room });
	assert.equal(await call("messages.roomName", { room }), null);
	assert.equal((await call("messages.find", { id: ids[8], room })).message.room, room);
	await assert.rejects(call("messages.send", { room, body: "" }), { code: "app_error", data: { code: "ConvexError", data: { why: "empty" } } });
});

await step("a user is stored by tokenIdentifier, and an optional union of literals is filtered and indexed", async () => {
	assert.deepEqual(await call("users.refused"), { code: "not signed in" });
	const Authorization = `Bearer ${millrace(["token", "--user", "ann", "--data-dir", data, "--app-dir", app]).out.trim()}`;
	const id = await call("users.store", {}, { Authorization });
	assert.equal(await call("users.store", {}, { Authorization }), id);
	assert.deepEqual(await call("users.moods"), { good: 1, none: 0 });
	psql(`update users set mood = null`);
	assert.deepEqual(await call("users.moods"), { good: 0, none: 1 });
	const user = await call("users.find", { name: "nobody" });
	assert.deepEqual({ ...user, _creationTime: 0 }, { _id: id, _creationTime: 0, name: "nobody", key: "ann" });
	for (const how of ["patch", "delete"])
		await assert.rejects(call("users.twice", { id, how }), { code: "not_found", message: `ctx.db.${how}: there is no document ${id}` });
	assert.equal((await call("users.find", { name: "nobody" }))._id, id, "which takes back all of it");
	assert.equal(await call("users.forget", { job: await call("users.remind", { id }) }), "canceled");
});

await step("a write that fails fails its mutation, awaited or not, unless somebody handles that", async () => {
	const { _id: id } = await call("users.find", { name: "nobody" });
	psql(`delete from users`);
	for (const [how, method] of [["alone", "patch"], ["early", "delete"], ["all", "patch"]])
		await assert.rejects(call("users.unseen", { id, how }), { code: "not_found", message: `ctx.db.${method}: there is no document ${id}` }, how);
	assert.deepEqual(await call("users.unseenKeys"), [], "nothing of it was done");
	assert.deepEqual([await call("users.unseen", { id, how: "caught" }), await call("users.unseen", { id, how: "later" })], ["caught", "caught"]);
	assert.deepEqual(await call("users.unseenKeys"), ["caught", "later"]);
});

await step("filters that compare fields, count and look into objects: all of them, some in an order, page by page", async () => {
	await call("things.fill", { n: 100, room });
	const docs = Array.from({ length: 100 }, (_, i) => ({ m: i, n: i % 3 ? i + (i % 2) : undefined, city: i % 4 ? undefined : "x" }));
	const expected = {
		fields: (t) => t.n !== undefined && t.n > t.m,
		sums: (t) => t.m % 2 === 0,
		bigs: (t) => t.m < 2,
		inside: (t) => t.city === "x" && t.m > 3,
		below: (t) => t.n === undefined || t.n < 5,
		none: () => false,
		either: (t) => t.m < 4 && t.city === "x",
		bytes: (t) => t.city === "x",
	};
	for (const [which, holds] of Object.entries(expected)) {
		const all = docs.filter(holds).map((t) => t.m);
		assert.deepEqual(await call("things.all", { which }), all, which);
		assert.deepEqual(await call("things.some", { which, n: 7 }), [...all].reverse().slice(0, 7), which);
		assert.deepEqual(await call("things.howMany", { which }), [all.length, all.length], which);
		const paged = [];
		for (let cursor = null, isDone = false; !isDone; ) {
			const next = await call("things.page", { which, paginationOpts: { numItems: 6, cursor } });
			assert.ok(next.page.length === 6 || next.isDone, `${which}: a page is full unless it is the last`);
			paged.push(...next.page);
			const again = await call("things.page", { which, paginationOpts: { numItems: 6, cursor, endCursor: next.continueCursor } });
			assert.deepEqual(again.page, next.page);
			({ isDone, continueCursor: cursor } = next);
		}
		assert.deepEqual(paged, all.map((m) => ({ m })), which);
	}
	await assert.rejects(call("things.wrong"), { code: "function_failed", message: /q\.add cannot add undefined and number/ });
});

await step("pages of an index that holds ids", async () => {
	const first = await call("things.ofRoom", { room, paginationOpts: { numItems: 60, cursor: null } });
	const second = await call("things.ofRoom", { room, paginationOpts: { numItems: 60, cursor: first.continueCursor } });
	assert.deepEqual([...first.page, ...second.page].map((t) => t.m), Array.from({ length: 100 }, (_, i) => 99 - i));
	assert.ok(second.isDone);
});

await step("such a filter is live", async () => {
	const { ConvexClient, ConvexHttpClient } = await import("../../client/dist/convex/browser.js");
	const { anyApi } = await import("../../client/dist/convex/server.js");
	const client = new ConvexClient(server.url, { webSocketConstructor: WebSocket });
	let last;
	const stop = client.onUpdate(anyApi.things.all, { which: "fields" }, (ms) => (last = ms));
	const shows = async (is) => await until(`${is}`, () => last?.includes(4) === is, 10);
	await shows(false);
	const { page } = await call("things.ofRoom", { room, paginationOpts: { numItems: 100, cursor: null } });
	const { _id: id } = page.find((t) => t.m === 4);
	const http = new ConvexHttpClient(server.url);
	await http.mutation(anyApi.things.set, { id, n: 5 });
	await shows(true);
	assert.deepEqual(await http.query(anyApi.things.all, { which: "fields" }), stop.getCurrentValue());
	await Promise.all([http.mutation(anyApi.things.set, { id, n: 6 }), http.mutation(anyApi.things.set, { id })]); // one after the other
	await shows(false);
	await assert.rejects(http.query(anyApi.things.wrong), { name: "MillraceError", code: "function_failed" });
	await assert.rejects(http.mutation(anyApi.messages.send, { room, body: "" }), { name: "ConvexError", data: { why: "empty" } });
	http.setAuth(millrace(["token", "--user", "bob", "--data-dir", data, "--app-dir", app]).out.trim());
	assert.equal(await http.query(anyApi.messages.own), "bob");
	http.clearAuth();
	await assert.rejects(http.query(anyApi.messages.own), { code: "unauthenticated" });
	stop();
	await client.close();
});

await step("a join on the ids is an ordinary join", async () => {
	const joined = psql(`select count(*) from messages m left join rooms r on r.id = m.room where r.id is null`);
	assert.equal(joined, "200");
	await until("the end of the type check", () => !descendants(server.pid).some((p) => p.command.includes("/tsc ")), 60);
	assert.doesNotMatch(server.err + server.out, /error TS\d/);
});

await endAll();
finish();
