/* Attempts that meet in COMMIT: one that hangs there, those that settle what became of it, and a synchronous standby that nobody waited
 * for. */
#include "txn_rig.h"

#include <stdio.h>
#include <stdlib.h>

/* One attempt of a call, on a connection of its own. */
struct attempt {
	struct mr_pg *pg;
	struct rig_end end;
};

static int clear(void **state)
{
	rig_sql("set synchronous_commit = 'local'; truncate \"Node\", millrace.change_log; drop table if exists gate; create table gate (i "
		"int)");
	rig_sql("create or replace function pass_gate() returns trigger language plpgsql as $$ begin lock table gate in row share mode; "
		"return null; end $$; drop trigger if exists pass_gate on \"Node\"; create constraint trigger pass_gate after insert on "
		"\"Node\" "
		"deferrable initially deferred for each row execute function pass_gate()");
	return 0;
}

/* Inserts a Node named `label` (NULL: writes nothing, as a tombstone does), and is in COMMIT. */
static void send(struct attempt *a, const char *call, const char *label, const char *result)
{
	static uint8_t number;
	*a = (struct attempt){.pg = rig_connect()};
	struct mr_txn *txn = mr_txn_begin(a->pg, rig.app, label ? MR_TXN_SERIALIZABLE : MR_TXN_READ_COMMITTED, NULL);
	char value[64];
	snprintf(value, sizeof(value), "{\"label\":\"%s\"}", label ? label : "");
	if (label)
		assert_non_null(rig_write(txn, RIG_INSERT, "Node", "", value)->json);
	struct mr_record record = {.session = MR_STR("s"), .hour = mr_this_hour(), .call = mr_str(call), .fn = MR_STR("f")};
	const uint8_t token[MR_TOKEN_BYTES] = {1, ++number};
	mr_txn_commit(&txn, &record, token, mr_str(result), NULL, rig_ended, &a->end);
}

static enum mr_end ended(struct attempt *a, const char *result)
{
	rig_until(&a->end.done, "an end");
	if (result)
		assert_string_equal(a->end.result, result);
	if (a->end.end == MR_UNKNOWN)
		assert_string_equal(a->end.err.data, "{\"outcome\":\"unknown\"}");
	free(a->end.result);
	mr_pg_delete(&a->pg);
	return a->end.end;
}

/* Waits until its backend waits for that. */
static void hangs(struct attempt *a, const char *event)
{
	for (int64_t end = mr_mono_us() + 20000000;;) {
		rig_sql("select pg_stat_clear_snapshot()");
		char *is = rig_value("select wait_event from pg_stat_activity where pid = %d", mr_pg_backend_pid(a->pg));
		bool there = !strcmp(is, event);
		free(is);
		if (there)
			break;
		assert_true(mr_mono_us() < end);
		mr_loop_turn(rig.loop, 10);
	}
	assert_false(a->end.done);
}

static void standby(const char *names)
{
	char sql[96];
	snprintf(sql, sizeof(sql), "alter system set synchronous_standby_names = '%s'", names);
	rig_sql(sql);
	rig_sql("select pg_reload_conf()");
	for (bool there = false; !there;) {
		char *is = rig_value("select current_setting('synchronous_standby_names')");
		there = !strcmp(is, names);
		free(is);
	}
}

/* ---- a synchronous standby ---- */

static void rule_05_given_up_wait_for_a_standby_is_unknown(void **state)
{
	struct attempt a, b, c;
	standby("nobody");
	send(&a, "1", "sync", "1");
	hangs(&a, "SyncRep");
	RIG_IS("0", "select count(*) from \"Node\"");
	RIG_IS("t", "select pg_cancel_backend(%d)", mr_pg_backend_pid(a.pg));
	assert_int_equal(ended(&a, ""), MR_UNKNOWN);
	RIG_IS("1", "select count(*) from \"Node\"");
	/* its record can be read by now, but proves nothing until something after it has reached the standby */
	send(&b, "1", "sync", "2");
	hangs(&b, "SyncRep");
	RIG_IS("t", "select pg_cancel_backend(%d)", mr_pg_backend_pid(b.pg));
	assert_int_equal(ended(&b, NULL), MR_UNKNOWN);
	send(&c, "1", "sync", "3");
	hangs(&c, "SyncRep");
	standby("");
	assert_int_equal(ended(&c, "1"), MR_DUPLICATE);
	RIG_IS("1", "select count(*) from \"Node\"");
}

static void rule_05_terminated_wait_for_a_standby_is_unknown(void **state)
{
	struct attempt a, b;
	standby("nobody");
	send(&a, "1", "sync", "1");
	hangs(&a, "SyncRep");
	RIG_IS("t", "select pg_terminate_backend(%d)", mr_pg_backend_pid(a.pg));
	assert_int_equal(ended(&a, ""), MR_UNKNOWN);
	send(&b, "1", NULL, "{\"$error\":{}}");
	hangs(&b, "SyncRep");
	standby("");
	assert_int_equal(ended(&b, "1"), MR_DUPLICATE);
	RIG_IS("1", "select count(*) from \"Node\"");
}

/* ---- tombstones ---- */

static void rule_10_tombstone_waits_for_an_attempt_in_commit(void **state)
{
	struct attempt a, b;
	rig_sql("begin; lock table gate in access exclusive mode");
	send(&a, "1", "first", "1");
	hangs(&a, "relation");
	send(&b, "1", NULL, "{\"$error\":{}}");
	hangs(&b, "transactionid");
	rig_sql("commit");
	assert_int_equal(ended(&a, ""), MR_DONE);
	assert_int_equal(ended(&b, "1"), MR_DUPLICATE);
	/* one that waits for a standby is waited for, too */
	standby("nobody");
	send(&a, "2", "second", "2");
	hangs(&a, "SyncRep");
	send(&b, "2", NULL, "{\"$error\":{}}");
	hangs(&b, "transactionid");
	standby("");
	assert_int_equal(ended(&a, ""), MR_DONE);
	assert_int_equal(ended(&b, "2"), MR_DUPLICATE);
	RIG_IS("2", "select count(*) from \"Node\"");
}

static void rule_10_tombstone_fences_an_attempt_that_comes_late(void **state)
{
	struct attempt a, b, c;
	rig_sql("begin; lock table gate in access exclusive mode");
	send(&a, "1", "never", "1");
	hangs(&a, "relation");
	send(&b, "1", NULL, "{\"$error\":{}}");
	hangs(&b, "transactionid");
	RIG_IS("t", "select pg_terminate_backend(%d)", mr_pg_backend_pid(a.pg));
	assert_int_equal(ended(&a, ""), MR_UNKNOWN);
	assert_int_equal(ended(&b, ""), MR_DONE);
	rig_sql("commit");
	send(&c, "1", "never", "1");
	assert_int_equal(ended(&c, "{\"$error\":{}}"), MR_DUPLICATE);
	RIG_IS("0", "select count(*) from \"Node\"");
	RIG_IS("1", "select count(*) from millrace.change_log where session = 's'");
}

/* A token is an attempt's own: that of an attempt which was taken back proves nothing though its call was done by another. */
static void rule_10_tokens_are_of_attempts(void **state)
{
	struct attempt a, b;
	rig_sql("begin; lock table gate in access exclusive mode");
	send(&a, "1", "x", "1");
	hangs(&a, "relation");
	RIG_IS("t", "select pg_terminate_backend(%d)", mr_pg_backend_pid(a.pg));
	assert_int_equal(ended(&a, ""), MR_UNKNOWN);
	rig_sql("commit");
	send(&b, "1", "x", "1");
	assert_int_equal(ended(&b, ""), MR_DONE);
	RIG_IS("1", "select count(distinct token) from millrace.change_log");
	RIG_IS("1", "select count(*) from \"Node\"");
}

/* ---- keys without an hour ---- */

static enum mr_end with_key(int32_t hour, const char *result, char **recorded)
{
	struct mr_pg *pg = rig_connect();
	struct mr_record record = {.session = MR_STR("http"), .hour = hour, .lasting = true, .call = MR_STR("key"), .fn = MR_STR("f")};
	const uint8_t token[MR_TOKEN_BYTES] = {2};
	struct rig_end e = {0};
	struct mr_txn *txn = mr_txn_begin(pg, rig.app, MR_TXN_SERIALIZABLE, NULL);
	mr_txn_commit(&txn, &record, token, mr_str(result), NULL, rig_ended, &e);
	rig_until(&e.done, "an end");
	mr_pg_delete(&pg);
	*recorded = e.result;
	return e.end;
}

/* Which part a call falls into is no matter of the second in which it is sent again; nor of a clock that was set back. */
static void rule_09_keys_hold_across_parts(void **state)
{
	char *result;
	int32_t now = mr_this_hour();
	for (int back = 0; back < 2; back++) {
		rig_sql("truncate millrace.change_log");
		for (int i = 0; i <= 48; i++) {
			enum mr_end end = with_key(back ? now - i : now - 48 + i, i ? "2" : "1", &result);
			assert_int_equal(end, i ? MR_DUPLICATE : MR_DONE);
			assert_string_equal(result, i ? "1" : "");
			free(result);
		}
		RIG_IS("2", "select count(*) from millrace.change_log");
		RIG_IS("1", "select count(*) from millrace.change_log where args_hash is not null");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(rule_05_given_up_wait_for_a_standby_is_unknown, clear),
		cmocka_unit_test_setup(rule_05_terminated_wait_for_a_standby_is_unknown, clear),
		cmocka_unit_test_setup(rule_10_tombstone_waits_for_an_attempt_in_commit, clear),
		cmocka_unit_test_setup(rule_10_tombstone_fences_an_attempt_that_comes_late, clear),
		cmocka_unit_test_setup(rule_10_tokens_are_of_attempts, clear),
		cmocka_unit_test_setup(rule_09_keys_hold_across_parts, clear),
	};
	return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
