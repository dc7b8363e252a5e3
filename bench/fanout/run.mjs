// Starts a server of its own, measures case by case, each in turn with the floor, and prints the tables of bench/README.md.
import { goFirst, machine, measure, readOptions } from "../lib.mjs";
import { CASES, QUICK } from "./cases.mjs";
import { Load, Server } from "./rig.mjs";

const options = readOptions(CASES, QUICK);
const { has, quick, rounds } = options;

goFirst();
console.log(`${machine()}; medians of ${rounds}`);
await measure("fanout", options, async (home) => {
	const server = await Server.start(home);
	const load = new Load();
	return { quick, rounds, peers: !quick && !has("--no-peers"), home, server, load, end: () => load.end(), said: () => server.process.err };
});
