// Sessions that the server signs (`ctx.auth.createSession`), and the entities in which they and what is revoked are kept: tables of
// Millrace's own, which every app has. Their rows change like any others, so that a list of sessions is a live query.

import type { Query } from "./functions.js";
import { type Entity, entity, field, type Fields, registry } from "./schema.js";
import type { Value } from "../values.js";

export const SESSIONS = "_sessions";
const REVOCATIONS = "_revocations";

export interface SessionOptions {
	/** What `ctx.auth.getUserIdentity()` and policies have of the caller beside `userId`. */
	readonly claims?: { readonly [claim: string]: Value };
	/** Milliseconds; not more than the setting auth_session_time, which it is when nothing is said. */
	readonly expiresIn?: number;
}
export interface Session {
	/** For the client, as the token of `setAuth` or `sessionAuth`. */
	readonly token: string;
	readonly sessionId: string;
	readonly userId: string;
	readonly expiresAt: string;
	/** How long the token is good. */
	readonly seconds: number;
}
/** A row of `_sessions`. */
export interface SessionRow {
	readonly id: string;
	readonly userId: string;
	readonly claims: Value;
	/** How long it is good from each renewal on, in milliseconds. */
	readonly lasts: number;
	readonly createdAt: string;
	readonly expiresAt: string;
	readonly revokedAt: string | null;
}
export type SessionIndexes = { readonly by_user: readonly ["userId", "createdAt"]; readonly by_end: readonly ["expiresAt"] };

export interface OwnSessions {
	/** The caller's own, those that are over included. */
	sessions(): Query<SessionRow, SessionIndexes, SessionRow, Record<never, never>>;
}
export interface CallSession {
	/** Of the session that the caller's token is of; null for tokens of others. */
	readonly sessionId: string | null;
}
export interface Sessions extends CallSession {
	/** Signs a token for this user: after his password was checked, say. It is written with this mutation. */
	createSession(userId: string, options?: SessionOptions): Promise<Session>;
	/** Ends it: its tokens are refused from now on, and who is connected with one is nobody. False: it was ended before. */
	revokeSession(sessionId: string): Promise<boolean>;
	/** Ends all that this user has: sessions, and tokens of other issuers, that were issued before now. Gives the number of sessions. */
	revokeUser(userId: string): Promise<number>;
}

function declare(name: string, table: string, fields: Fields): Entity<string, Fields> {
	for (const { entity: of, ...rules } of registry.policies)
		if (of === name && Object.keys(rules).some((act) => act !== "read"))
			throw new Error(`policy for ${name}: clients can be allowed to read it, not to write it; functions have ctx.auth`);
	const made = entity(name, fields);
	Object.assign(made.place, { schema: "millrace", table });
	return made;
}

/** Declares the entities, when the app's modules have declared theirs. */
export function declareSessions(): void {
	if (registry.entities.has(SESSIONS)) return;
	declare(SESSIONS, "session", {
		userId: field.string(),
		claims: field.json().optional(),
		lasts: field.int(),
		createdAt: field.datetime(),
		expiresAt: field.datetime(),
		revokedAt: field.datetime().optional(),
	})
		.index("by_user", ["userId", "createdAt"])
		.index("by_end", ["expiresAt"]);
	/** Of a session, by its id; or of all that a user had before some time. */
	declare(REVOCATIONS, "revocation", {
		userId: field.string().optional().unique(),
		before: field.datetime().optional(),
		/** When all of its tokens are over. */
		until: field.datetime().optional(),
	}).index("by_end", ["until"]);
}
