// millrace/runtime: runs an app's functions inside a worker. Pure language: no timers, no network, no globals but the host's door.

import { MillraceError } from "./error.js";
import { parseWire, printWire, ValueError } from "./json.js";
import { AppError, IdentityTouched, makeContext } from "./runtime/context.js";
import { begin, type Entry, type Env, forget, host, operate, settle } from "./runtime/host.js";
import { collectFunctions, type Modules, printManifest } from "./runtime/manifest.js";
import type { RegisteredFunction } from "./server/functions.js";
import { checkShape, ValidationError } from "./server/validators.js";
import type { ErrorCode } from "./tables.js";
import { isPlainObject, type Value } from "./values.js";

interface Failure {
	readonly code: ErrorCode;
	readonly message: string;
	readonly data?: Value;
}

function failureOf(error: unknown): Failure {
	if (error instanceof AppError) return { code: "app_error", message: error.message, data: { ...error.data, code: error.code } };
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

/** One run: the handler, then whatever it started and did not await. Its effects are part of the call. */
async function run(n: number, fn: RegisteredFunction, args: string, env: Env): Promise<string> {
	const open = new Set<Promise<Value>>();
	let over = false;
	let stray: unknown;
	const ctx = makeContext(fn.kind, {
		env,
		operate: (kind, json) => {
			if (over) return Promise.reject(new Error(`ctx.db was used after its function had ended (${kind})`));
			const one = operate(n, kind, json);
			open.add(one);
			one.then(
				() => open.delete(one),
				(e: unknown) => {
					open.delete(one);
					stray ??= e;
				},
			);
			return one;
		},
		identity: () => host().identity(n),
	});
	try {
		const result = await (fn.options.handler as (ctx: object, args: Value) => unknown)(ctx, readArgs(fn, args));
		stray = undefined; // what failed so far was the handler's to see
		while (open.size > 0) await Promise.allSettled(open);
		if (stray !== undefined) throw stray;
		return printResult(fn, result);
	} finally {
		over = true;
	}
}

function printResult(fn: RegisteredFunction, result: unknown): string {
	const value = result === undefined ? null : result;
	return printWire(fn.options.returns ? fn.options.returns.check(value, "result") : value, "result");
}

function start(functions: ReadonlyMap<string, RegisteredFunction>, n: number, name: string, args: string, envText: string): void {
	const fail = (error: unknown): void => {
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
	};
	const fn = functions.get(name);
	if (!fn) return fail(new MillraceError("unknown_function", `no function named ${name} is loaded`));
	const env = parseWire(envText) as unknown as Env;
	begin(n);
	run(n, fn, args, env)
		.then((result) => host().done(n, true, result), fail)
		.finally(() => forget(n));
}

/** Called once, by the bundle's entry. */
export function register(parts: { readonly app?: unknown; readonly modules: Modules }): void {
	const functions = collectFunctions(parts.modules);
	const manifest = printManifest(functions);
	const entry: Entry = {
		manifest: () => manifest,
		call: (n, name, args, env) => start(functions, n, name, args, env),
		settle,
		forget,
	};
	(globalThis as { __millrace?: Entry }).__millrace = entry;
}
