// The HTTP API on calls that tell what they were asked.  node api.mjs [api_server]
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import crypto from "node:crypto";
import { spawn } from "node:child_process";
import { sleep, Raw, fetchRaw, request, test, run } from "../lib/net_client.mjs";

const binary = process.argv[2] ?? `${process.env.MILLRACE_BUILD}/fanout/api_server`;
const home = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-api-"));
fs.writeFileSync(path.join(home, "manifest.json"), JSON.stringify({
	version: "1",
	entities: [{ name: "Message", schema: "public", table: "Message", fields: [{ name: "body", type: "string" }], indexes: [] }],
	policies: [],
	functions: [
		{ name: "test.read", kind: "query", auth: "public" },
		{ name: "test.write", kind: "mutation", auth: "public" },
		{ name: "test.never", kind: "mutation", auth: "public" },
		{ name: "test.busy", kind: "mutation", auth: "public" },
		{ name: "test.inner", kind: "mutation", auth: "public", internal: true },
	],
}));

async function start(...args) {
	const child = spawn(binary, args, { stdio: ["pipe", "pipe", "inherit"] });
	const ended = new Promise((done) => child.on("exit", (code, signal) => done(signal ?? code)));
	let text = "";
	for await (const d of child.stdout) if (/port \d+\n/.test((text += d))) break;
	return {
		port: Number(/port (\d+)/.exec(text)[1]),
		token: /token (\S+)/.exec(text)[1],
		async stop() {
			child.stdin.end();
			assert.equal(await ended, 0);
		},
	};
}

const server = await start(path.join(home, "manifest.json"), home);
const bearer = { Authorization: `Bearer ${server.token}` };
async function ask(method, p, headers, body) {
	const a = await fetchRaw(server.port, method, p, headers, body);
	if (a.body && /json/.test(a.headers["content-type"] ?? "")) a.json = JSON.parse(a.body);
	return a;
}
async function refused(status, code, ...request) {
	const a = await ask(...request);
	assert.equal(a.status, status, a.body);
	assert.equal(a.json.error.code, code);
	assert.equal(a.headers["access-control-allow-origin"], "*");
	return a;
}

test("a mutation and a query", async () => {
	const a = await ask("POST", "/api/fn/test.write", {}, '{"a":[1,{"$int":"9007199254740993"}]}');
	assert.equal(a.status, 200);
	assert.equal(a.headers["cache-control"], "no-store");
	const { kind, fn, session, call, auth } = a.json.value;
	assert.deepEqual([kind, fn, session, call, auth], [1, "test.write", "", "", null]);
	assert.deepEqual(a.json.value.args, { a: [1, { $int: "9007199254740993" }] });
	const b = await ask("POST", "/api/fn/test.read", bearer);
	assert.deepEqual([b.json.value.kind, b.json.value.args], [0, {}]);
	assert.deepEqual(b.json.value.auth, { userId: "ada", role: "admin" });
});

test("a call that fails, and one refused at once", async () => {
	const a = await refused(400, "app_error", "POST", "/api/fn/test.write", {}, '{"fail":"app_error"}');
	assert.deepEqual(a.json.error, { code: "app_error", message: "as you wish", data: { code: "mine" } });
	await refused(409, "conflict", "POST", "/api/fn/test.write", {}, '{"fail":"conflict"}');
	await refused(429, "too_many_calls", "POST", "/api/fn/test.busy", {}, "{}");
});

test("functions that are not there", async () => {
	await refused(404, "unknown_function", "POST", "/api/fn/test.nothing");
	await refused(404, "unknown_function", "POST", "/api/fn/test.inner");
	await refused(404, "unknown_function", "POST", "/api/fn/test%2Fwrite");
	await refused(404, "not_found", "POST", "/api/fn/");
	const a = await refused(405, "method_not_allowed", "GET", "/api/fn/test.read");
	assert.equal(a.headers.allow, "POST");
});

for (const [what, body] of [
	["no JSON", "{"], ["an array", "[]"], ["null", "null"], ["text after it", "{} x"], ["not UTF-8", Buffer.from('{"a":"\xff"}', "latin1")],
	["too deep", '{"a":' + "[".repeat(100) + "]".repeat(100) + "}"], ["a key of the protocol", '{"a":{"$x":1}}'], ["a key twice", '{"a":1,"a":2}'],
])
	test(`bad body: ${what}`, () => refused(400, "bad_message", "POST", "/api/fn/test.write", {}, body));

test("a body above max_frame", () => refused(413, "too_large", "POST", "/api/fn/test.write", {}, "x".repeat(10001)));

test("tokens", async () => {
	await refused(401, "bad_token", "POST", "/api/fn/test.read", { Authorization: "Basic YTpi" });
	await refused(401, "bad_token", "POST", "/api/fn/test.read", { Authorization: "Bearer " });
	await refused(401, "bad_token", "POST", "/api/fn/test.read", { Authorization: "Bearer a.b.c" });
	const a = await refused(401, "bad_token", "POST", "/api/fn/test.read", { Authorization: `Bearer ${server.token}x` });
	assert.equal(a.headers["www-authenticate"], "Bearer");
	assert.equal((await ask("POST", "/api/fn/test.read", { Authorization: `bearer   ${server.token}` })).status, 200);
});

test("Idempotency-Key: a session of its own, bound to the user; its own hour", async () => {
	const now = Math.floor(Date.now() / 3600e3);
	const expected = (user, key) => "http:" + crypto.createHash("sha256").update(`${user}\0${key}`).digest("base64url");
	const a = (await ask("POST", "/api/fn/test.write", { ...bearer, "Idempotency-Key": "k1" }, "{}")).json.value;
	assert.equal(a.session, expected("ada", "k1"));
	assert.equal(a.call, "key");
	assert.ok(a.hour - now <= 1 && a.lasting);
	const b = (await ask("POST", "/api/fn/test.write", { "Idempotency-Key": "k1" }, "{}")).json.value;
	assert.equal(b.session, expected("", "k1"));
	const c = (await ask("POST", "/api/fn/test.write", { "Idempotency-Key": `${now - 1}.abc` }, "{}")).json.value;
	assert.equal(c.call, `${now - 1}.0`);
	assert.ok(c.hour === now - 1 && !c.lasting);
	const d = (await ask("POST", "/api/fn/test.read", { "Idempotency-Key": "k1" }, "{}")).json.value;
	assert.equal(d.session, "");
	await refused(400, "bad_call_id", "POST", "/api/fn/test.write", { "Idempotency-Key": "x".repeat(256) }, "{}");
	await refused(400, "bad_call_id", "POST", "/api/fn/test.write", { "Idempotency-Key": "" }, "{}");
});

test("entities: list with where, orderBy, limit", async () => {
	const list = async (query) => (await ask("GET", `/api/entities/Message${query}`, bearer)).json.data;
	const a = await list("");
	assert.deepEqual([a.kind, a.fn, a.args], [2, "list", { entity: "Message" }]);
	assert.equal(a.auth.userId, "ada");
	assert.deepEqual((await list('?where={"body":{"$gt":"a"}}&limit=5')).args, { entity: "Message", where: { body: { $gt: "a" } }, limit: 5 });
	assert.deepEqual((await list('?orderBy={"body":"desc","id":"asc"}')).args.order, [["body", "desc"], ["id", "asc"]]);
	assert.deepEqual((await list('?orderBy=[["body","desc"]]')).args.order, [["body", "desc"]]);
	assert.deepEqual((await list("?orderBy=-body,id")).args.order, [["body", "desc"], ["id", "asc"]]);
	assert.deepEqual((await list("?limit=50000")).args.limit, 50000);
	assert.equal((await ask("HEAD", "/api/entities/Message")).status, 200);
});

for (const [query, code] of [
	["where=1", "bad_filter"], ["where={", "bad_message"], ["where=%ff", "bad_message"], ["limit=-1", "bad_filter"], ["limit=", "bad_filter"], ["limit=0", "bad_filter"], ["limit=50001", "bad_filter"], ["orderby=-body", "bad_message"], ["limit=1&offset=2", "bad_message"], ["limit=1e3", "bad_filter"],
	["limit=99999999999", "bad_filter"], ["orderBy=[1]", "bad_filter"], ['orderBy=[["a"]]', "bad_filter"], ['orderBy={"a":"up"}', "bad_filter"], ["orderBy=a,,b", "bad_filter"],
	["orderBy=-", "bad_filter"], ["orderBy=a,b,c,d,e,f,g,h,i", "bad_filter"], ["orderBy=[[[", "bad_message"], ["orderBy=%ff", "bad_filter"],
])
	test(`entities: refused ${query}`, () => refused(400, code, "GET", `/api/entities/Message?${query}`));

test("entities: one row, insert, update, delete", async () => {
	const get = await ask("GET", "/api/entities/Message/42");
	assert.deepEqual([get.json.data.fn, get.json.data.args], ["get", { entity: "Message", id: "42" }]);
	await refused(404, "not_found", "GET", "/api/entities/Message/missing");
	const insert = await ask("POST", "/api/entities/Message", { "Idempotency-Key": "k" }, '{"body":"x"}');
	assert.equal(insert.status, 201);
	assert.deepEqual([insert.json.fn, insert.json.args], ["insert", { entity: "Message", value: { body: "x" } }]);
	assert.match(insert.json.session, /^http:/);
	const patch = await ask("PATCH", "/api/entities/Message/42", {}, '{"body":"y"}');
	assert.deepEqual([patch.status, patch.json.data.fn, patch.json.data.args], [200, "update", { entity: "Message", id: "42", value: { body: "y" } }]);
	const del = await ask("DELETE", "/api/entities/Message/42", bearer);
	assert.deepEqual([del.json.data.fn, del.json.data.args], ["delete", { entity: "Message", id: "42" }]);
});

test("entities: what is not there", async () => {
	await refused(400, "unknown_entity", "GET", "/api/entities/Nothing");
	await refused(404, "not_found", "GET", "/api/entities/Message/1/2");
	await refused(404, "not_found", "GET", "/api/entities/");
	assert.equal((await refused(405, "method_not_allowed", "PATCH", "/api/entities/Message", {}, "{}")).headers.allow, "GET, POST");
	assert.equal((await refused(405, "method_not_allowed", "PUT", "/api/entities/Message/1", {}, "{}")).headers.allow, "GET, PATCH, DELETE");
	await refused(400, "bad_message", "POST", "/api/entities/Message", {}, "[]");
});

test("a caller that leaves: the call is abandoned", async () => {
	const raw = new Raw(server.port);
	raw.write(request("POST", "/api/fn/test.never", {}, "{}"));
	await sleep(100);
	raw.socket.resetAndDestroy();
	await sleep(100);
	assert.equal((await ask("GET", "/test/abandoned")).body, "1");
});

test("guests", async () => {
	const a = await ask("POST", "/api/auth/guest", {}, '{"name":"  Ada \\"L\\" "}');
	assert.equal(a.status, 200);
	assert.equal(a.json.name, 'Ada "L"');
	assert.match(a.json.userId, /^guest:[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
	const b = (await ask("POST", "/api/fn/test.read", { Authorization: `Bearer ${a.json.token}` })).json.value;
	assert.equal(b.auth.userId, a.json.userId);
	assert.equal(b.auth.name, 'Ada "L"');
	assert.equal((await ask("POST", "/api/auth/guest")).json.name, "Guest");
	await refused(400, "bad_args", "POST", "/api/auth/guest", {}, '{"name":1}');
	await refused(400, "bad_args", "POST", "/api/auth/guest", {}, '{"name":"  "}');
	await refused(400, "bad_args", "POST", "/api/auth/guest", {}, JSON.stringify({ name: "x".repeat(65) }));
	await refused(405, "method_not_allowed", "GET", "/api/auth/guest");
	const renewed = await ask("POST", "/api/auth/refresh", { Authorization: `Bearer ${a.json.token}` });
	assert.deepEqual([renewed.json.userId, renewed.json.name, renewed.json.seconds], [a.json.userId, 'Ada "L"', 3600]);
	const c = (await ask("POST", "/api/fn/test.read", { Authorization: `Bearer ${renewed.json.token}` })).json.value;
	assert.deepEqual(c.auth, b.auth);
	await refused(401, "unauthenticated", "POST", "/api/auth/refresh");
	await refused(401, "bad_token", "POST", "/api/auth/refresh", { Authorization: `Bearer ${a.json.token}x` });
	for (const path of ["/api/auth/refresh", "/api/auth/sign-out"]) await refused(403, "forbidden", "POST", path, { Authorization: `Bearer ${server.token}` });
	await refused(401, "unauthenticated", "POST", "/api/auth/sign-out");
	await refused(405, "method_not_allowed", "GET", "/api/auth/sign-out");
});

test("health, readiness, counters, live", async () => {
	assert.deepEqual((await ask("GET", "/healthz")).json, { alive: true });
	const a = await ask("GET", "/readyz");
	assert.equal(a.status, 503);
	assert.deepEqual(a.json, { ready: false, why: 'no "workers" yet' });
	await ask("GET", "/test/become-ready");
	const b = await ask("GET", "/readyz");
	assert.deepEqual([b.status, b.json], [200, { ready: true }]);
	const m = await ask("GET", "/metrics");
	assert.match(m.headers["content-type"], /^text\/plain; version=0.0.4/);
	assert.match(m.body, /# HELP millrace_workers .+\n# TYPE millrace_workers gauge\nmillrace_workers 1\n/);
	assert.ok(Number(/^millrace_bytes_sent_total (\d+)$/m.exec(m.body)[1]) > 0);
	assert.equal((await ask("GET", "/api/live?entity=Message")).body, "live\n");
	assert.equal((await ask("POST", "/healthz")).status, 405);
});

test("rule 28: preflight, and paths that are not there", async () => {
	const a = await ask("OPTIONS", "/api/entities/Message", { Origin: "https://elsewhere", "Access-Control-Request-Method": "PATCH" });
	assert.equal(a.status, 204);
	assert.equal(a.headers["access-control-allow-origin"], "*");
	assert.match(a.headers["access-control-allow-methods"], /PATCH/);
	assert.match(a.headers["access-control-allow-headers"], /Idempotency-Key/);
	assert.equal(a.headers["access-control-allow-credentials"], undefined);
	await refused(404, "not_found", "GET", "/api");
	await refused(404, "not_found", "GET", "/api/");
	await refused(404, "not_found", "POST", "/api/nothing?x=%00");
	await refused(404, "not_found", "GET", "/api/live/x");
});

test("pages: a plain one without a web folder, then the app's", async () => {
	const plain = await ask("GET", "/");
	assert.equal(plain.status, 200);
	assert.match(plain.body, /Millrace/);
	assert.equal((await ask("GET", "/favicon.ico")).status, 404);
	fs.mkdirSync(path.join(home, "web/assets"), { recursive: true });
	fs.writeFileSync(path.join(home, "web/index.html"), "<h1>app</h1>");
	fs.writeFileSync(path.join(home, "web/assets/app.js"), "1;");
	for (const p of ["/", "/index.html", "/channels/42", "/assets"]) {
		const a = await ask("GET", p);
		assert.equal(a.body, "<h1>app</h1>", p);
		assert.equal(a.headers["referrer-policy"], "strict-origin-when-cross-origin");
		assert.equal(a.headers["x-content-type-options"], "nosniff");
		assert.equal(a.headers["access-control-allow-origin"], undefined);
	}
	assert.equal((await ask("GET", "/assets/app.js")).body, "1;");
	assert.equal((await ask("GET", "/assets/none.js")).status, 404);
	assert.equal((await ask("GET", "/../manifest.json")).status, 404);
	assert.equal((await ask("GET", "/%2e%2e/manifest.json")).status, 404);
	assert.equal((await ask("POST", "/")).headers.allow, "GET, HEAD");
});

test("without an app, and in production", async () => {
	const other = await start("-", home, "production");
	for (const [method, p] of [["POST", "/api/fn/test.read"], ["GET", "/api/entities/Message"]]) {
		const a = await fetchRaw(other.port, method, p);
		assert.equal(a.status, 503);
		assert.equal(JSON.parse(a.body).error.code, "no_workers");
	}
	assert.equal((await fetchRaw(other.port, "POST", "/api/auth/guest")).status, 404);
	for (const path of ["/api/auth/refresh", "/api/auth/sign-out"]) assert.equal((await fetchRaw(other.port, "POST", path)).status, 401);
	await other.stop();
	for (const [mode, guests, status] of [["production", "on", 200], ["development", "off", 404]]) {
		const set = await start("-", home, mode, guests);
		assert.equal((await fetchRaw(set.port, "POST", "/api/auth/guest")).status, status);
		await set.stop();
	}
});

test("the server ends cleanly", async () => {
	await server.stop();
	fs.rmSync(home, { recursive: true });
});
await run();
