import { v } from "millrace/server";
import { mutation } from "../_generated/server";

export const add = mutation({
	args: { channel: v.string(), body: v.string() },
	auth: "public",
	handler: (ctx, note) => ctx.db.insert("Note", note),
});
