// MessagePack, as far as the protocol uses it: nil, bool, integers, floats, str, bin, array, map with string keys, and ext type 1 for
// bigints (their digits). The decoder refuses everything else, truncated input and bytes left over.

import { defineKey } from "./values.js";

export class MsgpackError extends Error {
	override readonly name = "MsgpackError";
}

const MAX_DEPTH = 512;
const BIGINT_EXT = 1;
const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Writer {
	private bytes = new Uint8Array(512);
	private view = new DataView(this.bytes.buffer);
	private at = 0;

	private room(n: number): number {
		const start = this.at;
		if (start + n > this.bytes.length) {
			const larger = new Uint8Array(Math.max(this.bytes.length * 2, start + n));
			larger.set(this.bytes);
			this.bytes = larger;
			this.view = new DataView(larger.buffer);
		}
		this.at = start + n;
		return start;
	}
	done(): Uint8Array {
		return this.bytes.slice(0, this.at);
	}
	private head8(tag: number, n: number): void {
		const at = this.room(2);
		this.view.setUint8(at, tag);
		this.view.setUint8(at + 1, n);
	}
	private head16(tag: number, n: number): void {
		const at = this.room(3);
		this.view.setUint8(at, tag);
		this.view.setUint16(at + 1, n);
	}
	private head32(tag: number, n: number): void {
		const at = this.room(5);
		this.view.setUint8(at, tag);
		this.view.setUint32(at + 1, n);
	}
	private byte(b: number): void {
		const at = this.room(1);
		this.view.setUint8(at, b);
	}
	private raw(b: Uint8Array): void {
		const at = this.room(b.length);
		this.bytes.set(b, at);
	}

	value(v: unknown, depth: number): void {
		if (depth > MAX_DEPTH) throw new MsgpackError("nests too deep");
		switch (typeof v) {
			case "string":
				return this.text(v);
			case "number":
				return this.number(v);
			case "boolean":
				return this.byte(v ? 0xc3 : 0xc2);
			case "bigint":
				return this.bigint(v);
			case "undefined":
				return this.byte(0xc0);
			case "object":
				return v === null ? this.byte(0xc0) : this.object(v, depth);
			default:
				throw new MsgpackError(`a ${typeof v} cannot be sent`);
		}
	}
	private text(s: string): void {
		const b = utf8.encode(s);
		if (b.length < 32) this.byte(0xa0 | b.length);
		else if (b.length < 256) this.head8(0xd9, b.length);
		else if (b.length < 65536) this.head16(0xda, b.length);
		else this.head32(0xdb, b.length);
		this.raw(b);
	}
	private number(n: number): void {
		if (!Number.isSafeInteger(n) || Object.is(n, -0)) {
			const at = this.room(9);
			this.view.setUint8(at, 0xcb);
			return this.view.setFloat64(at + 1, n);
		}
		if (n >= 0) this.unsigned(n);
		else this.negative(n);
	}
	private unsigned(n: number): void {
		if (n < 128) this.byte(n);
		else if (n < 256) this.head8(0xcc, n);
		else if (n < 65536) this.head16(0xcd, n);
		else if (n < 4294967296) this.head32(0xce, n);
		else {
			const at = this.room(9);
			this.view.setUint8(at, 0xcf);
			this.view.setBigUint64(at + 1, BigInt(n));
		}
	}
	private negative(n: number): void {
		if (n >= -32) this.byte(n & 0xff);
		else if (n >= -128) this.head8(0xd0, n & 0xff);
		else if (n >= -32768) this.head16(0xd1, n & 0xffff);
		else if (n >= -2147483648) this.head32(0xd2, n >>> 0);
		else {
			const at = this.room(9);
			this.view.setUint8(at, 0xd3);
			this.view.setBigInt64(at + 1, BigInt(n));
		}
	}
	private bigint(v: bigint): void {
		const digits = utf8.encode(v.toString());
		const n = digits.length;
		const fixed = { 1: 0xd4, 2: 0xd5, 4: 0xd6, 8: 0xd7, 16: 0xd8 }[n];
		if (fixed !== undefined) this.byte(fixed);
		else if (n < 256) this.head8(0xc7, n);
		else this.head16(0xc8, n);
		this.byte(BIGINT_EXT);
		this.raw(digits);
	}
	private object(v: object, depth: number): void {
		if (v instanceof Uint8Array) {
			if (v.length < 256) this.head8(0xc4, v.length);
			else if (v.length < 65536) this.head16(0xc5, v.length);
			else this.head32(0xc6, v.length);
			return this.raw(v);
		}
		if (Array.isArray(v)) {
			if (v.length < 16) this.byte(0x90 | v.length);
			else if (v.length < 65536) this.head16(0xdc, v.length);
			else this.head32(0xdd, v.length);
			for (const item of v) this.value(item, depth + 1);
			return;
		}
		const entries = Object.entries(v).filter(([, item]) => item !== undefined);
		if (entries.length < 16) this.byte(0x80 | entries.length);
		else if (entries.length < 65536) this.head16(0xde, entries.length);
		else this.head32(0xdf, entries.length);
		for (const [key, item] of entries) {
			this.text(key);
			this.value(item, depth + 1);
		}
	}
}

class Reader {
	private readonly bytes: Uint8Array;
	private readonly view: DataView;
	private at = 0;
	constructor(bytes: Uint8Array) {
		this.bytes = bytes;
		this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}
	private skip(n: number): number {
		const start = this.at;
		if (start + n > this.bytes.length) throw new MsgpackError("ends in the middle of a value");
		this.at = start + n;
		return start;
	}
	end(): void {
		if (this.at !== this.bytes.length) throw new MsgpackError("bytes follow the value");
	}
	private u8 = (): number => this.view.getUint8(this.skip(1));
	private u16 = (): number => this.view.getUint16(this.skip(2));
	private u32 = (): number => this.view.getUint32(this.skip(4));

	value(depth: number): unknown {
		if (depth > MAX_DEPTH) throw new MsgpackError("nests too deep");
		const tag = this.u8();
		if (tag < 0x80) return tag;
		if (tag < 0x90) return this.map(tag & 15, depth);
		if (tag < 0xa0) return this.array(tag & 15, depth);
		if (tag < 0xc0) return this.text(tag & 31);
		if (tag >= 0xe0) return tag - 256;
		return this.tagged(tag, depth);
	}
	private tagged(tag: number, depth: number): unknown {
		switch (tag) {
			case 0xc0:
				return null;
			case 0xc2:
				return false;
			case 0xc3:
				return true;
			case 0xc4:
				return this.bin(this.u8());
			case 0xc5:
				return this.bin(this.u16());
			case 0xc6:
				return this.bin(this.u32());
			case 0xc7:
				return this.ext(this.u8());
			case 0xc8:
				return this.ext(this.u16());
			case 0xc9:
				return this.ext(this.u32());
			case 0xca:
				return this.view.getFloat32(this.skip(4));
			case 0xcb:
				return this.view.getFloat64(this.skip(8));
			case 0xcc:
				return this.u8();
			case 0xcd:
				return this.u16();
			case 0xce:
				return this.u32();
			case 0xcf:
				return whole(this.view.getBigUint64(this.skip(8)));
			case 0xd0:
				return this.view.getInt8(this.skip(1));
			case 0xd1:
				return this.view.getInt16(this.skip(2));
			case 0xd2:
				return this.view.getInt32(this.skip(4));
			case 0xd3:
				return whole(this.view.getBigInt64(this.skip(8)));
			case 0xd4:
				return this.ext(1);
			case 0xd5:
				return this.ext(2);
			case 0xd6:
				return this.ext(4);
			case 0xd7:
				return this.ext(8);
			case 0xd8:
				return this.ext(16);
			case 0xd9:
				return this.text(this.u8());
			case 0xda:
				return this.text(this.u16());
			case 0xdb:
				return this.text(this.u32());
			case 0xdc:
				return this.array(this.u16(), depth);
			case 0xdd:
				return this.array(this.u32(), depth);
			case 0xde:
				return this.map(this.u16(), depth);
			case 0xdf:
				return this.map(this.u32(), depth);
			default:
				throw new MsgpackError(`unknown tag 0x${tag.toString(16)}`);
		}
	}
	private bin(n: number): Uint8Array {
		const start = this.skip(n);
		return this.bytes.slice(start, start + n);
	}
	private text(n: number): string {
		const start = this.skip(n);
		if (n < 40) {
			let out = "";
			for (let i = start; i < start + n; i++) {
				const c = this.bytes[i] ?? 0;
				if (c >= 128) return this.decode(start, n);
				out += String.fromCharCode(c);
			}
			return out;
		}
		return this.decode(start, n);
	}
	private decode(start: number, n: number): string {
		try {
			return strictUtf8.decode(this.bytes.subarray(start, start + n));
		} catch {
			throw new MsgpackError("text is not UTF-8");
		}
	}
	private ext(n: number): bigint {
		const type = this.view.getInt8(this.skip(1));
		const digits = this.text(n);
		if (type !== BIGINT_EXT || !/^(0|-?[1-9]\d{0,999})$/.test(digits)) throw new MsgpackError("unknown extension");
		return BigInt(digits);
	}
	private array(n: number, depth: number): unknown[] {
		if (n > this.bytes.length - this.at) throw new MsgpackError("ends in the middle of a value");
		const out: unknown[] = [];
		for (let i = 0; i < n; i++) out.push(this.value(depth + 1));
		return out;
	}
	private map(n: number, depth: number): object {
		const out = {};
		for (let i = 0; i < n; i++) {
			const key = this.value(depth + 1);
			if (typeof key !== "string") throw new MsgpackError("a key is not text");
			defineKey(out, key, this.value(depth + 1));
		}
		return out;
	}
}

function whole(n: bigint): number | bigint {
	const small = Number(n);
	return Number.isSafeInteger(small) ? small : n;
}

export function encodeMsgpack(value: unknown): Uint8Array {
	const writer = new Writer();
	writer.value(value, 0);
	return writer.done();
}

export function decodeMsgpack(bytes: Uint8Array): unknown {
	const reader = new Reader(bytes);
	const value = reader.value(0);
	reader.end();
	return value;
}
