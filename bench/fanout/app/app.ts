import { entity, field, policy } from "millrace/server";

export const Note = entity("Note", {
	channel: field.string(),
	body: field.string(),
}).index("by_channel", ["channel"]);

policy(Note, { read: "true" });
