// timeout: 400
// Commits that nobody answered (CLOCK.md rules 9 and 10): a proxy before Postgres cuts, freezes or holds a call's COMMIT at exactly that message.
// Whatever became of it, the call runs once and its caller hears of one end.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { descendants, until } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { PgProxy } from "../lib/pg_proxy.mjs";
import { sleep, Stack } from "../lib/stack.mjs";

const host = await Stack.start(["--workers", "1"]);
host.psql("create role unknown login");
host.psql("create database unknown owner unknown");
const sockets = host.psql("show unix_socket_directories");
const proxy = await PgProxy.start(`${sockets}/.s.PGSQL.${host.psql("show port")}`);
const url = `postgresql://unknown@127.0.0.1:${proxy.port}/unknown?sslmode=disable&gssencmode=disable`;
const stack = await Stack.start(["--database-url", url, "--call-time-limit", "4s"]);
const client = await stack.client();

function ask(sql) {
	const { status, stdout, stderr } = spawnSync("psql", ["-qAt", `postgresql:///unknown?host=${sockets}&user=unknown`, "-c", sql], { encoding: "utf8" });
	assert.equal(status, 0, stderr);
	return stdout.trim();
}
const runs = (grp) => Number(ask(`select count(*) from "Item" where grp = '${grp}'`));
const records = (grp) => Number(ask(`select count(*) from millrace.change_log where args_hash is not null and changes::text like '%"${grp}"%'`));
const workers = () => descendants(stack.server.pid).filter((p) => p.command.includes("millrace-worker"));

/** The three ways to call; each gives { value } or { error }, and its `again` is the same call once more. */
const ways = {
	"WebSocket": (fn, args) => {
		const id = client.callId();
		const again = () => client.call(fn, args, { id });
		return { answer: again(), again };
	},
	"HTTP with a key": (fn, args) => {
		const again = async () => (await stack.call(fn, args, { "Idempotency-Key": `key of ${args.grp}` })).json;
		return { answer: again(), again };
	},
	"HTTP": (fn, args) => ({ answer: stack.call(fn, args).then((r) => r.json) }),
};

async function done(grp, answer, again) {
	const first = await answer;
	assert.equal(first.error, undefined, JSON.stringify(first.error));
	assert.equal(runs(grp), 1);
	assert.equal(records(grp), 1);
	if (!again) return;
	const second = await again();
	assert.deepEqual(second.value, first.value, JSON.stringify(second.error));
	assert.equal(runs(grp), 1);
}

let number = 0;
for (const [way, call] of Object.entries(ways)) {
	for (const how of ["cut before", "cut after"]) {
		test(`rule 10: ${way}, ${how}: done, once`, async () => {
			const grp = `g${++number}`;
			proxy.arm(how, grp);
			const { answer, again } = call("items.add", { grp });
			await done(grp, answer, again);
			assert.equal(proxy.met?.how, how);
		});
		test(`rule 10: ${way}, ${how}, by a function that refuses when it has run before`, async () => {
			const grp = `g${++number}`;
			proxy.arm(how, grp);
			const { answer, again } = call("items.addFirst", { grp });
			await done(grp, answer, again);
			assert.equal(proxy.met?.how, how);
		});
	}
	test(`rule 10: ${way}: an attempt that hangs before COMMIT is waited for, whichever way it goes`, async () => {
		for (const commits of [true, false]) {
			const grp = `g${++number}`;
			proxy.arm("hold", grp);
			const { answer, again } = call("items.add", { grp });
			const { link } = await until("the COMMIT", () => proxy.met);
			link.client.destroy();
			await until("somebody to wait", () => ask("select count(*) from pg_locks where not granted and locktype = 'transactionid'") === "1");
			assert.equal(runs(grp), 0);
			link.release(commits);
			await done(grp, answer, again);
		}
	});
	test(`rule 10: ${way}: while Postgres is away nothing is guessed`, async () => {
		const grp = `g${++number}`;
		let heard = false;
		proxy.arm("cut all after", grp);
		const { answer, again } = call("items.add", { grp });
		void answer.then(() => (heard = true));
		await until("the cut", () => !proxy.open);
		assert.equal(runs(grp), 1);
		await sleep(1000);
		assert.equal(heard, false);
		proxy.open = true;
		await done(grp, answer, again);
	});
	for (const how of ["freeze", "hold"]) {
		test(`rule 10: ${way}, ${how}: a worker that dies there is settled by the next one`, async () => {
			const grp = `g${++number}`;
			const before = workers().map((w) => w.pid);
			proxy.arm(how, grp);
			const { answer, again } = call("items.add", { grp });
			const { link } = await until("the COMMIT", () => proxy.met);
			if (how === "freeze") await until("it to be committed", () => runs(grp) === 1);
			for (const pid of before) process.kill(pid, "SIGKILL");
			if (how === "hold") link.release(true);
			await done(grp, answer, again);
			await until("new workers", () => workers().filter((w) => !before.includes(w.pid)).length === 2);
		});
	}
}

for (const [way, call] of Object.entries(ways)) {
	test(`rule 10: ${way}, freeze: the answer is asked for on another line`, async () => {
		const grp = `g${++number}`;
		proxy.arm("freeze", grp);
		const { answer, again } = call("items.add", { grp });
		await done(grp, answer, again);
		assert.equal(proxy.met?.how, "freeze");
	});
}

test("rule 10: whoever hears 'unknown' since Postgres was away for too long hears the end when he asks again", async () => {
	for (const way of ["WebSocket", "HTTP with a key"]) {
		const grp = `g${++number}`;
		proxy.arm("cut all after", grp);
		const { answer, again } = ways[way]("items.add", { grp });
		const { error } = await answer;
		assert.deepEqual([error.code, error.data], ["postgres_unavailable", { outcome: "unknown" }]);
		proxy.open = true;
		const then = await again();
		assert.ok(then.value, JSON.stringify(then.error));
		assert.equal(runs(grp), 1);
	}
});

test("rule 10: a refusal that is told is recorded: who asks again hears it, though by then the call could be done", async () => {
	for (const way of ["WebSocket", "HTTP with a key"]) {
		const grp = `g${++number}`;
		proxy.arm("cut before", grp);
		proxy.onMet = () => ask(`insert into "Item" (grp) values ('${grp}')`);
		const { answer, again } = ways[way]("items.addFirst", { grp });
		assert.deepEqual((await answer).error.data, { code: "taken" });
		ask(`delete from "Item" where grp = '${grp}'`);
		assert.deepEqual((await again()).error.data, { code: "taken" });
		assert.equal(runs(grp), 0);
	}
});

test("rule 10: an error that may pass says nothing of the attempt of a worker that died; it is said so, and settled when it has passed", async () => {
	ask("create or replace function full() returns trigger language plpgsql as $$ begin raise exception 'no space' using errcode = '53100'; end $$");
	const fill = () => ask('create trigger aaa_full before insert on "Item" for each row execute function full()');
	const empty = () => ask('drop trigger if exists aaa_full on "Item"');
	try {
		for (const how of ["freeze", "cut all after"]) {
			for (const way of ["WebSocket", "HTTP with a key"]) {
				const grp = `g${++number}`;
				const before = workers().map((w) => w.pid);
				proxy.arm(how, grp);
				const { answer, again } = ways[way]("items.add", { grp });
				await until("the COMMIT", () => proxy.met);
				await until("it to be committed", () => runs(grp) === 1);
				fill();
				if (how === "freeze") for (const pid of before) process.kill(pid, "SIGKILL");
				else await until("the cut", () => !proxy.open);
				proxy.open = true;
				const { error } = await answer; // none when the fanout has read the record before the worker has refused
				if (error) {
					assert.ok(["disk_full", "postgres_unavailable"].includes(error.code), error.code); // the latter when all this took the call's whole time
					assert.deepEqual(error.data, { outcome: "unknown" });
				}
				empty();
				let end;
				const passed = async () => (end = await again()).error?.code !== "postgres_unavailable"; // until all have their connections again
				await until("it to have passed", passed);
				await done(grp, end, again);
			}
		}
		fill();
		for (const way of Object.values(ways)) {
			const { error } = await way("items.add", { grp: "full" }).answer;
			assert.deepEqual([error.code, error.data], ["disk_full", undefined], "who was never done is told so");
		}
		assert.equal(runs("full"), 0);
	} finally {
		empty();
	}
});

test("rule 5: while no synchronous standby has a commit nobody is told that it is done, though it shows", async () => {
	for (const way of ["WebSocket", "HTTP with a key"]) {
		const grp = `g${++number}`;
		const live = await client.live({ entity: "Item", where: { grp } });
		host.psql("alter system set synchronous_standby_names = 'nobody'");
		host.psql("select pg_reload_conf()");
		await until("the setting", () => ask("show synchronous_standby_names") === "nobody");
		const { answer, again } = ways[way]("items.add", { grp });
		let heard;
		void answer.then((a) => (heard = a));
		const waiting = () => host.psql("select pid from pg_stat_activity where wait_event = 'SyncRep' and datname = 'unknown' limit 1");
		host.psql(`select pg_cancel_backend(${await until("the wait", waiting)})`);
		await client.until("the row", () => live.ids.length === 1);
		await until("another wait", waiting);
		assert.equal(heard?.value, undefined);
		host.psql("alter system reset synchronous_standby_names");
		host.psql("select pg_reload_conf()");
		let then = await answer;
		for (let i = 0; i < 3 && then.error?.data?.outcome === "unknown"; i++) then = await again();
		assert.ok(then.value, JSON.stringify(then.error));
		assert.equal(runs(grp), 1);
		client.unsubscribe(live);
	}
});

for (const way of ["WebSocket", "HTTP with a key"])
	for (const how of ["cut before", "cut after", "freeze"])
		test(`rule 10: ${way}: an action whose claim is ${how} runs once`, async () => {
			const grp = `g${++number}`;
			proxy.arm(how, "action_interrupted");
			const { answer, again } = ways[way]("actions.slow", { grp, steps: 2 });
			const first = await answer;
			assert.equal(first.value, 2, JSON.stringify(first.error));
			assert.equal(proxy.met?.how, how);
			assert.equal((await again()).error.code, "action_interrupted");
			assert.equal(runs(grp), 2);
		});

test("a clean end", async () => {
	client.close();
	assert.equal((await stack.stop()).code, 0);
	proxy.stop();
	await host.stop();
});

await run();
