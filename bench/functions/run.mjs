// Starts what it needs, measures case by case, prints the tables of bench/README.md, and stops it.
import { goFirst, machine, measure, readOptions } from "../lib.mjs";
import { CASES, QUICK } from "./cases.mjs";
import { Rig } from "./rig.mjs";

const options = readOptions(CASES, QUICK);
const { quick, rounds, serving, value } = options;
const seconds = Number(value("--seconds", quick ? 1.5 : 6));
if (!(seconds > 0)) throw new Error("--seconds takes a number");

goFirst();
console.log(`${machine()}${serving.length ? `; ${serving.join(" ")}` : ""}; medians of ${rounds}`);
await measure("functions", options, (home) => new Rig({ home, quick, rounds, seconds, serving }));
