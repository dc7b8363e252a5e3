// How old the screen may be: the last moment at which it is known to have been right. Any frame on a socket on which all that is held
// was answered says that the screen was right when it came, unless the database does not answer the server.
//
//  F1  `asOf` never goes back, and is no later than the last frame heard.
//  F2  While the server does not follow the database, or not all that is held was answered, it stands.
//  F3  Only `status` says that the server follows again, or a new socket on which it does not say otherwise: a transition may come
//      from what the server remembers.

import type { ServerMessage } from "./tables.js";

/** The server says that it does not follow when it has not for this long. */
const TOLD_AFTER = 1_000;

export class Freshness {
	/** Milliseconds since 1970; 0: nothing is known yet. */
	asOf = 0;
	/** As last told; a server that does not say is one that follows. */
	following = true;
	/** Something but the welcome was heard on the present socket: it would have been told before that. */
	private sure = false;

	/** A new socket is welcomed. */
	begin(): void {
		this.following = true;
		this.sure = false;
	}

	heard(message: ServerMessage, caughtUp: boolean, now: number): void {
		if (message.t === "welcome") return;
		if (message.t === "status") {
			if (!message.following && this.following && this.sure && caughtUp) this.rightAt(now - TOLD_AFTER);
			this.following = message.following;
		}
		this.sure = true;
		if (this.following && caughtUp) this.rightAt(now);
	}

	/** The server has closed the socket in good order: that is its last word. */
	closed(caughtUp: boolean, now: number): void {
		if (this.following && this.sure && caughtUp) this.rightAt(now);
	}

	private rightAt(moment: number): void {
		this.asOf = Math.max(this.asOf, moment);
	}
}
