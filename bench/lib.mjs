// What bench/*/run.mjs share: the options that all have, the machine, beginning and end, what processes have used, medians and tables.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { constants, cpus, loadavg, setPriority } from "node:os";
import { endAll, remove, ROOT, temporary } from "../tests/lib/cli.mjs";

/** What was said: whether a word is there, the word behind one, and what stands behind `--`, which is for the server. */
export function readWords() {
	const cut = process.argv.indexOf("--");
	const args = process.argv.slice(2, cut < 0 ? undefined : cut);
	const has = (name) => args.includes(name);
	const value = (name, fallback) => (has(name) ? args[args.indexOf(name) + 1] : fallback);
	return { has, value, quick: has("--quick"), serving: cut < 0 ? [] : process.argv.slice(cut + 1) };
}

/** [--quick] [--only CASE,CASE] [--rounds N], and what readWords() gives. */
export function readOptions(cases, quickOnes) {
	const words = readWords();
	const { quick, value } = words;
	const rounds = Number(value("--rounds", quick ? 1 : 3));
	if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error("--rounds takes a number");
	const all = Object.keys(cases);
	const chosen = value("--only", (quick ? quickOnes : all).join(",")).split(",");
	for (const name of chosen) if (!all.includes(name)) throw new Error(`no such case: ${name}; there are ${all.join(", ")}`);
	return { ...words, cases, rounds, chosen };
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

/** Measures the cases that were chosen, each with the rig that begin(home) gives, and ends the process. What was started is ended first, however
 * it goes and when it is told to stop: rig.end(), and what tests/lib/cli.mjs knows of. rig.said() is what the server said, for when it fails. */
export async function measure(name, { cases, chosen }, begin) {
	const home = temporary(name);
	let rig;
	async function end(status) {
		rig?.end();
		await endAll();
		remove(home);
		process.exit(status);
	}
	for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void end(130));
	process.once("unhandledRejection", (e) => {
		console.error(e);
		void end(1);
	});
	try {
		rig = await begin(home);
		for (const one of chosen) await cases[one](rig);
		await end(0);
	} catch (e) {
		console.error(e.stack);
		if (rig?.said()) console.error(lastWords(rig.said()));
		await end(1);
	}
}
const lastWords = (said) => said.trimEnd().split("\n").slice(-20).join("\n");

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
	columns(...cells);
}
export function columns(...cells) {
	for (const line of [cells, cells.map(() => "---")]) row(...line);
}
export const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);
