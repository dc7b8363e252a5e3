// For pgbench: the statements that a worker sends, each by itself. SENT is word for word what it sends, which tests/flow/bench_functions.mjs
// compares; a script puts values in the place of its parameters. The same tables, whose triggers stand aside for both, and the same log row.
// Bare: a table without triggers, and nothing that only we need but the log row, so not what a transaction sets for itself.
export const SENT = {
	begin: "begin isolation level serializable, read write",
	settings: "select set_config('millrace.capturing', $1, true), set_config('enable_seqscan', $2, true), set_config('jit', 'off', true)",
	insert: `insert into "public"."Note" as r ("channel", "body") values ($1, $2) returning null, row_to_json(r.*)::text, nextval('millrace.seq')`,
	get: `select r."id", r."owner", r."balance" from "public"."Account" as r where r."id" = $1::uuid order by r."id" asc`,
	patch: `with o as materialized (select r."id" as key, row_to_json(r.*)::text as image, set_config('millrace.capturing', 'Account', true) from "public"."Account" as r where r."id" = $1::uuid for update) update "public"."Account" as r set "balance" = $2 from o where r."id" = o.key returning o.image, row_to_json(r.*)::text, nextval('millrace.seq')`,
	log: `insert into millrace.change_log (part, hour, token, session, call, fn, args_hash, user_id, result, changes) select case when not coalesce(pg_try_advisory_xact_lock_shared($10), true) then millrace.refuse_turn() when c.hour < millrace.kept_from(c.now) then millrace.refuse_expired() when c.hour > c.now + 1 then millrace.refuse_ahead() else millrace.part_of(c.hour) end, c.hour, $2, $3, $4, $5, $6, $7, $8::json, $9::json from (select coalesce($1::integer, t.now) as hour, t.now from (select millrace.this_hour() as now) t) c returning xid::text, seq, set_config('millrace.capturing', '', true), set_config('synchronous_commit', case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)`,
	commit: "commit",
	group: `select r."id", r."grp", r."place", r."n", r."text" from "public"."Item" as r where (r."grp" = $1::text) order by r."grp" collate "C" asc, r."place" asc, r."id" asc limit 50`,
};

/** A statement with these texts in the place of $1, $2, ... */
const fill = (sql, ...values) => `${sql.replace(/\$(\d+)/g, (_, n) => values[n - 1])};`;

const SETTINGS_AFTER_OTHERS = /, set_config\('(?:[^()']|'|\([^()]*\))*?, true\)/g;
/** Without what is set beside, on the tables that have no triggers. */
const bared = (sql) => sql.replace(SETTINGS_AFTER_OTHERS, "").replace(/"public"\."(\w+)"/g, (_, table) => `"public"."bench_${table.toLowerCase()}"`);

/** A transaction from its statements; `inner`: lines between its beginning and its end. */
function script({ isolation, bare, before = "", writes }, inner) {
	const begin = SENT.begin.replace("serializable", isolation);
	const settings = bare || isolation !== "serializable" ? "" : `${fill(SENT.settings, `'${writes}'`, "'off'")}\n`;
	return `${before}\\set call :call + 1\n${begin};\n${settings}${inner}\n${SENT.commit};\n`;
}

/** `changes` are as long as the real ones; their values are not looked at. */
function logRow(bare, result, changes) {
	const [token, session, call] = ["'\\x0123456789abcdef0123456789abcdef'", `'pgbench-session-${"0".repeat(20)}' || :client_id`, ":round::text || '.' || :call::text"];
	const values = [":hour", token, session, call, "'pgbench'", `'\\x${"0123456789abcdef".repeat(4)}'`, "null", `'${result}'`, `'[${changes.join(",")}]'`, "889219936852487775"];
	return fill(bare ? bared(SENT.log) : SENT.log, ...values);
}

export function insertScript({ isolation, bare }) {
	const row = '{"id":"01a20280-a518-74d6-a516-85db81ca6279","channel":"general","body":"a note of sixty characters that no other note is equal to...."}';
	const body = ":round::text || ' a note of sixty characters that no other note is equal ' || :call::text";
	const insert = fill(bare ? bared(SENT.insert) : SENT.insert, ":channel", body);
	return script({ isolation, bare, writes: "Note" }, `${insert}\n${logRow(bare, "null", [`{"s":1234567,"e":"Note","n":${row}}`])}`);
}

export function transferScript({ isolation, bare, accounts }) {
	const ours = (sql) => (bare ? bared(sql) : sql);
	const key = (name) => `lpad(:${name}::text, 32, '0')`;
	const read = (name) => fill(ours(SENT.get), key(name)).replace(/;$/, ` \\gset ${name}_`);
	const write = (name, sign) => `\\set ${name}_balance :${name}_balance ${sign} :amount\n${fill(ours(SENT.patch), key(name), `:${name}_balance`)}`;
	const image = (balance) => `{"id":"00000000-0000-0000-0000-000000000001","owner":"owner 1","balance":${balance}}`;
	const changes = [999999998, 1000000000].map((now) => `{"s":1234567,"e":"Account","o":${image(999999999)},"n":${image(now)}}`);
	const before = `\\set one random(1, ${accounts})
\\set other random(1, ${accounts} - 1)
\\set other :other + case when :other >= :one then 1 else 0 end
\\set payer least(:one, :other)
\\set payee greatest(:one, :other)
\\set amount random(-100, 100)
`;
	const inner = `${read("payer")}
${read("payee")}
\\if :payer_balance >= :amount
${write("payer", "-")}
${write("payee", "+")}
${logRow(bare, "999999999", changes)}
\\endif`;
	return script({ isolation, bare, before, writes: "" }, inner);
}

export const groupScript = (groups) => `\\set grp random(1, ${groups})\n${fill(SENT.group, ":grp")}\n`;
