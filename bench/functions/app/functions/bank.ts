import { v } from "millrace/server";
import type { MutationCtx } from "millrace/server";
import type * as App from "../app";
import { mutation } from "../_generated/server";

const args = { from: v.id("Account"), to: v.id("Account"), amount: v.int() };

/** As most people write it: read both, look, write both, one after the other. */
async function move(ctx: MutationCtx<typeof App, "public">, { from, to, amount }: { from: string; to: string; amount: number }) {
	const payer = await ctx.db.get("Account", from);
	const payee = await ctx.db.get("Account", to);
	if (!payer || !payee) return ctx.error("account", "There is no such account.");
	if (payer.balance < amount) return ctx.error("balance", "The account does not hold that much.");
	await ctx.db.patch("Account", from, { balance: payer.balance - amount });
	await ctx.db.patch("Account", to, { balance: payee.balance + amount });
	return payer.balance - amount;
}

export const transfer = mutation({ args, auth: "public", handler: move });
export const transferRepeatable = mutation({ args, auth: "public", isolation: "repeatable read", handler: move });
