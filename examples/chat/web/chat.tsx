// The page of somebody who is signed in: channels, one channel's messages, who said how much.
import { useEffect, useState } from "react";
import { api } from "../_generated/api";
import { db } from "../_generated/db";
import { Channels } from "./channels";
import { Composer } from "./composer";
import type { Me } from "./me";
import { Messages } from "./messages";
import { useSend } from "./send";
import { People } from "./people";
import { Status } from "./status";

/** The channel is part of the address, so that a reload and a link come back to it. */
function useHash(): string {
	const read = () => decodeURIComponent(location.hash.slice(1));
	const [hash, setHash] = useState(read);
	useEffect(() => {
		const changed = () => setHash(read());
		addEventListener("hashchange", changed);
		return () => removeEventListener("hashchange", changed);
	}, []);
	return hash;
}

export function Chat({ me, signOut }: { readonly me: Me; readonly signOut: () => void }) {
	const { user } = db.useSyncStatus();
	const channels = db.useQuery("Channel", { orderBy: { name: "asc" } });
	const seed = db.useMutation(api.channels.seed);
	const name = useHash();
	const channel = channels.data.find((one) => one.name === name) ?? channels.data[0];
	const send = useSend(me, channel?.id);

	const none = channels.synced && channels.data.length === 0 && user === me.userId;
	useEffect(() => {
		if (none) seed.mutate();
	}, [none, seed]);
	useEffect(() => {
		document.title = channel ? `#${channel.name} · Chat` : "Chat";
	}, [channel?.name]);

	return (
		<div className="chat">
			<aside className="side">
				<h1>Chat</h1>
				<Channels channels={channels.data} current={channel?.id} />
				<footer>
					<span className="me" title={me.userId}>
						{me.name}
					</span>
					<button type="button" className="quiet" onClick={signOut}>
						Sign out
					</button>
				</footer>
			</aside>
			<main>
				<header>
					<h2>{channel ? `#${channel.name}` : " "}</h2>
					<Status ready={channels.synced} />
				</header>
				{channel && <Messages key={channel.id} channel={channel} me={me} send={send} />}
				{channel && <Composer key={`write ${channel.id}`} channel={channel} send={send} />}
				{channels.error && (
					<p className="problem" role="alert">
						{channels.error.message}
					</p>
				)}
			</main>
			{channel && <People channel={channel.id} me={me} />}
		</div>
	);
}
