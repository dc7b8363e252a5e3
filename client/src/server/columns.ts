// What a validator is as a column: its type, and the rules that the database keeps.

import { toJson } from "../json.js";
import type { Facts, FieldType } from "./schema.js";
import { type AnyValidator, type Kind, type Rules, v } from "./validators.js";

const TYPES: { readonly [K in Exclude<Kind, "literal" | "enum" | "null">]: FieldType } = {
	string: "string",
	float64: "float",
	int: "int",
	int64: "bigint",
	boolean: "bool",
	bytes: "bytes",
	datetime: "datetime",
	id: "uuid",
	any: "json",
	array: "json",
	object: "json",
	record: "json",
	union: "json",
};

/** Of literals: text, whole numbers, ...; undefined when they are of several kinds. */
function typeOfValues(values: readonly unknown[]): FieldType | undefined {
	const kinds = new Set(values.map((one) => (typeof one === "number" && Number.isSafeInteger(one) ? "int" : typeof one)));
	const [kind] = kinds;
	if (kinds.size !== 1) return undefined;
	return ({ string: "string", int: "int", number: "float", bigint: "bigint", boolean: "bool" } as const)[kind as "string"];
}

function typeOf(validator: AnyValidator, where: string): FieldType {
	const { kind, rules } = validator;
	if (kind === "null") throw new Error(`${where}: a column of nothing but null holds nothing`);
	if (kind !== "literal" && kind !== "enum") return TYPES[kind];
	const type = typeOfValues(rules.values ?? []);
	if (!type) throw new Error(`${where}: the values of an enum must be of one kind`);
	return type;
}

function bounds(type: FieldType, rules: Rules): Partial<Facts> {
	if (type === "json") return {};
	const out: Partial<Facts> = {};
	const long = type === "string" || type === "bytes";
	if (rules.values) out.values = rules.values.map((one) => toJson(one, "value"));
	const [min, max] = [rules.length ?? rules.min, rules.length ?? rules.max];
	if (min !== undefined) Object.assign(out, long ? { minLength: min } : { min: toJson(min, "min") });
	if (max !== undefined) Object.assign(out, long ? { maxLength: max } : { max: toJson(max, "max") });
	return out;
}

/** A union that is one kind of value in all its members: of literals it is an enum, beside null the other member. Else itself. */
function plain(validator: AnyValidator): AnyValidator {
	if (!validator.rules.members) return validator;
	const members = validator.rules.members.filter((one) => one.kind !== "null").map(plain);
	const values = members.flatMap((one) => (one.kind === "literal" || one.kind === "enum" ? (one.rules.values ?? []) : []));
	const isEnum = members.every((one) => one.kind === "literal" || one.kind === "enum") && typeOfValues(values) !== undefined;
	return isEnum ? v.enum(values) : members.length === 1 && members[0] ? members[0] : validator;
}

/** What JSON must look like, and patterns, are not the database's to know: they are checked here, whoever writes but by SQL. */
function isChecked({ kind, rules }: AnyValidator, type: FieldType): boolean {
	return rules.regex !== undefined || (type === "json" && kind !== "any");
}

export function fieldOfValidator(validator: AnyValidator, where: string): Facts {
	const column = plain(validator);
	const type = typeOf(column, where);
	const { default: fallback } = validator.rules;
	const { entity } = column.rules;
	return {
		type,
		...(validator.presence === "optional" || validator.mayBeNull ? { optional: true } : {}),
		...(entity === undefined ? {} : { references: entity }),
		...(fallback === undefined || fallback === null ? {} : { default: toJson(fallback, "default") }),
		...bounds(type, column.rules),
		...(isChecked(column, type) ? { checked: true } : {}),
	};
}
