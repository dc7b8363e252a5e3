// Request, Response and fetch, by the host's operations `fetch`, `read` and `close` (docs/manifest.md).

import { MillraceError } from "../../error.js";
import { printWire } from "../../json.js";
import { begun, drop, operate, throwIfFull } from "../host.js";
import { actionOnly } from "../timers.js";
import { AbortSignal, DOMException } from "./abort.js";
import { Body, extract } from "./body.js";
import { Headers, type HeadersGiven } from "./headers.js";
import { collect, ReadableStream } from "./stream.js";
import { URL } from "./url.js";

type Redirect = "follow" | "error" | "manual";
interface RequestGiven {
	readonly method?: string;
	readonly headers?: HeadersGiven;
	readonly body?: unknown;
	readonly redirect?: Redirect;
	readonly signal?: AbortSignal | null;
}

const NORMAL = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);
const BODYLESS = new Set([101, 103, 204, 205, 304]);
const MOVED = new Set([301, 302, 303, 307, 308]);

function methodOf(given: string): string {
	if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(given) || /^(connect|trace|track)$/i.test(given)) throw new TypeError(`${given} is no method for fetch`);
	return NORMAL.has(given.toUpperCase()) ? given.toUpperCase() : given;
}

export class Request extends Body {
	readonly url: string;
	readonly method: string;
	readonly headers: Headers;
	readonly redirect: Redirect;
	readonly signal: AbortSignal;
	constructor(input: unknown, init: RequestGiven = {}) {
		const from = input instanceof Request ? input : undefined;
		const method = methodOf(String(init.method ?? from?.method ?? "GET"));
		const headers = new Headers(init.headers ?? from?.headers);
		const given = init.body ?? null;
		const body = given !== null ? extract(given) : (from?.split() ?? { bytes: undefined, stream: null });
		if (body.stream && (method === "GET" || method === "HEAD")) throw new TypeError(`A request with ${method} has no body`);
		if ("type" in body && body.type !== undefined && !headers.has("content-type")) headers.set("content-type", body.type);
		super(body.stream, body.bytes, () => headers.get("content-type"));
		const url = new URL(from ? from.url : input);
		if (url.username || url.password) throw new TypeError("fetch takes no name and password in an address; use an Authorization header");
		this.url = url.href;
		this.method = method;
		this.headers = headers;
		this.redirect = init.redirect ?? from?.redirect ?? "follow";
		this.signal = init.signal ?? from?.signal ?? new AbortSignal();
	}
	clone(): Request {
		const { bytes, stream } = this.split();
		return new Request(this.url, { method: this.method, headers: this.headers, redirect: this.redirect, signal: this.signal, body: bytes ?? stream });
	}
}

interface ResponseGiven {
	readonly status?: number;
	readonly statusText?: string;
	readonly headers?: HeadersGiven;
}

export class Response extends Body {
	readonly status: number;
	readonly statusText: string;
	readonly headers: Headers;
	readonly type: string = "default";
	url = "";
	redirected = false;
	constructor(body: unknown = null, init: ResponseGiven = {}) {
		const headers = new Headers(init.headers);
		const status = init.status ?? 200;
		if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError("A response's status is from 200 to 599");
		if (body !== null && body !== undefined && BODYLESS.has(status)) throw new TypeError(`A response of status ${status} has no body`);
		const extracted = body === null || body === undefined ? undefined : extract(body);
		if (extracted?.type !== undefined && !headers.has("content-type")) headers.set("content-type", extracted.type);
		super(extracted?.stream ?? null, extracted?.bytes, () => headers.get("content-type"));
		this.status = status;
		this.statusText = init.statusText ?? "";
		this.headers = headers;
	}
	get ok(): boolean {
		return this.status >= 200 && this.status <= 299;
	}
	clone(): Response {
		const { bytes, stream } = this.split();
		const copy = new Response(bytes ?? stream, { status: this.status, statusText: this.statusText, headers: this.headers });
		copy.url = this.url;
		copy.redirected = this.redirected;
		return copy;
	}
	static json(value: unknown, init: ResponseGiven = {}): Response {
		const headers = new Headers(init.headers);
		if (!headers.has("content-type")) headers.set("content-type", "application/json");
		return new Response(JSON.stringify(value), { ...init, headers });
	}
	static redirect(url: unknown, status = 302): Response {
		if (!MOVED.has(status)) throw new RangeError("A redirect's status is 301, 302, 303, 307 or 308");
		return new Response(null, { status, headers: { location: new URL(url).href } });
	}
	static error(): never {
		throw new TypeError("Response.error() is for browsers");
	}
}

// --- fetch

interface Head {
	readonly id: number;
	readonly status: number;
	readonly statusText: string;
	readonly url: string;
	readonly redirected: boolean;
	readonly headers: readonly (readonly [string, string])[];
}

/** The transport's own business. */
const OURS = new Set(["connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"]);

function bodyOf(n: number, head: Head, signal: AbortSignal): ReadableStream {
	let over = false;
	let aborted: () => void = () => undefined;
	const end = (): void => {
		over = true;
		signal.removeEventListener("abort", aborted);
	};
	const close = (): void => {
		if (!over) void operate(n, "close", `{"id":${head.id}}`).catch(() => undefined);
		end();
	};
	return new ReadableStream({
		start: (controller) => {
			aborted = () => {
				controller.error(signal.reason);
				close();
			};
			signal.addEventListener("abort", aborted);
		},
		pull: async (controller) => {
			try {
				const chunk = await operate(n, "read", `{"id":${head.id}}`);
				if (over) return;
				if (chunk instanceof Uint8Array) return controller.enqueue(chunk);
				end();
				controller.close();
			} catch (e) {
				if (over) return; // closed by us: it was said why
				end();
				throw e;
			}
		},
		cancel: close,
	});
}

function responseOf(n: number, request: Request, head: Head): Response {
	const stream = bodyOf(n, head, request.signal);
	const has = request.method !== "HEAD" && !BODYLESS.has(head.status);
	if (!has) void stream.cancel();
	const response = new Response(has ? stream : null, { status: head.status, statusText: head.statusText, headers: head.headers });
	response.url = head.url;
	response.redirected = head.redirected;
	if (request.redirect !== "error" || !MOVED.has(head.status) || !response.headers.has("location")) return response;
	void stream.cancel().catch(() => undefined);
	throw new MillraceError("fetch_failed", `${request.url} leads elsewhere, which redirect: "error" forbids`);
}

async function send(n: number, request: Request): Promise<Response> {
	const { signal } = request;
	signal.throwIfAborted();
	const body = request.body ? await collect(request.body) : undefined;
	const headers = [...request.headers].filter(([name]) => !OURS.has(name));
	const follow = request.redirect === "follow";
	signal.throwIfAborted();
	const { op, answer } = begun(n, "fetch", printWire({ url: request.url, method: request.method, headers, follow, ...(body ? { body } : {}) }));
	let aborted: () => void = () => undefined;
	const abort = new Promise<never>((_, reject) => {
		aborted = () => {
			reject(signal.reason instanceof Error ? signal.reason : new DOMException(String(signal.reason), "AbortError"));
			drop(op);
		};
		signal.addEventListener("abort", aborted);
	});
	try {
		return responseOf(n, request, (await Promise.race([answer, abort])) as unknown as Head);
	} finally {
		signal.removeEventListener("abort", aborted);
	}
}

/** Resolves when the head of the response has come; its body is read as it comes. Rejects with a MillraceError, or as its signal says. */
export async function fetch(input: unknown, init: RequestGiven = {}): Promise<Response> {
	const n = actionOnly("fetch");
	throwIfFull(n);
	return send(n, new Request(input, init));
}
