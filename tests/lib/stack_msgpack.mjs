// MessagePack by hand, as far as the tests speak it: independent of both sides.
export function encode(v) {
	if (v === null || v === undefined) return Buffer.from([0xc0]);
	if (typeof v === "boolean") return Buffer.from([v ? 0xc3 : 0xc2]);
	if (typeof v === "number") return number(v);
	if (typeof v === "bigint") return Buffer.concat([head(0xc7, 1, String(v).length), Buffer.from([1]), Buffer.from(String(v))]);
	if (typeof v === "string") return Buffer.concat([head(0xdb, 4, Buffer.byteLength(v)), Buffer.from(v)]);
	if (v instanceof Uint8Array) return Buffer.concat([head(0xc6, 4, v.length), v]);
	if (Array.isArray(v)) return Buffer.concat([head(0xdd, 4, v.length), ...v.map(encode)]);
	const pairs = Object.entries(v).filter(([, item]) => item !== undefined);
	return Buffer.concat([head(0xdf, 4, pairs.length), ...pairs.flat().map(encode)]);
}

function head(tag, width, n) {
	const b = Buffer.alloc(1 + width);
	b[0] = tag;
	b.writeUIntBE(n, 1, width);
	return b;
}

function number(v) {
	const b = Buffer.alloc(9);
	const whole = Number.isSafeInteger(v) && !Object.is(v, -0);
	b[0] = whole ? 0xd3 : 0xcb;
	if (whole) b.writeBigInt64BE(BigInt(v), 1);
	else b.writeDoubleBE(v, 1);
	return b;
}

export function decode(bytes) {
	const b = Buffer.from(bytes);
	let at = 0;
	const take = (n) => b.subarray(at, (at += n));
	const uint = (n) => Number(BigInt(`0x${take(n).toString("hex")}`));
	const map = (n) => Object.fromEntries(Array.from({ length: n }, () => [value(), value()]));
	const array = (n) => Array.from({ length: n }, value);
	const ext = (n) => (take(1), BigInt(take(n).toString()));
	function value() {
		if (at >= b.length) throw new Error("the MessagePack ends early");
		const t = b[at++];
		if (t < 0x80) return t;
		if (t < 0x90) return map(t & 15);
		if (t < 0xa0) return array(t & 15);
		if (t < 0xc0) return take(t & 31).toString();
		if (t >= 0xe0) return t - 256;
		if (t === 0xc0) return null;
		if (t <= 0xc3) return t === 0xc3;
		if (t <= 0xc6) return take(uint(1 << (t - 0xc4)));
		if (t <= 0xc9) return ext(uint(1 << (t - 0xc7)));
		if (t === 0xca) return take(4).readFloatBE();
		if (t === 0xcb) return take(8).readDoubleBE();
		if (t <= 0xcf) return uint(1 << (t - 0xcc));
		if (t <= 0xd3) return signed(1 << (t - 0xd0));
		if (t <= 0xd8) return ext(1 << (t - 0xd4));
		if (t <= 0xdb) return take(uint(1 << (t - 0xd9))).toString();
		if (t <= 0xdd) return array(uint(t === 0xdc ? 2 : 4));
		return map(uint(t === 0xde ? 2 : 4));
	}
	function signed(n) {
		return Number(BigInt.asIntN(8 * n, BigInt(`0x${take(n).toString("hex")}`)));
	}
	const v = value();
	if (at !== b.length) throw new Error("bytes follow the MessagePack");
	return v;
}
