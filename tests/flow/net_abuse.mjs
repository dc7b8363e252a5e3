// Abuse of fanout/net.h: many sockets that send nonsense, stop reading and vanish at any moment. The sanitizers judge, and the counts of the
// callbacks: each WebSocket that was opened was closed.  node net_abuse.mjs [net_server]
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { startServer, Raw, WebSocketRaw, request, sleep, UPGRADE, getJson, test, run } from "../lib/net_client.mjs";

const binary = process.argv[2] ?? `${process.env.MILLRACE_BUILD}/fanout/net_server`;
const server = await startServer(binary, 20_000, 300);
const end = Date.now() + (process.env.MILLRACE_LONG ? 30_000 : 4_000);
const random = (n) => crypto.randomInt(n);
const leave = (raw) => (random(2) ? raw.destroy() : raw.socket.resetAndDestroy());

async function webSocket() {
	const ws = await WebSocketRaw.open(server.port);
	for (let i = random(8); i > 0; i--) {
		const kind = random(9);
		if (kind === 0) ws.write(crypto.randomBytes(random(300)));
		else if (kind === 1) ws.send(`burst ${random(200)} ${random(20_000)}`);
		else if (kind === 2) ws.send(`close ${1000 + random(4000)} x`);
		else if (kind === 3) ws.send("p".repeat(random(100)), 9);
		else if (kind === 4) ws.send("die");
		else if (kind === 5) ws.socket.pause();
		else if (kind === 6) ws.send("fragment", 1, { fin: false });
		else ws.send("x".repeat(random(30_000)));
		if (random(3) === 0) await sleep(random(30));
	}
	if (random(20) === 0) await sleep(900); // until it is given up
	leave(ws);
}

async function stream() {
	const raw = new Raw(server.port);
	raw.write(request("GET", `/stream?n=${random(50)}&size=${random(60_000)}${random(2) ? "&end=1" : ""}`));
	if (random(2)) raw.socket.pause();
	await sleep(random(60));
	if (random(2)) raw.socket.end();
	await sleep(random(20));
	leave(raw);
}

async function slow() {
	const raw = new Raw(server.port);
	raw.write(request("GET", `/slow?ms=${random(50)}`) + (random(2) ? request("GET", "/x") : ""));
	await sleep(random(60));
	leave(raw);
}

async function body() {
	const raw = new Raw(server.port);
	raw.write(request("POST", "/x", {}, "y".repeat(random(40_000))));
	await sleep(random(30));
	leave(raw);
}

async function cutUpgrade() {
	const raw = new Raw(server.port);
	raw.write(request("GET", "/api/sync", UPGRADE).slice(0, random(250)));
	await sleep(random(10));
	raw.write(crypto.randomBytes(50));
	leave(raw);
}

let done = 0;
async function abuse() {
	while (Date.now() < end) {
		const what = [webSocket, webSocket, webSocket, webSocket, stream, slow, body, cutUpgrade][random(8)];
		await what().catch(() => {}); // our own sockets break all the time here
		done++;
	}
}

test("the server outlives it, and every end was told", async () => {
	await Promise.all(Array.from({ length: 40 }, abuse));
	await sleep(1500);
	const s = await getJson(server.port, "/stats");
	console.log(`# ${done} visits: ${JSON.stringify(s)}`);
	assert.ok(s.opened > 50);
	assert.equal(s.closed, s.opened);
	await server.stop();
});
await run();
