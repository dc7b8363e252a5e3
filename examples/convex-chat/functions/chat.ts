// What was convex/chat.ts. Changed: where `v` and the declarers come from.
import { v } from "millrace/convex/values";
import { mutation, query } from "../_generated/server";

export const sendMessage = mutation({
	args: { user: v.string(), body: v.string() },
	handler: async (ctx, args) => {
		await ctx.db.insert("messages", { user: args.user, body: args.body });
	},
});

export const getMessages = query({
	args: {},
	handler: async (ctx) => {
		// the newest fifty, shown with the newest at the bottom
		const messages = await ctx.db.query("messages").order("desc").take(50);
		return messages.reverse();
	},
});
