// Pages of a query. A cursor is the place of a row in the query's order, as text; what lies behind it, or up to it, is a filter.

import { MillraceError } from "../error.js";
import { parseWire, printWire } from "../json.js";
import type { Row, Scalar, Where } from "../values.js";

/** Behind the last row there is. */
export const END = "end";

type Term = readonly [field: string, direction: "asc" | "desc"];

export function placeOf(row: Row, order: readonly Term[]): string {
	return printWire(order.map(([field]) => row[field] ?? null));
}

function readPlace(cursor: unknown, order: readonly Term[]): readonly Scalar[] {
	try {
		const values = typeof cursor === "string" ? parseWire(cursor) : undefined;
		if (Array.isArray(values) && values.length === order.length) return values as readonly Scalar[];
	} catch {
		// said below
	}
	throw new MillraceError("bad_args", "paginate: the cursor is not one that this query gave; begin again with null");
}

const NOTHING: Where = { $or: [] };
const anyOf = (parts: readonly Where[]): Where => (parts.length === 1 && parts[0] ? parts[0] : { $or: parts });

/** What stands behind a value in this direction; nulls stand last in ascending order and first in descending order. */
function behind([field, direction]: Term, value: Scalar, mayBeNull: boolean): Where {
	if (direction === "desc") return value === null ? { [field]: { $not: null } } : { [field]: { $lt: value } };
	if (value === null) return NOTHING;
	return mayBeNull ? { $or: [{ [field]: { $gt: value } }, { [field]: null }] } : { [field]: { $gt: value } };
}
const before = ([field, direction]: Term, value: Scalar, mayBeNull: boolean): Where =>
	behind([field, direction === "asc" ? "desc" : "asc"], value, mayBeNull);

/** A bound of the first field alone, which an index can use; those that may be null have none. */
function bound([field, direction]: Term, value: Scalar, up: boolean): Where {
	return { [field]: (direction === "asc") === up ? { $gte: value } : { $lte: value } };
}

type MayBeNull = (field: string) => boolean;

/** As long as they are equal, the next field decides. */
function beyond(order: readonly Term[], place: readonly Scalar[], step: typeof behind, mayBeNull: MayBeNull): Where[] {
	return order.map((term, i) => {
		const same = order.slice(0, i).map(([field], k): Where => ({ [field]: place[k] ?? null }));
		return { $and: [...same, step(term, place[i] ?? null, mayBeNull(term[0]))] };
	});
}

function bounded(order: readonly Term[], place: readonly Scalar[], up: boolean, mayBeNull: MayBeNull, where: Where): Where {
	const [first] = order;
	return first && place[0] !== undefined && !mayBeNull(first[0]) ? { $and: [bound(first, place[0], up), where] } : where;
}

/** Rows behind the cursor. */
export function after(order: readonly Term[], cursor: unknown, mayBeNull: MayBeNull): Where {
	if (cursor === END) return NOTHING;
	const place = readPlace(cursor, order);
	return bounded(order, place, true, mayBeNull, anyOf(beyond(order, place, behind, mayBeNull)));
}

/** Rows up to the cursor, its own among them. */
export function upTo(order: readonly Term[], cursor: unknown, mayBeNull: MayBeNull): Where {
	if (cursor === END) return {};
	const place = readPlace(cursor, order);
	const itself: Where = { $and: order.map(([field], i): Where => ({ [field]: place[i] ?? null })) };
	return bounded(order, place, false, mayBeNull, anyOf([...beyond(order, place, before, mayBeNull), itself]));
}
