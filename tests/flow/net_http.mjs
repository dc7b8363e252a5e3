// HTTP, streams and files of fanout/net.h against a raw client.  node net_http.mjs [net_server]
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import zlib from "node:zlib";
import http from "node:http";
import { spawnSync } from "node:child_process";
import { startServer, sleep, Raw, getJson, fetchRaw, request, test, run } from "../lib/net_client.mjs";

const binary = process.argv[2] ?? `${process.env.MILLRACE_BUILD}/fanout/net_server`;
const MAX = 100_000;
const home = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-net-"));
const root = path.join(home, "web");
fs.mkdirSync(path.join(root, "docs/empty"), { recursive: true });
const script = "console.log('hello');\n".repeat(500);
fs.writeFileSync(path.join(root, "index.html"), "<h1>index</h1>");
fs.writeFileSync(path.join(root, "app.js"), script);
fs.writeFileSync(path.join(root, "docs/index.html"), "docs");
fs.writeFileSync(path.join(root, "b\u00e4 r.txt"), "umlaut");
fs.writeFileSync(path.join(root, ".env"), "SECRET=1");
fs.writeFileSync(path.join(root, "empty.txt"), "");
fs.writeFileSync(path.join(home, "outside.txt"), "outside");
fs.mkdirSync(path.join(home, "web-private"));
fs.writeFileSync(path.join(home, "web-private/x.txt"), "private");
fs.symlinkSync("../outside.txt", path.join(root, "leak.txt"));
fs.symlinkSync("../web-private/x.txt", path.join(root, "leak2.txt"));
fs.symlinkSync("app.js", path.join(root, "inside.js"));
const large = Buffer.alloc(20_000_000, "0123456789abcdef");
fs.writeFileSync(path.join(root, "large.bin"), large);

const server = await startServer(binary, MAX, 25000, 1000, root);
const get = (p, headers) => fetchRaw(server.port, "GET", p, headers);
const stats = () => getJson(server.port, "/stats");

test("path, parameters, headers, body", async () => {
	const a = await fetchRaw(server.port, "POST", '/a%20b/%C3%A4?x=1&q=a%2Bb+c%3D&q=2', { "X-Test": "yes" }, "12345");
	assert.equal(a.status, 200);
	assert.equal(a.headers.server, undefined);
	assert.equal(a.headers["x-answer"], "1");
	assert.deepEqual(JSON.parse(a.body), { method: "POST", path: "/a b/ä", q: "a+b c=", x: "yes", body: 5 });
});

test("braces and quotes as curl -g sends them", async () => {
	const a = await get('/x?q={"channel":"a b"}'.replace(" ", "%20"));
	assert.equal(JSON.parse(a.body).q, '{"channel":"a b"}');
	const curl = spawnSync("curl", ["-gsS", `http://127.0.0.1:${server.port}/x?q={"channel":["ä"]}`], { encoding: "utf8" });
	if (!curl.error) assert.equal(JSON.parse(curl.stdout).q, '{"channel":["ä"]}');
});

test("parameters: absent, empty, without value, bad escapes", async () => {
	assert.equal(JSON.parse((await get("/x")).body).q, null);
	assert.equal(JSON.parse((await get("/x?q=")).body).q, "");
	assert.equal(JSON.parse((await get("/x?q")).body).q, "");
	assert.equal(JSON.parse((await get("/x?qq=1&%71=2")).body).q, "2");
	assert.equal(JSON.parse((await get("/x?q=100%&r=%zz")).body).q, "100%");
	assert.equal(JSON.parse((await get("/x?&&=&q=%2")).body).q, "%2");
});

test("a whole URL as request target", async () => {
	assert.equal(JSON.parse((await get("http://example.com/there?q=1")).body).path, "/there");
	assert.equal(JSON.parse((await get("http://example.com")).body).path, "/");
});

for (const [what, bytes, status] of [
	["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
	["NUL in the path", "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400],
	["bad escape in the path", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400],
	["path not UTF-8", "GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400],
	["target without a slash", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400],
	["body above max_frame", `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${MAX + 1}\r\n\r\n`, 413],
	["bad length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", 400],
	["unknown transfer encoding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400],
	["unknown expectation", "POST / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n", 417],
	["chunked body above max_frame", `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${(MAX + 1).toString(16)}\r\n${"x".repeat(MAX + 1)}\r\n0\r\n\r\n`, 413],
	["broken chunks", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
])
	test(`refused with a typed error: ${what}`, async () => {
		const raw = new Raw(server.port);
		raw.write(bytes);
		const a = await raw.response();
		assert.equal(a.status, status);
		assert.match(a.headers["content-type"], /application\/json/);
		assert.equal(JSON.parse(a.body).error.code, status === 413 ? "too_large" : "bad_message");
		if (status === 413) assert.equal(JSON.parse(a.body).error.data.setting, "max_frame");
		raw.destroy();
	});

test("the reason reaches a client that goes on sending its large body", async () => {
	for (let i = 0; i < 5; i++) {
		const raw = new Raw(server.port);
		raw.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n`);
		raw.write("x".repeat(5_000_000));
		const a = await raw.response();
		assert.equal(a?.status, 413, String(raw.error));
		raw.destroy();
	}
});

test("bytes that are no HTTP", async () => {
	for (const bytes of ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET /\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nA\x00b: c\r\n\r\n"]) {
		const raw = new Raw(server.port);
		raw.write(Buffer.from(bytes, "latin1"));
		const a = await raw.response().catch(() => null);
		if (a) assert.equal(a.status, 400);
		raw.destroy();
	}
});

test("keep-alive and pipelining", async () => {
	const raw = new Raw(server.port);
	raw.write(request("GET", "/1") + request("GET", "/slow?ms=50") + request("GET", "/3"));
	assert.equal(JSON.parse((await raw.response()).body).path, "/1");
	assert.equal((await raw.response()).body, "at last\n");
	assert.equal(JSON.parse((await raw.response()).body).path, "/3");
	raw.write(request("GET", "/4"));
	assert.equal(JSON.parse((await raw.response()).body).path, "/4");
	raw.destroy();
});

test("HEAD has the headers and no body", async () => {
	const raw = new Raw(server.port);
	raw.write(request("HEAD", "/x") + request("HEAD", "/error") + request("GET", "/y"));
	const text = () => raw.bytes.toString();
	await raw.until(() => text().endsWith('"body":0}'));
	assert.equal(text().match(/HTTP\/1.1/g).length, 3);
	assert.equal(text().match(/\r\n\r\nHTTP/g).length, 2);
	raw.destroy();
});

test("errors: status of the code, sentence quoted, data", async () => {
	const a = await get("/error");
	assert.equal(a.status, 400);
	assert.deepEqual(JSON.parse(a.body), { error: { code: "bad_args", message: 'a "quoted" word', data: { a: 1 } } });
	assert.equal(a.headers["access-control-allow-origin"], "*");
});

test("a client that resets before the answer is noticed", async () => {
	const raw = new Raw(server.port);
	raw.write(request("GET", "/slow?ms=3000"));
	await sleep(100);
	raw.socket.resetAndDestroy();
	await sleep(100);
	assert.equal((await stats()).gone, 1);
});

test("a client that only ends its side still gets the answer", async () => {
	const raw = new Raw(server.port);
	raw.write(request("GET", "/slow?ms=100"));
	raw.socket.end();
	assert.equal((await raw.response()).body, "at last\n");
});

// --- streams ---

const readStream = (p) =>
	new Promise((done, fail) => {
		http.get({ port: server.port, path: p, agent: false }, (res) => {
			let text = "";
			res.on("data", (d) => (text += d)).on("end", () => done({ res, text })).on("error", fail);
		}).on("error", fail);
	});

test("a stream from start to end", async () => {
	const { res, text } = await readStream("/stream?n=3&size=2&end=1");
	assert.equal(res.headers["content-type"], "text/event-stream");
	assert.equal(text, ":\n\n" + "data: yy\n\n".repeat(3));
	assert.ok((await stats()).streamClosed >= 1);
});

test("a stream's head leaves at once", async () => {
	const raw = new Raw(server.port);
	raw.write(request("GET", "/stream"));
	await raw.until(() => raw.bytes.includes(":\n\n"), 1000);
	raw.destroy();
});

if (process.env.MILLRACE_LONG)
	test("a stream that has nothing to say gets a comment line after 15 s", async () => {
		const raw = new Raw(server.port);
		raw.write(request("GET", "/stream"));
		await raw.until(() => raw.bytes.includes(":\n\n"), 1000);
		raw.bytes = Buffer.alloc(0);
		const from = Date.now();
		await raw.until(() => raw.bytes.includes(":\n\n"), 25000);
		assert.ok(Date.now() - from > 14000);
		raw.destroy();
	});

test("a stream whose client leaves: ends it, resets it, or half-closes", async () => {
	for (const leave of [(s) => s.end(), (s) => s.resetAndDestroy(), (s) => s.destroy()]) {
		const before = (await stats()).streamClosed;
		const raw = new Raw(server.port);
		raw.write(request("GET", "/stream?n=1"));
		await raw.until(() => raw.bytes.includes("data"));
		leave(raw.socket);
		await sleep(100);
		assert.equal((await stats()).streamClosed, before + 1);
	}
});

test("a stream whose client stops reading, and then leaves", async () => {
	const before = await stats();
	const raw = new Raw(server.port);
	raw.socket.pause();
	raw.write(request("GET", "/stream?n=300&size=50000"));
	await sleep(300);
	assert.equal((await stats()).streamDrained, before.streamDrained);
	raw.socket.destroy();
	await sleep(100);
	assert.equal((await stats()).streamClosed, before.streamClosed + 1);
});

test("a stream that is read slowly arrives whole", async () => {
	const { text } = await readStream("/stream?n=300&size=50000&end=1");
	assert.equal(text.length, 3 + 300 * 50008);
});

test("a request pipelined behind a stream waits", async () => {
	const raw = new Raw(server.port);
	raw.write(request("GET", "/stream?n=1") + request("GET", "/next"));
	await raw.until(() => raw.bytes.includes("data"));
	await sleep(50);
	assert.ok(!raw.bytes.includes("/next"));
	raw.destroy();
});

test("a stream over HTTP/1.0", async () => {
	const raw = new Raw(server.port);
	raw.write("GET /stream?n=2&size=1&end=1 HTTP/1.0\r\nHost: x\r\n\r\n");
	await raw.end();
	assert.match(raw.bytes.toString(), /\r\n\r\n:\n\ndata: y\n\ndata: y\n\n$/);
});

// --- files ---

test("files: type, ETag, not modified", async () => {
	const a = await get("/files/app.js");
	assert.equal(a.status, 200);
	assert.equal(a.body, script);
	assert.match(a.headers["content-type"], /javascript/);
	assert.equal(a.headers["x-content-type-options"], "nosniff");
	const b = await get("/files/app.js", { "If-None-Match": `W/"x", ${a.headers.etag}` });
	assert.equal(b.status, 304);
	assert.equal(b.body, "");
	assert.equal((await get("/files/app.js", { "If-None-Match": '"x"' })).status, 200);
	fs.writeFileSync(path.join(root, "app.js"), script + "// more\n");
	const c = await get("/files/app.js", { "If-None-Match": a.headers.etag });
	assert.equal(c.status, 200);
	assert.ok(c.body.endsWith("// more\n"));
	assert.equal((await get("/files/empty.txt")).headers["content-length"], "0");
	assert.equal((await get("/files/b%C3%A4%20r.txt")).body, "umlaut");
	assert.equal((await get("/files/inside.js")).status, 200);
});

test("files: gzip where it is taken and worth it", async () => {
	const zipped = await new Promise((done) =>
		http.get({ port: server.port, path: "/files/app.js", headers: { "Accept-Encoding": "br, gzip" } }, (res) => {
			const parts = [];
			res.on("data", (d) => parts.push(d)).on("end", () => done({ res, body: Buffer.concat(parts) }));
		}),
	);
	assert.equal(zipped.res.headers["content-encoding"], "gzip");
	assert.equal(zipped.res.headers.vary, "Accept-Encoding");
	assert.ok(zlib.gunzipSync(zipped.body).toString().startsWith("console.log"));
	for (const [p, accept] of [["/files/app.js", "identity"], ["/files/app.js", "gzip;q=0"], ["/files/app.js", "gzip; q=0.0"], ["/files/index.html", "gzip"]])
		assert.equal((await get(p, { "Accept-Encoding": accept })).headers["content-encoding"], undefined);
	assert.equal((await get("/files/app.js", { "If-None-Match": zipped.res.headers.etag, "Accept-Encoding": "gzip" })).status, 304);
});

test("files: folders", async () => {
	assert.equal((await get("/files/docs/")).body, "docs");
	assert.equal((await get("/files/")).body, "<h1>index</h1>");
	const a = await get("/files/docs");
	assert.equal(a.status, 308);
	assert.equal(a.headers.location, "/files/docs/");
	assert.equal((await get("/files/docs/empty")).status, 404);
	assert.equal((await get("/files/docs/empty/")).status, 404);
});

test("files: nothing outside of the root", async () => {
	for (const p of ["../outside.txt", "%2e%2e/outside.txt", "..%2foutside.txt", "docs/../../outside.txt", "/etc/passwd", "leak.txt", "leak2.txt", "..", ".", ".env",
		"%2eenv", "docs/..", "app.js/", "app.js/x", "..\\outside.txt", "docs//index.html", "x".repeat(5000), "../web-private/x.txt"])
		assert.equal((await get(`/files/${p}`)).status, 404, p);
});

test("files: a large one, whole, by HEAD, and left in the middle", async () => {
	const body = await new Promise((done, fail) =>
		http.get({ port: server.port, path: "/files/large.bin", agent: false }, (res) => {
			const parts = [];
			res.on("data", (d) => parts.push(d)).on("end", () => done(Buffer.concat(parts))).on("error", fail);
		}),
	);
	assert.ok(body.equals(large));
	const head = await new Promise((done) => http.request({ method: "HEAD", port: server.port, path: "/files/large.bin", agent: false }, done).end());
	assert.equal(head.statusCode, 200);
	assert.equal(head.headers["content-length"], String(large.length));
	assert.equal((await get("/files/large.bin", { "If-None-Match": head.headers.etag })).status, 304);
	const raw = new Raw(server.port);
	raw.write(request("GET", "/files/large.bin"));
	await raw.until(() => raw.bytes.length > 1000);
	raw.socket.resetAndDestroy();
});

test("a taken port is told in a sentence", () => {
	const r = spawnSync(binary, [MAX, 25000, 10, root, server.port].map(String), { encoding: "utf8", timeout: 5000 });
	assert.equal(r.status, 1);
	assert.match(r.stderr, new RegExp(`port ${server.port} of 127.0.0.1 is in use.*--port`));
});

test("stopping answers what waits, ends streams and leaks nothing", async () => {
	const other = await startServer(binary, MAX);
	const waiting = new Raw(other.port), stream = new Raw(other.port), idle = new Raw(other.port), half = new Raw(other.port);
	waiting.write(request("GET", "/slow?ms=60000"));
	stream.write(request("GET", "/stream?n=1"));
	idle.write(request("GET", "/x"));
	half.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
	await idle.response();
	await stream.until(() => stream.bytes.includes("data"));
	const stopped = other.stop();
	const a = await waiting.response();
	assert.equal(a.status, 503);
	assert.equal(JSON.parse(a.body).error.code, "shutting_down");
	await stream.end();
	assert.ok(stream.bytes.toString().endsWith("0\r\n\r\n"));
	await stopped;
});

test("the server ends cleanly", async () => {
	await server.stop();
	fs.rmSync(home, { recursive: true });
});
await run();
