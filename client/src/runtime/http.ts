// Requests of the app's own routes: from the host a request, to it the response, whole or piece by piece (docs/manifest.md).

import { parseWire, printWire } from "../json.js";
import { HttpRouter, type Route } from "../server/http.js";
import type { Value } from "../values.js";
import { operate } from "./host.js";
import type { Modules } from "./manifest.js";
import { AbortController, DOMException } from "./web/abort.js";
import { Request, Response } from "./web/fetch.js";
import { ReadableStream, type ReadResult } from "./web/stream.js";

/** By the name that the host calls them: methods and path. Only functions/http.ts has a router. */
export function collectRoutes(modules: Modules): Map<string, Route> {
	for (const [path, module] of Object.entries(modules))
		for (const [name, value] of Object.entries(module))
			if (value instanceof HttpRouter && (path !== "http" || name !== "default"))
				throw new Error(`routes are served if functions/http.ts exports their router as default; functions/${path} exports one as ${name}`);
	const router = modules["http"]?.["default"];
	const routes = router instanceof HttpRouter ? router.routes : [];
	return new Map(routes.map((route) => [`${route.methods.join()} ${route.path}`, route]));
}

export function routesManifest(routes: ReadonlyMap<string, Route>): object[] {
	return [...routes.values()].map(({ path, methods, cors }) => ({ path, methods, ...(cors ? { cors } : {}) }));
}

/** What the host gives. */
interface Asked {
	readonly method: string;
	readonly url: string;
	readonly headers: readonly (readonly [string, string])[];
	readonly params: { readonly [name: string]: string };
	/** The whole body; or there is `more`, which is asked for piece by piece. */
	readonly body?: Uint8Array;
	readonly more?: boolean;
	/** How many bytes may go at once. */
	readonly piece: number;
}

/** Resolves when the client goes; never, if it stays. */
function leaving(n: number): () => Promise<void> {
	let gone: Promise<void> | undefined;
	return () => (gone ??= operate(n, "gone", "{}").then(() => undefined));
}

function bodyOf(n: number): ReadableStream {
	return new ReadableStream({
		pull: async (controller) => {
			const chunk = await operate(n, "body", "{}");
			if (chunk instanceof Uint8Array) controller.enqueue(chunk);
			else if (chunk === null) controller.close();
			else throw new DOMException("The client has left before its body was read", "AbortError");
		},
	});
}

function requestOf(n: number, asked: Asked, gone: () => Promise<void>): Request {
	const bodiless = asked.method === "GET" || asked.method === "HEAD";
	const body = bodiless ? null : asked.more ? bodyOf(n) : (asked.body ?? null);
	const request = new Request(asked.url, { method: asked.method, headers: asked.headers, body });
	let control: AbortController | undefined;
	// who never looks at the signal does not wait for the client's end
	Object.defineProperty(request, "signal", {
		configurable: true,
		get: () => {
			if (!control) {
				const made = (control = new AbortController());
				void gone().then(() => made.abort(new DOMException("The client has left", "AbortError")));
			}
			return control.signal;
		},
	});
	return request;
}

const LATIN = /^[\t\x20-\x7e\x80-\xff]*$/;

function headOf(response: Response): { readonly status: number; readonly headers: readonly (readonly [string, string])[] } {
	const headers = [...response.headers];
	for (const [name, value] of headers) if (!LATIN.test(value)) throw new TypeError(`The header ${name} of the response has characters that none may have`);
	return { status: response.status, headers };
}

/** Bytes on their way: what comes while others are being taken waits, and goes as one piece. */
class Outgoing {
	readonly #n: number;
	readonly #piece: number;
	#held: Uint8Array[] = [];
	#size = 0;
	#sending: Promise<void> | undefined;
	#failed: unknown;
	/** Nobody takes them any more. */
	over = false;
	constructor(n: number, piece: number) {
		this.#n = n;
		this.#piece = piece;
	}
	/** Resolves when there is room for more. */
	async put(chunk: Uint8Array): Promise<void> {
		if (chunk.length > 0) this.#held.push(chunk);
		this.#size += chunk.length;
		if (this.#size > 0)
			this.#sending ??= this.#send()
				.catch((e: unknown) => void (this.#failed ??= { e }))
				.finally(() => (this.#sending = undefined));
		if (this.#size >= this.#piece) await this.end();
	}
	/** Resolves when all is gone. */
	async end(): Promise<void> {
		while (this.#sending) await this.#sending;
		if (this.#failed) throw (this.#failed as { e: unknown }).e;
	}
	async #send(): Promise<void> {
		while (this.#size > 0 && !this.over) {
			const taken = await operate(this.#n, "write", `{"bytes":${printWire(this.#take())}}`);
			if (taken !== true) this.over = true;
		}
	}
	#take(): Uint8Array {
		const out = new Uint8Array(Math.min(this.#size, this.#piece));
		let at = 0;
		while (at < out.length) {
			const first = this.#held[0] as Uint8Array;
			const part = first.subarray(0, out.length - at);
			out.set(part, at);
			at += part.length;
			if (part.length === first.length) this.#held.shift();
			else this.#held[0] = first.subarray(part.length);
		}
		this.#size -= out.length;
		return out;
	}
}

function chunkOf(value: unknown): Uint8Array {
	if (typeof value === "string") return new TextEncoder().encode(value);
	if (value instanceof ArrayBuffer) return new Uint8Array(value);
	if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
	throw new TypeError("A body's stream gives bytes or text");
}

/** Reads no further than the client does. */
async function pump(n: number, stream: ReadableStream, piece: number, gone: () => Promise<void>): Promise<void> {
	const out = new Outgoing(n, piece);
	const reader = stream.getReader();
	let leave: () => void = () => undefined;
	void gone().then(() => {
		out.over = true;
		leave();
	});
	// not by Promise.race: the promise that waits for the end would keep all that was read
	const next = (): Promise<ReadResult> =>
		new Promise((resolve, reject) => {
			leave = () => resolve({ done: true, value: undefined });
			reader.read().then(resolve, reject);
		});
	while (!out.over) {
		const { done, value } = await next();
		if (done || out.over) break;
		await out.put(chunkOf(value));
	}
	if (!out.over) await out.end();
	if (out.over) await reader.cancel(new DOMException("The client has left", "AbortError"));
}

/** What the call of the route ends with: the whole response; null when it went piece by piece. */
async function send(n: number, asked: Asked, response: unknown, gone: () => Promise<void>): Promise<Value> {
	if (!(response instanceof Response)) throw new TypeError("The handler of a route is to give a Response");
	const head = headOf(response);
	const { bytes, stream } = response.take();
	if (asked.method === "HEAD") {
		if (stream && !bytes) await stream.cancel();
		return { ...head, ...(bytes ? { length: bytes.length } : stream ? {} : { length: 0 }) } as unknown as Value;
	}
	if (!stream) return head as unknown as Value;
	if (bytes && bytes.length <= asked.piece) return { ...head, bytes } as unknown as Value;
	await operate(n, "respond", printWire(bytes ? { ...head, length: bytes.length } : head));
	await pump(n, bytes ? oneChunk(bytes) : stream, asked.piece, gone);
	return null;
}

function oneChunk(bytes: Uint8Array): ReadableStream {
	return new ReadableStream({
		start: (controller) => {
			controller.enqueue(bytes);
			controller.close();
		},
	});
}

export async function answer(n: number, route: Route, text: string, makeCtx: () => object): Promise<Value> {
	const asked = parseWire(text) as unknown as Asked;
	const gone = leaving(n);
	const ctx = { ...makeCtx(), params: asked.params };
	const response = await route.handler(ctx as never, requestOf(n, asked, gone) as never);
	return send(n, asked, response, gone);
}
