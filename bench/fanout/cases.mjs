// The cases: what is done, with what it is compared, and the table that is printed of it.
import { add, bare, clients, cpuDuring, Floor } from "./rig.mjs";

/** Readers look so often (us) where CPU is counted: who is woken on the same machine costs the writer, and remote readers are not. */
const PACE = 200;

export const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const of = (list, get) => median(list.map(get));
let runs = 0;
/** A channel that nobody has used, so that its live queries begin empty. */
const room = () => `room-${String(++runs).padStart(6, "0")}`;

let lines = [];
function head(title, ...cells) {
	console.log(`\n${title}\n`);
	lines = [cells, cells.map(() => "---")];
	for (const line of lines) console.log(`| ${line.join(" | ")} |`);
}
const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);

/** Millrace's clients and writers, for the time of `what`. */
async function withMillrace(rig, { n, channels, writers, ...more }, what) {
	const { load, server } = rig;
	await load.tell("open", clients(server, n, channels, more));
	await load.tell("writers", { via: "http", port: server.port, n: writers });
	const result = await what();
	await load.tell("unwriters");
	await load.tell("close");
	return result;
}

/** A floor with as many clients, warm. */
async function withFloor(rig, n, what) {
	const { load } = rig;
	const floor = await Floor.start();
	await load.tell("control", { port: floor.port });
	await load.tell("open", bare(floor, n));
	await load.tell("warm", { n: 30 });
	const result = await what(floor);
	await load.tell("close");
	await load.tell("uncontrol");
	await floor.stop();
	return result;
}

const each = (r) => r.cpu / r.deliveries;

/** Writes with so many under way; then the floor with what client 0 was told, and with what was committed when. */
async function deliveryPair(rig, { n, underWay, count }) {
	const { load, server } = rig;
	const channel = room();
	await load.tell("pace", { us: PACE });
	const write = (k, of) => load.tell("write", { text: add(channel), underWay: k, count: of, expect: n, patience: 120 });
	const pair = {};
	pair.ours = await withMillrace(rig, { n, channels: [channel], writers: underWay }, async () => {
		await write(1, 30); // and a frame of one row is recorded
		if (underWay > 1) await write(underWay, underWay * 4);
		return cpuDuring(server.pid, () => write(underWay, count));
	});
	await withFloor(rig, n, async (floor) => {
		if (underWay > 1) pair.pending = await cpuDuring(floor.pid, () => load.tell("replay", { patience: 120 }));
		pair.frames = await cpuDuring(floor.pid, () => load.tell("replay", { frames: 1, patience: 120 }));
	});
	await load.tell("pace", { us: 0 });
	return pair;
}

async function delivery(rig, depths) {
	const n = 1000;
	head(
		`CPU us for each row that one of ${n} clients of one live query is told`,
		...["writes under way", "Millrace", "floor: all that is pending at once", "ratio", "floor: the same frames", "ratio", "rows a frame", "bytes a frame", "writes/s"],
	);
	for (const [underWay, count] of depths) {
		const pairs = [];
		for (let i = 0; i < rig.rounds; i++) pairs.push(await deliveryPair(rig, { n, underWay, count }));
		const ours = of(pairs, (p) => each(p.ours));
		const beside = (which) => [of(pairs, (p) => each(p[which])).toFixed(2), of(pairs, (p) => each(p.ours) / each(p[which])).toFixed(2)];
		const last = pairs.at(-1).ours;
		row(
			...[underWay, ours.toFixed(2), ...(underWay > 1 ? beside("pending") : ["", ""]), ...beside("frames")],
			...[(last.writes / last.frames).toFixed(1), (last.frameBytes / last.frames).toFixed(0), of(pairs, (p) => p.ours.writes / p.ours.seconds).toFixed(0)],
		);
	}
}

export const CASES = {
	delivery: (rig) => delivery(rig, [[1, rig.quick ? 150 : 400]]),
	depth: (rig) => delivery(rig, rig.quick ? [[16, 1000]] : [[16, 3000], [64, 4000], [256, 5000], [1024, 6000]]),
};
export const QUICK = ["delivery", "depth"];
