// The whole server at its limits: functions that run away, a ring that is far too small, a disk that is full.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, makeApp, remove, sanitized, serve, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Psql } from "../lib/psql.mjs";
import { sleep, Stack, uuid } from "../lib/stack.mjs";

const memory = sanitized() ? "800MB" : "200MB";
let stack = await Stack.start(["--function-time-limit", "300", "--worker-memory-limit", memory]);

/** Calls from several clients without a pause until stop() is called; gives what they were answered. */
async function hammer(clients, fn, args) {
	const seen = { done: 0, codes: new Map(), slowest: 0 };
	let going = true;
	const loops = clients.map(async (c) => {
		while (going) {
			const began = Date.now();
			const { error } = await c.call(fn, args(), { seconds: 20 });
			seen.slowest = Math.max(seen.slowest, Date.now() - began);
			if (error) seen.codes.set(error.code, (seen.codes.get(error.code) ?? 0) + 1);
			else seen.done++;
			await sleep(2);
		}
	});
	return async () => {
		going = false;
		await Promise.all(loops);
		return { ...seen, codes: Object.fromEntries(seen.codes) };
	};
}

for (const [fn, codes] of [
	["runaway.loopPlain", ["time_limit"]],
	["runaway.loopPromise", ["time_limit"]],
	["runaway.loopRegex", ["time_limit", "worker_crashed"]],
	["runaway.eatMemory", ["memory_limit", "worker_crashed", "time_limit"]],
]) {
	test(`${fn} costs its caller an error, and nobody else anything`, async () => {
		const others = await Promise.all([1, 2, 3, 4].map(() => stack.client()));
		const live = await others[0].live({ entity: "Item", where: { grp: fn } });
		const culprit = await stack.client();
		const writes = await hammer(others.slice(0, 2), "items.add", () => ({ grp: fn }));
		const reads = await hammer(others.slice(2), "items.count", () => ({ grp: fn }));
		await sleep(100);
		const began = Date.now();
		const { error } = await culprit.call(fn, {}, { seconds: 20 });
		const took = Date.now() - began;
		assert.ok(codes.includes(error?.code), JSON.stringify(error));
		assert.ok(took < 8000, `its error took ${took} ms`);
		await sleep(300);
		const [w, r] = [await writes(), await reads()];
		assert.deepEqual([w.codes, r.codes], [{}, {}]);
		assert.ok(w.done > 5 && r.done > 5, `${w.done} writes, ${r.done} reads`);
		assert.ok(Math.max(w.slowest, r.slowest) < 6000, `the slowest other call took ${Math.max(w.slowest, r.slowest)} ms`);
		const rows = stack.rows(`select id from "Item" where grp = '${fn}'`).map((x) => x.id).sort();
		assert.equal(rows.length, w.done, "each write exactly once");
		await others[0].until("the rows", () => live.rows.size === rows.length);
		assert.deepEqual(live.ids, rows);
		await culprit.alive();
		assert.equal(await culprit.value("items.version"), "version one");
		for (const c of [...others, culprit]) c.close();
	});
}

test("a result that is far too long is refused as that, and costs no worker", async () => {
	const c = await stack.client();
	const before = await stack.metric("millrace_worker_deaths_total");
	const { error } = await c.call("runaway.huge", {}, { seconds: 20 });
	assert.deepEqual([error?.code, error?.data?.setting], ["too_large", "max_result"], JSON.stringify(error));
	assert.equal(await stack.metric("millrace_worker_deaths_total"), before);
	c.close();
});

test("many runaways at once: each gets its error, then all is well", async () => {
	const c = await stack.client();
	const d = await stack.client();
	const replies = await Promise.all([c.call("runaway.loopPlain", {}, { seconds: 25 }), d.call("runaway.loopPlain", {}, { seconds: 25 }), stack.call("runaway.loopPromise")]);
	assert.deepEqual(replies.map((r) => r.error?.code), ["time_limit", "time_limit", "time_limit"]);
	assert.equal(await c.value("items.version"), "version one");
	assert.equal((await stack.http("GET", "/readyz")).json.ready, true);
	c.close();
	d.close();
});

test("a live function that the database cut off is run again, though nothing it read has changed", async () => {
	const c = await stack.client();
	const locker = new Psql(`host=${stack.psql("show unix_socket_directories")} dbname=${stack.psql("select current_database()")} user=postgres`);
	await locker.ask("begin");
	await locker.ask('lock table "Item" in access exclusive mode');
	stack.psql("alter system set statement_timeout = '300ms'");
	stack.psql("select pg_reload_conf()");
	const live = await c.live({ fn: "items.count", args: { grp: "cut off" } });
	assert.equal(live.error?.code, "time_limit");
	stack.psql("alter system reset statement_timeout");
	stack.psql("select pg_reload_conf()");
	await locker.ask("rollback");
	await c.until("the count", () => !live.error && Number(live.value) === 0, 20);
	await locker.end();
	c.close();
});

test("rule 16: a ring far too small: everything is delivered, from the log", async () => {
	assert.equal((await stack.stop()).code, 0);
	stack = await Stack.start(["--ring-bytes", "4096"]);
	const clients = await Promise.all([1, 2, 3, 4].map((i) => stack.client({ encoding: i % 2 ? "json" : "msgpack" })));
	const lives = await Promise.all(clients.map((c) => c.live({ entity: "Item" })));
	const before = await stack.metric("millrace_payloads_from_log_total");
	const writes = clients.map(async (c, i) => {
		for (let n = 0; n < 10; n++) await c.value("items.addMany", { grp: `g${i}`, count: 5, size: n % 2 ? 3000 : 20 });
	});
	await Promise.all(writes);
	assert.equal(stack.psql(`select count(*) from "Item"`), "200");
	const rows = stack.rows(`select id, grp, n, note from "Item"`).sort((a, b) => (a.id < b.id ? -1 : 1));
	for (const [i, c] of clients.entries()) await c.until("all rows", () => lives[i].rows.size === 200);
	for (const live of lives) {
		const shown = live.list.map(({ id, grp, n, note }) => ({ id, grp, n, note })).sort((a, b) => (a.id < b.id ? -1 : 1));
		assert.deepEqual(shown, rows);
	}
	const grown = (await stack.metric("millrace_payloads_from_log_total")) - before;
	assert.ok(grown > 0, `payloads from the log: ${grown}`);
	assert.equal(await stack.metric("millrace_worker_deaths_total"), 0);
	for (const c of clients) c.close();
	assert.equal((await stack.stop()).code, 0);
	stack = undefined;
});

/** A small disk of our own, or undefined where this user may not mount one. */
function smallDisk(megabytes) {
	const dir = temporary("disk");
	chmodSync(dir, 0o755);
	if (spawnSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0755`, "tmpfs", dir]).status === 0) return dir;
	rmdirSync(dir);
	return undefined;
}

const disk = smallDisk(180);
if (!disk) console.log("# SKIP: a full disk: this user cannot mount a tmpfs, and nothing else here fills a disk for Postgres alone");
else
	test("a full disk: writes fail with a typed error, reads go on; with room again writes go on", async () => {
		try {
			await onFullDisk();
		} finally {
			await stack?.server.stop();
			stack = undefined;
			for (let i = 0; i < 50 && spawnSync("umount", [disk]).status !== 0; i++) await sleep(100);
			rmSync(disk, { recursive: true, force: true });
		}
	});

if (disk)
	test("a disk too small for a database is called so at the first start", async () => {
		const small = smallDisk(20);
		const app = makeApp();
		try {
			const server = await serve(["dev", "--app-dir", app, "--data-dir", join(small, "data"), "--port", String(await freePort())]);
			assert.equal((await server.ended).code, 1);
			assert.match(server.err, /The private Postgres cannot be made: the disk is full \(.*\); about 64 MB are needed/);
			assert.doesNotMatch(server.err, /PANIC/);
		} finally {
			remove(app);
			for (let i = 0; i < 50 && spawnSync("umount", [small]).status !== 0; i++) await sleep(100);
			rmSync(small, { recursive: true, force: true });
		}
	});

async function onFullDisk() {
	const home = join(disk, "home");
	mkdirSync(home);
	stack = await Stack.start([], home);
	const c = await stack.client();
	const live = await c.live({ entity: "Item" });
	await c.value("items.addMany", { grp: "before", count: 5, size: 10 });
	// Fills what is left, in steps: a last write of a file that does not fit leaves part of it.
	const ballast = join(disk, "ballast");
	const free = () => Number(spawnSync("df", ["--output=avail", "-B1", disk], { encoding: "utf8" }).stdout.trim().split("\n")[1]);
	writeFileSync(ballast, Buffer.alloc(Math.max(0, free() - 65536)));
	const codes = new Set();
	for (let i = 0; i < 60 && !codes.has("disk_full"); i++) {
		const { error } = await c.call("items.addMany", { grp: `full${i}`, count: 20, size: 3000 }, { seconds: 20 });
		if (error) codes.add(error.code);
	}
	console.log(`# full: ${[...codes].join(", ")}; ${free()} bytes free`);
	assert.ok(codes.has("disk_full") || codes.has("postgres_unavailable"), `errors: ${[...codes]}`);
	for (const code of codes) assert.ok(["disk_full", "postgres_unavailable"].includes(code), code);
	const reader = await stack.client();
	assert.equal(typeof (await reader.value("items.count", { grp: "before" })), "number");
	const list = await reader.live({ entity: "Item" });
	assert.equal(list.error, undefined);
	rmSync(ballast);
	const id = uuid();
	await c.until("a write that works again", async () => !(await c.call("items.add", { id, grp: "after" }, { seconds: 20 })).error, 20);
	const rows = stack.rows(`select id from "Item"`).map((r) => r.id).sort();
	for (const [client, l] of [[c, live], [reader, list]]) {
		await client.until("the rows", () => l.rows.size === rows.length && l.rows.has(id));
		assert.deepEqual(l.ids, rows);
	}
}

test("the end", async () => {
	if (stack) await stack.stop();
});

await run();
