// The whole server, live: what clients show is what Postgres holds, whoever wrote it and whatever died meanwhile.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { alive, descendants } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Events, sleep, Stack, until, uuid } from "../lib/stack.mjs";

const stack = await Stack.start([]);
const a = await stack.client({ token: stack.token("ann") });
const b = await stack.client({ encoding: "msgpack" });
const byId = (x, y) => (x.id < y.id ? -1 : 1);
const truth = (grp) => stack.rows(`select id, n, note from "Item" where grp = '${grp}'`).sort(byId);
const shown = (live) => live.list.map(({ id, n, note }) => ({ id, n, note })).sort(byId);
const fanout = () => descendants(stack.server.pid).find((p) => p.command.includes("/millrace-fanout "));

/** Waits until a live query shows exactly this. */
async function shows(client, live, expected, seconds) {
	const text = JSON.stringify(expected);
	await client.until(`${live.query.entity ?? live.query.fn} to show ${text.slice(0, 300)}; it shows ${JSON.stringify(shown(live)).slice(0, 300)}`, () => JSON.stringify(shown(live)) === text, seconds);
	assert.equal(live.error, undefined);
}
async function exact(grp, pairs, seconds) {
	for (const [client, live] of pairs) await shows(client, live, truth(grp), seconds);
}

test("list, window and function query follow functions and psql alike", async () => {
	const grp = "one";
	const [list, same] = [await a.live({ entity: "Item", where: { grp } }), await b.live({ entity: "Item", where: { grp } })];
	const top = { entity: "Item", where: { grp }, order: [["n", "desc"]], limit: 3 };
	const windows = [await a.live(top), await b.live(top)];
	const count = await a.live({ fn: "items.count", args: { grp } });
	const group = await b.live({ fn: "items.inGroup", args: { grp } });
	const check = async () => {
		const rows = truth(grp);
		await shows(a, list, rows);
		await shows(b, same, rows);
		const best = stack.rows(`select id, n, note from "Item" where grp = '${grp}' order by n desc, id limit 3`).sort(byId);
		for (const [i, client] of [a, b].entries()) await shows(client, windows[i], best);
		await a.until(`the count ${rows.length}`, () => count.value === rows.length);
		await b.until("the group", () => JSON.stringify(group.value.map((r) => r.id).sort()) === JSON.stringify(rows.map((r) => r.id)));
	};
	await check();
	for (let n = 0; n < 8; n++) await a.value("items.add", { grp, n });
	await check();
	stack.psql(`insert into "Item" (id, grp, n, note) select gen_random_uuid(), '${grp}', g, 'psql' from generate_series(20, 30) g`);
	await check();
	stack.psql(`update "Item" set n = -n, note = 'turned' where grp = '${grp}' and n > 25`);
	await check();
	stack.psql(`update "Item" set grp = 'elsewhere' where grp = '${grp}' and n = 7`);
	stack.psql(`update "Item" set grp = '${grp}', n = 99 where grp = 'elsewhere'`);
	await check();
	stack.psql(`delete from "Item" where grp = '${grp}' and n > 21`);
	await check();
	stack.psql(`begin; insert into "Item" (id, grp) values (gen_random_uuid(), '${grp}'); savepoint s; delete from "Item"; rollback to s; commit`);
	await check();
	stack.psql(`alter table "Item" add column extra text default 'e'`);
	await a.value("items.add", { grp, n: 50 });
	stack.psql(`insert into "Item" (id, grp, n, extra) values (gen_random_uuid(), '${grp}', 51, 'more')`);
	await check();
	assert.ok(list.list.every((row) => !("extra" in row)), "an undeclared column is nobody's business");
	stack.psql(`truncate "Item"`);
	await check();
	assert.equal(list.rows.size, 0);
	await a.value("items.add", { grp, n: 1 });
	await check();
	stack.psql(`alter table "Item" drop column extra`);
	await a.value("items.add", { grp, n: 2 });
	await check();
	for (const live of [list, windows[0], count]) a.unsubscribe(live);
	for (const live of [same, windows[1], group]) b.unsubscribe(live);
});

test("queries that come together are read together, and each shows its own", async () => {
	stack.psql(`insert into "Item" (id, grp, n, note) select gen_random_uuid(), 'together ' || i % 5, i % 40, 'note ' || i % 7 from generate_series(1, 2000) i`);
	const wheres = [];
	for (let i = 0; i < 40; i++) wheres.push({ grp: "together 1", n: i }, { grp: `together ${i % 9}`, n: { $gte: i }, note: "note 3" }, { note: `note ${i % 8}`, n: 7 });
	for (let i = 0; i < 10; i++) wheres.push({ grp: `together ${i}` }, { n: { $lt: i }, note: { $in: ["note 1", `note ${i}`] } }, { grp: "together 2", n: i + 30, note: `note ${i % 7}` });
	const readings = await stack.metric("millrace_readings_total");
	const lives = wheres.map((where) => a.subscribe({ entity: "Item", where }));
	await a.until("all answers", () => lives.every((l) => l.answered), 30);
	const asked = (await stack.metric("millrace_readings_total")) - readings;
	assert.ok(asked < wheres.length / 5, `${asked} readings for ${wheres.length} queries`);
	const value = (v) => (typeof v === "string" ? `'${v}'` : v);
	const sql = (field, v) =>
		typeof v !== "object" ? `${field} = ${value(v)}` : v.$gte !== undefined ? `${field} >= ${v.$gte}` : v.$lt !== undefined ? `${field} < ${v.$lt}` : `${field} in (${v.$in.map(value)})`;
	const all = async () => {
		for (const [i, live] of lives.entries()) {
			const filter = Object.entries(wheres[i]).map(([field, v]) => sql(field, v));
			await shows(a, live, stack.rows(`select id, n, note from "Item" where ${filter.join(" and ")}`).sort(byId));
		}
	};
	await all();
	stack.psql(`update "Item" set n = n + 1 where grp = 'together 1'`);
	stack.psql(`truncate "Item"`); // all are read anew
	stack.psql(`insert into "Item" (id, grp, n, note) select gen_random_uuid(), 'together ' || i % 6, i % 30, 'note ' || i % 6 from generate_series(1, 1000) i`);
	await all();
	for (const live of lives) a.unsubscribe(live);
	stack.psql(`truncate "Item"`);
});

test("one client brings more queries than are begun at once: all are answered, and those who wait may be refused, leave, or change hands", async () => {
	const N = 900;
	stack.psql(`insert into "Item" (id, grp, n, note) select gen_random_uuid(), 'queue', i, 'note' from generate_series(0, ${N}) i`);
	const c = await stack.client({ token: stack.token("carl") });
	const lives = Array.from({ length: N }, (_, i) => c.subscribe(i === 800 ? { entity: "Nobody" } : { entity: "Item", where: { grp: "queue", n: i } }));
	const left = lives.splice(600, 50);
	for (const live of left) c.unsubscribe(live);
	await c.until("the refusal", () => c.messages.find((m) => m.t === "error" && m.re === 801), 30);
	const [refused] = lives.splice(750, 1);
	assert.equal(refused.query.entity, "Nobody");
	c.unsubscribe(refused);
	const show = (note) => c.until(`all to show '${note}'`, () => lives.every((l) => l.answered && l.list.length === 1 && l.list[0].note === note), 30);
	await show("note");
	assert.ok(left.every((l) => l.rows.size === 0));
	stack.psql(`update "Item" set note = 'written' where grp = 'queue'`);
	await show("written");
	c.send({ t: "auth", token: stack.token("dora") });
	stack.psql(`update "Item" set note = 'for dora' where grp = 'queue'`);
	await show("for dora");
	const other = await stack.client(); // who asks for the same is served at once
	const same = lives.map((l) => other.subscribe(l.query));
	await other.until("all answers", () => same.every((l) => l.list[0]?.note === "for dora"), 30);
	other.close();
	c.close();
	await until("no subscription of theirs", async () => (await stack.metric("millrace_subscriptions")) < 50);
	stack.psql(`delete from "Item" where grp = 'queue'`);
});

test("values keep their exactness", async () => {
	const list = await b.live({ entity: "Item", where: { grp: "exact" } });
	stack.psql(`insert into "Item" (id, grp, n, big, at, note) values (gen_random_uuid(), 'exact', 5, 9223372036854775807, '2026-01-02 03:04:05.678+00', e'\\u00e9\\n"')`);
	await b.until("the row", () => list.rows.size === 1);
	const [row] = list.list;
	assert.deepEqual([row.n, row.big, row.at, row.note], [5, 9223372036854775807n, "2026-01-02T03:04:05.678Z", 'é\n"']);
	assert.ok(!("secret" in row));
	b.unsubscribe(list);
});

test("a reply travels in the transition that shows it", async () => {
	const list = await a.live({ entity: "Item", where: { grp: "reply" } });
	const from = a.messages.length;
	const id = await a.value("items.add", { grp: "reply" });
	const m = a.messages.slice(from).find((x) => x.t === "transition" && x.r);
	assert.equal(m.r[0].value, id);
	assert.equal(m.b[0].put[0].id, id);
	a.unsubscribe(list);
});

test("a reply goes to the socket that asked, once, and to one that asks again", async () => {
	const b = await stack.client();
	const id = b.callId();
	const ask = { t: "call", id, fn: "items.addLate", args: { grp: "late", seconds: 0.4 } };
	const rows = await b.live({ entity: "Item", where: { grp: "late" } });
	const replies = () => b.messages.flatMap((m) => (m.t === "reply" ? [m] : (m.r ?? []))).filter((r) => r.id === id);
	b.send(ask);
	await b.alive();
	b.ws.terminate();
	await b.again();
	await b.until("the row", () => rows.rows.size === 1);
	await b.value("items.add", { grp: "late" }); // its reply comes after all that is told of the other
	assert.deepEqual(replies(), [], "nobody asked on this socket");
	b.send(ask);
	await b.until("the recorded reply", () => replies().length > 0);
	await b.value("items.add", { grp: "late" });
	assert.equal(replies().length, 1);
	assert.equal(replies()[0].value, rows.list.find((row) => row.note === "late")?.id);
	assert.equal(rows.rows.size, 3, "it ran once");
	b.close();
});

test("after unsubscribe nothing comes any more", async () => {
	const list = await a.live({ entity: "Item", where: { grp: "quiet" } });
	const [instances, subscriptions] = [await stack.metric("millrace_instances"), await stack.metric("millrace_subscriptions")];
	a.unsubscribe(list);
	await a.alive();
	assert.equal(await stack.metric("millrace_instances"), instances - 1);
	assert.equal(await stack.metric("millrace_subscriptions"), subscriptions - 1);
	const from = a.messages.length;
	await b.value("items.add", { grp: "quiet" });
	await sleep(100);
	await a.alive();
	assert.ok(!a.messages.slice(from).some((m) => m.t === "transition" && m.b?.length), "a body without a query");
	assert.equal(list.rows.size, 0);
});

test("rule 18: auth changes who asks: whoami is split per identity", async () => {
	const [mine, theirs] = [await a.live({ fn: "items.whoami", args: {} }), await b.live({ fn: "items.whoami", args: {} })];
	assert.deepEqual([mine.value, theirs.value], ["ann", null]);
	for (const owner of ["ann", "bob"]) stack.psql(`insert into "Diary" (id, owner, text) values (gen_random_uuid(), '${owner}', 'of ${owner}')`);
	assert.equal((await b.refused({ t: "subscribe", id: 9999, entity: "Diary" })).error.code, "unauthenticated");
	const become = async (user) => {
		b.welcome = undefined;
		b.send({ t: "auth", token: user && stack.token(user) });
		await b.until(`to be ${user}`, () => b.welcome?.user === user && theirs.value === user);
		assert.equal(mine.value, "ann");
	};
	await become("bob");
	const diary = await b.live({ entity: "Diary" });
	for (const user of ["bob", "ann", "bob"]) {
		await become(user);
		await b.until("the diary", () => JSON.stringify(diary.list.map((r) => r.text)) === JSON.stringify([`of ${user}`]));
	}
	stack.psql(`update "Diary" set owner = 'bob'`);
	await b.until("both", () => diary.rows.size === 2);
	stack.psql(`update "Diary" set owner = 'ann'`);
	await b.until("none", () => diary.rows.size === 0);
	const from = b.messages.length;
	await become(null);
	assert.equal((await b.errorAfter(from, diary.id)).error.code, "unauthenticated");
	a.unsubscribe(mine);
	b.unsubscribe(theirs);
	b.unsubscribe(diary);
});

test("whoever becomes somebody else while a slow query holds his screen is told what changed meanwhile", async () => {
	const c = await stack.client({ token: stack.token("eve") });
	const slow = await c.live({ fn: "items.slowCount", args: { grp: "held", seconds: 0.5 } });
	const list = await c.live({ entity: "Item", where: { grp: "held" } });
	for (const [i, user] of ["fay", "eve", "fay"].entries()) {
		stack.psql(`insert into "Item" (id, grp) values (gen_random_uuid(), 'held')`);
		await sleep(100);
		assert.equal(list.rows.size, i, "it is held");
		c.send({ t: "auth", token: stack.token(user) });
		await c.until("the row", () => list.rows.size === i + 1 && slow.value === i + 1);
	}
	c.close();
});

test("1000 bumps over 8 clients end at 1000", async () => {
	const id = await a.value("items.add", { grp: "bump" });
	const clients = await Promise.all(Array.from({ length: 8 }, () => stack.client()));
	const lives = await Promise.all(clients.map((c) => c.live({ entity: "Item", where: { grp: "bump" } })));
	const bump = (c) => c.call("items.bump", { id }, { seconds: 40 });
	const replies = (await Promise.all(clients.map((c) => Promise.all(Array.from({ length: 125 }, () => bump(c)))))).flat();
	assert.deepEqual(replies.filter((r) => r.error), []);
	const values = replies.map((r) => r.value);
	assert.equal(new Set(values).size, 1000, "each bump saw another number");
	assert.equal(stack.psql(`select n from "Item" where id = '${id}'`), "1000");
	for (const [i, c] of clients.entries()) {
		await c.until("1000", () => lives[i].rows.get(id).n === 1000);
		c.close();
	}
});

test("server-sent events keep the order that was asked for, with and without a limit; what is asked wrongly is refused", async () => {
	const grp = "ordered";
	for (const n of [5, 3, 9, 1, 7, 2, 8]) await a.value("items.add", { grp, n });
	for (const [query, want] of [[{ orderBy: "-n" }, [9, 8, 7, 5, 3, 2, 1]], [{ orderBy: "n" }, [1, 2, 3, 5, 7, 8, 9]], [{ orderBy: "-n", limit: 3 }, [9, 8, 7]]]) {
		const stream = await Events.open(stack, { entity: "Item", where: { grp }, ...query });
		await until("the rows", () => stream.events.length > 0);
		assert.deepEqual(stream.events[0].json.rows.map((r) => r.n), want, JSON.stringify(query));
		stream.close();
	}
	for (const query of ["entity=Item&orderby=n", "entity=Item&limit=0", "entity=Item&fn=items.count", "where={}", "fn=items.count&where={}", "fn=items.count&args={"]) {
		const response = await fetch(new URL(`/api/live?${query}`, stack.url));
		assert.equal(response.status, 400, query);
		assert.match((await response.json()).error.code, /^bad_(message|filter)$/, query);
	}
});

test("rule 19: server-sent events: the result, then what changes, and a resume tells only the difference", async () => {
	const grp = "events";
	for (let n = 0; n < 20; n++) await a.value("items.add", { grp, n });
	const query = { entity: "Item", where: { grp } };
	const first = await Events.open(stack, query);
	assert.equal(first.response.status, 200);
	assert.match(first.response.headers.get("content-type"), /^text\/event-stream/);
	await until("the result", () => first.events.some((e) => (e.json.rows ?? e.json.put)?.length === 20));
	const id = await a.value("items.add", { grp, n: 100 });
	await until("the row", () => first.events.some((e) => e.json.put?.some((r) => r.id === id)));
	first.close();
	const gone = uuid();
	await a.value("items.add", { grp, id: gone, n: 101 });
	stack.psql(`delete from "Item" where grp = '${grp}' and n = 3; update "Item" set note = 'new' where grp = '${grp}' and n = 4`);
	await sleep(100);
	await resumed(first.last, [gone], 1);

	async function resumed(last, put, deleted) {
		const next = await Events.open(stack, query, { "Last-Event-ID": last });
		await until("the difference", () => next.events.length > 0, 10);
		await sleep(200);
		const told = next.events.map((e) => e.json);
		assert.ok(!told.some((e) => e.rows), `not all anew: ${JSON.stringify(told).slice(0, 300)}`);
		const ids = told.flatMap((e) => [...(e.put ?? []).map((r) => r.id), ...(e.patch ?? []).map((p) => p[0])]);
		for (const x of put) assert.ok(ids.includes(x), `without ${x}: ${JSON.stringify(told)}`);
		assert.ok(ids.length <= put.length + 1, `${ids.length} rows told`);
		assert.equal(told.flatMap((e) => e.del ?? []).length, deleted);
		assert.ok(next.last, "an id to resume from");
		next.close();
		return next.last;
	}

	const held = await Events.open(stack, query, { "Last-Event-ID": first.last });
	await until("the difference", () => held.events.length > 0);
	const before = fanout().pid;
	process.kill(before, "SIGKILL");
	await until("its end", () => held.ended);
	const after = uuid();
	stack.psql(`insert into "Item" (id, grp, n) values ('${after}', '${grp}', 200)`);
	await until("a new fanout", () => fanout() && fanout().pid !== before);
	await until("it serves", async () => (await stack.call("items.version").catch(() => ({}))).status === 200);
	const again = await Events.open(stack, query, { "Last-Event-ID": held.last });
	await until("the difference", () => again.events.length > 0);
	assert.deepEqual(again.events.flatMap((e) => (e.json.put ?? e.json.rows).map((r) => r.id)), [after]);
	again.close();
});

test("rule 19: WebSocket clients come back after the fanout's death, with the difference only, and their calls run once", async () => {
	for (const c of [a, b]) await c.again();
	const grp = "killed";
	for (let n = 0; n < 20; n++) await a.value("items.add", { grp, n });
	const pairs = [[a, await a.live({ entity: "Item", where: { grp } })], [b, await b.live({ entity: "Item", where: { grp } })]];
	const count = await a.live({ fn: "items.count", args: { grp } });
	const calls = Array.from({ length: 30 }, () => a.callId());
	for (const id of calls) a.send({ t: "call", id, fn: "items.add", args: { grp, note: id } });
	await a.until("the first reply", () => a.results.has(calls[0]));
	process.kill(fanout().pid, "SIGKILL");
	for (const c of [a, b]) await c.until("the end of its socket", () => c.closed);
	stack.psql(`insert into "Item" (id, grp, note) values (gen_random_uuid(), '${grp}', 'meanwhile')`);
	await until("it listens", () => stack.call("items.version").then(() => true, () => false));
	for (const c of [a, b]) await c.again();
	for (const id of calls) if (!a.results.has(id)) a.send({ t: "call", id, fn: "items.add", args: { grp, note: id } });
	await a.until("all replies", () => calls.every((id) => a.results.has(id)), 20);
	assert.deepEqual(calls.map((id) => a.results.get(id).error).filter(Boolean), []);
	assert.equal(truth(grp).length, 51);
	await exact(grp, pairs);
	await a.until("the count", () => count.value === 51);
	for (const [, live] of pairs) assert.ok(live.kept, "resumed");
	a.unsubscribe(pairs[0][1]);
	a.unsubscribe(count);
	b.unsubscribe(pairs[1][1]);
});

test("rule 10: a call that was under way at the fanout's death has no end by that: sent again it runs", async () => {
	const grp = "under way";
	const id = a.callId();
	const send = (ms) => a.send({ t: "call", id, fn: "items.addSlowly", args: { grp, ms } });
	send(3000);
	await until("it runs", () => Number(stack.psql("select count(*) from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()")) > 0);
	process.kill(fanout().pid, "SIGKILL");
	await a.until("the end of its socket", () => a.closed);
	await until("it listens", () => stack.call("items.version").then(() => true, () => false));
	for (const c of [a, b]) await c.again();
	assert.equal(truth(grp).length, 0);
	send(3000);
	await a.until("the reply", () => a.results.has(id), 20);
	assert.equal(a.results.get(id).error, undefined);
	assert.equal(truth(grp).length, 1);
});

for (const signal of ["SIGKILL", "SIGINT"])
	test(`Postgres ends (${signal}) and starts again: clients end exact, each acknowledged write is there`, async () => {
		const grp = `postgres ${signal}`;
		const pairs = [[a, await a.live({ entity: "Item", where: { grp } })], [b, await b.live({ entity: "Item", where: { grp } })]];
		const group = await b.live({ fn: "items.inGroup", args: { grp } });
		const notes = [];
		const codes = new Set();
		let going = true;
		const writer = async (c) => {
			for (let n = 0; going; n++) {
				const note = uuid();
				const { error } = await c.call("items.add", { grp, n, note }, { seconds: 30 });
				if (error) codes.add(error.code);
				else notes.push(note);
				await sleep(error ? 50 : 1);
			}
		};
		const writers = [writer(a), writer(b)];
		await sleep(200);
		const before = stack.postmaster;
		process.kill(before, signal);
		await until("Postgres again", () => {
			try {
				return !alive(before) && stack.postmaster !== before;
			} catch {
				return false;
			}
		});
		const had = notes.length;
		await until("writes again", () => notes.length > had + 20, 20);
		going = false;
		await Promise.all(writers);
		console.log(`# ${notes.length} writes; errors: ${[...codes].join(", ") || "none"}`);
		const held = new Set(truth(grp).map((r) => r.note));
		assert.deepEqual(notes.filter((x) => !held.has(x)), []);
		for (const code of codes) assert.equal(code, "postgres_unavailable");
		await exact(grp, pairs, 15);
		const ids = JSON.stringify(truth(grp).map((r) => r.id));
		const same = () => JSON.stringify(group.value?.map((r) => r.id).sort()) === ids;
		await b.until("the group", same, 10).catch((e) => {
			throw new Error(`the function query shows ${group.value?.length} rows of ${JSON.parse(ids).length}, error ${JSON.stringify(group.error)}, behind ${group.behind}: ${e.message}`);
		});
		assert.deepEqual([a.closed, b.closed], [undefined, undefined], "the connections stayed");
		a.unsubscribe(pairs[0][1]);
		b.unsubscribe(pairs[1][1]);
		b.unsubscribe(group);
	});

test("new code while calls run: they end on the old, new ones run on the new; a build error keeps the old", async () => {
	const file = join(stack.app, "functions/items.ts");
	const source = readFileSync(file, "utf8");
	const live = await a.live({ fn: "items.version", args: {} });
	const app = a.welcome.app;
	const running = a.call("items.slow", { seconds: 4 });
	await sleep(100);
	writeFileSync(file, source.replaceAll("version one", "version two"));
	await b.until("the new code", async () => (await b.value("items.version")) === "version two");
	await a.until("the live query on the new code", () => live.value === "version two");
	assert.equal((await running).value, "version one");
	assert.equal(await a.value("items.slow", { seconds: 0.01 }), "version two");

	writeFileSync(file, source.replaceAll("version one", "version three").replace("export const add =", "export const add = = ;"));
	const from = a.messages.length;
	const dev = await a.until("the build error", () => a.messages.slice(from).find((m) => m.t === "dev" && typeof m.error === "string"));
	assert.match(dev.error, /functions\/items\.ts/);
	assert.equal(await a.value("items.version"), "version two");
	const late = await stack.client();
	await late.until("the build error", () => late.messages.some((m) => m.t === "dev" && typeof m.error === "string"));
	writeFileSync(file, source.replaceAll("version one", "version three"));
	await a.until("that it builds again", () => a.messages.slice(from).some((m) => m.t === "dev" && m.error === null));
	await a.until("the third version", () => live.value === "version three");
	const third = await stack.client();
	assert.notEqual(third.welcome.app, app);
	late.close();
	third.close();
	a.unsubscribe(live);
});

test("a clean end", async () => {
	for (const c of [a, b]) assert.equal(c.broken, undefined, c.broken?.stack);
	/* Calls that were left behind are under way still. */
	const gone = await Promise.all(Array.from({ length: 30 }, () => stack.client()));
	for (const c of gone) for (let i = 0; i < 3; i++) c.call("items.slow", { seconds: 0.2 }).catch(() => undefined);
	await until("they run", async () => Number(stack.psql("select count(*) from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()")) > 0);
	for (const c of gone) c.close();
	assert.equal((await stack.stop()).code, 0);
	for (const c of [a, b]) await c.until("the end", () => c.closed);
	assert.equal(a.closed, 1001);
	assert.doesNotMatch(stack.server.err, /AddressSanitizer|runtime error|cannot happen/);
});

await run();
