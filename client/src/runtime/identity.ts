// What ctx.auth.getUserIdentity() tells: the token's claims, and what Convex calls them.

import { defineKey, type Value } from "../values.js";
import type { Env } from "./host.js";

/** Claims of OpenID Connect by the names that they have there. */
const NAMES: { readonly [claim: string]: string } = {
	iss: "issuer",
	given_name: "givenName",
	family_name: "familyName",
	preferred_username: "preferredUsername",
	profile: "profileUrl",
	picture: "pictureUrl",
	email_verified: "emailVerified",
	birthdate: "birthday",
	zoneinfo: "timezone",
	locale: "language",
	phone_number: "phoneNumber",
	phone_number_verified: "phoneNumberVerified",
	updated_at: "updatedAt",
};

/** A claim that has such a name of its own keeps it. */
export function identityOf(who: Env["auth"]): { readonly [claim: string]: Value } | null {
	if (!who) return null;
	const { userId, iss } = who as { readonly userId: string; readonly iss?: Value };
	const out: { [claim: string]: Value } = { subject: userId, tokenIdentifier: typeof iss === "string" ? `${iss}|${userId}` : userId };
	for (const [claim, name] of Object.entries(NAMES)) if (Object.hasOwn(who, claim)) out[name] = (who as { readonly [claim: string]: Value })[claim] ?? null;
	for (const [claim, value] of Object.entries(who)) if (claim !== "subject" && claim !== "tokenIdentifier") defineKey(out, claim, value as Value);
	return out;
}
