// `millrace check`: the apps here are right, and what would deny everything in silence is told.
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { millrace, remove, ROOT, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";

const home = temporary("check");
const check = (app) => millrace(["check", "--app-dir", app, "--data-dir", join(home, "data")]);

/** A copy of the app, with pieces of a file replaced. */
function copy(source, file, ...changes) {
	const app = join(home, "app");
	remove(app);
	cpSync(join(ROOT, source), app, { recursive: true });
	let text = readFileSync(join(app, file), "utf8");
	for (const [from, to] of changes) {
		assert.ok(text.includes(from), from);
		text = text.replace(from, to);
	}
	writeFileSync(join(app, file), text);
	return app;
}

for (const source of ["tests/flow/stack_app", "tests/checker/app", "examples/chat", "examples/waitlist", "examples/convex-chat"])
	test(`${source} is right`, () => {
		const { status, err } = check(copy(source, "app.ts"));
		assert.equal(status, 0, err);
	});

test("mistakes in policies, rules and types are listed, all at once", () => {
	const app = copy(
		"tests/flow/stack_app",
		"app.ts",
		['policy(Task, { read: true, insert: true, update: true });', `policy(Task, { read: "data.state == 'opne' || data.points in [50, 101]", insert: "data.titel == auth.userId" });`],
		['{ unique: true, where: { state: "open" } }', '{ unique: true, where: { state: "shut" as never } }'],
		["policy(Item, { read: true });", 'policy(Item, { insert: "exists(Task, title == data.grp && state == \'dun\')" });'],
	);
	writeFileSync(join(app, "functions", "wrong.ts"), 'import { query } from "../_generated/server";\nexport const wrong = query((ctx) => ctx.db.query("Task").where({ state: "opne" }));\n');
	const { status, err } = check(app);
	assert.equal(status, 1);
	for (const said of [
		/^The read policy of Task compares Task\.state with 'opne', which it never is/m,
		/^The read policy of Task compares Task\.points with '101', which it never is/m,
		/^insert: The policy of Task does not compile at character 13: Task has no field "titel"/m,
		/^The index one_open of Task compares Task\.state with 'shut'/m,
		/^The insert policy of Item compares Task\.state with 'dun'/m,
		/^Note: Item has policies for writes and none for reading/m,
		/^functions\/wrong\.ts\(2,\d+\): error TS2322/m,
		/The app has mistakes; they are listed above/,
	])
		assert.match(err, said);
	assert.ok(!/'50'/.test(err));
});

test("an app that does not build is told as ever", () => {
	const { status, err } = check(copy("tests/flow/stack_app", "app.ts", ['import { entity,', 'import { entitee,']));
	assert.equal(status, 1);
	assert.match(err, /app\.ts:4:21/);
});

const table = (app, text) => {
	writeFileSync(join(app, "policies.test.json"), typeof text === "string" ? text : JSON.stringify(text));
	return millrace(["policy", "test", "--app-dir", app, "--data-dir", join(home, "data")]);
};
const ann = { userId: "ann" }, lead = { userId: "lea" };
const given = {
	Seat: [
		{ user: "ann", room: "r", role: "guest" },
		{ user: "lea", room: "r", role: "lead" },
		{ user: "bob", room: "r" },
	],
	Ban: [{ user: "bob", room: "r" }],
};

test("a table of who may do what", () => {
	const app = copy("tests/flow/stack_app", "app.ts");
	const post = { entity: "Post", row: { room: "r", author: "ann" } };
	const right = [
		{ ...post, as: ann, may: ["read", "insert"], mayNot: ["update", "delete"] },
		{ ...post, as: lead, may: ["read", "update", "delete"], mayNot: ["insert"] },
		{ ...post, as: { userId: "bob" }, mayNot: ["read", "update", "delete", "insert"] },
		{ ...post, as: null, mayNot: ["read", "insert"] },
		{ ...post, as: lead, row: { room: "elsewhere" }, mayNot: ["read", "insert", "update"] },
		{ ...post, as: lead, to: { room: "elsewhere" }, mayNot: ["update"] },
		{ entity: "Diary", as: ann, row: { owner: "ann" }, may: ["read", "insert", "update", "delete"] },
		{ entity: "Diary", as: ann, row: { owner: "ann" }, to: { owner: "bob" }, mayNot: ["update"] },
		{ entity: "Note", as: { userId: "zoe", roles: ["auditor"] }, row: { room: "r" }, may: ["read"], mayNot: ["insert"] },
	];
	const { status, out, err } = table(app, { given, cases: right });
	assert.deepEqual([status, out], [0, "9 of 9 cases hold\n"], err);
	const wrong = table(app, {
		given,
		cases: [
			right[0],
			{ ...post, as: ann, may: ["delete"] },
			{ ...post, as: lead, mayNot: ["read"] },
			{ entity: "Pots", as: ann, may: ["read"] },
			{ entity: "Post", as: ann, row: { rom: "r" }, may: ["read"] },
			{ entity: "Post", as: ann, row: {} },
			{ ...post, as: ann, may: ["raed"] },
		],
	});
	assert.equal(wrong.status, 1);
	for (const said of [
		/^case 2 \(ann, Post\): may not delete$/m,
		/^case 3 \(lea, Post\): may read$/m,
		/^case 4 \(ann, \?\): no entity named "Pots" is declared$/m,
		/^case 5 \(ann, Post\): Post has no field "rom"$/m,
		/^case 6 \(ann, Post\): it says neither "may" nor "mayNot"$/m,
		/^case 7 \(ann, Post\): acts are read, insert, update, delete$/m,
		/^1 of 7 cases hold$/m,
	])
		assert.match(wrong.err, said);
	for (const [text, said] of [["{", /Not valid JSON/], ["{}", /There are no cases/], [{ cases: [7] }, /no entity named/]]) {
		const bad = table(app, text);
		assert.equal(bad.status, 1);
		assert.match(bad.err, said);
	}
});

test("the end", () => remove(home));
await run();
