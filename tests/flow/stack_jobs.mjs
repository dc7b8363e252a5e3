// Scheduled actions, at most once; what fails, is tried again or stays as a dead letter; `millrace jobs`; deploys.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FaultFile } from "../checker/points.mjs";
import { descendants, millrace, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { sleep, Stack, until } from "../lib/stack.mjs";

const home = temporary("jobs");
const faults = new FaultFile(join(home, "faults"));
process.env.MR_FAULTS_FILE = faults.path;
const quick = ["--scheduler-poll-interval", "100", "--scheduler-lease", "1000", "--scheduler-unknown-wait", "500", "--function-time-limit", "500"];
const stack = await Stack.start([...quick, "--scheduler-crashes", "2"], home);
const client = await stack.client();
const value = (fn, args) => client.value(`later.${fn}`, args);
const count = (grp) => Number(stack.psql(`select count(*) from "Item" where grp = '${grp}'`));
const job = (id) => value("get", { id });
const ended = (id, seconds = 10) => until(`job ${id} to end`, async () => ["success", "failed", "canceled"].includes((await job(id)).state) && job(id), seconds);
const workers = () => descendants(stack.server.pid).filter((p) => p.command.split(" ")[0].endsWith("millrace-worker")).map((p) => p.pid);
let groups = 0;
const group = () => `jobs${++groups}`;
const jobs = (...args) => millrace(["jobs", ...args, "--data-dir", stack.data]);

test("a scheduled action runs, and what actions schedule and cancel is done when they are told", async () => {
	const [grp, other] = [group(), group()];
	const done = await ended(await value("plan", { fn: "act", grp, n: 3 }));
	assert.deepEqual([done.state, done.kind, done.attempt, count(grp)], ["success", "action", 1, 3]);
	const [one, two] = await value("fromAction", { grp: other });
	assert.equal((await ended(one)).state, "success");
	assert.deepEqual([(await job(two)).state, (await job(two)).retry], ["canceled", { attempts: 2, initialBackoffMs: 1000, base: 2, maxBackoffMs: 600000 }]);
	assert.equal(count(other), 1);
});

test("what throws has failed: its error is kept, what it did and scheduled is taken back, nobody runs it again", async () => {
	const [grp, acted] = [group(), group()];
	const failed = await ended(await value("plan", { fn: "fails", grp, n: 5 }));
	assert.deepEqual([failed.state, failed.attempt, failed.error], ["failed", 1, { code: "app_error", message: "it always fails", data: { n: 5, code: "no_luck" } }]);
	const action = await ended(await value("plan", { fn: "actFails", grp: acted }));
	assert.deepEqual([action.state, action.attempt, action.error.code], ["failed", 1, "function_failed"]);
	await sleep(300);
	assert.deepEqual([count(grp), count(acted)], [0, 1]);
});

test("tried again where that is asked, later each time; then it is a dead letter", async () => {
	const [grp, acted, late] = [group(), group(), group()];
	const retry = { attempts: 3, initialBackoffMs: 100, base: 3, maxBackoffMs: 250 };
	const ids = await Promise.all([value("plan", { fn: "fails", grp, retry }), value("plan", { fn: "actFails", grp: acted, retry })]);
	const lucky = await value("plan", { fn: "failsUntil", grp: late, n: 1, retry: { attempts: 50, initialBackoffMs: 50, base: 1 } });
	for (const id of ids) {
		const dead = await ended(id);
		assert.deepEqual([dead.state, dead.attempt], ["failed", 3]);
		assert.ok(Date.parse(dead.startedAt) >= Date.parse(dead.runAt));
	}
	assert.deepEqual([count(grp), count(acted)], [0, 3]);
	const failedSo = await until("some attempts", async () => (await job(lucky)).attempt > 2 && job(lucky));
	assert.match(failedSo.error.message, /not before 1/);
	stack.psql(`insert into "Item" (grp) values ('${late} open')`);
	const done = await ended(lucky);
	assert.deepEqual([done.state, done.error, count(late)], ["success", null, 1]);
});

test("backoff: the first, times the base, at most the last", async () => {
	const retry = `'{"attempts":9,"initialBackoffMs":100,"base":3,"maxBackoffMs":2000}'`;
	assert.equal(stack.psql(`select string_agg(millrace.job_backoff(${retry}, n)::text, ' ') from generate_series(1, 6) n`), "100 300 900 2000 2000 2000");
	assert.equal(stack.psql(`select millrace.job_backoff('{"attempts":100,"initialBackoffMs":1000000000,"base":100,"maxBackoffMs":5}', 100)`), "5");
});

test("a dead letter runs again by `millrace jobs retry`; the list and cancel", async () => {
	const [grp, later] = [group(), group()];
	const dead = await value("plan", { fn: "failsUntil", grp, n: 1 });
	assert.equal((await ended(dead)).state, "failed");
	const failed = jobs("--state", "failed");
	assert.equal(failed.status, 0, failed.err);
	assert.match(failed.out, new RegExp(`^${dead}  failed +\\S+Z  1  later\\.failsUntil  function_failed: .*not before 1`, "m"));
	assert.ok(failed.out.split("\n").every((line) => line === "" || / failed /.test(line)));
	stack.psql(`insert into "Item" (grp) values ('${grp} open')`);
	assert.equal(jobs("retry", dead).status, 0);
	assert.equal((await ended(dead)).state, "success");
	assert.equal(count(grp), 1);
	const waits = await value("plan", { fn: "put", grp: later, ms: 3600000 });
	assert.match(jobs("--state", "pending", "--limit", "1").out, new RegExp(`^${waits}  pending `));
	assert.equal(jobs("cancel", waits).status, 0);
	assert.equal((await job(waits)).state, "canceled");
	for (const [args, says] of [[["cancel", waits], /is canceled; it would have to be pending or inProgress/], [["retry", dead], /is success; it would have to be failed/], [["cancel", "x'; drop"], /no job/], [["cancel"], /Say which/], [["--state", "lost"], /does not know/]]) {
		const { status, err } = jobs(...args);
		assert.notEqual(status, 0);
		assert.match(err, says);
	}
});

test("an action that runs is stopped when it is canceled", async () => {
	const grp = group();
	const id = await value("plan", { fn: "act", grp, n: 100 });
	await until("its first steps", () => count(grp) > 2);
	await value("cancel", { id });
	await sleep(500);
	const done = count(grp);
	await sleep(400);
	assert.deepEqual([(await job(id)).state, count(grp)], ["canceled", done]);
	assert.ok(done < 30, `${done} steps`);
});

test("a worker that dies takes its actions with it: failed, not run again unless that was asked", async () => {
	const [once, again] = [group(), group()];
	const at = await value("plan", { fn: "actUntil", grp: once, n: 30_000 });
	const retried = await value("plan", { fn: "actTwice", grp: again, retry: { attempts: 2, initialBackoffMs: 0 } });
	await until("both to be under way", () => count(once) && count(again));
	for (const pid of workers()) process.kill(pid, "SIGKILL");
	const [a, b] = [await ended(at), await ended(retried, 15)];
	assert.deepEqual([a.state, a.attempt, a.error.code, count(once), count(`${once} end`)], ["failed", 1, "action_interrupted", 1, 0]);
	assert.deepEqual([b.state, b.attempt, count(again)], ["success", 2, 2]);
});

test("killed between the claim and the beginning, and between the end and its record: at most once", async () => {
	for (const [point, ran] of [["scheduler_claimed", 0], ["scheduler_ended", 1]]) {
		const grp = group();
		faults.arm(point, "kill");
		const id = await value("plan", { fn: "act", grp, n: 1, ms: 50 });
		await until("the kill", () => !faults.isArmed(point));
		const done = await ended(id, 15);
		assert.deepEqual([done.state, done.attempt, done.error.code, count(grp)], ["failed", 1, "action_interrupted", ran], point);
	}
});

test("a connection lost before the end of an action is written down: it is written down by the next", async () => {
	const grp = group();
	faults.arm("scheduler_ended", "cut");
	const done = await ended(await value("plan", { fn: "act", grp, n: 1 }));
	assert.deepEqual([done.state, done.attempt, count(grp)], ["success", 1, 1]);
});

test("a mutation that ends its workers is given up", async () => {
	const grp = group();
	const id = await value("plan", { fn: "put", grp, ms: 300 });
	faults.arm("worker_wrote", "kill");
	await until("the first kill", () => !faults.isArmed("worker_wrote"));
	faults.arm("worker_wrote", "kill"); // at once, as the next attempt comes
	const done = await ended(id, 20);
	assert.deepEqual([done.state, done.attempt, done.lost, done.error.code, count(grp)], ["failed", 2, 2, "worker_crashed", 0]);
});

test("one that loops costs its time, and has failed", async () => {
	const done = await ended(await value("plan", { fn: "loops", grp: group() }), 20);
	assert.equal(done.state, "failed");
	assert.ok(["time_limit", "worker_crashed"].includes(done.error.code), "the engine stops it; on a busy machine the guard, which ends the worker");
});

test("new code: what runs ends on the old one or is interrupted, what waits runs on the new one, what is gone has failed", async () => {
	const [grp, gone] = [group(), group()];
	const kept = await value("plan", { fn: "put", grp, ms: 4000 });
	const dropped = await value("plan", { fn: "chain", grp: gone, ms: 4000 });
	const path = join(stack.app, "functions", "later.ts");
	writeFileSync(path, readFileSync(path, "utf8").replaceAll("internal.later.chain", "internal.later.put").replace("export const chain", "export const chained").replace('"loops", "chain"', '"loops"'));
	assert.equal((await ended(kept, 20)).state, "success");
	const { state, error } = await ended(dropped, 20);
	assert.deepEqual([state, error.code], ["failed", "unknown_function"]);
	assert.equal(count(grp), 1);
});

test("what ended is counted", async () => {
	const [done, failed] = [await stack.metric("millrace_jobs_done_total"), await stack.metric("millrace_jobs_failed_total")];
	assert.equal((await ended(await value("plan", { fn: "put", grp: group() }))).state, "success");
	assert.equal((await ended(await value("plan", { fn: "act", grp: group(), n: 1 }))).state, "success");
	assert.equal((await ended(await value("plan", { fn: "actFails", grp: group() }))).state, "failed");
	await until("the counters to go on", async () => (await stack.metric("millrace_jobs_done_total")) >= done + 2 && (await stack.metric("millrace_jobs_failed_total")) >= failed + 1);
});

test("a clean end", async () => {
	client.close();
	faults.close();
	await stack.stop();
});
await run();
