// Pages against brute force: whatever the order, nulls and directions, a page and the next one are two neighbouring pieces of the sorted rows.

import assert from "node:assert/strict";
import test from "node:test";
import { after, END, placeOf, upTo } from "../src/runtime/pages.js";
import { type Direction, matchWhere, type Row, rowComparator, orderWithKey } from "../src/values.js";

const TYPES = { a: "int", b: "string", c: "float", id: "uuid" };
const NULLABLE = (field: string) => field === "b" || field === "c";
const id = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;

let seed = 7;
const random = (n: number): number => {
	seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
	return (seed >>> 8) % n;
};
const rows = (n: number): Row[] =>
	Array.from({ length: n }, (_, i) => ({
		id: id(i),
		a: random(4),
		b: random(4) ? ["x", "y", "\u{1f600}", "\uffff"][random(4)]! : null,
		c: random(4) ? [0, -1, 2.5, Number.NaN][random(4)]! : null,
	}));
const order = () => {
	const fields = ["a", "b", "c", "id"].filter(() => random(2));
	return orderWithKey((fields.length ? fields : ["a"]).map((field) => [field, random(2) ? "asc" : "desc"] as [string, Direction]), []);
};

test("rows behind a cursor and up to it", () => {
	for (let round = 0; round < 300; round++) {
		const terms = order(), all = rows(1 + random(30)).sort(rowComparator(terms, TYPES));
		for (const at of [0, random(all.length), all.length - 1]) {
			const cursor = placeOf(all[at]!, terms);
			const such = (where: ReturnType<typeof after>) => all.filter((row) => matchWhere(where, row, TYPES) === 1);
			const said = JSON.stringify({ terms, cursor });
			assert.deepEqual(such(after(terms, cursor, NULLABLE)), all.slice(at + 1), said);
			assert.deepEqual(such(upTo(terms, cursor, NULLABLE)), all.slice(0, at + 1), said);
		}
		assert.deepEqual(all.filter((row) => matchWhere(after(terms, END, NULLABLE), row, TYPES) === 1), []);
		assert.deepEqual(all.filter((row) => matchWhere(upTo(terms, END, NULLABLE), row, TYPES) === 1), all);
	}
});

test("a cursor of another query, or of nobody, is refused", () => {
	const terms = orderWithKey([["a", "asc"]], []);
	assert.deepEqual(terms, [["a", "asc"], ["id", "asc"]]);
	for (const cursor of ["", "x", "[1]", "[1,2,3]", "{}", 5, undefined])
		assert.throws(() => after(terms, cursor, NULLABLE), { code: "bad_args", message: /begin again with null/ });
});
