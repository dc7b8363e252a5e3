// What the chat keeps, and who may see it.
import { entity, field, policy } from "millrace/server";

export const Channel = entity("Channel", {
	name: field.string().unique(),
});

export const Message = entity("Message", {
	channel: field.id("Channel", { onDelete: "cascade" }),
	author: field.string(), // a user's id
	authorName: field.string().optional(),
	body: field.string(),
	createdAt: field.datetime().defaultNow(),
}).index("by_channel", ["channel", "createdAt"]);

// Everybody reads; only functions write.
policy(Channel, { read: true });
policy(Message, { read: true });
