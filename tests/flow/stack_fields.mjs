// Fields made of validators, defaults, and the rules that the database keeps, whoever writes: functions, clients, psql.
import assert from "node:assert/strict";
import { run, test } from "../lib/net_client.mjs";
import { Stack, until } from "../lib/stack.mjs";

const stack = await Stack.start();
const client = await stack.client();
const add = async (row) => (await client.call("tasks.add", { row })).error;
const refused = async (error, entity, rule) => {
	assert.equal(error?.code, "check_violation", JSON.stringify(error));
	assert.deepEqual(error.data, { entity, ...rule });
	return error.message;
};

test("what a row is not given, and what it may be", async () => {
	const { value: id } = await client.call("tasks.add", { row: { title: "first" } });
	assert.deepEqual(stack.rows(`select state, points, due, tags from "Task" where id = '${id}'`), [{ state: "open", points: null, due: null, tags: [] }]);
	for (const [row, field, message] of [
		[{ title: "x" }, "title", "Task.title: must be of at least 2 characters, is of 1"],
		[{ title: "much too long for a title" }, "title", "Task.title: must be of at most 20 characters, is of 25"],
		[{ title: "state", state: "gone" }, "state", 'Task.state: expected "open" or "done", got "gone"'],
		[{ title: "points", points: 101 }, "points", "Task.points: must be at most 100, is 101"],
		[{ title: "tags", tags: ["a", 5] }, "tags", "Task.tags[1]: expected string, got number"],
	])
		assert.deepEqual(await add(row), { code: "bad_value", message, data: { entity: "Task", fields: [field] } });
	assert.equal(await refused(await add({ title: "done", state: "done", points: 0 }), "Task", { check: "done_has_points" }), 'Task: the row breaks the check "done_has_points"');
	assert.equal(await add({ title: "done", state: "done", points: 1 }), undefined);
	assert.equal((await add({ title: "first" }))?.code, "unique_violation", "one open task of a title");
	assert.equal(await add({ title: "first", state: "done", points: 5 }), undefined, "and any number that are done");
});

test("the same for clients, and for everybody else", async () => {
	const insert = async (row) => (await stack.http("POST", "/api/entities/Task", row)).json;
	assert.equal(await refused((await insert({ title: "x" })).error, "Task", { fields: ["title"] }), "Task.title: the value breaks the rules of the field");
	await refused((await insert({ title: "state", state: "gone" })).error, "Task", { fields: ["state"] });
	await refused((await insert({ title: "points", points: 101 })).error, "Task", { fields: ["points"] });
	assert.equal((await insert({ title: "by a client" })).error, undefined);
	assert.throws(() => stack.psql(`insert into "Task" (title, state) values ('psql', 'gone')`), /Task_state_check/);
	assert.throws(() => stack.psql(`update "Task" set points = -1`), /Task_points_check/);
});

test("what only the app's code knows is asked of it when clients write", async () => {
	const insert = async (row) => (await stack.http("POST", "/api/entities/Task", row)).json;
	const patch = async (id, row) => (await stack.http("PATCH", `/api/entities/Task/${id}`, row)).json;
	const wrong = [
		[{ code: "A-1" }, "code", "Task.code: must be text that matches /^[a-z]+-\\d+$/, is \"A-1\""],
		[{ tags: ["a", 5] }, "tags", "Task.tags[1]: expected string, got number"],
		[{ more: { level: 0, notes: [] } }, "more", "Task.more.level: must be at least 1, is 0"],
		[{ more: { notes: ["too long"] } }, "more", "Task.more.notes[0]: must be of at most 5 characters, is of 8"],
		[{ more: { notes: [], x: 1 } }, "more", "Task.more.x: no such field is expected"],
		[{ more: null, code: "a-", tags: [] }, "code", "Task.code: must be text that matches /^[a-z]+-\\d+$/, is \"a-\""],
	];
	const first = await insert({ title: "shapes", code: "a-1", more: { notes: ["a"] }, tags: ["x"] });
	const { id } = first;
	assert.deepEqual(stack.rows(`select code, more, tags from "Task" where id = '${id}'`), [{ code: "a-1", more: { level: 3, notes: ["a"] }, tags: ["x"] }]);
	for (const [row, field, message] of wrong) {
		const error = { code: "bad_value", message, data: { entity: "Task", fields: [field] } };
		assert.deepEqual((await insert({ title: "wrong", ...row })).error, error);
		assert.deepEqual((await patch(id, row)).error, error);
	}
	assert.equal((await patch(id, { more: { notes: [] }, code: null })).error, undefined);
	assert.deepEqual(stack.rows(`select code, more from "Task" where id = '${id}'`), [{ code: null, more: { level: 3, notes: [] } }]);
});

test("a pattern that takes for ever ends in time", async () => {
	const { json } = await stack.http("POST", "/api/entities/Task", { title: "slow", slow: `${"a".repeat(40)}!` });
	assert.match(json.error.code, /^(bad_value|time_limit)$/, JSON.stringify(json)); // the engine gives up by itself, or is ended
	await until("a worker", async () => (await stack.http("POST", "/api/entities/Task", { title: "quick", slow: "aaa" })).json.id);
});

test("a partial index gives the rows that it holds", async () => {
	for (const [title, state, day] of [["a1", "open", 3], ["a2", "done", 4], ["a3", "open", 5], ["a4", "open", 1]])
		assert.equal(await add({ title, state, points: 1, due: `2026-05-0${day}T00:00:00Z` }), undefined);
	assert.deepEqual((await client.call("tasks.due", { after: "2026-05-02T00:00:00Z" })).value, ["a1", "a3"]);
});

test("arguments: defaults are filled in, and what is wrong has its place", async () => {
	const call = (args) => client.call("tasks.checked", args);
	assert.deepEqual((await call({ title: "ok" })).value, { state: "open", level: 3 });
	assert.deepEqual((await call({ title: "ok", state: "done", more: { level: 5 } })).value, { state: "done", level: 5 });
	for (const [args, message] of [
		[{ title: "x" }, "args.title: must be of at least 2 characters, is of 1"],
		[{ title: "ok", state: "gone" }, 'args.state: expected "open" or "done", got "gone"'],
		[{ title: "ok", more: { level: 0 } }, "args.more.level: must be at least 1, is 0"],
		[{ title: "ok", more: { depth: 1 } }, "args.more.depth: no such field is expected"],
	]) {
		const { error } = await call(args);
		assert.deepEqual([error?.code, error?.message], ["bad_args", message]);
	}
	const wrong = await call({ title: "ok", more: { level: 6 } });
	assert.equal(wrong.error.code, "function_failed", "a result is the function's own affair");
	assert.match(wrong.error.message, /result\.level: must be at most 5, is 6/);
});

test("a clean end", () => stack.stop());
await run();
