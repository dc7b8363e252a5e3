import { entity, field, policy } from "millrace/server";
export const Item = entity("Item", {
	grp: field.string(),
	n: field.int(),
	note: field.string().optional(),
	parent: field.id("Item", { onDelete: "cascade" }).optional(),
}).index("by_grp", ["grp", "n"]);
policy("Item", { read: "true", insert: "true", update: "true", delete: "true" });
