// Starts a server of its own for each case, measures what others see while it is at its bounds, prints a table, stops it.
import { CASES, Scene, sleep } from "../../tests/lib/bounds.mjs";
import { columns, readOptions, row } from "../lib.mjs";

const { chosen, quick, serving } = readOptions(CASES, Object.keys(CASES));
const size = quick ? { rows: 60_000, hot: 20_000, watchers: 5, behind: 500, subscriptions: 2000 } : { rows: 1_000_000, hot: 49_000, watchers: 20, behind: 10_000, subscriptions: 10_000 };

const ms = (...values) => values.map((v) => v.toFixed(v < 10 ? 1 : 0)).join(" / ");
columns("load", "it takes, s", "others, p50 / p99 ms", "without it", "p99 : without", "longest gap of ticks, ms", "without it", "longest pong, ms", "memory, before / most MB");
for (const name of chosen) {
	const scene = await Scene.start(["--call-time-limit", "5m", ...serving]);
	const end = (status) => scene.stop().then(() => process.exit(status));
	for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void end(130));
	await scene.during(() => sleep(1000)); // until all is warm
	scene.least = quick ? 2000 : 10_000; // of a few samples the last hundredth is the worst one
	const idle = await scene.during(() => undefined);
	await CASES[name](scene, size, (load, seen, without = idle) =>
		row(load, (seen.took / 1000).toFixed(1), ms(seen.p50, seen.p99), ms(without.p50, without.p99), (seen.p99 / without.p99).toFixed(1), ms(seen.gap), ms(without.gap), ms(seen.pong), ms(seen.before, seen.most)));
	await scene.stop();
}
