// Crons: when they are due, by an independent computation; once per occurrence, whoever is there; what was missed; what changes.
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { millrace, remove, ROOT, temporary } from "../lib/cli.mjs";
import { run, test } from "../lib/net_client.mjs";
import { sleep, Stack, until } from "../lib/stack.mjs";

const source = join(temporary("crons"), "app");
cpSync(join(ROOT, "tests/flow/stack_app"), source, { recursive: true });
const CRONS = `import { cronJobs, cron } from "millrace/server";
import { internal } from "../_generated/api";
const crons = cronJobs();
crons.interval("tick", { seconds: 1 }, internal.later.put, { grp: "tick", n: 1 });
crons.interval("busy", { seconds: 1 }, internal.later.actUntil, { grp: "busy", n: 2200 });
crons.interval("rare", { hours: 1 }, internal.later.put, { grp: "rare", n: 1 });
crons.daily("daily", { hourUTC: 17, minuteUTC: 30 }, internal.later.put, { grp: "daily", n: 1 });
cron("berlin", "30 2 * * *", internal.later.put, { grp: "berlin", n: 1 }, { timeZone: "Europe/Berlin", retry: { attempts: 2 } });
export default crons;
`;
writeFileSync(join(source, "functions/crons.ts"), CRONS);
const quick = ["--scheduler-poll-interval", "100", "--scheduler-lease", "2000"];
const stack = await Stack.start(quick, undefined, source);
const count = (grp) => Number(stack.psql(`select count(*) from "Item" where grp = '${grp}'`));
const row = (name) => stack.rows(`select * from millrace.cron where name = '${name}'`)[0];

// --- when: minute by minute, as a clock on the wall would see it ---

const HOUR = 3600000, MINUTE = 60000;
function zoneOf(name) {
	const format = new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" });
	return (at) => {
		const [, sign, h = "0", m = "0"] = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(format.format(at));
		return (sign === "-" ? -1 : 1) * (Number(h) * HOUR + Number(m) * MINUTE);
	};
}
/** Pieces of time with one offset: [from, to, offset]. */
function pieces(zone, from, to) {
	const out = [];
	for (let at = from; at < to; ) {
		const offset = zone(at);
		let low = at, high = Math.min(at + 12 * HOUR, to);
		while (high < to && zone(high) === offset) [low, high] = [high, Math.min(high + 12 * HOUR, to)];
		while (high - low > MINUTE && zone(high) !== offset) {
			const middle = low + Math.floor((high - low) / 2 / MINUTE) * MINUTE;
			if (zone(middle) === offset) low = middle;
			else high = middle;
		}
		out.push([at, high, offset]);
		at = high;
	}
	return out;
}
function numbers(text, least, most) {
	const set = new Set();
	for (const item of text.split(",")) {
		const [range, step = "1"] = item.split("/");
		const [a, b] = range === "*" ? [least, most] : range.split("-").map(Number);
		for (let n = a; n <= (b ?? (item.includes("/") ? most : a)); n += Number(step)) set.add(n);
	}
	return set;
}
function matcher(pattern) {
	const [minute, hour, day, month, weekday] = pattern.split(" ");
	const sets = [numbers(minute, 0, 59), numbers(hour, 0, 23), numbers(day, 1, 31), numbers(month, 1, 12), numbers(weekday, 0, 6)];
	const both = day[0] === "*" || weekday[0] === "*";
	return (shown) => {
		const d = new Date(shown);
		if (!sets[0].has(d.getUTCMinutes()) || !sets[1].has(d.getUTCHours()) || !sets[3].has(d.getUTCMonth() + 1)) return false;
		const [a, b] = [sets[2].has(d.getUTCDate()), sets[4].has(d.getUTCDay())];
		return both ? a && b : a || b;
	};
}
/** The clock that matters shows what it never showed before: everything up to what it shows now has come. */
function expected(pattern, parts, from, to) {
	const is = matcher(pattern), anyHour = pattern.split(" ")[1][0] === "*", found = new Set();
	let seen = -Infinity;
	for (const [begin, end, offset] of parts)
		for (let at = begin; at < end; at += MINUTE) {
			const shown = at + offset;
			if (anyHour) {
				if (is(shown) && at > from && at <= to) found.add(at);
				continue;
			}
			for (let s = seen === -Infinity ? shown : seen + MINUTE; s <= shown; s += MINUTE) if (is(s) && at > from && at <= to) found.add(at);
			seen = Math.max(seen, shown);
		}
	return [...found];
}
const whenOf = (pattern, timeZone) => {
	const [minutes, hours, days, months, weekdays] = pattern.split(" ").map((text, i) => [...numbers(text, [0, 0, 1, 1, 0][i], [59, 23, 31, 12, 6][i])].sort((a, b) => a - b));
	const [, hour, day, , weekday] = pattern.split(" ");
	return { timeZone, minutes, hours, days, months, weekdays, anyHour: hour[0] === "*", anyDay: day[0] === "*" || weekday[0] === "*" };
};
/** Of each of [pattern, zone, from, to]; one statement. */
const found = (cases) => {
	const list = (pattern, zone, from, to) => `(with recursive o(t) as (select millrace.next_cron(w, '${new Date(from).toISOString()}') from (values ('${JSON.stringify(whenOf(pattern, zone))}'::jsonb)) x(w)
		union all select millrace.next_cron('${JSON.stringify(whenOf(pattern, zone))}', t) from o where t <= '${new Date(to).toISOString()}')
		select coalesce(json_agg((extract(epoch from t) * 1000)::bigint), '[]') from o where t <= '${new Date(to).toISOString()}')`;
	return JSON.parse(stack.psql(`select json_build_array(${cases.map((one) => list(...one)).join(",")})`));
};

const YEAR = [Date.UTC(2024, 1, 1), Date.UTC(2024, 10, 15)];
const ZONES = { UTC: YEAR, "Europe/Berlin": YEAR, "America/New_York": YEAR, "Australia/Lord_Howe": YEAR, "America/St_Johns": YEAR, "Asia/Kathmandu": YEAR, "Africa/Casablanca": YEAR, "America/Havana": YEAR, "Asia/Beirut": YEAR, "Antarctica/Troll": YEAR, "America/Nuuk": YEAR, "Pacific/Apia": [Date.UTC(2011, 8, 1), Date.UTC(2012, 3, 30)], "America/Toronto": [Date.UTC(2006, 2, 1), Date.UTC(2006, 11, 1)] };
const SPARSE = ["30 2 * * *", "0 0 * * *", "15,45 1-3 * * *", "0 12 31 * *", "0 0 29 2 *", "59 23 28-31 * *", "0 4 13 * 5", "0 9 */10 * 1", "30 0 1 1,7 *"];
const DENSE = ["*/15 * * * *", "7 * * * *", "30 */2 * * *", "*/20 1-2 * * *", "*/10 0,23 * * 0"];

for (const [name, [from, to]] of Object.entries(ZONES)) {
	test(`occurrences in ${name} are those of a clock that is watched`, () => {
		const parts = pieces(zoneOf(name), from - 72 * HOUR, to + 72 * HOUR);
		const cases = SPARSE.map((pattern) => [pattern, name, from, to, parts]);
		for (const [, change] of parts.slice(0, -1)) {
			const [a, b] = [change - 30 * HOUR, change + 30 * HOUR];
			const near = pieces(zoneOf(name), a - 48 * HOUR, b + MINUTE);
			for (const pattern of DENSE) cases.push([pattern, name, a, b, near]);
		}
		const got = found(cases);
		for (const [i, [pattern, , a, b, near]] of cases.entries()) assert.deepEqual(got[i], expected(pattern, near, a, b), `${pattern} from ${new Date(a).toISOString()}`);
	});
}

test("by hand: skipped, doubled, leap days of the next century", () => {
	const at = (pattern, zone, from, n) => stack.rows(`with recursive o(i, t) as (select 1, millrace.next_cron('${JSON.stringify(whenOf(pattern, zone))}', '${from}') union all select i + 1, millrace.next_cron('${JSON.stringify(whenOf(pattern, zone))}', t) from o where i < ${n}) select to_char(t at time zone '${zone}', 'YYYY-MM-DD HH24:MI') s, t from o`).map(({ s }) => s);
	assert.deepEqual(at("30 2 * * *", "Europe/Berlin", "2024-03-30T00:00:00Z", 3), ["2024-03-30 02:30", "2024-03-31 03:00", "2024-04-01 02:30"]);
	assert.deepEqual(at("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00Z", 2), ["2024-10-27 02:30", "2024-10-28 02:30"]);
	assert.deepEqual(at("30 * * * *", "Europe/Berlin", "2024-10-26T23:00:00Z", 4), ["2024-10-27 01:30", "2024-10-27 02:30", "2024-10-27 02:30", "2024-10-27 03:30"]);
	assert.deepEqual(at("0 0 29 2 *", "UTC", "2095-01-01T00:00:00Z", 2), ["2096-02-29 00:00", "2104-02-29 00:00"]);
	assert.deepEqual(at("0 0 31 * *", "UTC", "2024-01-01T00:00:00Z", 3), ["2024-01-31 00:00", "2024-03-31 00:00", "2024-05-31 00:00"]);
});

// --- what runs ---

test("declared crons wait for their time; an interval begins at once", async () => {
	await until("the first ticks", () => count("tick") > 1);
	assert.match(row("daily").next_at, /T17:30:00\+00:00$/);
	assert.equal(stack.psql(`select to_char(next_at at time zone 'Europe/Berlin', 'HH24:MI') in ('02:30', '03:00') from millrace.cron where name = 'berlin'`), "t");
	assert.equal(count("rare"), 1);
	assert.equal(count("daily"), 0);
	const { out } = millrace(["jobs", "crons", "--data-dir", stack.data]);
	assert.match(out, /^daily  next \S+T17:30:00Z  last never  ran 0  skipped 0  \[30 17 \* \* \* UTC\]  later\.put$/m);
	assert.match(out, /\[every 1 hours\]  later\.put/);
});

test("two servers on one database: each occurrence is one job, done once", async () => {
	const conninfo = readFileSync(join(stack.data, "run/database"), "utf8");
	const other = await Stack.start([...quick, "--database-url", conninfo], undefined, source);
	const before = row("tick");
	await sleep(4500);
	const after = row("tick");
	await other.server.stop();
	remove(other.home);
	const jobs = stack.rows(`select "runAt", state, attempt from millrace.job where cron = 'tick' and "runAt" > '${before.last_at}' and "runAt" <= '${after.last_at}' order by "runAt"`);
	assert.equal(jobs.length, after.ran - before.ran);
	assert.ok(jobs.length + after.skipped - before.skipped >= 4, `${jobs.length} in 4.5 s`);
	assert.equal(new Set(jobs.map((job) => job.runAt)).size, jobs.length);
	for (const [i, job] of jobs.entries()) if (i) assert.equal((Date.parse(job.runAt) - Date.parse(jobs[i - 1].runAt)) % 1000, 0);
	const done = await until("all of them done", () => stack.rows(`select count(*) filter (where state = 'success') done, count(*) filter (where state <> 'success') others from millrace.job where cron = 'tick' and "runAt" <= '${after.last_at}'`).find((r) => r.others === 0));
	assert.ok(done.done >= jobs.length);
	assert.equal(stack.psql(`select count(*) = (select count(*) from millrace.job where cron = 'tick' and state = 'success') from "Item" where grp = 'tick'`), "t");
});

test("one that takes longer than its interval is never there twice: the next is skipped, and counted", async () => {
	await until("some that were skipped", () => row("busy").skipped >= 2 && row("busy").ran >= 2);
	assert.equal(stack.psql(`select count(*) from millrace.job a join millrace.job b on a.cron = 'busy' and b.cron = 'busy' and a.id < b.id and a."startedAt" < coalesce(b."finishedAt", 'infinity') and b."startedAt" < coalesce(a."finishedAt", 'infinity')`), "0");
});

test("what nobody was there to run: the last one runs, those before it are counted", async () => {
	const before = row("rare");
	stack.psql(`update millrace.cron set next_at = now() - interval '5 hours 30 minutes' where name = 'rare'`);
	const after = await until("it to run", () => row("rare").ran > before.ran && row("rare"));
	assert.deepEqual([after.ran - before.ran, after.skipped - before.skipped], [1, 5]);
	assert.equal(stack.psql(`select round(extract(epoch from now() - last_at) / 1800), round(extract(epoch from next_at - now()) / 1800) from millrace.cron where name = 'rare'`), "1|1");
	const daily = row("daily");
	stack.psql(`update millrace.cron set next_at = next_at - interval '3 days' where name = 'daily'`);
	const ran = await until("it to run", () => row("daily").ran > daily.ran && row("daily"));
	assert.deepEqual([ran.ran, ran.skipped, ran.next_at], [1, 2, daily.next_at]);
	stack.psql(`update millrace.cron set spec = jsonb_set(spec, '{when}', '${JSON.stringify(whenOf("* * * * *", "UTC"))}'), next_at = now() - interval '90 days' where name = 'daily'`);
	const long = await until("it to run", () => row("daily").ran > ran.ran && row("daily"));
	assert.ok(long.skipped > 1000);
	assert.equal(stack.psql(`select now() - last_at < interval '2 minutes' and next_at > last_at from millrace.cron where name = 'daily'`), "t");
});

test("new code: what is the same keeps its time, what is gone is gone, what is new begins", async () => {
	const kept = row("berlin").next_at;
	writeFileSync(join(stack.app, "functions/crons.ts"), CRONS.replace(/crons.interval\("(tick|busy)".*\n/g, "").replace('"daily", { hourUTC: 17', '"daily", { hourUTC: 18').replace("{ attempts: 2 }", "{ attempts: 3 }"));
	await until("the new times", () => row("daily").next_at.includes("T18:30"));
	assert.deepEqual([row("berlin").next_at, row("berlin").spec.retry.attempts, row("tick")], [kept, 3, undefined]);
	const ticks = count("tick");
	await sleep(1500);
	assert.ok(count("tick") <= ticks + 1);
	const { status, err } = millrace(["migrate", "--app-dir", stack.app, "--data-dir", stack.data]);
	assert.deepEqual([status, /Nothing to do/.test(err)], [0, true], err);
});

test("a time zone that Postgres does not know is refused with a sentence; so is a wrong pattern", () => {
	const path = join(stack.app, "functions/crons.ts");
	writeFileSync(path, CRONS.replace("Europe/Berlin", "Mars/Phobos"));
	const far = millrace(["migrate", "--apply", "--app-dir", stack.app, "--data-dir", stack.data]);
	assert.match(far.err, /cron "berlin": Postgres knows no time zone "Mars\/Phobos"/);
	writeFileSync(path, CRONS.replace("30 2 * * *", "30 25 * * *"));
	const wrong = millrace(["build", "--app-dir", stack.app, "--data-dir", stack.data]);
	assert.match(wrong.err, /cron "berlin": "25" is no hour/);
});

test("a clean end", () => stack.stop());
await run();
