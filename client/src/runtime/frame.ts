// One function that runs: the one that was called, and each that it calls. A frame keeps what its function has started, so that nothing of it
// happens after its end, and keeps apart what may be taken back alone.

import type { Value } from "../values.js";
import type { OperationKind } from "./host.js";
import { tell } from "./strays.js";

export type Channel = (kind: OperationKind, json: string) => Promise<Value>;

const nothing = (): void => undefined;

export class Frame {
	/** Savepoints around it. */
	readonly level: number;
	readonly #channel: Channel;
	/** How much of what it started has not ended. */
	#open = 0;
	#idle: (() => void) | undefined;
	/** The end of the last part that others wait for. */
	#turn: Promise<void> | undefined;
	#over = false;
	#stray: unknown;

	constructor(channel: Channel, level: number) {
		this.#channel = channel;
		this.level = level;
	}

	readonly operate: Channel = (kind, json) =>
		this.track(this.#turn ? this.#turn.then(() => this.#send(kind, json)) : this.#send(kind, json));

	#send(kind: OperationKind, json: string): Promise<Value> {
		if (this.#over) return Promise.reject(new Error(`ctx.db was used after its function had ended (${kind})`));
		return this.#channel(kind, json);
	}

	/** What the function has started is part of it, awaited or not. It fails for whoever takes what this gives (strays.ts: if nobody does). */
	track<T>(one: Promise<T>): Promise<T> {
		this.#open++;
		return one.then(this.#ended as (value: T) => T, this.#failed);
	}
	readonly #ended = (value: unknown): unknown => {
		if (--this.#open === 0) this.#idle?.();
		return value;
	};
	readonly #failed = (e: unknown): never => {
		this.#stray ??= e;
		this.#ended(undefined);
		throw e;
	};

	/** A part that is done whole or taken back alone; what else the function asks for meanwhile waits for its end. */
	part<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
		const begun = this.#turn ?? Promise.resolve();
		const whole = begun.then(() => this.#savepoint(work));
		const end = whole.then(nothing, nothing).then(() => {
			if (this.#turn === end) this.#turn = undefined;
		});
		this.#turn = end;
		return this.track(whole);
	}

	/** Savepoint and release are not waited for, unless something failed meanwhile: caught or not, it may be the end of the part. */
	async #savepoint<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
		const level = `{"level":${this.level + 1}}`;
		const failures: unknown[] = [];
		const send = (kind: OperationKind, json: string) => {
			const one = this.#send(kind, json);
			one.catch((e: unknown) => failures.push(e));
			return one;
		};
		this.track(send("savepoint", level)).catch(nothing);
		try {
			const result = await work(send);
			const released = this.track(send("release", level));
			if (failures.length > 0) await released;
			else released.catch(nothing);
			return result;
		} catch (e) {
			if (!this.#over) await send("restore", level); // over: what is around it is taken back
			failures.forEach(tell);
			throw e;
		}
	}

	/** Runs the function, then waits for whatever it started and did not await. */
	async run<T>(body: () => T | Promise<T>): Promise<T> {
		try {
			const result = await body();
			this.#stray = undefined; // what failed so far was the function's to see
			while (this.#open > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
			if (this.#stray === undefined) return result;
			tell(this.#stray);
			throw this.#stray;
		} finally {
			this.#over = true;
		}
	}
}
