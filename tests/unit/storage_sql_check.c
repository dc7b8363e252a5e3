/* What a statement of ctx.db.sql is seen to be: here, whether its result stands until somebody writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/sql_check.h"

static void expect(const char *text, enum mr_sql_moves moves, const char *moving)
{
	const struct mr_sql_check *c = mr_sql_check(mr_str(text));
	if (c->refusal.code || c->moves != moves || !mr_str_is(c->moving, moving))
		fail_msg("%s: %s moves %d by \"%.*s\"", text, c->refusal.message, c->moves, (int)c->moving.n,
			c->moving.p ? c->moving.p : "");
}

static void rule_23_time_moves(void **state)
{
	expect("select now()", MR_SQL_TIME, "now()");
	expect("select pg_catalog.NOW() as x", MR_SQL_TIME, "now()");
	expect("select * from t where at > clock_timestamp() - interval '1 hour'", MR_SQL_TIME, "clock_timestamp()");
	expect("select * from t where at > current_timestamp", MR_SQL_TIME, "current_timestamp");
	expect("select current_timestamp(3)", MR_SQL_TIME, "current_timestamp");
	expect("select current_date", MR_SQL_TIME, "current_date");
	expect("select localtime, localtimestamp(0)", MR_SQL_TIME, "localtime");
	expect("select statement_timestamp()", MR_SQL_TIME, "statement_timestamp()");
	expect("select transaction_timestamp()", MR_SQL_TIME, "transaction_timestamp()");
	expect("select timeofday()", MR_SQL_TIME, "timeofday()");
	expect("select age(born) from t", MR_SQL_TIME, "age()");
	expect("select 'now'::timestamptz", MR_SQL_TIME, "now as a time");
	expect("select * from t where day = date 'Yesterday'", MR_SQL_TIME, "Yesterday as a time");
}

/* Wherever it stands: no kind of node is forgotten. */
static void rule_23_nothing_hides_it(void **state)
{
	static const char *const texts[] = {
		"with a as (select now() as n) select n from a",
		"select (select now())",
		"select * from t join u on t.at < now()",
		"select * from t order by now()",
		"select * from t group by g having max(at) > now()",
		"select case when a then b else now() end from t",
		"select coalesce(at, now()) from t",
		"select * from t where at in (now(), $1)",
		"select * from t limit (select extract(day from now())::int)",
		"select sum(n) over (partition by now()) from t",
		"select count(*) filter (where at > now()) from t",
		"select * from t, lateral (select now()) x",
		"select 1 union all (select 2 where now() > $1)",
		"values (now())",
		"select array[now()]",
		"select row(now())",
		"select to_char(now(), 'HH24')",
		"select now() at time zone 'UTC'",
		"select greatest(at, now()) from t",
	};
	for (size_t i = 0; i < MR_COUNT(texts); i++)
		expect(texts[i], MR_SQL_TIME, "now()");
}

static void chance_and_counters_move(void **state)
{
	expect("select * from t order by random() limit 1", MR_SQL_CHANCE, "random()");
	expect("select gen_random_uuid()", MR_SQL_CHANCE, "gen_random_uuid()");
	expect("select uuid_generate_v4()", MR_SQL_CHANCE, "uuid_generate_v4()");
	expect("select * from t tablesample bernoulli (10)", MR_SQL_CHANCE, "tablesample without repeatable");
	expect("select nextval('s')", MR_SQL_COUNTER, "nextval()");
	expect("select currval('s'), now()", MR_SQL_COUNTER, "currval()");
	expect("select txid_current()", MR_SQL_COUNTER, "txid_current()");
}

static void others_stand(void **state)
{
	static const char *const texts[] = {
		"select count(*) from t where at > $1",
		"select '2026-01-01'::timestamptz, 'now', 'today'::text",
		"select now, random from t",
		"select t.now from t",
		"select app.now(), app.random()",
		"select age($1, born) from t",
		"select current_user, current_schema",
		"select date_trunc('day', at), to_timestamp($1) from t",
		"select * from t tablesample bernoulli (10) repeatable (1)",
		"select 1 as now",
	};
	for (size_t i = 0; i < MR_COUNT(texts); i++)
		expect(texts[i], MR_SQL_STANDS, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_23_time_moves),
		cmocka_unit_test(rule_23_nothing_hides_it),
		cmocka_unit_test(chance_and_counters_move),
		cmocka_unit_test(others_stand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
