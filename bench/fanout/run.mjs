// Starts a server of its own, measures case by case, each in turn with the floor, and prints the tables of bench/README.md.
import { spawnSync } from "node:child_process";
import { constants, cpus, loadavg, setPriority } from "node:os";
import { endAll, remove, ROOT, temporary } from "../../tests/lib/cli.mjs";
import * as cases from "./cases.mjs";
import { Load, Server } from "./rig.mjs";

const args = process.argv.slice(2);
const value = (name, fallback) => {
	const at = args.indexOf(name);
	return at < 0 ? fallback : args[at + 1];
};
const quick = args.includes("--quick");
const options = { quick, rounds: Number(value("--rounds", quick ? 1 : 3)), peers: !quick && !args.includes("--no-peers") };
if (!Number.isSafeInteger(options.rounds) || options.rounds < 1) throw new Error("--rounds takes a number");
const all = Object.keys(cases.CASES);
const chosen = value("--only", (quick ? cases.QUICK : all).join(",")).split(",");
for (const name of chosen) if (!all.includes(name)) throw new Error(`no such case: ${name}; there are ${all.join(", ")}`);

function machine() {
	const git = spawnSync("git", ["-C", ROOT, "describe", "--always", "--dirty"], { encoding: "utf8" });
	return `${cpus().length} cores (${cpus()[0].model}), load before ${loadavg()[0].toFixed(2)}; commit ${git.stdout?.trim() || "unknown"}; ${new Date().toISOString().slice(0, 10)}`;
}

/** On a machine that others use too, what is measured goes first, the server as the floor and the peers: all inherit it. Root may. */
function goFirst() {
	try {
		setPriority(constants.priority.PRIORITY_HIGHEST);
	} catch (e) {
		if (e.code !== "ERR_SYSTEM_ERROR") throw e;
	}
}

goFirst();
const home = temporary("fanout");
const rig = { ...options, home };
async function end(status) {
	rig.load?.end();
	await endAll();
	remove(home);
	process.exit(status);
}
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void end(130));
process.once("unhandledRejection", (e) => {
	console.error(e);
	void end(1); // what was started is ended all the same
});

try {
	console.log(`${machine()}; medians of ${options.rounds}`);
	rig.server = await Server.start(home);
	rig.load = new Load();
	for (const name of chosen) await cases.CASES[name](rig);
	await end(0);
} catch (e) {
	console.error(e.stack);
	if (rig.server?.process.err) console.error(rig.server.process.err.trimEnd().split("\n").slice(-20).join("\n"));
	await end(1);
}
