// A model of client and server under random steps: others' writes, calls that succeed and fail, ticks, lost sockets, reloads, refusals.
// After each step the client must show what the model says; at the end every call has run exactly once.

import assert from "node:assert/strict";
import test from "node:test";
import { isPending, Layers, type Operation } from "../src/layers.js";
import { isEntitySpec, type Spec } from "../src/results.js";
import { memoryStore } from "../src/stores.js";
import { specKey } from "../src/specs.js";
import { Sync } from "../src/sync.js";
import type { ClientMessage, ServerMessage } from "../src/tables.js";
import type { RowId } from "../src/keys.js";
import { type Row, sameValue, type Value } from "../src/values.js";
import { decodeMessage, encodeMessage } from "../src/wire.js";
import { naiveQuery, World } from "./world.js";

function randomizer(start: number): (n: number) => number {
	let s = start >>> 0;
	return (n) => {
		s = (s + 0x9e3779b9) >>> 0;
		let z = s;
		z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
		z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
		return ((z ^ (z >>> 15)) >>> 0) % n;
	};
}

const CHANNELS = ["a", "b", "c"];

class Model {
	readonly random: (n: number) => number;
	readonly world = new World();
	readonly store = memoryStore();
	sync: Sync;
	line: ReturnType<World["connect"]> | undefined;
	watched = new Map<string, { spec: Spec; undo: () => void; shown: Value | undefined }>();
	/** What the server has told of each query by the last transition. */
	told = new Map<string, Value>();
	/** Calls without an answer, in order, with what they are expected to do. */
	layers: { key: number; operations: readonly Operation[] }[] = [];
	calls = 0;
	failed = 0;
	inTransition = false;

	constructor(seed: number) {
		this.random = randomizer(seed);
		this.world.terse = () => this.random(3) > 0;
		this.world.tellHash = () => this.random(4) > 0;
		for (let i = 0; i < 12; i++) this.outsideWrite();
		this.sync = this.newPage();
	}
	newPage(): Sync {
		return new Sync({
			send: (message) => this.line?.receive(roundTrip(message)),
			refusal: () => undefined,
			store: this.store,
			scope: "s",
			linger: 0,
			now: () => 20000 * 86_400_000 + 5,
			onError: () => undefined,
			onChange: () => undefined,
		});
	}
	pick<T>(list: readonly T[]): T {
		return list[this.random(list.length)] as T;
	}
	outsideWrite(): void {
		const ids = [...this.world.rows.keys()];
		const way = this.random(4);
		if (way === 0 || ids.length < 5) {
			const id = this.world.mintId();
			this.world.rows.set(id, { id, channel: this.pick(CHANNELS), n: this.random(10), body: `${this.random(100)}` });
		} else if (way === 1) this.world.rows.delete(this.pick(ids));
		else {
			const row = this.world.rows.get(this.pick(ids));
			if (row) this.world.rows.set(row.id, { ...row, n: this.random(10), ...(way === 2 ? { channel: this.pick(CHANNELS) } : {}) });
		}
	}
	connect(): void {
		if (this.line) return;
		this.line = this.world.connect((message) => this.hear(message));
		for (const message of this.sync.greeting(null)) this.line.receive(roundTrip(message));
	}
	disconnect(): void {
		this.line?.close();
		this.line = undefined;
		this.sync.lost();
	}
	hear(message: ServerMessage): void {
		const received = decodeMessage(encodeMessage("msgpack", message as unknown as ClientMessage));
		if (message.t === "transition") {
			for (const { spec } of this.watched.values()) {
				const asked = isEntitySpec(spec) ? { ...spec, order: spec.order as [string, "asc" | "desc"][] } : spec;
				this.told.set(specKey(spec), this.world.evaluate({ t: "subscribe", id: 0, ...(asked as object) }));
			}
			for (const { id } of message.r ?? []) this.layers = this.layers.filter((one) => this.callIds.get(one.key) !== id);
		}
		if (message.t === "reply") this.layers = this.layers.filter((one) => this.callIds.get(one.key) !== message.id);
		this.sync.receive(received);
	}
	/** The model's number of a call -> its id on the wire. */
	callIds = new Map<number, string>();
	answered(spec: Spec): boolean {
		return this.told.has(specKey(spec));
	}

	watch(): void {
		const spec: Spec =
			this.random(4) === 0
				? { fn: "messages.list", args: {} }
				: {
						entity: "Message",
						where: this.pick([{}, { channel: this.pick(CHANNELS) }, { n: { $gt: this.random(8) } }, { channel: "a", n: { $lte: 5 } }]),
						order: this.pick([
							undefined,
							[["n", "desc"]] as const,
							[
								["n", "asc"],
								["body", "desc"],
							] as const,
						]),
						limit: this.pick([undefined, 2, 5]),
						include: this.pick([undefined, undefined, { home: "channel" }]),
					};
		const key = specKey(spec);
		if (this.watched.has(key)) return;
		const entry: { spec: Spec; undo: () => void; shown: Value | undefined } = { spec, undo: () => undefined, shown: undefined };
		this.watched.set(key, entry);
		entry.undo = this.sync.watch(spec, () => {
			assert.ok(!this.inTransition);
		});
	}
	unwatch(): void {
		if (this.watched.size === 0) return;
		if ([...this.watched.values()].some(({ spec }) => !this.answered(spec))) return; // it may stand in for that one, and live on
		const key = this.pick([...this.watched.keys()]);
		this.watched.get(key)?.undo();
		this.watched.delete(key);
		this.told.delete(key);
	}
	call(): void {
		const ids = [...this.world.rows.keys()];
		const key = ++this.calls;
		const fail = this.random(4) === 0;
		const way = this.random(3);
		const id = way === 0 ? this.world.mintId() : this.pick(ids);
		const fields = { channel: this.pick(CHANNELS), n: this.random(10), body: `mine ${key}` };
		const entity = "Message";
		const operation: Operation =
			way === 0
				? { op: "insert", entity, id, fields }
				: way === 1
					? { op: "update", entity, id, fields: { n: fields.n } }
					: { op: "delete", entity, id };
		const [fn, args] =
			(
				[
					["messages.send", { id, ...fields }],
					["messages.patch", { id, changes: { n: fields.n } }],
					["messages.remove", { id }],
				] as const
			)[way] ?? [];
		const optimistic = this.random(5) > 0 ? [operation] : [];
		const before = new Set(this.openCalls());
		this.sync.call(fail ? "messages.refuse" : (fn ?? ""), (args ?? {}) as Value, true, { operations: optimistic }).catch(() => this.failed++);
		const [made] = this.openCalls().filter((one) => !before.has(one));
		assert.ok(made);
		this.callIds.set(key, made);
		this.layers.push({ key, operations: optimistic });
	}
	/** From the store, as a reload would find them. */
	openCalls(): string[] {
		return [...(this.store.getItem("s:calls") ?? "").matchAll(/"id":"(\d+\.\d+)"/g)].map((m) => m[1] ?? "");
	}
	reload(): void {
		this.disconnect();
		for (const { undo } of this.watched.values()) undo();
		const specs = [...this.watched.values()].map((one) => one.spec);
		this.watched.clear();
		this.told.clear();
		this.sync = this.newPage();
		for (const spec of specs) {
			const undo = this.sync.watch(spec, () => undefined);
			this.watched.set(specKey(spec), { spec, undo, shown: undefined });
		}
	}

	/** What a query must show: what the server told, and the operations of open calls over it. */
	expected(spec: Spec): Value | undefined {
		const told = this.told.get(specKey(spec));
		if (told === undefined || !isEntitySpec(spec)) return told;
		const known = new Map<RowId, Row>();
		for (const { spec: other } of this.watched.values())
			if (isEntitySpec(other)) for (const { home: _, ...row } of (this.told.get(specKey(other)) ?? []) as readonly Row[]) known.set(row["id"] as RowId, row as Row);
		const touched = new Map<RowId, Row | null>();
		for (const { operations } of this.layers)
			for (const one of operations) {
				const below = touched.has(one.id) ? touched.get(one.id) : known.get(one.id);
				if (one.op === "insert" && !below) touched.set(one.id, { ...one.fields, id: one.id });
				else if (one.op === "update" && below) touched.set(one.id, { ...below, ...one.fields, id: one.id });
				else if (one.op === "delete" && below !== undefined) touched.set(one.id, null);
			}
		const base = (told as readonly Row[]).filter((row) => !touched.has(row.id));
		const homeOf = (row: Row) => (told as readonly Row[]).find((one) => one["channel"] === row["channel"] && one["home"])?.["home"] ?? null;
		const dressed = (row: Row): Row => (spec.include ? { ...row, home: homeOf(row) } : row);
		const rows = [...base, ...[...touched.values()].filter((row) => row !== null).map(dressed)];
		return naiveQuery(rows, {
			where: spec.where,
			order: spec.order as [string, "asc" | "desc"][],
			...(spec.limit === undefined ? {} : { limit: spec.limit }),
		});
	}
	check(step: string): void {
		for (const entry of this.watched.values()) {
			const { data, loading } = this.sync.peek(entry.spec);
			if (!this.answered(entry.spec)) continue;
			assert.equal(loading, false, step);
			const wanted = this.expected(entry.spec);
			assert.ok(
				sameValue(data, wanted),
				`${step}: ${specKey(entry.spec)}\nshown  ${JSON.stringify(data)}\nwanted ${JSON.stringify(wanted)}`,
			);
			this.checkIdentity(entry, data);
		}
		assert.equal(this.sync.pending, this.openCalls().length, "S4");
	}
	checkIdentity(entry: { spec: Spec; shown: Value | undefined }, data: Value | undefined): void {
		const was = entry.shown;
		entry.shown = data;
		if (
			was !== undefined &&
			sameValue(was, data) &&
			Array.isArray(data) &&
			!(data as readonly object[]).some((row, i) => isPending(row) !== isPending((was as readonly object[])[i] ?? {}))
		)
			assert.equal(data, was, `S6: ${specKey(entry.spec)}`);
		if (!isEntitySpec(entry.spec) || this.layers.length > 0 || !Array.isArray(data)) return;
		for (const row of data as readonly Row[]) {
			assert.ok(!isPending(row), "O4");
			const before = (was as readonly Row[] | undefined)?.find((one) => one.id === row.id);
			if (before && !isPending(before) && sameValue(before, row)) assert.equal(before, row, "S6: rows");
		}
	}

	step(): string {
		const way = this.random(20);
		if (way < 4) return (this.outsideWrite(), "outside write");
		if (way < 8) return (this.call(), "call");
		if (way < 11) return (this.world.runCall(), "call runs");
		if (way < 15) return (this.line && this.world.tickAll(), "tick");
		if (way < 17) return (this.watch(), "watch");
		if (way === 17) return this.random(2) ? (this.unwatch(), "unwatch") : (this.disconnect(), "disconnect");
		if (way === 18) return (this.connect(), "connect");
		return this.random(6) === 0 ? (this.reload(), "reload") : (this.connect(), "connect");
	}
	finish(): void {
		this.connect();
		for (let i = 0; i < 5; i++) this.world.settle();
		for (const entry of this.watched.values()) entry.shown = undefined; // several transitions have passed
		this.check("end");
		assert.equal(this.sync.pending, 0);
		assert.equal(new Set(this.world.executed).size, this.world.executed.length, "a call ran twice");
	}
}

function roundTrip(message: ClientMessage): ClientMessage {
	return decodeMessage(encodeMessage("msgpack", message)) as unknown as ClientMessage;
}

const RUNS = Number(process.env["MODEL_RUNS"] ?? 150);
const FIRST = Number(process.env["MODEL_SEED"] ?? 1);

test(`the client shows what the model says, ${RUNS} runs of 200 steps`, () => {
	for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
		const model = new Model(seed);
		model.connect();
		const trace: string[] = [];
		try {
			for (let i = 0; i < 200; i++) {
				const step = model.step();
				trace.push(step);
				model.check(`seed ${seed}, step ${i} (${step})`);
			}
			model.finish();
		} catch (e) {
			console.error(`seed ${seed}; last steps: ${trace.slice(-12).join(", ")}`);
			throw e;
		}
	}
});

test("an insert that a reload brings back comes after what it was laid over", () => {
	const layers = new Layers();
	layers.put("1", [{ op: "insert", entity: "E", id: "x", fields: { n: 1 } }]);
	layers.put("2", [{ op: "update", entity: "E", id: "x", fields: { n: 2 } }]);
	layers.rename("1", "9");
	assert.equal(layers.overlay("E", () => undefined, {}).get("x")?.["n"], 2, "O2");
	assert.deepEqual(layers.drop("9"), ["E"]);
	assert.equal(layers.overlay("E", () => undefined, {}).size, 0);
});
