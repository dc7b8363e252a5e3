// timeout: 240
// Tables that others alter, drop and make anew while clients watch: what no longer fits is said by schema_changed, all else goes on, and
// what fits again is shown again, exact. Nobody falls. Who was away meanwhile is not told differences of another table.
import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { descendants, millrace } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { QUERIES, States, Watcher } from "../lib/states.mjs";
import { sleep, Stack, until } from "../lib/stack.mjs";

const MOST = 400;
const stack = await Stack.start(["--instance-max-rows", String(MOST)]);
const pids = () => descendants(stack.server.pid).filter((p) => /\/millrace-(fanout|worker) /.test(p.command)).map((p) => p.pid);
const began = pids();
stack.psql(`insert into "Item" (id, grp, n, note) select gen_random_uuid(), 'g', g, 'row ' || g from generate_series(1, 20) g`);
const queries = { list: QUERIES.list("g"), window: QUERIES.window(5), group: QUERIES.group("g"), count: QUERIES.count("g") };
const states = new States(stack, Object.values(queries));
const client = await (await new Watcher(stack, {}).ready()).watch(...Object.values(queries));
const [list, window, group, count] = client.watched.map((w) => w.live);
const other = await stack.client();
const counter = await other.value("hot.make", { name: "other" });
const counters = await other.live({ entity: "Counter", where: {} });
let calls = 0, last = 100;

const insert = () => `insert into "Item" (id, grp, n) values (gen_random_uuid(), 'g', ${++last})`;
const ALTERED = /^Table Item no longer fits the declaration of entity Item; run millrace migrate|^A row of Item is not as the entity is declared/;

/** All queries show what the table holds now. */
async function exact() {
	states.note("now", 0n);
	await states.reached(client, 30).catch((e) => assert.fail(`${e.message.slice(0, 300)}; errors: ${JSON.stringify([list, window, group, count].map((l) => l.error))}`));
}
async function insertAndExact() {
	stack.psql(insert());
	await exact();
}
async function failing(...lives) {
	for (const live of lives) {
		await client.until(`schema_changed instead of ${JSON.stringify(live.error ?? live.query)}`, () => live.error?.code === "schema_changed", 30);
		assert.match(live.error.message, ALTERED);
	}
}
/** Other tables are none of it, and the clock does not run hot. */
async function othersGoOn() {
	await other.value("hot.add1", { id: counter });
	calls++;
	await other.until("the count", () => counters.list[0].n === calls);
	assert.equal(counters.error, undefined);
	const [ticks, at] = [await stack.metric("millrace_ticks_total"), Date.now()];
	await sleep(300);
	const perSecond = ((await stack.metric("millrace_ticks_total")) - ticks) / ((Date.now() - at) / 1000);
	assert.ok(perSecond < 150, `${perSecond} ticks a second`);
}
function migrate() {
	const done = millrace(["migrate", "--apply", "--app-dir", stack.app, "--data-dir", stack.data]);
	assert.equal(done.status, 0, done.out + done.err);
}
const logged = (text) => until(`the log to say ${text}`, () => text.test(stack.server.err));

test("rule 7: a column that nobody declared comes and goes", async () => {
	await exact();
	stack.psql(`alter table "Item" add column extra text default 'x'`);
	await insertAndExact();
	stack.psql(`alter table "Item" drop column extra`);
	await insertAndExact();
	await othersGoOn();
});

test("a renamed column: schema_changed to those who need it, until it has its name again", async () => {
	stack.psql(`alter table "Item" rename column n to nn`);
	await failing(list, window, group);
	stack.psql(`insert into "Item" (id, grp, nn) values (gen_random_uuid(), 'g', ${++last})`);
	await client.until("the count, by SQL that fits", () => count.value === Number(stack.psql(`select count(*) from "Item" where grp = 'g'`)));
	const { error } = await client.call("items.add", { grp: "g", n: 1 });
	assert.equal(error.code, "schema_changed");
	assert.match(error.message, ALTERED);
	const { status, code } = await stack.http("GET", "/api/entities/Item");
	assert.deepEqual([status, code], [409, "schema_changed"]);
	await othersGoOn();
	stack.psql(`alter table "Item" rename column nn to n`);
	await insertAndExact();
});

test("a column of another type", async () => {
	stack.psql(`alter table "Item" alter column n drop default, alter column n type text using 'v' || n`);
	await failing(list, window, group);
	stack.psql(`insert into "Item" (id, grp, n) values (gen_random_uuid(), 'g', 'v${++last}')`);
	await othersGoOn();
	stack.psql(`alter table "Item" alter column n type int using substr(n, 2)::int, alter column n set default 0`);
	await insertAndExact();
	stack.psql(`alter table "Item" alter column n type bigint`);
	await insertAndExact();
	stack.psql(`alter table "Item" alter column n type int`);
	await insertAndExact();
});

test("what is rolled back altered nothing", async () => {
	const loads = await stack.metric("millrace_loads_total");
	stack.psql(`begin; alter table "Item" rename to was; create table "Item" (id uuid); drop table was cascade; rollback`);
	stack.psql(`begin; alter table "Item" drop column note; alter table "Item" disable trigger all; ${insert()}; rollback`);
	await insertAndExact();
	assert.equal(await stack.metric("millrace_loads_total"), loads);
});

test("a dropped column: millrace migrate puts it back", async () => {
	stack.psql(`alter table "Item" drop column note`);
	await failing(list, window, group);
	await othersGoOn();
	migrate();
	await insertAndExact();
});

test("a dropped column: millrace dev puts it back when it loads the app again", async () => {
	stack.psql(`alter table "Item" drop column note`);
	await failing(list, window, group);
	appendFileSync(join(stack.app, "functions", "items.ts"), "\n// another version\n");
	await client.until("rows", () => !list.error && list.rows.size > 0, 60);
	await insertAndExact();
});

for (const [what, without, again] of [
	["disabled", `alter table "Item" disable trigger user`, () => stack.psql(`alter table "Item" enable trigger user`)],
	["dropped", `drop trigger "00_millrace_capture" on "Item"`, migrate],
])
	test(`rule 7: a ${what} trigger: rows are read anew until it is back, and the log says so`, async () => {
		const from = stack.server.err.length;
		stack.psql(without);
		for (let i = 0; i < 2; i++) await insertAndExact();
		stack.psql(`delete from "Item" where n = ${last}`);
		await exact();
		await othersGoOn();
		await stack.server.logs(/rows of table Item are not captured, since its trigger is missing or disabled.*millrace migrate/, from);
		again();
		await until("the log to say so", () => /rows of table Item are captured again/.test(stack.server.err.slice(from)));
		await insertAndExact();
	});

test("a dropped table, and one of the same name", async () => {
	stack.psql(`drop table "Item"`);
	await failing(list, window, group);
	await client.until("an error", () => count.error?.code === "sql_error");
	await othersGoOn();
	migrate();
	await insertAndExact();
	stack.psql(`begin; alter table "Item" rename to was; create table "Item" (like was including all); drop table was; ${insert()}; ${insert()}; commit`);
	await insertAndExact();
	migrate();
	await insertAndExact();
	await logged(/rows of table Item are captured again/);
});

test("rule 19: who was away while rows changed unseen is told all, not the differences of the log", async () => {
	const changes = [
		["a column rewritten by ALTER", () => stack.psql(`alter table "Item" alter column n type int using n + 1000`)],
		["rows changed while the trigger was disabled", () =>
			stack.psql(`alter table "Item" disable trigger user; update "Item" set n = n - 1000 where grp = 'g'; alter table "Item" enable always trigger "00_millrace_capture"; ` +
				`alter table "Item" enable always trigger "00_millrace_truncate"`)],
		["rows changed while it is disabled", () => stack.psql(`alter table "Item" disable trigger user; update "Item" set note = 'unseen' where grp = 'g'`)],
		["rows changed while it is still disabled", () => stack.psql(`update "Item" set note = 'unseen again' where grp = 'g'`)],
		["nothing but one row", migrate, () => stack.psql(insert()), true],
	];
	for (const [what, ...steps] of changes) {
		const keeps = steps.at(-1) === true;
		await exact();
		if (keeps) {
			await steps.shift()();
			await insertAndExact();
			// The table's name for clients is another one since it is captured again, and is told with an answer.
			client.ws.terminate();
			await client.again();
			await insertAndExact();
		}
		await until("a position", async () => client.p !== undefined);
		client.ws.terminate();
		for (const step of steps) if (step !== true) await step();
		await client.again();
		await exact();
		assert.equal(list.kept, keeps, what);
	}
});

test("a query with too many rows is answered again when they are fewer", async () => {
	const all = await other.live({ entity: "Item", where: { grp: "many" } });
	stack.psql(`insert into "Item" (id, grp, n) select gen_random_uuid(), 'many', g from generate_series(1, ${MOST}) g`);
	await other.until("all", () => all.rows.size === MOST);
	stack.psql(`insert into "Item" (id, grp, n) values (gen_random_uuid(), 'many', 0)`);
	await other.until("the refusal", () => all.error?.code === "too_many_rows");
	const second = await stack.client();
	const same = await second.live({ entity: "Item", where: { grp: "many" } });
	assert.equal(same.error.code, "too_many_rows");
	stack.psql(`update "Item" set n = n + 1 where grp = 'many'`);
	stack.psql(`delete from "Item" where grp = 'many' and n % 2 = 0`);
	for (const [c, live] of [[other, all], [second, same]])
		await c.until("half of them", () => !live.error && live.rows.size === Number(stack.psql(`select count(*) from "Item" where grp = 'many'`)), 30);
	stack.psql(`insert into "Item" (id, grp, n) values (gen_random_uuid(), 'many', 5000)`);
	await other.until("and what comes then", () => all.list.some((row) => row.n === 5000));
	second.close();
	other.unsubscribe(all);
});

test("nobody fell, and a clean end", async () => {
	assert.ok(pids().includes(began[0]), "the fanout");
	assert.equal(client.broken, undefined);
	assert.equal(client.closed, undefined);
	const { code } = await stack.stop();
	assert.equal(code, 0);
	assert.doesNotMatch(stack.server.err, /AddressSanitizer|runtime error:|worker .*(died|crashed|ended)/);
});

await run();
