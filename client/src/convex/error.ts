// What a function refuses with in a ported app: `throw new ConvexError("No such room")`. Callers see its data.

import { MillraceError } from "../error.js";
import { isPlainObject, type Value } from "../values.js";

/** `data.code` of the app_error that it travels as. */
export const CONVEX_ERROR = "ConvexError";

export class ConvexError<T extends Value> extends Error {
	override readonly name = CONVEX_ERROR;
	readonly data: T;
	constructor(data: T) {
		super(typeof data === "string" ? data : JSON.stringify(data));
		this.data = data;
	}
}

/** What was thrown on the server, if it was one; else the error itself. */
export function asThrown(e: unknown): unknown {
	if (!(e instanceof MillraceError) || e.code !== "app_error" || !isPlainObject(e.data)) return e;
	const { code, data } = e.data as { readonly [key: string]: Value };
	return code === CONVEX_ERROR ? new ConvexError(data ?? null) : e;
}
