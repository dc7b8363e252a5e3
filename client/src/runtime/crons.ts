// The app's crons as the manifest has them: what they run is checked when all functions are known.

import { declaredCrons } from "../server/crons.js";
import type { RegisteredFunction } from "../server/functions.js";
import { readRetry, readTarget } from "./scheduler.js";

export function cronsManifest(functions: ReadonlyMap<string, RegisteredFunction>): object[] {
	return [...declaredCrons.values()].map((one) => {
		const where = `cron ${JSON.stringify(one.name)}`;
		const { name: fn, kind, args } = readTarget(functions, where, one.fn, one.args);
		return { name: one.name, fn, kind, args: JSON.parse(args) as unknown, retry: readRetry(where, one.retry), when: one.when };
	});
}
