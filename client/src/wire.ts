// Messages <-> frames, in the two encodings of the one protocol.

import { parseWire, whereToJson } from "./json.js";
import { decodeMsgpack, encodeMsgpack } from "./msgpack.js";
import type { ClientMessage, ServerMessage } from "./tables.js";
import { isPlainObject } from "./values.js";

export type Encoding = "msgpack" | "json";
export type Frame = string | Uint8Array<ArrayBuffer>;

export class WireError extends Error {
	override readonly name = "WireError";
}

export function subprotocol(encoding: Encoding): string {
	return `millrace.v1.${encoding}`;
}

export function encodeMessage(encoding: Encoding, message: ClientMessage): Frame {
	if (encoding === "json") return JSON.stringify(whereToJson(message, "message"));
	return encodeMsgpack(message) as Uint8Array<ArrayBuffer>;
}

export function decodeMessage(frame: string | Uint8Array): ServerMessage {
	let value: unknown;
	try {
		value = typeof frame === "string" ? parseWire(frame) : decodeMsgpack(frame);
	} catch (e) {
		throw new WireError(e instanceof Error ? e.message : "not a frame of the protocol");
	}
	if (!isPlainObject(value) || typeof value["t"] !== "string") throw new WireError("a message is a map with t");
	return value as unknown as ServerMessage;
}
