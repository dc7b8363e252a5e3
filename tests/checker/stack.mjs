// The system under test: `millrace dev` with a private Postgres, started again whenever it dies, each time with other settings.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { alive, copyPostgres, descendants, freePort, millrace, MILLRACE, ROOT, serve } from "../lib/cli.mjs";
import { Psql } from "./audit.mjs";
import { sign } from "../lib/stack.mjs";
import { FaultFile } from "./points.mjs";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const DISK_BYTES = 768 << 20;
const SMALLEST_RING = 4096;
const TOKEN_SECONDS = 7 * 86400;

/** Settings that decide which way a change takes. */
const DRAWN = {
	"ring-bytes": [4194304, SMALLEST_RING, 65536],
	"fanout-threads": [1, 3, 2],
	workers: [2, 1, 3],
	"worker-connections": [8, 3],
	"history-bytes": [4194304, 65536],
	"send-buffer": [262144, 16384],
	"reactive-max-hold": [2000, 100],
	"tick-min-interval": [0, 3],
	"capture-max-rows": [10000, 3],
};

export class Stack {
	/** fixed: settings that are not drawn; env: more environment of the server. */
	constructor(dir, random, { fixed = {}, env = {} } = {}) {
		Object.assign(this, { fixed, env, dir, random, data: join(dir, "data"), app: join(dir, "app"), lives: 0, smallRings: 0, stopping: false, disk: false, psqls: [] });
		this.faults = new FaultFile(join(dir, "faults"));
	}
	async start() {
		cpSync(join(ROOT, "tests/checker/app"), this.app, { recursive: true });
		this.port = await freePort();
		this.ownDisk();
		copyPostgres(this.app, this.data);
		await this.serve();
		this.kept = this.keepUp();
	}
	/** A disk of its own for Postgres, so that it can be filled. Needs the right to mount; without it that fault is left out. */
	ownDisk() {
		const at = join(this.data, "pg");
		mkdirSync(at, { recursive: true });
		this.disk = process.env.MR_OWN_MOUNTS === "1" && spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES},mode=755`, "none", at]).status === 0;
	}
	token(sub) {
		return sign(readFileSync(join(this.data, "secret"), "utf8").trim(), { sub, exp: Math.floor(Date.now() / 1000) + TOKEN_SECONDS });
	}
	get diskPath() {
		return join(this.data, "pg");
	}
	draw() {
		return Object.entries(DRAWN).flatMap(([name, values]) => [`--${name}`, String(this.fixed[name] ?? this.random.pick(values))]);
	}
	async serve() {
		const settings = this.draw();
		if (Number(settings[settings.indexOf("--ring-bytes") + 1]) === SMALLEST_RING) this.smallRings++;
		const args = ["dev", "--app-dir", this.app, "--data-dir", this.data, "--port", String(this.port), ...settings];
		this.server = await serve(args, { env: { ...this.env, MR_FAULTS_FILE: this.faults.path } });
		this.lives++;
		await this.server.ready();
		this.url = this.server.url;
	}
	/** Whoever runs it in earnest has systemd start it again. */
	async keepUp() {
		while (!this.stopping) {
			await this.server.ended;
			this.log = `${this.output}--- it ended ---\n`.slice(-2000000);
			while (!this.stopping && this.server.over) await this.serve().catch((e) => this.notStarted(e));
		}
	}
	notStarted(e) {
		this.log = `${this.log ?? ""}${e.message}\n`;
		return sleep(500);
	}
	/** What all lives said. */
	get output() {
		return `${this.log ?? ""}${this.server.out}${this.server.err}`;
	}
	get pid() {
		return this.server.pid;
	}
	/** Processes of ours whose program is this, or the supervisor. */
	pids(name) {
		if (name === "supervisor") return alive(this.pid) ? [this.pid] : [];
		return descendants(this.pid).filter((p) => p.command.includes(`/millrace-${name} `)).map((p) => p.pid);
	}
	/** What each process does: R runs, S sleeps, T is stopped. */
	states() {
		const state = ({ pid, command }) => {
			try {
				return `${readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) (\S).*$/s, "$1")} ${pid} ${command.replace(/ --.*/, "")}`;
			} catch {
				return `gone ${pid}`;
			}
		};
		return descendants(this.pid).map(state).filter((text) => !text.includes("postgres:") || text.startsWith("T"));
	}
	postmaster() {
		try {
			return Number(readFileSync(join(this.data, "pg/data/postmaster.pid"), "utf8").split("\n")[0]);
		} catch {
			return 0; // it is down
		}
	}
	sql(text) {
		const { status, err } = millrace(["psql", "--data-dir", this.data, "--", "-qX", "-v", "ON_ERROR_STOP=1", "-c", text]);
		if (status !== 0) throw new Error(err);
	}
	psql() {
		const psql = new Psql(MILLRACE, ["psql", "--data-dir", this.data, "--", "-qAtX", "-v", "ON_ERROR_STOP=0"]);
		this.psqls.push(psql);
		return psql;
	}
	async stop() {
		this.stopping = true;
		await this.server.stop();
		await this.kept;
		this.faults.close();
	}
	/** When nothing runs any more. */
	static unmount(dir) {
		spawnSync("umount", ["-l", join(dir, "data/pg")], { stdio: "ignore" });
	}
}
