import assert from "node:assert/strict";
import test from "node:test";
import { functionRef, isPending, MillraceError, newId, type OptimisticTx, type Row } from "../src/index.js";
import { fake, type FakeSocket } from "./fake.js";
import { TYPES } from "./world.js";

const row = (id: string, n: number, channel = "c"): Row => ({ id, channel, n, body: null });
const send = functionRef<"mutation", { readonly [k: string]: unknown }, string>("messages.send");
const count = functionRef<"query", { readonly [k: string]: unknown }, unknown>("messages.count");
const query = { where: { channel: "c" }, orderBy: { n: "desc" as const }, limit: 3 };

/** A client with one live query whose first answer has come. */
async function started(rows: Row[] = [row("b", 2), row("a", 1)]) {
	const f = fake();
	const seen: (readonly Row[])[] = [];
	const undo = f.client.onUpdate("Message", query, (now) => seen.push(now));
	await f.settle();
	const socket = f.last().open().welcome();
	const [, subscribe] = socket.take();
	assert.deepEqual(subscribe, { t: "subscribe", id: 1, entity: "Message", where: { channel: "c" }, order: [["n", "desc"]], limit: 3 });
	socket.say({ t: "transition", n: 1, p: "p1", q: [{ id: 1, i: 7, k: "k1", types: TYPES }], b: [{ i: 7, h: "h1", rows }] });
	await f.settle();
	return { ...f, seen, undo, socket };
}
const ids = (rows: readonly Row[] | undefined): string => (rows ?? []).map((one) => one.id).join("");
const calls = (socket: FakeSocket) => socket.take().filter((message) => message.t === "call");

test("hello, subscribe, first answer, differences", async () => {
	const { seen, socket, client } = await started();
	assert.equal(socket.url, "ws://host:1/api/sync");
	assert.deepEqual(socket.protocols, ["millrace.v1.msgpack"]);
	assert.equal(ids(seen.at(-1)), "ba");
	const [b, a] = seen.at(-1) ?? [];
	socket.say({ t: "transition", n: 2, b: [{ i: 7, h: "h2", put: [row("c", 3)], patch: [["a", { n: 0 } as unknown as Row]] }] });
	assert.equal(ids(seen.at(-1)), "cba");
	assert.equal(seen.at(-1)?.[1], b, "S6: an unchanged row keeps its identity");
	assert.notEqual(seen.at(-1)?.[2], a);
	const shown = seen.length;
	socket.say({ t: "transition", n: 3, b: [{ i: 7, h: "h2", rows: [row("c", 3), row("b", 2), row("a", 0)] }] });
	assert.equal(seen.length, shown, "S6: the same rows again are no change");
	socket.say({ t: "transition", n: 4, b: [{ i: 7, h: "h3", del: ["c", "b"] }] });
	assert.equal(ids(seen.at(-1)), "a");
	client.close();
});

test("S1: a transition is shown whole", async () => {
	const { client, socket } = await started();
	const counts: unknown[] = [];
	let rowsAtCount = "";
	const spec = { entity: "Message", where: { channel: "c" }, order: [["n", "desc"]] as const, limit: 3 };
	client.onUpdate(count, {}, (value) => {
		counts.push(value);
		rowsAtCount = ids(client.peek(spec).data as readonly Row[]);
	});
	let countAtRows: unknown;
	client.onUpdate("Message", query, () => (countAtRows = client.peek({ fn: "messages.count", args: {} }).data));
	const [, two] = [null, socket.take()[0]];
	assert.equal(two?.t === "subscribe" && two.fn, "messages.count");
	socket.say({
		t: "transition",
		n: 2,
		q: [{ id: 2, i: 8, k: "k" }],
		b: [
			{ i: 8, value: [1], h: "x" },
			{ i: 7, put: [row("z", 9)], h: "h2" },
		],
	});
	assert.equal(rowsAtCount, "zba");
	assert.deepEqual(countAtRows, [1]);
	socket.say({ t: "transition", n: 3, b: [{ i: 8, segs: [{ v: [0] }, [0, 1], { v: [2] }], h: "y" }] });
	assert.deepEqual(counts.at(-1), [0, 1, 2]);
	client.close();
});

test("S3: the layer drops in the very transition that holds the call, without a state in between", async () => {
	const { client, socket, seen } = await started();
	const id = newId();
	const done = client.mutation(send, { id, n: 5 }, { optimistic: (tx) => tx.insert("Message", { id, channel: "c", n: 5 }) });
	assert.equal(ids(seen.at(-1)), `${id}ba`);
	assert.ok(isPending(seen.at(-1)?.[0] ?? {}), "O4");
	assert.ok(!isPending(seen.at(-1)?.[1] ?? {}), "O4");
	assert.equal(seen.at(-1)?.[0]?.["body"], null);
	assert.equal(client.status.pending, 1);
	const [call] = calls(socket);
	assert.ok(call?.t === "call" && /^\d+\.\d+$/.test(call.id));
	socket.say({ t: "transition", n: 2, b: [{ i: 7, put: [row("x", 4)], h: "h2" }] });
	assert.equal(ids(seen.at(-1)), `${id}xb`, "others' changes pass under the layer, the limit holds");
	const shown = seen.length;
	socket.say({ t: "transition", n: 3, b: [{ i: 7, put: [row(id, 5)], del: ["a"], h: "h3" }], r: [{ id: call.id, value: id }] });
	assert.equal(seen.length, shown + 1);
	assert.equal(ids(seen.at(-1)), `${id}xb`);
	assert.ok(!isPending(seen.at(-1)?.[0] ?? {}));
	assert.equal(await done, id);
	assert.equal(client.status.pending, 0);
	client.close();
});

test("S3: a failing call is rolled back and rejects with its error", async () => {
	const { client, socket, seen } = await started();
	const before = seen.at(-1);
	const done = client.mutation(
		send,
		{},
		{
			optimistic: (tx) => {
				tx.delete("Message", "a");
				tx.update("Message", "b", { n: 9 });
			},
		},
	);
	assert.equal(ids(seen.at(-1)), "b");
	assert.equal(seen.at(-1)?.[0]?.["n"], 9);
	const [call] = calls(socket);
	assert.ok(call?.t === "call");
	socket.say({ t: "reply", id: call.id, error: { code: "app_error", message: "no", data: { code: "quota" } } });
	assert.deepEqual(seen.at(-1), before);
	assert.equal(seen.at(-1)?.[0], before?.[0]);
	await assert.rejects(
		done,
		(e: unknown) => e instanceof MillraceError && e.code === "app_error" && (e.data as { code: string }).code === "quota",
	);
	client.close();
});

test("an optimistic update brings a row that another query holds, and a reply that changed nothing drops its layer", async () => {
	const { client, socket, seen } = await started();
	client.onUpdate("Message", { where: { channel: "d" } }, () => undefined);
	socket.take();
	socket.say({ t: "transition", n: 2, q: [{ id: 2, i: 9, k: "k", types: TYPES }], b: [{ i: 9, rows: [row("m", 7, "d")], h: "h" }] });
	const done = client.mutation(send, {}, { optimistic: (tx) => tx.update("Message", "m", { channel: "c" }) });
	assert.equal(ids(seen.at(-1)), "mba");
	const [call] = calls(socket);
	assert.ok(call?.t === "call");
	socket.say({ t: "reply", id: call.id, value: "ok" });
	assert.equal(ids(seen.at(-1)), "ba");
	assert.equal(await done, "ok");
	client.close();
});

test("include: rows of a value, in their order; expected ones show what others of the result refer to", async () => {
	const f = fake();
	const seen: (readonly Row[])[] = [];
	f.client.onUpdate("Message", { orderBy: { n: "asc" }, include: { home: { field: "channel", include: {} } } }, (now) => seen.push(now));
	f.client.onUpdate("Message", { include: {} }, () => undefined);
	await f.settle();
	const socket = f.last().open().welcome();
	const [, one, two] = socket.take();
	assert.deepEqual(one, { t: "subscribe", id: 1, entity: "Message", order: [["n", "asc"]], include: { home: "channel" } });
	assert.deepEqual(two, { t: "subscribe", id: 2, entity: "Message" }, "nothing in it is none");
	const home = { id: "c", name: "C" };
	const full = (id: string, n: number, channel = "c", its: Row["home"] = home): Row => ({ ...row(id, n, channel), home: its ?? null });
	const acks = [{ id: 1, i: 7, k: "k1", types: TYPES }, { id: 2, i: 8, k: "k2", types: TYPES }];
	socket.say({ t: "transition", n: 1, q: acks, b: [{ i: 7, h: "h1", value: [full("a", 1), full("b", 2)] }, { i: 8, h: "h", rows: [row("a", 1), row("b", 2)] }] });
	assert.deepEqual(seen.at(-1), [full("a", 1), full("b", 2)]);
	const [a, b] = seen.at(-1) ?? [];
	socket.say({ t: "transition", n: 2, b: [{ i: 7, h: "h2", segs: [[0, 1], { v: [full("b", 2, "c", { id: "c", name: "D" })] }] }] });
	assert.equal(seen.at(-1)?.[0], a, "S6: an unchanged row keeps its identity");
	assert.deepEqual(seen.at(-1)?.[1]?.["home"], { id: "c", name: "D" });
	assert.notEqual(seen.at(-1)?.[1], b);

	const bare = f.client.peek({ entity: "Message", where: {}, order: undefined, limit: undefined });
	assert.deepEqual(bare.data, [row("a", 1), row("b", 2)], "another query of the same rows has what it asked for");
	const expected = (tx: OptimisticTx): void => {
		tx.update("Message", "a", { n: 5 });
		tx.insert("Message", { id: "x", n: 3, channel: "c" });
		tx.insert("Message", { id: "y", n: 4, channel: "other" });
	};
	const done = f.client.mutation(send, {}, { optimistic: expected });
	const homes = () => seen.at(-1)?.map((one) => [one.id, (one["home"] as { name: string } | null)?.name]);
	assert.deepEqual(homes(), [["b", "D"], ["x", "C"], ["y", undefined], ["a", "C"]]);
	assert.ok(isPending(seen.at(-1)?.[3] ?? {}) && !isPending(seen.at(-1)?.[0] ?? {}), "O4");
	assert.deepEqual(Object.keys((f.client.peek({ entity: "Message", where: {}, order: undefined, limit: undefined }).data as readonly Row[]).at(-1) ?? {}).sort(), ["body", "channel", "id", "n"]);
	const [x, shown] = [seen.at(-1)?.[1], seen.length];
	socket.say({ t: "transition", n: 3, b: [{ i: 8, h: "h3", patch: [["b", { body: "q" } as unknown as Row]] }] });
	assert.equal(seen.length, shown, "S6: nothing of it has changed");
	assert.equal(seen.at(-1)?.[1], x);
	const [call] = calls(socket);
	assert.ok(call?.t === "call");
	socket.say({ t: "transition", n: 4, b: [{ i: 7, h: "h4", segs: [[1, 1], { v: [full("a", 5)] }] }], r: [{ id: call.id, value: "ok" }] });
	assert.deepEqual(homes(), [["b", "D"], ["a", "C"]]);
	assert.equal(await done, "ok");

	socket.die();
	const next = (await f.nth(2)).open().welcome();
	const again = next.take().find((message) => message.t === "subscribe" && message.id === 1);
	assert.deepEqual(again?.t === "subscribe" && [again.include, again.have], [{ home: "channel" }, { k: "k1", h: "h4" }]);
	next.say({ t: "transition", n: 5, q: [{ id: 1, i: 3, k: "k1", keep: true, types: TYPES }] });
	next.say({ t: "transition", n: 6, b: [{ i: 3, h: "h5", segs: [[0, 1]] }] });
	assert.deepEqual(homes(), [["b", "D"]]);
	assert.throws(() => f.client.onUpdate("Message", { include: { home: 5 } as never }, () => undefined), /home is to be the name of a field/);
	f.client.close();
});

test("a reply that is ahead of the screen keeps the layer until the next transition", async () => {
	const { client, socket, seen } = await started();
	const done = client.mutation(send, {}, { optimistic: (tx) => tx.insert("Message", { id: "o", channel: "c", n: 5 }) });
	const [call] = calls(socket);
	assert.ok(call?.t === "call");
	socket.say({ t: "reply", id: call.id, value: 1, ahead: true });
	assert.equal(await done, 1);
	assert.equal(ids(seen.at(-1)), "oba");
	const shown = seen.length;
	socket.say({ t: "transition", n: 2, b: [{ i: 7, put: [row("o", 5)], h: "h2" }] });
	assert.equal(ids(seen.at(-1)), "oba");
	assert.equal(seen.length, shown + 1);
	assert.ok(!isPending(seen.at(-1)?.[0] ?? {}));
	client.close();
});

test("a query that shows nothing yet does not keep the layer of a reply that is ahead", async () => {
	const { client, socket, seen } = await started();
	client.onUpdate("Message", { where: { channel: "slow" } }, () => undefined); // is not answered
	const done = client.mutation(send, {}, { optimistic: (tx) => tx.insert("Message", { id: "o", channel: "c", n: 5 }) });
	const [call] = calls(socket);
	assert.ok(call?.t === "call");
	socket.say({ t: "reply", id: call.id, value: 1, ahead: true });
	assert.equal(await done, 1);
	socket.say({ t: "transition", n: 2, b: [{ i: 7, put: [row("p", 5)], h: "h2" }] });
	assert.equal(ids(seen.at(-1)), "pba", "the row is there once");
	client.close();
});

test("S4, S8: a new socket is told position, what is held, and the calls again in order; kept queries keep their rows", async () => {
	const f = await started();
	const { client, socket, seen } = f;
	const one = client.mutation(send, { n: 1 });
	const two = client.mutation(send, { n: 2 });
	const before = calls(socket);
	const statuses: string[] = [];
	client.onStatus((s) => statuses.push(s.state));
	socket.die();
	assert.equal(client.status.state, "reconnecting");
	assert.equal(client.peek({ entity: "Message", where: { channel: "c" }, order: [["n", "desc"]], limit: 3 }).synced, false, "S7");
	const three = client.mutation(send, { n: 3 }); // made while away
	const next = await f.nth(2);
	next.open();
	const greeting = next.take();
	assert.deepEqual(
		greeting.map((m) => m.t),
		["hello", "subscribe", "call", "call", "call"],
	);
	const [hello, subscribe, ...again] = greeting;
	assert.equal(hello?.t === "hello" && hello.position, "p1");
	assert.deepEqual(subscribe?.t === "subscribe" && subscribe.have, { k: "k1", h: "h1" });
	assert.deepEqual(again.slice(0, 2), before);
	next.welcome();
	const shown = seen.length;
	const rows = seen.at(-1);
	const reply = again.map((m, i) => ({ id: m.t === "call" ? m.id : "", value: i }));
	next.say({ t: "transition", n: 9, p: "p9", q: [{ id: 1, i: 1, k: "k1", keep: true, types: TYPES }], r: reply });
	assert.equal(seen.length, shown, "kept: nothing to show anew");
	assert.deepEqual(await Promise.all([one, two, three]), [0, 1, 2]);
	assert.deepEqual(
		statuses.filter((s, i) => s !== statuses[i - 1]),
		["reconnecting", "connected"],
	);
	next.say({ t: "transition", n: 10, b: [{ i: 1, patch: [["a", { n: 7 } as unknown as Row]] }] });
	assert.equal(ids(seen.at(-1)), "ab");
	assert.equal(seen.at(-1)?.[1], rows?.[0]);
	next.die();
	const third = await f.nth(3);
	third.open();
	const again2 = third.take().find((m) => m.t === "subscribe");
	assert.deepEqual(again2?.t === "subscribe" && again2.have, { k: "k1", h: "" }, "S8: no hash was told with the last change");
	third.welcome().say({ t: "transition", n: 11, q: [{ id: 1, i: 2, k: "k2", types: TYPES }], b: [{ i: 2, rows: [row("b", 2)], h: "h" }] });
	assert.equal(ids(seen.at(-1)), "b");
	assert.equal(seen.at(-1)?.[0], rows?.[0], "S6: also over a whole reload");
	client.close();
});

test("S4: a reload sends the calls again under their ids and still shows them as pending", async () => {
	const first = await started();
	void first.client
		.mutation(send, { n: 5n }, { optimistic: (tx) => tx.insert("Message", { id: "o", channel: "c", n: 5 }) })
		.catch(() => undefined);
	const [call] = calls(first.socket);
	const session = first.stores.tab.getItem("millrace:host:1:session");
	const f = fake({ storage: first.stores }); // the page is loaded anew; the old one never closed properly
	const seen: (readonly Row[])[] = [];
	f.client.onUpdate("Message", query, (rows) => seen.push(rows));
	await f.settle();
	const socket = f.last().open();
	const [hello, , again] = socket.take();
	assert.equal(hello?.t === "hello" && hello.session, session);
	assert.deepEqual(again, call);
	assert.equal(f.client.status.pending, 1);
	socket.welcome().say({ t: "transition", n: 1, q: [{ id: 1, i: 7, k: "k1", types: TYPES }], b: [{ i: 7, h: "h1", rows: [row("a", 1)] }] });
	assert.equal(ids(seen.at(-1)), "oa");
	socket.say({
		t: "transition",
		n: 2,
		r: [{ id: call?.t === "call" ? call.id : "", value: 1 }],
		b: [{ i: 7, h: "h2", put: [row("o", 5)] }],
	});
	assert.equal(ids(seen.at(-1)), "oa");
	assert.equal(f.client.status.pending, 0);
	assert.equal(first.stores.tab.getItem("millrace:host:1:calls"), null);
	f.client.close();
	first.client.close();
});

test("S5: one subscription for any number of watchers, ended with the last", async () => {
	const { client, socket, undo } = await started();
	const more = [1, 2, 3].map(() =>
		client.onUpdate("Message", { limit: 3, orderBy: [["n", "desc"]], where: { channel: "c" } }, () => undefined),
	);
	assert.deepEqual(socket.take(), []);
	undo();
	more.slice(1).forEach((one) => one());
	undo();
	assert.deepEqual(socket.take(), []);
	more[0]?.();
	assert.deepEqual(socket.take(), [{ t: "unsubscribe", id: 1 }]);
	socket.say({ t: "transition", n: 5, b: [{ i: 7, put: [row("z", 1)], h: "h" }] }); // under way: nobody minds
	client.close();
});

test("a refused query has an error, keeps quiet, and is asked again when the caller has signed in", async () => {
	const f = fake();
	const errors: string[] = [];
	const rows: unknown[] = [];
	f.client.onUpdate(
		"Secret",
		{},
		(now) => rows.push(now),
		(e) => errors.push(e.code),
	);
	await f.settle();
	const socket = f.last().open().welcome();
	socket.take();
	socket.say({ t: "error", re: 1, error: { code: "unauthenticated", message: "sign in" } });
	assert.deepEqual(errors, ["unauthenticated"]);
	f.client.setToken("t");
	assert.deepEqual(socket.take(), [{ t: "auth", token: "t" }]);
	socket.welcome("ann");
	assert.equal(f.client.status.user, "ann");
	assert.deepEqual(socket.take(), [{ t: "subscribe", id: 1, entity: "Secret" }]);
	socket.say({ t: "transition", n: 1, q: [{ id: 1, i: 1, k: "k", types: TYPES }] });
	assert.deepEqual(rows, [[]]);
	assert.equal(f.stores.device.getItem("millrace:host:1:token"), "t");
	f.client.close();
});

test("tokens: a refused one is forgotten at hello, the old one stays when the new one is refused", async () => {
	const errors: string[] = [];
	const f = fake({ token: "bad", onError: (e) => errors.push(e.code) });
	f.client.connect();
	await f.settle();
	f.last()
		.open()
		.say({ t: "error", error: { code: "bad_token", message: "no" }, fatal: true });
	const second = await f.nth(2);
	const [hello] = second.open().take();
	assert.equal(hello?.t === "hello" && hello.token, undefined);
	second.welcome();
	f.client.setToken("good");
	second.welcome("ann");
	f.client.setToken("worse");
	second.say({ t: "error", error: { code: "bad_token", message: "no" } });
	assert.equal(f.stores.device.getItem("millrace:host:1:token"), "good");
	assert.deepEqual(errors, ["bad_token", "bad_token"]);
	assert.equal(f.sockets.length, 2);
	f.client.close();

	let asked = 0;
	const g = fake({ getToken: async () => `t${++asked}`, onError: () => undefined });
	g.client.connect();
	await g.settle();
	g.last().open();
	await g.settle();
	const [first] = g.last().take();
	assert.equal(first?.t === "hello" && first.token, "t1");
	g.last().say({ t: "error", error: { code: "token_expired", message: "no" }, fatal: true });
	(await g.nth(2)).open();
	await g.settle();
	const [again] = g.last().take();
	assert.equal(again?.t === "hello" && again.token, "t2");
	g.client.close();
});

test("calls: resent where the server says so, renumbered when our clock was wrong, failed otherwise", async () => {
	const { client, socket } = await started();
	const one = client.mutation(send, {});
	const [call] = calls(socket);
	assert.ok(call?.t === "call");
	socket.say({ t: "reply", id: call.id, error: { code: "no_workers", message: "wait" } });
	await new Promise((resolve) => setTimeout(resolve, 250));
	assert.deepEqual(calls(socket), [call], "the same id");
	socket.welcome(null, 12345);
	socket.say({ t: "reply", id: call.id, error: { code: "no_workers", message: "wait" } });
	socket.say({ t: "reply", id: call.id, value: "done" });
	assert.equal(await one, "done");
	const two = client.mutation(send, {});
	const [ours] = calls(socket);
	assert.ok(ours?.t === "call" && ours.id.startsWith("12345."));
	socket.welcome(null, 12347);
	socket.say({ t: "reply", id: ours.id, error: { code: "bad_call_id", message: "hour" } });
	const [renamed] = calls(socket);
	assert.ok(renamed?.t === "call" && renamed.id.startsWith("12347."));
	socket.say({ t: "reply", id: renamed.id, error: { code: "conflict", message: "no" } });
	await assert.rejects(two, /no/);
	assert.equal(client.status.pending, 0);
	client.close();
});

test("rule 9: calls: an hour that is refused gives a call that was told once another id, and one that was told before none", async () => {
	const { client, socket } = await started();
	socket.welcome(null, 500000);
	for (const code of ["call_expired", "bad_call_id"] as const) {
		const fresh = client.mutation(send, {});
		const [first] = calls(socket);
		assert.ok(first?.t === "call");
		socket.welcome(null, 600000);
		socket.say({ t: "reply", id: first.id, error: { code, message: "hour" } });
		const [second] = calls(socket);
		assert.ok(second?.t === "call" && second.id.startsWith("600000."));
		socket.say({ t: "reply", id: second.id, value: 1 });
		assert.equal(await fresh, 1);
		const told = client.mutation(send, {});
		const [before] = calls(socket);
		assert.ok(before?.t === "call");
		socket.say({ t: "reply", id: before.id, error: { code: "no_workers", message: "it may have run" } });
		await new Promise((resolve) => setTimeout(resolve, 250));
		assert.deepEqual(calls(socket), [before]);
		socket.welcome(null, 700000);
		socket.say({ t: "reply", id: before.id, error: { code, message: "hour" } });
		await assert.rejects(told, { code });
		assert.equal(calls(socket).length, 0);
		socket.welcome(null, 500000);
	}
	client.close();
});

test("calls: an error that may pass does not deny a sending that was never answered", async () => {
	const f = await started();
	const { client } = f;
	const lost = client.mutation(send, {});
	const [call] = calls(f.socket);
	assert.ok(call?.t === "call");
	f.socket.die();
	const socket = (await f.nth(2)).open().welcome();
	assert.deepEqual(calls(socket), [call]);
	socket.say({ t: "reply", id: call.id, error: { code: "disk_full", message: "full" } });
	await assert.rejects(lost, { code: "disk_full", data: { outcome: "unknown" } });
	const answered = client.mutation(send, {});
	const [next] = calls(socket);
	assert.ok(next?.t === "call");
	socket.say({ t: "reply", id: next.id, error: { code: "no_workers", message: "wait" } });
	await new Promise((resolve) => setTimeout(resolve, 250));
	assert.deepEqual(calls(socket), [next]);
	socket.say({ t: "reply", id: next.id, error: { code: "disk_full", message: "full" } });
	await assert.rejects(answered, (error: MillraceError) => error.code === "disk_full" && error.data === undefined);
	client.close();
});

test("one-shot queries", async () => {
	const { client, socket } = await started();
	const value = client.query(count, {});
	const [call] = calls(socket);
	assert.ok(call?.t === "call" && call.fn === "messages.count");
	assert.equal(client.status.pending, 0, "a question is no pending change");
	socket.say({ t: "reply", id: call.id, value: 3 });
	assert.equal(await value, 3);
	const rows = client.query("Message", { where: { channel: "q" } });
	const [subscribe] = socket.take();
	assert.ok(subscribe?.t === "subscribe");
	socket.say({
		t: "transition",
		n: 2,
		q: [{ id: subscribe.id, i: 3, k: "k", types: TYPES }],
		b: [{ i: 3, rows: [row("q", 1, "q")], h: "" }],
	});
	assert.equal(ids(await rows), "q");
	assert.deepEqual(socket.take(), [{ t: "unsubscribe", id: subscribe.id }]);
	client.close();
});

test("a growing limit shows the old rows until the bigger result is there", async () => {
	const { client, socket, undo } = await started();
	const spec = { entity: "Message", where: { channel: "c" }, order: [["n", "desc"]] as const, limit: 6 };
	assert.equal(ids(client.peek(spec).data as readonly Row[]), "ba", "also before anybody watches it");
	assert.equal(client.peek(spec), client.peek(spec));
	const seen: string[] = [];
	client.watch(spec, () => seen.push(ids(client.peek(spec).data as readonly Row[])));
	undo();
	assert.deepEqual(
		socket.take().map((m) => m.t),
		["subscribe"],
		"the smaller one stands in and stays live",
	);
	socket.say({ t: "transition", n: 2, b: [{ i: 7, put: [row("c", 3)], h: "h2" }] });
	assert.deepEqual(seen, ["cba"]);
	assert.equal(client.peek(spec).loading, true);
	socket.say({
		t: "transition",
		n: 3,
		q: [{ id: 2, i: 8, k: "k", types: TYPES }],
		b: [{ i: 8, rows: [row("c", 3), row("b", 2), row("a", 1), row("_", 0)], h: "h" }],
	});
	assert.deepEqual(seen, ["cba", "cba_"]);
	assert.equal(client.peek(spec).loading, false);
	assert.deepEqual(socket.take(), [{ t: "unsubscribe", id: 1 }]);
	client.close();
});

test("frames that make no sense end the socket, not the client", async () => {
	const errors: string[] = [];
	const f = fake({ onError: (e) => errors.push(e.code), encoding: "json" });
	f.client.connect();
	await f.settle();
	const socket = f.last().open();
	socket.onmessage?.({ data: '{"t":' } as never);
	assert.deepEqual(errors, ["bad_message"]);
	(await f.nth(2)).open().welcome();
	assert.equal(f.client.status.state, "connected");
	f.last().say({ t: "a message of tomorrow" } as never);
	assert.equal(f.client.status.state, "connected");
	f.client.close();
	assert.equal(f.client.status.state, "offline");
});

test("bad arguments are refused at once, with their place", async () => {
	const { client } = await started();
	await assert.rejects(client.mutation(send, { a: { b: [() => 1] } }), /args\.a\.b\[0\]: a function cannot be sent/);
	await assert.rejects(
		client.mutation(send, { a: "x\u0000" }),
		(e: unknown) => e instanceof MillraceError && e.code === "bad_args" && /args\.a: .*NUL/.test(e.message),
	);
	await assert.rejects(client.query(count, { a: "\ud800" }), /args\.a: .*surrogate/);
	assert.throws(() => void client.onUpdate("Message", { where: 5 } as never, () => undefined), /where: expected an object/);
	assert.throws(() => void client.onUpdate("Message", { orderBy: { n: "down" } } as never, () => undefined), /orderBy/);
	await assert.rejects(client.mutation({} as never, {}), /no function reference/);
	client.close();
});

test("a closed client says so; mutations stay in the tab's store", async () => {
	const { client, stores } = await started();
	const open = client.mutation(send, { n: 1 });
	client.close();
	await assert.rejects(open, (e: unknown) => e instanceof MillraceError && e.code === "shutting_down");
	await assert.rejects(client.mutation(send, {}), /was closed/);
	assert.match(stores.tab.getItem("millrace:host:1:calls") ?? "", /messages\.send/);
});

test("a value is shown until the next one is there, also over a new socket", async () => {
	const f = fake();
	const seen: unknown[] = [];
	f.client.onUpdate(count, {}, (value) => seen.push(value));
	await f.settle();
	f.last()
		.open()
		.welcome()
		.say({ t: "transition", n: 1, q: [{ id: 1, i: 1, k: "k" }], b: [{ i: 1, value: { n: 1 }, h: "h" }] });
	f.last().die();
	const second = await f.nth(2);
	second
		.open()
		.welcome()
		.say({ t: "transition", n: 1, q: [{ id: 1, i: 4, k: "k" }] });
	assert.deepEqual(f.client.peek({ fn: "messages.count", args: {} }).data, { n: 1 });
	second.say({ t: "transition", n: 2, b: [{ i: 4, value: { n: 2 }, behind: true }] });
	assert.deepEqual(seen, [{ n: 1 }, { n: 2 }]);
	assert.equal(f.client.peek({ fn: "messages.count", args: {} }).behind, true);
	second
		.say({ t: "transition", n: 3, b: [{ i: 4, value: { n: 2 }, h: "h9" }] })
		.say({ t: "transition", n: 4, b: [{ i: 4, behind: false }] });
	second.die();
	const third = await f.nth(3);
	const again = third
		.open()
		.take()
		.find((m) => m.t === "subscribe");
	assert.deepEqual(again?.t === "subscribe" && again.have, { k: "k", h: "h9" }, "S8: behind alone changes nothing that is held");
	third.welcome().say({ t: "transition", n: 1, q: [{ id: 1, i: 4, k: "k", keep: true }] });
	third.say({ t: "transition", n: 3, b: [{ i: 4, error: { code: "function_failed", message: "x" } }] });
	const failed = f.client.peek({ fn: "messages.count", args: {} });
	assert.deepEqual([failed.error?.code, failed.data], ["function_failed", { n: 2 }]);
	third.say({ t: "transition", n: 4, b: [{ i: 4, value: 3, behind: false }] });
	assert.deepEqual([seen.at(-1), f.client.peek({ fn: "messages.count", args: {} }).error], [3, undefined]);
});
