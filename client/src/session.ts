// Sessions that the server has signed (ctx.auth.createSession): the token, kept on this device and renewed while it is good.

import type { TokenSource } from "./identity.js";
import { type KeptOptions, KeptToken } from "./kept.js";

export interface SessionAuth extends TokenSource {
	/** What the app's own sign-in has answered: `ctx.auth.createSession`. Give this source to `setAuth` then (again). */
	signIn(session: { readonly token: string; readonly seconds: number }): void;
	/** The token that is kept, or null. */
	current(): string | null;
	forget(): void;
}

/** For `setAuth` and `getToken`: the session of this device. One that is over, or was revoked, is forgotten; the caller is nobody then. */
export function sessionAuth(options: KeptOptions = {}): SessionAuth {
	const kept = new KeptToken("session", options);
	const source = async ({ forceRefreshToken }: { readonly forceRefreshToken: boolean }) => {
		const token = await kept.current(forceRefreshToken);
		if (token === null) kept.forget();
		return token;
	};
	return Object.assign(source, {
		signIn: (session: { readonly token: string; readonly seconds: number }) => void kept.keep(session),
		current: () => kept.token,
		forget: () => kept.forget(),
	});
}
