// Functions that read more than they may, each in its way.
import { v } from "millrace/server";
import { internal } from "../_generated/api";
import { internalMutation, mutation, query } from "../_generated/server";

const ofGroup = { args: { grp: v.string() }, auth: "public" as const };
const ofRows = { args: { rows: v.number() }, auth: "public" as const };

export const series = query({
	...ofRows,
	handler: async (ctx, { rows }) => (await ctx.db.sql`select generate_series(1, ${rows}::bigint) as i, repeat('x', 100) as x`).length,
});
/** The same beside a statement that writes. */
export const seriesWritten = mutation({
	...ofRows,
	handler: async (ctx, { rows }) =>
		(await ctx.db.sql`with gone as (delete from "Item" where grp = 'nobody' returning 1) select generate_series(1, ${rows}::bigint) as i`).length,
});
/** One row of so many bytes. */
export const wideRow = query({
	args: { bytes: v.number() },
	auth: "public",
	handler: async (ctx, { bytes }) => (await ctx.db.sql`select repeat('x', ${bytes}::int) as x`).length,
});
export const groups = query({
	...ofGroup,
	handler: async (ctx, { grp }) => (await ctx.db.query("Item").where({ grp }).groupBy("note").aggregate({ n: { count: true } })).length,
});
export const walk = query({
	...ofGroup,
	handler: async (ctx, { grp }) => {
		let n = 0;
		for await (const row of ctx.db.query("Item").where({ grp })) n += row.grp === grp ? 1 : 0;
		return n;
	},
});

export const part = internalMutation({
	args: { grp: v.string() },
	handler: async (ctx, { grp }): Promise<number> => {
		await ctx.db.insert("Item", { grp: "part", note: "inside" });
		return (await ctx.db.query("Item").where({ grp }).collect()).length;
	},
});
/** What it was refused with. */
export const inPart = mutation({
	...ofGroup,
	handler: async (ctx, { grp }): Promise<string> => {
		const code = await ctx.runMutation(internal.reads.part, { grp }).then(
			() => "",
			(e: { code?: string }) => e.code ?? "",
		);
		await ctx.db.insert("Item", { grp: "part", note: "after" });
		return code;
	},
});
