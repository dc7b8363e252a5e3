// tests/consistency/run.mjs [--seconds N] [--clients N] [--seed N] [--faults] [--self-test]
// Random writers against random clients; every state that every client shows at every transition is compared with what Postgres holds at that
// transition's snapshot. Prints what it saw; exit 1 on any difference.
import { cpSync } from "node:fs";
import { join } from "node:path";
import { endAll, freePort, MILLRACE, ROOT, serve, temporary, descendants, remove, millrace } from "../lib/cli.mjs";
import { Audit, AUDIT_SQL, Psql } from "./audit.mjs";
import { attachPrinters, Checker } from "./checker.mjs";
import { Client } from "./client.mjs";
import { print } from "./queries.mjs";
import { seeded } from "./random.mjs";

const option = (name, fallback) => {
	const at = process.argv.indexOf(`--${name}`);
	return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const flag = (name) => process.argv.includes(`--${name}`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const seconds = option("seconds", 60);
const clients = option("clients", 50);
const seed = option("seed", Date.now() % 1000000);
const random = seeded(seed);
attachPrinters(print);

const dir = temporary("consistency");
const app = join(dir, "app");
const data = join(dir, "data");
cpSync(join(ROOT, "tests/consistency/app"), app, { recursive: true });
const server = await serve(["dev", "--app-dir", app, "--data-dir", data, "--port", String(await freePort()), "--workers", "2"]);
await server.ready();
const psql = () => new Psql(MILLRACE, ["psql", "--data-dir", data, "--", "-qAtX", "-v", "ON_ERROR_STOP=0"]);
const set = millrace(["psql", "--data-dir", data, "--", "-qX", "-v", "ON_ERROR_STOP=1", "-c", AUDIT_SQL]);
if (set.status !== 0) throw new Error(set.err);

const reader = psql();
const checker = new Checker(new Audit(reader));
const crowd = [];
for (let i = 0; i < clients; i++) crowd.push(new Client(i, server.url, seeded(seed + i + 1), checker));
const running = crowd.map((client) => client.run());

let going = true;
let outside = 0;
/** A writer from outside: transactions of several statements, savepoints rolled back, COPY, whole rollbacks. */
async function outsider(number) {
	const own = seeded(seed + 1000 + number);
	const connection = psql();
	const group = () => `'${own.pick(["a", "b", "c", "d"])}'`;
	const statement = () =>
		own.pick([
			() => `insert into "Item" (grp, n) select ${group()}, ${own.below(100)} from generate_series(1, ${1 + own.below(3)});`,
			() => `update "Item" set n = ${own.below(100)} where id in (select id from "Item" where grp = ${group()} order by id limit 3 for update skip locked);`,
			() => `update "Item" set grp = ${group()} where id in (select id from "Item" order by random() limit 2 for update skip locked);`,
			() => `delete from "Item" where id in (select id from "Item" where grp = ${group()} order by n limit 2 for update skip locked);`,
			() => `savepoint s; insert into "Item" (grp, n, note) values (${group()}, 5, 'never'); rollback to s;`,
			() => `copy "Item" (grp, n) from stdin;\n${own.pick(["a", "b"])}\t${own.below(100)}\n\\.`,
			() => `with one as (select id from "Item" order by random() limit 1) insert into "Item" (grp, n, parent) select ${group()}, ${own.below(100)}, id from one;`,
		])();
	while (going) {
		const statements = Array.from({ length: 1 + own.below(4) }, statement).join("\n");
		await connection.run(`begin;\n${statements}\n${own.below(10) === 0 ? "rollback" : "commit"};`);
		outside++;
		await sleep(own.below(20));
	}
	/* The table stays small, so that comparing it stays cheap. */
	connection.close();
}
async function sweeper() {
	const connection = psql();
	while (going) {
		await sleep(700);
		await connection.run(`delete from "Item" where id in (select id from "Item" order by id limit greatest(0, (select count(*) - 300 from "Item")));`);
	}
	connection.close();
}
async function actors() {
	while (going) {
		for (const client of crowd) client.act(client.number % 5 === 0);
		await sleep(25);
	}
}
let killed = [];
async function kill(name, after) {
	await sleep(after);
	const victims = descendants(server.pid).filter((p) => p.command.includes(`/${name} `));
	if (!victims.length) throw new Error(`no ${name} to kill`);
	process.kill(random.pick(victims).pid, "SIGKILL");
	killed.push(name);
}
async function judge() {
	while (going) {
		await sleep(1000);
		await checker.judge();
	}
}

const began = Date.now();
const works = [outsider(1), outsider(2), sweeper(), actors(), judge()];
if (flag("faults"))
	for (let i = 1; i * 10 <= seconds; i++) works.push(kill("millrace-worker", i * 10000 - 6000), kill("millrace-fanout", i * 10000 - 2500));
await Promise.race([sleep(seconds * 1000), Promise.all(works)]);
const asked = checker.asked.size;
/* Nothing is written any more: every call comes to its end, every client to the last snapshot. */
for (const client of crowd) client.act = () => undefined;
for (let i = 0; i < 150 && crowd.some((client) => client.calls.size); i++) await sleep(100);
going = false;
await Promise.all(works);
await sleep(500);
for (const client of crowd) client.stop();
await Promise.all(running);
if (flag("self-test")) [...checker.seen.values()].find((s) => s.views.length).views[0].text += " corrupted";
await checker.judge(true);
const unseen = checker.judgeCalls();
const open = crowd.reduce((n, client) => n + client.calls.size, 0);
reader.close();
await endAll();
remove(dir);

console.log(`seed ${seed}, ${clients} clients, ${((Date.now() - began) / 1000).toFixed(0)} s, killed: ${killed.join(" ") || "nobody"}`);
console.log(`transactions: ${checker.acked.size} of ${asked} calls acknowledged (${unseen} ahead of a transition, ${open} open), ${outside} from outside`);
console.log(`checked: ${checker.transitions} transitions, ${checker.states} states at ${checker.snapshots} snapshots; ${checker.late} snapshots too late to check`);
console.log(`refusals: ${[...checker.refusals].map(([code, n]) => `${code} ${n}`).join(", ") || "none"}`);
for (const fault of checker.faults) console.log(`DIFFERENCE ${fault}`);
console.log(`${checker.faults.length} differences`);
process.exit(checker.faults.length || checker.snapshots === 0 ? 1 : 0);
