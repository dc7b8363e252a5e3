import { v } from "millrace/server";
import { internal } from "../_generated/api";
import { internalMutation, mutation, query } from "../_generated/server";

const args = { mark: v.string(), grp: v.string(), n: v.float64() };

const add = (isolation: "serializable" | "repeatable read" | "read committed") =>
	mutation({ args, auth: "public", isolation, handler: (ctx, { mark, grp, n }) => ctx.db.insert("Item", { grp, n, note: mark }) });
export const addSerializable = add("serializable");
export const addRepeatable = add("repeatable read");
export const addCommitted = add("read committed");

/** Moves the first row of a group elsewhere, and writes a row that says so. */
export const move = mutation({
	args: { ...args, to: v.string() },
	auth: "public",
	handler: async (ctx, { mark, grp, n, to }) => {
		const first = await ctx.db.query("Item").where({ grp }).order([["n", "asc"]]).first();
		if (first) await ctx.db.patch("Item", first.id, { grp: to, n });
		return ctx.db.insert("Item", { grp: to, n, note: mark, ...(first ? { parent: first.id } : {}) });
	},
});

/** Many at once meet on one row, and on what they counted. */
export const hot = mutation({
	args,
	auth: "public",
	handler: async (ctx, { mark, n }) => {
		const some = await ctx.db.query("Item").where({ grp: "a" }).order([["id", "asc"]]).take(3);
		if (some.length) await ctx.db.patch("Item", some[0].id, { n: (some[0].n + some.length) % 100 });
		return ctx.db.insert("Item", { grp: "a", n, note: mark });
	},
});

/** Deletes by its key, children by the cascade, and writes a row that says so. */
export const drop = mutation({
	args,
	auth: "public",
	handler: async (ctx, { mark, grp, n }) => {
		const last = await ctx.db.query("Item").where({ grp }).order([["n", "desc"]]).first();
		if (last) await ctx.db.delete("Item", last.id);
		return ctx.db.insert("Item", { grp, n, note: mark });
	},
});

/** Moves two rows, each in a part of its own, of which one is taken back. */
export const parts = mutation({
	args: { ...args, to: v.string() },
	auth: "public",
	handler: async (ctx, { mark, grp, n, to }): Promise<string> => {
		for (const fails of [n % 2 === 0, n % 2 === 1]) await ctx.runMutation(internal.items.part, { grp, to, n, fails }).catch(() => undefined);
		return ctx.db.insert("Item", { grp: to, n, note: mark });
	},
});
export const part = internalMutation({
	args: { grp: v.string(), to: v.string(), n: v.float64(), fails: v.boolean() },
	handler: async (ctx, { grp, to, n, fails }) => {
		const first = await ctx.db.query("Item").where({ grp }).order([["n", "asc"]]).first();
		if (!first) return;
		await ctx.db.patch("Item", first.id, { grp: to, n });
		await ctx.db.sql`update "Item" set n = n + 1 where id = ${first.id}`;
		await ctx.db.insert("Item", { ...(fails ? { id: first.id } : {}), grp: to, n: n + 1, parent: first.id });
	},
});

export const sums = query({
	args: { grp: v.string() },
	auth: "public",
	handler: (ctx, { grp }) => ctx.db.sql`select count(*)::int as count, coalesce(sum(n), 0)::int as sum from "Item" where grp = ${grp}`,
});

export const list = query({
	args: { grp: v.string() },
	auth: "public",
	handler: (ctx, { grp }) => ctx.db.query("Item").where({ grp }).order([["n", "asc"], ["id", "asc"]]).collect(),
});
