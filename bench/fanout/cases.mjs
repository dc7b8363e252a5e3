// The cases: what is done, with what it is compared, and the table that is printed of it.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BUILD } from "../../tests/lib/cli.mjs";
import { head, of, row, sleep } from "../lib.mjs";
import { peers } from "./peers.mjs";
import { add, bare, clients, cpuDuring, Floor, LONG, memory, Server, startBeside } from "./rig.mjs";

/** Readers look so often (us) where CPU is counted: who is woken on the same machine costs the writer, and remote readers are not. */
const PACE = 200;
/** No more writes are begun after so long, where many are. */
const SECONDS = 4;
/** With one write under way a round is so many short pairs: a machine that others use as well changes its speed within seconds. */
const PAIRS = 6;

let runs = 0;
/** A channel that nobody has used, so that its live queries begin empty. */
const room = () => `room-${String(++runs).padStart(6, "0")}`;

/** Millrace's clients and writers, for the time of `what`. */
async function withMillrace(rig, { n, channels, writers, ...more }, what) {
	const { load, server } = rig;
	const { opened } = await load.tell("open", { ...clients(server, n, channels, more), patience: 120 });
	await load.tell("writers", { via: "http", port: server.port, n: writers });
	const result = await what(opened[1] - opened[0]);
	await load.tell("unwriters");
	await load.tell("close");
	return result;
}

/** A floor with as many clients, warm. */
async function withFloor(rig, n, what, framing = "ws") {
	const { load } = rig;
	const floor = await Floor.start();
	await load.tell("control", { port: floor.port });
	await load.tell("open", bare(floor, n, framing));
	await load.tell("warm", { n: 30 });
	const result = await what(floor);
	await load.tell("close");
	await load.tell("uncontrol");
	await floor.stop();
	return result;
}

const each = (r) => r.cpu / r.deliveries;

/** Writes with so many under way; then the floor with what client 0 was told, and with what was committed when. */
async function deliveryPair(rig, { n, underWay, count }) {
	const { load, server } = rig;
	const channel = room();
	await load.tell("pace", { us: PACE });
	const write = (k, count) => load.tell("write", { text: add(channel), underWay: k, count, seconds: SECONDS, expect: n, patience: 120 });
	const pair = {};
	const unwatched = add(room());
	pair.call = await withMillrace(rig, { n: 1, channels: [room()], writers: 1 }, () =>
		cpuDuring(server.pid, () => load.tell("write", { text: unwatched, underWay: 1, count: 100, expect: 0 })),
	);
	pair.ours = await withMillrace(rig, { n, channels: [channel], writers: underWay }, async () => {
		await write(1, 30); // and a frame of one row is recorded
		if (underWay > 1) await write(underWay, underWay * 4);
		return cpuDuring(server.pid, () => write(underWay, count));
	});
	await withFloor(rig, n, async (floor) => {
		if (underWay > 1) pair.pending = await cpuDuring(floor.pid, () => load.tell("replay", { patience: 120 }));
		pair.frames = await cpuDuring(floor.pid, () => load.tell("replay", { frames: 1, patience: 120 }));
	});
	await load.tell("pace", { us: 0 });
	return pair;
}

/** The same by a peer: a message as long as the row, to as many subscribers; then the floor with the same bytes. */
async function peerPair(rig, { peer, n, underWay, count }) {
	const { load, home } = rig;
	const p = await peer.start(home);
	await load.tell("pace", { us: PACE });
	const asks = peer.subscribers(p);
	await load.tell("open", { ...asks, port: p.port, n });
	await load.tell("writers", { ...peer.publisher(p), port: p.port, n: underWay });
	await sleep(300);
	const write = (k, count) => load.tell("write", { text: peer.publish(p), underWay: k, count, seconds: SECONDS, expect: n, patience: 120 });
	await write(1, 30);
	if (underWay > 1) await write(underWay, underWay * 4);
	const pair = { ours: await cpuDuring(p.pid, () => write(underWay, count)) };
	await load.tell("unwriters");
	await load.tell("close");
	await p.stop();
	await withFloor(rig, n, async (floor) => {
		if (underWay > 1) pair.pending = await cpuDuring(floor.pid, () => load.tell("replay", { patience: 120 }));
		pair.frames = await cpuDuring(floor.pid, () => load.tell("replay", { frames: 1, patience: 120 }));
	}, asks.framing);
	await load.tell("pace", { us: 0 });
	return pair;
}

async function delivery(rig, depths) {
	const n = 1000;
	head(
		`CPU us for each row that one of ${n} clients of one live query is told`,
		...["", "writes under way", "server", "floor: all that is pending at once", "ratio", "floor: the same frames", "ratio", "rows a frame", "bytes a frame", "writes/s", "a write that nobody watches"],
	);
	for (const [underWay, count] of depths) {
		await deliveryRow(rig, "Millrace", underWay, () => deliveryPair(rig, { n, underWay, count }));
		if (!rig.peers || underWay > 16) continue;
		for (const peer of peers) await deliveryRow(rig, peer.name, underWay, () => peerPair(rig, { peer, n, underWay, count }));
	}
}

async function deliveryRow(rig, name, underWay, measure) {
	const pairs = [];
	for (let i = 0; i < rig.rounds * (underWay === 1 ? PAIRS : 1); i++) pairs.push(await measure());
	const beside = (which) => [of(pairs, (p) => each(p[which])).toFixed(2), of(pairs, (p) => each(p.ours) / each(p[which])).toFixed(2)];
	const last = pairs.at(-1).ours;
	row(
		...[name, underWay, of(pairs, (p) => each(p.ours)).toFixed(2), ...(underWay > 1 ? beside("pending") : ["", ""]), ...beside("frames")],
		...[(last.writes / last.frames).toFixed(1), (last.frameBytes / last.frames).toFixed(0), of(pairs, (p) => p.ours.writes / p.ours.seconds).toFixed(0)],
		pairs[0].call ? of(pairs, (p) => p.call.cpu / p.call.writes).toFixed(0) : "",
	);
}

// ---- rows compressed ----

async function deflate(rig) {
	const { load, server } = rig;
	const n = 1000, count = rig.quick ? 100 : 300;
	head(`CPU us for each row of 1 KiB (JSON) that one of ${n} clients is told, one write under way`, "plain", "compressed", "ratio", "bytes a frame, plain", "compressed");
	await load.tell("pace", { us: PACE });
	const one = (deflate) => {
		const channel = room();
		const write = (count) => load.tell("write", { text: add(channel, LONG), underWay: 1, count, expect: n, patience: 120 });
		return withMillrace(rig, { n, channels: [channel], writers: 1, deflate }, async () => {
			const answered = Buffer.from((await load.tell("words")).upgrade, "hex").toString();
			if (deflate && !/permessage-deflate/i.test(answered)) return undefined;
			await write(30);
			return cpuDuring(server.pid, () => write(count));
		});
	};
	const pairs = [];
	for (let i = 0; i < rig.rounds; i++) {
		const pair = { plain: await one(false), deflated: await one(true) };
		if (!pair.deflated) {
			console.log("\nThe server does not speak permessage-deflate: nothing is compressed.");
			break;
		}
		pairs.push(pair);
	}
	await load.tell("pace", { us: 0 });
	if (!pairs.length) return;
	const bytes = (r) => (r.frameBytes / r.frames).toFixed(0);
	const last = pairs.at(-1);
	row(of(pairs, (p) => each(p.plain)).toFixed(2), of(pairs, (p) => each(p.deflated)).toFixed(2), of(pairs, (p) => each(p.deflated) / each(p.plain)).toFixed(2), bytes(last.plain), bytes(last.deflated));
}

// ---- each its own filter value ----

async function values(rig) {
	const { load, server } = rig;
	const sizes = rig.quick ? [100, 1000] : [100, 1000, 10000];
	const count = rig.quick ? 200 : 1500;
	head("CPU us of the fanout for each write, clients with a filter value each, written round-robin, one write under way", "clients", "Millrace", `ratio to ${sizes[0]} clients`, "written -> read, p50 / p99 ms", "until all had their first answer, ms a client");
	await load.tell("pace", { us: PACE });
	const one = (n) => {
		const prefix = room();
		const write = (count) => load.tell("write", { text: add(`${prefix}-%%%%%%`), underWay: 1, count, expect: n ? 1 : 0, values: Math.max(1, n), patience: 120 });
		const measured = async (opening) => {
			await write(50);
			return { ...(await cpuDuring(server.pid, () => write(count))), opening };
		};
		return withMillrace(rig, { n: Math.max(1, n), channels: [n ? `${prefix}-@@@@@@` : `${prefix}-nobody`], writers: 1 }, measured);
	};
	const rounds = [];
	for (let i = 0; i < rig.rounds; i++) {
		const round = { 0: await one(0) };
		for (const n of sizes) round[n] = await one(n);
		rounds.push(round);
	}
	await load.tell("pace", { us: 0 });
	const cost = (r) => r.cpu / r.writes;
	for (const n of [0, ...sizes])
		row(
			...[n || "nobody watches", of(rounds, (r) => cost(r[n])).toFixed(0), of(rounds, (r) => cost(r[n]) / cost(r[sizes[0]])).toFixed(2)],
			...(n ? [[0, 1].map((i) => (of(rounds, (r) => r[n].received[i]) / 1000).toFixed(1)).join(" / "), (of(rounds, (r) => r[n].opening) / 1000 / n).toFixed(2)] : ["", ""]),
		);
}

// ---- many watchers ----

async function watchers(rig) {
	const { load } = rig;
	const n = rig.quick ? 2000 : 10000, count = rig.quick ? 10 : 20;
	head(`${n} watchers of one query, one write: ms, medians of ${count} writes`, "", "first has it", "last has it", "last - first");
	const rounds = [];
	for (let i = 0; i < rig.rounds; i++) {
		const channel = room();
		const write = (count) => load.tell("write", { text: add(channel), underWay: 1, count, expect: n, patience: 120 });
		const round = {};
		round.ours = await withMillrace(rig, { n, channels: [channel], writers: 1 }, async () => {
			await write(3);
			return write(count);
		});
		round.floor = await withFloor(rig, n, () => load.tell("replay", { frames: 1, patience: 120 }));
		rounds.push(round);
	}
	const cells = (get) => ["first", "last"].map((name) => get((r) => r[name][0])).concat(get((r) => r.last[0] - r.first[0]));
	row("Millrace, from the call", ...cells((get) => (of(rounds, (r) => get(r.ours)) / 1000).toFixed(1)));
	row("floor, from the order", ...cells((get) => (of(rounds, (r) => get(r.floor)) / 1000).toFixed(1)));
	row("ratio", ...cells((get) => of(rounds, (r) => get(r.ours) / get(r.floor)).toFixed(2)));
}

// ---- memory of who waits ----

/** A server like ours that speaks TLS, with a certificate of its own. */
async function startTls(home) {
	const [key, certificate] = ["key", "certificate"].map((name) => join(home, `${name}.pem`));
	const made = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], { encoding: "utf8" });
	if (made.status !== 0) throw new Error(made.stderr);
	return Server.start(join(home, "tls"), ["--tls-certificate", certificate, "--tls-key", key]);
}

async function idle(rig) {
	const n = rig.quick ? 1000 : 10000;
	head(`Memory of the fanout for each of ${n} clients that wait, bytes`, "clients with one subscription", "plain", "TLS", "CPU ms a second, 100 clients", `${n} clients`);
	const secure = await startTls(rig.home);
	for (const [name, channel] of [["of one query", (r) => r], ["of a query each", (r) => `${r}-@@@@@@`]]) {
		const plain = await idleRound(rig, rig.server, n, channel); // once: it is the same each time
		const tls = await idleRound(rig, secure, n, channel, { tls: 1 });
		row(name, plain.bytes.toFixed(0), tls.bytes.toFixed(0), ...plain.busy.map((ms) => ms.toFixed(0)));
	}
	await secure.process.stop();
}

async function idleRound({ load, quick }, server, n, channel, more) {
	const ms = quick ? 500 : 3000; // shorter than the time between pings
	const busy = async () => (await cpuDuring(server.pid, () => sleep(ms))).cpu / ms;
	await server.killFanout(); // a new process, in which nothing was freed yet
	const prefix = room();
	const plan = (n) => ({ ...clients(server, n, [channel(prefix)]), ...more, patience: 120 });
	await load.tell("open", plan(100)); // what is there once, whoever comes
	const few = await busy();
	await load.tell("close");
	await sleep(500);
	const before = memory(server.pid);
	await load.tell("open", plan(n));
	await sleep(1500);
	const after = memory(server.pid);
	const all = await busy();
	await load.tell("close");
	return { bytes: (after - before) / n, busy: [few, all] };
}

// ---- all come back at once ----

const SELDOM = 20; // where each has a query of its own, one in so many has missed a row
/** The fanout is killed, rows are written meanwhile; each comes back with its position and what it holds. */
async function storm(rig) {
	const n = rig.quick ? 1000 : 10000, atOnce = 1000;
	head(
		`${n} clients come back after kill -9 of the fanout (${atOnce} at a time), one row was written meanwhile: ms until all are live and exact`,
		...["clients with one subscription", "since the kill", "since it accepts", "floor: accept and answer", "ratio", "queries kept", "told whole"],
	);
	for (const [name, own] of [["of one query", false], ["of a query each", true]]) {
		const rounds = [];
		for (let i = 0; i < rig.rounds; i++) rounds.push(await stormPair(rig, n, atOnce, own));
		const ms = (get) => (of(rounds, get) / 1000).toFixed(0);
		const last = rounds.at(-1);
		row(name, ms((r) => r.sinceKill), ms((r) => r.live), ms((r) => r.floor), of(rounds, (r) => r.live / r.floor).toFixed(2), last.kept, last.full);
	}
}

async function stormPair(rig, n, atOnce, own) {
	const { load, server } = rig;
	const prefix = room();
	const channel = own ? `${prefix}-@@@@@@` : prefix;
	const first = clients(server, n, [channel], { json: true });
	await load.tell("open", { ...first, resumes: 1, patience: 120 });
	await load.tell("writers", { via: "http", port: server.port, n: 16 });
	const text = add(own ? `${prefix}-%%%%%%` : prefix);
	const written = await load.tell("write", { text, underWay: 16, count: own ? n : 20, expect: own ? 1 : n, values: own ? n : 0, patience: 120 });
	await load.tell("unwriters");
	const { upgrade, words } = await load.tell("words");

	const later = own ? n / SELDOM : 1;
	process.kill(server.pid, "SIGSTOP"); // so that what is written now is told to nobody
	server.psql(`insert into "Note" (channel, body)
		select '${prefix}' || ${own ? `'-' || lpad((i * ${SELDOM})::text, 6, '0')` : "''"}, '~#' || lpad((${written.next} + i)::text, 10, '0') from generate_series(0, ${later - 1}) i`);
	const gone = load.tell("end");
	const killed = performance.now();
	const restarted = server.killFanout();
	restarted.catch(() => {}); // it is awaited below
	await gone;
	const again = clients(server, n, [channel], { json: true, hello: { position: "@p@" }, have: { k: "@k@", h: "@h@" } });
	const back = await load.tell("again", { ...again, atOnce, resumes: 1, later, expect: own ? 1 : n, patience: 120 });
	const sinceKill = (performance.now() - killed) * 1000;
	await restarted;
	if (back.twice) throw new Error(`${back.twice} rows were told twice`);
	const [kept, full] = [await server.metric("millrace_resumes_kept_total"), await server.metric("millrace_resumes_full_total")];
	await load.tell("close");

	const floor = await Floor.start("greet", upgrade, words);
	const bare = await load.tell("open", { ...first, port: floor.port, atOnce });
	await load.tell("close");
	await floor.stop();
	const took = (r) => r.opened[1] - r.opened[0];
	return { sinceKill, live: took(back), floor: took(bare), kept, full };
}

// ---- latency under a steady load ----

async function latency(rig) {
	const n = 1000, subscriptions = 10, rate = rig.quick ? 200 : 1000, seconds = rig.quick ? 3 : 8;
	head(
		`${n} clients with ${subscriptions} live queries each, ${rate} commits/s, each for one of them: ms, p50 / p99`,
		...["commits/s", "call -> answer", "bare tick", "commit -> client", "ratio", "answer -> client", "ratio"],
	);
	const rounds = [];
	for (let i = 0; i < rig.rounds; i++) rounds.push(await latencyRound(rig, { n, subscriptions, rate, seconds }));
	const pair = (get) => [0, 1].map((i) => (of(rounds, (r) => get(r)[i]) / 1000).toFixed(2)).join(" / ");
	const ratio = (get) => [0, 1].map((i) => of(rounds, (r) => get(r)[i] / r.tick[i]).toFixed(1)).join(" / ");
	row(
		...[of(rounds, (r) => r.rate).toFixed(0), pair((r) => r.answered), pair((r) => r.tick)],
		...[(r) => r.committed, (r) => r.told].flatMap((get) => [pair(get), ratio(get)]),
	);
}

async function latencyRound(rig, { n, subscriptions, rate, seconds }) {
	const { load, server, home } = rig;
	const prefix = room();
	const channels = Array.from({ length: subscriptions }, (_, k) => `${prefix}-@@@@@@${k}`);
	const write = (seconds) =>
		load.tell("write", { text: add(`${prefix}-0%%%%%%`), rate, count: rate * seconds, expect: 1, values: n * subscriptions, patience: seconds + 120 });
	const file = join(home, "marks");
	const [result, tick] = await withMillrace(rig, { n, channels, writers: 128 }, async () => {
		await write(1);
		const ticking = startBeside(join(BUILD, "bench", "fanout", "tick"), [server.conninfo, String(seconds)]);
		const result = await write(seconds);
		await load.tell("dump", { file });
		await ticking.ended;
		if (!ticking.out) throw new Error(ticking.err);
		return [result, JSON.parse(ticking.out)];
	});
	const commits = new Map(
		server
			.psql(`select substr(body, 3, 10)::bigint, extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000000 from "Note" where channel like '${prefix}-%'`)
			.split("\n")
			.map((line) => line.split("|").map(Number)),
	);
	const marks = readFileSync(file, "utf8").trim().split("\n").map((line) => line.split(" ").map(Number));
	const percentiles = (list) => [0.5, 0.99].map((q) => list.toSorted((a, b) => a - b)[Math.floor(q * list.length)]);
	return {
		rate: result.writes / result.seconds,
		answered: result.answered,
		committed: percentiles(marks.map(([number, , , first]) => first + result.ahead - commits.get(number))),
		told: percentiles(marks.map(([, , answered, first]) => first - answered)),
		tick: tick.took,
	};
}

// ---- the matcher by itself ----

async function matcher(rig) {
	const path = join(BUILD, "bench", "fanout", "matcher");
	console.log("\nThe matcher by itself (no process, no socket)\n");
	if (!existsSync(path)) {
		console.log("It is not built: bench/fanout/matcher.");
		return;
	}
	const done = spawnSync("taskset", ["-c", "0", path, ...(rig.quick ? ["--quick"] : [])], { encoding: "utf8" });
	if (done.status !== 0) throw new Error(done.stderr);
	console.log(done.stdout.trimEnd());
}

export const CASES = {
	delivery: (rig) => delivery(rig, [[1, rig.quick ? 30 : 60]]),
	depth: (rig) => delivery(rig, rig.quick ? [[16, 600]] : [[16, 2000], [64, 3000], [256, 4000], [1024, 5000]]),
	deflate,
	values,
	watchers,
	memory: idle,
	latency,
	storm,
	matcher,
};
export const QUICK = ["delivery", "depth", "deflate", "values", "watchers", "memory", "storm"];
