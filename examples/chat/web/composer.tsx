import { type FormEvent, type KeyboardEvent, useState } from "react";
import type { Send } from "./send";

const LONGEST = 2000;
/** What was being written, by channel: changing the channel and back keeps it. */
const drafts = new Map<string, string>();

export function Composer({ channel, send }: { readonly channel: { readonly id: string; readonly name: string }; readonly send: Send }) {
	const [text, setText] = useState(drafts.get(channel.id) ?? "");
	const change = (value: string) => {
		drafts.set(channel.id, value);
		setText(value);
	};
	const length = text.trim().length;
	const submit = (event?: FormEvent) => {
		event?.preventDefault();
		if (length === 0 || length > LONGEST) return;
		send.send(channel.id, text.trim());
		change("");
	};
	const key = (event: KeyboardEvent) => {
		if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
		event.preventDefault();
		submit();
	};
	return (
		<form className="composer" onSubmit={submit}>
			<label className="hidden" htmlFor="body">
				Message to #{channel.name}
			</label>
			<textarea
				id="body"
				value={text}
				onChange={(e) => change(e.target.value)}
				onKeyDown={key}
				placeholder={`Message #${channel.name}`}
				rows={Math.min(8, text.split("\n").length)}
				autoComplete="off"
				autoFocus
			/>
			{length > LONGEST - 200 && (
				<span className="count" data-over={length > LONGEST || undefined}>
					{LONGEST - length}
				</span>
			)}
			<button type="submit" disabled={length === 0 || length > LONGEST}>
				Send
			</button>
		</form>
	);
}
