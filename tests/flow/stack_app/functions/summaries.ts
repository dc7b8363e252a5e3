import { v } from "millrace/server";
import { query } from "../_generated/server";

const grp = { args: { grp: v.string() }, auth: "public" as const };

export const items = query({
	...grp,
	handler: async (ctx, { grp }) => {
		const rows = () => ctx.db.query("Item").where({ grp });
		const whole = await rows().aggregate({
			n: { count: true },
			noted: { count: "note" },
			total: { sum: "n" },
			mean: { avg: "n" },
			first: { min: "at" },
			last: { max: "note" },
			big: { sum: "big" },
		});
		return { ...whole, count: await rows().count(), sum: await rows().sum("n"), least: await rows().min("n"), most: await rows().max("n"), avg: await rows().avg("n") };
	},
});

export const counters = query({
	args: {},
	auth: "public",
	handler: async (ctx) => ({
		groups: await ctx.db.query("Counter").groupBy("owner", "open").aggregate({ n: { count: true }, rate: { sum: "rate" }, price: { sum: "price" }, mean: { avg: "price" } }),
		top: await ctx.db.query("Counter").groupBy("owner").order({ total: "desc" }).limit(1).aggregate({ total: { sum: "n" } }),
		counts: await ctx.db.query("Counter").where({ open: true }).groupBy("owner").count(),
	}),
});

/** Whatever is asked of it, past the types. */
export const any = query({
	args: { groupBy: v.array(v.string()), measures: v.any() },
	auth: "public",
	handler: (ctx, { groupBy, measures }) => {
		const all = ctx.db.query("Counter");
		const [first, ...rest] = groupBy;
		return first === undefined ? all.aggregate(measures as never) : all.groupBy(first as "name", ...(rest as "name"[])).aggregate(measures as never);
	},
});

export const page = query({
	args: { grp: v.string(), order: v.any(), numItems: v.int(), cursor: v.nullable(v.string()), endCursor: v.optional(v.string()) },
	auth: "public",
	handler: async (ctx, { grp, order, ...options }) => {
		const { page, ...rest } = await ctx.db
			.query("Item")
			.where({ grp })
			.order(order as never)
			.paginate(options);
		return { ids: page.map((row) => row.id), ...rest };
	},
});

export const walk = query({
	args: { grp: v.string(), most: v.int() },
	auth: "public",
	handler: async (ctx, { grp, most }) => {
		let n = 0;
		for await (const row of ctx.db.query("Item").where({ grp }).order([["n", "asc"]])) if (++n >= most) return [n, row.n];
		return [n, null];
	},
});

export const ids = query({ args: { id: v.string() }, auth: "public", handler: (ctx, { id }) => ctx.db.normalizeId("Item", id) });

/** Looks at few fields of each row: by a select, a page, a summary and a statement. */
export const few = query({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		const rows = () => ctx.db.query("Item").where({ grp });
		const { page } = await rows().order({ at: "desc" }).select("note").paginate({ numItems: 1, cursor: null });
		const [said] = await ctx.db.sql({ many: v.int() })`select count(*) as many from "Item" i where i.grp = ${grp} and i.note > 'm'`;
		return { notes: (await rows().select("note", "id").order({ at: "asc" })).map((row) => row.note), last: page, sum: await rows().count(), many: said?.many };
	},
});

/** What a statement gives is what was declared, or it is told where not. */
export const declared = query({
	args: { sql: v.string() },
	auth: "public",
	handler: (ctx, { sql }) => ctx.db.sql(v.object({ n: v.int(), text: v.optional(v.string().nullable()) }))(sql),
});

/** Rows with those that they refer to. */
export const replies = query({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		const all = ctx.db.query("Reply").include({ of: "topic", before: "to" }).order({ text: "asc" });
		const whole = (await all).filter((row) => row.of?.grp === grp);
		const few = await all.select("text").paginate({ numItems: 2, cursor: null });
		return { whole: whole.map((row) => [row.text, row.of?.title ?? null, row.before?.text ?? null]), few: few.page.map((row) => [Object.keys(row).sort().join(), row.of?.n]) };
	},
});

/** What is out by now, what was so a second ago, and what is still to come. */
export const published = query({
	args: { grp: v.string() },
	auth: "public",
	handler: async (ctx, { grp }) => {
		const now = new Date(ctx.now());
		const rows = () => ctx.db.query("Item").where({ grp });
		return {
			out: (await rows().where({ at: { $lte: now } }).order({ at: "asc" })).map((row) => row.note),
			before: await rows().where({ $or: [{ at: { $lt: new Date(ctx.now() - 1000) } }, { note: "always" }] }).count(),
			next: await rows().where({ at: { $gt: now } }).min("at"),
		};
	},
});
