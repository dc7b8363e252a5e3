import assert from "node:assert/strict";
import test from "node:test";
import { fake } from "./fake.js";
import { functionRef, type MillraceError } from "../src/index.js";

const send = functionRef<"mutation", Record<string, unknown>, string>("messages.send");
const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

async function refused(call: Promise<unknown>): Promise<[string, unknown]> {
	return call.then(
		() => ["done", undefined],
		(e: MillraceError) => [e.code, e.data],
	);
}

for (const encoding of ["json", "msgpack"] as const) {
	test(`what the server said it does not take is refused here and never sent (${encoding})`, async () => {
		const f = fake({ encoding });
		f.client.connect();
		await f.settle();
		const socket = f.last().open().welcome();
		socket.take();
		assert.deepEqual(await refused(f.client.mutation(send, { text: "x".repeat(1048576) })), ["too_large", { setting: "max_frame" }]);
		assert.deepEqual(await refused(f.client.mutation(send, { text: "\u00e9".repeat(524288) })), ["too_large", { setting: "max_frame" }]);
		assert.deepEqual(await refused(f.client.mutation(send, { deep: nested(63) })), ["bad_args", { setting: "max_depth" }]);
		assert.deepEqual(socket.take(), []);
		assert.equal(f.client.status.pending, 0);
		void f.client.mutation(send, { deep: nested(62), text: "x".repeat(1000000) }).catch(() => undefined);
		assert.equal(socket.take().length, 1);
	});

	test(`what went out before the limits were known ends with the welcome, not with one socket after the other (${encoding})`, async () => {
		const f = fake({ encoding });
		f.client.connect();
		await f.settle();
		const call = refused(f.client.mutation(send, { text: "x".repeat(1048576) }));
		const socket = f.last().open();
		assert.deepEqual(socket.take().map((m) => m.t), ["hello", "call"]);
		socket.welcome();
		socket.die();
		assert.deepEqual(await call, ["too_large", { setting: "max_frame" }]);
		const next = (await f.nth(2)).open();
		assert.deepEqual(next.take().map((m) => m.t), ["hello"]);
	});
}
