// Mutations as fast as they are committed, in turn with pgbench: one insert, a transfer between accounts, the same where few accounts are in
// everybody's way.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { head, of, row } from "../lib.mjs";
import { alone } from "./engine.mjs";
import { CLIENTS, CONNECTIONS, PGBENCH_WARM, WORKERS } from "./rig.mjs";
import { insertScript, transferScript } from "./sql.mjs";

const SESSIONS = 64; // each has one call under way

/** What is committed, by the log rows of `fn`; lost: transactions that were rolled back, for each. */
const committed = (rig, fn) => async () => {
	const look = async () => (await rig.ask("select (select last_value from millrace.seq), xact_rollback from pg_stat_database where datname = current_database()")).split("|").map(Number);
	const [from, lost] = await look();
	return async () => {
		const [to, lostNow] = await look();
		const n = Number(await rig.ask(`select count(*) from millrace.change_log where seq > ${from} and seq <= ${to} and fn = '${fn}'`));
		return { n, lost: (lostNow - lost) / n };
	};
};

async function ours(rig, { fn, args, accounts = 2, sessions = SESSIONS }) {
	return rig.during([], async (port) => {
		const load = rig.calls(port, { fn, args, sessions, of: accounts });
		const result = await rig.watch(load, { count: committed(rig, fn), parts: async () => ({ ...(await rig.parts()), load: [load.pid] }) });
		rig.answered(load);
		return result;
	});
}

let rounds = 0;
async function byPgbench(rig, what, bare) {
	const file = join(rig.home, "script.sql");
	writeFileSync(file, what.script({ ...what, bare }));
	const define = { call: 0, round: ++rounds, channel: "general", hour: Math.floor(Date.now() / 3600000) };
	// as the worker sets it for itself in each transaction
	const env = bare && what.isolation === "serializable" ? { PGOPTIONS: "-c enable_seqscan=off -c jit=off" } : {};
	const load = rig.pgbench(file, { define, env });
	return rig.watch(load, { count: committed(rig, "pgbench"), warm: PGBENCH_WARM, parts: async () => ({ pgbench: [load.pid], backends: await rig.backends("^pgbench") }) });
}

/** In turn: ours, pgbench with the same statements, pgbench with less. */
async function inTurn(rig, what) {
	const sides = { ours: () => ours(rig, what), pgbench: () => byPgbench(rig, what, false), ...(what.bare ? { bare: () => byPgbench(rig, what, true) } : {}) };
	const names = Object.keys(sides);
	const result = [];
	for (let i = 0; i < rig.rounds; i++) {
		const round = {};
		for (const name of names.map((_, k) => names[(i + k) % names.length])) {
			await what.before?.();
			round[name] = await sides[name]();
		}
		result.push(round);
	}
	return result;
}

const server = (r) => r.cpu.worker + r.cpu.workerBackends + r.cpu.fanout + r.cpu.fanoutBackends;
const theirs = (r) => r.cpu.pgbench + r.cpu.backends;

function mutationHead(title) {
	head(
		`${title}; ${WORKERS} workers of ${CONNECTIONS} connections, ${SESSIONS} sessions; pgbench with ${CLIENTS}`,
		...["", "a second", "by pgbench", "ratio", "by bare pgbench", "ratio", "CPU us each: worker (the engine alone; system calls)", "its backends", "fanout", "its backends", "all", "pgbench + its backends", "ratio"],
		...["load generator", "cores busy", "by pgbench", "lost attempts each", "by pgbench"],
	);
}

async function mutationRow(rig, name, what) {
	const list = await inTurn(rig, what);
	const us = (get) => of(list, (r) => get(r)).toFixed(0);
	const each = (get, digits = 2) => [of(list, (r) => get(r.ours)).toFixed(digits), of(list, (r) => get(r.pgbench)).toFixed(digits)];
	const beside = (side) => [us((r) => r[side].rate), of(list, (r) => r.ours.rate / r[side].rate).toFixed(2)];
	const engine = alone(rig, what.fn).call_us;
	row(
		...[name, us((r) => r.ours.rate), ...beside("pgbench"), ...(what.bare ? beside("bare") : ["", ""])],
		...[`${us((r) => r.ours.cpu.worker)} (${engine.toFixed(0)}; ${us((r) => r.ours.system.worker)})`, us((r) => r.ours.cpu.workerBackends), us((r) => r.ours.cpu.fanout), us((r) => r.ours.cpu.fanoutBackends), us((r) => server(r.ours))],
		...[`${us((r) => r.pgbench.cpu.pgbench)} + ${us((r) => r.pgbench.cpu.backends)}`, of(list, (r) => theirs(r.pgbench) / server(r.ours)).toFixed(2), us((r) => r.ours.cpu.load)],
		...[...each((r) => r.cores, 1), ...each((r) => r.lost)],
	);
}

/** A table of the same shape without triggers, for bare pgbench. */
const bareTable = (rig, table) => rig.ask(`drop table if exists bench_${table.toLowerCase()}; create table bench_${table.toLowerCase()} (like "${table}" including all)`);

export async function insert(rig) {
	await rig.database();
	await bareTable(rig, "Note");
	mutationHead("A mutation that inserts a row");
	await mutationRow(rig, "one insert", {
		...{ fn: "notes.add", isolation: "serializable", script: insertScript, bare: !rig.quick },
		args: '{"channel":"general","body":"<unique> a note of sixty characters that is like no other"}',
		before: () => rig.ask('truncate "Note", bench_note'),
	});
}

const TRANSFER_ARGS = '{"from":"00000000-0000-0000-0000-<lower>","to":"00000000-0000-0000-0000-<higher>","amount":<amount>}';
const TRANSFERS = { serializable: "bank.transfer", "repeatable read": "bank.transferRepeatable" };

async function transfers(rig, name, accounts, isolation, bare) {
	await rig.database();
	await rig.ask(`delete from "Account"; insert into "Account" (id, owner, balance) select lpad(i::text, 32, '0')::uuid, 'owner ' || i, 1000000000 from generate_series(1, ${accounts}) i`);
	await bareTable(rig, "Account");
	await rig.ask('insert into bench_account select * from "Account"');
	await rig.ask('vacuum full analyze "Account"');
	await rig.ask("vacuum full analyze bench_account");
	await mutationRow(rig, name, { fn: TRANSFERS[isolation], isolation, script: transferScript, accounts, args: TRANSFER_ARGS, bare });
	for (const table of ['"Account"', "bench_account"])
		if ((await rig.ask(`select sum(balance) from ${table}`)) !== String(accounts * 1000000000)) throw new Error(`money was lost or made in ${table}`);
}

export async function transfer(rig) {
	mutationHead("A mutation that reads two rows and writes both, of 1000 accounts");
	await transfers(rig, "transfer", 1000, "serializable", !rig.quick);
}

export async function contention(rig) {
	mutationHead("The same with 10 accounts, which are in everybody's way");
	for (const isolation of Object.keys(TRANSFERS)) await transfers(rig, isolation, 10, isolation, false);
}
