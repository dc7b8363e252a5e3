// Guests: a token for somebody whom the server has named itself, kept on this device and renewed while it is good.

import type { TokenSource } from "./identity.js";
import { type KeptOptions, KeptToken } from "./kept.js";

export interface GuestOptions extends KeptOptions {
	/** What the guest is called. Default: "Guest". */
	readonly name?: string;
}

/** For `setAuth` and `getToken`: signs in as the guest of this device, a new one if there is none (setting auth_guests). */
export function guestAuth(options: GuestOptions = {}): TokenSource {
	const kept = new KeptToken("guest", options);
	const begin = (): Promise<string | null> =>
		kept.ask("/api/auth/guest", { body: JSON.stringify(options.name === undefined ? {} : { name: options.name }) });
	const source = async ({ forceRefreshToken }: { readonly forceRefreshToken: boolean }) => (await kept.current(forceRefreshToken)) ?? begin();
	return Object.assign(source, { forget: () => kept.forget() });
}
