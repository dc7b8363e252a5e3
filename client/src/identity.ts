// Who the caller is: the token that is said at hello and in auth, where it comes from, and what happens when it ends or is refused.
//
//  I1  A token that setToken gave stands until the server refuses it; then the one before it is back, if the server has kept that.
//  I2  Else, with a fetcher, each connection asks it; before a token expires, and when it has, it is asked for another (forced).
//  I3  Two fetched tokens in a row that are refused leave the caller nobody, until the next connection or setAuth.
//  I4  The last question counts: what an earlier one answers later is passed over.

import { MillraceError } from "./error.js";
import type { StringStore } from "./stores.js";

/** Gives a token, or null when nobody is signed in. forceRefreshToken: the last one expires or was refused, so a cached one will not do. */
export interface TokenFetcher {
	(options: { readonly forceRefreshToken: boolean }): string | null | undefined | Promise<string | null | undefined>;
}

/** One that keeps a token by itself, until it is told not to: at the user's sign-out. */
export interface TokenSource extends TokenFetcher {
	forget?(): void;
}

export interface IdentityOptions {
	readonly store: StringStore;
	/** Under which setToken keeps it on this device. */
	readonly key: string;
	/** Given: what the device keeps is not looked at. */
	readonly token: string | null | undefined;
	readonly fetcher: TokenFetcher | undefined;
	/** Says it on the present socket; there may be none. */
	readonly authenticate: (token: string | null) => void;
	readonly failed: (error: MillraceError) => void;
}

const REFUSALS_MOST = 2;
const FETCH_AGAIN = 5000;

export class Identity {
	private readonly options: IdentityOptions;
	private token: string | null;
	private fetcher: TokenSource | undefined;
	private onChange: ((isAuthenticated: boolean) => void) | undefined;
	private told: boolean | undefined;
	/** setToken was called: it stands until it is refused. */
	private set = false;
	/** The token that the last setToken replaced, until the server has answered. */
	private replaced: { readonly token: string | null } | undefined;
	/** Of fetched tokens, in a row. */
	private refusals = 0;
	/** Questions to the fetcher, so far. */
	private asked = 0;
	private again: ReturnType<typeof setTimeout> | undefined;

	constructor(options: IdentityOptions) {
		this.options = options;
		this.fetcher = options.fetcher;
		this.token = options.token !== undefined ? options.token : options.store.getItem(options.key);
	}

	/** What the next hello says; at once, where nobody is asked. Rejects when the fetcher does. */
	forGreeting(): string | null | Promise<string | null> {
		return this.fetcher && !this.set ? this.fetchForGreeting(this.fetcher) : this.token;
	}
	private async fetchForGreeting(fetcher: TokenFetcher): Promise<string | null> {
		this.asked++;
		const token = this.refusals < REFUSALS_MOST ? await fetcher({ forceRefreshToken: this.refusals > 0 }) : null;
		if (fetcher !== this.fetcher) return this.forGreeting();
		if (!this.set) this.token = token ?? null;
		return this.token;
	}

	setAuth(fetcher: TokenFetcher, onChange: ((isAuthenticated: boolean) => void) | undefined, connected: boolean): void {
		this.fetcher = fetcher;
		this.onChange = onChange;
		this.told = undefined;
		this.set = false;
		this.replaced = undefined;
		this.refusals = 0;
		this.keep(null);
		if (connected) void this.fetch(false);
	}
	/** The token as of now, for who ends its session. */
	get current(): string | null {
		return this.token;
	}
	/** Nothing of it stays on this device. */
	signOut(): void {
		this.fetcher?.forget?.();
		this.clearAuth();
	}
	clearAuth(): void {
		this.fetcher = undefined;
		this.asked++;
		this.setToken(null);
	}
	setToken(token: string | null): void {
		this.replaced ??= { token: this.token };
		this.keep(token);
		this.set = true;
		this.options.authenticate(token);
	}
	/** Another tab has signed in or out. */
	adopt(key: string | null | undefined, token: string | null): void {
		if (key !== this.options.key || this.options.token !== undefined || token === this.token) return;
		this.token = token;
		this.options.authenticate(token);
	}
	private keep(token: string | null): void {
		const { store, key } = this.options;
		this.token = token;
		if (token === null) store.removeItem(key);
		else store.setItem(key, token);
	}

	/** Asks for another token, and says it. */
	private async fetch(forceRefreshToken: boolean): Promise<void> {
		const { fetcher } = this;
		const number = ++this.asked;
		clearTimeout(this.again);
		let token: string | null;
		try {
			token = (await fetcher?.({ forceRefreshToken })) ?? null;
		} catch (e) {
			if (number !== this.asked) return;
			this.options.failed(fetchFailed(e));
			this.again = setTimeout(() => {
				if (number === this.asked) void this.fetch(forceRefreshToken);
			}, FETCH_AGAIN);
			return;
		}
		if (number !== this.asked || (forceRefreshToken && (token === null || token === this.token))) return;
		this.token = token;
		this.set = false;
		this.options.authenticate(token);
	}

	// --- what the server says ---

	welcomed(user: string | null): void {
		this.replaced = undefined;
		this.refusals = 0;
		const is = user !== null;
		if (this.told === is) return;
		this.told = is;
		this.onChange?.(is);
		if (!this.fetcher) this.onChange = undefined;
	}
	/** The token expires in so many milliseconds; 0: it has, or its session was revoked. */
	expiry(left: number, revoked: boolean): void {
		if (this.fetcher) {
			void this.fetch(true);
		} else if (left === 0) {
			this.keep(null);
			this.options.failed(
				revoked
					? new MillraceError("session_revoked", "The session was ended; sign in again.")
					: new MillraceError("token_expired", "The token has expired; sign in again, or give setAuth a way to get another."),
			);
		}
	}
	/** True: on another socket it may go better. fatal: the server closes this one; else it has kept the identity from before. */
	refused(fatal: boolean): boolean {
		this.set = false;
		if (this.replaced && !fatal) {
			this.keep(this.replaced.token);
			this.replaced = undefined;
			return false;
		}
		this.refusals++;
		if (!this.fetcher) this.keep(null);
		else if (!fatal) {
			if (this.refusals < REFUSALS_MOST) void this.fetch(true);
			return false;
		}
		return true;
	}
	close(): void {
		this.asked++;
		this.fetcher = this.onChange = undefined;
		clearTimeout(this.again);
	}
}

export function fetchFailed(problem: unknown): MillraceError {
	return new MillraceError("unauthenticated", `Getting a token failed: ${problem instanceof Error ? problem.message : String(problem)}`);
}
