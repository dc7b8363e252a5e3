// Very many clients of one list with one row, in a process of their own (tests/flow/bounds_crowd.c).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { BUILD } from "./cli.mjs";

export class Crowd {
	static async open(port, n, query) {
		const crowd = new Crowd();
		const members = JSON.stringify(query).slice(1, -1);
		crowd.child = spawn(join(BUILD, "tests", "bounds_crowd"), [String(port), String(n), members], { stdio: ["pipe", "pipe", "inherit"] });
		crowd.lines = createInterface({ input: crowd.child.stdout })[Symbol.asyncIterator]();
		await crowd.line();
		return crowd;
	}
	async line() {
		const { value, done } = await this.lines.next();
		if (done) throw new Error("the crowd has ended");
		return value;
	}
	tell(command) {
		this.child.stdin.write(`${command}\n`);
		return this.line();
	}
	pause() {
		return this.tell("pause");
	}
	resume() {
		return this.tell("resume");
	}
	/** How many were told this change last. */
	async having(change) {
		return Number(await this.tell(`having ${change}`));
	}
	async close() {
		this.child.stdin.end();
		await once(this.child, "exit");
	}
}
