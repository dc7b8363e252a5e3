// The fault points of the processes under test: a file that they share with us (proto/ground/fault.h tells its layout).
import { closeSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lib/cli.mjs";

const SLOT = 64;
const ACTIONS = { kill: 1n, stop: 2n, cut: 3n };

/** [{ name, process, cut }] in the order of the table. */
export function faultPoints() {
	const text = readFileSync(join(ROOT, "proto/tables/faults.toml"), "utf8");
	return text.split("[[fault]]").slice(1).map((entry) => ({
		name: /^name = "(\w+)"/m.exec(entry)[1],
		process: /^process = "(\w+)"/m.exec(entry)[1],
		cut: /^cut = true/m.test(entry),
	}));
}

export class FaultFile {
	constructor(path) {
		this.path = path;
		this.points = faultPoints();
		writeFileSync(path, Buffer.alloc(SLOT * (1 + this.points.length)));
		this.fd = openSync(path, "r+");
	}
	/** Word by word: the processes change the others meanwhile. */
	word(slot, index, value) {
		const bytes = Buffer.alloc(8);
		const at = slot * SLOT + index * 8;
		if (value !== undefined) {
			bytes.writeBigInt64LE(value);
			writeSync(this.fd, bytes, 0, 8, at);
		} else {
			readSync(this.fd, bytes, 0, 8, at);
		}
		return bytes.readBigInt64LE();
	}
	slot(name) {
		return 1 + this.points.findIndex((point) => point.name === name);
	}
	/** The next process that comes by does it. */
	arm(name, action) {
		this.word(this.slot(name), 0, ACTIONS[action]);
	}
	disarm() {
		for (const { name } of this.points) this.word(this.slot(name), 0, 0n);
	}
	isArmed(name) {
		return this.word(this.slot(name), 0) !== 0n;
	}
	/** The process that was stopped there since last asked, or 0. */
	takeStopped(name) {
		const pid = Number(this.word(this.slot(name), 3));
		if (pid) this.word(this.slot(name), 3, 0n);
		return pid;
	}
	shiftClock(milliseconds) {
		this.word(0, 0, BigInt(Math.round(milliseconds)) * 1000n);
	}
	/** With how many rows a table of a tick counts as a large one, of which one row is read; 0: by what it costs. */
	setLarge(rows) {
		this.word(0, 2, BigInt(rows));
	}
	/** How many sessions a turn of the fanout may tell; 0: as many as there is time for. */
	limitTurns(sessions) {
		this.word(0, 1, BigInt(sessions));
	}
	/** [{ name, done, passed }] */
	counts() {
		return this.points.map(({ name }) => ({ name, done: Number(this.word(this.slot(name), 1)), passed: Number(this.word(this.slot(name), 2)) }));
	}
	close() {
		closeSync(this.fd);
	}
}
