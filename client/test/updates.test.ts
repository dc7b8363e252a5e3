// Optimistic updates of function results, message by message.

import assert from "node:assert/strict";
import test from "node:test";
import { functionRef, type Value } from "../src/index.js";
import type { MutationOptions } from "../src/client.js";
import { insertAtBottomIfLoaded, insertAtPosition, insertAtTop, optimisticallyUpdateValueInPaginatedQuery } from "../src/convex/paginated.js";
import { fake, type FakeSocket } from "./fake.js";

type Note = { readonly id: string; readonly body: string };
const list = functionRef<"query", { readonly room: string }, readonly Note[]>("notes.list");
const count = functionRef<"query", Record<never, never>, number>("notes.count");
const add = functionRef<"mutation", { readonly room: string; readonly body: string }, string>("notes.add");

/** `add` at the end of its room's list, and one more in the count. */
const expected: MutationOptions<unknown, { readonly room: string; readonly body: string }> = {
	optimisticUpdate: (store, { room, body }) => {
		const notes = store.getQuery(list, { room });
		if (notes) store.setQuery(list, { room }, [...notes, { id: `new ${body}`, body }]);
		const n = store.getQuery(count);
		if (n !== undefined) store.setQuery(count, {}, n + 1);
	},
};
const bodies = (notes: Value | undefined): string => ((notes ?? []) as readonly Note[]).map(({ body }) => body).join(" ");
const callIds = (socket: FakeSocket): string[] => socket.take().flatMap((message) => (message.t === "call" ? [message.id] : []));

/** A client that shows the list of room r and the count. */
async function started() {
	const f = fake();
	const seen: string[] = [];
	const look = (): void => {
		const [notes, n] = [f.client.peek({ fn: "notes.list", args: { room: "r" } }), f.client.peek({ fn: "notes.count", args: {} })];
		const now = `${bodies(notes.data)} | ${String(n.data)}`;
		if (seen.at(-1) !== now) seen.push(now);
	};
	f.client.onUpdate(list, { room: "r" }, look);
	f.client.onUpdate(count, {}, look);
	await f.settle();
	const socket = f.last().open().welcome();
	socket.take();
	const q = [{ id: 1, i: 1, k: "a" }, { id: 2, i: 2, k: "b" }];
	socket.say({ t: "transition", n: 1, p: "p", q, b: [{ i: 1, h: "1", value: [{ id: "1", body: "one" }] }, { i: 2, h: "2", value: 1 }] });
	return { ...f, seen, socket, notes: () => f.client.peek({ fn: "notes.list", args: { room: "r" } }).data as unknown as readonly Note[] };
}
const told = (...notes: string[]) => notes.map((body, i) => ({ id: String(i + 1), body }));

test("S9: shown at once, over what others do meanwhile, and gone in the very transition that holds the call", async () => {
	const { client, socket, seen, notes, settle } = await started();
	const [one] = notes();
	const done = client.mutation(add, { room: "r", body: "mine" }, expected);
	assert.deepEqual(seen, ["one | 1", "one mine | 2"]);
	assert.equal(notes()[0], one, "U1: what it took over is the same object");
	const [id = ""] = callIds(socket);
	socket.say({ t: "transition", n: 2, b: [{ i: 1, value: told("one", "theirs"), h: "x" }, { i: 2, value: 2, h: "y" }] });
	const shown = notes();
	socket.say({ t: "transition", n: 3 });
	assert.equal(notes(), shown, "S6: run again, and the same");
	socket.say({ t: "transition", n: 4, b: [{ i: 1, value: told("one", "theirs", "mine"), h: "z" }, { i: 2, value: 3, h: "w" }], r: [{ id, value: "3" }] });
	await settle();
	assert.equal(await done, "3");
	assert.deepEqual(seen, ["one | 1", "one mine | 2", "one theirs mine | 3"], "no state between, and none twice");
	assert.equal(notes()[0]?.id, "1");
});

test("U2: in the order of the calls, each on what those before it made; a refused one goes and the others stay", async () => {
	const { client, socket, seen } = await started();
	const first = client.mutation(add, { room: "r", body: "a" }, expected);
	const second = client.mutation(add, { room: "r", body: "b" }, expected);
	assert.equal(seen.at(-1), "one a b | 3");
	const [a = "", b = ""] = callIds(socket);
	socket.say({ t: "reply", id: a, error: { code: "app_error", message: "no" } });
	assert.equal(seen.at(-1), "one b | 2");
	await assert.rejects(first, /no/);
	socket.say({ t: "transition", n: 2, b: [{ i: 1, value: told("one", "b"), h: "x" }, { i: 2, value: 2, h: "y" }], r: [{ id: b, value: "2" }] });
	assert.equal(seen.at(-1), "one b | 2");
	await second;
});

test("undefined shows it as loading; a result may be set before it has come, and one that nobody watches is nothing", async () => {
	const { client, socket, settle } = await started();
	const spec = { fn: "notes.list", args: { room: "s" } };
	const done = client.mutation(add, { room: "s", body: "x" }, {
		optimisticUpdate: (store, { room }) => {
			assert.equal(store.getQuery(list, { room }), undefined);
			store.setQuery(list, { room }, [{ id: "n", body: "made up" }]);
			store.setQuery(count, {}, undefined);
		},
	});
	const { data, loading } = client.peek({ fn: "notes.count", args: {} });
	assert.deepEqual([data, loading], [undefined, true]);
	assert.equal(client.peek(spec).data, undefined);
	client.watch(spec, () => undefined);
	assert.equal(bodies(client.peek(spec).data), "made up");
	const [id = ""] = callIds(socket);
	socket.say({ t: "transition", n: 2, r: [{ id, value: "1" }] });
	await settle();
	await done;
	assert.deepEqual([client.peek(spec).data, client.peek(spec).loading, client.peek({ fn: "notes.count", args: {} }).data], [undefined, true, 1]);
});

test("getAllQueries gives all that are watched, whatever their arguments", async () => {
	const { client } = await started();
	client.watch({ fn: "notes.list", args: { room: "s" } }, () => undefined);
	let all: unknown;
	void client.mutation(add, { room: "r", body: "x" }, { optimisticUpdate: (store) => void (all = store.getAllQueries(list)) }).catch(() => undefined);
	assert.deepEqual(all, [
		{ args: { room: "r" }, value: [{ id: "1", body: "one" }] },
		{ args: { room: "s" }, value: undefined },
	]);
});

test("rows and results that one call is expected to change show together", async () => {
	const { client, socket } = await started();
	const rows = { entity: "Note", where: {}, order: undefined, limit: undefined };
	const states: string[] = [];
	const look = () => states.push(`${(client.peek(rows).data as readonly unknown[] | undefined)?.length} ${String(client.peek({ fn: "notes.count", args: {} }).data)}`);
	client.watch(rows, look);
	socket.say({ t: "transition", n: 2, q: [{ id: 3, i: 3, k: "c", types: { id: "uuid" } }], b: [{ i: 3, rows: [], h: "" }] });
	client.watch({ fn: "notes.count", args: {} }, look);
	void client.mutation(add, { room: "r", body: "x" }, { ...expected, optimistic: (tx) => tx.insert("Note", { body: "x" }) }).catch(() => undefined);
	assert.deepEqual([...new Set(states)], ["0 1", "1 2"]);
});

test("U3: an update that throws, or is async, makes no call", async () => {
	const { client, socket, seen } = await started();
	const run = (optimisticUpdate: () => unknown) => client.mutation(add, { room: "r", body: "x" }, { optimisticUpdate: optimisticUpdate as () => void });
	await assert.rejects(run(() => assert.fail("broken")), /broken/);
	await assert.rejects(run(async () => undefined), /must not be async/);
	assert.deepEqual([callIds(socket), seen, client.status.pending], [[], ["one | 1"], 0]);
});

test("U3: one that throws later is told once and left out; its call goes on", async () => {
	const { client, socket, seen, settle } = await started();
	const uncaught = process.listeners("uncaughtException");
	process.removeAllListeners("uncaughtException");
	const errors: unknown[] = [];
	process.on("uncaughtException", (e) => errors.push(e));
	let runs = 0;
	const done = client.mutation(add, { room: "r", body: "x" }, {
		optimisticUpdate: (store) => {
			if (++runs > 2) throw new Error("only so often");
			store.setQuery(count, {}, 99);
		},
	});
	assert.equal(seen.at(-1), "one | 99");
	for (const n of [2, 3]) socket.say({ t: "transition", n, b: [{ i: 2, value: n, h: String(n) }] });
	assert.equal(seen.at(-1), "one | 3");
	await new Promise((resolve) => setTimeout(resolve, 5));
	assert.deepEqual(errors.map(String), ["Error: only so often"]);
	process.removeAllListeners("uncaughtException");
	for (const one of uncaught) process.on("uncaughtException", one);
	const [id = ""] = callIds(socket);
	socket.say({ t: "transition", n: 4, r: [{ id, value: "ok" }] });
	await settle();
	assert.equal(await done, "ok");
});

test("S3: after a lost line it stands until what it changed is told anew", async () => {
	const { client, socket, seen, nth } = await started();
	const done = client.mutation(add, { room: "r", body: "mine" }, expected);
	const [id = ""] = callIds(socket);
	socket.die();
	const again = (await nth(2)).open().welcome();
	assert.deepEqual(callIds(again), [id]);
	again.say({ t: "reply", id, value: "2" });
	assert.equal(await done, "2");
	assert.equal(seen.at(-1), "one mine | 2", "what is shown is of before");
	const q = [{ id: 1, i: 1, k: "a" }, { id: 2, i: 2, k: "b" }];
	again.say({ t: "transition", n: 9, p: "q", q, b: [{ i: 1, h: "1", value: told("one", "mine") }, { i: 2, h: "2", value: 2 }] });
	assert.equal(seen.at(-1), "one mine | 2");
	assert.equal(seen.length, 2, seen.join(", "));
});

test("S3: with a reply that is ahead of the screen it stands until the next transition", async () => {
	const { client, socket, seen, settle } = await started();
	const done = client.mutation(add, { room: "r", body: "mine" }, expected);
	const [id = ""] = callIds(socket);
	socket.say({ t: "reply", id, value: "2", ahead: true });
	await settle();
	assert.deepEqual([await done, seen.at(-1)], ["2", "one mine | 2"]);
	socket.say({ t: "transition", n: 2, b: [{ i: 1, value: told("one", "mine"), h: "x" }, { i: 2, value: 2, h: "y" }] });
	assert.deepEqual(seen, ["one | 1", "one mine | 2"]);
	socket.say({ t: "transition", n: 3, b: [{ i: 2, value: 1, h: "z" }] });
	assert.equal(seen.at(-1), "one mine | 1", "and is gone");
});

test("actions are called as they are, and sent again under their id until they are answered", async () => {
	const { client, socket, nth } = await started();
	const done = client.action(functionRef<"action", { readonly n: number }, string>("notes.import"), { n: 1 });
	const [call] = socket.take();
	assert.ok(call?.t === "call");
	assert.deepEqual([call.fn, call.args], ["notes.import", { n: 1 }]);
	socket.die();
	const again = (await nth(2)).open().welcome();
	assert.deepEqual(callIds(again), [call.id]);
	again.say({ t: "reply", id: call.id, value: "done" });
	assert.equal(await done, "done");
});

test("lists that are read page by page: at the top, at the bottom where it is loaded, each item", async () => {
	type Paged = { readonly room: string; readonly paginationOpts: { readonly numItems: number; readonly cursor: string | null; readonly endCursor?: string } };
	const paginatedQuery = functionRef<"query", Paged, { page: Note[]; isDone: boolean; continueCursor: string }>("notes.page");
	const { client, socket } = await started();
	const specs = [
		{ room: "r", paginationOpts: { cursor: null, endCursor: "1", numItems: 1 } },
		{ room: "r", paginationOpts: { cursor: "1", numItems: 1 } },
		{ room: "s", paginationOpts: { cursor: null, numItems: 1 } },
	].map((args) => ({ fn: "notes.page", args }));
	for (const spec of specs) client.watch(spec, () => undefined);
	const page = (id: string, isDone: boolean) => ({ page: [{ id, body: id }], isDone, continueCursor: isDone ? "end" : id });
	const q = [3, 4, 5].map((id) => ({ id, i: id, k: String(id) }));
	socket.say({ t: "transition", n: 2, q, b: [{ i: 3, value: page("1", false), h: "" }, { i: 4, value: page("2", true), h: "" }, { i: 5, value: page("3", true), h: "" }] });
	const shown = () => specs.map((spec) => bodies((client.peek(spec).data as unknown as { page: Value }).page));
	const item = { id: "new", body: "new" };
	const run = (optimisticUpdate: NonNullable<(typeof expected)["optimisticUpdate"]>) => void client.mutation(add, { room: "r", body: "x" }, { optimisticUpdate }).catch(() => undefined);
	run((localQueryStore) => insertAtTop({ paginatedQuery, argsToMatch: { room: "r" }, localQueryStore, item }));
	assert.deepEqual(shown(), ["new 1", "2", "3"]);
	run((localQueryStore) => insertAtBottomIfLoaded({ paginatedQuery, localQueryStore, item: { ...item, body: "last" } }));
	assert.deepEqual(shown(), ["new 1", "2 last", "3 last"]);
	run((store) => optimisticallyUpdateValueInPaginatedQuery(store, paginatedQuery, { room: "r" }, (note) => ({ ...note, body: `${note.body}!` })));
	assert.deepEqual(shown(), ["new! 1!", "2! last!", "3 last"]);
});

test("lists that are read page by page: an item where it belongs, if that is loaded", async () => {
	type Paged = { readonly room: string; readonly paginationOpts: { readonly numItems: number; readonly cursor: string | null } };
	const paginatedQuery = functionRef<"query", Paged, { page: Note[]; isDone: boolean; continueCursor: string }>("notes.page");
	const { client, socket } = await started();
	const specs = [["r", null], ["r", "e"], ["s", null]].map(([room, cursor]) => ({ fn: "notes.page", args: { room, paginationOpts: { cursor, numItems: 2 } } as Value }));
	for (const spec of specs) client.watch(spec as never, () => undefined);
	const page = (ids: string, isDone: boolean) => ({ page: [...ids].map((id) => ({ id, body: id })), isDone, continueCursor: "x" });
	const q = [3, 4, 5].map((id) => ({ id, i: id, k: String(id) }));
	socket.say({ t: "transition", n: 2, q, b: [{ i: 3, value: page("ce", false), h: "" }, { i: 4, value: page("gi", false), h: "" }, { i: 5, value: page("", true), h: "" }] });
	const shown = () => specs.map((spec) => bodies((client.peek(spec as never).data as unknown as { page: Value }).page));
	const put = (id: string, room?: string, sortOrder: "asc" | "desc" = "asc") =>
		void client
			.mutation(add, { room: "r", body: id }, { optimisticUpdate: (localQueryStore) =>
				insertAtPosition({ paginatedQuery, ...(room ? { argsToMatch: { room } } : {}), sortOrder, sortKeyFromItem: (note) => [1, note.id], localQueryStore, item: { id, body: id } }) })
			.catch(() => undefined);
	put("f", "r");
	assert.deepEqual(shown(), ["c e", "f g i", ""], "between two pages");
	put("d");
	assert.deepEqual(shown(), ["c d e", "f g i", "d"], "in each list that fits");
	put("a", "r");
	put("z", "r");
	assert.deepEqual(shown(), ["a c d e", "f g i", "d"], "what is behind all that is loaded is not shown");
	put("e", "s", "desc");
	assert.deepEqual(shown()[2], "e d");
});
