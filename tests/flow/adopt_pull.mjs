// `millrace pull`: an existing schema becomes declarations, which compile, change nothing of the tables and are live.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { millrace, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Stack } from "../lib/stack.mjs";

const host = await Stack.start();
host.psql("create database shop");
const url = `postgresql:///shop?host=${host.psql("show unix_socket_directories")}&user=${host.psql("select current_user")}`;
const at = (command, ...words) => millrace([command, "--data-dir", host.data, "--database-url", url, ...words]);
const psql = (sql) => {
	const { status, out, err } = at("psql", "--", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql);
	assert.equal(status, 0, err);
	return out.trim();
};
psql(`create schema shop; set search_path = shop;
	create type mood as enum ('good', 'so "so"', 'bad'); create domain money2 as numeric(12,2);
	create table customers (id serial primary key, name text not null, email varchar(80) unique, vip bool not null default false, made timestamptz not null default now(),
		seen timestamp default current_timestamp, spot point, photo bytea, extra jsonb not null default '{}', total money2, half real, born date, mood mood default 'good',
		upper_name text generated always as (upper(name)) stored);
	create table "Order Items" ("order" int not null references customers on delete cascade, "no" smallint, "größe" text, id uuid default gen_random_uuid(),
		buddy bigint references customers, note text collate "C", primary key ("order", "no"));
	create unique index on "Order Items" (id, note); create index by_note on "Order Items" (note, "no"); create index "by size" on "Order Items" ("größe");
	create table class (code text primary key, "class" text, delete int generated always as identity);
	create table keyless (a int); create view seen as select * from customers; create table floaty (a float8 primary key);
	create table parts (day date not null, id bigint not null, primary key (id)); create table picky (id int primary key, spot point not null)`);

const app = temporary("pull");
const file = join(app, "app.ts");
const fingerprint = () => psql(`select md5(string_agg(a::text || coalesce(pg_get_expr(d.adbin, d.adrelid), ''), '' order by a.attrelid, a.attnum)) || (select md5(string_agg(pg_get_indexdef(indexrelid) , '' order by indexrelid))
	from pg_index i join pg_class t on t.oid = i.indrelid where t.relnamespace = 'shop'::regnamespace) || (select count(*) from pg_constraint where connamespace = 'shop'::regnamespace) from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum join pg_class c on c.oid = a.attrelid
	where c.relnamespace = 'shop'::regnamespace`);
const before = fingerprint();

test("what is printed and what is said", () => {
	const printed = at("pull", "--schema", "shop");
	assert.equal(printed.status, 0, printed.err);
	assert.match(printed.err, /5 tables declared, 3 left out/);
	const text = printed.out;
	const has = (line) => assert.ok(text.includes(line), `${line}\nis not in\n${text}`);
	has("\t\tid: field.int().generated(), // default: nextval('customers_id_seq'::regclass)\n".replace("'customers", "'shop.customers"));
	has("\t\temail: field.string().optional().unique(),\n");
	has("\t\tmade: field.datetime().defaultNow(),\n");
	has("\t\tseen: field.timestamp().defaultNow().optional(),\n");
	has("\t\t// spot: point, which filters cannot compare; read it by ctx.db.sql\n");
	has("\t\ttotal: field.numeric().optional(),\n");
	has("\t\t// half: real, which");
	has(`\t\tmood: field.pgEnum("good", "so \\"so\\"", "bad").generated().optional(), // default: 'good'::shop.mood\n`);
	has("\t\tupper_name: field.string().generated().optional().readonly(), // is always: upper(name)\n");
	has('export const Order_Items = entity.adopt("shop.Order Items", {\n\tname: "Order_Items",\n\tkey: ["order", "no"],\n');
	has('\t\torder: field.int().references("customers", { onDelete: "cascade" }),\n');
	has('\t\tgr__e: field.string().optional().column("größe"),\n');
	has('\t\tid_: field.uuid().generated().optional().column("id"), // default: gen_random_uuid()\n');
	has('\n\t.index("by_note", ["note", "no"])');
	has('["id_", "note"], { unique: true })');
	has('\t// .index("by_size", ["gr__e"]) is not ordered by bytes (collate "C")');
	has('export const class_ = entity.adopt("shop.class", {\n\tkey: "code",');
	has("\t\tdelete: field.int().generated().readonly(),\n");
	has("// shop.keyless has no primary key");
	has("// shop.seen is a view");
	has("// shop.floaty has a column in its primary key by whose type");
	has("It is required and has no default, so nothing is inserted here");
	const one = at("pull", "--schema=shop", "--table", "Order Items");
	assert.match(one.out, /order: field\.int\(\), \/\/ refers to a table that is not declared here/);
	assert.match(at("pull", "--schema", "shop", "--table", "none").err, /There is no table "none" in the schema "shop"/);
	assert.match(at("pull", "--schema", "nowhere").err, /The schema "nowhere" has no tables/);
	assert.equal(at("pull", "--nothing").status, 2);
});

test("an existing file is written over only by force", () => {
	assert.equal(at("pull", "--schema", "shop", "--out", file).status, 0);
	const written = readFileSync(file, "utf8");
	writeFileSync(file, "// mine\n");
	assert.match(at("pull", "--schema", "shop", "--out", file).err, /exists; give --force/);
	assert.equal(readFileSync(file, "utf8"), "// mine\n");
	assert.equal(at("pull", "--schema", "shop", "--out", file, "--force").status, 0);
	assert.equal(readFileSync(file, "utf8"), written);
	assert.equal(fingerprint(), before);
});

let stack;
test("it compiles, and its plan is nothing but the triggers", async () => {
	mkdirSync(join(app, "functions"));
	writeFileSync(file, `${readFileSync(file, "utf8")}\nimport { policy } from "millrace/server";\nfor (const name of ["customers", "Order_Items", "class", "parts"]) policy(name, { read: true, insert: true, update: true });\n`);
	writeFileSync(join(app, "functions", "shop.ts"), `import { mutation } from "../_generated/server";
export const buy = mutation({ args: {}, auth: "public", async handler(ctx) {
	const customer: number = await ctx.db.insert("customers", { name: "ann", mood: "bad" });
	const item: string = await ctx.db.insert("Order_Items", { order: customer, no: 1, gr__e: "XL" });
	const [row] = await ctx.db.query("Order_Items").include({ who: "order" });
	return { item, who: row?.who?.upper_name ?? null };
} });\n`);
	const checked = millrace(["check", "--app-dir", app, "--data-dir", join(app, "data")]);
	assert.equal(checked.status, 0, checked.err + checked.out);
	const plan = millrace(["migrate", "--app-dir", app, "--data-dir", join(app, "data"), "--database-url", url]);
	assert.equal(plan.status, 3, plan.err);
	const own = plan.out.slice(plan.out.indexOf('-- "shop"')).split("\n").filter((line) => line && !/^(-- .* is adopted as |create trigger |\twhen |\texecute function millrace\.|alter table .* enable always trigger|select millrace\.mark_bulk)/.test(line));
	assert.deepEqual(own, []);
});

test("it is live", async () => {
	stack = await Stack.start(["--database-url", url], temporary("pulled"), app);
	assert.equal(fingerprint(), before);
	const client = await stack.client();
	const items = await client.live({ entity: "Order_Items" });
	assert.deepEqual(await client.value("shop.buy"), { item: "[1,1]", who: "ANN" });
	await client.until("the item", () => items.rows.get("[1,1]")?.gr__e === "XL");
	psql(`delete from shop.customers`);
	await client.until("what the database took with it", () => items.rows.size === 0);
	client.close();
});

test("the end", async () => {
	assert.equal((await stack.stop()).code, 0);
	assert.equal((await host.stop()).code, 0);
});

await run();
