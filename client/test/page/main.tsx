// The page of test/react.test.ts: a small chat that counts what it renders.

import { memo, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { type ClientRow, functionRef, newId } from "millrace";
import { createDb, isPending } from "millrace/react";
import { entity, field } from "millrace/server";

const app = { Message: entity("Message", { channel: field.string(), n: field.int(), body: field.string() }) };
type Message = ClientRow<typeof app, "Message">;
const db = createDb<typeof app>();
type Send = { readonly id: string; readonly channel: string; readonly n: number; readonly body: string };
const sendRef = functionRef<"mutation", Send, string>("messages.send");
const refuseRef = functionRef<"mutation", Send, string>("messages.refuse");
const listRef = functionRef<"query", Record<never, never>, { channel: string; count: number }[]>("messages.list");

const seen = { rows: 0, least: Infinity, states: [] as string[] };
Object.assign(window, { seen });

const Line = memo(function Line({ row }: { readonly row: Message }) {
	seen.rows++;
	return (
		<li id={row.id} className={isPending(row) ? "pending" : "sure"}>
			{row.body}
		</li>
	);
});

function Chat() {
	const [channel, setChannel] = useState<string>("c");
	const [limit, setLimit] = useState(3);
	const { data, loading, synced, error } = db.useQuery("Message", { where: { channel }, orderBy: { n: "desc" }, limit });
	const stats = db.useReactiveQuery(listRef, channel === "none" ? "skip" : {});
	const one = db.useQueryOne("Message", data[0]?.id);
	const send = db.useMutation(sendRef, { optimistic: (tx, a) => tx.insert("Message", a) });
	const refuse = db.useMutation(refuseRef, { optimistic: (tx, a) => tx.insert("Message", a) });
	const { state, pending } = db.useSyncStatus();
	if (seen.states.at(-1) !== state) seen.states.push(state);
	if (!loading || data.length > 0) seen.least = Math.min(seen.least, data.length);
	const make = (): Send => ({ id: newId(), channel, n: 1000 + Math.floor(performance.now()), body: `sent ${data.length}` });
	return (
		<main>
			<p id="state">{`${state} ${pending} ${loading ? "loading" : "loaded"} ${synced ? "synced" : "stale"}`}</p>
			<p id="error">{error?.code ?? refuse.error?.message ?? ""}</p>
			<p id="stats">{stats.data?.map((row) => `${row.channel}:${row.count}`).join(" ") ?? "none"}</p>
			<p id="first">{one.data?.body ?? ""}</p>
			<p id="sending">{send.loading ? "sending" : "idle"}</p>
			<ul id="list">
				{data.map((row) => (
					<Line key={row.id} row={row} />
				))}
			</ul>
			<button id="send" onClick={() => send.mutate(make())}>
				send
			</button>
			<button id="refuse" onClick={() => refuse.mutate(make())}>
				refuse
			</button>
			<button id="more" onClick={() => setLimit(limit + 3)}>
				more
			</button>
			<button id="none" onClick={() => setChannel("none")}>
				none
			</button>
		</main>
	);
}

const root = document.getElementById("root");
if (root)
	createRoot(root).render(
		<StrictMode>
			<Chat />
		</StrictMode>,
	);
