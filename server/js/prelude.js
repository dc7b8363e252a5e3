// What a function finds in its world besides the language: the engine gives Intl, BigInt and the rest of ECMAScript; this gives the few
// globals of the web that make sense without network and clock, and makes time and randomness those of the call whose code runs. What
// actions have besides (fetch, timers) is the app's runtime's, by operations of the host.
// Evaluated once for each engine, before the app's bundle. The last expression is the function that the host calls with its native half.
(function (native) {
	"use strict";
	const RealDate = Date;
	const realRandom = Math.random;
	const realNow = RealDate.now;
	const { parse, stringify } = JSON;
	const { construct, defineProperty, getPrototypeOf, ownKeys } = Reflect;
	const { min, floor } = Math;

	// Calls that are under way: number -> { now, live, seed, stream }; live: an action, for which time passes. `current` is the one whose slice runs (0: the bundle is being loaded).
	const calls = new Map();
	let current = 0;
	let state;

	function enter(n) {
		current = n;
		state = calls.get(n);
	}

	// --- randomness: a ChaCha20 keystream for each call that asks for some, keyed by the SHA-256 of its seed
	function Stream(seed) {
		const text = new Uint8Array(seed.length * 3);
		const hash = new DataView(native.digest("SHA-256", text.slice(0, put(seed, text).written)).buffer);
		this.key = new Uint32Array(16);
		this.key.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);
		for (let i = 0; i < 8; i++) this.key[4 + i] = hash.getUint32(4 * i);
		this.block = new Uint32Array(16);
		this.at = 16;
	}
	function quarter(x, a, b, c, d) {
		let t;
		x[a] += x[b]; t = x[d] ^ x[a]; x[d] = (t << 16) | (t >>> 16);
		x[c] += x[d]; t = x[b] ^ x[c]; x[b] = (t << 12) | (t >>> 20);
		x[a] += x[b]; t = x[d] ^ x[a]; x[d] = (t << 8) | (t >>> 24);
		x[c] += x[d]; t = x[b] ^ x[c]; x[b] = (t << 7) | (t >>> 25);
	}
	Stream.prototype.word = function () {
		if (this.at === 16) {
			const x = this.block;
			const k = this.key;
			x.set(k);
			for (let i = 0; i < 10; i++) {
				quarter(x, 0, 4, 8, 12); quarter(x, 1, 5, 9, 13); quarter(x, 2, 6, 10, 14); quarter(x, 3, 7, 11, 15);
				quarter(x, 0, 5, 10, 15); quarter(x, 1, 6, 11, 12); quarter(x, 2, 7, 8, 13); quarter(x, 3, 4, 9, 14);
			}
			for (let i = 0; i < 16; i++) x[i] += k[i];
			if (++k[12] === 0) k[13]++;
			this.at = 0;
		}
		return this.block[this.at++];
	};
	function word() {
		if (state === undefined) return floor(realRandom() * 4294967296) >>> 0;
		state.stream ??= new Stream(state.seed);
		return state.stream.word();
	}
	function random() {
		if (state === undefined) return realRandom();
		return ((word() >>> 5) * 67108864 + (word() >>> 6)) / 9007199254740992;
	}
	defineProperty(Math, "random", { value: random, writable: true, configurable: true });

	// --- time stands still in a call that is no action
	function now() {
		return state === undefined || state.live ? realNow() : state.now;
	}
	function FrozenDate(...args) {
		if (new.target === undefined) return new RealDate(now()).toString();
		return construct(RealDate, args.length === 0 ? [now()] : args, new.target === FrozenDate ? RealDate : new.target);
	}
	FrozenDate.prototype = RealDate.prototype;
	defineProperty(FrozenDate, "name", { value: "Date", configurable: true });
	defineProperty(FrozenDate, "length", { value: 7, configurable: true });
	for (const [key, value] of [["now", now], ["parse", RealDate.parse], ["UTC", RealDate.UTC]])
		defineProperty(FrozenDate, key, { value, writable: true, configurable: true });
	defineProperty(RealDate.prototype, "constructor", { value: FrozenDate, writable: true, configurable: true });
	defineProperty(globalThis, "Date", { value: FrozenDate, writable: true, configurable: true });
	// Intl looks at the real clock when it is given no date.
	const format = Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, "format").get;
	const bound = new WeakMap();
	defineProperty(Intl.DateTimeFormat.prototype, "format", {
		configurable: true,
		get() {
			let f = bound.get(this);
			if (f === undefined) {
				const real = format.call(this);
				f = (date) => real(date === undefined ? now() : date);
				bound.set(this, f);
			}
			return f;
		},
	});
	const toParts = Intl.DateTimeFormat.prototype.formatToParts;
	defineProperty(Intl.DateTimeFormat.prototype, "formatToParts", {
		writable: true,
		configurable: true,
		value: function formatToParts(date) {
			return toParts.call(this, date === undefined ? now() : date);
		},
	});

	function global(name, value) {
		defineProperty(globalThis, name, { value, writable: true, configurable: true });
	}
	global("performance", {
		now: () => (state?.live ? realNow() - state.now : 0),
		get timeOrigin() { return state?.live ? state.now : now(); },
	});

	const resolved = Promise.resolve();
	const then = Promise.prototype.then;
	global("queueMicrotask", function queueMicrotask(callback) {
		if (typeof callback !== "function") throw new TypeError("queueMicrotask takes a function");
		then.call(resolved, () => callback());
	});

	// --- crypto
	const integerArrays = new Set(["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array",
		"BigInt64Array", "BigUint64Array"]);
	function getRandomValues(array) {
		if (!ArrayBuffer.isView(array) || !integerArrays.has(array[Symbol.toStringTag]))
			throw new TypeError("getRandomValues takes an array of integers");
		if (array.byteLength > 65536) throw new RangeError("getRandomValues gives at most 65536 bytes at once");
		const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
		for (let i = 0; i < bytes.length; i += 4) {
			let w = word();
			for (let j = i; j < min(i + 4, bytes.length); j++) {
				bytes[j] = w;
				w >>>= 8;
			}
		}
		return array;
	}
	const hex = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));
	function randomUUID() {
		const b = getRandomValues(new Uint8Array(16));
		b[6] = (b[6] & 0x0f) | 0x40;
		b[8] = (b[8] & 0x3f) | 0x80;
		let text = "";
		for (let i = 0; i < 16; i++) text += (i === 4 || i === 6 || i === 8 || i === 10 ? "-" : "") + hex[b[i]];
		return text;
	}
	// of crypto.subtle, what signatures of webhooks need: digests and HMAC
	const blocks = new Map([["SHA-1", 64], ["SHA-256", 64], ["SHA-384", 128], ["SHA-512", 128]]);
	function fault(name, message) {
		const error = new Error(message);
		defineProperty(error, "name", { value: name, writable: true, configurable: true });
		return error;
	}
	const nameOf = (given) => String(typeof given === "object" && given !== null ? given.name : given).toUpperCase();
	function hashOf(given) {
		const name = nameOf(given);
		if (blocks.has(name)) return name;
		throw fault("NotSupportedError", `crypto.subtle knows ${[...blocks.keys()].join(", ")} here, not ${name}`);
	}
	function hmacOnly(given) {
		if (nameOf(given) !== "HMAC") throw fault("NotSupportedError", `crypto.subtle knows keys of HMAC here, not of ${nameOf(given)}`);
	}
	/** A copy, which nobody changes meanwhile. */
	function bytesOf(data) {
		if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
		if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
		throw new TypeError("crypto.subtle takes bytes: an ArrayBuffer or a view of one");
	}
	const whole = (bytes) => bytes.buffer;
	let secretOf;
	class CryptoKey {
		#bytes;
		constructor(door, bytes, hash, extractable, usages) {
			if (door !== native) throw new TypeError("Keys are made by crypto.subtle.importKey");
			this.#bytes = bytes;
			const named = { name: "HMAC", hash: Object.freeze({ name: hash }), length: bytes.length * 8 };
			for (const [name, value] of Object.entries({ type: "secret", algorithm: Object.freeze(named), extractable, usages: Object.freeze(usages) }))
				defineProperty(this, name, { value, enumerable: true });
		}
		static {
			secretOf = (key, usage) => {
				if (typeof key !== "object" || key === null || !(#bytes in key)) throw new TypeError("crypto.subtle takes a CryptoKey");
				if (usage !== undefined && !key.usages.includes(usage)) throw fault("InvalidAccessError", `The key is not for "${usage}"`);
				return key.#bytes;
			};
		}
	}
	function makeKey(bytes, algorithm, extractable, usages) {
		const wanted = [...new Set(usages)];
		if (wanted.length === 0 || wanted.some((one) => one !== "sign" && one !== "verify"))
			throw new SyntaxError('A key of HMAC is for "sign", "verify" or both');
		if (bytes.length === 0) throw fault("DataError", "The key is empty");
		return new CryptoKey(native, bytes, hashOf(algorithm.hash), Boolean(extractable), wanted);
	}
	const plain = (text) => Uint8Array.from(atob(String(text).replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
	const signed = (key, usage, data) => native.digest(key.algorithm.hash.name, bytesOf(data), secretOf(key, usage));
	class SubtleCrypto {
		async digest(algorithm, data) {
			return whole(native.digest(hashOf(algorithm), bytesOf(data)));
		}
		async importKey(format, data, algorithm, extractable, usages) {
			hmacOnly(algorithm);
			if (format === "raw") return makeKey(bytesOf(data), algorithm, extractable, usages);
			if (format !== "jwk") throw fault("NotSupportedError", `Keys are imported as "raw" or "jwk" here, not as ${format}`);
			if (data?.kty !== "oct" || typeof data.k !== "string") throw fault("DataError", "The JWK is no secret key");
			return makeKey(plain(data.k), algorithm, extractable, usages);
		}
		async generateKey(algorithm, extractable, usages) {
			hmacOnly(algorithm);
			const bits = algorithm.length ?? blocks.get(hashOf(algorithm.hash)) * 8;
			return makeKey(getRandomValues(new Uint8Array(min(65536, bits >>> 3))), algorithm, extractable, usages);
		}
		async exportKey(format, key) {
			const bytes = secretOf(key);
			if (!key.extractable) throw fault("InvalidAccessError", "The key is not extractable");
			if (format === "raw") return whole(bytes.slice());
			throw fault("NotSupportedError", `Keys are exported as "raw" here, not as ${format}`);
		}
		async sign(algorithm, key, data) {
			hmacOnly(algorithm);
			return whole(signed(key, "sign", data));
		}
		/** Takes as long for a signature that is nearly right as for any other. */
		async verify(algorithm, key, signature, data) {
			hmacOnly(algorithm);
			return native.same(signed(key, "verify", data), bytesOf(signature));
		}
	}
	global("CryptoKey", CryptoKey);
	global("SubtleCrypto", SubtleCrypto);
	global("crypto", Object.freeze({ getRandomValues, randomUUID, subtle: Object.freeze(new SubtleCrypto()) }));

	// --- text and bytes
	class TextEncoder {
		get encoding() { return "utf-8"; }
		encode(text = "") {
			text = String(text);
			const out = new Uint8Array(text.length * 3);
			return out.slice(0, put(text, out).written);
		}
		encodeInto(text, out) {
			if (!(out instanceof Uint8Array)) throw new TypeError("encodeInto takes a Uint8Array");
			return put(String(text), out);
		}
	}
	function put(text, out) {
		let read = 0;
		let at = 0;
		while (read < text.length) {
			let c = text.codePointAt(read);
			if (c >= 0xd800 && c <= 0xdfff) c = 0xfffd;
			const size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
			if (at + size > out.length) break;
			if (size === 1) out[at++] = c;
			else {
				out[at++] = [0, 0, 0xc0, 0xe0, 0xf0][size] | (c >> (6 * (size - 1)));
				for (let i = size - 2; i >= 0; i--) out[at++] = 0x80 | ((c >> (6 * i)) & 0x3f);
			}
			read += size === 4 ? 2 : 1;
		}
		return { read, written: at };
	}
	class TextDecoder {
		#fatal;
		#keepMark;
		#rest = [];
		#begun = false;
		constructor(label = "utf-8", options = {}) {
			if (!/^\s*(utf-?8|unicode-1-1-utf-8)\s*$/i.test(String(label))) throw new RangeError(`TextDecoder knows utf-8 only, not ${label}`);
			this.#fatal = Boolean(options.fatal);
			this.#keepMark = Boolean(options.ignoreBOM);
		}
		get encoding() { return "utf-8"; }
		get fatal() { return this.#fatal; }
		get ignoreBOM() { return this.#keepMark; }
		decode(input, options = {}) {
			let bytes = new Uint8Array(0);
			if (input instanceof ArrayBuffer) bytes = new Uint8Array(input);
			else if (ArrayBuffer.isView(input)) bytes = new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
			else if (input !== undefined) throw new TypeError("decode takes bytes");
			if (this.#rest.length > 0) {
				const joined = new Uint8Array(this.#rest.length + bytes.length);
				joined.set(this.#rest);
				joined.set(bytes, this.#rest.length);
				bytes = joined;
				this.#rest = [];
			}
			let out = "";
			let at = 0;
			let piece = [];
			const emit = (c) => {
				piece.push(c);
				if (piece.length >= 4096) {
					out += String.fromCodePoint(...piece);
					piece = [];
				}
			};
			while (at < bytes.length) {
				const lead = bytes[at];
				if (lead < 0x80) {
					emit(lead);
					at++;
					continue;
				}
				const size = lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
				let c = lead & (0xff >> (size + 1));
				let got = 1;
				while (got < size && at + got < bytes.length) {
					const b = bytes[at + got];
					let low = 0x80;
					let high = 0xbf;
					if (got === 1) {
						if (lead === 0xe0) low = 0xa0;
						else if (lead === 0xed) high = 0x9f;
						else if (lead === 0xf0) low = 0x90;
						else if (lead === 0xf4) high = 0x8f;
					}
					if (b < low || b > high) break;
					c = (c << 6) | (b & 0x3f);
					got++;
				}
				if (size > 0 && got === size) emit(c);
				else if (options.stream && size > 0 && at + got === bytes.length) {
					this.#rest = Array.from(bytes.subarray(at));
					break;
				} else {
					if (this.#fatal) {
						this.#begun = false;
						throw new TypeError("The bytes are not UTF-8");
					}
					emit(0xfffd);
				}
				at += got;
			}
			out += String.fromCodePoint(...piece);
			if (!this.#begun && !this.#keepMark && out.charCodeAt(0) === 0xfeff) out = out.slice(1);
			this.#begun = Boolean(options.stream) && (this.#begun || at > 0);
			return out;
		}
	}
	global("TextEncoder", TextEncoder);
	global("TextDecoder", TextDecoder);

	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const digit = new Map(Array.from(alphabet, (c, i) => [c, i]));
	global("btoa", function btoa(text) {
		text = String(text);
		let out = "";
		for (let i = 0; i < text.length; i += 3) {
			const [a, b, c] = [text.charCodeAt(i), text.charCodeAt(i + 1), text.charCodeAt(i + 2)];
			if (a > 255 || b > 255 || c > 255) throw new RangeError("btoa takes characters up to U+00FF");
			const w = (a << 16) | ((b || 0) << 8) | (c || 0);
			out += alphabet[w >> 18] + alphabet[(w >> 12) & 63];
			out += i + 1 < text.length ? alphabet[(w >> 6) & 63] : "=";
			out += i + 2 < text.length ? alphabet[w & 63] : "=";
		}
		return out;
	});
	global("atob", function atob(text) {
		text = String(text).replace(/[\t\n\f\r ]/g, "");
		if (text.length % 4 === 0) text = text.replace(/={1,2}$/, "");
		if (text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) throw new RangeError("atob takes base64");
		const out = [];
		let w = 0;
		let bits = 0;
		for (const c of text) {
			w = ((w << 6) | digit.get(c)) & 0xffff;
			bits += 6;
			if (bits >= 8) {
				bits -= 8;
				out.push(String.fromCharCode((w >> bits) & 0xff));
			}
		}
		return out.join("");
	});

	// --- structuredClone, of what a function can hold
	const views = new Set([...integerArrays, "Float32Array", "Float64Array"]);
	function clone(value, seen) {
		if (typeof value === "function" || typeof value === "symbol") throw new TypeError(`A ${typeof value} cannot be cloned`);
		if (typeof value !== "object" || value === null) return value;
		if (seen.has(value)) return seen.get(value);
		const note = (copy) => (seen.set(value, copy), copy);
		if (value instanceof RealDate) return note(new RealDate(value.getTime()));
		if (value instanceof RegExp) return note(new RegExp(value.source, value.flags));
		if (value instanceof Boolean || value instanceof Number || value instanceof String) return note(Object(value.valueOf()));
		if (value instanceof ArrayBuffer) return note(value.slice(0));
		if (ArrayBuffer.isView(value)) {
			const buffer = clone(value.buffer, seen);
			if (value instanceof DataView) return note(new DataView(buffer, value.byteOffset, value.byteLength));
			if (views.has(value[Symbol.toStringTag])) return note(new globalThis[value[Symbol.toStringTag]](buffer, value.byteOffset, value.length));
		}
		if (value instanceof Map) {
			const copy = note(new Map());
			for (const [k, v] of [...value]) copy.set(clone(k, seen), clone(v, seen));
			return copy;
		}
		if (value instanceof Set) {
			const copy = note(new Set());
			for (const v of [...value]) copy.add(clone(v, seen));
			return copy;
		}
		if (value instanceof Error) {
			const kinds = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
			const copy = note(Object.create((kinds[value.name] ?? Error).prototype));
			for (const key of ["message", "stack", "cause"])
				if (Object.hasOwn(value, key))
					defineProperty(copy, key, { value: clone(value[key], seen), writable: true, configurable: true });
			return copy;
		}
		if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef)
			throw new TypeError(`A ${value.constructor.name} cannot be cloned`);
		const copy = note(Array.isArray(value) ? new Array(value.length) : {});
		for (const key of Object.keys(value)) defineProperty(copy, key, { value: clone(value[key], seen), writable: true, enumerable: true, configurable: true });
		return copy;
	}
	global("structuredClone", function structuredClone(value) {
		if (arguments.length === 0) throw new TypeError("structuredClone takes a value");
		return clone(value, new Map());
	});

	// --- console: one line of text for each call of it
	function log(n, level, text) {
		text = String(text);
		native.log(n, level, (text.length > 16384 ? `${text.slice(0, 16384)}...` : text).toWellFormed());
	}
	function show(value, depth, path) {
		switch (typeof value) {
		case "string": return depth === 0 ? value : stringify(value);
		case "bigint": return `${value}n`;
		case "symbol": return value.toString();
		case "function": return `[function ${value.name || "anonymous"}]`;
		case "object": break;
		default: return Object.is(value, -0) ? "-0" : String(value);
		}
		if (value === null) return "null";
		if (path.includes(value)) return "[circular]";
		if (value instanceof Error) {
			const stack = typeof value.stack === "string" && value.stack !== "" ? `\n${value.stack}` : "";
			return `${value.name}: ${value.message}${depth === 0 ? stack : ""}`;
		}
		if (value instanceof RealDate) return isNaN(value) ? "Invalid Date" : value.toISOString();
		if (value instanceof RegExp) return String(value);
		if (depth > 4) return Array.isArray(value) ? "[...]" : "{...}";
		const inner = [...path, value];
		const list = (items, open, close, total) => {
			if (total > items.length) items.push(`... ${total - items.length} more`);
			return items.length === 0 ? open + close : `${open} ${items.join(", ")} ${close}`;
		};
		const first = (it) => {
			const some = [];
			for (const x of it) {
				if (some.length === 100) break;
				some.push(x);
			}
			return some;
		};
		if (Array.isArray(value)) return list(first(value).map((v) => show(v, depth + 1, inner)), "[", "]", value.length);
		if (ArrayBuffer.isView(value) && !(value instanceof DataView))
			return `${value[Symbol.toStringTag]}${list(first(value).map(String), "[", "]", value.length)}`;
		if (value instanceof Map)
			return `Map ${list(first(value).map(([k, v]) => `${show(k, depth + 1, inner)} => ${show(v, depth + 1, inner)}`), "{", "}", value.size)}`;
		if (value instanceof Set) return `Set ${list(first(value).map((v) => show(v, depth + 1, inner)), "{", "}", value.size)}`;
		if (value instanceof Promise) return "[promise]";
		const keys = Object.keys(value);
		const name = getPrototypeOf(value)?.constructor?.name;
		return (name && name !== "Object" ? `${name} ` : "") +
			list(keys.slice(0, 100).map((k) => `${/^[A-Za-z_$][\w$]*$/.test(k) ? k : stringify(k)}: ${show(value[k], depth + 1, inner)}`), "{", "}", keys.length);
	}
	function line(args) {
		try {
			return args.map((a) => show(a, 0, [])).join(" ");
		} catch (e) {
			return `[a value that cannot be shown: ${e}]`;
		}
	}
	const say = (level) => (...args) => log(current, level, line(args));
	const counts = new Map();
	const error = say("error");
	global("console", {
		debug: say("debug"), log: say("log"), info: say("info"), warn: say("warn"), error, trace: say("debug"), dir: (v) => log(current, "log", line([v])),
		table: say("log"), group: say("log"), groupCollapsed: say("log"), groupEnd() {}, time() {}, timeLog() {}, timeEnd() {},
		assert(ok, ...args) { if (!ok) error("Assertion failed:", ...args); },
		count(label = "default") {
			counts.set(label, (counts.get(label) ?? 0) + 1);
			log(current, "log", `${label}: ${counts.get(label)}`);
		},
		countReset(label = "default") { counts.delete(label); },
	});

	// --- the bundle's door to the host; its functions are looked up once, which the engine does slowly for an object of the host's
	const { op, done, identity } = native;
	global("__host", Object.freeze({
		op: (n, kind, json) => op.call(native, n, kind, json),
		done: (n, ok, json) => {
			calls.delete(n);
			done.call(native, n, Boolean(ok), json);
		},
		log: (n, level, text) => log(n ?? current, level, text),
		identity: (n) => identity.call(native, n),
		current: () => current,
		live: () => state?.live === true,
	}));

	// --- the host's doors to the bundle
	let bundle;
	return {
		loaded() {
			bundle = globalThis.__millrace;
			if (typeof bundle?.manifest !== "function" || typeof bundle.call !== "function" || typeof bundle.settle !== "function")
				throw new TypeError("The bundle is no app: it does not set globalThis.__millrace");
		},
		manifest() {
			enter(0);
			return String(bundle.manifest());
		},
		check(entity, json) {
			enter(0);
			return String(bundle.check(entity, json));
		},
		call(n, fn, args, env, at, seed, live) {
			calls.set(n, { now: live ? realNow() : at, live, seed, stream: undefined });
			enter(n);
			bundle.call(n, fn, args, env);
		},
		settle(n, op, ok, json) {
			enter(n);
			bundle.settle(op, ok, json);
		},
		forget(n) {
			calls.delete(n);
			enter(0);
			if (typeof bundle.forget === "function") bundle.forget(n);
		},
		variables(text) {
			global("process", Object.freeze({ env: Object.freeze({ __proto__: null, ...parse(text) }) }));
		},
		// of an action it is told, of others it is a failure
		rejected(promise, reason) {
			if (state !== undefined && !state.live && typeof bundle?.rejected === "function") bundle.rejected(current, promise, reason);
			else log(current, "warn", `unhandled rejection: ${line([reason])}`);
		},
	};
})
