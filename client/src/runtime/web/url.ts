// URL and URLSearchParams, after the URL standard. What fetch connects to is looked at anew, by the address (rule 29).

import { BadHost, hostOf } from "./host.js";

const PORTS: { readonly [scheme: string]: string } = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21" };

// --- percent encoding

const CONTROLS = "\\u0000-\\u001f\\u007f-\\u{10ffff}";
const set = (more: string): RegExp => new RegExp(`[${CONTROLS}${more}]`, "gu");
const FRAGMENT = set(' "<>`');
const QUERY = set(' "#<>');
const SPECIAL_QUERY = set(` "#<>'`);
const PATH = set(' "#<>?`{}');
const USER = set(' "#<>?`{}/:;=@[\\\\\\]^|');
const OPAQUE = set("");

function encode(text: string, what: RegExp): string {
	return text.replace(what, (c) => {
		let out = "";
		for (const byte of new TextEncoder().encode(c)) out += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
		return out;
	});
}
function decode(text: string): string {
	if (!text.includes("%")) return text;
	const bytes: number[] = [];
	const source = new TextEncoder().encode(text);
	for (let i = 0; i < source.length; i++) {
		const pair = source[i] === 0x25 ? String.fromCharCode(source[i + 1] ?? 0, source[i + 2] ?? 0) : "";
		if (/^[0-9a-fA-F]{2}$/.test(pair)) {
			bytes.push(parseInt(pair, 16));
			i += 2;
		} else bytes.push(source[i] as number);
	}
	return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(bytes));
}

// --- parsing

interface Parts {
	scheme: string;
	user: string;
	password: string;
	/** null: none, as in mailto:x */
	host: string | null;
	port: string;
	/** Segments; text when it is opaque. */
	path: string[] | string;
	query: string | null;
	fragment: string | null;
}

const isSpecial = (parts: Parts): boolean => parts.scheme in PORTS;
const isDot = (s: string): boolean => /^(\.|%2e)$/i.test(s);
const isTwoDots = (s: string): boolean => /^(\.|%2e){2}$/i.test(s);

function addPath(segments: string[], text: string, special: boolean): string[] {
	const given = (special ? text.replace(/\\/g, "/") : text).split("/");
	given.forEach((segment, i) => {
		const isLast = i === given.length - 1;
		if (isTwoDots(segment)) {
			segments.pop();
			if (isLast) segments.push("");
		} else if (isDot(segment)) {
			if (isLast) segments.push("");
		} else segments.push(encode(segment, PATH));
	});
	return segments;
}

function takePort(parts: Parts, text: string): void {
	if (!/^\d*$/.test(text) || Number(text) > 65535) throw new BadHost(`"${text}" is no port`);
	const port = text === "" ? "" : String(Number(text));
	parts.port = port === PORTS[parts.scheme] ? "" : port;
}

function takeHost(parts: Parts, text: string): void {
	if (isSpecial(parts)) parts.host = hostOf(text);
	else if (text.startsWith("[")) parts.host = hostOf(text);
	else if (/[\u0000\t\n\r #/:<>?@[\\\]^|]/.test(text)) throw new BadHost(`"${text}" is no host`);
	else parts.host = encode(text, OPAQUE);
}

function takeAuthority(parts: Parts, text: string): void {
	const at = text.lastIndexOf("@");
	if (at >= 0) {
		const [user = "", ...password] = text.slice(0, at).split(":");
		parts.user = encode(user, USER);
		parts.password = encode(password.join(":"), USER);
	}
	const [, host = "", port] = /^(\[.*\]|[^:]*)(?::(.*))?$/s.exec(text.slice(at + 1)) ?? [];
	if (host === "" && (isSpecial(parts) || at >= 0 || port !== undefined)) throw new BadHost("a host is missing");
	takeHost(parts, host);
	takePort(parts, port ?? "");
}

/** `//host/path`, or what follows the slashes of a special scheme. */
function takeRest(parts: Parts, text: string): void {
	const [, authority = "", path = ""] = (isSpecial(parts) ? /^([^/\\]*)(.*)$/s : /^([^/]*)(.*)$/s).exec(text) ?? [];
	takeAuthority(parts, authority);
	parts.path = path === "" ? (isSpecial(parts) ? [""] : []) : addPath([], path.slice(1), isSpecial(parts));
}

function takeRelative(parts: Parts, base: Parts, text: string): void {
	const special = isSpecial(parts);
	const slash = (c: string | undefined): boolean => c === "/" || (special && c === "\\");
	if (slash(text[0]) && slash(text[1])) return takeRest(parts, special ? text.replace(/^[/\\]+/, "") : text.slice(2));
	Object.assign(parts, { user: base.user, password: base.password, host: base.host, port: base.port });
	if (slash(text[0])) parts.path = addPath([], text.slice(1), special);
	else if (text === "") parts.path = base.path;
	else parts.path = addPath((base.path as string[]).slice(0, -1), text, special);
}

function parse(input: string, base: Parts | undefined): Parts {
	const text = input.replace(/^[\u0000-\u0020]+|[\u0000-\u0020]+$/g, "").replace(/[\t\n\r]/g, "");
	const [, scheme, rest = ""] = /^([a-zA-Z][a-zA-Z0-9+.-]*:)?(.*)$/s.exec(text) ?? [];
	const [, body = "", query, fragment] = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(rest) ?? [];
	const parts: Parts = { scheme: (scheme ?? base?.scheme ?? "").toLowerCase(), user: "", password: "", host: null, port: "", path: [], query: null, fragment: null };
	const special = isSpecial(parts);
	if (scheme !== undefined && !(special && base?.scheme === parts.scheme)) {
		if (special) takeRest(parts, body.replace(/^[/\\]*/, ""));
		else if (body.startsWith("//")) takeRest(parts, body.slice(2));
		else if (body.startsWith("/")) parts.path = addPath([], body.slice(1), false);
		else parts.path = encode(body, OPAQUE);
	} else {
		if (!base) throw new BadHost("it is relative, and has no base");
		const onlyFragment = body === "" && query === undefined && fragment !== undefined;
		if (typeof base.path === "string" && !onlyFragment) throw new BadHost("its base cannot have others relative to it");
		takeRelative(parts, base, body);
		if (body === "" && query === undefined) parts.query = base.query;
	}
	if (query !== undefined) parts.query = encode(query, special ? SPECIAL_QUERY : QUERY);
	if (fragment !== undefined) parts.fragment = encode(fragment, FRAGMENT);
	return parts;
}

// --- what apps see

type Pairs = [string, string][];

function parseQuery(text: string): Pairs {
	return text
		.split("&")
		.filter((one) => one !== "")
		.map((one) => {
			const [name = "", ...value] = one.replace(/\+/g, " ").split("=");
			return [decode(name), decode(value.join("="))];
		});
}
function printQuery(pairs: Pairs): string {
	const print = (s: string): string => encode(s, /[^A-Za-z0-9*\-._ ]/gu).replace(/ /g, "+");
	return pairs.map(([name, value]) => `${print(name)}=${print(value)}`).join("&");
}
const wellFormed = (x: unknown): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(String(x)));

export class URLSearchParams {
	#pairs: Pairs = [];
	#changed: ((text: string) => void) | undefined;
	constructor(init: unknown = "") {
		if (typeof init === "object" && init !== null) {
			const entries = Symbol.iterator in init ? [...(init as Iterable<Iterable<unknown>>)] : Object.entries(init);
			this.#pairs = entries.map((entry) => {
				const pair = [...(entry as Iterable<unknown>)];
				if (pair.length !== 2) throw new TypeError("URLSearchParams takes pairs of name and value");
				return [wellFormed(pair[0]), wellFormed(pair[1])];
			});
		} else this.#pairs = parseQuery(String(init).replace(/^\?/, ""));
	}
	/** @internal */
	static of(text: string, changed: (text: string) => void): URLSearchParams {
		const all = new URLSearchParams(text);
		all.#changed = changed;
		return all;
	}
	/** @internal */
	reset(text: string): void {
		this.#pairs = parseQuery(text);
	}
	#set(pairs: Pairs): void {
		this.#pairs = pairs;
		this.#changed?.(printQuery(pairs));
	}
	get size(): number {
		return this.#pairs.length;
	}
	append(name: unknown, value: unknown): void {
		this.#set([...this.#pairs, [wellFormed(name), wellFormed(value)]]);
	}
	delete(name: unknown, value?: unknown): void {
		this.#set(this.#pairs.filter(([n, v]) => n !== String(name) || (value !== undefined && v !== String(value))));
	}
	get(name: unknown): string | null {
		return this.#pairs.find(([n]) => n === String(name))?.[1] ?? null;
	}
	getAll(name: unknown): string[] {
		return this.#pairs.filter(([n]) => n === String(name)).map(([, v]) => v);
	}
	has(name: unknown, value?: unknown): boolean {
		return this.#pairs.some(([n, v]) => n === String(name) && (value === undefined || v === String(value)));
	}
	set(name: unknown, value: unknown): void {
		const at = this.#pairs.findIndex(([n]) => n === String(name));
		if (at < 0) return this.append(name, value);
		this.#set(this.#pairs.flatMap((pair, i) => (i === at ? [[pair[0], wellFormed(value)]] : pair[0] === String(name) ? [] : [pair])));
	}
	sort(): void {
		this.#set([...this.#pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
	}
	forEach(callback: (value: string, name: string, all: URLSearchParams) => void): void {
		for (const [name, value] of this.#pairs) callback(value, name, this);
	}
	*entries(): IterableIterator<[string, string]> {
		for (const [name, value] of this.#pairs) yield [name, value];
	}
	*keys(): IterableIterator<string> {
		for (const [name] of this.#pairs) yield name;
	}
	*values(): IterableIterator<string> {
		for (const [, value] of this.#pairs) yield value;
	}
	[Symbol.iterator](): IterableIterator<[string, string]> {
		return this.entries();
	}
	toString(): string {
		return printQuery(this.#pairs);
	}
}

export class URL {
	#parts: Parts;
	readonly #params: URLSearchParams;
	constructor(input: unknown, base?: unknown) {
		try {
			this.#parts = parse(String(input), base === undefined ? undefined : parse(String(base), undefined));
		} catch (e) {
			if (!(e instanceof BadHost)) throw e;
			throw new TypeError(`${JSON.stringify(String(input))} is no URL: ${e.message}`);
		}
		this.#params = URLSearchParams.of(this.#parts.query ?? "", (text) => {
			this.#parts.query = text === "" ? null : text;
		});
	}
	static canParse(input: unknown, base?: unknown): boolean {
		try {
			return Boolean(new URL(input, base));
		} catch {
			return false;
		}
	}
	/** What cannot be is left as it was, as the standard has it. */
	#try(change: (parts: Parts) => void): void {
		const next = { ...this.#parts };
		try {
			change(next);
		} catch (e) {
			if (e instanceof BadHost) return;
			throw e;
		}
		this.#parts = next;
	}
	get href(): string {
		const { scheme, user, password, host, path, query, fragment } = this.#parts;
		const who = user || password ? `${user}${password ? `:${password}` : ""}@` : "";
		const authority = host === null ? (Array.isArray(path) && path.length > 1 && path[0] === "" ? "/." : "") : `//${who}${this.host}`;
		return `${scheme}${authority}${this.pathname}${query === null ? "" : `?${query}`}${fragment === null ? "" : `#${fragment}`}`;
	}
	set href(value: string) {
		this.#parts = new URL(value).#parts;
		this.#params.reset(this.#parts.query ?? "");
	}
	get origin(): string {
		return isSpecial(this.#parts) ? `${this.#parts.scheme}//${this.host}` : "null";
	}
	get protocol(): string {
		return this.#parts.scheme;
	}
	set protocol(value: string) {
		const [, scheme] = /^([a-zA-Z][a-zA-Z0-9+.-]*):?/.exec(String(value)) ?? [];
		const next = `${scheme ?? ""}:`.toLowerCase();
		if (scheme === undefined || next in PORTS !== isSpecial(this.#parts)) return;
		this.#try((parts) => {
			parts.scheme = next;
			takePort(parts, parts.port);
		});
	}
	get username(): string {
		return this.#parts.user;
	}
	set username(value: string) {
		if (this.#parts.host) this.#parts.user = encode(String(value), USER);
	}
	get password(): string {
		return this.#parts.password;
	}
	set password(value: string) {
		if (this.#parts.host) this.#parts.password = encode(String(value), USER);
	}
	get host(): string {
		return `${this.#parts.host ?? ""}${this.#parts.port ? `:${this.#parts.port}` : ""}`;
	}
	set host(value: string) {
		const [, host = "", port] = /^(\[[^\]]*\]|[^:/\\?#]*)(?::(\d*))?/.exec(String(value)) ?? [];
		this.#try((parts) => {
			if (typeof parts.path === "string" || (host === "" && isSpecial(parts))) return;
			takeHost(parts, host);
			if (port) takePort(parts, port);
		});
	}
	get hostname(): string {
		return this.#parts.host ?? "";
	}
	set hostname(value: string) {
		const text = String(value);
		if (text.startsWith("[") || !text.includes(":")) this.host = text;
	}
	get port(): string {
		return this.#parts.port;
	}
	set port(value: string) {
		const [digits = ""] = /^\d*/.exec(String(value)) ?? [];
		if (digits === "" && String(value) !== "") return;
		this.#try((parts) => void (parts.host && takePort(parts, digits)));
	}
	get pathname(): string {
		const { path } = this.#parts;
		return typeof path === "string" ? path : path.map((segment) => `/${segment}`).join("");
	}
	set pathname(value: string) {
		if (typeof this.#parts.path === "string") return;
		const special = isSpecial(this.#parts);
		this.#parts.path = addPath([], String(value).replace(special ? /^[/\\]/ : /^\//, ""), special);
	}
	get search(): string {
		return this.#parts.query ? `?${this.#parts.query}` : "";
	}
	set search(value: string) {
		const text = String(value).replace(/^\?/, "");
		this.#parts.query = text === "" ? null : encode(text, isSpecial(this.#parts) ? SPECIAL_QUERY : QUERY);
		this.#params.reset(text);
	}
	get searchParams(): URLSearchParams {
		return this.#params;
	}
	get hash(): string {
		return this.#parts.fragment ? `#${this.#parts.fragment}` : "";
	}
	set hash(value: string) {
		const text = String(value).replace(/^#/, "");
		this.#parts.fragment = text === "" ? null : encode(text, FRAGMENT);
	}
	toString(): string {
		return this.href;
	}
	toJSON(): string {
		return this.href;
	}
}
