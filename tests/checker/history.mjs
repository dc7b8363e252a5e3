// The shortest history that is known to differ: the rows at the last snapshot at which the client was right, and the transactions since, in the order
// of their first writes. It can be read by people, kept in a file, and done again.
import { Walk } from "./audit.mjs";

const plain = (version) => ({ id: version.id, row: version.row });

/** versions: all of the audit; agreed: the snapshot at which the client was right (undefined: at none), differs: the one at which it was not. */
export function historyOf(versions, query, agreed, differs) {
	const before = new Walk(versions);
	if (agreed) before.advance(agreed);
	const transactions = new Map();
	for (const version of versions.filter((v) => differs.sees(v) && !agreed?.sees(v)).sort((a, b) => a.seq - b.seq)) {
		const of = transactions.get(version.xid) ?? { at: version.at, changes: [] };
		of.changes.push(plain(version));
		transactions.set(version.xid, of);
	}
	const inOrder = [...transactions.values()].sort((a, b) => (a.at < b.at ? -1 : 1)).map(({ changes }) => changes);
	return { ask: query.ask, rows: before.rows(), transactions: inOrder };
}

export function tell({ rows, transactions = [] }) {
	const line = (change) => (change.row ? JSON.stringify(change.row) : `delete ${change.id}`);
	return `from ${rows.length} rows, at which it was right, by ${transactions.length} transactions:\n` +
		transactions.slice(0, 20).map((changes, i) => `    ${i + 1}: ${changes.map(line).join("; ").slice(0, 600)}`).join("\n");
}

const literal = (value) => (value === null || value === undefined ? "null" : typeof value === "number" ? String(value) : `'${String(value).replaceAll("'", "''")}'`);
function statement({ id, row }) {
	if (!row) return `delete from "Item" where id = ${literal(id)};`;
	const columns = Object.keys(row);
	const values = columns.map((column) => literal(row[column])).join(", ");
	const set = columns.map((column) => `"${column}" = excluded."${column}"`).join(", ");
	return `insert into "Item" (${columns.map((column) => `"${column}"`).join(", ")}) values (${values}) on conflict (id) do update set ${set};`;
}
/** What a transaction did, row by row: cascades and references have had their effect already. */
export const sqlOf = (changes) => `begin; set local session_replication_role = replica; set local synchronous_commit = on;\n${changes.map(statement).join("\n")}\ncommit;`;

/** Does a history again, with one client of each encoding; gives what differed. */
export async function again(history, { psql, clients, pause, judge }) {
	await psql.run(sqlOf([...(await everything(psql)), ...history.rows.map((row) => ({ id: row.id, row }))]));
	for (const client of clients) await client.watches(history.ask);
	for (const changes of history.transactions) {
		await psql.run(sqlOf(changes));
		await pause();
	}
	return judge();
}
async function everything(psql) {
	const text = await psql.run('select id from "Item";');
	return text.split("\n").filter((id) => id).map((id) => ({ id, row: null }));
}

/** Leaves out transactions as long as it differs without them. */
export async function shorten(history, differs) {
	let short = history;
	for (let size = Math.ceil(short.transactions.length / 2); size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
		for (let at = 0; at < short.transactions.length; ) {
			const without = { ...short, transactions: short.transactions.filter((_, i) => i < at || i >= at + size) };
			if (without.transactions.length < short.transactions.length && (await differs(without))) short = without;
			else at += size;
		}
	}
	return short;
}
