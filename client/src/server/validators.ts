// Validators of arguments and results: what they accept, said with the path of what is wrong.

import { isPlainObject, sameValue, type Value } from "../values.js";

/** The sentence's place is inside it: `args.items[3].price: expected number, got string`. */
export class ValidationError extends Error {
	override readonly name = "ValidationError";
}

export class Validator<T, Optional extends boolean = false> {
	declare readonly _type?: T;
	declare readonly _optional?: Optional;
	/** @internal What it wants, for sentences. */
	readonly wants: string;
	/** @internal */
	readonly check: (value: unknown, path: string) => void;
	/** @internal */
	readonly mayMiss: boolean;
	/** @internal */
	constructor(wants: string, check: (value: unknown, path: string) => void, mayMiss = false) {
		this.wants = wants;
		this.check = check;
		this.mayMiss = mayMiss;
	}
}

export type Infer<V> = V extends { readonly _type?: infer T } ? Exclude<T, undefined> | (undefined extends T ? never : never) : never;
type AnyValidator = Validator<unknown, boolean>;
export type Shape = { readonly [name: string]: AnyValidator };
type Flat<T> = { [K in keyof T]: T[K] };
export type ObjectOf<S> = Flat<
	{ [K in keyof S as S[K] extends { readonly _optional?: true } ? never : K]: Infer<S[K]> } & {
		[K in keyof S as S[K] extends { readonly _optional?: true } ? K : never]?: Infer<S[K]>;
	}
>;

export function describe(value: unknown): string {
	if (value === null) return "null";
	if (value === undefined) return "nothing";
	if (Array.isArray(value)) return "array";
	if (value instanceof Uint8Array) return "bytes";
	return typeof value;
}

function fail(path: string, wants: string, value: unknown): never {
	throw new ValidationError(`${path}: expected ${wants}, got ${describe(value)}`);
}

function simple<T>(wants: string, test: (value: unknown) => boolean): Validator<T> {
	return new Validator<T>(wants, (value, path) => {
		if (!test(value)) fail(path, wants, value);
	});
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const DATETIME = /^([+-]?\d{4,6}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?\s*(Z|[+-]\d\d(:?\d\d)?)|-?infinity)$/i;

function member(path: string, key: string): string {
	return /^[A-Za-z_][\w]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

export function checkShape(shape: Shape, value: unknown, path: string): void {
	if (!isPlainObject(value)) fail(path, "object", value);
	for (const key of Object.keys(value)) {
		if (!Object.hasOwn(shape, key) && value[key] !== undefined)
			throw new ValidationError(`${member(path, key)}: no such field is expected`);
	}
	for (const [key, validator] of Object.entries(shape)) {
		const item = Object.hasOwn(value, key) ? value[key] : undefined;
		if (item === undefined && validator.mayMiss) continue;
		if (item === undefined) throw new ValidationError(`${member(path, key)}: is missing, expected ${validator.wants}`);
		validator.check(item, member(path, key));
	}
}

function anyValue(value: unknown, path: string, depth = 0): void {
	if (depth > 512) throw new ValidationError(`${path}: nests too deep`);
	if (value === null || ["string", "number", "boolean", "bigint"].includes(typeof value) || value instanceof Uint8Array) return;
	if (Array.isArray(value)) return value.forEach((item, i) => anyValue(item, `${path}[${i}]`, depth + 1));
	if (!isPlainObject(value)) fail(path, "value", value);
	for (const [key, item] of Object.entries(value)) if (item !== undefined) anyValue(item, member(path, key), depth + 1);
}

type Literal = string | number | bigint | boolean;
type UnionOf<L extends readonly AnyValidator[]> = { [K in keyof L]: Infer<L[K]> }[number];

function union<const L extends readonly AnyValidator[]>(...options: L): Validator<UnionOf<L>> {
	const wants = options.map((option) => option.wants).join(" or ");
	return new Validator<UnionOf<L>>(wants, (value, path) => {
		const problems: ValidationError[] = [];
		for (const option of options) {
			try {
				return option.check(value, path);
			} catch (e) {
				if (!(e instanceof ValidationError)) throw e;
				problems.push(e);
			}
		}
		// a sentence from deeper inside tells more than "expected a or b"
		const deeper = problems.filter((p) => !p.message.startsWith(`${path}: expected`) && p.message.startsWith(path));
		if (deeper.length === 1 && deeper[0]) throw deeper[0];
		fail(path, wants, value);
	});
}

export const v = {
	string: (): Validator<string> => simple("string", (x) => typeof x === "string"),
	number: (): Validator<number> => simple("number", (x) => typeof x === "number"),
	float64: (): Validator<number> => simple("number", (x) => typeof x === "number"),
	/** A whole number that is exact. */
	int: (): Validator<number> => simple("whole number", (x) => Number.isSafeInteger(x)),
	int64: (): Validator<bigint> => simple("bigint", (x) => typeof x === "bigint" && BigInt.asIntN(64, x) === x),
	bigint: (): Validator<bigint> => simple("bigint", (x) => typeof x === "bigint"),
	boolean: (): Validator<boolean> => simple("boolean", (x) => typeof x === "boolean"),
	bool: (): Validator<boolean> => simple("boolean", (x) => typeof x === "boolean"),
	null: (): Validator<null> => simple("null", (x) => x === null),
	bytes: (): Validator<Uint8Array> => simple("bytes", (x) => x instanceof Uint8Array),
	/** ISO 8601 text with `Z` or an offset. */
	datetime: (): Validator<string> =>
		simple("datetime (ISO 8601 text with Z or an offset)", (x) => typeof x === "string" && DATETIME.test(x)),
	any: (): Validator<Value> => new Validator<Value>("value", anyValue),
	id: (entity: string): Validator<string> => simple(`id of ${entity} (a uuid)`, (x) => typeof x === "string" && UUID.test(x)),
	literal: <const L extends Literal>(literal: L): Validator<L> =>
		simple(typeof literal === "string" ? JSON.stringify(literal) : String(literal), (x) => sameValue(x, literal)),
	array: <T>(item: Validator<T>): Validator<T[]> =>
		new Validator<T[]>("array", (value, path) => {
			if (!Array.isArray(value)) fail(path, "array", value);
			value.forEach((element, i) => item.check(element, `${path}[${i}]`));
		}),
	object: <S extends Shape>(shape: S): Validator<ObjectOf<S>> =>
		new Validator<ObjectOf<S>>("object", (value, path) => checkShape(shape, value, path)),
	record: <T>(keys: Validator<string>, values: Validator<T>): Validator<Record<string, T>> =>
		new Validator<Record<string, T>>("object", (value, path) => {
			if (!isPlainObject(value)) fail(path, "object", value);
			for (const [key, item] of Object.entries(value)) {
				keys.check(key, `${path} key ${JSON.stringify(key)}`);
				values.check(item, member(path, key));
			}
		}),
	union,
	/** May be left out of its object. */
	optional: <T>(inner: Validator<T>): Validator<T, true> => new Validator<T, true>(inner.wants, inner.check, true),
	nullable: <T>(inner: Validator<T>): Validator<T | null> =>
		new Validator<T | null>(`${inner.wants} or null`, (value, path) => {
			if (value !== null) inner.check(value, path);
		}),
};
