// The app of tests/flow/stack_*.mjs: little of everything.
import { entity, field, policy } from "millrace/server";

export const Item = entity("Item", {
	grp: field.string(),
	n: field.int().default(0),
	at: field.datetime().defaultNow(),
	big: field.bigint().optional(),
	note: field.string().optional(),
	secret: field.string().optional().serverOnly(),
}).index("by_grp", ["grp", "n"]);

/** What only its owner sees and changes. */
export const Diary = entity("Diary", {
	owner: field.string().owner(),
	text: field.string(),
	secret: field.string().optional().serverOnly(),
});

/** Rows that many write at once. */
export const Counter = entity("Counter", {
	name: field.string(),
	n: field.int().default(0),
	big: field.bigint().optional(),
	rate: field.float().default(0),
	price: field.numeric().optional(),
	open: field.bool().default(true),
	owner: field.string().optional(),
});

policy(Item, { read: true });
policy(Counter, { read: true, update: "data.n <= 10" });
policy(Diary, {
	read: "data.owner == auth.userId",
	insert: "data.owner == auth.userId",
	update: "data.owner == auth.userId",
	delete: "data.owner == auth.userId",
});
