// What bench/*/run.mjs share: the options that all have, the machine, what processes have used, medians and tables.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { constants, cpus, loadavg, setPriority } from "node:os";
import { ROOT } from "../tests/lib/cli.mjs";

/** [--quick] [--only CASE,CASE] [--rounds N], and what stands behind `--`. */
export function readOptions(cases, quickOnes) {
	const cut = process.argv.indexOf("--");
	const args = process.argv.slice(2, cut < 0 ? undefined : cut);
	const value = (name, fallback) => {
		const at = args.indexOf(name);
		return at < 0 ? fallback : args[at + 1];
	};
	const quick = args.includes("--quick");
	const rounds = Number(value("--rounds", quick ? 1 : 3));
	if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error("--rounds takes a number");
	const all = Object.keys(cases);
	const chosen = value("--only", (quick ? quickOnes : all).join(",")).split(",");
	for (const name of chosen) if (!all.includes(name)) throw new Error(`no such case: ${name}; there are ${all.join(", ")}`);
	return { args, quick, rounds, chosen, serving: cut < 0 ? [] : process.argv.slice(cut + 1) };
}

export function machine() {
	const git = spawnSync("git", ["-C", ROOT, "describe", "--always", "--dirty"], { encoding: "utf8" });
	return `${cpus().length} cores (${cpus()[0].model}), load before ${loadavg()[0].toFixed(2)}; commit ${git.stdout?.trim() || "unknown"}; ${new Date().toISOString().slice(0, 10)}`;
}

/** On a machine that others use too, what is measured goes first, and what it is compared with as well: all inherit it. Root may. */
export function goFirst() {
	try {
		setPriority(constants.priority.PRIORITY_HIGHEST);
	} catch (e) {
		if (e.code !== "ERR_SYSTEM_ERROR") throw e;
	}
}

/** Microseconds of CPU of a process, all threads; those that ended meanwhile are not in it. */
export function cpu(pid) {
	let ns = 0;
	for (const task of readdirSync(`/proc/${pid}/task`)) ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
	return ns / 1000;
}

/** Of that, roughly (the kernel looks a hundred times a second), within system calls. */
export function cpuInSystem(pid) {
	const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
	return Number(fields[12]) * 10000;
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
export const of = (list, get) => median(list.map(get));

export function head(title, ...cells) {
	console.log(`\n${title}\n`);
	for (const line of [cells, cells.map(() => "---")]) row(...line);
}
export const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);
