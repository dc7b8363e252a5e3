// timeout: 300
// What a function may read is a bound while it reads: of more than that, nothing is held. The worker's memory stays small, the connection is
// good for the next call, and pages of `for await` add up to what they are. So is what the rows of a live query take, in the fanout too.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { descendants, sanitized } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Stack } from "../lib/stack.mjs";

const MANY = 150_000, WIDE = 150; // rows; those that are wide have a megabyte each
const ROWS = 1000;
const MB = 1024; // in kB
const QUERY = 8 << 20; // bytes of a query's rows
const stack = await Stack.start(["--workers", "1", "--read-max-rows", String(ROWS), "--read-max-bytes", "4MB", "--instance-max-bytes", String(QUERY), "--worker-memory-limit", sanitized() ? "4GB" : "1GB"]);
const c = await stack.client();
// Nobody watches yet, so that nothing need be captured.
stack.psql(`set session_replication_role = replica;
	insert into "Item" (grp, note) select 'many', 'row ' || i from generate_series(1, ${MANY}) i;
	insert into "Item" (grp, note) select 'wide', repeat('x', 1000000) from generate_series(1, ${WIDE}) i;
	insert into "Report" (text, secret) select repeat('x', 1000000), millrace.uuid_v7() from generate_series(1, 20) i;
	insert into "Seat" ("user", room, role) select 'wide', 'hall', repeat('x', 1000000) from generate_series(1, 20) i;
	insert into "Item" (grp, note) select 'fits', 'row ' || i from generate_series(1, ${ROWS}) i;
	analyze "Item"`);

const pids = (name) => descendants(stack.server.pid).filter((p) => p.command.split(/\s/)[0].endsWith(name)).map((p) => p.pid);
const workers = () => pids("millrace-worker");
const status = (pid, name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
const backends = () => stack.psql("select string_agg(pid::text, ',' order by pid) from pg_stat_activity where application_name like '%worker%'");

/** kB that the worker, or another process, took on at most meanwhile. */
async function peak(what, name = "millrace-worker") {
	const [pid] = pids(name);
	writeFileSync(`/proc/${pid}/clear_refs`, "5");
	const before = status(pid, "VmRSS");
	await what();
	assert.deepEqual(pids(name), [pid], "it lives");
	return status(pid, "VmHWM") - before;
}

const rows = "gets more than 1000 rows from the database", bytes = "gets more than 4194304 bytes from the database";
for (const [name, fn, args, code, setting, told] of [
	["collect() of many rows", "items.readTimes", { grp: "many", times: 1 }, "too_many_rows", "read_max_rows", rows],
	["SQL of many rows", "items.readTimes", { grp: "many", times: 1, sql: true }, "too_many_rows", "read_max_rows", rows],
	["SQL of rows without end", "reads.series", { rows: 2_000_000_000 }, "too_many_rows", "read_max_rows", rows],
	["SQL of them, that writes as well", "reads.seriesWritten", { rows: MANY }, "too_many_rows", "read_max_rows", rows],
	["groups of many rows", "reads.groups", { grp: "many" }, "too_many_rows", "read_max_rows", rows],
	["collect() of wide rows", "items.readTimes", { grp: "wide", times: 1 }, "too_large", "read_max_bytes", bytes],
	["SQL of wide rows", "items.readTimes", { grp: "wide", times: 1, sql: true }, "too_large", "read_max_bytes", bytes],
])
	test(`${name}: refused before it is held`, async () => {
		const fits = async () => assert.equal(await c.value("items.readTimes", { grp: "fits", times: 1 }), ROWS);
		await fits();
		const before = backends();
		const taken = await peak(async () => {
			for (let i = 0; i < 2; i++) {
				const { error } = await c.call(fn, args, { seconds: 60 });
				assert.deepEqual([error?.code, error?.data], [code, { setting }], error?.message);
				assert.ok(error.message.includes(told), error.message);
				await fits();
			}
		});
		console.log(`# ${(taken / MB).toFixed(1)} MB`);
		const now = backends().split(",");
		assert.ok(before.split(",").every((pid) => now.includes(pid)), `the connections are the same: ${before}; ${now}`); // or more: some are opened late
		assert.ok(taken < (sanitized() ? 700 : 40) * MB, `${taken} kB taken on`);
	});

test("one row that is too wide: its memory is given back", async () => {
	const fits = () => c.value("items.readTimes", { grp: "fits", times: 1 });
	await fits();
	const [pid] = workers(), before = status(pid, "VmRSS");
	for (let i = 0; i < 8; i++) {
		const { error } = await c.call("reads.wideRow", { bytes: 30_000_000 }, { seconds: 60 });
		assert.deepEqual([error?.code, error?.data], ["too_large", { setting: "read_max_bytes" }], error?.message);
		assert.equal(await fits(), ROWS);
	}
	const left = status(pid, "VmRSS") - before;
	console.log(`# ${(left / MB).toFixed(1)} MB left`);
	assert.deepEqual(workers(), [pid], "the worker lives");
	assert.ok(left < (sanitized() ? 700 : 50) * MB, `${left} kB are left`);
});

test("for await: the pages of a query add up to its rows", async () => {
	assert.equal(await c.value("reads.walk", { grp: "fits" }), ROWS);
	const { error } = await c.call("reads.walk", { grp: "many" });
	assert.deepEqual([error.code, error.data, error.message.includes(rows)], ["too_many_rows", { setting: "read_max_rows" }, true]);
});

test("a part whose read is too much is taken back alone", async () => {
	assert.equal(await c.value("reads.inPart", { grp: "many" }), "too_many_rows");
	assert.equal(stack.psql(`select note from "Item" where grp = 'part'`), "after");
});

test("a live query of many rows", async () => {
	let live;
	const taken = await peak(async () => {
		live = await c.live({ entity: "Item", where: { grp: "many" } });
		await c.until("the error", () => live.error);
	});
	assert.deepEqual([live.error.code, live.error.data], ["too_many_rows", { setting: "instance_max_rows" }]);
	console.log(`# ${(taken / MB).toFixed(1)} MB`);
	assert.ok(taken < (sanitized() ? 700 : 60) * MB, `${taken} kB taken on`);
	c.unsubscribe(live);
});

/** What it took on of both is little, whatever there is to be read. */
async function small(what) {
	let worker;
	const fanout = await peak(async () => (worker = await peak(what)), "millrace-fanout");
	console.log(`# worker ${(worker / MB).toFixed(1)} MB, fanout ${(fanout / MB).toFixed(1)} MB`);
	assert.ok(worker < (sanitized() ? 700 : 80) * MB && fanout < (sanitized() ? 350 : 40) * MB, `${worker}, ${fanout} kB taken on`);
}
function tooLarge(error, entity) {
	assert.deepEqual([error?.code, error?.data], ["too_large", { setting: "instance_max_bytes" }], error?.message);
	assert.ok(error.message.startsWith(`The rows of ${entity} that the query asks for take more than ${QUERY} bytes (instance_max_bytes); `), error.message);
}
const wide = { entity: "Item", where: { grp: "wide" } };

test("rule 21: instance_max_bytes: live, in a window, over HTTP, in a policy's set, several read at once", async () => {
	const d = await stack.client({ token: stack.token("wide") });
	await small(async () => {
		const others = ["a", "b", "c", "d"].map((grp) => ({ entity: "Item", where: { grp } })); // read together with the first
		const [live, ...small] = await Promise.all([wide, ...others].map((query) => c.live(query)));
		tooLarge(live.error, "Item");
		for (const one of small) assert.deepEqual([one.error, one.rows.size], [undefined, 0]);
		tooLarge((await c.live({ ...wide, order: [["n", "desc"]], limit: 30 })).error, "Item");
		const once = await stack.http("GET", `/api/entities/Item?where={"grp":"wide"}`);
		tooLarge(once.error, "Item");
		assert.equal(once.status, 413);
		tooLarge((await d.live({ entity: "Post", where: { room: "hall" } })).error, "Seat");
	});
	assert.equal((await stack.http("GET", `/api/entities/Item?where={"grp":"wide"}&limit=3`)).json.data.length, 3);
	d.close();
});

test("rule 21: with include, the limits of functions hold", async () => {
	await small(async () => {
		const { error } = await c.live({ entity: "Report", include: { about: "secret" } });
		assert.deepEqual([error.code, error.data], ["too_large", { setting: "read_max_bytes" }]);
	});
});

test("rule 21: instance_max_bytes: rows that come and grow later, and less of them mends it", async () => {
	const live = await c.live({ entity: "Item", where: { grp: "grows" } });
	const window = await c.live({ entity: "Item", where: { grp: "grows" }, order: [["n", "asc"]], limit: 3 });
	const add = (from, to) => stack.psql(`insert into "Item" (grp, n, note) select 'grows', i, repeat('x', 650000) from generate_series(${from}, ${to}) i`);
	add(1, 6);
	add(7, 12);
	await c.until("12 rows", () => live.rows.size === 12);
	stack.psql(`update "Item" set note = note || note where grp = 'grows' and n = 1`);
	await c.until("the error", () => live.error);
	tooLarge(live.error, "Item");
	await c.until("the window, which holds 11 of them and shows 3", () => window.error ?? window.list.some((row) => row.note.length > 650000));
	stack.psql(`delete from "Item" where grp = 'grows' and n > 4`);
	await c.until("it is back", () => !live.error && live.rows.size === 4 && !window.error && window.rows.size === 3);
	assert.equal(live.list.reduce((n, row) => n + row.note.length, 0), 3250000);
	c.unsubscribe(live);
	c.unsubscribe(window);
});

test("the end", async () => {
	c.close();
	assert.equal((await stack.stop()).code, 0);
});
await run();
