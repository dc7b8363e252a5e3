// Writers from outside: psql sessions that write what functions never see, until `going()` is false.
const GROUPS = ["a", "b", "c", "d"];
const ROWS_KEPT = 300; // the table stays small, so that comparing it stays cheap
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function statements(random) {
	const group = () => `'${random.pick(GROUPS)}'`;
	const one = () =>
		random.pick([
			() => `insert into "Item" (grp, n) select ${group()}, ${random.below(100)} from generate_series(1, ${1 + random.below(3)});`,
			() => `update "Item" set n = ${random.below(100)} where id in (select id from "Item" where grp = ${group()} order by id limit 3 for update skip locked);`,
			() => `update "Item" set grp = ${group()} where id in (select id from "Item" order by random() limit 2 for update skip locked);`,
			() => `delete from "Item" where id in (select id from "Item" where grp = ${group()} order by n limit 2 for update skip locked);`,
			() => `savepoint s; insert into "Item" (grp, n, note) values (${group()}, 5, 'never'); rollback to s;`,
			() => `copy "Item" (grp, n) from stdin;\n${random.pick(["a", "b"])}\t${random.below(100)}\n\\.`,
			() => `with one as (select id from "Item" order by random() limit 1) insert into "Item" (grp, n, parent) select ${group()}, ${random.below(100)}, id from one;`,
		])();
	return Array.from({ length: 1 + random.below(4) }, one).join("\n");
}

/** Transactions of several statements, some rolled back; gives how many. */
export async function outsider(psql, random, going) {
	let done = 0;
	for (; going(); done++) {
		await psql.run(`begin;\n${statements(random)}\n${random.below(10) === 0 ? "rollback" : "commit"};`);
		await sleep(random.below(20));
	}
	psql.close();
	return done;
}

/** Deletes the oldest rows (and their children by cascade) from time to time. */
export async function sweeper(psql, going) {
	while (going()) {
		await sleep(700);
		await psql.run(`delete from "Item" where id in (select id from "Item" order by id limit greatest(0, (select count(*) - ${ROWS_KEPT} from "Item")));`);
	}
	psql.close();
}
