// ReadableStream, as far as bodies need it: one reader at a time, chunks as they come, nothing is read ahead.

export interface ReadResult {
	readonly done: boolean;
	readonly value: unknown;
}
interface Controller {
	enqueue(chunk: unknown): void;
	close(): void;
	error(reason?: unknown): void;
}
export interface Source {
	start?(controller: Controller): unknown;
	pull?(controller: Controller): unknown;
	cancel?(reason?: unknown): unknown;
}

export class ReadableStream {
	readonly #source: Source;
	readonly #chunks: unknown[] = [];
	#closed = false;
	#failed: { readonly reason: unknown } | undefined;
	#reader: object | undefined;
	#disturbed = false;
	/** start, then one pull after the other. */
	#turn: Promise<unknown>;
	readonly #controller: Controller = {
		enqueue: (chunk) => {
			if (this.#closed || this.#failed) throw new TypeError("The stream has ended");
			this.#chunks.push(chunk);
		},
		close: () => {
			this.#closed = true;
		},
		error: (reason) => {
			this.#failed ??= { reason };
			this.#chunks.length = 0;
		},
	};
	constructor(source: Source = {}) {
		this.#source = source;
		this.#turn = new Promise((done) => done(source.start?.(this.#controller)));
		this.#turn.catch((e: unknown) => this.#controller.error(e));
	}
	get locked(): boolean {
		return this.#reader !== undefined;
	}
	/** @internal Whether something was read of it. */
	get disturbed(): boolean {
		return this.#disturbed;
	}
	async #read(): Promise<ReadResult> {
		this.#disturbed = true;
		for (;;) {
			if (this.#failed) throw this.#failed.reason;
			if (this.#chunks.length > 0) return { done: false, value: this.#chunks.shift() };
			if (this.#closed) return { done: true, value: undefined };
			const before = this.#turn;
			const pull = before.then(() => {
				const wants = !this.#failed && !this.#closed && this.#chunks.length === 0;
				if (wants && !this.#source.pull) return new Promise<never>(() => undefined); // nothing will come
				return wants ? this.#source.pull?.(this.#controller) : undefined;
			});
			this.#turn = pull;
			await pull.catch((e: unknown) => this.#controller.error(e));
		}
	}
	async #cancel(reason?: unknown): Promise<void> {
		this.#disturbed = true;
		if (this.#closed || this.#failed) return;
		this.#closed = true;
		this.#chunks.length = 0;
		await this.#source.cancel?.(reason);
	}
	cancel(reason?: unknown): Promise<void> {
		return this.locked ? Promise.reject(new TypeError("The stream has a reader")) : this.#cancel(reason);
	}
	getReader() {
		if (this.locked) throw new TypeError("The stream has a reader already");
		const own = () => {
			if (this.#reader !== reader) throw new TypeError("The reader was released");
		};
		const reader = {
			read: async (): Promise<ReadResult> => {
				own();
				return this.#read();
			},
			cancel: async (reason?: unknown): Promise<void> => {
				own();
				return this.#cancel(reason);
			},
			releaseLock: (): void => {
				if (this.#reader === reader) this.#reader = undefined;
			},
		};
		this.#reader = reader;
		return reader;
	}
	async *values({ preventCancel = false } = {}): AsyncGenerator<unknown, void, undefined> {
		const reader = this.getReader();
		let over = false;
		try {
			for (;;) {
				const { done, value } = await reader.read();
				if (done) return void (over = true);
				yield value;
			}
		} catch (e) {
			over = true;
			throw e;
		} finally {
			if (!over && !preventCancel) await reader.cancel();
			reader.releaseLock();
		}
	}
	[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
		return this.values();
	}
	/** Two that give the same; what one has read is kept for the other. */
	tee(): [ReadableStream, ReadableStream] {
		const reader = this.getReader();
		const ends: Controller[] = [];
		let reading: Promise<void> | undefined;
		let cancelled = 0;
		const pull = (): Promise<void> =>
			(reading ??= reader
				.read()
				.then(
					({ done, value }) => ends.forEach((end) => (done ? end.close() : end.enqueue(value))),
					(e: unknown) => ends.forEach((end) => end.error(e)),
				)
				.finally(() => (reading = undefined)));
		const branch = (): ReadableStream => {
			let end: Controller;
			return new ReadableStream({
				start: (controller) => void ends.push((end = controller)),
				pull,
				cancel: (reason) => {
					ends.splice(ends.indexOf(end), 1);
					return ++cancelled === 2 ? reader.cancel(reason) : undefined;
				},
			});
		};
		return [branch(), branch()];
	}
}

/** All of it. */
export async function collect(stream: ReadableStream): Promise<Uint8Array<ArrayBuffer>> {
	const chunks: Uint8Array[] = [];
	let length = 0;
	for await (const chunk of stream) {
		const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
		if (!(bytes instanceof Uint8Array)) throw new TypeError("A body's stream gives bytes");
		chunks.push(bytes);
		length += bytes.length;
	}
	const out = new Uint8Array(length);
	let at = 0;
	for (const chunk of chunks) {
		out.set(chunk, at);
		at += chunk.length;
	}
	return out;
}
