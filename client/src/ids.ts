// Ids that a client mints: rows' (uuid v7) and its session's secret.

function random(n: number): Uint8Array {
	const source = globalThis.crypto as Crypto | undefined;
	if (!source) throw new Error("millrace needs Web Crypto (on Node 18: globalThis.crypto = (await import('node:crypto')).webcrypto)");
	return source.getRandomValues(new Uint8Array(n));
}

let lastTime = 0;
let counter = 0;

/** A uuid v7: ids made later sort later, also within one millisecond. */
export function newId(): string {
	const bytes = random(16);
	const time = Math.max(Date.now(), lastTime);
	counter = time === lastTime ? counter + 1 : ((bytes[6] ?? 0) & 7) * 256 + (bytes[7] ?? 0);
	lastTime = time;
	if (counter > 4095) {
		lastTime++;
		counter = 0;
	}
	const stamp = lastTime.toString(16).padStart(12, "0");
	const rest = [...bytes.subarray(8)].map((b, i) => (i === 0 ? (b & 0x3f) | 0x80 : b).toString(16).padStart(2, "0")).join("");
	const third = (0x7000 | counter).toString(16);
	return `${stamp.slice(0, 8)}-${stamp.slice(8)}-${third}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}

/** 43 characters of A-Z a-z 0-9 _ -: 256 bits. */
export function newSecret(): string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	return [...random(43)].map((b) => letters[b & 63]).join("");
}

/** Where a page's call numbers start: far apart, so that two pages that share a session by accident do not meet. */
export function newCallBase(): number {
	const b = random(5);
	return b.reduce((sum, byte) => sum * 256 + byte, 0);
}
