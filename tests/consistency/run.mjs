// tests/consistency/run.mjs [--seconds N] [--clients N] [--seed N] [--faults] [--self-test drop|text|lost|stuck] [--keep]
// Random writers against random clients; every state that every client shows at every transition is compared with what Postgres holds at that
// transition's snapshot, and at the end every query of every client must show what Postgres holds now. Exit status: 0 none differs, 1 differences,
// 2 the check itself could not run. A self-test makes one thing wrong that must be found.
import { cpSync } from "node:fs";
import { join } from "node:path";
import { descendants, endAll, freePort, millrace, MILLRACE, remove, ROOT, serve, temporary } from "../lib/cli.mjs";
import { Audit, AUDIT_SQL, Psql } from "./audit.mjs";
import { Checker } from "./checker.mjs";
import { Client } from "./client.mjs";
import { seeded } from "./random.mjs";
import { outsider, sweeper } from "./writers.mjs";

const TICK_MS = 25; // each client acts as often
const OPEN_CALLS_SECONDS = 30;
const SETTLED_SECONDS = 30; // a sanitized build on a busy machine; an idle one needs a fraction of one
const OUTSIDERS = 2;

function option(name, fallback) {
	const at = process.argv.indexOf(`--${name}`);
	if (at < 0) return fallback;
	const value = process.argv[at + 1];
	return typeof fallback === "number" ? Number(value) : value;
}
const flag = (name) => process.argv.includes(`--${name}`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function within(seconds, test) {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		const value = await test();
		if (value || Date.now() > end) return value;
		await sleep(100);
	}
}

const seconds = option("seconds", 60);
const clients = option("clients", 50);
const seed = option("seed", Date.now() % 1000000);
const selfTest = option("self-test", "");
const random = seeded(seed);

async function started(dir) {
	const app = join(dir, "app");
	const data = join(dir, "data");
	cpSync(join(ROOT, "tests/consistency/app"), app, { recursive: true });
	const server = await serve(["dev", "--app-dir", app, "--data-dir", data, "--port", String(await freePort()), "--workers", "2"]);
	await server.ready();
	const set = millrace(["psql", "--data-dir", data, "--", "-qX", "-v", "ON_ERROR_STOP=1", "-c", AUDIT_SQL]);
	if (set.status !== 0) throw new Error(set.err);
	return { server, psql: () => new Psql(MILLRACE, ["psql", "--data-dir", data, "--", "-qAtX", "-v", "ON_ERROR_STOP=0"]) };
}

async function killer(server, killed) {
	const kill = async (name, after) => {
		await sleep(after);
		const victims = descendants(server.pid).filter((p) => p.command.includes(`/${name} `));
		if (!victims.length) throw new Error(`no ${name} to kill`);
		process.kill(random.pick(victims).pid, "SIGKILL");
		killed.push(name);
	};
	const kills = [];
	for (let i = 1; i * 10 <= seconds; i++) kills.push(kill("millrace-worker", i * 10000 - 6000), kill("millrace-fanout", i * 10000 - 2500));
	await Promise.all(kills);
}

/** Makes one thing wrong. */
function spoil(checker, crowd) {
	let left = 1;
	const once = () => left-- > 0;
	if (selfTest === "drop") for (const client of crowd) client.drops = (body) => body.put && once();
	if (selfTest === "lost") {
		checker.asked.add("c0-lost");
		checker.acknowledged("c0-lost", undefined, 0);
	}
	if (selfTest === "stuck") crowd[0].transition = () => undefined;
}

async function check(dir) {
	const { server, psql } = await started(dir);
	const reader = psql();
	const checker = new Checker(new Audit(reader));
	const crowd = Array.from({ length: clients }, (_, i) => new Client(i, server.url, seeded(seed + i + 1), checker));
	spoil(checker, crowd);
	const running = crowd.map((client) => client.run());
	const killed = [];
	const state = { acting: true, writing: true, judging: true };
	const every = async (ms, name, act) => {
		while (state[name]) {
			await sleep(ms);
			await act();
		}
	};
	const began = Date.now();
	const outside = Promise.all(Array.from({ length: OUTSIDERS }, (_, i) => outsider(psql(), seeded(seed + 1000 + i), () => state.writing)));
	const works = [outside, sweeper(psql(), () => state.writing), every(1000, "judging", () => checker.judge())];
	works.push(every(TICK_MS, "acting", () => crowd.forEach((client) => client.act(client.number % 5 === 0))));
	if (flag("faults")) works.push(killer(server, killed));
	const failure = Promise.all(works).then(() => new Promise(() => undefined));
	await Promise.race([sleep(seconds * 1000), failure]);

	/* Nobody asks or writes any more: every call comes to its end, then every client to what Postgres holds. */
	state.acting = false;
	await within(OPEN_CALLS_SECONDS, () => crowd.every((client) => client.calls.size === 0));
	state.writing = false;
	const written = (await outside).reduce((a, b) => a + b, 0);
	let stuck = [];
	await within(SETTLED_SECONDS, async () => (stuck = await checker.behindNow(crowd)).length === 0);
	for (const { client, held, want, state: is } of stuck.slice(0, 10))
		checker.fault(`client ${client}, query ${JSON.stringify(held.query.ask)}, ${SETTLED_SECONDS} s after the last write\n  Postgres: ${want}\n  client:   ${is}\n` +
			held.events.slice(-8).map((e) => `    ${JSON.stringify(e).slice(0, 1500)}`).join("\n"), client);
	state.judging = false;
	await Promise.all(works);
	for (const client of crowd) client.stop();
	await Promise.all(running);
	if (selfTest === "text") [...checker.seen.values()].find((s) => s.views.length).views[0].text += " corrupted";
	await checker.judge(true);
	const ahead = checker.judgeCalls();
	const open = crowd.reduce((n, client) => n + client.calls.size, 0);
	if (open) checker.fault(`${open} calls had no answer ${OPEN_CALLS_SECONDS} s after the last one was asked`);
	reader.close();
	report(checker, { took: Date.now() - began, killed, ahead, open, written });
	return checker;
}

function report(checker, { took, killed, ahead, open, written }) {
	console.log(`seed ${seed}, ${clients} clients, ${(took / 1000).toFixed(0)} s, killed: ${killed.join(" ") || "nobody"}`);
	console.log(`transactions: ${checker.acked.size} of ${checker.asked.size} calls acknowledged (${ahead} ahead of a transition, ${open} open), ${written} from outside`);
	console.log(`checked: ${checker.transitions} transitions, ${checker.states} states at ${checker.snapshots} snapshots (${checker.failed} that said an error)`);
	console.log(`refusals: ${[...checker.refusals].map(([code, n]) => `${code} ${n}`).join(", ") || "none"}`);
	for (const fault of checker.told()) console.log(`DIFFERENCE ${fault}`);
	console.log(`${checker.faults.length} differences`);
}

const dir = temporary("consistency");
let status = 2;
try {
	const checker = await check(dir);
	if (checker.snapshots === 0) console.log("nothing was checked");
	else status = checker.faults.length ? 1 : 0;
} catch (e) {
	console.log(`the check could not run: ${e.stack}`);
}
await endAll();
if (!flag("keep")) remove(dir);
process.exit(status);
