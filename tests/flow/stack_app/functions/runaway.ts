import { v } from "millrace/server";
import { api } from "../_generated/api";
import { mutation } from "../_generated/server";

export const loopPlain = mutation({
	auth: "public",
	handler: () => {
		for (;;);
	},
});

export const loopPromise = mutation({
	auth: "public",
	handler: async () => {
		for (;;) await Promise.resolve();
	},
});

export const loopRegex = mutation({ auth: "public", handler: () => /^(([a-z])+.)+[A-Z]([a-z])+$/.test("a".repeat(60)) });

export const eatMemory = mutation({
	auth: "public",
	handler: () => {
		const held: string[] = [];
		for (let i = 0; ; i++) held.push(`${i}`.repeat(100000));
	},
});

/** Computes without a pause, about a nanosecond for each round. */
export const grind = mutation({
	args: { rounds: v.number() },
	auth: "public",
	handler: (_ctx, { rounds }) => {
		let x = 1;
		for (let i = 0; i < rounds; i++) x = (x * 31 + i) | 0;
		console.log("grinds");
		return x;
	},
});

export const quick = mutation({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		console.log("is quick");
		return ctx.db.insert("Item", { grp, n: 1 });
	},
});

/** Grinds so many times, by the scheduler. */
export const grindLater = mutation({
	args: { rounds: v.number(), times: v.number() },
	auth: "public",
	handler: async (ctx, { rounds, times }): Promise<void> => {
		for (let i = 0; i < times; i++) await ctx.scheduler.runAfter(0, api.runaway.grind, { rounds });
	},
});

/** Runs what costs its worker, by the scheduler. */
export const costsLater = mutation({
	args: { how: v.union(v.literal("time"), v.literal("memory")) },
	auth: "public",
	handler: (ctx, { how }): Promise<string> => ctx.scheduler.runAfter(0, how === "time" ? api.runaway.loopPromise : api.runaway.eatMemory),
});

export const huge = mutation({ auth: "public", handler: () => "x".repeat(100_000_000) });
