import { v } from "millrace/server";
import { mutation, query } from "../_generated/server";

const anybody = { auth: "public" as const };

export const add = mutation({ args: { n: v.int(), white: v.id("Player") }, ...anybody, handler: (ctx, game) => ctx.db.insert("Game", game) });
export const white = query({
	...anybody,
	handler: async (ctx) => {
		const games = await ctx.db.query("Game").include({ first: { field: "white", include: { home: "club" } } }).order({ n: "asc" });
		return games.map(({ n, first }) => [n, first?.home?.name, first?.home?.code]);
	},
});
export const wrong = query({ ...anybody, handler: (ctx) => ctx.db.query("Game").include({ first: { field: "white", include: { home: "name" as "club" } } }) });
