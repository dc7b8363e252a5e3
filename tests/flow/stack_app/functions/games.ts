import { v } from "millrace/server";
import { mutation } from "../_generated/server";

export const add = mutation({ args: { n: v.int(), white: v.id("Player") }, auth: "public", handler: (ctx, game) => ctx.db.insert("Game", game) });
