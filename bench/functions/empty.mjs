// Calls of a query that does nothing: what a call costs before it does anything.
import { head, of, row } from "../lib.mjs";

const SESSIONS = 64;

export async function empty(rig) {
	head(`Calls of a query that does nothing, ${SESSIONS} sessions with one under way each`, "", "calls/s", "CPU us each: worker", "its backends", "fanout", "its backends", "load generator", "cores busy");
	for (const [name, via] of [["over the WebSocket", "socket"], ["over HTTP", "http"]]) {
		const list = [];
		for (let i = 0; i < rig.rounds; i++) list.push(await round(rig, via));
		const part = (name) => of(list, (r) => r.cpu[name]).toFixed(1);
		row(name, of(list, (r) => r.rate).toFixed(0), ...["worker", "workerBackends", "fanout", "fanoutBackends", "load"].map(part), of(list, (r) => r.cores).toFixed(1));
		if (rig.quick) return;
	}
}

const round = (rig, via) =>
	rig.during([], async (port) => {
		const load = rig.calls(port, { fn: "notes.nothing", args: "{}", via, sessions: SESSIONS });
		const count = async () => {
			const before = await rig.metric(port, "millrace_calls_total");
			return async () => ({ n: (await rig.metric(port, "millrace_calls_total")) - before });
		};
		const result = await rig.watch(load, { count, parts: async () => ({ ...(await rig.parts()), load: [load.pid] }) });
		rig.answered(load);
		return result;
	});
