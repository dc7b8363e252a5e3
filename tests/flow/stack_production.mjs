// In production nothing of what Postgres says reaches a client; in development it does. And who may never write is told so first.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { endAll, freePort, makeApp, millrace, remove, serve, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { sign } from "../lib/stack.mjs";

const app = makeApp({
	"app.ts": `import { entity, field, policy } from "millrace/server";
export const Channel = entity("Channel", { name: field.string().unique(), topic: field.string() });
export const Message = entity("Message", { channel: field.id("Channel"), code: field.string().optional().serverOnly() }).index("by_code", ["code"], { unique: true });
export const Note = entity("Note", { owner: field.string(), text: field.string() });
policy(Channel, { read: true, insert: true });
policy(Message, { read: true });
policy(Note, { read: true, insert: "auth.userId == 'ann'", update: "auth.userId == 'ann'", delete: "auth.userId == 'ann'" });
`,
	"functions/all.ts": `import { v } from "millrace/server";
import { action, mutation, query } from "../_generated/server";
export const table = query({ auth: "public", handler: (ctx) => ctx.db.sql("select * from nosuchtable") });
export const syntax = query({ auth: "public", handler: (ctx) => ctx.db.sql("select secretcolumn from from") });
export const divide = query({ auth: "public", handler: (ctx) => ctx.db.sql("select 1 / (1 - 1) as x") });
export const caught = query({ auth: "public", handler: async (ctx) => { try { return await ctx.db.sql("select * from nosuchtable"); } catch (e) { return String(e); } } });
export const thrown = query({ auth: "public", handler: () => { throw new Error("nosuchtable is thrown"); } });
export const add = mutation({ auth: "public", args: { name: v.string() }, handler: (ctx, { name }) => ctx.db.insert("Channel", { name, topic: "t" }) });
export const refer = mutation({ auth: "public", args: { channel: v.id("Channel") }, handler: (ctx, { channel }) => ctx.db.insert("Message", { channel }) });
export const drop = mutation({ auth: "public", args: { channel: v.id("Channel") }, handler: (ctx, { channel }) => ctx.db.delete("Channel", channel) });
export const code = mutation({ auth: "public", args: { channel: v.id("Channel") }, handler: (ctx, { channel }) => ctx.db.insert("Message", { channel, code: "hidden" }) });
export const clock = query({ auth: "public", handler: (ctx) => ctx.db.sql('select count(*) from "Channel" where now() > $1', "2026-01-01T00:00:00Z") });
export const given = query({ auth: "public", handler: (ctx) => ctx.db.sql("select $1::timestamptz > '2026-01-01' as late, $2::float8 < 1 as chance", new Date(ctx.now()), ctx.random()) });
export const stamp = mutation({ auth: "public", handler: (ctx) => ctx.db.sql("select now() > '2026-01-01' as late") });
export const reach = action({ auth: "public", args: { url: v.string() }, handler: async (_ctx, { url }) => (await fetch(url)).status });
export const topicless = mutation({ auth: "public", handler: (ctx) => ctx.db.sql('insert into "Channel" (id, name) values (gen_random_uuid(), \\'x\\')') });
`,
});
const data = temporary("data");
const args = ["--app-dir", app, "--data-dir", data, "--workers", "1"];
let server, url;

async function start(command) {
	server = await serve([command, ...args, "--port", String(await freePort())]);
	url = await server.ready();
}
async function ask(method, path, body, user) {
	const headers = { "content-type": "application/json" };
	if (user) headers.authorization = `Bearer ${sign(readFileSync(join(data, "secret"), "utf8").trim(), { sub: user, exp: Math.floor(Date.now() / 1000) + 600 })}`;
	const response = await fetch(new URL(path, url), { method, headers, body: body && JSON.stringify(body) });
	return { status: response.status, text: await response.clone().text(), ...(await response.json()) };
}
const call = (name, more = {}) => ask("POST", `/api/fn/all.${name}`, more);
const OF_POSTGRES = /nosuchtable|relation|constraint|_key|syntax|secretcolumn|division|violates|null value|foreign key|hidden/;

test("in development the database's words reach the developer", async () => {
	await start("dev");
	assert.match((await call("table")).error.message, /relation "nosuchtable" does not exist/);
	await call("add", { name: "one" });
	const twice = await call("add", { name: "one" });
	assert.equal(twice.error.code, "unique_violation");
	assert.match(twice.error.message, /violates unique constraint/);
	assert.deepEqual(twice.error.data, { entity: "Channel", fields: ["name"] });
	const { value: channel } = await call("add", { name: "referred" });
	await call("refer", { channel });
	for (const refused of [await call("refer", { channel: "00000000-0000-7000-8000-000000000001" }), await call("drop", { channel })])
		assert.deepEqual([refused.error.code, refused.error.data], ["reference_violation", { entity: "Message", fields: ["channel"] }], "whichever side is written");
});

test("rule 23: a query is not let read what changes by itself; a mutation is", async () => {
	const { error } = await call("clock");
	assert.equal(error.code, "sql_error");
	assert.match(error.message, /now\(\) changes by itself; pass new Date\(ctx\.now\(\)\) as a parameter/);
	assert.deepEqual((await call("given")).value, [{ late: true, chance: true }]);
	assert.deepEqual((await call("stamp")).value, [{ late: true }]);
});

test("rule 27: in production they stay in the log", async () => {
	await server.stop();
	const migrated = millrace(["migrate", "--apply", ...args.slice(0, 4)]);
	assert.equal(migrated.status, 0, migrated.err);
	await start("serve");
	const channel = (await call("add", { name: "two" })).value;
	for (const [name, more, code, data] of [
		["table", {}, "sql_error"],
		["syntax", {}, "sql_error"],
		["divide", {}, "sql_error"],
		["add", { name: "two" }, "unique_violation", { entity: "Channel", fields: ["name"] }],
		["refer", { channel: "00000000-0000-7000-8000-000000000001" }, "reference_violation", { entity: "Message", fields: ["channel"] }],
		["topicless", {}, "check_violation", { entity: "Channel", fields: ["topic"] }],
		["thrown", {}, "function_failed"],
		["reach", { url: "http://nosuchtable.invalid/" }, "fetch_failed"],
		["reach", { url: "http://127.0.0.1:1/" }, "fetch_refused"],
	]) {
		const answer = await call(name, more);
		assert.equal(answer.error?.code, code, answer.text);
		assert.deepEqual(answer.error.data, data, answer.text);
		assert.doesNotMatch(answer.text, OF_POSTGRES, name);
		assert.match(answer.error.message, /^[A-Z].*\.$/, name);
		const [, id] = /in the server's log as ([0-9a-f]{8})\b/.exec(answer.error.message) ?? [];
		assert.equal(id !== undefined, !["unique_violation", "reference_violation", "check_violation"].includes(code), answer.text);
		if (id) await server.logs(new RegExp(`all\\.${name} \\(${id}\\): `));
	}
	assert.notEqual((await call("thrown")).error.message, (await call("thrown")).error.message, "each time another");
	assert.equal((await call("add", { name: "two" })).error.message, "A row with this value exists already (Channel.name).");
	assert.equal((await ask("POST", "/api/entities/Channel", { name: "two", topic: "t" })).error.message, "A row with this value exists already (Channel.name).");
	await call("code", { channel });
	const secret = await call("code", { channel });
	assert.equal(secret.error.code, "unique_violation");
	assert.equal(secret.error.data, undefined, "a field that clients do not know is not named");
	assert.doesNotMatch((await call("caught")).text, OF_POSTGRES);
	for (const line of [/error worker 0: all\.table \(\w+\): Postgres refuses: relation "nosuchtable" does not exist/, /all\.syntax \(\w+\): .*syntax error/,
		/info worker 0: all\.add \(\w+\): .*"Channel_name_key"/, /info worker 0: insert Channel \(\w+\): .*"Channel_name_key"/, /all\.caught \(\w+\): .*nosuchtable/, /all\.reach \(\w+\): a fetch failed: Could not resolve host: nosuchtable/])
		await server.logs(line);
	assert.equal(server.err.match(/all\.table \(\w+\): Postgres refuses/g).length, 1, "one line for each");
});

test("who may never write is told so before his row is looked at", async () => {
	for (const user of [undefined, "ann"])
		for (const row of [{}, { nosuch: 1 }, { channel: 7 }]) {
			const answer = await ask("POST", "/api/entities/Message", row, user);
			assert.deepEqual([answer.status, answer.error.code], [403, "forbidden"], answer.text);
		}
	const other = (method, path, user, body = {}) => ask(method, path, method === "DELETE" ? undefined : body, user).then((a) => a.error.code);
	assert.equal(await other("POST", "/api/entities/Note", "bob"), "forbidden");
	assert.equal(await other("POST", "/api/entities/Note"), "unauthenticated");
	assert.match((await ask("POST", "/api/entities/Note", {}, "ann")).error.message, /Note\.\w+ is required/);
	const { id } = await ask("POST", "/api/entities/Note", { owner: "ann", text: "t" }, "ann");
	for (const method of ["PATCH", "DELETE"]) {
		assert.equal(await other(method, `/api/entities/Note/${id}`, "bob", { nosuch: 1 }), "forbidden");
		assert.equal(await other(method, `/api/entities/Note/${id}`), "unauthenticated");
	}
	assert.equal((await ask("DELETE", `/api/entities/Note/${id}`, undefined, "ann")).status, 200);
});

test("a clean end", async () => {
	await server.stop();
	await endAll();
	remove(app);
	remove(data);
});

await run();
