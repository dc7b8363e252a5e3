// Functions as their documentation has them, but for the imports.
import { paginationOptsValidator } from "millrace/convex/server";
import { ConvexError, v } from "millrace/convex/values";
import { type FunctionRef, makeApi } from "millrace";
import { mutation, query } from "./server";

const portedApi = makeApi<object>() as unknown as { messages: { send: FunctionRef<"mutation", { room: string; body: string }, string> } };

export const send = mutation({
	args: { room: v.id("rooms"), body: v.string() },
	handler: async (ctx, args) => {
		if (args.body === "") throw new ConvexError({ why: "empty" });
		return await ctx.db.insert("messages", { room: args.room, body: args.body, state: "open", editor: args.room, tags: [args.room] });
	},
});
export const list = query({
	args: { room: v.id("rooms") },
	handler: async (ctx, args) =>
		await ctx.db
			.query("messages")
			.withIndex("by_room", (q) => q.eq("room", args.room).eq("state", "open").gt("_creationTime", 1000.5))
			.order("desc")
			.take(50),
});
export const find = query({
	args: { id: v.id("messages"), room: v.id("rooms") },
	handler: async (ctx, { id, room }) => {
		const message = await ctx.db.get(id);
		const again = await ctx.db.get("messages", id);
		const more = await ctx.db
			.query("messages")
			.filter((q) => q.and(q.neq(q.field("_id"), id), q.or(q.eq(q.field("editor"), room), q.eq(q.field("replyTo"), undefined)), q.lt(q.field("_creationTime"), 5)))
			.collect();
		return { message, again, more, known: ctx.db.normalizeId("rooms", room), unknown: ctx.db.normalizeId("rooms", id) };
	},
});
export const page = query({
	args: { paginationOpts: paginationOptsValidator },
	handler: (ctx, { paginationOpts }) => ctx.db.query("messages").order("desc").paginate(paginationOpts),
});
export const edit = mutation({
	args: { id: v.id("messages") },
	handler: async (ctx, { id }) => {
		await ctx.db.patch(id, { body: "edited", likes: undefined, replyTo: id });
		await ctx.db.patch("messages", id, { editor: null });
		const { _id, _creationTime, ...rest } = (await ctx.db.get(id))!;
		await ctx.db.replace(id, rest);
		await ctx.db.delete(id);
	},
});
export const seed = mutation(async (ctx) => {
	const room = await ctx.db.insert("rooms", { name: "a" });
	await ctx.db.insert("rooms", { name: "b" });
	return room;
});
export const strange = mutation({ args: {}, handler: (ctx) => ctx.db.get("rooms_x" as never) });
export const own = query({ auth: "user", args: {}, handler: (ctx) => ctx.auth.userId });
export const withRoom = query({
	args: { room: v.id("rooms") },
	handler: async (ctx, { room }) => [
		await ctx.db.query("messages").filter((q) => q.eq(q.field("room"), room)).include({ of: "room" }).take(2),
		await ctx.db.query("messages").select("body").take(1),
		await ctx.db.query("messages").select("_id", "room").take(1),
	],
});
export const schedule = mutation({
	args: { room: v.id("rooms"), body: v.string() },
	handler: async (ctx, args): Promise<unknown> => {
		const id = await ctx.scheduler.runAfter(500, portedApi.messages.send, args);
		const job = await ctx.db.system.get(id);
		const failed = await ctx.db.system
			.query("_scheduled_functions")
			.filter((q) => q.and(q.eq(q.field("state.kind"), "failed"), q.lt(q.field("scheduledTime"), 1000)))
			.collect();
		await ctx.scheduler.cancel(id);
		return { id, job, failed };
	},
});
