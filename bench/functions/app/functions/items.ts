import { v } from "millrace/server";
import { query } from "../_generated/server";

export const group = query({
	args: { grp: v.string() },
	auth: "public",
	handler: (ctx, { grp }) => ctx.db.query("Item").withIndex("by_grp", (q) => q.eq("grp", grp)).take(50),
});
