// Rows of adopted tables: ids that are numbers, and ids that are made of several columns.
import assert from "node:assert/strict";
import test from "node:test";
import { functionRef, isPending, type Row } from "../src/index.js";
import { idOf, keyText } from "../src/keys.js";
import { orderWithKey, rowComparator } from "../src/values.js";
import { fake } from "./fake.js";

const send = functionRef<"mutation", { readonly [k: string]: unknown }, unknown>("lines.send");

test("an id that is made of several values is a JSON list, whatever they hold", () => {
	assert.equal(keyText(["a", 7]), '["a",7]');
	assert.equal(keyText(["\"],\\", 2n ** 60n, true]), '["\\"],\\\\",1152921504606846976,true]');
	assert.equal(idOf(["no"], { no: 0 }), 0);
	assert.equal(idOf(["tenant", "no"], { tenant: "", no: 0 }), '["",0]');
	assert.equal(idOf(["tenant", "no"], { tenant: "a" }), undefined);
});

test("ties are broken by the fields of the key, in its order", () => {
	assert.deepEqual(orderWithKey([["qty", "desc"]], ["tenant", "no"]), [["qty", "desc"], ["tenant", "desc"], ["no", "desc"]]);
	assert.deepEqual(orderWithKey([["no", "asc"]], ["tenant", "no"]), [["no", "asc"], ["tenant", "asc"]]);
	assert.deepEqual(orderWithKey([["id", "desc"]], ["tenant", "no"]), [["tenant", "desc"], ["no", "desc"]]);
	assert.deepEqual(orderWithKey([["id", "desc"]], ["sku"]), [["id", "desc"]]);
	const rows: Row[] = [10, 9, 2].map((no) => ({ id: `["a",${no}]`, tenant: "a", no, qty: 1 }));
	const types = { id: "string", tenant: "string", no: "int", qty: "int" };
	assert.deepEqual(rows.sort(rowComparator([["qty", "asc"]], types, ["tenant", "no"])).map((row) => row["no"]), [2, 9, 10]);
	const numbers: Row[] = [10, 9, 2n ** 60n, 2].map((id) => ({ id }));
	assert.deepEqual(numbers.sort(rowComparator(undefined, { id: "int" })).map((row) => row.id), [2, 9, 10, 2n ** 60n]);
});

async function started(entity: string, ack: { types: Record<string, string>; key?: string[] }, rows: Row[]) {
	const f = fake();
	const seen: (readonly Row[])[] = [];
	f.client.onUpdate(entity, {}, (now) => seen.push(now));
	await f.settle();
	const socket = f.last().open().welcome();
	socket.take();
	socket.say({ t: "transition", n: 1, p: "p1", q: [{ id: 1, i: 7, k: "k1", ...ack }], b: [{ i: 7, h: "h1", rows }] });
	await f.settle();
	return { ...f, seen, socket };
}

test("rows whose ids are numbers enter, change and leave; optimistic ones too", async () => {
	const types = { id: "int", name: "string" };
	const { client, seen, socket, settle } = await started("Customer", { types }, [{ id: 10, name: "j" }, { id: 9, name: "i" }]);
	assert.deepEqual(seen.at(-1)?.map((row) => row.id), [9, 10]);
	socket.say({ t: "transition", n: 2, b: [{ i: 7, h: "h2", put: [{ id: 1, name: "a" }], patch: [[9, { name: "x" } as unknown as Row]], del: [10] }] });
	assert.deepEqual(seen.at(-1), [{ id: 1, name: "a" }, { id: 9, name: "x" }]);
	const done = client.mutation(send, {}, { optimistic: (tx) => (tx.update("Customer", 9 as never, { name: "y" }), tx.delete("Customer", 1 as never)) });
	await settle();
	assert.deepEqual(seen.at(-1), [{ id: 9, name: "y" }]);
	const call = socket.take().find((message) => message.t === "call");
	socket.say({ t: "transition", n: 3, r: [{ id: call?.t === "call" ? call.id : "", value: null }], b: [{ i: 7, h: "h3", patch: [[9, { name: "y" } as unknown as Row]], del: [1] }] });
	await done;
	assert.deepEqual(seen.at(-1), [{ id: 9, name: "y" }]);
	client.close();
});

test("an optimistic row of a key of several fields is the one that the server tells of then", async () => {
	const ack = { types: { id: "string", tenant: "string", no: "int", qty: "int" }, key: ["tenant", "no"] };
	const line = (no: number, qty: number): Row => ({ id: `["a",${no}]`, tenant: "a", no, qty });
	const { client, seen, socket, settle } = await started("Line", ack, [line(10, 1), line(9, 1)]);
	assert.deepEqual(seen.at(-1)?.map((row) => row["no"]), [9, 10]);
	let id: unknown;
	const done = client.mutation(send, {}, { optimistic: (tx) => (id = tx.insert("Line", { tenant: "a", no: 7, qty: 3 })) });
	await settle();
	assert.equal(id, '["a",7]');
	assert.deepEqual(seen.at(-1)?.map((row) => row["no"]), [7, 9, 10]);
	assert.ok(isPending(seen.at(-1)![0]!));
	const call = socket.take().find((message) => message.t === "call");
	socket.say({ t: "transition", n: 2, r: [{ id: call?.t === "call" ? call.id : "", value: id as string }], b: [{ i: 7, h: "h2", put: [line(7, 3)] }] });
	await done;
	assert.deepEqual(seen.at(-1), [line(7, 3), line(9, 1), line(10, 1)]);
	assert.ok(!isPending(seen.at(-1)![0]!));
	client.close();
});
