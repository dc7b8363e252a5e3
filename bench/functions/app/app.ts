// What bench/functions measures, entity by entity.
import { entity, field, policy } from "millrace/server";

export const Account = entity("Account", {
	owner: field.string(),
	balance: field.int(),
});

export const Note = entity("Note", {
	channel: field.string(),
	body: field.string(),
}).index("by_channel", ["channel"]);

/** Groups of 50 rows that reactive functions show. */
export const Item = entity("Item", {
	grp: field.string(),
	place: field.int(),
	n: field.int().default(0),
	text: field.string(),
}).index("by_grp", ["grp", "place"]);

/** Who may read what is said in which room. */
export const Member = entity("Member", { user: field.string(), room: field.string() }).index("by_user", ["user", "room"]);
export const Post = entity("Post", { room: field.string(), body: field.string() }).index("by_room", ["room"]);
policy(Post, { read: "exists(Member, user == auth.userId && room == data.room)" });
