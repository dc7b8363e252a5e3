// Changed: where the hooks come from.
import { useMutation, useQuery } from "millrace/convex/react";
import { type FormEvent, useLayoutEffect, useRef, useState } from "react";
import { api } from "../_generated/api";
import type { Doc } from "../_generated/dataModel";
import { myName } from "./name";

const NAME = myName();
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export function Chat() {
	const messages = useQuery(api.chat.getMessages);
	return (
		<main>
			<header>
				<h1>Chat</h1>
				<p>
					You are <strong>{NAME}</strong>
				</p>
			</header>
			<Messages messages={messages} />
			<Composer />
		</main>
	);
}

function Messages({ messages }: { readonly messages: Doc<"messages">[] | undefined }) {
	const end = useRef<HTMLDivElement>(null);
	const last = messages?.at(-1)?._id;
	useLayoutEffect(() => void end.current?.scrollIntoView({ block: "end" }), [last]);
	return (
		<section className="scroll" aria-label="Messages" tabIndex={0}>
			{messages === undefined && <p className="empty">Loading…</p>}
			{messages?.length === 0 && <p className="empty">Nobody has said anything yet. Say hello.</p>}
			<ol>
				{messages?.map((message) => (
					<li key={message._id} className={message.user === NAME ? "mine" : undefined}>
						<p className="author">
							{message.user} <time dateTime={new Date(message._creationTime).toISOString()}>{clock.format(message._creationTime)}</time>
						</p>
						<p className="body">{message.body}</p>
					</li>
				))}
			</ol>
			<div ref={end} />
		</section>
	);
}

function Composer() {
	const [text, setText] = useState("");
	const sendMessage = useMutation(api.chat.sendMessage);
	const submit = async (event: FormEvent) => {
		event.preventDefault();
		if (!text.trim()) return;
		setText("");
		await sendMessage({ user: NAME, body: text }).catch(() => setText(text));
	};
	return (
		<form onSubmit={submit}>
			<input aria-label="Message" placeholder="Write a message…" value={text} onChange={(e) => setText(e.target.value)} autoFocus />
			<button type="submit" disabled={!text.trim()}>
				Send
			</button>
		</form>
	);
}
