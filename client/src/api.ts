// References to functions: `api.messages.send` is a name with the types of the function that it names.

import type { FunctionKind, RegisteredFunction } from "./server/functions.js";

const NAME = Symbol("millrace.function");

/** Names a function and carries its types. */
export interface FunctionRef<Kind extends FunctionKind = FunctionKind, Args = unknown, Result = unknown> {
	readonly _types?: { kind: Kind; args: Args; result: Result };
}

/** What arrives of a handler's result: nothing is null. */
export type Wired<R> = R extends void | undefined ? null : R;

type RefOf<T> =
	T extends RegisteredFunction<infer K, infer A, infer R, infer Internal>
		? Internal extends false
			? FunctionRef<K, A, Wired<R>>
			: never
		: never;

type Callable = (...args: never[]) => unknown;
type NodeOf<T> = T extends RegisteredFunction
	? RefOf<T>
	: T extends Callable | readonly unknown[]
		? never
		: T extends object
			? ApiOf<T>
			: never;

/** The public functions of modules, as references. */
export type ApiOf<M> = {
	readonly [K in keyof M as K extends "default" ? never : NodeOf<M[K]> extends never ? never : K]: NodeOf<M[K]>;
} & (M extends { readonly default: infer D } ? ([RefOf<D>] extends [never] ? unknown : RefOf<D>) : unknown);

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
