// AbortController and AbortSignal.

export class DOMException extends Error {
	constructor(message = "", name = "Error") {
		super(message);
		Object.defineProperty(this, "name", { value: name, configurable: true, writable: true });
	}
}

type Listener = ((event: { readonly type: string; readonly target: AbortSignal }) => unknown) | { handleEvent(event: unknown): unknown };

let fire: (signal: AbortSignal, reason: unknown) => void;

export class AbortSignal {
	#aborted = false;
	#reason: unknown;
	readonly #listeners = new Set<Listener>();
	onabort: Listener | null = null;
	static {
		fire = (signal, reason) => signal.#fire(reason);
	}
	#fire(reason: unknown): void {
		if (this.#aborted) return;
		this.#aborted = true;
		this.#reason = reason === undefined ? new DOMException("This operation was aborted", "AbortError") : reason;
		const event = { type: "abort", target: this };
		for (const listener of [this.onabort, ...this.#listeners]) {
			try {
				if (typeof listener === "function") listener.call(this as never, event);
				else listener?.handleEvent(event);
			} catch (e) {
				void Promise.reject(e); // one that fails keeps no other from hearing it
			}
		}
		this.#listeners.clear();
	}
	get aborted(): boolean {
		return this.#aborted;
	}
	get reason(): unknown {
		return this.#reason;
	}
	throwIfAborted(): void {
		if (this.#aborted) throw this.#reason;
	}
	addEventListener(type: string, listener: Listener | null): void {
		if (type === "abort" && listener && !this.#aborted) this.#listeners.add(listener);
	}
	removeEventListener(type: string, listener: Listener | null): void {
		if (type === "abort" && listener) this.#listeners.delete(listener);
	}
	static abort(reason?: unknown): AbortSignal {
		const signal = new AbortSignal();
		fire(signal, reason);
		return signal;
	}
	static timeout(ms: number): AbortSignal {
		const signal = new AbortSignal();
		(globalThis as { setTimeout?: (callback: () => void, ms: number) => unknown }).setTimeout?.(
			() => fire(signal, new DOMException("The operation timed out", "TimeoutError")),
			ms,
		);
		return signal;
	}
}

/** AbortSignal.any */
function firstOf(signals: Iterable<AbortSignal>): AbortSignal {
	const all = [...signals];
	const signal = new AbortSignal();
	for (const one of all) {
		if (one.aborted) fire(signal, one.reason);
		else one.addEventListener("abort", () => fire(signal, one.reason));
	}
	return signal;
}
Object.defineProperty(AbortSignal, "any", { value: firstOf, writable: true, configurable: true });

export class AbortController {
	readonly signal = new AbortSignal();
	abort(reason?: unknown): void {
		fire(this.signal, reason);
	}
}
