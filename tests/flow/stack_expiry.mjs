// Tokens that end while clients are connected: told before, renewed without anything being run or sent again, or else the caller is nobody.
import assert from "node:assert/strict";
import { createClient, functionRef, guestAuth, memoryStore } from "../../client/dist/index.js";
import { seconds } from "../lib/issuer.mjs";
import { run, test } from "../lib/net_client.mjs";
import { Events, sleep, Stack, until, uuid, WebSocket } from "../lib/stack.mjs";

const stack = await Stack.start(["--auth-leeway", "0", "--auth-notice", "1200ms", "--auth-guest-time", "3s", "--fanout-threads", "2"]);
stack.psql(`insert into "Item" (id, grp, n) values ('${uuid()}', 'e', 1)`);
stack.psql(`insert into "Diary" (id, owner, text) values ('${uuid()}', 'ann', 'mine')`);

/** Good for so many seconds, give or take one. */
const token = (sub, life, more = {}) => stack.token(sub, { exp: seconds() + life, iat: seconds(), jti: uuid(), ...more });
const ITEMS = { entity: "Item", where: { grp: "e" } }, COUNT = { fn: "items.count", args: { grp: "e" } };
const WHO = { fn: "items.whoami", args: {} }, MINE = { fn: "items.mine", args: {} }, DIARY = { entity: "Diary" };
const reruns = () => stack.metric("millrace_reruns_total");
const work = async () => (await stack.metric("millrace_readings_total")) + (await reruns());
const expiry = (client, test) => client.until("an expiry", () => client.messages.find((m) => m.t === "expiry" && test(m.in)));

/** A client who shows all of them, and what it was told of each since. */
async function shows(queries, options) {
	const client = await stack.client(options), live = [];
	for (const query of queries) live.push(await client.live(query));
	await until("rest", async () => {
		const before = await work();
		await sleep(150);
		return before === (await work());
	});
	return { client, live, bodies: () => live.map((l) => l.bodies) };
}

test("a token of the same caller in time: a welcome, and nothing else", async () => {
	const { client, live, bodies } = await shows([ITEMS, COUNT, WHO, MINE, DIARY], { token: token("ann", 3) });
	const left = (await expiry(client, (ms) => ms > 0)).in;
	assert.ok(left <= 2500, `told ${left} ms before`);
	const before = { bodies: bodies(), work: await work(), from: client.messages.length };
	client.send({ t: "auth", token: token("ann", 60) });
	await client.until("the welcome", () => client.messages.slice(before.from).find((m) => m.t === "welcome"));
	await sleep(2500); // the first one has ended meanwhile
	assert.deepEqual(client.messages.slice(before.from).filter((m) => m.t !== "transition" || m.b || m.q).map((m) => [m.t, m.user]), [["welcome", "ann"]]);
	assert.deepEqual(bodies(), before.bodies);
	assert.equal(await work(), before.work);
	assert.equal(live[2].value, "ann");
	assert.equal(client.closed, undefined);
	client.close();
});

test("no other token: nobody from then on, on the same socket; what is not bound to a user goes on untouched", async () => {
	const { client, live, bodies } = await shows([ITEMS, COUNT, WHO, MINE, DIARY], { token: token("ann", 2), encoding: "msgpack" });
	const before = { bodies: bodies(), reruns: await reruns(), from: client.messages.length };
	await expiry(client, (ms) => ms === 0);
	await client.until("nobody", () => live[2].value === null);
	const refused = client.messages.slice(before.from).filter((m) => m.t === "error").map((m) => [m.re, m.error.code]);
	assert.deepEqual(refused.sort(), [[live[3].id, "unauthenticated"], [live[4].id, "unauthenticated"]]);
	assert.equal(client.messages.slice(before.from).filter((m) => m.t === "welcome").at(-1).user, null);
	assert.deepEqual(bodies().slice(0, 2), before.bodies.slice(0, 2));
	assert.equal(await reruns(), before.reruns + 1, "only whoami was run, for nobody");
	assert.equal((await client.call("items.mine")).error.code, "unauthenticated");
	stack.psql(`insert into "Item" (id, grp, n) values ('${uuid()}', 'e', 2)`);
	await client.until("the new row", () => live[0].rows.size === 2 && live[1].value === 2);
	client.send({ t: "auth", token: token("ann", 60) });
	await client.until("ann again", () => live[2].value === "ann");
	assert.equal((await client.live(MINE)).value, "diary of ann");
	assert.equal((await client.live(DIARY)).rows.size, 1);
	assert.equal(client.closed, undefined);
	client.close();
});

test("rule 18: another caller on the same socket: queries that never looked who asks are neither run nor sent again", async () => {
	const { client, live, bodies } = await shows([ITEMS, COUNT, WHO], { token: token("ann", 60) });
	const before = { bodies: bodies(), reruns: await reruns() };
	client.send({ t: "auth", token: token("bob", 60) });
	await client.until("bob", () => live[2].value === "bob");
	assert.deepEqual(bodies().slice(0, 2), before.bodies.slice(0, 2));
	assert.equal(await reruns(), before.reruns + 1, "only whoami was run, for bob");
	stack.psql(`delete from "Item" where grp = 'e' and n = 2`);
	await client.until("the change", () => live[0].rows.size === 1 && live[1].value === 1);
	client.close();
});

test("a token with other claims is another caller: what is bound to a user is asked anew", async () => {
	const { client, live, bodies } = await shows([COUNT, WHO], { token: token("ann", 60) });
	const before = { bodies: bodies(), from: client.messages.length };
	client.send({ t: "auth", token: token("ann", 60, { role: "admin" }) });
	await client.until("an answer", () => client.messages.slice(before.from).some((m) => m.q?.some((q) => q.id === live[1].id)));
	assert.equal(bodies()[0], before.bodies[0]);
	assert.equal(live[1].value, "ann");
	client.close();
});

/** Those that wait for their own clients only run at one time. */
const apart = [];
let begun;
function together(name, body) {
	const i = apart.push(body) - 1;
	test(name, async () => {
		begun ??= apart.map((one) => one().then(() => undefined, (problem) => problem));
		const problem = await begun[i];
		if (problem) throw problem;
	});
}

together("a session that has expired is the caller's own: he may come back to it on another socket", async () => {
	const first = await stack.client({ token: token("ann", 1) });
	await expiry(first, (ms) => ms === 0);
	const second = await stack.client({ token: token("ann", 60), session: first.session });
	assert.equal(second.welcome.user, "ann");
	await first.until("its end", () => first.closed === 4001);
	const third = await stack.client({ token: token("bob", 60), session: second.session, hello: false });
	third.hello();
	await third.until("a refusal", () => third.messages.some((m) => m.error?.code === "forbidden") || second.closed);
	assert.equal(second.closed, undefined);
	second.close();
	third.close();
});

together("a stream of events ends with its token", async () => {
	const events = await Events.open(stack, WHO, { authorization: `Bearer ${token("ann", 2)}` });
	await until("the first value", () => events.events.length > 0);
	await until("the end", () => events.ended, 10);
	assert.equal(events.events.at(-1).json.error.code, "token_expired");
});

const who = functionRef("items.whoami"), mine = functionRef("items.mine");

/** The SDK with this fetcher, and all that it told. */
function sdk(fetcher) {
	const seen = { sockets: 0, forced: [], users: [], values: [], mine: [], told: [], errors: [] };
	class Counted extends WebSocket {
		constructor(...args) {
			super(...args);
			seen.sockets++;
		}
	}
	const client = createClient({ url: stack.url, WebSocket: Counted, storage: { tab: memoryStore(), device: memoryStore() }, onError: (e) => seen.errors.push(e.code) });
	client.setAuth(({ forceRefreshToken }) => {
		seen.forced.push(forceRefreshToken);
		return fetcher({ forceRefreshToken, n: seen.forced.length });
	}, (is) => seen.told.push(is));
	client.onStatus(({ user }) => user !== seen.users.at(-1) && seen.users.push(user));
	client.onUpdate(who, {}, (value) => seen.values.push(value));
	client.onUpdate(mine, {}, (value) => seen.mine.push(value), (error) => seen.mine.push(error.code));
	return { client, seen };
}

together("the SDK renews its token by itself, as often as it must, and the page sees nothing of it", async () => {
	const { client, seen } = sdk(() => token("ann", 2));
	await until("two renewals", () => seen.forced.length >= 3, 20);
	await sleep(200);
	assert.equal(seen.forced[0], false);
	assert.ok(seen.forced.slice(1).every((forced) => forced));
	assert.deepEqual([seen.values, seen.mine, seen.told, seen.errors], [["ann"], ["diary of ann"], [true], []]);
	assert.deepEqual(seen.users.filter((user) => user !== undefined), ["ann"]);
	assert.equal(seen.sockets, 1);
	client.close();
});

together("the SDK without another token becomes nobody, and somebody again by setAuth, on one socket", async () => {
	const { client, seen } = sdk(({ n }) => (n === 1 ? token("ann", 2) : null));
	await until("nobody", () => seen.values.at(-1) === null && seen.mine.at(-1) === "unauthenticated");
	assert.deepEqual([seen.values, seen.told], [["ann", null], [true, false]]);
	client.setAuth(() => token("bob", 60), (is) => seen.told.push(is));
	await until("bob", () => seen.values.at(-1) === "bob" && seen.mine.at(-1) === "diary of bob");
	assert.deepEqual(seen.told, [true, false, true]);
	assert.equal(seen.sockets, 1);
	client.close();
});

together("a guest stays the same guest, over renewals, connections and clients of one device", async () => {
	const storage = memoryStore(), { client, seen } = sdk(guestAuth({ url: stack.url, name: "Ada", storage }));
	await until("a renewal", () => seen.forced.length >= 2, 20);
	assert.equal(seen.values.length, 1);
	assert.match(seen.values[0], /^guest:/);
	assert.deepEqual([seen.told, seen.errors, seen.sockets], [[true], [], 1]);
	client.close();
	const again = sdk(guestAuth({ url: stack.url, storage }));
	await until("the guest", () => again.seen.values.length > 0);
	assert.deepEqual(again.seen.values, seen.values);
	again.client.close();
	const other = sdk(guestAuth({ url: stack.url, storage: memoryStore() }));
	await until("another guest", () => other.seen.values.length > 0);
	assert.notDeepEqual(other.seen.values, seen.values);
	other.client.close();
	await sleep(4200); // away for longer than the token is good
	const late = sdk(guestAuth({ url: stack.url, storage }));
	await until("a new guest", () => late.seen.values.length > 0);
	assert.match(late.seen.values[0], /^guest:/);
	assert.notDeepEqual(late.seen.values, seen.values);
	late.client.close();
});

test("a clean end", async () => {
	assert.equal((await stack.stop()).code, 0);
	assert.doesNotMatch(stack.server.err, /AddressSanitizer|runtime error|assert/i);
});

await run();
