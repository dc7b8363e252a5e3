// What is asked, in one form: entity queries and function queries as the server is told of them, and their keys.

import { functionName, type FunctionRef, isFunctionRef } from "./api.js";
import { MillraceError } from "./error.js";
import { cleanValue, cleanWhere, printWire, ValueError, whereToJson } from "./json.js";
import { type EntitySpec, type FunctionSpec, isEntitySpec, type Spec } from "./results.js";
import { type Include, isPlainObject, type Order, type Value } from "./values.js";

/** `{ createdAt: "desc" }` or pairs -> pairs. */
function cleanOrder(order: unknown): Order | undefined {
	if (order === undefined || order === null) return undefined;
	const pairs: unknown[] = Array.isArray(order)
		? order
		: Object.entries(order as object).filter(([, direction]) => direction !== undefined);
	return pairs.map((pair) => {
		const [field, direction] = pair as [unknown, unknown];
		if (typeof field !== "string" || (direction !== "asc" && direction !== "desc"))
			throw new Error('orderBy: expected { field: "asc" | "desc" } or [["field", "asc" | "desc"]]');
		return [field, direction] as const;
	});
}

interface LooseQuery {
	readonly where?: unknown;
	readonly orderBy?: unknown;
	readonly limit?: number | undefined;
	readonly include?: unknown;
}

/** Undefined when there is nothing in it. What cannot be meant is refused; what is not there is the server's to say. */
function cleanInclude(include: unknown): Include | undefined {
	if (include === undefined || include === null) return undefined;
	if (!isPlainObject(include)) throw new Error('include: expected { name: "field" }');
	const names = Object.keys(include).filter((name) => include[name] !== undefined);
	const pairs = names.sort().map((name) => [name, cleanReference(name, include[name])] as const);
	return pairs.length > 0 ? Object.fromEntries(pairs) : undefined;
}
function cleanReference(name: string, one: unknown): Include[string] {
	const { field, include } = isPlainObject(one) ? one : { field: one, include: undefined };
	if (typeof field !== "string") throw new Error(`include: ${name} is to be the name of a field, or { field, include }`);
	const more = cleanInclude(include);
	return more ? { field, include: more } : field;
}

export function entitySpec(entity: string, query: LooseQuery = {}): EntitySpec {
	const order = cleanOrder(query.orderBy);
	return {
		entity,
		where: query.where === undefined ? {} : cleanWhere(query.where),
		order: order?.length ? order : undefined,
		limit: query.limit,
		include: cleanInclude(query.include),
	};
}

export function functionSpec(fn: FunctionRef, args: unknown): FunctionSpec {
	return { fn: functionName(fn), args: cleanArgs(args) };
}

export function specOf(what: unknown, query: unknown): Spec {
	if (isFunctionRef(what)) return functionSpec(what, query);
	if (typeof what !== "string") throw new Error("expected the name of an entity or a function reference (api.<module>.<name>)");
	return entitySpec(what, (query ?? {}) as LooseQuery);
}

/** What cannot travel is refused as the server would refuse it. */
export function cleanArgs(args: unknown): Value {
	try {
		return cleanValue(args ?? {}, "args");
	} catch (e) {
		throw e instanceof ValueError ? new MillraceError("bad_args", e.message) : e;
	}
}

const keys = new WeakMap<Spec, string>();

/** Equal specs have equal keys. */
export function specKey(spec: Spec): string {
	let key = keys.get(spec);
	if (key === undefined) keys.set(spec, (key = makeKey(spec)));
	return key;
}
function makeKey(spec: Spec): string {
	if (!isEntitySpec(spec)) return `f ${spec.fn} ${printWire(cleanArgs(spec.args))}`; // whoever wrote it, in whichever order
	return `${baseKey(spec)} ${spec.limit ?? ""}`;
}
/** Equal but for the limit. */
export function baseKey(spec: Spec): string {
	return isEntitySpec(spec)
		? `e ${spec.entity} ${JSON.stringify(whereToJson(spec.where))} ${JSON.stringify(spec.order ?? null)}${spec.include ? ` ${JSON.stringify(spec.include)}` : ""}`
		: specKey(spec);
}
