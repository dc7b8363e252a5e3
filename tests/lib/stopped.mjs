// Clients that stop reading while rows change: what it costs the server and the others, and how they come back. For bench/stopped and
// tests/flow/big_stopped.mjs, which differ in scale only.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { descendants } from "./cli.mjs";
import { Client, sleep, Stack, until } from "./stack.mjs";

export const GROUPS = 20, ROWS_OF_GROUP = 20;
const WINDOW = 10;

/** Keeps no messages; notes how old what it is told is. */
class Reader extends Client {
	ages = [];
	ticks = []; // of its transitions
	take(m) {
		super.take(m);
		this.messages.length = 0;
		if (m.t !== "transition") return;
		this.ticks.push(m.n);
		const stamp = this.noted && this.newest(m);
		if (stamp) this.ages.push(Date.now() - stamp);
	}
	newest(m) {
		let stamp = 0;
		for (const b of m.b ?? []) for (const [, change] of b.patch ?? []) stamp = Math.max(stamp, Number.parseInt(change.note ?? "0", 10));
		return stamp;
	}
}

export class Scene {
	/** padding: bytes that each change carries beside the rest. */
	static async start(options = [], padding = 0) {
		const scene = new Scene();
		scene.stack = await Stack.start(["--ping-interval", "10m", ...options]);
		scene.stack.psql(`insert into "Item" (id, grp, n, note) select gen_random_uuid(), 'g' || g / ${ROWS_OF_GROUP}, g, '0' from generate_series(0, ${GROUPS * ROWS_OF_GROUP - 1}) g`);
		scene.script = join(scene.stack.home, "change.sql");
		writeFileSync(scene.script, `\\set g random(0, ${GROUPS - 1})\nupdate "Item" set note = (extract(epoch from clock_timestamp()) * 1000)::bigint || ' ${"x".repeat(padding)}' where grp = 'g' || :g;\n`);
		scene.fanout = descendants(scene.stack.server.pid).find((p) => p.command.includes("/millrace-fanout ")).pid;
		return scene;
	}
	/** A client with a list of its own group, a window, and a function's result. The others have much more to read: a list of all rows. */
	async client(i, much) {
		const c = await new Reader(this.stack, { positions: false, encoding: i % 2 ? "json" : "msgpack" }).ready();
		c.grp = `g${i % GROUPS}`;
		if (much) c.all = await c.live({ entity: "Item", where: {} });
		c.own = await c.live({ entity: "Item", where: { grp: c.grp } });
		c.top = await c.live({ entity: "Item", where: {}, order: [["note", "desc"], ["id", "asc"]], limit: WINDOW });
		c.fn = await c.live({ fn: "items.inGroup", args: { grp: "g0" } });
		return c;
	}
	async clients(n, much, from = 0) {
		const all = [];
		for (let i = 0; i < n; i += 25) all.push(...(await Promise.all(Array.from({ length: Math.min(25, n - i) }, (_, k) => this.client(from + i + k, much)))));
		return all;
	}
	rss() {
		return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.fanout}/status`, "utf8"))[1]) / 1024;
	}
	/** CPU seconds so far. */
	cpu() {
		const stat = readFileSync(`/proc/${this.fanout}/stat`, "utf8");
		const f = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return (Number(f[11]) + Number(f[12])) / 100;
	}
	kernel() {
		return (Number(/TCP:.* mem (\d+)/.exec(readFileSync("/proc/net/sockstat", "utf8"))[1]) * 4096) / 1048576;
	}
	/** Changes rows for some seconds at this rate (rows a second, in transactions of 20); gives what the readers had and what the fanout needed. */
	async load(seconds, rate, readers, enough) {
		const [changes, ticks, cpu] = [await this.stack.metric("millrace_changes_total"), await this.stack.metric("millrace_ticks_total"), this.cpu()];
		for (const r of readers) {
			r.ages = [];
			r.noted = true;
			r.before = r.transitions;
		}
		const args = ["-n", "-M", "prepared", "-f", this.script, "-c", "8", "-j", "1", "-R", String(rate / ROWS_OF_GROUP), "-T", String(seconds)];
		const bench = spawn("pgbench", [...args, this.conninfo()], { stdio: ["ignore", "pipe", "pipe"] });
		let text = "";
		for (const stream of [bench.stdout, bench.stderr]) stream.on("data", (d) => (text += d));
		const ended = new Promise((done) => bench.once("close", done));
		const rss = [], kernel = [];
		let over = false, middle = 0;
		const half = setTimeout(() => (middle = Math.max(...readers.map((r) => r.n))), seconds * 500);
		void ended.then(() => (over = true));
		while (!over) {
			if (await enough?.()) bench.kill("SIGINT");
			rss.push(this.rss());
			kernel.push(this.kernel());
			await Promise.race([ended, sleep(250)]);
		}
		const status = await ended;
		assert.ok(status === 0 || enough, text);
		clearTimeout(half);
		await sleep(200);
		for (const r of readers) r.noted = false;
		const ages = readers.flatMap((r) => r.ages).sort((a, b) => a - b);
		const at = (q) => ages[Math.min(ages.length - 1, Math.floor(q * ages.length))] ?? NaN;
		return {
			rows: (await this.stack.metric("millrace_changes_total")) - changes,
			rate: Math.round(((await this.stack.metric("millrace_changes_total")) - changes) / seconds),
			ticks: (await this.stack.metric("millrace_ticks_total")) - ticks,
			transitions: readers.reduce((sum, r) => sum + r.transitions - r.before, 0),
			ages,
			p50: at(0.5),
			p99: at(0.99),
			cpu: this.cpu() - cpu,
			rss,
			middle, // the tick in the middle of it
			kernel: Math.max(...kernel),
		};
	}
	conninfo() {
		return readFileSync(join(this.stack.data, "run", "database"), "utf8").trim();
	}
	/** All of them read on: how long until each is exact, how many transitions that took, and how many of these are of after tick `since`. */
	async readOn(clients, since) {
		const began = Date.now();
		for (const c of clients) {
			c.ticks = [];
			c.ws.resume();
		}
		await this.exact(clients, 120);
		const took = Date.now() - began;
		return { took, transitions: clients.map((c) => c.ticks.length), late: clients.map((c) => c.ticks.filter((n) => n > since).length) };
	}
	/** Their sockets broke, rows changed meanwhile, and all come at once with what they hold and where they were. */
	async comeBack(clients) {
		const counts = async () => [await this.stack.metric("millrace_resumes_kept_total"), await this.stack.metric("millrace_resumes_full_total")];
		const before = await counts();
		const began = Date.now();
		await Promise.all(clients.map((c) => c.again()));
		await this.exact(clients, 120);
		const after = await counts();
		return { took: Date.now() - began, kept: after[0] - before[0], full: after[1] - before[1] };
	}
	/** Waits until each shows what the tables hold. */
	async exact(clients, seconds = 60) {
		const rows = this.stack.rows(`select id, grp, n, note from "Item"`);
		const plain = (list) => JSON.stringify(list.map(({ id, grp, n, note }) => [id, grp, n, note ?? null]).sort());
		const expected = new Map();
		const is = (key, list) => expected.get(key) ?? expected.set(key, plain(list())).get(key);
		const changes = (list) => list.reduce((sum, row) => sum + row.n + Number.parseInt(row.note, 10), 0);
		const done = changes(rows);
		const top = rows.toSorted((a, b) => (a.note < b.note ? 1 : a.note > b.note ? -1 : a.id < b.id ? -1 : 1)).slice(0, WINDOW);
		const first = rows.filter((r) => r.grp === "g0");
		const holds = (c) =>
			(!c.all || (changes(c.all.list) === done && plain(c.all.list) === is("all", () => rows))) && plain(c.own.list) === is(c.grp, () => rows.filter((r) => r.grp === c.grp)) &&
			plain(c.top.list) === is("top", () => top) && plain(c.fn.value) === is("fn", () => first);
		for (const c of clients) await c.until("all that the tables hold", () => holds(c), seconds);
	}
	stop() {
		return this.stack.stop();
	}
}

export { sleep, until };
