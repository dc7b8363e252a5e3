// Postgres away for a while: reads say so after read_wait, writes wait for it, the log says it in a few lines, and event streams tell it.
import assert from "node:assert/strict";
import { endAll, freePort, makeApp, remove, serve, temporary, until } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Events, sleep, Stack } from "../lib/stack.mjs";

const host = await Stack.start();
host.psql("create role away login");
host.psql("create database away owner away");
const url = `postgresql:///away?host=${host.psql("show unix_socket_directories")}&user=away`;
const hostArgs = ["dev", "--app-dir", host.app, "--data-dir", host.data, "--workers", "1", "--port", String(host.port)];
const app = makeApp();
const data = temporary("away");
let server, address;

async function ask(method, path, body) {
	const began = Date.now();
	const response = await fetch(new URL(path, address), { method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(30000) });
	return { ms: Date.now() - began, status: response.status, retry: response.headers.get("retry-after"), ...(await response.json()) };
}
const send = (body) => ask("POST", "/api/fn/messages.send", { body });
const lines = (text) => text.split("\n").filter((line) => /cannot|connect|Postgres|no tick|terminating|answers again/i.test(line));

test("while it is away reads are answered soon, and it is told in few lines", async () => {
	server = await serve(["dev", "--app-dir", app, "--data-dir", data, "--port", String(await freePort()), "--workers", "2", "--database-url", url]);
	address = await server.ready();
	assert.equal((await send("before")).status, 200);
	await host.server.stop();
	const before = server.err.length;
	const gone = Date.now();
	await until("not ready", async () => (await fetch(new URL("/readyz", address))).status === 503);
	const stream = await Events.open({ url: address }, { entity: "Message" });
	await until("the status", () => stream.events.some((e) => e.event === "status" && e.json.following === false));
	// More of them than the workers have connections: those in line are told the same.
	const writes = Array.from({ length: 40 }, (_, i) => send(`while away ${i}`));
	const reads = await Promise.all(["/api/entities/Message", "/api/entities/Message/00000000-0000-7000-8000-000000000001"].map((path) => ask("GET", path)).concat(ask("POST", "/api/fn/messages.list", {})));
	for (const read of reads) {
		assert.deepEqual([read.status, read.error.code, read.retry], [503, "postgres_unavailable", "2"]);
		assert.ok(read.ms > 1000 && read.ms < 5000, `${read.ms} ms`);
	}
	await until("all writes to be answered", async () => (await Promise.all(writes)).every((w) => ["postgres_unavailable", "time_limit"].includes(w.error.code)));
	assert.ok((await writes[0]).ms > 10000, "a write waits");
	await sleep(Math.max(0, 24000 - (Date.now() - gone)));
	const said = lines(server.err.slice(before));
	console.log(`# ${said.length} lines in ${Date.now() - gone} ms`);
	assert.ok(said.length <= 14, said.join("\n"));
	stream.close();
});

test("it comes back: all is well, and each process says so once", async () => {
	const before = server.err.length;
	host.server = await serve(hostArgs);
	await host.server.ready();
	await until("a write", async () => (await send("after")).status === 200);
	assert.equal((await ask("POST", "/api/fn/messages.list", {})).value.length >= 2, true);
	await until("the lines", () => server.err.slice(before).match(/Postgres answers again, after \d+/g)?.length >= 2);
	assert.ok(server.err.slice(before).match(/answers again/g).length <= 4);
});

test("a quick restart is bridged: a read under way is answered", async () => {
	await host.server.stop();
	const read = ask("POST", "/api/fn/messages.list", {});
	host.server = await serve(hostArgs);
	const answer = await read;
	assert.equal(answer.status, 200, JSON.stringify(answer));
	await host.server.ready();
});

test("a clean end", async () => {
	assert.equal((await server.stop()).code, 0);
	await host.stop();
	await endAll();
	remove(app);
	remove(data);
});

await run();
