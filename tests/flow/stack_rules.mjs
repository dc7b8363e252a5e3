// Rules of the clock (docs/rules.md) that show only where all parts meet: who waits for whom, who is told what, whose word counts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { descendants } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Psql } from "../lib/psql.mjs";
import { Events, sleep, Stack, until, WebSocket } from "../lib/stack.mjs";

const stack = await Stack.start([]);
const conninfo = readFileSync(join(stack.data, "run/database"), "utf8").trim();
const [one, two] = [new Psql(conninfo), new Psql(conninfo)];
const ann = await stack.client({ token: stack.token("ann") });
const bob = await stack.client({ token: stack.token("bob"), encoding: "msgpack" });
const nobody = await stack.client();
const all = [ann, bob, nobody];
const fanout = () => descendants(stack.server.pid).find((p) => p.command.includes("/millrace-fanout ")).pid;
const shows = (client, live, values) => client.until(`${values}; it is ${live.list.map((r) => r.n)}`, () => live.list.map((r) => r.n).sort().join() === values.join());

test("rule 1: a lower transaction writes a row after a higher one has committed, both in one tick", async () => {
	const lives = await Promise.all(all.map((c) => c.live({ entity: "Item", where: { grp: "order" } })));
	for (const back of [false, true, false, true]) {
		const id = await ann.value("items.add", { grp: "order", n: 0 });
		for (const [i, c] of all.entries()) await c.until("the row", () => lives[i].rows.get(id)?.n === 0);
		const lower = BigInt(await one.ask("begin; select pg_current_xact_id()"));
		process.kill(fanout(), "SIGSTOP");
		try {
			const higher = BigInt(await two.ask(`begin; update "Item" set n = 1 where id = '${id}'; select pg_current_xact_id(); commit`));
			await one.ask(`update "Item" set n = ${back ? "n - 1" : "n + 10"} where id = '${id}'; commit`); // back: each image follows the other either way
			assert.ok(lower < higher);
		} finally {
			process.kill(fanout(), "SIGCONT");
		}
		const after = await ann.value("items.add", { grp: "order" });
		for (const [i, c] of all.entries()) {
			await c.until("a row that came later", () => lives[i].rows.has(after));
			assert.equal(lives[i].rows.get(id).n, back ? 0 : 11);
		}
	}
	for (const [i, c] of all.entries()) c.unsubscribe(lives[i]);
});

// Before any test that alters tables: rows that are read anew would wait for the table as well.
test("rule 15: what a tick brings while a first load is under way, which does not see it, is there", async () => {
	for (const [i, client] of all.entries()) {
		const grp = `load ${i}`;
		const other = await nobody.live({ entity: "Item", where: { grp }, order: [["n", "asc"]], limit: 5 });
		await one.ask(`begin; insert into "Item" (id, grp, n) values (gen_random_uuid(), '${grp}', 1); lock table "Item" in access exclusive mode`);
		const live = client.subscribe({ entity: "Item", where: { grp } });
		const pid = await until("it waits for the table", async () => Number(await two.ask(`select max(pid) from pg_locks where not granted and relation = '"Item"'::regclass`)));
		process.kill(pid, "SIGSTOP");
		try {
			await one.ask("commit");
			await shows(nobody, other, [1]);
			assert.ok(!live.answered);
		} finally {
			process.kill(pid, "SIGCONT");
		}
		await shows(client, live, [1]);
		client.unsubscribe(live);
		nobody.unsubscribe(other);
	}
});

test("rules 1, 2: triggers of others write a call's row again, at once and at its commit", async () => {
	stack.psql(`create function again() returns trigger language plpgsql as $$ begin update "Item" set n = n * 10 + tg_argv[0]::int where id = new.id; return null; end $$;
		create trigger user_now after insert on "Item" for each row when (new.grp = 'again') execute function again(1);
		create constraint trigger user_late after insert on "Item" deferrable initially deferred for each row when (new.grp = 'again') execute function again(2)`);
	const live = await bob.live({ entity: "Item", where: { grp: "again" } });
	await ann.value("items.add", { grp: "again", n: 3 });
	await shows(bob, live, [312]);
	stack.psql(`insert into "Item" (id, grp, n) values (gen_random_uuid(), 'again', 4)`);
	await shows(bob, live, [312, 412]);
	stack.psql(`drop function again() cascade`);
	bob.unsubscribe(live);
});

test("rule 18: a function that looks at who asks only on its second run never runs as somebody else", async () => {
	const ask = { fn: "rules.lateWho", args: { grp: "late" } };
	const lives = await Promise.all(all.map((c) => c.live(ask)));
	assert.deepEqual(lives.map((live) => live.value), ["nothing", "nothing", "nothing"]);
	const from = all.map((c) => c.messages.length);
	for (let n = 1; n <= 3; n++) {
		stack.psql(`insert into "Item" (id, grp) values (gen_random_uuid(), 'late')`);
		for (const [i, who] of ["ann", "bob", "null"].entries()) await all[i].until(`${who} to see ${n}`, () => lives[i].value === `${who} sees ${n}`);
	}
	for (const [i, others] of [/bob sees|null sees/, /ann sees|null sees/, /ann sees|bob sees/].entries())
		for (const m of all[i].messages.slice(from[i])) assert.doesNotMatch(JSON.stringify(m), others);
	for (const [i, c] of all.entries()) c.unsubscribe(lives[i]);
});

test("rule 18: an error is a result too: all who share a run have it, and have what comes after it", async () => {
	const lives = await Promise.all(all.map((c) => c.live({ fn: "rules.even", args: { grp: "even" } })));
	for (let n = 1; n <= 4; n++) {
		await ann.value("items.add", { grp: "even" });
		for (const [i, c] of all.entries())
			await c.until(`the result of ${n}`, () => (n % 2 ? lives[i].error?.code === "app_error" : !lives[i].error && lives[i].value === n));
	}
	for (const [i, c] of all.entries()) c.unsubscribe(lives[i]);
});

test("rule 19: what is held of another identity or another query is not built upon", async () => {
	for (const owner of ["ann", "bob"]) stack.psql(`insert into "Diary" (id, owner, text) values (gen_random_uuid(), '${owner}', 'of ${owner}')`);
	for (const grp of ["x", "y"]) await ann.value("items.add", { grp });
	const first = await stack.client({ token: stack.token("ann") });
	const diary = await first.live({ entity: "Diary" });
	const x = await first.live({ entity: "Item", where: { grp: "x" } });
	await first.until("all", () => diary.rows.size === 1 && x.rows.size === 1 && first.p);
	first.close();
	const come = async (user, query, held) => {
		const c = await stack.client({ token: stack.token(user), hello: false });
		c.hello({ position: first.p });
		await c.until("the welcome", () => c.welcome);
		const live = c.subscribe({ ...query, have: { k: held.k, h: held.h } });
		await c.until("an answer", () => live.answered);
		c.close();
		return [live.kept, live.list.map((r) => r.text ?? r.grp)];
	};
	assert.deepEqual(await come("ann", { entity: "Diary" }, diary), [true, []], "it holds what it holds");
	assert.deepEqual(await come("bob", { entity: "Diary" }, diary), [false, ["of bob"]]);
	assert.deepEqual(await come("ann", { entity: "Item", where: { grp: "x" } }, x), [true, []]);
	assert.deepEqual(await come("ann", { entity: "Item", where: { grp: "y" } }, x), [false, ["y"]]);
});

test("rule 20: the full position travels seldom", async () => {
	const c = await stack.client({ positions: false });
	const live = await c.live({ entity: "Item", where: { grp: "seldom" } });
	const [from, began] = [c.messages.length, Date.now()];
	for (let n = 1; n <= 100; n++) {
		await ann.value("items.add", { grp: "seldom", n });
		await c.until("the row", () => live.rows.size === n);
	}
	const told = c.messages.slice(from).filter((m) => m.t === "transition");
	const full = told.filter((m) => m.p !== undefined).length;
	assert.ok(told.length >= 100 && full <= 2 + (Date.now() - began) / 1000, `${full} of ${told.length}`);
	c.close();
});

test("rule 21: who comes back to few rows after much was written gets the rows, not all that was written", async () => {
	for (const [writes, kept] of [[20, false], [1, true]]) {
		const grp = `dear ${writes}`;
		await sleep(2500); // what was read for others before serves for two seconds
		await ann.value("items.add", { grp });
		const first = await stack.client();
		const held = await first.live({ entity: "Item", where: { grp } });
		await first.until("its position", () => first.p && held.rows.size === 1);
		first.close();
		await ann.value("items.add", { grp, n: 1 });
		stack.psql(`insert into "Item" (id, grp, note) select gen_random_uuid(), 'elsewhere', repeat('x', 100000) from generate_series(1, ${writes})`);
		const c = await stack.client({ hello: false });
		c.hello({ position: first.p });
		await c.until("the welcome", () => c.welcome);
		const live = c.subscribe({ ...held.query, have: { k: held.k, h: held.h } });
		await c.until("an answer", () => live.answered);
		await shows(c, live, kept ? [1] : [0, 1]);
		assert.equal(live.kept, kept);
		c.close();
	}
});

test("rule 23: a moment that moves by itself is no value of a filter", async () => {
	for (const at of ["now", "today", "tomorrow", "yesterday"]) {
		const { error } = await ann.refused({ t: "subscribe", id: 999, entity: "Item", where: { at: { $gt: at } } });
		assert.match(error.code, /^bad_(filter|value)$/, at);
		const got = await stack.http("GET", `/api/entities/Item?where=${encodeURIComponent(JSON.stringify({ at: { $lt: at } }))}`);
		assert.match(got.code, /^bad_(filter|value)$/, at);
	}
});

test("rule 28: neither cookie nor address says who asks, from whatever page; no token is logged", async () => {
	const token = stack.token("ann");
	const foreign = { origin: "https://elsewhere.example", cookie: ["token", "access_token", "session", "millrace", "authorization"].map((n) => `${n}=${token}`).join("; ") };
	assert.equal((await stack.call("items.whoami", {}, { authorization: `Bearer ${token}` })).json.value, "ann");
	assert.equal((await stack.call("items.whoami", {}, foreign)).json.value, null);
	for (const name of ["token", "access_token", "authorization", "session"]) {
		const called = await stack.http("POST", `/api/fn/items.whoami?${name}=${token}`, {}, foreign);
		assert.ok(called.json.value === null || called.status >= 400, called.text);
		assert.ok((await stack.http("GET", `/api/entities/Diary?${name}=${token}`, undefined, foreign)).status >= 400);
		const events = await Events.open(stack, { fn: "items.whoami", args: {}, [name]: token }, foreign);
		if (events.response.status === 200) {
			await until("the result", () => events.events.length);
			assert.equal(events.events[0].json.value, null);
		}
		events.close();
	}
	const url = new URL(`/api/sync?token=${token}`, stack.url).href.replace(/^http/, "ws");
	const ws = new WebSocket(url, "millrace.v1.json", { headers: foreign, origin: foreign.origin });
	const welcome = await new Promise((done, failed) => {
		ws.on("open", () => ws.send(JSON.stringify({ t: "hello", protocol: 1, session: "o".repeat(40), token: null })));
		ws.on("message", (data) => JSON.parse(data).t === "welcome" && done(JSON.parse(data)));
		ws.on("error", (e) => (/Unexpected server response: 4/.test(e.message) ? done({ user: null }) : failed(e)));
	});
	assert.equal(welcome.user, null);
	ws.close();
	assert.ok(!(stack.server.err + stack.server.out).includes(token.split(".")[2]));
});

test("rule 7: rows come and go with their part, which no trigger sees", async () => {
	const live = await ann.live({ entity: "Item", where: { grp: "part" } });
	stack.psql(`create table part (like "Item" including all); insert into part (id, grp, n) values (gen_random_uuid(), 'part', 1), (gen_random_uuid(), 'part', 2)`);
	await sleep(100);
	assert.equal(live.rows.size, 0);
	stack.psql(`alter table part inherit "Item"`);
	await shows(ann, live, [1, 2]);
	stack.psql(`truncate part`);
	await shows(ann, live, []);
	stack.psql(`insert into part (id, grp, n) values (gen_random_uuid(), 'part', 3)`);
	await shows(ann, live, [3]);
	stack.psql(`alter table part no inherit "Item"`);
	await shows(ann, live, []);
	stack.psql(`drop table part`);
});

test("the end", async () => {
	for (const c of all) assert.equal(c.broken, undefined, c.broken?.stack);
	await Promise.all([one.end(), two.end()]);
	assert.equal((await stack.stop()).code, 0);
});

await run();
