// Compile-time tests: what flows from app.ts and functions/ to the client, with nothing but what _generated/ holds. Never run.

import { type Client, createClient, type FunctionRef, functionRef, type WebSocketMaker } from "millrace";
import type { ClientRow, Infer, InferIn, InsertOf, JobRow, MutationCtx, ParamsOf, QueryCtx, RegisteredFunction, ServerRow, SessionRow } from "millrace/server";
import * as convexBrowser from "millrace/convex/browser";
import * as convex from "millrace/convex/react";
import type { DocumentOf, Id } from "millrace/convex/server";
import * as convexServer from "millrace/convex/server";
import { v as cv } from "millrace/convex/values";
import type * as Ported_ from "./convex_app/app";
import * as portedFunctions from "./convex_app/messages";
import { mutation as portedMutation, query as portedQuery } from "./convex_app/server";
import { cron, cronJobs, entity, field, httpAction, httpRouter, increment, query as looseQuery, v } from "millrace/server";
import { createDb } from "millrace/react";
import { WebSocket as NodeWebSocket } from "ws";
import { api, internal } from "./app/api";
import type * as App from "./app/app";
import { db } from "./app/db";
import { action, mutation, query } from "./app/server";

type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function assert<_T extends true>(): void {}
type A = typeof App;

type Meta = { readonly tags: readonly string[] };
assert<
	Equals<
		ClientRow<A, "Message">,
		{
			readonly id: string;
			readonly channel: string;
			readonly author: string;
			readonly body: string;
			readonly likes: number;
			readonly createdAt: string;
			readonly size: bigint | null;
			readonly meta: Meta | null;
		}
	>
>();
assert<Equals<ServerRow<A, "Message">["secret"], string | null>>();
assert<Equals<ServerRow<A, "Channel">, { readonly id: string; readonly name: string; readonly topic: string | null }>>();
const ok: InsertOf<A, "Message"> = { channel: "c", author: "a", body: "b", createdAt: new Date(), size: 5 };
// @ts-expect-error body is missing
const bad: InsertOf<A, "Message"> = { channel: "c", author: "a" };
void [ok, bad];

assert<Equals<typeof api.messages.send, FunctionRef<"mutation", { channel: string; body: string; likes?: number }, string>>>();
assert<Equals<typeof api.messages.perAuthor, FunctionRef<"query", { channel: string }, { author: string; count: number }[]>>>();
assert<Equals<typeof api.messages.recent extends FunctionRef<"query", infer _A, infer R> ? R : never, ServerRow<A, "Message">[]>>();
assert<Equals<typeof api.messages.write, FunctionRef<"mutation", { id: string }, string | null>>>();
assert<Equals<keyof typeof api.messages & ("hidden" | "helper" | "constant" | "send"), "send">>();
assert<Equals<typeof api.admin.users.send, typeof api.messages.send>>();
assert<Equals<keyof typeof internal.messages, "hidden">>();
assert<Equals<keyof typeof internal.nested, "likesOf" | "setLikes">>();
assert<Equals<typeof internal.nested.likesOf, FunctionRef<"query", { id: string }, number | null>>>();
// @ts-expect-error is internal
void api.nested.likesOf;
void query({
	args: {},
	handler: async (ctx) => {
		const likes: number | null = await ctx.runQuery(internal.nested.likesOf, { id: "x" });
		// @ts-expect-error is required
		await ctx.runQuery(internal.nested.likesOf);
		// @ts-expect-error a query runs queries only
		await ctx.runMutation(internal.nested.setLikes, { id: "x", likes: 1 });
		return likes;
	},
});
void mutation(async (ctx) => {
	await ctx.runMutation(internal.nested.setLikes, { id: "x", likes: 1 });
	// @ts-expect-error wrong type
	await ctx.runMutation(internal.nested.setLikes, { id: "x", likes: "1" });
	// @ts-expect-error is a mutation
	await ctx.runQuery(internal.nested.setLikes, { id: "x", likes: 1 });
	await ctx.runQuery(api.messages.all);
});
void query(async (ctx) => {
	const some = ctx.db.query("Message").select("body", "likes").where({ channel: "c" }).order({ createdAt: "desc" });
	assert<Equals<Awaited<ReturnType<typeof some.collect>>, Pick<ServerRow<A, "Message">, "body" | "likes">[]>>();
	for (const row of await some) void [row.body, row.likes];
	const { page } = await some.paginate({ numItems: 1, cursor: null });
	// @ts-expect-error was not asked for
	void page[0]?.author;
	// @ts-expect-error no such field
	ctx.db.query("Message").select("bodi");
	// @ts-expect-error a query cannot lock
	some.forUpdate();
});
void mutation(async (ctx) => (await ctx.db.query("Message").select("body").forUpdate().first())?.body);
void mutation(async (ctx) => {
	const id: string = await ctx.db.upsert("Channel", { name: "x" }, { topic: "y" });
	await ctx.db.upsert("Message", { id }, { likes: increment(1) }, { channel: id, author: "a", body: "b" });
	await ctx.db.upsert("Message", { id }, { likes: 1, channel: id, author: "a", body: "b" });
	// @ts-expect-error what an insert needs is missing
	await ctx.db.upsert("Message", { id }, { likes: 1 });
	// @ts-expect-error the body is missing
	await ctx.db.upsert("Message", { id }, { likes: 1 }, { channel: id, author: "a" });
	// @ts-expect-error no such field
	await ctx.db.upsert("Channel", { name: "x" }, { topik: "y" });
	// @ts-expect-error no such field
	await ctx.db.upsert("Channel", { nam: "x" }, { topic: "y" });
	// @ts-expect-error wrong type
	await ctx.db.upsert("Channel", { name: "x" }, { topic: 1 });
});
void query(async (ctx) => {
	const [first] = await ctx.db.query("Message").include({ home: "channel" }).take(1);
	const topic: string | null | undefined = first?.home?.topic;
	const [some] = await ctx.db.query("Message").select("body").include({ home: "channel" });
	// @ts-expect-error was not asked for
	void some?.author;
	// @ts-expect-error is no reference
	ctx.db.query("Message").include({ home: "author" });
	const [other] = await ctx.db.query("Message").include({ home: "channel" }).select("body");
	return [topic, some?.body, some?.home?.name, other?.body, other?.home?.name];
});
void mutation({
	args: {},
	handler: async (ctx) => {
		const row = await ctx.db.as(ctx.auth).get("Message", "1");
		assert<Equals<typeof row, ClientRow<A, "Message"> | null>>();
		// @ts-expect-error is for the server only
		void row?.secret;
		// @ts-expect-error is for the server only
		ctx.db.as(null).query("Message").select("secret");
		await ctx.db.as({ userId: "u", role: "x" }).patch("Message", "1", { body: "b" });
		// @ts-expect-error SQL knows no policies
		ctx.db.as(null).sql;
		// @ts-expect-error needs a userId
		ctx.db.as({ role: "x" });
	},
});
void query(async (ctx) => {
	// @ts-expect-error a query does not write
	await ctx.db.as(ctx.auth).insert("Channel", { name: "x" });
});
void query(async (ctx) => {
	const rows = await ctx.db.sql({ author: v.string(), n: v.int(), last: v.nullable(v.datetime()) })`select author, count(*) as n, max(at) as last from x where a = ${1}`;
	assert<Equals<typeof rows, { author: string; n: number; last: string | null }[]>>();
	// @ts-expect-error such a column was not declared
	void rows[0]?.many;
	// @ts-expect-error says what they are, not what they are not
	ctx.db.sql({ author: "text" });
});
const waitlist: FunctionRef<"mutation", { email: string }, null> = api.joinWaitlist;
assert<Equals<typeof api.joinWaitlist.status, FunctionRef<"mutation", Record<never, never>, { ok: boolean }>>>();
void waitlist;

export function Component() {
	const { data } = db.useQuery("Message", {
		where: { channel: "c", likes: { $gt: 3 }, $or: [{ body: "x" }, { meta: null }] },
		orderBy: { createdAt: "desc" },
		limit: 50,
	});
	assert<Equals<typeof data, readonly ClientRow<A, "Message">[]>>();
	// @ts-expect-error no such entity
	db.useQuery("Massage");
	// @ts-expect-error no such field
	db.useQuery("Message", { where: { chanel: "c" } });
	// @ts-expect-error wrong type
	db.useQuery("Message", { where: { likes: "3" } });
	// @ts-expect-error clients cannot see it
	db.useQuery("Message", { where: { secret: "3" } });
	// @ts-expect-error no such field to order by
	db.useQuery("Message", { orderBy: { chanel: "desc" } });
	db.useQuery("Message", Math.random() > 0.5 ? { limit: 5 } : "skip");
	const one = db.useQueryOne("Channel", "id");
	assert<Equals<typeof one.data, ClientRow<A, "Channel"> | null>>();
	const stats = db.useReactiveQuery(api.messages.perAuthor, { channel: "c" });
	assert<Equals<typeof stats.data, { author: string; count: number }[] | undefined>>();
	db.useReactiveQuery(api.messages.all);
	db.useReactiveQuery(api.messages.perAuthor, "skip");
	// @ts-expect-error arguments are missing
	db.useReactiveQuery(api.messages.perAuthor);
	// @ts-expect-error a mutation is not live
	db.useReactiveQuery(api.messages.send, { channel: "c", body: "b" });
	const send = db.useMutation(api.messages.send, {
		optimistic: (tx, args) => tx.insert("Message", { ...args, author: "me", createdAt: new Date() }),
	});
	const id: Promise<string> = send({ channel: "c", body: "b" });
	// @ts-expect-error body is missing
	void send({ channel: "c" });
	// @ts-expect-error clients have no increments
	db.useMutation(api.messages.send, { optimistic: (tx) => tx.update("Message", "1", { likes: increment(1) }) });
	// @ts-expect-error no such field
	db.useMutation(api.messages.send, { optimistic: (tx) => tx.update("Message", "1", { bodi: "x" }) });
	send.mutate({ channel: "c", body: "b" });

	const paged = db.usePaginatedQuery(api.messages.page, { channel: "c" }, { initialNumItems: 5 });
	assert<Equals<typeof paged.results, readonly { id: string; body: string; shout: string }[]>>();
	assert<Equals<typeof paged.status, "LoadingFirstPage" | "CanLoadMore" | "LoadingMore" | "Exhausted">>();
	db.usePaginatedQuery(api.messages.page, "skip", { initialNumItems: 5 });
	// @ts-expect-error arguments are missing
	db.usePaginatedQuery(api.messages.page, {}, { initialNumItems: 5 });
	// @ts-expect-error which page it is says the hook
	db.usePaginatedQuery(api.messages.page, { channel: "c", paginationOpts: { numItems: 5, cursor: null } }, { initialNumItems: 5 });
	// @ts-expect-error it gives no pages
	db.usePaginatedQuery(api.messages.perAuthor, { channel: "c" }, { initialNumItems: 5 });
	// @ts-expect-error how many there are at first is missing
	db.usePaginatedQuery(api.messages.page, { channel: "c" });
	const rows = db.usePaginatedQuery("Message", { where: { channel: "c" }, orderBy: { createdAt: "desc" } }, { initialNumItems: 5 });
	assert<Equals<typeof rows.results, readonly ClientRow<A, "Message">[]>>();
	// @ts-expect-error no such field
	db.usePaginatedQuery("Message", { where: { chanel: "c" } }, { initialNumItems: 5 });
	const infinite = db.useInfiniteQuery("Message", { where: { channel: "c" }, pageSize: 5 });
	assert<Equals<typeof infinite.data, readonly ClientRow<A, "Message">[]>>();
	// @ts-expect-error no such entity
	db.useInfiniteQuery("Massage");

	const sendSoon = send.withOptimisticUpdate((store, args) => {
		const found = store.getQuery(api.messages.perAuthor, { channel: args.channel });
		assert<Equals<typeof found, { author: string; count: number }[] | undefined>>();
		store.setQuery(api.messages.perAuthor, { channel: args.channel }, [{ author: "me", count: 1 }]);
		store.setQuery(api.messages.all, {}, undefined);
		// @ts-expect-error a count is a number
		store.setQuery(api.messages.all, {}, "1");
		// @ts-expect-error arguments are missing
		store.getQuery(api.messages.perAuthor);
		// @ts-expect-error mutations have no results to show
		store.setQuery(api.messages.send, { channel: "c", body: "b" }, "id");
		const every = store.getAllQueries(api.messages.perAuthor);
		assert<Equals<(typeof every)[number]["args"], { channel: string }>>();
	});
	void sendSoon({ channel: "c", body: "b" });
	const importAll = db.useAction(api.messages.importAll);
	const imported: Promise<number> = importAll({ url: "x" });
	// @ts-expect-error wrong type
	void importAll({ url: 5 });
	// @ts-expect-error a mutation is no action
	db.useAction(api.messages.send);
	// @ts-expect-error nor an action a mutation
	db.useMutation(api.messages.importAll);
	void imported;
	return [id, send.loading, send.error?.code];
}

/** The names of convex/react. */
export function Ported() {
	const counts = convex.useQuery(api.messages.perAuthor, { channel: "c" });
	assert<Equals<typeof counts, { author: string; count: number }[] | undefined>>();
	convex.useQuery(api.messages.all);
	convex.useQuery(api.messages.perAuthor, Math.random() > 0.5 ? { channel: "c" } : "skip");
	// @ts-expect-error arguments are missing
	convex.useQuery(api.messages.perAuthor);
	// @ts-expect-error a mutation is not live
	convex.useQuery(api.messages.send, { channel: "c", body: "b" });
	const send = convex.useMutation(api.messages.send);
	const id: Promise<string> = send({ channel: "c", body: "b" });
	// @ts-expect-error no such argument
	void send({ channel: "c", body: "b", boddy: "b" });
	const more = convex.useMutation(api.messages.send).withOptimisticUpdate((store, { channel }) => void store.getQuery(api.messages.perAuthor, { channel }));
	void more({ channel: "c", body: "b" });
	const { results, loadMore } = convex.usePaginatedQuery(api.messages.page, { channel: "c" }, { initialNumItems: 5 });
	assert<Equals<typeof results, { id: string; body: string; shout: string }[]>>();
	loadMore(5);
	// @ts-expect-error it gives no pages
	convex.usePaginatedQuery(api.messages.all, {}, { initialNumItems: 5 });
	const n: Promise<number> = convex.useAction(api.messages.importAll)({ url: "x" });
	const one: Promise<number> = convex.useConvex().query(api.messages.all);
	// @ts-expect-error wrong type
	void convex.useConvex().mutation(api.messages.send, { channel: 5, body: "b" });
	return [id, n, one];
}

export async function vanilla(): Promise<void> {
	const client: Client<A> = createClient<A>({ url: "http://x", WebSocket: NodeWebSocket as WebSocketMaker });
	const undo: () => void = client.onUpdate("Message", { where: { likes: { $in: [1, 2] } } }, (rows) => {
		const text: string | undefined = rows[0]?.body;
		void text;
	});
	client.onUpdate(api.messages.perAuthor, { channel: "c" }, (rows) => rows.map((row) => row.count + 1));
	const rows = await client.query("Channel", { limit: 1 });
	assert<Equals<typeof rows, readonly ClientRow<A, "Channel">[]>>();
	const count: number = await client.query(api.messages.all);
	await client.mutation(
		api.messages.send,
		{ channel: "c", body: "b" },
		{ optimistic: (tx, args) => tx.insert("Message", { body: args.body }) },
	);
	const imported: number = await client.action(api.messages.importAll, { url: "x" });
	// @ts-expect-error a mutation is no action
	void client.action(api.messages.send, { channel: "c", body: "b" });
	void imported;
	const loose = createClient({ url: "http://x" });
	loose.onUpdate("Anything", { where: { any: { $gt: 1 } }, orderBy: { any: "asc" } }, (found) => found[0]?.["any"]);
	undo();
	void count;
}

export const typedFunctions = {
	wrongIndex: query({
		args: {},
		// @ts-expect-error no such index
		handler: (ctx) => ctx.db.query("Message").withIndex("by_nothing"),
	}),
	wrongInsert: mutation({
		args: {},
		// @ts-expect-error no such field
		handler: (ctx) => ctx.db.insert("Message", { chanel: "x" }),
	}),
	increments: mutation({
		args: { id: v.id("Message") },
		handler: async (ctx, { id }) => {
			await ctx.db.patch("Message", id, { likes: increment(1), size: increment(5n) });
			// @ts-expect-error text is not added to
			await ctx.db.patch("Message", id, { body: increment(1) });
			// @ts-expect-error nor points in time
			await ctx.db.patch("Message", id, { createdAt: increment(1) });
			// @ts-expect-error nor JSON
			await ctx.db.patch("Message", id, { meta: increment(1) });
			// @ts-expect-error whole numbers take no text
			await ctx.db.patch("Message", id, { likes: increment("1") });
			// @ts-expect-error there is nothing yet to add to
			await ctx.db.insert("Message", { channel: id, author: "a", body: "b", likes: increment(1) });
		},
	}),
	locks: mutation({
		args: { id: v.id("Message") },
		handler: async (ctx, { id }) => {
			const one = await ctx.db.get("Message", id, { forUpdate: true });
			const rows = await ctx.db.query("Message").withIndex("by_channel").where({ likes: 1 }).forUpdate().limit(3).collect();
			assert<Equals<typeof rows, ServerRow<A, "Message">[]>>();
			return one?.likes;
		},
	}),
	noLocks: query({
		args: { id: v.id("Message") },
		handler: async (ctx, { id }) => {
			// @ts-expect-error queries lock nothing
			await ctx.db.get("Message", id, { forUpdate: true });
			// @ts-expect-error queries lock nothing
			return ctx.db.query("Message").forUpdate();
		},
	}),
	noWrites: query({
		args: {},
		// @ts-expect-error queries do not write
		handler: (ctx) => ctx.db.insert("Channel", { name: "x" }),
	}),
	anonymous: query({
		args: {},
		auth: "public",
		handler: (ctx) => {
			const who: string | null = ctx.auth.userId;
			// @ts-expect-error it may be null
			const sure: string = ctx.auth.userId;
			return [who, sure];
		},
	}),
	sessions: mutation({
		args: {},
		handler: async (ctx) => {
			const made: { token: string; sessionId: string; seconds: number } = await ctx.auth.createSession(ctx.auth.userId, { claims: { role: "x" }, expiresIn: 1000 });
			const ended: boolean = await ctx.auth.revokeSession(made.sessionId);
			const count: number = await ctx.auth.revokeUser(ctx.auth.userId);
			const over: string | null | undefined = (await ctx.auth.sessions().first())?.revokedAt;
			const current: string | null = ctx.auth.sessionId;
			return [ended, count, over ?? null, current];
		},
	}),
	ownSessions: query({
		args: {},
		handler: (ctx) => {
			// @ts-expect-error all sessions of a caller share what is run for it
			void ctx.auth.sessionId;
			return ctx.auth.sessions();
		},
	}),
	filters: query({
		args: { n: v.number() },
		handler: (ctx, { n }) =>
			ctx.db
				.query("Message")
				.filter((q) => q.and(q.eq(q.field("likes"), n), q.not(q.lt(q.field("body"), "x"))))
				.order([["likes", "desc"]])
				.first(),
	}),
	loose: looseQuery({
		args: { e: v.string() },
		handler: (ctx, { e }) =>
			ctx.db
				.query(e)
				.where({ a: 1, b: { $gt: 2 } })
				.collect(),
	}),
};

const shape = v.object({
	a: v.optional(v.string()),
	b: v.union(v.literal("x"), v.literal(1), v.null()),
	c: v.record(v.string(), v.array(v.int64())),
	d: v.nullable(v.bytes()),
});
assert<Equals<Infer<typeof shape>, { b: "x" | 1 | null; c: Record<string, bigint[]>; d: Uint8Array | null; a?: string }>>();

const person = v.object({
	name: v.string().min(1),
	age: v.optional(v.int()),
	role: v.enum("admin", "user").default("user"),
	at: v.datetime().nullable(),
});
type Person = { name: string; role: "admin" | "user"; at: string | null; age?: number };
assert<Equals<Infer<typeof person>, Person>>();
assert<Equals<InferIn<typeof person>, { name: string; at: string | null; age?: number; role?: "admin" | "user" }>>();
const picked = person.pick("name", "age");
assert<Equals<Infer<typeof picked>, { name: string; age?: number }>>();
const omitted = person.omit("at");
assert<Equals<Infer<typeof omitted>, { name: string; role: "admin" | "user"; age?: number }>>();
const partial = person.partial();
assert<Equals<Infer<typeof partial>, { name?: string; age?: number; role?: "admin" | "user"; at?: string | null }>>();
const extended = person.extend({ name: v.literal("x"), more: v.bigint() });
assert<Equals<Infer<typeof extended>, { name: "x"; role: "admin" | "user"; at: string | null; more: bigint; age?: number }>>();
const nested = v.array(v.object({ n: v.number().default(0) }));
assert<Equals<Infer<typeof nested>, { n: number }[]>>();
assert<Equals<InferIn<typeof nested>, { n?: number }[]>>();
// @ts-expect-error no such field
person.pick("nam");
// @ts-expect-error text has no bounds that are bigints
v.string().min(1n);
// @ts-expect-error not one of the values
v.enum("a", "b").default("c");

export const defaults = {
	given: mutation({
		args: { title: v.string(), role: v.enum("admin", "user").default("user"), tags: v.optional(v.array(v.string())) },
		returns: v.null(),
		handler: (_ctx, args) => {
			assert<Equals<typeof args, { title: string; role: "admin" | "user"; tags?: string[] }>>();
			return null;
		},
	}),
	whole: query({ args: person, handler: (_ctx, args) => args.role }),
	wrongResult: query({
		args: {},
		returns: v.number(),
		// @ts-expect-error text is no number
		handler: () => "x",
	}),
	mapped: query({ args: {}, returns: { n: v.number(), s: v.optional(v.string()) }, handler: () => ({ n: 1 }) }),
	// @ts-expect-error n is a number
	wrongMember: query({ args: {}, returns: { n: v.number() }, handler: () => ({ n: "x" }) }),
	// @ts-expect-error m is not said
	tooMuch: query({ args: {}, returns: { n: v.number() }, handler: () => ({ n: 1, m: 2 }) }),
	unchecked: query({ handler: async (ctx, args: { readonly title: string }) => (await ctx.db.query("Message").first())?.body ?? args.title }),
	uncheckedMutation: mutation({ auth: "public", isolation: "read committed", handler: (ctx, args: { readonly channel: string }) => ctx.db.get("Channel", args.channel) }),
};
assert<Equals<typeof defaults.unchecked, RegisteredFunction<"query", { readonly title: string }, string, false>>>();
assert<Equals<typeof defaults.mapped extends RegisteredFunction<"query", infer _A, infer R> ? R : never, { n: number }>>();
type GivenArgs = typeof defaults.given extends { _types?: infer T } ? (NonNullable<T> extends { args: infer A } ? A : never) : never;
assert<Equals<GivenArgs, { title: string; role?: "admin" | "user"; tags?: string[] }>>();

const Task = entity("Task", {
	title: v.string(),
	state: v.enum("open", "done").default("open"),
	points: v.nullable(v.int()),
	place: v.optional(v.object({ x: v.number() })),
	kind: field.enum("a", "b"),
})
	.index("open", ["title"], { where: { state: "open" } })
	.check("points", { points: { $gt: 0 } });
type Tasks = { readonly Task: typeof Task };
assert<
	Equals<
		ServerRow<Tasks, "Task">,
		{
			readonly id: string;
			readonly title: string;
			readonly state: "open" | "done";
			readonly points: number | null;
			readonly place: { x: number } | null;
			readonly kind: "a" | "b";
		}
	>
>();
const task: InsertOf<Tasks, "Task"> = { title: "x", kind: "a" };
// @ts-expect-error not one of the values
const noTask: InsertOf<Tasks, "Task"> = { title: "x", kind: "c" };
// @ts-expect-error no such field to check
Task.check("nothing", { nothing: 1 });
void [task, noTask];

export const summaries = {
	typed: query({
		args: {},
		handler: async (ctx) => {
			const all = ctx.db.query("Message");
			const [count, likes, size, mean, last] = [await all.count(), await all.sum("likes"), await all.max("size"), await all.avg("size"), await all.max("createdAt")];
			assert<Equals<typeof count, number>>();
			assert<Equals<typeof likes, number | null>>();
			assert<Equals<typeof size, bigint | null>>();
			assert<Equals<typeof mean, number | null>>();
			assert<Equals<typeof last, string | null>>();
			const whole = await all.aggregate({ n: { count: true }, total: { sum: "likes" }, mean: { avg: "likes" } });
			assert<Equals<typeof whole, { readonly n: number; readonly total: number | null; readonly mean: number | null }>>();
			const groups = await all.groupBy("channel", "author").order({ n: "desc" }).limit(3).aggregate({ n: { count: true }, size: { sum: "size" } });
			assert<
				Equals<typeof groups, { readonly channel: string; readonly author: string; readonly n: number; readonly size: bigint | null }[]>
			>();
			// @ts-expect-error JSON is not summed
			await all.sum("meta");
			// @ts-expect-error no such field
			all.groupBy("chanel");
			// @ts-expect-error no such measure
			await all.aggregate({ n: { median: "likes" } });
			const pages = await all.withIndex("by_channel").paginate({ numItems: 5, cursor: null });
			assert<Equals<typeof pages.page, ServerRow<A, "Message">[]>>();
			const id: string | null = ctx.db.normalizeId("Message", "x");
			return [id, pages.continueCursor];
		},
	}),
};

export const actions = {
	copy: action({
		args: { channel: v.id("Channel") },
		auth: "public",
		cancelWithCaller: true,
		handler: async (ctx, { channel }) => {
			const rows = await ctx.runQuery(api.messages.perAuthor, { channel });
			assert<Equals<typeof rows, { author: string; count: number }[]>>();
			const id = await ctx.runMutation(api.messages.send, { channel, body: "b" });
			assert<Equals<typeof id, string>>();
			await ctx.runMutation("messages.anything", { at: new Date(), n: 1n });
			// @ts-expect-error body is missing
			await ctx.runMutation(api.messages.send, { channel });
			// @ts-expect-error a mutation is no query
			await ctx.runQuery(api.messages.send, { channel, body: "b" });
			// @ts-expect-error an action has no database of its own
			await ctx.db.get("Message", id);
			return rows.length;
		},
	}),
	// @ts-expect-error only actions end with their caller
	stays: mutation({ cancelWithCaller: true, handler: () => 1 }),
};
export async function callActions(client: Client<A>) {
	const copied = await client.action(functionRef<"action", { channel: string }, number>("actions.copy"), { channel: "c" });
	assert<Equals<typeof copied, number>>();
	// @ts-expect-error arguments are missing
	await client.action(functionRef<"action", { channel: string }, number>("actions.copy"));
	// @ts-expect-error a mutation is no action
	await client.action(api.messages.send, { channel: "c", body: "b" });
}
// --- apps as Convex has them ---

type P = typeof Ported_;
type Posted = {
	_id: Id<"messages">;
	_creationTime: number;
	room: Id<"rooms">;
	body: string;
	state: "open" | "done";
	editor: Id<"rooms"> | null;
	replyTo?: Id<"messages">;
	likes?: number;
	tags?: Id<"rooms">[];
};
assert<Equals<DocumentOf<P, "messages">, Posted>>();
type PortedApi = import("millrace").ApiOf<{ messages: typeof portedFunctions }>;
assert<Equals<PortedApi["messages"]["send"], FunctionRef<"mutation", { room: Id<"rooms">; body: string }, Id<"messages">>>>();
assert<Equals<PortedApi["messages"]["list"], FunctionRef<"query", { room: Id<"rooms"> }, Posted[]>>>();

export const ported = {
	reads: portedQuery({
		args: { id: cv.id("messages"), room: cv.id("rooms") },
		handler: async (ctx, { id, room }) => {
			const one = await ctx.db.get(id);
			assert<Equals<typeof one, Posted | null>>();
			const [joined] = await ctx.db.query("messages").include({ of: "room", answered: "replyTo" });
			assert<Equals<NonNullable<typeof joined>["of"], DocumentOf<P, "rooms"> | null>>();
			// @ts-expect-error refers to nothing
			ctx.db.query("messages").include({ of: "body" });
			// @ts-expect-error no such table
			ctx.db.query("massages");
			// @ts-expect-error no such index
			ctx.db.query("messages").withIndex("by_nothing");
			// @ts-expect-error no such field
			ctx.db.query("messages").withIndex("by_room", (q) => q.eq("rom", room));
			// @ts-expect-error an id of another table
			ctx.db.query("messages").withIndex("by_room", (q) => q.eq("room", id));
			// @ts-expect-error an id of another table
			await ctx.db.get("rooms", id);
			// @ts-expect-error text is no id
			await ctx.db.get("messages_1");
			// @ts-expect-error no such field
			ctx.db.query("messages").filter((q) => q.eq(q.field("boddy"), ""));
			ctx.db.query("things").filter((q) => q.gt(q.add(q.field("place.at"), 1), q.field("n")));
			// @ts-expect-error no such field inside
			ctx.db.query("things").filter((q) => q.eq(q.field("place.on"), 1));
			// @ts-expect-error text has no fields
			ctx.db.query("things").filter((q) => q.eq(q.field("name.length"), 1));
			// @ts-expect-error text is no number
			ctx.db.query("things").filter((q) => q.eq(q.add("1", 1), 2));
			// @ts-expect-error queries do not write
			ctx.db.insert("rooms", { name: "x" });
			// @ts-expect-error everybody may call it: there may be no user
			const who: string = ctx.auth.userId;
			return who;
		},
	}),
	writes: portedMutation({
		args: { id: cv.id("messages"), room: cv.id("rooms") },
		returns: cv.id("messages"),
		handler: async (ctx, { id, room }) => {
			await ctx.db.patch(id, { likes: undefined, state: "done" });
			await ctx.db.patch(id, { likes: increment(1) });
			// @ts-expect-error not one of the values
			await ctx.db.patch(id, { state: "closed" });
			// @ts-expect-error no such field
			await ctx.db.patch(id, { boddy: "x" });
			// @ts-expect-error fields are missing
			await ctx.db.replace(id, { body: "x" });
			// @ts-expect-error a field is missing
			await ctx.db.insert("messages", { room, body: "x", state: "open" });
			// @ts-expect-error insert gives it
			await ctx.db.insert("rooms", { _id: room, name: "x" });
			return ctx.db.insert("messages", { room, body: "x", state: "open", editor: null });
		},
	}),
	wrongReturn: portedQuery({
		args: { id: cv.id("messages") },
		returns: cv.id("rooms"),
		// @ts-expect-error an id of another table
		handler: (_ctx, { id }) => id,
	}),
};

// --- helpers that take a context: of a query, they serve mutations too ---

const titleOf = async (ctx: QueryCtx<A>, id: string) => (await ctx.db.get("Message", id))?.body;
const roomOf = async (ctx: QueryCtx<P>, id: Id<"rooms">) => (await ctx.db.get(id))?.name;
const rename = (ctx: MutationCtx<P>, id: Id<"rooms">, name: string) => ctx.db.patch(id, { name });
export const helped = {
	own: mutation({ args: { id: v.id("Message") }, handler: (ctx, { id }) => titleOf(ctx, id) }),
	anybodys: query({ args: { id: v.id("Message") }, auth: "public", handler: (ctx, { id }) => titleOf(ctx, id) }),
	ported: portedMutation({
		args: { id: cv.id("rooms") },
		handler: async (ctx, { id }) => {
			await rename(ctx, id, "x");
			return roomOf(ctx, id);
		},
	}),
	notThat: portedQuery({
		args: { id: cv.id("rooms") },
		// @ts-expect-error a query's context does not write
		handler: (ctx, { id }) => rename(ctx, id, "x"),
	}),
};

// routes: parameters are typed by the path, where the handler stands in the route
const http = httpRouter({ cors: { origins: ["https://app.example"] } });
http.route({ path: "/a/:id/b/:x", method: "GET", handler: async (ctx, request) => new Response(ctx.params.id + ctx.params.x + request.url) });
http.route({
	pathPrefix: "/a/:id/",
	method: ["POST", "PUT"],
	handler: async (ctx) => {
		assert<Equals<typeof ctx.params, { readonly id: string; readonly "*": string }>>();
		const sent = await ctx.runMutation(api.messages.send, { channel: "c", body: ctx.params["*"] });
		return Response.json({ sent });
	},
});
// @ts-expect-error no such parameter
http.route({ path: "/a/:id", method: "GET", handler: (ctx) => new Response(ctx.params.nope) });
// @ts-expect-error no method of routes
http.route({ path: "/a/:id", method: "FETCH", handler: () => new Response() });
// @ts-expect-error a handler gives a Response
http.route({ path: "/a/:id", method: "GET", handler: () => "text" });
const apart = httpAction(async (ctx, request) => new Response(ctx.params["any"] ?? (await request.text())));
http.route({ path: "/b", method: "GET", handler: apart, cors: { origins: "*" } });
http.route({ path: "/c", method: "GET", handler: apart, cors: false });
// @ts-expect-error a path or a prefix
http.route({ path: "/b", pathPrefix: "/b/", method: "GET", handler: apart });
assert<Equals<ParamsOf<"/plain">, {}>>();
// --- what runs later ---

declare const portedRefs: PortedApi;

void mutation({
	args: {},
	handler: async (ctx) => {
		const id = await ctx.scheduler.runAfter(1000, api.messages.send, { channel: "c", body: "b" }, { retry: { attempts: 3, initialBackoffMs: 10 } });
		assert<Equals<typeof id, Id<"_scheduled_functions">>>();
		await ctx.scheduler.runAt(new Date(), internal.nested.setLikes, { id: "x", likes: 1 });
		await ctx.scheduler.cancel(id);
		// @ts-expect-error body is missing
		void ctx.scheduler.runAfter(0, api.messages.send, { channel: "c" });
		// @ts-expect-error of another type
		void ctx.scheduler.runAfter(0, api.messages.send, { channel: "c", body: 1 });
		// @ts-expect-error they are required
		void ctx.scheduler.runAfter(0, api.messages.send);
		// @ts-expect-error a query gives nothing to nobody
		void ctx.scheduler.runAfter(0, api.messages.recent, { channel: "c" });
		// @ts-expect-error a time, not text
		void ctx.scheduler.runAt("tomorrow", api.messages.send, { channel: "c", body: "b" });
		// @ts-expect-error how often is required
		void ctx.scheduler.runAfter(0, api.messages.send, { channel: "c", body: "b" }, { retry: {} });
		const jobs = await ctx.db.system.query("_scheduled_functions").where({ state: "failed" }).collect();
		assert<Equals<(typeof jobs)[number]["state"], "pending" | "inProgress" | "success" | "failed" | "canceled">>();
		// @ts-expect-error not a table of Millrace's own
		void ctx.db.system.query("Message");
		return jobs.map((job) => job.runAt);
	},
});

// --- Millrace's own entities are read like the app's, and not written ---

void mutation({
	args: {},
	handler: async (ctx) => {
		const jobs = await ctx.db.query("_scheduled_functions").withIndex("by_cron", (q) => q.eq("cron", "a").eq("state", "failed")).collect();
		assert<Equals<typeof jobs, JobRow[]>>();
		const session = await ctx.db.get("_sessions", "id", { forUpdate: true });
		assert<Equals<typeof session, SessionRow | null>>();
		const ended = await ctx.db.query("_sessions").withIndex("by_user", (q) => q.eq("userId", "ann")).where({ revokedAt: { $not: null } }).select("id").first();
		assert<Equals<typeof ended, Pick<SessionRow, "id"> | null>>();
		const seen = await ctx.db.as(ctx.auth).query("_sessions").first();
		assert<Equals<typeof seen, SessionRow | null>>();
		assert<Equals<typeof session, Awaited<ReturnType<typeof ofSystem>>>>();
		function ofSystem() {
			return ctx.db.system.get("_sessions", "id");
		}
		const sessions = await ctx.db.system.query("_sessions").where({ userId: "ann" }).count();
		assert<Equals<typeof sessions, number>>();
		assert<Equals<ReturnType<typeof normal>, string | null>>();
		function normal() {
			return ctx.db.normalizeId("_scheduled_functions", "x");
		}
		// @ts-expect-error they have no such field
		void ctx.db.query("_sessions").where({ user: "ann" });
		// @ts-expect-error nor such an index
		void ctx.db.query("_sessions").withIndex("by_cron");
		// @ts-expect-error what it is compared with is a text
		void ctx.db.query("_scheduled_functions").where({ name: 3 });
		// @ts-expect-error its fields refer to nothing
		void ctx.db.query("_sessions").include({ user: "userId" });
		// @ts-expect-error no such entity
		void ctx.db.query("_session");
		// @ts-expect-error ctx.auth writes it
		void ctx.db.insert("_sessions", { userId: "eve" });
		// @ts-expect-error ctx.scheduler writes it
		void ctx.db.patch("_scheduled_functions", "id", { state: "pending" });
		// @ts-expect-error nobody may
		void ctx.db.as(ctx.auth).delete("_sessions", "id");
		// @ts-expect-error nor here
		void ctx.db.system.delete("_sessions", "id");
	},
});
function OwnSessions() {
	const { data } = db.useQuery("_sessions", { where: { revokedAt: null }, orderBy: { createdAt: "desc" }, limit: 10 });
	assert<Equals<typeof data, readonly SessionRow[]>>();
	const one = db.useQueryOne("_scheduled_functions", "id");
	assert<Equals<typeof one.data, JobRow | null>>();
	const pages = db.usePaginatedQuery("_scheduled_functions", { where: { state: "failed" } }, { initialNumItems: 10 });
	assert<Equals<(typeof pages.results)[number], JobRow>>();
	// @ts-expect-error no such state
	db.useQuery("_scheduled_functions", { where: { state: "done" } });
	// @ts-expect-error no such field
	db.useQuery("_sessions", { orderBy: { at: "desc" } });
	const client = db.useClient();
	const rows = client.query("_sessions", { where: { userId: "ann" } });
	assert<Equals<Awaited<typeof rows>, readonly SessionRow[]>>();
	client.onUpdate("_scheduled_functions", {}, (jobs) => assert<Equals<typeof jobs, readonly JobRow[]>>());
	// @ts-expect-error what nobody writes is not expected to change
	void client.mutation(api.messages.send, { channel: "c", body: "b" }, { optimistic: (tx) => tx.delete("_sessions", "id") });
}
void OwnSessions;
void query({
	args: {},
	handler: async (ctx) => {
		// @ts-expect-error queries change nothing, later neither
		void ctx.scheduler;
		return (await ctx.db.system.get("id"))?.name ?? null;
	},
});
void action({ args: {}, handler: (ctx) => ctx.scheduler.runAfter(0, api.messages.send, { channel: "c", body: "b" }) });
void portedMutation({
	args: {},
	handler: async (ctx) => {
		const id = await ctx.scheduler.runAfter(0, portedRefs.messages.edit, { id: "m" as Id<"messages"> });
		const job = await ctx.db.system.get(id);
		assert<Equals<NonNullable<typeof job>["state"]["kind"], "pending" | "inProgress" | "success" | "canceled" | "failed">>();
		assert<Equals<NonNullable<typeof job>["scheduledTime"], number>>();
		const session = await ctx.db.system.get("_sessions", "id");
		assert<Equals<typeof session, SessionRow | null>>();
		const sessions = await ctx.db.system.query("_sessions").withIndex("by_user", (q) => q.eq("userId", "ann")).collect();
		assert<Equals<typeof sessions, SessionRow[]>>();
		// @ts-expect-error documents alone are asked for by their ids alone
		void ctx.db.system.get("id");
		// @ts-expect-error of Millrace's own, not of the schema
		void ctx.db.query("_sessions");
	},
});

const crons = cronJobs();
crons.interval("a", { minutes: 1 }, api.messages.send, { channel: "c", body: "b" }, { retry: { attempts: 2 } });
crons.weekly("b", { dayOfWeek: "monday", hourUTC: 1, minuteUTC: 2 }, internal.nested.setLikes, { id: "x", likes: 1 });
cron("c", "0 3 * * *", api.messages.send, { channel: "c", body: "b" }, { timeZone: "Europe/Berlin" });
// @ts-expect-error body is missing
crons.interval("d", { minutes: 1 }, api.messages.send, { channel: "c" });
// @ts-expect-error no day
crons.weekly("e", { dayOfWeek: "mon", hourUTC: 1, minuteUTC: 2 }, internal.nested.setLikes, { id: "x", likes: 1 });
// @ts-expect-error a query
cron("f", "0 3 * * *", api.messages.recent, { channel: "c" });
// @ts-expect-error an interval has no time zone
crons.interval("g", { minutes: 1 }, api.messages.send, { channel: "c", body: "b" }, { timeZone: "UTC" });
// Adopted tables: ids have their column's type, keys of several columns are text or their values; what the table fills in may be left out.
const adopted = {
	Order: entity.adopt("shop.orders", {
		name: "Order",
		fields: { id: field.int().generated(), total: field.numeric(), note: field.string().optional().column("remark") },
	}),
	products: entity.adopt("shop.products", { key: "sku", fields: { sku: field.string(), order: field.int().references("Order") } }),
	Line: entity
		.adopt("lines", { name: "Line", key: ["tenant", "no"], fields: { tenant: field.string(), no: field.int(), qty: field.int() } })
		.index("by_qty", ["tenant", "qty"]),
};
type B = typeof adopted;
assert<Equals<ServerRow<B, "Order">, { readonly id: number; readonly total: string; readonly note: string | null }>>();
assert<Equals<ClientRow<B, "products">, { readonly id: string; readonly sku: string; readonly order: number }>>();
assert<Equals<ClientRow<B, "Line">, { readonly id: string; readonly tenant: string; readonly no: number; readonly qty: number }>>();
async function overAdopted(ctx: MutationCtx<B>) {
	const id = await ctx.db.insert("Order", { total: "1.50" });
	assert<Equals<typeof id, number>>();
	await ctx.db.get("Order", 5);
	await ctx.db.get("Order", id);
	// @ts-expect-error the id is a number
	await ctx.db.get("Order", "5");
	await ctx.db.patch("Line", { tenant: "a", no: 1 }, { qty: 2 });
	await ctx.db.patch("Line", ["a", 1], { qty: 2 });
	await ctx.db.delete("Line", '["a",1]');
	// @ts-expect-error half a key
	await ctx.db.delete("Line", { tenant: "a" });
	// @ts-expect-error the other way round
	await ctx.db.delete("Line", [1, "a"]);
	await ctx.db.query("Order").where({ id: { $gt: 3 } });
	const [product] = await ctx.db.query("products").include({ of: "order" });
	assert<Equals<NonNullable<typeof product>["of"], ServerRow<B, "Order"> | null>>();
	// @ts-expect-error is not the table's
	await ctx.db.insert("Order", { total: "1", createdAt: "now" });
}
void overAdopted;
async function optimisticOverAdopted(client: Client<B>) {
	await client.mutation(functionRef<"mutation", object, null>("x"), {}, { optimistic: (tx) => tx.update("Order", 5, { total: "2" }) });
	// @ts-expect-error the id is a number
	await client.mutation(functionRef<"mutation", object, null>("x"), {}, { optimistic: (tx) => tx.update("Order", "5", { total: "2" }) });
	const [line] = await client.query("Line", { where: { tenant: "a" } });
	assert<Equals<NonNullable<typeof line>["id"], string>>();
}
void optimisticOverAdopted;
// @ts-expect-error a key that is none of the fields
void (() => entity.adopt("t", { key: "nr", fields: { no: field.int() } }));

// --- the names of convex/server and convex/react that stand for types ---

type SendRef = PortedApi["messages"]["send"];
assert<Equals<convexServer.FunctionArgs<SendRef>, { room: Id<"rooms">; body: string }>>();
assert<Equals<convexServer.FunctionReturnType<SendRef>, Id<"messages">>>();
assert<Equals<convexServer.OptionalRestArgs<SendRef>, [args: { room: Id<"rooms">; body: string }]>>();
assert<Equals<convexServer.WithoutSystemFields<DocumentOf<P, "rooms">>, { name: string }>>();
assert<Equals<convexServer.DataModelOf<P>["rooms"]["document"], DocumentOf<P, "rooms">>>();
assert<Equals<keyof convexServer.DataModelOf<P>, "rooms" | "messages" | "things">>();
assert<Equals<convex.PaginatedQueryItem<PortedApi["messages"]["page"]>, Posted>>();
assert<Equals<convex.PaginatedQueryArgs<PortedApi["messages"]["page"]>, Omit<Record<never, never>, never>>>();
assert<Equals<convex.UsePaginatedQueryReturnType<PortedApi["messages"]["page"]>["results"], Posted[]>>();
const byName = convexServer.makeFunctionReference<"query", { readonly room: string }, number>("chat/rooms:count");
const takesReference = (fn: convexServer.FunctionReference<"query", "public", { readonly room: string }, number>): string => convexServer.getFunctionName(fn);
void takesReference(byName);
async function identityOf(ctx: QueryCtx<P>): Promise<string | undefined> {
	const identity: convexServer.UserIdentity | null = await ctx.auth.getUserIdentity();
	const key: string | undefined = identity?.tokenIdentifier;
	// @ts-expect-error a claim of the app's own may be anything
	const role: string | undefined = identity?.["role"];
	return identity?.name ?? identity?.email ?? key ?? role;
}
void identityOf;
assert<Equals<convexServer.DocumentByName<convexServer.DataModelFromSchemaDefinition<P["default"]>, "rooms">, DocumentOf<P, "rooms">>>();
assert<Equals<convexServer.TableNamesInDataModel<convexServer.DataModelOf<P>>, "rooms" | "messages" | "things">>();
void convexServer.anyApi["messages"]?.["list"];
const optimistic: convex.OptimisticUpdate<convexServer.FunctionArgs<SendRef>> = (store, { room }) => void [store.getQuery(byName, { room }), room];
/** What components take and keep of the hooks. */
export function Typed({ send, mail }: { readonly send: convex.ReactMutation<SendRef>; readonly mail: convex.ReactAction<convexServer.FunctionReference<"action", "public", { to: string }, number>> }) {
	const own: convex.ReactMutation<SendRef> = convex.useMutation(portedRefs.messages.send);
	const id: Promise<Id<"messages">> = own.withOptimisticUpdate(optimistic)({ room: "r" as Id<"rooms">, body: "b" });
	const n: Promise<number> = mail({ to: "x" });
	// @ts-expect-error an argument is missing
	void send({ body: "b" });
	const { inflightActions, timeOfOldestInflightRequest, connectionRetries } = convex.useConvexConnectionState();
	const requests: convex.RequestForQueries = { a: { query: byName, args: { room: "r" } } };
	const since: number | undefined = timeOfOldestInflightRequest?.getTime();
	return [id, n, inflightActions + connectionRetries, since, convex.useQueries(requests)];
}
const quietly: convex.Logger = { log: () => undefined, logVerbose: () => undefined, warn: () => undefined, error: () => undefined };
const options: convex.ConvexReactClientOptions = { expectAuth: true, verbose: true, logger: quietly, reportDebugInfoToConvex: false, authRefreshTokenLeewaySeconds: 5 };
const fetchToken: convex.AuthTokenFetcher = async ({ forceRefreshToken }) => (forceRefreshToken ? "t" : null);
export const withAuth = (children: never) => convex.ConvexProviderWithAuth({ client: new convex.ConvexReactClient("http://x", options), useAuth: () => ({ isLoading: false, isAuthenticated: true, fetchAccessToken: fetchToken }), children });
export async function script(url: string) {
	const http = new convexBrowser.ConvexHttpClient(url, { auth: "t" });
	const id: Id<"messages"> = await http.mutation(portedRefs.messages.send, { room: "r" as Id<"rooms">, body: "b" });
	// @ts-expect-error an argument is missing
	await http.query(byName);
	const client = new convexBrowser.ConvexClient(url, { logger: false });
	const stop = client.onUpdate(byName, { room: "r" }, (n: number) => n, (e) => e.message);
	stop();
	return [id, stop.getCurrentValue()?.toFixed(), await client.query(byName, { room: "r" })];
}
void new convex.ConvexReactClient("http://x", { unsavedChangesWarning: false }).prewarmQuery({ query: byName, args: { room: "r" } });
// @ts-expect-error documents are always checked
void convexServer.defineSchema({}, { schemaValidation: false });
void convexServer.defineSchema({}, { schemaValidation: true, strictTableNameTypes: false });

// --- include ---

const Team = entity("Team", { name: field.string(), code: field.string().serverOnly() });
const Person = entity("Person", { team: field.id("Team"), boss: field.id("Person").optional(), name: field.string() });
const Work = entity("Work", { by: field.id("Person"), judge: field.id("Person").serverOnly(), plan: field.id("Work").optional(), hours: field.int() });
interface Works {
	readonly Team: typeof Team;
	readonly Person: typeof Person;
	readonly Work: typeof Work;
}

export function ShowsWork(): unknown {
	const works = createDb<Works>();
	const { data } = works.useQuery("Work", { where: { hours: { $gt: 1 } }, include: { worker: "by", of: "plan" }, limit: 5 });
	assert<Equals<(typeof data)[number]["worker"], ClientRow<Works, "Person"> | null>>();
	assert<Equals<(typeof data)[number]["of"], ClientRow<Works, "Work"> | null>>();
	const hours: number | undefined = data[0]?.hours;
	const nested = works.useQuery("Work", { include: { worker: { field: "by", include: { of: "team", chief: "boss" } } } });
	// @ts-expect-error Person has a field of that name
	const clash = works.useQuery("Work", { include: { worker: { field: "by", include: { boss: "boss" } } } });
	const deep = works.useQuery("Work", { include: { worker: { field: "by", include: { of: "team", chief: { field: "boss", include: { home: "team" } } } } } });
	const home: string | undefined = deep.data[0]?.worker?.chief?.home?.name;
	// @ts-expect-error is for the server only
	void deep.data[0]?.worker?.of?.code;
	// @ts-expect-error was not asked for
	void data[0]?.other;
	// @ts-expect-error is no reference
	works.useQuery("Work", { include: { worker: "hours" } });
	// @ts-expect-error no such field
	works.useQuery("Work", { include: { worker: "bi" } });
	// @ts-expect-error is for the server only
	works.useQuery("Work", { include: { worker: "judge" } });
	// @ts-expect-error Work has a field of that name
	works.useQuery("Work", { include: { hours: "by" } });
	// @ts-expect-error Team refers to nothing
	works.useQuery("Work", { include: { worker: { field: "by", include: { of: { field: "team", include: { x: "name" } } } } } });
	const pages = works.usePaginatedQuery("Work", { include: { worker: "by" } }, { initialNumItems: 5 });
	const more = works.useInfiniteQuery("Work", { include: { worker: "by" }, pageSize: 5 });
	const one = works.useQueryOne("Work", "id", { include: { worker: "by" } });
	// @ts-expect-error is no reference
	works.useQueryOne("Work", "id", { include: { worker: "hours" } });
	const plain = works.useQuery("Work");
	assert<Equals<(typeof plain.data)[number], ClientRow<Works, "Work">>>();
	return [hours, nested.data[0]?.worker, clash, home, one.data?.worker?.name, pages.results[0]?.worker?.name, more.data[0]?.worker?.name];
}
interface WorkCtx {
	readonly db: QueryCtx<Works>["db"];
}
export async function joinsWork({ db }: WorkCtx): Promise<unknown> {
	const [row] = await db.query("Work").include({ worker: { field: "by", include: { of: "team", chief: "boss" } } });
	const code: string | undefined = row?.worker?.of?.code;
	// @ts-expect-error is no reference
	db.query("Work").include({ worker: { field: "by", include: { of: "name" } } });
	// @ts-expect-error Person has a field of that name
	db.query("Work").include({ worker: { field: "by", include: { team: "team" } } });
	const [mine] = await db.as(null).query("Work").include({ worker: { field: "by", include: { of: "team" } } });
	// @ts-expect-error is for the server only
	void mine?.worker?.of?.code;
	return [code, row?.worker?.chief?.name];
}
export async function readsWork(client: Client<Works>, loose: Client): Promise<unknown> {
	client.onUpdate("Work", { include: { worker: "by" } }, (rows) => rows.map((row) => row.worker?.name.length));
	const [first] = await client.query("Work", { include: { worker: { field: "by", include: { of: "team" } } } });
	const team: string | undefined = first?.worker?.of?.name;
	// @ts-expect-error is no reference
	void client.query("Work", { include: { worker: "hours" } });
	const [other] = await loose.query("Anything", { include: { any: "thing" } });
	return [team, other?.["any"]];
}
