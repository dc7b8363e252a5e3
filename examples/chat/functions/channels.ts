import { v } from "millrace/server";
import { mutation } from "../_generated/server";

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

export const create = mutation({
	args: { name: v.string() },
	handler: async (ctx, { name }) => {
		if (!NAME.test(name)) ctx.error("bad_name", "A channel's name has 1 to 32 small letters, digits or hyphens.");
		const taken = await ctx.db.query("Channel").where({ name }).first();
		if (taken) ctx.error("taken", `There is a channel #${name} already.`);
		return ctx.db.insert("Channel", { name });
	},
});

/** A new chat starts with two channels. Called by whoever finds none; doing it twice changes nothing. */
export const seed = mutation({
	handler: async (ctx) => {
		if (await ctx.db.query("Channel").first()) return;
		for (const name of ["general", "random"]) await ctx.db.insert("Channel", { name });
	},
});
