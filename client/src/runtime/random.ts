// Random numbers that a rerun with the same seed repeats: xoshiro128** started from a hash of the seed's text.

export function seededRandom(seed: string | number): () => number {
	let h = 0x9e3779b9;
	const next = (): number => {
		h = (h + 0x9e3779b9) | 0;
		let z = h ^ (h >>> 16);
		z = Math.imul(z, 0x21f0aaad);
		z ^= z >>> 15;
		z = Math.imul(z, 0x735a2d97);
		return (z ^ (z >>> 15)) >>> 0;
	};
	for (const c of String(seed)) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193) + (next() & 0xff);
	let [a, b, c, d] = [next(), next(), next(), next() | 1];
	const step = (): number => {
		const r = Math.imul(rotl(Math.imul(b, 5), 7), 9) >>> 0;
		const t = b << 9;
		c ^= a;
		d ^= b;
		b ^= c;
		a ^= d;
		c ^= t;
		d = rotl(d, 11);
		return r;
	};
	return () => ((step() >>> 5) * 67108864 + (step() >>> 6)) / 9007199254740992;
}

function rotl(x: number, k: number): number {
	return (x << k) | (x >>> (32 - k));
}
