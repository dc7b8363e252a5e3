// Crons as they are declared: what patterns become, and what is refused.

import assert from "node:assert/strict";
import test from "node:test";
import { functionRef } from "millrace";
import { register } from "millrace/runtime";
import { cron, cronJobs, internalMutation, mutation, v } from "millrace/server";
import { declaredCrons, readPattern, type When } from "../src/server/crons";

const fn = functionRef<"mutation", { n?: number }>("work.f");
const parts = (text: string, zone?: string) => readPattern("cron \"x\"", text, zone) as Extract<When, { timeZone: string }>;

test("patterns", () => {
	assert.deepEqual(parts("*/20 3,5-7 1-31/10 jan-mar MON"), {
		text: "*/20 3,5-7 1-31/10 jan-mar MON", timeZone: "UTC", minutes: [0, 20, 40], hours: [3, 5, 6, 7], days: [1, 11, 21, 31], months: [1, 2, 3],
		weekdays: [1], anyHour: false, anyDay: false,
	});
	const all = parts("  0 * * * 7 ", "Europe/Berlin");
	assert.deepEqual([all.text, all.timeZone, all.anyHour, all.anyDay, all.weekdays, all.hours.length, all.days.length], ["0 * * * 7", "Europe/Berlin", true, true, [0], 24, 31]);
	assert.deepEqual(parts("50/5 0 * * 5-7").minutes, [50, 55]);
	assert.deepEqual(parts("0 0 * * 5-7").weekdays, [0, 5, 6]);
	assert.deepEqual(parts("0 0 * * *").weekdays, [0, 1, 2, 3, 4, 5, 6]);
	assert.equal(parts("0 */2 * * *").anyHour, true);
	assert.deepEqual(parts("0 0 31 2 1").days, [31], "the day of the week will do");
});

test("what is no pattern is refused with its place", () => {
	for (const [text, says] of [
		["* * * *", /five parts/], ["60 * * * *", /"60" is no minute/], ["0 24 * * *", /"24" is no hour/], ["0 0 0 * *", /"0" is no day of the month/],
		["0 0 * 13 *", /"13" is no month/], ["0 0 * foo *", /jan, feb/], ["0 0 * * 8", /no day of the week/], ["5-1 * * * *", /"5-1"/],
		["*/0 * * * *", /"\*\/0"/], ["1,,2 * * * *", /no minute/], ["1-2-3 * * * *", /no minute/], ["0 0 30 2 *", /no such day/], ["-1 * * * *", /no minute/],
	] as const)
		assert.throws(() => parts(text), says, text);
	assert.throws(() => parts("0 0 * * *", "Mars/Phobos City"), /no time zone/);
	assert.throws(() => parts("0 0 * * *", "'; drop"), /no time zone/);
});

test("Convex's words are patterns in UTC", () => {
	declaredCrons.clear();
	const crons = cronJobs();
	crons.interval("i", { minutes: 5 }, fn, {});
	crons.hourly("h", { minuteUTC: 7 }, fn, { n: 1 });
	crons.daily("d", { hourUTC: 17, minuteUTC: 30 }, fn);
	crons.weekly("w", { dayOfWeek: "tuesday", hourUTC: 1, minuteUTC: 2 }, fn);
	crons.monthly("m", { day: 31, hourUTC: 0, minuteUTC: 0 }, fn);
	crons.cron("c", "0 3 * * *", fn, {}, { timeZone: "Asia/Tokyo", retry: { attempts: 2 } });
	cron("own", "1 2 3 4 *", fn);
	assert.deepEqual([...declaredCrons.values()].map(({ when }) => when.text), ["every 5 minutes", "7 * * * *", "30 17 * * *", "2 1 * * 2", "0 0 31 * *", "0 3 * * *", "1 2 3 4 *"]);
	assert.equal((declaredCrons.get("i")?.when as { everyMs: number }).everyMs, 300_000);
	assert.throws(() => cron("own", "* * * * *", fn), /declared twice/);
	assert.throws(() => crons.interval("j", { minutes: 0 }, fn), /whole number from 1/);
	assert.throws(() => crons.interval("j", { days: 1 } as never, fn), /an interval is/);
	assert.throws(() => crons.hourly("j", { minuteUTC: 60 }, fn), /minuteUTC/);
	assert.throws(() => crons.weekly("j", { dayOfWeek: "mon" as never, hourUTC: 1, minuteUTC: 1 }, fn), /dayOfWeek/);
	assert.throws(() => crons.monthly("j", { day: 32, hourUTC: 1, minuteUTC: 1 }, fn), /day is a whole number/);
	assert.throws(() => cron("", "* * * * *", fn), /a name/);
});

test("they are in the manifest; what they cannot run is refused", () => {
	const f = internalMutation({ args: { n: v.number().optional() }, handler: () => null });
	const declare = (...args: Parameters<typeof cron>) => {
		declaredCrons.clear();
		cron(...args);
		register({ modules: { work: { f, needy: mutation({ auth: "user", args: {}, handler: () => null }) } } });
		return (JSON.parse((globalThis as unknown as { __millrace: { manifest(): string } }).__millrace.manifest()) as { crons: object[] }).crons;
	};
	const [made] = declare("a", "0 3 * * *", fn as never, { n: 2 } as never, { retry: { attempts: 2 } } as never);
	const retry = { attempts: 2, initialBackoffMs: 1000, base: 2, maxBackoffMs: 600000 };
	assert.deepEqual(made, { name: "a", fn: "work.f", kind: "mutation", args: { n: 2 }, retry, when: parts("0 3 * * *") });
	assert.throws(() => declare("a", "0 3 * * *", functionRef("work.g") as never), /cron "a": no mutation or action named work\.g/);
	assert.throws(() => declare("a", "0 3 * * *", functionRef("work.needy") as never), /cron "a": work\.needy needs a signed-in caller/);
	assert.throws(() => declare("a", "0 3 * * *", fn as never, { n: "x" } as never), /cron "a": work\.f: args\.n/);
});
