// millrace/react: hooks. Each is thin over the plain client: useSyncExternalStore on what sync holds.
export { createDb } from "./react/db.js";
export type { Db, InfiniteResult, OneResult, PagedArgs, PagedFunction, QueryArgs, QueryResult, ValueResult } from "./react/db.js";
export type { Caller, Mutator } from "./react/calls.js";
export type { PaginatedResult } from "./react/queries.js";
export { MillraceProvider, useClient, useSyncStatus } from "./react/provider.js";
export { isPending } from "./layers.js";
export type { SyncStatus } from "./client.js";
export type { PagedStatus } from "./pager.js";
export type { LocalStore } from "./updates.js";
