// timeout: 600
// What a client that waits holds is counted and small, and nothing is left of those that have gone. Resident memory is measured at full scale
// by bench/fanout/run --only memory; here it is what is allocated (millrace_heap_bytes), which is the same whatever the allocator makes of it.
import assert from "node:assert/strict";
import { run, test, WebSocketRaw } from "../lib/net_client.mjs";
import { Stack, until } from "../lib/stack.mjs";

const LONG = Boolean(process.env.MILLRACE_LONG);
const CLIENTS = LONG ? 1000 : 200, ROUNDS = LONG ? 100 : 10, AT_ONCE = 50;
const TICK = 400; // the last few thousand ticks are remembered: bytes of one
const stack = await Stack.start(["--log-level", "warn"]);
const heap = () => stack.metric("millrace_heap_bytes");

async function enter(query, token) {
	const ws = await WebSocketRaw.open(stack.port, { "Sec-WebSocket-Protocol": "millrace.v1.json" });
	ws.send(JSON.stringify({ t: "hello", protocol: 1, session: crypto.randomUUID(), token }));
	ws.send(JSON.stringify({ t: "subscribe", id: 1, ...query }));
	assert.ok(await ws.until(() => ws.bytes.includes('"q":'), 60000), "it is answered");
	return ws;
}
/** Clients with a query by number. */
async function enterAll(n, query, token = () => undefined) {
	const all = [];
	for (let i = 0; i < n; i += AT_ONCE) all.push(...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, n - i) }, (_, k) => enter(query(i + k), token(i + k))))));
	return all;
}
async function leaveAll(clients) {
	for (const c of clients) c.socket.destroy();
	await until("all to be gone", async () => (await stack.metric("millrace_sessions")) + (await stack.metric("millrace_instances")) === 0);
}

/** Rows come to all that they watch, change, and go again. */
async function comeAndGo(clients, n) {
	const told = (sql, text) => {
		for (const c of clients) c.bytes = Buffer.alloc(0);
		stack.psql(sql);
		return Promise.all(clients.map((c) => c.until(() => c.bytes.includes(text), 60000)));
	};
	await told(`insert into "Item" (grp, note) select 'group number ' || i, 'here' from generate_series(0, ${n - 1}) i`, '"put"');
	await told(`update "Item" set note = 'changed' where grp like 'group number %'`, '"patch"');
	await told(`delete from "Item" where grp like 'group number %'`, '"del"');
}

const one = () => ({ entity: "Item", where: { grp: "all" } });
const own = (i) => ({ entity: "Item", where: { grp: `group number ${i}` } });
const computed = (i) => ({ fn: "items.count", args: { grp: `group number ${i}` } });
const KINDS = [
	["of one query", 1280, one],
	["of a query each", 2048, own],
	["of a query each, signed in", 2048 + 128, own, (i) => stack.token(`user-${i}`)],
	["of a function's result each", 2560, computed],
];
test("a client that waits holds little", async () => {
	const n = 5 * CLIENTS;
	for (let i = 0; i < 2; i++) {
		const crowd = await enterAll(n, own); // what is there once, whoever comes
		await comeAndGo(crowd, n);
		await leaveAll(crowd);
	}
	for (const [name, most, query, token] of KINDS) {
		const before = await heap();
		const clients = await enterAll(n, query, token);
		let each;
		/* What came up while they were told is given back at the end of the turn, or when the next tick is over. */
		const small = () => heap().then((now) => (each = (now - before) / n) < most);
		const holdsLittle = (when) => until(`${name}, ${when}: less than ${most} bytes a client`, small, 20).catch((e) => assert.fail(`${e.message}: ${each}`));
		await holdsLittle("at once");
		const first = each;
		if (query === own) await comeAndGo(clients, n);
		await holdsLittle("after rows that came and went");
		console.log(`# ${name}: ${first.toFixed(0)} bytes for each of ${n} clients, ${each.toFixed(0)} after rows came and went`);
		await leaveAll(clients);
	}
});

test("nothing is left of those that have gone, however often they come", async () => {
	let first, left, most;
	for (let i = 0; i < ROUNDS; i++) {
		const clients = await enterAll(CLIENTS, (k) => ({ entity: "Item", where: { grp: `round ${i}, ${k}` } }));
		await Promise.all(clients.map((c, k) => {
			c.send(JSON.stringify({ t: "unsubscribe", id: 1 }));
			c.send(JSON.stringify({ t: "subscribe", id: 2, entity: "Item", where: { grp: `again ${k % 3}` }, order: [["n", "desc"]], limit: 3 }));
			c.send(JSON.stringify({ t: "subscribe", id: 3, fn: "items.count", args: { grp: `again ${k % 3}` } }));
			return c.until(() => /"id":3,"i":/.test(c.bytes.toString("latin1")), 60000);
		}));
		await leaveAll(clients);
		first ??= { heap: await heap(), ticks: await stack.metric("millrace_ticks_total") };
		const few = async () => {
			most = first.heap * 1.03 + ((await stack.metric("millrace_ticks_total")) - first.ticks) * TICK;
			left = await heap();
			return left < most;
		};
		await until("as little as after the first round", few, 20).catch((e) => assert.fail(`${e.message}: ${first.heap} bytes, after round ${i + 1} ${left}; ${most} are allowed`));
	}
	console.log(`# ${first.heap} bytes after the first round of ${CLIENTS} clients, ${left} of ${most} allowed after ${ROUNDS}`);
});

test("each of many subscriptions is found by its number, and of few again", async () => {
	const ws = await enter(own(1));
	const say = (m) => ws.send(JSON.stringify(m));
	const subscribe = (id) => say({ t: "subscribe", id, ...own(id) });
	let told = [];
	const heard = async (is) => {
		for (let i = 0; ; i++) {
			while (i === told.length) {
				const m = await ws.next(60000);
				if (!m) return false;
				if (m.text.startsWith("{")) told.push(JSON.parse(m.text)); // no ping
			}
			if (is(told[i])) return true;
		}
	};
	const answered = async (id) => assert.ok(await heard((m) => m.q?.some((a) => a.id === id)), `${id} is answered`);
	const inUse = async (id) => assert.ok(await heard((m) => m.t === "error" && m.re === id), `${id} is in use`);
	for (const many of [20, 3, 40]) {
		told = [];
		for (let id = 2; id <= many; id++) subscribe(id);
		for (let id = 2; id <= many; id++) await answered(id);
		for (const id of [1, 2, many]) subscribe(id);
		for (const id of [1, 2, many]) await inUse(id);
		for (let id = many; id > 1; id--) say({ t: "unsubscribe", id });
	}
	await until("one to be left", async () => (await stack.metric("millrace_subscriptions")) === 1);
	await leaveAll([ws]);
});

test("the end", async () => {
	const { code } = await stack.stop();
	assert.equal(code, 0);
});

await run();
