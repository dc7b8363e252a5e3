// Functions that call functions: parts of a mutation that are taken back alone, what is live through them, and who may not call them.
import assert from "node:assert/strict";
import { run, test } from "../lib/net_client.mjs";
import { Stack } from "../lib/stack.mjs";

const stack = await Stack.start();
const client = await stack.client();
const call = async (fn, args = {}) => {
	const { value, error } = await client.call(`nested.${fn}`, args);
	assert.equal(error, undefined, JSON.stringify(error));
	return value;
};
const kept = (grp) => stack.rows(`select note from "Item" where grp = '${grp}' order by n`).map((row) => row.note);

test("what fails is taken back alone, in whatever way it fails", async () => {
	const live = await client.live({ entity: "Item", where: { grp: "a" } });
	const fails = ["throws", "unique", "sql", "caught", "value", "error"];
	const steps = fails.flatMap((how, i) => [{ n: 10 * i }, { n: 10 * i + 1, fails: how }]);
	const { said, notes } = await call("steps", { grp: "a", steps });
	assert.deepEqual(said.filter((_, i) => i % 2 === 0), fails.map(() => "done"));
	assert.deepEqual(said.filter((_, i) => i % 2 === 1), ["thrown", "unique_violation", "sql_error", "sql_error", "bad_value", "no"]);
	const whole = fails.map((_, i) => `step ${10 * i}!`);
	assert.deepEqual(notes, whole);
	assert.deepEqual(kept("a"), whole);
	await client.until("the same rows", () => live.rows.size === whole.length);
	assert.deepEqual([...live.rows.values()].map((row) => row.note).sort(), [...whole].sort());
});

test("parts within parts; parts that are begun together", async () => {
	const inner = { grp: "b", n: 2, fails: "sql", inner: { grp: "b", n: 3 } };
	const { said, notes } = await call("steps", { grp: "b", steps: [{ n: 1, inner }, { n: 4, inner: { grp: "b", n: 5 } }, { n: 6, fails: "throws", inner: { grp: "b", n: 7 } }] });
	assert.deepEqual([said, notes], [["done", "done", "thrown"], ["step 1!", "step 4!", "step 5!"]]);
	const many = Array.from({ length: 20 }, (_, n) => (n % 3 === 1 ? { n, fails: n % 2 ? "sql" : "error" } : { n }));
	const together = await call("steps", { grp: "c", steps: many, together: true });
	assert.deepEqual(together.notes, many.filter((one) => !one.fails).map(({ n }) => `step ${n}!`));
	assert.deepEqual(kept("c"), together.notes);
});

test("a call that fails keeps nothing of its parts", async () => {
	const { error } = await client.call("nested.steps", { grp: "d", steps: [{ n: 1 }, { n: 2, fails: "sql" }], throws: true });
	assert.equal(error.code, "function_failed");
	assert.deepEqual(kept("d"), []);
});

test("what fails unseen fails its function, and a part is taken back for it", async () => {
	const fails = [["unique", "unique_violation"], ["unique early", "unique_violation"], ["value", "bad_value"], ["value early", "bad_value"], ["where", "unknown_field"]];
	for (const [how, code] of fails) {
		const { error } = await client.call("strays.alone", { grp: `s ${how}`, how });
		assert.equal(error?.code, code, `${how}: ${JSON.stringify(error)}`);
		assert.deepEqual(kept(`s ${how}`), [], how);
	}
	for (const [how, code] of fails) {
		const { value, error } = await client.call("strays.within", { grp: `w ${how}`, how });
		assert.equal(value, code, `${how}: ${JSON.stringify(error)}`);
		assert.deepEqual(kept(`w ${how}`).sort(), ["after", "before"], how);
	}
});

test("what is taken back is told to nobody, and counts go on from before", async () => {
	stack.psql(`insert into "Counter" (name, n) values ('parts', 0)`);
	const [{ id }] = stack.rows(`select id from "Counter" where name = 'parts'`);
	const live = await client.live({ entity: "Counter", where: { id } });
	const seen = new Set();
	const done = await Promise.all(Array.from({ length: 25 }, () => call("tries", { id })));
	assert.deepEqual(done.sort((a, b) => a - b), Array.from({ length: 25 }, (_, i) => 2 * i + 2));
	await client.until("all counted", () => {
		const row = live.rows.get(id);
		seen.add(`${row?.name} ${(row?.n ?? 0) % 2}`);
		return row?.n === 50;
	});
	assert.deepEqual([...seen], ["parts 0"]);
	assert.deepEqual(stack.rows(`select name, n from "Counter" where id = '${id}'`), [{ name: "parts", n: 50 }]);
});

test("live through another function", async () => {
	const live = await client.live({ fn: "nested.summary", args: { grp: "e" } });
	await client.until("nothing", () => live.value === "");
	await call("steps", { grp: "e", steps: [{ n: 1 }, { n: 2, fails: "throws" }] });
	await client.until("one", () => live.value === "step 1!");
	stack.psql(`insert into "Item" (grp, n, note) values ('e', 3, 'psql')`);
	await client.until("two", () => live.value === "step 1!,psql");
});

test("rule 18: who looks at the caller through another function has a run of his own", async () => {
	const nobody = await client.live({ fn: "nested.mine", args: {} });
	const ann = await stack.client({ token: stack.token("ann") });
	const hers = await ann.live({ fn: "nested.mine", args: {} });
	await client.until("each his own", () => nobody.value === null && hers.value === "ann");
});

test("calls end somewhere, and internal functions are not for callers", async () => {
	assert.equal(await call("down", { n: 15 }), 15);
	const { error } = await client.call("nested.down", { n: 16 });
	assert.deepEqual([error.code, error.data], ["call_depth", { setting: "max_call_depth" }]);
	for (const name of ["nested.step", "nested.notes"]) assert.equal((await client.call(name, { grp: "x", n: 1 })).error.code, "unknown_function");
});

test("a clean end", () => stack.stop());
await run();
