import { increment, v } from "millrace/server";
import { mutation, query } from "../_generated/server";

const id = v.id("Counter");
const isolation = "read committed" as const;

export const make = mutation({ args: { name: v.string() }, auth: "public", handler: (ctx, { name }) => ctx.db.insert("Counter", { name }) });

/** Reads, then writes: whoever ran at the same time and was not seen would be lost. */
export const bump = mutation({
	args: { id },
	auth: "public",
	handler: async (ctx, { id }) => {
		const counter = await ctx.db.get("Counter", id);
		if (!counter) return ctx.error("gone", "There is no such counter.");
		await ctx.db.patch("Counter", id, { n: counter.n + 1 });
		return counter.n + 1;
	},
});

/** The same where only the lock keeps others out. */
export const bumpLocked = mutation({
	args: { id },
	auth: "public",
	isolation,
	handler: async (ctx, { id }) => {
		const counter = await ctx.db.get("Counter", id, { forUpdate: true });
		await ctx.db.patch("Counter", id, { n: counter!.n + 1 });
		return counter!.n + 1;
	},
});
export const bumpLockedQuery = mutation({
	args: { name: v.string() },
	auth: "public",
	isolation,
	handler: async (ctx, { name }) => {
		const counter = await ctx.db.query("Counter").where({ name }).forUpdate().unique();
		await ctx.db.patch("Counter", counter!.id, { n: counter!.n + 1 });
	},
});

const add = { args: { id, by: v.optional(v.number()) }, auth: "public" as const };
export const add1 = mutation({ ...add, handler: (ctx, { id, by }) => ctx.db.patch("Counter", id, { n: increment(by ?? 1) }) });
export const add1Committed = mutation({
	...add,
	isolation,
	handler: async (ctx, { id, by }) => {
		await ctx.db.patch("Counter", id, { n: increment(by ?? 1) });
		return (await ctx.db.get("Counter", id))?.n;
	},
});

/** Whatever is asked of it, past the types. */
export const change = mutation({
	args: { id, set: v.optional(v.any()), add: v.optional(v.any()) },
	auth: "public",
	handler: async (ctx, { id, set, add }) => {
		const changes: Record<string, never> = { ...(set as Record<string, never>) };
		for (const [name, by] of Object.entries((add ?? {}) as Record<string, never>)) changes[name] = increment(by) as never;
		await ctx.db.patch("Counter", id, changes);
		return ctx.db.get("Counter", id);
	},
});
export const insertIncrement = mutation({ auth: "public", handler: (ctx) => ctx.db.insert("Counter", { name: "x", n: increment(1) as never }) });
export const replaceIncrement = mutation({
	args: { id },
	auth: "public",
	handler: (ctx, { id }) => ctx.db.replace("Counter", id, { name: "x", n: increment(1) as never }),
});

/** A query has the same object at run time, typed or not. */
type Locking = { get(entity: string, id: string, options: object): Promise<unknown> };
export const lockInQuery = query({ args: { id }, auth: "public", handler: (ctx, { id }) => (ctx.db as unknown as Locking).get("Counter", id, { forUpdate: true }) });

/** In the order given: two that meet may wait for each other. */
export const transfer = mutation({
	args: { from: id, to: id, amount: v.int() },
	auth: "public",
	handler: async (ctx, { from, to, amount }) => {
		const payer = await ctx.db.get("Counter", from);
		const payee = await ctx.db.get("Counter", to);
		await ctx.db.patch("Counter", from, { n: payer!.n - amount });
		await ctx.db.patch("Counter", to, { n: payee!.n + amount });
	},
});

/** Keeps the row for a while. */
export const hold = mutation({
	args: { id, seconds: v.number() },
	auth: "public",
	isolation,
	handler: async (ctx, { id, seconds }) => {
		const counter = await ctx.db.get("Counter", id, { forUpdate: true });
		await ctx.db.sql`select 1 as one from pg_sleep(${seconds}::float8)`;
		const again = await ctx.db.get("Counter", id);
		await ctx.db.patch("Counter", id, { n: counter!.n + 1 });
		return counter!.n === again!.n;
	},
});

/** Counts under a name, whether it was counted before or not. */
const tallies = (how?: typeof isolation) =>
	mutation({
		args: { name: v.string() },
		auth: "public",
		...(how ? { isolation: how } : {}),
		handler: (ctx, { name }) => ctx.db.upsert("Tally", { name }, { n: increment(1) }),
	});
export const tally = tallies();
export const tallyCommitted = tallies(isolation);
export const tallyPlace = mutation({
	args: { name: v.string(), grp: v.string(), place: v.int() },
	auth: "public",
	handler: (ctx, { name, grp, place }) => ctx.db.upsert("Tally", { grp, place }, { n: increment(1) }, { name }),
});
