// Tables that somebody else made (entity.adopt), with keys of one and of several columns: read, live, written by clients, functions and psql.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { millrace, ROOT, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Psql } from "../lib/psql.mjs";
import { createClient, functionRef, isPending, memoryStore } from "../../client/dist/index.js";
import { Stack, until, WebSocket } from "../lib/stack.mjs";

const host = await Stack.start();
host.psql("create role shop login");
host.psql("create role clerk login");
host.psql("create database shop owner shop");
const urlOf = (user) => `postgresql:///shop?host=${host.psql("show unix_socket_directories")}&user=${user}`;
const url = urlOf("shop");
const psql = (sql, as = url) => {
	const { status, out, err } = millrace(["psql", "--data-dir", host.data, "--database-url", as, "--", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql]);
	assert.equal(status, 0, err);
	return out.trim();
};
psql(`create schema shop;
	create table shop.customers (id bigint generated always as identity primary key, name text not null, email varchar(100) unique, hidden jsonb not null
		default '{}', created_at timestamptz not null default now());
	create table shop.products (sku varchar(20) primary key, name text not null, price numeric(10,2) not null, stock int not null default 7);
	create table shop.tokens (uid uuid primary key default gen_random_uuid(), label text not null);
	create table shop.lines ("no" int, tenant text, customer_id bigint references shop.customers, qty smallint not null, id text, primary key (tenant, "no"));
	create index on shop.lines (tenant collate "C", qty);
	create type shop.mood as enum ('good', 'bad');
	create table shop.visits (id serial primary key, mood shop.mood, day date not null, hour time, at timestamp not null default now());
	create table shop.logs (region text not null, id bigserial, body text not null, primary key (region, id)) partition by list (region);
	create table shop.logs_eu partition of shop.logs for values in ('eu'); create table shop.logs_rest partition of shop.logs default;
	insert into shop.customers (name) select 'c' || n from generate_series(1, 3) n;
	insert into shop.products values ('a/b', 'slash', 1.50), ('secret', 'hidden', 2);
	insert into shop.lines (tenant, "no", qty) select 't', n, n from generate_series(1, 30) n`);

const shape = () => psql(`select string_agg(md5(c.relname || a.attname || a.atttypid || a.attnotnull || a.attnum), '' order by a.attrelid, a.attnum)
	|| (select string_agg(pg_get_indexdef(indexrelid), '' order by indexrelid) from pg_index i join pg_class t on t.oid = i.indrelid where relnamespace = 'shop'::regnamespace)
	from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = 'shop'::regnamespace`);
const before = shape();

let stack;
test("a plan says what it does to adopted tables: triggers, nothing else", async () => {
	const app = temporary("adopt");
	stack = await Stack.start(["--database-url", url], app, join(ROOT, "tests", "flow", "adopt_app"));
	assert.equal(shape(), before);
	const plan = millrace(["migrate", "--app-dir", stack.app, "--data-dir", join(app, "other"), "--database-url", url]);
	assert.equal(plan.status, 0, plan.out);
	assert.match(plan.err, /Nothing to do/);
});

let client;
const sorted = (live) => [...live.rows.keys()];
test("rows with keys of all kinds, live, whoever writes", async () => {
	client = await stack.client({ token: stack.token("ann") });
	const customers = await client.live({ entity: "Customer" });
	assert.deepEqual(sorted(customers).sort(), [1, 2, 3]);
	assert.deepEqual(Object.keys(customers.list[0]).sort(), ["createdAt", "email", "id", "name"]);
	const products = await client.live({ entity: "Product" });
	assert.deepEqual(products.list, [{ id: "a/b", sku: "a/b", name: "slash", price: "1.5", stock: 7 }]);
	const lines = await client.live({ entity: "Line", where: { qty: { $lte: 3 } } });
	assert.deepEqual(sorted(lines).sort(), ['["t",1]', '["t",2]', '["t",3]']);
	const one = await client.live({ entity: "Line", where: { id: '["t", 2]' } });
	assert.deepEqual(one.list, [{ id: '["t",2]', tenant: "t", no: 2, customer: null, qty: 2, code: null }]);
	const some = await client.live({ entity: "Line", where: { id: { $in: ['["t",5]', '["t",6]'] } } });
	assert.equal(some.rows.size, 2);
	const others = await client.live({ entity: "Line", where: { qty: { $lte: 2 }, id: { $not: '["t",1]' } } });
	assert.deepEqual(sorted(others), ['["t",2]']);

	psql(`update shop.lines set "no" = 1002 where "no" = 2; update shop.customers set name = 'x' where id = 2; update shop.products set sku = 'new' where sku = 'a/b'`);
	await client.until("the changed keys", () => lines.rows.has('["t",1002]') && products.rows.has("new") && customers.rows.get(2)?.name === "x");
	assert.deepEqual(sorted(lines).sort(), ['["t",1002]', '["t",1]', '["t",3]']);
	assert.deepEqual(sorted(products), ["new"]);
	await client.until("it is gone", () => one.rows.size === 0);
	psql(`insert into shop.lines (tenant, "no", qty) values ('t', 2, 2); update shop.products set sku = 'secret2' where sku = 'new'; update shop.products set sku = 'new' where sku = 'secret'`);
	await client.until("a row that the policy hid", () => products.rows.get("new")?.name === "hidden" && products.rows.has("secret2"));
	psql(`begin; update shop.lines set "no" = 500 where "no" = 1002; update shop.lines set "no" = 1002 where "no" = 1; update shop.lines set "no" = 1 where "no" = 500; commit`);
	await client.until("two that changed places", () => lines.rows.get('["t",1]')?.qty === 2 && lines.rows.get('["t",1002]')?.qty === 1);
	psql("delete from shop.lines where qty = 3");
	await client.until("one less", () => !lines.rows.has('["t",3]'));
	assert.equal(one.rows.size, 1);
});

test("functions name rows by text, by values, by names; what the table fills in is left out", async () => {
	const made = await client.value("shop.addCustomer", { name: "new" });
	assert.deepEqual(made, { id: 4, name: "new", made: true });
	assert.match(await client.value("shop.addToken"), /^[0-9a-f-]{36}$/);
	assert.equal(await client.value("shop.addLine", { tenant: "j", no: 1, qty: 5, customer: 4 }), '["j",1]');
	assert.deepEqual(await client.value("shop.withCustomers"), [['["j",1]', "new"]]);
	const { id, row } = await client.value("shop.bump", { tenant: "j", no: 1 });
	assert.equal(id, '["j",1]');
	assert.deepEqual(row, { id, tenant: "j", no: 1, customer: null, qty: 3, code: "up" });
	assert.ok((await client.value("shop.named")).includes('["j",1]'));
	assert.equal((await client.call("shop.moveLine", { id })).error.code, "bad_value");
	const bad = await client.call("shop.dropLine", { id: "[1]" });
	assert.match(bad.error.message, /list of tenant and no/);
	await client.value("shop.dropLine", { id });
	assert.equal(psql("select count(*) from shop.lines where tenant = 'j'"), "0");
	const taken = await client.call("shop.addLine", { tenant: "t", no: 5, qty: 5 });
	assert.equal(taken.error.code, "unique_violation");
});

test("rule 22: enums, dates and timestamps without a zone are what they say, in SQL, live and in functions", async () => {
	const visits = await client.live({ entity: "Visit", where: { day: { $gte: "2026-02-01" }, at: { $gte: "2026-01-01T00:00:00Z" }, $or: [{ mood: "bad" }, { mood: null }] } });
	psql(`set timezone = 'Asia/Tokyo'; set datestyle = 'German'; insert into shop.visits (mood, day, hour, at) values ('bad', '2026-02-03', '13:59', '2026-02-03 04:05:06.000007'),
		('good', '2026-02-03', null, '2026-02-03 04:05:06'), (null, '2026-01-31', null, '2026-02-03 04:05:06'), (null, '2026-02-01', null, '2025-12-31 23:59:59')`);
	await client.until("the row", () => visits.rows.size === 1);
	assert.deepEqual(visits.list, [{ id: 1, mood: "bad", day: "2026-02-03", hour: "13:59:00", at: "2026-02-03T04:05:06.000007Z" }]);
	const again = await client.live({ entity: "Visit", where: { mood: "bad", at: "2026-02-03T13:05:06.000007+09:00" }, order: [["mood", "desc"]], limit: 2 });
	assert.deepEqual(again.list, visits.list);
	const { rows, days } = await client.value("shop.visits", { until: "2026-02-03T04:05:06Z" });
	assert.deepEqual(rows.map((row) => row.mood), ["good", null, null]);
	assert.deepEqual(days.map(({ day, count }) => `${day} ${count}`).sort(), ["2026-01-31 1", "2026-02-01 1", "2026-02-03 2"]);
	const made = await stack.http("POST", "/api/entities/Visit", { mood: "good", day: "2026-03-01", at: "2026-03-01T09:00:00+09:00" });
	assert.equal(psql(`select at || ' ' || mood from shop.visits where id = ${made.json.id}`), "2026-03-01 00:00:00 good");
	assert.equal((await stack.http("PATCH", `/api/entities/Visit/${made.json.id}`, { hour: "07:00" })).json.data.hour, "07:00:00");
	assert.equal((await stack.http("POST", "/api/entities/Visit", { mood: "so so", day: "2026-03-01" })).code, "bad_value");
	psql("update shop.visits set mood = 'good' where id = 1");
	await client.until("nothing", () => visits.rows.size === 0);
});

test("a partitioned table, whose rows move", async () => {
	const logs = await client.live({ entity: "Log", where: { region: { $in: ["eu", "us"] } } });
	const made = await stack.http("POST", "/api/entities/Log", { region: "eu", body: "one" });
	assert.deepEqual(made.json, { id: '["eu",1]' });
	await client.until("the row", () => logs.rows.get('["eu",1]')?.body === "one");
	assert.deepEqual(logs.list, [{ id: '["eu",1]', region: "eu", nr: { $int: "1" }, body: "one" }]);
	psql("update shop.logs set region = 'us', body = 'two'");
	await client.until("it moved", () => logs.rows.size === 1 && logs.rows.get('["us",1]')?.body === "two");
	const path = `/api/entities/Log/${encodeURIComponent('["us",1]')}`;
	assert.equal((await stack.http("PATCH", path, { body: "three" })).json.data.body, "three");
	psql("insert into shop.logs_eu values ('eu', 9007199254740993, 'direct'); update shop.logs set region = 'asia' where region = 'us'");
	await client.until("one came and one went", () => logs.rows.size === 1 && logs.rows.get('["eu",9007199254740993]')?.body === "direct");
	psql("truncate shop.logs_eu");
	await client.until("nothing", () => logs.rows.size === 0);
});

test("a page and the next one adjoin", async () => {
	psql("update shop.lines set qty = 50 where qty between 10 and 20");
	const all = [];
	for (let cursor = null, isDone = false; !isDone; ) {
		const page = await client.value("shop.page", { paginationOpts: { numItems: 4, cursor } });
		all.push(...page.page.map((row) => row.id));
		({ isDone, continueCursor: cursor } = page);
	}
	const want = psql(`select '["' || tenant || '",' || "no" || ']' from shop.lines order by qty desc, tenant desc, "no" desc`).split("\n");
	assert.deepEqual(all, want);
});

test("a window of rows that are equal but for their keys", async () => {
	const window = await client.live({ entity: "Line", order: [["qty", "desc"]], limit: 4, where: { qty: 50 } });
	const first = () => psql(`select '["t",' || "no" || ']' from shop.lines where qty = 50 order by tenant desc, "no" desc limit 4`).split("\n").sort();
	assert.deepEqual(sorted(window).sort(), first());
	psql(`delete from shop.lines where "no" in (18, 20)`);
	await client.until("what moves up", () => JSON.stringify(sorted(window).sort()) === JSON.stringify(first()));
	psql(`insert into shop.lines (tenant, "no", qty) values ('t', 2000, 50)`);
	await client.until("what comes first", () => JSON.stringify(sorted(window).sort()) === JSON.stringify(first()));
	const byId = await client.live({ entity: "Line", order: [["id", "asc"]], limit: 2 });
	assert.deepEqual(sorted(byId), ['["t",1]', '["t",2]']);
	assert.match((await client.refused({ t: "subscribe", id: 900, entity: "Line", where: { id: { $gt: "x" } } })).error.message, /made of tenant and no/);
});

test("over HTTP, under the policies", async () => {
	const ann = { authorization: `Bearer ${stack.token("ann")}` };
	const line = `/api/entities/Line/${encodeURIComponent('["t",1]')}`;
	assert.equal((await stack.http("GET", line)).json.data.qty, 2);
	assert.equal((await stack.http("PATCH", line, { no: 1, tenant: "t", qty: 3 }, ann)).json.data.qty, 3);
	assert.equal((await stack.http("PATCH", line, { no: 7 }, ann)).code, "forbidden");
	assert.equal((await stack.http("GET", "/api/entities/Line/1")).code, "bad_value");
	assert.equal((await stack.http("GET", "/api/entities/Customer/2")).json.data.name, "x");
	assert.equal((await stack.http("GET", "/api/entities/Customer/two")).code, "bad_value");
	assert.equal((await stack.http("GET", "/api/entities/Customer/99")).code, "not_found");
	assert.equal((await stack.http("POST", "/api/entities/Customer", { name: "of nobody" })).code, "unauthenticated");
	assert.deepEqual((await stack.http("POST", "/api/entities/Customer", { name: "ann" }, ann)).json, { id: 5 });
	assert.equal((await stack.http("POST", "/api/entities/Customer", { id: 77, name: "ann" }, ann)).code, "bad_value"); // the table alone says it
	assert.equal((await stack.http("PATCH", "/api/entities/Customer/5", { email: "a@b" }, ann)).json.data.email, "a@b");
	assert.equal((await stack.http("PATCH", "/api/entities/Customer/4", { email: "a" }, ann)).code, "forbidden");
	assert.deepEqual((await stack.http("POST", "/api/entities/Product", { id: "p 1/ü", name: "by id", price: "2" }, ann)).json, { id: "p 1/ü" });
	assert.equal((await stack.http("GET", `/api/entities/Product/${encodeURIComponent("p 1/ü")}`)).json.data.stock, 7);
	psql("insert into shop.products values ('x/y', 'slash', 1)");
	assert.equal((await stack.http("GET", "/api/entities/Product/x%2Fy")).json.data.name, "slash");
	assert.equal((await stack.http("POST", "/api/entities/Product", { id: "p", sku: "q", name: "two", price: "2" }, ann)).code, "bad_value");
	assert.equal((await stack.http("POST", "/api/entities/Product", { name: "no key", price: "2" }, ann)).code, "bad_value");
	assert.deepEqual((await stack.http("POST", "/api/entities/Line", { id: '["h",1]', qty: 1 }, ann)).json, { id: '["h",1]' });
	assert.equal((await stack.http("DELETE", `/api/entities/Line/${encodeURIComponent('["h",1]')}`, undefined, ann)).status, 200);
});

test("who comes back is told of what changed its key meanwhile", async () => {
	const live = await client.live({ entity: "Line", where: { qty: { $lt: 6 } } });
	const held = sorted(live).length;
	client.close();
	await until("the end of the socket", () => client.closed !== undefined);
	psql(`update shop.lines set "no" = 3000 where "no" = 4; delete from shop.lines where "no" = 5`);
	await client.again();
	await client.until("an answer", () => live.answered && live.rows.has('["t",3000]'));
	assert.ok(live.kept, "it was told what is other");
	assert.equal(live.rows.size, held - 1);
	assert.ok(!live.rows.has('["t",4]') && !live.rows.has('["t",5]'));
});

test("a policy that looks at other rows", async () => {
	const bob = await stack.client({ token: stack.token("bob") });
	const live = await bob.live({ entity: "Line", where: { qty: { $gte: 100 } } });
	psql(`insert into shop.lines (tenant, "no", qty) values ('m', 1, 200), ('o', 1, 300)`);
	psql(`insert into "Member" ("user", tenant) values ('bob', 'm')`);
	await bob.until("what the member sees", () => live.rows.size === 1 && live.rows.has('["m",1]'));
	psql(`update shop.lines set tenant = 'm', "no" = 2 where tenant = 'o'`);
	await bob.until("a row that came by its key", () => live.rows.size === 2);
	psql(`delete from "Member"`);
	await bob.until("nothing", () => live.rows.size === 0);
	bob.close();
});

test("the SDK shows an optimistic row once, before and after the server tells its id", async () => {
	const sdk = createClient({ url: stack.url, WebSocket, storage: { tab: memoryStore(), device: memoryStore() } });
	const seen = { lines: [], customers: [] };
	sdk.onUpdate("Line", { where: { tenant: "s" }, orderBy: { qty: "desc" } }, (rows) => seen.lines.push(rows));
	sdk.onUpdate("Customer", { where: { name: "sdk" } }, (rows) => seen.customers.push(rows));
	await until("both", () => seen.lines.length && seen.customers.length);
	const line = { tenant: "s", no: 1, qty: 1 };
	await sdk.mutation(functionRef("shop.addLine"), line, { optimistic: (tx) => assert.equal(tx.insert("Line", { ...line, customer: null, code: null }), '["s",1]') });
	await sdk.mutation(functionRef("shop.addLine"), { ...line, no: 10 }, { optimistic: (tx) => tx.insert("Line", { ...line, no: 10, customer: null, code: null }) });
	await sdk.mutation(functionRef("shop.addLine"), { ...line, no: 9 });
	assert.deepEqual(seen.lines.at(-1).map((row) => row.id), ['["s",10]', '["s",9]', '["s",1]']);
	assert.ok(seen.lines.some((rows) => rows.some((row) => isPending(row))) && !seen.lines.at(-1).some((row) => isPending(row)));
	await sdk.mutation(functionRef("shop.dropLine"), { id: '["s",9]' }, { optimistic: (tx) => tx.delete("Line", '["s",9]') });
	for (const rows of seen.lines) assert.equal(new Set(rows.map((row) => row.no)).size, rows.length);
	const { id } = await sdk.mutation(functionRef("shop.addCustomer"), { name: "sdk" }, { optimistic: (tx) => tx.insert("Customer", { name: "sdk", email: null }) });
	await until("its own id", () => seen.customers.at(-1)[0]?.id === id);
	assert.ok(seen.customers.every((rows) => rows.length <= 1) && seen.customers.some(([row]) => row && isPending(row)));
	assert.equal((await sdk.query("Customer", { where: { id } }))[0].name, "sdk");
	sdk.close();
});

test("whatever becomes of keys, each client holds what Postgres holds, also who was away", async () => {
	const writer = new Psql(url);
	let seed = 11;
	const random = (n) => ((seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) >>> 8) % n;
	const place = () => `tenant = '${"ab"[random(2)]}' and "no" = ${random(9)}`;
	const free = (at) => `not exists (select from shop.lines where ${at})`;
	const write = () => {
		const [from, to] = [place(), place()];
		const key = to.replace(" and ", ", ");
		if (random(4) === 0) return `delete from shop.lines where ${from}`;
		if (random(3) === 0) return `update shop.lines set qty = ${random(6)} where ${from}`;
		if (random(3) === 0) return `insert into shop.lines (tenant, "no", qty) values ('${"ab"[random(2)]}', ${random(9)}, ${random(6)}) on conflict do nothing`;
		if (from === to || random(3)) return `update shop.lines set ${key}, qty = ${random(6)} where ${from} and ${free(to)}`;
		return `update shop.lines set "no" = -1 where ${from}; update shop.lines set ${from.replace(" and ", ", ")} where ${to}; update shop.lines set ${key} where "no" = -1 and ${free(to)}; delete from shop.lines where "no" = -1`;
	};
	await writer.ask("delete from shop.lines");
	const ann = await stack.client({ token: stack.token("ann") });
	const queries = [
		[{ entity: "Line" }, "true", ""],
		[{ entity: "Line", where: { qty: { $lt: 3 } } }, "qty < 3", ""],
		[{ entity: "Line", where: { tenant: "a" }, order: [["qty", "desc"]], limit: 3 }, "tenant = 'a'", 'order by qty desc, tenant desc, "no" desc limit 3'],
		[{ entity: "Line", order: [["id", "asc"]], limit: 4 }, "true", 'order by tenant collate "C", "no" limit 4'],
		[{ entity: "Line", where: { id: { $in: ['["a",1]', '["b",2]', '["b",3]'] } } }, `(tenant, "no") in (('a', 1), ('b', 2), ('b', 3))`, ""],
	];
	const lives = await Promise.all(queries.map(async ([query, where, rest]) => ({ live: await ann.live(query), where, rest })));
	const holds = async (client, round) => {
		for (const { live, where, rest } of lives) {
			const want = await writer.ask(`select coalesce(json_agg(format('%s %s', json_build_array(tenant, "no")::text, qty)), '[]') from (select * from shop.lines where ${where} ${rest}) x`);
			const wanted = JSON.stringify(JSON.parse(want).map((one) => one.replace(/, /, ",")).sort());
			await client.until(`round ${round}: ${wanted}`, () => live.answered && JSON.stringify(live.list.map((row) => `${row.id} ${row.qty}`).sort()) === wanted);
			for (const row of live.list) assert.equal(row.id, `["${row.tenant}",${row.no}]`);
		}
	};
	for (let round = 0; round < 12; round++) {
		const away = round % 4 === 3;
		if (away) {
			ann.close();
			await until("the end of the socket", () => ann.closed !== undefined);
		}
		for (let i = 0; i < 8; i++) await writer.ask(`begin; ${Array.from({ length: 1 + random(4) }, write).join("; ")}; commit`);
		if (away) await ann.again();
		await holds(ann, round);
	}
	ann.close();
	await writer.end();
});

// ---- what cannot be ----

/** The sentence with which a declaration is refused; an empty one: it is not. */
function refusal(source, as = url) {
	const home = temporary("refused");
	writeFileSync(join(home, "app.ts"), `import { entity, field } from "millrace/server";\n${source}\n`);
	const { status, err } = millrace(["migrate", "--apply", "--app-dir", home, "--data-dir", join(home, "data"), "--database-url", as]);
	return status === 0 ? "" : err;
}

test("rule 22: what does not fit is refused with a sentence", async () => {
	psql(`create collation shop.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		create table shop.odd (id int primary key, f real, m shop.mood, t timestamp, c char(3), d int not null, l text collate shop.loose);
		create table shop.keyless (a int); create table shop.later (a int primary key deferrable initially deferred);
		create table shop.floats (f float8 primary key); create view shop.seen as select * from shop.odd; create unlogged table shop.fast (id int primary key)`);
	const odd = (fields) => refusal(`export const Odd = entity.adopt("shop.odd", { fields: { id: field.int(), ${fields} } });`);
	assert.equal(odd(""), "");
	assert.match(odd("f: field.float().optional()"), /odd\.f is declared as float, but the column "f" is of type real/);
	assert.match(odd("m: field.string().optional()"), /the column "m" is of the enum shop\.mood/);
	assert.match(odd("m: field.date()"), /may be null/);
	assert.match(odd("t: field.datetime().optional()"), /timestamp without time zone/);
	assert.match(odd("t: field.date().optional()"), /timestamp without time zone/);
	assert.match(odd("d: field.timestamp().column('d')"), /is of type integer/);
	assert.match(odd("c: field.string().optional()"), /of type character/);
	assert.match(odd("l: field.string().optional()"), /nondeterministic collation/);
	assert.match(odd("x: field.string().optional()"), /has no column "x"/);
	assert.match(odd("f: field.int()"), /odd\.f is declared as int/);
	assert.match(odd("z: field.int().column('d').optional()"), /takes no nulls/);
	assert.match(odd("z: field.int().column('d').generated()"), /nothing fills in the column "d"/);
	assert.match(odd("z: field.int().column('d').default(3)"), /declared with a default, but the column "d" has none/);
	assert.match(odd("z: field.int().column('d').unique()"), /is adopted, so nothing of its table is changed; .*create unique index "odd_z_key" on "shop"."odd" \("d"\)/);
	const adopt = (table, fields, more = "") => refusal(`export const A = entity.adopt("${table}", { name: "A", ${more} fields: { ${fields} } });`);
	assert.match(adopt("shop.keyless", "a: field.int()", 'key: "a",'), /has no primary key/);
	assert.match(adopt("shop.later", "a: field.int()", 'key: "a",'), /is deferrable/);
	assert.match(adopt("shop.floats", "f: field.float()", 'key: "f",'), /a key is made of bool, int/);
	assert.match(adopt("shop.seen", "id: field.int().optional()"), /is required/);
	assert.match(adopt("shop.seen", "id: field.int()"), /is not a table, but a view/);
	assert.match(adopt("shop.fast", "id: field.int()"), /unlogged/);
	assert.match(adopt("shop.none", "id: field.int()"), /there is no table "shop"\."none"/);
	assert.match(adopt("shop.lines", "no: field.int(), tenant: field.string()", 'key: "no",'), /another key than the primary key of "lines", which is \(no, tenant\)/);
	assert.match(adopt("shop.odd", "d: field.int()"), /its key is id, which is not among its fields/);
	assert.match(adopt("shop.lines", "id: field.string(), no: field.int(), tenant: field.string()", 'key: ["tenant", "no"],'), /a field named id is the whole key/);
});

test("of another's table it is said what its owner must run", async () => {
	psql("create table shop.owned (id int primary key); alter table shop.owned owner to clerk; grant select on shop.owned to shop", urlOf(host.psql("select current_user")));
	const said = () => refusal(`export const O = entity.adopt("shop.owned", { fields: { id: field.int() } });`);
	assert.match(said(), /by the owner of "owned", clerk; let it run: grant clerk to shop/);
	host.psql("grant clerk to shop");
	assert.equal(said(), "");
});

test("the end", async () => {
	client.close();
	assert.equal((await stack.stop()).code, 0);
	assert.equal((await host.stop()).code, 0);
});

await run();
