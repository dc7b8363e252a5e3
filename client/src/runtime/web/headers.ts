// Headers of requests and responses.

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function nameOf(name: unknown): string {
	const text = String(name);
	if (!NAME.test(text)) throw new TypeError(`${JSON.stringify(text)} is no name of a header`);
	return text.toLowerCase();
}
function valueOf(value: unknown): string {
	const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
	if (/[\0\r\n]/.test(text)) throw new TypeError("A header's value is one line");
	return text;
}

export type HeadersGiven = Headers | Iterable<Iterable<unknown>> | { readonly [name: string]: unknown } | null | undefined;

export class Headers {
	readonly #values = new Map<string, string[]>();
	constructor(init?: HeadersGiven) {
		if (init === undefined || init === null) return;
		if (typeof init !== "object") throw new TypeError("Headers takes pairs, or an object");
		const entries = Symbol.iterator in init ? (init as Iterable<Iterable<unknown>>) : Object.entries(init);
		for (const entry of entries) {
			const [name, value, ...more] = [...entry];
			if (value === undefined || more.length > 0) throw new TypeError("Headers takes pairs of name and value");
			this.append(name, value);
		}
	}
	append(name: unknown, value: unknown): void {
		const key = nameOf(name);
		this.#values.set(key, [...(this.#values.get(key) ?? []), valueOf(value)]);
	}
	set(name: unknown, value: unknown): void {
		this.#values.set(nameOf(name), [valueOf(value)]);
	}
	delete(name: unknown): void {
		this.#values.delete(nameOf(name));
	}
	get(name: unknown): string | null {
		return this.#values.get(nameOf(name))?.join(", ") ?? null;
	}
	has(name: unknown): boolean {
		return this.#values.has(nameOf(name));
	}
	getSetCookie(): string[] {
		return [...(this.#values.get("set-cookie") ?? [])];
	}
	/** In the order of their names; cookies one by one. */
	*entries(): IterableIterator<[string, string]> {
		for (const [name, values] of [...this.#values].sort(([a], [b]) => (a < b ? -1 : 1))) {
			if (name === "set-cookie") for (const value of values) yield [name, value];
			else yield [name, values.join(", ")];
		}
	}
	*keys(): IterableIterator<string> {
		for (const [name] of this.entries()) yield name;
	}
	*values(): IterableIterator<string> {
		for (const [, value] of this.entries()) yield value;
	}
	forEach(callback: (value: string, name: string, all: Headers) => void): void {
		for (const [name, value] of this.entries()) callback(value, name, this);
	}
	[Symbol.iterator](): IterableIterator<[string, string]> {
		return this.entries();
	}
}
