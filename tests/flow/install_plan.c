/* The installer: plans that add, plans of nothing, plans that are refused; adopted tables; settings and retention. */
#include "storage/sql.h"
#include "txn_rig.h"

#include <stdlib.h>

#define ONE(fields, indexes)                                                                                                               \
	"{\"version\":\"x\",\"entities\":[{\"name\":\"Thing\",\"schema\":\"public\",\"table\":\"thing\",\"fields\":[" fields               \
	"],\"indexes\":[" indexes "]}],\"policies\":[],\"functions\":[]}"

static char *plan_of(const char *manifest, struct mr_error *err)
{
	struct mr_app *app = rig_app(manifest);
	struct mr_buf plan = {0};
	*err = (struct mr_error){0};
	bool ok = mr_install_plan(rig.conninfo.p, app, &plan, err);
	mr_app_drop(&app);
	if (ok)
		return plan.p ? mr_buf_take(&plan) : mr_strdup("");
	mr_buf_fini(&plan);
	return NULL;
}

static void refused(const char *manifest, const char *sentence)
{
	struct mr_error err;
	char *plan = plan_of(manifest, &err);
	if (plan)
		fail_msg("not refused (%s): %s", sentence, plan);
	assert_int_equal(err.code, MR_CHECK_VIOLATION);
	if (!strstr(err.message, sentence))
		fail_msg("'%s' is not in: %s", sentence, err.message);
	assert_non_null(strstr(err.data, "Thing"));
}

static void installed(const char *manifest)
{
	struct mr_error err;
	struct mr_app *app = rig_app(manifest);
	rig_install(app);
	mr_app_drop(&app);
	char *again = plan_of(manifest, &err);
	if (!again)
		fail_msg("%s", err.message);
	assert_string_equal(again, "");
	free(again);
}

static void fresh(void **state)
{
	installed(rig_manifest);
	RIG_IS("C",
		"select collname from pg_attribute a join pg_collation c on c.oid = attcollation where attrelid = '\"Message\"'::regclass "
		"and attname = 'author'");
	rig_sql("insert into \"Channel\" (name) values ('a')");
	RIG_IS("7", "insert into \"Message\" (channel, author) select id, 'x' from \"Channel\" returning n");
	RIG_IS("7", "select substr(id::text, 15, 1) from \"Message\"");
	RIG_IS("t", "select abs(extract(epoch from now()) * 1000 - ('x' || lpad(replace(left(id::text, 13), '-', ''), 16, "
		    "'0'))::bit(64)::bigint) "
		    "< 60000 from \"Message\"");
	struct mr_error err;
	assert_true(mr_install_apply(rig.conninfo.p, MR_STR(""), 5000, &err));
}

static void adds(void **state)
{
	installed(ONE("{\"name\":\"a\",\"type\":\"string\"}", ""));
	rig_sql("insert into thing (a) values ('x'), ('x')");
	int64_t mark = rig_mark();
	installed(ONE("{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"b\",\"type\":\"int\",\"optional\":true},"
		      "{\"name\":\"c\",\"type\":\"string\",\"default\":\"it's \\\\ \\\"q\\\"\"}",
		"{\"name\":\"by_ab\",\"fields\":[\"a\",\"b\"]}"));
	RIG_CHANGES(mark, "Thing!");
	RIG_IS("it's \\ \"q\"", "select c from thing limit 1");
	/* an index of the same name over other fields is made anew */
	installed(ONE("{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"b\",\"type\":\"int\",\"optional\":true}",
		"{\"name\":\"by_ab\",\"fields\":[\"b\"]}"));
	/* optional: nulls are allowed from now on; and back, as there are none */
	installed(ONE("{\"name\":\"a\",\"type\":\"string\",\"optional\":true}", ""));
	installed(ONE("{\"name\":\"a\",\"type\":\"string\"}", ""));
	/* another default, now() and none */
	installed(ONE("{\"name\":\"a\",\"type\":\"string\",\"default\":\"x\"}", ""));
	installed(ONE(
		"{\"name\":\"a\",\"type\":\"string\",\"default\":\"y\"},{\"name\":\"t\",\"type\":\"datetime\",\"defaultNow\":true}", ""));
	installed(ONE("{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"j\",\"type\":\"json\",\"default\":{\"b\":1,\"a\":[1.50,\"x\"]}},"
		      "{\"name\":\"f\",\"type\":\"float\",\"default\":-0.5},{\"name\":\"y\",\"type\":\"bool\",\"default\":true},"
		      "{\"name\":\"d\",\"type\":\"datetime\",\"default\":\"2026-01-02T03:04:05.678Z\"},"
		      "{\"name\":\"nn\",\"type\":\"numeric\",\"default\":\"1.50\"}",
		""));
	rig_sql("drop table thing");
}

static void rules_01_22_refuses(void **state)
{
	installed(ONE("{\"name\":\"a\",\"type\":\"string\",\"optional\":true},{\"name\":\"p\",\"type\":\"uuid\",\"optional\":true}", ""));
	rig_sql("insert into thing (a, p) values ('x', gen_random_uuid()), ('x', null), (null, null)");
	refused(ONE("{\"name\":\"a\",\"type\":\"int\"}", ""), "never rewritten");
	refused(ONE("{\"name\":\"a\",\"type\":\"string\"}", ""), "holds nulls");
	refused(ONE("{\"name\":\"a\",\"type\":\"string\",\"optional\":true,\"unique\":true}", ""), "equal values");
	refused(ONE("{\"name\":\"a\",\"type\":\"string\",\"optional\":true},{\"name\":\"q\",\"type\":\"string\"}", ""),
		"required and the table has rows");
	refused(ONE("{\"name\":\"p\",\"type\":\"uuid\",\"optional\":true,\"references\":\"Thing\"}", ""), "holds values that no row");
	struct mr_error err;
	assert_null(plan_of(ONE("{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"q\",\"type\":\"string\"}", ""), &err));
	assert_string_equal(err.data, "{\"refused\":[\"Thing.a\",\"Thing.q\"]}");
	rig_sql("create trigger \"00_a\" after insert on thing for each row execute function millrace.capture('x')");
	refused(ONE("{\"name\":\"a\",\"type\":\"string\",\"optional\":true}", ""), "sorts before");
	rig_sql("drop table thing; create table thing (id uuid primary key deferrable)");
	refused(ONE("", ""), "deferrable");
	rig_sql("drop table thing; create table thing (id uuid, a int primary key)");
	refused(ONE("{\"name\":\"a\",\"type\":\"int\"}", ""), "primary key");
	rig_sql("drop table thing; create view thing as select 1 as id");
	refused(ONE("", ""), "not a table");
	rig_sql("drop view thing; create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
		"create table thing (id uuid primary key, a text collate ci)");
	refused(ONE("{\"name\":\"a\",\"type\":\"string\",\"optional\":true}", ""), "nondeterministic");
	rig_sql("drop table thing");
}

#define FIELD(name, more, type) "{\"name\":\"" name "\"," more "\"type\":\"" type "\"}"
#define OPTIONAL                "\"optional\":true,"
#define UNIONS(s, n, f, b, of)                                                                                                             \
	ONE(FIELD("s", OPTIONAL, s) "," FIELD("n", "\"default\":1,", n) "," FIELD("f", OPTIONAL, f) "," FIELD("b", OPTIONAL, b) "," FIELD( \
		    "of", OPTIONAL, of),                                                                                                   \
		"")
#define JSONS  UNIONS("json", "json", "json", "json", "json")
#define VALUES UNIONS("string", "int", "float", "bool", "uuid")

/* What the sentence of a refused plan tells to do. */
static bool does_as_told(const char *manifest)
{
	struct mr_error err;
	char *plan = plan_of(manifest, &err);
	const char *sql = plan ? NULL : strstr(err.message, "alter table");
	if (!plan && !sql)
		fail_msg("it tells nothing to do: %s", err.message);
	free(plan);
	if (!sql)
		return false;
	char *end = strstr(sql, " (and more"), *statement = end ? mr_strndup(sql, (size_t)(end - sql)) : mr_strdup(sql);
	rig_sql(statement);
	free(statement);
	return true;
}

/* Unions that were JSON before they were columns of a type of their own. */
static void json_becomes_what_it_holds(void **state)
{
	installed(JSONS);
	rig_sql("insert into thing (s, n, f, b, of) values ('\"a\"', '2', '2.5', 'true', "
		"'\"rooms_fade_0190a0000000700080000000000000ab\"'), ('\"b''s\"', default, null, null, "
		"'\"0190a000-0000-7000-8000-0000000000ac\"'), (null, '-3', 'null', 'null', 'null')");
	int told = 0;
	while (does_as_told(VALUES))
		assert_true(++told <= 5);
	assert_int_equal(told, 5);
	installed(VALUES);
	RIG_IS("a 2 2.5 true 0190a000-0000-7000-8000-0000000000ab, b's 1 - - 0190a000-0000-7000-8000-0000000000ac, - -3 - - -",
		"select string_agg(concat_ws(' ', coalesce(s, '-'), n, coalesce(f::text, '-'), coalesce(b::text, '-'), coalesce(of::text, "
		"'-')), ', ' "
		"order by n desc) from thing");
	rig_sql("insert into thing default values");
	RIG_IS("2", "select count(*) from thing where n = 1");
	rig_sql("drop table thing");

	installed(ONE("{\"name\":\"s\",\"type\":\"json\",\"optional\":true}", ""));
	rig_sql("insert into thing (s) values ('\"a\"'), ('5')");
	refused(ONE("{\"name\":\"s\",\"type\":\"string\",\"optional\":true}", ""), "holds other values than JSON's strings");
	refused(ONE("{\"name\":\"s\",\"type\":\"bytes\",\"optional\":true}", ""), "move the values there");
	rig_sql("update thing set s = '\"c\"' where s = '5'");
	assert_true(does_as_told(ONE("{\"name\":\"s\",\"type\":\"string\",\"optional\":true,\"values\":[\"a\",\"b\"]}", "")));
	refused(ONE("{\"name\":\"s\",\"type\":\"string\",\"optional\":true,\"values\":[\"a\",\"b\"]}", ""), "Thing.s");
	RIG_IS("a c", "select string_agg(s, ' ' order by s) from thing");
	rig_sql("drop table thing");
}

#define RULED(rules, checks)                                                                                                               \
	"{\"version\":\"x\",\"entities\":[{\"name\":\"Thing\",\"schema\":\"public\",\"table\":\"thing\",\"fields\":["                      \
	"{\"name\":\"a\",\"type\":\"string\"" rules "},{\"name\":\"n\",\"type\":\"int\",\"optional\":true,\"min\":0,\"max\":9},"           \
	"{\"name\":\"k\",\"type\":\"bytes\",\"optional\":true,\"maxLength\":2}],\"checks\":[" checks                                       \
	"]}],\"policies\":[],\"functions\":[]}"

static void breaks(const char *values)
{
	char sql[300];
	snprintf(sql, sizeof sql,
		"do $$ begin insert into thing (a, n, k) values (%s); raise 'it was taken'; exception when check_violation then null; end "
		"$$",
		values);
	rig_sql(sql);
}

static void checks(void **state)
{
	rig_sql("drop table if exists thing cascade");
	installed(
		RULED(",\"values\":[\"it's\",\"b\"]", "{\"name\":\"b_has_n\",\"where\":{\"$or\":[{\"a\":\"it's\"},{\"n\":{\"$gt\":3}}]}}"));
	rig_sql("insert into thing (a, n, k) values ('it''s', 0, null), ('b', 9, '\\x0102'), ('b', null, null)");
	breaks("'c', 5, null");
	breaks("'it''s', -1, null");
	breaks("'it''s', 10, null");
	breaks("'it''s', 1, '\\x010203'");
	breaks("'b', 3, null");
	/* somebody else's stays; ours is another one, or gone, when it is declared otherwise */
	rig_sql("alter table thing add constraint theirs check (n <> 7)");
	installed(RULED(",\"minLength\":1,\"maxLength\":4", ""));
	rig_sql("insert into thing (a, n) values ('\u00e9\u00e9\u00e9\u00e9', 3)");
	breaks("'12345', 1, null");
	breaks("'', 1, null");
	breaks("'x', 7, null");
	refused(RULED(",\"maxLength\":3", ""), "Thing.a cannot be checked: the table holds rows that break it: char_length(\"a\") <= 3");
	refused(RULED("", "{\"name\":\"small\",\"where\":{\"n\":{\"$lt\":9}}}"), "Thing.small cannot be checked");
}

static void partial_indexes(void **state)
{
	rig_sql("drop table if exists thing cascade");
#define FIELDS "{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"}"
#define OPEN   "{\"name\":\"one\",\"fields\":[\"n\"],\"unique\":true,\"where\":{\"a\":\"open\"}}"
	installed(ONE(FIELDS, OPEN));
	rig_sql("insert into thing (a, n) values ('open', 1), ('done', 1), ('done', 1)");
	rig_sql("do $$ begin insert into thing (a, n) values ('open', 1); raise 'it was taken'; exception when unique_violation then null; "
		"end $$");
	RIG_IS("(a = 'open'::text)", "select pg_get_expr(indpred, indrelid) from pg_index where indexrelid = 'thing_one'::regclass");
	refused(ONE(FIELDS, "{\"name\":\"one\",\"fields\":[\"n\"],\"unique\":true,\"where\":{\"a\":\"done\"}}"), "cannot become unique");
	installed(ONE(FIELDS, "{\"name\":\"one\",\"fields\":[\"n\"],\"where\":{\"a\":\"done\"}}"));
	RIG_IS("f", "select indisunique from pg_index where indexrelid = 'thing_one'::regclass");
	installed(ONE(FIELDS, "{\"name\":\"one\",\"fields\":[\"n\"]}"));
	RIG_IS("t", "select indpred is null from pg_index where indexrelid = 'thing_one'::regclass");
	rig_sql("drop table thing cascade");
}

static void rule_07_adopts_partitions(void **state)
{
	rig_sql("create table thing (id uuid default gen_random_uuid(), a varchar(20) not null, n integer, extra inet,"
		"at timestamptz default current_timestamp, primary key (id, n)) partition by list (n);"
		"create table thing_0 partition of thing for values in (0); create table thing_1 partition of thing for values in (1)");
	installed(ONE("{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"},{\"name\":\"at\",\"type\":\"datetime\","
		      "\"optional\":true,"
		      "\"defaultNow\":true}",
		"{\"name\":\"by_a\",\"fields\":[\"a\"]}"));
	int64_t mark = rig_mark();
	rig_sql("insert into thing (a, n) values ('x', 0); update thing set n = 1; truncate thing_1; insert into thing_0 (a, n) values "
		"('y', 0)");
	RIG_CHANGES(mark, "Thing+ Thing- Thing+ Thing! Thing+");
	/* a new partition gets its TRUNCATE trigger with the next plan */
	rig_sql("create table thing_2 partition of thing for values in (2)");
	installed(ONE("{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"}", ""));
	mark = rig_mark();
	rig_sql("truncate thing_2");
	RIG_CHANGES(mark, "Thing!");
	rig_sql("drop table thing");
}

static void no_superuser(void **state)
{
	rig_sql("create role plain login");
	rig_sql("create database plaindb owner plain");
	struct mr_buf info = {0};
	mr_buf_printf(&info, "%s dbname=plaindb user=plain", rig.conninfo.p);
	struct mr_error err;
	struct mr_buf plan = {0};
	if (!mr_install_plan(info.p, rig.app, &plan, &err) || !mr_install_apply(info.p, mr_buf_view(&plan), 5000, &err) ||
		!mr_install_settings(info.p, 5, 5000, 3, 0, &err) || !mr_log_retain(info.p, &err))
		fail_msg("%s", err.message);
	mr_buf_reset(&plan);
	assert_true(mr_install_plan(info.p, rig.app, &plan, &err));
	assert_int_equal(plan.n, 0);
	mr_buf_fini(&plan);
	mr_buf_fini(&info);
}

/* Every hour's part must stay what it was when its rows were written, and no hour that is kept may share a part with one to be dropped. */
static void settings_keep_hours_in_their_parts(void **state)
{
	struct mr_error err;
	assert_true(mr_install_settings(rig.conninfo.p, 10000, 16777216, 2, 0, &err));
	char *before = rig_value(
		"select string_agg(millrace.part_of(millrace.this_hour() + i)::text, '' order by i) from generate_series(-9, 1) i");
	assert_true(mr_install_settings(rig.conninfo.p, 10000, 16777216, 7, 0, &err));
	RIG_IS(before, "select string_agg(millrace.part_of(millrace.this_hour() + i)::text, '' order by i) from generate_series(-9, 1) i");
	RIG_IS("7", "select value from millrace.setting where key = 'log_retention'");
	/* 200 hours on: the part of each hour goes on by one at most, and what is kept spans a whole period before this hour's */
	RIG_IS("", "select string_agg(i::text, ' ') from generate_series(2, 200) i, millrace.this_hour() t "
		   "where (millrace.part_of(t + i) - millrace.part_of(t + i - 1) + 4) %% 4 > 1 or millrace.kept_from(t + i) > t + i - 2 "
		   "or (millrace.part_of(t + i) - millrace.part_of(millrace.kept_from(t + i)) + 4) %% 4 <> 1");
	RIG_IS("t", "select millrace.kept_from(t + 200) <= t + 200 - 7 from millrace.this_hour() t");
	/* back again before it began, and the same settings twice */
	assert_true(mr_install_settings(rig.conninfo.p, 10000, 16777216, 2, 0, &err));
	assert_true(mr_install_settings(rig.conninfo.p, 10000, 16777216, 2, 0, &err));
	RIG_IS(before, "select string_agg(millrace.part_of(millrace.this_hour() + i)::text, '' order by i) from generate_series(-9, 1) i");
	free(before);
}

/* What differs of version 2, which counted days: its log stays, row by row in its part. */
static void upgrade_from_days(void **state)
{
	struct mr_error err;
	struct mr_buf plan = {0}, info = {0};
	rig_sql("create database olddb template template0");
	mr_buf_printf(&info, "%s dbname=olddb", rig.conninfo.p);
	PGconn *old = mr_sync_open(info.p, &err);
	assert_non_null(old);
	assert_true(mr_sync_run(old, &err, mr_sql_millrace));
	assert_true(mr_sync_run(old, &err,
		"drop function millrace.this_hour, millrace.part_of, millrace.kept_from, millrace.set_period, millrace.retain, "
		"millrace.refuse_ahead; drop index millrace.change_log_hour; alter table millrace.change_log rename hour to day; "
		"update millrace.setting set value = '2' where key in ('version', 'log_retention'); "
		"update millrace.setting set value = '4 1 2 0 3 3' where key = 'era'; "
		"create function millrace.today() returns integer language sql return floor(extract(epoch from clock_timestamp()) / "
		"86400); "
		"create function millrace.part_of(day integer) returns smallint language sql return "
		"(case when day >= 4 then 1 + (day - 4) / 2 else 3 + (day - 0) / 3 end % 4)::int2; "
		"create function millrace.kept_from(today integer) returns integer language sql return today; "
		"create function millrace.set_period(era_day integer, era_part integer, era_period integer, past_day integer, past_part "
		"integer, "
		"past_period integer) returns void language sql return null; "
		"create function millrace.retain() returns boolean language sql return false; "
		"insert into millrace.change_log (part, day, session, call) "
		"select millrace.part_of(d), d, 's', d || '.1' from generate_series(millrace.today() - 5, millrace.today() + 1) d"));
	if (!mr_install_plan(info.p, rig.app, &plan, &err) || !mr_install_apply(info.p, mr_buf_view(&plan), 5000, &err) ||
		!mr_install_settings(info.p, 5, 5000, 48, 0, &err))
		fail_msg("%s", err.message);
	bool same = false;
	assert_true(mr_sync_asks(old, &err,
		"select count(*) = 7 and bool_and(part = millrace.part_of(hour) and part = millrace.part_of(hour + 23)) and "
		"bool_and(call = hour / 24 || '.1') from millrace.change_log",
		&same));
	assert_true(same);
	assert_true(mr_sync_asks(old, &err, "select value = '96 1 48 0 3 72' from millrace.setting where key = 'era'", &same));
	assert_true(same);
	mr_buf_reset(&plan);
	assert_true(mr_install_plan(info.p, rig.app, &plan, &err));
	assert_int_equal(plan.n, 0);
	PQfinish(old);
	mr_buf_fini(&plan);
	mr_buf_fini(&info);
}

/* What differs of version 4: nobody was known to be lost. */
static void upgrade_from_4(void **state)
{
	rig_install(rig.app);
	rig_sql("alter table millrace.worker drop column lost; drop function millrace.lose_workers(uuid[]); "
		"update millrace.setting set value = '4' where key = 'version'; "
		"insert into millrace.worker values ('00000000-0000-4000-8000-000000000001', now() + interval '1 hour')");
	rig_install(rig.app);
	RIG_IS("5", "select value from millrace.setting where key = 'version'");
	RIG_IS("false true", "select lost || ' ' || (until > now()) from millrace.worker");
	/* whoever is known to be dead is not trusted again, whatever he still asked for */
	rig_sql("select millrace.lose_workers('{00000000-0000-4000-8000-000000000001,00000000-0000-4000-8000-000000000002}'); "
		"select millrace.job_beat('00000000-0000-4000-8000-000000000001', interval '1 hour'), "
		"millrace.job_beat('00000000-0000-4000-8000-000000000002', interval '1 hour')");
	RIG_IS("2", "select count(*) from millrace.worker where lost and until <= clock_timestamp()");
	rig_sql("truncate millrace.worker");
}

static void waits(const char *why)
{
	struct mr_error err;
	assert_false(mr_log_retain(rig.conninfo.p, &err));
	assert_int_equal(err.code, MR_CONFLICT);
	assert_non_null(strstr(err.message, why));
}

static void rule_08_retention(void **state)
{
	struct mr_error err;
	rig_sql("truncate millrace.change_log");
	rig_sql("insert into millrace.change_log (part, hour, changes) select millrace.part_of(d), d, '[]' from millrace.this_hour() t, "
		"generate_series(millrace.kept_from(t) - 1, t) d");
	char *all = rig_value("select count(*) from millrace.change_log");
	/* somebody's old snapshot needs it */
	PGconn *other = mr_sync_open(rig.conninfo.p, &err);
	PGconn *newer = mr_sync_open(rig.conninfo.p, &err);
	rig_sql("begin");
	rig_sql("insert into millrace.change_log (part, hour, changes) select millrace.part_of(kept - 1), kept - 1, '[]' from "
		"millrace.this_hour() t, "
		"millrace.kept_from(t) kept");
	assert_true(mr_sync_run(other, &err, "begin isolation level repeatable read; select 1 from pg_class"));
	rig_sql("commit");
	waits("snapshot");
	RIG_IS("1", "select count(*) - %s from millrace.change_log", all);
	assert_true(mr_sync_run(other, &err, "rollback"));
	/* somebody stands in it: told to come again */
	assert_true(mr_sync_run(newer, &err, "begin; lock table millrace.change_log in access share mode"));
	waits("reads");
	RIG_IS("1", "select count(*) - %s from millrace.change_log", all);
	assert_true(mr_sync_run(newer, &err, "rollback"));
	char *last = rig_value("select max(seq) from millrace.change_log where hour < millrace.kept_from(millrace.this_hour())");
	assert_true(mr_log_retain(rig.conninfo.p, &err));
	RIG_IS("0", "select count(*) from millrace.change_log where hour < millrace.kept_from(millrace.this_hour())");
	RIG_IS("-1", "select count(*) - %s from millrace.change_log", all);
	RIG_IS(last, "select seq from millrace.log_floor");
	free(all);
	free(last);
	PQfinish(other);
	PQfinish(newer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fresh),
		cmocka_unit_test(adds),
		cmocka_unit_test(rules_01_22_refuses),
		cmocka_unit_test(json_becomes_what_it_holds),
		cmocka_unit_test(checks),
		cmocka_unit_test(partial_indexes),
		cmocka_unit_test(rule_07_adopts_partitions),
		cmocka_unit_test(no_superuser),
		cmocka_unit_test(settings_keep_hours_in_their_parts),
		cmocka_unit_test(upgrade_from_days),
		cmocka_unit_test(upgrade_from_4),
		cmocka_unit_test(rule_08_retention),
	};
	return cmocka_run_group_tests(tests, rig_start_bare, rig_stop);
}
