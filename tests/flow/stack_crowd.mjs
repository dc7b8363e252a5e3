// A crowd: more clients of one query than the fanout may tell in one turn. Here a turn tells one (proto/ground/fault.h), so that a few hundred are one.
import assert from "node:assert/strict";
import { join } from "node:path";
import { FaultFile } from "../checker/points.mjs";
import { temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Client, Stack, uuid } from "../lib/stack.mjs";

const CLIENTS = 300;
const home = temporary("stack"), faults = new FaultFile(join(home, "faults"));
process.env.MR_FAULTS_FILE = faults.path;
const stack = await Stack.start(["--max-connections", "1000"], home);
const crowd = [];
for (let i = 0; i < CLIENTS; i++) crowd.push(await new Client(stack, { encoding: i % 2 ? "json" : "msgpack", positions: i % 3 === 0 }).ready());
const lists = await Promise.all(crowd.map((c) => c.live({ entity: "Item", where: { grp: "crowd" } })));
const writer = await new Client(stack).ready();
const own = await writer.live({ entity: "Item", where: { grp: "quiet" } });
faults.limitTurns(1);

const add = (grp, id = uuid()) => writer.value("items.add", { id, grp }).then(() => id);
const have = (ids, from = 0) =>
	Promise.all(crowd.slice(from).map((c, i) => c.until(`rows ${ids}`, () => ids.every((id) => lists[from + i].rows.has(id)), 60)));

test("each of them is told, though nothing else happens", async () => {
	for (let i = 0; i < 3; i++) await have([await add("crowd")]);
});

test("however much is written while they wait, all of them hold the same in the end", async () => {
	const ids = [];
	for (let i = 0; i < 20; i++) ids.push(await add("crowd"));
	await have(ids);
	const rows = stack.rows(`select id from "Item" where grp = 'crowd' order by id`).map(({ id }) => id);
	for (const { rows: held } of lists) assert.deepEqual([...held.keys()].sort(), rows);
});

test("who comes up meanwhile does not wait for them", async () => {
	const ids = [];
	for (let i = 0; i < 5; i++) {
		ids.push(await add("crowd"));
		const id = await add("quiet");
		await writer.until("its own row", () => own.rows.has(id));
	}
	await have(ids);
});

test("who leaves while he waits is missed by nobody, and who changes his queries is told what he asks for now", async () => {
	const id = uuid(), added = add("crowd", id);
	for (const c of crowd.slice(0, 100)) c.ws.terminate();
	for (let i = 100; i < 200; i++) {
		crowd[i].unsubscribe(lists[i]);
		lists[i] = crowd[i].subscribe({ entity: "Item", where: { grp: "crowd" }, limit: 1000 });
	}
	await added;
	await have([id], 100);
	await have([await add("crowd")], 100);
});

test("the end, while they wait", async () => {
	const added = add("crowd");
	await writer.until("the answer", () => added);
	const { code } = await stack.stop();
	assert.equal(code, 0);
	faults.close();
});

await run();
