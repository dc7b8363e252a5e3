import { v } from "millrace/server";
import { action, mutation, query } from "../_generated/server";

const told = (e: unknown) => {
	const { code, name, message, data } = e as { code?: string; name: string; message: string; data?: { setting?: string } };
	return { code: code ?? name, message, setting: data?.setting ?? null };
};

/** One request, and what came of it. */
export const one = action({
	args: { url: v.string(), init: v.optional(v.any()), read: v.optional(v.enum("text", "json", "bytes", "none")) },
	auth: "public",
	handler: async (_ctx, { url, init, read = "text" }) => {
		try {
			const r = await fetch(url, init as never);
			const body = read === "none" ? null : read === "bytes" ? (await r.arrayBuffer()).byteLength : ((await r[read]()) as never);
			return { status: r.status, ok: r.ok, url: r.url, redirected: r.redirected, statusText: r.statusText, headers: [...r.headers], body };
		} catch (e) {
			return told(e);
		}
	},
});

/** Bodies of all kinds. */
export const bodies = action({
	args: { url: v.string() },
	auth: "public",
	handler: async (_ctx, { url }) => {
		const send = async (body: unknown, more = {}) => (await fetch(url, { method: "POST", body: body as never, ...more })).json() as Promise<never>;
		const form = new FormData();
		form.append("a", "1");
		form.append("f", new Blob(["<b>"], { type: "text/html" }), "x.html");
		const out: { [name: string]: never } = {
			text: await send("h\u00e9\u0001llo"),
			params: await send(new URLSearchParams({ a: "1 2", b: "\u00e9" })),
			bytes: await send(new Uint8Array([9, 255, 1])),
			form: await send(form),
			blob: await send(new Blob(["{}"], { type: "application/json" })),
			stream: await send(new ReadableStream({ start: (c) => (c.enqueue(new Uint8Array([97])), c.enqueue(new Uint8Array([98])), c.close()) }), { duplex: "half" }),
			put: await send("x", { method: "PUT", headers: { "Content-Type": "x/y", "X-Own": " a b " } }),
			none: await send(undefined),
		};
		return out;
	},
});

export const streams = action({
	args: { url: v.string(), stopAfter: v.optional(v.int()) },
	auth: "public",
	handler: async (_ctx, { url, stopAfter = Infinity }) => {
		const r = await fetch(url);
		const decoder = new TextDecoder();
		const seen: { text: string; at: number }[] = [];
		const began = Date.now();
		for await (const chunk of r.body as unknown as AsyncIterable<Uint8Array>) {
			seen.push({ text: decoder.decode(chunk, { stream: true }), at: Date.now() - began });
			if (seen.length >= stopAfter) break;
		}
		return { seen, used: r.bodyUsed };
	},
});
export const copies = action({
	args: { url: v.string() },
	auth: "public",
	handler: async (_ctx, { url }) => {
		const r = await fetch(url);
		const other = r.clone();
		const [a, b] = await Promise.all([r.text(), other.text()]);
		return [a === b, a.length, await r.text().catch((e: Error) => e.name)];
	},
});

export const aborts = action({
	args: { url: v.string(), when: v.enum("before", "head", "body", "timeout") },
	auth: "public",
	handler: async (_ctx, { url, when }) => {
		const control = new AbortController();
		try {
			if (when === "before") control.abort();
			if (when === "head") setTimeout(() => control.abort(), 50);
			const r = await fetch(url, { signal: when === "timeout" ? AbortSignal.timeout(50) : control.signal });
			if (when === "body") setTimeout(() => control.abort(new Error("enough")), 50);
			return (await r.text()).length;
		} catch (e) {
			return told(e);
		}
	},
});

/** Many at once: how many ended how. */
export const many = action({
	args: { url: v.string(), n: v.int() },
	auth: "public",
	handler: async (_ctx, { url, n }) => {
		const all = await Promise.all(Array.from({ length: n }, () => fetch(url).then((r) => r.text(), (e) => told(e).code)));
		return Object.fromEntries([...new Set(all)].map((what) => [what, all.filter((x) => x === what).length]));
	},
});
export const uncaught = action({ args: { url: v.string() }, auth: "public", handler: async (_ctx, { url }) => (await fetch(url)).status });
/** Leaves a body unread, and another fetch under way. */
export const leaves = action({
	args: { url: v.string() },
	auth: "public",
	handler: async (_ctx, { url }) => {
		void fetch(url);
		return (await fetch(url)).status;
	},
});

const tryFetch = async () => {
	try {
		return (await fetch("http://127.0.0.1/")).status;
	} catch (e) {
		return told(e).code;
	}
};
export const inQuery = query({ args: {}, auth: "public", handler: tryFetch });
export const inMutation = mutation({ args: {}, auth: "public", handler: tryFetch });
export const classes = query({
	args: {},
	auth: "public",
	handler: async () => {
		const u = new URL("../c?x=1#y", "https://Example.com:443/a/b/");
		u.searchParams.set("x", "a b");
		const h = new Headers({ B: "2", a: "1" });
		h.append("b", "3");
		return [u.href, [...h], await new Response("{\"a\":1}").json(), new Request(u as never, { method: "post", body: "x" }).headers.get("content-type")];
	},
});
