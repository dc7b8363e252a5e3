// Compares what clients saw at each snapshot with what Postgres holds at it.
import { Walk } from "./audit.mjs";
import { historyOf, tell } from "./history.mjs";
import { snapshotOf } from "./position.mjs";

const SETTLE_MS = 4000; // most clients have told of a snapshot by then; those that come later are judged at the end
const FAULTS_TOLD = 20;
const ROWS_TOLD = 4;

export class Checker {
	constructor(audit) {
		this.audit = audit;
		this.walk = new Walk();
		this.seen = new Map(); // snapshot key -> { snapshot, at, views: [{ client, held, text, events }] }
		this.late = []; // told after a later snapshot was judged
		this.asked = new Set();
		this.denied = new Map(); // mark -> { code, at }: it was said that the call did nothing
		this.acked = new Map(); // mark -> { position or undefined, at }
		this.judged = new Set(); // marks
		this.ahead = 0; // replies that came ahead of the screen, or to clients that do not tell where they are
		this.faults = []; // { client, text }
		this.refusals = new Map();
		this.states = this.transitions = this.snapshots = this.failed = this.behind = 0;
		this.frontier = 0n;
	}
	fault(text, client) {
		this.faults.push({ client, text });
	}
	refused(code) {
		this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
	}
	saw(client, position, held) {
		this.transitions++;
		const key = position.split(".")[0];
		let at = this.seen.get(key);
		if (!at) this.seen.set(key, (at = { snapshot: snapshotOf(position), at: Date.now(), views: [] }));
		for (const h of held) at.views.push({ client, held: h, text: h.print(), events: h.events.length + h.forgotten });
	}
	refusedCall(mark, error) {
		this.refused(error.code);
		if (error.data?.outcome !== "unknown") this.denied.set(mark, { code: error.code, at: Date.now() });
	}
	acknowledged(mark, position, client) {
		if (this.acked.has(mark)) this.fault(`${mark} was acknowledged twice`, client);
		this.acked.set(mark, { position, at: Date.now() });
	}

	async judge(end = false) {
		await this.judgeStates(end);
		this.judgeCalls(end);
	}
	/** Judges all snapshots that are old enough (all, at the end), in their order. */
	async judgeStates(end = false) {
		const now = Date.now();
		const due = [...this.seen].filter(([, s]) => end || now - s.at > SETTLE_MS);
		this.walk.add(await this.audit.read());
		for (const [key] of due) this.seen.delete(key);
		const all = due.map(([, s]) => s);
		this.late.push(...all.filter((s) => s.snapshot.order < this.frontier));
		this.judgeAll(this.walk, all.filter((s) => s.snapshot.order >= this.frontier));
		if (end) this.judgeAll(new Walk(this.audit.versions), this.late);
	}
	judgeAll(walk, all) {
		all.sort((a, b) => (a.snapshot.order < b.snapshot.order ? -1 : a.snapshot.order > b.snapshot.order ? 1 : 0));
		let expected = new Map();
		for (const { snapshot, views } of all) {
			this.snapshots++;
			if (walk.advance(snapshot)) expected = new Map();
			if (snapshot.order > this.frontier) this.frontier = snapshot.order;
			for (const view of views) {
				this.states++;
				const want = expect(expected, view.held.query, walk);
				if (want === view.text) view.held.agreed = snapshot;
				else this.differs(view, snapshot);
			}
		}
	}
	/** Told only when it differs from what is found without regard to the snapshots before as well. */
	differs(view, snapshot) {
		const { held, events } = view;
		const walk = new Walk(this.audit.versions);
		walk.advance(snapshot);
		const want = expect(new Map(), held.query, walk);
		if (want === view.text) return;
		const history = historyOf(this.audit.versions, held.query, held.agreed, snapshot);
		if (held.query.ask.optimistic) delete history.transactions; // told, but not to be done again without the calls
		else if (!this.history || history.transactions.length < this.history.transactions.length) this.history = history;
		const running = [...snapshot.running].join(",");
		const upTo = Math.max(0, events - held.forgotten);
		const lines = (list) => list.map((e) => `\n    ${JSON.stringify(e).slice(0, 1500)}`).join("");
		const [missing, odd] = rowsThatDiffer(want, view.text);
		this.fault(`client ${view.client}, query ${JSON.stringify(held.query.ask)}, snapshot xmax ${snapshot.xmax} running [${running}] seq ${snapshot.seq}\n` +
			`  only Postgres has:${lines(missing)}\n  only the client has:${lines(odd)}\n` +
			`  Postgres: ${want.slice(0, 2000)}\n  client:   ${view.text.slice(0, 2000)}\n` +
			`  what it was told last:${lines(held.events.slice(Math.max(0, upTo - 12), upTo))}\n  and then:${lines(held.events.slice(upTo, upTo + 3))}\n` +
			`  ${tell(history)}\n  versions of the rows that differ:${lines(this.audit.history([...new Set([...missing, ...odd].map((row) => row.id))]))}`, view.client);
	}

	/** Nothing is written any more: every query of every client must come to show what Postgres holds. Gives those that do not. */
	async behindNow(clients) {
		await this.audit.read().then((versions) => this.walk.add(versions));
		const walk = new Walk(this.audit.versions);
		walk.advance({ sees: () => true });
		const expected = new Map();
		const stuck = [];
		for (const client of clients)
			for (const held of client.held.values()) {
				const want = expect(expected, held.query, walk);
				const state = !held.has ? "unanswered" : held.stale ? "not resumed" : held.behind ? "behind" : held.failed ? `failed: ${held.failed.code}` : held.print();
				if (state !== want) stuck.push({ client: client.number, held, want, state });
			}
		return stuck;
	}

	/** Each acknowledged call ran once, and was in the snapshot that brought its reply; a refused one did not run; no call ran twice. Those of a
	 * moment ago (all, at the end) are judged once. */
	judgeCalls(end) {
		const { inserts } = this.audit;
		const long = Date.now() - SETTLE_MS;
		for (const mark of this.asked) {
			if (this.judged.has(mark)) continue;
			const answer = this.acked.get(mark) ?? this.denied.get(mark);
			if (!end && !(answer?.at < long)) continue;
			this.judged.add(mark);
			this.judgeCall(mark, inserts.get(mark) ?? []);
		}
		if (!end) return;
		for (const [mark, ran] of inserts) if (mark === "never" || (!this.asked.has(mark) && ran.length)) this.fault(`${mark} is there and nobody asked for it`);
	}
	judgeCall(mark, ran) {
		if (ran.length > 1) this.fault(`${mark} ran ${ran.length} times`);
		if (this.denied.has(mark) && ran.length) this.fault(`${mark} was refused (${this.denied.get(mark).code}) and is there`);
		const acked = this.acked.get(mark);
		if (!acked) return;
		if (ran.length === 0) this.fault(`${mark} was acknowledged and is not there`);
		if (!acked.position) this.ahead++;
		else if (ran.length === 1) this.judgeEffect(mark, snapshotOf(acked.position), ran[0]);
	}
	judgeEffect(mark, snapshot, version) {
		if (snapshot.sees(version)) return;
		this.fault(`${mark} was acknowledged in a transition that does not hold it: snapshot xmax ${snapshot.xmax} running [${[...snapshot.running].join(",")}] seq ${snapshot.seq}\n` +
			`  its row: xid ${version.xid}, after seq ${version.at}\n  versions of the row:${this.audit.history([version.id]).map((e) => `\n    ${JSON.stringify(e)}`).join("")}`);
	}
	told() {
		return this.faults.slice(0, FAULTS_TOLD).map((f) => f.text);
	}
}

const isEntry = (entry) => entry && typeof entry === "object" && "id" in entry;

/** Rows that the first has and the second not, or not so; and the other way round. */
function rowsThatDiffer(a, b) {
	const [of, other] = [a, b].map((text) => new Set((text.endsWith("]") ? JSON.parse(text) : []).filter(isEntry).map((row) => JSON.stringify(row))));
	const without = (rows, known) => [...rows].filter((row) => !known.has(row)).slice(0, ROWS_TOLD).map((row) => JSON.parse(row));
	return [without(of, other), without(other, of)];
}

function expect(known, query, walk) {
	let text = known.get(query);
	if (text === undefined) known.set(query, (text = query.print(query.expect(walk.rows()))));
	return text;
}
