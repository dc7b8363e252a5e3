// The live queries of the checker, and what each should show, from a plain list of rows.
const text = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const byId = (a, b) => text(a.id, b.id);

export const GROUPS = ["a", "b", "c", "d"];

const entity = (where, matches, order, limit, compare = byId) => ({
	ask: { entity: "Item", where, ...(order ? { order } : {}), ...(limit ? { limit } : {}) },
	compare,
	expect(rows) {
		const found = rows.filter(matches).sort(compare);
		return limit ? found.slice(0, limit) : found;
	},
});
const byN = (a, b) => a.n - b.n || byId(a, b);
const byNDown = (a, b) => b.n - a.n || text(b.id, a.id);

export const QUERIES = [
	...GROUPS.map((grp) => entity({ grp }, (r) => r.grp === grp)),
	...GROUPS.map((grp) => entity({ grp }, (r) => r.grp === grp, [["n", "asc"]], 5, byN)),
	entity({ n: { $gte: 20, $lt: 60 } }, (r) => r.n >= 20 && r.n < 60),
	entity({ grp: { $in: ["a", "d"] }, n: { $gt: 50 } }, (r) => (r.grp === "a" || r.grp === "d") && r.n > 50),
	entity({ note: null }, (r) => r.note === null),
	entity({ parent: { $not: null } }, (r) => r.parent !== null, [["n", "desc"]], 7, byNDown),
	entity({}, () => true, [["n", "desc"]], 10, byNDown),
	...GROUPS.slice(0, 2).map((grp) => ({
		ask: { fn: "items.sums", args: { grp } },
		expect(rows) {
			const found = rows.filter((r) => r.grp === grp);
			return [{ count: found.length, sum: found.reduce((s, r) => s + r.n, 0) }];
		},
	})),
	...GROUPS.slice(1, 3).map((grp) => ({
		ask: { entity: "Item", where: { grp }, order: [["n", "asc"]], include: { up: "parent" } },
		expect(rows) {
			const all = new Map(rows.map((row) => [row.id, row]));
			return rows.filter((r) => r.grp === grp).sort(byN).map((row) => ({ ...row, up: all.get(row.parent) ?? null }));
		},
	})),
	...GROUPS.slice(1, 3).map((grp) => ({ ask: { fn: "items.list", args: { grp } }, expect: (rows) => rows.filter((r) => r.grp === grp).sort(byN) })),
];

const plain = (row) => ({
	...{ id: row.id, grp: row.grp, n: row.n, note: row.note ?? null, parent: row.parent ?? null },
	...(row.up === undefined ? {} : { up: row.up && plain(row.up) }),
});
const isRow = (value) => value !== null && typeof value === "object" && "id" in value;
/** Text of a result: equal results have equal texts. */
export const print = (result) => JSON.stringify(result.map((e) => (isRow(e) ? plain(e) : { count: e.count, sum: e.sum })));
for (const query of QUERIES) query.print = print;
