// For pgbench: the statements that a worker sends for a mutation, word for word (log_statement = all shows them), each by itself. The same
// tables, whose triggers stand aside for both, and the same log row. `bare`: a table without triggers, and nothing that only we need but the
// log row: not what a transaction sets for itself.
const setting = (capturing) => `select set_config('millrace.capturing', '${capturing}', true), set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true);`;

/** `changes` is as long as the real one; its values are not looked at. */
function logRow({ bare, result, changes }) {
	const after = bare ? "" : ", set_config('millrace.capturing', '', true), set_config('synchronous_commit', case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)";
	return `insert into millrace.change_log (part, hour, token, session, call, fn, args_hash, user_id, result, changes)
	select case when not coalesce(pg_try_advisory_xact_lock_shared(889219936852487775), true) then millrace.refuse_turn() when c.hour < millrace.kept_from(c.now) then millrace.refuse_expired() when c.hour > c.now + 1 then millrace.refuse_ahead() else millrace.part_of(c.hour) end,
	c.hour, '\\x0123456789abcdef0123456789abcdef', 'pgbench-session-${"0".repeat(20)}' || :client_id, :round::text || '.' || :call::text, 'pgbench', '\\x${"0123456789abcdef".repeat(4)}', null, '${result}'::json,
	'[${changes.join(",")}]'::json from (select coalesce(:hour::integer, t.now) as hour, t.now from (select millrace.this_hour() as now) t) c returning xid::text${after};`;
}

export function insertScript({ isolation, bare }) {
	const table = bare ? "bench_note" : "Note";
	const row = '{"id":"01a20280-a518-74d6-a516-85db81ca6279","channel":"general","body":"a note of sixty characters that no other note is equal to...."}';
	return `\\set call :call + 1
begin isolation level ${isolation}, read write;
${bare ? "" : setting("Note")}
insert into "public"."${table}" as r ("channel", "body") values (:channel, :round::text || ' a note of sixty characters that no other note is equal ' || :call::text) returning null, row_to_json(r.*)::text, nextval('millrace.seq');
${logRow({ bare, result: "null", changes: [`{"s":1234567,"e":"Note","n":${row}}`] })}
commit;
`;
}

export function transferScript({ isolation, bare, accounts }) {
	const table = `"public"."${bare ? "bench_account" : "Account"}"`;
	const key = (name) => `lpad(:${name}::text, 32, '0')::uuid`;
	const read = (name) => `select row_to_json(r.*)::text as row, r."balance" as balance from ${table} as r where (r."id" = ${key(name)}) order by r."id" asc \\gset ${name}_`;
	const captured = bare ? "" : ", set_config('millrace.capturing', 'Account', true)";
	const write = (name, sign) => `\\set ${name}_balance :${name}_balance ${sign} :amount
with o as materialized (select r."id" as key, row_to_json(r.*)::text as image${captured} from ${table} as r where r."id" = ${key(name)} for update)
	update ${table} as r set "balance" = :${name}_balance from o where r."id" = o.key returning o.image, row_to_json(r.*)::text, nextval('millrace.seq');`;
	const image = (balance) => `{"id":"00000000-0000-0000-0000-000000000001","owner":"owner 1","balance":${balance}}`;
	const changes = [999999998, 1000000000].map((now) => `{"s":1234567,"e":"Account","o":${image(999999999)},"n":${image(now)}}`);
	return `\\set one random(1, ${accounts})
\\set other random(1, ${accounts} - 1)
\\set other :other + case when :other >= :one then 1 else 0 end
\\set payer least(:one, :other)
\\set payee greatest(:one, :other)
\\set amount random(-100, 100)
\\set call :call + 1
begin isolation level ${isolation}, read write;
${bare ? "" : setting("")}
${read("payer")}
${read("payee")}
\\if :payer_balance >= :amount
${write("payer", "-")}
${write("payee", "+")}
${logRow({ bare, result: "999999999", changes })}
\\endif
commit;
`;
}

/** The statement of items.group. */
export const groupScript = (groups) => `\\set grp random(1, ${groups})
select row_to_json(r.*)::text from "public"."Item" as r where (r."grp" = :grp::text) order by r."grp" collate "C" asc, r."place" asc, r."id" asc limit 50;
`;
