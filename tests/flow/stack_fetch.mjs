// fetch in actions, against servers of the test's own: slow, streaming, endless, compressed, leading elsewhere; and what it may not reach.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { gzipSync } from "node:zlib";
import { run, test } from "../lib/net_client.mjs";
import { Stack, until } from "../lib/stack.mjs";

/** A server of pages by path; `open` counts exchanges under way, `most` the most of them at once. */
const state = { open: 0, most: 0, requests: [], closed: 0 };
const pages = {
	"/text": (q, s) => s.setHeader("content-type", "text/plain").appendHeader("set-cookie", "a=1").appendHeader("set-cookie", "b=2").end("h\u00e9llo"),
	"/json": (q, s) => s.end(JSON.stringify({ n: 1, big: "x".repeat(300000) })),
	"/big": (q, s) => s.end(Buffer.alloc(1_500_000, 97)),
	"/gzip": (q, s) => s.setHeader("content-encoding", "gzip").end(gzipSync("unpacked")),
	"/bomb": (q, s) => s.setHeader("content-encoding", "gzip").end(gzipSync(Buffer.alloc(64 << 20))),
	"/empty": (q, s) => s.writeHead(204).end(),
	"/latin": (q, s) => s.setHeader("x-own", "caf\u00e9").end(),
	"/fails": (q, s) => s.writeHead(503, "Not Now").end("no"),
	"/head": (q, s) => s.setHeader("content-length", "5").end(q.method === "HEAD" ? undefined : "12345"),
	"/slow": (q, s) => setTimeout(() => s.end("late"), 150),
	"/never": () => undefined,
	"/drip": (q, s) => {
		let n = 0;
		const timer = setInterval(() => (n < 4 ? s.write(`${n++}`) : (clearInterval(timer), s.end())), 60);
	},
	"/endless": (q, s) => {
		const more = () => {
			while (!s.destroyed && s.write(Buffer.alloc(65536, 120)));
		};
		s.on("drain", more);
		more();
	},
	"/cut": (q, s) => {
		s.writeHead(200, { "content-length": "100" });
		s.write("part", () => setTimeout(() => s.destroy(), 20));
	},
	"/echo": (q, s, body) => {
		const { "content-type": type, "x-own": own, authorization, "user-agent": agent } = q.headers;
		s.end(JSON.stringify({ method: q.method, type: type ?? null, own: own ?? null, authorization: authorization ?? null, agent, body: body.toString("latin1") }));
	},
};
const server = createServer((q, s) => {
	const { pathname, searchParams } = new URL(q.url, "http://x");
	state.requests.push(q.url);
	state.most = Math.max(state.most, ++state.open);
	s.on("close", () => {
		state.open--;
		state.closed++;
	});
	const parts = [];
	q.on("data", (part) => parts.push(part));
	q.on("end", () => {
		if (pathname === "/to") return s.writeHead(Number(searchParams.get("status") ?? 302), { location: searchParams.get("url") }).end("moved");
		if (pathname === "/round") return s.writeHead(302, { location: "/round" }).end();
		(pages[pathname] ?? ((_, answer) => answer.writeHead(404).end()))(q, s, Buffer.concat(parts));
	});
});
const listen = (one, address = "127.0.0.1") => new Promise((done) => one.listen(0, address, () => done(one.address().port)));
const port = await listen(server);
const at = (path) => `http://127.0.0.1:${port}${path}`;
const nonsense = createTcpServer((c) => c.on("error", () => {}).end("hello, I am no HTTP\n"));
const nonsensePort = await listen(nonsense);
const inside = createServer((q, s) => s.end(q.url));
const insidePort = await listen(inside);
const gone = createServer();
const freePort = await listen(gone);
gone.close();

const options = ["--fetch-max-bytes", "2MB", "--fetch-time-limit", "2500", "--fetch-per-action", "5", "--worker-memory-limit", "900MB"];
const stack = await Stack.start([...options, "--fetch-private", `127.0.0.1:${port},127.0.0.1:${nonsensePort},127.0.0.1:${freePort}`, "--action-time-limit", "60s"]);
const client = await stack.client();
const value = (fn, args) => client.value(`fetching.${fn}`, args);
const one = (path, init, read) => value("one", { url: path.startsWith("/") ? at(path) : path, ...(init ? { init } : {}), ...(read ? { read } : {}) });

test("a response: status, headers, text, JSON, bytes", async () => {
	const r = await one("/text");
	const headers = r.headers.filter(([name]) => !["date", "connection", "keep-alive", "transfer-encoding", "content-length"].includes(name));
	assert.deepEqual(headers, [["content-type", "text/plain"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]]);
	assert.deepEqual([r.status, r.ok, r.url, r.redirected, r.statusText, r.body], [200, true, at("/text"), false, "OK", "h\u00e9llo"]);
	assert.equal((await one("/json", undefined, "json")).body.big.length, 300000);
	assert.equal((await one("/big", undefined, "bytes")).body, 1_500_000);
	assert.equal((await one("/gzip")).body, "unpacked");
	const fails = await one("/fails");
	assert.deepEqual([fails.status, fails.ok, fails.statusText, fails.body], [503, false, "Not Now", "no"]);
	assert.deepEqual([(await one("/empty")).status, (await one("/empty")).body], [204, ""]);
	assert.equal((await one("/latin")).headers.find(([name]) => name === "x-own")[1], "caf\u00e9");
	const head = await one("/head", { method: "HEAD" });
	assert.deepEqual([head.body, head.headers.find(([name]) => name === "content-length")[1]], ["", "5"]);
});

test("bodies of all kinds, and their types", async () => {
	const { form, ...rest } = await value("bodies", { url: at("/echo") });
	const is = (body, type, more = {}) => ({ method: "POST", type, own: null, authorization: null, agent: "millrace", body, ...more });
	assert.deepEqual(rest, {
		text: is("h\u00c3\u00a9\u0001llo", "text/plain;charset=UTF-8"),
		params: is("a=1+2&b=%C3%A9", "application/x-www-form-urlencoded;charset=UTF-8"),
		bytes: is("\t\u00ff\u0001", null),
		blob: is("{}", "application/json"),
		stream: is("ab", null),
		put: is("x", "x/y", { method: "PUT", own: "a b" }),
		none: is("", null),
	});
	const parsed = await new Response(Buffer.from(form.body, "latin1"), { headers: { "content-type": form.type } }).formData();
	assert.deepEqual([parsed.get("a"), parsed.get("f").name, parsed.get("f").type, await parsed.get("f").text()], ["1", "x.html", "text/html", "<b>"]);
});

test("redirects: followed, counted, shown or refused as asked; another host gets no credentials", async () => {
	const to = (url, status = 302) => `/to?status=${status}&url=${encodeURIComponent(url)}`;
	const r = await one(to(to("/text")));
	assert.deepEqual([r.status, r.redirected, r.url], [200, true, at("/text")]);
	const how = async (method, status) => {
		const { body } = await one(to("/echo", status), { method, body: "b" }, "json");
		return [body.method, body.body];
	};
	for (const status of [301, 302, 303]) assert.deepEqual(await how("POST", status), ["GET", ""], `POST and ${status}`);
	for (const status of [307, 308]) assert.deepEqual(await how("POST", status), ["POST", "b"], `POST and ${status}`);
	for (const status of [301, 302, 307]) assert.deepEqual(await how("PUT", status), ["PUT", "b"], `PUT and ${status}`);
	assert.deepEqual(await how("PUT", 303), ["GET", ""], "PUT and 303");
	const shown = await one(to("/text"), { redirect: "manual" });
	assert.deepEqual([shown.status, shown.body], [302, "moved"]);
	assert.equal((await one(to("/text"), { redirect: "error" })).code, "fetch_failed");
	const round = await one("/round");
	assert.deepEqual([round.code, round.setting], ["fetch_failed", "fetch_redirects"]);
	const headers = { authorization: "Bearer x" };
	assert.equal((await one(to("/echo"), { headers }, "json")).body.authorization, "Bearer x");
	assert.equal((await one(to(`http://localhost:${port}/echo`), { headers }, "json")).body.authorization, null);
});

test("a body is read as it comes", async () => {
	const { seen, used } = await value("streams", { url: at("/drip") });
	assert.equal(seen.map(({ text }) => text).join(""), "0123");
	assert.ok(seen.length >= 2 && seen.at(-1).at - seen[0].at >= 100 && used, JSON.stringify(seen));
	const stopped = await value("streams", { url: at("/endless"), stopAfter: 3 });
	assert.equal(stopped.seen.length, 3);
	await until("the endless one to be closed", () => state.open === 0);
	assert.deepEqual(await value("copies", { url: at("/json") }), [true, 300016, "TypeError"]);
});

test("what is not read to its end, or not awaited, ends with the action", async () => {
	assert.equal(await value("leaves", { url: at("/endless") }), 200);
	await until("both to be closed", () => state.open === 0);
});

test("AbortController and AbortSignal.timeout end it before, at and after the head", async () => {
	for (const when of ["before", "head"]) assert.equal((await value("aborts", { url: at("/never"), when })).code, "AbortError");
	assert.equal((await value("aborts", { url: at("/never"), when: "timeout" })).code, "TimeoutError");
	assert.equal((await value("aborts", { url: at("/drip"), when: "body" })).message, "enough");
	await until("all to be closed", () => state.open === 0);
});

test("limits: time, bytes (unpacked), both with a slow or an endless body", async () => {
	const is = async (path, code, setting) => {
		const got = await one(path);
		assert.deepEqual([got.code, got.setting], [code, setting], JSON.stringify(got).slice(0, 300));
	};
	await is("/never", "time_limit", "fetch_time_limit");
	await is("/endless", "too_large", "fetch_max_bytes");
	await is("/bomb", "too_large", "fetch_max_bytes");
	await until("all to be closed", () => state.open === 0);
});

test("what has no answer is told: nobody there, no such name, a line that breaks, what is no HTTP", async () => {
	for (const url of [`http://127.0.0.1:${freePort}/`, "http://nowhere.invalid/", at("/cut"), `http://127.0.0.1:${nonsensePort}/`, `https://127.0.0.1:${port}/`])
		assert.equal((await one(url)).code, "fetch_failed", url);
});

test("what is no request is refused: other protocols, names in addresses, bodies with GET, lines in headers", async () => {
	for (const url of ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/"]) assert.equal((await one(url)).code, "fetch_refused", url);
	for (const [url, init] of [["/x", undefined], [at("/echo"), { body: "b" }], [at("/echo"), { headers: { a: "b\r\nc: d" } }], ["http://u:p@127.0.0.1/", undefined], ["http://1.2.3.4.5/", undefined]])
		assert.equal((await value("one", { url, ...(init ? { init } : {}) })).code, "TypeError", url);
	assert.equal((await one("/echo", { method: "CONNECT" })).code, "TypeError");
});

test("only so many at once; the others wait", async () => {
	state.most = 0;
	assert.deepEqual(await value("many", { url: at("/slow"), n: 12 }), { late: 12 });
	assert.equal(state.most, 5);
});

test("attacked: 10,000 fetches at once are refused above the limit, and nobody else waits", async () => {
	const flood = client.call("fetching.many", { url: at("/text"), n: 10000 }, { seconds: 70 });
	const other = await stack.client();
	for (let i = 0; i < 10; i++) await other.value("items.count", { grp: "x" });
	other.close();
	const { value: got, error } = await flood;
	assert.equal(error, undefined, JSON.stringify(error));
	assert.deepEqual(got, { "h\u00e9llo": 1000, too_many_operations: 9000 });
});

test("queries and mutations have the classes, not the network", async () => {
	for (const fn of ["inQuery", "inMutation"]) assert.equal(await value(fn), "only_in_actions");
	assert.deepEqual(await value("classes"), [
		"https://example.com/a/c?x=a+b#y",
		[["a", "1"], ["b", "2, 3"]],
		{ a: 1 },
		"text/plain;charset=UTF-8",
	]);
});

test("an error that is not caught is the action's", async () => {
	assert.equal((await client.call("fetching.uncaught", { url: "http://nowhere.invalid/" })).error.code, "fetch_failed");
});

test("rule 29: a redirect to an address that is not allowed is not followed, nor one to another protocol", async () => {
	const reached = [];
	inside.on("request", (q) => reached.push(q.url));
	for (const status of [301, 302, 303, 307, 308])
		for (const url of [`http://127.0.0.1:${insidePort}/x`, `http://localhost:${insidePort}/x`, "http://169.254.169.254/latest", `/to?status=${status}&url=${encodeURIComponent(`http://[::1]:${port}/text`)}`]) {
			const got = await one(`/to?status=${status}&url=${encodeURIComponent(url)}`, { method: "POST", body: "b" });
			assert.deepEqual([got.code, got.setting], ["fetch_refused", "fetch_private"], `${status} ${url}: ${JSON.stringify(got)}`);
		}
	for (const url of ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/"])
		assert.equal((await one(`/to?url=${encodeURIComponent(url)}`)).code, "fetch_refused");
	assert.deepEqual(reached, []);
});

test("rule 29: without fetch_private nothing but the public internet is connected to, by number, by name, in any notation", async () => {
	client.close();
	await stack.stop();
	const strict = await Stack.start(options);
	const c = await strict.client();
	const before = state.requests.length;
	for (const host of ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1", "169.254.169.254", "10.0.0.1", "[fd00::1]"]) {
		const got = await c.value("fetching.one", { url: `http://${host}:${port}/text` });
		assert.deepEqual([got.code, got.setting], ["fetch_refused", "fetch_private"], `${host}: ${JSON.stringify(got)}`);
	}
	assert.equal(state.requests.length, before);
	c.close();
	await strict.stop();
	server.closeAllConnections();
	server.close();
	nonsense.close();
	inside.close();
});
await run();
