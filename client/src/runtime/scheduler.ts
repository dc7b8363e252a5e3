// `ctx.scheduler`: a job is a row that the mutation inserts, by the operations that it has for all rows; so it comes and goes with the
// transaction. What actions schedule is done by mutations of the runtime's own.

import { calledName } from "../api.js";
import { MillraceError } from "../error.js";
import { parseWire, printWire } from "../json.js";
import { documentId } from "../server/documents.js";
import { RegisteredFunction } from "../server/functions.js";
import { type JobRow, type RetryOptions, SCHEDULED, type Scheduler } from "../server/scheduler.js";
import { checkShape, UUID, ValidationError } from "../server/validators.js";
import { isPlainObject, type Value } from "../values.js";
import type { CallDoor } from "./context.js";
import { isDocuments, mintUuid, uuidOf } from "./documents.js";
import { accessOf } from "./manifest.js";

/** The last millisecond that a Date can hold. */
const LAST = 8.64e15;

function refuse(message: string): never {
	throw new MillraceError("bad_args", message);
}

function number(value: unknown, what: string, least: number, most: number): number {
	if (typeof value !== "number" || !(value >= least) || value > most) refuse(`${what}: expected a number from ${least} to ${most}`);
	return value;
}

export function readRetry(what: string, retry: RetryOptions | undefined): Value {
	if (retry === undefined || retry === null) return null;
	if (!isPlainObject(retry)) refuse(`${what}: retry is { attempts, initialBackoffMs?, base?, maxBackoffMs? }`);
	const attempts = number(retry.attempts, `${what}: retry.attempts`, 1, 100);
	if (!Number.isInteger(attempts)) refuse(`${what}: retry.attempts is a whole number`);
	return {
		attempts,
		initialBackoffMs: number(retry.initialBackoffMs ?? 1000, `${what}: retry.initialBackoffMs`, 0, 1e9),
		base: number(retry.base ?? 2, `${what}: retry.base`, 1, 100),
		maxBackoffMs: number(retry.maxBackoffMs ?? 600_000, `${what}: retry.maxBackoffMs`, 0, 1e9),
	};
}

/** A function that can run without a caller, with arguments that it takes. */
export function readTarget(functions: CallDoor["functions"], what: string, ref: unknown, args: unknown) {
	const name = calledName(what, ref), fn = functions.get(name);
	if (!fn || fn.kind === "query") throw new MillraceError("unknown_function", `${what}: no mutation or action named ${name} is loaded.`);
	if (accessOf(fn) === "user")
		refuse(`${what}: ${name} needs a signed-in caller, which a scheduled function does not have. Make it an internal function, and pass it the userId.`);
	const text = printWire(args ?? {}, `${what}: args`);
	try {
		if (fn.options.args) checkShape(fn.options.args, parseWire(text), "args");
		else if (!isPlainObject(args ?? {})) refuse("args: expected object");
	} catch (e) {
		if (e instanceof ValidationError) refuse(`${what}: ${name}: ${e.message}`);
		throw e;
	}
	return { name, kind: fn.kind, args: text };
}

function timeOf(time: unknown): number {
	const ms = time instanceof Date ? time.getTime() : time;
	return number(ms, "ctx.scheduler.runAt: the time", 0, LAST);
}

async function insert(call: CallDoor, runAt: number, target: ReturnType<typeof readTarget>, retry: Value): Promise<string> {
	const id = mintUuid(call.env.now, call.env.seed);
	const value = printWire({ id, name: target.name, kind: target.kind, runAt: new Date(runAt).toISOString(), retry });
	await call.operate("insert", `{"entity":${printWire(SCHEDULED)},"value":${value.slice(0, -1)},"args":${target.args}}}`);
	return isDocuments(SCHEDULED) ? documentId(SCHEDULED, id) : id;
}

async function cancel(call: CallDoor, id: string): Promise<void> {
	const row = (await call.operate("get", printWire({ entity: SCHEDULED, id, forUpdate: true }))) as unknown as JobRow | null;
	if (row?.state !== "pending" && row?.state !== "inProgress") return;
	const value = { state: "canceled", holder: null, finishedAt: new Date(call.env.now).toISOString() };
	await call.operate("patch", printWire({ entity: SCHEDULED, id, value }));
}

function jobId(id: unknown): string {
	if (isDocuments(SCHEDULED)) return uuidOf(SCHEDULED, id, "ctx.scheduler.cancel");
	if (typeof id !== "string" || !UUID.test(id)) refuse("ctx.scheduler.cancel: expected the id that runAfter or runAt gave");
	return id;
}

export function makeScheduler(kind: string, call: CallDoor): Scheduler {
	const within = (fn: string, args: string) => call.operate("call", `{"kind":"mutation","fn":"${fn}","args":${args}}`);
	const schedule = async (what: string, runAt: number, ref: unknown, args: unknown, options: unknown) => {
		const target = readTarget(call.functions, what, ref, args);
		const retry = readRetry(what, (options as { readonly retry?: RetryOptions } | undefined)?.retry);
		if (kind === "mutation") return insert(call, runAt, target, retry);
		return within(SCHEDULE, `{"runAt":${runAt},"name":${printWire(target.name)},"args":${target.args},"retry":${printWire(retry)}}`);
	};
	const now = () => (kind === "mutation" ? call.env.now : Date.now());
	const later = async (delay: unknown, ref: unknown, args: unknown, options: unknown) =>
		schedule("ctx.scheduler.runAfter", now() + number(delay, "ctx.scheduler.runAfter: the delay in milliseconds", 0, LAST - now()), ref, args, options);
	const at = async (time: unknown, ref: unknown, args: unknown, options: unknown) => schedule("ctx.scheduler.runAt", timeOf(time), ref, args, options);
	const end = async (id: unknown) => {
		const uuid = jobId(id);
		await (kind === "mutation" ? cancel(call, uuid) : within(CANCEL, `{"id":${printWire(id)}}`));
	};
	return { runAfter: later, runAt: at, cancel: end } as unknown as Scheduler;
}

// --- what actions call ---

const SCHEDULE = "_scheduler.schedule", CANCEL = "_scheduler.cancel";

type Scheduling = { readonly scheduler: { runAt(time: number, name: string, args: Value, options: object): Promise<string>; cancel(id: string): Promise<void> } };
type Asked = { readonly runAt: number; readonly name: string; readonly args: Value; readonly retry: Value };

/** They only insert, or go by one row that they lock: nothing of it can conflict. */
function own(handler: (ctx: Scheduling, args: never) => Promise<unknown>): RegisteredFunction {
	const options = { args: undefined, returns: undefined, auth: undefined, isolation: "read committed", cancelWithCaller: undefined } as const;
	return new RegisteredFunction("mutation", true, { ...options, handler: handler as never });
}

export const schedulerFunctions: ReadonlyMap<string, RegisteredFunction> = new Map([
	[SCHEDULE, own((ctx, { runAt, name, args, retry }: Asked) => ctx.scheduler.runAt(runAt, name, args, { retry }))],
	[CANCEL, own((ctx, { id }: { readonly id: string }) => ctx.scheduler.cancel(id))],
]);
