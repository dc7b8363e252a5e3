import { increment, v } from "millrace/server";
import { api, internal } from "../_generated/api";
import { internalMutation, internalQuery, mutation, query } from "../_generated/server";

const anybody = { auth: "public" as const };

export const notes = internalQuery({
	args: { grp: v.string() },
	handler: async (ctx, { grp }): Promise<string[]> => (await ctx.db.query("Item").where({ grp }).order({ n: "asc" })).map((row) => row.note ?? ""),
});

/** Writes what a step says, then fails in the way that it asks for. */
export const step = internalMutation({
	args: { grp: v.string(), n: v.int(), fails: v.optional(v.string()), inner: v.optional(v.any()) },
	handler: async (ctx, { grp, n, fails, inner }): Promise<string> => {
		const id = await ctx.db.insert("Item", { grp, n, note: `step ${n}` });
		await ctx.db.sql`update "Item" set note = note || '!' where id = ${id}`;
		if (inner !== undefined) await ctx.runMutation(internal.nested.step, inner as { grp: string; n: number }).catch(() => undefined);
		if (fails === "throws") throw new Error("thrown");
		if (fails === "unique") await ctx.db.insert("Item", { id, grp });
		if (fails === "sql") await ctx.db.sql`select 1 / ${0}::int`;
		if (fails === "caught") await ctx.db.sql`select 1 / ${0}::int`.catch(() => undefined);
		if (fails === "value") await ctx.db.insert("Item", { grp, n: "x" as never });
		if (fails === "error") ctx.error("no", "Not this one.");
		return id;
	},
});

export const steps = mutation({
	args: { grp: v.string(), steps: v.array(v.any()), together: v.boolean().default(false), throws: v.boolean().default(false) },
	...anybody,
	handler: async (ctx, { grp, steps, together, throws }): Promise<{ said: string[]; notes: string[] }> => {
		const one = (args: unknown): Promise<string> =>
			ctx.runMutation(internal.nested.step, { grp, ...(args as { n: number }) }).then(
				() => "done",
				(e: Error & { code?: string }) => e.code ?? e.message,
			);
		const said: string[] = [];
		if (together) said.push(...(await Promise.all(steps.map(one))));
		else for (const args of steps) said.push(await one(args));
		const all = await ctx.runQuery(internal.nested.notes, { grp });
		if (throws) throw new Error("all of it");
		return { said, notes: all };
	},
});

/** Counts, whatever becomes of the part that tries to. */
export const tries = mutation({
	args: { id: v.id("Counter") },
	...anybody,
	handler: async (ctx, { id }): Promise<number> => {
		await ctx.db.patch("Counter", id, { n: increment(1) });
		await ctx.runMutation(internal.nested.spoil, { id }).catch(() => undefined);
		await ctx.db.patch("Counter", id, { n: increment(1) });
		return (await ctx.db.get("Counter", id))?.n ?? -1;
	},
});
export const spoil = internalMutation({
	args: { id: v.id("Counter") },
	handler: async (ctx, { id }): Promise<null> => {
		await ctx.db.patch("Counter", id, { n: 1000, name: "spoilt" });
		return ctx.error("spoilt", "It is.");
	},
});

export const summary = query({
	args: { grp: v.string() },
	...anybody,
	handler: async (ctx, { grp }): Promise<string> => (await ctx.runQuery(internal.nested.notes, { grp })).join(),
});
export const mine = query({ ...anybody, handler: (ctx): Promise<string | null> => ctx.runQuery(internal.nested.me) });
export const me = internalQuery({ handler: (ctx): string | null => ctx.auth.userId });
export const down = query({
	args: { n: v.int() },
	...anybody,
	handler: async (ctx, { n }): Promise<number> => (n === 0 ? 0 : 1 + (await ctx.runQuery(api.nested.down, { n: n - 1 }))),
});
