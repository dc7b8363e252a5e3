import { entity, field, policy } from "millrace/server";

export const Channel = entity("Channel", { name: field.string().unique(), topic: field.string().optional() });
export const Message = entity(
	"Message",
	{
		channel: field.id("Channel", { onDelete: "cascade" }),
		author: field.string().owner(),
		body: field.string(),
		likes: field.int().default(0),
		createdAt: field.datetime().defaultNow().readonly(),
		size: field.bigint().optional(),
		meta: field.json<{ readonly tags: readonly string[] }>().optional(),
		secret: field.string().optional().serverOnly(),
	},
	{ indexes: [{ name: "by_author", fields: ["author"], unique: false }] },
).index("by_channel", ["channel", "createdAt"]);

policy("Message", { read: "true", insert: "data.author == auth.userId", update: "data.author == auth.userId" });
policy({ name: "channels", entity: "Channel", allowRead: true, allowInsert: "false" });
