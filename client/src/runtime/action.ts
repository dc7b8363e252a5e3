// What an action's `ctx` has besides: calls of other functions, each a job of its own.

import { calledName } from "../api.js";
import { asThrown } from "../convex/error.js";
import { printWire } from "../json.js";
import type { FunctionKind } from "../server/functions.js";
import type { Value } from "../values.js";
import type { CallDoor } from "./context.js";

export function makeActions(call: CallDoor) {
	const run = (kind: FunctionKind, what: string) => async (ref: unknown, args: unknown): Promise<Value> => {
		const head = `"kind":"${kind}","fn":${printWire(calledName(what, ref))}`;
		try {
			return await call.operate("call", `{${head},"args":${printWire(args ?? {}, `${what}: args`)}}`);
		} catch (e) {
			throw asThrown(e); // what it threw, where that was a ConvexError
		}
	};
	return {
		runQuery: run("query", "ctx.runQuery"),
		runMutation: run("mutation", "ctx.runMutation"),
		runAction: run("action", "ctx.runAction"),
	};
}
