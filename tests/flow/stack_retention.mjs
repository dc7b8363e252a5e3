// timeout: 400
// Hours that pass in a second: the log is dropped part by part under load, positions and records with it (CLOCK.md rules 8, 9, 19).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { descendants, until } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Psql } from "../lib/psql.mjs";
import { sleep, Stack, thisHour } from "../lib/stack.mjs";

const RETENTION = 4; // hours
const HOUR_MS = 1000; // what one lasts here
const ROUNDS = process.env.MILLRACE_LONG ? 20 : 2; // periods beside the first ones

const stack = await Stack.start(["--log-retention", String(RETENTION), "--workers", "2"]);
const conninfo = readFileSync(join(stack.data, "run/database"), "utf8").trim();
let admin = new Psql(conninfo);

/** The clock of the test's database: stands at an hour, or runs on from it. The server knows no other. */
const clock = {
	async set(expression) {
		await admin.ask(`create or replace function millrace.this_hour() returns integer language sql volatile parallel safe return ${expression}`);
	},
	async stand(hour) {
		this.hour = () => hour;
		await this.set(String(hour));
	},
	async go() {
		const from = this.hour();
		const began = Date.now();
		this.hour = () => from + Math.floor((Date.now() - began) / HOUR_MS);
		await this.set(`${from} + pg_catalog.floor((extract(epoch from pg_catalog.clock_timestamp()) * 1000 - ${began}) / ${HOUR_MS})::pg_catalog.int4`);
	},
};
// behind the hour at which the period of the settings begins
await clock.stand(thisHour() + 200);
// the fanout learns it by its next tick
await until("the hour", async () => {
	const client = await stack.client();
	client.close();
	return client.welcome.hour === clock.hour();
});

let calls = 0;
const callId = () => `${clock.hour()}.${++calls}`;
const count = async (grp) => Number(await admin.ask(`select count(*) from "Item" where grp = '${grp}'`));
const truth = async (grp) => JSON.parse(await admin.ask(`select coalesce(json_agg(json_build_array(id, n) order by id), '[]') from "Item" where grp = '${grp}'`));
const held = (live) => live.list.map((row) => [row.id, row.n]).sort((a, b) => (a[0] < b[0] ? -1 : 1));
const exact = (client, live, grp) => client.until("what Postgres holds", async () => JSON.stringify(held(live)) === JSON.stringify(await truth(grp)), 20);
const retain = () => admin.ask("begin; set local lock_timeout = '50ms'; select millrace.retain(); commit");
const below = (name) => descendants(stack.server.pid).filter((p) => p.command.includes(name));
const wait = (hours) => sleep(hours * HOUR_MS);

/** Writes until it is told to stop: calls of two clients, requests with keys, rows and their end by psql. */
class Load {
	ended = true;
	made = 0;
	waits = [];
	failures = [];
	begin(clients) {
		this.ended = false;
		this.sql = new Psql(conninfo);
		this.all = [...clients.map((c) => this.repeat(() => this.call(c))), this.repeat(() => this.request()), this.repeat(() => this.outside())];
	}
	async repeat(act) {
		while (!this.ended) {
			const began = Date.now();
			try {
				await act();
				this.made++;
			} catch (e) {
				this.failures.push(e.message);
			}
			this.waits.push(Date.now() - began);
		}
	}
	async call(client) {
		const hour = clock.hour() - 1; // a clock somewhat behind, since the server may be somewhat late to hear of an hour
		const reply = await client.call("items.add", { grp: "load", n: this.made, note: "x".repeat(500) }, { id: `${hour}.${++calls}` });
		// on a machine so slow that the call grew old on its way it is refused, rightly
		if (reply.error && !(reply.error.code === "call_expired" && clock.hour() - hour > RETENTION)) throw new Error(JSON.stringify(reply.error));
	}
	async request() {
		const { json } = await stack.call("items.add", { grp: "load", n: this.made }, { "Idempotency-Key": `load ${this.made} ${Math.random()}` });
		if (json.error) throw new Error(JSON.stringify(json.error));
	}
	async outside() {
		await this.sql.ask(`insert into "Item" (grp, n, note) select 'load', i, repeat('y', 300) from generate_series(1, 100) i`);
		await this.sql.ask(`delete from "Item" where grp = 'load' and at < now() - interval '2 s'`);
	}
	async end() {
		this.ended = true;
		await Promise.all(this.all);
		await this.sql.end();
		this.waits.sort((a, b) => a - b);
		const at = (p) => this.waits[Math.floor(this.waits.length * p)];
		console.log(`# ${this.made} writes; ms: median ${at(0.5)}, 99% ${at(0.99)}, most ${this.waits.at(-1)}`);
	}
}
const load = new Load();

const parts = async () =>
	JSON.parse(await admin.ask("select json_agg(pg_relation_size(format('millrace.change_log_%s', i)::regclass) order by i) from generate_series(0, 3) i"));

test("rule 9: within retention a call that is sent again gets what is recorded, whatever died since", async () => {
	const client = await stack.client();
	const id = callId();
	const key = { "Idempotency-Key": "a key" };
	const first = await client.call("items.add", { grp: "once" }, { id });
	const request = await stack.call("items.add", { grp: "once" }, key);
	assert.ok(first.value && request.json.value);
	const same = async (what) => {
		await until(`the recorded results after: ${what}`, async () => {
			const again = await client.call("items.add", { grp: "once" }, { id }).catch((e) => ({ error: e.message }));
			if (again.error) await client.again();
			return again.value === first.value;
		});
		await until(`the recorded result by HTTP after: ${what}`, async () => {
			const again = await stack.call("items.add", { grp: "once" }, key).catch(() => undefined);
			return again?.json?.value === request.json.value;
		});
		assert.equal(await count("once"), 2);
	};
	await same("nothing");
	client.close();
	await client.again();
	await same("another socket");
	for (const worker of below("millrace-worker")) {
		process.kill(worker.pid, "SIGKILL");
		await until("another worker", () => below("millrace-worker").filter((w) => w.pid !== worker.pid).length === 2);
		await same("a worker");
	}
	const [fanout] = below("millrace-fanout");
	process.kill(fanout.pid, "SIGKILL");
	await client.until("the end of the socket", () => client.closed !== undefined);
	await client.again();
	await same("the fanout");
	const before = stack.postmaster;
	process.kill(before, "SIGQUIT");
	await admin.end();
	await until("Postgres", () => {
		try {
			return stack.postmaster !== before && stack.psql("select 1") === "1";
		} catch {
			return false;
		}
	});
	admin = new Psql(conninfo);
	await same("Postgres");
	client.close();
});

test("rule 9: clocks: an hour ahead is well, two are refused, so is what is older than retention", async () => {
	const client = await stack.client();
	const code = async (ahead) => (await client.call("items.add", { grp: "clocks" }, { id: `${clock.hour() + ahead}.${++calls}` })).error?.code;
	const keyed = async (ahead) => (await stack.call("items.add", { grp: "clocks" }, { "Idempotency-Key": `${clock.hour() + ahead}.k` })).code;
	for (const ask of [code, keyed]) {
		assert.equal(await ask(1), undefined);
		assert.equal(await ask(-RETENTION), undefined);
		assert.equal(await ask(2), "bad_call_id");
		assert.equal(await ask(-RETENTION - 1), "call_expired");
	}
	assert.equal(await count("clocks"), 4);
	client.close();
});

test("rules 8, 19: parts are dropped whole under load; who was away longer than that gets everything, who was not the difference", async () => {
	await admin.ask(`insert into "Item" (grp, n) select 'live', i from generate_series(1, 50) i`);
	const [watcher, away, brief, ...writers] = await Promise.all(Array.from({ length: 5 }, () => stack.client()));
	const query = { entity: "Item", where: { grp: "live" } };
	const [seen, missed, shortly] = [await watcher.live(query), await away.live(query), await brief.live(query)];
	const change = () => admin.ask(`update "Item" set n = n + 1000 where grp = 'live' and n % 10 = 3; insert into "Item" (grp) values ('live')`);
	await watcher.until("a position", () => watcher.p);
	await leave(away);
	const left = await admin.ask("select pg_snapshot_xmax(pg_current_snapshot())");
	const old = { id: callId(), key: { "Idempotency-Key": `${clock.hour()}.old` } };
	assert.ok((await writers[0].call("items.add", { grp: "old" }, { id: old.id })).value);
	assert.ok((await stack.call("items.add", { grp: "old" }, old.key)).json.value);

	await clock.go();
	load.begin(writers);
	const sizes = [];
	const said = {};
	let emptied = 0;
	const watch = async () => {
		const answer = await retain();
		const kind = answer.replace(/[\d:.+-]+/g, "#");
		said[kind] = (said[kind] ?? 0) + 1;
		const now = await parts();
		emptied += now.filter((size, i) => size === 0 && (sizes.at(-1)?.[i] ?? 0) > 0).length;
		sizes.push(now);
		await sleep(100);
	};
	const during = async (hours) => {
		for (const end = Date.now() + hours * HOUR_MS; Date.now() < end; ) await watch();
	};

	// somebody keeps a transaction open for longer than a period: nothing is dropped, nobody waits
	await during(RETENTION);
	const idle = new Psql(conninfo);
	await idle.ask(`begin isolation level repeatable read; select 1 from "Item" limit 1`);
	await until("retention to wait for it", async () => (await watch(), Object.keys(said).some((s) => s.includes("holds a snapshot"))), 60);
	const [made, before] = [load.made, emptied];
	await during(1);
	await until("writers that go on", async () => (await watch(), load.made > made + 20));
	assert.equal(emptied, before);
	await idle.ask("commit");
	await idle.end();
	await until("the part to be dropped", async () => (await watch(), emptied > before));

	/* Others write all the time: on a crowded machine that may be more than the rows are worth, and they are sent whole. */
	const comesBack = async () => {
		const p = brief.p;
		await brief.until("a position of now", async () => (await change(), brief.p !== p));
		await leave(brief);
		await change();
		await brief.again();
		await brief.until("its answer", () => shortly.answered, 20);
		return shortly.kept;
	};
	for (let round = 0; round < ROUNDS; round++) {
		const kept = await stack.metric("millrace_resumes_kept_total");
		await until("it to be told the difference", comesBack, 60);
		assert.ok((await stack.metric("millrace_resumes_kept_total")) > kept);
		await exact(brief, shortly, "live");
		await during(RETENTION);
	}

	await until("the position of the one who left to fall out", async () => (await watch(), (await admin.ask(`select xid >= '${left}' from millrace.log_floor`)) === "t"), 60);
	const full = await stack.metric("millrace_resumes_full_total");
	await away.again();
	await away.until("its answer", () => missed.answered, 20);
	assert.equal(missed.kept, false);
	assert.equal((await stack.metric("millrace_resumes_full_total")) - full, 1);
	await exact(away, missed, "live");
	await exact(watcher, seen, "live");

	for (let again = 0; again < 2; again++) {
		assert.equal((await writers[0].call("items.add", { grp: "old" }, { id: old.id })).error?.code, "call_expired");
		assert.equal((await stack.call("items.add", { grp: "old" }, old.key)).code, "call_expired");
	}
	assert.equal(await count("old"), 2);
	await load.end();

	const most = Math.max(...sizes.map((all) => all.reduce((a, b) => a + b)));
	const hours = JSON.parse(await admin.ask("select json_build_array(min(hour), max(hour)) from millrace.change_log"));
	await admin.ask("select pg_stat_force_next_flush()");
	const dead = Number(await admin.ask("select sum(n_dead_tup) from pg_stat_user_tables where relname ~ '^(change_log|log_floor)'"));
	const rows = Number(await admin.ask("select sum(n_tup_ins) from pg_stat_user_tables where relname ~ '^change_log'"));
	console.log(`# ${emptied} parts emptied; at most ${(most / 1e6).toFixed(1)} MB; ${rows} rows written, ${dead} dead; hours kept: ${hours[1] - hours[0]}; ${JSON.stringify(said)}`);
	assert.deepEqual(load.failures, []);
	assert.ok(emptied >= 1 + ROUNDS);
	assert.ok(dead <= rows / 100 + 50, "rows are not deleted one by one");
	assert.ok(Number(await admin.ask("select pg_relation_size('millrace.log_floor')")) <= 8192 * 4);
	for (const client of [watcher, away, brief, ...writers]) client.close();
});

test("a clean end", async () => {
	if (!load.ended) await load.end();
	await admin.end();
	assert.equal((await stack.stop()).code, 0);
});

/** Has a position, and leaves. */
async function leave(client) {
	await client.until("a position", () => client.p);
	client.close();
	await client.until("its end", () => client.closed !== undefined);
}

await run();
