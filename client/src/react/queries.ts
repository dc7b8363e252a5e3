// Live queries as hooks: each is a useSyncExternalStore on what the client holds.

import { useCallback, useMemo, useState, useSyncExternalStore } from "react";
import type { FunctionRef } from "../api.js";
import type { Client } from "../client.js";
import type { MillraceError } from "../error.js";
import { NO_PAGES, type Paged, Pager, type PagedStatus } from "../pager.js";
import type { EntitySpec, Spec } from "../results.js";
import { specKey } from "../specs.js";
import { LOADING, type Snapshot } from "../sync.js";
import type { Row } from "../values.js";
import { nothing } from "./provider.js";

export const SKIPPED: Snapshot = Object.freeze({ ...LOADING, loading: false });
export const NO_ROWS: readonly never[] = Object.freeze([]);

export function useSnapshot(client: Client | undefined, spec: Spec | "skip"): Snapshot {
	const key = spec === "skip" ? "" : specKey(spec);
	// the key says all of the spec: an equal one of an earlier render serves as well
	const same = useMemo(() => spec, [key]); // eslint-disable-line react-hooks/exhaustive-deps
	const subscribe = useCallback(
		(changed: () => void) => (client && same !== "skip" ? client.watch(same, changed) : nothing()),
		[client, same],
	);
	const now = (): Snapshot => (same === "skip" ? SKIPPED : client ? client.peek(same) : LOADING);
	return useSyncExternalStore(subscribe, now, () => (same === "skip" ? SKIPPED : LOADING));
}

/** A list that grows by pages. Convex's, and how fresh it is. */
export interface PaginatedResult<T> {
	readonly results: readonly T[];
	readonly status: PagedStatus;
	/** The first page, or one more, is on its way. */
	readonly isLoading: boolean;
	/** Asks for so many more; does nothing unless the status is CanLoadMore. Stays the same function. */
	readonly loadMore: (numItems: number) => void;
	/** The server has confirmed all of it on the present connection. */
	readonly synced: boolean;
	readonly behind: boolean;
	readonly error: MillraceError | undefined;
}

function paginated<T>({ results, status, synced, behind, error }: Paged, loadMore: (n: number) => void): PaginatedResult<T> {
	const isLoading = status === "LoadingFirstPage" || status === "LoadingMore";
	return { results: results as unknown as readonly T[], status, isLoading, loadMore, synced, behind, error };
}

/** Pages of a function that takes `paginationOpts`. */
export function usePages<T>(client: Client | undefined, fn: FunctionRef, args: unknown, initialNumItems: number): PaginatedResult<T> {
	const key = args === "skip" ? "skip" : Pager.key(fn, args, initialNumItems);
	const pager = useMemo(
		() => (client && args !== "skip" ? new Pager(client, fn, args, initialNumItems) : undefined),
		[client, key], // eslint-disable-line react-hooks/exhaustive-deps
	);
	const subscribe = useCallback((changed: () => void) => pager?.subscribe(changed) ?? nothing(), [pager]);
	const now = useSyncExternalStore(
		subscribe,
		() => pager?.snapshot ?? NO_PAGES,
		() => NO_PAGES,
	);
	const loadMore = useCallback((n: number) => pager?.loadMore(n), [pager]);
	return useMemo(() => paginated<T>(now, loadMore), [now, loadMore]);
}

/** Rows of an entity: one window that grows. It holds one row more than it shows, which tells whether there are more. */
export function useWindow<T>(client: Client | undefined, spec: EntitySpec | "skip", initialNumItems: number): PaginatedResult<T> {
	const base = spec === "skip" ? "skip" : specKey(spec);
	const [asked, setAsked] = useState({ base, limit: initialNumItems });
	const limit = asked.base === base ? asked.limit : initialNumItems; // another query begins anew
	const { data, loading, synced, behind, error } = useSnapshot(client, spec === "skip" ? "skip" : { ...spec, limit: limit + 1 });
	const rows = data as readonly Row[] | undefined;
	const canLoadMore = !loading && rows !== undefined && rows.length > limit;
	const status = rows === undefined ? "LoadingFirstPage" : loading ? "LoadingMore" : canLoadMore ? "CanLoadMore" : "Exhausted";
	const loadMore = useCallback((n: number) => canLoadMore && setAsked({ base, limit: limit + n }), [canLoadMore, base, limit]);
	const results = useMemo(() => (rows === undefined ? NO_ROWS : rows.length > limit ? rows.slice(0, limit) : rows), [rows, limit]);
	return useMemo(
		() => paginated<T>({ results, status, synced, behind, error }, loadMore),
		[results, status, synced, behind, error, loadMore],
	);
}
