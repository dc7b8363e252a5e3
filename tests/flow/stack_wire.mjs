// Compression and long messages through the whole server: whoever gets a change in whatever form shows the same, and it was made once.
import assert from "node:assert/strict";
import { run, test } from "../lib/net_client.mjs";
import { Client, Stack } from "../lib/stack.mjs";

const stack = await Stack.start([]);
const grp = "wire";
const query = { entity: "Item", where: { grp } };
const truth = () => stack.rows(`select id, n, note from "Item" where grp = '${grp}' order by id`);
const shown = (live) => live.list.map(({ id, n, note }) => ({ id, n, note })).sort((x, y) => (x.id < y.id ? -1 : 1));

const kinds = ["json", "msgpack"].flatMap((encoding) => [true, false].map((perMessageDeflate) => ({ encoding, ws: { perMessageDeflate } })));
const connect = async (options) => new Client(stack, options).ready();
const clients = [];
for (let i = 0; i < 5; i++) for (const kind of kinds) clients.push(await connect(kind));
const lives = new Map();

async function allShow(expected) {
	const text = JSON.stringify(expected);
	for (const c of clients) await c.until(`${expected.length} rows in ${c.encoding}`, () => lives.get(c).rows.size === expected.length && JSON.stringify(shown(lives.get(c))) === text, 30);
}
const counters = async () => Promise.all(["bodies_deflated", "deflate_bytes_in", "deflate_bytes_out"].map((n) => stack.metric(`millrace_${n}_total`)));
/** What the counters say that the work took. */
async function counted(work) {
	const before = await counters();
	await work();
	return (await counters()).map((n, i) => n - before[i]);
}

test("who offers permessage-deflate gets it, others do not", () => {
	for (const c of clients) assert.equal(c.ws.extensions, c.options.perMessageDeflate ? "permessage-deflate" : "");
});

test("a change is compressed once for each encoding, for all who get it so", async () => {
	for (const c of clients) lives.set(c, await c.live(query));
	const [bodies, bytesIn, bytesOut] = await counted(async () => {
		stack.psql(`insert into "Item" (id, grp, n, note) values (gen_random_uuid(), '${grp}', 1, repeat('what is said again and again ', 100))`);
		await allShow(truth());
	});
	assert.equal(bodies, 2);
	assert.ok(bytesOut * 5 < bytesIn, `${bytesIn} -> ${bytesOut}`);
});

test("what is short is not compressed", async () => {
	const [bodies] = await counted(async () => {
		stack.psql(`delete from "Item" where grp = '${grp}'`);
		await allShow([]);
	});
	assert.equal(bodies, 0);
});

test("a change of several megabytes, and one of each of its rows", async () => {
	stack.psql(`insert into "Item" (id, grp, n, note) select gen_random_uuid(), '${grp}', g, repeat(md5(g::text), 20) from generate_series(1, 3000) g`);
	await allShow(truth());
	stack.psql(`update "Item" set n = -n, note = note || ' κόσμε 🎈' where grp = '${grp}'`);
	await allShow(truth());
});

test("who comes later gets the whole, compressed once as well", async () => {
	const [bodies] = await counted(async () => {
		for (const kind of [...kinds, ...kinds]) {
			const c = await connect(kind);
			clients.push(c);
			lives.set(c, await c.live(query));
		}
		await allShow(truth());
	});
	assert.equal(bodies, 2);
});

test("several changes in one transition: shared ones and the client's own, short ones and long", async () => {
	const more = { entity: "Item", where: { grp, n: 7 } }, top = { entity: "Item", where: { grp }, order: [["n", "desc"]], limit: 3 };
	const extra = new Map();
	for (const c of clients) extra.set(c, [await c.live(more), await c.live(top), await c.live({ fn: "items.count", args: { grp } })]);
	stack.psql(`update "Item" set n = 7, note = note || 'again' where grp = '${grp}' and n <= -2000`);
	await allShow(truth());
	const rows = truth(), sevens = JSON.stringify(rows.filter((r) => r.n === 7));
	for (const [c, [list, best, count]] of extra) {
		await c.until("the sevens", () => JSON.stringify(shown(list)) === sevens);
		await c.until("the count", () => Number(count.value) === rows.length);
		await c.until("the first three", () => best.rows.size === 3 && best.list.every((r) => r.n === 7));
	}
});

test("a clean end", async () => {
	for (const c of clients) assert.equal(c.broken, undefined);
	await stack.stop();
	assert.doesNotMatch(stack.server.err, /AddressSanitizer|runtime error|MR_ASSERT/);
});

test("compression = false: no offer is taken", async () => {
	const plain = await Stack.start(["--compression=false"]);
	const c = await new Client(plain, {}).ready();
	assert.equal(c.ws.extensions, "");
	await plain.stop();
});

await run();
