// A waitlist: who has joined is nobody's business, how many have is everybody's.
import { entity, field, policy } from "millrace/server";

export const Signup = entity("Signup", {
	email: field.string().max(254).unique(),
	createdAt: field.datetime().defaultNow(),
});

/** One row, for all to see: what is public of the table above. */
export const WaitlistStat = entity("WaitlistStat", {
	count: field.int().min(0),
});

policy({ name: "signups are private", entity: "Signup", allowRead: "false", allowInsert: "false", allowUpdate: "false", allowDelete: "false" });
policy({ name: "the count is public", entity: "WaitlistStat", allowRead: "true" }); // only functions write
