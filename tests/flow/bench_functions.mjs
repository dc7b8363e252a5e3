// timeout: 120
// The bench of functions works: its cases run to their end and print tables of figures. What they measure fails nothing; with --long all do.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";

const CASES = { insert: 1, ...(process.env.MILLRACE_LONG ? { engine: 6, transfer: 1, contention: 2, empty: 1, reruns: 1, exists: 4, types: 2, attacks: 11 } : {}) };

for (const [name, rows] of Object.entries(CASES))
	test(`bench/functions/run --quick --only ${name}`, () => {
		const { status, stdout, stderr } = spawnSync(join(ROOT, "bench", "functions", "run"), ["--quick", "--only", name, "--seconds", "1"], { encoding: "utf8" });
		assert.equal(status, 0, stdout + stderr);
		const lines = stdout.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| ---"));
		assert.ok(lines.length > rows, stdout);
		assert.doesNotMatch(stdout, /NaN|undefined|Infinity/);
	});

await run();
