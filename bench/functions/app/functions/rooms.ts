import { v } from "millrace/server";
import { mutation } from "../_generated/server";

export const say = mutation({
	args: { room: v.string(), body: v.string() },
	auth: "public",
	handler: (ctx, post) => ctx.db.insert("Post", post),
});
