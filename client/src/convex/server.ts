// millrace/convex/server: the names of `convex/server`. What declares functions is in _generated/server.

import { type ArgsOf, type FunctionRef, functionRef, makeApi } from "../api.js";
import type { DataModelOf } from "../server/documents.js";
import type { FunctionKind, RegisteredFunction } from "../server/functions.js";

export { defineSchema, defineTable, Schema, TableDefinition } from "../server/documents.js";
export type { DataModelOf, DocumentOf, DocumentReader, DocumentWriter, Id, NewDocumentOf, TableName, TablesOf } from "../server/documents.js";
export type { SystemTableNames } from "../server/system.js";
export { cronJobs } from "../server/crons.js";
export type { Crons } from "../server/crons.js";
export type { Scheduler } from "../server/scheduler.js";
export { paginationOptsValidator, paginationResultValidator } from "../server/validators.js";
export type { Auth, Expression, FilterBuilder, Identity as UserIdentity, IndexRange, PaginationOptions, PaginationResult } from "../server/functions.js";
export { functionName as getFunctionName } from "../api.js";
export {
	action as actionGeneric,
	internalAction as internalActionGeneric,
	internalMutation as internalMutationGeneric,
	internalQuery as internalQueryGeneric,
	mutation as mutationGeneric,
	query as queryGeneric,
} from "../server/functions.js";
export { httpAction, httpAction as httpActionGeneric, HttpRouter, httpRouter } from "../server/http.js";
export type { RoutableMethod } from "../server/http.js";

// --- types of functions and their references ---

type Visibility = "public" | "internal";
/** Its visibility is said by where it comes from: `api` or `internal`. */
export type FunctionReference<Kind extends FunctionKind = FunctionKind, _V extends Visibility = "public", Args = never, Result = unknown> = FunctionRef<Kind, Args, Result>;
export type FunctionArgs<F> = F extends FunctionRef<infer _K, infer Args, infer _R> ? Args : never;
export type FunctionReturnType<F> = F extends FunctionRef<infer _K, infer _A, infer Result> ? Result : never;
export type OptionalRestArgs<F> = ArgsOf<FunctionArgs<F>>;

type Registered<Kind extends FunctionKind, V extends Visibility, Args, Result> = RegisteredFunction<Kind, Args, Awaited<Result>, V extends "internal" ? true : false>;
export type RegisteredQuery<V extends Visibility, Args, Result> = Registered<"query", V, Args, Result>;
export type RegisteredMutation<V extends Visibility, Args, Result> = Registered<"mutation", V, Args, Result>;
export type RegisteredAction<V extends Visibility, Args, Result> = Registered<"action", V, Args, Result>;

/** References by name, of whatever type: `anyApi.messages.list`. */
export const anyApi = makeApi<never>() as unknown as AnyApi;
export interface AnyApi {
	readonly [name: string]: AnyApi & FunctionRef<never, never, never>;
}

/** The model of a schema that is at hand: `DataModelFromSchemaDefinition<typeof schema>`. */
export type DataModelFromSchemaDefinition<S> = DataModelOf<{ readonly default: S }>;
type AnyModel = { readonly [table: string]: { readonly document: unknown } };
export type GenericDataModel = AnyModel;
export type TableNamesInDataModel<Model> = keyof Model & string;
export type DocumentByName<Model extends AnyModel, Table extends TableNamesInDataModel<Model>> = Model[Table]["document"];

/** A document as it is inserted. */
export type WithoutSystemFields<Document> = { [K in keyof Document as K extends "_id" | "_creationTime" ? never : K]: Document[K] };

/** A reference to a function that is known by name only: `messages:list`, or as it is called here, `messages.list`. */
export function makeFunctionReference<Kind extends FunctionKind, Args = never, Result = unknown>(name: string): FunctionRef<Kind, Args, Result> {
	return functionRef(name.replace(/:default$/, "").replaceAll(/[:/]/g, "."));
}
