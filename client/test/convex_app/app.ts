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
	things: defineTable({
		name: v.string(),
		n: v.optional(v.number()),
		m: v.number(),
		big: v.int64(),
		state: v.union(v.literal("b"), v.literal("a")),
		maybe: v.union(v.number(), v.null()),
		room: v.optional(v.id("rooms")),
		done: v.optional(v.boolean()),
		bytes: v.optional(v.bytes()),
		place: v.optional(v.object({ at: v.number(), city: v.optional(v.string()), tags: v.optional(v.array(v.string())) })),
		more: v.optional(v.any()),
	}).index("by_room", ["room"]),
});
