/* Connections and pool against a real Postgres: order, errors, deaths, cancelling, prepared statements. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/ground/log.h"
#include "storage/pg_private.h"
#include "tests/lib/postgres.h"

static struct mr_test_pg server;
static struct mr_loop *loop;
static PGconn *admin;

/* What a connection's owner was told. */
struct owner {
	int ready, dead;
	struct mr_error err;
};

/* What a statement's asker was told. */
struct answer {
	int calls, order;
	bool ok;
	char sqlstate[8], value[64];
	struct mr_error err;
};
static int answers;

static void on_state(struct mr_pg *pg, enum mr_pg_state state, const struct mr_error *err, void *arg)
{
	struct owner *o = arg;
	o->ready += state == MR_PG_READY;
	o->dead += state == MR_PG_DEAD;
	if (err)
		o->err = *err;
}

static void on_answer(const struct mr_pg_result *r, void *arg)
{
	struct answer *a = arg;
	a->calls++;
	a->order = ++answers;
	a->ok = mr_pg_ok(r);
	snprintf(a->sqlstate, sizeof(a->sqlstate), "%s", mr_pg_sqlstate(r));
	if (!a->ok)
		mr_pg_error(r, &a->err);
	else if (mr_pg_rows(r) && mr_pg_columns(r))
		snprintf(a->value, sizeof(a->value), "%s", mr_pg_value(r, 0, 0).p ? mr_pg_value(r, 0, 0).p : "(null)");
}

static void until_fn(bool (*done)(void *), void *arg, const char *what)
{
	for (int64_t end = mr_mono_us() + 20000000; !done(arg);) {
		if (mr_mono_us() > end)
			fail_msg("waited in vain until %s", what);
		mr_loop_turn(loop, 100);
	}
}

static bool positive(void *arg)
{
	return *(int *)arg > 0;
}
#define UNTIL(counter) until_fn(positive, &(counter), #counter)

static bool idle(void *arg)
{
	return mr_pg_idle(arg);
}

static struct mr_pg *open_pg(struct owner *o)
{
	*o = (struct owner){0};
	struct mr_pg *pg = mr_pg_open(loop, server.conninfo, "test", on_state, o);
	assert_int_equal(o->ready + o->dead, 0);
	UNTIL(o->ready);
	return pg;
}

static void ask(struct mr_pg *pg, struct answer *a, const char *sql)
{
	*a = (struct answer){0};
	mr_pg_query(pg, 0, sql, 0, NULL, on_answer, a);
}

static void ask_now(struct mr_pg *pg, struct answer *a, const char *sql)
{
	ask(pg, a, sql);
	mr_pg_sync(pg);
	UNTIL(a->calls);
	assert_int_equal(a->calls, 1);
}

static void order_and_parameters(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a[6] = {0};
	struct mr_str params[2] = {MR_STR("it's"), {NULL, 0}}, nul = {"a\0b", 3}, empty = MR_STR("");
	for (int i = 0; i < 2; i++)
		mr_pg_query(pg, 0, "select $1::text, $2::text", 2, params, on_answer, &a[i]);
	mr_pg_query(pg, MR_PG_ONCE, "select $2::text is null and $1 <> ''", 2, params, on_answer, &a[2]);
	mr_pg_query(pg, 0, "select '[' || $1::text || ']'", 1, &empty, on_answer, &a[3]);
	mr_pg_query(pg, 0, "select 1", 0, NULL, NULL, NULL);
	mr_pg_sync(pg);
	mr_pg_query(pg, 0, "select $1::text", 1, &nul, on_answer, &a[4]);
	mr_pg_sync(pg);
	assert_int_equal(mr_pg_outstanding(pg), 6);
	UNTIL(a[4].calls);
	assert_int_equal(mr_pg_outstanding(pg), 0);
	assert_string_equal(a[0].value, "it's");
	assert_string_equal(a[1].value, "it's");
	assert_string_equal(a[2].value, "t");
	assert_string_equal(a[3].value, "[]");
	assert_int_equal(a[4].err.code, MR_BAD_VALUE);
	for (int i = 1; i < 5; i++)
		assert_true(a[i].order > a[i - 1].order);
	ask_now(pg, &a[0],
		"select current_setting('TimeZone') || current_setting('DateStyle') || current_setting('IntervalStyle')"
		" || current_setting('extra_float_digits') || current_setting('bytea_output')");
	assert_string_equal(a[0].value, "UTCISO, MDYiso_86011hex");
	/* A schema that is named as the role takes nobody's place. */
	mr_test_exec(admin, "create schema if not exists authorization current_user");
	ask_now(pg, &a[0], "select array_to_string(current_schemas(false), ' ')");
	assert_string_equal(a[0].value, "public");
	mr_test_exec(admin, "drop schema \"%s\"", mr_test_ask(admin, "select current_user"));
	assert_int_equal(mr_test_ask_int(admin, "select count(*) from pg_stat_activity where application_name = 'millrace test'"), 1);
	struct mr_str *many = mr_alloc(70000 * sizeof(*many));
	a[5] = (struct answer){0};
	mr_pg_query(pg, 0, "select 1", 70000, many, on_answer, &a[5]);
	mr_pg_sync(pg);
	UNTIL(a[5].calls);
	assert_int_equal(a[5].err.code, MR_SQL_ERROR);
	free(many);
	until_fn(idle, pg, "idle");
	mr_pg_delete(&pg);
	assert_null(pg);
}

static void large_values(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a = {0};
	char *text = mr_alloc(30 << 20);
	memset(text, 'x', 30 << 20);
	struct mr_str param = {text, 30 << 20};
	mr_pg_query(pg, 0, "select length($1::text) || repeat('y', 20)", 1, &param, on_answer, &a);
	mr_pg_sync(pg);
	UNTIL(a.calls);
	assert_string_equal(a.value, "31457280yyyyyyyyyyyyyyyyyyyy");
	a = (struct answer){0};
	mr_pg_query(pg, 0, "select $1::text", 1, &param, on_answer, &a);
	mr_pg_sync(pg);
	UNTIL(a.calls);
	assert_true(a.ok);
	free(text);
	mr_pg_delete(&pg);
}

static void failures_in_a_pipeline(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a[8];
	for (int round = 0; round < 3; round++) {
		ask(pg, &a[0], "begin");
		ask(pg, &a[1], "select 1/0");
		ask(pg, &a[2], "select 'first prepared here'");
		ask(pg, &a[3], "nonsense");
		mr_pg_sync(pg);
		ask(pg, &a[4], "select 'first prepared here'");
		mr_pg_sync(pg);
		ask(pg, &a[5], "rollback");
		ask(pg, &a[6], "select 'first prepared here'");
		mr_pg_sync(pg);
		ask(pg, &a[7], "nonsense");
		mr_pg_sync(pg);
		UNTIL(a[7].calls);
		assert_true(a[0].ok);
		assert_string_equal(a[1].sqlstate, "22012");
		assert_int_equal(a[1].err.code, MR_BAD_VALUE);
		assert_string_equal(a[2].sqlstate, "PIPEL");
		assert_string_equal(a[3].sqlstate, "PIPEL");
		assert_string_equal(a[4].sqlstate, "25P02");
		assert_true(a[5].ok);
		assert_string_equal(a[6].value, "first prepared here");
		assert_string_equal(a[7].sqlstate, "42601");
		assert_string_equal(a[7].err.message, "syntax error at or near \"nonsense\"");
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(a[i].calls, 1);
	mr_pg_delete(&pg);
}

static void flush_goes_on(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a[3];
	ask(pg, &a[0], "begin");
	ask(pg, &a[1], "select 'half'");
	mr_pg_flush(pg);
	UNTIL(a[1].calls);
	assert_string_equal(a[1].value, "half");
	assert_false(mr_pg_idle(pg));
	ask_now(pg, &a[2], "commit");
	until_fn(idle, pg, "idle");
	mr_pg_delete(&pg);
}

static const struct {
	const char *state;
	enum mr_code code;
} codes[] = {{"40001", MR_CONFLICT}, {"40P01", MR_CONFLICT}, {"23505", MR_UNIQUE_VIOLATION}, {"23503", MR_REFERENCE_VIOLATION},
	{"23502", MR_CHECK_VIOLATION}, {"23514", MR_CHECK_VIOLATION}, {"23P01", MR_CHECK_VIOLATION}, {"53100", MR_DISK_FULL},
	{"53300", MR_POSTGRES_UNAVAILABLE}, {"57014", MR_TIME_LIMIT}, {"57P01", MR_POSTGRES_UNAVAILABLE},
	{"08006", MR_POSTGRES_UNAVAILABLE}, {"42P01", MR_SQL_ERROR}, {"22P02", MR_BAD_VALUE}, {"P0001", MR_SQL_ERROR},
	{"XX000", MR_INTERNAL}, {"MR001", MR_SQL_ERROR}};

static void rule_27_states_become_codes(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	for (size_t i = 0; i < MR_COUNT(codes); i++) {
		struct answer a = {0};
		char sql[200];
		snprintf(sql, sizeof(sql),
			"do $$ begin raise exception 'said\n openly' using errcode = '%s', detail = 'hidden', hint = 'hidden too'; end $$",
			codes[i].state);
		ask_now(pg, &a, sql);
		assert_string_equal(a.sqlstate, codes[i].state);
		assert_int_equal(a.err.code, codes[i].code);
		assert_string_equal(a.err.message, "said  openly");
		assert_string_equal(a.err.data, "");
	}
	mr_pg_delete(&pg);
}

static void death_answers_all_once(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a[5];
	ask(pg, &a[0], "select pg_terminate_backend(pg_backend_pid())");
	ask(pg, &a[1], "select 2");
	mr_pg_sync(pg);
	ask(pg, &a[2], "select 3");
	mr_pg_sync(pg);
	ask(pg, &a[3], "select 4"); /* never sent */
	UNTIL(o.dead);
	assert_int_equal(mr_pg_state(pg), MR_PG_DEAD);
	ask(pg, &a[4], "select 5");
	assert_int_equal(a[4].calls, 0);
	mr_pg_sync(pg);
	mr_pg_flush(pg);
	mr_pg_cancel(pg);
	UNTIL(a[4].calls);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_false(a[i].ok);
		/* The second is skipped, or lost like the others when libpq has found the end by then. */
		if (i != 1 || a[i].err.code != MR_INTERNAL)
			assert_int_equal(a[i].err.code, MR_POSTGRES_UNAVAILABLE);
		if (i)
			assert_true(a[i].order > a[i - 1].order);
	}
	assert_string_equal(a[0].sqlstate, "57P01");
	assert_string_equal(a[2].sqlstate, "08000");
	assert_int_equal(o.dead, 1);
	mr_pg_delete(&pg);
}

static void idle_death_is_told(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	mr_test_exec(admin, "select pg_terminate_backend(%d)", mr_pg_backend_pid(pg));
	UNTIL(o.dead);
	assert_int_equal(o.err.code, MR_POSTGRES_UNAVAILABLE);
	mr_pg_delete(&pg);
}

static void delete_in_callback(const struct mr_pg_result *r, void *arg)
{
	answers++;
	mr_pg_delete(arg);
}

static void deleted_in_a_callback(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a;
	int before = answers;
	mr_pg_query(pg, 0, "select 1", 0, NULL, delete_in_callback, &pg);
	ask(pg, &a, "select 2");
	mr_pg_sync(pg);
	until_fn(positive, &answers, "answered");
	while (answers == before)
		mr_loop_turn(loop, 100);
	mr_loop_turn(loop, 0);
	assert_null(pg);
	assert_int_equal(a.calls, 0);
	/* and while the dead are answered */
	pg = open_pg(&o);
	mr_pg_query(pg, 0, "select pg_terminate_backend(pg_backend_pid())", 0, NULL, NULL, NULL);
	mr_pg_sync(pg);
	mr_pg_query(pg, 0, "select 1", 0, NULL, delete_in_callback, &pg);
	ask(pg, &a, "select 2");
	mr_pg_sync(pg);
	while (pg)
		mr_loop_turn(loop, 100);
	mr_loop_turn(loop, 0);
	assert_int_equal(a.calls + o.dead, 0);
}

static void rule_12_refused_connections(void **state)
{
	char read_only[400], wrong[400];
	snprintf(wrong, sizeof(wrong), "%s dbname=nowhere", server.conninfo);
	snprintf(read_only, sizeof(read_only), "%s options='-c default_transaction_read_only=on'", server.conninfo);
	const char *infos[] = {"nonsense", "host=/nowhere", "host=127.0.0.1 port=1", "postgresql://%", wrong, read_only, "port=99999999"};
	for (size_t i = 0; i < MR_COUNT(infos); i++) {
		struct owner o = {0};
		struct mr_pg *pg = mr_pg_open(loop, infos[i], "test", on_state, &o);
		assert_int_equal(o.ready + o.dead, 0);
		UNTIL(o.dead);
		assert_int_equal(o.err.code, MR_POSTGRES_UNAVAILABLE);
		assert_null(strchr(o.err.message, '\n'));
		mr_pg_delete(&pg);
		pg = mr_pg_open(loop, infos[i], "test", on_state, &o);
		mr_pg_delete(&pg); /* before anything was told */
	}
	mr_loop_turn(loop, 0);
}

static void cancelling(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a, b;
	ask(pg, &a, "select pg_sleep(60)");
	mr_pg_sync(pg);
	mr_loop_turn(loop, 20);
	mr_pg_cancel(pg);
	UNTIL(a.calls);
	assert_int_equal(a.err.code, MR_TIME_LIMIT);
	/* One that is late hits nothing. */
	ask(pg, &a, "select 1");
	mr_pg_sync(pg);
	mr_pg_cancel(pg);
	UNTIL(a.calls);
	ask_now(pg, &b, "select pg_sleep(0.3)");
	assert_true(a.ok && b.ok);
	/* The target may go away meanwhile. */
	ask(pg, &a, "select pg_sleep(0.2)");
	mr_pg_sync(pg);
	mr_pg_cancel(pg);
	mr_pg_delete(&pg);
	for (int i = 0; i < 20; i++)
		mr_loop_turn(loop, 20);
}

/* Who is given rows as they arrive, and how many he wants. */
struct reader {
	struct answer end; /* first: as on_answer wants it */
	int64_t rows, sum, wanted;
	int columns;
};

static bool on_row(const struct mr_pg_result *r, void *arg)
{
	struct reader *reader = arg;
	assert_int_equal(mr_pg_rows(r), 1);
	assert_int_equal(reader->end.calls, 0);
	assert_true(reader->rows < reader->wanted); /* who wants no more gets no more */
	reader->sum += mr_pg_int(r, 0, 0);
	return ++reader->rows < reader->wanted;
}

static void on_end(const struct mr_pg_result *r, void *arg)
{
	struct reader *reader = arg;
	assert_int_equal(mr_pg_rows(r), 0);
	reader->columns = mr_pg_columns(r);
	on_answer(r, arg);
}

static void read_rows(struct mr_pg *pg, struct reader *reader, int64_t wanted, const char *sql)
{
	*reader = (struct reader){.wanted = wanted};
	mr_pg_stream(pg, 0, sql, 0, NULL, on_row, on_end, reader);
}

static void rows_as_they_arrive(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a[2];
	struct reader r[4];
	for (int i = 0; i < 2; i++) { /* prepared, and then used again */
		ask(pg, &a[0], "select 1");
		read_rows(pg, &r[0], 1000000, "select i, repeat('x', i % 100) from generate_series(1, 50000) i");
		read_rows(pg, &r[1], 1000000, "select 1, 2, 3 where false");
		ask(pg, &a[1], "select 2");
		mr_pg_flush(pg);
		UNTIL(r[0].end.calls);
		read_rows(pg, &r[2], 1000000, "select 100 / (20000 - i) from generate_series(1, 50000) i");
		read_rows(pg, &r[3], 1000000, "select 1");
		mr_pg_sync(pg);
		UNTIL(r[3].end.calls);
		assert_true(a[0].ok && a[1].ok && r[0].end.ok && r[1].end.ok);
		assert_true(a[0].order < r[0].end.order && r[0].end.order < r[1].end.order && r[1].end.order < a[1].order);
		assert_int_equal(r[0].rows, 50000);
		assert_int_equal(r[0].sum, 50000ll * 50001 / 2);
		assert_int_equal(r[0].columns, 2);
		assert_int_equal(r[1].rows, 0);
		assert_int_equal(r[1].columns, 3);
		assert_int_equal(r[2].rows, 19999); /* an error in the midst of them */
		assert_string_equal(r[2].end.sqlstate, "22012");
		assert_string_equal(r[3].end.sqlstate, "PIPEL");
		assert_int_equal(r[3].rows, 0);
	}
	mr_pg_delete(&pg);
}

static int64_t resident(void)
{
	long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*s %lld", &pages), 1);
	fclose(f);
	return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static void rows_that_nobody_wants(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer next;
	struct reader r;
	/* A few are read to their end; so many are cancelled, and nothing behind them is. */
	read_rows(pg, &r, 2, "select i from generate_series(1, 100) i");
	mr_pg_sync(pg);
	UNTIL(r.end.calls);
	assert_true(r.end.ok && r.rows == 2);
	int64_t before = resident();
	for (int i = 0; i < 3; i++) {
		read_rows(pg, &r, 5, "select generate_series(1, 100000000), repeat('x', 1000)"); /* 100 GB */
		mr_pg_sync(pg);
		ask(pg, &next, "select pg_sleep(0.05)");
		mr_pg_sync(pg);
		UNTIL(next.calls);
		assert_string_equal(r.end.sqlstate, "57014");
		assert_int_equal(r.rows, 5);
		assert_true(next.ok && next.order == r.end.order + 1);
	}
	assert_true(resident() - before < 32 << 20);
	/* Its end is there before the cancel has begun. */
	read_rows(pg, &r, 1, "select i, repeat('x', 1000) from generate_series(1, 400) i");
	ask(pg, &next, "select 1");
	mr_pg_sync(pg);
	UNTIL(next.calls);
	assert_true(r.end.calls == 1 && r.rows == 1);
	/* The connection dies, or goes, while it is cancelled. */
	read_rows(pg, &r, 1, "select generate_series(1, 100000000), repeat('x', 1000)");
	mr_pg_sync(pg);
	while (!r.rows)
		mr_loop_turn(loop, 100);
	mr_test_exec(admin, "select pg_terminate_backend(%d)", mr_pg_backend_pid(pg));
	UNTIL(o.dead);
	assert_int_equal(r.end.calls, 1);
	assert_false(r.end.ok);
	mr_pg_delete(&pg);
	pg = open_pg(&o);
	read_rows(pg, &r, 1, "select generate_series(1, 100000000), repeat('x', 1000)");
	mr_pg_sync(pg);
	for (int i = 0; !r.rows || i < 20; i++)
		mr_loop_turn(loop, 1);
	mr_pg_delete(&pg);
	for (int i = 0; i < 20; i++)
		mr_loop_turn(loop, 20);
	assert_int_equal(r.end.calls, 0);
}

static void tables_that_change(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a, b;
	mr_test_exec(admin, "create table changing (x int); insert into changing values (1)");
	ask_now(pg, &a, "select * from changing");
	assert_true(a.ok);
	mr_test_exec(admin, "alter table changing alter x type text");
	ask_now(pg, &a, "select * from changing");
	ask_now(pg, &b, "select * from changing");
	assert_true(b.ok); /* the first may say that the plan no longer fits */
	mr_pg_delete(&pg);
}

static void many_texts(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a;
	for (int i = 0; i < 2000; i++) {
		char sql[64];
		snprintf(sql, sizeof(sql), "select %d", i);
		mr_pg_query(pg, 0, i % 500 ? sql : "begin isolation level serializable", 0, NULL, NULL, NULL);
		if (i % 500 != 499)
			continue;
		ask_now(pg, &a, "select current_setting('transaction_isolation')");
		assert_string_equal(a.value, "serializable");
		ask_now(pg, &a, "commit");
		mr_loop_turn(loop, 20);
	}
	ask_now(pg, &a, "select count(*) from pg_prepared_statements");
	assert_true(atoi(a.value) > 0 && atoi(a.value) <= 801);
	mr_pg_delete(&pg);
}

static void copy_is_refused(void **state)
{
	struct owner o;
	struct mr_pg *pg = open_pg(&o);
	struct answer a;
	ask(pg, &a, "copy (select 1) to stdout");
	mr_pg_sync(pg);
	UNTIL(o.dead);
	assert_int_equal(a.calls, 1);
	mr_pg_delete(&pg);
}

/* ---- pool ---- */

struct lease {
	int calls, order;
	struct mr_pg *pg;
	struct mr_error err;
};

static void on_lease(struct mr_pg *pg, const struct mr_error *err, void *arg)
{
	struct lease *l = arg;
	l->calls++;
	l->order = ++answers;
	l->pg = pg;
	if (err)
		l->err = *err;
}

static void pool_lends_in_order(void **state)
{
	struct mr_pool *pool = mr_pool_new(loop, server.conninfo, "pool", 3);
	struct lease l[8] = {0};
	for (int i = 0; i < 8; i++)
		mr_pool_lease(pool, 10000000, on_lease, &l[i]);
	UNTIL(l[2].calls);
	assert_int_equal(l[3].calls, 0);
	for (int i = 0; i < 8; i++) {
		UNTIL(l[i].calls);
		assert_non_null(l[i].pg);
		assert_int_equal(mr_pg_state(l[i].pg), MR_PG_READY);
		mr_pool_return(pool, l[i].pg);
		if (i)
			assert_true(l[i].order > l[i - 1].order);
	}
	assert_true(mr_test_ask_int(admin, "select count(*) from pg_stat_activity where application_name = 'millrace pool'") <= 3);
	struct lease now = {0};
	mr_pool_lease(pool, 0, on_lease, &now);
	assert_int_equal(now.calls, 1);
	mr_pool_return(pool, now.pg);
	mr_pool_delete(&pool);
}

static struct mr_pool *small_pool;

static void return_at_once(const struct mr_pg_result *r, void *arg)
{
	struct lease *l = arg;
	l->order = mr_pg_ok(r);
	mr_pool_return(small_pool, l->pg);
}

/* Returned from the very callback that says that the transaction ended, before the end of the pipeline. */
static void pool_takes_back_at_the_last_answer(void **state)
{
	small_pool = mr_pool_new(loop, server.conninfo, "pool", 1);
	int pid = 0;
	for (int i = 0; i < 20; i++) {
		struct lease l = {0};
		mr_pool_lease(small_pool, 10000000, on_lease, &l);
		UNTIL(l.calls);
		assert_true(!pid || mr_pg_backend_pid(l.pg) == pid);
		pid = mr_pg_backend_pid(l.pg);
		mr_pg_query(l.pg, 0, "begin", 0, NULL, NULL, NULL);
		l.order = 0;
		mr_pg_query(l.pg, 0, "commit", 0, NULL, return_at_once, &l);
		mr_pg_sync(l.pg);
		UNTIL(l.order);
	}
	mr_pool_delete(&small_pool);
}

/* Until a cancel of pg's statement is sent to a backend that is stopped, and so does not get it; that backend. Each of its answers is
 * awaited before it is stopped, so that it is told what comes next while it is. */
static int hold_cancel(const struct mr_pg *pg)
{
	for (int i = 0; i < 200; i++) {
		usleep(5000);
		int pid = (int)mr_test_ask_int(
			admin, "select coalesce(max(pid), 0) from pg_stat_activity where application_name = 'millrace cancel'");
		if (pid)
			kill(pid, SIGSTOP);
		mr_loop_turn(loop, 0);
		if (pg->cancels)
			return pid;
		if (pid)
			kill(pid, SIGCONT);
	}
	fail_msg("no cancel was sent");
	return 0;
}

/* Postgres cancels whatever a backend does when it is told to. */
static void rule_10_pool_keeps_what_a_cancel_may_hit(void **state)
{
	struct mr_pool *pool = mr_pool_new(loop, server.conninfo, "pool", 1);
	struct lease a = {0}, b = {0};
	struct answer first, second;
	mr_pool_lease(pool, 10000000, on_lease, &a);
	UNTIL(a.calls);
	int pid = mr_pg_backend_pid(a.pg);
	ask(a.pg, &first, "select pg_sleep(1)");
	mr_pg_sync(a.pg);
	mr_pg_cancel(a.pg);
	int canceller = hold_cancel(a.pg);
	UNTIL(first.calls);
	assert_true(first.ok); /* it came to its end before */
	mr_pool_return(pool, a.pg);
	mr_pool_lease(pool, 10000000, on_lease, &b);
	for (int i = 0; i < 5; i++)
		mr_loop_turn(loop, 20);
	assert_int_equal(b.calls, 0);
	kill(canceller, SIGCONT);
	UNTIL(b.calls);
	assert_int_equal(mr_pg_backend_pid(b.pg), pid);
	ask_now(b.pg, &second, "select pg_sleep(0.2)");
	assert_true(second.ok);
	mr_pool_return(pool, b.pg);
	mr_pool_delete(&pool);
}

static void pool_waits_in_vain(void **state)
{
	struct mr_pool *pool = mr_pool_new(loop, server.conninfo, "pool", 1);
	struct lease a = {0}, b = {0}, c = {0};
	mr_pool_lease(pool, 10000000, on_lease, &a);
	mr_pool_lease(pool, 50000, on_lease, &b);
	mr_pool_lease(pool, 10000000, on_lease, &c);
	UNTIL(b.calls);
	assert_null(b.pg);
	assert_int_equal(b.err.code, MR_POSTGRES_UNAVAILABLE);
	mr_pool_delete(&pool); /* one is lent, one waits */
	assert_null(c.pg);
	assert_int_equal(c.err.code, MR_SHUTTING_DOWN);
	pool = mr_pool_new(loop, "host=/nowhere", "pool", 2);
	struct lease d = {0};
	mr_pool_lease(pool, 300000, on_lease, &d);
	UNTIL(d.calls);
	assert_null(d.pg);
	assert_non_null(strstr(d.err.message, "/nowhere"));
	mr_pool_delete(&pool);
}

static void pool_replaces_the_bad(void **state)
{
	struct mr_pool *pool = mr_pool_new(loop, server.conninfo, "pool", 1);
	struct lease a = {0}, b = {0}, c = {0};
	struct answer begun;
	mr_pool_lease(pool, 10000000, on_lease, &a);
	UNTIL(a.calls);
	int first = mr_pg_backend_pid(a.pg);
	ask_now(a.pg, &begun, "begin");
	mr_pool_return(pool, a.pg); /* in a transaction: closed */
	mr_pool_lease(pool, 10000000, on_lease, &b);
	UNTIL(b.calls);
	assert_int_not_equal(mr_pg_backend_pid(b.pg), first);
	mr_test_pg_stop(&server, SIGQUIT);
	struct answer lost;
	ask_now(b.pg, &lost, "select 1");
	assert_false(lost.ok);
	mr_pool_return(pool, b.pg);
	mr_pool_lease(pool, 10000000, on_lease, &c);
	for (int i = 0; i < 5; i++)
		mr_loop_turn(loop, 50);
	mr_test_pg_start(&server);
	PQreset(admin);
	UNTIL(c.calls);
	assert_non_null(c.pg);
	ask_now(c.pg, &lost, "select 'again'");
	assert_string_equal(lost.value, "again");
	/* Lent and dead, returned before its death is told. */
	mr_test_exec(admin, "select pg_terminate_backend(%d)", mr_pg_backend_pid(c.pg));
	mr_pool_return(pool, c.pg);
	struct lease d = {0};
	mr_pool_lease(pool, 10000000, on_lease, &d);
	UNTIL(d.calls);
	if (mr_pg_state(d.pg) == MR_PG_READY)
		mr_pool_return(pool, d.pg);
	mr_pool_delete(&pool);
}

static int start(void **state)
{
	mr_test_pg_init(&server);
	loop = mr_loop_new();
	admin = mr_test_connect(&server);
	return 0;
}

static int stop(void **state)
{
	mr_loop_turn(loop, 0);
	mr_loop_delete(&loop);
	PQfinish(admin);
	mr_test_pg_fini(&server);
	return 0;
}

int main(void)
{
	mr_log_init("test", MR_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_and_parameters),
		cmocka_unit_test(large_values),
		cmocka_unit_test(failures_in_a_pipeline),
		cmocka_unit_test(flush_goes_on),
		cmocka_unit_test(rule_27_states_become_codes),
		cmocka_unit_test(death_answers_all_once),
		cmocka_unit_test(idle_death_is_told),
		cmocka_unit_test(deleted_in_a_callback),
		cmocka_unit_test(rule_12_refused_connections),
		cmocka_unit_test(cancelling),
		cmocka_unit_test(rows_as_they_arrive),
		cmocka_unit_test(rows_that_nobody_wants),
		cmocka_unit_test(tables_that_change),
		cmocka_unit_test(many_texts),
		cmocka_unit_test(copy_is_refused),
		cmocka_unit_test(pool_lends_in_order),
		cmocka_unit_test(pool_takes_back_at_the_last_answer),
		cmocka_unit_test(rule_10_pool_keeps_what_a_cancel_may_hit),
		cmocka_unit_test(pool_waits_in_vain),
		cmocka_unit_test(pool_replaces_the_bad),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
