// A policy that looks at other rows, `exists(Member, user == auth.userId && room == data.room)`: what a write costs the fanout however many
// clients have rooms of their own, and what a delivery costs where all are members of the room.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../tests/lib/cli.mjs";
import { sign } from "../../tests/lib/stack.mjs";
import { cpuDuring, post, Server, subscribers } from "../fanout/rig.mjs";
import { head, of, row } from "../lib.mjs";

const PACE = 200; // us between two looks of the readers: who is woken on the same machine costs the writer
const RATE = 100, SELDOM = 10, WRITERS = 16;
const MARK = "~#$$$$$$$$$$";

/** Client i is user i, a member of the room of his number and of the one where all are. */
async function prepare(rig, n) {
	const server = await Server.start(join(rig.home, "exists"), [], join(ROOT, "bench", "functions", "app"));
	server.psql(`insert into "Member" ("user", room) select 'user ' || i, room from generate_series(0, ${n - 1}) i, lateral (values ('room-' || lpad(i::text, 6, '0')), ('everybody')) r (room)`);
	server.psql('vacuum analyze "Member"');
	const secret = readFileSync(join(server.data, "secret"), "utf8").trim();
	const exp = Math.floor(Date.now() / 1000) + 3600;
	server.tokens = join(rig.home, "tokens");
	writeFileSync(server.tokens, Array.from({ length: n }, (_, i) => sign(secret, { sub: `user ${i}`, exp })).join("\n"));
	return server;
}

const say = (room) => post("/api/fn/rooms.say", JSON.stringify({ room, body: `${MARK} said in a room that its members read` }));

/** So many clients who watch all that they may read: CPU of the fanout while rows are written that `expect` of them may. */
async function round(rig, server, n, { room, expect, count, values, rate = RATE }) {
	const load = rig.watchers();
	const plan = subscribers(server, n, [{ entity: "Post" }], { json: true, hello: { token: "@t@" }, tokens: server.tokens });
	const { opened } = await load.tell("open", { ...plan, patience: 120 });
	await load.tell("writers", { via: "http", port: server.port, n: WRITERS });
	const write = (count) => load.tell("write", { text: say(room), rate, underWay: WRITERS, count, expect, values, patience: 120 });
	await write(rate / 2);
	const before = await server.metric("millrace_readings_total");
	const result = await cpuDuring(server.pid, () => write(count));
	const readings = (await server.metric("millrace_readings_total")) - before;
	await load.tell("unwriters");
	await load.tell("close");
	server.psql('delete from "Post"');
	return { ...result, readings, opening: opened[1] - opened[0] };
}

export async function exists(rig) {
	const sizes = rig.quick ? [50, 500] : [50, 500, 5000];
	const most = sizes.at(-1), count = rig.seconds * RATE;
	const server = await prepare(rig, most);
	await rig.watchers().tell("pace", { us: PACE });
	const nobody = { room: "room-nobody", expect: 0, count, values: 0 };
	const own = (n) => ({ room: "room-%%%%%%", expect: 1, count, values: n });
	const rounds = [];
	for (let i = 0; i < rig.rounds; i++) {
		const one = { 0: await round(rig, server, sizes[0], nobody) };
		for (const n of sizes) one[n] = await round(rig, server, n, own(n));
		one.all = await round(rig, server, most, { room: "everybody", expect: most, count: rig.quick ? 20 : 60, values: 0, rate: SELDOM });
		rounds.push(one);
	}
	await rig.watchers().tell("pace", { us: 0 });
	await server.process.stop();

	const cost = (r) => r.cpu / r.writes;
	head(
		`CPU us of the fanout for each write, ${RATE} a second, clients who may read what is said in a room of their own (exists)`,
		...["clients", "us a write", `ratio to ${sizes[0]} clients`, "written -> read, p50 / p99 ms", "live queries read anew meanwhile", "until all had their first answer, ms a client"],
	);
	for (const n of [0, ...sizes])
		row(
			...[n || `${sizes[0]}, none may read it`, of(rounds, (r) => cost(r[n])).toFixed(0), of(rounds, (r) => cost(r[n]) / cost(r[sizes[0]])).toFixed(2)],
			n ? [0, 1].map((i) => (of(rounds, (r) => r[n].received[i]) / 1000).toFixed(1)).join(" / ") : "",
			...[of(rounds, (r) => r[n].readings), (of(rounds, (r) => r[n].opening) / 1000 / (n || sizes[0])).toFixed(2)],
		);
	head(`The same, ${SELDOM} a second, in a room of which all ${most} clients are members`, "us a write", "us a delivery", "last has it, p50 ms");
	row(of(rounds, (r) => cost(r.all)).toFixed(0), of(rounds, (r) => r.all.cpu / r.all.deliveries).toFixed(2), (of(rounds, (r) => r.all.last[0]) / 1000).toFixed(1));
}
