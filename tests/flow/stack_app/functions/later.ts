// Functions that run later, and those that schedule them. What ran leaves an Item of its group.
import { v } from "millrace/server";
import { api, internal } from "../_generated/api";
import { action, internalAction, internalMutation, mutation, query } from "../_generated/server";

const pause = (ms: number) => new Promise<void>((done) => void setTimeout(done, ms));
const retries = v.object({ attempts: v.number(), initialBackoffMs: v.number().optional(), base: v.number().optional(), maxBackoffMs: v.number().optional() });
const job = { fn: v.enum("put", "slowPut", "sleepyPut", "fails", "failsUntil", "act", "actFails", "actUntil", "actTwice", "loops", "chain"), grp: v.string(), n: v.int().default(0), ms: v.number().default(0), retry: retries.optional() };

export const put = internalMutation({ args: { grp: v.string(), n: v.int() }, handler: async (ctx, { grp, n }) => void (await ctx.db.insert("Item", { grp, n, note: ctx.auth.userId })) });
/** Holds its connection for a while. */
export const slowPut = internalMutation({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }) => {
		await ctx.db.insert("Item", { grp, n });
		await ctx.db.sql`select 1 from pg_sleep(0.15)`;
	},
});
/** For so many milliseconds. */
export const sleepyPut = internalMutation({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }) => {
		await ctx.db.insert("Item", { grp, n });
		await ctx.db.sql`select 1 from pg_sleep(${n / 1000}::float8)`;
	},
});
export const fails = internalMutation({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }) => {
		await ctx.db.insert("Item", { grp, n });
		await ctx.scheduler.runAfter(0, internal.later.put, { grp, n });
		ctx.error("no_luck", "it always fails", { n });
	},
});
/** Fails while its row says so. */
export const failsUntil = internalMutation({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }) => {
		const [{ tries }] = await ctx.db.sql<{ tries: number }>`select count(*)::int as tries from "Item" where grp = ${`${grp} open`}`;
		if (tries < n) throw new Error(`not before ${n}, there are ${tries}`);
		await ctx.db.insert("Item", { grp, n });
	},
});
/** For nobody's call. */
export const hides = mutation({ args: { grp: v.string(), n: v.int() }, auth: "user", handler: () => null });
export const loops = internalMutation({ args: { grp: v.string(), n: v.int() }, handler: () => { for (;;); } });
export const chain = internalMutation({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }) => {
		await ctx.db.insert("Item", { grp, n });
		if (n > 1) await ctx.scheduler.runAfter(0, internal.later.chain, { grp, n: n - 1 });
	},
});

/** A step every 50 ms. */
export const act = internalAction({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }) => {
		for (let i = 0; i < n; i++) {
			await ctx.runMutation(internal.later.put, { grp, n: i });
			await pause(50);
		}
	},
});
export const actFails = internalAction({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }) => {
		await ctx.runMutation(internal.later.put, { grp, n });
		throw new Error("an action that fails");
	},
});
/** Ends when it is begun the second time. */
export const actTwice = internalAction({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }): Promise<void> => {
		await ctx.runMutation(internal.later.put, { grp, n });
		if ((await ctx.runQuery(api.items.count, { grp })) < 2) await pause(60_000);
	},
});
/** Begins again what did not come to its end. */
export const actUntil = internalAction({
	args: { grp: v.string(), n: v.int() },
	handler: async (ctx, { grp, n }) => {
		await ctx.runMutation(internal.later.put, { grp, n });
		await pause(n);
		await ctx.runMutation(internal.later.put, { grp: `${grp} end`, n });
	},
});

export const plan = mutation({
	args: job,
	auth: "public",
	handler: (ctx, { fn, grp, n, ms, retry }): Promise<string> => ctx.scheduler.runAfter(ms, internal.later[fn], { grp, n }, retry ? { retry } : {}),
});
export const planAt = mutation({ args: { grp: v.string(), at: v.number() }, auth: "public", handler: (ctx, { grp, at }): Promise<string> => ctx.scheduler.runAt(new Date(at), internal.later.put, { grp, n: 1 }) });
export const planMany = mutation({
	args: { fn: v.enum("put", "slowPut"), grp: v.string(), many: v.int() },
	auth: "public",
	handler: async (ctx, { fn, grp, many }) => {
		for (let n = 0; n < many; n++) await ctx.scheduler.runAfter(0, internal.later[fn], { grp, n });
	},
});
/** Schedules, and is taken back: whole, or in part. */
export const regrets = mutation({
	args: { grp: v.string(), caught: v.boolean() },
	auth: "public",
	handler: async (ctx, { grp, caught }) => {
		await ctx.scheduler.runAfter(0, internal.later.put, { grp, n: 1 });
		if (!caught) ctx.error("no", "not at all");
		await ctx.runMutation(internal.later.fails, { grp, n: 2 }).catch(() => null);
	},
});
export const planLarge = mutation({ args: { size: v.number() }, auth: "public", handler: (ctx, { size }): Promise<string> => ctx.scheduler.runAfter(0, internal.later.put, { grp: "x".repeat(size), n: 1 }) });
export const wrong = mutation({
	args: { what: v.string() },
	auth: "public",
	handler: async (ctx, { what }) => {
		const s = ctx.scheduler as unknown as { runAfter(...args: unknown[]): Promise<unknown>; runAt(...args: unknown[]): Promise<unknown>; cancel(id: unknown): Promise<unknown> };
		const db = ctx.db as unknown as { [method: string]: (...args: unknown[]) => Promise<unknown> };
		const grp = { grp: "g", n: 1 };
		const all: { [what: string]: () => Promise<unknown> | undefined } = {
			query: () => s.runAfter(0, "later.list", {}),
			unknown: () => s.runAfter(0, "later.nowhere", {}),
			user: () => s.runAfter(0, "later.hides", grp),
			args: () => s.runAfter(0, internal.later.put, { grp: 1, n: 1 }),
			delay: () => s.runAfter(-1, internal.later.put, grp),
			nan: () => s.runAt(Number.NaN, internal.later.put, grp),
			retry: () => s.runAfter(0, internal.later.put, grp, { retry: { attempts: 0 } }),
			id: () => s.cancel("x"),
			insert: () => db.insert?.("_scheduled_functions", { name: "later.put" }),
			patch: () => db.patch?.("_scheduled_functions", "01890000-0000-7000-8000-000000000001", { state: "pending" }),
			delete: () => db.delete?.("_scheduled_functions", "01890000-0000-7000-8000-000000000001"),
			sql: () => db.sql?.("update millrace.job set state = 'pending'"),
		};
		return all[what]?.();
	},
});
export const cancel = mutation({ args: { id: v.string() }, auth: "public", handler: (ctx, { id }) => ctx.scheduler.cancel(id) });
export const get = query({ args: { id: v.string() }, auth: "public", handler: (ctx, { id }) => ctx.db.system.get(id) });
/** Of one group, the newest first. */
export const list = query({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		const jobs = await ctx.db.system.query("_scheduled_functions").order("desc").take(1000);
		return jobs.filter((one) => (one.args as { grp?: string }).grp === grp).map(({ id, name, state, attempt }) => ({ id, name, state, attempt }));
	},
});

export const fromAction = action({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }): Promise<string[]> => {
		const one = await ctx.scheduler.runAfter(0, internal.later.put, { grp, n: 1 });
		const two = await ctx.scheduler.runAfter(3_600_000, internal.later.put, { grp, n: 2 }, { retry: { attempts: 2 } });
		await ctx.scheduler.cancel(two);
		return [one, two];
	},
});
