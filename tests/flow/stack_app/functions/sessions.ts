import { policy, v } from "millrace/server";
import { action, mutation, query } from "../_generated/server";

policy({ entity: "_sessions", name: "own", allowRead: "auth.userId == data.userId" });

/** What a password check would end with. */
export const signIn = mutation({
	auth: "public",
	args: { user: v.string(), role: v.optional(v.string()), ms: v.optional(v.int()) },
	handler: (ctx, { user, role, ms }) => ctx.auth.createSession(user, { ...(role === undefined ? {} : { claims: { role } }), ...(ms === undefined ? {} : { expiresIn: Number(ms) }) }),
});
export const signInBadly = mutation({
	auth: "public",
	args: { user: v.string(), claims: v.optional(v.any()), ms: v.optional(v.any()) },
	handler: (ctx, { user, claims, ms }) => ctx.auth.createSession(user, { claims: claims as never, expiresIn: ms as never }),
});
/** The transaction is taken back, and the session with it. */
export const signInAndFail = mutation({
	auth: "public",
	args: { user: v.string() },
	handler: async (ctx, { user }) => {
		const { sessionId } = await ctx.auth.createSession(user);
		return ctx.error("no", "not today", { sessionId });
	},
});
export const revoke = mutation({ auth: "public", args: { id: v.string() }, handler: (ctx, { id }) => ctx.auth.revokeSession(id) });
export const revokeAll = mutation({ auth: "public", args: { user: v.string() }, handler: (ctx, { user }) => ctx.auth.revokeUser(user) });
/** A new password: everywhere else the user is signed out. */
export const renewAll = mutation({
	args: {},
	handler: async (ctx) => {
		await ctx.auth.revokeUser(ctx.auth.userId);
		return ctx.auth.createSession(ctx.auth.userId);
	},
});
export const mine = query({ args: {}, handler: (ctx) => ctx.auth.sessions() });
/** Every way to read what is Millrace's own: `as` the caller, under the policies, too. */
export const ways = query({
	args: { id: v.string(), job: v.string() },
	handler: async (ctx, { id, job }) => ({
		session: [await ctx.db.get("_sessions", id), await ctx.db.system.get("_sessions", id), await ctx.db.query("_sessions").where({ id }).first(), await ctx.db.system.query("_sessions").where({ id }).first()],
		own: [await ctx.db.as(ctx.auth).get("_sessions", id), await ctx.db.as(ctx.auth).query("_sessions").where({ id }).first()],
		byUser: (await ctx.db.query("_sessions").withIndex("by_user", (q) => q.eq("userId", ctx.auth.userId)).collect()).length,
		job: [await ctx.db.get("_scheduled_functions", job), await ctx.db.system.get(job), await ctx.db.system.get("_scheduled_functions", job), await ctx.db.query("_scheduled_functions").where({ id: job }).unique()].map((one) => one?.name ?? null),
		ownJob: await ctx.db.as(ctx.auth).get("_scheduled_functions", job),
		ids: [ctx.db.normalizeId("_sessions", id.toUpperCase()), ctx.db.normalizeId("_scheduled_functions", "x")],
	}),
});
export const lockOwn = mutation({ args: { id: v.string() }, handler: async (ctx, { id }) => (await ctx.db.get("_sessions", id, { forUpdate: true }))?.userId ?? null });
export const current = mutation({ auth: "public", args: {}, handler: (ctx) => ctx.auth.sessionId });
export const currentInAction = action({ auth: "public", args: {}, handler: async (ctx) => [ctx.auth.sessionId, await ctx.runMutation("sessions.current")] });
export const inQuery = query({ auth: "public", args: {}, handler: (ctx) => "sessionId" in ctx.auth || "createSession" in ctx.auth });
export const write = mutation({ auth: "public", args: { entity: v.string() }, handler: async (ctx, { entity }) => void (await ctx.db.insert(entity as never, { userId: "eve", lasts: 1 } as never)) });
