// What a row is called: its id. Of an adopted table whose key has several columns that is text, a JSON list of their values as proto/key.h
// writes it; else the value of the one column, in its own type.

/** A row's id. */
export type RowId = string | number | bigint;

const part = (value: unknown): string =>
	typeof value === "bigint" ? String(value) : JSON.stringify(value instanceof Date ? value.toISOString() : value);

/** The id as text, of the values of the key in its order. */
export function keyText(values: readonly unknown[]): string {
	return `[${values.map(part).join()}]`;
}

/** The id of a row that is to be inserted, if its fields tell. */
export function idOf(key: readonly string[], fields: { readonly [field: string]: unknown }): RowId | undefined {
	const values = key.map((name) => fields[name]);
	if (values.some((value) => value === undefined || value === null)) return undefined;
	return values.length === 1 ? (values[0] as RowId) : keyText(values);
}
