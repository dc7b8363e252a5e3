// What was convex/schema.ts.
import { defineSchema, defineTable } from "millrace/convex/server";
import { v } from "millrace/convex/values";

export default defineSchema({
	messages: defineTable({
		user: v.string(),
		body: v.string(),
	}),
});
