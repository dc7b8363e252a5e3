import { v } from "millrace/server";
import { query } from "../_generated/server";

/** Looks at who asks only once there is something to tell. */
export const lateWho = query({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		const rows = await ctx.db.query("Item").where({ grp }).collect();
		return rows.length ? `${ctx.auth.userId} sees ${rows.length}` : "nothing";
	},
});

/** Fails at an odd number of rows. */
export const even = query({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		const rows = await ctx.db.query("Item").where({ grp }).collect();
		if (rows.length % 2) ctx.error("odd", "The number of rows is odd.");
		return rows.length;
	},
});
