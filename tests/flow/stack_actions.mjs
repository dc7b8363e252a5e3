// Actions: calls of other functions, time, at most once whatever dies, and what ends those that never end.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { join } from "node:path";
import { ROOT, sanitized } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { sleep, Stack, thisHour, until } from "../lib/stack.mjs";

const SECONDS = 3;
const memory = sanitized() ? "800MB" : "200MB";
const limits = ["--action-time-limit", `${SECONDS}s`, "--function-time-limit", "300", "--worker-memory-limit", memory, "--action-operations", "200"];
process.env.MILLRACE_VAR_KEY = "a \"key\" \u00e9";
const stack = await Stack.start([...limits, "--worker-actions", "4"]);
const client = await stack.client();
const act = (fn, args, options) => client.call(`actions.${fn}`, args, options);
const value = (fn, args) => client.value(`actions.${fn}`, args);
const count = (grp) => Number(stack.psql(`select count(*) from "Item" where grp = '${grp}'`));
let groups = 0;
const group = () => `g${++groups}`;

test("an action calls queries, mutations and actions, by reference and by name, as its caller", async () => {
	const [from, to] = [group(), group()];
	stack.psql(`insert into "Item" (grp, n) select '${from}', i from generate_series(1, 3) i`);
	const got = await value("copy", { from, to });
	assert.deepEqual({ ...got, ids: got.ids.length }, { n: 3, ids: 3, after: 3, who: null });
	assert.equal(count(to), 3);
	const ann = await stack.client({ token: stack.token("ann") });
	assert.equal(await ann.value("actions.asUser"), "ann");
	assert.equal((await act("asUser")).error.code, "unauthenticated");
	ann.close();
});

test("over HTTP too; its own parts cannot be called from outside", async () => {
	const to = group();
	const { json } = await stack.call("actions.copy", { from: "nothing", to });
	assert.deepEqual(json, { value: { n: 0, ids: [], after: 0, who: null } });
	for (const fn of ["put", "hidden", "who"]) assert.equal((await stack.call(`actions.${fn}`, {})).code, "unknown_function");
	for (const fn of ["put", "hidden", "who"]) assert.equal((await act(fn)).error.code, "unknown_function");
});

test("errors of what it calls are its to catch, or its own", async () => {
	const grp = group();
	const told = (kind, fn, args = {}) => value("told", { kind, fn, args });
	assert.deepEqual(await told("runMutation", "actions.refuse", { grp }), { code: "app_error", message: "it is full", data: { code: "no_room", left: 0 } });
	const { error } = await act("passesOn", { grp });
	assert.deepEqual([error.code, error.data], ["app_error", { code: "no_room", left: 0 }]);
	assert.equal(count(grp), 0);
	assert.equal((await told("runQuery", "actions.nowhere")).code, "unknown_function");
	assert.equal((await told("runQuery", "actions.put", { grp, n: 1 })).code, "unknown_function", "of the wrong kind");
	assert.equal((await told("runMutation", "actions.put", { grp, n: "x" })).code, "bad_args");
	assert.equal((await told("runAction", "actions.throws")).code, "function_failed");
});

test("what it did not await belongs to it", async () => {
	const grp = group();
	assert.equal(await value("loose", { grp }), "begun");
	assert.equal(count(grp), 5);
});

test("its answer comes with the transition that shows what it did", async () => {
	const grp = group();
	const live = await client.live({ entity: "Item", where: { grp } });
	assert.equal(await value("slow", { grp, steps: 2 }), 2);
	assert.equal(live.rows.size, 2);
	client.unsubscribe(live);
});

test("time passes in actions, and there only", async () => {
	const { took, clock, ...rest } = await value("time");
	assert.ok(took >= 80 && clock >= 79, `${took} ms, ${clock} ms by its clock`);
	assert.deepEqual(rest, { order: ["early", "late"], rang: 3, frozen: false });
	assert.equal((await act("outside")).error.code, "only_in_actions");
});

test("actions wait without a connection, and only so many run at once", async () => {
	const quick = await stack.client();
	const waiting = Array.from({ length: 8 }, () => act("waits", { ms: 400 }));
	for (let i = 0; i < 20; i++) await quick.value("actions.plain", { grp: "busy" });
	assert.deepEqual((await Promise.all(waiting)).map((r) => r.error?.code ?? r.value), Array(8).fill(null));
	const line = Array.from({ length: 12 }, () => act("waits", { ms: 500 }));
	assert.deepEqual((await Promise.all(line)).map((r) => r.error?.code ?? r.value), Array(12).fill(null), "those above wait in line");
	quick.close();
});

test("sent again while it runs, an action is run once and answered once", async () => {
	const grp = group();
	const id = client.callId();
	client.send({ t: "call", id, fn: "actions.slow", args: { grp, steps: 4 } });
	await until("its first step", () => count(grp) > 0);
	client.send({ t: "call", id, fn: "actions.slow", args: { grp, steps: 4 } });
	assert.equal((await client.until("the reply", () => client.results.get(id))).value, 4);
	assert.equal(count(grp), 4);
});

test("sent again on a new socket it is found while it runs; after its end it is not run again", async () => {
	const grp = group();
	const other = await stack.client();
	const id = other.callId();
	other.send({ t: "call", id, fn: "actions.slow", args: { grp, steps: 8 } });
	await until("its first step", () => count(grp) > 0);
	other.close();
	await other.again();
	assert.equal((await other.call("actions.slow", { grp, steps: 8 }, { id })).value, 8);
	const { error } = await other.call("actions.slow", { grp, steps: 8 }, { id });
	assert.deepEqual([error.code, error.data], ["action_interrupted", { outcome: "unknown" }]);
	assert.equal((await other.call("actions.slow", { grp, steps: 9 }, { id })).error.code, "call_mismatch");
	assert.equal(count(grp), 8);
	other.close();
});

test("an Idempotency-Key makes it run once", async () => {
	const grp = group();
	const once = () => stack.call("actions.slow", { grp, steps: 2 }, { "idempotency-key": `${thisHour()}.${grp}` });
	assert.deepEqual((await once()).json, { value: 2 });
	assert.equal((await once()).code, "action_interrupted");
	assert.equal(count(grp), 2);
});

const workers = () => {
	const children = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
	const name = (pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0];
	return children(stack.server.pid).filter((pid) => name(pid).endsWith("millrace-worker"));
};

test("a worker that dies takes its actions with it: their end is unknown, and nobody runs them again", async () => {
	const grp = group();
	const both = [1, 2].map((n) => ({ grp: `${grp}${n}`, reply: act("slow", { grp: `${grp}${n}`, steps: 40 }) }));
	await until("both to be under way", () => both.every(({ grp: g }) => count(g) > 0));
	for (const pid of workers()) process.kill(pid, "SIGKILL");
	for (const { grp: g, reply } of both) {
		const { error } = await reply;
		assert.deepEqual([error.code, error.data], ["action_interrupted", { outcome: "unknown" }]);
		const done = count(g);
		await sleep(300);
		assert.equal(count(g), done);
		assert.ok(done < 40);
	}
	assert.equal(await value("waits", { ms: 1 }), null, "new workers run the next");
});

test("an action that asks for it ends with its caller, over WebSocket and HTTP; others go on", async () => {
	const [gone, stays, left] = [group(), group(), group()];
	const other = await stack.client();
	other.send({ t: "call", id: other.callId(), fn: "actions.leaves", args: { grp: gone, steps: 30 } });
	other.send({ t: "call", id: other.callId(), fn: "actions.slow", args: { grp: stays, steps: 10 } });
	const body = JSON.stringify({ grp: left, steps: 30 });
	const http = connect(Number(new URL(stack.url).port), "127.0.0.1");
	http.write(`POST /api/fn/actions.leaves HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
	await until("all to be under way", () => [gone, stays, left].every(count));
	other.close();
	http.resetAndDestroy();
	await until("the other to end", () => count(stays) === 10);
	const [a, b] = [count(gone), count(left)];
	await sleep(300);
	assert.deepEqual([count(gone), count(left)], [a, b]);
	assert.ok(a < 30 && b < 30);
});

const attacks = [
	["throws", {}, ["function_failed"]],
	["loops", {}, ["time_limit"]],
	["spins", {}, ["time_limit"]],
	["recurses", {}, ["function_failed"]],
	["nests", {}, ["call_depth"]],
	["allocates", {}, ["memory_limit", "worker_crashed", "time_limit"]],
	["cycle", {}, ["function_failed", "bad_value"]],
	["never", {}, ["function_failed", "time_limit"]],
	["neverTimed", {}, ["time_limit"]],
];
for (const [fn, args, codes] of attacks) {
	test(`attacked: ${fn} costs its caller an error, and nobody else anything`, async () => {
		const others = await Promise.all([stack.client(), stack.client()]);
		let going = true;
		const seen = others.map(async (c) => {
			let n = 0;
			for (; going || n < 3; n++) await c.value("actions.plain", { grp: `attack ${fn}` });
			return n;
		});
		const { error } = await act(fn, args, { seconds: SECONDS + 10 });
		going = false;
		assert.ok(codes.includes(error?.code), JSON.stringify(error));
		for (const n of await Promise.all(seen)) assert.ok(n >= 3);
		for (const c of others) c.close();
	});
}

test("attacked: a flood of lines is cut, a flood of calls is refused from its limit on", async () => {
	assert.equal(await value("floods"), "done");
	const { done, too_many_operations: refused, ...rest } = await value("many", { n: 1000 });
	assert.deepEqual([done, refused, rest], [200, 800, {}]);
	assert.equal(await value("waits", { ms: 1 }), null);
});

test("of the environment functions see what is meant for them, and cannot change it", async () => {
	const key = process.env.MILLRACE_VAR_KEY;
	for (const fn of ["envInQuery", "envInMutation", "envInAction"]) assert.deepEqual(await value(fn), [key, key, null, null, 1], fn);
	for (let i = 0; i < 4; i++) await act("envChanges"); // both workers
	assert.equal((await value("envInQuery"))[0], key);
});

test("the SDK's client calls actions", async () => {
	const { createClient, functionRef, memoryStore } = await import(join(ROOT, "client/dist/index.js"));
	const { WebSocket } = createRequire(join(ROOT, "client/package.json"))("ws");
	const sdk = createClient({ url: stack.url, WebSocket, storage: { tab: memoryStore(), device: memoryStore() } });
	const grp = group();
	assert.equal(await sdk.action(functionRef("actions.slow"), { grp, steps: 1 }), 1);
	await assert.rejects(sdk.action(functionRef("actions.throws")), { code: "function_failed" });
	sdk.close();
});

test("a clean end", async () => {
	client.close();
	await stack.stop();
});
await run();
