// The line to the server, told as it is.
import { useEffect, useState } from "react";
import { db } from "../_generated/db";

/** Seconds since a moment; ticks only while asked to. */
function useSecondsSince(since: number, running: boolean): number {
	const [, tick] = useState(0);
	useEffect(() => {
		if (!running) return;
		const timer = setInterval(() => tick((n) => n + 1), 1000);
		return () => clearInterval(timer);
	}, [running, since]);
	return Math.max(0, Math.floor((Date.now() - since) / 1000));
}

function duration(seconds: number): string {
	if (seconds < 60) return `${seconds} s`;
	if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
	return `${Math.floor(seconds / 3600)} h`;
}

/** `ready`: there is something to be seen. */
export function Status({ ready = true }: { readonly ready?: boolean }) {
	const { state, since, stale, following, asOf, pending } = db.useSyncStatus();
	const live = !stale && ready;
	const age = useSecondsSince(asOf, !live);
	const tried = useSecondsSince(since, state === "connecting");
	const words = {
		connecting: tried < 2 ? "Connecting…" : `Connecting… for ${duration(tried)}`,
		connected: live ? "Live" : following ? "Catching up…" : "The database does not answer",
		reconnecting: "Reconnecting…",
		offline: "Offline",
	}[state];
	const seen = asOf > 0 ? ` · what you see is ${duration(age)} old` : following ? "" : " · what you see may be old";
	return (
		<p className="status" data-state={live ? "live" : state === "connected" && !following ? "stale" : state}>
			<span className="dot" aria-hidden="true" />
			{/* the seconds are for eyes only: a screen reader hears the state when it changes */}
			<span role="status">{words}</span>
			{!live && <span aria-hidden="true">{seen}</span>}
			{pending > 0 && <span className="unsent"> · {pending} unsent</span>}
		</p>
	);
}
