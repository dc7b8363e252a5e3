import { v } from "millrace/server";
import { mutation, query } from "../_generated/server";

const anybody = { auth: "public" as const };
const who = v.nullable(v.string());
const asked = (userId: string | null) => (userId === null ? null : { userId });

export const mine = query({ ...anybody, handler: (ctx) => ctx.db.as(ctx.auth).query("Diary").order({ text: "asc" }) });
export const theirs = query({
	args: { who },
	...anybody,
	handler: async (ctx, args) => {
		const db = ctx.db.as(asked(args.who));
		const all = db.query("Diary").order({ text: "asc" });
		return { texts: (await all.select("text")).map((row) => row.text), count: await all.count(), all: (await ctx.db.query("Diary")).length };
	},
});
export const one = query({ args: { who, id: v.id("Diary") }, ...anybody, handler: (ctx, { who, id }) => ctx.db.as(asked(who)).get("Diary", id) });
/** What is for the server only, asked for in each way. */
export const secret = query({
	args: { how: v.string() },
	...anybody,
	handler: async (ctx, { how }): Promise<unknown> => {
		const all = ctx.db.as({ userId: "ann" }).query("Diary");
		if (how === "where") return all.where({ secret: "x" } as never);
		if (how === "order") return all.order({ secret: "asc" } as never);
		if (how === "select") return all.select("secret" as never);
		return all.min("secret" as never);
	},
});
export const write = mutation({
	args: { who, act: v.enum("insert", "patch", "delete"), id: v.optional(v.id("Diary")), value: v.any() },
	...anybody,
	handler: async (ctx, { who, act, id = "", value }): Promise<string> => {
		const db = ctx.db.as(asked(who));
		if (act === "insert") return db.insert("Diary", value as { text: string; owner: string });
		await (act === "patch" ? db.patch("Diary", id, value as object) : db.delete("Diary", id));
		return id;
	},
});

/** By policies that look at other rows. */
export const posts = query({
	args: { who: v.string() },
	...anybody,
	handler: async (ctx, { who }) => (await ctx.db.as({ userId: who }).query("Post").where({ room: "obey" }).order({ text: "asc" })).map((row) => row.text),
});
const posting = { args: { who: v.string(), body: v.string() }, ...anybody };
export const post = mutation({
	...posting,
	handler: (ctx, { who, body }) => ctx.db.as({ userId: who }).insert("Post", { author: who, room: "obey", text: body }),
});
export const postCommitted = mutation({
	...posting,
	isolation: "read committed",
	handler: (ctx, { who, body }) => ctx.db.as({ userId: who }).insert("Post", { author: who, room: "obey", text: body }),
});
