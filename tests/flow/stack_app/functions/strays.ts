// What fails and is not awaited.
import { v } from "millrace/server";
import { internal } from "../_generated/api";
import { internalMutation, mutation } from "../_generated/server";

const anybody = { auth: "public" as const };

/** Writes `first`, then, unseen, what fails: the same row again, or a value that is none. */
export const insert = internalMutation({
	args: { grp: v.string(), how: v.string() },
	handler: async (ctx, { grp, how }): Promise<string> => {
		const id = await ctx.db.insert("Item", { grp, note: "first" });
		if (how.startsWith("unique")) void ctx.db.insert("Item", { id, grp });
		if (how.startsWith("value")) void ctx.db.insert("Item", { grp, n: "x" as never });
		if (how.endsWith("early")) await ctx.db.query("Item").where({ grp }).first().catch(() => null);
		if (how === "where") void ctx.db.query("Item").where({ nothing: 1 } as never).collect();
		return how;
	},
});
export const alone = mutation({ args: { grp: v.string(), how: v.string() }, ...anybody, handler: (ctx, args): Promise<string> => ctx.runMutation(internal.strays.insert, args) });
/** The same as a part of it that may fail. */
export const within = mutation({
	args: { grp: v.string(), how: v.string() },
	...anybody,
	handler: async (ctx, args): Promise<string> => {
		await ctx.db.insert("Item", { grp: args.grp, note: "before" });
		const said = await ctx.runMutation(internal.strays.insert, args).catch((e: Error & { code?: string }) => e.code ?? e.message);
		await ctx.db.insert("Item", { grp: args.grp, note: "after" });
		return said;
	},
});
