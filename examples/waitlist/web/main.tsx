// A form and a number. The number is right on every tab, the moment anybody joins.
import { type FormEvent, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { api } from "../_generated/api";
import { db } from "../_generated/db";

const plain = new Intl.NumberFormat();

function Count() {
	const { data, loading } = db.useQuery("WaitlistStat");
	const count = data[0]?.count ?? 0;
	return (
		<p className="count" aria-live="polite" aria-busy={loading}>
			<strong>{loading ? "–" : plain.format(count)}</strong> {count === 1 ? "person is" : "people are"} waiting
		</p>
	);
}

function Join() {
	const [email, setEmail] = useState("");
	const join = db.useMutation(api.joinWaitlist);
	const submit = (event: FormEvent) => {
		event.preventDefault();
		join.mutate({ email });
	};
	if (join.data !== undefined)
		return (
			<p className="joined" role="status">
				You are in: number <strong>{plain.format(join.data)}</strong>. We will write to {email.trim()}.
			</p>
		);
	return (
		<form onSubmit={submit}>
			<input
				type="email"
				aria-label="Email address"
				placeholder="you@example.org"
				autoComplete="email"
				required
				value={email}
				onChange={(e) => (setEmail(e.target.value), join.reset())}
			/>
			<button type="submit" disabled={join.loading}>
				{join.loading ? "Joining…" : "Join the waitlist"}
			</button>
			{join.error && (
				<p className="problem" role="alert">
					{join.error.message}
				</p>
			)}
		</form>
	);
}

function Line() {
	const { state, stale } = db.useSyncStatus();
	if (state === "connected" && !stale) return <p className="line">Live</p>;
	return <p className="line away">{state === "connecting" ? "Connecting…" : "No connection; trying again"}</p>;
}

createRoot(document.getElementById("root")!).render(
	<StrictMode>
		<main>
			<h1>Something good is coming.</h1>
			<p className="lead">Leave your address and be among the first to see it. Nobody else will see the address.</p>
			<Join />
			<Count />
			<Line />
		</main>
	</StrictMode>,
);
