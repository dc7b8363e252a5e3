// timeout: 120
// The bench of functions works: what it compares is the same, and its cases run to their end and print tables of figures. What they measure
// fails nothing. With --long all cases.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SENT } from "../../bench/functions/sql.mjs";
import { ROOT, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Stack, until } from "../lib/stack.mjs";

const CASES = { insert: 1, ...(process.env.MILLRACE_LONG ? { engine: 6, transfer: 1, contention: 2, empty: 1, reruns: 1, exists: 4, types: 2, attacks: 11 } : {}) };

test("what pgbench is given is what a worker sends, word for word and no less", async () => {
	const stack = await Stack.start([], temporary("stack"), join(ROOT, "bench", "functions", "app"));
	const accounts = [1, 2].map((i) => `00000000-0000-0000-0000-00000000000${i}`);
	for (const id of accounts) stack.psql(`insert into "Account" (id, owner, balance) values ('${id}', 'one', 100)`);
	const log = join(stack.data, "pg", "postgres.log");
	stack.psql("alter system set log_statement = 'all'");
	stack.psql("alter system set log_line_prefix = '%a '");
	stack.psql("select pg_reload_conf()");
	await until("statements in the log", async () => (await stack.call("items.group", { grp: "1" })) && readFileSync(log, "utf8").includes(SENT.group));
	/* Asked again where nothing is told: each backend reads its settings when it comes to it. */
	const sent = (fn, args) =>
		until("its end in the log", async () => {
			const from = readFileSync(log, "utf8").length;
			assert.equal((await stack.call(fn, args)).status, 200);
			const lines = () => [...readFileSync(log, "utf8").slice(from).matchAll(/^millrace worker LOG: {2}execute \w+: (.*)/gm)].map((m) => m[1]);
			return until("", () => lines().at(-1) === SENT.commit, 3).then(lines, () => undefined);
		});
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
