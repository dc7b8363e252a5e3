// Rates: what one caller, one address and one client may ask for; what is above is refused with a time, and others notice nothing.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { createClient, functionRef, memoryStore } from "../../client/dist/index.js";
import { run, test } from "../lib/net_client.mjs";
import { Events, sleep, Stack, until, WebSocket } from "../lib/stack.mjs";

let stack;
const start = async (...options) => {
	if (stack) assert.equal((await stack.stop()).code, 0);
	stack = await Stack.start(["--auth-guests", "on", "--fanout-threads", "2", ...options]);
};
const PROXY = ["--trusted-proxies", "127.0.0.0/8, ::1"];
const from = (...addresses) => ({ "x-forwarded-for": addresses.join(", ") });
const as = (user) => ({ authorization: `Bearer ${stack.token(user)}` });
const said = (address) => ({ forwarded: `for=6.6.6.6, for="${address}";proto=https` });
const count = (headers) => stack.call("items.count", { grp: "r" }, headers);
/** The refusal of a bucket that is empty, or so as soon as what it gained meanwhile is taken. */
async function limited(call) {
	for (let i = 0; ; i++) {
		const { error } = await call();
		if (error?.code === "rate_limited") return error;
		assert.ok(i < 10, JSON.stringify(error));
	}
}
/** How many of n calls at once were taken; the errors of the others. */
async function many(n, call) {
	const all = await Promise.all(Array.from({ length: n }, call));
	const refused = all.filter((one) => one.error).map((one) => one.error);
	return { taken: n - refused.length, refused };
}

test("calls_per_second: of one caller, over WebSocket and HTTP alike; others are not touched, and waiting helps", async () => {
	await start("--calls-per-second", "1", "--calls-burst", "6", ...PROXY);
	const ann = await stack.client({ token: stack.token("ann") });
	const also = await stack.client({ token: stack.token("ann", { role: "admin" }), encoding: "msgpack" });
	const bob = await stack.client({ token: stack.token("bob") });
	const one = await many(4, () => ann.call("items.count", { grp: "r" }));
	assert.equal(one.taken, 4);
	assert.equal((await many(2, () => also.call("items.add", { grp: "r" }))).taken, 2);
	for (const call of [() => count(as("ann")), () => stack.http("POST", "/api/entities/Item", { grp: "r" }, as("ann")), () => also.call("items.count", { grp: "r" })])
		await limited(call);
	const refused = await limited(() => ann.call("items.add", { grp: "limited" }));
	assert.equal(refused.data.setting, "calls_per_second");
	const wait = refused.data.retryAfter;
	assert.ok(wait > 0 && wait <= 1000, `in ${wait} ms`);
	const before = stack.psql(`select count(*) from "Item" where grp = 'limited'`);
	assert.equal((await many(6, () => bob.call("items.count", { grp: "r" }))).taken, 6);
	await sleep(wait);
	assert.equal((await ann.call("items.add", { grp: "r" })).error, undefined);
	assert.equal(stack.psql(`select count(*) from "Item" where grp = 'limited'`), before, "what was refused was not done later");
	assert.ok((await stack.metric("millrace_rate_limited_total")) >= 3);
	for (const c of [ann, also, bob]) c.close();
});

test("HTTP: 429 with Retry-After in seconds, readable by pages", async () => {
	await many(7, () => count(as("cid")));
	let response;
	await limited(async () => {
		response = await fetch(new URL("/api/fn/items.count", stack.url), { method: "POST", body: `{"grp":"r"}`, headers: as("cid") });
		return response.clone().json();
	});
	assert.equal(response.status, 429);
	assert.equal(response.headers.get("retry-after"), "1");
	assert.ok((await response.json()).error.data.retryAfter <= 1000);
});

test("guests and nobody are counted by address: another guest helps nobody, another address does", async () => {
	assert.ok((await many(10, () => count(from("192.0.2.1")))).taken >= 6);
	await limited(() => count(from("192.0.2.1")));
	await limited(() => stack.http("POST", "/api/auth/guest", {}, from("192.0.2.1")));
	const guest = (await stack.http("POST", "/api/auth/guest", {}, from("192.0.2.2"))).json;
	const bearer = { authorization: `Bearer ${guest.token}` };
	await limited(() => count({ ...bearer, ...from("192.0.2.1") }));
	await limited(() => stack.http("POST", "/api/auth/refresh", undefined, { ...bearer, ...from("192.0.2.1") }));
	assert.equal((await count({ ...bearer, ...from("192.0.2.2") })).status, 200);
	assert.equal((await count({ ...as("dan"), ...from("192.0.2.1") })).status, 200, "who is signed in counts for himself");
	const ws = await stack.client({ ws: { headers: from("192.0.2.1") } });
	await limited(() => ws.call("items.count", { grp: "r" }));
	ws.close();
});

test("rule 28: an address is what a trusted proxy adds, never what the client wrote", async () => {
	for (let i = 0; i < 6; i++) assert.equal((await count(from(`203.0.113.${i}`, "192.0.2.3"))).status, 200);
	await limited(() => count(from("203.0.113.99", "192.0.2.3")));
	await limited(() => count(from("203.0.113.99", "192.0.2.3", "127.0.0.9"))); // over two proxies
	await limited(() => count({ forwarded: "for=192.0.2.77", ...from("192.0.2.3") })); // the other header is not looked at
	const { taken } = await many(12, (_, i) => count(from(`2001:db8:1:2::${i + 2}`)));
	assert.ok(taken >= 6 && taken < 12, `an IPv6 subscriber is one: ${taken}`);
});

test("the SDK: the promise is rejected with rate_limited and the time, and nothing is sent again by itself", async () => {
	const client = createClient({ url: stack.url, token: stack.token("sdk"), storage: { tab: memoryStore(), device: memoryStore() }, WebSocket });
	const add = functionRef("items.add");
	const all = await Promise.allSettled(Array.from({ length: 12 }, () => client.mutation(add, { grp: "sdk" })));
	const bad = all.filter((one) => one.status === "rejected").map((one) => one.reason);
	assert.ok(bad.length >= 1 && bad.length <= 6 && bad.every((e) => e.code === "rate_limited" && e.data.retryAfter > 0), JSON.stringify(bad));
	await sleep(1500);
	assert.equal(stack.psql(`select count(*) from "Item" where grp = 'sdk'`), String(12 - bad.length));
	client.close();
});

test("without trusted_proxies the header is nothing: all come from the connection's own address", async () => {
	await start("--address-calls-per-second", "1", "--address-calls-burst", "20", "--calls-per-second", "1000", "--calls-burst", "1000");
	const all = await many(30, (_, i) => count({ ...as(`user${i}`), ...from(`192.0.2.${i}`) }));
	assert.ok(all.taken >= 19 && all.taken < 30, `${all.taken} were taken`);
	assert.ok(all.refused.length);
	assert.equal(all.refused[0].data.setting, "address_calls_per_second");
	const attempt = () =>
		new Promise((done) => {
			const ws = new WebSocket(new URL("/api/sync", stack.url).href.replace("http", "ws"), "millrace.v1.json");
			ws.on("unexpected-response", (_, response) => done({ error: { code: response.statusCode === 429 ? "rate_limited" : "?" } }));
			ws.on("open", () => done({ error: ws.close() }));
			ws.on("error", () => {});
		});
	await limited(attempt); // attempts to connect count too
	assert.equal((await stack.http("GET", "/healthz")).status, 200, "who watches the server is not refused");
});

test("proxy_header forwarded; address_calls_per_second behind a proxy: each address for itself, whoever calls", async () => {
	await start("--address-calls-per-second", "1", "--address-calls-burst", "12", "--proxy-header", "forwarded", "--trusted-proxies", "127.0.0.1",
		"--connections-per-address", "2", "--concurrent-calls", "2");
	const { taken } = await many(20, (_, i) => count({ ...as(`u${i}`), ...said("192.0.2.1:99") }));
	assert.ok(taken >= 12 && taken < 20, `${taken} were taken`);
	assert.equal((await many(5, () => count(said("[2001:db8::1]:99")))).taken, 5);
	assert.equal((await many(5, () => count({ ...from("192.0.2.1"), ...said("192.0.2.4") }))).taken, 5);
});

test("connections_per_address: of clients themselves by connection, behind a proxy by WebSocket and event stream", async () => {
	const direct = () => connect({ port: stack.port, host: "127.0.0.1", localAddress: "127.0.0.2" });
	const ask = (socket, more = "") => socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n${more}\r\n`);
	const opened = () =>
		new Promise((done, fail) => {
			const socket = direct();
			socket.once("data", () => done(socket)).on("error", fail);
			ask(socket);
		});
	const answer = () =>
		new Promise((done) => {
			const socket = direct();
			let text = "";
			socket.on("data", (d) => (text += d)).on("close", () => done(text)).on("error", () => {});
			ask(socket, "Connection: close\r\n");
		});
	const idle = await Promise.all([opened(), opened()]);
	assert.match(await answer(), /503[^]*too_many_connections[^]*connections_per_address/);
	idle[0].destroy();
	await until("room", async () => /200 OK/.test(await answer()));
	idle[1].destroy();

	const query = { entity: "Item" }, mine = { ws: { headers: said("192.0.2.5") } };
	const a = await stack.client(mine);
	const stream = await Events.open(stack, query, said("192.0.2.5"));
	assert.equal(stream.response.status, 200);
	const third = await Events.open(stack, query, said("192.0.2.5"));
	assert.equal(third.response.status, 503);
	const c = await stack.client({ ...mine, hello: false });
	await c.until("the refusal", () => c.closed !== undefined);
	const other = await stack.client({ ws: { headers: said("192.0.2.6") } });
	assert.equal((await other.call("items.count", { grp: "r" })).error, undefined);
	stream.close();
	await until("room again", async () => {
		const again = await Events.open(stack, query, said("192.0.2.5"));
		again.close();
		return again.response.status === 200;
	});
	a.close();
	other.close();
});

test("concurrent_calls: so many queries and actions of one client at once; the others wait, mutations and other clients do not", async () => {
	const a = await stack.client({ ws: { headers: said("192.0.2.7") } }), b = await stack.client({ ws: { headers: said("192.0.2.8") } });
	const began = Date.now();
	const slow = Array.from({ length: 6 }, () => a.value("actions.waits", { ms: 300 }));
	assert.equal((await a.call("items.add", { grp: "c" })).error, undefined);
	assert.equal((await b.call("items.count", { grp: "c" })).error, undefined);
	assert.ok(Date.now() - began < 800, "they waited");
	await Promise.all(slow);
	assert.ok(Date.now() - began >= 880, `6 naps two by two took ${Date.now() - began} ms`);
	for (let i = 0; i < 5; i++) a.send({ t: "call", id: a.callId(), fn: "actions.waits", args: { ms: 500 } });
	await a.alive();
	a.close(); // what waits goes with the socket
	await until("it is gone", async () => (await stack.metric("millrace_sessions")) === 1);
	b.close();
});

test("a list of proxies that is none is told at the start", async () => {
	await stack.stop();
	await assert.rejects(Stack.start(["--trusted-proxies", "10.0.0.0/8, proxy.internal"]), /trusted_proxies: proxy.internal is no address/);
});

await run();
