import { v } from "millrace/server";
import { api, internal } from "../_generated/api";
import { action, internalAction, internalMutation, internalQuery, mutation, query } from "../_generated/server";

const pause = (ms: number) => new Promise<void>((done) => void setTimeout(done, ms));

/** Calls all kinds, by reference and by name. */
export const copy = action({
	args: { from: v.string(), to: v.string() },
	auth: "public",
	handler: async (ctx, { from, to }): Promise<{ n: number; ids: string[]; after: number; who: unknown }> => {
		const n = await ctx.runQuery(api.items.count, { grp: from });
		const ids: string[] = [];
		for (let i = 0; i < Number(n); i++) ids.push(String(await ctx.runMutation("actions.put", { grp: to, n: i })));
		return { n, ids, after: await ctx.runQuery(api.items.count, { grp: to }), who: await ctx.runAction("actions.who") };
	},
});

export const put = internalMutation({
	args: { grp: v.string(), n: v.int() },
	handler: (ctx, { grp, n }) => ctx.db.insert("Item", { grp, n }),
});
export const refuse = internalMutation({
	args: { grp: v.string() },
	handler: async (ctx, { grp }) => {
		await ctx.db.insert("Item", { grp, n: 1 });
		return ctx.error("no_room", "it is full", { left: 0 });
	},
});
export const hidden = internalQuery({ args: {}, handler: () => "seen" });
export const who = internalAction({ args: {}, handler: (ctx) => ctx.auth.userId });
export const forUsers = internalQuery({ args: {}, auth: "user", handler: (ctx): string => ctx.auth.userId });
export const asUser = action({ args: {}, auth: "public", handler: (ctx): Promise<string> => ctx.runQuery(internal.actions.forUsers) });

/** What a call inside ended with. */
export const told = action({
	args: { kind: v.enum("runQuery", "runMutation", "runAction"), fn: v.string(), args: v.any() },
	auth: "public",
	handler: async (ctx, { kind, fn, args }) => {
		try {
			return { value: await ctx[kind](fn, args as never) };
		} catch (e) {
			const { code, message, data } = e as { code: string; message: string; data?: never };
			return { code, message, data: data ?? null };
		}
	},
});
export const passesOn = action({ args: { grp: v.string() }, auth: "public", handler: (ctx, { grp }) => ctx.runMutation("actions.refuse", { grp }) });

/** Mutations that nobody awaits are part of the action all the same. */
export const loose = action({
	args: { grp: v.string() },
	auth: "public",
	handler: (ctx, { grp }) => {
		for (let n = 0; n < 5; n++) void ctx.runMutation("actions.put", { grp, n });
		return "begun";
	},
});

export const time = action({
	args: {},
	auth: "public",
	handler: async () => {
		const [began, mark] = [Date.now(), performance.now()];
		const order: string[] = [];
		setTimeout(() => order.push("late"), 40);
		setTimeout((what: string) => order.push(what), 20, "early");
		const cleared = setTimeout(() => order.push("never"), 30);
		clearTimeout(cleared);
		let rang = 0;
		await new Promise<void>((done) => {
			const id = setInterval(() => {
				if (++rang < 3) return;
				clearInterval(id);
				done();
			}, 20);
		});
		await pause(20);
		return { took: Date.now() - began, clock: performance.now() - mark, order, rang, frozen: new Date().getTime() === began };
	},
});
export const outside = query({
	args: {},
	auth: "public",
	handler: () => {
		setTimeout(() => undefined, 1);
	},
});

/** Says in the database how far it came; `steps` pauses of 50 ms. */
export const slow = action({
	args: { grp: v.string(), steps: v.int() },
	auth: "public",
	handler: async (ctx, { grp, steps }) => {
		for (let n = 0; n < steps; n++) {
			await ctx.runMutation("actions.put", { grp, n });
			await pause(50);
		}
		return steps;
	},
});
export const leaves = action({
	args: { grp: v.string(), steps: v.int() },
	auth: "public",
	cancelWithCaller: true,
	handler: (ctx, args) => ctx.runAction("actions.slow", args),
});
export const waits = action({ args: { ms: v.int() }, auth: "public", handler: (_ctx, { ms }) => pause(ms) });

// --- what attacks

export const throws = action({
	args: {},
	auth: "public",
	handler: () => {
		throw new Error("secret of the house");
	},
});
export const loops = action({
	args: {},
	auth: "public",
	handler: async () => {
		await pause(1);
		for (;;);
	},
});
export const spins = action({
	args: {},
	auth: "public",
	handler: async () => {
		for (;;) await Promise.resolve();
	},
});
export const recurses = action({
	args: {},
	auth: "public",
	handler: () => {
		const deep = (n: number): number => deep(n + 1) + 1;
		return deep(0);
	},
});
export const nests = action({ args: {}, auth: "public", handler: (ctx): Promise<unknown> => ctx.runAction("actions.nests") });
export const allocates = action({
	args: {},
	auth: "public",
	handler: async () => {
		await pause(1);
		const held: string[] = [];
		for (let i = 0; ; i++) held.push(`${i}`.repeat(100000));
	},
});
export const cycle = action({
	args: {},
	auth: "public",
	handler: () => {
		const round: { self?: unknown } = {};
		round.self = round;
		return round;
	},
});
export const never = action({ args: {}, auth: "public", handler: () => new Promise<null>(() => undefined) });
export const neverTimed = action({
	args: {},
	auth: "public",
	handler: () =>
		new Promise<null>(() => {
			setInterval(() => undefined, 20);
		}),
});
export const floods = action({
	args: {},
	auth: "public",
	handler: async () => {
		for (let i = 0; i < 5000; i++) console.log(`line ${i}`);
		return "done";
	},
});
export const many = action({
	args: { n: v.int() },
	auth: "public",
	handler: async (ctx, { n }) => {
		const all = await Promise.allSettled(Array.from({ length: n }, () => ctx.runQuery("actions.hidden")));
		const codes = all.map((one) => (one.status === "fulfilled" ? "done" : (one.reason as { code: string }).code));
		return Object.fromEntries([...new Set(codes)].map((code) => [code, codes.filter((c) => c === code).length]));
	},
});
export const plain = mutation({ args: { grp: v.string() }, auth: "public", handler: (ctx, { grp }) => ctx.db.insert("Item", { grp }) });

const atLoad = (globalThis as { process?: { env: { [name: string]: string | undefined } } }).process?.env;
/** What it sees of the environment, in all ways. */
const seen = (env: { readonly [name: string]: string | undefined }) => [env["KEY"] ?? null, atLoad?.["KEY"] ?? null, env["PATH"] ?? null, env["HOME"] ?? null, Object.keys(env).length];
export const envInQuery = query({ args: {}, auth: "public", handler: (ctx) => seen(ctx.env) });
export const envInMutation = mutation({ args: {}, auth: "public", handler: (ctx) => seen(ctx.env) });
export const envInAction = action({ args: {}, auth: "public", handler: (ctx) => seen(ctx.env) });
export const envChanges = mutation({
	args: {},
	auth: "public",
	handler: (ctx) => {
		(ctx.env as { KEY: string }).KEY = "other";
	},
});
