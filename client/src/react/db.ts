// The hooks, typed by an app.

import type { FunctionRef } from "../api.js";
import type { Client, MutationOptions, QueryWith, SyncStatus } from "../client.js";
import type { MillraceError } from "../error.js";
import { isFunctionRef } from "../api.js";
import type { EntitySpec } from "../results.js";
import type { IdOf, IncludeOf, ReadName, RowWith } from "../server/schema.js";
import type { PaginationResult } from "../server/functions.js";
import { entitySpec, functionSpec } from "../specs.js";
import { type Caller, type Mutator, useActor, useMutator } from "./calls.js";
import { useClientOr, useSomeClient, useStatus } from "./provider.js";
import { NO_ROWS, type PaginatedResult, usePages, useSnapshot, useWindow } from "./queries.js";

export interface QueryResult<R> {
	readonly data: readonly R[];
	/** Nothing that fits this query completely has come yet; `data` may hold what the same query with another limit shows. */
	readonly loading: boolean;
	/** The server has confirmed it on the present connection: an empty `data` means that there are no rows. */
	readonly synced: boolean;
	/** Shows an older snapshot than the rest of the page. */
	readonly behind: boolean;
	readonly error: MillraceError | undefined;
}
export interface OneResult<R> {
	readonly data: R | null;
	readonly loading: boolean;
	readonly synced: boolean;
	readonly error: MillraceError | undefined;
}
export interface ValueResult<T> {
	readonly data: T | undefined;
	readonly loading: boolean;
	readonly synced: boolean;
	readonly behind: boolean;
	readonly error: MillraceError | undefined;
}
/** Pylon's form of a list that grows. */
export interface InfiniteResult<R> {
	readonly data: readonly R[];
	readonly loading: boolean;
	readonly hasMore: boolean;
	/** One page more. */
	readonly loadMore: () => void;
	readonly error: MillraceError | undefined;
}

export type QueryArgs<Args> = Record<never, never> extends Args ? [args?: Args | "skip"] : [args: Args | "skip"];
/** The arguments of a function that gives pages, without those that say which page. */
export type PagedArgs<Args> = Omit<Args, "paginationOpts">;
/** A function that takes `paginationOpts` and gives what `ctx.db.query(...).paginate(paginationOpts)` gives. */
export type PagedFunction<Args, Item> = FunctionRef<"query", Args, PaginationResult<Item>>;
interface Paging {
	readonly initialNumItems: number;
}
type Filter<App, E, M> = Omit<QueryWith<App, E, M>, "limit">;

export interface Db<App> {
	/** Rows of an entity, live; with `include: { sender: "author" }` also the rows that they refer to. */
	useQuery<E extends ReadName<App>, const M extends IncludeOf<App, E> = IncludeOf<App, E>>(
		entity: E,
		query?: QueryWith<App, E, M> | "skip",
	): QueryResult<RowWith<App, E, M>>;
	/** One row by id, live; null: there is none. */
	useQueryOne<E extends ReadName<App>, const M extends IncludeOf<App, E> = IncludeOf<App, E>>(
		entity: E,
		id: IdOf<App, E> | null | undefined | "skip",
		query?: { readonly include?: M | undefined },
	): OneResult<RowWith<App, E, M>>;
	/** The result of a query function, live. */
	useReactiveQuery<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: QueryArgs<Args>): ValueResult<Result>;
	/** Rows, some more at a time: of a function whose pages adjoin whatever comes and goes, or of an entity. */
	usePaginatedQuery<Args extends { readonly paginationOpts: unknown }, Item>(
		fn: PagedFunction<Args, Item>,
		args: PagedArgs<Args> | "skip",
		paging: Paging,
	): PaginatedResult<Item>;
	usePaginatedQuery<E extends ReadName<App>, const M extends IncludeOf<App, E> = IncludeOf<App, E>>(
		entity: E,
		query: Filter<App, E, M> | "skip",
		paging: Paging,
	): PaginatedResult<RowWith<App, E, M>>;
	/** The same of an entity, in Pylon's words; 20 at a time unless `pageSize` says otherwise. */
	useInfiniteQuery<E extends ReadName<App>, const M extends IncludeOf<App, E> = IncludeOf<App, E>>(
		entity: E,
		query?: (Filter<App, E, M> & { readonly pageSize?: number }) | "skip",
	): InfiniteResult<RowWith<App, E, M>>;
	useMutation<Args, Result>(fn: FunctionRef<"mutation", Args, Result>, options?: MutationOptions<App, Args>): Mutator<Args, Result>;
	useAction<Args, Result>(fn: FunctionRef<"action", Args, Result>): Caller<Args, Result>;
	useSyncStatus(): SyncStatus;
	useClient(): Client<App>;
}

const windowSpec = (entity: string, query: object | "skip"): EntitySpec | "skip" =>
	query === "skip" ? "skip" : { ...entitySpec(entity, query), limit: undefined };

/** Hooks for an app's entities. Without a client: that of the nearest provider, or the page's own. */
export function createDb<App = unknown>(givenClient?: Client<App>): Db<App> {
	const given = givenClient as unknown as Client | undefined;
	return {
		useQuery(entity: string, query: object | "skip" = {}): QueryResult<never> {
			const now = useSnapshot(useClientOr(given), query === "skip" ? "skip" : entitySpec(entity, query));
			const { data, loading, synced, behind, error } = now;
			return { data: (data ?? NO_ROWS) as readonly never[], loading, synced, behind, error };
		},
		useQueryOne(entity: string, id: unknown, query: { readonly include?: unknown } = {}): OneResult<never> {
			const spec = id === null || id === undefined || id === "skip" ? "skip" : entitySpec(entity, { where: { id }, include: query.include });
			const { data, loading, synced, error } = useSnapshot(useClientOr(given), spec);
			const rows = (data ?? NO_ROWS) as readonly never[];
			return { data: rows[0] ?? null, loading, synced, error };
		},
		useReactiveQuery<Args, Result>(fn: FunctionRef<"query", Args, Result>, ...args: QueryArgs<Args>) {
			const now = useSnapshot(useClientOr(given), args[0] === "skip" ? "skip" : functionSpec(fn, args[0]));
			const { data, loading, synced, behind, error } = now;
			return { data: data as Result | undefined, loading, synced, behind, error };
		},
		usePaginatedQuery(what: unknown, args: unknown, { initialNumItems }: Paging): PaginatedResult<never> {
			const client = useClientOr(given);
			// one of the two, by the kind of the first argument, which is the same throughout a component's life
			if (isFunctionRef(what)) return usePages<never>(client, what, args, initialNumItems); // eslint-disable-line react-hooks/rules-of-hooks
			return useWindow<never>(client, windowSpec(what as string, args as object | "skip"), initialNumItems); // eslint-disable-line react-hooks/rules-of-hooks
		},
		useInfiniteQuery(entity: string, query: { readonly pageSize?: number } | "skip" = {}): InfiniteResult<never> {
			const pageSize = query === "skip" ? 1 : (query.pageSize ?? 20);
			const { results, status, isLoading, loadMore, error } = useWindow<never>(useClientOr(given), windowSpec(entity, query), pageSize);
			return { data: results, loading: query !== "skip" && isLoading, hasMore: status === "CanLoadMore", loadMore: () => loadMore(pageSize), error };
		},
		useMutation<Args, Result>(fn: FunctionRef<"mutation", Args, Result>, options?: MutationOptions<App, Args>) {
			return useMutator(useClientOr(given), fn, options as unknown as MutationOptions<unknown, Args> | undefined);
		},
		useAction<Args, Result>(fn: FunctionRef<"action", Args, Result>) {
			return useActor(useClientOr(given), fn);
		},
		useSyncStatus: () => useStatus(given),
		useClient: () => useSomeClient<App>(given),
	};
}
