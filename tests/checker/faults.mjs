// What goes wrong while the check runs, by name: each does its work at `at` (the stack, its clients, a psql, a generator) and gives true when it was done.
import { spawnSync } from "node:child_process";
import { appendFileSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const DAY_MS = 86400000;
const STORM_CALLS = 60;

function signal(pid, name) {
	try {
		process.kill(pid, name);
		return true;
	} catch {
		return false; // it ended meanwhile
	}
}
async function during(at, least, most) {
	await sleep(least + at.random.below(most - least));
}

const pick = (at, name) => at.random.pick(at.stack.pids(name));
const kill = (name) => async (at) => {
	const pid = pick(at, name);
	return pid !== undefined && signal(pid, "SIGKILL");
};
async function hold(at, pid) {
	if (pid === undefined || !signal(pid, "SIGSTOP")) return false;
	await during(at, 200, 1500);
	return signal(pid, "SIGCONT");
}
const pause = (name) => (at) => hold(at, pick(at, name));

/** A process that stopped at a point goes on after a while. */
const point = (name, action) => async (at) => {
	at.stack.faults.arm(name, action);
	for (let waited = 0; waited < 1500 && at.stack.faults.isArmed(name); waited += 20) await sleep(20);
	return undefined; // counted by the point itself
};

/** Any backend; asked several times, for the connection that asks may have gone with the fault before. */
async function backend(at) {
	for (let tries = 0; tries < 10; tries++) {
		const text = await at.psql.run("select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() order by random() limit 1;");
		if (/^\d+\n$/.test(text)) return Number(text);
		await sleep(100);
	}
	return undefined;
}
const toBackend = (act) => async (at) => {
	const pid = await backend(at);
	return pid !== undefined && act(at, pid);
};
async function setting(at, name, value) {
	await at.psql.run(`set statement_timeout = 0;\nalter system ${value === undefined ? `reset ${name}` : `set ${name} = '${value}'`};\nselect pg_reload_conf();`);
}

function fillDisk(at) {
	const path = join(at.stack.diskPath, "ballast");
	const { bavail, bsize } = statfsSync(at.stack.diskPath);
	spawnSync("fallocate", ["-l", String(bavail * bsize), path]);
	try {
		writeFileSync(`${path}.rest`, Buffer.alloc(1 << 20)); // what is left of the last blocks
	} catch {
		// full, as it should be
	}
}
function emptyDisk(at) {
	for (const name of ["ballast", "ballast.rest"]) rmSync(join(at.stack.diskPath, name), { force: true });
}

/** No more descriptors than are open now. */
async function starve(at, name) {
	const pid = pick(at, name);
	if (pid === undefined) return false;
	let open;
	try {
		open = readdirSync(`/proc/${pid}/fd`).length;
	} catch {
		return false;
	}
	const limit = (n) => spawnSync("prlimit", ["--pid", String(pid), `--nofile=${n}:20000`]).status === 0;
	if (!limit(open)) return false;
	await during(at, 500, 2000);
	limit(20000);
	return true;
}

/** A call belongs to whom it was asked by, so who calls stays who he is. */
const calls = (client) => !client.become || client.number % 5 === 0;

const others = {
	"kill worker": kill("worker"),
	"kill fanout": kill("fanout"),
	"kill supervisor": kill("supervisor"),
	"stop worker": pause("worker"),
	"stop fanout": pause("fanout"),
	"stop supervisor": pause("supervisor"),
	"end connections": async (at) => {
		await at.psql.run("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and random() < 0.5;");
		return true;
	},
	"kill backend": toBackend((at, pid) => signal(pid, "SIGKILL")), // Postgres ends all others and recovers
	"stop backend": toBackend(hold),
	"restart postgres": async (at) => {
		const pid = at.stack.postmaster();
		return pid > 1 && signal(pid, "SIGQUIT"); // as pg_ctl stop -m immediate; the supervisor starts it again
	},
	"long transaction": async (at) => {
		await at.psql.run(`begin; insert into "Item" (grp, n) values ('a', 1); select pg_sleep(${1 + at.random.next() * 2}); commit;`);
		return true;
	},
	"statement timeout": async (at) => {
		await setting(at, "statement_timeout", `${5 + at.random.below(20)}ms`);
		await during(at, 500, 1500);
		await setting(at, "statement_timeout");
		return true;
	},
	"serialization storm": async (at) => {
		for (let i = 0; i < STORM_CALLS; i++) at.random.pick(at.crowd.filter(calls)).write("items.hot");
		await sleep(500);
		return true;
	},
	"disk full": async (at) => {
		if (!at.stack.disk) return false;
		fillDisk(at);
		await during(at, 500, 1500);
		emptyDisk(at);
		return true;
	},
	"clock back": async (at) => {
		at.stack.faults.shiftClock(-at.random.below(1.5 * DAY_MS));
		await during(at, 500, 2000);
		at.stack.faults.shiftClock(0);
		return true;
	},
	"short turns": async (at) => {
		at.stack.faults.limitTurns(1 + at.random.below(5));
		await during(at, 1000, 4000);
		at.stack.faults.limitTurns(0);
		return true;
	},
	"large ticks": async (at) => {
		at.stack.faults.setLarge(1 + at.random.below(4));
		await during(at, 1000, 4000);
		at.stack.faults.setLarge(0);
		return true;
	},
	"no descriptors for fanout": (at) => starve(at, "fanout"),
	"no descriptors for worker": (at) => starve(at, "worker"),
	"other identity": async (at) => {
		const some = at.crowd.filter((client) => !calls(client) && at.random.below(2) === 0);
		for (const client of some) client.become(at.stack.token(`user ${at.random.below(3)}`));
		return some.length > 0;
	},
	"new code": async (at) => {
		appendFileSync(join(at.stack.app, "functions", "items.ts"), "// again\n");
		await during(at, 200, 2000);
		return true;
	},
	"slow readers": async (at) => {
		const some = at.crowd.filter(() => at.random.below(4) === 0);
		for (const client of some) client.pause(true);
		await during(at, 500, 3000);
		for (const client of some) client.pause(false);
		return true;
	},
};

/** name -> act, of those asked for: "all", "none", or names and parts of names with commas between. */
export function chosen(points, asked) {
	const all = new Map(Object.entries(others));
	for (const { name, cut } of points)
		for (const action of ["kill", "stop", ...(cut ? ["cut"] : [])]) all.set(`${action} at ${name}`, point(name, action));
	if (asked === "all") return all;
	const parts = asked === "none" ? [] : asked.split(",");
	return new Map([...all].filter(([name]) => parts.some((part) => name.includes(part))));
}

/** Lets go on what stopped itself at a point. */
export async function continueStopped(stack, random, going) {
	const since = new Map(); // pid -> when it is to go on
	while (going()) {
		for (const { name } of stack.faults.points) {
			const pid = stack.faults.takeStopped(name);
			if (pid) since.set(pid, Date.now() + 200 + random.below(1000));
		}
		for (const [pid, when] of since) {
			if (Date.now() < when) continue;
			signal(pid, "SIGCONT");
			since.delete(pid);
		}
		await sleep(50);
	}
}

/** All of `faults` in turn, shuffled anew each round, until `going()` is false; counts each in `done`. */
export async function inject(at, faults, every, going, done) {
	for (let round = []; going(); ) {
		if (!round.length) round = [...faults.keys()].map((name) => [at.random.next(), name]).sort().map(([, name]) => name);
		await sleep(every / 2 + at.random.below(every));
		if (!going()) break;
		const name = round.shift();
		at.doing?.(name);
		if (await faults.get(name)(at)) done.set(name, (done.get(name) ?? 0) + 1);
	}
	at.psql.close();
}
