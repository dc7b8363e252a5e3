import { defineSchema, defineTable } from "millrace/convex/server";
import { v } from "millrace/convex/values";

export default defineSchema({
	rooms: defineTable({ name: v.string() }).index("by_name", ["name"]),
	messages: defineTable({
		room: v.id("rooms"),
		body: v.string(),
		state: v.union(v.literal("open"), v.literal("done")),
		replyTo: v.optional(v.id("messages")),
		editor: v.union(v.id("rooms"), v.null()),
		likes: v.optional(v.number()),
		tags: v.optional(v.array(v.id("rooms"))),
	}).index("by_room", ["room", "state"]),
});
