// One channel's messages, newest at the bottom. The list holds the newest 50 and takes 50 more whenever its top comes into sight.
import type { ClientRow } from "millrace";
import { isPending } from "millrace/react";
import { Fragment, memo, useEffect, useRef, useState } from "react";
import { db } from "../_generated/db";
import type { App } from "../_generated/server";
import type { Me } from "./me";
import { hueOf } from "./people";
import type { Failed, Send } from "./send";

type Message = ClientRow<typeof App, "Message">;

const PAGE = 50;
const CLOSE = 5 * 60 * 1000; // lines of one author within this time stand together

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
/** In a narrow column: without the half of the day, which the line above tells. */
const short = (when: Date) =>
	clock
		.formatToParts(when)
		.map((part) => (part.type === "dayPeriod" ? "" : part.value))
		.join("")
		.trim();
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

interface Props {
	readonly channel: { readonly id: string; readonly name: string };
	readonly me: Me;
	readonly send: Send;
}

export function Messages({ channel, me, send }: Props) {
	const [limit, setLimit] = useState(PAGE);
	const { data, loading, error } = db.useQuery("Message", { where: { channel: channel.id }, orderBy: { createdAt: "desc" }, limit });
	const list = useRef<HTMLDivElement>(null);
	const top = useRef<HTMLDivElement>(null);
	const more = data.length >= limit;

	useEffect(() => {
		if (!more || loading || !top.current) return;
		const seen = new IntersectionObserver(([entry]) => entry?.isIntersecting && setLimit((n) => n + PAGE), {
			root: list.current,
			rootMargin: "300px 0px 0px",
		});
		seen.observe(top.current);
		return () => seen.disconnect();
	}, [more, loading]);

	const { unseen, scrolled, toEnd } = useEnd(list, data[0]);
	const heard = useAnnouncement(data[0], me);
	const rows = [...data].reverse();
	return (
		<div className="messages">
			{/* laid out from its end: it stays there by itself, and older lines above move nothing */}
			<div className="scroll" ref={list} onScroll={scrolled} tabIndex={0} aria-label={`Messages in #${channel.name}`} role="region">
				<div className="content">
					<div ref={top} className="top">
						{more ? "Loading earlier messages…" : loading ? "Loading…" : data.length > 0 ? "The beginning of this channel" : ""}
					</div>
					{!loading && data.length === 0 && send.failed.length === 0 && (
						<p className="empty">Nobody has said anything in #{channel.name} yet. Say hello.</p>
					)}
					<ol aria-label="Messages">
						{rows.map((row, i) => (
							<Fragment key={row.id}>
								{newDay(rows[i - 1], row) && <li className="day">{day.format(new Date(row.createdAt))}</li>}
								<Line row={row} mine={row.author === me.userId} pending={isPending(row)} first={!together(rows[i - 1], row)} />
							</Fragment>
						))}
					</ol>
					{send.failed.map((one) => (
						<FailedLine key={one.id} failed={one} send={send} />
					))}
					{error && (
						<p className="problem" role="alert">
							{error.message}
						</p>
					)}
				</div>
			</div>
			<p className="hidden" aria-live="polite">
				{heard}
			</p>
			{unseen && (
				<button type="button" className="jump" onClick={toEnd}>
					New messages ↓
				</button>
			)}
		</div>
	);
}

const time = (row: Message) => Date.parse(row.createdAt);

/** Whether something new has come below what is in sight. */
function useEnd(list: { readonly current: HTMLDivElement | null }, newest: Message | undefined) {
	const [seen, setSeen] = useState(newest);
	const atEnd = () => Math.abs(list.current?.scrollTop ?? 0) < 40;
	const scrolled = () => {
		if (atEnd()) setSeen(newest);
	};
	useEffect(() => {
		if (newest && isPending(newest)) list.current?.scrollTo({ top: 0 }); // one's own
		scrolled();
	}, [newest?.id]);
	const unseen = newest !== undefined && seen !== undefined && time(newest) > time(seen) && !atEnd();
	return { unseen, scrolled, toEnd: () => list.current?.scrollTo({ top: 0, behavior: "smooth" }) };
}

/** For screen readers: what others say from now on, and not what was loaded. */
function useAnnouncement(newest: Message | undefined, me: Me): string {
	const before = useRef(newest);
	const [heard, setHeard] = useState("");
	useEffect(() => {
		const last = before.current;
		before.current = newest;
		if (last && newest && time(newest) > time(last) && newest.author !== me.userId)
			setHeard(`${newest.authorName ?? newest.author}: ${newest.body}`);
	}, [newest, me.userId]);
	return heard;
}

function newDay(before: Message | undefined, row: Message): boolean {
	return new Date(row.createdAt).toDateString() !== (before && new Date(before.createdAt).toDateString());
}
function together(before: Message | undefined, row: Message): boolean {
	return before?.author === row.author && !newDay(before, row) && time(row) - time(before) < CLOSE;
}

interface LineProps {
	readonly row: Message;
	readonly mine: boolean;
	readonly pending: boolean;
	readonly first: boolean;
}
const Line = memo(function Line({ row, mine, pending, first }: LineProps) {
	const name = row.authorName ?? row.author;
	const when = new Date(row.createdAt);
	return (
		<li className="line" data-id={row.id} data-pending={pending || undefined} data-first={first || undefined} data-mine={mine || undefined}>
			{first && (
				<span className="avatar" style={{ "--hue": hueOf(row.author) } as object} aria-hidden="true">
					{name.slice(0, 1).toUpperCase()}
				</span>
			)}
			{first && <span className="author">{name}</span>}
			<time dateTime={row.createdAt} title={full.format(when)}>
				{pending ? (
					<svg role="img" aria-label="sending" viewBox="0 0 16 16" width="12" height="12" fill="none" stroke="currentColor" strokeWidth="1.6">
						<title>Not confirmed yet</title>
						<circle cx="8" cy="8" r="6.5" />
						<path d="M8 4.2V8l2.6 1.8" />
					</svg>
				) : first ? (
					clock.format(when)
				) : (
					short(when)
				)}
			</time>
			<p className="body">{row.body}</p>
		</li>
	);
});

function FailedLine({ failed, send }: { readonly failed: Failed; readonly send: Send }) {
	const again = () => {
		send.forget(failed.id);
		send.send(failed.channel, failed.body);
	};
	return (
		<div className="failed" role="alert">
			<p className="body">{failed.body}</p>
			<p>
				<strong>Not sent.</strong> {failed.reason}{" "}
				<button type="button" className="quiet" onClick={again}>
					Try again
				</button>{" "}
				<button type="button" className="quiet" onClick={() => send.forget(failed.id)}>
					Discard
				</button>
			</p>
		</div>
	);
}
