// The app of tests/flow/adopt.mjs: tables that somebody else made, with keys of all kinds.
import { entity, field, policy } from "millrace/server";

export const Customer = entity.adopt("shop.customers", {
	name: "Customer",
	fields: {
		id: field.int().generated(),
		name: field.string(),
		email: field.string().optional().unique(),
		createdAt: field.datetime().defaultNow().column("created_at"),
	},
});

export const Product = entity.adopt("shop.products", {
	name: "Product",
	key: "sku",
	fields: { sku: field.string(), name: field.string(), price: field.numeric(), stock: field.int().generated() },
});

export const Token = entity.adopt("shop.tokens", { key: "uid", fields: { uid: field.uuid().generated(), label: field.string() } });

export const Line = entity
	.adopt("shop.lines", {
		name: "Line",
		key: ["tenant", "no"],
		fields: {
			tenant: field.string(),
			no: field.int(),
			customer: field.int().references("Customer").optional().column("customer_id"),
			qty: field.int(),
			code: field.string().optional().column("id"),
		},
	})
	.index("by_qty", ["tenant", "qty"]);

export const Visit = entity.adopt("shop.visits", {
	name: "Visit",
	fields: {
		id: field.int().generated(),
		mood: field.pgEnum("good", "bad").optional(),
		day: field.date(),
		hour: field.time().optional(),
		at: field.timestamp().defaultNow(),
	},
});

/** Its rows are in partitions, and move when their region changes. */
export const Log = entity.adopt("shop.logs", {
	name: "Log",
	key: ["region", "nr"],
	fields: { region: field.string(), nr: field.bigint().column("id").generated(), body: field.string() },
});

export const Member = entity("Member", { user: field.string(), tenant: field.string() });

policy(Customer, { read: true, insert: "auth.userId != null", update: "data.name == auth.userId", delete: "data.id > 1000" });
policy(Product, { read: "data.id != 'secret'", insert: true, update: true, delete: true });
policy("tokens", { read: true, insert: true });
policy(Log, { read: true, insert: true, update: true });
policy(Visit, { read: true, insert: true, update: "data.mood != 'bad'" });
policy(Line, { read: "data.qty < 100 || exists(Member, user == auth.userId && tenant == data.tenant)", insert: true, update: true, delete: true });
