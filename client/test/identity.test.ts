import assert from "node:assert/strict";
import test from "node:test";
import { functionRef, type TokenFetcher } from "../src/index.js";
import { fake, type FakeSocket } from "./fake.js";

const count = functionRef<"query", { readonly [k: string]: unknown }, unknown>("messages.count");
const refusal = (fatal: boolean, code: "bad_token" | "token_expired" = "bad_token") =>
	({ t: "error", error: { code, message: "no" }, ...(fatal ? { fatal } : {}) }) as const;
const tokens = (socket: FakeSocket) => socket.take().flatMap((m) => (m.t === "hello" || m.t === "auth" ? [m.token ?? null] : []));

/** A fetcher that gives t1, t2, ..., and notes how it was asked. */
function counting() {
	const asked: boolean[] = [];
	const fetcher: TokenFetcher = async ({ forceRefreshToken }) => `t${asked.push(forceRefreshToken)}`;
	return { asked, fetcher };
}

async function signedIn(fetcher: TokenFetcher) {
	const told: boolean[] = [];
	const errors: string[] = [];
	const f = fake({ onError: (e) => errors.push(e.code) });
	f.client.setAuth(fetcher, (is) => told.push(is));
	f.client.connect();
	await f.settle();
	const socket = f.last().open();
	await f.settle();
	return { ...f, socket, told, errors };
}

test("setAuth: asked at the connection, told whether the caller is somebody", async () => {
	const { asked, fetcher } = counting();
	const { socket, told, client, nth, settle } = await signedIn(fetcher);
	assert.deepEqual(tokens(socket), ["t1"]);
	assert.deepEqual(told, []);
	socket.welcome("ann");
	socket.welcome("ann");
	assert.deepEqual(told, [true]);
	socket.die();
	const second = (await nth(2)).open();
	await settle();
	assert.deepEqual(tokens(second), ["t2"]);
	assert.deepEqual(asked, [false, false]);
	second.welcome("ann");
	client.clearAuth();
	assert.deepEqual(tokens(second), [null]);
	second.welcome(null);
	assert.deepEqual(told, [true, false]);
});

test("setAuth on a client that is connected signs in without another connection", async () => {
	const { fetcher } = counting();
	const f = fake();
	f.client.connect();
	await f.settle();
	const socket = f.last().open().welcome();
	assert.deepEqual(tokens(socket), [null]);
	f.client.setAuth(fetcher);
	await f.settle();
	assert.deepEqual(tokens(socket), ["t1"]);
	assert.equal(f.sockets.length, 1);
	assert.equal(f.stores.device.getItem("millrace:host:1:token"), null, "only what setToken gave is kept on the device");
});

test("before the token expires another is asked for and said; queries are not subscribed again", async () => {
	const { asked, fetcher } = counting();
	const { socket, client, settle, sockets } = await signedIn(fetcher);
	client.onUpdate(count, {}, () => undefined);
	socket.welcome("ann").take();
	socket.say({ t: "expiry", in: 30000 });
	await settle();
	assert.deepEqual(asked, [false, true]);
	assert.deepEqual(socket.take(), [{ t: "auth", token: "t2" }]);
	socket.welcome("ann");
	await settle();
	assert.deepEqual(socket.take(), []);
	assert.equal(sockets.length, 1);
});

test("a fetcher that gives the same token, or none, says nothing; when it has expired it is asked once more", async () => {
	const given: (string | null)[] = ["t", "t", null, "new"];
	const { socket, settle, told } = await signedIn(() => given.shift());
	assert.deepEqual(tokens(socket), ["t"]);
	socket.welcome("ann");
	for (let i = 0; i < 2; i++) {
		socket.say({ t: "expiry", in: 1000 });
		await settle();
		assert.deepEqual(tokens(socket), []);
	}
	socket.say({ t: "expiry", in: 0 }).welcome(null);
	assert.deepEqual(told, [true, false]);
	await settle();
	assert.deepEqual(tokens(socket), ["new"]);
	socket.welcome("ann");
	assert.deepEqual(told, [true, false, true]);
});

test("two refused tokens in a row leave the caller nobody, until the next connection", async () => {
	const { asked, fetcher } = counting();
	const { socket, nth, settle, errors, told } = await signedIn(fetcher);
	socket.say(refusal(true));
	const second = (await nth(2)).open();
	await settle();
	assert.deepEqual(tokens(second), ["t2"]);
	second.say(refusal(true, "token_expired"));
	const third = (await nth(3)).open();
	await settle();
	assert.deepEqual(tokens(third), [null]);
	third.welcome(null);
	assert.deepEqual(asked, [false, true]);
	assert.deepEqual(told, [false]);
	assert.deepEqual(errors, ["bad_token", "token_expired"]);
	third.die();
	const fourth = (await nth(4)).open();
	await settle();
	assert.deepEqual(tokens(fourth), ["t3"]);
});

test("a refused renewal is tried once more, and the connection stays", async () => {
	const { fetcher } = counting();
	const { socket, settle, sockets } = await signedIn(fetcher);
	socket.welcome("ann").take();
	socket.say({ t: "expiry", in: 1000 });
	for (let i = 0; i < 3; i++) {
		await settle();
		socket.say(refusal(false));
	}
	await settle();
	assert.deepEqual(tokens(socket), ["t2", "t3"]);
	assert.equal(sockets.length, 1);
});

test("a token that the keys do not know yet is kept, and said again on the next connection", async () => {
	const f = fake({ token: "t", onError: () => undefined });
	f.client.connect();
	await f.settle();
	f.last().open().say({ t: "error", error: { code: "keys_unavailable", message: "wait" }, fatal: true });
	const second = (await f.nth(2)).open();
	assert.deepEqual(tokens(second), ["t"]);
});

test("without a fetcher an expired token is forgotten, and said so", async () => {
	const errors: string[] = [];
	const f = fake({ onError: (e) => errors.push(e.code) });
	f.client.setToken("t");
	f.client.connect();
	await f.settle();
	const socket = f.last().open().welcome("ann");
	socket.say({ t: "expiry", in: 1000 });
	assert.equal(f.stores.device.getItem("millrace:host:1:token"), "t");
	socket.say({ t: "expiry", in: 0 }).welcome(null);
	assert.equal(f.stores.device.getItem("millrace:host:1:token"), null);
	assert.deepEqual(errors, ["token_expired"]);
	assert.equal(f.client.status.user, null);
	socket.die();
	const second = (await f.nth(2)).open();
	assert.deepEqual(tokens(second), [null]);
});

test("the last question counts: what is answered late is passed over", async () => {
	const answers: ((token: string) => void)[] = [];
	const fetcher: TokenFetcher = () => new Promise((resolve) => answers.push(resolve));
	const { socket, settle, client } = await signedIn(fetcher);
	answers[0]?.("first");
	await settle();
	assert.deepEqual(tokens(socket), ["first"]);
	socket.welcome("ann").say({ t: "expiry", in: 1000 }).say({ t: "expiry", in: 0 });
	answers[2]?.("third");
	await settle();
	answers[1]?.("second");
	await settle();
	assert.deepEqual(tokens(socket), ["third"]);
	socket.say({ t: "expiry", in: 1000 });
	client.clearAuth();
	answers[3]?.("fourth");
	await settle();
	assert.deepEqual(tokens(socket), [null]);
});

test("setAuth while the first fetcher is still asked: the second one greets", async () => {
	const first: ((token: string) => void)[] = [];
	const f = fake({ getToken: () => new Promise((resolve) => first.push(resolve)) });
	f.client.connect();
	await f.settle();
	f.last().open();
	f.client.setAuth(async () => "second");
	first[0]?.("first");
	await f.settle();
	assert.deepEqual(tokens(f.last()), ["second"]);
});
