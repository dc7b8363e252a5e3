// Scheduled functions as documents, made of the rows that they are kept in (server/scheduler.ts).

import type { JobRow } from "../server/scheduler.js";
import { isPlainObject, type Row, type Scalar, type Value, type Where } from "../values.js";

const timeText = (ms: number): string => new Date(ms).toISOString();
const NAMES: { readonly [field: string]: string } = { "state.kind": "state", scheduledTime: "runAt", completedTime: "finishedAt" };

export const jobField = (field: string): string => NAMES[field] ?? field;

/** What a filter on such a document compares: times are numbers there. */
export function jobWhere(field: string, term: unknown): Where {
	const isTime = field === "scheduledTime" || field === "completedTime";
	const one = (value: unknown): unknown => (isTime && typeof value === "number" ? timeText(value) : value);
	const all = (value: unknown): unknown => (Array.isArray(value) ? value.map(one) : one(value));
	const stored = isPlainObject(term) ? Object.fromEntries(Object.entries(term).map(([operator, value]) => [operator, all(value)])) : one(term);
	return { [jobField(field)]: stored as Scalar };
}

function stateOf(row: Partial<JobRow>): Value {
	if (row.state !== "failed") return { kind: row.state ?? null };
	return { kind: "failed", error: ((row.error ?? {}) as { readonly message?: string }).message ?? "" };
}

/** The document's own fields; of a row that was read in part, those that can be made of it. */
export function jobOf(stored: Row): { readonly [field: string]: Value } {
	const row = stored as Partial<JobRow>;
	return {
		...(row.name === undefined ? {} : { name: row.name }),
		...(row.args === undefined ? {} : { args: [row.args] }),
		...(row.runAt === undefined ? {} : { scheduledTime: Date.parse(row.runAt) }),
		...(typeof row.finishedAt === "string" ? { completedTime: Date.parse(row.finishedAt) } : {}),
		...(row.state === undefined ? {} : { state: stateOf(row) }),
	};
}
