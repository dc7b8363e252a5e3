// What Postgres held, transaction by transaction, for writers that come one after the other: after each, what every watched query should
// show is asked of Postgres itself. A client's whole state after each transition must be that of the last transaction which the
// transition's own position holds (CLOCK.md rules 13, 17): all its queries at one snapshot, none ahead of another.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { snapshotOf } from "../checker/position.mjs";
import { Psql } from "./psql.mjs";
import { Client } from "./stack.mjs";

const print = (value) => JSON.stringify(value);
const byId = (a, b) => (a.id < b.id ? -1 : 1);
const plain = ({ id, grp, n, note }) => [id, grp, n, note ?? null];

/** Queries: what is subscribed to, how Postgres is asked for the same, how both are printed. */
export const QUERIES = {
	list: (grp) => ({
		ask: { entity: "Item", where: { grp } },
		sql: `select id, grp, n, note from "Item" where grp = '${grp}'`,
		shown: (live) => print(live.list.sort(byId).map(plain)),
		held: (rows) => print(rows.sort(byId).map(plain)),
	}),
	window: (limit) => ({
		ask: { entity: "Item", where: {}, order: [["n", "desc"], ["id", "asc"]], limit },
		sql: `select id, grp, n, note from "Item" order by n desc, id limit ${limit}`,
		shown: (live) => print(live.list.sort(byId).map(plain)),
		held: (rows) => print(rows.sort(byId).map(plain)),
	}),
	range: (from, to) => ({
		ask: { entity: "Item", where: { n: { $gte: from, $lt: to } } },
		sql: `select id, grp, n, note from "Item" where n >= ${from} and n < ${to}`,
		shown: (live) => print(live.list.sort(byId).map(plain)),
		held: (rows) => print(rows.sort(byId).map(plain)),
	}),
	count: (grp) => ({
		ask: { fn: "items.count", args: { grp } },
		sql: `select count(*)::int as n from "Item" where grp = '${grp}'`,
		shown: (live) => print(live.value),
		held: ([row]) => print(row.n),
	}),
	group: (grp) => ({
		ask: { fn: "items.inGroup", args: { grp } },
		sql: `select id, grp, n, note from "Item" where grp = '${grp}'`,
		shown: (live) => print(live.value.toSorted(byId).map(plain)),
		held: (rows) => print(rows.sort(byId).map(plain)),
	}),
};

/** A client that notes what it shows after each transition, by its position. */
export class Watcher extends Client {
	seen = [];
	watched = [];
	async watch(...queries) {
		for (const query of queries) {
			const live = await this.live(query.ask);
			this.watched.push({ query, live, version: -1, text: undefined });
		}
		return this;
	}
	take(m) {
		super.take(m);
		this.messages.length = 0;
		if (m.t !== "transition" || m.p === undefined) return;
		const shown = this.watched.map((w) => (w.live.answered && !w.live.behind && !w.live.error ? this.text(w) : undefined));
		this.seen.push({ n: m.n, position: m.p, shown });
	}
	/** Printed once for each state. */
	text(w) {
		if (w.version !== w.live.bodies) {
			w.text = w.query.shown(w.live);
			w.version = w.live.bodies;
		}
		return w.text;
	}
}

export class States {
	list = [];
	constructor(stack, queries) {
		Object.assign(this, { stack, queries });
		this.note("the beginning", 0n);
	}
	/** Commands of psql as one transaction, while clients go on; gives { xid, took: milliseconds }. */
	async run(commands) {
		this.writer ??= new Psql(readFileSync(join(this.stack.data, "run", "database"), "utf8").trim());
		const began = Date.now();
		await this.writer.ask("begin");
		for (const command of commands) await this.writer.ask(command);
		const xid = BigInt(await this.writer.ask("select pg_current_xact_id()"));
		await this.writer.ask("commit");
		return { xid, took: Date.now() - began };
	}
	async write(what, commands) {
		const { xid, took } = await this.run(commands);
		this.note(what, xid);
		return took;
	}
	note(what, xid) {
		const held = new Map();
		const parts = [...this.queries.entries()].map(([i, q]) => `select ${i} as i, coalesce(json_agg(x), '[]') as rows from (${q.sql}) x`);
		for (const { i, rows } of this.stack.rows(parts.join(" union all "))) held.set(this.queries[i], this.queries[i].held(rows));
		this.list.push({ what, xid, held });
	}
	/** The last one that the position holds. */
	at(position) {
		const { sees } = snapshotOf(position);
		return this.list.findLastIndex(({ xid }) => sees({ xid, at: -1n }));
	}
	/** Each transition of this client shows one state, and they only go forward. Gives how many were compared. */
	check(client, name) {
		let compared = 0, last = -1;
		for (const { n, position, shown } of client.seen) {
			const at = this.at(position);
			assert.ok(at >= last, `${name} went back at tick ${n}`);
			last = at;
			for (const [k, text] of shown.entries()) {
				if (text === undefined) continue;
				const { query } = client.watched[k];
				const want = this.list[at].held.get(query);
				compared++;
				if (text === want) continue;
				const also = this.list.findIndex(({ held }) => held.get(query) === text);
				assert.fail(`${name} at tick ${n}, after "${this.list[at].what}": ${print(query.ask)} shows ${also < 0 ? "what never was" : `what was after "${this.list[also].what}"`}\n${text.slice(0, 300)}\n${want.slice(0, 300)}`);
			}
		}
		return compared;
	}
	/** Waits until it shows the newest state, in all its queries. */
	async reached(client, seconds = 60) {
		const { what, held } = this.list.at(-1);
		await client.until(`what is after "${what}"`, () => client.watched.every((w) => w.live.answered && !w.live.behind && !w.live.error && client.text(w) === held.get(w.query)), seconds);
	}
}
