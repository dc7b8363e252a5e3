// Bodies: what may be one, Blob and FormData, and how requests and responses are read.

import { collect, ReadableStream } from "./stream.js";
import { URLSearchParams } from "./url.js";

const utf8 = new TextEncoder();

function bytesOf(part: unknown): Uint8Array {
	if (part instanceof Blob) return part.held;
	if (part instanceof ArrayBuffer) return new Uint8Array(part);
	if (ArrayBuffer.isView(part)) return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
	return utf8.encode(String(part));
}
function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
	const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
	let at = 0;
	for (const part of parts) {
		out.set(part, at);
		at += part.length;
	}
	return out;
}

export class Blob {
	/** @internal */
	readonly held: Uint8Array<ArrayBuffer>;
	readonly type: string;
	constructor(parts: Iterable<unknown> = [], options: { readonly type?: string } = {}) {
		this.held = join([...parts].map(bytesOf));
		this.type = String(options.type ?? "").toLowerCase();
	}
	get size(): number {
		return this.held.length;
	}
	async arrayBuffer(): Promise<ArrayBuffer> {
		return this.held.slice().buffer;
	}
	async bytes(): Promise<Uint8Array> {
		return this.held.slice();
	}
	async text(): Promise<string> {
		return new TextDecoder().decode(this.held);
	}
	slice(from?: number, to?: number, type = ""): Blob {
		return new Blob([this.held.slice(from, to)], { type });
	}
	stream(): ReadableStream {
		return streamOf(this.held);
	}
}
export class File extends Blob {
	readonly name: string;
	readonly lastModified: number;
	constructor(parts: Iterable<unknown>, name: string, options: { readonly type?: string; readonly lastModified?: number } = {}) {
		super(parts, options);
		this.name = String(name);
		this.lastModified = options.lastModified ?? Date.now();
	}
}

type FormValue = string | File;

export class FormData {
	#entries: [string, FormValue][] = [];
	static #value(value: unknown, name?: string): FormValue {
		if (value instanceof File && name === undefined) return value;
		return value instanceof Blob ? new File([value], name ?? "blob", { type: value.type }) : String(value);
	}
	append(name: unknown, value: unknown, filename?: string): void {
		this.#entries.push([String(name), FormData.#value(value, filename)]);
	}
	set(name: unknown, value: unknown, filename?: string): void {
		const at = this.#entries.findIndex(([n]) => n === String(name));
		if (at < 0) return this.append(name, value, filename);
		this.#entries = this.#entries.filter(([n], i) => i <= at || n !== String(name));
		this.#entries[at] = [String(name), FormData.#value(value, filename)];
	}
	delete(name: unknown): void {
		this.#entries = this.#entries.filter(([n]) => n !== String(name));
	}
	get(name: unknown): FormValue | null {
		return this.#entries.find(([n]) => n === String(name))?.[1] ?? null;
	}
	getAll(name: unknown): FormValue[] {
		return this.#entries.filter(([n]) => n === String(name)).map(([, value]) => value);
	}
	has(name: unknown): boolean {
		return this.#entries.some(([n]) => n === String(name));
	}
	forEach(callback: (value: FormValue, name: string, all: FormData) => void): void {
		for (const [name, value] of this.#entries) callback(value, name, this);
	}
	*entries(): IterableIterator<[string, FormValue]> {
		for (const [name, value] of this.#entries) yield [name, value];
	}
	*keys(): IterableIterator<string> {
		for (const [name] of this.#entries) yield name;
	}
	*values(): IterableIterator<FormValue> {
		for (const [, value] of this.#entries) yield value;
	}
	[Symbol.iterator](): IterableIterator<[string, FormValue]> {
		return this.entries();
	}
}

function printForm(form: FormData, boundary: string): Uint8Array<ArrayBuffer> {
	const quote = (s: string): string => s.replace(/\r\n?|\n/g, "%0D%0A").replace(/"/g, "%22");
	const parts: Uint8Array[] = [];
	for (const [name, value] of form) {
		const head = `--${boundary}\r\nContent-Disposition: form-data; name="${quote(name)}"`;
		if (typeof value === "string") parts.push(utf8.encode(`${head}\r\n\r\n${value}\r\n`));
		else
			parts.push(
				utf8.encode(`${head}; filename="${quote(value.name)}"\r\nContent-Type: ${value.type || "application/octet-stream"}\r\n\r\n`),
				value.held,
				utf8.encode("\r\n"),
			);
	}
	return join([...parts, utf8.encode(`--${boundary}--\r\n`)]);
}

export function streamOf(bytes: Uint8Array): ReadableStream {
	return new ReadableStream({
		start: (controller) => {
			if (bytes.length > 0) controller.enqueue(bytes);
			controller.close();
		},
	});
}

/** A body as given: its bytes (or the stream that gives them), and the content type that follows from it. */
export function extract(body: unknown): { readonly bytes: Uint8Array | undefined; readonly stream: ReadableStream; readonly type: string | undefined } {
	const known = (bytes: Uint8Array, type?: string) => ({ bytes, stream: streamOf(bytes), type });
	if (body instanceof ReadableStream) return { bytes: undefined, stream: body, type: undefined };
	if (body instanceof Blob) return known(body.held, body.type || undefined);
	if (body instanceof URLSearchParams) return known(utf8.encode(body.toString()), "application/x-www-form-urlencoded;charset=UTF-8");
	if (body instanceof FormData) {
		const boundary = `----millrace${crypto.randomUUID().replace(/-/g, "")}`;
		return known(printForm(body, boundary), `multipart/form-data; boundary=${boundary}`);
	}
	if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return known(bytesOf(body).slice());
	return known(utf8.encode(String(body)), "text/plain;charset=UTF-8");
}

/** What Request and Response have in common. */
export class Body {
	#stream: ReadableStream | null;
	#bytes: Uint8Array | undefined;
	readonly #type: () => string | null;
	constructor(stream: ReadableStream | null, bytes: Uint8Array | undefined, type: () => string | null) {
		this.#stream = stream;
		this.#bytes = bytes;
		this.#type = type;
	}
	get body(): ReadableStream | null {
		return this.#stream;
	}
	get bodyUsed(): boolean {
		return this.#stream?.disturbed ?? false;
	}
	/** @internal For a second one that is read apart from this; each has the whole. */
	split(): { readonly bytes: Uint8Array | undefined; readonly stream: ReadableStream | null } {
		if (this.bodyUsed || this.#stream?.locked) throw new TypeError("The body was read already");
		if (!this.#stream) return { bytes: undefined, stream: null };
		if (this.#bytes) return { bytes: this.#bytes, stream: streamOf(this.#bytes) };
		const [mine, other] = this.#stream.tee();
		this.#stream = mine;
		return { bytes: undefined, stream: other };
	}
	/** @internal For one that reads it in this one's place. */
	take(): { readonly bytes: Uint8Array | undefined; readonly stream: ReadableStream | null } {
		if (this.bodyUsed || this.#stream?.locked) throw new TypeError("The body was read already");
		return { bytes: this.#bytes, stream: this.#stream };
	}
	async bytes(): Promise<Uint8Array<ArrayBuffer>> {
		if (this.bodyUsed || this.#stream?.locked) throw new TypeError("The body was read already");
		return this.#stream ? collect(this.#stream) : new Uint8Array(0);
	}
	async arrayBuffer(): Promise<ArrayBuffer> {
		return (await this.bytes()).buffer;
	}
	async text(): Promise<string> {
		return new TextDecoder().decode(await this.bytes());
	}
	async json(): Promise<unknown> {
		return JSON.parse(await this.text());
	}
	async blob(): Promise<Blob> {
		return new Blob([await this.bytes()], { type: this.#type() ?? "" });
	}
}
