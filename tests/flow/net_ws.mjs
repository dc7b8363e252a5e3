// WebSockets of fanout/net.h against a raw client.  node net_ws.mjs [net_server]
import assert from "node:assert/strict";
import { startServer, sleep, Raw, WebSocketRaw, getJson, fetchRaw, frame, request, UPGRADE, test, run, CONT, TEXT, BINARY, CLOSE, PING, PONG } from "../lib/net_client.mjs";

const binary = process.argv[2] ?? `${process.env.MILLRACE_BUILD}/fanout/net_server`;
const MAX = 100_000;
const server = await startServer(binary, MAX);
const open = (headers, more) => WebSocketRaw.open(server.port, headers, more);
const stats = () => getJson(server.port, "/stats");

/** Expects a close frame with that code, answers it and expects the end of the connection. */
async function closes(ws, code, reason) {
	let got = await ws.next();
	assert.equal(got?.opcode, CLOSE, `expected a close frame, got ${JSON.stringify(got)}`);
	assert.equal(got.code, code, got.reason);
	if (reason) assert.match(got.reason, reason);
	ws.send(got.payload.subarray(0, 2), CLOSE);
	ws.socket.end();
	await ws.end();
	assert.equal(ws.error, null);
}

test("upgrade: accept, chosen subprotocol, no Server header", async () => {
	const ws = await open({ "Sec-WebSocket-Protocol": "other, millrace.v1.msgpack, millrace.v1.json" });
	assert.equal(ws.answer.status, 101);
	assert.equal(ws.answer.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert.equal(ws.answer.headers["sec-websocket-protocol"], "millrace.v1.msgpack");
	assert.equal(ws.answer.headers.server, undefined);
	assert.equal(ws.answer.headers["sec-websocket-extensions"], undefined);
	ws.destroy();
});

test("upgrade: without an offer nothing is compressed", async () => {
	const ws = await open();
	ws.send("x".repeat(50_000));
	const got = await ws.next();
	assert.equal(got.rsv, 0);
	assert.equal(got.payload.length, 50_000);
	ws.destroy();
});

for (const [what, headers, status, code] of [
	["another version", { "Sec-WebSocket-Version": "8" }, 426, "protocol_mismatch"],
	["no version", { "Sec-WebSocket-Version": null }, 426, "protocol_mismatch"],
	["no Upgrade header", { Upgrade: null }, 426, "protocol_mismatch"],
	["no Connection: Upgrade", { Connection: "keep-alive" }, 426, "protocol_mismatch"],
	["upgrade to something else", { Upgrade: "h2c" }, 426, "protocol_mismatch"],
	["no key", { "Sec-WebSocket-Key": null }, 400, "bad_message"],
	["short key", { "Sec-WebSocket-Key": "AAAA" }, 400, "bad_message"],
	["key that is no base64", { "Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!==" }, 400, "bad_message"],
	["no subprotocol", { "Sec-WebSocket-Protocol": null }, 400, "bad_message"],
	["unknown subprotocol", { "Sec-WebSocket-Protocol": "graphql-ws, millrace.v2.json" }, 400, "bad_message"],
	["empty subprotocols", { "Sec-WebSocket-Protocol": ",, ,;=," }, 400, "bad_message"],
	["no Host", { Host: null }, 400, "bad_message"],
])
	test(`upgrade refused: ${what}`, async () => {
		const ws = await open(headers);
		assert.equal(ws.answer.status, status);
		assert.equal(JSON.parse(ws.answer.body).error.code, code);
		assert.match(ws.answer.headers["content-type"], /json/);
		ws.destroy();
	});

test("upgrade refused: POST, and HTTP/1.0", async () => {
	const post = await fetchRaw(server.port, "POST", "/api/sync", { ...UPGRADE, Connection: "Upgrade" });
	assert.equal(post.status, 405);
	assert.equal(post.headers.allow, "GET");
	const old = new Raw(server.port);
	old.write(request("GET", "/api/sync", UPGRADE).replace("HTTP/1.1", "HTTP/1.0"));
	assert.equal((await old.response()).status, 426);
	old.destroy();
});

test("frames sent before the answer is there are read", async () => {
	const ws = await open({}, Buffer.concat([frame(TEXT, "one"), frame(TEXT, "two"), frame(TEXT, "three").subarray(0, 7)]));
	assert.equal((await ws.next()).text, "one");
	assert.equal((await ws.next()).text, "two");
	ws.destroy();
});

test("echo of all lengths around the borders, whole and byte by byte", async () => {
	const ws = await open();
	for (const n of [0, 1, 125, 126, 127, 65535, 65536, MAX]) {
		const text = "a".repeat(n);
		ws.send(text);
		const got = await ws.next();
		assert.equal(got.opcode, TEXT);
		assert.equal(got.text, text);
	}
	for (const byte of frame(TEXT, "slowly, over many reads")) {
		ws.write(Buffer.from([byte]));
		await sleep(1);
	}
	assert.equal((await ws.next()).text, "slowly, over many reads");
	ws.destroy();
});

test("binary for millrace.v1.msgpack", async () => {
	const ws = await open({ "Sec-WebSocket-Protocol": "millrace.v1.msgpack" });
	const bytes = Buffer.from([0, 255, 0x80, 0xc3]);
	ws.send(bytes, BINARY);
	const got = await ws.next();
	assert.equal(got.opcode, BINARY);
	assert.deepEqual(got.payload, bytes);
	ws.send("text", TEXT);
	await closes(ws, 1003, /binary/);
});

test("fragments with control frames between them", async () => {
	const ws = await open();
	ws.send("Hel", TEXT, { fin: false });
	ws.send("?", PING);
	ws.send("", CONT, { fin: false });
	ws.send("unasked", PONG);
	ws.send("lo", CONT);
	const pong = await ws.next();
	assert.deepEqual([pong.opcode, pong.text], [PONG, "?"]);
	assert.equal((await ws.next()).text, "Hello");
	ws.destroy();
});

test("UTF-8 over fragment borders", async () => {
	const ws = await open();
	const bytes = Buffer.from("κόσμε 🎈");
	for (let i = 0; i < bytes.length; i++) ws.send(bytes.subarray(i, i + 1), i ? CONT : TEXT, { fin: false });
	ws.send("", CONT);
	assert.equal((await ws.next()).text, "κόσμε 🎈");
	ws.destroy();
});

test("only the latest of many pings is owed an answer", async () => {
	const ws = await open();
	ws.write(Buffer.concat(Array.from({ length: 1000 }, (_, i) => frame(PING, String(i)))));
	ws.send("end");
	let pongs = 0, last;
	for (let got; (got = await ws.next()).opcode !== TEXT; ) {
		assert.equal(got.opcode, PONG);
		pongs++;
		last = got.text;
	}
	assert.ok(pongs >= 1 && pongs < 100, `${pongs} pongs`);
	assert.equal(last, "999");
	ws.destroy();
});

for (const [what, bytes, code, reason] of [
	["not masked", frame(TEXT, "x", { mask: false }), 1002, /mask/],
	["reserved bit 1", frame(TEXT, "x", { rsv: 4 }), 1002, /reserved/],
	["reserved bit 3", frame(TEXT, "x", { rsv: 1 }), 1002, /reserved/],
	["unknown data opcode", frame(3, "x"), 1002, /opcode/],
	["unknown control opcode", frame(11, "x"), 1002, /opcode/],
	["fragmented ping", frame(PING, "x", { fin: false }), 1002, /fragmented/],
	["ping of 126 bytes", frame(PING, "x".repeat(126)), 1002, /125/],
	["continuation of nothing", frame(CONT, "x"), 1002, /continuation/],
	["text within fragments", Buffer.concat([frame(TEXT, "x", { fin: false }), frame(TEXT, "y")]), 1002, /within/],
	["binary in a text protocol", frame(BINARY, "x"), 1003, /text/],
	["invalid UTF-8", frame(TEXT, Buffer.from([0x61, 0xff])), 1007, /UTF-8/],
	["UTF-8 cut at the end", frame(TEXT, Buffer.from([0xce])), 1007, /within a character/],
	["surrogate in UTF-8", frame(TEXT, Buffer.from([0xed, 0xa0, 0x80])), 1007, /UTF-8/],
	["length in a longer form than needed", Buffer.from([0x81, 0xfe, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9]), 1002, /shortest/],
	["length beyond 2^63", Buffer.from([0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1002, /shortest/],
	["frame above max_frame", frame(TEXT, "", { length: MAX + 1 }), 1009, /max_frame \(100000 bytes\)/],
	["fragments above max_frame", Buffer.concat([frame(TEXT, "x".repeat(MAX), { fin: false }), frame(CONT, "y")]), 1009, /max_frame/],
	["huge length", frame(TEXT, "", { length: 2 ** 52 }), 1009, /max_frame/],
	["close frame of one byte", frame(CLOSE, Buffer.from([3])), 1002, /one byte/],
	["close code 1005", frame(CLOSE, Buffer.from([3, 0xed])), 1002, /code/],
	["close code 999", frame(CLOSE, Buffer.from([3, 0xe7])), 1002, /code/],
	["close reason not UTF-8", frame(CLOSE, Buffer.from([3, 0xe8, 0xff])), 1007, /reason/],
])
	test(`refused: ${what}`, async () => {
		const ws = await open();
		ws.write(bytes);
		await closes(ws, code, reason);
	});

test("the reason of an oversized frame reaches a client that goes on sending", async () => {
	const ws = await open();
	ws.send("x".repeat(5_000_000));
	const got = await ws.next();
	assert.equal(got.code, 1009);
	ws.destroy();
});

test("closing handshake from the client", async () => {
	for (const [payload, code] of [[Buffer.from([3, 0xe8, 0x62, 0x79]), 1000], [Buffer.from([0x0f, 0xa1]), 4001], [Buffer.alloc(0), undefined]]) {
		const ws = await open();
		ws.send(payload, CLOSE);
		ws.send("after the close");
		const got = await ws.next();
		assert.equal(got.opcode, CLOSE);
		assert.equal(got.code, code);
		await ws.end(); // the server ends the connection, at once
	}
	assert.match((await stats()).last, /closed by the client/);
});

test("closing from within a message callback", async () => {
	const ws = await open();
	ws.send("close 4002 go away");
	await closes(ws, 4002, /go away/);
	const split = await open(); // a payload that lies in the reader's own buffer
	split.send("close 4003", TEXT, { fin: false });
	split.send(" go", CONT);
	await closes(split, 4003, /go/);
	const words = await open();
	words.send("die");
	assert.equal((await words.next()).text, "last words");
	await closes(words, 1000, /done/);
});

test("who never answers our close frame is cut off after 2 s", async () => {
	const ws = await open();
	ws.send("close 4000 x");
	assert.equal((await ws.next()).code, 4000);
	const from = Date.now(), before = (await stats()).closed;
	assert.ok(before > 0);
	const flood = setInterval(() => ws.socket.destroyed || ws.write(frame(TEXT, "x".repeat(1000))), 20);
	for (let i = 0; i < 400 && !ws.socket.destroyed && !ws.error; i++) await sleep(10);
	clearInterval(flood);
	assert.ok(ws.socket.destroyed || ws.error, "still open");
	assert.ok(Date.now() - from > 1500);
});

test("many frames of one turn arrive in order; drained comes once they are out", async () => {
	const before = (await stats()).drained;
	const ws = await open();
	ws.send("burst 3000 100");
	for (let i = 0; i < 3000; i++) assert.equal((await ws.next()).payload.length, 100);
	assert.equal((await stats()).drained, before + 1);
	ws.destroy();
});

test("a reader that stops: bytes wait, nothing is lost, drained comes when it reads", async () => {
	const ws = await open();
	const before = (await stats()).drained;
	ws.socket.pause();
	ws.send("burst 200 90000"); // 18 MB
	await sleep(300);
	const s = await stats();
	assert.ok(s.mostPending > 10_000_000);
	assert.equal(s.drained, before);
	const other = await open(); // others are served meanwhile
	other.send("hello");
	assert.equal((await other.next()).text, "hello");
	other.destroy();
	ws.socket.resume();
	let bytes = 0;
	ws.socket.on("data", (d) => (bytes += d.length));
	ws.bytes = Buffer.alloc(0);
	for (let i = 0; i < 500 && bytes < 200 * 90000; i++) await sleep(10), (ws.bytes = Buffer.alloc(0));
	await sleep(50);
	assert.equal((await stats()).drained, before + 2); // this one's and the other's
	ws.destroy();
});

test("a long message to one client, who reads it as fast as it can, does not hold the others up", async () => {
	const total = 100_000_000;
	const greedy = await open(), other = await open();
	let bytes = 0;
	greedy.socket.removeAllListeners("data").on("data", (d) => (bytes += d.length));
	greedy.send(`burst 1 ${total}`);
	for (let i = 0; i < 300 && !bytes; i++) await sleep(10);
	assert.ok(bytes, "it has not begun");
	for (let i = 0; i < 5; i++) {
		other.send(`echo ${i}`);
		assert.equal((await other.next()).text, `echo ${i}`);
	}
	assert.ok(bytes < total, "the others came when it was over");
	for (let i = 0; i < 3000 && bytes < total; i++) await sleep(10);
	assert.ok(bytes >= total);
	greedy.destroy();
	other.destroy();
});

test("a connection that breaks with a full queue", async () => {
	const ws = await open();
	ws.socket.pause();
	ws.send("burst 100 90000");
	await sleep(100);
	const before = (await stats()).closed;
	ws.socket.resetAndDestroy();
	await sleep(100);
	assert.equal((await stats()).closed, before + 1);
});

test("a connection that ends without a close frame", async () => {
	const ws = await open();
	ws.send("half a mess", TEXT, { fin: false });
	await sleep(20);
	const before = (await stats()).closed;
	ws.socket.end();
	await ws.end();
	const s = await stats();
	assert.equal(s.closed, before + 1);
	assert.match(s.last, /without a close frame/);
});

test("signs of life: a ping after silence, the end after twice that; pongs and messages keep it open", async () => {
	const quick = await startServer(binary, MAX, 200);
	const alive = await WebSocketRaw.open(quick.port);
	const silent = await WebSocketRaw.open(quick.port);
	const from = Date.now();
	assert.equal((await silent.next()).opcode, PING);
	assert.ok(Date.now() - from >= 150);
	for (let i = 0; i < 4; i++) {
		const ping = await alive.next();
		assert.equal(ping.opcode, PING);
		alive.send(ping.payload, PONG);
	}
	const bye = await silent.next();
	assert.deepEqual([bye.code, bye.reason], [1001, "no sign of life"]);
	assert.equal((await getJson(quick.port, "/stats")).last, "no sign of life");
	await quick.stop();
	assert.equal((await alive.until(() => alive.next(), 1000)).opcode !== undefined, true);
});

test("a slow but steady reader outlives the silence limit", async () => {
	const quick = await startServer(binary, MAX, 200);
	const ws = await WebSocketRaw.open(quick.port);
	ws.socket.pause();
	ws.send("burst 3000 90000");
	for (let i = 0; i < 12; i++) {
		await sleep(100);
		ws.socket.resume();
		await sleep(2);
		ws.socket.pause();
		ws.bytes = Buffer.alloc(0);
	}
	assert.equal((await getJson(quick.port, "/stats")).closed, 0);
	ws.destroy();
	await quick.stop();
});

test("max_connections: one more is told so", async () => {
	const small = await startServer(binary, MAX, 25000, 3);
	const held = await Promise.all([1, 2, 3].map(() => WebSocketRaw.open(small.port)));
	const extra = new Raw(small.port);
	const answer = await extra.response();
	assert.equal(answer.status, 503);
	assert.equal(JSON.parse(answer.body).error.code, "too_many_connections");
	assert.match(JSON.parse(answer.body).error.message, /max_connections/);
	held[0].destroy();
	await sleep(50);
	const again = await WebSocketRaw.open(small.port);
	assert.equal(again.answer.status, 101);
	await small.stop();
});

test("stopping closes sockets with 1001 and leaks nothing", async () => {
	const other = await startServer(binary, MAX);
	const ws = await WebSocketRaw.open(other.port);
	const mute = await WebSocketRaw.open(other.port);
	mute.socket.pause();
	mute.send("burst 100 90000");
	await sleep(50);
	const from = Date.now();
	const stopped = other.stop();
	const got = await ws.next();
	assert.equal(got.code, 1001);
	ws.socket.end();
	await stopped;
	assert.ok(Date.now() - from < 3000);
});

test("the server ends cleanly", () => server.stop());
await run();
