// Routes for stack_http_routes.mjs.
import { httpAction, httpRouter } from "millrace/server";
import { api } from "../_generated/api";

const http = httpRouter();
const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** What the handler was given. */
const tells = (name: string) =>
	httpAction(async (ctx, request) => {
		const body = await request.text();
		const { userId } = ctx.auth;
		return Response.json({ name, params: ctx.params, method: request.method, url: request.url, headers: [...request.headers], body, userId });
	});

http.route({ path: "/r/echo", method: ["GET", "POST", "PUT", "PATCH", "DELETE"], handler: tells("echo") });
http.route({ path: "/r/users/:id", method: "GET", handler: tells("user") });
http.route({ path: "/r/users/me", method: "GET", handler: tells("me") });
http.route({ path: "/r/users/:id", method: "DELETE", handler: tells("remove") });
http.route({ path: "/r/users/:id/posts/:post", method: "GET", handler: async (ctx) => Response.json([ctx.params.id, ctx.params.post]) });
http.route({ pathPrefix: "/r/files/", method: "GET", handler: tells("files") });
http.route({ path: "/r/files/:a/b", method: "GET", handler: tells("fileB") });
http.route({ path: "/r/:any/*", method: "GET", handler: tells("rest") });

// bodies
http.route({
	path: "/r/sum",
	method: "POST",
	handler: async (_ctx, request) => {
		const bytes = new Uint8Array(await request.arrayBuffer());
		let [a, b] = [1, 0];
		for (const byte of bytes) {
			a = (a + byte) % 65521;
			b = (b + a) % 65521;
		}
		return Response.json([bytes.length, b * 65536 + a]);
	},
});
http.route({
	path: "/r/mirror",
	method: "POST",
	handler: async (_ctx, request) => new Response(request.body, { headers: { "content-type": "application/octet-stream" } }),
});
http.route({
	path: "/r/pieces",
	method: "POST",
	handler: async (_ctx, request) => {
		const sizes: number[] = [];
		for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) sizes.push(chunk.length);
		return Response.json(sizes);
	},
});
http.route({ path: "/r/bytes/:n", method: "GET", handler: async (ctx) => new Response(new Uint8Array(Number(ctx.params.n)).fill(97)) });

// streams; what became of them is kept in rows
const noted = (ctx: { runMutation: (fn: never, args: never) => Promise<unknown> }, grp: string, note: string) =>
	ctx.runMutation(api.items.add as never, { grp, note } as never);
http.route({
	path: "/r/stream/:grp",
	method: "GET",
	handler: async (ctx, request) => {
		const q = new URL(request.url).searchParams;
		const [chunks, size, ms] = [Number(q.get("chunks") ?? 10), Number(q.get("size") ?? 1000), Number(q.get("ms") ?? 0)];
		let n = 0;
		const stream = new ReadableStream({
			pull: async (controller) => {
				if (ms) await sleep(ms);
				if (q.get("fails") === String(n)) throw new Error("broke in the middle");
				if (n++ === chunks) return controller.close();
				controller.enqueue(new Uint8Array(size).fill(48 + (n % 10)));
			},
			cancel: () => noted(ctx, ctx.params.grp, `cancelled after ${n}`) as never,
		});
		const length = q.get("length");
		return new Response(stream, { headers: { "content-type": "text/plain", ...(length ? { "content-length": length } : {}) } });
	},
});
http.route({
	path: "/r/lines/:n",
	method: "GET",
	handler: async (ctx) => {
		let at = 0;
		const n = Number(ctx.params.n);
		const stream = new ReadableStream<string>({ pull: (c) => (at === n ? c.close() : c.enqueue(`line ${at++}\n`)) });
		return new Response(stream as never, { headers: { "content-type": "text/csv" } });
	},
});
http.route({
	path: "/r/waits/:grp",
	method: "POST",
	handler: async (ctx, request) => {
		const left = new Promise<string>((done) => request.signal.addEventListener("abort", () => done((request.signal.reason as Error).name)));
		await noted(ctx, ctx.params.grp, "begun");
		const why = await Promise.race([left, sleep(8000).then(() => "nobody left")]);
		await noted(ctx, ctx.params.grp, why);
		return new Response(why);
	},
});
http.route({
	path: "/r/slow/:grp",
	method: "GET",
	handler: async (ctx) => {
		await noted(ctx, ctx.params.grp, "begun");
		await sleep(700);
		await noted(ctx, ctx.params.grp, "done");
		return new Response("slow");
	},
});

// webhooks
const hex = (bytes: ArrayBuffer) => Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, "0")).join("");
const unhex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (h) => parseInt(h, 16));
const keyOf = (secret: string, hash = "SHA-256") =>
	crypto.subtle.importKey("raw", new TextEncoder().encode(secret), { name: "HMAC", hash }, false, ["sign", "verify"]);

/** As GitHub signs: over the body. */
http.route({
	path: "/r/hooks/github",
	method: "POST",
	handler: async (ctx, request) => {
		const body = await request.arrayBuffer();
		const [, signature] = /^sha256=([0-9a-f]{64})$/.exec(request.headers.get("x-hub-signature-256") ?? "") ?? [];
		const good = signature !== undefined && (await crypto.subtle.verify("HMAC", await keyOf("github's"), unhex(signature), body));
		if (!good) return new Response("no", { status: 401 });
		await noted(ctx, request.headers.get("x-grp") ?? "", (JSON.parse(new TextDecoder().decode(body)) as { action: string }).action);
		return new Response(null, { status: 204 });
	},
});
/** As Stripe signs: over a time and the body. */
http.route({
	path: "/r/hooks/stripe",
	method: "POST",
	handler: async (_ctx, request) => {
		const [, t, v1] = /^t=(\d+),v1=([0-9a-f]+)/.exec(request.headers.get("stripe-signature") ?? "") ?? [];
		const signed = new TextEncoder().encode(`${t}.${await request.text()}`);
		const fresh = Math.abs(Date.now() / 1000 - Number(t)) < 300;
		const good = fresh && v1 !== undefined && (await crypto.subtle.verify("HMAC", await keyOf("stripe's"), unhex(v1), signed));
		return new Response(good ? "taken" : "no", { status: good ? 200 : 400 });
	},
});
/** [hash, key or null, data][] in hex. */
http.route({
	path: "/r/digests",
	method: "POST",
	handler: async (_ctx, request) => {
		const out: string[] = [];
		for (const [hash, key, data] of (await request.json()) as [string, string | null, string][]) {
			if (key === null) out.push(hex(await crypto.subtle.digest(hash, unhex(data))));
			else {
				const made = await crypto.subtle.importKey("raw", unhex(key), { name: "HMAC", hash: { name: hash } }, true, ["sign", "verify"]);
				const mac = await crypto.subtle.sign({ name: "HMAC" }, made, unhex(data));
				const bad = new Uint8Array(mac.slice(0));
				bad[bad.length - 1]! ^= 1;
				const sure = [mac, bad, mac.slice(1), new ArrayBuffer(0)].map((one) => crypto.subtle.verify("HMAC", made, one, unhex(data)));
				if ((await Promise.all(sure)).join() !== "true,false,false,false") throw new Error(`verify: ${hash} ${key}`);
				out.push(hex(mac));
			}
		}
		return Response.json(out);
	},
});
http.route({
	path: "/r/keys",
	method: "GET",
	handler: async () => {
		const raw = new Uint8Array([1, 2, 3]);
		const name = async (work: () => Promise<unknown>) => work().then(() => "fine", (e: Error) => e.name);
		const hmac = { name: "HMAC", hash: "SHA-256" };
		const kept = await crypto.subtle.importKey("raw", raw, hmac, false, ["verify"]);
		const open = await crypto.subtle.importKey("jwk", { kty: "oct", k: "AQID" }, hmac, true, ["sign"]);
		raw.fill(9); // changes nothing
		return Response.json([
			hex(await crypto.subtle.exportKey("raw", open)),
			Object.keys(kept).length > 0 && JSON.stringify([kept.type, kept.algorithm, kept.extractable, kept.usages]),
			(await crypto.subtle.exportKey("raw", await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-512" }, true, ["sign"]))).byteLength,
			await name(() => crypto.subtle.exportKey("raw", kept)),
			await name(() => crypto.subtle.sign("HMAC", kept, raw)),
			await name(() => crypto.subtle.digest("MD5", raw)),
			await name(() => crypto.subtle.digest("SHA-256", "text" as never)),
			await name(() => crypto.subtle.importKey("raw", raw, { name: "AES-GCM" }, false, ["encrypt"])),
			await name(() => crypto.subtle.importKey("raw", raw, hmac, false, [])),
			await name(() => crypto.subtle.importKey("raw", new Uint8Array(0), hmac, false, ["sign"])),
			await name(() => crypto.subtle.sign("HMAC", {} as never, raw)),
			await name(async () => new (CryptoKey as unknown as new (...args: unknown[]) => unknown)({}, raw, "SHA-256", true, ["sign"])),
		]);
	},
});

// CORS
const named = { origins: ["https://app.example", "http://localhost:3000"], credentials: true, headers: ["x-key", "content-type"], expose: ["x-total"], maxAge: 60 };
http.route({ path: "/r/cors/all", method: "GET", cors: { origins: "*" }, handler: tells("all") });
http.route({ path: "/r/cors/named", method: ["GET", "PUT"], cors: named, handler: tells("named") });
http.route({
	path: "/r/cors/fails",
	method: "GET",
	cors: named,
	handler: async () => {
		throw new Error("no");
	},
});
http.route({ path: "/r/cors/own", method: "GET", handler: async () => new Response("x", { headers: { "access-control-allow-origin": "https://by.hand" } }) });

// what goes wrong
http.route({
	path: "/r/wrong/:how",
	method: "GET",
	handler: async (ctx): Promise<Response> => {
		const how = ctx.params.how;
		if (how === "throws") throw new Error("a secret of the house");
		if (how === "app") return ctx.error("no_tea", "There is no tea", { left: 0 });
		if (how === "nothing") return undefined as never;
		if (how === "value") return { status: 200 } as never;
		if (how === "header") return new Response("x", { headers: { "x-a": "a\r\nset-cookie: b=1" } });
		if (how === "wide") return new Response("x", { headers: { "x-a": "\u2603" } });
		if (how === "forged") {
			// past what Headers checks
			const response = new Response("x");
			Object.defineProperty(response.headers, Symbol.iterator, { value: () => [["x-a", "a\u0001b"]][Symbol.iterator]() });
			return response;
		}
		if (how === "hops")
			return new Response("ok", {
				headers: { connection: "close", "transfer-encoding": "chunked", "keep-alive": "timeout=1", "x-own": "caf\u00e9", "content-length": "99", date: "never" },
			});
		if (how === "cookies") {
			const response = new Response(null, { status: 303, headers: { location: "/r/echo" } });
			response.headers.append("set-cookie", "a=1");
			response.headers.append("set-cookie", "b=2; HttpOnly");
			return response;
		}
		if (how === "loops") for (;;);
		return new Response(null, { status: Number(how) });
	},
});

// calls
http.route({
	path: "/r/items/:grp",
	method: "POST",
	handler: async (ctx, request) => {
		const { note } = (await request.json()) as { note: string };
		await noted(ctx, ctx.params.grp, note);
		return Response.json({ saved: note }, { status: 201 });
	},
});

export default http;
