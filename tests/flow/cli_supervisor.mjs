// timeout: 400
// The supervisor with real processes: start, reload, errors, deaths, end.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { alive, BUILD, call, descendants, endAll, freePort, makeApp, millrace, remove, sanitized, serve, SMALL_APP, until } from "../lib/cli.mjs";
import { Psql } from "../lib/psql.mjs";

after(endAll);

const app = makeApp();
const data = join(app, ".millrace");
const functions = join(app, "functions/messages.ts");
const source = SMALL_APP["functions/messages.ts"];
const port = await freePort();
const args = ["dev", "--app-dir", app, "--data-dir", data, "--port", String(port), "--workers", "2"];
let server;

const word = async () => (await call(server.url, "messages.word").catch(() => undefined))?.body.value;
const below = (name) => descendants(server.pid).filter((p) => p.command.includes(`/${name} `));

test("dev starts from nothing and serves", async () => {
	server = await serve(args);
	assert.equal(await server.ready(), `http://localhost:${port}/`);
	assert.equal(await word(), "first");
	assert.equal((await fetch(server.url)).status, 200);
	assert.equal((await call(server.url, "messages.send", { body: "kept" })).status, 200);
	assert.equal(below("millrace-worker").length, 2);
});

test("a second one on the same data is refused", async () => {
	const other = await serve(["dev", "--app-dir", app, "--data-dir", data, "--port", "0"]);
	assert.equal((await other.ended).code, 1);
	assert.match(other.err, new RegExp(`already running on .* as process ${server.pid}; stop it`));
});

test("a taken port is told in one sentence, and nothing is left running", async () => {
	const held = createServer().listen(0, "127.0.0.1");
	await new Promise((resolve) => held.once("listening", resolve));
	const taken = held.address().port;
	const other = await serve(["dev", "--app-dir", app, "--data-dir", join(app, ".millrace-2"), "--port", String(taken)]);
	assert.equal((await other.ended).code, 1);
	assert.equal(other.err, `millrace: Port ${taken} is taken by another program; stop that one, or give another with --port.\n`);
	held.close();
});

test("psql reaches the private database", async () => {
	const { status, out, err } = millrace(["psql", "--data-dir", data, "--", "-Atc", 'select body from "Message"']);
	assert.equal(status, 0, err);
	assert.equal(out, "kept\n");
});

test("new code takes over on save, and calls never fail meanwhile", async () => {
	let failed = 0;
	let going = true;
	const hammer = (async () => {
		while (going) if (![200].includes((await call(server.url, "messages.word")).status)) failed++;
	})();
	writeFileSync(functions, source.replace("first", "second"));
	await until("the new code", async () => (await word()) === "second");
	writeFileSync(join(app, "functions/added.ts"), `import { query } from "../_generated/server";\nexport const one = query({ auth: "public", handler: () => 1 });\n`);
	await until("the new file", async () => (await call(server.url, "added.one")).status === 200);
	going = false;
	await hammer;
	assert.equal(failed, 0);
	await until("the old workers' end", () => below("millrace-worker").length === 2);
});

test("an error keeps the old code serving, and its correction is taken", async () => {
	writeFileSync(functions, "export const x = ;");
	await until("the message", () => /functions\/messages\.ts:1:17/.test(server.err));
	assert.equal(await word(), "second");
	writeFileSync(functions, source.replace("first", "third"));
	await until("the corrected code", async () => (await word()) === "third");
	await until("the old workers' end", () => below("millrace-worker").length === 2);
});

test("a changed page is built without new workers", async () => {
	const before = below("millrace-worker").map((p) => p.pid).sort();
	writeFileSync(join(app, "web/main.ts"), SMALL_APP["web/main.ts"].replace("document.title", "document.body.title"));
	await until("the new page", async () => (await (await fetch(new URL("/main.js", server.url))).text()).includes("document.body.title"));
	assert.deepEqual(below("millrace-worker").map((p) => p.pid).sort(), before);
});

test("an additive migration is applied", async () => {
	writeFileSync(join(app, "app.ts"), `${SMALL_APP["app.ts"]}export const Note = entity("Note", { text: field.string() });\n`);
	await until("the new table", () => millrace(["psql", "--data-dir", data, "--", "-Atc", `select to_regclass('public."Note"') is not null`]).out === "t\n");
	await until("the code", async () => (await word()) === "third");
	await until("the old workers' end", () => below("millrace-worker").length === 2);
});

test("types are checked in the background", async () => {
	writeFileSync(join(app, "functions/added.ts"), `import { query } from "../_generated/server";\nconst n: number = "text";\nexport const one = query({ auth: "public", handler: () => n });\n`);
	await until("the type error", () => /functions\/added\.ts\(2,7\): error TS2322/.test(server.err));
	writeFileSync(join(app, "functions/added.ts"), `import { query } from "../_generated/server";\nexport const one = query({ auth: "public", handler: () => 2 });\n`);
	await until("types right again", () => /types are right again/.test(server.err));
	await until("the new code", async () => (await call(server.url, "added.one")).body.value === 2);
	await until("the old workers' end", () => below("millrace-worker").length === 2);
});

test("a killed worker, a killed fanout and a killed Postgres come back", async () => {
	const [worker] = below("millrace-worker");
	process.kill(worker.pid, "SIGKILL");
	await until("the log line", () => /worker \d ended after .* \(signal 9 \(Killed\)\); it starts again in/.test(server.err));
	await until("two workers", () => below("millrace-worker").length === 2 && !alive(worker.pid));
	await until("answers", async () => (await word()) === "third");
	const [fanout] = below("millrace-fanout");
	process.kill(fanout.pid, "SIGKILL");
	await until("a new fanout", () => below("millrace-fanout").some((p) => p.pid !== fanout.pid));
	await until("answers", async () => (await word()) === "third");
	const postmaster = Number(readFileSync(join(data, "pg/data/postmaster.pid"), "utf8").split("\n")[0]);
	process.kill(postmaster, "SIGKILL");
	await until("Postgres again", () => /Postgres runs again/.test(server.err));
	await until("answers", async () => (await call(server.url, "messages.list").catch(() => ({}))).status === 200);
});

test("Ctrl-C ends all within two seconds, and the next start is quick and has the data", async () => {
	const all = descendants(server.pid).map((p) => p.pid);
	const { code, took } = await server.stop();
	assert.equal(code, 0);
	assert.ok(took < 2000, `it took ${took} ms`);
	assert.deepEqual(all.filter(alive), []);
	server = await serve(args);
	await server.ready();
	const { body } = await call(server.url, "messages.list");
	assert.equal(body.value[0].body, "kept");
	assert.ok(server.took < (sanitized() ? 12000 : 3000), `it took ${server.took} ms`);
});

test("kill -9 of the supervisor leaves nobody behind, and the next start works", async () => {
	const all = descendants(server.pid).map((p) => p.pid);
	server.child.kill("SIGKILL");
	await server.ended;
	await until("their end", () => all.filter(alive).length === 0, 15);
	server = await serve(args);
	await server.ready();
	assert.equal((await call(server.url, "messages.list")).body.value[0].body, "kept");
});

test("Ctrl-C during the start, and twice", async () => {
	const fresh = join(app, ".millrace-fresh");
	for (const times of [1, 2]) {
		const starting = await serve(["dev", "--app-dir", app, "--data-dir", fresh, "--port", "0"]);
		await new Promise((resolve) => setTimeout(resolve, 300));
		const all = descendants(starting.pid).map((p) => p.pid);
		starting.child.kill("SIGINT");
		if (times === 2) starting.child.kill("SIGINT");
		const { code } = await starting.ended;
		assert.ok(times === 1 ? code === 0 : code === 130 || code === 0, `exit code ${code}`);
		await until("their end", () => all.filter(alive).length === 0, 15);
	}
	remove(fresh);
});

test("serve refuses while migrations wait, and starts after them", async () => {
	await server.stop();
	writeFileSync(join(app, "app.ts"), `${readFileSync(join(app, "app.ts"), "utf8")}export const Late = entity("Late", { text: field.string() });\n`);
	const refused = await serve(["serve", ...args.slice(1)]);
	assert.equal((await refused.ended).code, 3);
	assert.match(refused.err, /"Late"/);
	assert.match(refused.err, /millrace migrate --apply/);
	const common = ["--app-dir", app, "--data-dir", data];
	const shown = millrace(["migrate", ...common]);
	assert.equal(shown.status, 3, shown.err);
	assert.match(shown.out, /create table.*"Late"/is);
	assert.equal(millrace(["migrate", "--apply", ...common]).status, 0);
	assert.equal(millrace(["migrate", ...common]).status, 0);
	server = await serve(["serve", ...args.slice(1)]);
	await server.ready();
	assert.equal(await word(), "third");
	assert.equal((await fetch(new URL("/api/auth/guest", server.url), { method: "POST" })).status >= 400, true, "no guests in production");
	await server.stop();
});

test("an app that does not build is served once it does", async () => {
	writeFileSync(functions, "export const x = ;");
	server = await serve(args);
	await until("the message", () => /nothing is served yet/.test(server.err));
	writeFileSync(functions, source.replace("first", "fourth"));
	await server.ready();
	assert.equal(await word(), "fourth");
	await server.stop();
	writeFileSync(functions, "export const x = ;");
	const production = await serve(["serve", ...args.slice(1)]);
	assert.equal((await production.ended).code, 1);
	writeFileSync(functions, source);
});

test("what somebody was in the way of is done once he is gone, without another save", async () => {
	server = await serve([...args, "--migrate-lock-timeout", "50ms"]);
	await server.ready();
	const other = new Psql(readFileSync(join(data, "run", "database"), "utf8").trim());
	await other.ask('begin; lock table "Message" in access share mode');
	writeFileSync(join(app, "app.ts"), readFileSync(join(app, "app.ts"), "utf8").replace("body: ", "title: field.string().optional(), body: "));
	const told = () => server.err.split("the new code is not taken").length - 1;
	await until("what is in the way", told);
	await new Promise((resolve) => setTimeout(resolve, 1500)); // tried again, and not told again
	assert.equal(told(), 1, server.err);
	await other.ask("rollback");
	await until("the new code", () => /the new code serves/.test(server.out + server.err));
	await other.end();
	await server.stop();
});

test("a database that is not there, and one that refuses, are told in one sentence", async () => {
	const nobody = await freePort();
	const away = await serve([...args, "--database-url", `postgres://u:p@127.0.0.1:${nobody}/db`]);
	assert.equal((await away.ended).code, 1);
	assert.match(away.err, /Postgres/);
	assert.doesNotMatch(away.err, /u:p@/);
});

test("an installation works without the source tree", async () => {
	const dest = join(app, "dest");
	mkdirSync(dest);
	const env = { ...process.env, DESTDIR: dest };
	const done = spawnSync("meson", ["install", "-C", BUILD, "--no-rebuild", "--quiet"], { encoding: "utf8", env });
	assert.equal(done.status, 0, done.stdout + done.stderr);
	const prefix = join(dest, "usr/local");
	assert.ok(existsSync(join(prefix, "bin/millrace")));
	assert.ok(existsSync(join(prefix, "share/millrace/sdk/package.json")));
	assert.ok(existsSync(join(prefix, "share/millrace/millrace.tgz")));
	const built = spawnSync(join(prefix, "bin/millrace"), ["build", "--app-dir", app, "--data-dir", data], { encoding: "utf8" });
	assert.equal(built.status, 0, built.stderr);
});
