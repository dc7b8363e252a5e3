// tests/consistency: random writers against random clients. Every state that every client shows at every transition is compared with what Postgres
// holds at that transition's snapshot, and at the end every query of every client must show what Postgres holds now.
//   --seconds N  --clients N  --seed N    how long, how many, which (60, 80, of the clock)
//   --faults all|none|NAME,...            what goes wrong meanwhile: names, or parts of names   --every MS   how often
//   --threads N  --libexec DIR            threads of the fanout (drawn), where its programs are (the build)
//   --first                               ends at the first difference
//   --history FILE                        where the shortest history that differs is kept       --keep       keeps all
//   --self-test drop|text|lost|stuck      makes one thing wrong that must be found
// Exit status: 0 none differs, 1 differences, 2 the check itself could not run. docs/consistency.md tells more.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { endAll, remove, ROOT, temporary } from "../lib/cli.mjs";
import { Audit, AUDIT_SQL } from "./audit.mjs";
import { Checker } from "./checker.mjs";
import { Client } from "./client.mjs";
import { chosen, continueStopped, inject } from "./faults.mjs";
import { seeded } from "./random.mjs";
import { SdkClient } from "./sdk.mjs";
import { Stack } from "./stack.mjs";
import { entityWriter, outsider, sweeper } from "./writers.mjs";

const TICK_MS = 25; // each client acts as often
const OPEN_CALLS_SECONDS = 60;
const SETTLED_SECONDS = 60; // a sanitized build on a busy machine; an idle one needs a fraction of one
const HANGS_SECONDS = OPEN_CALLS_SECONDS + SETTLED_SECONDS + 50; // after the time that was asked for: something waits for ever
const OUTSIDERS = 4;
const POINT_EVERY_MS = 800;
const OTHER_EVERY_MS = 2000;

function option(name, fallback) {
	const at = process.argv.indexOf(`--${name}`);
	if (at < 0) return fallback;
	const value = process.argv[at + 1];
	return typeof fallback === "number" ? Number(value) : value;
}
const flag = (name) => process.argv.includes(`--${name}`);
const say = (text) => process.env.MR_VERBOSE && console.error(`${new Date().toISOString()} ${text}`);
let step = "the start";
const begin = (text) => say((step = text));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function within(seconds, test) {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		const value = await test();
		if (value || Date.now() > end) return value;
		await sleep(100);
	}
}

/* A mount namespace of our own, so that the disk that we fill goes with us whatever happens. */
if (!process.env.MR_OWN_MOUNTS) {
	const able = process.getuid() === 0 && spawnSync("unshare", ["--mount", "true"]).status === 0;
	const self = [process.execPath, ...process.argv.slice(1)];
	const [command, ...args] = able ? ["unshare", "--mount", ...self] : self;
	process.exit(spawnSync(command, args, { stdio: "inherit", env: { ...process.env, MR_OWN_MOUNTS: able ? "1" : "0" } }).status ?? 2);
}

const seconds = option("seconds", 60);
const clients = option("clients", 80);
const seed = option("seed", Date.now() % 1000000);
const selfTest = option("self-test", "");
const asked = option("faults", "none");
const kept = option("history", join(ROOT, "build", `history-${seed}.json`));
const random = seeded(seed);

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

/** Two at a time: one at the steps of a call's life, one of all others. */
function injectAll(stack, crowd, going, done) {
	const at = () => ({ doing: begin, stack, crowd, random: seeded(random.below(1 << 30)), psql: stack.psql() });
	const faults = [...chosen(stack.faults.points, asked)];
	const some = (isPoint) => new Map(faults.filter(([name]) => name.includes(" at ") === isPoint));
	const every = option("every", 0);
	const kinds = [[some(true), every || POINT_EVERY_MS], [some(false), every || OTHER_EVERY_MS]].filter(([kind]) => kind.size);
	return Promise.all(kinds.map(([kind, every]) => inject(at(), kind, every, going, done)));
}

async function check(dir) {
	const [threads, libexec] = [option("threads", ""), option("libexec", "")];
	const stack = new Stack(dir, seeded(seed + 3000), { fixed: threads ? { "fanout-threads": threads } : {}, env: libexec ? { MILLRACE_LIBEXEC: libexec } : {} });
	await stack.start();
	stack.sql(AUDIT_SQL);
	const reader = stack.psql();
	const checker = new Checker(new Audit(reader));
	const crowd = Array.from({ length: clients }, (_, i) => new (i % 10 === 9 ? SdkClient : Client)(i, stack.url, seeded(seed + i + 1), checker));
	spoil(checker, crowd);
	setTimeout(() => tellHang(stack, crowd), (seconds + HANGS_SECONDS) * 1000).unref();
	const running = crowd.map((client) => client.run());
	const faults = new Map();
	const state = { acting: true, writing: true, judging: true };
	const every = async (ms, name, act) => {
		while (state[name]) {
			await sleep(ms);
			await act();
		}
	};
	const began = Date.now();
	const outside = Promise.all(Array.from({ length: OUTSIDERS }, (_, i) => outsider(i, stack.psql(), seeded(seed + 1000 + i), () => state.writing)));
	const entities = entityWriter(stack.url, seeded(seed + 2000), () => state.writing, (what) => (stack.entityWrite = what));
	const works = [outside, entities, sweeper(stack.psql(), () => state.writing), every(1000, "judging", () => checker.judge())];
	works.push(every(30000, "judging", () => say(`so far: ${checker.acked.size} calls, ${checker.transitions} transitions, ${checker.faults.length} differences`)));
	works.push(every(TICK_MS, "acting", () => crowd.forEach((client) => client.act(client.number % 5 === 0))));
	const faulty = injectAll(stack, crowd, () => state.acting, faults);
	works.push(continueStopped(stack, seeded(seed + 4000), () => state.judging));
	works.push(faulty, stack.kept.then(() => new Promise(() => undefined)));
	const failure = Promise.all(works).then(() => new Promise(() => undefined));
	const enough = () => flag("first") && checker.faults.length > 0;
	const first = flag("first") ? within(seconds, enough) : new Promise(() => undefined);
	await Promise.race([sleep(seconds * 1000), failure, first]);

	/* Nobody asks or writes any more: every call comes to its end, then every client to what Postgres holds. */
	begin("the end: waits for faults");
	state.acting = false;
	await faulty;
	stack.faults.disarm();
	begin("waits for calls");
	await within(OPEN_CALLS_SECONDS, () => enough() || crowd.every((client) => client.calls.size === 0));
	begin("waits for writers");
	state.writing = false;
	const written = [(await outside).reduce((a, b) => a + b, 0), await entities];
	let stuck = [];
	begin("waits for clients");
	await within(SETTLED_SECONDS, async () => enough() || (stuck = await checker.behindNow(crowd)).length === 0);
	for (const { client, held, want, state: is } of stuck.slice(0, 10))
		checker.fault(`client ${client}, query ${JSON.stringify(held.query.ask)}, ${SETTLED_SECONDS} s after the last write\n  Postgres: ${want}\n  client:   ${is}\n` +
			held.events.slice(-8).map((e) => `    ${JSON.stringify(e).slice(0, 1500)}`).join("\n"), client);
	state.judging = false;
	for (const client of crowd) client.stop();
	await Promise.all(running);
	if (selfTest === "text") [...checker.seen.values()].find((s) => s.views.length).views[0].text += " corrupted";
	begin("judges the end");
	await checker.judge(true);
	if (stuck.length) console.log(`processes: ${stack.states().join("; ")}\n${stack.output.slice(-3000)}`);
	const open = crowd.reduce((n, client) => n + client.calls.size, 0);
	const told = crowd.flatMap((client) => [...client.calls].map(([id, call]) => ({ client: client.number, id, ...call, now: client.about?.() })));
	if (open && !enough()) checker.fault(`${open} calls had no answer ${OPEN_CALLS_SECONDS} s after the last one was asked: ${JSON.stringify(told.slice(0, 5))}`);
	reader.close();
	report(checker, stack, { took: Date.now() - began, faults, open, written });
	if (checker.faults.length) writeFileSync(join(dir, "server.log"), stack.output);
	if (checker.history && kept) {
		writeFileSync(kept, JSON.stringify({ seed, ...checker.history }, null, "\t"));
		console.log(`the shortest history that differs is in ${kept}: node tests/checker/replay.mjs ${kept}`);
	}
	begin("stops the server");
	await stack.stop();
	return checker;
}

/** Who waits for whom in Postgres, and what every process does. */
const ACTIVITY = `select pid, pg_blocking_pids(pid), state, wait_event, now() - xact_start, left(query, 200) from pg_stat_activity
	where backend_type = 'client backend' and (state <> 'idle' or xact_start is not null); select gid, now() - prepared from pg_prepared_xacts;`;
async function answersNow(stack) {
	const ask = () => fetch(new URL("/healthz", stack.url), { headers: { connection: "close" }, signal: AbortSignal.timeout(2000) }).then(() => true, () => false);
	return (await Promise.all(Array.from({ length: 10 }, ask))).filter((ok) => ok).length;
}
async function tellHang(stack, crowd) {
	console.log(`${new Date().toISOString()} the check did not end; its last step: ${step}, ${stack.lives} lives of the supervisor`);
	console.log(`calls without an answer: ${crowd.map((client) => client.calls.size).filter((n) => n).join(" ") || "none"}`);
	console.log(`processes: ${stack.states().join("; ")}`);
	console.log(`Postgres: ${await Promise.race([stack.psql().run(ACTIVITY), sleep(5000).then(() => "does not answer")])}`);
	for (const psql of stack.psqls) if (psql.about()) console.log(psql.about());
	console.log(`the last entity write: ${stack.entityWrite}; of ten requests ${await answersNow(stack)} are answered`);
	const sockets = spawnSync("ss", ["-tnap"], { encoding: "utf8" }).stdout ?? "";
	console.log(sockets.split("\n").filter((line) => line.includes(`:${stack.port} `)).slice(0, 60).join("\n"));
	console.log(stack.output.slice(-3000));
	stack.stopping = true; // else it is started again
	await endAll();
	process.exit(2);
}

const list = (counts) => [...counts].map(([name, n]) => `${name} ${n}`).join(", ") || "none";

function report(checker, stack, { took, faults, open, written }) {
	const points = stack.faults.counts();
	console.log(`seed ${seed}, ${clients} clients, ${(took / 1000).toFixed(0)} s, ${stack.lives} lives of the supervisor, ${stack.smallRings} with the smallest ring`);
	console.log(`faults: ${list(faults)}`);
	if (asked !== "none") console.log(`at fault points: ${list(points.map(({ name, done }) => [name, done]))}`);
	console.log(`transactions: ${checker.acked.size} of ${checker.asked.size} calls acknowledged (${checker.ahead} ahead of a transition, ${open} open), ${written[0]} by psql, ${written[1]} entity writes`);
	console.log(`checked: ${checker.transitions} transitions, ${checker.states} states at ${checker.snapshots} snapshots (${checker.failed} that said an error)`);
	console.log(`refusals: ${list(checker.refusals)}`);
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
Stack.unmount(dir);
if (flag("keep")) console.log(`kept in ${dir}`);
else remove(dir);
process.exit(status);
