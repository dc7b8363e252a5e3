// A token that this device keeps, and renews while it is good (POST /api/auth/refresh).

import { browserStores, type StringStore } from "./stores.js";

export interface KeptOptions {
	/** Of the server, as for createClient. Default: the page's own origin. */
	readonly url?: string;
	readonly storage?: StringStore;
}

interface Kept {
	readonly token: string;
	/** Milliseconds since 1970, by this device's clock. */
	readonly from: number;
	readonly to: number;
}

export class KeptToken {
	private readonly origin: URL;
	private readonly store: StringStore;
	private readonly key: string;

	constructor(name: string, options: KeptOptions) {
		const page = (globalThis as { location?: { href: string } }).location?.href;
		const base = options.url ?? page;
		if (base === undefined) throw new Error(`${name}Auth: give the url of the server`);
		this.origin = new URL(base, page);
		this.origin.protocol = this.origin.protocol.replace("ws", "http");
		this.store = options.storage ?? browserStores().device;
		this.key = `millrace:${this.origin.host}:${name}`;
	}

	get token(): string | null {
		return this.read()?.token ?? null;
	}
	keep({ token, seconds }: { readonly token: string; readonly seconds: number }, from = Date.now()): string {
		this.store.setItem(this.key, JSON.stringify({ token, from, to: from + seconds * 1000 } satisfies Kept));
		return token;
	}
	forget(): void {
		this.store.removeItem(this.key);
	}

	/** What is kept, renewed when half of its time is over or `forced`. Null: nothing, or the server will not have it any more. */
	async current(forced: boolean): Promise<string | null> {
		const kept = this.read();
		if (!kept) return null;
		if (!forced && Date.now() < kept.from + (kept.to - kept.from) / 2) return kept.token;
		const renewed = this.ask("/api/auth/refresh", { headers: { authorization: `Bearer ${kept.token}` } });
		return forced ? renewed : renewed.catch(() => kept.token);
	}
	/** The token that the server answers with, kept. Null: it will not. Rejects when it cannot be asked. */
	async ask(path: string, init: RequestInit): Promise<string | null> {
		const from = Date.now();
		const response = await fetch(new URL(path, this.origin), { method: "POST", ...init });
		if (response.status === 401 || response.status === 403) return null;
		if (!response.ok) throw new Error(`${path} was answered with status ${response.status}`);
		return this.keep((await response.json()) as { token: string; seconds: number }, from);
	}

	private read(): Kept | undefined {
		try {
			const kept = JSON.parse(this.store.getItem(this.key) ?? "null") as Kept | null;
			return typeof kept?.token === "string" && typeof kept.from === "number" && typeof kept.to === "number" ? kept : undefined;
		} catch {
			return undefined;
		}
	}
}
