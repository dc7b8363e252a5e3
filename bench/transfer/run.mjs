// Starts a server of its own, measures transfers through its functions and the same ones by pgbench, in pairs, and stops it.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { BUILD, descendants, endAll, freePort, millrace, remove, ROOT, serve, temporary } from "../../tests/lib/cli.mjs";

const cut = process.argv.indexOf("--");
const args = process.argv.slice(2, cut < 0 ? undefined : cut);
const serving = cut < 0 ? [] : process.argv.slice(cut + 1);
const value = (name, fallback) => {
	const at = args.indexOf(name);
	return at < 0 ? fallback : args[at + 1];
};
const quick = args.includes("--quick");
const seconds = Number(value("--seconds", quick ? 3 : 6));
const rounds = Number(value("--rounds", quick ? 1 : 3));
const accounts = value("--accounts", "10,1000").split(",").map(Number);
const isolations = value("--isolation", "serializable,repeatable read").split(",");
const sessions = Number(value("--sessions", 64));
const over = value("--over", "socket");
const workers = Number(value("--workers", 2));
const connections = Number(value("--connections", 8));
for (const n of [seconds, rounds, sessions, workers, connections, ...accounts])
	if (!Number.isSafeInteger(n) || n < 1) throw new Error(`not a number: ${n}`);

const FUNCTIONS = { serializable: "bank.transfer", "repeatable read": "bank.transferRepeatable" };
/** Whoever writes two rows in the order of their ids is never in a deadlock: the lower one pays, which may be less than nothing. */
const ordered = value("--order", "id") === "id";
const IN_ORDER = "\\set lower least(:payer, :payee)\n\\set payee greatest(:payer, :payee)\n\\set payer :lower\n\\set amount random(-100, 100)\n";
const FIRST_MS = 3000; // until all is warm: code is compiled, plans are made
const home = temporary("transfer");
const app = join(home, "app");
let server;
let loading;

async function end(status) {
	loading?.kill();
	await endAll();
	remove(home);
	process.exit(status);
}
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void end(130));

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

// ---- the database ----

let conninfo;
function psql(sql) {
	const done = spawnSync("psql", ["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, conninfo], { encoding: "utf8" });
	if (done.status !== 0) throw new Error(done.stderr);
	return done.stdout.trim();
}

function migrate(data, env = {}) {
	const { status, err } = millrace(["migrate", "--apply", "--app-dir", app, "--data-dir", data], { env });
	if (status !== 0) throw new Error(err);
}

/** In the Postgres of another server that has nothing to do: it is there while ours comes and goes, since beside pgbench nothing shall run. */
async function openDatabase() {
	const data = join(home, "host");
	migrate(data);
	const host = await serve(["serve", "--app-dir", app, "--data-dir", data, "--port", String(await freePort()), "--workers", "1", "--outside-poll-interval", "10s"]);
	await host.ready();
	conninfo = readFileSync(join(data, "run", "database"), "utf8").trim();
	psql("create database bench");
	conninfo = conninfo.replace(/dbname='?\w+'?/, "dbname=bench");
	migrate(join(home, "data"), { DATABASE_URL: conninfo });
}

/** The same table without triggers: pgbench writes the log row by itself. */
function makeAccounts(n) {
	psql(`
		drop table if exists bench_account;
		delete from "Account";
		insert into "Account" (id, owner, balance) select lpad(i::text, 32, '0')::uuid, 'owner ' || i, 1000000000 from generate_series(1, ${n}) i;
		create table bench_account (like "Account" including all);
		insert into bench_account select * from "Account";`);
	psql('vacuum full analyze "Account"');
	psql("vacuum full analyze bench_account");
}

const sum = (table) => psql(`select sum(balance) from ${table}`);

// ---- what a program has used ----

function used(pids) {
	let ns = 0;
	for (const pid of pids)
		for (const task of readdirSync(`/proc/${pid}/task`))
			ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
	return ns / 1000;
}

/** Backends by the name that their programs gave. */
function backends(pattern) {
	const pids = psql(`select pid from pg_stat_activity where datname = current_database() and application_name ~ '${pattern}' and pid <> pg_backend_pid()`);
	return pids === "" ? [] : pids.split("\n").map(Number);
}

// ---- one round ----

/** What happens in `seconds`, once it is warm: committed transfers (by their log rows), and microseconds of CPU. */
async function watch(fn, parts) {
	await sleep(FIRST_MS);
	const pids = Object.fromEntries(Object.entries(parts).map(([name, find]) => [name, find()]));
	const count = () => psql("select (select last_value from millrace.seq), xact_rollback from pg_stat_database where datname = current_database()").split("|").map(Number);
	const [from, lostBefore] = count();
	const began = performance.now();
	const before = Object.fromEntries(Object.entries(pids).map(([name, list]) => [name, used(list)]));
	await sleep(seconds * 1000);
	const cpu = Object.fromEntries(Object.entries(pids).map(([name, list]) => [name, used(list) - before[name]]));
	const took = performance.now() - began;
	const [to, lostAfter] = count();
	const done = Number(psql(`select count(*) from millrace.change_log where seq > ${from} and seq <= ${to} and fn = '${fn}'`));
	if (done === 0) throw new Error(`${fn}: nothing was committed`);
	return { rate: done / (took / 1000), lost: (lostAfter - lostBefore) / done, cpu: Object.fromEntries(Object.entries(cpu).map(([name, us]) => [name, us / done])) };
}

function run(command, list, env = {}) {
	loading = spawn(command, list, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
	let out = "";
	loading.stdout.on("data", (d) => (out += d));
	loading.stderr.on("data", (d) => (out += d));
	return new Promise((resolve) => loading.once("close", (code) => resolve({ code, out })));
}

/** A load that ends before it was measured tells why. */
function orItsEnd(running, measuring) {
	measuring.catch(() => {});
	return Promise.race([measuring, running.then(({ out }) => Promise.reject(new Error(out.split("\n").slice(0, 8).join("\n"))))]);
}

async function ours(isolation, n) {
	const fn = FUNCTIONS[isolation];
	const total = String(seconds + FIRST_MS / 1000 + 1);
	const port = await freePort();
	const options = ["--port", String(port), "--workers", String(workers), "--worker-connections", String(connections), ...serving];
	server = await serve(["serve", "--app-dir", app, "--data-dir", join(home, "data"), ...options], { env: { DATABASE_URL: conninfo } });
	await server.ready();
	const running = run(join(BUILD, "bench", "transfer", "transfer"), [String(port), fn, String(n), String(sessions), total, over, ordered ? "id" : "any"]);
	const below = (word) => () => descendants(server.pid).filter((p) => p.command.includes(word)).map((p) => p.pid);
	const measuring = watch(fn, {
		program: below("millrace-worker"),
		backends: () => backends("worker"),
		fanout: below("millrace-fanout"),
		itsBackends: () => backends("fanout|tick"),
	});
	const result = await orItsEnd(running, measuring);
	const { code, out } = await running;
	if (code !== 0 || !/ refused 0 /.test(out)) throw new Error(out);
	await server.stop();
	return result;
}

/** The statements of a transfer as the worker sends them, each by itself as pgbench does. */
function script(isolation, n) {
	const key = (name) => `lpad(:${name}::text, 32, '0')::uuid`;
	const read = (name) => `select row_to_json(r.*)::text as row, r.balance as balance from bench_account as r where r.id = ${key(name)} order by r.id \\gset ${name}_`;
	const write = (name, sign) => `\\set ${name}_balance :${name}_balance ${sign} :amount
with o as materialized (select r.id as key, row_to_json(r.*)::text as image from bench_account as r
	where r.id = ${key(name)} for update) update bench_account as r set balance = :${name}_balance from o where r.id = o.key
	returning o.image, row_to_json(r.*)::text, nextval('millrace.seq');`;
	const change = (was, now) => `{"s":1234567,"e":"Account","o":{"id":"00000000-0000-0000-0000-000000000001","owner":"owner 1","balance":${was}},"n":{"id":"00000000-0000-0000-0000-000000000001","owner":"owner 1","balance":${now}}}`;
	return `\\set payer random(1, ${n})
\\set payee random(1, ${n} - 1)
\\set payee :payee + case when :payee >= :payer then 1 else 0 end
\\set amount random(1, 100)
${ordered ? IN_ORDER : ""}\\set call :call + 1
begin isolation level ${isolation};
${read("payer")}
${read("payee")}
\\if :payer_balance >= :amount
${write("payer", "-")}
${write("payee", "+")}
insert into millrace.change_log (part, hour, token, session, call, fn, args_hash, user_id, result, changes)
	select millrace.part_of(c.hour), c.hour, '\\\\x0123456789abcdef0123456789abcdef', 'pgbench-session-${"0".repeat(20)}' || :client_id, :round::text || '.' || :call::text, 'pgbench',
	'\\\\x${"0123456789abcdef".repeat(4)}', null, '999999999'::json,
	'[${change(999999999, 999999998)},${change(999999999, 1000000000)}]'::json
	from (select millrace.this_hour() as hour) c returning xid::text;
\\endif
commit;
`.replaceAll("\\\\x", "\\x");
}

let pgbenches = 0;
async function theirs(isolation, n) {
	const file = join(home, "transfer.sql");
	writeFileSync(file, script(isolation, n));
	const total = String(Math.ceil(seconds + FIRST_MS / 1000 + 1));
	const clients = String(workers * connections);
	const options = ["-n", "-M", "prepared", "--max-tries=100000", "-c", clients, "-j", "1", "-T", total, "-f", file, "-D", "call=0", "-D", `round=${++pgbenches}`];
	const running = run("pgbench", [...options, conninfo], { PGOPTIONS: isolation === "serializable" ? "-c enable_seqscan=off -c jit=off" : "", PGAPPNAME: "pgbench" });
	const result = await orItsEnd(running, watch("pgbench", { program: () => [loading.pid], backends: () => backends("^pgbench") }));
	const { code, out } = await running;
	if (code !== 0) throw new Error(out);
	return result;
}

// ---- all ----

function machine() {
	const git = spawnSync("git", ["-C", ROOT, "describe", "--always", "--dirty"], { encoding: "utf8" });
	return `${cpus().length} cores (${cpus()[0].model}), load before ${loadavg()[0].toFixed(2)}; commit ${git.stdout?.trim() || "unknown"}; ${new Date().toISOString().slice(0, 10)}`;
}

function printHead() {
	console.log(`${machine()}${serving.length ? `; ${serving.join(" ")}` : ""}`);
	console.log(`${workers} workers of ${connections} connections, ${sessions} sessions (${over}); pgbench with ${workers * connections}; medians of ${rounds} pairs of ${seconds} s\n`);
	console.log("| isolation | accounts | transfers/s | by pgbench | ratio | CPU us a transfer: worker + its backends | pgbench + its backends | ratio | fanout + its backends | lost attempts a transfer | by pgbench |");
	console.log("|---|---|---|---|---|---|---|---|---|---|---|");
}

try {
	cpSync(join(ROOT, "bench", "transfer", "app"), app, { recursive: true });
	await openDatabase();
	printHead();
	for (const isolation of isolations)
		for (const n of accounts) {
			makeAccounts(n);
			const pairs = [];
			for (let i = 0; i < rounds; i++) {
				const pair = {};
				for (const side of i % 2 ? [theirs, ours] : [ours, theirs]) pair[side.name] = await side(isolation, n);
				if (args.includes("--each")) console.error(JSON.stringify(pair));
				pairs.push(pair);
			}
			for (const table of ['"Account"', "bench_account"])
				if (sum(table) !== String(n * 1000000000)) throw new Error(`money was lost or made: ${table} holds ${sum(table)}`);
			const of = (get) => median(pairs.map(get));
			const cost = (r) => r.cpu.program + r.cpu.backends;
			console.log(
				`| ${isolation} | ${n} | ${of((p) => p.ours.rate).toFixed(0)} | ${of((p) => p.theirs.rate).toFixed(0)} | ${of((p) => p.ours.rate / p.theirs.rate).toFixed(2)}` +
					` | ${of((p) => p.ours.cpu.program).toFixed(0)} + ${of((p) => p.ours.cpu.backends).toFixed(0)} | ${of((p) => p.theirs.cpu.program).toFixed(0)} + ${of((p) => p.theirs.cpu.backends).toFixed(0)}` +
					` | ${of((p) => cost(p.theirs) / cost(p.ours)).toFixed(2)} | ${of((p) => p.ours.cpu.fanout).toFixed(0)} + ${of((p) => p.ours.cpu.itsBackends).toFixed(0)}` +
					` | ${of((p) => p.ours.lost).toFixed(2)} | ${of((p) => p.theirs.lost).toFixed(2)} |`,
			);
		}
	await end(0);
} catch (e) {
	console.error(e.message);
	if (server?.err) console.error(server.err.trimEnd().split("\n").slice(-20).join("\n"));
	await end(1);
}
