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

policy(Item, { read: true });
policy(Diary, {
	read: "data.owner == auth.userId",
	insert: "data.owner == auth.userId",
	update: "data.owner == auth.userId",
	delete: "data.owner == auth.userId",
});
