// Routes of the app's own (functions/http.ts) on the real server: which one is meant, bodies both ways, and what goes wrong.
import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { request as nodeRequest } from "node:http";
import { descendants } from "../lib/cli.mjs";
import { Raw, run, test } from "../lib/net_client.mjs";
import { sleep, Stack, until } from "../lib/stack.mjs";

const stack = await Stack.start(["--http-max-body", "8MB", "--http-stall-limit", "2s", "--function-time-limit", "1s", "--worker-memory-limit", "900MB"]);
const at = (path) => new URL(path, stack.url);
const get = (path, init) => fetch(at(path), { signal: AbortSignal.timeout(20000), ...init });
const json = async (path, init) => (await get(path, init)).json();
const notes = (grp) => stack.rows(`select note from "Item" where grp = '${grp}' order by "at", n`).map((r) => r.note);
let groups = 0;
const group = () => `r${++groups}`;
/** fetch normalises paths; this does not. */
const plain = (path, { method = "GET", headers = {}, body } = {}) =>
	new Promise((done, fail) => {
		const q = nodeRequest({ port: stack.port, path, method, headers, agent: false }, (r) => {
			const parts = [];
			r.on("data", (d) => parts.push(d)).on("error", fail);
			r.on("end", () => done({ status: r.statusCode, headers: r.headers, raw: r.rawHeaders, body: Buffer.concat(parts).toString() }));
		});
		q.on("error", fail).end(body);
	});
const processes = (name) => descendants(stack.server.pid).filter((p) => p.command.split(/\s/)[0].endsWith(name)).map((p) => p.pid);
const resident = (pids) => pids.reduce((sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]), 0);

test("the handler has the request as it came", async () => {
	const r = await json("/r/echo?a=1&b=%20x", { method: "POST", body: "h\u00e9llo\0", headers: { "x-own": "caf\u00e9", "content-type": "text/odd" } });
	assert.deepEqual([r.name, r.method, r.body, r.params, r.userId], ["echo", "POST", "h\u00e9llo\0", {}, null]);
	assert.equal(r.url, `${at("/r/echo")}?a=1&b=%20x`);
	const headers = new Map(r.headers);
	assert.deepEqual([headers.get("x-own"), headers.get("content-type"), headers.get("host")], ["caf\u00e9", "text/odd", `localhost:${stack.port}`.replace("localhost", at("/").hostname)]);
	assert.ok(!headers.has("connection"));
});

test("which route is meant: text before a parameter before the rest; methods; percent escapes", async () => {
	const name = async (path, method = "GET") => {
		const { name, params } = JSON.parse((await plain(path, { method })).body);
		return [name, params];
	};
	assert.deepEqual(await name("/r/users/7"), ["user", { id: "7" }]);
	assert.deepEqual(await name("/r/users/me"), ["me", {}]);
	assert.deepEqual(await name("/r/users/%6de"), ["me", {}]);
	assert.deepEqual(await name("/r/users/me", "DELETE"), ["remove", { id: "me" }]);
	assert.deepEqual(JSON.parse((await plain("/r/users/a%2Fb/posts/%C3%A9%20x")).body), ["a/b", "\u00e9 x"]);
	assert.deepEqual(await name("/r/files/x/b"), ["fileB", { a: "x" }]);
	assert.deepEqual(await name("/r/files/x/c"), ["files", { "*": "x/c" }]);
	assert.deepEqual(await name("/r/files/"), ["files", { "*": "" }]);
	assert.deepEqual(await name("/r/other/a//b/"), ["rest", { any: "other", "*": "a//b/" }]);
	assert.deepEqual(await name("/r/users/"), ["rest", { any: "users", "*": "" }]);
	for (const path of ["/r/files/../users/7", "/r/files/%2e%2e/x", "/r/files/a%2Fb", "/r/files/a%5cb", "/r/files/a%00b", "/r/nothing", "/R/echo", "/r/echo%2"])
		assert.notEqual((await plain(path, { method: "GET" })).headers["content-type"], "application/json; charset=utf-8", path);
	assert.equal((await plain("/%61pi/fn/items.any", { method: "POST" })).status, 200, "the server's own come first");
});

test("HEAD, another method, and OPTIONS without CORS", async () => {
	const head = await get("/r/echo", { method: "HEAD" });
	assert.deepEqual([head.status, head.headers.get("content-type"), Number(head.headers.get("content-length")) > 50, await head.text()], [200, "application/json", true, ""]);
	assert.equal((await get("/r/lines/100", { method: "HEAD" })).status, 200);
	for (const [path, allow] of [["/r/users/7", "GET, HEAD, DELETE"], ["/r/sum", "POST"], ["/r/files/q", "GET, HEAD"]])
		for (const method of ["PUT", "OPTIONS"]) {
			const r = await get(path, { method });
			assert.deepEqual([r.status, r.headers.get("allow"), (await r.json()).error.code], [405, allow, "method_not_allowed"]);
		}
});

test("rule 28: CORS says which pages may, and cookies of foreign pages do not come through", async () => {
	const ask = (path, origin, method = "GET", headers = {}) => plain(path, { method, headers: { origin, ...headers } });
	const cors = ({ headers: h }) => ["allow-origin", "allow-credentials", "expose-headers", "allow-methods", "allow-headers", "max-age"].map((name) => h[`access-control-${name}`] ?? null);
	const page = "https://app.example";
	const all = await ask("/r/cors/all", page);
	assert.deepEqual([cors(all), all.headers.vary], [["*", null, null, null, null, null], undefined]);
	const named = await ask("/r/cors/named", page);
	assert.deepEqual([cors(named), named.headers.vary], [[page, "true", "x-total", null, null, null], "Origin"]);
	for (const origin of ["https://evil.example", "https://app.example.evil", "null", "http://app.example"]) {
		const foreign = await ask("/r/cors/named", origin);
		assert.deepEqual([foreign.status, cors(foreign), foreign.headers.vary], [200, [null, null, null, null, null, null], "Origin"]);
	}
	assert.deepEqual(cors(await ask("/r/echo", page)), [null, null, null, null, null, null]);
	assert.deepEqual(cors(await ask("/r/cors/own", page)), ["https://by.hand", null, null, null, null, null]);
	// errors of handlers, for those pages too
	assert.equal((await ask("/r/cors/fails", page)).headers["access-control-allow-origin"], page);
	// preflights
	const preflight = (path, method, origin = page) => ask(path, origin, "OPTIONS", { "access-control-request-method": method, "access-control-request-headers": "x-key" });
	const p = await preflight("/r/cors/named", "PUT");
	assert.deepEqual([p.status, p.body, cors(p)], [204, "", [page, "true", null, "GET, HEAD, PUT", "x-key, content-type", "60"]]);
	assert.equal(p.headers.vary, "Origin, Access-Control-Request-Method");
	const q = await preflight("/r/cors/named", "PUT", "https://evil.example");
	assert.deepEqual([q.status, cors(q)], [204, [null, null, null, null, null, null]]);
	assert.deepEqual(cors(await preflight("/r/cors/all", "GET")).slice(0, 2), ["*", null]);
	for (const [path, method] of [["/r/cors/named", "DELETE"], ["/r/echo", "GET"]]) assert.equal((await preflight(path, method)).status, 405);
	// cookies
	const cookie = async (path, origin) => {
		const headers = new Map(JSON.parse((await plain(path, { headers: { cookie: "s=1", ...(origin ? { origin } : {}) } })).body).headers);
		return headers.get("cookie") ?? null;
	};
	assert.deepEqual([await cookie("/r/echo"), await cookie("/r/echo", `https://localhost:${stack.port}`)], ["s=1", "s=1"]);
	assert.deepEqual([await cookie("/r/echo", page), await cookie("/r/cors/all", page), await cookie("/r/cors/named", "null")], [null, null, null]);
	assert.equal(await cookie("/r/cors/named", page), "s=1");
});

test("who asks: by Bearer alone; another Authorization is the handler's business", async () => {
	const as = (authorization, more = {}) => json("/r/echo", { headers: { authorization, ...more } });
	assert.equal((await as(`Bearer ${stack.token("ann")}`)).userId, "ann");
	for (const other of ["Basic dTpw", "Bearer sk_live_123", `Bearer ${stack.token("ann", { exp: 1 })}`]) {
		const r = await as(other);
		assert.deepEqual([r.userId, new Map(r.headers).get("authorization")], [null, other]);
	}
	const r = await json("/r/items/who", { method: "POST", body: '{"note":"by a route"}' });
	assert.deepEqual([r, notes("who")], [{ saved: "by a route" }, ["by a route"]]);
});

test("bodies of requests: exact bytes, whole and in pieces; too large ones", async () => {
	const adler = (bytes) => {
		let [a, b] = [1, 0];
		for (const byte of bytes) {
			a = (a + byte) % 65521;
			b = (b + a) % 65521;
		}
		return b * 65536 + a;
	};
	for (const size of [0, 1, 65536, 65537, 1_000_003]) {
		const body = randomBytes(size);
		assert.deepEqual(await json("/r/sum", { method: "POST", body }), [size, adler(body)]);
	}
	const sizes = await json("/r/pieces", { method: "POST", body: Buffer.alloc(200_000) });
	assert.deepEqual(sizes, [65536, 65536, 65536, 3392]);
	const body = randomBytes(3_000_000);
	const mirrored = await get("/r/mirror", { method: "POST", body });
	assert.deepEqual([mirrored.headers.get("content-type"), Buffer.from(await mirrored.arrayBuffer()).equals(body)], ["application/octet-stream", true]);
	const large = await get("/r/sum", { method: "POST", body: Buffer.alloc(8_400_000) });
	assert.deepEqual([large.status, (await large.json()).error.data], [413, { setting: "http_max_body" }]);
	const call = await stack.call("items.any", { x: "y".repeat(1_100_000) });
	assert.deepEqual([call.status, call.error.data], [413, { setting: "max_frame" }]);
	const chunked = await get("/r/sum", { method: "POST", body: new Blob([randomBytes(300_000)]).stream(), duplex: "half" });
	assert.equal((await chunked.json())[0], 300_000);
});

test("webhooks: signatures over the bytes of the body", async () => {
	const grp = group();
	const body = '{ "action" : "opened",\r\n"title":"caf\u00e9 \ud83c\udf75" }';
	const hook = async (name, headers, text = body) => (await get(`/r/hooks/${name}`, { method: "POST", body: text, headers })).status;
	const github = (secret) => ({ "x-grp": grp, "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}` });
	assert.equal(await hook("github", github("github's")), 204);
	assert.deepEqual(notes(grp), ["opened"]);
	assert.deepEqual([await hook("github", github("another's")), await hook("github", github("github's"), body.replace("\r", "")), await hook("github", {})], [401, 401, 401]);
	const stripe = (t) => ({ "stripe-signature": `t=${t},v1=${createHmac("sha256", "stripe's").update(`${t}.${body}`).digest("hex")},v0=00` });
	const now = Math.floor(Date.now() / 1000);
	assert.deepEqual([await hook("stripe", stripe(now)), await hook("stripe", stripe(now - 1000)), await hook("stripe", stripe(now), `${body} `)], [200, 400, 400]);
});

test("crypto.subtle: digests and HMAC are those of node, for lengths around their blocks", async () => {
	const cases = [];
	for (const hash of ["SHA-1", "SHA-256", "SHA-384", "SHA-512"]) {
		const name = hash.replace("-", "").toLowerCase();
		for (const n of [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 5000]) {
			const data = randomBytes(n);
			cases.push([hash, null, data.toString("hex"), createHash(name).update(data).digest("hex")]);
			for (const k of [1, 63, 64, 65, 127, 128, 129, 300]) {
				const key = randomBytes(k);
				cases.push([hash, key.toString("hex"), data.toString("hex"), createHmac(name, key).update(data).digest("hex")]);
			}
		}
	}
	const got = await json("/r/digests", { method: "POST", body: JSON.stringify(cases.map((c) => c.slice(0, 3))) });
	assert.deepEqual(got, cases.map((c) => c[3]));
	const algorithm = { name: "HMAC", hash: { name: "SHA-256" }, length: 24 };
	assert.deepEqual(await json("/r/keys"), [
		"010203", JSON.stringify(["secret", algorithm, false, ["verify"]]), 128, "InvalidAccessError", "InvalidAccessError", "NotSupportedError", "TypeError",
		"NotSupportedError", "SyntaxError", "DataError", "TypeError", "TypeError",
	]);
});

test("answers: whole, large, streamed as they are made", async () => {
	assert.equal((await (await get("/r/bytes/0")).arrayBuffer()).byteLength, 0);
	for (const size of [5, 65536, 5_000_000]) {
		const r = await get(`/r/bytes/${size}`);
		assert.equal(Number(r.headers.get("content-length")), size);
		assert.equal((await r.arrayBuffer()).byteLength, size);
	}
	const lines = (await (await get("/r/lines/30000")).text()).split("\n");
	assert.deepEqual([lines.length, lines[29999]], [30001, "line 29999"]);
	const times = [];
	const r = await get(`/r/stream/x?chunks=4&size=5&ms=80`);
	for await (const _ of r.body) times.push(Date.now());
	assert.ok(times.length >= 3 && times.at(-1) - times[0] >= 100, JSON.stringify(times));
	assert.equal((await get("/r/stream/x?chunks=3&size=10&length=30")).headers.get("content-length"), "30");
});

test("a huge answer for a reader that is slow: the handler makes no more than the line holds, and memory stays", async () => {
	const grp = group();
	const all = [...processes("millrace-worker"), ...processes("millrace-fanout")];
	await (await get("/r/stream/x?chunks=50&size=65536")).arrayBuffer();
	const before = resident(all);
	const raw = new Raw(stack.port);
	raw.socket.pause();
	raw.write(`GET /r/stream/${grp}?chunks=8000&size=65536 HTTP/1.1\r\nHost: x\r\n\r\n`);
	await sleep(1000);
	const grown = resident(all) - before;
	raw.socket.resetAndDestroy();
	await until("the stream to be cancelled", () => notes(grp).length === 1);
	const made = Number(/\d+/.exec(notes(grp)[0])[0]);
	assert.ok(made < 300, `${made} of 8000 chunks`);
	assert.ok(grown < 100_000, `${grown} KiB more, of 512 MiB`);
});

test("who takes nothing is cut off, and the handler's stream cancelled; a client that goes as well", async () => {
	const [stalls, goes] = [group(), group()];
	const cut = await stack.metric("millrace_routes_cut_total");
	const raw = new Raw(stack.port);
	raw.write(`GET /r/stream/${stalls}?chunks=100000&size=65536 HTTP/1.1\r\nHost: x\r\n\r\n`);
	raw.socket.pause();
	const control = new AbortController();
	const r = await get(`/r/stream/${goes}?chunks=1000&size=10&ms=30`, { signal: control.signal });
	await r.body.getReader().read();
	control.abort();
	await until("the stream to be cancelled", () => notes(goes).length === 1);
	await until("the slow one to be cut off", () => notes(stalls).length === 1);
	assert.match(notes(stalls)[0] + notes(goes)[0], /cancelled after \d+cancelled after \d+/);
	assert.equal(await stack.metric("millrace_routes_cut_total"), cut + 1);
	raw.socket.destroy();
});

test("request.signal tells that the client went; a handler that does not look goes on to its end", async () => {
	const [waits, slow] = [group(), group()];
	const leave = async (path, grp) => {
		const raw = new Raw(stack.port);
		raw.write(`${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
		await until("it to begin", () => notes(grp).length === 1);
		raw.socket.resetAndDestroy();
	};
	await leave(`POST /r/waits/${waits}`, waits);
	await until("the signal", () => notes(waits)[1] === "AbortError");
	await leave(`GET /r/slow/${slow}`, slow);
	await until("its end", () => notes(slow)[1] === "done");
});

test("what handlers do wrong", async () => {
	const wrong = async (how) => {
		const r = await plain(`/r/wrong/${how}`);
		return { ...r, error: r.status >= 400 && r.body ? JSON.parse(r.body).error : undefined };
	};
	for (const how of ["throws", "nothing", "value", "header", "wide", "199", "600"]) {
		const { status, error } = await wrong(how);
		assert.deepEqual([status, error.code], [500, "function_failed"], how);
	}
	const { status, error, headers } = await wrong("app");
	assert.deepEqual([error.code, error.data, headers["access-control-allow-origin"]], ["app_error", { left: 0, code: "no_tea" }, undefined]);
	assert.ok(status >= 400);
	assert.equal((await wrong("forged")).status, 500);
	assert.equal((await wrong("loops")).error.code, "time_limit");
	const hops = await wrong("hops");
	assert.deepEqual([hops.status, hops.body, hops.headers["content-length"], hops.headers["keep-alive"], hops.headers["transfer-encoding"]], [200, "ok", "2", undefined, undefined]);
	assert.equal(Buffer.from(hops.headers["x-own"], "latin1").toString("latin1"), "caf\u00e9");
	assert.notEqual(hops.headers.date, "never");
	const cookies = await wrong("cookies");
	assert.deepEqual([cookies.status, cookies.headers.location, cookies.headers["set-cookie"]], [303, "/r/echo", ["a=1", "b=2; HttpOnly"]]);
	assert.deepEqual([(await wrong("204")).status, (await wrong("404")).status], [204, 404]);
});

test("an answer that breaks off is seen to be no whole one", async () => {
	const broken = async (path, http = "1.1") => {
		const raw = new Raw(stack.port);
		raw.write(`GET ${path} HTTP/${http}\r\nHost: x\r\nConnection: close\r\n\r\n`);
		await until("its end", () => raw.ended);
		return { text: raw.bytes.toString("latin1"), reset: raw.error?.code === "ECONNRESET" };
	};
	for (const path of ["/r/stream/x?chunks=5&size=10&fails=3&ms=20", "/r/stream/x?chunks=3&size=10&length=40", "/r/stream/x?chunks=3&size=10&length=20"]) {
		const { text, reset } = await broken(path);
		const [, length] = /content-length: (\d+)/i.exec(text) ?? [];
		const body = text.slice(text.indexOf("\r\n\r\n") + 4);
		assert.ok(text.startsWith("HTTP/1.1 200") || reset, path);
		assert.ok(!text.endsWith("0\r\n\r\n"), path);
		assert.ok(reset || (length ? body.length < Number(length) : !text.endsWith("0\r\n\r\n")), path);
	}
	assert.ok((await broken("/r/stream/x?chunks=5&size=10&fails=3&ms=20", "1.0")).reset, "HTTP/1.0 knows no other end");
	await assert.rejects(async () => (await get("/r/stream/x?chunks=5&size=10&fails=3&ms=20")).text());
});

test("a worker killed in the middle: an error where nothing was said, else the connection breaks", async () => {
	const grp = group();
	const early = get(`/r/waits/${grp}`, { method: "POST" }).then(async (r) => [r.status, (await r.json()).error?.code]);
	await until("it to begin", () => notes(grp).length === 1);
	const late = await get(`/r/stream/x?chunks=1000&size=10&ms=30`);
	const rest = assert.rejects(late.text());
	for (const pid of processes("millrace-worker")) process.kill(pid, "SIGKILL");
	assert.deepEqual(await early, [500, "action_interrupted"]);
	await rest;
	await until("others to serve", async () => (await get("/r/echo")).status === 200);
});

test("many at once, on kept connections, and one after the other on one", async () => {
	const bodies = await Promise.all(Array.from({ length: 300 }, (_, i) => json(`/r/echo?i=${i}`, { method: "POST", body: `${i}` })));
	bodies.forEach((r, i) => assert.deepEqual([r.body, new URL(r.url).search], [`${i}`, `?i=${i}`]));
	const raw = new Raw(stack.port);
	for (let i = 0; i < 3; i++) raw.write("GET /r/bytes/3 HTTP/1.1\r\nHost: x\r\n\r\n");
	await until("three answers", () => raw.bytes.toString().split("aaa").length === 4);
	raw.socket.destroy();
	assert.ok((await stack.metric("millrace_routes_total")) > 300);
	assert.ok((await stack.metric("millrace_routes_failed_total")) > 5);
	const bad = await plain("/r/echo", { headers: { host: "a b" } });
	assert.deepEqual([bad.status, JSON.parse(bad.body).error.code], [400, "bad_message"]);
});

test("it stops", async () => {
	await stack.stop();
});

test("rule 28: https is what a trusted proxy says, and nobody else", async () => {
	const asked = async (proxies, headers) => {
		const one = await Stack.start(proxies);
		try {
			const seen = [];
			for (const h of headers) {
				const address = new URL("/r/echo?a=1", one.url), { url } = await (await fetch(address, { headers: h })).json();
				assert.equal(url.replace(/^https?:/, "http:"), address.href);
				seen.push(new URL(url).protocol);
			}
			return seen;
		} finally {
			await one.stop();
		}
	};
	const proto = (value) => ({ "x-forwarded-proto": value, "x-forwarded-host": "evil.example" });
	const said = (value) => ({ ...proto("https"), forwarded: value });
	const values = ["https", "http", "HTTPS", "https, http", "http, https", "https://evil.example", "", "ftp"].map(proto);
	const trusted = ["--trusted-proxies", "127.0.0.0/8, ::1"];
	assert.deepEqual(await asked(["--trusted-proxies", "10.0.0.0/8"], [...values, said("proto=https")]), Array(9).fill("http:"));
	assert.deepEqual(await asked(trusted, [...values, { forwarded: "proto=https" }]),
		["https:", "http:", "https:", "http:", "https:", "http:", "http:", "http:", "http:"]);
	assert.deepEqual(await asked([...trusted, "--proxy-header", "forwarded"], [proto("https"), said("for=1.2.3.4"), said("for=6.6.6.6, for=1.2.3.4;proto=https, for=127.0.0.2;proto=http")]),
		["http:", "http:", "https:"]);
});
await run();
