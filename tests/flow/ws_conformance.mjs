// RFC 6455 and RFC 7692 section by section, over a raw socket against the echo of net_server.  node ws_conformance.mjs [net_server]
// MILLRACE_LONG: more sizes and more random rounds.
import assert from "node:assert/strict";
import zlib from "node:zlib";
import { startServer, Raw, WebSocketRaw, deflate, inflate, frame, getJson, fetchRaw, UPGRADE, test, run, CONT, TEXT, BINARY, CLOSE, PING, PONG } from "../lib/net_client.mjs";

const binary = process.argv[2] ?? `${process.env.MILLRACE_BUILD}/fanout/net_server`;
const long = !!process.env.MILLRACE_LONG;
const MAX = 300_000;
const server = await startServer(binary, MAX, ...(Raw.tls ? [25000, 1000, "", 0, ...Raw.tls.files] : []));
const open = (headers) => WebSocketRaw.open(server.port, headers);
const openBinary = (headers) => open({ "Sec-WebSocket-Protocol": "millrace.v1.msgpack", ...headers });
const DEFLATE = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };
async function openDeflating(headers) {
	const ws = await open({ ...DEFLATE, ...headers });
	ws.deflates = true;
	return ws;
}

// A stream of numbers that is the same in every run.
let seed = 1;
const random = (n) => (seed = (seed * 48271) % 0x7fffffff) % n;
const bytesOf = (n) => Buffer.from(Array.from({ length: n }, () => random(256)));
const textOf = (n) => Array.from({ length: n }, () => "etaoin shrdlu {}:\"0123456789"[random(28)]).join("");

/** Sends bytes in pieces of n. */
async function chopped(ws, bytes, n) {
	for (let i = 0; i < bytes.length; i += n) {
		ws.write(bytes.subarray(i, i + n));
		if (i % (50 * n) === 0) await new Promise((done) => setImmediate(done));
	}
}
async function echoes(ws, text, opcode = TEXT) {
	const got = await ws.next();
	assert.equal(got?.opcode, opcode, JSON.stringify(got)?.slice(0, 200));
	if (typeof text === "string") assert.ok(got.text === text, `${got.text.slice(0, 80)} instead of ${text.slice(0, 80)}`);
	else assert.ok(got.payload.equals(text), "another payload came back");
	return got;
}
/** Expects a close frame with this code (undefined: an empty one) as the next frame but pongs, and that nothing follows it. */
async function closes(ws, code) {
	let got;
	do got = await ws.next();
	while (got?.opcode === PONG);
	assert.equal(got?.opcode, CLOSE, `expected a close frame, got ${JSON.stringify(got)?.slice(0, 200)}`);
	assert.equal(got.code, code, got.reason);
	if (got.reason) assert.equal(Buffer.from(got.reason).toString(), got.payload.subarray(2).toString());
	ws.send(got.payload.subarray(0, 2), CLOSE);
	ws.socket.end();
	await ws.end();
	assert.equal(ws.error, null);
	assert.equal(ws.bytes.length, 0, "bytes behind the close frame");
	return got;
}
async function refused(bytes, code, opened = open()) {
	const ws = await opened;
	ws.write(bytes);
	return closes(ws, code);
}
const closing = (code, reason = "") => Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);

// --- 4: opening handshake ---

for (const [what, headers] of [
	["tokens in any case", { Upgrade: "WebSocket", Connection: "upgrade" }],
	["Connection with other tokens", { Connection: "keep-alive, Upgrade" }],
	["unknown header fields are passed over", { Origin: "https://elsewhere.example", "X-Whatever": "1", Cookie: "a=b" }],
	["another key", { "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==" }],
])
	test(`4.2.1: taken: ${what}`, async () => {
		const ws = await open(headers);
		assert.equal(ws.answer.status, 101);
		assert.match(ws.answer.headers.upgrade, /^websocket$/i);
		assert.match(ws.answer.headers.connection, /^upgrade$/i);
		ws.send("hello");
		await echoes(ws, "hello");
		ws.destroy();
	});

test("4.2.2: Sec-WebSocket-Accept of the RFC's example and of its other key", async () => {
	for (const [key, accept] of [["dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], ["x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="]]) {
		const ws = await open({ "Sec-WebSocket-Key": key });
		assert.equal(ws.answer.headers["sec-websocket-accept"], accept);
		ws.destroy();
	}
});

for (const [section, what, headers, status] of [
	["4.2.1", "no Host", { Host: null }, 400],
	["4.2.1", "no Upgrade", { Upgrade: null }, 426],
	["4.2.1", "another Upgrade", { Upgrade: "h2c" }, 426],
	["4.2.1", "Connection without the token", { Connection: "keep-alive" }, 426],
	["4.2.1", "no key", { "Sec-WebSocket-Key": null }, 400],
	["4.2.1", "a key of 15 bytes", { "Sec-WebSocket-Key": Buffer.alloc(15).toString("base64") }, 400],
	["4.2.1", "a key of 17 bytes", { "Sec-WebSocket-Key": Buffer.alloc(17).toString("base64") }, 400],
	["4.2.1", "no version", { "Sec-WebSocket-Version": null }, 426],
	["4.4", "version 8", { "Sec-WebSocket-Version": "8" }, 426],
	["4.4", "version 14", { "Sec-WebSocket-Version": "14" }, 426],
	["4.2.2", "no subprotocol that we know", { "Sec-WebSocket-Protocol": "chat, superchat" }, 400],
	["9.1", "extensions not by the grammar", { "Sec-WebSocket-Extensions": "permessage-deflate; =" }, 400],
	["9.1", "a quote that does not end", { "Sec-WebSocket-Extensions": 'foo; bar="baz' }, 400],
])
	test(`${section}: refused: ${what}`, async () => {
		const ws = await open(headers);
		assert.equal(ws.answer.status, status);
		if (status === 426) assert.equal(ws.answer.headers["sec-websocket-version"], "13");
		ws.destroy();
	});

test("4.2.1: refused: POST", async () => {
	assert.equal((await fetchRaw(server.port, "POST", "/api/sync", { ...UPGRADE, Connection: "Upgrade" })).status, 405);
});

test("4.2.2: one subprotocol is answered, the first in the client's order that we know", async () => {
	for (const [offer, chosen] of [["a, millrace.v1.json, millrace.v1.msgpack", "millrace.v1.json"], ["millrace.v1.msgpack,millrace.v1.json", "millrace.v1.msgpack"]]) {
		const ws = await open({ "Sec-WebSocket-Protocol": offer });
		assert.equal(ws.answer.headers["sec-websocket-protocol"], chosen);
		ws.destroy();
	}
});

// --- 5.1, 5.2, 5.3: framing ---

for (const [what, bytes] of [
	["text", frame(TEXT, "x", { mask: false })],
	["a continuation", Buffer.concat([frame(TEXT, "x", { fin: false }), frame(CONT, "y", { mask: false })])],
	["a ping", frame(PING, "", { mask: false })],
	["a pong", frame(PONG, "", { mask: false })],
	["a close frame", frame(CLOSE, closing(1000), { mask: false })],
])
	test(`5.1: not masked: ${what}`, () => refused(bytes, 1002));

test("5.3: every byte of the mask counts, a mask of zeros too", async () => {
	const ws = await open();
	for (const key of [[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [1, 2, 3, 4]]) {
		const payload = Buffer.from("masked with any key, also over the words of a machine");
		ws.write(Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, ...key]), payload.map((c, i) => c ^ key[i & 3])]));
		await echoes(ws, payload.toString());
	}
	ws.destroy();
});

for (let rsv = 1; rsv < 8; rsv++)
	test(`5.2: reserved bits ${rsv.toString(2).padStart(3, "0")} without an extension`, async () => {
		for (const [opcode, payload] of [[TEXT, "x"], [BINARY, "x"], [PING, ""], [PONG, "x"], [CLOSE, closing(1000)]]) await refused(frame(opcode, payload, { rsv }), 1002);
		await refused(Buffer.concat([frame(TEXT, "x", { fin: false }), frame(CONT, "y", { rsv })]), 1002);
	});

for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
	test(`5.2: opcode ${opcode}`, async () => {
		await refused(frame(opcode, ""), 1002);
		await refused(frame(opcode, "payload"), 1002);
		await refused(Buffer.concat([frame(TEXT, "a", { fin: false }), frame(opcode, "b")]), 1002);
		// What came before it is answered.
		const ws = await open();
		ws.write(Buffer.concat([frame(TEXT, "before"), frame(opcode, "b"), frame(PING, "after")]));
		const first = await ws.next();
		if (first.opcode === TEXT) await closes(ws, 1002);
		else assert.equal(first.code, 1002); // the protocol was broken before the answer was on its way
		ws.destroy();
	});

test("5.2: lengths are written in the shortest form", async () => {
	for (const n of [0, 1, 125]) await refused(Buffer.from([0x81, 0xfe, 0, n, 0, 0, 0, 0]), 1002);
	for (const n of [0, 125, 126, 65535]) {
		const b = Buffer.alloc(14);
		b[0] = 0x81;
		b[1] = 0xff;
		b.writeUInt32BE(n, 6);
		await refused(b, 1002);
	}
	await refused(Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1002);
});

const sizes = [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 124, 125, 126, 127, 128, 129, 255, 256, 65531, 65532, 65533, 65534, 65535, 65536, 65537, 131064, 131065, MAX - 1, MAX];
for (const [name, opener, opcode, make] of [["text", open, TEXT, textOf], ["binary", openBinary, BINARY, bytesOf]])
	test(`5.2: ${name} of every size around the borders, whole, in pieces and byte by byte`, async () => {
		const ws = await opener();
		for (const n of sizes) {
			const payload = make(n), bytes = frame(opcode, payload);
			ws.write(bytes);
			await echoes(ws, payload, opcode);
			await chopped(ws, bytes, n < 300 ? 1 : 4093);
			await echoes(ws, payload, opcode);
		}
		ws.destroy();
	});

test("5.2: many frames in one segment, and a header cut at each place", async () => {
	const ws = await open();
	ws.write(Buffer.concat(Array.from({ length: 300 }, (_, i) => frame(TEXT, `message ${i}`))));
	for (let i = 0; i < 300; i++) await echoes(ws, `message ${i}`);
	for (const n of [5, 200, 70_000]) {
		const payload = textOf(n), bytes = frame(TEXT, payload);
		for (let cut = 1; cut < 16; cut++) {
			ws.write(bytes.subarray(0, cut));
			await new Promise((done) => setTimeout(done, 1));
			ws.write(bytes.subarray(cut));
			await echoes(ws, payload);
		}
	}
	ws.destroy();
});

// --- 5.4: fragmentation ---

test("5.4: a message in fragments of every kind of size", async () => {
	const ws = await open();
	for (const pieces of [["a", "b"], ["", "b"], ["a", ""], ["", ""], ["", "", ""], ["a", "", "c"], ["", "b", ""], Array(200).fill("x"), [textOf(70_000), textOf(70_000)], [textOf(65_535), "y", textOf(126)]]) {
		for (const [i, p] of pieces.entries()) ws.send(p, i ? CONT : TEXT, { fin: i === pieces.length - 1 });
		await echoes(ws, pieces.join(""));
	}
	ws.destroy();
});

test("5.4: control frames between fragments are answered at once, and belong to no message", async () => {
	const ws = await open();
	ws.send("one ", TEXT, { fin: false });
	ws.send("p", PING);
	assert.equal((await ws.next()).text, "p"); // before the message is over
	ws.send("two ", CONT, { fin: false });
	ws.send("unasked", PONG);
	ws.send("three", CONT);
	await echoes(ws, "one two three");
	const bytes = Buffer.concat([frame(TEXT, "Hel", { fin: false }), frame(PING, "in between"), frame(CONT, "lo")]);
	await chopped(ws, bytes, 1);
	assert.equal((await ws.next()).text, "in between");
	await echoes(ws, "Hello");
	ws.destroy();
});

for (const [what, bytes] of [
	["a continuation of nothing", frame(CONT, "x")],
	["a continuation of nothing that does not end", frame(CONT, "x", { fin: false })],
	["a continuation after a whole message", Buffer.concat([frame(TEXT, "x"), frame(CONT, "y")]).subarray(7)],
	["text within a fragmented message", Buffer.concat([frame(TEXT, "x", { fin: false }), frame(TEXT, "y")])],
	["text that does not end within one that does not", Buffer.concat([frame(TEXT, "x", { fin: false }), frame(TEXT, "y", { fin: false })])],
	["binary within a fragmented text", Buffer.concat([frame(TEXT, "x", { fin: false }), frame(BINARY, "y")])],
])
	test(`5.4: refused: ${what}`, () => refused(bytes, 1002));

test("5.4: our long messages come in fragments of at most 64 KiB", async () => {
	const ws = await open();
	for (const [n, fragments] of [[65_532, 1], [65_533, 2], [131_064, 2], [131_065, 3], [MAX, 5]]) {
		const text = textOf(n);
		ws.send(text);
		assert.equal((await echoes(ws, text)).fragments, fragments);
	}
	ws.destroy();
});

/** Lets a message of 30 MB begin to a client that does not read, so that most of it waits in the server. */
async function halfOut(ws) {
	const sent = async () => (await getJson(server.port, "/stats")).sent; // the answer itself is a few hundred bytes
	const moment = () => new Promise((done) => setTimeout(done, 50));
	const from = await sent();
	ws.socket.pause();
	ws.send("burst 1 30000000");
	while (await sent() < from + 100_000) await moment();
	for (let before = from, now; (now = await sent()) > before + 50_000; before = now) await moment();
}

test("5.4, 5.5.2: a pong is not held up by a long message", async () => {
	const ws = await open();
	await halfOut(ws);
	ws.send("now", PING);
	ws.socket.resume();
	let bytes = 0, pong;
	for (let got; !(got = await ws.nextFrame(20_000)).fin || got.opcode === PONG; ) {
		if (got.opcode === PONG) pong = [got.text, bytes];
		else bytes += got.payload.length;
	}
	assert.equal(pong?.[0], "now");
	assert.ok(pong[1] > 0 && pong[1] < bytes, `the pong came at ${pong[1]} of ${bytes}`);
	ws.destroy();
});

test("5.4, 5.5.1: nor is a close frame, and what the client would no longer read is not sent", async () => {
	const ws = await open();
	await halfOut(ws);
	ws.send(closing(1000), CLOSE);
	ws.socket.resume();
	let got, bytes = 0;
	while ((got = await ws.nextFrame(20_000)).opcode !== CLOSE) bytes += got.payload.length;
	assert.equal(got.code, 1000);
	assert.ok(bytes < 30_000_000, "the whole message was sent first");
	await ws.end();
	assert.equal(ws.bytes.length, 0);
});

// --- 5.5: control frames ---

test("5.5: payloads of control frames up to 125 bytes", async () => {
	const ws = await open();
	for (const n of [0, 1, 124, 125]) {
		const payload = bytesOf(n); // need not be text
		ws.send(payload, PING);
		const pong = await ws.next();
		assert.equal(pong.opcode, PONG);
		assert.ok(pong.payload.equals(payload));
	}
	await chopped(ws, frame(PING, "byte by byte"), 1);
	assert.equal((await ws.next()).text, "byte by byte");
	ws.destroy();
	for (const opcode of [PING, PONG, CLOSE]) {
		await refused(frame(opcode, closing(1000, "x".repeat(124))), 1002);
		await refused(frame(opcode, "", { length: 65536 }), 1002);
	}
});

test("5.5: control frames are not fragmented", async () => {
	for (const opcode of [PING, PONG, CLOSE]) {
		await refused(frame(opcode, "", { fin: false }), 1002);
		await refused(Buffer.concat([frame(opcode, closing(1000), { fin: false }), frame(CONT, "x")]), 1002);
	}
});

test("5.5.2, 5.5.3: of many pings the last is answered, none is answered wrongly; pongs unasked for are passed over", async () => {
	const ws = await open();
	ws.write(Buffer.concat(Array.from({ length: 10 }, (_, i) => frame(PING, `ping ${i}`))));
	let last = -1;
	while (last < 9) {
		const pong = await ws.next();
		assert.equal(pong.opcode, PONG);
		const i = Number(/^ping (\d)$/.exec(pong.text)[1]);
		assert.ok(i > last);
		last = i;
	}
	ws.write(Buffer.concat([frame(PONG, ""), frame(PONG, "unasked"), frame(TEXT, "and a message")]));
	await echoes(ws, "and a message");
	ws.destroy();
});

// --- 5.6, 8.1: text is UTF-8 ---

const valid = [
	"hello", "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\u0000", "\u007f", "\u0080", "\u07ff", "\u0800", "\uffff", "\u{10000}", "\u{10ffff}", "\ud7ff", "\ue000", "\ufffd",
	"\ufffe\uffff", "\u{1fffe}\u{2ffff}\u{ffffe}", "\ufdd0\ufdef", "\u0091", "🎈👩‍👩‍👧‍👦", "中文字符", "ا", "𐌰𐌱",
].map((s) => Buffer.from(s));
const invalid = [
	"80", "bf", "8081", "8081828384", "c0", "c1", "c2", "c220", "c0af", "c080", "c1bf", "e08080", "e09fbf", "e080af", "f0808080", "f08fbfbf", "f08080af", "fc80808080af", "fe", "ff", "feff",
	"eda080", "edadbf", "edae80", "edaf80", "edb080", "edbe80", "edbfbf", "eda080edb080", "edafbfedbfbf", "f4908080", "f5808080", "f8888080", "f888808080", "fc8480808080", "e0", "e1", "e180",
	"f0", "f1", "f180", "f18080", "cebae1bdb9cf83cebcceb5eda080656469746564", "cebae1bdb9cf83cebcceb5f4908080656469746564", "e28228", "c328", "e228a1", "f0288cbc", "f09028bc", "f0288c28",
].map((s) => Buffer.from(s, "hex"));

test("5.6, 8.1: valid text, whole and with a fragment's border and a segment's border at each byte", async () => {
	const ws = await open();
	for (const bytes of valid) {
		ws.send(bytes);
		await echoes(ws, bytes);
		for (let cut = 0; cut <= bytes.length; cut++) {
			ws.send(bytes.subarray(0, cut), TEXT, { fin: false }).send(bytes.subarray(cut), CONT);
			await echoes(ws, bytes);
		}
		await chopped(ws, frame(TEXT, bytes), 1);
		await echoes(ws, bytes);
	}
	ws.destroy();
});

for (const bytes of invalid)
	test(`8.1: invalid text ${bytes.toString("hex")}`, async () => {
		await refused(frame(TEXT, bytes), 1007);
		await refused(frame(TEXT, Buffer.concat([Buffer.from("before κόσμε "), bytes, Buffer.from(" after")])), 1007);
		const cut = 1 + random(bytes.length);
		await refused(Buffer.concat([frame(TEXT, bytes.subarray(0, cut), { fin: false }), frame(CONT, bytes.subarray(cut))]), 1007);
		const ws = await open();
		await chopped(ws, frame(TEXT, bytes), 1);
		await closes(ws, 1007);
	});

test("8.1: text is refused as soon as it cannot become valid, before the frame or the message ends", async () => {
	for (const hex of ["cebaeda0", "f490", "c080", "616263ff"]) {
		const bytes = Buffer.from(hex, "hex");
		await refused(frame(TEXT, bytes, { fin: false }), 1007);
		await refused(frame(TEXT, Buffer.concat([bytes, Buffer.alloc(1000)])).subarray(0, 8 + bytes.length), 1007); // the rest never comes
	}
});

test("5.6: binary may be any bytes; the other kind of data is refused with 1003", async () => {
	const ws = await openBinary();
	for (const bytes of invalid) {
		ws.send(bytes, BINARY);
		await echoes(ws, bytes, BINARY);
	}
	ws.destroy();
	await refused(frame(TEXT, "x"), 1003, openBinary());
	await refused(frame(BINARY, "x"), 1003);
});

// --- 5.5.1, 7: closing ---

test("5.5.1: a close frame is answered with its code, and the server ends the connection", async () => {
	for (const [payload, code] of [["", undefined], [closing(1000), 1000], [closing(1000, "bye"), 1000], [closing(1001, "κόσμε"), 1001], [closing(4999, "x".repeat(123)), 4999]]) {
		const ws = await open();
		ws.send(payload, CLOSE);
		const got = await ws.next();
		assert.deepEqual([got.opcode, got.code], [CLOSE, code]);
		await ws.end();
		assert.equal(ws.error, null);
		assert.equal(ws.bytes.length, 0);
	}
});

test("5.5.1: after a close frame nothing is heard or said", async () => {
	const ws = await open();
	ws.write(Buffer.concat([frame(CLOSE, closing(1000)), frame(PING, "after"), frame(TEXT, "after"), frame(3, "after"), frame(CLOSE, closing(1001))]));
	assert.equal((await ws.next()).code, 1000);
	await ws.end();
	assert.equal(ws.bytes.length, 0);
	const half = await open(); // a message that never ended
	half.send("never ended", TEXT, { fin: false });
	half.send(closing(1000), CLOSE);
	assert.equal((await half.next()).code, 1000);
	await half.end();
});

test("5.5.1, 7.1.2: our close frame comes after what was said before, and nothing after it; answers of the client end it", async () => {
	const ws = await open();
	ws.send("die");
	await echoes(ws, "last words");
	await closes(ws, 1000);
	const deaf = await open();
	deaf.send("close 4321 enough");
	const got = await deaf.next();
	assert.deepEqual([got.code, got.reason], [4321, "enough"]);
	deaf.send("still talking").send("p", PING).send(closing(4321), CLOSE);
	deaf.socket.end();
	await deaf.end();
	assert.equal(deaf.bytes.length, 0);
});

test("7.1.1: the server closes the TCP connection first", async () => {
	const ws = await open();
	ws.send(closing(1000), CLOSE);
	await ws.next();
	await ws.end(); // our side is still open
	assert.equal(ws.socket.writableEnded, false);
	ws.destroy();
});

for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
	test(`7.4: close code ${code} is taken`, async () => {
		const ws = await open();
		ws.send(closing(code, "why"), CLOSE);
		assert.equal((await ws.next()).code, code);
		await ws.end();
	});
for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 32768, 65535])
	test(`7.4.1, 7.4.2: close code ${code} is refused`, async () => {
		await refused(frame(CLOSE, closing(code)), 1002);
		await refused(frame(CLOSE, closing(code, "why")), 1002);
	});

test("7.1.6, 5.5.1: reasons: one byte, not UTF-8, cut within a character", async () => {
	await refused(frame(CLOSE, Buffer.from([3])), 1002);
	for (const bytes of invalid.slice(0, 20)) await refused(frame(CLOSE, Buffer.concat([closing(1000), bytes])), 1007);
	await refused(frame(CLOSE, Buffer.concat([closing(1000), Buffer.alloc(122, "x"), Buffer.from("ce", "hex")])), 1007);
});

// --- 10.4: limits ---

test("10.4: a message of max_frame is taken, one byte more is refused with 1009, whole or in fragments", async () => {
	const ws = await open();
	const text = textOf(MAX);
	ws.send(text);
	await echoes(ws, text);
	ws.send(text.slice(0, 1000), TEXT, { fin: false }).send(text.slice(1000), CONT);
	await echoes(ws, text);
	ws.destroy();
	await refused(frame(TEXT, "", { length: MAX + 1 }), 1009);
	await refused(Buffer.concat([frame(TEXT, text, { fin: false }), frame(CONT, "x")]), 1009);
	await refused(Buffer.concat([frame(TEXT, "x", { fin: false }), frame(CONT, "", { length: MAX })]), 1009);
	await refused(frame(TEXT, "", { length: 2 ** 40 }), 1009);
});

// --- RFC 7692: permessage-deflate ---

const ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
for (const [section, offer, answer] of [
	["7692 5.1", "permessage-deflate", ANSWER],
	["7692 5.1", "permessage-deflate; client_max_window_bits", ANSWER],
	["7692 5.1", "x-webkit-deflate-frame, permessage-deflate", ANSWER],
	["7692 5.1", "permessage-deflate; unknown, permessage-deflate", ANSWER],
	["7692 5.1", "permessage-bzip2", undefined],
	["7692 7", "permessage-deflate; unknown", undefined],
	["7692 7", "permessage-deflate; unknown=1", undefined],
	["7692 7", "permessage-deflate; client_no_context_takeover; client_no_context_takeover", undefined],
	["7692 7.1.1.1", "permessage-deflate; server_no_context_takeover", ANSWER],
	["7692 7.1.1.1", "permessage-deflate; server_no_context_takeover=1", undefined],
	["7692 7.1.1.2", "permessage-deflate; client_no_context_takeover", ANSWER],
	["7692 7.1.1.2", "permessage-deflate; client_no_context_takeover=true", undefined],
	["7692 7.1.2.1", "permessage-deflate; server_max_window_bits=15", `${ANSWER}; server_max_window_bits=15`],
	["7692 7.1.2.1", 'permessage-deflate; server_max_window_bits="10"', `${ANSWER}; server_max_window_bits=10`],
	["7692 7.1.2.1", "permessage-deflate; server_max_window_bits=8", `${ANSWER}; server_max_window_bits=8`],
	["7692 7.1.2.1", "permessage-deflate; server_max_window_bits", undefined],
	["7692 7.1.2.1", "permessage-deflate; server_max_window_bits=7", undefined],
	["7692 7.1.2.1", "permessage-deflate; server_max_window_bits=16", undefined],
	["7692 7.1.2.1", "permessage-deflate; server_max_window_bits=08", undefined],
	["7692 7.1.2.1", "permessage-deflate; server_max_window_bits=7, permessage-deflate", ANSWER],
	["7692 7.1.2.2", "permessage-deflate; client_max_window_bits=8", ANSWER],
	["7692 7.1.2.2", "permessage-deflate; client_max_window_bits=15", ANSWER],
	["7692 7.1.2.2", "permessage-deflate; client_max_window_bits=7", undefined],
	["7692 7.1.2.2", "permessage-deflate; client_max_window_bits=16", undefined],
	["7692 7.1.2.2", 'permessage-deflate; client_max_window_bits="x"', undefined],
])
	test(`${section}: offer ${offer}`, async () => {
		const ws = await open({ "Sec-WebSocket-Extensions": offer });
		assert.equal(ws.answer.status, 101);
		assert.equal(ws.answer.headers["sec-websocket-extensions"], answer);
		ws.send("as it is");
		await echoes(ws, "as it is");
		if (answer) {
			ws.send(deflate("deflated", { windowBits: 9 }), TEXT, { rsv: 4 });
			await echoes(ws, "deflated");
			ws.destroy();
		} else {
			ws.write(frame(TEXT, deflate("deflated"), { rsv: 4 }));
			await closes(ws, 1002);
		}
	});

test("7692 6.2: RSV1 stands on the first frame of a deflated message, and nowhere else", async () => {
	const bytes = deflate(textOf(500));
	const opened = () => openDeflating();
	await refused(Buffer.concat([frame(TEXT, bytes.subarray(0, 9), { fin: false, rsv: 4 }), frame(CONT, bytes.subarray(9), { rsv: 4 })]), 1002, opened());
	await refused(Buffer.concat([frame(TEXT, "x", { fin: false }), frame(CONT, "y", { rsv: 4 })]), 1002, opened());
	for (const opcode of [PING, PONG, CLOSE]) await refused(frame(opcode, "", { rsv: 4 }), 1002, opened());
	for (const rsv of [1, 2, 3, 5, 6, 7]) await refused(frame(TEXT, bytes, { rsv }), 1002, opened());
	const ws = await openDeflating(); // both kinds in turn
	for (let i = 0; i < 5; i++) {
		ws.send(deflate(`deflated ${i}`), TEXT, { rsv: 4 }).send(`plain ${i}`);
		await echoes(ws, `deflated ${i}`);
		await echoes(ws, `plain ${i}`);
	}
	ws.destroy();
});

test("7692 6.1, 6.2: deflated messages of all sizes, both ways, whole, in fragments and byte by byte", async () => {
	const ws = await openDeflating();
	for (const n of [...sizes.filter((n) => long || n < 300 || n > 65_530), 1000, 1023, 1024, 1025, 5000]) {
		const text = textOf(n), bytes = deflate(text);
		ws.send(bytes, TEXT, { rsv: 4 });
		assert.equal((await echoes(ws, text)).rsv, n >= 1024 ? 4 : 0);
		const cut = random(bytes.length + 1);
		ws.send(bytes.subarray(0, cut), TEXT, { fin: false, rsv: 4 }).send("between", PING).send("", CONT, { fin: false }).send(bytes.subarray(cut), CONT);
		assert.equal((await ws.next()).text, "between");
		await echoes(ws, text);
		await chopped(ws, frame(TEXT, bytes, { rsv: 4 }), n < 3000 ? 1 : 4093);
		await echoes(ws, text);
	}
	ws.destroy();
});

test("7692 7.1.1.1: each of our messages inflates by itself", async () => {
	const ws = await openDeflating();
	const text = textOf(3000);
	const seen = [];
	for (let i = 0; i < 5; i++) {
		ws.send(text);
		const got = await ws.nextFrame();
		assert.equal(got.rsv, 4);
		assert.equal(inflate(got.payload).toString(), text);
		seen.push(got.payload.length);
	}
	assert.equal(new Set(seen).size, 1, "a later message was shorter: it looked back at the one before");
	ws.destroy();
});

test("7692 7.1.2.1: a client with a smaller window gets nothing that needs a larger one", async () => {
	for (let bits = 8; bits <= 15; bits++) {
		const ws = await open({ "Sec-WebSocket-Extensions": `permessage-deflate; server_max_window_bits=${bits}` });
		ws.deflates = true;
		const text = textOf(20_000).repeat(3);
		ws.send(deflate(text), TEXT, { rsv: 4 });
		assert.equal((await echoes(ws, text)).rsv, bits === 15 ? 4 : 0);
		ws.destroy();
	}
});

test("7692 7.1.2.2, 7.2.1: however the client deflates", async () => {
	const ws = await openDeflating();
	const text = `${textOf(3000)}${"a".repeat(40_000)}${textOf(3000)}`;
	const { Z_FIXED, Z_RLE, Z_HUFFMAN_ONLY, Z_FILTERED } = zlib.constants;
	const ways = [...[9, 10, 11, 12, 13, 14, 15].map((windowBits) => ({ windowBits })), ...[0, 1, 5, 9].map((level) => ({ level })), ...[1, 9].map((memLevel) => ({ memLevel })), ...[Z_FIXED, Z_RLE, Z_HUFFMAN_ONLY, Z_FILTERED].map((strategy) => ({ strategy }))];
	for (const how of ways)
		for (const t of ["", "a", text]) {
			ws.send(deflate(t, how), TEXT, { rsv: 4 });
			await echoes(ws, t);
		}
	ws.destroy();
});

for (const [section, what, hex, text] of [
	["7692 7.2.3.1", "one block", "f248cdc9c90700", "Hello"],
	["7692 7.2.3.3", "a block without compression", "000500faff48656c6c6f00", "Hello"],
	["7692 7.2.3.4", "a final block", "f348cdc9c9070000", "Hello"],
	["7692 7.2.3.5", "two blocks", "f248050000 00ffff cac9c90700".replaceAll(" ", ""), "Hello"],
	["7692 7.2.3.6", "an empty message", "00", ""],
	["7692 7.2.3.6", "an empty message in another form", "0200", ""],
])
	test(`${section}: the RFC's example: ${what}`, async () => {
		const ws = await openDeflating(), bytes = Buffer.from(hex, "hex");
		ws.send(bytes, TEXT, { rsv: 4 });
		await echoes(ws, text);
		ws.send(bytes.subarray(0, 3), TEXT, { rsv: 4, fin: false }).send(bytes.subarray(3), CONT); // 7.2.3.1: in fragments
		await echoes(ws, text);
		ws.destroy();
	});

for (const [what, hex] of [
	["a look back into the message before (7.2.3.2)", "f200110000"],
	["no bytes", ""],
	["random bytes", "ffffffffff"],
	["a block of type 3", "0600"],
	["a stored block whose lengths disagree", "000500fbff48656c6c6f00"],
	["a stored block that is cut", "000500faff4865"],
	["a look back beyond the start", "4b04210000"],
])
	test(`7692 7.2.2: refused: ${what}`, async () => {
		const ws = await openDeflating();
		ws.send(deflate("Hello"), TEXT, { rsv: 4 });
		await echoes(ws, "Hello");
		ws.send(Buffer.from(hex, "hex"), TEXT, { rsv: 4 });
		await closes(ws, 1007);
	});

test("7692 7.2.2: a deflated message that is cut anywhere is refused or is another text, and harms nobody", async () => {
	const text = textOf(300), bytes = deflate(text);
	for (let n = 1; n < bytes.length - 1; n += 7) {
		const ws = await openDeflating();
		ws.send(bytes.subarray(0, n), TEXT, { rsv: 4 });
		const got = await ws.next();
		assert.ok(got.code === 1007 || text.startsWith(got.text), JSON.stringify(got));
		assert.notEqual(got.text, text);
		ws.destroy();
	}
});

test("7692, 8.1: text is checked after it is inflated", async () => {
	for (const bytes of invalid.slice(0, long ? invalid.length : 12)) await refused(frame(TEXT, deflate(Buffer.concat([Buffer.from("κόσμε"), bytes])), { rsv: 4 }), 1007, openDeflating());
	const ws = await openDeflating();
	for (const bytes of valid) {
		ws.send(deflate(bytes), TEXT, { rsv: 4 });
		await echoes(ws, bytes);
	}
	ws.destroy();
});

test("7692, 10.4: max_frame counts inflated bytes: what inflates to more is refused, however small it was", async () => {
	const ws = await openDeflating();
	for (const text of ["a".repeat(MAX), textOf(MAX)]) {
		ws.send(deflate(text), TEXT, { rsv: 4 });
		await echoes(ws, text);
	}
	ws.destroy();
	await refused(frame(TEXT, deflate("a".repeat(MAX + 1)), { rsv: 4 }), 1009, openDeflating());
	await refused(frame(TEXT, deflate(Buffer.alloc(50_000_000)), { rsv: 4 }), 1009, openDeflating());
	await refused(frame(TEXT, "", { rsv: 4, length: 2 * MAX }), 1009, openDeflating());
	const raw = await openDeflating({ "Sec-WebSocket-Protocol": "millrace.v1.msgpack" }); // bytes that do not shrink
	const bytes = bytesOf(MAX);
	raw.send(deflate(bytes), BINARY, { rsv: 4 });
	assert.equal((await echoes(raw, bytes, BINARY)).rsv, 0);
	raw.destroy();
});

test("random messages both ways, deflated or not, in random fragments with pings between them", async () => {
	const clients = [await open(), await openDeflating(), await openDeflating()];
	for (let round = 0; round < (long ? 2000 : 150); round++) {
		const ws = clients[random(clients.length)];
		const text = textOf(random(4) ? random(2000) : random(MAX)), rsv = ws.deflates && random(2) ? 4 : 0;
		const bytes = rsv ? deflate(text, { level: random(10) }) : Buffer.from(text);
		const parts = [];
		for (let at = 0; at < bytes.length || !parts.length; at += parts.at(-1).length) parts.push(bytes.subarray(at, at + 1 + random(bytes.length + 1)));
		const out = [];
		for (const [i, p] of parts.entries()) {
			out.push(frame(i ? CONT : TEXT, p, { fin: i === parts.length - 1, rsv: i ? 0 : rsv }));
			if (!random(3)) out.push(frame(random(2) ? PING : PONG, "x".repeat(random(126))));
		}
		await chopped(ws, Buffer.concat(out), 1 + random(50_000));
		let got;
		while ((got = await ws.next()).opcode === PONG);
		assert.ok(got.text === text, `round ${round}`);
	}
	for (const ws of clients) ws.destroy();
});

test("the server ends cleanly", () => server.stop());
await run();
