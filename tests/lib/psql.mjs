// A psql that stays: one session of Postgres for a test that writes much, or holds a transaction open.
import { spawn } from "node:child_process";

export class Psql {
	static number = 0;
	out = "";
	err = "";
	line = Promise.resolve();
	constructor(conninfo) {
		this.child = spawn("psql", ["-qAtX", conninfo], { stdio: ["pipe", "pipe", "pipe"] });
		this.child.stdin.on("error", () => {});
		this.child.stdout.on("data", (d) => this.take("out", d));
		this.child.stderr.on("data", (d) => this.take("err", d));
		this.ended = new Promise((done) => this.child.once("close", done));
		this.ended.then(() => this.wake?.());
	}
	take(where, data) {
		this[where] += data;
		this.wake?.();
	}
	/** Runs statements, one call after the other; gives what they print. Throws what Postgres refuses. */
	ask(sql) {
		const done = this.line.then(() => this.run(sql));
		this.line = done.catch(() => {});
		return done;
	}
	async run(sql) {
		const mark = `mark ${++Psql.number}`;
		this.out = this.err = "";
		this.child.stdin.write(`${sql};\n\\echo ${mark}\n\\warn ${mark}\n`);
		while (!this.out.endsWith(`${mark}\n`) || !this.err.endsWith(`${mark}\n`)) {
			if (this.child.exitCode !== null) throw new Error(`psql ended: ${this.err}`);
			await new Promise((wake) => (this.wake = wake));
		}
		const said = this.err.slice(0, -mark.length - 1).trim();
		if (said.includes("ERROR:")) throw new Error(said);
		return this.out.slice(0, -mark.length - 1).trim();
	}
	async end() {
		this.child.stdin.end();
		await this.ended;
	}
}
