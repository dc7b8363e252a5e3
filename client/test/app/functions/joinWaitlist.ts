import { v } from "millrace/server";
import { mutation } from "../server";
export default mutation({ auth: "public", args: { email: v.string() }, handler: () => undefined });
export const status = mutation({ args: {}, isolation: "read committed", handler: () => ({ ok: true }) });
