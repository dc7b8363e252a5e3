import { increment, paginationOptsValidator, v } from "millrace/server";
import { action, internalQuery, mutation, query } from "../server";

export const send = mutation({
	args: { channel: v.id("Channel"), body: v.string(), likes: v.optional(v.number()) },
	async handler(ctx, { channel, body, likes }) {
		return ctx.db.insert("Message", { channel, body, author: ctx.auth.userId, likes });
	},
});
export const recent = query({
	args: { channel: v.id("Channel"), n: v.number() },
	auth: "public",
	handler: (ctx, { channel, n }) =>
		ctx.db
			.query("Message")
			.withIndex("by_channel", (q) => q.eq("channel", channel).gt("createdAt", "2026-01-01T00:00:00Z"))
			.order("desc")
			.take(n),
});
export const like = mutation({
	args: { id: v.id("Message") },
	handler: async (ctx, { id }) => {
		await ctx.db.get("Message", id, { forUpdate: true });
		await ctx.db.query("Message").where({ likes: 0 }).forUpdate().order("asc").limit(1);
		await ctx.db.patch("Message", id, { likes: increment(1), size: increment(-5n), body: "liked" });
		await ctx.db.update("Message", id, { likes: increment(2) });
	},
});
export const perAuthor = query({
	args: { channel: v.string() },
	handler: (ctx, { channel }) =>
		ctx.db.sql<{
			author: string;
			count: number;
		}>`select author, count(*) from "Message" where channel = ${channel} and ${true} group by author`,
});
export const whoami = query({
	auth: "public",
	args: {},
	handler: async (ctx) => ({ me: ctx.auth.userId, identity: await ctx.auth.getUserIdentity() }),
});
export const chance = query({ auth: "public", args: {}, handler: (ctx) => [ctx.now(), ctx.random(), ctx.random()] });
export const refuse = mutation({
	args: { items: v.array(v.object({ price: v.number() })) },
	handler: (ctx) => ctx.error("quota", "too many", { left: 0 }),
});
export const crash = mutation({
	args: {},
	handler: () => {
		throw new TypeError("oops");
	},
});
/** The first operation fails. */
export const stray = mutation({
	args: { how: v.string() },
	handler: async (ctx, { how }) => {
		const fails = async () => void (await ctx.db.get("Message", "x"));
		const goesOn = async () => void (await ctx.db.get("Message", "y"));
		if (how === "alone") void ctx.db.get("Message", "x");
		else if (how === "all") void Promise.all([fails(), goesOn()]);
		else if (how === "async") void fails();
		else if (how === "then") void ctx.db.get("Message", "x").then(() => 1);
		else if (how === "finally") void fails().finally(() => 1);
		else if (how === "caught") void fails().catch(() => 1);
		else if (how === "allCaught") await Promise.all([fails(), goesOn()]).catch(() => 1);
		else if (how === "own") void goesOn().then(() => Promise.reject(new Error("of its own")));
		else {
			const one = fails();
			await goesOn();
			await goesOn();
			if (how === "lateAwait")
				try {
					await one;
				} catch {
					return;
				}
			else if (how === "lateCatch") one.catch(() => 1);
			else await Promise.allSettled([one]);
		}
		await goesOn();
	},
});
export const unawaited = mutation({
	args: {},
	handler: (ctx) => {
		void ctx.db.delete("Message", "1");
	},
});
export const promised = query({ args: {}, returns: v.string(), handler: () => 5 as unknown as string });
export const strange = query({ args: {}, handler: () => ({ f: { g: [() => 1] } }) });
export const unique = query({ args: {}, handler: (ctx) => ctx.db.query("Channel").filter({ name: "x" }).unique() });
export const all = query({ args: {}, handler: async (ctx) => (await ctx.db.query("Channel")).length });
export const late = mutation({
	args: {},
	handler: (ctx) => {
		void Promise.resolve().then(() => undefined);
		setTimeout(
			() =>
				void ctx.db.delete("Message", "1").catch((e: Error) => {
					(globalThis as { lateError?: string }).lateError = e.message;
				}),
			5,
		);
	},
});
export const write = mutation(async (ctx, args: { id: string }) => {
	await ctx.db.patch("Message", args.id, { likes: 2, size: 5n });
	await ctx.db.update("Message", args.id, { createdAt: new Date(0) });
	await ctx.db.replace("Message", args.id, { channel: args.id, author: "a", body: "b" });
	await ctx.db.delete("Message", args.id);
	const row = await ctx.db.get("Message", args.id);
	return row?.createdAt;
});
export const hidden = internalQuery({ args: {}, handler: () => 1 });
export const helper = (x: number): number => x + 1;
export const constant = "text";
export const page = query({
	args: { channel: v.id("Channel"), paginationOpts: paginationOptsValidator },
	auth: "public",
	handler: async (ctx, { channel, paginationOpts }) => {
		const found = await ctx.db.query("Message").withIndex("by_channel", (q) => q.eq("channel", channel)).paginate(paginationOpts);
		return { ...found, page: found.page.map(({ id, body }) => ({ id, body, shout: body.toUpperCase() })) };
	},
});
export const importAll = action({ args: { url: v.string() }, returns: v.number(), handler: () => 5 });
