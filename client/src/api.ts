// References to functions: `api.messages.send` is a name with the types of the function that it names.

import type { FunctionKind, RegisteredFunction } from "./server/functions.js";

const NAME = Symbol("millrace.function");

/** Names a function and carries its types. */
export interface FunctionRef<Kind extends FunctionKind = FunctionKind, Args = unknown, Result = unknown> {
	readonly _types?: { kind: Kind; args: Args; result: Result };
}

/** The arguments of a call: may be left out when none is required. */
export type ArgsOf<Args> = Record<never, never> extends Args ? [args?: Args] : [args: Args];

/** What arrives of a handler's result: nothing is null. */
export type Wired<R> = R extends void | undefined ? null : R;

/** Internal: true or false, which functions are meant. */
type RefOf<T, Internal extends boolean> =
	T extends RegisteredFunction<infer K, infer A, infer R, Internal> ? FunctionRef<K, A, Wired<R>> : never;

type Callable = (...args: never[]) => unknown;
type NodeOf<T, Internal extends boolean> = T extends RegisteredFunction
	? RefOf<T, Internal>
	: T extends Callable | readonly unknown[]
		? never
		: T extends object
			? ApiOf<T, Internal>
			: never;

/** The public functions of modules, as references; or their internal ones. */
export type ApiOf<M, Internal extends boolean = false> = {
	readonly [K in keyof M as K extends "default" ? never : NodeOf<M[K], Internal> extends never ? never : K]: NodeOf<M[K], Internal>;
} & (M extends { readonly default: infer D } ? ([RefOf<D, Internal>] extends [never] ? unknown : RefOf<D, Internal>) : unknown);

function node(path: string): object {
	const children = new Map<string, object>();
	return new Proxy(Object.freeze({}), {
		get(_target, key) {
			if (key === NAME) return path;
			if (typeof key !== "string" || key === "then" || key === "toJSON") return undefined;
			let child = children.get(key);
			if (!child) children.set(key, (child = node(path === "" ? key : `${path}.${key}`)));
			return child;
		},
		has: (_target, key) => key === NAME,
	});
}

/** The tree of references; `Modules` maps module names to the types of the modules. */
export function makeApi<Modules>(): ApiOf<Modules> {
	return node("") as ApiOf<Modules>;
}

/** The same of the internal functions, which only functions can call. */
export function makeInternal<Modules>(): ApiOf<Modules, true> {
	return node("") as ApiOf<Modules, true>;
}

/** A reference to a function that is known by name only. */
export function functionRef<Kind extends FunctionKind = FunctionKind, Args = unknown, Result = unknown>(
	name: string,
): FunctionRef<Kind, Args, Result> {
	return node(name) as FunctionRef<Kind, Args, Result>;
}

/** `messages.send`. */
export function functionName(ref: FunctionRef<FunctionKind, never, unknown> | FunctionRef): string {
	const name: unknown = typeof ref === "object" && ref !== null ? (ref as { readonly [NAME]?: unknown })[NAME] : undefined;
	if (typeof name !== "string" || name === "") throw new Error("this is no function reference; use api.<module>.<name>");
	return name;
}

export function isFunctionRef(x: unknown): x is FunctionRef {
	return typeof x === "object" && x !== null && NAME in x;
}

/** Of what is to be called: a reference, or the name itself. */
export function calledName(what: string, ref: unknown): string {
	if (typeof ref === "string" && ref !== "") return ref;
	if (isFunctionRef(ref)) return functionName(ref);
	throw new Error(`${what}: expected a function reference (api.<module>.<name>, internal.<module>.<name>) or a name`);
}
