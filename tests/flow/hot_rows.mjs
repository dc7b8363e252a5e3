// Rows that many write at once: functions that read and then write, server-side increments, row locks.
import assert from "node:assert/strict";
import { endAll } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Stack } from "../lib/stack.mjs";

const SESSIONS = 40;
const CALLS = 20; // of each, one after the other as the server takes them
const REQUESTS = 200; // over HTTP
const ALL = SESSIONS * CALLS + REQUESTS;

const stack = await Stack.start();
const watcher = await stack.client();
const make = (name) => watcher.value("hot.make", { name });
const counter = (id) => stack.rows(`select * from "Counter" where id = '${id}'`)[0];

/** All at once: from many sessions and over HTTP. Gives what each was answered. */
async function flood(fn, args) {
	const clients = await Promise.all(Array.from({ length: SESSIONS }, () => stack.client()));
	const replies = [];
	for (let i = 0; i < CALLS; i++) replies.push(...clients.map((c) => c.call(fn, args, { seconds: 60 })));
	for (let i = 0; i < REQUESTS; i++)
		replies.push(stack.http("POST", `/api/fn/${fn}`, args).then(({ json }) => ({ error: json.error, value: json.value })));
	const all = await Promise.all(replies);
	for (const c of clients) c.close();
	return all;
}

/** Each change of the row begins where the one before it ended. */
function assertChain(id, to) {
	const changes = stack.rows(`select (c->'o'->>'n')::int as was, (c->'n'->>'n')::int as now from millrace.change_log l, json_array_elements(l.changes) c
		where c->'n'->>'id' = '${id}' and c->'o' is not null order by (c->>'s')::bigint`);
	assert.deepEqual(changes, Array.from({ length: to }, (_, i) => ({ was: i, now: i + 1 })));
}

for (const [fn, byName] of [
	["hot.bump", false],
	["hot.add1", false],
	["hot.add1Committed", false],
	["hot.bumpLocked", false],
	["hot.bumpLockedQuery", true],
])
	test(`${ALL} calls of ${fn} at once leave ${ALL}, and none is refused`, async () => {
		const id = await make(fn);
		const live = await watcher.live({ entity: "Counter", where: { name: fn } });
		const seen = [0];
		const undo = setInterval(() => seen.push(live.rows.get(id).n), 5);
		const replies = await flood(fn, byName ? { name: fn } : { id });
		clearInterval(undo);
		assert.deepEqual(replies.filter((r) => r.error), []);
		assert.equal(replies.length, ALL);
		assert.equal(counter(id).n, ALL);
		await watcher.until("the last value", () => live.rows.get(id).n === ALL);
		assert.deepEqual(seen, [...seen].sort((a, b) => a - b), "a live query only went forward");
		if (fn === "hot.bump" || fn === "hot.bumpLocked" || fn === "hot.add1Committed")
			assert.deepEqual(replies.map((r) => r.value).sort((a, b) => a - b), Array.from({ length: ALL }, (_, i) => i + 1));
		assertChain(id, ALL);
		watcher.unsubscribe(live);
	});

test("transfers between few rows, in any order: nothing is lost, nothing made, none is refused", async () => {
	const ids = await Promise.all(Array.from({ length: 6 }, () => make("account")));
	const live = await watcher.live({ entity: "Counter", where: { name: "account" } });
	const sums = new Set();
	const undo = setInterval(() => sums.add(live.list.reduce((sum, row) => sum + row.n, 0)), 5);
	const clients = await Promise.all(Array.from({ length: 20 }, () => stack.client()));
	const moves = Array.from({ length: 400 }, (_, i) => ({ from: ids[i % 6], to: ids[(i + 1 + (i % 5)) % 6], amount: 1 + (i % 7) }));
	const replies = await Promise.all(moves.map((move, i) => clients[i % 20].call("hot.transfer", move, { seconds: 60 })));
	assert.deepEqual(replies.filter((r) => r.error), []);
	const expected = new Map(ids.map((id) => [id, 0]));
	for (const { from, to, amount } of moves) {
		expected.set(from, expected.get(from) - amount);
		expected.set(to, expected.get(to) + amount);
	}
	await watcher.until("the end", () => ids.every((id) => live.rows.get(id).n === expected.get(id)));
	clearInterval(undo);
	assert.deepEqual([...sums], [0], "each transition shows whole transfers");
	assert.equal(stack.psql("select count(*) from pg_locks where locktype = 'advisory'"), "0", "no turn is left");
	for (const c of clients) c.close();
});

const refusal = async (fn, args) => (await watcher.call(fn, args)).error;

test("an increment adds to each kind of number, null counts as 0, and other fields are set beside it", async () => {
	const id = await make("kinds");
	const value = await watcher.value("hot.change", { id, set: { name: "kinds of numbers", open: false }, add: { n: 5, big: { $int: "9007199254740993" }, rate: 0.5, price: "0.10" } });
	assert.deepEqual({ ...value, id: 0 }, { id: 0, name: "kinds of numbers", n: 5, big: { $int: "9007199254740993" }, rate: 0.5, price: "0.1", open: false, owner: null });
	const more = await watcher.value("hot.change", { id, add: { n: -7, big: -1, rate: 1e3, price: 2 } });
	assert.deepEqual([more.n, more.big, more.rate, more.price], [-2, { $int: "9007199254740992" }, 1000.5, "2.1"]);
	const live = await watcher.live({ entity: "Counter", where: { name: "kinds of numbers" } });
	await watcher.value("hot.add1", { id });
	await watcher.until("the live query", () => live.rows.get(id).n === -1);
	assert.equal(await watcher.value("hot.add1", { id: "00000000-0000-7000-8000-000000000000" }), null, "no row, no change: as with any patch");
});

test("what cannot be added is refused by name, and nothing is changed", async () => {
	const id = await make("refused");
	const before = counter(id);
	const code = async (args, what) => {
		const error = await refusal("hot.change", { id, ...args });
		assert.match(error?.message ?? "nothing", what);
		return error.code;
	};
	assert.equal(await code({ add: { nobody: 1 } }, /no field "nobody"/), "unknown_field");
	assert.equal(await code({ add: { name: "x" } }, /Counter.name: only numbers can be incremented, and it is string/), "bad_value");
	assert.equal(await code({ add: { open: 1 } }, /Counter.open: only numbers/), "bad_value");
	assert.equal(await code({ add: { id: 1 } }, /Counter.id: only numbers/), "bad_value");
	assert.equal(await code({ add: { n: 1.5 } }, /Counter.n: increment:/), "bad_value");
	assert.equal(await code({ add: { n: "x" } }, /Counter.n: increment:/), "bad_value");
	for (const word of ["NaN", "Infinity", "-Infinity"]) {
		assert.equal(await code({ add: { rate: { $float: word } } }, /finite/), "bad_value");
		assert.equal(await code({ add: { price: word } }, /finite/), "bad_value");
	}
	assert.deepEqual(counter(id), before);
	assert.match((await refusal("hot.change", { id, add: { n: null } })).message, /increment takes a number/);
	assert.match((await refusal("hot.insertIncrement", {})).message, /Counter.n: increment is for ctx.db.patch/);
	assert.match((await refusal("hot.replaceIncrement", { id })).message, /Counter.n: increment is for ctx.db.patch/);
	assert.deepEqual(counter(id), before);
});

test("beyond the range of its field an increment is bad_value, with the fields named", async () => {
	const id = await make("range");
	await watcher.value("hot.change", { id, add: { big: { $int: "9223372036854775807" }, rate: 1.7e308 } });
	const before = counter(id);
	for (const add of [{ big: 1 }, { rate: 1.7e308 }]) {
		const error = await refusal("hot.change", { id, add });
		assert.deepEqual([error.code, error.data], ["bad_value", { entity: "Counter", fields: Object.keys(add) }], JSON.stringify(error));
		const { status } = await stack.call("hot.change", { id, add });
		assert.equal(status, 400);
	}
	assert.deepEqual(counter(id), before);
});

test("clients have no increments: an entity write takes values only, judged by the policy as ever", async () => {
	const id = await make("policy");
	for (const n of [{ $inc: 1 }, { increment: 1 }, { by: 1 }]) {
		const { status } = await stack.http("PATCH", `/api/entities/Counter/${id}`, { n });
		assert.equal(status, 400);
	}
	assert.equal((await stack.http("PATCH", `/api/entities/Counter/${id}`, { add: { n: 1 } })).code, "unknown_field");
	assert.equal(counter(id).n, 0);
	assert.equal((await stack.http("PATCH", `/api/entities/Counter/${id}`, { n: 10 })).status, 200);
	assert.ok([401, 403].includes((await stack.http("PATCH", `/api/entities/Counter/${id}`, { n: 11 })).status));
	assert.equal(counter(id).n, 10);
	assert.equal(await watcher.value("hot.add1", { id }), null);
	assert.equal(counter(id).n, 11, "functions stand above policies");
});

test("forUpdate keeps others out until the call has ended; a query is told that it cannot", async () => {
	const id = await make("held");
	const other = await stack.client();
	const holding = watcher.call("hot.hold", { id, seconds: 0.5 });
	const adding = Array.from({ length: 5 }, () => stack.call("hot.add1Committed", { id }));
	const writing = other.call("hot.hold", { id, seconds: 0 });
	assert.deepEqual([(await holding).value, (await writing).value], [true, true]);
	await Promise.all(adding);
	assert.equal(counter(id).n, 7);
	const error = await refusal("hot.lockInQuery", { id });
	assert.equal(error.code, "function_failed");
	assert.match(error.message, /cannot lock rows/);
	other.close();
});

test("upserts of new keys leave one row each, and count all", async () => {
	for (const fn of ["hot.tally", "hot.tallyCommitted"]) {
		const clients = await Promise.all(Array.from({ length: 20 }, () => stack.client()));
		const replies = await Promise.all(clients.flatMap((c) => Array.from({ length: 10 }, (_, i) => c.call(fn, { name: `${fn} ${i}` }, { seconds: 60 }))));
		assert.deepEqual(replies.filter((r) => r.error), []);
		const rows = stack.rows(`select id, n from "Tally" where name like '${fn} %'`);
		assert.deepEqual(rows.map((row) => row.n), Array.from({ length: 10 }, () => 20));
		assert.deepEqual(new Set(replies.map((r) => r.value)), new Set(rows.map((row) => row.id)));
		for (const c of clients) c.close();
	}
	const place = (name) => watcher.call("hot.tallyPlace", { name, grp: "g", place: 1 });
	const [first, again] = [await place("one"), await place("two")];
	assert.equal(first.value, again.value);
	assert.deepEqual(stack.rows(`select name, n from "Tally" where grp = 'g'`), [{ name: "one", n: 2 }]);
	const { error } = await watcher.call("hot.tallyPlace", { name: "one", grp: "g", place: 2 });
	assert.deepEqual([error.code, error.data?.fields], ["unique_violation", ["name"]]);
});

test("the end", async () => {
	watcher.close();
	assert.equal((await stack.stop()).code, 0);
	await endAll();
});

await run();
