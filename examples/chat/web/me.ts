// Who is signed in on this device. The token is the client's to keep; the name beside it is for the page.
import { useEffect, useRef, useState } from "react";
import { db } from "../_generated/db";

export interface Me {
	readonly userId: string;
	readonly name: string;
}

const KEY = "chat:me";

function stored(): Me | undefined {
	try {
		return (JSON.parse(localStorage.getItem(KEY) ?? "null") as Me | null) ?? undefined;
	} catch {
		return undefined;
	}
}

function store(me: Me | undefined): void {
	if (me) localStorage.setItem(KEY, JSON.stringify(me));
	else localStorage.removeItem(KEY);
}

export function useMe() {
	const client = db.useClient();
	const { user } = db.useSyncStatus();
	const [me, setMe] = useState(stored);
	const before = useRef(user);

	// the server has the last word: another tab signed in or out, or the token is not taken any more
	useEffect(() => {
		const changed = before.current !== user;
		before.current = user;
		if (!changed || user === undefined || user === me?.userId) return;
		const kept = stored();
		setMe(user === null ? undefined : kept?.userId === user ? kept : { userId: user, name: user });
	}, [user, me]);

	const signIn = async (name: string): Promise<void> => {
		const response = await fetch("/api/auth/guest", { method: "POST", body: JSON.stringify({ name }) });
		const answer = (await response.json()) as Me & { token: string; error?: { message: string } };
		if (!response.ok) throw new Error(answer.error?.message ?? `The server answered ${response.status}.`);
		const mine = { userId: answer.userId, name: answer.name };
		store(mine);
		setMe(mine);
		client.setToken(answer.token);
	};
	const signOut = (): void => {
		store(undefined);
		setMe(undefined);
		client.setToken(null);
	};
	return { me, signIn, signOut };
}
