// Sessions that the server signs: made by functions, listed live, renewed, signed out, revoked by whoever may, on all machines.
import assert from "node:assert/strict";
import { createClient, functionRef, guestAuth, memoryStore, sessionAuth } from "../../client/dist/index.js";
import { freePort, millrace, serve, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Events, sign, sleep, Stack, until, uuid, WebSocket } from "../lib/stack.mjs";

const OPTIONS = ["--auth-guests", "on", "--fanout-threads", "2", "--auth-session-time", "1h"];
let stack = await Stack.start(OPTIONS);
/** Another machine: another server, with the same secret, app and database. */
const pg = stack.psql(`select 'host=' || setting from pg_settings where name = 'unix_socket_directories'`) + ` dbname=${stack.psql("select current_database()")} user=postgres`;
const second = Object.assign(new Stack(), { app: stack.app, data: temporary("second"), port: await freePort(), secret: stack.secret });
const secondArgs = ["dev", "--app-dir", stack.app, "--data-dir", second.data, "--port", String(second.port), "--workers", "1", "--database-url", pg, "--auth-secret", stack.secret, ...OPTIONS];
second.server = await serve(secondArgs);
second.url = await second.server.ready();

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const signIn = async (user, more = {}) => (await stack.call("sessions.signIn", { user, ...more })).json.value;
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
const WHO = { fn: "items.whoami", args: {} };
const refresh = (token, at = stack) => at.http("POST", "/api/auth/refresh", undefined, bearer(token));
const signOut = (token, at = stack) => at.http("POST", "/api/auth/sign-out", undefined, bearer(token));
/** Nobody on the same socket, with the reason said before. */
async function ended(client, from = 0) {
	await client.until("nobody", () => client.messages.slice(from).some((m) => m.t === "welcome" && m.user === null));
	const since = client.messages.slice(from), at = since.findIndex((m) => m.t === "welcome" && m.user === null);
	assert.deepEqual(since[at - 1], { t: "expiry", in: 0, revoked: true });
	assert.equal(client.closed, undefined);
}
const refused = async (token, at = stack) => {
	const answer = await at.call("items.mine", {}, bearer(token));
	assert.deepEqual([answer.status, answer.code], [401, "session_revoked"]);
};
const works = async (token, at = stack) => assert.equal((await at.call("items.mine", {}, bearer(token))).status, 200);
const soon = (token, at = stack) => until("the refusal", async () => (await at.call("items.mine", {}, bearer(token))).code === "session_revoked", 5);

test("a function makes a session: a row with its transaction, and a token that is good everywhere", async () => {
	const ann = await signIn("ann", { role: "admin" });
	assert.deepEqual(Object.keys(ann).sort(), ["expiresAt", "seconds", "sessionId", "token", "userId"]);
	assert.equal(ann.seconds, 3600);
	const says = claims(ann.token);
	assert.deepEqual([says.sub, says.sid, says.role], ["ann", ann.sessionId, "admin"]);
	assert.ok(Math.abs(Date.parse(ann.expiresAt) - Date.now() - 3600000) < 60000, ann.expiresAt);
	const [row] = stack.rows(`select * from millrace.session where id = '${ann.sessionId}'`);
	assert.deepEqual([row.userId, row.claims, row.revokedAt], ["ann", { role: "admin" }, null]);
	for (const at of [stack, second]) {
		await works(ann.token, at);
		const c = await at.client({ token: ann.token });
		assert.equal((await c.live(WHO)).value, "ann");
		assert.equal(await c.value("sessions.current"), ann.sessionId);
		assert.deepEqual(await c.value("sessions.currentInAction"), [ann.sessionId, ann.sessionId]);
		assert.equal(await c.value("sessions.inQuery"), false, "queries are shared by all sessions of a caller");
		c.close();
	}
	const short = await signIn("ann", { ms: 5000 });
	assert.equal(short.seconds, 5);
	const failed = await stack.call("sessions.signInAndFail", { user: "ann" });
	assert.equal(stack.psql(`select count(*) from millrace.session where id = '${failed.error.data.sessionId}'`), "0");
	assert.equal((await stack.client({ token: stack.token("own") }).then((c) => c.value("sessions.current").finally(() => c.close()))), null);
});

test("rule 18: two sessions of one user are one identity: what is shown to both is run once", async () => {
	const [one, two] = [await signIn("twin"), await signIn("twin")];
	const a = await stack.client({ token: one.token });
	const live = await a.live(WHO);
	const from = a.messages.length, reruns = await stack.metric("millrace_reruns_total");
	a.send({ t: "auth", token: two.token });
	await a.until("the welcome", () => a.messages.slice(from).some((m) => m.t === "welcome" && m.user === "twin"));
	await sleep(200);
	assert.deepEqual(a.messages.slice(from).filter((m) => m.b || m.q), [], "nothing is run or sent again");
	assert.equal(await stack.metric("millrace_reruns_total"), reruns);
	assert.equal(live.value, "twin");
	assert.equal(await a.value("sessions.current"), two.sessionId);
	a.close();
});

test("bad wishes are refused with a sentence; nobody but ctx.auth writes the tables", async () => {
	for (const args of [{ user: "" }, { user: "guest:x" }, { user: "x", claims: { sub: "eve" } }, { user: "x", claims: { sid: "1" } }, { user: "x", claims: "no" }, { user: "x", ms: 10 }, { user: "x", ms: 1.5 }]) {
		const answer = await stack.call("sessions.signInBadly", args);
		assert.equal(answer.code, "bad_args", JSON.stringify(args) + JSON.stringify(answer.error));
	}
	assert.equal((await stack.call("sessions.revoke", { id: "none" })).code, "bad_args");
	for (const entity of ["_sessions", "_revocations"]) {
		assert.equal((await stack.call("sessions.write", { entity })).code, "forbidden");
		assert.ok([401, 403].includes((await stack.http("POST", `/api/entities/${entity}`, { userId: "eve" })).status));
	}
	assert.equal((await stack.http("GET", "/api/entities/_revocations")).json.data.length, 0, "no policy, no rows");
});

test("a user's sessions are a live query, of functions and of clients under a policy", async () => {
	const first = await signIn("lea");
	const c = await stack.client({ token: first.token }), eve = await stack.client({ token: stack.token("eve") });
	const mine = await c.live({ fn: "sessions.mine", args: {} }), rows = await c.live({ entity: "_sessions" });
	const others = await eve.live({ entity: "_sessions" });
	assert.deepEqual([mine.value.length, rows.rows.size, others.rows.size], [1, 1, 0]);
	const more = await signIn("lea");
	await c.until("the new one", () => mine.value.length === 2 && rows.rows.size === 2);
	await signOut(more.token);
	await c.until("its end", () => rows.rows.get(more.sessionId)?.revokedAt && mine.value.some((s) => s.id === more.sessionId && s.revokedAt));
	assert.equal(others.rows.size, 0);
	c.close();
	eve.close();
});

test("functions read sessions and jobs by the names of their entities, and by ctx.db.system; under policies only where these say so", async () => {
	const s = await signIn("way"), eve = { authorization: `Bearer ${stack.token("eve")}` };
	const job = (await stack.call("later.plan", { fn: "put", grp: "ways", ms: 3_600_000 })).json.value;
	const read = async (headers) => (await stack.call("sessions.ways", { id: s.sessionId, job }, headers)).json.value;
	const mine = await read(bearer(s.token)), hers = await read(eve);
	for (const one of [...mine.session, ...mine.own, ...hers.session]) assert.deepEqual([one?.id, one?.userId, one?.revokedAt], [s.sessionId, "way", null]);
	assert.deepEqual([mine.byUser, hers.byUser, hers.own], [1, 0, [null, null]]);
	assert.deepEqual([mine.job, hers.job, mine.ownJob], [Array(4).fill("later.put"), Array(4).fill("later.put"), null]);
	assert.deepEqual(mine.ids, [s.sessionId, null]);
	assert.equal((await stack.call("sessions.lockOwn", { id: s.sessionId }, bearer(s.token))).json.value, "way");
});

test("refresh: another token of the same session, for as long again; not after its end", async () => {
	const s = await signIn("ref", { ms: 4000, role: "r" });
	await sleep(1100);
	const again = (await refresh(s.token, second)).json;
	assert.equal(again.sessionId, s.sessionId);
	assert.deepEqual([claims(again.token).role, again.seconds], ["r", 4]);
	assert.ok(claims(again.token).exp > claims(s.token).exp);
	assert.ok(claims(again.token).exp - claims(s.token).exp <= 4, "not longer than it was made for");
	await works(again.token);
	stack.psql(`select millrace.revoke_session('${s.sessionId}')`);
	await soon(again.token);
	for (const at of [stack, second]) await until("the refusal", async () => (await refresh(again.token, at)).code === "session_revoked");
	assert.equal((await refresh(stack.token("own"))).code, "forbidden", "not of a session");
	assert.equal((await stack.http("POST", "/api/auth/refresh")).code, "unauthenticated");
	const made_up = stack.token("x", { sid: uuid() });
	assert.equal((await refresh(made_up)).code, "session_revoked", "no session of that id");
});

test("sign-out: on every machine, nobody on the same socket; event streams end; other sessions stay", async () => {
	const [s, other] = [await signIn("out"), await signIn("out")];
	const here = await stack.client({ token: s.token }), there = await second.client({ token: s.token, encoding: "msgpack" }), stays = await second.client({ token: other.token });
	const lives = await Promise.all([here, there, stays].map((c) => c.live(WHO)));
	const shared = await here.live({ fn: "items.count", args: { grp: "so" } });
	const stream = await Events.open(second, { fn: "items.whoami" }, bearer(s.token));
	await until("the stream", () => stream.events.some((e) => e.json.value === "out"));
	const bodies = shared.bodies;
	assert.deepEqual((await signOut(s.token)).json, { ended: true });
	await Promise.all([ended(here), ended(there)]);
	await here.until("nobody", () => lives[0].value === null);
	await there.until("nobody", () => lives[1].value === null);
	assert.equal(shared.bodies, bodies, "what never looked who asks goes on untouched");
	await until("the stream's end", () => stream.ended);
	assert.equal(stream.events.at(-1).json.error.code, "session_revoked");
	for (const at of [stack, second]) {
		await refused(s.token, at);
		await works(other.token, at);
		const hello = await at.client({ token: s.token, hello: false });
		hello.hello();
		assert.equal((await hello.errorAfter(0)).error.code, "session_revoked");
		assert.equal((await Events.open(at, { fn: "items.whoami" }, bearer(s.token))).response.status, 401);
	}
	assert.equal((await here.call("items.mine")).error.code, "unauthenticated");
	here.send({ t: "auth", token: s.token });
	await here.until("the refusal", () => here.messages.filter((m) => m.t === "error" && m.error.code === "session_revoked").length === 1);
	here.send({ t: "auth", token: other.token });
	await here.until("out again", () => lives[0].value === "out");
	assert.equal((await signOut(s.token)).code, "session_revoked");
	for (const c of [here, there, stays]) c.close();
});

test("revoked by a function, by psql, by the command: within moments, on both machines", async () => {
	const ways = {
		function: async (id) => assert.equal((await stack.call("sessions.revoke", { id })).json.value, true),
		psql: (id) => stack.psql(`select millrace.revoke_session('${id}')`),
		command: (id) => assert.equal(millrace(["sessions", "revoke", id, "--data-dir", stack.data]).status, 0),
	};
	for (const [name, way] of Object.entries(ways)) {
		const s = await signIn(`by ${name}`);
		const here = await stack.client({ token: s.token }), there = await second.client({ token: s.token });
		const before = here.messages.length;
		await way(s.sessionId);
		await Promise.all([ended(here, before), ended(there)]);
		for (const c of [here, there]) c.close();
	}
	assert.equal((await stack.call("sessions.revoke", { id: uuid() })).json.value, true, "one that it does not know may be a guest's");
});

test("revokeUser: all that he had, also what others signed; what comes after is good", async () => {
	const s = await signIn("all"), own = stack.token("all", { iat: Math.floor(Date.now() / 1000) - 5 }), bare = stack.token("all"), bob = stack.token("bob");
	const clients = [await stack.client({ token: s.token }), await second.client({ token: own }), await stack.client({ token: bare })];
	const kept = await stack.client({ token: bob });
	assert.equal((await stack.call("sessions.revokeAll", { user: "all" })).json.value, 1);
	await Promise.all(clients.map((c) => ended(c)));
	for (const token of [s.token, own, bare]) for (const at of [stack, second]) await refused(token, at);
	await works(bob);
	assert.equal((await refresh(s.token)).code, "session_revoked");
	await works((await signIn("all")).token, second);
	await works(stack.token("all", { iat: Math.ceil(Date.now() / 1000) + 1 }));
	// a new password: this device goes on with the new token, whatever the clock says
	for (let i = 0; i < 5; i++) {
		const c = await stack.client({ token: (await signIn("pass")).token });
		const fresh = await c.value("sessions.renewAll");
		c.send({ t: "auth", token: fresh.token });
		await c.until("signed in", () => c.messages.at(-1).t === "welcome" && c.messages.at(-1).user === "pass");
		await works(fresh.token, second);
		c.close();
	}
	for (const c of [...clients, kept]) c.close();
});

test("guests: a token of a session as well; renewed it is of the same; signed out it is called back", async () => {
	const guest = (await stack.http("POST", "/api/auth/guest", {})).json;
	const again = (await refresh(guest.token, second)).json;
	assert.equal(claims(again.token).sid, claims(guest.token).sid);
	const c = await second.client({ token: guest.token });
	assert.deepEqual((await signOut(again.token)).json, { ended: true });
	await ended(c);
	for (const token of [guest.token, again.token]) await refused(token);
	assert.equal((await refresh(guest.token)).code, "session_revoked");
	assert.equal(stack.psql(`select until > now() + interval '29 days' from millrace.revocation where id = '${claims(guest.token).sid}'`), "t");
	c.close();
});

test("the command: lists, revokes, says what is wrong", async () => {
	const a = await signIn("cmd"), b = await signIn("cmd");
	const cli = (...args) => millrace(["sessions", ...args, "--data-dir", stack.data]);
	const list = cli("list", "--user", "cmd");
	assert.equal(list.status, 0, list.err);
	for (const s of [a, b]) assert.match(list.out, new RegExp(`${s.sessionId}\\s+.*cmd`));
	assert.match(cli("list").out, /by function/);
	const one = cli("revoke", a.sessionId);
	assert.match(one.out, /revoked/);
	assert.match(cli("list", "--user", "cmd").out, new RegExp(`${a.sessionId}.*revoked`));
	assert.match(cli("revoke", "--user", "cmd").out, /1 session/);
	await soon(b.token, second);
	for (const bad of [["revoke"], ["revoke", "x"], ["nonsense"], [], ["list", "--x"]]) assert.equal(cli(...bad).status, 2, bad.join(" "));
});

test("a server that starts knows what was revoked before and while it was down, also by whom it is asked at once", async () => {
	const s = await signIn("boot"), down = await signIn("boot"), fine = await signIn("boot");
	await signOut(s.token);
	const c = await second.client({ token: down.token });
	assert.equal((await second.server.stop()).code, 0);
	stack.psql(`select millrace.revoke_session('${down.sessionId}')`);
	second.server = await serve(secondArgs);
	second.url = await second.server.ready();
	await refused(s.token, second);
	await refused(down.token, second);
	await works(fine.token, second);
	c.connect();
	await c.opened;
	c.hello();
	assert.equal((await c.errorAfter(0)).error.code, "session_revoked");
	c.close();
});

test("Postgres crashes: what was revoked stays so, and what is revoked after it ends too", async () => {
	const [before, after, fine] = [await signIn("crash"), await signIn("crash"), await signIn("crash")];
	await signOut(before.token);
	await soon(before.token, second);
	const c = await second.client({ token: after.token });
	process.kill(Number(stack.psql("select pid from pg_stat_activity where backend_type = 'walwriter'")), "SIGKILL");
	await until("Postgres again", async () => (await second.call("items.whoami", {}, bearer(fine.token)).catch(() => ({}))).status === 200);
	await until("a call", async () => (await stack.call("sessions.revoke", { id: after.sessionId })).status === 200);
	await ended(c);
	for (const at of [stack, second]) {
		await refused(before.token, at);
		await soon(after.token, at);
		await until("the other", async () => (await at.call("items.mine", {}, bearer(fine.token))).status === 200);
	}
	c.close();
});

test("very many at once are read anew, and what is over is forgotten", async () => {
	const s = await signIn("bulk");
	const tabs = await Promise.all([stack, second].map((at) => at.client({ token: s.token })));
	stack.psql(`insert into millrace.revocation (id, until) select millrace.uuid_v7(), now() - interval '2 days' from generate_series(1, 1500)`);
	stack.psql(`begin; insert into millrace.revocation (id, until) select millrace.uuid_v7(), now() + interval '1 day' from generate_series(1, 1500); select millrace.revoke_session('${s.sessionId}'); commit`);
	await Promise.all(tabs.map((c) => ended(c)));
	stack.psql("select millrace.retain_sessions(100000)");
	assert.equal(stack.psql(`select count(*) from millrace.revocation where until < now() - interval '1 day'`), "0");
	await refused(s.token, second);
	for (const c of tabs) c.close();
});

test("whoever is meant is found at once, however many others are connected: by session, by user; all his, and nobody else", async () => {
	const crowd = await Promise.all(Array.from({ length: 30 }, (_, i) => stack.client({ token: stack.token(`crowd${i}`, { iat: Date.now() / 1000 - 5 }) })));
	const [one, two, three] = [await signIn("meant"), await signIn("meant"), await signIn("meant")];
	const tabs = await Promise.all([one, one, two, three].map(({ token }) => stack.client({ token })));
	const mixed = await stack.client({ token: stack.token("crowd7", { iat: Date.now() / 1000 - 5 }) });
	const looks = async () => await stack.metric("millrace_revocation_looks_total");
	for (let seen = -1; seen !== (await looks()); await sleep(300)) seen = await looks(); // what was there before is read to its end
	const before = await looks();
	assert.equal((await stack.call("sessions.revoke", { id: one.sessionId })).json.value, true);
	await Promise.all(tabs.slice(0, 2).map((c) => ended(c)));
	assert.equal((await looks()) - before, 2, "of that session");
	mixed.send({ t: "auth", token: three.token }); // who a socket is may change
	await until("him there", () => mixed.messages.filter((m) => m.t === "welcome").at(-1).user === "meant");
	tabs[3].close();
	await sleep(100);
	const from = mixed.messages.length;
	assert.equal((await stack.call("sessions.revokeAll", { user: "meant" })).status, 200);
	await Promise.all([ended(tabs[2]), ended(mixed, from)]);
	assert.equal((await looks()) - before, 4, "of that user, as far as they are connected");
	assert.equal((await stack.call("sessions.revokeAll", { user: "crowd7" })).status, 200);
	await ended(crowd[7]);
	assert.equal((await looks()) - before, 5);
	assert.deepEqual(crowd.filter((c) => c.messages.some((m) => m.t === "expiry")), [crowd[7]]);
	for (const c of [...crowd, ...tabs, mixed]) c.close();
});

const memory = () => ({ storage: { tab: memoryStore(), device: memoryStore() }, WebSocket });
test("the SDK: sessionAuth keeps and renews the token; signOut ends it here and on the server", async () => {
	const store = memoryStore(), auth = sessionAuth({ url: stack.url, storage: store });
	const client = createClient({ url: stack.url, ...memory() });
	const told = [];
	client.setAuth(auth, (is) => told.push(is));
	client.connect();
	await until("nobody", () => told.at(-1) === false);
	const session = await client.mutation(functionRef("sessions.signIn"), { user: "sdk", ms: 3000 });
	auth.signIn(session);
	client.setAuth(auth, (is) => told.push(is));
	await until("signed in", () => told.at(-1) === true);
	await sleep(4000);
	assert.equal(told.at(-1), true, "renewed in time");
	assert.equal(await client.query(functionRef("items.mine"), {}), "diary of sdk");
	const kept = createClient({ url: stack.url, ...memory() });
	kept.setAuth(sessionAuth({ url: stack.url, storage: store }));
	await until("the same device", async () => (await kept.query(functionRef("items.whoami"), {})) === "sdk");
	await client.signOut();
	await until("nobody", () => told.at(-1) === false);
	assert.equal(await client.query(functionRef("items.whoami"), {}), null);
	await until("the other tab too", async () => (await kept.query(functionRef("items.whoami"), {})) === null);
	assert.ok(stack.psql(`select "revokedAt" from millrace.session where id = '${session.sessionId}'`));
	assert.equal(auth.current(), null);
	client.close();
	kept.close();
});

test("the SDK: a session that is revoked elsewhere: the source is asked once, and then nobody", async () => {
	const session = await signIn("kick");
	const asked = [];
	const client = createClient({ url: stack.url, ...memory() });
	let is;
	client.setAuth(({ forceRefreshToken }) => (asked.push(forceRefreshToken), session.token), (now) => (is = now));
	client.connect();
	await until("signed in", () => is === true);
	const before = asked.length;
	stack.psql(`select millrace.revoke_session('${session.sessionId}')`);
	await until("nobody", () => is === false);
	await sleep(500);
	assert.deepEqual(asked.slice(before), [true]);
	assert.equal(await client.query(functionRef("items.whoami"), {}), null);
	const guest = createClient({ url: stack.url, ...memory() });
	const source = guestAuth({ url: stack.url, storage: memoryStore() });
	guest.setAuth(source);
	const first = await until("a guest", () => guest.query(functionRef("items.whoami"), {}));
	await guest.signOut();
	assert.equal(await guest.query(functionRef("items.whoami"), {}), null);
	guest.setAuth(source);
	assert.notEqual(await until("another", () => guest.query(functionRef("items.whoami"), {})), first);
	client.close();
	guest.close();
});

test("auth_token_max_age: no token is good for longer, and what is revoked of a user is forgotten when its tokens are too old", async () => {
	const now = Date.now() / 1000;
	const rows = () => stack.rows(`select "userId" from millrace.revocation where "userId" like 'aged%' order by 1`).map((r) => r.userId);
	stack.psql(`insert into millrace.revocation (id, "userId", before) values (millrace.uuid_v7(), 'aged out', now() - interval '27 hours'), (millrace.uuid_v7(), 'aged in', now() - interval '25 hours')`);
	const forget = () => stack.psql("select millrace.retain_sessions(100)");
	forget();
	assert.deepEqual(rows(), ["aged in", "aged out"], "kept where tokens may be of any age");
	await works(stack.token("old", { iat: now - 90000, exp: now + 90000 }), second);
	assert.equal((await second.server.stop()).code, 0);
	stack.psql(`insert into millrace.revocation (id, "userId", before) select millrace.uuid_v7(), 'crowd ' || i, now() from generate_series(1, 10000) i`);
	const told = /warn .*the tokens of 10\d\d\d users are revoked, and that is kept for ever, .* set auth_token_max_age/g;
	second.server = await serve(secondArgs);
	second.url = await second.server.ready();
	await works(stack.token("new", { iat: now, exp: now + 100 }), second);
	assert.equal((await second.server.stop()).code, 0);
	assert.equal(second.server.err.match(told)?.length, 1, second.server.err);
	const wrong = await serve([...secondArgs, "--auth-token-max-age", "59m"]);
	await assert.rejects(wrong.ready(), /auth_session_time is longer than auth_token_max_age/);
	second.server = await serve([...secondArgs, "--auth-guest-time", "1h", "--auth-token-max-age", "2h", "--auth-leeway", "0"]);
	second.url = await second.server.ready();
	const code = async (more) => (await second.call("items.mine", {}, bearer(stack.token("aged", more)))).code;
	assert.deepEqual([await code({ iat: now - 100 }), await code({ iat: now - 7300, exp: now + 90000 }), await code({}), await code({ iat: now + 100 })], [undefined, "token_expired", "bad_token", "bad_token"]);
	const c = await second.client({ token: stack.token("aged", { iat: Date.now() / 1000 - 7198, exp: now + 90000 }) });
	await c.until("its end by its age", () => c.messages.some((m) => m.t === "expiry" && m.in === 0));
	c.close();
	await works((await signIn("aged")).token, second);
	assert.doesNotMatch(second.server.err, told);
	forget();
	assert.deepEqual(rows(), ["aged in"], "a day after the last token from before it has become too old");
});

test("the end", async () => {
	assert.equal((await second.server.stop()).code, 0);
	assert.equal((await stack.stop()).code, 0);
});

await run();
