// millrace/runtime: runs an app's functions inside a worker. Its own code uses the language and the host's door, nothing else.

import { CONVEX_ERROR, ConvexError } from "./convex/error.js";
import { MillraceError } from "./error.js";
import { parseWire, printWire, printWireWithin, TextTooLong, ValueError } from "./json.js";
import { calledName } from "./api.js";
import { AppError, checkedFields, IdentityTouched, makeContext } from "./runtime/context.js";
import { cronsManifest } from "./runtime/crons.js";
import { type Channel, Frame } from "./runtime/frame.js";
import { installGlobals } from "./runtime/globals.js";
import { begin, type Entry, type Env, firstStray, forget, host, operate, settle, straysOf } from "./runtime/host.js";
import { answer, collectRoutes, routesManifest } from "./runtime/http.js";
import { includedFunctions } from "./runtime/included.js";
import { accessOf, collectFunctions, type Modules, printManifest } from "./runtime/manifest.js";
import { schedulerFunctions } from "./runtime/scheduler.js";
import type { FunctionKind, RegisteredFunction } from "./server/functions.js";
import type { Route } from "./server/http.js";
import { declareScheduled } from "./server/scheduler.js";
import { declareSessions } from "./server/sessions.js";
import { checkShape, ValidationError } from "./server/validators.js";
import type { ErrorCode } from "./tables.js";
import { isPlainObject, type Value } from "./values.js";

installGlobals();

interface Failure {
	readonly code: ErrorCode;
	readonly message: string;
	readonly data?: Value;
}

function failureOf(error: unknown): Failure {
	if (error instanceof AppError) return { code: "app_error", message: error.message, data: { ...error.data, code: error.code } };
	if (error instanceof ConvexError) return { code: "app_error", message: error.message, data: { code: CONVEX_ERROR, data: error.data as Value } };
	if (error instanceof MillraceError)
		return { code: error.code, message: error.message, ...(error.data === undefined ? {} : { data: error.data }) };
	if (error instanceof IdentityTouched) return { code: "internal", message: error.message };
	if (error instanceof Error) {
		const stack = typeof error.stack === "string" ? { data: { stack: error.stack } } : {};
		return { code: "function_failed", message: `${error.name}: ${error.message}`, ...stack };
	}
	return { code: "function_failed", message: `thrown: ${describeThrown(error)}` };
}

function describeThrown(error: unknown): string {
	try {
		return typeof error === "string" ? error : printWire(error);
	} catch {
		return typeof error;
	}
}

/** The arguments, checked; or the failure. */
function readArgs(fn: RegisteredFunction, text: string): Value {
	let args: Value;
	try {
		args = text === "" || text === "null" ? {} : parseWire(text);
	} catch (e) {
		throw new MillraceError("bad_args", `args: ${e instanceof Error ? e.message : "not values of the protocol"}`);
	}
	try {
		if (fn.options.args) return checkShape(fn.options.args, args, "args") as Value;
		if (!isPlainObject(args)) throw new ValidationError("args: expected object");
	} catch (e) {
		if (e instanceof ValidationError) throw new MillraceError("bad_args", e.message);
		throw e;
	}
	return args;
}

/** One call: its number, and what its functions have in common. */
interface Call {
	readonly n: number;
	readonly env: Env;
	readonly functions: ReadonlyMap<string, RegisteredFunction>;
	/** Functions that it ran, for each to have random numbers of its own. */
	ran: number;
	readonly clock: { looked: boolean };
}

function contextOf(call: Call, kind: FunctionKind, frame: Frame, within: number): object {
	const k = call.ran++;
	return makeContext(kind, {
		env: k === 0 ? call.env : { ...call.env, seed: `${call.env.seed}/${k}` },
		operate: frame.operate,
		identity: () => host().identity(call.n),
		clock: call.clock,
		functions: call.functions,
		run: (kind, ref, given) => frame.track(runWithin(call, frame, within + 1, kind, ref, given)),
	});
}

/** Runs a function in a frame; the result is JSON text. `within`: how many are around it. */
function run(call: Call, fn: RegisteredFunction, args: string, frame: Frame, within: number): Promise<string> {
	const ctx = contextOf(call, fn.kind, frame, within);
	return frame
		.run(() => (fn.options.handler as (ctx: object, args: Value) => unknown)(ctx, readArgs(fn, args)))
		.then((result) => printResult(fn, result, within === 0 ? call.env.most : Infinity));
}

/** Answers a request of a route, as an action; it has ended when the last of the response is taken. */
function serve(call: Call, route: Route, request: string, frame: Frame): Promise<string> {
	return frame.run(() => answer(call.n, route, request, () => contextOf(call, "action", frame, 0))).then((value) => printWire(value, "response"));
}

/** A function that another one calls. A mutation is a part of the call's transaction that is taken back alone. */
async function runWithin(call: Call, frame: Frame, within: number, kind: string, ref: unknown, given: unknown): Promise<Value> {
	const name = calledName(kind === "query" ? "ctx.runQuery" : "ctx.runMutation", ref);
	const fn = call.functions.get(name);
	if (fn?.kind !== kind) throw new MillraceError("unknown_function", `No ${kind} function named ${name} is loaded.`);
	if (within >= call.env.depth) throw tooDeep(name, call.env.depth);
	if (accessOf(fn) === "user") needUser(call, name);
	const args = printWire(given ?? {}, "args");
	const go = (channel: Channel, level: number) => run(call, fn, args, new Frame(channel, level), within);
	const text = kind === "query" ? go(frame.operate, frame.level) : frame.part((channel) => go(channel, frame.level + 1));
	return parseWire(await text);
}

function tooDeep(name: string, depth: number): MillraceError {
	const message = `${name} would be more than ${depth} functions deep (max_call_depth).`;
	return new MillraceError("call_depth", message, { setting: "max_call_depth" });
}

function needUser(call: Call, name: string): void {
	host().identity(call.n);
	if (call.env.shared) throw new IdentityTouched();
	if (!call.env.auth) throw new MillraceError("unauthenticated", `${name} needs a signed-in caller.`);
}

/** What is far too long is refused before there is a second copy of it. */
function printResult(fn: RegisteredFunction, result: unknown, most: number): string {
	const value = result === undefined ? null : result;
	try {
		return printWireWithin(most, fn.options.returns ? fn.options.returns.check(value, "result") : value, "result");
	} catch (e) {
		if (!(e instanceof TextTooLong)) throw e;
		throw new MillraceError("too_large", `The result is larger than ${most} bytes (max_result).`, { setting: "max_result" });
	}
}

/** What the app declared, by the names that the host calls. */
interface Declared {
	readonly functions: ReadonlyMap<string, RegisteredFunction>;
	readonly routes: ReadonlyMap<string, Route>;
}

function fail(n: number, error: unknown): void {
	let text: string;
	try {
		text = printWire(failureOf(error));
	} catch (e) {
		text = printWire({
			code: "function_failed",
			message: e instanceof ValueError ? `error data: ${e.message}` : "the error cannot be sent",
		});
	}
	host().done(n, false, text);
}

function succeed(n: number, result: string): void {
	const stray = firstStray(n);
	if (stray) fail(n, stray.reason);
	else host().done(n, true, result);
}

/** What fails with the function's last step is told after its end, before anybody was told of that; it takes it back. */
function rejected(n: number, promise: Promise<unknown>, reason: unknown): void {
	const strays = straysOf(n);
	if (strays) strays.note(promise, reason);
	else fail(n, reason);
}

function start({ functions, routes }: Declared, n: number, name: string, args: string, envText: string): void {
	const [fn, route] = [functions.get(name), routes.get(name)];
	if (!fn && !route) return fail(n, new MillraceError("unknown_function", `no function named ${name} is loaded`));
	const env = parseWire(envText) as unknown as Env;
	begin(n);
	const call: Call = { n, env, functions, ran: 0, clock: { looked: false } };
	const frame = new Frame((kind, json) => operate(n, kind, json), 0);
	const ending = (how: (n: number, what: string) => void) => (what: unknown) => {
		try {
			how(n, what as string);
		} finally {
			forget(n);
		}
	};
	(route ? serve(call, route, args, frame) : run(call, fn as RegisteredFunction, args, frame, 0)).then(
		ending(succeed),
		ending(fail),
	);
}

function checkWrite(entity: string, json: string): string {
	try {
		return `{"value":${printWire(checkedFields(entity, parseWire(json) as object))}}`;
	} catch (e) {
		return `{"error":${printWire(failureOf(e))}}`;
	}
}

/** Called once, by the bundle's entry. */
export function register(parts: { readonly app?: unknown; readonly modules: Modules }): void {
	declareScheduled();
	declareSessions();
	const functions = new Map([...collectFunctions(parts.modules), ...schedulerFunctions, ...includedFunctions]);
	const routes = collectRoutes(parts.modules);
	const manifest = printManifest(functions, cronsManifest(functions), routesManifest(routes));
	const entry: Entry = {
		manifest: () => manifest,
		call: (n, name, args, env) => start({ functions, routes }, n, name, args, env),
		check: checkWrite,
		settle,
		rejected,
		forget,
	};
	(globalThis as { __millrace?: Entry }).__millrace = entry;
}
