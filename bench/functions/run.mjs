// Starts what it needs, measures case by case, prints the tables of bench/README.md, and stops it.
import { endAll, remove, temporary } from "../../tests/lib/cli.mjs";
import { goFirst, machine, readOptions } from "../lib.mjs";
import { CASES, QUICK } from "./cases.mjs";
import { Rig } from "./rig.mjs";

const { args, quick, rounds, chosen, serving } = readOptions(CASES, QUICK);
const seconds = Number(args.includes("--seconds") ? args[args.indexOf("--seconds") + 1] : quick ? 1.5 : 6);
if (!(seconds > 0)) throw new Error("--seconds takes a number");

goFirst();
const home = temporary("functions");
const rig = new Rig({ home, quick, rounds, seconds, serving });
async function end(status) {
	rig.end();
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
	console.log(`${machine()}${serving.length ? `; ${serving.join(" ")}` : ""}; medians of ${rounds}`);
	for (const name of chosen) await CASES[name](rig);
	await end(0);
} catch (e) {
	console.error(e.stack);
	if (rig.server?.err) console.error(rig.server.err.trimEnd().split("\n").slice(-20).join("\n"));
	await end(1);
}
