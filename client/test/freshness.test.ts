import assert from "node:assert/strict";
import test from "node:test";
import { functionRef, type SyncStatus } from "../src/index.js";
import { Freshness } from "../src/freshness.js";
import type { ServerMessage } from "../src/tables.js";
import { fake } from "./fake.js";

const welcome: ServerMessage = { t: "welcome", protocol: 1, user: null, hour: 1, mode: "production", app: "a", ping_interval: 25000, max_frame: 1048576, max_depth: 64 };
const pong: ServerMessage = { t: "pong" };
const status = (following: boolean): ServerMessage => ({ t: "status", following });
const send = functionRef<"mutation", Record<never, never>, string>("messages.send");

test("F1: what is heard while all is well moves asOf; a welcome says nothing yet", () => {
	const f = new Freshness();
	f.begin();
	f.heard(welcome, true, 1000);
	assert.equal(f.asOf, 0);
	f.heard(pong, true, 2000);
	assert.equal(f.asOf, 2000);
	f.closed(true, 3000);
	assert.equal(f.asOf, 3000);
});

test("F2: while the database does not answer it stands at the moment before that, whatever else is heard", () => {
	const f = new Freshness();
	f.begin();
	f.heard(pong, true, 1000);
	f.heard(status(false), true, 21_000);
	assert.equal(f.asOf, 20_000, "the server tells a second later");
	for (const message of [pong, { t: "transition", n: 3 } as const, status(false)]) f.heard(message, true, 30_000);
	f.closed(true, 31_000);
	assert.equal(f.asOf, 20_000);
	assert.equal(f.following, false);
	f.heard(status(true), true, 40_000);
	assert.equal(f.asOf, 40_000);
});

test("F2: on a new socket it stands until all is answered, and when the server does not follow at once", () => {
	const f = new Freshness();
	f.begin();
	f.heard(pong, true, 1000);
	f.begin();
	f.heard(welcome, false, 5000);
	f.heard(pong, false, 5001);
	f.heard(status(false), false, 9000);
	assert.equal(f.asOf, 1000);
	f.begin();
	f.heard(welcome, true, 10_000);
	f.heard(status(false), true, 10_001);
	f.heard(pong, true, 10_002);
	assert.equal(f.asOf, 1000);
	const fresh = new Freshness();
	fresh.begin();
	fresh.heard(welcome, true, 1000);
	fresh.heard(status(false), true, 1001);
	assert.equal(fresh.asOf, 0, "a page that opens meanwhile knows nothing");
});

test("the status of a client tells it, and is told only when it changes", async () => {
	const f = fake();
	const told: SyncStatus[] = [];
	f.client.onStatus((now) => told.push(now));
	f.client.onUpdate("Message", {}, () => undefined);
	await f.settle();
	assert.equal(f.client.status.stale, true);
	const socket = f.last().open().welcome();
	socket.say({ t: "transition", n: 1, p: "p", q: [{ id: 1, i: 1, k: "k", types: {} }], b: [{ i: 1, rows: [], h: "h" }] });
	assert.equal(f.client.status.stale, false);
	const quiet = told.length;
	for (let n = 2; n < 5; n++) socket.say({ t: "transition", n });
	assert.equal(told.length, quiet, "frames alone are no change");
	const before = Date.now();
	socket.say({ t: "status", following: false });
	assert.equal(told.length, quiet + 1);
	const { state, stale, following, asOf } = f.client.status;
	assert.deepEqual([state, stale, following], ["connected", true, false]);
	assert.ok(asOf <= Date.now() && asOf >= before - 1000);
	socket.say({ t: "transition", n: 4, r: [] });
	assert.equal(f.client.status.stale, true, "F3");
	socket.say({ t: "status", following: true });
	assert.equal(f.client.status.stale, false);
	socket.die();
	assert.deepEqual([f.client.status.state, f.client.status.stale], ["reconnecting", true]);
	const lost = f.client.status.asOf;
	const next = (await f.nth(2)).open().welcome();
	assert.deepEqual([f.client.status.state, f.client.status.stale], ["connected", true], "not all is answered on the new socket");
	next.say({ t: "pong" });
	assert.equal(f.client.status.asOf, lost);
	next.say({ t: "transition", n: 9, q: [{ id: 1, i: 1, k: "k", keep: true, types: {} }] });
	assert.equal(f.client.status.stale, false);
	f.client.close();
	assert.deepEqual([f.client.status.state, f.client.status.stale], ["offline", true]);
});

test("a call on a dead line: a ping after a second, another socket soon after, and the call again", async () => {
	const f = fake();
	f.client.connect();
	await f.settle();
	const socket = f.last().open().welcome();
	socket.take();
	void f.client.mutation(send, {}).catch(() => undefined);
	assert.equal(socket.take()[0]?.t, "call");
	const until = async (test: () => boolean) => {
		for (let waited = 0; waited < 15000 && !test(); waited += 20) await new Promise((resolve) => setTimeout(resolve, 20));
	};
	let sent: unknown[] = [];
	await until(() => (sent = socket.take()).length > 0);
	assert.deepEqual(sent, [{ t: "ping" }]);
	await until(() => f.client.status.state !== "connected");
	assert.notEqual(f.client.status.state, "connected");
	const next = (await f.nth(2)).open().welcome();
	assert.deepEqual(
		next.take().map((m) => m.t),
		["hello", "call"],
	);
});
