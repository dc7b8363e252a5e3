// A database of one's own (DATABASE_URL), with a role that is nobody special: everything works as with the private one, and stays there.
import assert from "node:assert/strict";
import { call, endAll, freePort, makeApp, millrace, remove, serve, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Client, Stack, until } from "../lib/stack.mjs";

const host = await Stack.start();
host.psql("create role shop login");
host.psql("create database shop owner shop");
const url = `postgresql:///shop?host=${host.psql("show unix_socket_directories")}&user=shop`;
const app = makeApp();
const data = temporary("own");

async function start() {
	const server = await serve(["dev", "--app-dir", app, "--data-dir", data, "--port", String(await freePort()), "--workers", "1"], { env: { DATABASE_URL: url } });
	return Object.assign(server, { url: await server.ready() });
}
const post = async (server, fn, args) => (await call(server.url, fn, args)).body;
const psql = (sql) => millrace(["psql", "--data-dir", data, "--", "-qAt", "-c", sql], { env: { DATABASE_URL: url } });

let server;
test("functions write to it, and rows of other programs come live", async () => {
	server = await start();
	const client = await new Client(server, { token: null }).ready();
	const live = await client.live({ entity: "Message" });
	const sent = await post(server, "messages.send", { body: "from a function" });
	assert.ok(sent.value, JSON.stringify(sent));
	await client.until("its row", () => live.rows.has(sent.value));
	const done = psql(`insert into "Message" (id, body) values (gen_random_uuid(), 'from outside')`);
	assert.equal(done.status, 0, done.err);
	await client.until("the row from outside", () => live.rows.size === 2);
	assert.equal(psql(`select count(*) || current_user from "Message"`).out.trim(), "2shop");
	client.close();
});

test("it is there after a restart, and goes away and comes back without the server", async () => {
	assert.equal((await server.stop()).code, 0);
	server = await start();
	assert.equal((await post(server, "messages.list", {})).value.length, 2);
	psql("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename = 'shop'");
	await until("an answer", async () => (await post(server, "messages.send", { body: "after all connections were ended" })).value);
	assert.equal((await post(server, "messages.list", {})).value.length, 3);
});

test("the end", async () => {
	assert.equal((await server.stop()).code, 0);
	assert.equal((await host.stop()).code, 0);
	await endAll();
	remove(app);
	remove(data);
});

await run();
