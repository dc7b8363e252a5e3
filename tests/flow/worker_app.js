// The app of tests/flow/worker.c, with a small runtime of its own: what the host must do is seen without the SDK in between.
const waiting = new Map();
const fns = new Map();
const ask = (n) => (kind, json) => new Promise((resolve, reject) => waiting.set(__host.op(n, kind, JSON.stringify(json)), { resolve, reject }));

function define(kind, options, handlers) {
	for (const [name, handler] of Object.entries(handlers)) fns.set(name, { kind, handler, ...options });
}

// What is wrong with the world that a function finds; nothing, it is hoped.
async function checkPrelude() {
	const wrong = [];
	const is = (what, got, want) => { if (!Object.is(got, want)) wrong.push(`${what}: ${String(got)}, expected ${String(want)}`); };
	const throws = (what, f) => { try { f(); wrong.push(`${what} did not throw`); } catch {} };
	const NOW = 1750000000123;
	is("Date.now", Date.now(), NOW);
	is("new Date", new Date().getTime(), NOW);
	is("Date()", typeof Date(), "string");
	is("Date of parts", new Date(2020, 0, 2, 3).toISOString(), "2020-01-02T03:00:00.000Z");
	is("Date.UTC", Date.UTC(1970, 0, 1), 0);
	is("Date.parse", Date.parse("1970-01-01T00:00:01Z"), 1000);
	is("constructor", new Date(0).constructor, Date);
	is("instanceof", new Date() instanceof Date, true);
	is("subclass", new (class Own extends Date { own() { return this.getTime(); } })().own(), NOW);
	is("Intl", new Intl.DateTimeFormat("en", { timeZone: "UTC" }).format(), "6/15/2025");
	is("Intl parts", new Intl.DateTimeFormat("en", { timeZone: "UTC" }).formatToParts().length, 5);
	is("performance", performance.now(), 0);
	is("timeOrigin", performance.timeOrigin, NOW);
	const numbers = Array.from({ length: 1000 }, Math.random);
	is("random range", numbers.every((x) => x >= 0 && x < 1), true);
	is("random differs", new Set(numbers).size, 1000);
	is("random mean", Math.abs(numbers.reduce((a, b) => a + b) / 1000 - 0.5) < 0.05, true);
	is("uuid", /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()), true);
	is("random bytes", new Set(crypto.getRandomValues(new Uint8Array(4096))).size, 256);
	throws("too many bytes", () => crypto.getRandomValues(new Uint8Array(65537)));
	throws("floats", () => crypto.getRandomValues(new Float32Array(1)));
	const text = "a\u00e9\u20ac\u{1f600}";
	is("utf-8", Array.from(new TextEncoder().encode(text)).join(), "97,195,169,226,130,172,240,159,152,128");
	is("utf-8 back", new TextDecoder().decode(new TextEncoder().encode(text)), text);
	is("lone surrogate", new TextDecoder().decode(new TextEncoder().encode("\ud800")), "\ufffd");
	is("byte order mark", new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 65])), "A");
	is("overlong", new TextDecoder().decode(new Uint8Array([0xc0, 0x80, 0xe0, 0x80])), "\ufffd\ufffd\ufffd\ufffd");
	throws("fatal", () => new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xff])));
	throws("latin1", () => new TextDecoder("latin1"));
	const stream = new TextDecoder();
	is("stream", stream.decode(new Uint8Array([0xe2, 0x82]), { stream: true }) + stream.decode(new Uint8Array([0xac])), "\u20ac");
	is("cut off", new TextDecoder().decode(new Uint8Array([0xe2, 0x82])), "\ufffd");
	is("encodeInto", JSON.stringify(new TextEncoder().encodeInto("a\u20acb", new Uint8Array(3))), '{"read":1,"written":1}');
	for (const s of ["", "a", "ab", "abc", "\u00ff\u0000\u0001"]) is(`base64 of ${s.length}`, atob(btoa(s)), s);
	is("btoa", btoa("hello"), "aGVsbG8=");
	is("long base64", atob(btoa("xyz".repeat(50000))).length, 150000);
	throws("atob", () => atob("a"));
	throws("btoa of text", () => btoa("\u20ac"));
	const cycle = { list: [1, new Map([["k", new Set([1n])]])], when: new Date(5), bytes: new Uint8Array([1, 2]) };
	cycle.self = cycle;
	const copy = structuredClone(cycle);
	is("clone", copy !== cycle && copy.self === copy && copy.when.getTime() === 5 && copy.bytes[1] === 2 && copy.list[1].get("k").has(1n), true);
	is("clone of an error", structuredClone(new RangeError("x")) instanceof RangeError, true);
	throws("clone of a function", () => structuredClone({ f() {} }));
	let order = "";
	queueMicrotask(() => { order += "2"; });
	order += "1";
	await null;
	await null;
	is("queueMicrotask", order, "12");
	throws("eval", () => eval("1"));
	throws("Function", () => new Function("return 1"));
	throws("async Function", () => (async () => {}).constructor("return 1"));
	is("process", JSON.stringify(process), '{"env":{}}');
	for (const name of ["fetch", "setTimeout", "WebAssembly", "XMLHttpRequest", "require", "SharedArrayBuffer"])
		is(name, typeof globalThis[name], "undefined");
	is("time zone", new Date(0).getTimezoneOffset(), 0);
	return wrong;
}

let outside = 0; // survives between calls of one worker
let shared; // a promise that calls share

define("query", { auth: "public" }, {
	hello: (ctx, a) => ({ hello: a.name, now: Date.now(), random: Math.random(), id: crypto.randomUUID() }),
	counter: async (ctx, a) => (await ctx.ask("get", { entity: "Counter", id: a.id }))?.value ?? null,
	counters: (ctx) => ctx.ask("query", { entity: "Counter", where: { value: { $gte: 0 } }, order: [["value", "desc"]], limit: null }),
	sql: (ctx, a) => ctx.ask("sql", { text: a.text, params: a.params ?? [] }),
	who: (ctx) => ctx.who(),
	quiet: () => 7,
	bigResult: (ctx, a) => "x".repeat(a.n),
	deepResult: () => { let v = 1; for (let i = 0; i < 100; i++) v = [v]; return v; },
	badResult: (ctx) => { __host.done(ctx.n, true, "{broken"); return new Promise(() => {}); },
	writes: (ctx) => ctx.ask("insert", { entity: "Counter", value: { name: "no", value: 1 } }),
	plainLoop: () => { for (;;); },
	lateLoop: async (ctx) => { await ctx.ask("sql", { text: "select 1", params: [] }); for (;;); },
	promiseLoop: async () => { for (;;) await null; },
	regexp: () => { for (;;) /^(a|aa)+$/.test("a".repeat(60) + "b"); },
	eat: async () => { const all = []; for (;;) { all.push(new Uint8Array(4 << 20).fill(7)); await null; } },
	stuck: () => new Promise(() => {}),
	sleep: (ctx, a) => ctx.ask("sql", { text: "select pg_sleep($1::float8)", params: [a.seconds] }),
	zombie: async (ctx) => { for (;;) { try { await ctx.ask("sql", { text: "select pg_sleep(0.3)", params: [] }); } catch {} } },
	throws: () => { throw new TypeError("the reason"); },
	refuses: () => { throw { code: "app_error", message: "not today", data: { code: "closed", until: 5 } }; },
	says: () => { console.log("one", { two: 2 }); console.warn("two\nlines"); console.error(new Error("three")); return null; },
	saysMuch: () => { for (let i = 0; i < 5000; i++) console.log("line", i); return null; },
	sharing: async (ctx) => { shared ??= ctx.ask("sql", { text: "select 42 as answer", params: [] }); return await shared; },
	stray: (ctx) => { void ctx.ask("sql", { text: "select 1", params: [] }); return "done"; },
	env: (ctx) => ctx.env,
	prelude: () => checkPrelude(),
});
define("mutation", { auth: "public" }, {
	create: (ctx, a) => ctx.ask("insert", { entity: "Counter", value: { name: a.name, value: 0 } }),
	createAndTell: async (ctx, a) => { await ctx.ask("insert", { entity: "Counter", value: { name: a.name, value: 0 } }); return "x".repeat(a.n); },
	increment: async (ctx, a) => {
		const row = await ctx.ask("get", { entity: "Counter", id: a.id });
		await ctx.ask("patch", { entity: "Counter", id: a.id, value: { value: row.value + 1 } });
		return row.value + 1;
	},
	incrementSlowly: async (ctx, a) => {
		const row = await ctx.ask("get", { entity: "Counter", id: a.id });
		await ctx.ask("sql", { text: "select pg_sleep($1::float8)", params: [a.seconds] });
		await ctx.ask("patch", { entity: "Counter", id: a.id, value: { value: row.value + 1 } });
		return row.value + 1;
	},
	swap: async (ctx, a) => {
		await ctx.ask("replace", { entity: "Counter", id: a.id, value: { name: a.name, value: -1 } });
		return ctx.ask("get", { entity: "Counter", id: a.id });
	},
	remove: (ctx, a) => ctx.ask("delete", { entity: "Counter", id: a.id }),
	seen: (ctx) => ({ now: Date.now(), random: Math.random(), outside: ++outside }),
	writeAndThrow: async (ctx, a) => { await ctx.ask("insert", { entity: "Counter", value: { name: a.name, value: 0 } }); throw new Error("after all"); },
	catches: async (ctx, a) => {
		try { await ctx.ask("insert", { entity: "Counter", value: { name: a.name, value: 0 } }); } catch {}
		return "fine";
	},
	maps: async (ctx, a) => {
		try { await ctx.ask("insert", { entity: "Counter", value: { name: a.name, value: 0 } }); }
		catch (e) { throw { code: "app_error", message: "taken", data: { code: "taken", why: e.code } }; }
		return "fine";
	},
	many: (ctx, a) => Promise.all(Array.from({ length: a.n }, (_, i) => ctx.ask("insert", { entity: "Counter", value: { name: `${a.name} ${i}`, value: i } }))),
	wrong: (ctx) => ctx.ask("insert", { entity: "Counter", value: { nonsense: 1 } }),
	unknown: (ctx) => ctx.ask("insert", { entity: "Nothing", value: {} }),
	badId: (ctx) => ctx.ask("patch", { entity: "Counter", id: "no uuid", value: {} }),
	loopAfterWrite: async (ctx, a) => { await ctx.ask("insert", { entity: "Counter", value: { name: a.name, value: 0 } }); for (;;) await null; },
});
define("mutation", { auth: "user", isolation: "read committed" }, {
	mine: (ctx, a) => ctx.ask("insert", { entity: "Note", value: { text: a.text, owner: ctx.env.auth.userId } }),
});
define("mutation", { auth: "public", isolation: "read committed" }, {
	touch: (ctx, a) => ctx.ask("sql", { text: `update "Counter" set name = name where id = $1::uuid`, params: [a.id] }),
});

function failure(e) {
	if (e && typeof e === "object" && !(e instanceof Error) && e.code) return e;
	return { code: "function_failed", message: String(e), data: { stack: e?.stack ?? "" } };
}

globalThis.__millrace = {
	manifest: () => JSON.stringify({
		entities: [
			{ name: "Counter", schema: "public", table: "Counter", fields: [{ name: "name", type: "string", unique: true }, { name: "value", type: "int" }], indexes: [] },
			{
				name: "Note", schema: "public", table: "Note",
				fields: [
					{ name: "text", type: "string" }, { name: "owner", type: "string", owner: true }, { name: "kind", type: "string", optional: true, readonly: true },
					{ name: "secret", type: "string", optional: true, serverOnly: true }, { name: "hidden", type: "bool", optional: true },
				],
				indexes: [],
			},
		],
		policies: [{
			entity: "Note", read: "data.hidden == null || data.hidden == false", insert: "auth.userId != null", update: "data.owner == auth.userId",
			delete: "data.owner == auth.userId && data.text != 'keep'",
		}],
		functions: [...fns].map(([name, f]) => ({ name: `t.${name}`, kind: f.kind, auth: f.auth, internal: false, ...(f.isolation ? { isolation: f.isolation } : {}) })),
	}),
	call(n, name, args, env) {
		const f = fns.get(name.slice(2));
		const ctx = { n, ask: ask(n), env: JSON.parse(env), who() { __host.identity(n); return this.env.auth?.userId ?? null; } };
		new Promise((resolve) => resolve(f.handler(ctx, JSON.parse(args)))).then(
			(v) => __host.done(n, true, JSON.stringify(v ?? null)),
			(e) => __host.done(n, false, JSON.stringify(failure(e))),
		);
	},
	settle(op, ok, json) {
		const w = waiting.get(op);
		waiting.delete(op);
		if (ok) w?.resolve(JSON.parse(json));
		else w?.reject(JSON.parse(json));
	},
};
