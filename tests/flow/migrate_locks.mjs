// Migrations of tables that are in use: they wait for locks shortly, say who is in the way, and let others write while they read rows.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { millrace, MILLRACE, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Psql } from "../lib/psql.mjs";
import { sleep, Stack, until } from "../lib/stack.mjs";

const host = await Stack.start();
host.psql("create database shop");
const url = `postgresql:///shop?host=${host.psql("show unix_socket_directories")}&user=${host.psql("select current_user")}`;
const app = temporary("locks");
const words = ["--app-dir", app, "--data-dir", join(app, "data"), "--database-url", url];
const psql = new Psql(url);

const declare = (item, more = "") => writeFileSync(join(app, "app.ts"), `import { entity, field } from "millrace/server";
export const Box = entity("Box", { name: field.string() });
export const Item = entity("Item", { ${item} })${more};\n`);
/** As `migrate` would print it and run it; while it runs, others do. */
function migrate(timeout, ...more) {
	const child = spawn(MILLRACE, ["migrate", ...more, ...words, "--migrate-lock-timeout", timeout], { stdio: ["ignore", "pipe", "pipe"] });
	const made = { out: "", err: "", child };
	child.stdout.on("data", (d) => (made.out += d));
	child.stderr.on("data", (d) => (made.err += d));
	return Object.assign(made, { ended: new Promise((done) => child.once("close", (status) => done(Object.assign(made, { status })))) });
}
/** Somebody who writes all the time; gives how long the longest write took. */
function writer() {
	const one = new Psql(url);
	let on = true, longest = 0, n = 0;
	const all = (async () => {
		for (; on; n++) {
			const from = Date.now();
			await one.ask(`insert into "Item" (n, code) values (${n}, 'w' || gen_random_uuid())`);
			longest = Math.max(longest, Date.now() - from);
			await sleep(5);
		}
		await one.end();
	})();
	return { end: async () => ((on = false), await all, { longest, n }) };
}

const V1 = "n: field.int(), code: field.string().optional(), box: field.uuid().optional(), price: field.int().optional()";
const V2 = 'n: field.int(), code: field.string().unique(), box: field.id("Box").optional(), price: field.int().min(0).optional()';
declare(V1);
assert.equal(millrace(["migrate", "--apply", ...words]).status, 0);
await psql.ask(`insert into "Item" (n, code) select n, 'c' || n from generate_series(1, 2000) n`);

test("the plan shows which steps let others write", () => {
	declare(V2);
	const { status, out } = millrace(["migrate", ...words]);
	assert.equal(status, 3);
	const [first, ...steps] = out.split("-- ==== ");
	assert.match(first, /foreign key \("box"\) references "public"\."Box" \("id"\) on delete restrict not valid;/);
	assert.match(first, /check \(.*price.*\) not valid;/);
	assert.doesNotMatch(first, /create (unique )?index|set not null/);
	assert.deepEqual(steps.map((step) => /(validate constraint|create unique index concurrently|set not null)/.exec(step)?.[0]).sort(),
		["create unique index concurrently", "set not null", "validate constraint", "validate constraint", "validate constraint"]);
});

test("behind a transaction that stays it gives up in time, says who that is, and writers went on", async () => {
	const blocker = new Psql(url);
	const pid = await blocker.ask("select pg_backend_pid()");
	await blocker.ask(`begin; update "Item" set price = 1 where n = 1`);
	const writes = writer();
	const began = Date.now();
	const gone = await migrate("150ms", "--apply").ended;
	const took = Date.now() - began;
	const { longest, n } = await writes.end();
	assert.equal(gone.status, 1);
	assert.match(gone.err, new RegExp(`in vain \\(migrate_lock_timeout, 5 times\\).*process ${pid} of Postgres .* whose transaction began at .*update "Item" set price = 1`, "s"));
	assert.ok(took < 20000, `${took} ms`);
	assert.ok(n > 10 && longest < 3000, `the longest of ${n} writes took ${longest} ms`);
	assert.equal(await psql.ask(`select count(*) from pg_constraint where conrelid = '"Item"'::regclass and contype in ('f', 'c')`), "0");
	await blocker.ask("rollback");
	await blocker.end();
});

test("an index whose making was broken off is made again; only one migrates at a time", async () => {
	await psql.ask(`update "Item" set code = 'w' || id where code is null; create table other (n int)`);
	const reader = new Psql(url);
	await reader.ask(`begin isolation level repeatable read; select count(*) from other; insert into other values (1)`);
	const writes = writer();
	const first = migrate("20s", "--apply");
	const making = () => psql.ask("select pid from pg_stat_activity where query like '%create unique index concurrently%' and pid <> pg_backend_pid() and wait_event is not null and state = 'active'").catch(() => "");
	const pid = await until("the index is being made", making);
	const second = await migrate("10ms", "--apply").ended;
	assert.match(second.err, /Another migration of this database is under way/);
	await psql.ask(`select pg_cancel_backend(${pid})`);
	const { status, err } = await first.ended;
	assert.equal(status, 1, err);
	const { longest, n } = await writes.end();
	assert.ok(n > 10 && longest < 3000, `the longest of ${n} writes took ${longest} ms`);
	assert.equal(await psql.ask(`select indisvalid from pg_index where indexrelid = '"Item_code_key"'::regclass`), "f");
	// behind the reader it cannot be done, which is said with his name
	const third = await migrate("30ms", "--apply").ended;
	assert.equal(third.status, 1);
	assert.match(third.err, /in vain.*insert into other/s);
	await reader.ask("rollback");
	await reader.end();
	const last = await migrate("2s", "--apply").ended;
	assert.equal(last.status, 0, last.err);
	assert.match(last.out, /drop index concurrently/);
	assert.equal(await psql.ask(`select bool_and(indisvalid) from pg_index where indrelid = '"Item"'::regclass`), "t");
	assert.equal(await psql.ask(`select string_agg(conname || convalidated, ' ' order by conname) from pg_constraint where conrelid = '"Item"'::regclass and contype in ('f', 'c')`), "Item_box_fkeytrue Item_price_checktrue");
	assert.equal(await psql.ask(`select attnotnull from pg_attribute where attrelid = '"Item"'::regclass and attname = 'code'`), "t");
	assert.match(millrace(["migrate", ...words]).err, /Nothing to do/);
});

test("a check that was never proved is proved by the next plan", async () => {
	declare(V2, '.check("small", { price: { $lt: 100 } })');
	const { out } = millrace(["migrate", ...words]);
	await psql.ask(out.slice(0, out.indexOf("-- ====")).trim().replace(/;$/, ""));
	const next = await migrate("2s", "--apply").ended;
	assert.equal(next.status, 0, next.err);
	assert.match(next.out, /^-- ==== In a transaction of its own, while others write:\nalter table "public"\."Item" validate constraint "Item_small_check";\n$/);
	assert.match(millrace(["migrate", ...words]).err, /Nothing to do/);
});

test("the end", async () => {
	await psql.end();
	assert.equal((await host.stop()).code, 0);
});

await run();
