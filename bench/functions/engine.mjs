// The engine alone (engine.c): no process of ours, no socket, no database; a host that answers each operation at once.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { BUILD, millrace } from "../../tests/lib/cli.mjs";
import { head, of, row } from "../lib.mjs";
import { bigApp } from "./big.mjs";

const ID = "00000000-0000-0000-0000-00000000000";
const account = (n) => JSON.stringify({ id: `${ID}${n}`, owner: `owner ${n}`, balance: 1000000000 });
const rows = (n) => `[${Array.from({ length: n }, () => account(1)).join(",")}]`;
const many = (n, answer) => Array.from({ length: n }, () => answer);
const one = JSON.stringify({ id: `${ID}1` });
const inserted = JSON.stringify(`${ID}1`);
const item = JSON.stringify({ id: `${ID}1`, grp: "12", place: 3, n: 100, text: "item 3 of a group of fifty" });
const move = [JSON.stringify({ from: `${ID}1`, to: `${ID}2`, amount: 5 }), account(1), account(2)];
/** Arguments, and what the operations are answered. */
const CALLS = {
	"notes.add": [JSON.stringify({ channel: "general", body: "a note of sixty characters that is like no other, we hope..." }), inserted],
	"bank.transfer": move,
	"bank.transferRepeatable": move,
	"items.group": [JSON.stringify({ grp: "12" }), `[${many(50, item).join(",")}]`],
	"parts.empty": [one],
	"parts.get1": [one, account(1)],
	"parts.get5": [one, ...many(5, account(1))],
	"parts.patch1": [one],
	"parts.patch5": [one],
	"parts.insert1": [one, inserted],
	"parts.insert5": [one, ...many(5, inserted)],
	"parts.take1": [one, rows(50)],
	"parts.take5": [one, ...many(5, rows(50))],
};

function run(bundle, ...words) {
	const done = spawnSync(join(BUILD, "bench", "functions", "engine"), [bundle, ...words], { encoding: "utf8" });
	if (done.status !== 0) throw new Error(done.stderr);
	return JSON.parse(done.stdout);
}

/** The bundle of an app, as workers load it. */
function bundle(home, name, app) {
	const data = join(home, `bundle-${name}`);
	const built = millrace(["build", "--app-dir", app, "--data-dir", data]);
	if (built.status !== 0) throw new Error(built.err);
	return join(data, "app", readdirSync(join(data, "app"))[0], "bundle.js");
}

/** What a call of a function costs in the engine alone: { call_us, entries }. */
export function alone(rig, fn) {
	rig.bundle ??= bundle(rig.home, "bench", rig.app);
	return run(rig.bundle, String(rig.quick ? 5000 : 20000), fn, ...CALLS[fn]);
}

export async function engine(rig) {
	const times = Array.from({ length: Math.max(3, rig.rounds) });
	rig.bundle ??= bundle(rig.home, "bench", rig.app);
	head("Ms of CPU until the engine alone runs", "app", "bundle, kB", "start", "load");
	for (const [name, path] of [["of this bench", rig.bundle], ["of 300 functions and 50 tables", bundle(rig.home, "big", await bigApp(join(rig.home, "for-engine"), 50, "own"))]]) {
		const list = times.map(() => run(path));
		row(name, (statSync(path).size / 1024).toFixed(0), ...["start_ms", "load_ms"].map((key) => of(list, (r) => r[key]).toFixed(1)));
	}
	head("Us of CPU for each call by the engine alone, an operation answered at once", "function", "us", "of the first 1000 calls", "entries into the engine", "us of one operation");
	const cost = (fn) => {
		const list = times.map(() => alone(rig, fn));
		return { us: of(list, (r) => r.call_us), first: of(list, (r) => r.first_us), entries: list[0].entries };
	};
	const tell = (name, { us, first, entries }, operation) => row(name, us.toFixed(1), first.toFixed(0), entries, operation === undefined ? "" : operation.toFixed(1));
	tell("nothing", cost("parts.empty"));
	tell("one insert (notes.add)", cost("notes.add"));
	tell("transfer (bank.transfer)", cost("bank.transfer"));
	tell("50 rows (items.group)", cost("items.group"));
	if (rig.quick) return;
	for (const [name, fn] of [["five times get", "get"], ["five times patch", "patch"], ["five times insert", "insert"], ["five times take(50)", "take"]]) {
		const [first, all] = [cost(`parts.${fn}1`), cost(`parts.${fn}5`)];
		tell(name, all, (all.us - first.us) / 4);
	}
}
