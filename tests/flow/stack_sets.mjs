// Policies that look at other rows (docs/policies.md): who may see what, at each tick, whoever writes; and writes that race with a revocation.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { descendants } from "../lib/cli.mjs";
import { snapshotOf } from "../checker/position.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Psql } from "../lib/psql.mjs";
import { Client, sleep, Stack, until } from "../lib/stack.mjs";

const SET_MAX = 60;
const stack = await Stack.start(["--policy-set-max", String(SET_MAX)]);
const conninfo = readFileSync(join(stack.data, "run/database"), "utf8").trim();
let [one, two] = [new Psql(conninfo), new Psql(conninfo)];
/** More of it finds more: MILLRACE_ROUNDS=2000 for a long one. */
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 120);
const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 1000000);
let state = seed;
const dice = (sides) => (state = (state * 1103515245 + 12345) % 2147483648) % 65521 % sides;
const pick = (list) => list[dice(list.length)];
const who = (user, claims) => stack.client({ token: stack.token(user, claims) });
const texts = (live) => live.list.map((p) => p.text).sort();
const shows = (client, live, expected) =>
	client.until(`${expected}; it shows ${texts(live)} ${live.error?.message ?? ""}`, () => !live.error && texts(live).join() === expected.join());
const seat = (user, room) => `insert into "Seat" ("user", room) values ('${user}', '${room}')`;
const lead = (user, room) => `insert into "Seat" ("user", room, role) values ('${user}', '${room}', 'lead')`;
const post = (room, text, author = "x") => `insert into "Post" (room, author, text) values ('${room}', '${author}', '${text}')`;

const processes = (name) => descendants(stack.server.pid).filter((p) => p.command.includes(`/millrace-${name} `)).map((p) => p.pid);
const signal = (pids, name) => pids.forEach((pid) => process.kill(pid, name));

const act = (method, path, user, body) => stack.http(method, `/api/entities/${path}`, body, { authorization: `Bearer ${stack.token(user)}` });

/** Notes what all live queries of a client show after each transition. */
class Watcher extends Client {
	states = [];
	asked = new Map();
	subscribe(query) {
		const live = super.subscribe(query);
		this.asked.set(live.id, query);
		/* Two that share what is told may have been away with other rows; what they show is compared anyway. */
		Object.defineProperty(live, "resuming", { get: () => true, set() {} });
		return live;
	}
	transition(m) {
		super.transition(m);
		const state = new Map();
		for (const [id, live] of this.queries) if (live.answered && !live.behind) state.set(id, live.error ?? [...live.rows.values()]);
		this.states.push({ m, state });
	}
}

test("rule 14: rows come with the membership and go with it, in one transition, whoever writes", async () => {
	const ann = await new Watcher(stack, { token: stack.token("ann") }).ready();
	await one.ask(post("r1", "early"));
	const [seats, posts] = [await ann.live({ entity: "Seat" }), await ann.live({ entity: "Post" })];
	assert.deepEqual(texts(posts), []);
	const bob = await who("bob");
	const ways = [
		[() => one.ask(seat("ann", "r1")), () => one.ask(`delete from "Seat" where "user" = 'ann'`)],
		[() => bob.value("seats.sit", { user: "ann", room: "r1" }), () => bob.value("seats.expel", { user: "ann", room: "r1" })],
		[() => one.ask(seat("ann", "r1")), () => one.ask(`update "Seat" set "user" = 'nobody' where "user" = 'ann'`)],
		[() => one.ask(`${seat("ann", "r2")}; update "Seat" set room = 'r1' where "user" = 'ann'`), () => one.ask(`truncate "Seat"`)],
		[() => one.ask(seat("ann", "r1")), () => one.ask(`insert into "Ban" ("user", room) values ('ann', 'r1')`)],
		[() => one.ask(`delete from "Ban"`), () => one.ask(`delete from "Seat"`)],
	];
	for (const [come, go] of ways) {
		await come();
		await shows(ann, posts, ["early"]);
		await one.ask(post("r1", "late"));
		await shows(ann, posts, ["early", "late"]);
		await one.ask(`update "Post" set n = n + 1 where text = 'late'; ${post("r2", "elsewhere")}`);
		await ann.until("the update", () => posts.list.find((p) => p.text === "late")?.n === 1);
		await go();
		await shows(ann, posts, []);
		await one.ask(`delete from "Post" where text <> 'early'; ${post("r1", "unseen")}; delete from "Post" where text = 'unseen'`);
	}
	/* At no transition is there a post without the seat, or more seats than one whose posts are not there. */
	for (const { state } of ann.states) {
		const [s, p] = [state.get(seats.id), state.get(posts.id)];
		if (!s || !p) continue;
		assert.ok(!p.length || s.some((x) => x.room === "r1"), "posts without a seat");
		assert.ok(p.every((x) => x.room === "r1"));
	}
	await one.ask(`delete from "Seat"; delete from "Ban"; delete from "Post"`);
	ann.close();
	bob.close();
});

test("rule 14: membership taken and rows changed in the same transaction, in each order", async () => {
	const ann = await who("ann");
	const posts = await ann.live({ entity: "Post" });
	const window = await ann.live({ entity: "Post", order: [["n", "desc"]], limit: 2 });
	const both = (expected) => Promise.all([shows(ann, posts, expected), shows(ann, window, expected)]);
	const statements = [`delete from "Seat" where room = 'q1'`, `delete from "Post" where text = 'a'`, `update "Post" set text = 'c' where text = 'b'`, post("q1", "d")];
	for (let round = 0; round < 4; round++) {
		await one.ask(`${seat("ann", "q1")}; ${post("q1", "a")}; ${post("q1", "b")}`);
		await both(["a", "b"]);
		const order = [...statements.slice(round), ...statements.slice(0, round)];
		await one.ask(`begin; ${order.join("; ")}; commit`);
		await both([]);
		await one.ask(`delete from "Post"`);
	}
	/* Moved between rooms while seats are: what is seen after is what is admitted after. */
	await one.ask(`${seat("ann", "q1")}; ${post("q1", "a")}; ${post("q2", "b")}`);
	await both(["a"]);
	await one.ask(`begin; update "Post" set room = case room when 'q1' then 'q2' else 'q1' end; update "Seat" set room = 'q2'; commit`);
	await both(["a"]);
	await one.ask(`begin; update "Seat" set room = 'q1'; update "Seat" set room = 'q2'; update "Post" set text = text || '2'; commit`);
	await both(["a2"]);
	await one.ask(`begin; update "Seat" set room = 'q1'; update "Post" set room = 'q1' where room = 'q2'; commit`);
	await both(["a2", "b2"]);
	await one.ask(`delete from "Seat"; delete from "Post"`);
	ann.close();
});

test("what a filter pins needs only its own membership; a claim may stand for all of it", async () => {
	const ann = await who("ann");
	await one.ask(`${seat("ann", "p1")}; ${post("p1", "a")}; ${post("p2", "b")}; insert into "Note" (room, level, n) values ('p1', 1, 1), ('p1', 2, 2), (null, 1, 3), ('p1', null, 4)`);
	const [p1, p2] = [await ann.live({ entity: "Post", where: { room: "p1" } }), await ann.live({ entity: "Post", where: { room: "p2" } })];
	assert.deepEqual([texts(p1), texts(p2)], [["a"], []]);
	const before = await stack.metric("millrace_readings_total");
	await one.ask(`${seat("ann", "p3")}; ${seat("ann", "p4")}; delete from "Seat" where room = 'p3'; ${post("p1", "c")}; ${post("p2", "d")}`);
	await shows(ann, p1, ["a", "c"]);
	assert.equal(await stack.metric("millrace_readings_total"), before, "another membership is read for");
	await one.ask(`update "Seat" set room = 'p2' where room = 'p1'`);
	await shows(ann, p1, []);
	await shows(ann, p2, ["b", "d"]);
	const notes = await ann.live({ entity: "Note" });
	const ns = (live) => live.list.map((r) => r.n).sort().join();
	assert.equal(ns(notes), "");
	await one.ask(`insert into "Seat" ("user", room, level) values ('ann', 'p1', 2)`);
	await ann.until("the note of level 2", () => ns(notes) === "2");
	await one.ask(`update "Note" set level = 2 where n = 1; update "Note" set level = 1 where n = 2`);
	await ann.until("the note of level 2", () => ns(notes) === "1");
	const auditor = await who("eve", { roles: ["auditor"] });
	assert.equal(ns(await auditor.live({ entity: "Note" })), "1,2,3,4");
	const nobody = await stack.client();
	assert.equal((await nobody.refused({ t: "subscribe", id: 9, entity: "Post" })).error.code, "unauthenticated");
	await one.ask(`delete from "Seat"; delete from "Post"; delete from "Note"`);
	for (const c of [ann, auditor, nobody]) c.close();
});

test("no policy is asked for a client and a write: nothing is read when rows of members change", async () => {
	const N = 12;
	await one.ask(`insert into "Seat" ("user", room) select 'm' || g, 'hall' from generate_series(1, ${N}) g`);
	const cost = async () => {
		const [hits, probes] = await Promise.all(["hits", "probes"].map((n) => stack.metric(`millrace_index_${n}_total`)));
		return { hits, probes };
	};
	/* Of a write that one of many may see. */
	const lonely = async (client, live, n) => {
		const before = await cost();
		await one.ask(post("attic", `attic ${n}`));
		await client.until("the post", () => texts(live).includes(`attic ${n}`));
		const after = await cost();
		return [after.hits - before.hits, after.probes - before.probes];
	};
	await one.ask(seat("m1", "attic"));
	const first = await who("m1");
	const alone = await lonely(first, await first.live({ entity: "Post" }), 1);
	const clients = await Promise.all(Array.from({ length: N }, (_, i) => who(`m${i + 1}`)));
	const lives = await Promise.all(clients.map((c) => c.live({ entity: "Post" })));
	assert.deepEqual(await lonely(clients[0], lives[0], 2), alone, "a write costs more with more clients");
	await one.ask(`delete from "Post"; delete from "Seat" where room = 'attic'`);
	await clients[0].until("the attic's end", () => lives[0].rows.size === 0);
	first.close();
	const numbers = async () => Promise.all(["loads", "readings", "reruns"].map((n) => stack.metric(`millrace_${n}_total`)));
	const before = await numbers();
	for (let n = 1; n <= 20; n++) {
		if (n % 2) await clients[0].value("seats.post", { room: "hall", author: "m1", n });
		else await one.ask(`${post("hall", "x")}; ${post("cellar", "x")}; update "Post" set n = n + 1 where room = 'hall'`);
	}
	for (const [i, c] of clients.entries()) await c.until("20 posts", () => lives[i].rows.size === 20);
	await one.ask(`delete from "Seat" where "user" = 'm2'`);
	await clients[1].until("no post", () => lives[1].rows.size === 0);
	assert.deepEqual(await numbers(), before);
	const probes = await stack.metric("millrace_index_hits_total");
	await one.ask(post("cellar", "y"));
	await sleep(100);
	assert.equal(await stack.metric("millrace_index_hits_total"), probes, "a write that nobody may see meets nobody");
	for (const c of clients) c.close();
	await one.ask(`delete from "Seat"; delete from "Post"`);
});

test("members of a room share one query: a change is matched and encoded once for all", async () => {
	const N = 12;
	await one.ask(`insert into "Seat" ("user", room) select 's' || g, 'shared' from generate_series(1, ${N}) g`);
	const clients = await Promise.all(Array.from({ length: N + 2 }, (_, i) => who(`s${i + 1}`)));
	const lives = await Promise.all(clients.map((c) => c.live({ entity: "Post", where: { room: "shared" } })));
	const numbers = async () => Promise.all(["index_hits", "bodies_encoded", "loads", "readings"].map((n) => stack.metric(`millrace_${n}_total`)));
	const before = await numbers();
	await one.ask(post("shared", "a"));
	for (const [i, c] of clients.entries()) await shows(c, lives[i], i < N ? ["a"] : []);
	const after = await numbers();
	assert.deepEqual(after.map((n, i) => n - before[i]), [1, 1, 0, 0]);
	/* Who comes is told what they see, and who goes keeps nothing; nothing is read for either. */
	await one.ask(`${seat(`s${N + 1}`, "shared")}; delete from "Seat" where "user" = 's1'`);
	await shows(clients[N], lives[N], ["a"]);
	await shows(clients[0], lives[0], []);
	await one.ask(post("shared", "b"));
	for (const [i, c] of clients.entries()) await shows(c, lives[i], i > 0 && i <= N ? ["a", "b"] : []);
	assert.deepEqual((await numbers()).slice(2), after.slice(2));
	await one.ask(`delete from "Seat"; delete from "Post"`);
	for (const c of clients) c.close();
});

test("rule 17: rows that come with a membership are waited for, but not for long", async () => {
	const ann = await new Watcher(stack, { token: stack.token("ann") }).ready();
	await one.ask(`${seat("ann", "h1")}; ${post("h1", "a")}; ${post("h2", "b")}`);
	const [h1, h2, h3] = [await ann.live({ entity: "Post", where: { room: "h1" } }), await ann.live({ entity: "Post", where: { room: "h2" } }), await ann.live({ entity: "Post", where: { room: "h3" } })];
	signal(processes("worker"), "SIGSTOP");
	try {
		await one.ask(`${seat("ann", "h2")}; ${post("h1", "c")}`);
		await sleep(100);
		assert.deepEqual([texts(h1), texts(h2)], [["a"], []], "all of a session is at one tick");
		await shows(ann, h1, ["a", "c"]);
		assert.deepEqual([h1.behind, h2.behind, h3.behind].map(Boolean), [false, true, false]);
	} finally {
		signal(processes("worker"), "SIGCONT");
	}
	await shows(ann, h2, ["b"]);
	await ann.until("it is not behind", () => !h2.behind);
	await one.ask(`delete from "Seat" where "user" = 'ann'`);
	await shows(ann, h1, []);
	await shows(ann, h2, []);
	await one.ask(`delete from "Post"`);
	ann.close();
});

test("what ties nothing to the row is the same for all rows: who leads a room reads every memo", async () => {
	const [ann, bob, eve] = await Promise.all(["ann", "bob", "eve"].map((u) => who(u)));
	await one.ask(`${lead("ann", "m1")}; ${seat("bob", "m1")}; insert into "Memo" (text) values ('a')`);
	const [a, b, e] = await Promise.all([ann, bob, eve].map((c) => c.live({ entity: "Memo" })));
	assert.deepEqual([texts(a), texts(b), texts(e)], [["a"], [], []]);
	await one.ask(lead("bob", "m2"));
	await shows(bob, b, ["a"]);
	const [hits, loads] = [await stack.metric("millrace_index_hits_total"), await stack.metric("millrace_readings_total")];
	assert.equal((await act("POST", "Memo", "bob", { text: "b" })).status, 201);
	for (const [c, live] of [[ann, a], [bob, b]]) await shows(c, live, ["a", "b"]);
	assert.deepEqual([await stack.metric("millrace_index_hits_total"), await stack.metric("millrace_readings_total")], [hits + 1, loads]);
	assert.equal((await act("POST", "Memo", "eve", { text: "c" })).status, 403);
	await one.ask(`insert into "Ban" ("user", room) values ('bob', 'far away')`);
	assert.equal((await act("POST", "Memo", "bob", { text: "d" })).status, 403);
	await one.ask(`update "Seat" set role = 'guest' where "user" = 'ann'; ${lead("ann", "m3")}; delete from "Seat" where "user" = 'bob'`);
	await shows(bob, b, []);
	await one.ask(`insert into "Memo" (text) values ('e')`);
	await shows(ann, a, ["a", "b", "e"]);
	await one.ask(`delete from "Seat"; delete from "Ban"; delete from "Memo"`);
	for (const c of [ann, bob, eve]) c.close();
});

test("policy_set_max: a set that is too large fails what asks it, until it is smaller", async () => {
	const ann = await who("ann");
	await one.ask(`insert into "Seat" ("user", room) select 'ann', 's' || g from generate_series(1, ${SET_MAX}) g; ${post("s1", "a")}`);
	const posts = await ann.live({ entity: "Post" });
	await shows(ann, posts, ["a"]);
	await one.ask(seat("ann", "more"));
	await ann.until("an error", () => posts.error);
	assert.deepEqual([posts.error.code, posts.error.data], ["too_many_rows", { setting: "policy_set_max" }]);
	const late = await ann.live({ entity: "Post", where: { room: "s1" } });
	assert.equal(late.error?.code, "too_many_rows");
	await one.ask(`delete from "Seat" where room in ('more', 's2'); ${post("s3", "b")}`);
	await shows(ann, posts, ["a", "b"]);
	await shows(ann, late, ["a"]);
	await one.ask(`delete from "Seat"; delete from "Post"`);
	ann.close();
});

test("rule 19: who was away is told by keys while his sets are the same, else whole", async () => {
	const ann = await who("ann");
	await one.ask(`${seat("ann", "w1")}; ${seat("ann", "w2")}; insert into "Post" (room, author, text) select 'w1', 'x', 'w' || g from generate_series(1, 30) g`);
	const posts = await ann.live({ entity: "Post" });
	const away = async (sql) => {
		await ann.until("a position", () => ann.p && posts.rows.size >= 0);
		await one.ask(post("w2", "mark"));
		await ann.until("the mark", () => texts(posts).includes("mark"));
		await one.ask(`delete from "Post" where text = 'mark'`);
		await ann.until("no mark", () => !texts(posts).includes("mark"));
		ann.close();
		await until("it is away", () => ann.closed !== undefined);
		await one.ask(sql);
		await ann.again();
		await ann.until("the answer", () => posts.answered);
		return posts.kept;
	};
	assert.equal(await away(`${post("w2", "new")}; ${post("w3", "hidden")}; update "Post" set n = 1 where text = 'w1'; insert into "Seat" ("user", room) values ('bob', 'w1')`), true);
	assert.equal(posts.rows.size, 31);
	assert.equal(await away(`delete from "Seat" where "user" = 'ann' and room = 'w1'; ${post("w2", "newer")}`), false);
	await shows(ann, posts, ["new", "newer"]);
	assert.equal(await away(`${seat("ann", "w3")}`), false);
	await shows(ann, posts, ["hidden", "new", "newer"]);
	assert.equal(await away(`truncate "Seat"`), false);
	await shows(ann, posts, []);
	await one.ask(`delete from "Post"`);
	ann.close();
});

test("rule 14: memberships come and go while queries that are alike are read together", async () => {
	const N = 6;
	await one.ask(`insert into "Seat" ("user", room) select 'k' || g, 'k' || r from generate_series(1, ${N}) g, generate_series(1, 3) r; insert into "Post" (room, author, text) select 'k' || r, 'x', 'p' || r from generate_series(1, 3) r`);
	const clients = await Promise.all(Array.from({ length: N }, (_, i) => who(`k${i + 1}`)));
	for (const c of clients) await shows(c, await c.live({ entity: "Post", where: { room: "k3" } }), ["p3"]); // their sets are known from here on
	const readings = await stack.metric("millrace_readings_total");
	signal(processes("worker"), "SIGSTOP");
	let lives;
	try {
		lives = clients.map((c) => [c.subscribe({ entity: "Post", where: { room: "k1" } }), c.subscribe({ entity: "Post" })]);
		await until("they are asked for", async () => (await stack.metric("millrace_readings_total")) > readings);
		await one.ask(`delete from "Seat" where room = 'k1' and "user" in ('k1', 'k2'); ${seat("k3", "k4")}; ${post("k4", "p4")}; delete from "Seat" where "user" = 'k4'`);
		await sleep(150); // ticks bring it
	} finally {
		signal(processes("worker"), "SIGCONT");
	}
	for (const [i, c] of clients.entries()) {
		const all = [["p2", "p3"], ["p2", "p3"], ["p1", "p2", "p3", "p4"], []][i] ?? ["p1", "p2", "p3"];
		await shows(c, lives[i][1], all);
		await shows(c, lives[i][0], all.filter((t) => t === "p1"));
		c.close();
	}
	await one.ask(`delete from "Seat"; delete from "Post"`);
});

test("rule 14: a load that met the set in a moment between two ticks is read again", async () => {
	const ann = await who("ann");
	await one.ask(`${seat("ann", "g1")}; ${post("g1", "a")}; ${post("g1", "b")}`);
	const first = await ann.live({ entity: "Post", where: { room: "g1" } }); // the set is known from here on
	await shows(ann, first, ["a", "b"]);
	const [workers, fanout] = [processes("worker"), processes("fanout")];
	const readings = await stack.metric("millrace_readings_total");
	signal(workers, "SIGSTOP");
	let late;
	try {
		late = ann.subscribe({ entity: "Post" });
		await until("it is asked for", async () => (await stack.metric("millrace_readings_total")) > readings);
		signal(fanout, "SIGSTOP");
		await one.ask(`delete from "Seat" where "user" = 'ann'`);
	} finally {
		signal(workers, "SIGCONT");
	}
	await sleep(300); // it is read meanwhile
	await one.ask(seat("ann", "g1"));
	signal(fanout, "SIGCONT");
	await ann.until("the answer", () => late.answered);
	await shows(ann, late, ["a", "b"]);
	await shows(ann, first, ["a", "b"]);
	await one.ask(`delete from "Seat"; delete from "Post"`);
	ann.close();
});

test("writes of clients are judged by what the sets hold", async () => {
	await one.ask(`${seat("ann", "v1")}; ${lead("lea", "v1")}; ${lead("lea", "v2")}`);
	const added = await act("POST", "Post", "ann", { room: "v1", author: "ann", text: "t" });
	assert.equal(added.status, 201, added.text);
	const id = added.json.id;
	assert.equal((await act("POST", "Post", "ann", { room: "v2", author: "ann" })).code, "forbidden");
	assert.equal((await act("POST", "Post", "bob", { room: "v1", author: "bob" })).code, "forbidden");
	assert.equal((await act("PATCH", `Post/${id}`, "ann", { n: 1 })).code, "forbidden");
	assert.equal((await act("PATCH", `Post/${id}`, "bob", { n: 1 })).code, "not_found");
	assert.equal((await act("PATCH", `Post/${id}`, "lea", { room: "v3" })).code, "forbidden");
	const moved = await act("PATCH", `Post/${id}`, "lea", { room: "v2" });
	assert.equal(moved.status, 200, moved.text);
	assert.equal((await act("GET", `Post/${id}`, "ann")).code, "not_found");
	assert.equal((await act("GET", `Post/${id}`, "lea")).status, 200);
	assert.deepEqual((await act("GET", "Post", "ann")).json.data, []);
	assert.equal((await act("DELETE", `Post/${id}`, "ann")).code, "not_found");
	assert.equal((await act("DELETE", `Post/${id}`, "lea")).status, 200);
	await one.ask(`delete from "Seat"; delete from "Post"`);
});

test("rule 30: of a revocation and a write that race with each other one gives way", async () => {
	/* The revocation takes the seat and what its owner has said; a post by one who has no seat must not be left behind. */
	const revoke = `delete from "Seat" where "user" = 'ann'; delete from "Post" where author = 'ann' and room = 'z1'`;
	const left = async () => {
		const n = Number(await two.ask(`select count(*) from "Post" p where author = 'ann' and not exists (select 1 from "Seat" s where s."user" = p.author and s.room = p.room)`));
		await two.ask(`delete from "Post"; delete from "Seat"`);
		return n;
	};
	await one.ask(`set enable_seqscan = off`);
	/* The write ends first. */
	await one.ask(seat("ann", "z1"));
	await one.ask(`begin isolation level serializable; ${revoke}`);
	const first = await act("POST", "Post", "ann", { room: "z1", author: "ann" });
	assert.equal(first.status, 201, first.text);
	await assert.rejects(one.ask("commit"), /could not serialize/);
	await one.ask("rollback");
	assert.equal(await left(), 0);
	/* The revocation ends first: the write, held in its statement, is run again, and refused. */
	await two.ask(`create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(77); return new; end $$;
		create trigger hold before insert on "Post" for each row execute function hold()`);
	try {
		for (let round = 0; round < 2; round++) {
			await one.ask(seat("ann", "z1"));
			await two.ask("select pg_advisory_lock(77)");
			const second = act("POST", "Post", "ann", { room: "z1", author: "ann" });
			await until("it is held", async () => (await two.ask(`select count(*) from pg_locks where locktype = 'advisory' and objid = 77 and not granted`)) === "1");
			await one.ask(`begin isolation level serializable; ${revoke}; commit`);
			await two.ask("select pg_advisory_unlock(77)");
			assert.equal((await second).code, "forbidden");
			assert.equal(await left(), 0);
		}
	} finally {
		await two.ask(`drop function hold() cascade`);
	}
	/* And many at once, by functions. */
	const ann = await who("ann");
	for (let round = 0; round < 12; round++) {
		await one.ask(`begin; ${seat("ann", "z1")}; commit`);
		const race = [act("POST", "Post", "ann", { room: "z1", author: "ann" }), ann.call("seats.expel", { user: "ann", room: "z1" }), act("POST", "Post", "ann", { room: "z1", author: "ann" })];
		const [x, , y] = await Promise.all(race);
		for (const r of [x, y]) assert.ok(r.status === 201 || r.code === "forbidden" || r.code === "conflict", r.text);
		assert.equal(await left(), 0, `round ${round}`);
	}
	await one.ask(`reset enable_seqscan`);
	ann.close();
});

/* Every version of every row by the transaction that wrote it: so what each snapshot holds is known. */
const TABLES = ["Seat", "Ban", "Post", "Note"];
const AUDIT = `create table versions (seq bigserial, xid xid8 default pg_current_xact_id(), tab text, id uuid, image jsonb);
create function note_version() returns trigger language plpgsql as $$ begin
	if tg_op <> 'INSERT' then insert into versions (tab, id) values (tg_table_name, old.id); end if;
	if tg_op <> 'DELETE' then insert into versions (tab, id, image) values (tg_table_name, new.id, to_jsonb(new)); end if;
	return null; end $$;
create function note_cleared() returns trigger language plpgsql as $$ begin
	execute format('insert into versions (tab, id) select %L, id from %I', tg_table_name, tg_table_name); return null; end $$;
${TABLES.map((t) => `create trigger zz_version after insert or update or delete on "${t}" for each row execute function note_version();
create trigger zz_cleared before truncate on "${t}" for each statement execute function note_cleared();`).join("\n")}`;

function tablesAt(versions, snapshot) {
	const tables = Object.fromEntries(TABLES.map((t) => [t, new Map()]));
	for (const v of versions) {
		if (v.xid >= snapshot.xmax || snapshot.running.has(v.xid)) continue;
		if (v.image) tables[v.tab].set(v.id, v.image);
		else tables[v.tab].delete(v.id);
	}
	return Object.fromEntries(TABLES.map((t) => [t, [...tables[t].values()]]));
}
const sits = (t, user, row, more = () => true) => row.room !== null && t.Seat.some((s) => s.user === user && s.room === row.room && more(s));
const admits = {
	Post: (t, user, row) => sits(t, user, row) && !t.Ban.some((b) => b.user === user && b.room === row.room),
	Note: (t, user, row) => row.level !== null && sits(t, user, row, (s) => s.level === row.level),
	Seat: (t, user, row) => row.user === user || sits(t, user, row),
};
const byPlace = (x, y) => y.n - x.n || (x.id < y.id ? 1 : -1);
function expected(t, user, { entity, where, limit }) {
	const rows = t[entity].filter((row) => admits[entity](t, user, row) && (!where || row.room === where.room));
	return limit ? rows.sort(byPlace).slice(0, limit) : rows;
}
const print = (rows) => JSON.stringify(rows.map((r) => Object.entries(r).sort(([x], [y]) => (x < y ? -1 : 1))).sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1)));

const USERS = ["u1", "u2", "u3", "u4"], ROOMS = ["a", "b", "c", "d"];
function statement() {
	const [user, room, other, n] = [pick(USERS), pick(ROOMS), pick(ROOMS), dice(9)];
	return pick([
		() => `insert into "Seat" ("user", room, level) values ('${user}', '${room}', ${pick(["1", "2", "null"])})`,
		() => `insert into "Seat" ("user", room, level) values ('${user}', ${pick([`'${room}'`, "null"])}, ${pick(["1", "2"])})`,
		() => `delete from "Seat" where "user" = '${user}' and room = '${room}'`,
		() => `delete from "Seat" where id in (select id from "Seat" order by md5(id::text || '${n}') limit 2)`,
		() => `update "Seat" set room = '${room}', level = ${1 + dice(2)} where "user" = '${user}' and room = '${other}'`,
		() => `update "Seat" set "user" = '${user}' where "user" = '${pick(USERS)}' and room = '${room}'`,
		() => `insert into "Ban" ("user", room) values ('${user}', '${room}')`,
		() => `delete from "Ban" where "user" = '${user}'`,
		() => `delete from "Ban"`,
		() => `insert into "Post" (room, author, n, text) values ('${room}', '${user}', ${n}, 't')`,
		() => `insert into "Post" (room, author, n, text) select '${room}', '${user}', g, 's' from generate_series(${n}, ${n + 3}) g`,
		() => `update "Post" set room = ${pick([`'${other}'`, "null"])}, n = n + 1 where room = '${room}' and n < ${n}`,
		() => `update "Post" set n = ${n}, text = '${dice(99)}' where room = '${room}'`,
		() => `delete from "Post" where room = '${room}' and n % 3 = ${n % 3}`,
		() => `insert into "Note" (room, level, n) values (${pick([`'${room}'`, "null"])}, ${pick(["1", "2", "null"])}, ${n})`,
		() => `update "Note" set level = 3 - level where room = '${room}'`,
		() => `delete from "Note" where n = ${n}`,
		() => (dice(8) ? `delete from "Seat" where room = '${room}'` : `truncate "${pick(["Seat", "Ban", "Post"])}"`),
	])();
}

test(`rule 14: at every transition clients show what Postgres admits at its snapshot (MILLRACE_SEED=${seed})`, async () => {
	await one.ask(AUDIT);
	const asks = (room) => [{ entity: "Seat" }, { entity: "Post" }, { entity: "Post", where: { room } }, { entity: "Post", order: [["n", "desc"]], limit: 4 }, { entity: "Note" }];
	const clients = await Promise.all(USERS.map((u) => new Watcher(stack, { token: stack.token(u) }).ready()));
	for (const [i, c] of clients.entries()) for (const ask of asks(ROOMS[i])) c.subscribe(ask);
	const writers = [one, two].map(async (psql) => {
		for (let i = 0; i < ROUNDS; i++) {
			const many = Array.from({ length: 1 + dice(4) }, statement);
			const how = pick(["commit", "commit", "commit", "rollback"]);
			const sql = many.length === 1 ? many[0] : dice(3) ? `begin; ${many.join("; ")}; ${how}` : `begin; ${many[0]}; savepoint s; ${many.slice(1).join("; ")}; rollback to s; commit`;
			await psql.ask(sql).catch(async (e) => {
				assert.match(e.message, /deadlock|could not serialize/);
				await psql.ask("rollback");
			});
			if (!dice(3)) await sleep(dice(12));
		}
	});
	const caller = await who("u1");
	const calls = (async () => {
		for (let i = 0; i < ROUNDS / 2; i++) {
			const [user, room] = [pick(USERS), pick(ROOMS)];
			await pick([() => caller.call("seats.sit", { user, room, level: 1 + dice(2) }), () => caller.call("seats.post", { room, author: user, n: dice(9) }), () => caller.call("seats.expel", { user, room })])();
		}
	})();
	const comers = (async () => {
		for (let i = 0; i < ROUNDS / 3; i++) {
			const c = pick(clients);
			const live = c.subscribe(pick(asks(pick(ROOMS))));
			await sleep(dice(40));
			if (dice(3) || c.queries.size > 9) c.unsubscribe(live);
			if (dice(6)) continue;
			c.close();
			await until("it is away", () => c.closed !== undefined);
			await sleep(dice(60));
			await c.again();
		}
	})();
	/* What is read comes late, now and then: ticks go on meanwhile. */
	const stops = (async () => {
		for (let i = 0; i < ROUNDS / 4; i++) {
			const one = [pick(processes("worker"))];
			signal(one, "SIGSTOP");
			await sleep(dice(60));
			signal(one, "SIGCONT");
			await sleep(dice(60));
		}
	})();
	await Promise.all([...writers, calls, comers, stops]);
	await one.ask(`insert into "Seat" ("user", room, level) select u, 'end', 1 from unnest('{${USERS}}'::text[]) u; insert into "Post" (room, author, n) values ('end', 'x', 1000)`);
	for (const c of clients) await c.until("the last post", () => c.queries.get(2).list.some((p) => p.n === 1000));
	const versions = JSON.parse(await one.ask(`select coalesce(json_agg(v order by seq), '[]') from (select seq, xid::text, tab, id, image from versions) v`)).map((v) => ({ ...v, xid: BigInt(v.xid) }));
	let states = 0, rows = 0;
	const seen = new Map();
	for (const [i, c] of clients.entries()) {
		for (const { m, state } of c.states) {
			if (m.p === undefined) continue;
			const snapshot = snapshotOf(m.p);
			const at = `${snapshot.xmax}:${[...snapshot.running]}`;
			if (!seen.has(at)) seen.set(at, tablesAt(versions, snapshot));
			for (const [id, shown] of state) {
				const ask = c.asked.get(id);
				assert.ok(Array.isArray(shown), JSON.stringify(shown));
				const want = print(expected(seen.get(at), USERS[i], ask));
				if (print(shown) !== want) assert.fail(`${USERS[i]} at tick ${m.n} ${at} ${JSON.stringify(ask)}\nshows ${print(shown)}\nnot   ${want}`);
				states++;
				rows += shown.length;
			}
		}
	}
	console.log(`# ${states} states at ${seen.size} snapshots, ${rows} rows, ${versions.length} versions`);
	assert.ok(states > 200 && seen.size > 20 && rows > 200);
	for (const c of [...clients, caller]) c.close();
});

test("sets live on through the fanout's death and Postgres's", async () => {
	const ann = await who("ann");
	await one.ask(`delete from "Seat"; delete from "Ban"; delete from "Post"; ${seat("ann", "d1")}; ${seat("ann", "d2")}; ${post("d1", "a")}; ${post("d2", "b")}`);
	const posts = await ann.live({ entity: "Post" });
	await shows(ann, posts, ["a", "b"]);
	signal(processes("fanout"), "SIGKILL");
	await until("it is away", () => ann.closed !== undefined);
	await one.ask(`delete from "Seat" where room = 'd1'`);
	await ann.again();
	await ann.until("the answer", () => posts.answered);
	await shows(ann, posts, ["b"]);
	signal([Number(await two.ask("select pg_backend_pid()"))], "SIGKILL");
	await Promise.all([one.end(), two.end()]);
	[one, two] = await until("Postgres", async () => {
		const again = [new Psql(conninfo), new Psql(conninfo)];
		return Promise.all(again.map((p) => p.ask("select 1"))).then(() => again, () => undefined);
	}, 30);
	await one.ask(`${seat("ann", "d1")}; update "Seat" set room = 'd3' where room = 'd2'`);
	await shows(ann, posts, ["a"]);
	await one.ask(`delete from "Seat"`);
	await shows(ann, posts, []);
	ann.close();
});

test("a clean end", async () => {
	await one.end();
	await two.end();
	await stack.stop();
});

await run();
