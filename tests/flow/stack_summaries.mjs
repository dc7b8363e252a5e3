// Counts, sums, groups and pages of functions, beside what Postgres says; live as all that functions read.
import assert from "node:assert/strict";
import { run, test } from "../lib/net_client.mjs";
import { Stack } from "../lib/stack.mjs";

const stack = await Stack.start();
const client = await stack.client();
const call = async (fn, args = {}) => {
	const { value, error } = await client.call(`summaries.${fn}`, args);
	assert.equal(error, undefined, JSON.stringify(error));
	return value;
};
const ROWS = 700;
stack.psql(`insert into "Item" (grp, n, at, big, note) select 'a', i % 50, '2026-01-01T00:00:00Z'::timestamptz + i * interval '1 s', case when i % 3 > 0 then i end, case when i % 4 > 0 then 'note ' || i % 7 end
	from generate_series(1, ${ROWS}) i`);
stack.psql(`insert into "Counter" (name, n, rate, price, open, owner) values ('a', 5, 0.5, 1.10, true, 'ann'), ('b', 7, 0.25, 2.20, true, 'ann'),
	('c', 1, 1, null, false, 'ann'), ('d', 20, 2, 3.3, true, 'bob'), ('e', 2, 0, null, true, null)`);

test("of all rows, or of none", async () => {
	const [is] = stack.rows(`select count(*) n, count(note) noted, sum(n) total, avg(n)::float8 mean, max(note) last, sum(big)::bigint::text big from "Item" where grp = 'a'`);
	const got = await call("items", { grp: "a" });
	const { big, ...plain } = is;
	assert.deepEqual(got, { ...plain, big: { $int: big }, first: "2026-01-01T00:00:01.000Z", count: ROWS, sum: is.total, least: 0, most: 49, avg: is.mean });
	const none = { mean: null, total: null, first: null, last: null, big: null, sum: null, least: null, most: null, avg: null };
	assert.deepEqual(await call("items", { grp: "nobody" }), { n: 0, noted: 0, count: 0, ...none });
});

test("by groups", async () => {
	const { groups, top, counts } = await call("counters");
	assert.deepEqual(groups, [
		{ owner: "ann", open: false, n: 1, rate: 1, price: null, mean: null },
		{ owner: "ann", open: true, n: 2, rate: 0.75, price: "3.3", mean: "1.65" },
		{ owner: "bob", open: true, n: 1, rate: 2, price: "3.3", mean: "3.3" },
		{ owner: null, open: true, n: 1, rate: 0, price: null, mean: null },
	]);
	assert.deepEqual(top, [{ owner: "bob", total: 20 }]);
	assert.deepEqual(counts, [{ owner: "ann", count: 2 }, { owner: "bob", count: 1 }, { owner: null, count: 1 }]);
});

test("what cannot be is refused with a sentence", async () => {
	for (const [groupBy, measures, code, said] of [
		[[], { x: { sum: "name" } }, "bad_filter", /Counter\.name is of a type that has no sum/],
		[[], { x: { min: "open" } }, "bad_filter", /Counter\.open is of a type that has no min/],
		[[], { x: { sum: "nothing" } }, "unknown_field", /Counter has no field "nothing"/],
		[["nothing"], { x: { count: true } }, "unknown_field", /Counter has no field "nothing"/],
		[[], {}, "bad_filter", /needs something to measure/],
		[[], { x: { median: "n" } }, "function_failed", /x: expected \{ count: true \}/],
		[["name"], { name: { count: true } }, "function_failed", /name is a field of the groups/],
	]) {
		const { error } = await client.call("summaries.any", { groupBy, measures });
		assert.equal(error?.code, code, JSON.stringify([measures, error]));
		assert.match(error.message, said);
	}
});

test("pages are pieces of the whole, in any order, whatever comes and goes before them", async () => {
	for (const [order, sql] of [
		[[["n", "asc"]], "n, id"],
		[[["note", "desc"], ["big", "asc"]], `note collate "C" desc, big, id`],
		[[["big", "desc"], ["n", "asc"]], "big desc, n, id"],
		[[["at", "desc"]], "at desc, id desc"],
	]) {
		const whole = stack.rows(`select id from "Item" where grp = 'a' order by ${sql}`).map((row) => row.id);
		const got = [];
		for (let cursor = null, isDone = false; !isDone; ) {
			const page = await call("page", { grp: "a", order, numItems: 97, cursor });
			assert.ok(page.ids.length <= 97);
			const again = await call("page", { grp: "a", order, numItems: 1, cursor, endCursor: page.continueCursor });
			assert.deepEqual([again.ids, again.isDone], [page.ids, page.isDone], "between the same two places");
			got.push(...page.ids);
			({ isDone, continueCursor: cursor } = page);
		}
		assert.deepEqual(got, whole, sql);
	}
	const first = await call("page", { grp: "a", order: [["n", "asc"]], numItems: 10, cursor: null });
	stack.psql(`delete from "Item" where id = '${first.ids[9]}'`);
	const next = await call("page", { grp: "a", order: [["n", "asc"]], numItems: 1, cursor: first.continueCursor });
	assert.equal(next.ids[0], stack.rows(`select id from "Item" where grp = 'a' order by n, id offset 9 limit 1`)[0].id, "the row of the cursor may be gone");
	const { error } = await client.call("summaries.page", { grp: "a", order: [["n", "asc"], ["note", "asc"]], numItems: 1, cursor: first.continueCursor });
	assert.deepEqual([error.code, /begin again with null/.test(error.message)], ["bad_args", true]);
});

test("for await reads no further than it is asked to", async () => {
	assert.deepEqual(await call("walk", { grp: "a", most: 3 }), [3, 0]);
	assert.deepEqual(await call("walk", { grp: "a", most: 600 }), [600, stack.rows(`select n from "Item" where grp = 'a' order by n, id offset 599 limit 1`)[0].n]);
	assert.deepEqual(await call("walk", { grp: "a", most: 9999 }), [ROWS - 1, null]);
});

test("ids from outside", async () => {
	assert.equal(await call("ids", { id: "01890000-0000-7000-8000-00000000ABCD" }), "01890000-0000-7000-8000-00000000abcd");
	assert.equal(await call("ids", { id: "01890000-0000-7000-8000" }), null);
});

test("they are live", async () => {
	const live = await client.live({ fn: "summaries.items", args: { grp: "live" } });
	await client.until("nothing", () => live.value?.count === 0);
	stack.psql(`insert into "Item" (grp, n) values ('live', 4), ('live', 6)`);
	await client.until("two", () => live.value?.count === 2 && live.value.total === 10 && live.value.mean === 5);
	stack.psql(`update "Item" set n = 7 where grp = 'live' and n = 6`);
	await client.until("more", () => live.value?.most === 7);
	const alike = await client.live({ entity: "Item", where: { grp: "live", note: { $like: "50\\% o%" } } });
	stack.psql(`update "Item" set note = case n when 4 then '50% off' else '50 of' end where grp = 'live'`);
	await client.until("what is like it", () => alike.rows.size === 1);
	stack.psql(`update "Item" set note = '50% of' where grp = 'live'`);
	await client.until("both", () => alike.rows.size === 2);
});

test("rows with those that they refer to, live", async () => {
	stack.psql(`insert into "Topic" (grp, n, title) values ('ref', 1, 'one'), ('ref', 2, 'two');
		insert into "Reply" (topic, text) select id, 'a ' || n from "Topic" where grp = 'ref';
		insert into "Reply" (topic, "to", text) select topic, id, 'b ' || text from "Reply" where text = 'a 1'`);
	const live = await client.live({ fn: "summaries.replies", args: { grp: "ref" } });
	await client.until("all", () => live.value?.whole.length === 3);
	assert.deepEqual(live.value.whole, [["a 1", "one", null], ["a 2", "two", null], ["b a 1", "one", "a 1"]]);
	assert.deepEqual(live.value.few, [["before,of,text", 1], ["before,of,text", 2]]);
	stack.psql(`update "Topic" set title = 'first' where n = 1`);
	await client.until("the other row", () => live.value.whole[0][1] === "first");
	stack.psql(`delete from "Reply" where text = 'a 1'`);
	await client.until("no such row any more", () => live.value.whole.length === 2 && live.value.whole[1][2] === null);
});

test("a statement's rows are what was declared, or it is told where not", async () => {
	const ask = async (sql) => {
		const { value, error } = await client.call("summaries.declared", { sql });
		return error ? `${error.code}: ${error.message}` : value;
	};
	assert.deepEqual(await ask("select 1 as n, 'a' as text union all select 2, null"), [{ n: 1, text: "a" }, { n: 2, text: null }]);
	assert.deepEqual(await ask("select 3 as n where false"), []);
	const why = "; the columns are not what was declared";
	assert.equal(await ask("select 1 as n union all select null"), `sql_error: ctx.db.sql: row 1.n: expected whole number, got null${why}`);
	assert.equal(await ask("select 1 as n, 2 as text"), `sql_error: ctx.db.sql: row 0.text: expected string, got number${why}`);
	assert.match(await ask("select 1 as n, 2 as m"), /^sql_error: ctx.db.sql: row 0\.m: no such field is expected; /);
	assert.match(await ask("select 9007199254740993::int8 as n"), /^sql_error: ctx.db.sql: row 0\.n: expected whole number, got 9007199254740993; /);
});

test("what nobody looked at does not run it again", async () => {
	const counted = (name) => stack.metric(`millrace_${name}`);
	const live = await client.live({ fn: "summaries.few", args: { grp: "few" } });
	await client.until("nothing", () => live.value?.sum === 0);
	stack.psql(`insert into "Item" (grp, n, note, at) values ('few', 1, 'a', '2026-01-01Z'), ('few', 2, 'z', '2026-01-02Z')`);
	await client.until("two", () => live.value?.sum === 2);
	assert.deepEqual(live.value, { notes: ["a", "z"], last: [{ note: "z" }], sum: 2, many: 1 });
	const [runs, unread] = [await counted("reruns_total"), await counted("updates_unread_total")];
	for (const set of ["n = n + 10", "secret = 'x'", "big = 7, n = 0"]) stack.psql(`update "Item" set ${set} where grp = 'few'`);
	await client.until("updates", async () => (await counted("updates_unread_total")) >= unread + 6);
	assert.equal(await counted("reruns_total"), runs);
	stack.psql(`update "Item" set note = 'b' where grp = 'few' and note = 'a'`);
	await client.until("a note", () => live.value?.notes[0] === "b");
	stack.psql(`update "Item" set at = '2026-01-03Z' where grp = 'few' and note = 'b'`);
	await client.until("another order", () => live.value?.last[0].note === "b");
	stack.psql(`update "Item" set grp = 'far' where grp = 'few' and note = 'z'`);
	await client.until("one", () => live.value?.sum === 1 && live.value.many === 0);
});

test("rule 23: what was compared with ctx.now() becomes so when its time comes, and nothing is asked before", async () => {
	const live = await client.live({ fn: "summaries.published", args: { grp: "out" } });
	await client.until("nothing", () => live.value?.next === null);
	const start = Date.now();
	stack.psql(`insert into "Item" (grp, note, at) select 'out', 'in ' || ms, to_timestamp((${start} + ms) / 1000.0) from unnest(array[-500, 700, 1400]) ms`);
	await client.until("the first", () => live.value.out.length === 1);
	const moments = await stack.metric("millrace_moments_total");
	const at = [];
	const stop = setInterval(() => (at[live.value.out.length] ??= Date.now() - start), 5);
	await client.until("all, by themselves", () => live.value.out.length === 3 && live.value.next === null && live.value.before === 3);
	clearInterval(stop);
	assert.ok(at[2] >= 700 && at[3] >= 1400, `not before their time: ${at}`);
	const asked = (await stack.metric("millrace_moments_total")) - moments;
	assert.ok(asked >= 4 && asked <= 8, `${asked} runs for five moments`);
	stack.psql(`update "Item" set at = at + interval '1 hour' where grp = 'out' and note = 'in 700'`);
	await client.until("one is to come again", () => live.value.out.length === 2 && live.value.next !== null);
	stack.psql(`insert into "Item" (grp, note, at) values ('out', 'always', 'infinity')`);
	await client.until("never", () => live.value.before === 3);
});

test("a clean end", () => stack.stop());
await run();
