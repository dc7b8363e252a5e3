// setTimeout and its kin, for actions. A timer belongs to the call that set it, and ends with that.

import { MillraceError } from "../error.js";
import { begun, drop, host, timersOf, timersWith } from "./host.js";

/** Refuses what a query or a mutation must not have; gives the number of the action whose code runs. */
export function actionOnly(what: string): number {
	const n = host().current();
	if (n !== 0 && host().live()) return n;
	throw new MillraceError("only_in_actions", `${what} is for actions: queries and mutations have neither network nor timers`);
}

type Callback = (...args: unknown[]) => unknown;
/** Timers are numbered, as in browsers. */
let last = 0;

/** What a callback throws ends nobody's call: it is told in the log, as an unhandled rejection. */
function call(callback: Callback, args: unknown[]): void {
	void Promise.resolve().then(() => callback(...args));
}

function wait(n: number, id: number, ms: number, then: () => void): void {
	const timer = timersOf(n)?.get(id);
	if (!timer) return;
	const { op, answer } = begun(n, "sleep", `{"ms":${ms}}`);
	timer.op = op;
	answer.then(then, (e: unknown) => {
		timersOf(n)?.delete(id);
		throw e;
	});
}

function start(what: string, callback: unknown, delay: unknown, args: unknown[], again: boolean): number {
	if (typeof callback !== "function") throw new TypeError(`${what} takes a function`);
	const n = actionOnly(what);
	const ms = Math.max(again ? 1 : 0, Number(delay) || 0);
	const id = ++last;
	timersOf(n)?.set(id, { op: 0 });
	const ring = (): void => {
		if (!timersOf(n)?.has(id)) return;
		if (again) wait(n, id, ms, ring);
		else timersOf(n)?.delete(id);
		call(callback as Callback, args);
	};
	wait(n, id, ms, ring);
	return id;
}

function clear(id: unknown): void {
	const timers = typeof id === "number" ? timersWith(id) : undefined;
	const timer = timers?.get(id as number);
	if (!timer) return;
	timers?.delete(id as number);
	drop(timer.op);
}

export const timerGlobals = {
	setTimeout: (callback: unknown, ms?: unknown, ...args: unknown[]) => start("setTimeout", callback, ms, args, false),
	setInterval: (callback: unknown, ms?: unknown, ...args: unknown[]) => start("setInterval", callback, ms, args, true),
	clearTimeout: clear,
	clearInterval: clear,
};
