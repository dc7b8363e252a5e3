import { v } from "millrace/server";
import { mutation, query } from "../_generated/server";

const LONGEST = 2000;

export const send = mutation({
	args: { id: v.optional(v.id("Message")), channel: v.id("Channel"), body: v.string() },
	handler: async (ctx, { id, channel, body }) => {
		const text = body.trim();
		if (text === "") ctx.error("empty", "There is nothing to send.");
		if (text.length > LONGEST) ctx.error("too_long", `A message has at most ${LONGEST} characters; this one has ${text.length}.`);
		if (/^!{3,}$/.test(text)) ctx.error("shouting", "No shouting, please: say it in words.");
		const who = await ctx.auth.getUserIdentity();
		const authorName = typeof who.name === "string" ? who.name : who.userId;
		return ctx.db.insert("Message", { ...(id ? { id } : {}), channel, author: who.userId, authorName, body: text });
	},
});

export type AuthorCount = { readonly author: string; readonly name: string; readonly count: number };

/** Who has said how much in a channel: an ordinary SQL join, kept live. */
export const perAuthor = query({
	args: { channel: v.id("Channel") },
	handler: (ctx, { channel }) => ctx.db.sql<AuthorCount>`
		select m.author, coalesce(max(m."authorName"), m.author) as name, count(*)::int as count
		from "Channel" c join "Message" m on m.channel = c.id
		where c.id = ${channel}
		group by m.author
		order by count desc, name`,
});
