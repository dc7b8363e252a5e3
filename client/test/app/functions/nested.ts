import { increment, v } from "millrace/server";
import { api, internal } from "../api";
import { internalMutation, internalQuery, mutation, query } from "../server";

export const likesOf = internalQuery({
	args: { id: v.id("Message") },
	handler: async (ctx, { id }): Promise<number | null> => (await ctx.db.get("Message", id))?.likes ?? null,
});
export const setLikes = internalMutation({
	args: { id: v.id("Message"), likes: v.number().min(0) },
	handler: async (ctx, { id, likes }): Promise<{ random: number; user: string | null }> => {
		await ctx.db.patch("Message", id, { likes });
		if (likes === 13) ctx.error("unlucky", "Not thirteen.");
		return { random: ctx.random(), user: ctx.auth.userId };
	},
});
export const both = mutation({
	args: { id: v.id("Message"), first: v.number(), second: v.number() },
	handler: async (ctx, { id, first, second }): Promise<unknown> => {
		const set = (likes: number) => ctx.runMutation(internal.nested.setLikes, { id, likes }).catch((e: Error) => e.message);
		return [await Promise.all([set(first), set(second), ctx.db.get("Message", id)]), await ctx.runQuery(internal.nested.likesOf, { id })];
	},
});
export const down = query({
	args: { n: v.int() },
	auth: "public",
	handler: async (ctx, { n }): Promise<number> => (n === 0 ? 0 : 1 + (await ctx.runQuery(api.nested.down, { n: n - 1 }))),
});
export const needy = query({ auth: "public", args: {}, handler: (ctx): Promise<number> => ctx.runQuery(api.messages.all) });
export const wrong = mutation({
	args: { kind: v.string() },
	handler: (ctx, { kind }): Promise<unknown> => {
		const name = kind === "nothing" ? "no.such" : kind === "mutation" ? "messages.send" : kind;
		return ctx.runQuery(name as never, {} as never);
	},
});
export const forgotten = mutation({
	args: { id: v.id("Message") },
	handler: (ctx, { id }) => {
		void ctx.runMutation(internal.nested.setLikes, { id, likes: 1 });
		void ctx.db.patch("Message", id, { likes: 2 });
	},
});
export const upsert = mutation({
	args: { key: v.any(), changes: v.any(), others: v.any() },
	handler: (ctx, { key, changes, others }) => ctx.db.upsert("Message", key as { id: string }, { ...(changes as object), size: increment(2n) }, others as never),
});
