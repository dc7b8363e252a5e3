// Lists that are read page by page, against a host that answers new queries late and in any order, while rows come and go.

import assert from "node:assert/strict";
import test from "node:test";
import { functionRef, MillraceError } from "../src/index.js";
import { Pager, type PagerHost } from "../src/pager.js";
import type { FunctionSpec, Spec } from "../src/results.js";
import { specKey } from "../src/specs.js";
import { LOADING, type Snapshot } from "../src/sync.js";
import { sameValue, type Value } from "../src/values.js";

const list = functionRef<"query", Record<never, never>, unknown>("notes.list");
let seed = 11;
const random = (n: number): number => {
	seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
	return (seed >>> 8) % n;
};

type Item = { readonly id: string; readonly n: number };
type Options = { readonly numItems: number; readonly cursor: string | null; readonly endCursor?: string };

/** Rows by `n`; what is known is always of the same moment, what is asked anew is answered later. */
class Notes implements PagerHost {
	items: Item[] = [];
	private readonly live = new Map<string, { spec: FunctionSpec; watchers: Set<() => void>; shown: Snapshot }>();
	waiting: string[] = [];
	asked: Options[] = [];
	error: MillraceError | undefined;

	peek(spec: Spec): Snapshot {
		return this.live.get(specKey(spec))?.shown ?? LOADING;
	}
	watch(spec: Spec, watcher: () => void): () => void {
		const key = specKey(spec);
		let one = this.live.get(key);
		if (!one) {
			this.live.set(key, (one = { spec: spec as FunctionSpec, watchers: new Set(), shown: LOADING }));
			this.waiting.push(key);
			this.asked.push((one.spec.args as unknown as { paginationOpts: Options }).paginationOpts);
		}
		one.watchers.add(watcher);
		return () => {
			one.watchers.delete(watcher);
			if (one.watchers.size === 0 && this.live.get(key) === one) this.live.delete(key);
		};
	}
	get open(): number {
		return this.live.size;
	}
	private page({ paginationOpts }: { readonly paginationOpts: Options }): Value {
		const { numItems, cursor, endCursor } = paginationOpts;
		const from = this.items.filter(({ n }) => cursor === null || n > Number(cursor));
		if (endCursor !== undefined) return { page: from.filter(({ n }) => n <= Number(endCursor)), isDone: false, continueCursor: endCursor };
		const page = from.slice(0, numItems), isDone = from.length <= numItems;
		return { page, isDone, continueCursor: isDone ? "end" : String(page.at(-1)?.n) };
	}
	private snapshot(spec: FunctionSpec, before: Value | undefined): Snapshot {
		if (this.error) return { ...LOADING, loading: false, error: this.error };
		const data = this.page(spec.args as never);
		return { data: before !== undefined && sameValue(before, data) ? before : data, loading: false, synced: true, behind: false, error: undefined };
	}
	private tell(keys: readonly string[]): void {
		const told = keys.flatMap((key) => this.live.get(key) ?? []);
		for (const one of told) one.shown = this.snapshot(one.spec, one.shown.data);
		for (const one of told) for (const watcher of [...one.watchers]) watcher();
	}
	answer(n = this.waiting.length): void {
		for (let i = 0; i < n && this.waiting.length > 0; i++) this.tell(this.waiting.splice(random(this.waiting.length), 1));
	}
	settle(): void {
		while (this.waiting.length > 0) this.answer();
	}
	set(items: Item[]): void {
		this.items = [...items].sort((a, b) => a.n - b.n);
		this.tell([...this.live.keys()].filter((key) => !this.waiting.includes(key)));
	}
}
const item = (n: number): Item => ({ id: `i${n}`, n });
const numbers = (pager: Pager): number[] => (pager.snapshot.results as unknown as Item[]).map(({ n }) => n);
const upTo = (n: number): Item[] => Array.from({ length: n }, (_, i) => item((i + 1) * 10));

function started(items: Item[], initial = 3) {
	const host = new Notes();
	host.set(items);
	const pager = new Pager(host, list, { room: "r" }, initial);
	const states: string[] = [];
	const undo = pager.subscribe(() => states.push(pager.snapshot.status));
	return { host, pager, states, undo };
}

test("first page, more, the end; rows between pages are in one of them", () => {
	const { host, pager, undo } = started(upTo(7));
	assert.deepEqual([pager.snapshot.status, numbers(pager)], ["LoadingFirstPage", []]);
	pager.loadMore(3);
	host.settle();
	assert.deepEqual([pager.snapshot.status, numbers(pager)], ["CanLoadMore", [10, 20, 30]]);
	host.set([...host.items, item(5), item(31)]);
	assert.deepEqual(numbers(pager), [5, 10, 20, 30], "P1: it ends where it ended");
	const before = pager.snapshot.results[1];
	pager.loadMore(2);
	assert.equal(pager.snapshot.status, "LoadingMore");
	pager.loadMore(2);
	host.settle();
	assert.deepEqual([pager.snapshot.status, numbers(pager)], ["CanLoadMore", [5, 10, 20, 30, 31, 40]]);
	assert.equal(pager.snapshot.results[1], before, "P4");
	pager.loadMore(10);
	host.settle();
	assert.deepEqual([pager.snapshot.status, numbers(pager)], ["Exhausted", [5, 10, 20, 30, 31, 40, 50, 60, 70]]);
	host.set([...host.items, item(80)]);
	assert.deepEqual([pager.snapshot.status, numbers(pager).at(-1)], ["Exhausted", 80]);
	host.set(host.items.filter(({ n }) => n > 30));
	assert.deepEqual(numbers(pager), [31, 40, 50, 60, 70, 80]);
	undo();
	assert.equal(host.open, 0);
});

test("whatever comes and goes, and in whichever order it is answered: a whole piece from the beginning, nothing twice, never less than was loaded", () => {
	for (let round = 0; round < 120; round++) {
		const { host, pager, undo } = started(upTo(random(40)), 1 + random(4));
		const check = (when: string): void => {
			const shown = numbers(pager);
			assert.deepEqual(shown, host.items.slice(0, shown.length).map(({ n }) => n), `round ${round}, ${when}: ${JSON.stringify(host.asked)}`);
		};
		for (let step = 0; step < 60; step++) {
			const was = numbers(pager), waits = pager.snapshot.status === "LoadingMore", act = random(10);
			if (act < 3) host.set([...host.items, ...[random(500)].filter((n) => !host.items.some((one) => one.n === n)).map(item)]);
			else if (act < 4) host.set(host.items.filter(() => random(6) > 0));
			else if (act < 6) pager.loadMore(1 + random(5));
			else host.answer(1);
			check(`step ${step} (${act})`);
			if (act >= 4 && !waits) assert.ok(numbers(pager).length >= was.length, `round ${round}, step ${step}: what was loaded stays`);
		}
		host.settle();
		check("at the end");
		for (let i = 0; i < 100 && pager.snapshot.status === "CanLoadMore"; i++) {
			pager.loadMore(3);
			host.settle();
		}
		assert.deepEqual([pager.snapshot.status, numbers(pager).length], ["Exhausted", host.items.length]);
		undo();
		assert.equal(host.open, 0, "nothing is left watched");
	}
});

test("a page that has doubled becomes two", () => {
	const { host, pager } = started(upTo(4), 3);
	host.settle();
	host.set([...host.items, ...[1, 2, 3, 4, 5, 6, 7].map(item)]);
	host.settle();
	assert.deepEqual(numbers(pager), [1, 2, 3, 4, 5, 6, 7, 10, 20, 30]);
	assert.equal(host.open, 2);
	const asked = host.asked.length;
	host.set(host.items.filter(({ n }) => n !== 2));
	host.set([...host.items, item(11)]);
	host.settle();
	assert.equal(host.asked.length, asked, "not again");
	assert.deepEqual(numbers(pager), [1, 3, 4, 5, 6, 7, 10, 11, 20, 30]);
});

test("StrictMode: left and taken up again, it goes on where it was", () => {
	const { host, pager, undo } = started(upTo(9));
	host.settle();
	pager.loadMore(3);
	host.settle();
	undo();
	const again = pager.subscribe(() => undefined);
	host.settle();
	assert.deepEqual([pager.snapshot.status, numbers(pager)], ["CanLoadMore", [10, 20, 30, 40, 50, 60]]);
	again();
	assert.equal(host.open, 0);
});

test("a cursor that is refused begins anew; other errors are told", () => {
	const { host, pager, states } = started(upTo(9));
	host.settle();
	pager.loadMore(3);
	host.settle();
	host.error = new MillraceError("bad_args", "paginate: the cursor is not one that this query gave; begin again with null");
	host.set(host.items);
	host.error = undefined;
	host.settle();
	assert.deepEqual([pager.snapshot.status, numbers(pager)], ["CanLoadMore", [10, 20, 30]]);
	host.error = new MillraceError("function_failed", "Error: no");
	host.set(host.items);
	assert.deepEqual([pager.snapshot.error?.code, states.at(-1)], ["function_failed", "LoadingFirstPage"]);
	assert.throws(() => pager.loadMore(0), /at least 1, got 0/);
	assert.throws(() => new Pager(host, list, {}, 1.5), /initialNumItems: expected a whole number of items/);
});

test("a function that gives no page is told so", () => {
	const { host, pager } = started([]);
	Object.assign(host, { page: () => [1, 2] });
	host.settle();
	assert.match(pager.snapshot.error?.message ?? "", /notes\.list gives no page: it must return what ctx\.db\.query/);
});
