import type { ErrorCode } from "./tables.js";
import type { Value } from "./values.js";

/** Every failure that a caller can meet: a stable code, a sentence, and more by code (an app's own code is `data.code`). */
export class MillraceError extends Error {
	readonly code: ErrorCode;
	readonly data: Value | undefined;
	constructor(code: ErrorCode, message: string, data?: Value) {
		super(message);
		this.name = "MillraceError";
		this.code = code;
		this.data = data;
	}
}
