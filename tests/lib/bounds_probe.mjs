// Another client, in a process of its own, so that what the loads' clients read does not delay what it measures: every 20 ms it calls a
// mutation of a row that a second socket watches, and every 5 ms a third socket sends a ping. Told "begin" and "end" by its parent, it
// answers with what was seen between.
import { Client } from "./stack.mjs";

const MARK_EVERY = 20, PING_EVERY = 5;
const [url] = process.argv.slice(2);
const stack = { url };
const sent = []; // when each mark was
let pinged = [], shown = 0, first = 0, lastTick = 0, measuring = false, seen;

class Watcher extends Client {
	take(m) {
		super.take(m);
		this.messages.length = 0;
		if (m.t !== "transition" || !this.marks) return;
		const now = performance.now(), n = this.marks.list[0]?.n ?? 0;
		if (measuring) seen.gap = Math.max(seen.gap, now - lastTick);
		lastTick = now;
		for (; shown < n; shown++) if (measuring && shown >= first) seen.marks.push(now - sent[shown]);
	}
}
class Pinger extends Client {
	take(m) {
		super.take(m);
		this.messages.length = 0;
		if (m.t === "pong" && pinged.length) seen.pongs.push(performance.now() - pinged.shift());
	}
}
const writer = await new Client(stack, { positions: false }).ready();
const counter = await writer.value("hot.make", { name: "marks" });
const watcher = await new Watcher(stack, { positions: false }).ready();
watcher.marks = await watcher.live({ entity: "Counter", where: { name: "marks" } });
const pinger = await new Pinger(stack, { positions: false }).ready();

let marking, pinging;
function begin() {
	seen = { marks: [], pongs: [], gap: 0 };
	pinged = [];
	first = sent.length;
	lastTick = performance.now();
	measuring = true;
	marking = setInterval(() => {
		writer.messages.length = 0;
		writer.results.clear();
		sent.push(performance.now());
		writer.send({ t: "call", id: writer.callId(), fn: "hot.add1", args: { id: counter } });
	}, MARK_EVERY);
	pinging = setInterval(() => {
		pinged.push(performance.now());
		pinger.send({ t: "ping" });
	}, PING_EVERY);
}
/** When all that was sent has been seen. */
async function end() {
	clearInterval(marking);
	clearInterval(pinging);
	await watcher.until("all marks", () => shown === sent.length, 120);
	measuring = false;
	await pinger.until("all pongs", () => !pinged.length, 120);
	return seen;
}
process.on("message", async (command) => {
	if (command === "begin") begin();
	process.send(command === "end" ? await end() : {});
});
process.on("disconnect", () => process.exit(0));
process.send({});
