// The fanout on several threads: connections are spread, everybody sees the same, what is shared is made once, a session that comes back to
// another thread is the same session, limits hold over all threads.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { descendants, millrace } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Client, sleep, Stack, uuid } from "../lib/stack.mjs";

const THREADS = 3, CLIENTS = 24;
const stack = await Stack.start(["--fanout-threads", String(THREADS), "--max-connections", "60"]);
const { pid: fanout } = descendants(stack.server.pid).find(({ pid }) => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("millrace-fanout"));
const connect = (options) => new Client(stack, options).ready();

const clients = [];
for (let i = 0; i < CLIENTS; i++) clients.push(await connect({ encoding: i % 2 ? "json" : "msgpack" }));
const lists = await Promise.all(clients.map((c) => c.live({ entity: "Item", where: { grp: "shared" } })));

/** CPU of each thread of the fanout, in nanoseconds, by name. */
function spent() {
	const tasks = readdirSync(`/proc/${fanout}/task`).map((id) => `/proc/${fanout}/task/${id}`);
	return Object.fromEntries(tasks.map((at) => [readFileSync(`${at}/comm`, "utf8").trim(), Number(readFileSync(`${at}/schedstat`, "utf8").split(" ")[0])]));
}
async function everybodyHas(id) {
	for (const [i, c] of clients.entries()) await c.until(`row ${id}`, () => lists[i].rows.has(id));
}

test("there are as many threads as asked for, and each serves clients", async () => {
	const before = spent();
	for (let i = 0; i < 20; i++) {
		const id = uuid();
		await clients[i].value("items.add", { id, grp: "shared" });
		await everybodyHas(id);
	}
	const after = spent();
	for (let i = 0; i < THREADS; i++) assert.ok(after[`fanout-${i}`] > before[`fanout-${i}`], JSON.stringify([before, after]));
});

test("what threads share is encoded once, not once for each", async () => {
	const before = await stack.metric("millrace_bodies_encoded_total");
	const writes = 40;
	for (let i = 0; i < writes; i++) {
		const id = uuid();
		await clients[0].value("items.add", { id, grp: "shared" });
		await everybodyHas(id);
	}
	const made = (await stack.metric("millrace_bodies_encoded_total")) - before;
	/* Two encodings. Threads that need it in the same moment may both make it, so the bound is not exact; one for each would be 6 a write. */
	assert.ok(made >= 2 * writes && made < 4.5 * writes, `${made} bodies for ${writes} writes`);
});

test("a function's result reaches all threads", async () => {
	const counts = await Promise.all(clients.slice(0, 9).map((c) => c.live({ fn: "items.count", args: { grp: "shared" } })));
	const id = uuid();
	const was = Number(counts[0].value);
	await clients[5].value("items.add", { id, grp: "shared" });
	for (const [i, live] of counts.entries()) await clients[i].until("the new count", () => Number(live.value) === was + 1);
});

test("who comes back is the same session, wherever it comes to; its old socket is closed", async () => {
	const token = stack.token("ann");
	const c = await connect({ token });
	const rows = await c.live({ entity: "Item", where: { grp: "shared" } });
	/* A socket lands on a thread by its port: some of these come to another one than the first. */
	for (let i = 0; i < 6; i++) {
		const old = c.ws;
		const gone = new Promise((done) => old.once("close", done));
		await c.again();
		assert.equal(await gone, 4001);
		await c.until("the answer", () => rows.answered);
		const id = uuid();
		await c.value("items.add", { id, grp: "shared" });
		await c.until("the row", () => rows.rows.has(id));
	}
	c.close();
});

test("another identity does not get a session that is on another thread", async () => {
	for (let i = 0; i < 6; i++) {
		const ann = await connect({ token: stack.token("ann") });
		const thief = new Client(stack, { token: stack.token("bob"), session: ann.session });
		await thief.opened;
		thief.hello();
		const refused = await thief.until("the refusal", () => thief.messages.find((m) => m.t === "error"));
		assert.equal(refused.error.code, "forbidden");
		await thief.until("the end", () => thief.closed);
		await ann.alive();
		ann.close();
	}
});

test("a call that runs while its client comes back to another thread runs once", async () => {
	for (let i = 0; i < 6; i++) {
		const c = await connect();
		const id = uuid(), call = c.callId();
		c.send({ t: "call", id: call, fn: "items.add", args: { id, grp: "once", n: i } });
		await c.again();
		c.send({ t: "call", id: call, fn: "items.add", args: { id, grp: "once", n: i } });
		const reply = await c.until("the reply", () => c.results.get(call));
		assert.equal(reply.error, undefined, JSON.stringify(reply));
		assert.equal(Number(stack.psql(`select count(*) from "Item" where id = '${id}'`)), 1);
		c.close();
	}
});

test("max_connections counts those of all threads", async () => {
	await sleep(0);
	const more = [];
	let refused = 0;
	for (let i = 0; i < 60; i++) {
		const c = new Client(stack);
		await c.opened;
		if (c.closed === undefined) more.push(c);
		else refused++;
	}
	for (const c of more) c.close();
	assert.ok(refused >= CLIENTS, `${refused} were refused`);
	assert.ok(more.length >= 60 - CLIENTS - 10, `${more.length} came in`);
	await clients[0].until("room again", async () => (await stack.metric("millrace_sessions").catch(() => 99)) <= CLIENTS);
});

test("the port is in use for others, though threads share it", () => {
	const other = millrace(["dev", "--app-dir", stack.app, "--data-dir", `${stack.data}-other`, "--port", String(stack.port), "--fanout-threads", "2"]);
	assert.notEqual(other.status, 0);
	assert.match(other.err, /is taken by another program/);
});

test("the end", async () => {
	const { code } = await stack.stop();
	assert.equal(code, 0);
});

await run();
