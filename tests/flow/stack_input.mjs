// The whole server, told nonsense: each is answered with its typed error, nothing is lost, and the connection stays unless it says `fatal`.
import assert from "node:assert/strict";
import { run, test } from "../lib/net_client.mjs";
import { Client, sign, sleep, Stack, thisHour, uuid } from "../lib/stack.mjs";
import { encode } from "../lib/stack_msgpack.mjs";

const stack = await Stack.start(["--max-frame", "65536", "--max-depth", "32"]);
const ann = { Authorization: `Bearer ${stack.token("ann")}` };
const bob = { Authorization: `Bearer ${stack.token("bob")}` };
const c = await stack.client();
const all = await c.live({ entity: "Item" });
let number = 1000;

async function refusedQuery(code, query) {
	const id = ++number;
	const m = await c.refused({ t: "subscribe", id, ...query });
	assert.equal(m.error.code, code, JSON.stringify(m));
	assert.ok(!m.fatal);
	assert.ok(m.error.message.length > 5);
}
async function refusedCall(code, fn, args, id) {
	const { error } = await c.call(fn, args, { id });
	assert.equal(error?.code, code, JSON.stringify(error));
	return error;
}
/** The connection lives, and a write still reaches the live query. */
async function works(client = c) {
	const id = uuid();
	await client.alive();
	await c.value("items.add", { id, grp: "works" });
	await c.until("the row", () => all.rows.has(id));
}
/** A new connection that says nothing by itself. */
async function silent(options = {}) {
	return new Client(stack, { hello: false, ...options }).ready();
}
async function fatal(code, message, options) {
	const s = await silent(options);
	s.send(message);
	const m = await s.until("an error", () => s.messages.find((x) => x.t === "error"));
	assert.equal(m.error.code, code, JSON.stringify(m));
	assert.equal(m.fatal, true);
	await s.until("the end", () => s.closed);
	return s;
}

test("rule 26: unknown entity, field, serverOnly field, wrong type in a filter", async () => {
	await refusedQuery("unknown_entity", { entity: "Nobody" });
	await refusedQuery("unknown_field", { entity: "Item", where: { colour: "red" } });
	await refusedQuery("unknown_field", { entity: "Item", where: { secret: "x" } });
	await refusedQuery("unknown_field", { entity: "Item", where: { secret: { $gt: "" } } });
	await refusedQuery("unknown_field", { entity: "Item", where: { $or: [{ grp: "a" }, { secret: "x" }] } });
	await refusedQuery("bad_value", { entity: "Item", where: { n: "ten" } });
	await refusedQuery("bad_value", { entity: "Item", where: { grp: 7 } });
	await refusedQuery("bad_value", { entity: "Item", where: { at: "yesterday" } });
	await refusedQuery("bad_value", { entity: "Item", where: { id: "no-uuid" } });
	await works();
});

test("filters that are none", async () => {
	for (const where of [[], "grp", 5, { grp: { $near: 1 } }, { $and: {} }, { $or: [5] }, { grp: { $in: "a" } }, { $not: 1 }, { grp: { $like: 5 } }, { n: { $like: "1" } }, { grp: { $like: "x\\" } }, { grp: { $like: "_".repeat(257) } }])
		await refusedQuery("bad_filter", { entity: "Item", where });
	await works();
});

test("bad order and limit", async () => {
	await refusedQuery("unknown_field", { entity: "Item", order: [["colour", "asc"]] });
	await refusedQuery("unknown_field", { entity: "Item", order: [["secret", "asc"]] });
	for (const order of [[["n", "up"]], ["n"], "n", { n: "asc" }, [["n"]], [[1, "asc"]]]) await refusedQuery("bad_filter", { entity: "Item", order });
	for (const limit of [-1, 1.5, "ten", 1e18, { $float: "NaN" }]) await refusedQuery("bad_filter", { entity: "Item", limit });
	await works();
});

test("subscribes that are none", async () => {
	for (const id of [0, -1, 1.5, 2 ** 31, "one", null]) {
		const from = c.messages.length;
		c.send({ t: "subscribe", id, entity: "Item" });
		const m = await c.until("an error", () => c.messages.slice(from).find((x) => x.t === "error"));
		assert.equal(m.error.code, "bad_message", JSON.stringify(m));
	}
	const again = await c.refused({ t: "subscribe", id: all.id, entity: "Item" });
	assert.equal(again.error.code, "bad_message");
	for (const query of [{}, { entity: "Item", fn: "items.whoami" }, { entity: 5 }, { fn: {} }]) {
		const m = await c.refused({ t: "subscribe", id: ++number, ...query });
		assert.ok(["bad_message", "unknown_entity", "unknown_function"].includes(m.error.code), JSON.stringify(m));
	}
	c.send({ t: "unsubscribe", id: 99999 });
	c.send({ t: "unsubscribe" });
	await works();
});

test("a query that needs a user, a mutation as a query, an unknown one", async () => {
	await refusedQuery("unknown_function", { fn: "items.nothing", args: {} });
	await refusedQuery("unknown_function", { fn: "items.add", args: {} });
	await refusedQuery("unauthenticated", { fn: "items.mine", args: {} });
	const bad = await c.live({ fn: "items.inGroup", args: { grp: 5 } }).catch(() => undefined);
	assert.equal(bad?.error?.code, "bad_args");
	c.unsubscribe(bad);
	await works();
});

test("unknown function, bad arguments with their path", async () => {
	await refusedCall("unknown_function", "items.nothing", {});
	await refusedCall("unknown_function", "../etc", {});
	assert.match((await refusedCall("bad_args", "items.add", { grp: 5 })).message, /grp/);
	assert.match((await refusedCall("bad_args", "items.add", {})).message, /grp/);
	assert.match((await refusedCall("bad_args", "items.add", { grp: "a", extra: 1 })).message, /extra/);
	assert.match((await refusedCall("bad_args", "items.nested", { list: [{ price: 1 }, { price: "two" }] })).message, /list\[1\]\.price/);
	await refusedCall("bad_args", "items.add", [1]);
	await refusedCall("bad_args", "items.add", "text");
	assert.equal(await c.value("items.nested", { list: [{ price: 1 }] }), 1);
	await works();
});

test("keys with $ in arguments", async () => {
	await refusedCall("bad_args", "items.any", { x: { $where: 1 } });
	await refusedCall("bad_args", "items.any", { $x: 1 });
	assert.equal((await stack.call("items.any", { x: { $where: 1 } })).status, 400);
	await works();
});

test("values come back as they went", async () => {
	const x = { a: [1, -1, 1.5, null, true, "é\u{1f600}"], big: { $int: "123456789012345678901234567890" }, nan: { $float: "NaN" }, b: { $bytes: "AAEC" } };
	assert.deepEqual(await c.value("items.any", { x }), x);
	const m = await stack.client({ encoding: "msgpack" });
	const y = { a: [1, -1, 1.5, 2 ** 40, -(2 ** 40)], big: 12345678901234567890n, b: Buffer.from([0, 1, 255]) };
	assert.deepEqual(await m.value("items.any", { x: y }), y);
	m.close();
});

test("broken JSON, broken UTF-8, deep nesting, no map", async () => {
	for (const text of ["", "{", "[1,2", '{"t":"ping"', "null", "5", "[]", '"ping"', '{"t":5}', "{}", '{"t":"ping"}x', '{"t":"ping","t":"ping",}', '{"a":"\\ud800"}', "\u0000", '{"t":"ping","x":"\\u0000"}']) {
		const from = c.messages.length;
		c.raw(text);
		const m = await c.until(`an error for ${text}`, () => c.messages.slice(from).find((x) => x.t === "error"));
		assert.ok(["bad_message", "unknown_message"].includes(m.error.code), JSON.stringify(m));
		assert.ok(!m.fatal);
	}
	const deep = (n) => "[".repeat(n) + "]".repeat(n);
	const from = c.messages.length;
	c.raw(`{"t":"call","id":"${c.callId()}","fn":"items.any","args":{"x":${deep(20000)}}}`);
	assert.equal((await c.until("an error", () => c.messages.slice(from).find((x) => x.t === "error"))).error.code, "bad_message");
	await works();
	const s = await stack.client();
	s.ws._socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe])); // a text frame that is not UTF-8
	await s.until("the end", () => s.closed);
	assert.equal(s.closed, 1007);
	await works();
});

test("broken MessagePack", async () => {
	const s = await stack.client({ encoding: "msgpack" });
	const whole = encode({ t: "call", id: s.callId(), fn: "items.any", args: { x: "abc" } });
	const wrong = [0, 1, 5, 10, whole.length - 1].map((n) => whole.subarray(0, n));
	wrong.push(Buffer.concat([whole, Buffer.from([0])]), Buffer.from([0xc1]), Buffer.from([0xdf, 255, 255, 255, 255]), Buffer.from([0xdd, 127, 255, 255, 255]));
	wrong.push(Buffer.from([0x81, 1, 2]), Buffer.from([0x81, 0xa1, 0xff, 1]), Buffer.alloc(40000, 0x91), Buffer.from([0xd4, 5, 0]), Buffer.from([0xc7, 1, 1, 0x78]));
	for (const bytes of wrong) {
		const from = s.messages.length;
		s.raw(bytes);
		const m = await s.until(`an error for ${bytes.subarray(0, 20).toString("hex")}`, () => s.messages.slice(from).find((x) => x.t === "error"));
		assert.equal(m.error.code, "bad_message", JSON.stringify(m));
	}
	await s.alive();
	s.close();
	await works();
});

test("a frame that is too large closes only its own connection", async () => {
	const s = await stack.client();
	s.raw(JSON.stringify({ t: "call", id: s.callId(), fn: "items.any", args: { x: "x".repeat(70000) } }));
	await s.until("the end", () => s.closed);
	assert.equal(s.closed, 1009);
	const { status, code } = await stack.call("items.any", { x: "x".repeat(70000) });
	assert.deepEqual([status, code], [413, "too_large"]);
	await works();
});

test("a frame of the wrong kind", async () => {
	const s = await stack.client();
	s.raw(encode({ t: "ping" }));
	await s.until("the end", () => s.closed);
	assert.equal(s.closed, 1003);
});

test("unknown message, hello twice", async () => {
	assert.equal((await c.refused({ t: "dance" })).error.code, "unknown_message");
	assert.equal((await c.refused({ t: "welcome" })).error.code, "unknown_message");
	assert.equal((await c.refused({ t: "x".repeat(5000) })).error.code, "unknown_message");
	const s = await stack.client();
	const from = s.messages.length;
	s.hello();
	assert.equal((await s.errorAfter(from)).error.code, "bad_message");
	s.close();
	await works();
});

test("no hello, wrong protocol, bad session", async () => {
	const session = "s".repeat(40);
	await fatal("bad_message", { t: "subscribe", id: 1, entity: "Item" });
	await fatal("bad_message", { t: "call", id: `${thisHour()}.1`, fn: "items.whoami" });
	for (const protocol of [2, 0, "1", null]) await fatal("protocol_mismatch", { t: "hello", protocol, session });
	for (const id of ["short", "s".repeat(65), `${"s".repeat(39)} `, 5, null]) await fatal("bad_message", { t: "hello", protocol: 1, session: id });
	await works();
});

test("rule 28: bad tokens at hello", async () => {
	const hello = (token) => ({ t: "hello", protocol: 1, session: "t".repeat(40), token });
	const now = Math.floor(Date.now() / 1000);
	const good = stack.token("ann");
	const [head, claims] = good.split(".");
	await fatal("bad_token", hello("nonsense"));
	await fatal("bad_token", hello("a.b.c"));
	await fatal("bad_token", hello(`${head}.${claims}.`));
	await fatal("bad_token", hello(`${good.slice(0, -3)}AAA`));
	await fatal("bad_token", hello(sign("another secret of the right length", { sub: "ann" })));
	await fatal("bad_token", hello(sign(stack.secret, { sub: "ann" }, { alg: "none" })));
	await fatal("bad_token", hello(sign(stack.secret, { sub: "ann" }, { alg: "RS256" })));
	await fatal("bad_token", hello(`${sign(stack.secret, { sub: "ann" }, { alg: "none" }).split(".").slice(0, 2).join(".")}.`));
	await fatal("bad_token", hello(sign(stack.secret, { name: "nobody" })));
	await fatal("bad_token", hello(sign(stack.secret, { sub: 5 })));
	await fatal("bad_token", hello(sign(stack.secret, { sub: "ann", nbf: now + 1000 })));
	await fatal("token_expired", hello(sign(stack.secret, { sub: "ann", exp: now - 1000 })));
	assert.equal((await stack.call("items.whoami", {}, { Authorization: "Bearer nonsense" })).code, "bad_token");
	assert.equal((await stack.call("items.whoami", {}, { Authorization: "Basic YTpi" })).code, "bad_token");
	assert.equal((await stack.call("items.whoami", {}, ann)).json.value, "ann");
	await works();
});

test("a bad token in auth keeps the old identity", async () => {
	const s = await stack.client({ token: stack.token("ann") });
	assert.equal(s.welcome.user, "ann");
	for (const [token, code] of [["nonsense", "bad_token"], [stack.token("bob", { exp: 1 }), "token_expired"]])
		assert.equal((await s.refused({ t: "auth", token })).error.code, code);
	assert.equal(await s.value("items.whoami"), "ann");
	s.close();
});

test("another identity cannot take a session over", async () => {
	const s = await stack.client({ token: stack.token("ann") });
	await fatal("forbidden", { t: "hello", protocol: 1, session: s.session, token: stack.token("bob") });
	await fatal("forbidden", { t: "hello", protocol: 1, session: s.session });
	assert.equal(await s.value("items.whoami"), "ann");
	s.close();
});

test("bad call ids", async () => {
	for (const id of ["", "1", "one.1", `${thisHour()}.`, `.1`, `${thisHour()}.x`, `${thisHour()}.${"1".repeat(40)}`, `${thisHour()}.1 `, `-1.1`]) {
		const from = c.messages.length;
		c.send({ t: "call", id, fn: "items.whoami" });
		const m = await c.until(`a reply to ${id}`, () => c.messages.slice(from).find((x) => x.t === "reply"));
		assert.equal(m.error?.code, "bad_call_id", `${id}: ${JSON.stringify(m)}`);
	}
	c.send({ t: "call", fn: "items.whoami" });
	await c.until("a reply", () => c.messages.at(-1).error?.code === "bad_call_id");
	await refusedCall("bad_call_id", "items.add", { grp: "a" }, `${thisHour() + 5}.1`);
	await works();
});

test("a call of an hour long ago is not run", async () => {
	await refusedCall("call_expired", "items.add", { grp: "old" }, `${thisHour() - 72}.1`);
	await refusedCall("call_expired", "items.add", { grp: "old" }, "0.1");
	assert.equal((await stack.call("items.add", { grp: "old" }, { "Idempotency-Key": `${thisHour() - 72}.k` })).code, "call_expired");
	assert.equal(stack.psql(`select count(*) from "Item" where grp = 'old'`), "0");
	await works();
});

test("the same call twice runs once; with other arguments it is refused", async () => {
	const id = c.callId();
	const first = await c.call("items.add", { grp: "twice" }, { id });
	const second = await c.call("items.add", { grp: "twice" }, { id });
	assert.equal(second.value, first.value);
	await refusedCall("call_mismatch", "items.add", { grp: "thrice" }, id);
	await refusedCall("call_mismatch", "items.refuse", { grp: "twice" }, id);
	assert.equal(stack.psql(`select count(*) from "Item" where grp in ('twice', 'thrice')`), "1");
});

test("mutations that throw or refuse leave nothing behind", async () => {
	const thrown = await refusedCall("function_failed", "items.fail", { grp: "thrown" });
	assert.match(thrown.message, /it was to fail/);
	const refused = await refusedCall("app_error", "items.refuse", { grp: "refused" });
	assert.equal(refused.message, "Too many items.");
	assert.equal(refused.data.code, "quota");
	const over = await stack.call("items.refuse", { grp: "refused" });
	assert.deepEqual([over.status, over.code, over.error.data.code], [400, "app_error", "quota"]);
	assert.equal(stack.psql(`select count(*) from "Item" where grp in ('thrown', 'refused')`), "0");
	await works();
});

test("console lines reach the caller only", async () => {
	const other = await stack.client();
	await c.value("items.talk");
	await c.until("both lines", () => c.messages.filter((m) => m.t === "console").length >= 2);
	const lines = c.messages.filter((m) => m.t === "console").map(({ fn, level, text }) => [fn, level, text]);
	assert.equal(lines.length, 2);
	assert.deepEqual(lines.map((l) => l.slice(0, 2)), [["items.talk", "log"], ["items.talk", "error"]]);
	assert.match(lines[0][2], /a line 1 .*three/);
	await other.alive();
	assert.ok(!other.messages.some((m) => m.t === "console"));
	other.close();
});

test("Idempotency-Key: twice runs once, also side by side", async () => {
	const key = { "Idempotency-Key": `key-${uuid()}` };
	const answers = await Promise.all(Array.from({ length: 8 }, () => stack.call("items.add", { grp: "key" }, key)));
	assert.deepEqual([...new Set(answers.map((a) => a.status))], [200]);
	assert.equal(new Set(answers.map((a) => a.json.value)).size, 1);
	assert.equal((await stack.call("items.add", { grp: "key", n: 1 }, key)).code, "call_mismatch");
	assert.equal((await stack.call("items.add", { grp: "key" }, { ...key, ...ann })).status, 200, "another caller's key is another key");
	const write = { ...ann, "Idempotency-Key": "write" };
	const rows = [];
	for (let i = 0; i < 2; i++) rows.push((await stack.http("POST", "/api/entities/Diary", { text: "once" }, write)).json.id);
	assert.equal(rows[0], rows[1]);
	assert.equal(stack.psql(`select count(*) from "Item" where grp = 'key'`), "2");
	assert.equal(stack.psql(`select count(*) from "Diary" where text = 'once'`), "1");
});

test("entity writes over HTTP keep to the policies", async () => {
	const expect = async (status, code, ...request) => {
		const a = await stack.http(...request);
		assert.deepEqual([a.status, a.code], [status, code], `${request.slice(0, 2)}: ${a.text}`);
		return a;
	};
	const { json } = await expect(201, undefined, "POST", "/api/entities/Diary", { text: "mine" }, ann);
	const row = `/api/entities/Diary/${json.id}`;
	assert.equal(stack.psql(`select owner from "Diary" where id = '${json.id}'`), "ann");
	await expect(401, "unauthenticated", "POST", "/api/entities/Diary", { text: "x" });
	const stolen = await stack.http("POST", "/api/entities/Diary", { text: "stolen", owner: "bob" }, ann);
	assert.ok(stolen.status >= 400 || stack.psql(`select owner from "Diary" where id = '${stolen.json.id}'`) === "ann", stolen.text);
	await expect(200, undefined, "GET", row, undefined, ann);
	await expect(404, "not_found", "GET", row, undefined, bob);
	await expect(404, "not_found", "GET", row);
	await expect(404, "not_found", "PATCH", row, { text: "his" }, bob);
	await expect(404, "not_found", "DELETE", row, undefined, bob);
	await expect(200, undefined, "PATCH", row, { text: "changed" }, ann);
	const given = await stack.http("PATCH", row, { owner: "bob" }, ann);
	assert.equal(given.status >= 400, true, given.text);
	await expect(404, "not_found", "PATCH", `/api/entities/Diary/${uuid()}`, { text: "x" }, ann);
	await expect(403, "forbidden", "POST", "/api/entities/Item", { grp: "x" }, ann);
	await expect(400, "unknown_field", "POST", "/api/entities/Diary", { text: "x", colour: 1 }, ann);
	await expect(400, "unknown_field", "POST", "/api/entities/Diary", { text: "x", secret: "s" }, ann);
	await expect(400, "bad_value", "POST", "/api/entities/Diary", { text: 5 }, ann);
	await expect(400, "unknown_entity", "POST", "/api/entities/Nobody", {}, ann);
	await expect(400, "bad_message", "POST", "/api/entities/Diary", "{", ann);
	const read = await expect(200, undefined, "GET", `/api/entities/Diary?where=${encodeURIComponent('{"text":"changed"}')}`, undefined, ann);
	assert.deepEqual(Object.keys(read.json.data[0]).sort(), ["id", "owner", "text"]);
	await expect(400, "unknown_field", "GET", `/api/entities/Diary?where=${encodeURIComponent('{"secret":"s"}')}`, undefined, ann);
	await expect(400, "unknown_field", "GET", "/api/entities/Diary?orderBy=secret", undefined, ann);
	assert.equal((await stack.http("GET", "/api/entities/Diary", undefined, bob)).json.data.length, 0);
	await expect(200, undefined, "DELETE", row, undefined, ann);
	await expect(404, "not_found", "GET", row, undefined, ann);
});

test("nothing crashed, nothing is left, and the end is clean", async () => {
	await sleep(100);
	assert.deepEqual(all.ids, stack.rows(`select id from "Item"`).map((r) => r.id).sort());
	assert.equal(await stack.metric("millrace_worker_deaths_total"), 0);
	assert.equal(c.closed, undefined);
	c.close();
	assert.equal((await stack.stop()).code, 0);
	assert.doesNotMatch(stack.server.err, /AddressSanitizer|runtime error|assert/i);
});

await run();
