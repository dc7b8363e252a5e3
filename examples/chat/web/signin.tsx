import { type FormEvent, useState } from "react";
import { Status } from "./status";

export function SignIn({ signIn }: { readonly signIn: (name: string) => Promise<void> }) {
	const [name, setName] = useState("");
	const [busy, setBusy] = useState(false);
	const [problem, setProblem] = useState<string>();

	const submit = async (event: FormEvent) => {
		event.preventDefault();
		if (busy || !name.trim()) return;
		setBusy(true);
		setProblem(undefined);
		try {
			await signIn(name.trim());
		} catch (e) {
			setProblem(e instanceof TypeError ? "The server cannot be reached." : e instanceof Error ? e.message : String(e));
			setBusy(false);
		}
	};
	return (
		<main className="signin">
			<form onSubmit={submit}>
				<h1>Chat</h1>
				<p>Pick a name. No password: you are a guest of this server.</p>
				<label htmlFor="name">Your name</label>
				<input id="name" value={name} onChange={(e) => setName(e.target.value)} maxLength={40} autoComplete="nickname" autoFocus required />
				<button type="submit" disabled={busy || !name.trim()}>
					{busy ? "Signing in…" : "Join the chat"}
				</button>
				{problem && (
					<p className="problem" role="alert">
						{problem}
					</p>
				)}
				<Status />
			</form>
		</main>
	);
}
