// Hosts of URLs: names (Punycode for what is not ASCII), IPv4 in all its notations, IPv6.

const FORBIDDEN = /[\u0000-\u0020#%/:<>?@[\\\]^|\u007f]/;

export class BadHost extends Error {}

function refuse(host: string): never {
	throw new BadHost(`"${host}" is no host`);
}

/** RFC 3492. */
function punycode(label: string): string {
	const points = Array.from(label, (c) => c.codePointAt(0) as number);
	const basic = points.filter((p) => p < 0x80);
	let out = String.fromCharCode(...basic) + (basic.length > 0 ? "-" : "");
	let [n, delta, bias, done] = [128, 0, 72, basic.length];
	while (done < points.length) {
		const next = Math.min(...points.filter((p) => p >= n));
		delta += (next - n) * (done + 1);
		n = next;
		for (const p of points) {
			if (p < n) delta++;
			if (p !== n) continue;
			let q = delta;
			for (let k = 36; ; k += 36) {
				const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
				if (q < t) break;
				out += digit(t + ((q - t) % (36 - t)));
				q = Math.floor((q - t) / (36 - t));
			}
			out += digit(q);
			bias = adapt(delta, done + 1, done === basic.length);
			delta = 0;
			done++;
		}
		delta++;
		n++;
	}
	return `xn--${out}`;
}
function digit(d: number): string {
	return String.fromCharCode(d < 26 ? d + 97 : d + 22);
}
function adapt(delta: number, points: number, first: boolean): number {
	let d = first ? Math.floor(delta / 700) : delta >> 1;
	d += Math.floor(d / points);
	let k = 0;
	for (; d > 455; k += 36) d = Math.floor(d / 35);
	return k + Math.floor((36 * d) / (d + 38));
}

function numberOf(part: string): number {
	if (/^0[xX][0-9a-fA-F]*$/.test(part)) return part.length === 2 ? 0 : parseInt(part.slice(2), 16);
	if (/^0[0-7]+$/.test(part)) return parseInt(part, 8);
	return /^(0|[1-9][0-9]*)$/.test(part) ? Number(part) : NaN;
}

function ipv4(host: string): string {
	const parts = host.split(".");
	if (parts.length > 1 && parts.at(-1) === "") parts.pop();
	const numbers = parts.map(numberOf);
	const last = numbers.at(-1) as number;
	if (parts.length > 4 || numbers.some(Number.isNaN) || numbers.slice(0, -1).some((n) => n > 255)) refuse(host);
	if (last >= 256 ** (5 - parts.length)) refuse(host);
	const whole = numbers.slice(0, -1).reduce((sum, n, i) => sum + n * 256 ** (3 - i), last);
	return [24, 16, 8, 0].map((shift) => Math.floor(whole / 2 ** shift) % 256).join(".");
}

function ipv6(text: string): string {
	const halves = text.split("::");
	if (halves.length > 2) refuse(text);
	const groups = (half: string): number[] =>
		half === ""
			? []
			: half.split(":").flatMap((part, i, all) => {
					if (i === all.length - 1 && /^\d{1,3}(\.\d{1,3}){3}$/.test(part)) {
						const bytes = part.split(".").map(Number);
						if (bytes.some((b) => b > 255) || /(^|\.)0\d/.test(part)) refuse(text);
						const [a, b, c, d] = bytes as [number, number, number, number];
						return [a * 256 + b, c * 256 + d];
					}
					return /^[0-9a-fA-F]{1,4}$/.test(part) ? [parseInt(part, 16)] : refuse(text);
				});
	const [head, tail] = [groups(halves[0] ?? ""), groups(halves[1] ?? "")];
	const missing = 8 - head.length - tail.length;
	if (halves.length === 2 ? missing < 1 : missing !== 0) refuse(text);
	return `[${shorten([...head, ...Array<number>(missing).fill(0), ...tail])}]`;
}
/** The first of the longest runs of zeros, two at least, is `::`. */
function shorten(groups: readonly number[]): string {
	let [best, length] = [-1, 1];
	for (let i = 0; i < 8; i++) {
		let n = 0;
		while (groups[i + n] === 0) n++;
		if (n > length) [best, length] = [i, n];
		i += n;
	}
	const print = (part: readonly number[]): string => part.map((g) => g.toString(16)).join(":");
	return best < 0 ? print(groups) : `${print(groups.slice(0, best))}::${print(groups.slice(best + length))}`;
}

/** The host as URLs of http and its kin have it. Throws BadHost. */
export function hostOf(text: string): string {
	if (text.startsWith("[")) return text.endsWith("]") ? ipv6(text.slice(1, -1)) : refuse(text);
	let name: string;
	try {
		name = decodeURIComponent(text);
	} catch {
		return refuse(text);
	}
	name = name.normalize("NFKC").toLowerCase().replace(/[\u3002\uff0e\uff61]/g, ".").replace(/[\u00ad\u200b\u2060\ufeff]/g, "").normalize("NFC");
	const host = name
		.split(".")
		.map((label) => (/[^\u0000-\u007f]/.test(label) ? punycode(label) : label))
		.join(".");
	if (host === "" || FORBIDDEN.test(host)) refuse(text);
	const labels = host.split(".");
	const last = labels.at(-1) === "" ? labels.at(-2) : labels.at(-1);
	return last !== undefined && /^(\d+|0x[0-9a-f]*)$/.test(last) ? ipv4(host) : host;
}
