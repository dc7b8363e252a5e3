import { entity, field, policy } from "millrace/server";

export const Note = entity("Note", {
	channel: field.string(),
	mark: field.int(),
	body: field.string(),
}).index("by_channel", ["channel", "mark"]);

policy(Note, { read: "true" });
