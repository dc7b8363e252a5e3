// What the measurement is made of: a Postgres that is there all the time, our server that comes and goes (beside pgbench nothing of it shall
// run), loads, and what each has used meanwhile.
import { spawn } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BUILD, descendants, freePort, millrace, ROOT, serve } from "../../tests/lib/cli.mjs";
import { Psql } from "../../tests/lib/psql.mjs";
import { Load } from "../fanout/rig.mjs";
import { cpu, cpuInSystem, sleep } from "../lib.mjs";

export const WORKERS = 2, CONNECTIONS = 8;
/** Seconds until pgbench is warm: it makes plans. */
export const PGBENCH_WARM = 1;
/** As many as the workers have connections to Postgres. */
export const CLIENTS = WORKERS * CONNECTIONS;

const LONG = 600; // seconds: loads are ended when they were measured

export class Rig {
	constructor(options) {
		Object.assign(this, options);
		this.app = join(this.home, "app");
		cpSync(join(ROOT, "bench", "functions", "app"), this.app, { recursive: true });
		this.warm = Math.min(this.quick ? 2 : 8, 4 * this.seconds); // until what is used much is compiled: the first thousands of calls cost some times as much
		this.loads = new Set();
	}
	/** In the Postgres of another server that has nothing to do. */
	async database() {
		if (this.conninfo) return;
		const data = join(this.home, "host");
		this.migrate(data);
		this.host = await serve(["serve", "--app-dir", this.app, "--data-dir", data, "--port", String(await freePort()), "--workers", "1", "--outside-poll-interval", "10s", "--outside-poll-idle-interval", "10s"]);
		await this.host.ready();
		const own = readFileSync(join(data, "run", "database"), "utf8").trim();
		const first = new Psql(own);
		await first.ask("create database bench");
		await first.end();
		this.conninfo = own.replace(/dbname='?\w+'?/, "dbname=bench");
		this.migrate(join(this.home, "data"), { DATABASE_URL: this.conninfo });
		this.psql = new Psql(this.conninfo);
	}
	migrate(data, env = {}) {
		const { status, err } = millrace(["migrate", "--apply", "--app-dir", this.app, "--data-dir", data], { env });
		if (status !== 0) throw new Error(err);
	}
	ask(sql) {
		return this.psql.ask(sql);
	}

	/** Our server for the time of `what`, which is given its port. */
	async during(options, what) {
		await this.database();
		const port = await freePort();
		const all = ["--port", String(port), "--workers", String(WORKERS), "--worker-connections", String(CONNECTIONS), ...options, ...this.serving];
		this.server = await serve(["serve", "--app-dir", this.app, "--data-dir", join(this.home, "data"), ...all], { env: { DATABASE_URL: this.conninfo } });
		await this.server.ready();
		try {
			return await what(port);
		} finally {
			await this.server.stop();
		}
	}
	async metric(port, name) {
		const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
		const found = new RegExp(`^${name} (\\S+)$`, "m").exec(text);
		if (!found) throw new Error(`no counter ${name}`);
		return Number(found[1]);
	}

	/** Processes of the server by part, as of now. */
	async parts() {
		const below = (word) => descendants(this.server.pid).filter((p) => p.command.includes(word)).map((p) => p.pid);
		return { worker: below("millrace-worker"), workerBackends: await this.backends("worker"), fanout: below("millrace-fanout"), fanoutBackends: await this.backends("fanout|tick") };
	}
	/** Backends by the name that their programs gave. */
	async backends(pattern) {
		const pids = await this.ask(`select pid from pg_stat_activity where datname = current_database() and application_name ~ '${pattern}'`);
		return pids === "" ? [] : pids.split("\n").map(Number);
	}

	/** A load: what it has said so far, and a promise of its end. */
	start(command, args, env = {}) {
		const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
		const load = { pid: child.pid, child, out: "" };
		for (const stream of [child.stdout, child.stderr]) stream.on("data", (d) => (load.out += d));
		this.loads.add(child);
		load.ended = new Promise((resolve) => child.once("close", (code) => (this.loads.delete(child), resolve(code))));
		return load;
	}
	/** Calls through our server (load.c). */
	calls(port, words) {
		const list = Object.entries({ port, ...words }).map(([name, value]) => `${name}=${value}`);
		return this.start(join(BUILD, "bench", "functions", "load"), [...list, `seconds=${LONG}`]);
	}
	/** Clients that watch (bench/fanout/load.c), for all cases. */
	watchers() {
		return (this.watching ??= new Load());
	}
	/** What it tells at its end; an error when it was refused anything. */
	answered(load) {
		const told = JSON.parse(load.out);
		if (told.refused) throw new Error(load.out);
		return told;
	}
	pgbench(file, { clients = CLIENTS, define = {}, env = {}, more = [] }) {
		const defined = Object.entries(define).flatMap(([name, value]) => ["-D", `${name}=${value}`]);
		const args = ["-n", "-M", "prepared", "--max-tries=100000", "-P", "1", "-c", String(clients), "-j", "1", "-T", String(LONG), "-f", file, ...defined, ...more];
		return this.start("pgbench", [...args, this.conninfo], { PGAPPNAME: "pgbench", ...env });
	}

	/** Once the load is warm: how many of what is counted happen in a second, and microseconds of CPU for each, by part, of it
	 * within system calls. Then it is ended.
	 * count() begins to count and gives a function (seconds) that tells { n } and what else there is to say; parts(): pids by part. */
	async watch(load, what) {
		const over = load.ended.then(() => Promise.reject(new Error(`a load ended before it was measured: ${load.out.split("\n").slice(0, 8).join("\n")}`)));
		over.catch(() => {});
		const measuring = this.measure(what);
		measuring.catch(() => {});
		const result = await Promise.race([measuring, over]);
		load.child.kill("SIGINT");
		await load.ended;
		return result;
	}
	async measure({ count, parts, warm = this.warm }) {
		await sleep(warm * 1000);
		const pids = await parts();
		const spent = () => Object.fromEntries(Object.entries(pids).map(([name, list]) => [name, [cpu, cpuInSystem].map((get) => list.reduce((sum, pid) => sum + get(pid), 0))]));
		const counter = await count();
		const [began, before, busy] = [performance.now(), spent(), busySeconds()];
		await sleep(this.seconds * 1000);
		const [after, seconds] = [spent(), (performance.now() - began) / 1000];
		const cores = (busySeconds() - busy) / seconds;
		const { n, ...more } = await counter(seconds);
		if (!(n > 0)) throw new Error("nothing happened in the time that was measured");
		const each = (i) => Object.fromEntries(Object.keys(pids).map((name) => [name, (after[name][i] - before[name][i]) / n]));
		return { ...more, rate: n / seconds, cores, cpu: each(0), system: each(1) };
	}
	said() {
		return this.server?.err;
	}
	end() {
		for (const child of this.loads) child.kill();
		this.watching?.end();
		this.psql?.child.stdin.end();
	}
}

/** Seconds that all cores together were not idle. */
function busySeconds() {
	const [user, nice, system, , , irq, softirq] = readFileSync("/proc/stat", "utf8").split("\n")[0].split(/\s+/).slice(1).map(Number);
	return (user + nice + system + irq + softirq) / 100;
}
