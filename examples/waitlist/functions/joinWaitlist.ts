import { v } from "millrace/server";
import { mutation } from "../_generated/server";

/** Keeps both tables in one transaction: a thousand at once leave a count of a thousand. Gives one's place. */
export default mutation({
	args: { email: v.string().max(254) },
	auth: "public",
	async handler(ctx, args) {
		const email = args.email.trim().toLowerCase();
		if (!/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email)) ctx.error("bad_email", "That does not look like an email address.");
		const known = await ctx.db.query("Signup").where({ email }).first();
		if (known) ctx.error("joined", "You are on the list already.");
		await ctx.db.insert("Signup", { email });

		const [stat] = await ctx.db.query("WaitlistStat");
		const count = (stat?.count ?? 0) + 1;
		if (stat) await ctx.db.update("WaitlistStat", stat.id, { count });
		else await ctx.db.insert("WaitlistStat", { count });
		return count;
	},
});
