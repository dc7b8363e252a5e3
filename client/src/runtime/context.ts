// What a handler sees as `ctx`: one object for each run, over the operations of its call.

import { MillraceError } from "../error.js";
import { dateText, printWire, ValueError } from "../json.js";
import { keyText } from "../keys.js";
import { type EntityLike, Field, Increment, registry } from "../server/schema.js";
import { ObjectValidator, type Shape, UUID, ValidationError, Validator } from "../server/validators.js";
import { defineKey, isPlainObject, type Row, type Value, type Where } from "../values.js";
import { type SessionOptions, SESSIONS } from "../server/sessions.js";
import { documentId, readDocumentId } from "../server/documents.js";
import { documentOf, isDocuments, mintUuid, storedFields, uuidOf } from "./documents.js";
import { makeActions } from "./action.js";
import { identityOf } from "./identity.js";
import type { Env, OperationKind } from "./host.js";
import { QueryBuilder } from "./query.js";
import { seededRandom } from "./random.js";
import { makeScheduler } from "./scheduler.js";
import { type RegisteredFunction } from "../server/functions.js";
import { SCHEDULED } from "../server/scheduler.js";

/** Thrown by ctx.error; becomes `app_error`. */
export class AppError extends Error {
	override readonly name = "AppError";
	readonly code: string;
	readonly data: { readonly [key: string]: Value } | undefined;
	constructor(code: string, message: string, data?: { readonly [key: string]: Value }) {
		super(message);
		this.code = code;
		this.data = data;
	}
}

/** A shared run has no identity: one that reaches for it ends here, and is run again for each identity by itself. */
export class IdentityTouched extends Error {
	override readonly name = "IdentityTouched";
	constructor() {
		super("this run is shared and has no identity; it is run again with one");
	}
}

export interface CallDoor {
	readonly env: Env;
	operate(kind: OperationKind, json: string): Promise<Value>;
	identity(): void;
	/** What the call's functions have in common: whether one of them has looked at the clock. */
	readonly clock: { looked: boolean };
	/** By their names. */
	readonly functions: ReadonlyMap<string, RegisteredFunction>;
	/** Another function, as a part of this one. */
	run(kind: "query" | "mutation", ref: unknown, args: unknown): Promise<Value>;
}

function text(value: unknown, what: string): string {
	if (typeof value !== "string") throw new Error(`${what} must be text, got ${value === null ? "null" : typeof value}`);
	return value;
}

function fields(value: unknown, what: string): object {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ValueError(`${what}: expected an object of fields`);
	return value;
}

const validators = new WeakMap<EntityLike, readonly (readonly [name: string, field: Validator<unknown>])[]>();
function validatorsOf(declared: EntityLike) {
	let list = validators.get(declared);
	if (!list) validators.set(declared, (list = Object.entries(declared.fields).filter((pair): pair is [string, Validator<unknown>] => pair[1] instanceof Validator)));
	return list;
}

/** Fields that are validators, as those want them: with the defaults inside JSON. What the database keeps is its own to say. */
export function checkedFields(entity: string, all: object): { readonly [name: string]: unknown } {
	const declared = registry.entities.get(entity);
	const given = all as { readonly [name: string]: unknown };
	let out = given;
	for (const [name, field] of declared ? validatorsOf(declared) : []) {
		const item = Object.hasOwn(given, name) ? given[name] : undefined;
		if (item === undefined || item instanceof Increment) continue;
		if (item === null && (field.mayBeNull || field.presence === "optional")) continue;
		const is = checkField(field, item, entity, name);
		if (is === item) continue;
		if (out === given) out = { ...given };
		defineKey(out, name, is);
	}
	return out;
}

function checkField(field: Validator<unknown>, item: unknown, entity: string, name: string): unknown {
	try {
		return field.check(item instanceof Date ? dateText(item, name) : item, `${entity}.${name}`);
	} catch (e) {
		if (!(e instanceof ValidationError)) throw e;
		throw new MillraceError("bad_value", e.message, { entity, fields: [name] });
	}
}

function stored(entity: string, all: { readonly [name: string]: unknown }, isChange: boolean): { readonly [name: string]: unknown } {
	return isDocuments(entity) ? storedFields(entity, all, isChange) : all;
}

function values(value: unknown, what: string, more?: object): string {
	const given = stored(what, checkedFields(what, fields(value, what)), false);
	for (const name of Object.keys(given))
		if (given[name] instanceof Increment) throw new ValueError(`${what}.${name}: increment is for ctx.db.patch`);
	return printWire(more ? { ...more, ...given } : given, what);
}

/** Values to be set, and apart from them amounts to be added. */
function changes(value: unknown, what: string): string {
	const all = stored(what, checkedFields(what, fields(value, what)), true);
	let set = all as { [name: string]: unknown };
	let add: { [name: string]: unknown } | undefined;
	for (const name of Object.keys(all)) {
		const item = all[name];
		if (!(item instanceof Increment)) continue;
		if (!add) {
			add = {};
			set = { ...all };
		}
		defineKey(add, name, item.by);
		delete set[name];
	}
	return `"value":${printWire(set, what)}${add ? `,"add":${printWire(add, `${what}: increment`)}` : ""}`;
}

/** What refuses before it has begun is told as all else. */
function begun<T>(begin: () => Promise<T>): Promise<T> {
	try {
		return begin();
	} catch (e) {
		return Promise.reject(e as Error);
	}
}

/** Which row is meant: an entity and an id, or the id of a document, which names its table; and what follows it. */
function rowMeant(method: string, args: readonly unknown[]): { readonly entity: string; readonly id: string; readonly rest: unknown } {
	const [first, second, third] = args;
	const alone = typeof second === "string" ? undefined : readDocumentId(first);
	if (alone && isDocuments(alone.table)) return { entity: alone.table, id: alone.uuid, rest: second };
	const entity = text(first, `ctx.db.${method}: the entity`);
	if (isDocuments(entity)) return { entity, id: uuidOf(entity, second, `ctx.db.${method}`), rest: third };
	return { entity, id: idText(entity, second, `ctx.db.${method}`), rest: third };
}

/** An id, or the values that it is made of, as the worker takes it. */
function idText(entity: string, given: unknown, what: string): string {
	const key = registry.entities.get(entity)?.key;
	if (typeof given === "string") return given;
	if (!key) return text(given, `${what}: the id`);
	if (key.length === 1 && (typeof given === "number" || typeof given === "bigint" || typeof given === "boolean")) return String(given);
	if (key.length === 1 && given instanceof Date) return given.toISOString();
	const values: readonly unknown[] = Array.isArray(given) ? given : isPlainObject(given) ? key.map((name) => given[name]) : [];
	if (key.length === 1 || values.length !== key.length || values.some((value) => value === undefined || value === null))
		throw new Error(`${what}: the id of ${entity} is ${key.length === 1 ? `its ${key[0] ?? ""}` : `made of ${key.join(", ")}: { ${key.join(": ..., ")}: ... }, or its text`}`);
	return keyText(values);
}

/** An id that came from outside, as rows have it; null when it cannot be one. */
function normalId(entity: string, key: readonly string[], id: string): Value {
	const field: unknown = registry.entities.get(entity)?.fields[key[0] ?? ""];
	const type = key.length === 0 ? "uuid" : key.length === 1 && field instanceof Field ? field.facts.type : "string";
	if (type === "uuid") return UUID.test(id) ? id.toLowerCase() : null;
	if (type === "int" || type === "bigint") {
		const n = /^-?\d{1,19}$/.test(id) ? BigInt.asIntN(64, BigInt(id)) : undefined;
		if (n === undefined || n !== BigInt(id)) return null;
		return type === "int" && Number.isSafeInteger(Number(n)) ? Number(n) : n;
	}
	return id;
}

/** As Convex has it: to change a document that is not there is a mistake. Of a row nothing happens. */
function changed(method: string, entity: string, id: string, row: Promise<Value>): Promise<Value> {
	if (!isDocuments(entity)) return row;
	const none = () => new MillraceError("not_found", `ctx.db.${method}: there is no document ${documentId(entity, id)}`);
	return row.then((is) => (is === null ? Promise.reject(none()) : is));
}

/** Jobs are written by ctx.scheduler alone. */
function writable(entity: string): string {
	if (entity === SCHEDULED) throw new MillraceError("forbidden", `${SCHEDULED} is not written by ctx.db; use ctx.scheduler`);
	return entity;
}

function runSql(call: CallDoor, first: unknown, values: readonly unknown[]): Promise<Value> {
	const template = Array.isArray(first) ? (first as readonly string[]) : undefined;
	const statement = template ? template.reduce((out, part, i) => `${out}$${i}${part}`) : text(first, "ctx.db.sql: the statement");
	return call.operate("sql", `{"text":${printWire(statement)},"params":${printWire(values, "sql parameter")}}`);
}

function checkRow(row: ObjectValidator<Shape>, given: Value, i: number): Value {
	try {
		return row.check(given, `row ${i}`) as Value;
	} catch (e) {
		if (e instanceof ValidationError) throw new MillraceError("sql_error", `ctx.db.sql: ${e.message}; the columns are not what was declared`);
		throw e;
	}
}

/** The statement itself, or what its rows are: that gives a template of the same kind, whose rows are checked. */
function makeSql(call: CallDoor) {
	return (first: unknown, ...values: unknown[]): unknown => {
		if (!isPlainObject(first) && !(first instanceof ObjectValidator)) return runSql(call, first, values);
		const row = first instanceof ObjectValidator ? (first as ObjectValidator<Shape>) : new ObjectValidator(first as unknown as Shape);
		const check = (rows: Value) => (rows as readonly Value[]).map((one, i) => checkRow(row, one, i));
		return (statement: unknown, ...more: unknown[]) => runSql(call, statement, more).then(check);
	};
}

function makeReader(call: CallDoor) {
	return {
		get: (...args: unknown[]): Promise<Value> => {
			const { entity, id, rest } = rowMeant("get", args);
			const lock = (rest as { readonly forUpdate?: boolean } | undefined)?.forUpdate === true ? { forUpdate: true } : {};
			const found = call.operate("get", printWire({ entity, id, ...lock }));
			return isDocuments(entity) ? found.then((row) => (row === null ? null : documentOf(entity, row as Row))) : found;
		},
		query: (entity: unknown) => {
			// what a function compares with is the present, or was made of it, once it has looked at the clock
			const now = () => (call.clock.looked ? `{"now":${call.env.now},` : "{");
			return QueryBuilder.start((kind, json) => call.operate(kind, now() + json.slice(1)), entity);
		},
		normalizeId: (entity: unknown, id: unknown) => {
			const name = text(entity, "ctx.db.normalizeId: the entity");
			if (!registry.entities.has(name)) throw new Error(`ctx.db.normalizeId: no entity named ${name} is declared`);
			if (isDocuments(name)) return readDocumentId(id)?.table === name ? id : null;
			if (typeof id !== "string") return null;
			return normalId(name, registry.entities.get(name)?.key ?? [], id);
		},
		sql: makeSql(call),
	};
}

/** The caller: a shared run has none. */
function look(call: CallDoor): Env["auth"] {
	call.identity();
	return call.env.shared ? refuseShared() : call.env.auth;
}

/** `ctx.auth`, an identity, or null. */
function whoIs(call: CallDoor, who: unknown): Env["auth"] {
	if (who === null) return null;
	if (typeof who !== "object") throw new Error("ctx.db.as takes ctx.auth, an identity ({ userId, ... }), or null for nobody");
	if ("getUserIdentity" in who) return look(call);
	return { ...(who as object), userId: text((who as { userId?: unknown }).userId, "ctx.db.as: userId") };
}

/** The same door for what obeys the policies. */
function obeying(call: CallDoor, who: unknown): CallDoor {
	const as = printWire(whoIs(call, who), "ctx.db.as");
	return { ...call, operate: (kind, json) => call.operate(kind, `{"as":${as},${json.slice(1)}`) };
}

/** A row is found by what no two rows have in common. */
function needUnique(entity: string, key: Where): void {
	if (isDocuments(entity)) throw new Error(`ctx.db.upsert is for entities: ${entity} is a table of documents, which have no unique fields`);
	const names = Object.keys(key).sort().join();
	const declared = registry.entities.get(entity);
	const single = (name: string) => {
		const field: unknown = declared?.fields[name];
		const own = declared?.key ?? ["id"];
		return own.length === 1 && (name === "id" || name === own[0]) ? true : field instanceof Field && field.facts.unique === true;
	};
	const whole = (declared?.key && [...declared.key].sort().join() === names) || declared?.indexes.some((one) => one.unique && !one.where && [...one.fields].sort().join() === names);
	if (!whole && !single(names))
		throw new Error(`ctx.db.upsert: the key of ${entity} is its id, a unique field, or the fields of a unique index; (${names}) is none of them`);
	for (const [name, value] of Object.entries(key))
		if (value === null || value === undefined || isPlainObject(value))
			throw new Error(`ctx.db.upsert: ${entity}.${name} is to be a value; null is never unique`);
}

/** What is added to nothing. */
function withoutIncrements(changes: object): object {
	const out: { [name: string]: unknown } = {};
	for (const [name, item] of Object.entries(changes)) defineKey(out, name, item instanceof Increment ? item.by : item);
	return out;
}

function makeWriter(call: CallDoor) {
	const reader = makeReader(call);
	const change = (kind: "patch" | "replace") => (...args: unknown[]) => begun(() => put(kind, args));
	const put = (kind: "patch" | "replace", args: readonly unknown[]) => {
		const { entity, id, rest } = rowMeant(kind, args);
		writable(entity);
		const set = kind === "patch" ? changes(rest, entity) : `"value":${values(rest, entity)}`;
		return changed(kind, entity, id, call.operate(kind, `{"entity":${printWire(entity)},"id":${printWire(id)},${set}}`));
	};
	const remove = (args: readonly unknown[]) => {
		const { entity, id } = rowMeant("delete", args);
		writable(entity);
		return changed("delete", entity, id, call.operate("delete", printWire({ entity, id })));
	};
	const insertDocument = async (table: string, value: unknown): Promise<Value> => {
		for (const name of ["_id", "_creationTime"])
			if (Object.hasOwn(fields(value, table), name)) throw new ValueError(`${table}.${name}: insert gives it by itself`);
		const id = mintUuid(call.env.now, call.env.seed);
		await call.operate("insert", `{"entity":${printWire(table)},"value":${values(value, table, { id })}}`);
		return documentId(table, id);
	};
	const patch = change("patch");
	const insert = (entity: unknown, value: unknown, key?: readonly string[]) => {
		const more = key ? `,"key":${printWire(key)}` : "";
		const json = `{"entity":${printWire(writable(text(entity, "ctx.db.insert: the entity")))},"value":${values(value, String(entity))}${more}}`;
		return call.operate("insert", json);
	};
	const upsert = async (entity: unknown, key: unknown, changes: unknown, others?: unknown): Promise<Value> => {
		const [name, by] = [writable(text(entity, "ctx.db.upsert: the entity")), fields(key, "ctx.db.upsert: the key") as Where];
		needUnique(name, by);
		const found = await reader.query(name).where(by).select("id").forUpdate().first();
		if (!found) return insert(name, { ...fields(others ?? {}, name), ...withoutIncrements(fields(changes, name)), ...by }, Object.keys(by));
		await put("patch", [name, found.id, changes]);
		return found.id;
	};
	return Object.assign(reader, {
		insert: (entity: unknown, value: unknown): Promise<Value> =>
			typeof entity === "string" && isDocuments(entity) ? insertDocument(writable(entity), value) : insert(entity, value),
		upsert,
		patch,
		update: patch,
		replace: change("replace"),
		delete: (...args: unknown[]) => begun(() => remove(args)),
	});
}

function makeAuth(kind: string, call: CallDoor) {
	const sessions = (act: string, more: object) => call.operate("session", printWire({ act, ...more }));
	const who = {
		get userId(): string | null {
			return look(call)?.userId ?? null;
		},
		async getUserIdentity() {
			return identityOf(look(call));
		},
	};
	const own = {
		sessions() {
			const userId = look(call)?.userId;
			if (userId === undefined) throw new MillraceError("unauthenticated", "ctx.auth.sessions() are those of a signed-in caller.");
			return QueryBuilder.start((kind, json) => call.operate(kind, json), SESSIONS).where({ userId });
		},
	};
	const session = { sessionId: call.env.sessionId ?? null };
	const door = {
		createSession: (userId: unknown, { claims, expiresIn }: SessionOptions = {}) =>
			sessions("create", { userId: text(userId, "ctx.auth.createSession: the userId"), claims: claims ?? null, expiresIn: expiresIn ?? null }),
		revokeSession: (id: unknown) => sessions("revoke", { id: text(id, "ctx.auth.revokeSession: the id") }),
		revokeUser: (userId: unknown) => sessions("revokeUser", { userId: text(userId, "ctx.auth.revokeUser: the userId") }),
	};
	const more = kind === "query" ? own : kind === "mutation" ? { ...own, ...session, ...door } : session;
	return Object.defineProperties(more, Object.getOwnPropertyDescriptors(who));
}

function refuseShared(): never {
	throw new IdentityTouched();
}

/** The worker's prelude has them. */
function variables(): object {
	return (globalThis as { process?: { env?: object } }).process?.env ?? {};
}

/** What is Millrace's own. */
function makeSystem(call: CallDoor) {
	const { get, query } = makeReader(call);
	const own = (table: unknown) => {
		if (table !== SCHEDULED && table !== SESSIONS) throw new Error(`ctx.db.system has the tables ${SCHEDULED} and ${SESSIONS} only`);
		return table;
	};
	return {
		get: (first: unknown, second?: unknown) => (second === undefined ? get(SCHEDULED, first) : get(own(first), second)),
		query: (table: unknown) => query(own(table)),
	};
}

/** A member that is made when it is first looked at, as most functions never do; else like others: it may be copied, and replaced. */
function lazily<T extends object>(target: T, name: string, make: () => unknown): T {
	let made: unknown;
	const get = () => (made ??= make());
	const set = (value: unknown) => (made = value);
	return Object.defineProperty(target, name, { get, set, enumerable: true, configurable: true });
}

function makeDatabase<T extends object>(call: CallDoor, make: (call: CallDoor) => T): object {
	const db = Object.assign(make(call), { as: (who: unknown) => make(obeying(call, who)) });
	return lazily(db, "system", () => makeSystem(call));
}

export function makeContext(kind: string, call: CallDoor): object {
	let random: (() => number) | undefined;
	const base = {
		env: variables(),
		now: () => {
			call.clock.looked = true;
			return call.env.now;
		},
		random: () => (random ??= seededRandom(call.env.seed))(),
		error: (code: unknown, message: unknown, data?: { readonly [key: string]: Value }): never => {
			throw new AppError(text(code, "ctx.error: the code"), text(message, "ctx.error: the message"), data);
		},
	};
	lazily(base, "auth", () => makeAuth(kind, call));
	const runQuery = (ref: unknown, args: unknown) => call.run("query", ref, args);
	if (kind === "query") return Object.assign(base, { db: makeDatabase(call, makeReader), runQuery });
	if (kind !== "mutation" && kind !== "action") return base;
	lazily(base, "scheduler", () => makeScheduler(kind, call));
	if (kind === "action") return Object.assign(base, { now: () => Date.now() }, makeActions(call));
	const runMutation = (ref: unknown, args: unknown) => call.run("mutation", ref, args);
	return Object.assign(base, { db: makeDatabase(call, makeWriter), runQuery, runMutation });
}
