// Crons: functions that run by the clock, each occurrence once in the whole cluster. What is declared here is checked, parsed and printed in
// the manifest; when the next occurrence is, is for Postgres to say (storage/sql/crons.sql), whose time zones are one for all machines.

import type { FunctionRef } from "../api.js";
import type { RetryOptions } from "./scheduler.js";

export interface CronOptions {
	/** What is done about a failure; nothing when it is not given. */
	readonly retry?: RetryOptions;
}
export interface CronTimeOptions extends CronOptions {
	/** By whose clock: `"Europe/Berlin"`; UTC when it is not given. A time that the clock skips comes right after the gap, one that it shows
	 * twice is once; of patterns whose hours begin with `*`, whatever the clock shows counts. */
	readonly timeZone?: string;
}
type CronArgs<Args, Options> = Record<never, never> extends Args ? [args?: Args, options?: Options] : [args: Args, options?: Options];
type Target<Args> = FunctionRef<"mutation" | "action", Args, unknown>;
export type DayOfWeek = "monday" | "tuesday" | "wednesday" | "thursday" | "friday" | "saturday" | "sunday";
export type Interval = { readonly seconds: number } | { readonly minutes: number } | { readonly hours: number };

/** @internal When: every so many milliseconds, or at the times of a pattern. */
export type When =
	| { readonly text: string; readonly everyMs: number }
	| {
			readonly text: string;
			readonly timeZone: string;
			readonly minutes: readonly number[];
			readonly hours: readonly number[];
			readonly days: readonly number[];
			readonly months: readonly number[];
			readonly weekdays: readonly number[];
			/** Whether the pattern's field begins with `*`. */
			readonly anyHour: boolean;
			readonly anyDay: boolean;
	  };
/** @internal */
export interface DeclaredCron {
	readonly name: string;
	readonly when: When;
	readonly fn: unknown;
	readonly args: unknown;
	readonly retry: RetryOptions | undefined;
}

/** @internal What the app's modules have declared so far. */
export const declaredCrons = new Map<string, DeclaredCron>();

function declare_(name: string, when: (where: string) => When, fn: unknown, rest: readonly unknown[]): void {
	const where = `cron ${JSON.stringify(name)}`;
	if (typeof name !== "string" || name === "" || name.length > 200) throw new Error(`${where}: a name has 1 to 200 characters`);
	if (declaredCrons.has(name)) throw new Error(`${where} is declared twice`);
	const [args, options] = rest as [unknown, CronOptions | undefined];
	declaredCrons.set(name, { name, when: when(where), fn, args, retry: options?.retry });
}

// --- patterns ---

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

interface Part {
	readonly what: string;
	readonly least: number;
	readonly most: number;
	readonly names: readonly string[];
}
const PARTS: readonly Part[] = [
	{ what: "minute", least: 0, most: 59, names: [] },
	{ what: "hour", least: 0, most: 23, names: [] },
	{ what: "day of the month", least: 1, most: 31, names: [] },
	{ what: "month", least: 1, most: 12, names: MONTHS },
	{ what: "day of the week", least: 0, most: 7, names: DAYS },
];

function readPart(where: string, { what, least, most, names }: Part, text: string): number[] {
	const fail = (): never => {
		throw new Error(`${where}: ${JSON.stringify(text)} is no ${what}: *, numbers from ${least} to ${most}${names.length ? `, ${names[0]}, ${names[1]}, ...` : ""}, a-b, /step, and lists of these`);
	};
	const number = (word: string): number => {
		const at = names.indexOf(word.toLowerCase());
		const n = at >= 0 ? at + least : /^\d{1,2}$/.test(word) ? Number(word) : Number.NaN;
		return n >= least && n <= most ? n : fail();
	};
	const found = new Set<number>();
	for (const item of text.split(",")) {
		const [, range = "", step] = /^([^/]+)(?:\/(\d{1,2}))?$/.exec(item) ?? fail();
		const [from = "", to, ...more] = range.split("-");
		const first = range === "*" ? least : number(from);
		const last = range === "*" ? (most === 7 ? 6 : most) : to !== undefined ? number(to) : step !== undefined ? most : first;
		const by = step === undefined ? 1 : Number(step);
		if (more.length > 0 || by === 0 || first > last) fail();
		for (let n = first; n <= last; n += by) found.add(most === 7 ? n % 7 : n);
	}
	return [...found].sort((a, b) => a - b);
}

const LONGEST = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** @internal Minute, hour, day of the month, month, day of the week. */
export function readPattern(where: string, text: string, timeZone = "UTC"): When {
	const words = typeof text === "string" ? text.trim().split(/\s+/) : [];
	if (words.length !== 5) throw new Error(`${where}: a pattern has five parts, for instance "0 3 * * *": minute, hour, day of the month, month, day of the week`);
	if (typeof timeZone !== "string" || !/^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+)*$/.test(timeZone))
		throw new Error(`${where}: ${JSON.stringify(timeZone)} is no time zone; use a name such as "Europe/Berlin"`);
	const [minutes = [], hours = [], days = [], months = [], weekdays = []] = PARTS.map((part, i) => readPart(where, part, words[i] ?? ""));
	const any = (i: number) => words[i]?.startsWith("*") === true;
	// With both restricted, either will do.
	if ((any(2) || any(4)) && !months.some((month) => days.some((day) => day <= (LONGEST[month - 1] ?? 0))))
		throw new Error(`${where}: there is no such day in these months: ${JSON.stringify(text)}`);
	return { text: words.join(" "), timeZone, minutes, hours, days, months, weekdays, anyHour: any(1), anyDay: any(2) || any(4) };
}

function whole(where: string, what: string, value: unknown, least: number, most: number): number {
	if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most)
		throw new Error(`${where}: ${what} is a whole number from ${least} to ${most}`);
	return value;
}

function readInterval(where: string, interval: Interval): When {
	const units = { seconds: 1000, minutes: 60_000, hours: 3_600_000 } as const;
	const [[unit, n] = ["", 0], ...more] = Object.entries(interval ?? {}) as [keyof typeof units, number][];
	if (!(unit in units) || more.length > 0) throw new Error(`${where}: an interval is { seconds: n }, { minutes: n } or { hours: n }`);
	const count = whole(where, unit, n, 1, 1_000_000);
	return { text: `every ${count} ${unit}`, everyMs: count * units[unit as keyof typeof units] };
}

// --- how they are declared ---

/**
 * A function by the clock, from anywhere in the app's modules: `cron("clean up", "0 3 * * *", internal.files.clean, {}, { timeZone:
 * "Europe/Berlin" })`. Occurrences that nobody was there to run are skipped, but for the last of them, which runs then; so is one whose
 * predecessor has not ended.
 */
export function cron<Args>(name: string, pattern: string, fn: Target<Args>, ...rest: CronArgs<Args, CronTimeOptions>): void {
	const zone = (rest[1] as CronTimeOptions | undefined)?.timeZone;
	declare_(name, (where) => readPattern(where, pattern, zone), fn, rest);
}

/** The same in Convex's words; times are UTC unless `cron` has a time zone. */
export class Crons {
	interval<Args>(name: string, interval: Interval, fn: Target<Args>, ...rest: CronArgs<Args, CronOptions>): void {
		declare_(name, (where) => readInterval(where, interval), fn, rest);
	}
	hourly<Args>(name: string, at: { readonly minuteUTC: number }, fn: Target<Args>, ...rest: CronArgs<Args, CronOptions>): void {
		declare_(name, (where) => readPattern(where, `${whole(where, "minuteUTC", at.minuteUTC, 0, 59)} * * * *`), fn, rest);
	}
	daily<Args>(name: string, at: { readonly hourUTC: number; readonly minuteUTC: number }, fn: Target<Args>, ...rest: CronArgs<Args, CronOptions>): void {
		declare_(name, (where) => readPattern(where, `${time(where, at)} * * *`), fn, rest);
	}
	weekly<Args>(name: string, at: { readonly dayOfWeek: DayOfWeek; readonly hourUTC: number; readonly minuteUTC: number }, fn: Target<Args>, ...rest: CronArgs<Args, CronOptions>): void {
		declare_(name, (where) => readPattern(where, `${time(where, at)} * * ${dayOf(where, at.dayOfWeek)}`), fn, rest);
	}
	/** Months that have no such day are left out. */
	monthly<Args>(name: string, at: { readonly day: number; readonly hourUTC: number; readonly minuteUTC: number }, fn: Target<Args>, ...rest: CronArgs<Args, CronOptions>): void {
		declare_(name, (where) => readPattern(where, `${time(where, at)} ${whole(where, "day", at.day, 1, 31)} * *`), fn, rest);
	}
	cron<Args>(name: string, pattern: string, fn: Target<Args>, ...rest: CronArgs<Args, CronTimeOptions>): void {
		cron<Args>(name, pattern, fn, ...rest);
	}
}

function time(where: string, at: { readonly hourUTC: number; readonly minuteUTC: number }): string {
	return `${whole(where, "minuteUTC", at.minuteUTC, 0, 59)} ${whole(where, "hourUTC", at.hourUTC, 0, 23)}`;
}
function dayOf(where: string, day: string): number {
	const n = typeof day === "string" && day.length > 3 ? DAYS.indexOf(day.slice(0, 3)) : -1;
	if (n < 0) throw new Error(`${where}: dayOfWeek is "monday", "tuesday", ...`);
	return n;
}

/** `const crons = cronJobs(); crons.interval("name", { minutes: 5 }, internal.f.g); export default crons;` */
export const cronJobs = (): Crons => new Crons();
