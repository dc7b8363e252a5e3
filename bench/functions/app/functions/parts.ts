// For the engine alone: calls that do one thing so many times, so that the difference is what one costs.
import { v } from "millrace/server";
import type { MutationCtx } from "millrace/server";
import type * as App from "../app";
import { mutation } from "../_generated/server";

const args = { id: v.id("Account") };
type Ctx = MutationCtx<typeof App, "public">;
const times = (n: number, what: (ctx: Ctx, id: string) => Promise<unknown>) =>
	mutation({
		args,
		auth: "public",
		handler: async (ctx, { id }) => {
			for (let i = 0; i < n; i++) await what(ctx, id);
			return 1;
		},
	});

const get = (ctx: Ctx, id: string) => ctx.db.get("Account", id);
const patch = (ctx: Ctx, id: string) => ctx.db.patch("Account", id, { balance: 7 });
const insert = (ctx: Ctx) => ctx.db.insert("Account", { owner: "x", balance: 1 });
const take = (ctx: Ctx, id: string) => ctx.db.query("Account").where({ owner: id }).order({ id: "asc" }).take(50);

export const empty = times(0, get);
export const get1 = times(1, get);
export const get5 = times(5, get);
export const patch1 = times(1, patch);
export const patch5 = times(5, patch);
export const insert1 = times(1, insert);
export const insert5 = times(5, insert);
export const take1 = times(1, take);
export const take5 = times(5, take);
