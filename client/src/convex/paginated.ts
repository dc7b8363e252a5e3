// Optimistic updates of lists that are read page by page.

import type { PagedArgs, PagedFunction } from "../react/db.js";
import type { PaginationResult } from "../server/functions.js";
import type { LocalStore } from "../updates.js";
import { sameValue } from "../values.js";

type Paging = { readonly paginationOpts: unknown };
interface PageOf<Args, Item> {
	readonly args: Args;
	readonly value: PaginationResult<Item>;
}

/** The pages on screen whose other arguments are these. */
function pagesOf<Args extends Paging, Item>(store: LocalStore, fn: PagedFunction<Args, Item>, args: Partial<PagedArgs<Args>>): PageOf<Args, Item>[] {
	return store.getAllQueries(fn).flatMap((one) => {
		const given = one.args as { readonly [name: string]: unknown };
		const fits = Object.entries(args).every(([name, value]) => sameValue(given[name], value));
		return one.value && fits ? [{ args: one.args, value: one.value }] : [];
	});
}
const cursorOf = (args: Paging): unknown => (args.paginationOpts as { readonly cursor?: unknown }).cursor;

/** Each item of the list becomes what `update` makes of it. */
export function optimisticallyUpdateValueInPaginatedQuery<Args extends Paging, Item>(
	localStore: LocalStore,
	query: PagedFunction<Args, Item>,
	args: PagedArgs<Args>,
	update: (item: Item) => Item,
): void {
	for (const one of pagesOf(localStore, query, args as Partial<PagedArgs<Args>>))
		localStore.setQuery(query, one.args, { ...one.value, page: one.value.page.map(update) });
}

interface Insertion<Args extends Paging, Item> {
	readonly paginatedQuery: PagedFunction<Args, Item>;
	readonly argsToMatch?: Partial<PagedArgs<Args>>;
	readonly localQueryStore: LocalStore;
	readonly item: Item;
}

/** The item comes first. */
export function insertAtTop<Args extends Paging, Item>({ paginatedQuery, argsToMatch, localQueryStore, item }: Insertion<Args, Item>): void {
	for (const one of pagesOf(localQueryStore, paginatedQuery, argsToMatch ?? {}))
		if (cursorOf(one.args) === null) localQueryStore.setQuery(paginatedQuery, one.args, { ...one.value, page: [item, ...one.value.page] });
}

/** The item comes last, where the list is loaded to its end. */
export function insertAtBottomIfLoaded<Args extends Paging, Item>({ paginatedQuery, argsToMatch, localQueryStore, item }: Insertion<Args, Item>): void {
	for (const one of pagesOf(localQueryStore, paginatedQuery, argsToMatch ?? {}))
		if (one.value.isDone) localQueryStore.setQuery(paginatedQuery, one.args, { ...one.value, page: [...one.value.page, item] });
}
