// Optimistic updates of lists that are read page by page.

import type { PagedArgs, PagedFunction } from "../react/db.js";
import type { PaginationResult } from "../server/functions.js";
import type { LocalStore } from "../updates.js";
import { printWire } from "../json.js";
import { compareValues, sameValue, type Value } from "../values.js";

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

/** What items are sorted by: a value, or several, of which the first counts first. */
type SortKey = Value | readonly Value[];

function compareKeys(a: SortKey, b: SortKey): number {
	if (!Array.isArray(a) || !Array.isArray(b)) return sameValue(a, b) ? 0 : compareValues(undefined, a as Value, b as Value);
	const at = a.findIndex((value, i) => !sameValue(value, b[i]));
	return at < 0 || at >= b.length ? a.length - b.length : compareKeys(a[at] as SortKey, b[at] as SortKey);
}

interface Placement<Args extends Paging, Item> extends Insertion<Args, Item> {
	readonly sortOrder: "asc" | "desc";
	/** By what the function sorts: the fields of its index. */
	readonly sortKeyFromItem: (item: Item) => SortKey;
}

/** The item comes where it belongs, if that is loaded. */
export function insertAtPosition<Args extends Paging, Item>(options: Placement<Args, Item>): void {
	const { paginatedQuery, argsToMatch, sortOrder, sortKeyFromItem, localQueryStore, item } = options;
	const compare = (a: Item, b: Item) => (sortOrder === "asc" ? 1 : -1) * compareKeys(sortKeyFromItem(a), sortKeyFromItem(b));
	const put = ({ args, value }: PageOf<Args, Item>, at: number) =>
		localQueryStore.setQuery(paginatedQuery, args, { ...value, page: [...value.page.slice(0, at), item, ...value.page.slice(at)] });
	const byList = new Map<string, PageOf<Args, Item>[]>();
	for (const one of pagesOf(localQueryStore, paginatedQuery, argsToMatch ?? {})) {
		const { paginationOpts: _, ...list } = one.args;
		const key = printWire(Object.entries(list).sort());
		byList.set(key, [...(byList.get(key) ?? []), one]);
	}
	for (const pages of byList.values()) {
		const behind = (one: PageOf<Args, Item>) => one.value.page.findIndex((other) => compare(item, other) < 0);
		const first = (one: PageOf<Args, Item>) => one.value.page[0] as Item;
		const filled = pages.filter((one) => one.value.page.length > 0).sort((a, b) => compare(first(a), first(b)));
		const meant = filled.find((one) => behind(one) >= 0);
		const last = pages.find((one) => one.value.isDone);
		if (meant) put(meant, behind(meant));
		else if (last) put(last, last.value.page.length);
	}
}
