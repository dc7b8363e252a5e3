// Functions that obey the policies as somebody (ctx.db.as): rows, fields and writes, live.
import assert from "node:assert/strict";
import { run, test } from "../lib/net_client.mjs";
import { Stack } from "../lib/stack.mjs";

const stack = await Stack.start();
const client = await stack.client();
stack.psql(`insert into "Diary" (owner, text, secret) values ('ann', 'a1', 's1'), ('ann', 'a2', null), ('bob', 'b1', 's2')`);
const id = (text) => stack.rows(`select id from "Diary" where text = '${text}'`)[0].id;
const write = async (who, act, value, at) => (await client.call("obey.write", { who, act, value, ...(at ? { id: id(at) } : {}) })).error?.code ?? "done";
const diary = () => stack.rows(`select owner, text, secret from "Diary" order by text`).map((row) => [row.owner, row.text, row.secret]);

test("rows of the caller, live, without what is for the server", async () => {
	const ann = await stack.client({ token: stack.token("ann") });
	const hers = await ann.live({ fn: "obey.mine", args: {} });
	const nobodys = await client.live({ fn: "obey.mine", args: {} });
	assert.deepEqual(hers.value, [
		{ id: id("a1"), owner: "ann", text: "a1" },
		{ id: id("a2"), owner: "ann", text: "a2" },
	]);
	assert.deepEqual(nobodys.value, []);
	const bobs = await client.live({ fn: "obey.theirs", args: { who: "bob" } });
	assert.deepEqual(bobs.value, { texts: ["b1"], count: 1, all: 3 });
	stack.psql(`update "Diary" set owner = 'bob' where text = 'a2'`);
	await ann.until("one is gone", () => hers.value.length === 1);
	await client.until("and is another's", () => bobs.value.count === 2);
	stack.psql(`update "Diary" set owner = 'ann' where text = 'a2'`);
	await client.until("back", () => bobs.value.count === 1);
	assert.deepEqual(await client.value("obey.theirs", { who: null }), { texts: [], count: 0, all: 3 });
});

test("one row, if it may be seen", async () => {
	assert.deepEqual(await client.value("obey.one", { who: "ann", id: id("a1") }), { id: id("a1"), owner: "ann", text: "a1" });
	for (const who of ["bob", null]) assert.equal(await client.value("obey.one", { who, id: id("a1") }), null);
});

test("rule 26: fields that clients do not know cannot be asked for", async () => {
	for (const how of ["where", "order", "select", "min"]) assert.equal((await client.call("obey.secret", { how })).error?.code, "unknown_field", how);
});

test("writes", async () => {
	assert.equal(await write("ann", "insert", { text: "a3" }), "done");
	assert.equal(await write("ann", "insert", { text: "a4", owner: "bob" }), "forbidden");
	assert.equal(await write(null, "insert", { text: "n" }), "unauthenticated");
	assert.equal(await write("ann", "insert", { text: "a4", secret: "x" }), "unknown_field");
	assert.equal(await write("ann", "patch", { text: "a5" }, "a3"), "done");
	assert.equal(await write("bob", "patch", { text: "b5" }, "a5"), "forbidden");
	assert.equal(await write("ann", "patch", { owner: "bob" }, "a5"), "forbidden");
	assert.equal(await write("ann", "patch", { secret: "x" }, "a5"), "unknown_field");
	assert.equal(await write("bob", "delete", null, "a5"), "forbidden");
	assert.equal(await write("ann", "delete", null, "a5"), "done");
	assert.deepEqual(diary(), [["ann", "a1", "s1"], ["ann", "a2", null], ["bob", "b1", "s2"]]);
});

test("policies that look at other rows", async () => {
	const live = await client.live({ fn: "obey.posts", args: { who: "ann" } });
	const post = async (fn, body) => (await client.call(`obey.${fn}`, { who: "ann", body })).error;
	assert.equal((await post("post", "p1"))?.code, "forbidden");
	stack.psql(`insert into "Seat" ("user", room) values ('ann', 'obey')`);
	assert.equal(await post("post", "p1"), undefined);
	await client.until("hers", () => live.value.join() === "p1");
	const refused = await post("postCommitted", "p2");
	assert.deepEqual([refused?.code, /is to be serializable/.test(refused?.message)], ["function_failed", true]);
	stack.psql(`delete from "Seat" where "user" = 'ann' and room = 'obey'`);
	await client.until("no seat, no posts", () => live.value.join() === "");
});

test("a clean end", () => stack.stop());
await run();
