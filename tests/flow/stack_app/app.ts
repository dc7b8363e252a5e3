// The app of tests/flow/stack_*.mjs: little of everything.
import { entity, field, policy, v } from "millrace/server";

export const Item = entity("Item", {
	grp: field.string(),
	n: field.int().default(0),
	at: field.datetime().defaultNow(),
	big: field.bigint().optional(),
	note: field.string().optional(),
	secret: field.string().optional().serverOnly(),
}).index("by_grp", ["grp", "n"]);

/** What only its owner sees and changes. */
export const Diary = entity("Diary", {
	owner: field.string().owner(),
	text: field.string(),
	secret: field.string().optional().serverOnly(),
});

/** Rows that many write at once. */
export const Counter = entity("Counter", {
	name: field.string(),
	n: field.int().default(0),
	big: field.bigint().optional(),
	rate: field.float().default(0),
	price: field.numeric().optional(),
	open: field.bool().default(true),
	owner: field.string().optional(),
});

/** One row for each name, and for each place within a group. */
export const Tally = entity("Tally", {
	name: field.string().unique(),
	grp: field.string().optional(),
	place: field.int().optional(),
	n: field.int().default(0),
}).index("by_place", ["grp", "place"], { unique: true });

/** Who refers to whom. */
export const Topic = entity("Topic", { grp: field.string(), n: field.int(), title: field.string() });
export const Reply = entity("Reply", {
	topic: field.id("Topic", { onDelete: "cascade" }),
	to: field.id("Reply", { onDelete: "set null" }).optional(),
	text: field.string(),
});

/** Who refers to whom, and is not everybody's to see: clubs that are not open are for those who have a seat there. */
export const Club = entity("Club", { name: field.string(), open: field.bool(), code: field.string().serverOnly() });
export const Player = entity("Player", { name: field.string(), club: field.id("Club"), level: field.int().default(1) });
export const Game = entity("Game", {
	n: field.int(),
	white: field.id("Player"),
	black: field.id("Player").optional(),
	judge: field.id("Player").optional().serverOnly(),
});
export const Secret = entity("Secret", { player: field.id("Player") });
export const Report = entity("Report", { text: field.string(), secret: field.id("Secret") });
policy(Club, { read: "data.open || exists(Seat, user == auth.userId && room == data.name)" });
for (const one of [Player, Game, Report]) policy(one, { read: true });

/** Fields made of validators, and rules that the database keeps. */
export const Task = entity("Task", {
	title: v.string().min(2).max(20),
	state: v.enum("open", "done").default("open"),
	points: v.nullable(v.int().min(0).max(100)),
	due: v.optional(v.datetime()),
	tags: v.array(v.string()).default([]),
	code: v.optional(v.string().regex(/^[a-z]+-\d+$/)),
	more: v.optional(v.object({ level: v.int().min(1).default(3), notes: v.array(v.string().max(5)) })),
	slow: v.optional(v.string().regex(/^(a+)+$/)),
})
	.index("open_by_due", ["due"], { where: { state: "open" } })
	.index("one_open", ["title"], { unique: true, where: { state: "open" } })
	.check("done_has_points", { $or: [{ state: "open" }, { points: { $gt: 0 } }] });

/** Who may see what in which room: policies that look at other rows. */
export const Seat = entity("Seat", {
	user: field.string(),
	room: field.string().optional(),
	level: field.int().optional(),
	role: field.string().default("guest"),
}).index("by_user", ["user", "room"]);
export const Ban = entity("Ban", { user: field.string(), room: field.string() }).index("by_user", ["user", "room"]);
export const Post = entity("Post", {
	room: field.string().optional(),
	author: field.string(),
	n: field.int().default(0),
	text: field.string().optional(),
}).index("by_room", ["room"]);
export const Note = entity("Note", { room: field.string().optional(), level: field.int().optional(), n: field.int().default(0) });

policy(Seat, { read: "data.user == auth.userId || exists(Seat, user == auth.userId && room == data.room)" });
policy(Post, {
	read: "exists(Seat, user == auth.userId && room == data.room) && !exists(Ban, user == auth.userId && room == data.room)",
	insert: "data.author == auth.userId && exists(Seat, user == auth.userId && room == data.room)",
	update: "exists(Seat, user == auth.userId && room == data.room && (role == 'lead' || role == 'host'))",
	delete: "exists(Seat, user == auth.userId && data.room == room && role in ['lead', 'host'])",
});
/** For those who lead any room; and for nobody who is banned from one. */
export const Memo = entity("Memo", { text: field.string(), room: field.string().optional() });
policy(Memo, {
	read: "exists(Seat, user == auth.userId && role == 'lead')",
	insert: "exists(Seat, user == auth.userId && role == 'lead') && !exists(Ban, user == auth.userId)",
});
policy(Note, { read: "'auditor' in auth.roles || exists(Seat, user == auth.userId && room == data.room && level == data.level)" });

policy(Task, { read: true, insert: true, update: true });
policy(Item, { read: true });
policy(Counter, { read: true, update: "data.n <= 10" });
policy(Diary, {
	read: "data.owner == auth.userId",
	insert: "data.owner == auth.userId",
	update: "data.owner == auth.userId",
	delete: "data.owner == auth.userId",
});

/** Jobs are nobody's to see but the boss's. */
policy("_scheduled_functions", { read: 'auth.userId == "boss"' });
