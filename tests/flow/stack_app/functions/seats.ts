import { v } from "millrace/server";
import { mutation } from "../_generated/server";

export const sit = mutation({
	args: { user: v.string(), room: v.string(), role: v.optional(v.string()), level: v.optional(v.int()) },
	auth: "public",
	handler: (ctx, seat) => ctx.db.insert("Seat", seat),
});

export const post = mutation({
	args: { room: v.string(), author: v.string(), n: v.optional(v.int()) },
	auth: "public",
	handler: (ctx, p) => ctx.db.insert("Post", p),
});

/** Takes the seat and all that its owner has said. */
export const expel = mutation({
	args: { user: v.string(), room: v.string() },
	auth: "public",
	handler: async (ctx, { user, room }) => {
		for (const seat of await ctx.db.query("Seat").where({ user, room }).collect()) await ctx.db.delete("Seat", seat.id);
		const posts = await ctx.db.query("Post").where({ author: user, room }).collect();
		for (const p of posts) await ctx.db.delete("Post", p.id);
		return posts.length;
	},
});
