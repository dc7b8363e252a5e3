// Calls under way: sent until they are answered, each under one id for its whole life, kept in the tab's store so that a reload sends
// them again. The server runs an id once; so every call runs at most once, and exactly once if it is ever answered.

import { parseWire, printWire } from "./json.js";
import type { Operation } from "./layers.js";
import type { MillraceError } from "./error.js";
import { newCallBase } from "./ids.js";
import type { StringStore } from "./stores.js";
import type { CallMessage } from "./tables.js";
import type { Value } from "./values.js";

export interface Call {
	readonly id: string;
	readonly fn: string;
	readonly args: Value;
	readonly operations: readonly Operation[];
	/** Mutations are; queries asked once are not worth keeping. */
	readonly durable: boolean;
	/** Made by an earlier page of this tab. */
	readonly restored: boolean;
	/** How often a server was told of it, and how often it answered for certain. */
	told: number;
	answered: number;
	tries: number;
	readonly resolve: (value: Value) => void;
	readonly reject: (error: MillraceError) => void;
}

const HOUR = 3_600_000;

export class Calls {
	private readonly open = new Map<string, Call>();
	private readonly store: StringStore;
	private readonly key: string;
	private number = newCallBase();
	private hourOffset = 0;

	constructor(store: StringStore, key: string) {
		this.store = store;
		this.key = key;
	}

	/** The server's hour, by which ids are made from now on. */
	setHour(hour: number, now: number): void {
		this.hourOffset = hour - Math.floor(now / HOUR);
	}
	hour(now: number): number {
		return Math.floor(now / HOUR) + this.hourOffset;
	}
	private mint(now: number): string {
		return `${this.hour(now)}.${this.number++}`;
	}

	get size(): number {
		return this.open.size;
	}
	get pending(): number {
		let n = 0;
		for (const call of this.open.values()) if (call.durable) n++;
		return n;
	}
	add(fields: Omit<Call, "id" | "told" | "answered" | "tries">, now: number): Call {
		const call: Call = { ...fields, id: this.mint(now), told: 0, answered: 0, tries: 0 };
		this.open.set(call.id, call);
		this.save();
		return call;
	}
	get(id: string): Call | undefined {
		return this.open.get(id);
	}
	take(id: string): Call | undefined {
		const call = this.open.get(id);
		if (call) {
			this.open.delete(id);
			this.save();
		}
		return call;
	}
	/** The same call under an id of this hour, in its old place: only for one of which no server knows more than that it refused its id. */
	reissue(call: Call, now: number): Call {
		const next = { ...call, id: this.mint(now), told: 0, answered: 0, tries: call.tries + 1 };
		const all = [...this.open];
		this.open.clear();
		for (const [id, one] of all) this.open.set(id === call.id ? next.id : id, id === call.id ? next : one);
		this.save();
		return next;
	}
	/** All of them, in the order in which they were made. */
	messages(): CallMessage[] {
		return this.all().map(tell);
	}
	all(): Call[] {
		return [...this.open.values()];
	}
	forget(): void {
		this.open.clear();
		this.store.removeItem(this.key);
	}

	private save(): void {
		const durable = [...this.open.values()].filter((call) => call.durable);
		if (durable.length === 0) return this.store.removeItem(this.key);
		this.store.setItem(this.key, printWire(durable.map(({ id, fn, args, operations }) => ({ id, fn, args, operations }))));
	}

	/** What an earlier life of this tab left unanswered. */
	restore(onEnd: (error: MillraceError | undefined) => void): Call[] {
		const text = this.store.getItem(this.key);
		if (text === null) return [];
		try {
			const list = parseWire(text) as unknown as Pick<Call, "id" | "fn" | "args" | "operations">[];
			for (const one of list) {
				this.open.set(one.id, { ...one, durable: true, restored: true, told: 1, answered: 0, tries: 0, resolve: () => onEnd(undefined), reject: onEnd });
			}
		} catch {
			this.store.removeItem(this.key); // not ours, or of another version
		}
		return this.all();
	}
}

/** What a server is told of it now. */
export function tell(call: Call): CallMessage {
	call.told++;
	return callMessage(call);
}

export function callMessage(call: Call): CallMessage {
	return { t: "call", id: call.id, fn: call.fn, args: call.args };
}
