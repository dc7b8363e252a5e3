// What goes wrong while the check runs: one of these every two seconds or so, in an order that the seed decides.
import { descendants } from "../lib/cli.mjs";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function victim(server, random, name) {
	const found = descendants(server.pid).filter((p) => p.command.includes(`/${name} `));
	return found.length ? random.pick(found).pid : undefined; // none: the last one died a moment ago
}
function signal(pid, name) {
	try {
		process.kill(pid, name);
	} catch {
		// it ended meanwhile
	}
}
const kill = (name) => async (at) => {
	const pid = victim(at.server, at.random, name);
	if (pid !== undefined) signal(pid, "SIGKILL");
};
const pause = (name) => async (at) => {
	const pid = name === "supervisor" ? at.server.pid : victim(at.server, at.random, name);
	if (pid === undefined) return;
	signal(pid, "SIGSTOP");
	await sleep(200 + at.random.below(1300));
	signal(pid, "SIGCONT");
};
const terminate = async (at) => {
	await at.psql.run("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and application_name not like 'psql%' and random() < 0.5;");
};
const hold = async (at) => {
	await at.psql.run(`begin; insert into "Item" (grp, n) values ('a', 1); select pg_sleep(${1 + at.random.next() * 2}); commit;`);
};

export const FAULTS = {
	"kill worker": kill("millrace-worker"),
	"kill fanout": kill("millrace-fanout"),
	"stop worker": pause("millrace-worker"),
	"stop fanout": pause("millrace-fanout"),
	"stop supervisor": pause("supervisor"),
	"end connections": terminate,
	"long transaction": hold,
};

/** All of them in turn, shuffled anew each round, until `going()` is false; counts each in `done`. */
export async function inject(at, going, done) {
	for (let round = []; going(); ) {
		if (!round.length) round = Object.keys(FAULTS).map((name) => [at.random.next(), name]).sort().map(([, name]) => name);
		await sleep(1000 + at.random.below(1500));
		if (!going()) break;
		const name = round.shift();
		await FAULTS[name](at);
		done.set(name, (done.get(name) ?? 0) + 1);
	}
	at.psql.close();
}
