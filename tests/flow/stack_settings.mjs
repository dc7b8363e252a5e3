// Limits that settings name, each reached by a client and said by its name; and constraints of the database as errors of their own.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { run, test } from "../lib/net_client.mjs";
import { sleep, Stack, until } from "../lib/stack.mjs";

const stack = await Stack.start([
	["--max-subscriptions", "3"], ["--max-queued-calls", "4"], ["--instance-max-rows", "20"],
	["--read-max-rows", "40"], ["--read-max-bytes", "100000"], ["--write-max-rows", "30"], ["--write-max-bytes", "500000"],
	["--reactive-max-hold", "300"], ["--send-buffer", "4096"], ["--history-bytes", "65536"],
].flat());
const a = await stack.client();

test("max_subscriptions", async () => {
	const lives = await Promise.all(["x", "y", "z"].map((grp) => a.live({ entity: "Item", where: { grp } })));
	const { error } = await a.refused({ t: "subscribe", id: 9, entity: "Item" });
	assert.deepEqual([error.code, error.data], ["too_many_subscriptions", { setting: "max_subscriptions" }]);
	a.unsubscribe(lives[0]);
	a.unsubscribe(await a.live({ entity: "Item", where: { grp: "w" } }));
	for (const live of lives.slice(1)) a.unsubscribe(live);
});

test("max_queued_calls: those above it are refused, the others are done", async () => {
	const calls = Array.from({ length: 8 }, () => a.call("items.add", { grp: "queued" }));
	const codes = (await Promise.all(calls)).map((reply) => reply.error?.code ?? "done");
	const done = codes.filter((code) => code === "done").length;
	assert.ok(done >= 4 && done < 8, codes.join());
	assert.equal(codes.filter((code) => code === "too_many_calls").length, 8 - done);
	assert.equal(stack.psql(`select count(*) from "Item" where grp = 'queued'`), String(done));
});

test("rule 21: instance_max_rows: live, over HTTP, and with a limit", async () => {
	const live = await a.live({ entity: "Item", where: { grp: "many" } });
	await a.value("items.addMany", { grp: "many", count: 21, size: 1 });
	await a.until("the error", () => live.error);
	assert.deepEqual([live.error.code, live.error.data], ["too_many_rows", { setting: "instance_max_rows" }]);
	assert.equal((await stack.http("GET", `/api/entities/Item?where={"grp":"many"}`)).code, "too_many_rows");
	assert.equal((await a.live({ entity: "Item", where: { grp: "many" }, limit: 20 })).rows.size, 20);
	assert.equal((await a.refused({ t: "subscribe", id: 99, entity: "Item", limit: 21 })).error.code, "bad_filter");
});

test("read_max_rows, read_max_bytes, write_max_rows, write_max_bytes: of all that a function asks for", async () => {
	const refused = async (fn, args, code, setting, what) => {
		const { error } = await a.call(fn, args);
		assert.deepEqual([error?.code, error?.data], [code, { setting }]);
		assert.match(error.message, new RegExp(`^The call ${what} \\(${setting}\\); .*\\.$`));
	};
	await refused("items.addMany", { grp: "limit", count: 31, size: 1 }, "too_many_rows", "write_max_rows", "writes more than 30 rows");
	await refused("items.addMany", { grp: "limit", count: 6, size: 90000 }, "too_large", "write_max_bytes", "writes more than 500000 bytes");
	assert.equal(stack.psql(`select count(*) from "Item" where grp = 'limit'`), "0", "all of it is taken back");
	await a.value("items.addMany", { grp: "limit", count: 30, size: 4000 });
	await refused("items.readTimes", { grp: "limit", times: 1 }, "too_large", "read_max_bytes", "gets more than 100000 bytes from the database");
	stack.psql(`update "Item" set note = 'x' where grp = 'limit'`);
	assert.equal(await a.value("items.readTimes", { grp: "limit", times: 1 }), 30);
	await refused("items.readTimes", { grp: "limit", times: 2 }, "too_many_rows", "read_max_rows", "gets more than 40 rows from the database");
	await refused("items.readTimes", { grp: "limit", times: 2, sql: true }, "too_many_rows", "read_max_rows", "gets more than 40 rows from the database");
	await refused("items.touchAll", {}, "too_many_rows", "write_max_rows", "writes more than 30 rows");
	assert.equal(await a.value("items.countTimes", { grp: "limit", times: 40 }), 30, "what Postgres counts is few rows");
	const live = await a.live({ fn: "items.readTimes", args: { grp: "limit", times: 2 } });
	assert.equal(live.error?.code, "too_many_rows");
	stack.psql(`delete from "Item" where grp = 'limit'`);
	await a.until("what it may read", () => !live.error && live.value === 0);
	a.unsubscribe(live);
});

test("rule 17: reactive_max_hold: a slow query goes on by itself, marked behind, and comes back", async () => {
	const b = await stack.client();
	const rows = await b.live({ entity: "Item", where: { grp: "slow" } });
	const slow = await b.live({ fn: "items.slowCount", args: { grp: "slow", seconds: 1 } });
	await b.value("items.add", { grp: "slow" });
	await b.until("the row", () => rows.rows.size === 1);
	assert.deepEqual([slow.behind, slow.value], [true, 0], "the rows did not wait for the count");
	await b.until("the count", () => !slow.behind && slow.value === 1);
	b.close();
});

test("rule 17: two of one client that share a slow query are behind and come back as one", async () => {
	const b = await stack.client();
	const ask = { fn: "items.slowRows", args: { grp: "twice", seconds: 0.5 } };
	await b.value("items.addMany", { grp: "twice", count: 10, size: 10 }); // enough for pieces to be told rather than the whole
	const rows = await b.live({ entity: "Item", where: { grp: "twice" } });
	const two = [await b.live(ask), await b.live(ask)];
	for (let i = 1; i <= 3; i++) {
		await b.value("items.add", { grp: "twice" });
		if (i === 2) await b.until("both behind", () => two.every((live) => live.behind));
	}
	for (let i = 5; i <= 6; i++) {
		await b.until("all back", () => rows.rows.size === 8 + i && two.every((live) => !live.behind && live.value[0].id === rows.ids.at(-1)));
		for (const live of two) assert.equal(live.value.map((row) => row.id).join(), rows.ids.reverse().join());
		await b.value("items.add", { grp: "twice" });
	}
	b.close();
});

test("send_buffer, history_bytes: who does not read gets no more, and everything when it reads again", async () => {
	const b = await stack.client();
	const live = await b.live({ entity: "Item", where: { grp: "flood" }, order: [["n", "desc"]], limit: 15 });
	const before = await stack.metric("millrace_behind_total");
	b.ws._socket.pause();
	for (let i = 0; i < 200; i++) {
		await a.value("items.add", { grp: "flood", n: i, note: randomBytes(75000).toString("base64") }); // so that it stays large
		if (i % 10 === 9 && (await stack.metric("millrace_behind_total")) > before) break;
	}
	assert.ok((await stack.metric("millrace_behind_total")) > before, "it was not behind");
	stack.psql(`delete from "Item" where grp = 'flood' and n > 0; update "Item" set note = 'last' where grp = 'flood'`);
	await sleep(200);
	b.ws._socket.resume();
	await b.until("the last state", () => live.rows.size === 1 && live.list[0].note === "last");
	b.close();
});

test("constraints of the database", async () => {
	stack.psql(`create table place (name text primary key); alter table "Item" add constraint known_place foreign key (note) references place not valid;
		alter table "Item" add constraint small check (n < 1000) not valid`);
	assert.equal((await a.call("items.add", { grp: "c", n: 1000 })).error.code, "check_violation");
	assert.equal((await a.call("items.add", { grp: "c", note: "nowhere" })).error.code, "reference_violation");
	assert.equal((await a.call("items.add", { grp: "c", n: 999 })).error, undefined);
});

test("the end", async () => {
	await until("no session is left behind", async () => (await stack.metric("millrace_sessions")) <= 1);
	a.close();
	assert.equal((await stack.stop()).code, 0);
});

await run();
