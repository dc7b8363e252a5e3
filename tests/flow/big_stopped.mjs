// timeout: 240
// Clients that do not read: the server's memory is bounded, the others go on, and each is brought to now in one transition when it reads
// again. The same at full scale, with its figures: bench/stopped/run.
import assert from "node:assert/strict";
import { sanitized } from "../lib/cli.mjs";
import { run, test, WebSocketRaw } from "../lib/net_client.mjs";
import { Scene, sleep, until } from "../lib/stopped.mjs";

const LONG = Boolean(process.env.MILLRACE_LONG);
const STOPPED = LONG ? 500 : 40, RATE = LONG ? 10000 : 1000, SECONDS = LONG ? 60 : 3;
const PADDING = LONG ? 100 : 1500;
const SEND_BUFFER = 262144;
const scene = await Scene.start(["--log-level", "warn"], PADDING);
const { stack } = scene;
const readers = await scene.clients(LONG ? 20 : 5, false);
const mb = (bytes) => Math.round(bytes / 1048576);

/** What a client may have waiting: what makes it behind, and a transition with all that it watches. */
const ROW = 200 + PADDING; // in the one list of all rows, and in three short ones
// The address sanitizer keeps what was freed for a while (256 MB), and its shadow makes every byte dearer.
const bound = STOPPED * (SEND_BUFFER + 500 * ROW) + (64 << 20) + (sanitized() ? 512 << 20 : 0);

test("clients that stop reading cost a bounded amount of memory, and the others nothing; who reads again is brought to now in one transition", async () => {
	await scene.load(1, RATE, readers);
	const without = await scene.load(SECONDS, RATE, readers);
	const still = await scene.clients(STOPPED, true, readers.length);
	const base = scene.rss();
	for (const c of still) c.ws.pause();
	/* The kernel's buffers may grow, so that one who was behind takes a little more: until for two seconds nobody does. */
	let marked = 0, quiet = 0;
	const full = async () => {
		const [now, times] = [await stack.metric("millrace_sessions_behind"), await stack.metric("millrace_behind_total")];
		quiet = now >= STOPPED && times === marked ? quiet + 1 : 0;
		marked = times;
		return quiet >= 8;
	};
	await scene.load(120, RATE, readers, full);
	assert.ok(quiet >= 8, "all of them are full");
	const since = Math.max(...readers.map((r) => r.n));
	const within = await scene.load(SECONDS, RATE, readers);
	const most = Math.max(...within.rss) - base;
	console.log(`# ${without.rate} rows/s without and ${within.rate} with ${STOPPED} stopped clients; transitions of the others ${without.transitions} and ${within.transitions}; age p50/p99 ms ` +
		`${without.p50}/${without.p99} and ${within.p50}/${within.p99}; CPU of the fanout ${without.cpu.toFixed(2)} and ${within.cpu.toFixed(2)} s; ` +
		`memory +${Math.round(most)} MB of ${mb(bound)} allowed; TCP of the machine ${Math.round(within.kernel)} MB`);
	assert.ok(most * 1048576 < bound, `${most} MB more than before`);
	const [first, last] = [within.rss[Math.floor(within.rss.length / 3)], within.rss.at(-1)];
	assert.ok(last - first < 32 + (sanitized() ? 300 : 0), `flat: ${first} MB, then ${last} MB`);
	assert.ok(within.transitions > 0 && within.ages.length > 0, "the others are told");
	await scene.exact(readers);
	const back = await scene.readOn(still, since);
	console.log(`# all exact after ${back.took} ms`);
	assert.deepEqual(new Set(back.late), new Set([1]), "one transition from where each was to now");
	for (const c of still) assert.equal(c.closed, undefined, "nobody is disconnected for being slow");
	await little(still);
	for (const c of still) c.ws.terminate();
});

/** Away for little: what they hold is kept, and they are told what changed. Away for much: they are told all, which is less. */
async function little(clients) {
	const some = clients.slice(0, 20);
	await until("positions", async () => {
		stack.psql(`update "Item" set n = n + 1 where grp = 'g1' and n % 5 = 0`);
		await sleep(300);
		return some.every((c) => c.p !== undefined);
	});
	for (const c of some) c.ws.terminate();
	stack.psql(`update "Item" set n = n + 1 where grp = 'g2'; delete from "Item" where grp = 'g3' and id in (select id from "Item" where grp = 'g3' limit 1)`);
	const kept = await scene.comeBack(some);
	assert.ok(kept.kept > 0, JSON.stringify(kept));
	for (const c of some) c.ws.terminate();
	await scene.load(SECONDS, RATE, readers);
	const far = await scene.comeBack(some);
	console.log(`# away for two changes: ${kept.kept} queries kept, ${kept.full} told whole; for ${SECONDS} s: ${far.kept} and ${far.full}`);
}

test("who asks and asks without reading is not heard until it reads, and is answered all then", async () => {
	const ws = await WebSocketRaw.open(Number(new URL(stack.url).port), { "Sec-WebSocket-Protocol": "millrace.v1.json" });
	ws.send(JSON.stringify({ t: "hello", protocol: 1, session: "x".repeat(40) }));
	await ws.next();
	const before = scene.rss();
	ws.socket.pause();
	const nonsense = JSON.stringify({ t: "nothing of this kind is known here" });
	let sent = 0;
	const more = () => {
		for (let i = 0; i < 1000; i++, sent++) ws.send(nonsense);
		return ws.socket.writableLength;
	};
	await until("it is not heard any more", async () => {
		const waits = more();
		await sleep(20);
		return waits > 1 << 20 && ws.socket.writableLength >= waits;
	}, 60);
	const grown = scene.rss() - before;
	console.log(`# ${sent} messages sent, memory +${Math.round(grown)} MB`);
	assert.ok(grown < 32 + (sanitized() ? 300 : 0), `${grown} MB`);
	ws.socket.resume();
	for (let n = 0; n < sent; ) if (JSON.parse((await ws.next(20000)).text).t === "error") n++;
	ws.close?.();
});

test("a clean end", async () => {
	const { code } = await scene.stop();
	assert.equal(code, 0);
	assert.doesNotMatch(stack.server.err, /ERROR: AddressSanitizer|runtime error|assert/);
});

await run();
