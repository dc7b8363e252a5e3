// The line to the server, told as it is.
import { useEffect, useState } from "react";
import { db } from "../_generated/db";

/** Seconds since a moment; ticks only while asked to. */
function useSecondsSince(since: number, running: boolean): number {
	const [now, setNow] = useState(Date.now);
	useEffect(() => {
		if (!running) return;
		setNow(Date.now());
		const timer = setInterval(() => setNow(Date.now()), 1000);
		return () => clearInterval(timer);
	}, [running, since]);
	return Math.max(0, Math.floor((now - since) / 1000));
}

function duration(seconds: number): string {
	if (seconds < 60) return `${seconds} s`;
	if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
	return `${Math.floor(seconds / 3600)} h`;
}

/** `fresh`: all that is shown has been confirmed on this connection. */
export function Status({ fresh = true }: { readonly fresh?: boolean }) {
	const { state, since, pending } = db.useSyncStatus();
	const [lastLive, setLastLive] = useState<number>();
	useEffect(() => {
		if (state === "connected" && fresh) return () => setLastLive(Date.now());
	}, [state, fresh]);
	const live = state === "connected" && fresh;
	const seconds = useSecondsSince(live ? since : (lastLive ?? since), !live);
	const stale = !live && lastLive !== undefined ? ` · what you see is ${duration(seconds)} old` : "";
	const words = {
		connecting: seconds < 2 ? "Connecting…" : `Connecting… for ${duration(seconds)}`,
		connected: fresh ? "Live" : "Catching up…",
		reconnecting: "Reconnecting…",
		offline: "Offline",
	}[state];
	return (
		<p className="status" data-state={live ? "live" : state}>
			<span className="dot" aria-hidden="true" />
			{/* the seconds are for eyes only: a screen reader hears the state when it changes */}
			<span role="status">{words}</span>
			<span aria-hidden="true">{stale}</span>
			{pending > 0 && <span className="unsent"> · {pending} unsent</span>}
		</p>
	);
}
