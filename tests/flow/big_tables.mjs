// timeout: 300
// Huge transactions by others: one that inserts a table, COPY of a large file, UPDATE of all, DELETE of most, TRUNCATE, a mutation of many
// rows. While clients watch, one of them reads slowly and one comes back in the middle. After each transition all queries of a client are
// what Postgres held at the position of that transition; writers are slowed by a bounded factor, memory and log stay bounded, others go on.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { descendants, sanitized } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { QUERIES, States, Watcher } from "../lib/states.mjs";
import { sleep, Stack, until } from "../lib/stack.mjs";

const LONG = Boolean(process.env.MILLRACE_LONG);
const ROWS = LONG ? 1_000_000 : 30_000, WRITTEN = LONG ? 30_000 : 2_000;
const GROUPS = 1000;
const MB = 1 << 20;
// What is freed stays with the address sanitizer for a while: a worker grows to 480 MB by that alone.
const memory = sanitized() ? "4GB" : "512MB";
const stack = await Stack.start(["--worker-memory-limit", memory, "--call-time-limit", "5m", "--ring-bytes", "4096", "--ping-interval", "10m"]);
const servers = () => descendants(stack.server.pid).filter((p) => /\/millrace-(fanout|worker) /.test(p.command));
const status = (pid, name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;
const began = servers().map((p) => p.pid);
const queries = [QUERIES.list("g7"), QUERIES.window(50), QUERIES.range(100, 400), QUERIES.count("g7"), QUERIES.group("g3")];
const states = new States(stack, queries);
const watcher = (options) => new Watcher(stack, options).ready().then((c) => c.watch(...queries));
const clients = { reader: await watcher(), "second tab": await watcher({ encoding: "msgpack" }), slow: await watcher(), returning: await watcher({ encoding: "msgpack" }) };

// Others, on another table, all the time.
const other = await stack.client();
const { value: counter } = await other.call("hot.make", { name: "others" });
const shown = await other.live({ entity: "Counter", where: {} });
const others = { done: 0, longest: 0, going: true };
const writing = (async () => {
	while (others.going) {
		const from = Date.now();
		const { error } = await other.call("hot.add1", { id: counter }, { seconds: 60 });
		assert.equal(error, undefined);
		others.done++;
		others.longest = Math.max(others.longest, Date.now() - from);
		other.messages.length = 0;
		await sleep(5);
	}
})();
let most = 0;
const sampling = setInterval(() => (most = Math.max(most, ...began.map((pid) => status(pid, "VmRSS")))), 100);
const logBytes = () => Number(stack.psql("select sum(pg_total_relation_size(oid)) from pg_class where relname like 'change\\_log\\__' and relkind = 'r'"));

stack.psql(`create table plain (like "Item" including defaults including indexes)`);
const file = join(stack.home, "rows.csv");
const rows = (table, n) => `insert into ${table} (id, grp, n, note) select gen_random_uuid(), 'g' || i % ${GROUPS}, i, 'row ' || i from generate_series(1, ${n}) i`;

/** The same on a table without triggers and on the one that is watched; then each client shows the same, and showed nothing else before. */
async function huge(what, statement) {
	const bytes = logBytes(), told = Object.values(clients).map((c) => c.transitions), [done, at] = [others.done, Date.now()];
	others.longest = 0;
	const { took: bare } = await states.run(statement("plain"));
	const took = await states.write(what, statement('"Item"'));
	const committed = Date.now();
	for (const [name, c] of Object.entries(clients)) if (!c.away) await states.reached(c, 90).catch((e) => assert.fail(`${name}: ${e.message.slice(0, 1500)}`));
	const compared = Object.entries(clients).map(([name, c]) => states.check(c, name));
	console.log(`# ${what}: ${took} ms, ${bare} ms without triggers (${(took / bare).toFixed(1)} times); shown ${Date.now() - committed} ms later, in ` +
		`${Object.values(clients).map((c, i) => c.transitions - told[i]).join(", ")} transitions (${compared.reduce((a, b) => a + b)} results compared); log +${((logBytes() - bytes) / MB).toFixed(1)} MB; ` +
		`${others.done - done} calls of others in ${Date.now() - at} ms, the longest ${others.longest} ms`);
	assert.ok(others.done > done, "others went on");
}

test("one transaction inserts a table", () => huge(`insert ${ROWS} rows`, (t) => [rows(t, ROWS)]));

test("a whole table is updated, while one client does not read", async () => {
	clients.slow.ws.pause();
	clients.slow.away = true;
	await huge("update all", (t) => [`update ${t} set n = n + 1, note = 'updated'`]);
});

test("COPY of a large file, while another is away", async () => {
	clients.returning.away = true;
	clients.returning.ws.terminate();
	writeFileSync(file, Array.from({ length: ROWS / 2 }, (_, i) => `${crypto.randomUUID()},g${i % GROUPS},${ROWS + i},copied\n`).join(""));
	await huge(`copy ${ROWS / 2} rows`, (t) => [`\\copy ${t} (id, grp, n, note) from '${file}' csv`]);
});

test("who did not read and who was away are brought to now", async () => {
	clients.slow.ws.resume();
	await clients.returning.again();
	for (const c of [clients.slow, clients.returning]) {
		c.away = false;
		await states.reached(c);
	}
	for (const [name, c] of Object.entries(clients)) states.check(c, name);
});

test("what is rolled back is told to nobody: to a savepoint, and all of it", async () => {
	await huge("delete all, rolled back to a savepoint, update one group", (t) => ["savepoint s", `delete from ${t}`, "rollback to s", `update ${t} set note = 'kept' where grp = 'g7'`]);
	const loads = await stack.metric("millrace_loads_total");
	await states.run([`update "Item" set n = -n`, "rollback", "begin"]);
	await huge("a mark", (t) => [`update ${t} set note = 'mark' where grp = 'g3'`]);
	assert.equal(await stack.metric("millrace_loads_total"), loads, "nothing was read anew");
});

test("as many rows as are told one by one; more than the live queries have at stake; more than are captured", async () => {
	const some = (t, n) => [`update ${t} set n = n + 1 where id in (select id from ${t} order by id limit ${n})`];
	const bulk = await stack.metric("millrace_bulk_changes_total");
	await huge("update 499 rows", (t) => some(t, 499));
	assert.equal(await stack.metric("millrace_bulk_changes_total"), bulk);
	await huge("update 9,999 rows", (t) => some(t, 9999));
	assert.equal(await stack.metric("millrace_bulk_changes_total"), bulk + 1);
	await huge("update 10,001 rows", (t) => some(t, 10001));
	assert.equal(await stack.metric("millrace_bulk_changes_total"), bulk + 2);
});

test("DELETE of most", () => huge("delete most", (t) => [`delete from ${t} where n > 2000`]));

test("a mutation that writes many rows, and one client that comes back while it runs", async () => {
	const { returning, reader } = clients;
	returning.ws.terminate();
	const from = Date.now();
	const reply = reader.call("items.addMany", { grp: "g7", count: WRITTEN, size: 20 }, { seconds: 200 });
	await returning.again();
	assert.equal((await reply).value, WRITTEN);
	states.note("the mutation", BigInt(stack.psql(`select xid from millrace.change_log where fn = 'items.addMany' order by seq desc limit 1`)));
	console.log(`# a mutation of ${WRITTEN} rows: ${Date.now() - from} ms`);
	for (const [name, c] of Object.entries(clients)) {
		await states.reached(c);
		states.check(c, name);
	}
});

test("TRUNCATE, and all is written again in the same transaction", async () => {
	await huge("truncate", (t) => [`truncate ${t}`]);
	await huge("insert and truncate and insert", (t) => [rows(t, 20_000), `truncate ${t}`, rows(t, 500)]);
});

test("rule 21: more in one tick than it takes: the table is read anew, and the reply of a call among it is its own", async () => {
	const { reader } = clients, bulk = await stack.metric("millrace_bulk_changes_total");
	const fat = (grp, n) => `insert into "Item" (id, grp, n, note) select gen_random_uuid(), '${grp}', i, repeat('x', 14000) from generate_series(1, ${n}) i`;
	const reply = reader.call("items.addMany", { grp: "g3", count: WRITTEN, size: 20 }, { seconds: 200 });
	const running = () => stack.psql(`select count(*) from pg_stat_activity where application_name like 'millrace worker%' and state = 'active' and query like 'insert into%Item%'`) !== "0";
	await until("it to run", running);
	const fanout = servers().find((p) => p.command.includes("fanout")).pid;
	process.kill(fanout, "SIGSTOP"); // so that all of it comes with one tick
	let xid;
	try {
		for (let i = 0; i < 3; i++) ({ xid } = await states.run([fat("far", 1000)]));
		await until("the call's record", () => stack.psql(`select count(*) from millrace.change_log where fn = 'items.addMany'`) === "2");
	} finally {
		process.kill(fanout, "SIGCONT");
	}
	const { value, error } = await reply;
	assert.deepEqual([value, error], [WRITTEN, undefined]);
	const mutation = BigInt(stack.psql(`select xid from millrace.change_log where fn = 'items.addMany' order by seq desc limit 1`));
	states.note("all of it", mutation > xid ? mutation : xid);
	for (const [name, c] of Object.entries(clients)) {
		await states.reached(c);
		states.check(c, name);
	}
	assert.equal(await stack.metric("millrace_bulk_changes_total"), bulk + 1);
});

test("memory and log are bounded, nobody fell, the other table is right", async () => {
	others.going = false;
	await writing;
	await other.until("the count", () => shown.list[0].n === others.done);
	clearInterval(sampling);
	assert.deepEqual(servers().map((p) => p.pid), began, "the same processes");
	const log = logBytes();
	console.log(`# most memory of a process: ${Math.round(most / MB)} MB; log ${Math.round(log / MB)} MB; ${others.done} calls of others; ` +
		`${Object.values(clients).reduce((sum, c) => sum + c.seen.length, 0)} transitions compared`);
	// A transaction is captured up to 10,000 rows, whatever comes after; with old and new image and indexes that is less than 10 MB here.
	assert.ok(log < (states.list.length + 2) * 10 * MB, `${log} bytes of log`);
	// What is held at once: one tick's changes (at most 32 MB of payload) as text and parsed, results, differences.
	assert.ok(most < (sanitized() ? 1500 : 300) * MB, `${most} bytes`);
	for (const c of Object.values(clients)) assert.equal(c.broken, undefined);
});

test("a clean end", async () => {
	for (const c of Object.values(clients)) c.close();
	await states.writer.end();
	const { code } = await stack.stop();
	assert.equal(code, 0);
	assert.doesNotMatch(stack.server.err, /AddressSanitizer|runtime error:/);
});

await run();
