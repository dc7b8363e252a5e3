// Rejections that nobody handled: a function of which something failed unseen has not done what it would say that it did. What somebody
// handles later, before the function ends, is handled; the engine does not tell that, so the promise is made to tell it itself.

interface Stray {
	readonly reason: unknown;
	handled: boolean;
}

/** Failures that a caller was told in another way: of a function within it, or of a part that was taken back. */
const told = new WeakSet();
export function tell(reason: unknown): void {
	if (typeof reason === "object" && reason !== null) told.add(reason);
}
const isTold = (reason: unknown): boolean => typeof reason === "object" && reason !== null && told.has(reason);

/** More of them are of no account, once none of these was handled. */
const MOST = 100;

export class Strays {
	readonly #list: Stray[] = [];

	/** The engine says so when all that could run has run and none of it looked at the promise. */
	note(promise: Promise<unknown>, reason: unknown): void {
		if (this.#list.length >= MOST) return;
		const stray = { reason, handled: false };
		this.#list.push(stray);
		const then = (...args: Parameters<Promise<unknown>["then"]>) => {
			stray.handled = true;
			return Promise.prototype.then.apply(promise, args);
		};
		// of another constructor: what awaits it then asks for its `then`
		Object.defineProperties(promise, { then: { value: then }, constructor: { value: undefined } });
	}
	/** The first that is still nobody's. */
	first(): Stray | undefined {
		return this.#list.find((one) => !one.handled && !isTold(one.reason));
	}
}
