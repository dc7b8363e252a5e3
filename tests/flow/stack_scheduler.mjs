// Functions that run later: in the transaction of the mutation that schedules them, exactly once (actions at most once), whoever dies.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FaultFile } from "../checker/points.mjs";
import { descendants, ROOT, serve, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { sleep, Stack, until } from "../lib/stack.mjs";

const home = temporary("scheduler");
const faults = new FaultFile(join(home, "faults"));
process.env.MR_FAULTS_FILE = faults.path;
const quick = ["--scheduler-poll-interval", "100", "--scheduler-lease", "1000", "--scheduler-unknown-wait", "500", "--call-time-limit", "4s", "--function-time-limit", "500"];
const stack = await Stack.start([...quick, "--scheduler-max-scheduled", "40", "--scheduler-max-args", "20000"], home);
const client = await stack.client();
const value = (fn, args) => client.value(`later.${fn}`, args);
const error = async (fn, args) => (await client.call(`later.${fn}`, args)).error;
const count = (grp) => Number(stack.psql(`select count(*) from "Item" where grp = '${grp}'`));
const job = (id) => value("get", { id });
const ended = (id, seconds = 10) => until(`job ${id} to end`, async () => ["success", "failed", "canceled"].includes((await job(id)).state) && job(id), seconds);
const left = () => Number(stack.psql("select count(*) from millrace.job where state in ('pending', 'inProgress') and \"runAt\" < now() + interval '1 minute'"));
const quiet = (seconds) => until("all jobs to end", () => left() === 0, seconds ?? 10);
const workers = () => descendants(stack.server.pid).filter((p) => p.command.split(" ")[0].endsWith("millrace-worker")).map((p) => p.pid);
if (process.env.SCHEDULER_TEST_LOG) process.on("exit", () => console.error(stack.server.err.split("\n").slice(-60).join("\n")));
async function begin(workers, options) {
	stack.server = await serve(["dev", "--app-dir", stack.app, "--data-dir", stack.data, "--port", String(stack.port), "--workers", workers, ...options]);
	await stack.server.ready();
	await client.again();
}
let groups = 0;
const group = () => `later${++groups}`;

test("what a mutation schedules runs once it is committed, soon, as nobody", async () => {
	const grp = group();
	const id = await value("plan", { fn: "put", grp, n: 7 });
	const done = await ended(id);
	assert.deepEqual([done.name, done.kind, done.args, done.state, done.attempt, done.error], ["later.put", "mutation", { grp, n: 7 }, "success", 1, null]);
	assert.deepEqual(stack.rows(`select n, note from "Item" where grp = '${grp}'`), [{ n: 7, note: null }]);
	assert.ok(Date.parse(done.finishedAt) - Date.parse(done.runAt) < 2000, JSON.stringify(done));
});

test("not before its time: after so many milliseconds, or at a Date", async () => {
	const grp = group();
	const [after, at] = [await value("plan", { fn: "put", grp, ms: 500 }), await value("planAt", { grp, at: Date.now() + 500 })];
	const [far, farAt] = [await value("plan", { fn: "put", grp, ms: 3600000 }), await value("planAt", { grp, at: Date.now() + 3600000 })];
	for (const one of [await ended(after), await ended(at)]) {
		assert.ok(one.startedAt >= one.runAt, JSON.stringify(one));
	}
	assert.deepEqual([(await job(far)).state, (await job(farAt)).state, count(grp)], ["pending", "pending", 2]);
});

test("what is rolled back is not scheduled: a whole call, or a part of it", async () => {
	const grp = group();
	assert.equal((await error("regrets", { grp, caught: false })).data.code, "no");
	assert.equal((await value("regrets", { grp, caught: true })) ?? null, null);
	await quiet();
	assert.deepEqual(stack.rows(`select n from "Item" where grp = '${grp}'`), [{ n: 1 }]);
});

test("one that schedules the next, and very many at once, each exactly once", async () => {
	const [grp, many] = [group(), group()];
	await value("plan", { fn: "chain", grp, n: 10 });
	for (let i = 0; i < 5; i++) await value("planMany", { fn: "put", grp: many, many: 40 });
	await quiet();
	assert.equal(count(grp), 10);
	assert.equal(count(many), 200);
	assert.equal(stack.psql(`select count(*) from millrace.job where args ->> 'grp' = '${many}' and state = 'success' and attempt = 1`), "200");
});

test("what cannot be scheduled is refused, with a sentence that says what to do", async () => {
	const wrong = (what) => error("wrong", { what });
	for (const [what, code, says] of [
		["query", "unknown_function", /no mutation or action named later\.list/],
		["unknown", "unknown_function", /later\.nowhere/],
		["user", "bad_args", /needs a signed-in caller.*internal function.*userId/],
		["args", "bad_args", /args\.grp: expected string/],
		["delay", "bad_args", /delay in milliseconds/],
		["nan", "bad_args", /the time/],
		["retry", "bad_args", /retry\.attempts/],
		["id", "bad_args", /expected the id/],
		["insert", "forbidden", /use ctx\.scheduler/],
		["patch", "forbidden", /use ctx\.scheduler/],
		["delete", "forbidden", /use ctx\.scheduler/],
		["sql", "sql_refused", /schema millrace/],
	]) {
		const { code: is, message } = await wrong(what);
		assert.equal(is, code, what);
		assert.match(message, says);
	}
	for (const fn of ["_scheduler.schedule", "_scheduler.cancel", "later.put"]) assert.equal((await stack.call(fn, {})).code, "unknown_function");
	assert.deepEqual((await error("planMany", { fn: "put", grp: "g", many: 41 })).data, { setting: "scheduler_max_scheduled" });
	assert.deepEqual((await error("planLarge", { size: 20000 })).data, { setting: "scheduler_max_args" });
});

test("a list of jobs is a live query, of a function and of whoever a policy allows", async () => {
	const grp = group();
	const live = await client.live({ fn: "later.list", args: { grp } });
	assert.deepEqual(live.value, []);
	const boss = await stack.client({ token: stack.token("boss") });
	const all = await boss.live({ entity: "_scheduled_functions", where: { cron: null, name: "later.slowPut" } });
	assert.equal((await client.refused({ t: "subscribe", id: 999, entity: "_scheduled_functions" })).error.code, "unauthenticated");
	const id = await value("plan", { fn: "slowPut", grp, ms: 300 });
	const states = [];
	await client.until("its end on the screen", () => {
		const state = live.value[0]?.state;
		if (state && states.at(-1) !== state) states.push(state);
		return state === "success";
	});
	assert.deepEqual([states[0], states.at(-1), live.value[0].id], ["pending", "success", id]);
	await boss.until("it there too", () => all.rows.get(id)?.state === "success");
	assert.equal(all.rows.get(id).holder, undefined, "which worker has it is for the server only");
	const { error: refused } = await boss.call("insert", { entity: "_scheduled_functions", value: { name: "later.put" } });
	assert.ok(refused, "not to be written");
	boss.close();
});

test("canceled before its time it does not run; afterwards nothing changes", async () => {
	const grp = group();
	const [soon, done] = [await value("plan", { fn: "put", grp, ms: 3600000 }), await value("plan", { fn: "put", grp })];
	await value("cancel", { id: soon });
	stack.psql(`update millrace.job set "runAt" = now() - interval '1 second' where id = '${soon}'`);
	await ended(done);
	await value("cancel", { id: done });
	await sleep(300);
	assert.deepEqual([(await job(soon)).state, (await job(soon)).attempt, (await job(done)).state], ["canceled", 0, "success"]);
	assert.equal(count(grp), 1);
	await value("cancel", { id: "01890000-0000-7000-8000-000000000001" });
});

test("canceled while it begins: either it ran or it did not, as its state says", async () => {
	const grp = group();
	const ids = await Promise.all(Array.from({ length: 12 }, (_, n) => value("plan", { fn: "slowPut", grp, n })));
	await Promise.all(ids.map((id) => value("cancel", { id })));
	await quiet();
	const states = await Promise.all(ids.map(async (id) => (await job(id)).state));
	for (const state of states) assert.ok(["success", "canceled"].includes(state), state);
	assert.equal(count(grp), states.filter((state) => state === "success").length);
});

test("callers do not wait behind scheduled functions", async () => {
	const grp = group();
	for (let i = 0; i < 2; i++) await value("planMany", { fn: "slowPut", grp, many: 40 });
	const times = [];
	for (let i = 0; i < 20; i++) {
		const began = performance.now();
		await value("get", { id: "01890000-0000-7000-8000-000000000001" });
		times.push(performance.now() - began);
	}
	assert.ok(left() > 0, "they were in the way all the time");
	await quiet(15);
	assert.deepEqual(stack.rows(`select state, error, lost, attempt from millrace.job where args ->> 'grp' = '${grp}' and state <> 'success'`), []);
	assert.equal(count(grp), 80);
	times.sort((a, b) => a - b);
	assert.ok(times[10] < 150, `half of the calls take ${times[10]} ms`);
});

for (const point of ["scheduler_claimed", "worker_wrote", "worker_published", "worker_commit_sent"]) {
	test(`a worker that is killed at ${point}: each mutation has run exactly once`, async () => {
		const grp = group();
		await value("planMany", { fn: "put", grp, many: 20 });
		faults.arm(point, "kill");
		await client.call("later.planMany", { fn: "slowPut", grp, many: 10 }).catch(() => null);
		await until("the kill", () => !faults.isArmed(point));
		await client.until("the caller's answer", () => true);
		await quiet(15);
		const planned = Number(stack.psql(`select count(*) from millrace.job where args ->> 'grp' = '${grp}'`));
		assert.ok(planned === 20 || planned === 30, `${planned} planned`);
		assert.equal(count(grp), planned);
		assert.equal(stack.psql(`select count(*) from (select n from "Item" where grp = '${grp}' group by n having count(*) > 2) x`), "0");
		assert.equal(stack.psql(`select count(*) from millrace.job where args ->> 'grp' = '${grp}' and state <> 'success'`), "0");
	});
}
for (const point of ["worker_commit_sent"]) {
	test(`a connection that is cut at ${point}: each mutation has run exactly once`, async () => {
		const grp = group();
		await value("planMany", { fn: "slowPut", grp, many: 12 });
		faults.arm(point, "cut");
		await quiet(15);
		assert.equal(count(grp), 12);
	});
}

test("what is scheduled for later survives a restart; what nobody ran meanwhile runs then", async () => {
	const grp = group();
	const id = await value("plan", { fn: "put", grp, ms: 1500 });
	const restart = await value("plan", { fn: "put", grp, ms: 6000000 });
	client.close();
	await stack.server.stop();
	await begin("2", quick);
	assert.equal((await ended(id)).state, "success");
	assert.equal((await job(restart)).state, "pending");
	assert.equal(count(grp), 1);
});

/** The lease is out of the question from here on: what is done soon was done because a death was seen. */
const LONG = [...quick, "--scheduler-lease", "600s", "--scheduler-poll-interval", "1s", "--function-time-limit", "5s", "--call-time-limit", "8s"];
const running = (id) => until("it to run", async () => (await job(id)).state === "inProgress");
const since = (from) => (performance.now() - from) / 1000;

for (const workers_ of ["2", "1"]) {
	test(`what a killed worker had in hand is taken over at once: of ${workers_} workers, long before its lease is over`, async () => {
		client.close();
		await stack.server.stop();
		await begin(workers_, LONG);
		const grp = group();
		const act = await value("plan", { fn: "act", grp: `${grp} act`, n: 1000 });
		const again = await value("plan", { fn: "actTwice", grp: `${grp} again`, retry: { attempts: 3, initialBackoffMs: 100 } });
		await until("the actions to have begun", () => count(`${grp} act`) > 0 && count(`${grp} again`) > 0);
		const slow = await value("plan", { fn: "sleepyPut", grp, n: 3000 });
		await running(slow);
		const at = performance.now();
		for (const pid of workers()) process.kill(pid, "SIGKILL");
		const failed = await ended(act, 30);
		assert.deepEqual([failed.state, failed.error.code, failed.attempt], ["failed", "action_interrupted", 1]);
		assert.ok(since(at) < 30, `known after ${since(at)} s`);
		const done = await ended(slow, 30);
		assert.ok(since(at) < 30, `done again after ${since(at)} s`);
		assert.deepEqual([done.state, done.attempt, done.lost], ["success", 2, 1]);
		assert.equal(count(grp), 1);
		const acted = count(`${grp} act`);
		const retried = await ended(again, 30);
		assert.deepEqual([retried.state, retried.attempt, count(`${grp} again`)], ["success", 2, 2]);
		assert.equal(count(`${grp} act`), acted, "it did not go on, nor begin again");
		assert.equal(stack.psql("select count(*) from millrace.job where state = 'inProgress'"), "0");
	});
}

test("a claim that is committed after its worker was known to be dead is anybody's too", async () => {
	const grp = group();
	faults.arm("scheduler_claimed", "kill"); // it has the job, and nobody but Postgres knows
	const id = await value("plan", { fn: "put", grp, n: 1 });
	const at = performance.now();
	await until("the kill", () => !faults.isArmed("scheduler_claimed"));
	assert.deepEqual([(await ended(id, 30)).lost, count(grp)], [1, 1]);
	assert.ok(since(at) < 30, `after ${since(at)} s`);
	const dead = stack.psql("select id from millrace.worker where lost order by until desc limit 1");
	const late = stack.psql(`insert into millrace.job (id, name, kind, args, "runAt", state, attempt, holder) values (millrace.uuid_v7(), 'later.put', 'mutation', '{"grp":"${grp}","n":2}', now(), 'inProgress', 1, '${dead}') returning id`).split("\n")[0];
	stack.psql(`select millrace.job_beat('${dead}', interval '1 hour')`);
	assert.deepEqual([(await ended(late, 30)).state, count(grp)], ["success", 2]);
});

test("what was under way at the fanout's death begins again; an action ends", async () => {
	const grp = group();
	const act = await value("plan", { fn: "act", grp: `${grp} act`, n: 1000 });
	await until("the action to have begun", () => count(`${grp} act`) > 0);
	const slow = await value("plan", { fn: "sleepyPut", grp, n: 2000 });
	await running(slow);
	const at = performance.now();
	process.kill(descendants(stack.server.pid).find((p) => p.command.split(" ")[0].endsWith("millrace-fanout")).pid, "SIGKILL");
	await until("it listens", () => stack.call("items.version").then(() => true, () => false));
	await client.again();
	const { state, attempt, lost } = await ended(slow, 30);
	assert.deepEqual([state, attempt, lost, count(grp)], ["success", 1, 0, 1]);
	const failed = await ended(act, 30);
	assert.deepEqual([failed.state, failed.error.code], ["failed", "action_interrupted"]);
	assert.ok(since(at) < 30, `after ${since(at)} s`);
});

test("a worker that is only slow keeps what it has", async () => {
	const grp = group();
	const id = await value("plan", { fn: "sleepyPut", grp, n: 1500 });
	await running(id);
	const [pid] = workers();
	process.kill(pid, "SIGSTOP");
	await sleep(1500);
	process.kill(pid, "SIGCONT");
	const { state, attempt, lost } = await ended(id);
	assert.deepEqual([state, attempt, lost, count(grp)], ["success", 1, 0, 1]);
});

test("a clean end", async () => {
	client.close();
	faults.close();
	await stack.stop();
});
await run();
