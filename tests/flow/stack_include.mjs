// Entity queries of clients with `include`: what they show, to whom, and when it changes.
import assert from "node:assert/strict";
import { run, test } from "../lib/net_client.mjs";
import { Events, Stack, WebSocket } from "../lib/stack.mjs";
import { createClient, functionRef, isPending, memoryStore } from "../../client/dist/index.js";

const stack = await Stack.start(["--instance-max-rows", "50"]);
const ann = await stack.client({ token: stack.token("ann"), session: "a".repeat(40) });
const bob = await stack.client({ token: stack.token("bob"), encoding: "msgpack" });
stack.psql(`
	insert into "Club" (name, open, code) values ('reading', true, 'c1'), ('chess', false, 'c2');
	insert into "Seat" ("user", room) values ('ann', 'chess');
	insert into "Player" (name, club) select 'P' || c.name, c.id from "Club" c;
	insert into "Game" (n, white, black) select 1, w.id, b.id from "Player" w, "Player" b where w.name = 'Preading' and b.name = 'Pchess';
	insert into "Game" (n, white) select 2, id from "Player" where name = 'Pchess';
	with s as (insert into "Secret" (player) select id from "Player" limit 1 returning id) insert into "Report" (text, secret) select 'r', id from s`);
const id = (entity, name) => stack.rows(`select id from "${entity}" where name = '${name}'`)[0].id;
const [reading, chess, player, other] = [id("Club", "reading"), id("Club", "chess"), id("Player", "Preading"), id("Player", "Pchess")];

const games = { entity: "Game", order: [["n", "asc"]], include: { first: "white", second: "black" } };
const nested = { entity: "Game", where: { n: 1 }, include: { first: { field: "white", include: { home: "club" } }, second: { field: "black", include: { home: "club" } } } };
const names = (live) => live.value.map((row) => [row.n, row.first?.name, row.second?.name ?? null]);
const clubs = (live) => live.value.map((row) => [row.first.home?.name ?? null, row.second.home?.name ?? null]);

test("rows with what they refer to, and no field that clients do not know", async () => {
	const live = await ann.live(games);
	assert.deepEqual(names(live), [[1, "Preading", "Pchess"], [2, "Pchess", null]]);
	assert.deepEqual(live.value[0].first, { id: player, name: "Preading", club: reading, level: 1 });
	assert.equal(live.value[1].second, null);
	const ack = ann.messages.flatMap((m) => m.q ?? []).find((q) => q.id === live.id);
	assert.deepEqual(ack.types, { id: "uuid", n: "int", white: "uuid", black: "uuid" });
	const first = await ann.live({ ...games, limit: 1 });
	assert.deepEqual(names(first), [[1, "Preading", "Pchess"]]);
	const none = await ann.live({ ...games, where: { n: 99 } });
	assert.deepEqual(none.value, []);
	const unordered = await ann.live({ entity: "Game", include: { first: "white" } });
	assert.deepEqual(unordered.value.map((row) => row.id), unordered.value.map((row) => row.id).sort());
	for (const live of [first, none, unordered]) ann.unsubscribe(live);
});

test("within each other, each under the policy of its entity", async () => {
	const [hers, his] = [await ann.live(nested), await bob.live(nested)];
	assert.deepEqual(clubs(hers), [["reading", "chess"]]);
	assert.deepEqual(hers.value[0].first.home, { id: reading, name: "reading", open: true });
	assert.deepEqual(clubs(his), [["reading", null]]);
	const nobody = await stack.client();
	assert.deepEqual(clubs(await nobody.live(nested)), [["reading", null]]);
});

test("an included row changes, with all else of its snapshot", async () => {
	const mixed = await ann.live({ entity: "Player", where: { id: player } });
	const live = await ann.live(games);
	const before = ann.messages.length;
	stack.psql(`update "Player" set name = 'Q' where id = '${player}'`);
	await ann.until("both", () => live.value[0].first.name === "Q");
	assert.equal(mixed.rows.get(player).name, "Q");
	const told = ann.messages.slice(before).filter((m) => m.b?.some((b) => b.patch?.[0][0] === player));
	assert.deepEqual(told.map((m) => m.b.filter((b) => b.segs || b.value).length > 0), [true], "in one transition");
	stack.psql(`update "Player" set name = 'Preading' where id = '${player}'`);
	await ann.until("back", () => live.value[0].first.name === "Preading");
});

test("the reference changes, and the rows that match", async () => {
	const live = await ann.live(games);
	stack.psql(`update "Game" set black = '${player}' where n = 2`);
	await ann.until("another", () => live.value[1].second?.name === "Preading");
	stack.psql(`update "Game" set black = null where n = 2`);
	await ann.until("nobody", () => live.value[1].second === null);
	stack.psql(`insert into "Game" (n, white) values (3, '${player}')`);
	await ann.until("one more", () => names(live).length === 3);
	stack.psql(`delete from "Game" where n = 3`);
	await ann.until("gone", () => names(live).length === 2);
});

test("what the policy does not allow any more goes at that moment", async () => {
	const hers = await ann.live(nested), his = await bob.live(nested);
	stack.psql(`delete from "Seat" where "user" = 'ann' and room = 'chess'; insert into "Seat" ("user", room) values ('bob', 'chess')`);
	await ann.until("her seat is gone", () => hers.value[0].second.home === null);
	await bob.until("he has one", () => his.value[0].second.home?.name === "chess");
	stack.psql(`update "Club" set open = true where id = '${chess}'`);
	await ann.until("open to all", () => hers.value[0].second.home?.name === "chess");
	stack.psql(`update "Club" set open = false where id = '${chess}'; update "Seat" set "user" = 'ann' where room = 'chess'`);
	await bob.until("closed again", () => his.value[0].second.home === null);
});

test("columns that nobody looks at, and rows that nobody refers to, run nothing", async () => {
	const few = await ann.live({ entity: "Game", where: { n: 1 }, include: { first: "white" } });
	const runs = await stack.metric("millrace_reruns_total");
	stack.psql(`insert into "Player" (name, club) values ('stranger', '${chess}'); update "Player" set level = 7 where name = 'stranger'`);
	stack.psql(`insert into "Item" (grp) values ('include')`);
	const seen = await ann.live({ entity: "Item", where: { grp: "include" } });
	assert.equal(seen.list.length, 1);
	assert.equal(await stack.metric("millrace_reruns_total"), runs);
	assert.equal(few.value[0].first.name, "Preading");
});

test("those who may see the same share one run", async () => {
	const query = { entity: "Game", where: { n: { $gte: 1 } }, include: { first: "white" } };
	const instances = async () => stack.metric("millrace_instances");
	const one = await ann.live(query), count = await instances(), two = await bob.live(query);
	assert.deepEqual(two.value.map((row) => row.id), one.value.map((row) => row.id));
	assert.equal(await instances(), count);
});

test("rule 26: what cannot be asked is refused as without include, with a sentence", async () => {
	const refusals = [
		[{ entity: "Gam", include: { first: "white" } }, "unknown_entity", /Gam/],
		[{ include: { first: "whit" } }, "unknown_field", /Game has no field "whit"/],
		[{ include: { first: "judge" } }, "unknown_field", /Game has no field "judge"/],
		[{ include: { first: "n" } }, "bad_filter", /Game\.n is not declared as a reference/],
		[{ include: { n: "white" } }, "bad_filter", /has a field named n/],
		[{ include: { "a b": "white" } }, "bad_filter", /letters, digits/],
		[{ include: { first: 5 } }, "bad_filter", /first is to be/],
		[{ include: { first: { field: "white", where: {} } } }, "bad_filter", /has "where"; known: field, include/],
		[{ include: { first: { field: "white", include: { home: "code" } } } }, "unknown_field", /Player has no field "code"/],
		[{ include: { first: { field: "white", include: [] } } }, "bad_filter", /expected \{ name/],
		[{ include: ["white"] }, "bad_filter", /expected \{ name/],
		[{ include: { first: "white" }, where: { secret: 1 } }, "unknown_field", /secret/],
		[{ include: { first: "white" }, where: { judge: null } }, "unknown_field", /judge/],
		[{ include: { first: "white" }, order: [["judge", "asc"]] }, "unknown_field", /judge/],
		[{ include: { first: "white" }, limit: 0 }, "bad_filter", /limit/],
		[{ include: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`a${i}`, "white"])) }, "bad_filter", /max_include/],
	];
	let n = 900;
	for (const [query, code, sentence] of refusals) {
		const error = (await ann.refused({ t: "subscribe", id: ++n, entity: "Game", ...query })).error;
		assert.equal(error.code, code, JSON.stringify(query));
		assert.match(error.message, sentence);
	}
	const most = (await ann.refused({ t: "subscribe", id: ++n, entity: "Game", include: refusals.at(-1)[0].include })).error;
	assert.deepEqual(most.data, { setting: "max_include" });
	const hidden = (await ann.refused({ t: "subscribe", id: ++n, entity: "Secret", include: { by: "player" } })).error;
	assert.equal(hidden.code, "forbidden");
	assert.equal((await ann.refused({ t: "subscribe", id: ++n, fn: "_entity.included", args: {} })).error.code, "unknown_function");
	assert.equal((await ann.call("_entity.included", { entity: "Game" })).error.code, "unknown_function");
	assert.equal((await stack.call("_entity.included", { entity: "Game" })).code, "unknown_function");
});

test("functions follow references of references too", async () => {
	const live = await bob.live({ fn: "games.white", args: {} });
	assert.deepEqual(live.value, [[1, "reading", "c1"], [2, "chess", "c2"]]);
	stack.psql(`update "Club" set code = 'c3' where id = '${chess}'`);
	await bob.until("its change", () => live.value[1][2] === "c3");
	assert.match((await bob.live({ fn: "games.wrong", args: {} })).error.message, /Player\.name is not declared as a reference/);
});

test("a name that only the server's fields have is free", async () => {
	const live = await ann.live({ entity: "Game", where: { n: 1 }, include: { judge: "white" } });
	assert.equal(live.value[0].judge.name, "Preading");
});

test("an entity that nobody may read is included as null", async () => {
	const live = await ann.live({ entity: "Report", include: { what: "secret" } });
	assert.deepEqual(live.value.map((row) => [row.text, row.what]), [["r", null]]);
});

test("after a reconnect what is held stays, or is brought to now", async () => {
	const live = await ann.live({ ...games, limit: 5 });
	const shown = JSON.stringify(live.value);
	ann.close();
	await ann.again();
	await ann.until("answered", () => live.answered);
	assert.equal(live.kept, true);
	assert.equal(JSON.stringify(live.value), shown);
	ann.close();
	stack.psql(`update "Player" set name = 'R' where id = '${other}'`);
	await ann.again();
	await ann.until("now", () => live.answered && live.value[1].first.name === "R");
	stack.psql(`update "Player" set name = 'Pchess' where id = '${other}'`);
	await ann.until("live again", () => live.value[1].first.name === "Pchess");
});

test("another identity sees what it may", async () => {
	const who = await stack.client({ token: stack.token("ann") });
	const live = await who.live(nested);
	assert.deepEqual(clubs(live), [["reading", "chess"]]);
	who.send({ t: "auth", token: null });
	await who.until("nobody", () => live.value?.[0].second.home === null);
	who.send({ t: "auth", token: stack.token("ann") });
	await who.until("she again", () => live.value?.[0].second.home?.name === "chess");
});

test("over HTTP, once and live", async () => {
	const ask = (query, token) => {
		const search = new URLSearchParams(Object.entries(query).map(([k, value]) => [k, typeof value === "string" ? value : JSON.stringify(value)]));
		return stack.http("GET", `/api/entities/Game?${search}`, undefined, token ? { authorization: `Bearer ${stack.token(token)}` } : {});
	};
	const { include } = nested;
	const hers = await ask({ where: { n: 1 }, include }, "ann"), nobodys = await ask({ where: { n: 1 }, include });
	assert.equal(hers.json.data[0].second.home.name, "chess");
	assert.equal(nobodys.json.data[0].second.home, null);
	const sorted = await ask({ include: { first: "white" }, orderBy: "-n", limit: "1" });
	assert.deepEqual(sorted.json.data.map((row) => [row.n, row.first.name]), [[2, "Pchess"]]);
	assert.equal((await ask({ include: { first: "n" } })).code, "bad_filter");
	assert.equal((await ask({ include: "white" })).status, 400);
	const events = await Events.open(stack, { entity: "Game", include: { first: "white" }, where: { n: 2 } });
	await ann.until("the value", () => events.events.find((e) => e.event === "value" && e.json.value[0].first.name === "Pchess"));
	stack.psql(`update "Player" set name = 'S' where id = '${other}'`);
	await ann.until("the next", () => events.events.find((e) => e.event === "value" && e.json.value?.[0].first.name === "S"));
	stack.psql(`update "Player" set name = 'Pchess' where id = '${other}'`);
	events.control.abort();
});

test("the SDK: rows that refer, and the one that a call is expected to make", async () => {
	const client = createClient({ url: stack.url, token: stack.token("ann"), WebSocket, storage: { local: memoryStore(), tab: memoryStore() } });
	let rows = [];
	client.onUpdate("Game", { orderBy: { n: "asc" }, include: nested.include }, (now) => (rows = now));
	await ann.until("the rows", () => rows.length === 2);
	assert.deepEqual(rows.map((row) => [row.n, row.first.home?.name, row.second?.home.name]), [[1, "reading", "chess"], [2, "chess", undefined]]);
	const [first] = rows;
	const made = client.mutation(functionRef("games.add"), { n: 3, white: player }, { optimistic: (tx, game) => tx.insert("Game", game) });
	assert.deepEqual(rows.map((row) => [row.n, isPending(row), row.first?.home?.name]), [[1, false, "reading"], [2, false, "chess"], [3, true, "reading"]]);
	const id = await made;
	assert.deepEqual(rows.map((row) => [row.n, isPending(row), row.first?.home?.name]), [[1, false, "reading"], [2, false, "chess"], [3, false, "reading"]]);
	assert.equal(rows[2].id, id);
	assert.equal(rows[0], first, "what did not change keeps its identity");
	const [asked] = await client.query("Game", { where: { id }, include: { first: "white" } });
	assert.equal(asked.first.name, "Preading");
	await assert.rejects(client.query("Game", { include: { first: "n" } }), (e) => e.code === "bad_filter");
	client.close();
	stack.psql(`delete from "Game" where n = 3`);
});

test("too many rows are refused by the setting's name, and mend by themselves", async () => {
	const live = await ann.live({ entity: "Game", include: { first: "white" } });
	stack.psql(`insert into "Game" (n, white) select 5, '${player}' from generate_series(1, 60)`);
	await ann.until("too many", () => live.error);
	assert.deepEqual([live.error.code, live.error.data], ["too_many_rows", { setting: "instance_max_rows" }]);
	const once = await stack.http("GET", `/api/entities/Game?include=${encodeURIComponent('{"first":"white"}')}`);
	assert.deepEqual([once.code, once.error.data], ["too_many_rows", { setting: "instance_max_rows" }]);
	stack.psql(`delete from "Game" where n = 5`);
	await ann.until("few again", () => !live.error && live.value.length === 2);
});

test("a clean end", async () => {
	for (const client of [ann, bob]) assert.equal(client.broken, undefined);
	await stack.stop();
	assert.doesNotMatch(stack.server.err, /AddressSanitizer|runtime error|assert/i);
});
await run();
