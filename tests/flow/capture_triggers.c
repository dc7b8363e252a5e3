/* Every write of anybody is in the log once: workers, psql, cascades, other triggers, COPY, TRUNCATE, other roles and settings. */
#include "txn_rig.h"

#include <stdlib.h>

#define ID(n) "00000000-0000-7000-8000-00000000000" n

static struct mr_pg *pg;

static int start(void **state)
{
	return rig_start(state);
}

static int stop(void **state)
{
	mr_pg_delete(&pg);
	return rig_stop(state);
}

/* A test that failed may have left its transaction open. */
static int clear(void **state)
{
	mr_pg_delete(&pg);
	pg = rig_connect();
	rig_sql("truncate \"Message\", \"Channel\", \"Node\", \"All\"");
	return 0;
}

static struct mr_txn *begin(void)
{
	return mr_txn_begin(pg, rig.app, MR_TXN_SERIALIZABLE, NULL);
}

static void done(struct mr_txn **txn)
{
	const struct rig_end *e = rig_commit(txn, "", "", NULL);
	if (e->end != MR_DONE)
		fail_msg("%s", e->err.message);
}

static void by_psql(void **state)
{
	int64_t mark = rig_mark();
	rig_sql("insert into \"Channel\" (id, name) values ('" ID("1") "', 'a'), ('" ID("2") "', 'b')");
	rig_sql("update \"Channel\" set name = name || 'x'; delete from \"Channel\" where name = 'bx'");
	RIG_CHANGES(mark, "Channel+ Channel+ Channel~ Channel~ Channel-");
	RIG_IS("{\"id\":\"" ID("2") "\",\"name\":\"bx\"}",
		"select (changes->0->'o')::text from millrace.change_log where changes->0->'n' is null order by seq desc limit 1");
	/* upserts: insert, then update of what is there */
	mark = rig_mark();
	for (int i = 0; i < 2; i++)
		rig_sql("insert into \"Channel\" (name) values ('up') on conflict (name) do update set name = excluded.name");
	rig_sql("insert into \"Channel\" (name) values ('up') on conflict do nothing");
	RIG_CHANGES(mark, "Channel+ Channel~");
	/* merge and a CTE that writes */
	mark = rig_mark();
	rig_sql("merge into \"Channel\" c using (values ('up'), ('new')) v(n) on c.name = v.n when matched then delete "
		"when not matched then insert (name) values (v.n)");
	rig_sql("with gone as (delete from \"Channel\" where name = 'new' returning id) insert into \"Node\" (id) select id from gone");
	char *got = rig_changes(mark);
	assert_true(!strcmp(got, "Channel- Channel+ Channel- Node+") || !strcmp(got, "Channel- Channel+ Node+ Channel-"));
	free(got);
}

static void rule_03_by_worker(void **state)
{
	int64_t mark = rig_mark();
	struct mr_txn *txn = begin();
	assert_non_null(rig_write(txn, RIG_INSERT, "Channel", "", "{\"id\":\"" ID("1") "\",\"name\":\"a\"}")->json);
	assert_non_null(
		rig_write(txn, RIG_INSERT, "Message", "", "{\"id\":\"" ID("2") "\",\"channel\":\"" ID("1") "\",\"author\":\"x\"}")->json);
	assert_non_null(rig_write(txn, RIG_PATCH, "Message", ID("2"), "{\"body\":\"hi\"}")->json);
	assert_non_null(rig_write(txn, RIG_REPLACE, "Message", ID("2"), "{\"channel\":\"" ID("1") "\",\"author\":\"y\"}")->json);
	assert_non_null(rig_sql_in(txn, "update \"Message\" set body = $1", "[\"raw\"]")->json);
	assert_non_null(rig_write(txn, RIG_REMOVE, "Message", ID("2"), NULL)->json);
	done(&txn);
	RIG_CHANGES(mark, "Channel+ Message+ Message~ Message~ Message~ Message-");
	/* the log rows: the worker's with a token, the trigger's without, one transaction */
	RIG_IS("2 1 1", "select count(*) || ' ' || count(token) || ' ' || count(distinct xid) from millrace.change_log where seq > %lld",
		(long long)mark);
	/* images of both paths are the same text */
	RIG_IS("t",
		"select (select c->>'n' from millrace.change_log, json_array_elements(changes) c where token is null and seq > %lld) = "
		"(select c->>'o' from millrace.change_log, json_array_elements(changes) c where token is not null and seq > %lld "
		"and c->>'n' is null)",
		(long long)mark, (long long)mark);
}

static void rule_03_cascades(void **state)
{
	rig_sql("insert into \"Channel\" (id, name) values ('" ID("1") "', 'a'); insert into \"Message\" (channel, author) select '" ID(
		"1") "', 'x' "
		     "from generate_series(1, 3)");
	int64_t mark = rig_mark();
	struct mr_txn *txn = begin();
	assert_non_null(rig_write(txn, RIG_REMOVE, "Channel", ID("1"), NULL)->json);
	done(&txn);
	RIG_CHANGES(mark, "Channel- Message- Message- Message-");
	/* into the same table, whose trigger stands aside for the statement itself */
	rig_sql("insert into \"Node\" values ('" ID("1") "', null), ('" ID("2") "', '" ID("1") "'), ('" ID("3") "', '" ID("2") "')");
	mark = rig_mark();
	txn = begin();
	assert_non_null(rig_write(txn, RIG_REMOVE, "Node", ID("1"), NULL)->json);
	done(&txn);
	RIG_CHANGES(mark, "Node- Node- Node-");
	rig_sql("insert into \"Node\" values ('" ID("1") "', null), ('" ID("2") "', '" ID("1") "')");
	mark = rig_mark();
	rig_sql("delete from \"Node\" where id = '" ID("1") "'");
	RIG_CHANGES(mark, "Node- Node-");
}

static void rules_01_02_other_triggers(void **state)
{
	rig_sql("create function rewrite() returns trigger language plpgsql as $$ begin if new.label = 'a' then "
		"update \"Node\" set label = 'b' where id = new.id; end if; return null; end $$;"
		"create trigger user_after after insert on \"Node\" for each row execute function rewrite();"
		"create function later() returns trigger language plpgsql as $$ begin update \"Node\" set label = 'd' where id = new.id "
		"and label <> 'd'; return null; end $$;"
		"create constraint trigger user_late after insert on \"Node\" deferrable initially deferred for each row when (new.label = "
		"'c') "
		"execute function later();"
		"create function before() returns trigger language plpgsql as $$ begin new.label := coalesce(new.label, 'set'); return "
		"new; end $$;"
		"create trigger user_before before insert on \"Node\" for each row execute function before()");
	int64_t mark = rig_mark();
	struct mr_txn *txn = begin();
	assert_non_null(rig_write(txn, RIG_INSERT, "Node", "", "{\"id\":\"" ID("1") "\",\"label\":\"a\"}")->json);
	assert_non_null(rig_write(txn, RIG_INSERT, "Node", "", "{\"id\":\"" ID("2") "\",\"label\":\"c\"}")->json);
	const struct rig_answer *a = rig_write(txn, RIG_INSERT, "Node", "", "{\"id\":\"" ID("3") "\"}");
	assert_non_null(strstr(a->json, "\"label\":\"set\""));
	done(&txn);
	RIG_CHANGES(mark, "Node+ Node~ Node+ Node+ Node~");
	/* one transaction, three rows of the log; that of the deferred trigger was written after the worker's */
	RIG_IS("1 3 2",
		"select count(distinct xid) || ' ' || count(*) || ' ' || (select count(*) from millrace.change_log l "
		"where l.token is null and l.xid = min(w.xid::text)::xid8) from millrace.change_log w where seq > %lld",
		(long long)mark);
	RIG_IS("t",
		"select bool_or(d.seq > w.seq) from millrace.change_log d, millrace.change_log w where d.seq > %lld and d.xid = w.xid "
		"and d.token is null and w.token is not null",
		(long long)mark);
	mark = rig_mark();
	rig_sql("begin; insert into \"Node\" values ('" ID("4") "', null, 'a'), ('" ID("5") "', null, 'c'); commit");
	/* each row's AFTER triggers in turn, the deferred ones at COMMIT */
	RIG_CHANGES(mark, "Node+ Node~ Node+ Node~");
	/* the last change of each row is what the table holds */
	RIG_IS("0", "select count(*) from (select distinct on (c->'n'->>'id') c->'n'->>'id' as id, c->'n'->>'label' as label from "
		    "millrace.change_log, "
		    "json_array_elements(changes) c where c->>'e' = 'Node' and c->'n' is not null order by c->'n'->>'id', "
		    "(c->>'s')::bigint desc) l "
		    "join \"Node\" n on n.id::text = l.id where n.label <> l.label");
	rig_sql("drop trigger user_after on \"Node\"; drop trigger user_late on \"Node\"; drop trigger user_before on \"Node\"");
}

static void rollbacks_and_savepoints(void **state)
{
	int64_t mark = rig_mark();
	rig_sql("begin; insert into \"Node\" (label) values ('1'); savepoint a; insert into \"Node\" (label) values ('2'); rollback to a; "
		"insert into \"Node\" (label) values ('3'); commit; begin; insert into \"Node\" (label) values ('4'); rollback");
	RIG_CHANGES(mark, "Node+ Node+");
	mark = rig_mark();
	struct mr_txn *txn = begin();
	rig_write(txn, RIG_INSERT, "Node", "", "{}");
	rig_rollback(&txn);
	/* after an error the flag is gone with its transaction */
	txn = begin();
	assert_null(rig_write(txn, RIG_INSERT, "Node", "", "{\"parent\":\"" ID("9") "\"}")->json);
	rig_rollback(&txn);
	txn = begin();
	assert_non_null(rig_sql_in(txn, "insert into \"Node\" (label) values ('raw')", NULL)->json);
	done(&txn);
	RIG_CHANGES(mark, "Node+");
	/* two-phase commit */
	mark = rig_mark();
	rig_sql("begin; insert into \"Node\" (label) values ('p'); prepare transaction 'p'");
	RIG_CHANGES(mark, "");
	rig_sql("commit prepared 'p'");
	RIG_CHANGES(mark, "Node+");
}

static void rules_02_07_copy_truncate_bulk(void **state)
{
	struct mr_error err;
	int64_t mark = rig_mark();
	PGresult *res = PQexec(rig.admin, "copy \"Node\" (label) from stdin");
	PQclear(res);
	PQputCopyData(rig.admin, "a\nb\n", 4);
	PQputCopyEnd(rig.admin, NULL);
	while ((res = PQgetResult(rig.admin)))
		PQclear(res);
	rig_sql("truncate \"Node\"");
	RIG_CHANGES(mark, "Node+ Node+ Node!");
	assert_true(mr_install_settings(rig.conninfo.p, 3, 100000, 2, 0, &err));
	mark = rig_mark();
	rig_sql("begin; insert into \"Node\" (label) select 'x' from generate_series(1, 100); insert into \"Channel\" (name) values ('z');"
		"update \"Node\" set label = 'y'; insert into \"Channel\" (name) values ('zz'); commit");
	RIG_CHANGES(mark, "Node+ Node+ Node+ Node! Channel!");
	/* the count goes back with a savepoint, and begins anew with the next transaction */
	mark = rig_mark();
	rig_sql("truncate \"Node\"; begin; savepoint a; insert into \"Node\" (label) select 'x' from generate_series(1, 100); rollback to "
		"a;"
		"insert into \"Node\" (label) select 'x' from generate_series(1, 2); commit; insert into \"Node\" (label) values ('x')");
	RIG_CHANGES(mark, "Node! Node+ Node+ Node+");
	assert_true(mr_install_settings(rig.conninfo.p, 1000, 2000, 2, 0, &err));
	mark = rig_mark();
	rig_sql("insert into \"Node\" (label) values (repeat('x', 3000))");
	RIG_CHANGES(mark, "Node!");
	assert_true(mr_install_settings(rig.conninfo.p, 10000, 16777216, 2, 0, &err));
}

static void rule_06_other_roles(void **state)
{
	rig_sql("create role outsider; grant all on all tables in schema public to outsider; set role outsider");
	int64_t mark = -1;
	rig_sql("insert into \"Node\" (label) values ('o')");
	rig_sql("reset role");
	RIG_IS("1", "select count(*) from millrace.change_log where changes->0->'n'->>'label' = 'o'");
	/* a temporary table or function of the writer's own must not be taken for ours */
	rig_sql("set role outsider; create temp table change_log (x int); create temp table setting (x int); set search_path = pg_temp, "
		"public;"
		"insert into public.\"Node\" (label) values ('temp'); reset search_path; drop table change_log, setting; reset role");
	RIG_IS("1", "select count(*) from millrace.change_log where changes->0->'n'->>'label' = 'temp'");
	mark = rig_mark();
	rig_sql("set session_replication_role = replica; insert into \"Node\" (label) values ('r'); truncate \"Node\"; reset "
		"session_replication_role");
	RIG_CHANGES(mark, "Node+ Node!");
}

static void rule_06_other_settings(void **state)
{
	const char *insert =
		"insert into \"All\" (id, b, f, n, s, d, y, j) values (gen_random_uuid(), true, 0.1::float8 + 0.2, 1.50, 'é\\\"', "
		"'2026-07-01 12:34:56.789+02', '\\x00ff', '{\"a\": 1}')";
	rig_sql("alter table \"All\" add column extra interval default '1 day 2 hours'");
	int64_t mark = rig_mark();
	rig_sql(insert);
	rig_sql("create schema evil; create function evil.row_to_json(record) returns json language plpgsql as 'begin return ''{}''; end';"
		"set search_path = evil, pg_catalog, public");
	rig_sql("set datestyle = 'German'; set timezone = 'Asia/Tokyo'; set extra_float_digits = -5; set bytea_output = 'escape';"
		"set intervalstyle = 'sql_standard'; set synchronous_commit = off");
	rig_sql(insert);
	rig_sql("reset search_path; drop schema evil cascade");
	rig_sql("reset datestyle; reset timezone; reset extra_float_digits; reset bytea_output; reset intervalstyle; reset "
		"synchronous_commit");
	RIG_IS("1", "select count(distinct (changes->0->'n')::jsonb - 'id') from millrace.change_log where seq > %lld", (long long)mark);
	RIG_IS("2026-07-01T10:34:56.789+00:00 0.30000000000000004 \\x00ff P1DT2H",
		"select concat_ws(' ', n->>'d', n->>'f', n->>'y', n->>'extra') from (select changes->0->'n' as n from millrace.change_log "
		"where seq > %lld limit 1) l",
		(long long)mark);
	/* the same through a worker */
	struct mr_txn *txn = begin();
	assert_non_null(rig_write(txn, RIG_INSERT, "All", "",
		"{\"b\":true,\"f\":0.30000000000000004,\"n\":\"1.50\",\"s\":\"é\\\\\\\"\","
		"\"d\":\"2026-07-01T10:34:56.789Z\",\"y\":{\"$bytes\":\"AP8=\"},\"j\":{\"a\":1}}")
				->json);
	done(&txn);
	RIG_IS("1",
		"select count(distinct (c->'n')::jsonb - 'id') from millrace.change_log, json_array_elements(changes) c where seq > %lld",
		(long long)mark);
	rig_sql("alter table \"All\" drop column extra");
}

/* What a writer shows to others must be durable before, whatever it asked for. */
static void rule_05_durable_before_visible(void **state)
{
	rig_sql("set synchronous_commit = off");
	rig_sql("begin; insert into \"Node\" (label) values ('s')");
	RIG_IS("on", "select current_setting('synchronous_commit')");
	rig_sql("commit; set synchronous_commit = remote_apply; begin; insert into \"Node\" (label) values ('s')");
	RIG_IS("remote_apply", "select current_setting('synchronous_commit')");
	rig_sql("commit; reset synchronous_commit");
}

/* No statement of a function can say that its writes are captured already, and what a worker said is gone with its transaction. */
static void rule_03_the_flag_is_set_by_nobody_else(void **state)
{
	static const char *const ways[] = {"select set_config('millrace.capturing', 'Node', true)",
		"select pg_catalog.set_config('millrace.' || 'capturing', 'Node', false)", "set millrace.capturing = 'Node'",
		"set local millrace.capturing = 'Node'", "reset millrace.capturing", "discard all",
		"update pg_settings set setting = 'Node' where name = 'millrace.capturing'",
		"with s as (select set_config('millrace.capturing', 'Node', true)) insert into \"Node\" (label) select 'x' from s"};
	struct mr_txn *txn;
	for (size_t i = 0; i < MR_COUNT(ways); i++) {
		txn = begin();
		const struct rig_answer *a = rig_sql_in(txn, ways[i], NULL);
		assert_null(a->json);
		if (a->err.code != MR_SQL_REFUSED)
			fail_msg("%s: %s", ways[i], a->err.message);
		rig_rollback(&txn);
	}
	for (int i = 0; i < 3; i++) {
		int64_t mark = rig_mark();
		txn = begin();
		assert_non_null(rig_write(txn, RIG_INSERT, "Node", "", "{}")->json);
		if (i)
			rig_rollback(&txn);
		else
			done(&txn);
		txn = begin();
		assert_non_null(rig_sql_in(txn, "insert into \"Node\" (label) values ('raw')", NULL)->json);
		done(&txn);
		RIG_CHANGES(mark, i ? "Node+" : "Node+ Node+");
	}
}

/* The row that an upsert finds may be of somebody who has committed only just now: the statement's own snapshot does not have it. */
static void rule_04_upsert_finds_a_concurrent_insert(void **state)
{
	struct mr_error err;
	struct rig_answer a = {0};
	PGconn *other = mr_sync_open(rig.conninfo.p, &err);
	int64_t mark = rig_mark();
	assert_true(mr_sync_run(other, &err, "reset search_path; begin; insert into \"Channel\" (id, name) values ('" ID("1") "', 'up')"));
	struct mr_txn *txn = mr_txn_begin(pg, rig.app, MR_TXN_READ_COMMITTED, NULL);
	mr_txn_sql(txn, MR_STR("insert into \"Channel\" (name) values ('up') on conflict (name) do update set name = excluded.name || '!'"),
		NULL, rig_answered, &a);
	for (bool waits = false; !waits;) {
		mr_loop_turn(rig.loop, 20);
		assert_false(a.done);
		assert_true(mr_sync_asks(rig.admin, &err, "select exists (select from pg_locks where not granted)", &waits));
	}
	assert_true(mr_sync_run(other, &err, "commit"));
	rig_until(&a.done, "the row is upserted");
	assert_non_null(a.json);
	done(&txn);
	RIG_CHANGES(mark, "Channel+ Channel~");
	RIG_IS(ID("1") " up " ID("1") " up!",
		"select concat_ws(' ', c->'o'->>'id', c->'o'->>'name', c->'n'->>'id', c->'n'->>'name') from millrace.change_log, "
		"json_array_elements(changes) c where seq > %lld and c->'o' is not null",
		(long long)mark);
	rig_free_answer(&a);
	PQfinish(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(by_psql, clear),
		cmocka_unit_test_setup(rule_03_by_worker, clear),
		cmocka_unit_test_setup(rule_03_cascades, clear),
		cmocka_unit_test_setup(rules_01_02_other_triggers, clear),
		cmocka_unit_test_setup(rollbacks_and_savepoints, clear),
		cmocka_unit_test_setup(rules_02_07_copy_truncate_bulk, clear),
		cmocka_unit_test_setup(rule_06_other_roles, clear),
		cmocka_unit_test_setup(rule_06_other_settings, clear),
		cmocka_unit_test_setup(rule_05_durable_before_visible, clear),
		cmocka_unit_test_setup(rule_03_the_flag_is_set_by_nobody_else, clear),
		cmocka_unit_test_setup(rule_04_upsert_finds_a_concurrent_insert, clear),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
