// The ring of a whole server: workers killed while they commit leave records whose truth the log tells, counted; a lane is given away when
// the process that had it is dead, and not when only its link broke; laps are counted and do no harm.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { descendants, MILLRACE, startOther, until } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Stack } from "../lib/stack.mjs";

let stack = await Stack.start();
const CALLS = 5;
const running = (name) => descendants(stack.server.pid).filter((p) => p.command.includes(`/${name} `)).map((p) => p.pid);
const workers = () => running("millrace-worker");
const counts = async () => ({ unblocked: await stack.metric("millrace_ring_unblocked_total"), settled: await stack.metric("millrace_ring_settled_total") });

// --- commits that wait until they may go on ---

const GATE = 77;
stack.psql(`create function gate() returns trigger language plpgsql as $$ begin
	if new.grp like 'held%' then perform pg_advisory_xact_lock_shared(${GATE}); end if;
	return null;
end $$`);
stack.psql(`create constraint trigger gate after insert on "Item" deferrable initially deferred for each row execute function gate()`);

const atGate = (granted) => stack.rows(`select pid from pg_locks where locktype = 'advisory' and objid = ${GATE} and ${granted ? "" : "not"} granted`).map((x) => x.pid);
const end = (pids) => stack.psql(`select count(pg_terminate_backend(pid)) from unnest('{${pids}}'::int[]) pid`);

async function shut() {
	startOther(MILLRACE, ["psql", "--data-dir", stack.data, "--", "-c", `select pg_advisory_lock(${GATE})`, "-c", "select pg_sleep(3600)"]);
	await until("the gate to be shut", () => atGate(true).length === 1);
}

/** CALLS calls that wait in their COMMIT, whose workers are then killed. Gives the answers and the backends that do not know yet. */
async function killInCommit(grp) {
	const before = await counts();
	await shut();
	const answers = Promise.all(Array.from({ length: CALLS }, (_, n) => stack.call("items.add", { grp, n })));
	await until("all to wait in their COMMIT", () => atGate(false).length === CALLS);
	const backends = atGate(false);
	for (const pid of workers()) process.kill(pid, "SIGKILL");
	await until("the records that nobody can speak for", async () => (await counts()).unblocked === before.unblocked + CALLS);
	assert.equal((await counts()).settled, before.settled, "nothing is guessed");
	return { answers, backends, before };
}

async function settled({ answers, before }, grp) {
	assert.deepEqual((await answers).map((a) => a.status), Array(CALLS).fill(200));
	await until("the log's word", async () => (await counts()).settled === before.settled + CALLS);
	assert.equal((await counts()).unblocked, before.unblocked + CALLS);
	assert.deepEqual(stack.rows(`select n from "Item" where grp = '${grp}' order by n`).map((x) => x.n), Array.from({ length: CALLS }, (_, n) => n), "each once");
}

test("rule 10: records of killed workers whose commits went through are settled by their own rows in the log", async () => {
	const watcher = await stack.client();
	const live = await watcher.live({ entity: "Item", where: { grp: "held done" } });
	const killed = await killInCommit("held done");
	end(atGate(true));
	await settled(killed, "held done");
	await watcher.until("the rows", () => live.rows.size === CALLS);
	watcher.close();
});

test("rule 10: those whose commits were lost are settled by the rows of the next attempts", async () => {
	const watcher = await stack.client();
	const live = await watcher.live({ entity: "Item", where: { grp: "held lost" } });
	const killed = await killInCommit("held lost");
	end(killed.backends);
	await until("the next attempts", () => atGate(false).length === CALLS && !atGate(false).some((pid) => killed.backends.includes(pid)));
	end(atGate(true));
	await settled(killed, "held lost");
	await watcher.until("the rows", () => live.rows.size === CALLS);
	watcher.close();
});

test("a worker that ends between calls leaves nothing to settle", async () => {
	const before = await counts();
	const deaths = await stack.metric("millrace_worker_deaths_total");
	assert.equal((await stack.call("items.add", { grp: "quiet" })).status, 200);
	const [pid] = workers();
	process.kill(pid, "SIGKILL");
	await until("its death to be counted", async () => (await stack.metric("millrace_worker_deaths_total")) === deaths + 1);
	await until("another in its place", () => workers().length === 2 && !workers().includes(pid));
	assert.equal((await stack.call("items.add", { grp: "quiet" })).status, 200);
	assert.deepEqual(await counts(), before);
});

// --- lanes ---

const socketPath = join(stack.data, "run", "fanout.sock");

/** Says hello as a worker does, over a link of this process; gives the lane of the welcome. */
function hello(path) {
	return new Promise((resolve, reject) => {
		const link = connect(path);
		const text = Buffer.from(JSON.stringify({ t: "hello", role: "worker", pid: process.pid, app: "none", protocol: 2 }));
		const head = Buffer.alloc(4);
		head.writeUInt32LE(text.length);
		let got = Buffer.alloc(0);
		link.once("error", reject);
		link.on("data", (data) => {
			got = Buffer.concat([got, data]);
			const n = got.length < 4 ? Infinity : got.readUInt32LE() & 0xfffffff;
			if (got.length >= 4 + n) resolve({ link, lane: JSON.parse(got.subarray(4, 4 + n)).lane });
		});
		link.write(Buffer.concat([head, text]));
	});
}

test("the lane of a process that lives on without its link is not given away; that of a dead one is", async () => {
	const first = await hello(socketPath);
	assert.ok(Number.isInteger(first.lane));
	first.link.destroy();
	const other = await hello(socketPath);
	assert.notEqual(other.lane, first.lane, "we could still write to it");

	const script = `import { connect } from "node:net"; const hello = ${hello}; const { lane } = await hello(${JSON.stringify(socketPath)}); console.log(lane); setInterval(() => {}, 1000);`;
	const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
	const [line] = await new Promise((resolve) => createInterface(child.stdout).once("line", (...l) => resolve(l)));
	const lane = Number(line);
	assert.notEqual(lane, other.lane);
	const gone = new Promise((resolve) => child.once("exit", resolve));
	child.kill("SIGKILL");
	await gone;
	const links = [];
	await until("the dead one's lane", async () => {
		const next = await hello(socketPath);
		links.push(next.link);
		return next.lane === lane;
	});
	for (const link of [other.link, ...links]) link.destroy();
	assert.equal((await stack.call("items.add", { grp: "after" })).status, 200);
});

test("rule 16: a fanout that looks away is lapped: it counts it once for each lane, and reads the log", async () => {
	await stack.stop();
	stack = await Stack.start(["--ring-bytes", "4096"]);
	const many = 24;
	assert.equal(await stack.metric("millrace_ring_lapped_total"), 0);
	const watcher = await stack.client();
	const live = await watcher.live({ entity: "Item" });
	const calls = await stack.metric("millrace_calls_total");
	stack.psql(`create function gate() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(${GATE}); return new; end $$`);
	stack.psql(`create trigger gate before insert on "Item" for each row execute function gate()`);
	await shut();
	const answers = Promise.all(Array.from({ length: many }, (_, n) => stack.call("items.add", { grp: "lap", n, note: "x".repeat(700) })));
	await until("the workers to have all calls", async () => (await stack.metric("millrace_calls_total")) === calls + many && atGate(false).length > 1);
	const [fanout] = running("millrace-fanout");
	process.kill(fanout, "SIGSTOP");
	try {
		end(atGate(true));
		await until("all commits", () => stack.rows(`select count(*) as n from "Item"`)[0].n === many);
	} finally {
		process.kill(fanout, "SIGCONT");
	}
	assert.deepEqual((await answers).map((a) => a.status), Array(many).fill(200));
	await watcher.until("the rows", () => live.rows.size === many);
	const lapped = await stack.metric("millrace_ring_lapped_total");
	assert.ok(lapped === 1 || lapped === 2, `lapped ${lapped} times`);
	assert.deepEqual(await counts(), { unblocked: 0, settled: 0 });
	watcher.close();
});

test("a clean end", async () => assert.equal((await stack.stop()).code, 0));

await run();
