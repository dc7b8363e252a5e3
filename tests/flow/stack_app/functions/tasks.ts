import { v } from "millrace/server";
import { mutation, query } from "../_generated/server";

/** Whatever is asked of it, past the types. */
export const add = mutation({ args: { row: v.any() }, auth: "public", handler: (ctx, { row }) => ctx.db.insert("Task", row as never) });

export const checked = mutation({
	args: {
		title: v.string().min(2).max(20),
		state: v.enum("open", "done").default("open"),
		more: v.object({ level: v.int().min(1).default(3), note: v.optional(v.string()) }).default({}),
	},
	returns: v.object({ state: v.string(), level: v.number().max(5) }),
	auth: "public",
	handler: (_ctx, { state, more }) => ({ state, level: more.level }),
});

export const due = query({
	args: { after: v.datetime() },
	auth: "public",
	handler: async (ctx, { after }) => {
		const rows = await ctx.db
			.query("Task")
			.withIndex("open_by_due", (q) => q.gt("due", after))
			.collect();
		return rows.map((row) => row.title);
	},
});
