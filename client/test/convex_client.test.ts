// The client of a ported app, over a scripted socket: when it connects, and what it tells of its connection.

import assert from "node:assert/strict";
import test from "node:test";
import { functionRef } from "millrace";
import { ConvexClient } from "millrace/convex/browser";
import { ConvexReactClient, type ConvexClientOptions } from "millrace/convex/react";
import { FakeSocket } from "./fake.js";

const settle = () => new Promise((resolve) => setTimeout(resolve, 5));
const count = functionRef<"query", Record<never, never>, number>("notes.count");
const add = functionRef<"mutation", Record<never, never>, number>("notes.add");
const mail = functionRef<"action", Record<never, never>, number>("notes.mail");

function make(options: ConvexClientOptions = {}) {
	const sockets: FakeSocket[] = [];
	class Socket extends FakeSocket {
		constructor(url: string, protocols: string[]) {
			super(url, protocols);
			sockets.push(this);
		}
	}
	const client = new ConvexReactClient("http://x", { webSocketConstructor: Socket as never, ...options });
	return { client, sockets };
}

test("expectAuth: nothing is sent before there is a token, and then that comes first", async () => {
	const { client, sockets } = make({ expectAuth: true });
	const stop = client.watchQuery(count).onUpdate(() => undefined);
	const sent = client.mutation(add);
	await settle();
	client.setAuth(async () => null);
	client.clearAuth();
	await settle();
	assert.equal(sockets.length, 0);
	const said: boolean[] = [];
	client.setAuth(async () => "token", (is) => said.push(is));
	await settle();
	assert.equal(sockets.length, 1);
	sockets[0]?.open();
	await settle();
	sockets[0]?.welcome("ann");
	await settle();
	const [hello, ...rest] = sockets[0]?.take() ?? [];
	assert.deepEqual([hello?.t, (hello as { token?: string }).token, said], ["hello", "token", [true]]);
	assert.deepEqual(rest.map(({ t }) => t).sort(), ["call", "subscribe"]);
	stop();
	await client.close();
	await assert.rejects(sent);
});

test("the state of the connection, and of calls under way", async () => {
	const { client, sockets } = make();
	const seen: (readonly [boolean, number, number, number])[] = [];
	const stop = client.subscribeToConnectionState((s) => seen.push([s.isWebSocketConnected, s.connectionRetries, s.inflightMutations, s.inflightActions]));
	const before = Date.now();
	assert.deepEqual(client.connectionState(), {
		isWebSocketConnected: false,
		hasEverConnected: false,
		connectionCount: 0,
		connectionRetries: 0,
		hasInflightRequests: false,
		timeOfOldestInflightRequest: null,
		inflightMutations: 0,
		inflightActions: 0,
	});
	const calls = [client.mutation(add), client.action(mail)];
	await settle();
	sockets[0]?.die();
	await new Promise((resolve) => setTimeout(resolve, 1500)); // it waits for a moment
	assert.ok(sockets.length >= 2, `${sockets.length}`);
	assert.equal(client.connectionState().connectionRetries, sockets.length - 1);
	const last = sockets.at(-1) as FakeSocket;
	last.open();
	await settle();
	last.welcome();
	await settle();
	const state = client.connectionState();
	assert.deepEqual([state.isWebSocketConnected, state.connectionRetries, state.connectionCount, state.inflightMutations, state.inflightActions], [true, 0, 1, 1, 1]);
	assert.ok(state.timeOfOldestInflightRequest && state.timeOfOldestInflightRequest.getTime() >= before && state.timeOfOldestInflightRequest.getTime() <= before + 1000);
	for (const message of last.take()) if (message.t === "call" || message.t === ("action" as never)) last.say({ t: "reply", id: (message as { id: string }).id, value: 7 } as never);
	assert.deepEqual(await Promise.all(calls), [7, 7]);
	await settle();
	assert.deepEqual([client.connectionState().hasInflightRequests, client.connectionState().timeOfOldestInflightRequest], [false, null]);
	assert.deepEqual(seen.at(-1), [true, 0, 0, 0]);
	stop();
	await client.close();
});

test("verbose tells a logger of the connection, false tells nobody", async () => {
	const said: string[] = [];
	const tell = (...args: unknown[]) => void said.push(args.join(" "));
	const { client, sockets } = make({ verbose: true, logger: { logVerbose: tell, log: tell, warn: tell, error: tell } });
	const stop = client.watchQuery(count).onUpdate(() => undefined);
	await settle();
	sockets[0]?.open();
	await settle();
	sockets[0]?.welcome("ann");
	await settle();
	assert.ok(said.some((line) => line === "millrace: connected, as ann"), said.join("\n"));
	stop();
	await client.close();
});

test("onUpdate calls back with each result, and with what the function threw", async () => {
	const sockets: FakeSocket[] = [];
	class Socket extends FakeSocket {
		constructor(url: string, protocols: string[]) {
			super(url, protocols);
			sockets.push(this);
		}
	}
	const client = new ConvexClient("http://x", { webSocketConstructor: Socket as never });
	const seen: unknown[] = [];
	const stop = client.onUpdate(count, {}, (n) => seen.push(n), (e) => seen.push(e.message));
	await settle();
	const socket = sockets[0]?.open();
	await settle();
	socket?.welcome();
	await settle();
	const id = (socket?.take().find(({ t }) => t === "subscribe") as { id: number } | undefined)?.id;
	socket?.say({ t: "error", re: id, error: { code: "function_failed", message: "no" } } as never);
	await settle();
	assert.deepEqual([seen, stop.getCurrentValue], [["no"], stop.getCurrentValue]);
	assert.throws(() => stop.getCurrentValue(), /no/);
	stop.unsubscribe();
	await client.close();
});
