// Loads at the bounds of what the server takes, and what others see of them meanwhile: for bench/bounds and tests/flow/bounds.mjs, which
// differ in scale only. Each ends when its clients show what Postgres holds.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Crowd } from "./bounds_crowd.mjs";
import { descendants, ROOT } from "./cli.mjs";
import { Psql } from "./psql.mjs";
import { Client, sleep, Stack, until } from "./stack.mjs";

const percentile = (list, q) => list.toSorted((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
const SETTLE = 500;

class Quiet extends Client {
	take(m) {
		super.take(m);
		this.messages.length = 0;
	}
}

export class Scene {
	least = 0;
	static async start(options = []) {
		const scene = new Scene();
		scene.stack = await Stack.start(["--ping-interval", "10m", "--log-level", "warn", "--max-subscriptions", "100000", ...options]);
		scene.fanout = descendants(scene.stack.server.pid).find((p) => p.command.includes("/millrace-fanout ")).pid;
		scene.probe = fork(join(ROOT, "tests", "lib", "bounds_probe.mjs"), [scene.stack.url]);
		scene.probe.once("exit", () => scene.failed(new Error("the probe has ended")));
		await scene.answer();
		return scene;
	}
	answer() {
		return new Promise((resolve, reject) => {
			this.probe.once("message", resolve);
			this.failed = reject;
		});
	}
	tell(command) {
		const answer = this.answer();
		this.probe.send(command);
		return answer;
	}
	status(name) {
		return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${this.fanout}/status`, "utf8"))[1]) / 1024;
	}
	get port() {
		return Number(new URL(this.stack.url).port);
	}
	psql() {
		return new Psql(readFileSync(join(this.stack.data, "run", "database"), "utf8").trim());
	}
	client(options) {
		return new Quiet(this.stack, { positions: false, ...options }).ready();
	}
	clients(n, options) {
		return Promise.all(Array.from({ length: n }, () => this.client(options)));
	}
	/** What others see while this goes on, and until `least` ms are over: times in ms, memory of the fanout in MB. */
	async during(what) {
		await this.tell("begin");
		const before = this.status("VmRSS");
		let most = before;
		const sampling = setInterval(() => (most = Math.max(most, this.status("VmRSS"))), 20);
		const began = Date.now();
		let took;
		try {
			await what();
			took = Date.now() - began;
			await sleep(Math.max(0, this.least - took));
		} finally {
			clearInterval(sampling);
		}
		const { marks, pongs, gap } = await this.tell("end");
		return { p50: percentile(marks, 0.5), p99: percentile(marks, 0.99), gap, pong: Math.max(...pongs), before, most, took };
	}
	/** Each query shows the rows that Postgres gives. */
	async exact(lives, sql, seconds = 60) {
		const rows = new Map(this.stack.rows(sql).map((r) => [r.id, `${r.n} ${r.note}`]));
		const shows = (live) => !live.error && !live.behind && live.rows.size === rows.size && live.list.every((r) => rows.get(r.id) === `${r.n} ${r.note}`);
		for (const { client, live } of lives) await client.until("what Postgres holds", () => shows(live), seconds);
	}
	async stop() {
		this.probe.disconnect();
		return this.stack.stop();
	}
}

const rows = (table, grp, n, from = 1) => `insert into ${table} (id, grp, n, note) select gen_random_uuid(), ${grp}, i, 'row ' || i from generate_series(${from}, ${from + n - 1}) i`;
const of = (grp) => `select id, n, note from "Item" where grp = '${grp}'`;

/** Transactions that become visible at once. */
async function together(scene, n, statement) {
	const writers = Array.from({ length: n }, () => scene.psql());
	await Promise.all(writers.map((w, i) => w.ask(`begin; ${statement(i)}`)));
	return {
		commit: () => Promise.all(writers.map((w) => w.ask("commit"))),
		end: () => Promise.all(writers.map((w) => w.end())),
	};
}

/** A tick of very many changes: one transaction, and several that are told row by row each. */
async function ticks(scene, size, tell) {
	const GROUPS = 1000, WATCHERS = 10, OF_ONE = Math.min(9500, Math.floor(size.rows / 6));
	scene.stack.psql(`create table plain (like "Item" including defaults including indexes)`);
	const writer = scene.psql();
	const clients = await scene.clients(WATCHERS);
	const lives = [];
	for (const [i, client] of clients.entries()) {
		lives.push({ client, live: await client.live({ entity: "Item", where: { grp: `g${i}` } }), grp: `g${i}` });
		await client.live({ entity: "Item", where: {}, order: [["n", "desc"], ["id", "asc"]], limit: 50 });
		await client.live({ fn: "items.count", args: { grp: `g${i}` } });
	}
	const exact = async () => {
		for (const l of lives) await scene.exact([l], of(l.grp));
	};
	for (const [what, statement] of [
		["are inserted", (t) => rows(t, `'g' || i % ${GROUPS}`, size.rows)],
		["are changed", (t) => `update ${t} set n = n + 1, note = 'changed'`],
	]) {
		const plain = await scene.during(() => writer.ask(statement("plain")));
		tell(`${size.rows} rows ${what} by one transaction`, await scene.during(() => writer.ask(statement('"Item"')).then(exact)), plain);
	}
	for (const n of [1, 5, 9]) {
		const change = (t) => (i) => `update ${t} set n = n + 1 where id in (select id from ${t} order by id offset ${i * OF_ONE} limit ${OF_ONE})`;
		const plain = await together(scene, n, change("plain"));
		const without = await scene.during(() => plain.commit().then(() => sleep(SETTLE)));
		const captured = await together(scene, n, change('"Item"'));
		tell(`${n} transactions of ${OF_ONE} rows in one tick`, await scene.during(() => captured.commit().then(exact)), without);
		await Promise.all([plain.end(), captured.end()]);
	}
	for (const client of clients) client.close();
	await writer.end();
	scene.stack.psql(`truncate "Item"`);
}

/** A live query of very many rows. */
async function hot(scene, size, tell) {
	const query = { entity: "Item", where: { grp: "hot" } }, sql = of("hot");
	const writer = scene.psql(), clients = [], lives = [];
	const come = async (options) => {
		const client = await scene.client(options);
		clients.push(client);
		lives.push({ client, live: client.subscribe(query) });
		return lives.at(-1);
	};
	const answered = () => until("all answers", () => lives.every((l) => l.live.answered), 60);
	const change = (where) => writer.ask(`update "Item" set n = n + 1 where grp = 'hot' and ${where}`);
	scene.stack.psql(rows('"Item"', "'hot'", size.hot));
	tell(`${size.hot} rows: the first who asks`, await scene.during(() => come().then(answered)));
	tell("and others, while rows change", await scene.during(async () => {
		for (let i = 0; i < size.watchers; i++) {
			await come({ encoding: i % 4 ? "json" : "msgpack", ws: { perMessageDeflate: i % 2 === 0 } });
			await change(`note = 'row ${i + 1}'`);
			await sleep(50);
		}
		await answered();
		await scene.exact(lives, sql);
	}));
	tell("a row changes, 40 a second", await scene.during(async () => {
		for (let i = 0; i < 60; i++) await change(`note = 'row ${i + 1}'`).then(() => sleep(25));
		await scene.exact(lives, sql);
	}));
	tell("all rows change", await scene.during(() => change("true").then(() => scene.exact(lives, sql))));
	const part = Math.floor(size.hot / 6);
	const many = await together(scene, 5, (i) => `update "Item" set n = n + 1 where id in (select id from "Item" where grp = 'hot' order by id offset ${i * part} limit ${part})`);
	tell(`5 transactions of ${part} of its rows in one tick`, await scene.during(() => many.commit().then(() => scene.exact(lives, sql))));
	await many.end();
	for (const client of clients) client.close();
	await writer.end();
	scene.stack.psql(`truncate "Item"`);
}

/** Very many sessions that have stopped reading, and read on at once. */
async function behind(scene, size, tell) {
	const writer = scene.psql();
	scene.stack.psql(rows('"Item"', "'behind'", 1));
	const crowd = await Crowd.open(scene.port, size.behind, { entity: "Item", where: { grp: "behind" } });
	let last = 0;
	const write = () => writer.ask(`update "Item" set n = n + 1, note = repeat('x', 20000) || ' change ${++last} ' where grp = 'behind'`);
	const all = () => until("all to have it", async () => (await crowd.having(last)) === size.behind, 120);
	tell(`${size.behind} sessions, one change of 20 kB`, await scene.during(() => write().then(all)));
	await crowd.pause();
	tell("they stop reading", await scene.during(() => until("all to be behind", async () => {
		await write();
		await sleep(100);
		return (await scene.stack.metric("millrace_sessions_behind")) === size.behind;
	}, 240)));
	tell("they have stopped, 20 changes", await scene.during(async () => {
		for (let i = 0; i < 20; i++) await write().then(() => sleep(50));
	}));
	tell("they read on", await scene.during(() => crowd.resume().then(all)));
	await crowd.close();
	await writer.end();
	scene.stack.psql(`truncate "Item"`);
}

/** One client with very many subscriptions. */
async function subscriptions(scene, size, tell) {
	const n = size.subscriptions, client = await scene.client();
	const one = (i) => ({ entity: "Item", where: { grp: "many", n: i } });
	const answered = (lives) => client.until("all answers", () => lives.every((l) => l.answered), 120);
	const gone = () => until("no subscription", async () => (await scene.stack.metric("millrace_subscriptions")) === 1, 60);
	const noted = (lives, note) => client.until("all to have it", () => lives.every((l) => !l.behind && l.list[0]?.note === note), 120);
	const note = (text, where = "true") => scene.stack.psql(`update "Item" set note = '${text}' where grp = 'many' and ${where}`);
	scene.stack.psql(rows('"Item"', "'many'", n));
	let lives;
	const subscribe = (query) => async () => {
		lives = Array.from({ length: n }, (_, i) => client.subscribe(query(i + 1)));
		await answered(lives);
	};
	tell(`${n} subscriptions of one client`, await scene.during(subscribe(one)));
	const some = Math.min(n, 9500);
	tell("a tick concerns all", await scene.during(() => (note("one tick", `n <= ${some}`), noted(lives.slice(0, some), "one tick"))));
	tell("their table changes in bulk", await scene.during(() => (scene.stack.psql(`truncate "Item"; ${rows('"Item"', "'many'", n)}`), noted(lives.slice(0, 1), "row 1"))));
	await client.until("all rows", () => lives.every((l, i) => l.list[0]?.note === `row ${i + 1}`), 120);
	tell("they go", await scene.during(() => (lives.forEach((l) => client.unsubscribe(l)), gone())));
	tell(`${n} equal ones`, await scene.during(subscribe(() => one(3))));
	tell("a tick concerns all", await scene.during(() => (note("equal", "n = 3"), noted(lives, "equal"))));
	tell("they go", await scene.during(() => (lives.forEach((l) => client.unsubscribe(l)), gone())));
	client.close();
	scene.stack.psql(`truncate "Item"`);
}

export const CASES = { ticks, hot, behind, subscriptions };
export { sleep };
