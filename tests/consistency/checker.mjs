// Compares what clients saw at each snapshot with what Postgres holds at it.
import { snapshotOf } from "./position.mjs";
import { QUERIES } from "./queries.mjs";

const SETTLE_MS = 4000; // a session that is held at an older tick tells it late, but not later than this

export class Checker {
	constructor(audit) {
		this.audit = audit;
		this.seen = new Map(); // snapshot key -> { snapshot, at, views: [{ client, query, text }] }
		this.asked = new Set();
		this.acked = new Map(); // mark -> position or undefined
		this.faults = [];
		this.refusals = new Map();
		this.states = this.transitions = this.snapshots = this.late = 0;
		this.frontier = 0n;
	}
	fault(text) {
		if (this.faults.length < 20) this.faults.push(text);
	}
	saw(client, position, held) {
		this.transitions++;
		const key = position.split(".")[0];
		let at = this.seen.get(key);
		if (!at) this.seen.set(key, (at = { snapshot: snapshotOf(position), at: Date.now(), views: [] }));
		for (const h of held) at.views.push({ client, query: h.query, text: h.print() });
	}
	acknowledged(mark, position) {
		if (this.acked.has(mark)) this.fault(`${mark} was acknowledged twice`);
		this.acked.set(mark, position);
	}

	/** Judges all snapshots that are old enough (all, at the end), in their order. */
	async judge(end = false) {
		const now = Date.now();
		const due = [...this.seen].filter(([, s]) => end || now - s.at > SETTLE_MS).sort((a, b) => (a[1].snapshot.order < b[1].snapshot.order ? -1 : 1));
		await this.audit.read();
		for (const [key, s] of due) {
			this.seen.delete(key);
			this.judgeOne(s);
		}
	}
	judgeOne({ snapshot, views }) {
		if (snapshot.order < this.frontier) {
			this.late++;
			return;
		}
		this.frontier = snapshot.order;
		this.snapshots++;
		if (this.audit.advance(snapshot)) this.expected = new Map();
		this.expected ??= new Map();
		for (const view of views) {
			this.states++;
			const want = this.expect(view.query);
			if (want !== view.text) this.differs(view, want, snapshot);
		}
	}
	expect(query) {
		let text = this.expected.get(query);
		if (text === undefined) this.expected.set(query, (text = query.print(query.expect(this.audit.rows()))));
		return text;
	}
	differs(view, want, snapshot) {
		const running = [...snapshot.running].join(",");
		this.fault(`client ${view.client}, query ${JSON.stringify(view.query.ask)}, snapshot xmax ${snapshot.xmax} running [${running}]\n` +
			`  Postgres: ${want.slice(0, 2000)}\n  client:   ${view.text.slice(0, 2000)}`);
	}

	/** Each acknowledged call ran once, and was in the snapshot that brought its reply; no call ran twice. */
	judgeCalls() {
		let unseen = 0;
		for (const mark of this.asked) {
			const ran = this.audit.marks.get(mark) ?? [];
			if (ran.length > 1) this.fault(`${mark} ran ${ran.length} times`);
			if (!this.acked.has(mark)) continue;
			if (ran.length === 0) this.fault(`${mark} was acknowledged and is not there`);
			const position = this.acked.get(mark);
			if (!position) unseen++;
			else if (ran.length === 1 && !snapshotOf(position).sees(ran[0])) this.fault(`${mark} was acknowledged in a transition that does not hold it`);
		}
		return unseen;
	}
}

export function attachPrinters(print) {
	for (const query of QUERIES) query.print = print;
}
