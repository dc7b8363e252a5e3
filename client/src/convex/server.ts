// millrace/convex/server: the names of `convex/server`. What declares functions is in _generated/server.
export { defineSchema, defineTable, Schema, TableDefinition } from "../server/documents.js";
export type { DocumentOf, DocumentReader, DocumentWriter, Id, NewDocumentOf, TableName, TablesOf } from "../server/documents.js";
export type { SystemTableName } from "../server/system.js";
export { cronJobs } from "../server/crons.js";
export type { Crons } from "../server/crons.js";
export type { Scheduler } from "../server/scheduler.js";
export { paginationOptsValidator, paginationResultValidator } from "../server/validators.js";
export type { PaginationOptions, PaginationResult } from "../server/functions.js";
export { httpAction, HttpRouter, httpRouter } from "../server/http.js";
export type { RoutableMethod } from "../server/http.js";
