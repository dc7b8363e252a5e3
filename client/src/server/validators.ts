// Validators: what arguments, results and fields may be, said with the path of what is wrong.

import { compareValues, defineKey, isPlainObject, sameValue, type Value } from "../values.js";

/** The sentence's place is inside it: `args.items[3].price: expected number, got string`. */
export class ValidationError extends Error {
	override readonly name = "ValidationError";
}

/** Whether an object may leave a field out: not at all; yes; yes, and then it is given its default. */
export type Presence = "required" | "optional" | "defaulted";

/** Gives the value to go on with: the same, or a copy with defaults. Throws ValidationError. */
export type Check = (value: unknown, path: string) => unknown;

/** What a validator says of itself, for those who make columns of it. */
export interface Rules {
	readonly min?: number | bigint | string;
	readonly max?: number | bigint | string;
	readonly length?: number;
	readonly regex?: string;
	/** The only values there are. */
	readonly values?: readonly Literal[];
	readonly entity?: string;
	readonly default?: Value;
	/** Of a union: what it may be. */
	readonly members?: readonly AnyValidator[];
}

export type Kind =
	| "string"
	| "float64"
	| "int"
	| "int64"
	| "boolean"
	| "null"
	| "bytes"
	| "datetime"
	| "any"
	| "id"
	| "literal"
	| "enum"
	| "array"
	| "object"
	| "record"
	| "union";

/** Type parameters: what is had when it was checked, whether an object may leave it out, what may be given. */
export class Validator<Out, P extends Presence = "required", In = Out> {
	declare readonly _types?: { out: Out; presence: P; in: In };
	readonly kind: Kind;
	/** @internal What it wants, for sentences. */
	readonly wants: string;
	/** @internal */
	readonly check: Check;
	/** @internal */
	readonly rules: Rules;
	/** @internal */
	readonly presence: Presence;
	/** @internal */
	readonly mayBeNull: boolean;

	/** @internal */
	constructor(from: Facts) {
		this.kind = from.kind;
		this.wants = from.wants;
		this.check = from.check;
		this.rules = from.rules ?? {};
		this.presence = from.presence ?? "required";
		this.mayBeNull = from.mayBeNull ?? from.kind === "null";
	}
	/** May be left out of its object. */
	optional(): Validator<Out, "optional", In> {
		return new Validator({ ...this, presence: "optional" });
	}
	/** May be null as well. */
	nullable(): Validator<Out | null, P, In | null> {
		const check: Check = (value, path) => (value === null ? null : this.check(value, path));
		return new Validator({ ...this, wants: `${this.wants} or null`, check, mayBeNull: true });
	}
	/** May be left out of its object, which then has this value. */
	default(value: In): Validator<Out, "defaulted", In> {
		const filled = this.check(value, "default") as Value;
		return new Validator({ ...this, presence: "defaulted", rules: { ...this.rules, default: filled } });
	}
	/** The value, with defaults filled in; throws ValidationError, a sentence that begins with the path. */
	parse(value: unknown, path = "value"): Out {
		return this.check(value, path) as Out;
	}
}

interface Facts {
	readonly kind: Kind;
	readonly wants: string;
	readonly check: Check;
	readonly rules?: Rules;
	readonly presence?: Presence;
	readonly mayBeNull?: boolean;
}

type TypesOf<V> = V extends { readonly _types?: infer T } ? NonNullable<T> : never;
/** What is had when it was checked. */
export type Infer<V> = TypesOf<V> extends { out: infer O } ? O : never;
/** What may be given: what has a default may be left out. */
export type InferIn<V> = TypesOf<V> extends { in: infer I } ? I : never;
type PresenceOf<V> = TypesOf<V> extends { presence: infer P } ? P : never;

export type AnyValidator = Validator<unknown, Presence, unknown>;
export type Shape = { readonly [name: string]: AnyValidator };
type Flat<T> = { [K in keyof T]: T[K] };
export type ObjectOf<S> = Flat<
	{ -readonly [K in keyof S as PresenceOf<S[K]> extends "optional" ? never : K]: Infer<S[K]> } & {
		-readonly [K in keyof S as PresenceOf<S[K]> extends "optional" ? K : never]?: Infer<S[K]>;
	}
>;
export type ObjectIn<S> = Flat<
	{ -readonly [K in keyof S as PresenceOf<S[K]> extends "required" ? K : never]: InferIn<S[K]> } & {
		-readonly [K in keyof S as PresenceOf<S[K]> extends "required" ? never : K]?: InferIn<S[K]>;
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

function failValue(path: string, wants: string, value: unknown): never {
	const text = typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : ["number", "bigint", "boolean"].includes(typeof value) ? String(value) : describe(value);
	throw new ValidationError(`${path}: expected ${wants}, got ${text}`);
}

const whatever = (test: (value: unknown) => boolean, wants: string): Check => (value, path) => {
	if (!test(value)) fail(path, wants, value);
	return value;
};

const simple = (kind: Kind, wants: string, test: (value: unknown) => boolean): Facts => ({ kind, wants, check: whatever(test, wants) });

/** Of what takes some values of a kind and others not: one that it does not take is told itself, not its kind. */
function particular(kind: Kind, wants: string, test: (value: unknown) => boolean): Facts {
	const check: Check = (value, path) => (test(value) ? value : failValue(path, wants, value));
	return { kind, wants, check };
}

// --- values with bounds ---

/** The same, and something more: what it must be, what it is instead. */
function refined(
	from: AnyValidator,
	must: string,
	test: (value: never) => boolean,
	rules: Rules,
	is: (value: never) => string = (value) => String(value),
): Facts {
	const check: Check = (value, path) => {
		const checked = from.check(value, path) as never;
		if (!test(checked)) throw new ValidationError(`${path}: must be ${must}, is ${is(checked)}`);
		return checked;
	};
	return { ...from, check, rules: { ...from.rules, ...rules } };
}

function whole(n: number, method: string): number {
	if (!Number.isSafeInteger(n) || n < 0) throw new Error(`${method}(${String(n)}): expected a whole number`);
	return n;
}

/** By Unicode code points, as char_length() in Postgres. */
function characters(text: string): number {
	let n = 0;
	for (let i = 0; i < text.length; i++, n++) if ((text.codePointAt(i) ?? 0) > 0xffff) i++;
	return n;
}
const asText = (value: string): string => `of ${characters(value)}`;

export class StringValidator extends Validator<string> {
	/** So many characters (Unicode code points) at least. */
	min(n: number): StringValidator {
		return new StringValidator(refined(this, `of at least ${n} characters`, (s: string) => characters(s) >= n, { min: whole(n, "min") }, asText));
	}
	max(n: number): StringValidator {
		return new StringValidator(refined(this, `of at most ${n} characters`, (s: string) => characters(s) <= n, { max: whole(n, "max") }, asText));
	}
	length(n: number): StringValidator {
		return new StringValidator(refined(this, `of ${n} characters`, (s: string) => characters(s) === n, { length: whole(n, "length") }, asText));
	}
	/** Some part of it matches; begin with ^ and end with $ to mean all of it. */
	regex(pattern: RegExp): StringValidator {
		const own = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
		return new StringValidator(
			refined(this, `text that matches ${String(own)}`, (s: string) => own.test(s), { regex: own.source }, (s: string) => JSON.stringify(s.slice(0, 60))),
		);
	}
}

export class NumberValidator extends Validator<number> {
	min(n: number): NumberValidator {
		return new NumberValidator(refined(this, `at least ${n}`, (x: number) => x >= n, { min: n }));
	}
	max(n: number): NumberValidator {
		return new NumberValidator(refined(this, `at most ${n}`, (x: number) => x <= n, { max: n }));
	}
}

export class BigintValidator extends Validator<bigint> {
	min(n: bigint): BigintValidator {
		return new BigintValidator(refined(this, `at least ${n}`, (x: bigint) => x >= n, { min: n }));
	}
	max(n: bigint): BigintValidator {
		return new BigintValidator(refined(this, `at most ${n}`, (x: bigint) => x <= n, { max: n }));
	}
}

const DATETIME = /^([+-]?\d{4,6}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?\s*(Z|[+-]\d\d(:?\d\d)?)|-?infinity)$/i;
const A_DATETIME = "datetime (ISO 8601 text with Z or an offset)";

export class DatetimeValidator extends Validator<string> {
	min(from: string | Date): DatetimeValidator {
		const text = boundary(from);
		return new DatetimeValidator(refined(this, `not before ${text}`, (s: string) => compareValues("datetime", s, text) >= 0, { min: text }));
	}
	max(to: string | Date): DatetimeValidator {
		const text = boundary(to);
		return new DatetimeValidator(refined(this, `not after ${text}`, (s: string) => compareValues("datetime", s, text) <= 0, { max: text }));
	}
}

function boundary(at: string | Date): string {
	const text = at instanceof Date ? at.toISOString() : at;
	if (!DATETIME.test(text)) throw new Error(`${JSON.stringify(text)}: expected ${A_DATETIME}`);
	return text;
}

export class BytesValidator extends Validator<Uint8Array> {
	/** Bytes. */
	min(n: number): BytesValidator {
		return new BytesValidator(refined(this, `of at least ${n} bytes`, (b: Uint8Array) => b.length >= n, { min: whole(n, "min") }, asItems));
	}
	max(n: number): BytesValidator {
		return new BytesValidator(refined(this, `of at most ${n} bytes`, (b: Uint8Array) => b.length <= n, { max: whole(n, "max") }, asItems));
	}
	length(n: number): BytesValidator {
		return new BytesValidator(refined(this, `of ${n} bytes`, (b: Uint8Array) => b.length === n, { length: whole(n, "length") }, asItems));
	}
}
const asItems = (list: { readonly length: number }): string => `of ${list.length}`;

export class IdValidator<E extends string = string> extends Validator<string> {
	readonly entity: E;
	/** @internal */
	constructor(entity: E) {
		super({ ...simple("id", `id of ${entity} (a uuid)`, (x) => typeof x === "string" && UUID.test(x)), rules: { entity } });
		this.entity = entity;
	}
}
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

// --- values made of others ---

function member(path: string, key: string): string {
	return /^[A-Za-z_][\w]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

/** A shape's members, and how each is told in a path: looked at for every call. */
const members = new WeakMap<Shape, readonly (readonly [key: string, validator: AnyValidator, place: string])[]>();
function membersOf(shape: Shape) {
	let list = members.get(shape);
	if (!list) members.set(shape, (list = Object.entries(shape).map(([key, validator]) => [key, validator, member("", key)])));
	return list;
}

function nothingMore(shape: Shape, value: Record<string, unknown>, path: string): void {
	for (const key of Object.keys(value))
		if (!Object.hasOwn(shape, key) && value[key] !== undefined)
			throw new ValidationError(`${member(path, key)}: no such field is expected`);
}

/** What a field of an object becomes; undefined: it is left out. */
function checkMember(validator: AnyValidator, item: unknown, path: string): unknown {
	if (item !== undefined) return validator.check(item, path);
	if (validator.presence === "required") throw new ValidationError(`${path}: is missing, expected ${validator.wants}`);
	return validator.presence === "defaulted" ? validator.rules.default : undefined;
}

export function checkShape(shape: Shape, value: unknown, path: string): Record<string, unknown> {
	if (!isPlainObject(value)) fail(path, "object", value);
	nothingMore(shape, value, path);
	let out = value;
	for (const [key, validator, place] of membersOf(shape)) {
		const item = Object.hasOwn(value, key) ? value[key] : undefined;
		const checked = checkMember(validator, item, path + place);
		if (checked === item) continue;
		if (out === value) out = { ...value };
		defineKey(out, key, checked);
	}
	return out;
}

/** The same array when no item became another. */
function checkItems(item: AnyValidator, list: readonly unknown[], path: string): readonly unknown[] {
	let out: unknown[] | undefined;
	list.forEach((element, i) => {
		const checked = item.check(element, `${path}[${i}]`);
		if (checked !== element) (out ??= [...list])[i] = checked;
	});
	return out ?? list;
}

export class ArrayValidator<Out, In = Out> extends Validator<Out[], "required", In[]> {
	readonly element: AnyValidator;
	/** @internal */
	constructor(element: AnyValidator, from?: Facts) {
		const check: Check = (value, path) => (Array.isArray(value) ? checkItems(element, value, path) : fail(path, "array", value));
		super(from ?? { kind: "array", wants: "array", check });
		this.element = element;
	}
	/** Items. */
	min(n: number): ArrayValidator<Out, In> {
		return new ArrayValidator(
			this.element,
			refined(this, `of at least ${n} items`, (list: unknown[]) => list.length >= n, { min: whole(n, "min") }, asItems),
		);
	}
	max(n: number): ArrayValidator<Out, In> {
		return new ArrayValidator(
			this.element,
			refined(this, `of at most ${n} items`, (list: unknown[]) => list.length <= n, { max: whole(n, "max") }, asItems),
		);
	}
	length(n: number): ArrayValidator<Out, In> {
		return new ArrayValidator(
			this.element,
			refined(this, `of ${n} items`, (list: unknown[]) => list.length === n, { length: whole(n, "length") }, asItems),
		);
	}
}

type PartialOf<S extends Shape> = { readonly [K in keyof S]: Validator<Infer<S[K]>, "optional", InferIn<S[K]>> };

export class ObjectValidator<S extends Shape> extends Validator<ObjectOf<S>, "required", ObjectIn<S>> {
	readonly fields: S;
	/** @internal */
	constructor(fields: S) {
		for (const [name, validator] of Object.entries(fields))
			if (!(validator instanceof Validator)) throw new Error(`object: ${name} is not a validator: use v.string(), v.id("Entity"), ...`);
		super({ kind: "object", wants: "object", check: (value, path) => checkShape(fields, value, path) });
		this.fields = fields;
	}
	/** With these fields only. */
	pick<const K extends keyof S & string>(...names: readonly K[]): ObjectValidator<Pick<S, K>> {
		return new ObjectValidator(only(this.fields, (name) => (names as readonly string[]).includes(name)) as Pick<S, K>);
	}
	/** Without these fields. */
	omit<const K extends keyof S & string>(...names: readonly K[]): ObjectValidator<Omit<S, K>> {
		return new ObjectValidator(only(this.fields, (name) => !(names as readonly string[]).includes(name)) as Omit<S, K> & Shape);
	}
	/** With more fields, or others of the same name. */
	extend<const M extends Shape>(more: M): ObjectValidator<Flat<Omit<S, keyof M> & M>> {
		return new ObjectValidator({ ...this.fields, ...more } as unknown as Flat<Omit<S, keyof M> & M> & Shape);
	}
	/** Each field may be left out. */
	partial(): ObjectValidator<PartialOf<S>> {
		const fields = Object.fromEntries(Object.entries(this.fields).map(([name, validator]) => [name, validator.optional()]));
		return new ObjectValidator(fields as PartialOf<S>);
	}
}

function only(shape: Shape, keep: (name: string) => boolean): Shape {
	return Object.fromEntries(Object.entries(shape).filter(([name]) => keep(name)));
}

function anyValue(value: unknown, path: string, depth = 0): unknown {
	if (depth > 512) throw new ValidationError(`${path}: nests too deep`);
	if (value === null || ["string", "number", "boolean", "bigint"].includes(typeof value) || value instanceof Uint8Array) return value;
	if (Array.isArray(value)) value.forEach((item, i) => anyValue(item, `${path}[${i}]`, depth + 1));
	else if (isPlainObject(value))
		for (const [key, item] of Object.entries(value)) item !== undefined && anyValue(item, member(path, key), depth + 1);
	else fail(path, "value", value);
	return value;
}

export type Literal = string | number | bigint | boolean;
const literalText = (literal: Literal): string => (typeof literal === "string" ? JSON.stringify(literal) : String(literal));

type Options = readonly AnyValidator[];

/** A sentence from deeper inside one of them tells more than "expected a or b". */
function failUnion(problems: readonly ValidationError[], options: Options, path: string, wants: string, value: unknown): never {
	const deeper = problems.filter((p) => !p.message.startsWith(`${path}: expected`) && p.message.startsWith(path));
	if (deeper.length === 1 && deeper[0]) throw deeper[0];
	const isEnum = options.every(({ kind }) => kind === "literal" || kind === "enum" || kind === "null");
	return isEnum ? failValue(path, wants, value) : fail(path, wants, value);
}

function checkUnion(options: Options, wants: string): Check {
	return (value, path) => {
		const problems: ValidationError[] = [];
		for (const option of options) {
			try {
				return option.check(value, path);
			} catch (e) {
				if (!(e instanceof ValidationError)) throw e;
				problems.push(e);
			}
		}
		return failUnion(problems, options, path, wants, value);
	};
}

export class UnionValidator<L extends Options> extends Validator<Infer<L[number]>, "required", InferIn<L[number]>> {
	readonly members: L;
	/** @internal */
	constructor(members: L) {
		const wants = members.map((option) => option.wants).join(" or ");
		super({ kind: "union", wants, check: checkUnion(members, wants), rules: { members }, mayBeNull: members.some((one) => one.mayBeNull) });
		this.members = members;
	}
}

function record<Out, In>(keys: Validator<string>, values: Validator<Out, Presence, In>): Validator<Record<string, Out>, "required", Record<string, In>> {
	const check: Check = (value, path) => {
		if (!isPlainObject(value)) fail(path, "object", value);
		let out = value;
		for (const [key, item] of Object.entries(value)) {
			keys.check(key, `${path} key ${JSON.stringify(key)}`);
			const checked = values.check(item, member(path, key));
			if (checked === item) continue;
			if (out === value) out = { ...value };
			defineKey(out, key, checked);
		}
		return out;
	};
	return new Validator({ kind: "record", wants: "object", check });
}

function oneOf<const L extends Literal>(values: readonly L[]): Validator<L> {
	const wants = values.map(literalText).join(" or ");
	return new Validator({ ...particular("enum", wants, (x) => values.some((one) => sameValue(x, one))), rules: { values } });
}

function enumOf<const L extends Literal>(values: readonly L[]): Validator<L>;
function enumOf<const L extends Literal>(...values: readonly L[]): Validator<L>;
function enumOf(...given: readonly unknown[]): Validator<Literal> {
	const values = (Array.isArray(given[0]) ? given[0] : given) as readonly Literal[];
	if (values.length === 0) throw new Error('v.enum("a", "b"): it has no values');
	return oneOf(values);
}

const int64 = (): BigintValidator =>
	new BigintValidator(simple("int64", "bigint", (x) => typeof x === "bigint" && BigInt.asIntN(64, x) === x));
const number = (): NumberValidator => new NumberValidator(simple("float64", "number", (x) => typeof x === "number"));
const boolean = (): Validator<boolean> => new Validator(simple("boolean", "boolean", (x) => typeof x === "boolean"));

export const v = {
	string: (): StringValidator => new StringValidator(simple("string", "string", (x) => typeof x === "string")),
	number,
	float64: number,
	/** A whole number that is exact. */
	int: (): NumberValidator => new NumberValidator(particular("int", "whole number", (x) => Number.isSafeInteger(x))),
	int64,
	/** The same: 64 bits. */
	bigint: int64,
	boolean,
	bool: boolean,
	null: (): Validator<null> => new Validator(simple("null", "null", (x) => x === null)),
	bytes: (): BytesValidator => new BytesValidator(simple("bytes", "bytes", (x) => x instanceof Uint8Array)),
	/** ISO 8601 text with `Z` or an offset. */
	datetime: (): DatetimeValidator =>
		new DatetimeValidator(simple("datetime", A_DATETIME, (x) => typeof x === "string" && DATETIME.test(x))),
	any: (): Validator<Value> => new Validator({ kind: "any", wants: "value", check: anyValue, mayBeNull: true }),
	id: <const E extends string>(entity: E): IdValidator<E> => new IdValidator(entity),
	literal: <const L extends Literal>(literal: L): Validator<L> =>
		new Validator({ ...particular("literal", literalText(literal), (x) => sameValue(x, literal)), rules: { values: [literal] } }),
	/** One of these values: `v.enum("open", "done")`. */
	enum: enumOf,
	array: <Out, In = Out>(item: Validator<Out, Presence, In>): ArrayValidator<Out, In> => new ArrayValidator(item),
	object: <S extends Shape>(fields: S): ObjectValidator<S> => new ObjectValidator(fields),
	record,
	union: <const L extends Options>(...members: L): UnionValidator<L> => new UnionValidator(members),
	/** May be left out of its object. */
	optional: <Out, In = Out>(inner: Validator<Out, Presence, In>): Validator<Out, "optional", In> => inner.optional(),
	nullable: <Out, P extends Presence, In = Out>(inner: Validator<Out, P, In>): Validator<Out | null, P, In | null> => inner.nullable(),
};

/** Of functions that give pages: `args: { paginationOpts: paginationOptsValidator }`. */
export const paginationOptsValidator = v.object({
	numItems: v.number(),
	cursor: v.nullable(v.string()),
	endCursor: v.optional(v.nullable(v.string())),
	id: v.optional(v.number()),
	maximumRowsRead: v.optional(v.number()),
	maximumBytesRead: v.optional(v.number()),
});

/** What such a function returns: `returns: paginationResultValidator(v.object({ ... }))`. */
export const paginationResultValidator = <Out, In = Out>(item: Validator<Out, Presence, In>) =>
	v.object({ page: v.array(item), isDone: v.boolean(), continueCursor: v.string() });
