// timeout: 120
// The bench of functions works: what it compares is the same, and its cases run to their end and print tables of figures. What they measure
// fails nothing. With --long all cases.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SENT } from "../../bench/functions/sql.mjs";
import { descendants, ROOT, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Stack, until } from "../lib/stack.mjs";

const CASES = { insert: 1, ...(process.env.MILLRACE_LONG ? { engine: 6, transfer: 1, contention: 2, empty: 1, reruns: 1, exists: 4, types: 2, attacks: 11 } : {}) };

test("what pgbench is given is what a worker sends, word for word and no less", async () => {
	const stack = await Stack.start(["--workers", "1"], temporary("stack"), join(ROOT, "bench", "functions", "app"));
	const accounts = [1, 2].map((i) => `00000000-0000-0000-0000-00000000000${i}`);
	for (const id of accounts) stack.psql(`insert into "Account" (id, owner, balance) values ('${id}', 'one', 100)`);
	const log = join(stack.data, "pg", "postgres.log");
	const logged = () => readFileSync(log, "utf8");
	stack.psql("alter system set log_statement = 'all'");
	stack.psql("alter system set log_line_prefix = '%a %p '");
	stack.psql("select pg_reload_conf()");
	await until("statements in the log", async () => (await stack.call("items.group", { grp: "1" })) && logged().includes(SENT.group));
	/* Backends read their settings one after the other; those of a new worker have begun with them. */
	const worker = () => descendants(stack.server.pid).find((p) => p.command.split(" ")[0].endsWith("millrace-worker"))?.pid;
	const old = worker();
	process.kill(old, "SIGKILL");
	await until("another worker", async () => (worker() ?? old) !== old && (await stack.call("items.group", { grp: "1" })).status === 200);
	/** The first transaction that a backend was given since and that keeps a record of a call. */
	const transaction = (text) => {
		const backends = new Map();
		for (const [, pid, said] of text.matchAll(/^millrace worker (\d+) LOG: {2}execute \w+: (.*)/gm)) backends.set(pid, [...(backends.get(pid) ?? []), said]);
		const all = [...backends.values()].map((said) => said.slice(said.findLastIndex((line, i) => line.startsWith("begin") && i < said.indexOf(SENT.log))));
		const of = all.find((said) => said.indexOf(SENT.commit) > said.indexOf(SENT.log) && said.includes(SENT.log));
		return of?.slice(0, of.indexOf(SENT.commit) + 1);
	};
	const sent = async (fn, args) => {
		const from = logged().length;
		assert.equal((await stack.call(fn, args)).status, 200);
		return until("its transaction in the log", () => transaction(logged().slice(from)));
	};
	const { begin, settings, insert, get, patch, log: row, commit } = SENT;
	assert.deepEqual(await sent("notes.add", { channel: "c", body: "b" }), [begin, settings, insert, row, commit]);
	assert.deepEqual(await sent("bank.transfer", { from: accounts[0], to: accounts[1], amount: 5 }), [begin, settings, get, get, patch, patch, row, commit]);
	const repeatable = begin.replace("serializable", "repeatable read");
	assert.deepEqual(await sent("bank.transferRepeatable", { from: accounts[0], to: accounts[1], amount: 5 }), [repeatable, get, get, patch, patch, row, commit]);
	await stack.stop();
});

for (const [name, rows] of Object.entries(CASES))
	test(`bench/functions/run --quick --only ${name}`, () => {
		const { status, stdout, stderr } = spawnSync(join(ROOT, "bench", "functions", "run"), ["--quick", "--only", name, "--seconds", "0.5"], { encoding: "utf8" });
		assert.equal(status, 0, stdout + stderr);
		const lines = stdout.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| ---"));
		assert.ok(lines.length > rows, stdout);
		assert.doesNotMatch(stdout, /NaN|undefined|Infinity/);
	});

await run();
