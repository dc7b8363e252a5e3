// Guests: a token for somebody whom the server has named itself, kept on this device and renewed while it is good.

import type { TokenFetcher } from "./identity.js";
import { browserStores, type StringStore } from "./stores.js";

export interface GuestOptions {
	/** Of the server, as for createClient. Default: the page's own origin. */
	readonly url?: string;
	/** What the guest is called. Default: "Guest". */
	readonly name?: string;
	readonly storage?: StringStore;
}

interface Kept {
	readonly token: string;
	/** Milliseconds since 1970, by this device's clock. */
	readonly from: number;
	readonly to: number;
}

/** For `setAuth` and `getToken`: signs in as the guest of this device, a new one if there is none (setting auth_guests). */
export function guestAuth(options: GuestOptions = {}): TokenFetcher {
	const page = (globalThis as { location?: { href: string } }).location?.href;
	const base = options.url ?? page;
	if (base === undefined) throw new Error("guestAuth: give the url of the server");
	const origin = new URL(base, page);
	origin.protocol = origin.protocol.replace("ws", "http");
	const store = options.storage ?? browserStores().device;
	const key = `millrace:${origin.host}:guest`;

	/** Null: the server will not have it. Rejects when it cannot be asked. */
	const ask = async (path: string, init: RequestInit): Promise<string | null> => {
		const from = Date.now();
		const response = await fetch(new URL(path, origin), { method: "POST", ...init });
		if (response.status === 401 || response.status === 403) return null;
		if (!response.ok) throw new Error(`${path} was answered with status ${response.status}`);
		const { token, seconds } = (await response.json()) as { token: string; seconds: number };
		store.setItem(key, JSON.stringify({ token, from, to: from + seconds * 1000 } satisfies Kept));
		return token;
	};
	const renew = (kept: Kept): Promise<string | null> => ask("/api/auth/refresh", { headers: { authorization: `Bearer ${kept.token}` } });
	const begin = (): Promise<string | null> => ask("/api/auth/guest", { body: JSON.stringify(options.name === undefined ? {} : { name: options.name }) });

	return async ({ forceRefreshToken }) => {
		const kept = readKept(store.getItem(key));
		if (!kept) return begin();
		if (forceRefreshToken) return (await renew(kept)) ?? begin();
		const half = kept.from + (kept.to - kept.from) / 2;
		return Date.now() < half ? kept.token : ((await renew(kept).catch(() => kept.token)) ?? begin());
	};
}

function readKept(text: string | null): Kept | undefined {
	try {
		const kept = JSON.parse(text ?? "null") as Kept | null;
		return typeof kept?.token === "string" && typeof kept.from === "number" && typeof kept.to === "number" ? kept : undefined;
	} catch {
		return undefined;
	}
}
