// timeout: 400
// At the bounds of what the server takes: ticks of very many changes, a live query of very many rows, very many sessions behind at once, one
// client with very many subscriptions. All are exact in the end, the fanout's memory stays bounded, ticks go on. The times are told, with
// more rows and rounds, by bench/bounds/run.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { CASES, Scene } from "../lib/bounds.mjs";
import { sanitized } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";

const LONG = Boolean(process.env.MILLRACE_LONG);
const SIZE = LONG
	? { rows: 1_000_000, hot: 49_000, watchers: 20, behind: 10_000, subscriptions: 10_000 }
	: { rows: 30_000, hot: 12_000, watchers: 5, behind: 200, subscriptions: 2000 };
/** MB that the fanout may take on in a case: what is parsed at once, results, what waits to be sent. */
const BOUND = LONG ? { ticks: 200, hot: 400, behind: 500, subscriptions: 200 } : { ticks: 120, hot: 120, behind: 120, subscriptions: 80 };

const scene = await Scene.start(["--call-time-limit", "5m"]);
const idle = await scene.during(() => new Promise((done) => setTimeout(done, 1000)));
const began = scene.fanout;

const bounds = {
	ticks: "ticks of very many changes",
	hot: "a live query of very many rows",
	behind: "very many sessions behind at once",
	subscriptions: "one client with very many subscriptions",
};
for (const [name, what] of Object.entries(bounds))
	test(what, async () => {
		const first = scene.status("VmRSS");
		let most = 0;
		await CASES[name](scene, SIZE, (step, seen, without = idle) => {
			most = Math.max(most, seen.most);
			console.log(`# ${step}: ${seen.took} ms; others p99 ${seen.p99.toFixed(1)} ms (${(seen.p99 / without.p99).toFixed(1)} times), longest gap of ticks ${seen.gap.toFixed(0)} ms, ` +
				`pong ${seen.pong.toFixed(1)} ms; memory ${seen.before.toFixed(0)}, most ${seen.most.toFixed(0)} MB`);
		});
		// The address sanitizer keeps what was freed for a while, and its shadow makes every byte dearer.
		assert.ok(most - first < (sanitized() ? 800 + 4 * BOUND[name] : BOUND[name]), `${most - first} MB more than before`);
	});

test("a clean end: nobody fell", async () => {
	assert.match(readFileSync(`/proc/${began}/comm`, "utf8"), /^millrace-fanout|^fanout/);
	const { code } = await scene.stop();
	assert.equal(code, 0);
	assert.doesNotMatch(scene.stack.server.err, /AddressSanitizer|runtime error:|assert/);
});

await run();
