// Clients' entity queries with `include`: a function of the runtime's own reads them, as the caller. It is never called by its name: the
// fanout turns such a query into a run of it, when it has checked what is asked (fanout/instance_included.c).

import { MillraceError } from "../error.js";
import { type Auth, RegisteredFunction } from "../server/functions.js";
import type { Include, Order, Row, Where } from "../values.js";
import type { QueryBuilder } from "./query.js";

const NAME = "_entity.included";

interface Args {
	readonly entity: string;
	/** JSON text: its operators are no values of the protocol. */
	readonly where: string;
	readonly order: Order | null;
	readonly include: Include;
	readonly limit?: number;
	/** Rows that there may be without a limit. */
	readonly most: number;
}
interface Ctx {
	readonly auth: Auth;
	readonly db: { as(who: Auth): { query(entity: string): QueryBuilder } };
}

async function included(ctx: Ctx, { entity, where, order, include, limit, most }: Args): Promise<Row[]> {
	const asked = { where: JSON.parse(where) as Where, order, include, limit: limit ?? most + 1 };
	const rows = await ctx.db.as(ctx.auth).query(entity).asked(asked);
	if (rows.length > most) {
		const message = `The query has more than ${most} rows (instance_max_rows); add a filter or a limit.`;
		throw new MillraceError("too_many_rows", message, { setting: "instance_max_rows" });
	}
	return rows;
}

const options = { args: undefined, returns: undefined, auth: "public", isolation: undefined, cancelWithCaller: undefined } as const;

export const includedFunctions: ReadonlyMap<string, RegisteredFunction> = new Map([
	[NAME, new RegisteredFunction("query", true, { ...options, handler: included as never })],
]);
