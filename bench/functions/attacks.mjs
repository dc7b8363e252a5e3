// Functions that misbehave, one after the other, and what others notice: a steady load of plain calls, without and with an attacker who calls
// such a function again and again.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { until } from "../../tests/lib/cli.mjs";
import { head, of, row, sleep } from "../lib.mjs";
import { CONNECTIONS, WORKERS } from "./rig.mjs";

const LIMITS = { "function-time-limit": "300ms", "call-time-limit": "2s", "action-time-limit": "2s", "worker-memory-limit": "200MB" };
const RATE = 100, SESSIONS = 32;
const ATTACKS = {
	throws: "throws",
	recurses: "calls itself for ever",
	cycle: "returns a cycle",
	huge: "returns 100 MB",
	forever: "awaits for ever",
	logs: "logs for ever",
	loops: "loops",
	promises: "loops over awaits",
	regex: "matches for ever",
	allocates: "allocates for ever",
	fetches: "opens 10,000 fetches",
};

const FLOOR = "(nothing: a process beside the server that loops)";

/** A server that never answers. */
async function silent() {
	const server = createServer(() => undefined);
	await new Promise((done) => server.listen(0, "127.0.0.1", done));
	return { url: `http://127.0.0.1:${server.address().port}/`, stop: () => (server.closeAllConnections(), server.close()) };
}

/** What others are answered for the time that is measured. */
async function others(rig, port, seconds = rig.seconds) {
	const load = rig.calls(port, { fn: "notes.add", args: '{"channel":"general","body":"<unique>"}', sessions: SESSIONS, rate: RATE });
	await sleep(seconds * 1000);
	load.child.kill("SIGINT");
	await load.ended;
	return JSON.parse(load.out);
}

/** What the machine makes of a core that somebody uses, whoever it is: no attack by loops can cost others less. */
async function floor(rig, port) {
	const without = await others(rig, port);
	const loop = spawn("bash", ["-c", "while :; do :; done"], { stdio: "ignore" });
	await sleep(200);
	const within = await others(rig, port);
	loop.kill("SIGKILL");
	return { without, within };
}

async function pair(rig, port, name, url) {
	const without = await others(rig, port);
	const attacker = rig.calls(port, { fn: `attacks.${name}`, args: name === "fetches" ? JSON.stringify({ url }) : "{}", sessions: 1 });
	await sleep(200);
	const within = await others(rig, port);
	attacker.child.kill("SIGINT");
	await attacker.ended;
	await until("all workers", async () => (await rig.metric(port, "millrace_workers")) === WORKERS);
	await others(rig, port, 2); // those that were ended are warm again
	return { without, within, attack: JSON.parse(attacker.out) };
}

const codes = (told) => Object.entries(told.codes).map(([code, n]) => `${code} ${n}`).join(", ");

const ms = (list, ...gets) => gets.map((get) => of(list, get)).map((n) => n.toFixed(n < 10 ? 1 : 0)).join(" / ");
function tell(list, what, answered, after) {
	row(
		...[what, answered, after, ms(list, (p) => p.without.p50, (p) => p.without.p99), ms(list, (p) => p.within.p50, (p) => p.within.p99)],
		...[of(list, (p) => p.within.p99 / p.without.p99).toFixed(1), codes(list[0].within)],
	);
}

export async function attacks(rig) {
	await rig.database();
	const site = await silent();
	const options = Object.entries({ ...LIMITS, "fetch-private": "all", "log-level": "error" }).flatMap(([name, value]) => [`--${name}`, value]);
	head(
		`${RATE} plain mutations a second, without and with one client who calls a function that misbehaves; ${WORKERS} workers of ${CONNECTIONS} connections; ${Object.entries(LIMITS).map((l) => l.join(" ")).join(", ")}`,
		...["the function", "it is answered", "after, p50 / longest ms", "others without it, p50 / p99 ms", "with it", "p99 : without", "others refused"],
	);
	await rig.during(options, async (port) => {
		await others(rig, port); // until all is warm
		const floors = [];
		for (let i = 0; i < rig.rounds; i++) floors.push(await floor(rig, port));
		tell(floors, FLOOR, "", "");
		for (const [name, what] of Object.entries(ATTACKS)) {
			const list = [];
			for (let i = 0; i < rig.rounds; i++) list.push(await pair(rig, port, name, site.url));
			tell(list, what, codes(list[0].attack), ms(list, (p) => p.attack.p50, (p) => p.attack.max));
		}
	});
	site.stop();
}
