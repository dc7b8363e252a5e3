// Writers from outside, until `going()` is false: psql sessions that write what functions never see, and entity writes over HTTP.
const GROUPS = ["a", "b", "c", "d"];
const ROWS_KEPT = 300; // the table stays small, so that comparing it stays cheap
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function statements(random) {
	const group = () => `'${random.pick(GROUPS)}'`;
	const some = (where, n) => `(select id from "Item" where ${where} order by id limit ${n} for update skip locked)`;
	const one = () =>
		random.pick([
			() => `insert into "Item" (grp, n) select ${group()}, ${random.below(100)} from generate_series(1, ${1 + random.below(3)});`,
			() => `update "Item" set n = ${random.below(100)} where id in ${some(`grp = ${group()}`, 3)};`,
			() => `update "Item" set grp = ${group()} where id in (select id from "Item" order by random() limit 2 for update skip locked);`,
			() => `update "Item" set id = gen_random_uuid() where id in ${some(`grp = ${group()} and note is null and not exists (select from "Item" c where c.parent = "Item".id)`, 1)};`,
			() => `delete from "Item" where id in (select id from "Item" where grp = ${group()} order by n limit 2 for update skip locked);`,
			() => `savepoint s; insert into "Item" (grp, n, note) values (${group()}, 5, 'never'); rollback to s;`,
			() => `copy "Item" (grp, n) from stdin;\n${random.pick(["a", "b"])}\t${random.below(100)}\n\\.\n;`, // where COPY is refused, its rows are read as a statement, which must not swallow the next
			() => `with one as (select id from "Item" order by random() limit 1) insert into "Item" (grp, n, parent) select ${group()}, ${random.below(100)}, id from one;`,
		])();
	return Array.from({ length: 1 + random.below(4) }, one).join("\n");
}

/** The second phase, whoever dies meanwhile: what stays prepared holds its locks for ever. Nobody prepares or ends anything in a block that is still open. */
async function finish(psql, verb, name) {
	for (let left = ""; left !== "0"; ) {
		await psql.run(`rollback; set statement_timeout = 0; ${verb} prepared ${name};`);
		left = (await psql.run(`select count(*) from pg_prepared_xacts where gid = ${name};`)).trim();
	}
}

/** Transactions of several statements: committed, rolled back, in two phases, now and then all rows at once; gives how many. */
export async function outsider(number, psql, random, going) {
	let done = 0;
	for (; going(); done++) {
		const how = random.below(200);
		const name = `'outsider-${number}-${done}'`;
		const end = how < 20 ? "rollback;" : how < 40 ? `prepare transaction ${name};` : "commit;";
		const all = how === 199 ? 'truncate "Item";' : how === 198 ? 'update "Item" set n = n + 1;' : statements(random);
		const durable = how % 7 === 0 ? "set local synchronous_commit = off;\n" : "";
		await psql.run(`begin;\n${durable}${all}\n${end}`);
		if (how >= 20 && how < 40) {
			await sleep(random.below(50));
			await finish(psql, how < 25 ? "rollback" : "commit", name);
		}
		await sleep(random.below(20));
	}
	psql.close();
	return done;
}

/** Inserts, changes and deletes single rows over HTTP; gives how many were done. */
export async function entityWriter(url, random, going, doing) {
	const own = [];
	let done = 0;
	const ask = async (method, path, body) => {
		doing(`${new Date().toISOString()} ${method} ${path}`);
		const response = await fetch(new URL(path, url), {
			method,
			headers: { "content-type": "application/json", connection: "close" },
			body: body && JSON.stringify(body),
			signal: AbortSignal.timeout(20000),
		});
		return { ok: response.ok, body: await response.json() };
	};
	while (going()) {
		const id = own.length > 0 && random.below(3) > 0 ? random.pick(own) : undefined;
		const row = { grp: random.pick(GROUPS), n: random.below(100) };
		const asked = id === undefined ? ask("POST", "/api/entities/Item", row) : random.below(4) ? ask("PATCH", `/api/entities/Item/${id}`, row) : ask("DELETE", `/api/entities/Item/${id}`);
		const { ok, body } = await asked.catch(() => ({ ok: false })); // a line that broke; whether it was done is the audit's to know
		if (ok) done++;
		if (ok && id === undefined) own.push(body.id);
		if (own.length > 30) own.shift();
		await sleep(random.below(40));
	}
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
