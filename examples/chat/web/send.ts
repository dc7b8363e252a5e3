// Sending: the message shows at once and is pending; one that is refused leaves the list and is kept here, with its text and the reason.
import { MillraceError, newId } from "millrace";
import { useCallback, useState } from "react";
import { api } from "../_generated/api";
import { db } from "../_generated/db";
import type { Me } from "./me";

export interface Failed {
	readonly id: string;
	readonly channel: string;
	readonly body: string;
	readonly reason: string;
}

export interface Send {
	readonly failed: readonly Failed[];
	readonly send: (channel: string, body: string) => void;
	readonly forget: (id: string) => void;
}

export function useSend(me: Me, current: string | undefined): Send {
	const [failed, setFailed] = useState<readonly Failed[]>([]);
	const mutate = db.useMutation(api.messages.send, {
		optimistic: (tx, args) => tx.insert("Message", { ...args, author: me.userId, authorName: me.name, createdAt: new Date() }),
	});
	const forget = useCallback((id: string) => setFailed((all) => all.filter((one) => one.id !== id)), []);
	const send = useCallback(
		(channel: string, body: string) => {
			const id = newId();
			mutate({ id, channel, body }).catch((e: unknown) => {
				const reason = e instanceof MillraceError ? e.message : String(e);
				setFailed((all) => [...all, { id, channel, body, reason }]);
			});
		},
		[mutate],
	);
	return { failed: failed.filter((one) => one.channel === current), send, forget };
}
