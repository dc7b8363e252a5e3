// Printed by proto/print_tables.py from the tables in proto/tables. Do not edit.

import type { RowId } from "./keys.js";

import type { Include, Row, Value, Where } from "./values.js";

export const PROTOCOL = 1;
/** Of the messages' shape and the error codes. */
export const TABLES_HASH = "028ad82000e610f8";

/** Stable names of everything that can go wrong. */
export type ErrorCode =
	| "bad_message"
	| "unknown_message"
	| "too_large"
	| "protocol_mismatch"
	| "unauthenticated"
	| "bad_token"
	| "token_expired"
	| "session_revoked"
	| "keys_unavailable"
	| "forbidden"
	| "not_found"
	| "method_not_allowed"
	| "unknown_entity"
	| "unknown_field"
	| "unknown_function"
	| "bad_filter"
	| "bad_value"
	| "bad_args"
	| "bad_policy"
	| "function_failed"
	| "app_error"
	| "time_limit"
	| "call_depth"
	| "memory_limit"
	| "worker_crashed"
	| "action_interrupted"
	| "job_lost"
	| "too_many_scheduled"
	| "only_in_actions"
	| "too_many_operations"
	| "fetch_failed"
	| "fetch_refused"
	| "conflict"
	| "unique_violation"
	| "reference_violation"
	| "check_violation"
	| "sql_error"
	| "sql_refused"
	| "postgres_unavailable"
	| "disk_full"
	| "bad_call_id"
	| "call_expired"
	| "call_mismatch"
	| "too_many_subscriptions"
	| "too_many_calls"
	| "rate_limited"
	| "too_many_connections"
	| "too_many_rows"
	| "no_workers"
	| "schema_changed"
	| "shutting_down"
	| "internal";

/** never: it will fail again. later: the same request may succeed. same: send it again with the same id; it never runs twice. */
export type Retry = "never" | "later" | "same";

export const ERRORS: Readonly<Record<ErrorCode, { readonly http: number; readonly retry: Retry }>> = {
	bad_message: { http: 400, retry: "never" },
	unknown_message: { http: 400, retry: "never" },
	too_large: { http: 413, retry: "never" },
	protocol_mismatch: { http: 426, retry: "never" },
	unauthenticated: { http: 401, retry: "never" },
	bad_token: { http: 401, retry: "never" },
	token_expired: { http: 401, retry: "never" },
	session_revoked: { http: 401, retry: "never" },
	keys_unavailable: { http: 503, retry: "later" },
	forbidden: { http: 403, retry: "never" },
	not_found: { http: 404, retry: "never" },
	method_not_allowed: { http: 405, retry: "never" },
	unknown_entity: { http: 400, retry: "never" },
	unknown_field: { http: 400, retry: "never" },
	unknown_function: { http: 404, retry: "never" },
	bad_filter: { http: 400, retry: "never" },
	bad_value: { http: 400, retry: "never" },
	bad_args: { http: 400, retry: "never" },
	bad_policy: { http: 500, retry: "never" },
	function_failed: { http: 500, retry: "never" },
	app_error: { http: 400, retry: "never" },
	time_limit: { http: 504, retry: "never" },
	call_depth: { http: 500, retry: "never" },
	memory_limit: { http: 507, retry: "never" },
	worker_crashed: { http: 500, retry: "never" },
	action_interrupted: { http: 500, retry: "never" },
	job_lost: { http: 500, retry: "never" },
	too_many_scheduled: { http: 429, retry: "never" },
	only_in_actions: { http: 500, retry: "never" },
	too_many_operations: { http: 429, retry: "never" },
	fetch_failed: { http: 502, retry: "later" },
	fetch_refused: { http: 500, retry: "never" },
	conflict: { http: 409, retry: "same" },
	unique_violation: { http: 409, retry: "never" },
	reference_violation: { http: 409, retry: "never" },
	check_violation: { http: 400, retry: "never" },
	sql_error: { http: 400, retry: "never" },
	sql_refused: { http: 400, retry: "never" },
	postgres_unavailable: { http: 503, retry: "same" },
	disk_full: { http: 507, retry: "same" },
	bad_call_id: { http: 400, retry: "never" },
	call_expired: { http: 410, retry: "never" },
	call_mismatch: { http: 409, retry: "never" },
	too_many_subscriptions: { http: 429, retry: "later" },
	too_many_calls: { http: 429, retry: "later" },
	rate_limited: { http: 429, retry: "later" },
	too_many_connections: { http: 503, retry: "later" },
	too_many_rows: { http: 413, retry: "never" },
	no_workers: { http: 503, retry: "same" },
	schema_changed: { http: 409, retry: "later" },
	shutting_down: { http: 503, retry: "same" },
	internal: { http: 500, retry: "later" },
};

/** An error as a client sees it. */
export interface ErrorInfo {
	/** Stable code. */
	code: ErrorCode;
	/** A sentence that says what to do. */
	message: string;
	/** More, by code. */
	data?: Value;
}

/** The answer to one subscribe. */
export interface Ack {
	/** The number given in subscribe. */
	id: number;
	/** The instance that serves it; bodies name it. Several queries may share one. */
	i: number;
	/** Key: names schema, predicate, policy and identity; given back in `have`. */
	k: string;
	/** true: what you hold (`have`) is the state to which the bodies of this transition apply. Else start empty. */
	keep?: boolean;
	/** Entity queries: field -> type of the columns, for comparing. */
	types?: Record<string, string>;
	/** Entity queries: the fields of the key, where it is more than `id` (docs/adopt.md). */
	key?: string[];
}

/** What changed in one instance. Exactly one of rows, (put, patch, del), value, segs, error is meant. */
export interface Body {
	/** Instance. */
	i: number;
	/** Hash of the instance's state after this body. */
	h?: string;
	/** Entity query: the whole result. */
	rows?: Row[];
	/** Entity query: rows that entered, whole; replaces a row of the same id. */
	put?: Row[];
	/** Entity query: id (text; of adopted tables also a number: docs/adopt.md) and the fields that changed. */
	patch?: [RowId, Row][];
	/** Entity query: ids that left; in the answer to who comes back also of rows that came and went meanwhile. */
	del?: RowId[];
	/** Function query, or entity query with `include`: the whole result. */
	value?: Value;
	/** The same where the result is an array: the new array as pieces, in order. */
	segs?: Seg[];
	/** The query fails now; a later body may mend it. */
	error?: ErrorInfo;
	/** true: this query shows an older snapshot than the rest; false: no longer. */
	behind?: boolean;
}

/** A piece of a new array: [start, count] copies from the old array; { v } gives new elements. */
export type Seg = [number, number] | { v: Value[] };

/** The end of a call whose effect is in this transition. */
export interface Reply {
	/** The call's id. */
	id: string;
	/** Result. */
	value?: Value;
}

/** First message on a socket. Binds the socket to a session. */
export interface HelloMessage {
	t: "hello";
	/** The protocol's version: 1. */
	protocol: number;
	/** The client's own secret, 32 to 64 characters of A-Z a-z 0-9 _ -, from a strong random source. Whoever has it may ask for the results of its calls. */
	session: string;
	/** Signed token (JWT) that names the caller. Absent: nobody in particular. */
	token?: string | null;
	/** The last full position that this client has seen; queries that come with `have` are resumed from it. */
	position?: string;
	/** true: every transition carries its full position, not only some. */
	positions?: boolean;
}

/** Changes the identity of the session, or renews its token. Answered by `welcome`, or by `error` with the old identity kept. Queries that show the same under the new identity go on: only others are asked anew, and none when it is the same. */
export interface AuthMessage {
	t: "auth";
	/** The new token; null signs out. */
	token: string | null;
}

/** Starts a live query. Answered in a transition (`q`), or by `error` with `re`. */
export interface SubscribeMessage {
	t: "subscribe";
	/** The client's number for this query: 1 to 2^31-1, not in use on this socket. */
	id: number;
	/** Entity to read; either this or `fn`. */
	entity?: string;
	/** Filter on the entity. */
	where?: Where;
	/** Order; the id breaks ties. Absent: by id, which is by time of creation. */
	order?: [string, "asc" | "desc"][];
	/** At most this many rows (the first in the order). */
	limit?: number;
	/** With each row, the rows that its fields refer to: `{ name: "field" }`, or `{ name: { field, include } }`. Its answers are `value` and `segs`. */
	include?: Include;
	/** A query function's name; either this or `entity`. */
	fn?: string;
	/** The function's arguments, a map. */
	args?: Value;
	/** What the client still holds from before, as last told in `q` and `b`: key and hash. */
	have?: { k: string; h: string };
}

/** Ends a live query. Not answered; a transition under way may still mention it. */
export interface UnsubscribeMessage {
	t: "unsubscribe";
	/** The number given in subscribe. */
	id: number;
}

/** Runs a mutation (or a query, once). Sent again with the same id after a reconnect; it runs once. Calls of one session that write run in the order sent. */
export interface CallMessage {
	t: "call";
	/** `<hour>.<number>`: the hour (hours since 1970) in which the call was first issued, and a number unique in the session. */
	id: string;
	/** The function's name: `<module>.<name>`. */
	fn: string;
	/** Its arguments, a map. */
	args?: Value;
}

/** Asks for a `pong`. A client that heard nothing for `ping_interval` sends one. */
export interface PingMessage {
	t: "ping";
}

/** Answers hello and auth. Also comes by itself when the session's token has expired or was revoked (`expiry`). */
export interface WelcomeMessage {
	t: "welcome";
	/** The protocol's version. */
	protocol: number;
	/** Who the token says the caller is. */
	user: string | null;
	/** Hours since 1970 by the server's clock, for call ids. */
	hour: number;
	/** In development, console lines and build errors reach the client. */
	mode: "development" | "production";
	/** Version of the app's code that serves. */
	app: string;
	/** Milliseconds of silence after which the client should ping. */
	ping_interval: number;
	/** Bytes of the largest message that the server takes; a larger one ends the socket. */
	max_frame: number;
	/** How many maps and arrays a message may nest, itself included; a deeper one cannot be read and so not be answered by its id. */
	max_depth: number;
}

/** Everything that changed for this session between two snapshots. Apply all of it, then show it. */
export interface TransitionMessage {
	t: "transition";
	/** Number of the tick that the session is at from now on; only grows on one socket. */
	n: number;
	/** The full position, to resume from. Not given while rows from before (`have`) wait for their answer or a query is behind. */
	p?: string;
	/** What changed, by instance, in order; the same instance may occur more than once. */
	b?: Body[];
	/** Queries that were answered: applied before `b`. */
	q?: Ack[];
	/** Calls whose effect this transition holds: drop their optimistic layers in this step. */
	r?: Reply[];
}

/** The end of a call that changed nothing on screen: it failed, was a query, or (`ahead`) the screen cannot follow now. */
export interface ReplyMessage {
	t: "reply";
	/** The call's id. */
	id: string;
	/** Result; absent with `error`. */
	value?: Value;
	/** Why it failed. */
	error?: ErrorInfo;
	/** true: it is done, but the screen does not show it yet. */
	ahead?: boolean;
}

/** Something the client sent was refused. */
export interface ErrorMessage {
	t: "error";
	/** Code, sentence, data. */
	error: ErrorInfo;
	/** The subscribe that it answers. A later message may follow for the others. */
	re?: number;
	/** true: the server closes the socket next. */
	fatal?: boolean;
}

/** The session's token expires soon: a new one (`auth`) of the same caller keeps everything as it is. Or it has expired: then the caller is nobody, as the `welcome` says that follows, until `auth` says otherwise. */
export interface ExpiryMessage {
	t: "expiry";
	/** Milliseconds until it expires; 0: it has. */
	in: number;
	/** true: it was not its time that ended it: its session was signed out or revoked, or all that its user had. */
	revoked?: boolean;
}

/** In development: a console.* line of a function that this client called. */
export interface ConsoleMessage {
	t: "console";
	/** The function. */
	fn: string;
	/** Which console method. */
	level: "debug" | "log" | "info" | "warn" | "error";
	/** The line. */
	text: string;
}

/** In development: the state of the app's code. */
export interface DevMessage {
	t: "dev";
	/** The build's error text; null: it builds again. */
	error?: string | null;
	/** true: the page's own files changed; reload. */
	reload?: boolean;
	/** What the type check found; the code runs all the same. */
	types?: string;
}

/** Whether the server follows the database. Sent when that changes, and after `welcome` while it does not. */
export interface StatusMessage {
	t: "status";
	/** false: Postgres does not answer, so what is shown may be old, until `true` or a new socket; transitions from memory may come meanwhile. */
	following: boolean;
}

/** Answers ping. */
export interface PongMessage {
	t: "pong";
}

/** What the client sends. */
export type ClientMessage =
	| HelloMessage
	| AuthMessage
	| SubscribeMessage
	| UnsubscribeMessage
	| CallMessage
	| PingMessage;

/** What the server sends. */
export type ServerMessage =
	| WelcomeMessage
	| TransitionMessage
	| ReplyMessage
	| ErrorMessage
	| ExpiryMessage
	| ConsoleMessage
	| DevMessage
	| StatusMessage
	| PongMessage;
