// Functions that hold their worker up get workers apart; what others notice of them.
import assert from "node:assert/strict";
import { run, test } from "../lib/net_client.mjs";
import { sleep, Stack } from "../lib/stack.mjs";

const CRUNCH = 60_000_000; // rounds of runaway.grind: longer than slow_slice on any machine
const PATIENT = { seconds: 120 }; // a machine may have very much else to do
const LIMITS = ["--function-time-limit", "300", "--slow-lease", "4s"];

/** Calls the function again and again until stop() is called, which gives the codes that it was answered. */
function again(client, fn, args = {}) {
	const codes = [];
	let going = true;
	const loop = (async () => {
		while (going) codes.push((await client.call(fn, args, PATIENT)).error?.code ?? "done");
	})();
	return { codes, stop: async () => ((going = false), await loop, codes) };
}

/** As they are logged: which workers said what. */
const workersThat = (stack, pattern, from = 0) => [...stack.server.err.slice(from).matchAll(new RegExp(`worker (\\d+): ${pattern}`, "g"))].map((m) => m[1]);
const slow = (stack) => stack.metric("millrace_slow_functions");
const value = async (client, fn, args) => {
	const reply = await client.call(fn, args, PATIENT);
	assert.equal(reply.error, undefined, JSON.stringify(reply.error));
	return reply.value;
};
const until = async (client, what, test) => client.until(what, test, 120);

async function with2(options, body) {
	const stack = await Stack.start([...LIMITS, ...options]);
	const [culprit, other] = [await stack.client(), await stack.client()];
	try {
		await body(stack, culprit, other);
	} finally {
		culprit.close();
		other.close();
		await stack.stop();
	}
}

test("a function that loops is on one worker, quick ones on the other; each of them is answered", () =>
	with2([], async (stack, culprit, other) => {
		await value(other, "runaway.quick", { grp: "first" });
		const attack = again(culprit, "runaway.loopPlain");
		await until(culprit, "the first loops", () => attack.codes.length >= 1);
		assert.equal(await slow(stack), 1);
		const from = stack.server.err.length;
		let n = 0;
		for (const loops = attack.codes.length; attack.codes.length < loops + 4; n++) await value(other, "runaway.quick", { grp: "quick" });
		const codes = await attack.stop();
		assert.deepEqual([...new Set(codes)], ["time_limit"]);
		assert.equal(stack.psql(`select count(*) from "Item" where grp = 'quick'`), String(n));
		const loops = new Set(workersThat(stack, "runaway.loopPlain: stopped", from));
		assert.equal(loops.size, 1, [...loops].join());
		/* One that is not held up may seem so to the hub, on a machine that has much else to do. */
		await until(other, "all of them in the log", () => workersThat(stack, "runaway.quick: is quick", from).length >= n);
		const quick = workersThat(stack, "runaway.quick: is quick", from);
		assert.equal(quick.length, n);
		assert.ok(quick.filter((w) => !loops.has(w)).length > 0.8 * n, `${quick.filter((w) => loops.has(w)).length} of ${n} beside the loops`);
		assert.ok(n > 20, `${n} quick calls while 4 loops ran`);
		assert.ok((await stack.metric("millrace_slow_jobs_total")) >= 4);
		await stack.server.logs(/runaway\.loopPlain is slow/);
		const told = stack.server.err.match(/runaway\.loopPlain is slow: .*/g);
		assert.equal(told.length, 1);
		assert.match(told[0], /was stopped.*run on 1 of 2 workers.*Let it do less at a time, or raise slow_slice/);
	}));

test("a function that costs its worker each time costs the same one; the other is there all the time", () =>
	with2([], async (stack, culprit, other) => {
		const attack = again(culprit, "runaway.loopPromise");
		await until(culprit, "the first death", () => attack.codes.length >= 1);
		let n = 0;
		for (const ends = attack.codes.length; attack.codes.length < ends + 2; n++) {
			await value(other, "runaway.quick", { grp: "quick" });
			assert.ok((await stack.metric("millrace_workers")) >= 1);
		}
		const codes = await attack.stop();
		assert.deepEqual([...new Set(codes)], ["time_limit"]);
		assert.equal(stack.psql(`select count(*) from "Item" where grp = 'quick'`), String(n));
		const ended = () => [...stack.server.err.matchAll(/(worker \d+) ended after/g)].map((m) => m[1]);
		await until(other, "the last death in the log", () => ended().length >= codes.length);
		assert.equal(ended().length, codes.length);
		assert.equal(new Set(ended()).size, 1, ended().join());
	}));

test("one that is slow for a good reason is answered, and is quick again after slow_lease", () =>
	with2(["--function-time-limit", "10s"], async (stack, culprit, other) => {
		await Promise.all([value(culprit, "runaway.grind", { rounds: 1000 }), value(other, "runaway.grind", { rounds: 1000 })]);
		const results = new Set();
		const grind = async () => results.add(await value(culprit, "runaway.grind", { rounds: CRUNCH }));
		for (let i = 0; i < 20 && (await slow(stack)) === 0; i++) await grind();
		await grind();
		assert.equal(results.size, 1);
		assert.ok((await stack.metric("millrace_slow_jobs_total")) >= 1);
		await stack.server.logs(/runaway\.grind is slow: for the second time it used more CPU without a pause \(\d+ ms\) than slow_slice \(25 ms\)/);
		for (let i = 0; (await slow(stack)) > 0; i++) {
			assert.ok(i < 100, "it is slow for ever");
			await sleep(100);
		}
		const before = await stack.metric("millrace_slow_jobs_total");
		await value(culprit, "runaway.grind", { rounds: 1000 });
		assert.equal(await stack.metric("millrace_slow_jobs_total"), before);
	}));

test("the worker that is kept for quick functions leaves scheduled slow ones to the other", () =>
	with2(["--function-time-limit", "10s", "--slow-lease", "60s"], async (stack, culprit, other) => {
		for (let i = 0; i < 2; i++) await value(culprit, "runaway.grind", { rounds: 2 * CRUNCH });
		assert.equal(await slow(stack), 1);
		for (let i = 0; i < 9; i++) await value(other, "runaway.quick", { grp: "quick" });
		const quick = workersThat(stack, "runaway.quick: is quick").sort();
		const kept = quick[quick.length >> 1];
		await sleep(1000); // it is told within 200 ms
		const from = stack.server.err.length;
		await value(other, "runaway.grindLater", { rounds: CRUNCH, times: 6 });
		await until(other, "all of them", () => workersThat(stack, "runaway.grind: grinds", from).length === 6);
		assert.deepEqual(workersThat(stack, "runaway.grind: grinds", from).filter((w) => w === kept), []);
	}));

test("a scheduled function that costs its worker costs the same one from then on, and others are quick meanwhile", async () => {
	for (const how of ["time", "memory"])
		await with2(["--slow-lease", "60s", "--worker-memory-limit", "256MB", "--scheduler-crashes", "3"], async (stack, culprit, other) => {
			const fn = how === "time" ? "runaway.loopPromise" : "runaway.eatMemory";
			const job = await value(culprit, "runaway.costsLater", { how });
			await until(culprit, "the first death", async () => (await slow(stack)) === 1);
			await stack.server.logs(new RegExp(`${fn} is slow: its worker was ended, for it ${how === "time" ? "ran longer than function_time_limit" : "used more memory than worker_memory_limit"}`));
			await until(culprit, "its end", async () => {
				await value(other, "runaway.quick", { grp: "quick" });
				return stack.psql(`select state from millrace.job where id = '${job}'`) === "failed";
			});
			assert.equal(stack.psql(`select error->>'code' from millrace.job where id = '${job}'`), "worker_crashed");
			const deaths = () => [...stack.server.err.matchAll(/(worker \d+) ended after/g)].map((m) => m[1]);
			await until(culprit, "what is logged of them", () => deaths().length === 3);
			assert.equal(new Set(deaths().slice(1)).size, 1, deaths().join());
		});
});

test("what a worker has not begun when it is held up goes to another, and is done once", () =>
	with2(["--function-time-limit", "30s", "--slow-lease", "1s", "--slow-slice", "100"], async (stack, culprit, other) => {
		const grp = "moved";
		let sent = 0;
		for (let i = 0; i < 10 && (await stack.metric("millrace_calls_moved_total")) === 0; i++) {
			while ((await slow(stack)) > 0) await sleep(100);
			const grind = culprit.call("runaway.grind", { rounds: 6 * CRUNCH }, PATIENT);
			const quick = [];
			for (let k = 0; k < 40; k++) {
				for (let m = 0; m < 2; m++) quick.push(stack.call("runaway.quick", { grp }));
				await sleep(2);
			}
			for (const { error } of await Promise.all(quick)) assert.equal(error, undefined);
			assert.equal((await grind).error, undefined);
			sent += quick.length;
		}
		assert.ok((await stack.metric("millrace_calls_moved_total")) > 0, "nothing was moved");
		assert.equal(stack.psql(`select count(*) from "Item" where grp = '${grp}'`), String(sent));
		const items = Number(await value(other, "items.count", { grp }));
		assert.equal(items, sent);
	}));

test("slow_slice 0: nothing is slow", () =>
	with2(["--slow-slice", "0"], async (stack, culprit) => {
		for (let i = 0; i < 3; i++) assert.equal((await culprit.call("runaway.loopPlain")).error.code, "time_limit");
		assert.equal(await slow(stack), 0);
		assert.equal(await stack.metric("millrace_slow_jobs_total"), 0);
		assert.doesNotMatch(stack.server.err, /is slow/);
	}));

await run();
