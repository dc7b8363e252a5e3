// Starts a server of its own and measures what clients that stop reading cost it and the others; stops it.
import { Scene } from "../../tests/lib/stopped.mjs";
import { columns, readWords, row } from "../lib.mjs";

const { quick, value: word } = readWords();
const value = (name, fallback) => Number(word(name, fallback));
const seconds = value("--seconds", quick ? 5 : 60);
const stopped = value("--stopped", quick ? 100 : 500);
const readers = value("--readers", 20);
const rate = value("--rate", quick ? 2000 : 10000);

const scene = await Scene.start([]);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void scene.stop().then(() => process.exit(130)));
const tell = (name, r) =>
	row(name, r.rate, r.ticks, r.transitions, `${r.p50} / ${r.p99}`, r.cpu.toFixed(1), `${Math.round(r.rss[0])} / ${Math.round(Math.max(...r.rss))} / ${Math.round(r.rss.at(-1))}`, Math.round(r.kernel));
// Two of them read all, in both encodings, so that every live query is there with and without those that stop.
const going = [...(await scene.clients(readers - 2, false)), ...(await scene.clients(2, true, readers))];
await scene.load(quick ? 1 : 3, rate, going);
columns("", "rows/s", "ticks", `transitions of ${readers} readers`, "age of what they are told, p50 / p99 ms", "CPU s of the fanout", "its memory, first / most / last MB", "TCP memory of the machine, MB");
const without = await scene.load(seconds, rate, going);
tell("no stopped client", without);
const still = await scene.clients(stopped, true, readers);
const base = scene.rss();
for (const c of still) c.ws.pause();
tell(`${stopped} clients stop reading`, await scene.load(quick ? 3 : 10, rate, going));
const within = await scene.load(seconds, rate, going);
tell(`${stopped} have stopped`, within);
const behind = await scene.stack.metric("millrace_behind_total");
const back = await scene.readOn(still, within.middle);
await scene.exact(going);
const mean = (list) => (list.reduce((sum, x) => sum + x, 0) / list.length).toFixed(1);
console.log(`\ntransitions: ${(within.transitions / without.transitions).toFixed(2)} of those without; p50 ${(within.p50 / without.p50).toFixed(2)}, p99 ${(within.p99 / without.p99).toFixed(2)} times`);
console.log(`memory of the fanout: ${Math.round(base)} MB with all connected, ${Math.round(Math.max(...within.rss) - base)} MB more at the most, ${Math.round(((Math.max(...within.rss) - base) * 1024) / stopped)} kB for each that stopped; ${behind} marked as behind`);
console.log(`read on: all exact after ${back.took} ms, ${mean(back.transitions)} transitions each, ${mean(back.late)} of them of after the middle of the run`);
for (const c of still) c.ws.terminate();
await scene.load(Math.max(2, seconds / 10), rate, going);
const again = await scene.comeBack(still);
console.log(`came back after ${Math.max(2, seconds / 10)} s on new sockets, all at once: exact after ${again.took} ms, ${again.kept} queries kept with what changed, ${again.full} told whole`);
console.log(`memory of the fanout at the end: ${Math.round(scene.rss())} MB`);
await scene.stop();
