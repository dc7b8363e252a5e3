import { v } from "millrace/server";
import { mutation, query } from "../_generated/server";

export const add = mutation({
	args: { channel: v.string(), body: v.string() },
	auth: "public",
	handler: async (ctx, note) => {
		await ctx.db.insert("Note", note);
	},
});

export const nothing = query({ args: {}, auth: "public", handler: () => null });
