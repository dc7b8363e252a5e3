// What is taken all the same is said in a sentence: a required column that no field declares any more.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { call, endAll, freePort, makeApp, millrace, remove, serve, SMALL_APP, temporary, until } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";

const app = makeApp();
const data = temporary("data");
const common = ["--app-dir", app, "--data-dir", data];
const LEFT = /Entity Message does not declare the column "body" of its table, which is required and has no default, so inserts fail; declare it, or run: alter table "public"\."Message" alter column "body" drop not null\n/g;
const count = (text, what) => text.match(what)?.length ?? 0;
const write = (name, text) => writeFileSync(join(app, name), text);
const declared = readFileSync(join(app, "app.ts"), "utf8");
const functions = SMALL_APP["functions/messages.ts"];
let server;

test("a required column that is declared no more is told by dev, once, and by migrate", async () => {
	server = await serve(["dev", ...common, "--port", String(await freePort()), "--workers", "1"]);
	await server.ready();
	assert.equal((await call(server.url, "messages.send", { body: "one" })).status, 200);
	assert.equal(count(server.err, LEFT), 0);
	write("app.ts", declared.replace("body: field.string(), ", ""));
	write("functions/messages.ts", functions.replace("{ body })", "{ body: _body })").replace(`"Message", { body }`, `"Message", {}`));
	await until("the sentence", () => count(server.err, LEFT) === 1);
	await until("the new code", async () => (await call(server.url, "messages.send", { body: "two" })).status === 400);
	const shown = millrace(["migrate", ...common]);
	assert.equal(count(shown.err, LEFT), 1, shown.err);
	write("functions/messages.ts", readFileSync(join(app, "functions/messages.ts"), "utf8").replace("first", "second"));
	await until("the next code", async () => (await call(server.url, "messages.word")).body.value === "second");
	assert.equal(count(server.err, LEFT), 1, server.err);
	millrace(["psql", "--data-dir", data, "--", "-c", 'alter table "public"."Message" alter column "body" drop not null']);
	assert.equal((await call(server.url, "messages.send", { body: "three" })).status, 200);
	assert.equal(count(millrace(["migrate", ...common]).err, LEFT), 0);
});

test("a clean end", async () => {
	await server.stop();
	await endAll();
	remove(app);
	remove(data);
});

await run();
