// The entities of Millrace's own that every app has, as functions and clients read them. `ctx.scheduler` and `ctx.auth` write them, nothing
// else does.

import type { Query } from "./functions.js";
import type { JobDocument, JobIndexes, JobRow, JobState, SCHEDULED } from "./scheduler.js";
import type { Id } from "./documents.js";
import type { SessionIndexes, SessionRow, SESSIONS } from "./sessions.js";

export interface SystemRows {
	readonly _scheduled_functions: JobRow;
	readonly _sessions: SessionRow;
}
export interface SystemIndexes {
	readonly _scheduled_functions: JobIndexes;
	readonly _sessions: SessionIndexes;
}
export type SystemName = keyof SystemRows;

/** `ctx.db.system`: the same as `ctx.db` has under these names; an id alone is a scheduled function's. */
export interface SystemReader {
	get(id: string): Promise<JobRow | null>;
	get<E extends SystemName>(table: E, id: string): Promise<SystemRows[E] | null>;
	query<E extends SystemName>(table: E): Query<SystemRows[E], SystemIndexes[E], SystemRows[E], Record<never, never>>;
}

type DocumentIndexes = { readonly by_creation_time: readonly ["_creationTime"]; readonly by_id: readonly ["_id"] };
/** The same where functions see documents: scheduled functions are such, as Convex has them; sessions are rows. */
export interface SystemDocumentReader {
	get(id: Id<typeof SCHEDULED>): Promise<JobDocument | null>;
	get(table: typeof SCHEDULED, id: Id<typeof SCHEDULED>): Promise<JobDocument | null>;
	get(table: typeof SESSIONS, id: string): Promise<SessionRow | null>;
	query(table: typeof SCHEDULED): Query<JobDocument & { readonly "state.kind": JobState }, DocumentIndexes, JobDocument>;
	query(table: typeof SESSIONS): Query<SessionRow, SessionIndexes, SessionRow, Record<never, never>>;
}
/** Tables whose documents no schema declares. */
export type SystemTableNames = typeof SCHEDULED;
