// The web's classes that functions find in a worker, beside those of Node.

import assert from "node:assert/strict";
import test from "node:test";
import { AbortController as OwnController, AbortSignal as OwnSignal } from "../src/runtime/web/abort";
import { Headers as OwnHeaders } from "../src/runtime/web/headers";
import { collect, ReadableStream as OwnStream } from "../src/runtime/web/stream";
import { URL as OwnURL, URLSearchParams as OwnParams } from "../src/runtime/web/url";

type Shown = { readonly [part: string]: string } | "refused";
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"] as const;
function show(Class: new (input: string, base?: string) => { [part: string]: unknown }, input: string, base?: string): Shown {
	try {
		const url = new Class(input, base);
		return Object.fromEntries(PARTS.map((part) => [part, String(url[part])]));
	} catch {
		return "refused";
	}
}
const own = OwnURL as unknown as Parameters<typeof show>[0];
const nodes = URL as unknown as Parameters<typeof show>[0];

const ABSOLUTE = [
	"http://example.com", "HTTP://EXAMPLE.com:80/", "https://example.com:443/a", "https://example.com:8443", "http://example.com:080/", "http://h:65536/", "http://h:x/",
	"http://user:pa%20ss@host/p", "http://a@b@c/", "http://us er:p:w@h/", "http://@h/", "http:///h/p", "http:h/p", "http:\\\\h\\p\\..\\q", "http://h?x", "http://h#y",
	"http://h/a/../b/./c/..", "http://h/%2e%2E/x", "http://h/a//b", "http://h/a b\"<>`{}", "http://h/\u00e9?\u00e9#\u00e9", "http://h/?'\"<>#`", "http://h/%zz%4", "  http://h/x\n/y  ",
	"http://127.1/", "http://0x7f.0.0.1/", "http://0177.0.0.1", "http://2130706433/", "http://256.0.0.1/", "http://1.2.3.4.5/", "http://1.2.3.4./", "http://0x/", "http://a.1/", "http://09.1/",
	"http://[::1]/", "http://[1:0:0:2:0:0:0:3]:81/", "http://[::ffff:1.2.3.4]/", "http://[1::2::3]/", "http://[g::]/", "http://[1:2:3:4:5:6:7:8]/", "http://[1:2:3:4:5:6:7]/", "http://[::1/",
	"http://b\u00fccher.example/", "http://B\u00dcCHER.example/", "http://\u65e5\u672c\u8a9e.jp/", "http://%65xample.com/", "http://ex ample/", "http://ex%20ample/", "http://ex%00/", "http://a<b/", "http://fa\u3002de/",
	"mailto:me@x.y?subject=a b#z", "data:text/plain,hello world", "javascript:alert(1)", "tel:+1", "app://host/p/../q", "app:/p/q", "app:", "urn:x:y", "ws://h:80/", "wss://h:443/", "ftp://h:21/x",
	"", "x", "//h", ":x", "1http://h", "http://", "http://:80/", "http://u@/", "http://h:/", "https://h/\u{1f600}", "http://h/\ud800",
];
const RELATIVE = ["", "x", "./x", "../x", "../../../x", "/x", "//other/x", "\\\\other\\x", "?q", "#f", "?", "#", "x?y#z", "/..", ".", "..", "http:x", "https:x", "http:/x", "mailto:a", "x:y", "a/./b/../c/", "/\u00e9 x"];
const BASES = ["http://u:p@h:81/a/b/c?q#f", "https://h", "http://h/a/b/", "app://h/a/b"];

test("URLs are those of Node, part for part", () => {
	for (const input of ABSOLUTE) assert.deepEqual(show(own, input), show(nodes, input), JSON.stringify(input));
	/* Node 20 takes the last slash of app://h/.. away, which the standard keeps. */
	const fits = (base: string, input: string): boolean => !base.startsWith("app:") || !/\.\.$/.test(input);
	for (const base of BASES) for (const input of RELATIVE.filter((one) => fits(base, one))) assert.deepEqual(show(own, input, base), show(nodes, input, base), JSON.stringify([input, base]));
	assert.equal(new OwnURL("#f", "mailto:x").href, "mailto:x#f");
	assert.throws(() => new OwnURL("x", "mailto:x"));
});

test("URLs of chance too", () => {
	const pieces = ["http:", "https:", "//", "/", "\\", "@", ":", "h", "example.com", "80", "[::1]", "?", "#", "%", "%41", ".", "..", "a", " ", "&", "=", "1", "0x2", "\u00e9", "'", "\"", "\t"];
	let seed = 7;
	const random = (n: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
	for (let i = 0; i < 20000; i++) {
		const input = Array.from({ length: 1 + random(9) }, () => pieces[random(pieces.length)]).join("");
		const base = i % 2 ? "http://h/a/b?c" : undefined;
		assert.deepEqual(show(own, input, base), show(nodes, input, base), JSON.stringify([input, base]));
	}
});

test("parts of a URL can be set", () => {
	const changes: readonly (readonly [(typeof PARTS)[number], string])[] = [
		["protocol", "https"], ["protocol", "mailto"], ["host", "x:99"], ["host", "y"], ["hostname", "z"], ["hostname", "a:1"], ["port", "8080"], ["port", ""], ["port", "99999"], ["port", "12x"],
		["pathname", "a b/../c"], ["search", "?a=b c'"], ["search", ""], ["hash", "#x y"], ["hash", ""], ["username", "u@"], ["password", "p:"], ["href", "http://n/?m=1"],
	];
	const [mine, theirs] = [new OwnURL("http://h:81/p?q=1#f") as never, new URL("http://h:81/p?q=1#f") as never] as unknown as [{ [k: string]: unknown }, { [k: string]: unknown }];
	for (const [part, value] of changes) {
		mine[part] = value;
		theirs[part] = value;
		assert.equal(mine["href"], theirs["href"], `${part} = ${value}`);
	}
});

test("search parameters are those of Node, alone and as a part of a URL", () => {
	for (const text of ["a=1&b=2&a=3", "?x=%20+y&z", "&&=&=v&k=", "a=%zz&b=\u00e9&c=%C3%28", "a=b=c"]) {
		const [mine, theirs] = [new OwnParams(text), new URLSearchParams(text)];
		assert.deepEqual([[...mine], String(mine)], [[...theirs], String(theirs)], text);
	}
	const act = (p: OwnParams | URLSearchParams): unknown[] => {
		p.append("a", "x y&*~'");
		p.set("b", "new");
		p.delete("c");
		p.sort();
		return [p.get("a"), p.getAll("a"), p.has("b"), p.has("zz"), p.get("zz"), [...p.keys()], String(p)];
	};
	const [mine, theirs] = [new OwnURL("http://h/?b=1&c=2&b=3&a=0"), new URL("http://h/?b=1&c=2&b=3&a=0")];
	assert.deepEqual(act(mine.searchParams), act(theirs.searchParams));
	assert.equal(mine.href, theirs.href);
	assert.equal(String(new OwnParams({ a: 1, b: "\ud800" })), String(new URLSearchParams({ a: "1", b: "\ud800" })));
	assert.equal(String(new OwnParams([["a", 1]])), "a=1");
	assert.throws(() => new OwnParams([["a"]]));
});

test("headers: any case, in order, lists and cookies", () => {
	const headers = new OwnHeaders([["B", " 2 "], ["a", "1"], ["Set-Cookie", "x"], ["set-cookie", "y"]]);
	headers.append("b", "3");
	assert.deepEqual([...headers], [["a", "1"], ["b", "2, 3"], ["set-cookie", "x"], ["set-cookie", "y"]]);
	assert.deepEqual([headers.get("SET-COOKIE"), headers.getSetCookie(), headers.get("none"), headers.has("A")], ["x, y", ["x", "y"], null, true]);
	for (const bad of ["", "a b", "a:", "\u00e9"]) assert.throws(() => headers.set(bad, "1"));
	assert.throws(() => headers.set("a", "x\ny"));
});

test("streams: chunks as they come, errors, an early end, two that read one", async () => {
	const count = (): OwnStream => {
		let n = 0;
		return new OwnStream({ pull: (c) => (n < 3 ? c.enqueue(new Uint8Array([n++])) : c.close()) });
	};
	assert.deepEqual([...(await collect(count()))], [0, 1, 2]);
	const [a, b] = count().tee();
	assert.deepEqual([[...(await collect(a))], [...(await collect(b))]], [[0, 1, 2], [0, 1, 2]]);
	let cancelled = false;
	for await (const _ of new OwnStream({ pull: (c) => c.enqueue("x"), cancel: () => void (cancelled = true) })) break;
	assert.ok(cancelled);
	await assert.rejects(collect(new OwnStream({ pull: () => Promise.reject(new Error("broken")) })), /broken/);
	const stream = count();
	const reader = stream.getReader();
	assert.throws(() => stream.getReader());
	assert.deepEqual(await reader.read(), { done: false, value: new Uint8Array([0]) });
	reader.releaseLock();
	await assert.rejects(reader.read());
	assert.deepEqual([...(await collect(stream))], [1, 2]);
});

test("signals: heard once, by all, also when one of several is aborted", () => {
	const any = (OwnSignal as unknown as { any(signals: OwnSignal[]): OwnSignal }).any;
	const [a, b] = [new OwnController(), new OwnController()];
	const both = any([a.signal, b.signal]);
	const heard: string[] = [];
	const gone = (): void => void heard.push("gone");
	both.onabort = () => void heard.push("on");
	both.addEventListener("abort", (event) => heard.push(event.type));
	both.addEventListener("abort", gone);
	both.removeEventListener("abort", gone);
	b.abort("reason");
	a.abort();
	assert.deepEqual([heard, both.aborted, both.reason], [["on", "abort"], true, "reason"]);
	assert.throws(() => a.signal.throwIfAborted(), { name: "AbortError" });
	assert.ok(any([OwnSignal.abort()]).aborted);
});
