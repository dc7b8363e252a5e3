// Reactive functions: how many reruns of a function that reads 50 rows there are in a second while its rows change all the time, beside the
// same SELECT by pgbench.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../tests/lib/cli.mjs";
import { subscribers } from "../fanout/rig.mjs";
import { head, of, row } from "../lib.mjs";
import { alone } from "./engine.mjs";
import { CLIENTS, CONNECTIONS, PGBENCH_WARM, WORKERS } from "./rig.mjs";
import { groupScript } from "./sql.mjs";

const GROUPS = 64, ROWS = 50, RATE = 50; // more often than they can be rerun

/** One row of each group, by an outsider. */
const UPDATE = `update "Item" set n = n + 1 where place = 0;\n`;

const ours = (rig) =>
	rig.during(["--outside-poll-interval", "1ms"], async (port) => {
		const watcher = rig.watchers();
		const queries = Array.from({ length: GROUPS }, (_, i) => ({ fn: "items.group", args: { grp: `${i + 1}` } }));
		await watcher.tell("open", { ...subscribers({ port }, 1, queries, { ready: "value" }), patience: 60 });
		const file = join(rig.home, "update.sql");
		writeFileSync(file, UPDATE);
		const load = rig.pgbench(file, { clients: 1, more: ["-R", String(RATE)] });
		const count = async () => {
			const look = () => Promise.all(["millrace_reruns_total", "millrace_ticks_total"].map((name) => rig.metric(port, name)));
			const before = await look();
			return async (seconds) => {
				const [reruns, ticks] = (await look()).map((now, i) => now - before[i]);
				return { n: reruns, ticks: ticks / seconds };
			};
		};
		const result = await rig.watch(load, { count, parts: async () => ({ ...(await rig.parts()), writer: [load.pid, ...(await rig.backends("^pgbench"))] }) });
		await watcher.tell("close");
		return result;
	});

/** Transactions in the time that is measured: pgbench tells each second's rate. */
async function byPgbench(rig) {
	const file = join(rig.home, "group.sql");
	writeFileSync(file, groupScript(GROUPS));
	const load = rig.pgbench(file, {});
	const rates = (from) => [...load.out.slice(from).matchAll(/^progress: \S+ s, (\S+) tps/gm)].map((m) => Number(m[1]));
	const count = () => {
		const from = load.out.length;
		return async (seconds) => {
			const list = await until("a rate", () => rates(from).length && rates(from));
			return { n: (list.reduce((sum, r) => sum + r, 0) / list.length) * seconds };
		};
	};
	return rig.watch(load, { count, warm: PGBENCH_WARM, parts: async () => ({ pgbench: [load.pid], backends: await rig.backends("^pgbench") }) });
}

export async function reruns(rig) {
	await rig.database();
	await rig.ask(`insert into "Item" (grp, place, text) select g::text, p, 'item ' || p || ' of a group of fifty' from generate_series(1, ${GROUPS}) g, generate_series(0, ${ROWS - 1}) p where not exists (select from "Item")`);
	await rig.ask('vacuum analyze "Item"');
	head(
		`Reruns of a function that reads ${ROWS} rows: ${GROUPS} live ones, a row of each changed by one UPDATE ${RATE} times a second; ${WORKERS} workers of ${CONNECTIONS} connections; pgbench with ${CLIENTS}`,
		...["reruns/s", "ticks/s", "the same SELECT by pgbench, /s", "ratio", "CPU us each: worker (the engine alone; system calls)", "its backends", "fanout", "its backends", "worker + its backends", "pgbench + its backends", "ratio", "the writer, us a rerun", "cores busy", "by pgbench"],
	);
	const list = [];
	for (let i = 0; i < rig.rounds; i++) {
		const pair = {};
		for (const [name, side] of [["ours", ours], ["pgbench", byPgbench]].toSorted(() => (i % 2 ? -1 : 1))) pair[name] = await side(rig);
		list.push(pair);
	}
	const us = (get) => of(list, (p) => get(p)).toFixed(0);
	const run = (p) => p.ours.cpu.worker + p.ours.cpu.workerBackends;
	const theirs = (p) => p.pgbench.cpu.pgbench + p.pgbench.cpu.backends;
	row(
		...[us((p) => p.ours.rate), us((p) => p.ours.ticks), us((p) => p.pgbench.rate), of(list, (p) => p.ours.rate / p.pgbench.rate).toFixed(2)],
		...[`${us((p) => p.ours.cpu.worker)} (${alone(rig, "items.group").call_us.toFixed(0)}; ${us((p) => p.ours.system.worker)})`, ...["workerBackends", "fanout", "fanoutBackends"].map((part) => us((p) => p.ours.cpu[part]))],
		...[us(run), us(theirs), of(list, (p) => theirs(p) / run(p)).toFixed(2), us((p) => p.ours.cpu.writer)],
		...["ours", "pgbench"].map((side) => of(list, (p) => p[side].cores).toFixed(1)),
	);
}
