/* The clock against a real Postgres: every committed log row comes exactly once, whatever happens to transactions, connections and server.
 */
#include "ticker_rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/ground/log.h"

/* ---- one thing at a time ---- */

static void first_is_a_reset(void **state)
{
	struct fan f;
	mr_test_exec(admin, INSERT);
	fan_start(&f);
	tick_once(&f, false);
	assert_int_equal(f.resets, 1);
	assert_int_equal(f.position.seq, mr_test_ask_int(admin, "select max(seq) from millrace.change_log"));
	assert_true(f.position.tag == (uint64_t)mr_test_ask_int(admin, "select tag from millrace.change_log order by seq desc limit 1"));
	assert_true(f.position.system == (uint64_t)mr_test_ask_int(admin, "select system_identifier from pg_control_system()"));
	assert_int_equal(f.position.timeline, 1);
	for (int i = 0; i < 5; i++)
		assert_int_equal(new_rows(&f), 0); /* each connection's first, too */
	assert_int_equal(f.resets, 1);
	assert_true(f.position.snapshot.xmax > 0);
	fan_stop(&f);
}

static void rule_20_lower_xid_commits_later(void **state)
{
	struct fan f;
	fan_start(&f);
	tick_once(&f, false);
	PGconn *slow = mr_test_connect(&server);
	mr_test_exec(slow, "begin");
	mr_test_exec(slow, INSERT);
	mr_test_exec(admin, INSERT);
	assert_int_equal(new_rows(&f), 1);
	assert_int_equal(new_rows(&f), 0);
	mr_test_exec(slow, "savepoint a");
	mr_test_exec(slow, INSERT);
	mr_test_exec(slow, "rollback to a");
	mr_test_exec(slow, INSERT);
	assert_int_equal(new_rows(&f), 0);
	mr_test_exec(slow, "commit");
	assert_int_equal(new_rows(&f), 2);
	mr_test_exec(slow, "begin");
	mr_test_exec(slow, INSERT);
	mr_test_exec(slow, "prepare transaction 'two'");
	assert_int_equal(new_rows(&f), 0);
	mr_test_exec(admin, INSERT);
	assert_int_equal(new_rows(&f), 1);
	mr_test_exec(admin, "commit prepared 'two'");
	assert_int_equal(new_rows(&f), 1);
	mr_test_exec(slow, "begin");
	mr_test_exec(slow, INSERT);
	mr_test_exec(slow, "rollback");
	assert_int_equal(new_rows(&f), 0);
	assert_int_equal(f.wrong + (size_t)f.resets, 1);
	PQfinish(slow);
	fan_stop(&f);
}

static void rule_16_payloads_by_token_and_seq(void **state)
{
	struct fan f, p = {0};
	fan_start(&f);
	tick_once(&f, false);
	mr_test_exec(admin, "insert into millrace.change_log (part, hour, token, session, call, result, changes) select 0, 0,"
			    " decode(lpad(to_hex(i), 32, '0'), 'hex'), 's' || i, '0.' || i, '{\"r\":1}', ('[{\"i\":' || i || '}]')::json"
			    " from generate_series(1, 400) i");
	for (int i = 1; i <= 400; i += 2) {
		uint8_t token[MR_TOKEN_BYTES] = {0};
		token[14] = (uint8_t)(i >> 8);
		token[15] = (uint8_t)i;
		mr_buf_add(&f.tokens, token, sizeof(token));
	}
	f.keep = true;
	tick_once(&f, false);
	assert_int_equal(f.tick->n, 400);
	assert_int_equal(f.withheld, 200);
	int64_t seqs[200];
	size_t n = 0;
	for (size_t i = 0; i < 400; i++) {
		const struct mr_log_row *row = &f.tick->rows[i];
		assert_true(row->has_token);
		int number = row->token[14] << 8 | row->token[15];
		char text[40];
		snprintf(text, sizeof(text), "s%d", number);
		assert_true(mr_str_is(row->session, text));
		assert_true(mr_str_is(row->call, mr_test_ask(admin, "select '0.' || %d", number)));
		assert_true((row->changes.p == NULL) == (number % 2 == 1));
		assert_true(mr_str_is(row->result, number % 2 ? "" : "{\"r\":1}"));
		if (!row->changes.p)
			seqs[n++] = row->seq;
	}
	mr_ticker_payloads(f.ticker, seqs, n, on_tail, &p);
	until_grown(&p.ticks, 0);
	assert_int_equal(p.resets, 0);
	assert_int_equal(p.n, 200);
	assert_int_equal(p.withheld, 0);
	seqs[0] = 1LL << 60;
	mr_ticker_payloads(f.ticker, seqs, n, on_tail, &p);
	until_grown(&p.ticks, 1);
	assert_int_equal(p.resets, 1); /* one is not there */
	mr_tick_done(f.tick, NULL);
	f.keep = false;
	assert_int_equal(new_rows(&f), 0);
	fan_stop(&f);
	mr_ticker_delete(&p.ticker);
	fan_stop(&p);
}

/* A row without changes is not one that was withheld. */
static void rule_16_no_changes_are_empty(void **state)
{
	struct fan f;
	fan_start(&f);
	tick_once(&f, false);
	mr_test_exec(admin, "insert into millrace.change_log (part, hour) values (0, 0)");
	assert_int_equal(new_rows(&f), 1);
	assert_string_equal(f.changes.p, "[]");
	fan_stop(&f);
}

static void rule_21_too_much_for_one_tick(void **state)
{
	struct fan f, p = {0};
	fan_start(&f);
	tick_once(&f, false);
	for (int i = 0; i < 5; i++)
		mr_test_exec(admin,
			"insert into millrace.change_log (part, hour, changes) values (0, 0, ('[\"' || repeat('x', 12000000) || "
			"'\"]')::json)");
	assert_int_equal(new_rows(&f), 5);
	assert_int_equal(f.withheld, 4);
	mr_ticker_payloads(f.ticker, f.seqs + 1, 4, on_tail, &p);
	until_grown(&p.ticks, 0);
	assert_int_equal(p.n, 4);
	assert_int_equal(p.withheld, 0);
	/* and too many rows are a reset */
	mr_test_exec(admin, "insert into millrace.change_log (part, hour) select 0, 0 from generate_series(1, 100001)");
	tick_once(&f, false);
	assert_int_equal(f.resets, 2);
	assert_int_equal(f.position.seq, mr_test_ask_int(admin, "select max(seq) from millrace.change_log"));
	mr_test_exec(admin, INSERT);
	assert_int_equal(new_rows(&f), 1);
	fan_stop(&f);
	fan_stop(&p);
	empty_log();
}

/* As triggers and workers write them. */
static void log_by_trigger(const char *entity, int n)
{
	mr_test_exec(admin,
		"insert into millrace.change_log (part, hour, changes) select 0, 0, ('[{\"s\":' || i || "
		"',\"e\":\"%s\",\"n\":{\"x\":1}}]')::json"
		" from generate_series(1, %d) i",
		entity, n);
}

static void log_by_worker(const char *session, const char *token)
{
	mr_test_exec(admin,
		"insert into millrace.change_log (part, hour, token, session, call, changes) select 0, 0, decode(%s, 'hex'), '%s', '0.1',"
		" '[{\"e\":\"Big\"},{\"e\":\"Big\"}]'",
		token, session);
}

static const struct mr_log_row *row_by(const struct mr_tick *tick, const char *session)
{
	for (size_t i = 0; i < tick->n; i++)
		if (mr_str_is(tick->rows[i].session, session))
			return &tick->rows[i];
	fail_msg("no row of %s", session);
	return NULL;
}

/* What would not be told row by row is not read row by row: one row says which table it was, and all else is there. */
static void tell_large_tables(struct fan *f)
{
	size_t wrong = f->wrong;
	log_by_trigger("Big", 1500);
	log_by_worker("ring", "'00000000000000000000000000000007'");
	log_by_trigger("Small", 5);
	log_by_worker("log", "'00000000000000000000000000000008'");
	log_by_worker("bare", "null");
	log_by_trigger("Big", 1500);
	log_by_trigger("Huge", 2000);
	uint8_t token[MR_TOKEN_BYTES] = {[MR_TOKEN_BYTES - 1] = 7};
	mr_buf_add(&f->tokens, token, sizeof(token));
	f->keep = true;
	tick_once(f, false);
	assert_int_equal(f->tick->n, 2 + 5 + 3);
	assert_string_equal(f->entities.p, "Big Huge ");
	assert_int_equal(f->withheld, 3);
	assert_null(row_by(f->tick, "ring")->changes.p);
	assert_non_null(row_by(f->tick, "log")->changes.p);
	assert_non_null(row_by(f->tick, "bare")->changes.p);
	int64_t last = mr_test_ask_int(admin, "select max(seq) from millrace.change_log");
	assert_int_equal(f->tick->rows[f->tick->n - 1].seq, last);
	assert_int_equal(f->position.seq, last);
	mr_tick_done(f->tick, NULL);
	f->keep = false;
	/* The position is a row's: who comes back finds it. */
	mr_test_exec(admin, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace ticker'");
	for (int i = 0; i < 4; i++)
		assert_int_equal(new_rows(f), 0);
	assert_int_equal(f->resets, 1);
	assert_int_equal(f->wrong, wrong);
	fan_stop(f);
	empty_log();
}

static void rule_21_a_large_table_is_told_by_one_row(void **state)
{
	struct fan f;
	fan_start(&f);
	f.worth = 10000;
	tick_once(&f, false);
	tell_large_tables(&f);
}

static void rule_21_a_large_table_beside_an_old_transaction(void **state)
{
	struct fan f;
	PGconn *old = mr_test_connect(&server);
	mr_test_exec(old, "begin; select pg_current_xact_id()");
	for (int i = 0; i < 600; i++)
		mr_test_exec(admin, "select pg_current_xact_id()");
	fan_start(&f);
	f.worth = 10000;
	tick_once(&f, false);
	tell_large_tables(&f);
	PQfinish(old);
}

/* Where another table has many rows which are worth reading, all are asked for. */
static void rule_21_a_table_beside_a_large_one_is_read(void **state)
{
	struct fan f;
	fan_start(&f);
	f.worth = 100000;
	tick_once(&f, false);
	log_by_trigger("Other", 1100);
	log_by_trigger("Big", 5000);
	assert_int_equal(new_rows(&f), 6100);
	assert_true(f.withheld > 3000 && f.withheld < 5000);
	assert_null(strstr(f.entities.p, "Other"));
	assert_int_equal(new_rows(&f), 0);
	assert_int_equal(f.wrong, 0);
	fan_stop(&f);
	empty_log();
}

static void on_name(struct mr_held *held, const char *name, void *arg)
{
	char *to = arg;
	snprintf(to, 64, "%s", name ? name : "none");
}

static void wait_for_name(char *name)
{
	for (int64_t end = mr_mono_us() + 5000000; !*name && mr_mono_us() < end;)
		mr_loop_turn(loop, 100);
	assert_true(*name);
}

#define INDEX_READS "select coalesce(sum(idx_tup_read), 0) from pg_stat_user_indexes where schemaname = 'millrace'"
#define SEQ_READS   "select coalesce(sum(seq_tup_read), 0) from pg_stat_user_tables where relname like 'change_log%'"

/* A tick's cost follows the new rows, not the size of the log. */
static void cost_follows_the_new_rows(void **state)
{
	struct fan f;
	mr_test_exec(admin, "insert into millrace.change_log (part, hour) select i %% 4, 0 from generate_series(1, 50000) i");
	mr_test_exec(admin, "analyze millrace.change_log");
	fan_start(&f);
	tick_once(&f, false);
	let_it_be_reported(&f);
	int64_t index_reads = mr_test_ask_int(admin, INDEX_READS), seq_reads = mr_test_ask_int(admin, SEQ_READS);
	for (int i = 0; i < 20; i++) {
		mr_test_exec(admin, INSERT);
		assert_int_equal(new_rows(&f), 1);
	}
	let_it_be_reported(&f);
	assert_int_equal(mr_test_ask_int(admin, SEQ_READS), seq_reads);
	index_reads = mr_test_ask_int(admin, INDEX_READS) - index_reads;
	if (index_reads < 20 || index_reads > 500)
		fail_msg("%lld index entries were read", (long long)index_reads);
	fan_stop(&f);
	empty_log();
}

static void rule_13_held_snapshots(void **state)
{
	struct fan f;
	fan_start(&f);
	f.keep = true;
	mr_test_exec(admin, "create table held (x int)");
	struct mr_held *held[MR_HELD_MAX];
	char names[MR_HELD_MAX][64] = {{0}};
	for (int i = 0; i < MR_HELD_MAX; i++) {
		tick_once(&f, false);
		mr_tick_done(f.tick, &held[i]);
		assert_int_equal(mr_ticker_held(f.ticker), i + 1);
		mr_held_export(held[i], on_name, names[i]);
		assert_int_equal(names[i][0], 0);
		wait_for_name(names[i]);
		mr_test_exec(admin, "insert into held values (%d)", i);
	}
	for (int i = 0; i < MR_HELD_MAX; i++) {
		mr_test_exec(admin, "begin isolation level repeatable read");
		mr_test_exec(admin, "set transaction snapshot '%s'", names[i]);
		assert_int_equal(mr_test_ask_int(admin, "select count(*) from held"), i);
		mr_test_exec(admin, "commit");
	}
	int ticks = f.ticks;
	assert_true(mr_ticker_run(f.ticker, false));
	for (int i = 0; i < 10; i++)
		mr_loop_turn(loop, 20);
	assert_int_equal(f.ticks, ticks); /* it waits for a place */
	/* A held connection that dies, with and without a question. The waiting tick fails with its connection, or gets the place of one
	 * that has died. */
	mr_test_exec(admin, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace ticker'");
	tick_after(&f, ticks, false);
	mr_tick_done(f.tick, NULL);
	for (int i = 0; i < 1000 && mr_ticker_held(f.ticker); i++) /* some are told of their death after that tick */
		mr_loop_turn(loop, 20);
	assert_int_equal(mr_ticker_held(f.ticker), 0);
	for (int i = 1; i < MR_HELD_MAX; i++)
		mr_held_drop(&held[i]);
	mr_loop_turn(loop, 20);
	mr_held_drop(&held[0]);
	tick_once(&f, false);
	struct mr_held *last;
	char late[64] = "";
	mr_tick_done(f.tick, &last);
	mr_test_exec(admin, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace ticker'");
	for (int i = 0; i < 20; i++)
		mr_loop_turn(loop, 20);
	mr_held_export(last, on_name, late);
	wait_for_name(late);
	assert_string_equal(late, "none");
	tick_once(&f, false);
	struct mr_held *after;
	mr_tick_done(f.tick, &after);
	assert_int_equal(f.resets, 1);
	fan_stop(&f);
	mr_held_drop(&last);
	mr_held_drop(&after); /* the ticker is gone already */
}

static void rule_07_outside_polls(void **state)
{
	struct fan f;
	mr_test_exec(admin, "create table \"Mess\" (id int, v text)");
	mr_test_exec(admin, "create function tf() returns trigger language plpgsql as 'begin return null; end'");
	fan_start(&f);
	mr_ticker_tables(f.ticker, MR_STR("{\"M\":[\"public\",\"Mess\"],\"G\":[\"public\",\"no such\"]}"));
	tick_once(&f, false);
	assert_int_equal(f.fingerprints.n, 0);
	tick_once(&f, true);
	assert_non_null(strstr(f.fingerprints.p, "\"G\" : \"gone\""));
	const char *changes[] = {"truncate \"Mess\"", "alter table \"Mess\" add column w int", "alter table \"Mess\" alter w type bigint",
		"alter table \"Mess\" alter v type text collate \"C\"", "create trigger tr after insert on \"Mess\" execute function tf()",
		"alter table \"Mess\" disable trigger tr", "create table kid () inherits (\"Mess\")",
		"create table kid2 () inherits (\"Mess\")", "truncate kid", "drop table \"Mess\" cascade"};
	for (size_t i = 0; i < MR_COUNT(changes); i++) {
		char *before = mr_strdup(f.fingerprints.p);
		tick_once(&f, true);
		assert_string_equal(before, f.fingerprints.p);
		mr_test_exec(admin, "%s", changes[i]);
		tick_once(&f, true);
		assert_string_not_equal(before, f.fingerprints.p);
		free(before);
	}
	mr_ticker_tables(f.ticker, MR_STR("nonsense"));
	mr_ticker_run(f.ticker, true);
	until_grown(&f.failures, 0);
	mr_ticker_tables(f.ticker, MR_STR("{}"));
	tick_once(&f, true);
	assert_string_equal(f.fingerprints.p, "{}");
	assert_int_equal(f.resets, 1);
	fan_stop(&f);
}

/* Rows come and go with their part, and no trigger sees it. */
static void rule_07_parts_that_come_and_go(void **state)
{
	struct fan f;
	mr_test_exec(admin, "create table parted (id int) partition by list (id); create table leaf (id int); insert into leaf values (1)");
	fan_start(&f);
	mr_ticker_tables(f.ticker, MR_STR("{\"P\":[\"public\",\"parted\"]}"));
	tick_once(&f, true);
	const char *changes[] = {"alter table parted attach partition leaf for values in (1)", "truncate leaf",
		"alter table leaf rename to twig", "alter table parted detach partition twig"};
	for (size_t i = 0; i < MR_COUNT(changes); i++) {
		char *before = mr_strdup(f.fingerprints.p);
		mr_test_exec(admin, "%s", changes[i]);
		tick_once(&f, true);
		assert_int_equal(strcmp(before, f.fingerprints.p) != 0, i != 2); /* another name is nothing */
		free(before);
	}
	mr_test_exec(admin, "drop table parted, twig");
	fan_stop(&f);
}

/* What is read anew is only what a commit has touched; none of these may be taken for the same. */
static void rule_07_what_comes_back_is_another(void **state)
{
	struct fan f;
	PGconn *slow = mr_test_connect(&server);
	mr_test_exec(admin, "create schema house; create table house.a (id int); create table house.b (id int)");
	mr_test_exec(admin, "create function tg() returns trigger language plpgsql as 'begin return null; end'");
	fan_start(&f);
	mr_ticker_tables(f.ticker, MR_STR("{\"A\":[\"house\",\"a\"]}"));
	tick_once(&f, true);
	const char *changes[] = {"alter table house.a rename to c; alter table house.b rename to a",
		"drop table house.a; create table house.a (id int)", "alter schema house rename to home",
		"create schema house; create table house.a (id int)", "create trigger tr after insert on house.a execute function tg()",
		"alter table house.a disable trigger tr", "alter table house.a enable trigger tr",
		"alter table house.a rename id to number", "create table house.kid () inherits (house.a)",
		"create table house.kid2 () inherits (house.a)", "commit"};
	for (size_t i = 0; i < MR_COUNT(changes); i++) {
		bool late = i + 1 == MR_COUNT(changes);
		if (late)
			mr_test_exec(slow, "begin; alter table house.a add column late int");
		tick_once(&f, true);
		char *before = mr_strdup(f.fingerprints.p);
		mr_test_exec(admin, "create table unrelated (id int); insert into unrelated values (1); drop table unrelated");
		tick_once(&f, true);
		assert_string_equal(before, f.fingerprints.p);
		mr_test_exec(late ? slow : admin, "%s", changes[i]);
		tick_once(&f, true);
		assert_string_not_equal(before, f.fingerprints.p);
		free(before);
	}
	mr_test_exec(admin, "drop schema house cascade; drop schema home cascade");
	PQfinish(slow);
	fan_stop(&f);
}

static void rule_11_another_history(void **state)
{
	struct fan f;
	fan_start(&f);
	mr_test_exec(admin, INSERT);
	tick_once(&f, false);
	/* The row at our position has another tag: seen by the first tick of a connection. */
	mr_test_exec(admin, "update millrace.change_log set tag = tag + 1");
	mr_test_exec(admin, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace ticker'");
	for (int i = 0; i < 10; i++)
		mr_loop_turn(loop, 20);
	tick_once(&f, false);
	assert_int_equal(f.resets, 2);
	/* Retention passes us. */
	mr_test_exec(admin, "update millrace.log_floor set seq = %lld, xid = pg_snapshot_xmax(pg_current_snapshot())",
		(long long)f.position.seq + 1);
	tick_once(&f, false);
	assert_int_equal(f.resets, 3);
	assert_int_equal(new_rows(&f), 0);
	assert_int_equal(f.resets, 3);
	fan_stop(&f);
	empty_log();
}

/* A part with rows that are as old as retention wants them. */
static void old_rows(int n)
{
	mr_test_exec(admin,
		"insert into millrace.change_log (part, hour, changes) select millrace.part_of(kept - 1), kept - 1, '[]' from "
		"millrace.kept_from(millrace.this_hour()) kept, generate_series(1, %d)",
		n);
}

static void retain(void)
{
	mr_test_exec(admin, "set lock_timeout = '50ms'"); /* as whoever asks does: transactions of the ticker end when the loop turns */
	for (int64_t end = mr_mono_us() + 20000000; strcmp(mr_test_ask(admin, "select millrace.retain()"), "done"); mr_loop_turn(loop, 20))
		assert_true(mr_mono_us() < end);
	mr_test_exec(admin, "reset lock_timeout");
}

/* Who has seen what is dropped goes on; who has not is told so, by ticks and tails. */
static void rule_08_retention_is_told(void **state)
{
	struct fan f, t = {0};
	struct mr_position start = {0};
	empty_log();
	fan_start(&f);
	tick_once(&f, false);
	mr_position_copy(&start, &f.position);
	old_rows(3);
	assert_int_equal(new_rows(&f), 3);
	retain();
	assert_int_equal(mr_test_ask_int(admin, "select count(*) from millrace.change_log"), 0);
	assert_int_equal(new_rows(&f), 0);
	mr_test_exec(admin, INSERT);
	assert_int_equal(new_rows(&f), 1);
	assert_int_equal(f.resets, 1);
	mr_ticker_tail(f.ticker, &start, 1 << 20, on_tail, &t);
	until_grown(&t.ticks, 0);
	assert_int_equal(t.resets, 1);
	assert_true(t.position.snapshot.xmax > 0);
	old_rows(2);
	retain();
	tick_once(&f, false);
	assert_int_equal(f.resets, 2);
	fan_stop(&f);
	fan_stop(&t);
	empty_log();
	mr_position_fini(&start);
}

/* A part that is dropped behind a snapshot leaves it with less than there was, and with the floor of before: nothing tells. So readers lock
 * before they take their snapshot, and retention, which waits 50 ms for whoever reads, is never in between. */
static void rule_08_readers_lock_before_they_read(void **state)
{
	enum { FLOOR = 77 };
	PGconn *reader = mr_test_connect(&server), *keeper = mr_test_connect(&server);
	for (int locks = 0; locks < 2; locks++) {
		mr_test_exec(admin, "truncate millrace.change_log; update millrace.log_floor set xid = '0', seq = 0");
		old_rows(3);
		mr_test_exec(reader, "begin isolation level repeatable read read only");
		if (locks)
			mr_test_exec(reader, "lock table millrace.change_log in access share mode");
		mr_test_exec(reader, "select pg_current_snapshot()");
		PGresult *res = PQexec(keeper, "begin; set local lock_timeout = '50ms'; "
					       "update millrace.log_floor set seq = 77; truncate millrace.change_log; commit");
		assert_int_equal(PQresultStatus(res) == PGRES_COMMAND_OK, !locks);
		PQclear(res);
		assert_int_equal(mr_test_ask_int(reader, "select seq from millrace.log_floor"), 0);
		assert_int_equal(mr_test_ask_int(reader, "select count(*) from millrace.change_log"), locks ? 3 : 0);
		assert_string_not_equal(mr_test_ask(keeper, "rollback; set lock_timeout = '50ms'; select millrace.retain()"), "done");
		mr_test_exec(reader, "commit");
		assert_int_equal(mr_test_ask_int(admin, "select seq from millrace.log_floor"), locks ? 0 : FLOOR);
	}
	retain();
	empty_log();
	PQfinish(reader);
	PQfinish(keeper);
}

static void rules_11_19_tails(void **state)
{
	struct fan f, t = {0};
	struct mr_position start = {0};
	fan_start(&f);
	tick_once(&f, false);
	mr_position_copy(&start, &f.position);
	PGconn *slow = mr_test_connect(&server);
	mr_test_exec(slow, "begin");
	mr_test_exec(slow, INSERT);
	for (int i = 0; i < 10; i++)
		mr_test_exec(admin, INSERT);
	tick_once(&f, false);
	mr_test_exec(slow, "commit");
	tick_once(&f, false);
	assert_int_equal(f.n, 11);
	mr_ticker_tail(f.ticker, &start, 1 << 20, on_tail, &t);
	mr_ticker_tail(f.ticker, &f.position, 1 << 20, on_tail, &t);
	until_grown(&t.ticks, 1);
	assert_int_equal(t.resets, 0);
	assert_int_equal(t.n, 11);
	assert_int_equal(t.position.seq, f.position.seq);
	assert_true(t.position.tag == f.position.tag);
	mr_ticker_tail(f.ticker, &start, 100, on_tail, &t); /* too many bytes */
	until_grown(&t.ticks, 2);
	assert_int_equal(t.resets, 1);
	struct mr_position other = {0};
	for (int i = 0; i < 4; i++) {
		mr_position_copy(&other, &f.position);
		other.system += i == 0;
		other.timeline += i == 1;
		other.tag += i == 2;
		other.seq += i == 3;
		mr_ticker_tail(f.ticker, &other, 1 << 20, on_tail, &t);
		until_grown(&t.ticks, 3 + i);
		assert_int_equal(t.resets, 2 + i);
		assert_int_equal(t.position.seq, f.position.seq);
	}
	/* Asked while Postgres is away, answered when it is back. */
	mr_ticker_tail(f.ticker, &start, 1 << 20, on_tail, &t);
	mr_test_pg_stop(&server, SIGQUIT);
	for (int i = 0; i < 10; i++)
		mr_loop_turn(loop, 50);
	mr_test_pg_start(&server);
	PQreset(admin);
	until_grown(&t.ticks, 7);
	assert_int_equal(t.resets, 5);
	assert_int_equal(t.n, 22);
	mr_ticker_tail(f.ticker, &start, 1 << 20, on_tail, &t);
	fan_stop(&f); /* a question that is open then is answered */
	assert_int_equal(t.ticks, 9);
	assert_int_equal(t.resets, 6);
	mr_position_fini(&start);
	mr_position_fini(&other);
	fan_stop(&t);
	PQfinish(slow);
}

/* Xids whose WAL was never written are handed out again; what commits under them must come although the position counts them as seen. */
static void rule_11_xids_come_again(void **state)
{
	struct fan f;
	fan_start(&f);
	mr_test_exec(admin, INSERT);
	mr_test_exec(admin, "checkpoint");
	for (int round = 0; round < 3; round++) {
		PGconn *a = mr_test_connect(&server), *b = mr_test_connect(&server);
		mr_test_exec(a, "begin");
		int64_t lost = mr_test_ask_int(a, "select pg_current_xact_id()");
		mr_test_exec(b, "begin");
		mr_test_exec(b, "select pg_current_xact_id()");
		mr_test_exec(a, "rollback"); /* without any record: to us it has ended */
		tick_once(&f, false);
		assert_true(mr_snapshot_sees(&f.position.snapshot, (uint64_t)lost));
		mr_test_pg_stop(&server, SIGQUIT);
		mr_test_pg_start(&server);
		PQreset(admin);
		int64_t again = strtoll(mr_test_ask(admin, INSERT " returning xid"), NULL, 10);
		assert_true(again <= lost);
		assert_int_equal(new_rows(&f), 1);
		assert_int_equal(new_rows(&f), 0);
		mr_test_exec(admin, INSERT);
		mr_test_exec(admin, INSERT);
		assert_int_equal(new_rows(&f), 2);
		PQfinish(a);
		PQfinish(b);
	}
	assert_int_equal(f.resets, 1);
	fan_stop(&f);
}

static void hung_postgres(void **state)
{
	struct fan f;
	fan_start(&f);
	tick_once(&f, false);
	mr_test_exec(admin, INSERT);
	for (int i = 0; i < 10; i++)
		mr_loop_turn(loop, 20);
	/* All that serve ticks stand still. */
	PGresult *pids = PQexec(admin, "select pid from pg_stat_activity where application_name = 'millrace ticker'");
	for (int i = 0; i < PQntuples(pids); i++)
		kill(atoi(PQgetvalue(pids, i, 0)), SIGSTOP);
	int64_t began = mr_mono_us();
	assert_true(mr_ticker_run(f.ticker, false));
	assert_false(mr_ticker_run(f.ticker, false));
	until_grown(&f.failures, 0);
	assert_true(mr_mono_us() - began < 8000000);
	assert_int_equal(f.err.code, MR_POSTGRES_UNAVAILABLE);
	for (int i = 0; i < PQntuples(pids); i++)
		kill(atoi(PQgetvalue(pids, i, 0)), SIGCONT);
	PQclear(pids);
	assert_int_equal(new_rows(&f), 1);
	assert_int_equal(f.resets, 1);
	fan_stop(&f);
}

static void without_a_server(void **state)
{
	struct fan f;
	fan_start_at(&f, "host=/nowhere");
	for (int i = 0; i < 4; i++) {
		assert_true(mr_ticker_run(f.ticker, true));
		until_grown(&f.failures, i);
		assert_false(mr_ticker_busy(f.ticker));
	}
	assert_int_equal(f.failures, 4);
	fan_stop(&f);
}

/* An ordinary user's right is enough; without one on the log it fails with a sentence, and the next tick works once it is there. */
static void ordinary_user(void **state)
{
	struct fan f;
	mr_test_exec(admin, "create role plain login; revoke execute on function pg_control_system() from public");
	char info[320];
	snprintf(info, sizeof(info), "%s user=plain", server.conninfo);
	fan_start_at(&f, info);
	assert_true(mr_ticker_run(f.ticker, false));
	until_grown(&f.failures, 0);
	assert_non_null(strstr(f.err.message, "permission denied"));
	mr_test_exec(admin, "grant usage on schema millrace to plain; grant select on all tables in schema millrace to plain");
	for (int i = 0; i < 5; i++)
		tick_once(&f, false);
	assert_int_equal(f.resets, 1);
	assert_true(f.position.system != 0);
	fan_stop(&f);
	mr_test_exec(admin, "drop owned by plain; drop role plain; grant execute on function pg_control_system() to public");
}

/* ---- all at once ---- */

enum { WRITERS = 6, STORM_COMMITS = 14000 };
static _Atomic bool writing;
static _Atomic int64_t commits;

static bool try(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, sql);
	bool ok = PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;
	PQclear(res);
	return ok;
}

/* One random transaction; false: something failed. */
static bool write_once(PGconn *conn, unsigned *seed, int writer)
{
	int kind = (int)(rand_r(seed) % 10);
	char name[64], sql[96];
	if (kind < 4)
		return try(conn, INSERT);
	if (!try(conn, "begin") || !try(conn, INSERT))
		return false;
	if (rand_r(seed) % 3 == 0)
		usleep(rand_r(seed) % 3000);
	if (kind == 4)
		return try(conn, "rollback");
	if (kind == 5 && !(try(conn, "savepoint a") && try(conn, INSERT) && try(conn, "rollback to a") && try(conn, INSERT) &&
				 try(conn, "release a")))
		return false;
	if (kind == 6 && !(try(conn, "savepoint a") && try(conn, INSERT)))
		return false;
	if (kind != 7)
		return try(conn, "commit");
	snprintf(name, sizeof(name), "w%d", writer);
	snprintf(sql, sizeof(sql), "prepare transaction '%s'", name);
	if (!try(conn, sql))
		return false;
	usleep(rand_r(seed) % 2000);
	snprintf(sql, sizeof(sql), "%s prepared '%s'", rand_r(seed) % 4 ? "commit" : "rollback", name);
	return try(conn, sql);
}

static void *writer(void *arg)
{
	int number = (int)(intptr_t)arg;
	unsigned seed = (unsigned)number + 7;
	PGconn *conn = mr_test_connect(&server);
	while (writing) {
		if (write_once(conn, &seed, number)) {
			commits++;
			continue;
		}
		char sql[64];
		usleep(20000);
		if (PQstatus(conn) != CONNECTION_OK)
			PQreset(conn);
		try(conn, "rollback");
		snprintf(sql, sizeof(sql), "commit prepared 'w%d'", number);
		try(conn, sql);
	}
	PQfinish(conn);
	return NULL;
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* Lost: in the log and not seen. Doubled: seen more than once. Ghosts: seen and not in the log. */
static void compare(int64_t *seen, size_t n, int64_t above, size_t *lost, size_t *doubled, size_t *ghosts)
{
	PGresult *log = PQexec(admin, "select seq from millrace.change_log order by seq");
	qsort(seen, n, sizeof(*seen), by_number);
	*lost = *doubled = *ghosts = 0;
	size_t at = 0;
	for (int i = 0; i < PQntuples(log); i++) {
		int64_t seq = strtoll(PQgetvalue(log, i, 0), NULL, 10);
		if (seq <= above)
			continue;
		for (; at < n && seen[at] < seq; at++)
			++*ghosts;
		size_t times = 0;
		for (; at < n && seen[at] == seq; at++)
			times++;
		*lost += times == 0;
		*doubled += times > 1;
	}
	*ghosts += n - at;
	PQclear(log);
}

static void disturb(int which)
{
	switch (which) {
	case 0:
		mr_test_exec(
			admin, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace ticker' limit 1");
		break;
	case 1:
		mr_test_exec(admin, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace ticker'");
		break;
	default:
		mr_test_pg_stop(&server, which == 2 ? SIGQUIT : SIGINT);
		mr_test_pg_start(&server);
		PQreset(admin);
	}
}

static void storm(void **state)
{
	static struct fan f, t;
	static struct mr_position middle;
	size_t middle_n = 0;
	empty_log();
	fan_start(&f);
	tick_once(&f, false);
	int64_t above = f.position.seq;
	pthread_t threads[WRITERS];
	writing = true;
	commits = 0;
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, writer, (void *)(intptr_t)i);
	int disturbed = 0;
	for (int64_t end = mr_mono_us() + 100000000; commits < STORM_COMMITS;) {
		if (mr_mono_us() > end)
			fail_msg("only %lld commits", (long long)commits);
		if (commits > (disturbed + 1) * (STORM_COMMITS / 9) && disturbed < 8)
			disturb(disturbed++ % 4);
		if (!middle_n && commits > STORM_COMMITS / 2) {
			mr_position_copy(&middle, &f.position);
			middle_n = f.n;
		}
		if (!mr_ticker_busy(f.ticker))
			mr_ticker_run(f.ticker, false);
		mr_loop_turn(loop, 20);
	}
	writing = false;
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	/* What was left prepared when a writer lost its connection. */
	for (const char *name; *(name = mr_test_ask(admin, "select gid from pg_prepared_xacts limit 1"));)
		mr_test_exec(admin, "commit prepared '%s'", name);
	tick_once(&f, false);
	mr_ticker_tail(f.ticker, &middle, 1 << 30, on_tail, &t);
	until_grown(&t.ticks, 0);
	size_t after_middle = f.n - middle_n, lost, doubled, ghosts;
	int64_t *rest = mr_alloc((after_middle + 1) * sizeof(*rest));
	memcpy(rest, f.seqs + middle_n, after_middle * sizeof(*rest));
	qsort(rest, after_middle, sizeof(*rest), by_number);
	compare(f.seqs, f.n, above, &lost, &doubled, &ghosts);
	print_message("%lld transactions, %zu rows, %d ticks, %d failed; %zu lost, %zu doubled, %zu ghosts\n", (long long)commits, f.n,
		f.ticks, f.failures, lost, doubled, ghosts);
	assert_int_equal(lost + doubled + ghosts, 0);
	assert_int_equal(f.wrong, 0);
	assert_int_equal(f.resets, 1);
	assert_int_equal(t.resets, 0);
	assert_int_equal(t.n, after_middle);
	assert_memory_equal(rest, t.seqs, after_middle * sizeof(*rest));
	free(rest);
	mr_position_fini(&middle);
	fan_stop(&f);
	fan_stop(&t);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	mr_log_init("test", MR_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_is_a_reset),
		cmocka_unit_test(rule_20_lower_xid_commits_later),
		cmocka_unit_test(rule_16_payloads_by_token_and_seq),
		cmocka_unit_test(rule_16_no_changes_are_empty),
		cmocka_unit_test(rule_21_too_much_for_one_tick),
		cmocka_unit_test(rule_21_a_large_table_is_told_by_one_row),
		cmocka_unit_test(rule_21_a_large_table_beside_an_old_transaction),
		cmocka_unit_test(rule_21_a_table_beside_a_large_one_is_read),
		cmocka_unit_test(cost_follows_the_new_rows),
		cmocka_unit_test(rule_13_held_snapshots),
		cmocka_unit_test(rule_07_outside_polls),
		cmocka_unit_test(rule_07_parts_that_come_and_go),
		cmocka_unit_test(rule_07_what_comes_back_is_another),
		cmocka_unit_test(rule_11_another_history),
		cmocka_unit_test(rule_08_retention_is_told),
		cmocka_unit_test(rule_08_readers_lock_before_they_read),
		cmocka_unit_test(rules_11_19_tails),
		cmocka_unit_test(rule_11_xids_come_again),
		cmocka_unit_test(hung_postgres),
		cmocka_unit_test(without_a_server),
		cmocka_unit_test(ordinary_user),
		cmocka_unit_test(storm),
	};
	return cmocka_run_group_tests(tests, ticker_rig_start, ticker_rig_stop);
}
