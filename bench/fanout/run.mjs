// Starts a server of its own, measures case by case, each in turn with the floor, and prints the tables of bench/README.md.
import { endAll, remove, temporary } from "../../tests/lib/cli.mjs";
import { goFirst, machine, readOptions } from "../lib.mjs";
import * as cases from "./cases.mjs";
import { Load, Server } from "./rig.mjs";

const { args, quick, rounds, chosen } = readOptions(cases.CASES, cases.QUICK);

goFirst();
const home = temporary("fanout");
const rig = { quick, rounds, peers: !quick && !args.includes("--no-peers"), home };
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
	console.log(`${machine()}; medians of ${rounds}`);
	rig.server = await Server.start(home);
	rig.load = new Load();
	for (const name of chosen) await cases.CASES[name](rig);
	await end(0);
} catch (e) {
	console.error(e.stack);
	if (rig.server?.process.err) console.error(rig.server.process.err.trimEnd().split("\n").slice(-20).join("\n"));
	await end(1);
}
