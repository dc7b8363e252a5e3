// What the server will not take is refused here: a frame that is too large would end the socket and come again with the next one, and one
// that nests too deep cannot be answered by its id.
import type { ClientMessage, ErrorInfo, WelcomeMessage } from "./tables.js";

const utf8 = new TextEncoder();

/** How many arrays and objects are inside each other at the deepest place. */
function depthOf(value: unknown): number {
	if (typeof value === "bigint" || value instanceof Uint8Array) return 1; // a map with one key, in JSON
	if (value === null || typeof value !== "object") return 0;
	let deepest = 0;
	for (const item of Array.isArray(value) ? value : Object.values(value)) deepest = Math.max(deepest, depthOf(item));
	return deepest + 1;
}

export class Limits {
	private frame = Infinity;
	private depth = Infinity;

	/** As the last server said it. Before the first welcome nothing is known, and nothing refused. */
	set({ max_frame, max_depth }: WelcomeMessage): void {
		this.frame = max_frame;
		this.depth = max_depth;
	}
	/** Why the server would not take it. `encoded` makes its frame. */
	refusal(message: ClientMessage, encoded: (message: ClientMessage) => string | Uint8Array): ErrorInfo | undefined {
		if (this.depth === Infinity) return undefined;
		if (depthOf(message) > this.depth)
			return { code: "bad_args", message: `It nests more than ${this.depth} deep (max_depth).`, data: { setting: "max_depth" } };
		const frame = encoded(message);
		const bytes = typeof frame === "string" && frame.length * 3 > this.frame ? utf8.encode(frame).length : frame.length;
		if (bytes <= this.frame) return undefined;
		return { code: "too_large", message: `It is ${bytes} bytes long; the server takes ${this.frame} (max_frame).`, data: { setting: "max_frame" } };
	}
}
