// The runtime against a fake host: the operations it asks for, and how calls end.

import assert from "node:assert/strict";
import test from "node:test";
import { register } from "millrace/runtime";
import { httpAction, httpRouter, policy } from "millrace/server";
import * as app from "./app/app";
import * as joinWaitlist from "./app/functions/joinWaitlist";
import * as messages from "./app/functions/messages";
import * as nested from "./app/functions/nested";

interface Entry {
	manifest(): string;
	call(n: number, fn: string, args: string, env: string): void;
	settle(op: number, ok: boolean, json: string): void;
	rejected(n: number, promise: Promise<unknown>, reason: unknown): void;
	forget(n: number): void;
}
/** What the engine says after each slice, Node says when it has run all that could. */
async function asInAnEngine<T>(work: () => Promise<T>): Promise<T> {
	const before = process.listeners("unhandledRejection");
	process.removeAllListeners("unhandledRejection");
	process.on("unhandledRejection", (reason, promise) => entry.rejected(lastCall, promise, reason));
	try {
		return await work();
	} finally {
		await new Promise((resolve) => setTimeout(resolve, 5));
		process.removeAllListeners("unhandledRejection");
		for (const listener of before) process.on("unhandledRejection", listener);
	}
}
interface Done {
	ok: boolean;
	value: unknown;
}
type Answer = unknown | ((json: unknown) => unknown);

const ops: { n: number; kind: string; json: unknown }[] = [];
const done = new Map<number, (result: Done) => void>();
const looked: number[] = [];
let answers: Answer[] = [];
let lastOp = 0;
Object.assign(globalThis, {
	__host: {
		op(n: number, kind: string, json: string): number {
			ops.push({ n, kind, json: JSON.parse(json) });
			const op = ++lastOp;
			const answer = answers.shift() ?? null;
			const failed = typeof answer === "object" && answer !== null && "code" in answer;
			setTimeout(() => entry.settle(op, !failed, JSON.stringify(answer)), 1);
			return op;
		},
		done: (n: number, ok: boolean, json: string) => done.get(n)?.({ ok, value: JSON.parse(json) }),
		log: () => undefined,
		identity: (n: number) => void looked.push(n),
	},
});
register({ app, modules: { messages, nested, joinWaitlist, "admin/users": { list: messages.all, helper: messages.helper } } });
const entry = (globalThis as unknown as { __millrace: Entry }).__millrace;

let lastCall = 0;
function call(fn: string, args: unknown, env: object = {}, given?: Answer[]): Promise<Done> {
	if (given) answers = given;
	ops.length = 0;
	const n = ++lastCall;
	return new Promise((resolve) => {
		done.set(n, resolve);
		const text = typeof args === "string" ? args : JSON.stringify(args);
		entry.call(
			n,
			fn,
			text,
			JSON.stringify({ kind: "mutation", auth: { userId: "u1", org: "o" }, shared: false, now: 1234, seed: "s", depth: 4, most: 1 << 20, ...env }),
		);
	});
}
const ID = "01890000-0000-7000-8000-000000000001";
const asked = () => ops.map(({ kind, json }) => [kind, json]);

test("routes: declared wrongly they are refused where they stand, with a sentence", () => {
	const route = (more: object) => () => httpRouter().route({ path: "/a", method: "GET", handler: async () => new Response(), ...more } as never);
	const refused = (more: object, sentence: RegExp) => assert.throws(route(more), sentence);
	for (const path of ["/api/x", "/api", "/healthz", "/metrics"]) refused({ path }, /the server's own/);
	refused({ path: "a" }, /begins with a slash/);
	refused({ path: "/:1" }, /a parameter is :name/);
	refused({ path: "/:a/:a" }, /twice/);
	refused({ path: "/*/a" }, /last part/);
	refused({ path: "/a?b" }, /last part/);
	refused({ path: "/a/../b" }, /dots/);
	refused({ path: undefined, pathPrefix: "/a" }, /ends with a slash/);
	refused({ pathPrefix: "/a/" }, /a path or a pathPrefix/);
	refused({ method: "FETCH" }, /one or several of GET, HEAD/);
	refused({ method: [] }, /one or several of GET, HEAD/);
	refused({ handler: messages.all }, /a function of \(ctx, request\), or an httpAction/);
	refused({ cors: { origins: [] } }, /"\*" or a list/);
	refused({ cors: { origins: "*", credentials: true } }, /with credentials/);
	for (const origin of ["app.example", "https://app.example/", "https://App.example"]) refused({ cors: { origins: [origin] } }, /is no origin/);
	const http = httpRouter();
	http.route({ path: "/a/*", method: ["GET", "POST"], handler: httpAction(async () => new Response()) });
	assert.throws(() => http.route({ pathPrefix: "/a/", method: "POST", handler: () => new Response() }), /POST \/a\/ is there already/);
	const wrongPlace = /functions\/http.ts exports their router as default; functions\/messages exports one as http/;
	assert.throws(() => register({ app, modules: { messages: { http } } }), wrongPlace);
});

test("routes stand in the manifest, with the router's CORS where they say nothing else", () => {
	const http = httpRouter({ cors: { origins: ["https://a.example"] } });
	const handler = httpAction(async () => new Response());
	http.route({ path: "/a/:id", method: ["GET", "PUT"], handler });
	http.route({ pathPrefix: "/files/", method: "GET", handler, cors: { origins: "*", maxAge: 0 } });
	http.route({ path: "/b", method: "POST", handler, cors: false });
	const before = (globalThis as { __millrace?: unknown }).__millrace;
	register({ app, modules: { http: { default: http } } });
	const made = (globalThis as unknown as { __millrace: Entry }).__millrace;
	(globalThis as { __millrace?: unknown }).__millrace = before;
	assert.deepEqual((JSON.parse(made.manifest()) as { routes: unknown }).routes, [
		{ path: "/a/:id", methods: ["GET", "PUT"], cors: { origins: ["https://a.example"] } },
		{ path: "/files/*", methods: ["GET"], cors: { origins: "*", maxAge: 0 } },
		{ path: "/b", methods: ["POST"] },
	]);
	assert.equal("routes" in (JSON.parse(entry.manifest()) as object), false);
});

test("the manifest", () => {
	const m = JSON.parse(entry.manifest()) as { entities: unknown[]; policies: unknown; functions: { name: string }[] };
	assert.deepEqual(m.entities[1], {
		name: "Message",
		schema: "public",
		table: "Message",
		fields: [
			{ name: "channel", type: "uuid", references: "Channel", onDelete: "cascade" },
			{ name: "author", type: "string", owner: true },
			{ name: "body", type: "string" },
			{ name: "likes", type: "int", default: 0 },
			{ name: "createdAt", type: "datetime", defaultNow: true, readonly: true },
			{ name: "size", type: "bigint", optional: true },
			{ name: "meta", type: "json", optional: true },
			{ name: "secret", type: "string", optional: true, serverOnly: true },
		],
		indexes: [
			{ name: "by_author", fields: ["author"], unique: false },
			{ name: "by_channel", fields: ["channel", "createdAt"], unique: false },
		],
	});
	assert.deepEqual(m.policies, [
		{ entity: "Message", read: "true", insert: "data.author == auth.userId", update: "data.author == auth.userId" },
		{ entity: "Channel", read: "true", insert: "false" },
	]);
	const byName = new Map(m.functions.map((f) => [f.name, f]));
	assert.deepEqual(byName.get("messages.send"), {
		name: "messages.send",
		kind: "mutation",
		auth: "user",
		internal: false,
		isolation: "serializable",
	});
	assert.deepEqual(byName.get("joinWaitlist"), {
		name: "joinWaitlist",
		kind: "mutation",
		auth: "public",
		internal: false,
		isolation: "serializable",
	});
	assert.deepEqual(byName.get("joinWaitlist.status"), {
		name: "joinWaitlist.status",
		kind: "mutation",
		auth: "user",
		internal: false,
		isolation: "read committed",
	});
	assert.deepEqual(byName.get("messages.hidden"), { name: "messages.hidden", kind: "query", auth: "public", internal: true });
	assert.ok(byName.has("admin.users.list") && !byName.has("messages.helper"));
});

test("insert and its id; arguments are checked with their place", async () => {
	assert.deepEqual(await call("messages.send", { channel: ID, body: "hi" }, {}, [ID]), { ok: true, value: ID });
	assert.deepEqual(asked(), [["insert", { entity: "Message", value: { channel: ID, body: "hi", author: "u1" } }]]);
	assert.deepEqual(looked.slice(-1), [lastCall]);
	const refused = async (args: unknown, message: string) =>
		assert.deepEqual(await call("messages.send", args), { ok: false, value: { code: "bad_args", message } });
	await refused({ channel: ID }, "args.body: is missing, expected string");
	await refused({ channel: "x", body: "" }, "args.channel: expected id of Channel (a uuid), got string");
	await refused({ channel: ID, body: "", more: 1 }, "args.more: no such field is expected");
	await refused([], "args: expected object, got array");
	await refused('{"channel":{"$int":"x"}}', 'args: "$int" is not a value of the protocol');
	const items = await call("messages.refuse", { items: [{ price: 1 }, { price: "2" }] });
	assert.deepEqual(items.value, { code: "bad_args", message: "args.items[1].price: expected number, got string" });
});

test("a query over an index, rows in wire form", async () => {
	const { ok, value } = await call("messages.recent", { channel: ID, n: 3 }, { kind: "query" }, [[{ id: ID, size: { $int: "7" } }]]);
	assert.deepEqual([ok, value], [true, [{ id: ID, size: { $int: "7" } }]]);
	assert.deepEqual(asked(), [
		[
			"query",
			{
				entity: "Message",
				where: { channel: ID, createdAt: { $gt: "2026-01-01T00:00:00Z" } },
				order: [
					["channel", "desc"],
					["createdAt", "desc"],
				],
				limit: 3,
			},
		],
	]);
	assert.equal(looked.includes(lastCall), false, "nobody looked at the identity");
});

test("sql becomes text and parameters", async () => {
	await call("messages.perAuthor", { channel: "x'; --" }, {}, [[]]);
	assert.deepEqual(asked(), [
		["sql", { text: 'select author, count(*) from "Message" where channel = $1 and $2 group by author', params: ["x'; --", true] }],
	]);
});

test("patch, update, replace, delete, get", async () => {
	const result = await call("messages.write", { id: ID }, {}, [null, null, null, null, null]);
	assert.deepEqual(result, { ok: true, value: null });
	assert.deepEqual(asked(), [
		["patch", { entity: "Message", id: ID, value: { likes: 2, size: { $int: "5" } } }],
		["patch", { entity: "Message", id: ID, value: { createdAt: "1970-01-01T00:00:00.000Z" } }],
		["replace", { entity: "Message", id: ID, value: { channel: ID, author: "a", body: "b" } }],
		["delete", { entity: "Message", id: ID }],
		["get", { entity: "Message", id: ID }],
	]);
});

test("increments travel apart from values; rows are locked when asked for", async () => {
	assert.equal((await call("messages.like", { id: ID }, {}, [null, [], null, null])).ok, true);
	assert.deepEqual(asked(), [
		["get", { entity: "Message", id: ID, forUpdate: true }],
		["query", { entity: "Message", where: { likes: 0 }, order: [["id", "asc"]], limit: 1, forUpdate: true }],
		["patch", { entity: "Message", id: ID, value: { body: "liked" }, add: { likes: 1, size: { $int: "-5" } } }],
		["patch", { entity: "Message", id: ID, value: {}, add: { likes: 2 } }],
	]);
});

test("rule 18: identity: lazily, and a shared run that reaches for it ends", async () => {
	assert.deepEqual((await call("messages.whoami", {})).value, { me: "u1", identity: { userId: "u1", org: "o", subject: "u1", tokenIdentifier: "u1" } });
	const claims = { userId: "u1", iss: "https://x", given_name: "Ada", email: "a@x", email_verified: true, picture: "own", pictureUrl: "other", subject: "no" };
	const { userId, iss, given_name, email, email_verified, picture, pictureUrl } = claims;
	assert.deepEqual(((await call("messages.whoami", {}, { auth: claims })).value as { identity: unknown }).identity, {
		...{ userId, iss, given_name, email, email_verified, picture, pictureUrl },
		...{ subject: "u1", tokenIdentifier: "https://x|u1", issuer: "https://x", givenName: "Ada", emailVerified: true },
	});
	assert.deepEqual((await call("messages.whoami", {}, { auth: null })).value, { me: null, identity: null });
	const shared = await call("messages.whoami", {}, { auth: null, shared: true });
	assert.equal(shared.ok, false);
	assert.equal(looked.at(-1), lastCall);
});

test("time stands still and chance repeats with the seed", async () => {
	const [a, b, c] = [
		await call("messages.chance", {}),
		await call("messages.chance", {}),
		await call("messages.chance", {}, { seed: 17, now: 5 }),
	];
	assert.deepEqual(a.value, b.value);
	const [now, x, y] = c.value as [number, number, number];
	assert.equal(now, 5);
	assert.ok(x >= 0 && x < 1 && x !== y && x !== (a.value as number[])[1]);
});

test("how calls end badly", async () => {
	const value = async (...args: Parameters<typeof call>) =>
		(await call(...args)).value as { code: string; message: string; data?: unknown };
	assert.deepEqual(await value("messages.refuse", { items: [] }), {
		code: "app_error",
		message: "too many",
		data: { left: 0, code: "quota" },
	});
	const crash = await value("messages.crash", {});
	assert.deepEqual([crash.code, crash.message], ["function_failed", "TypeError: oops"]);
	assert.match((crash.data as { stack: string }).stack, /oops/);
	assert.equal((await value("no.such", {})).code, "unknown_function");
	assert.deepEqual(await value("messages.send", { channel: ID, body: "" }, {}, [{ code: "unique_violation", message: "taken" }]), {
		code: "unique_violation",
		message: "taken",
	});
	assert.match((await value("messages.promised", {})).message, /result: expected string, got number/);
	assert.match((await value("messages.strange", {})).message, /result\.f\.g\[0\]: a function cannot be sent/);
	assert.match((await value("messages.unique", {}, {}, [[{ id: "1" }, { id: "2" }]])).message, /more than one row of Channel/);
});

test("what was not awaited is part of the call all the same; what comes after its end is refused", () =>
	asInAnEngine(async () => {
		assert.deepEqual((await call("messages.unawaited", {}, {}, [null])).ok, true);
		assert.deepEqual(await call("messages.unawaited", {}, {}, [{ code: "forbidden", message: "no" }]), {
			ok: false,
			value: { code: "forbidden", message: "no" },
		});
		assert.deepEqual((await call("messages.late", {})).ok, true);
		await new Promise((resolve) => setTimeout(resolve, 20));
		assert.match((globalThis as { lateError?: string }).lateError ?? "", /after its function had ended/);
		assert.deepEqual(asked(), []);
	}));

test("a failure that nobody handled is the call's; one that is handled, early or late, is not", () =>
	asInAnEngine(async () => {
		const no = { code: "bad_value", message: "no" };
		const stray = (how: string, first: unknown = no) => call("messages.stray", { how }, {}, [first, null, null]);
		for (const how of ["alone", "all", "async", "then", "finally"]) assert.deepEqual(await stray(how), { ok: false, value: no }, how);
		for (const how of ["caught", "allCaught", "lateAwait", "lateCatch", "lateAll"]) assert.equal((await stray(how)).ok, true, how);
		assert.match(((await stray("own", null)).value as { message: string }).message, /^Error: of its own/);
	}));

test("a forgotten call goes no further and ends nowhere", async () => {
	let ended = false;
	void call("messages.write", { id: ID }, {}, [null, null, null, null, null]).then(() => (ended = true));
	entry.forget(lastCall);
	await new Promise((resolve) => setTimeout(resolve, 30));
	assert.equal(ended, false);
	assert.equal(ops.length, 1);
});

test("calls interleave", async () => {
	const other = ID.replace(/1$/, "2");
	const [a, b, c] = await Promise.all([
		call("messages.send", { channel: ID, body: "a" }, {}, [ID, other, [{ id: "x" }, { id: "y" }]]),
		call("messages.all", {}, { kind: "query" }),
		call("messages.send", { channel: ID, body: "b" }),
	]);
	assert.deepEqual([a.value, b.value, c.value], [ID, 2, other]);
});

test("wrong declarations end with a sentence", () => {
	assert.throws(
		() => register({ modules: { a: { x: messages.all, default: messages.all }, "a/x": { default: messages.all } } }),
		/two functions are named a\.x/,
	);
	policy("Nothing", { read: "true" });
	assert.throws(() => register({ modules: {} }), /names the entity "Nothing"/);
});

const part = (kind: string, level: number) => [kind, { level }];
const patchTo = (likes: number) => ["patch", { entity: "Message", id: ID, value: { likes } }];
const getIt = ["get", { entity: "Message", id: ID }];

test("mutations within a mutation are parts, one behind the other; what else the function asks for meanwhile waits", async () => {
	const { value } = await call("nested.both", { id: ID, first: 1, second: 2 }, {}, [1, null, 1, 1, null, 1, { id: ID, likes: 7 }, { likes: 2 }]);
	assert.deepEqual(asked(), [
		part("savepoint", 1),
		patchTo(1),
		part("release", 1),
		part("savepoint", 1),
		patchTo(2),
		part("release", 1),
		getIt,
		getIt,
	]);
	const [[first, second, row], likes] = value as [[{ random: number; user: string }, { random: number }, object], number];
	assert.equal(first.user, "u1");
	assert.notEqual(first.random, second.random);
	assert.deepEqual([row, likes], [{ id: ID, likes: 7 }, 2]);
	const again = await call("nested.both", { id: ID, first: 1, second: 2 }, {}, [1, null, 1, 1, null, 1, { id: ID, likes: 7 }, { likes: 2 }]);
	assert.deepEqual(again.value, value);
});

test("a part that fails is taken back, and its error is the caller's to handle", async () => {
	const { ok, value } = await call("nested.both", { id: ID, first: 13, second: -1 });
	assert.deepEqual(asked(), [
		part("savepoint", 1),
		patchTo(13),
		part("restore", 1),
		part("savepoint", 1),
		part("restore", 1),
		getIt,
		getIt,
	]);
	assert.equal(ok, true);
	assert.deepEqual((value as unknown[][])[0]?.slice(0, 2), ["Not thirteen.", "args.likes: must be at least 0, is -1"]);
});

test("calls within calls end somewhere, and are of the right kind", async () => {
	assert.equal((await call("nested.down", { n: 3 }, { kind: "query" })).value, 3);
	assert.deepEqual((await call("nested.down", { n: 4 }, { kind: "query" })).value, {
		code: "call_depth",
		message: "nested.down would be more than 4 functions deep (max_call_depth).",
		data: { setting: "max_call_depth" },
	});
	const wrong = async (kind: string) => (await call("nested.wrong", { kind })).value as { code: string; message: string };
	assert.deepEqual(await wrong("nothing"), { code: "unknown_function", message: "No query function named no.such is loaded." });
	assert.deepEqual(await wrong("mutation"), { code: "unknown_function", message: "No query function named messages.send is loaded." });
});

test("a call within a call needs the user that it needs by itself", async () => {
	assert.equal((await call("nested.needy", {}, { kind: "query", auth: null }, [[]])).ok, false);
	assert.equal((await call("nested.needy", {}, { kind: "query" }, [[1, 2]])).value, 2);
	const before = looked.length;
	const shared = (await call("nested.needy", {}, { kind: "query", auth: null, shared: true })).value as { code: string };
	assert.deepEqual([looked.length - before, shared.code], [1, "internal"]);
});

test("parts that nobody awaits belong to the call", async () => {
	assert.equal((await call("nested.forgotten", { id: ID })).value, null);
	assert.deepEqual(
		asked().map(([kind]) => kind),
		["savepoint", "patch", "release", "patch"],
	);
});

test("upsert looks for the row, locks it, and adds or changes it", async () => {
	const sought = ["query", { entity: "Message", where: { id: ID }, order: null, limit: 1, forUpdate: true, select: ["id"] }];
	const args = { key: { id: ID }, changes: { body: "b" }, others: { channel: ID, author: "a" } };
	assert.deepEqual(await call("nested.upsert", args, {}, [[], ID]), { ok: true, value: ID });
	const value = { channel: ID, author: "a", body: "b", size: { $int: "2" }, id: ID };
	assert.deepEqual(asked(), [sought, ["insert", { entity: "Message", value, key: ["id"] }]]);
	assert.deepEqual(await call("nested.upsert", args, {}, [[{ id: ID }], null]), { ok: true, value: ID });
	assert.deepEqual(asked(), [sought, ["patch", { entity: "Message", id: ID, value: { body: "b" }, add: { size: { $int: "2" } } }]]);
	const refused = async (key: object) => ((await call("nested.upsert", { ...args, key })).value as { message: string }).message;
	assert.match(await refused({ author: "a" }), /\(author\) is none of them/);
	assert.match(await refused({ id: null }), /Message.id is to be a value/);
});
