import { paginationOptsValidator, v } from "millrace/server";
import { mutation, query } from "../_generated/server";

const opts = { auth: "public" } as const;

export const addCustomer = mutation({
	...opts,
	args: { name: v.string() },
	async handler(ctx, { name }) {
		const id: number = await ctx.db.insert("Customer", { name });
		const row = await ctx.db.get("Customer", id);
		return { id, name: row?.name, made: row?.createdAt !== undefined };
	},
});

export const addToken = mutation({ ...opts, args: {}, handler: (ctx) => ctx.db.insert("tokens", { label: "made" }) });

export const addLine = mutation({
	...opts,
	args: { tenant: v.string(), no: v.int(), qty: v.int(), customer: v.optional(v.int()) },
	handler: (ctx, line) => ctx.db.insert("Line", line),
});

/** The same row by its text, its values in order, and its values by name. */
export const bump = mutation({
	...opts,
	args: { tenant: v.string(), no: v.int() },
	async handler(ctx, { tenant, no }) {
		await ctx.db.patch("Line", { tenant, no }, { qty: 2 });
		await ctx.db.patch("Line", [tenant, no], { code: "c" });
		const row = await ctx.db.get("Line", { no, tenant });
		if (!row) return null;
		await ctx.db.replace("Line", row.id, { tenant, no, qty: row.qty + 1 });
		const id = await ctx.db.upsert("Line", { tenant, no }, { code: "up" }, { qty: 0 });
		return { id, row: await ctx.db.get("Line", id) };
	},
});

export const dropLine = mutation({ ...opts, args: { id: v.string() }, handler: (ctx, { id }) => ctx.db.delete("Line", id) });
export const moveLine = mutation({ ...opts, args: { id: v.string() }, handler: (ctx, { id }) => ctx.db.patch("Line", id, { no: 99 } as never) });

export const page = query({
	...opts,
	args: { paginationOpts: paginationOptsValidator },
	handler: (ctx, { paginationOpts }) => ctx.db.query("Line").order({ qty: "desc" }).paginate(paginationOpts),
});

export const withCustomers = query({
	...opts,
	args: {},
	async handler(ctx) {
		const rows = await ctx.db.query("Line").withIndex("by_qty", (q) => q.eq("tenant", "j")).include({ who: "customer" }).collect();
		return rows.map((row) => [row.id, row.who?.name ?? null]);
	},
});

export const visits = query({
	...opts,
	args: { until: v.string() },
	async handler(ctx, { until }) {
		const rows = await ctx.db.query("Visit").where({ at: { $lte: until } }).order({ mood: "asc" }).collect();
		const days = await ctx.db.query("Visit").groupBy("day").count();
		return { rows, days };
	},
});

export const named = query({ ...opts, args: {}, handler: async (ctx) => (await ctx.db.query("Line").select("id", "qty").collect()).map((row) => row.id) });
export const bySql = query({ ...opts, args: { no: v.int() }, handler: (ctx, { no }) => ctx.db.sql`select sum(qty) as n from shop.lines where "no" = ${no}` });
