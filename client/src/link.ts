// The link: when to open the socket, when to give it up, when to try again. A pure function of state, event and time; the runner in
// client.ts owns socket and timer and does what the effects say.
//
//            start                 opened            welcomed
//   idle ------------> opening -------------> greeted ----------> ready
//                        ^  |lost, timer        |lost, timer        | lost, silent
//                        |  v                   v                   v
//                        waiting (timer; wake or network: at once) <-+          close: closed, from anywhere
//
// Invariants, each with its test (test/link.test.ts):
//  L1  At most one socket: `open` is an effect only on the way into `opening`, and every way out of opening, greeted and ready but by
//      `lost` or into the next of them has a `drop`.
//  L2  Unless idle or closed, a timer runs or a socket is open that a timer watches: the link never hangs.
//  L3  The n-th wait in a row is at most min(16 s, 100 ms * 2^n) and at least half of it; it starts anew after 5 s of being ready.
//  L4  `wake` and a network that came back try at once; when ready they ask for a sign of life. A network that went drops at once.
//  L5  Silence of ping_interval asks for a sign, silence of `patience` after that drops. While something that was sent is unanswered,
//      silence of 1 s asks, then of 2, 4, 5, 5, ... s: so a dead line is found within 5 s of sending. A slow answer is no silence.
//  L8  `patience` is 4 s; each time that it ended in a drop it doubles, to twice ping_interval at most, until a sign comes within 4 s:
//      so one big frame on a slow line gets through with a later try.
//  L9  A timer that rings late (the tab slept) drops only when nothing is heard for another `patience`.
//  L6  The status is `connected` exactly in `ready`.
//  L7  Nothing leaves `closed`.

export type LinkStatus = "connecting" | "connected" | "reconnecting" | "offline";

export type Phase = "idle" | "waiting" | "opening" | "greeted" | "ready" | "closed";

export interface LinkState {
	readonly phase: Phase;
	/** Tries in a row that did not last. */
	readonly attempt: number;
	/** When the phase began. */
	readonly since: number;
	/** When the timer is due; Infinity: none. */
	readonly due: number;
	/** Ready: when the server was heard last. */
	readonly heard: number;
	/** Ready: since when a sign of life is asked for, and when the line is dropped without one; Infinity: none is asked for. */
	readonly asked: number;
	readonly deadline: number;
	/** The deadline has passed once while we slept. */
	readonly excused: boolean;
	readonly patience: number;
	/** Silence after which a sign is asked for while something is unanswered; Infinity: nothing is. */
	readonly quick: number;
	readonly pingInterval: number;
	readonly everReady: boolean;
	readonly network: boolean;
}

export type LinkEvent =
	| { readonly type: "start" }
	| { readonly type: "opened" }
	| { readonly type: "welcomed"; readonly pingInterval: number }
	| { readonly type: "heard" }
	/** Something was said that the server answers. */
	| { readonly type: "sent" }
	/** All of that is answered. */
	| { readonly type: "settled" }
	| { readonly type: "lost" }
	| { readonly type: "timer" }
	| { readonly type: "wake" }
	| { readonly type: "network"; readonly up: boolean }
	| { readonly type: "close" };

export type LinkEffect = "open" | "greet" | "ping" | "drop";

export interface Step {
	readonly state: LinkState;
	readonly effects: readonly LinkEffect[];
}

export const FIRST_WAIT = 100;
export const LONGEST_WAIT = 16_000;
export const CONNECT_LIMIT = 10_000;
export const STABLE_AFTER = 5_000;
export const SIGN_LIMIT = 4_000;
export const FIRST_ASK = 1_000;
export const LATER_ASK = 5_000;
const LATE = 1_500;

export function initialLink(now: number): LinkState {
	return {
		phase: "idle",
		attempt: 0,
		since: now,
		due: Infinity,
		heard: now,
		asked: Infinity,
		deadline: Infinity,
		excused: false,
		patience: SIGN_LIMIT,
		quick: Infinity,
		pingInterval: 25_000,
		everReady: false,
		network: true,
	};
}

export function linkStatus(state: LinkState): LinkStatus {
	if (state.phase === "ready") return "connected";
	if (!state.network || state.phase === "closed") return "offline";
	return state.everReady ? "reconnecting" : "connecting";
}

/** Half of it fixed, half by chance, so that clients that lost one server do not come back at one moment. */
export function waitFor(attempt: number, chance: number): number {
	const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(attempt, 20));
	return most / 2 + (most / 2) * chance;
}

function open(state: LinkState, now: number): Step {
	return { state: { ...state, phase: "opening", since: now, due: now + CONNECT_LIMIT, quick: Infinity }, effects: ["open"] };
}

function retry(state: LinkState, now: number, chance: number, effects: readonly LinkEffect[]): Step {
	const stable = state.phase === "ready" && now - state.since >= STABLE_AFTER;
	const attempt = stable ? 0 : state.attempt;
	const wait = waitFor(attempt, chance);
	const quiet = { asked: Infinity, deadline: Infinity, excused: false };
	return { state: { ...state, ...quiet, phase: "waiting", since: now, attempt: attempt + 1, due: now + wait }, effects };
}

const stay = (state: LinkState): Step => ({ state, effects: [] });

function onTimer(state: LinkState, now: number, chance: number): Step {
	if (now < state.due) return stay(state);
	switch (state.phase) {
		case "waiting":
			return open(state, now);
		case "opening":
		case "greeted":
			return retry(state, now, chance, ["drop"]);
		case "ready":
			return now < state.deadline ? askForSign(state, now) : onSilence(state, now, chance);
		default:
			return stay(state);
	}
}

function askForSign(state: LinkState, now: number): Step {
	const asked = Math.min(state.asked, now);
	const deadline = Math.min(state.deadline, now + state.patience);
	const quick = state.quick === Infinity ? Infinity : Math.min(2 * state.quick, LATER_ASK);
	return { state: { ...state, asked, deadline, quick, due: deadline }, effects: ["ping"] };
}

function onSilence(state: LinkState, now: number, chance: number): Step {
	if (now - state.deadline > LATE && !state.excused) return askForSign({ ...state, deadline: Infinity, excused: true }, now);
	const patience = Math.min(2 * state.patience, 2 * state.pingInterval);
	return retry({ ...state, patience }, now, chance, ["drop"]);
}

function onWake(state: LinkState, now: number): Step {
	if (state.phase === "waiting") return open(state, now);
	return state.phase === "ready" ? askForSign(state, now) : stay(state);
}

function onNetwork(state: LinkState, now: number, chance: number): Step {
	if (state.network) return onWake(state, now);
	return state.phase === "ready" ? retry(state, now, chance, ["drop"]) : stay(state);
}

function ready(state: LinkState, now: number, pingInterval: number): Step {
	const since = state.phase === "ready" ? state.since : now;
	const prompt = state.asked !== Infinity && now - state.asked <= SIGN_LIMIT;
	const patience = prompt ? SIGN_LIMIT : state.patience;
	const due = now + Math.min(pingInterval, state.quick);
	const beat = { pingInterval, heard: now, asked: Infinity, deadline: Infinity, excused: false, patience, due };
	return { state: { ...state, ...beat, phase: "ready", since, everReady: true }, effects: [] };
}

function onSent(state: LinkState, now: number): Step {
	const next = { ...state, quick: FIRST_ASK };
	return stay(state.phase === "ready" && state.asked === Infinity ? { ...next, due: Math.min(state.due, now + FIRST_ASK) } : next);
}

function onSettled(state: LinkState): Step {
	const next = { ...state, quick: Infinity };
	return stay(state.phase === "ready" && state.asked === Infinity ? { ...next, due: state.heard + state.pingInterval } : next);
}

export function stepLink(state: LinkState, event: LinkEvent, now: number, chance: number): Step {
	if (state.phase === "closed") return stay(state);
	const live = state.phase === "opening" || state.phase === "greeted" || state.phase === "ready";
	switch (event.type) {
		case "start":
			return state.phase === "idle" ? open(state, now) : stay(state);
		case "opened":
			return state.phase === "opening" ? { state: { ...state, phase: "greeted" }, effects: ["greet"] } : stay(state);
		case "welcomed":
			return state.phase === "greeted" || state.phase === "ready" ? ready(state, now, event.pingInterval) : stay(state);
		case "heard":
			return state.phase === "ready" ? ready(state, now, state.pingInterval) : stay(state);
		case "sent":
			return live ? onSent(state, now) : stay(state);
		case "settled":
			return onSettled(state);
		case "lost":
			return live ? retry(state, now, chance, []) : stay(state);
		case "timer":
			return onTimer(state, now, chance);
		case "wake":
			return onWake(state, now);
		case "network":
			return onNetwork({ ...state, network: event.up }, now, chance);
		case "close":
			return { state: { ...state, phase: "closed", since: now, due: Infinity }, effects: live ? ["drop"] : [] };
		default:
			return event satisfies never;
	}
}
