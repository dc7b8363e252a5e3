import { v } from "millrace/server";
import { mutation, query } from "../_generated/server";

export const add = mutation({
	args: { id: v.optional(v.id("Item")), grp: v.string(), n: v.optional(v.number()), note: v.optional(v.string()) },
	auth: "public",
	handler: (ctx, item) => ctx.db.insert("Item", item),
});

/** Holds its transaction open for so many milliseconds. */
export const addSlowly = mutation({
	args: { grp: v.string(), ms: v.number() },
	auth: "public",
	handler: async (ctx, { grp, ms }) => {
		await ctx.db.insert("Item", { grp });
		await ctx.db.sql`select 1 as one from pg_sleep(${ms / 1000}::float8)`;
	},
});

/** Many rows in one transaction, each with a large note. */
export const addMany = mutation({
	args: { grp: v.string(), count: v.number(), size: v.number() },
	auth: "public",
	handler: async (ctx, { grp, count, size }) => {
		for (let n = 0; n < count; n++) await ctx.db.insert("Item", { grp, n, note: "x".repeat(size) });
		return count;
	},
});

/** How many rows a group has, by reading them, time and again. */
export const readTimes = query({
	args: { grp: v.string(), times: v.number(), sql: v.optional(v.boolean()) },
	auth: "public",
	handler: async (ctx, { grp, times, sql }) => {
		let n = 0;
		for (let i = 0; i < times; i++) n = (await (sql ? ctx.db.sql`select id, note from "Item" where grp = ${grp}` : ctx.db.query("Item").where({ grp }).collect())).length;
		return n;
	},
});
/** The same, counted by Postgres. */
export const countTimes = query({
	args: { grp: v.string(), times: v.number() },
	auth: "public",
	handler: async (ctx, { grp, times }) => {
		let n = 0;
		for (let i = 0; i < times; i++) n = await ctx.db.query("Item").where({ grp }).count();
		return n;
	},
});
export const touchAll = mutation({ args: {}, auth: "public", handler: (ctx) => ctx.db.sql`update "Item" set n = n` });

/** Refuses when it has run before. */
export const addFirst = mutation({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		if ((await ctx.db.query("Item").where({ grp }).collect()).length > 0) ctx.error("taken", "There is one.");
		return ctx.db.insert("Item", { grp });
	},
});

/** Reads, then writes: a lost update would show. */
export const bump = mutation({
	args: { id: v.id("Item") },
	auth: "public",
	handler: async (ctx, { id }) => {
		const item = await ctx.db.get("Item", id);
		if (!item) return ctx.error("gone", "There is no such item.");
		await ctx.db.patch("Item", id, { n: item.n + 1 });
		return item.n + 1;
	},
});

export const fail = mutation({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		await ctx.db.insert("Item", { grp });
		throw new TypeError("it was to fail");
	},
});

export const refuse = mutation({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		await ctx.db.insert("Item", { grp });
		ctx.error("quota", "Too many items.", { left: 0 });
	},
});

export const nested = mutation({
	args: { list: v.array(v.object({ price: v.number() })) },
	auth: "public",
	handler: (_ctx, { list }) => list.length,
});

export const any = query({ auth: "public", args: { x: v.optional(v.any()) }, handler: (_ctx, { x }) => x ?? null });
export const inGroup = query({
	args: { grp: v.string() },
	auth: "public",
	handler: (ctx, { grp }) => ctx.db.query("Item").where({ grp }).orderBy([["n", "asc"]]).collect(),
});
export const count = query({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => (await ctx.db.sql<{ count: number }>`select count(*)::int as count from "Item" where grp = ${grp}`)[0]?.count ?? 0,
});
export const whoami = query({ auth: "public", handler: (ctx) => ctx.auth.userId });
export const mine = query({ handler: (ctx) => `diary of ${ctx.auth.userId}` });

export const slow = query({
	args: { seconds: v.number() },
	auth: "public",
	handler: async (ctx, { seconds }) => {
		await ctx.db.sql`select 1 as one from pg_sleep(${seconds}::float8)`;
		return "version one";
	},
});
export const version = query({ auth: "public", handler: () => "version one" });

export const talk = mutation({
	auth: "public",
	handler: () => {
		console.log("a line", 1, { of: "three" });
		console.error("an error");
		return null;
	},
});

export const slowRows = query({
	args: { grp: v.string(), seconds: v.number() },
	auth: "public",
	handler: async (ctx, { grp, seconds }) => {
		await ctx.db.sql`select 1 as one from pg_sleep(${seconds}::float8)`;
		return ctx.db.query("Item").where({ grp }).order([["id", "desc"]]).collect();
	},
});

/** Takes its time whenever it runs. */
export const slowCount = query({
	args: { grp: v.string(), seconds: v.number() },
	auth: "public",
	handler: async (ctx, { grp, seconds }) => {
		await ctx.db.sql`select 1 as one from pg_sleep(${seconds}::float8)`;
		return (await ctx.db.query("Item").where({ grp }).collect()).length;
	},
});

/** A row, after a while. */
export const addLate = mutation({
	args: { grp: v.string(), seconds: v.number() },
	auth: "public",
	handler: async (ctx, { grp, seconds }) => {
		await ctx.db.sql`select 1 as one from pg_sleep(${seconds}::float8)`;
		return ctx.db.insert("Item", { grp, note: "late" });
	},
});
