// node tests/checker/replay.mjs FILE [--times N] [--self-test drop]: does the history in FILE again (docs/consistency.md), and when it differs, a
// shorter one, which is printed. Exit status as of the check: 0 it does not differ any more, 1 it does, 2 it could not run.
import { readFileSync, writeFileSync } from "node:fs";
import { endAll, remove, temporary } from "../lib/cli.mjs";
import { Audit, AUDIT_SQL } from "./audit.mjs";
import { Checker } from "./checker.mjs";
import { Client } from "./client.mjs";
import { again, shorten, tell } from "./history.mjs";
import { QUERIES } from "./queries.mjs";
import { seeded } from "./random.mjs";
import { Stack } from "./stack.mjs";

const TIMES = 5;
const SETTLE_MS = 15000;

const [file] = process.argv.slice(2);
const option = (name) => process.argv[process.argv.indexOf(`--${name}`) + 1];
const times = process.argv.includes("--times") ? Number(option("times")) : TIMES;
const drops = process.argv.includes("--self-test");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function settled(checker, crowd) {
	for (const end = Date.now() + SETTLE_MS; Date.now() < end; await sleep(50)) if ((await checker.behindNow(crowd)).length === 0) return true;
	return false;
}

/** One attempt with clients of its own; true: something differed. */
async function differs(history, stack, reader, random) {
	const query = QUERIES.find((q) => JSON.stringify(q.ask) === JSON.stringify(history.ask));
	const checker = new Checker(new Audit(reader));
	const crowd = [0, 1].map((i) => new Client(i * 3, stack.url, random, checker));
	const left = { n: drops ? 1 : 0 };
	for (const client of crowd) {
		let watching = false;
		client.drops = (body) => watching && (body.put || body.segs || body.value) && left.n-- > 0;
		client.watches = async () => {
			client.add(query);
			while (![...client.held.values()].every((held) => held.has)) await sleep(20);
			watching = true;
		};
	}
	const running = crowd.map((client) => client.run());
	const psql = stack.psql();
	const pause = () => sleep(random.below(3) ? 0 : random.below(60));
	const judge = async () => {
		const right = await settled(checker, crowd);
		for (const client of crowd) client.stop();
		await Promise.all(running);
		await checker.judgeStates(true); // its rows may carry marks of calls that nobody asks for here
		return !right || checker.faults.length > 0;
	};
	const result = await again(history, { psql, clients: crowd, pause, judge });
	psql.close();
	return result;
}

const dir = temporary("replay");
let status = 2;
try {
	const history = JSON.parse(readFileSync(file, "utf8"));
	const random = seeded(history.seed ?? 1);
	const stack = new Stack(dir, random);
	await stack.start();
	stack.sql(AUDIT_SQL);
	const reader = stack.psql();
	let found = false;
	for (let i = 0; i < times && !found; i++) found = await differs(history, stack, reader, random);
	status = found ? 1 : 0;
	if (found) {
		const short = await shorten(history, (h) => differs(h, stack, reader, random));
		writeFileSync(file.replace(/(\.json)?$/, ".short.json"), JSON.stringify(short, null, "\t"));
		console.log(`DIFFERENCE ${JSON.stringify(history.ask)}: ${tell(short)}`);
	}
	console.log(found ? "it differs" : `it does not differ in ${times} times`);
	reader.close();
	await stack.stop();
} catch (e) {
	console.log(`the history could not be done again: ${e.stack}`);
}
await endAll();
Stack.unmount(dir);
remove(dir);
process.exit(status);
