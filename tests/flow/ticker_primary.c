/* What ticks hold on to: a primary, its timeline, its row of the log; and what many running transactions cost them. */
#include "ticker_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "proto/ground/log.h"

enum { RUNNING = 1000, TICKS = 10 };

/* Nothing was logged, and yet the next tick is further on. */
static void rule_16_an_empty_tick_returns_its_snapshot(void **state)
{
	struct fan f;
	fan_start(&f);
	tick_once(&f, false);
	for (int i = 0; i < 6; i++) { /* the first tick of each connection, and those after it */
		uint64_t before = f.position.snapshot.xmax;
		mr_test_exec(admin, "select pg_current_xact_id()");
		assert_int_equal(new_rows(&f), 0);
		assert_true(f.position.snapshot.xmax > before);
	}
	assert_int_equal(f.resets, 1);
	fan_stop(&f);
}

static void back_again(void)
{
	while (PQstatus(admin) == CONNECTION_OK) {
		PQclear(PQexec(admin, "select 1"));
		usleep(1000);
	}
	for (PQreset(admin); PQstatus(admin) != CONNECTION_OK; PQreset(admin))
		usleep(10000);
}

/* Kills a backend of Postgres while the position counts a transaction as seen that left no trace; true: its number was given out again. */
static bool kill_one(struct fan *f)
{
	PGconn *a = mr_test_connect(&server), *b = mr_test_connect(&server);
	mr_test_exec(admin, "checkpoint");
	mr_test_exec(a, "begin");
	int64_t lost = mr_test_ask_int(a, "select pg_current_xact_id()");
	mr_test_exec(b, "begin");
	mr_test_exec(b, "select pg_current_xact_id()");
	mr_test_exec(a, "rollback");
	tick_once(f, false);
	assert_true(mr_snapshot_sees(&f->position.snapshot, (uint64_t)lost));
	kill(PQbackendPID(b), SIGKILL);
	back_again();
	bool again = strtoll(mr_test_ask(admin, INSERT " returning xid"), NULL, 10) <= lost;
	assert_int_equal(new_rows(f), 1);
	assert_int_equal(new_rows(f), 0);
	PQfinish(a);
	PQfinish(b);
	return again;
}

/* One killed backend makes Postgres begin anew, and its time of start stays. (Now and then Postgres notes numbers that run by itself.) */
static void rule_11_killed_backend(void **state)
{
	struct fan f;
	fan_start(&f);
	mr_test_exec(admin, INSERT);
	char *started = mr_strdup(mr_test_ask(admin, "select pg_postmaster_start_time()"));
	int times = 0;
	while (!kill_one(&f))
		assert_true(++times < 8);
	assert_string_equal(mr_test_ask(admin, "select pg_postmaster_start_time()"), started);
	assert_int_equal(f.resets, 1);
	free(started);
	fan_stop(&f);
}

static int64_t index_scans(struct fan *f)
{
	let_it_be_reported(f);
	return mr_test_ask_int(admin, "select coalesce(sum(idx_scan), 0) from pg_stat_user_indexes where schemaname = 'millrace'");
}

/* A thousand that were running at the last tick are not looked for one by one; those of them that have finished are found. */
static void rule_20_a_thousand_running(void **state)
{
	struct fan f;
	mr_test_pg_stop(&server, SIGINT);
	server.setting = "max_prepared_transactions=1020";
	mr_test_pg_start(&server);
	PQreset(admin);
	for (int i = 0; i < RUNNING; i++) {
		mr_test_exec(admin, "begin; select pg_current_xact_id()");
		if (i % 100 == 0)
			mr_test_exec(admin, INSERT);
		mr_test_exec(admin, "prepare transaction 'p%d'", i);
	}
	mr_test_exec(admin, INSERT); /* a snapshot reaches up to the last that has ended */
	fan_start(&f);
	tick_once(&f, false);
	assert_true(f.position.snapshot.n >= RUNNING);
	int64_t before = index_scans(&f);
	for (int i = 0; i < TICKS; i++) {
		mr_test_exec(admin, INSERT);
		assert_int_equal(new_rows(&f), 1);
	}
	int64_t scans = index_scans(&f) - before;
	if (scans < TICKS || scans > 50LL * TICKS)
		fail_msg("%lld index scans in %d ticks", (long long)scans, TICKS);
	size_t had = f.n;
	for (int i = 0; i < RUNNING; i++)
		mr_test_exec(admin, "%s prepared 'p%d'", i % 200 ? "commit" : "rollback", i);
	tick_once(&f, false);
	assert_int_equal(f.n - had, RUNNING / 100 / 2); /* every other one of those that wrote */
	assert_int_equal(f.wrong, 0);
	fan_stop(&f);
	empty_log();
}

/* A standby's snapshot lists nobody who runs: it would show as seen what is not there. So no tick is taken of it; and what it has become
 * when it is promoted is another history, though it has the row that the position names. */
static void rules_11_12_standby_and_promotion(void **state)
{
	struct fan f, of_standby;
	struct mr_test_pg standby;
	char both[600];
	mr_test_pg_standby(&standby, &server);
	snprintf(both, sizeof(both), "host=%s,%s user=postgres dbname=postgres", server.dir, standby.dir);
	fan_start_at(&f, both);
	mr_test_exec(admin, INSERT);
	tick_once(&f, false);
	PGconn *runs = mr_test_connect(&server), *there = mr_test_connect(&standby);
	mr_test_exec(runs, "begin");
	char *running = mr_strdup(mr_test_ask(runs, INSERT " returning xid"));
	mr_test_exec(admin, INSERT);
	assert_int_equal(new_rows(&f), 1);
	for (int64_t end = mr_mono_us() + 20000000; mr_test_ask_int(there, "select max(seq) from millrace.change_log") < f.position.seq;) {
		assert_true(mr_mono_us() < end);
		usleep(10000);
	}
	assert_string_equal(mr_test_ask(admin, "select pg_visible_in_snapshot('%s', pg_current_snapshot())", running), "f");
	assert_string_equal(mr_test_ask(there, "select pg_visible_in_snapshot('%s', pg_current_snapshot())", running), "t");
	fan_start_at(&of_standby, standby.conninfo);
	for (int i = 0; i < 3; i++) {
		assert_true(mr_ticker_run(of_standby.ticker, false));
		until_grown(&of_standby.failures, i);
	}
	assert_int_equal(of_standby.err.code, MR_POSTGRES_UNAVAILABLE);
	assert_int_equal(of_standby.ticks, 0);
	/* The primary goes, and the standby takes its place. */
	mr_test_exec(runs, "rollback");
	mr_test_pg_stop(&server, SIGINT);
	int failed = f.failures;
	while (f.failures < failed + 2) { /* without a primary there is no tick */
		mr_ticker_run(f.ticker, false);
		mr_loop_turn(loop, 20);
	}
	assert_int_equal(f.ticks, 2);
	mr_test_exec(there, "select pg_promote()");
	assert_true(f.position.tag == (uint64_t)mr_test_ask_int(there, "select tag from millrace.change_log order by seq desc limit 1"));
	tick_once(&f, false);
	assert_int_equal(f.resets, 2);
	assert_int_equal(f.position.timeline, 2);
	tick_once(&of_standby, false);
	assert_int_equal(of_standby.resets, 1);
	PQfinish(runs);
	PQfinish(there);
	free(running);
	fan_stop(&f);
	fan_stop(&of_standby);
	mr_test_pg_fini(&standby);
	mr_test_pg_start(&server);
	PQreset(admin);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	mr_log_init("test", MR_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_16_an_empty_tick_returns_its_snapshot),
		cmocka_unit_test(rule_11_killed_backend),
		cmocka_unit_test(rule_20_a_thousand_running),
		cmocka_unit_test(rules_11_12_standby_and_promotion),
	};
	return cmocka_run_group_tests(tests, ticker_rig_start, ticker_rig_stop);
}
