// millrace: the client without a framework.
export { createClient } from "./client.js";
export type {
	ArgsOf,
	Client,
	ClientOptions,
	EntityQuery,
	MutationOptions,
	OptimisticTx,
	QueryWith,
	SyncStatus,
	WebSocketLike,
	WebSocketMaker,
} from "./client.js";
export { functionName, functionRef, makeApi, makeInternal } from "./api.js";
export type { ApiOf, FunctionRef, Wired } from "./api.js";
export { MillraceError } from "./error.js";
export { guestAuth } from "./guest.js";
export { type SessionAuth, sessionAuth } from "./session.js";
export type { GuestOptions } from "./guest.js";
export type { TokenFetcher, TokenSource } from "./identity.js";
export { newId } from "./ids.js";
export { isPending } from "./layers.js";
export type { LinkStatus } from "./link.js";
export type { EntitySpec, FunctionSpec, Spec } from "./results.js";
export { memoryStore } from "./stores.js";
export type { Stores, StringStore } from "./stores.js";
export type { Snapshot } from "./sync.js";
export type { ClientRow, IncludeOf, OrderOf, RowWith, WhereOf } from "./server/schema.js";
export type { ConsoleMessage, DevMessage, ErrorCode } from "./tables.js";
export type { Row, Value, Where } from "./values.js";
export type { Encoding } from "./wire.js";
