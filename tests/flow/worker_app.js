// The app of tests/flow/worker.c, with a small runtime of its own: what the host must do is seen without the SDK in between.
const waiting = new Map();
const fns = new Map();
const ask = (n) => (kind, json) => new Promise((resolve, reject) => waiting.set(__host.op(n, kind, JSON.stringify(json)), { resolve, reject }));

function define(kind, options, handlers) {
	for (const [name, handler] of Object.entries(handlers)) fns.set(name, { kind, handler, ...options });
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
});
define("mutation", { auth: "public" }, {
	create: (ctx, a) => ctx.ask("insert", { entity: "Counter", value: { name: a.name, value: 0 } }),
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
