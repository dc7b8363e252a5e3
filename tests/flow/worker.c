/* The worker process end to end: this side plays the fanout (worker_rig.h), Postgres and the engine are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/predicate.h"
#include "server/js/source_map.h"
#include "worker_rig.h"

static struct rig rig;
static struct rig_worker *worker; /* the usual one; ended and started anew by tests that need it otherwise */

static const char *const fast[] = {"MILLRACE_FUNCTION_TIME_LIMIT=200", NULL};
static const char *const patient[] = {"MILLRACE_FUNCTION_TIME_LIMIT=5000", NULL};
static const char *const production[] = {"MILLRACE_MODE=production", NULL};

static struct rig_worker *the_worker(void)
{
	if (!worker)
		worker = rig_start(&rig, NULL);
	return worker;
}

static void fresh_worker(const char *const *env)
{
	if (worker)
		rig_end(worker);
	worker = rig_start(&rig, env);
}

static int each_setup(void **state)
{
	rig_reset(&rig);
	mr_test_exec(rig.db, "truncate \"Counter\", \"Note\"");
	the_worker();
	return 0;
}

/* ---- what an answer says ---- */

static const struct mr_node *value_of(uint64_t n)
{
	const struct mr_node *a = rig_answer(&rig, n), *v = mr_node_get(a, "value");
	if (!v)
		fail_msg("no value: %s", rig.answers[n]);
	return v;
}

static const struct mr_node *error_of(uint64_t n, const char *code)
{
	const struct mr_node *e = mr_node_get(rig_answer(&rig, n), "error");
	if (!e)
		fail_msg("no error: %s", rig.answers[n]);
	if (!mr_str_is(mr_node_str(e, "code"), code))
		fail_msg("expected %s: %s", code, rig.answers[n]);
	return e;
}

static int64_t int_of(const struct mr_node *n)
{
	int64_t i;
	assert_true(mr_node_int(n, &i));
	return i;
}

static const char *text_of(struct mr_str s)
{
	return mr_arena_z(&rig.arena, s);
}

static bool holds(struct mr_str s, const char *what)
{
	return s.n && memmem(s.p, s.n, what, strlen(what));
}

/* {"id":"..."} of a new counter. */
static const char *new_counter(const char *name)
{
	static int made;
	char args[64], call[16];
	snprintf(args, sizeof args, "{\"name\":\"%s\"}", name);
	snprintf(call, sizeof call, "%d", ++made);
	uint64_t n = rig_mutation(worker, "create", args, "setup", call);
	return text_of(mr_arena_printf(&rig.arena, "{\"id\":\"%s\"}", text_of(value_of(n)->text)));
}

static int64_t counter_value(const char *name)
{
	return atoll(mr_test_ask(rig.db, "select value from \"Counter\" where name = '%s'", name));
}

/* ---- queries ---- */

static void test_query(void **state)
{
	const struct mr_node *v = value_of(rig_query(worker, "hello", "{\"name\":\"world\"}"));
	assert_string_equal(text_of(mr_node_str(v, "hello")), "world");
	assert_int_equal(int_of(mr_node_get(v, "now")), 1750000000123);
	assert_int_equal(mr_node_str(v, "id").n, 36);
	const struct mr_node *w = value_of(rig_query(worker, "hello", "{\"name\":\"world\"}"));
	assert_true(mr_str_eq(v->raw, w->raw)); /* the same seed, the same randomness */
}

static void test_refusals(void **state)
{
	error_of(rig_query(worker, "nothing", "{}"), "unknown_function");
	error_of(rig_query(worker, "create", "{}"), "unknown_function");
	error_of(rig_mutation(worker, "mine", "{\"text\":\"x\"}", "s", "r1"), "unauthenticated");
	error_of(rig_query(worker, "writes", "{}"), "function_failed");
	error_of(rig_query(worker, "deepResult", "{}"), "function_failed");
	error_of(rig_query(worker, "badResult", "{}"), "function_failed");
	error_of(rig_mutation(worker, "wrong", "{}", "s", "r2"), "unknown_field");
	error_of(rig_mutation(worker, "unknown", "{}", "s", "r3"), "unknown_entity");
	error_of(rig_mutation(worker, "badId", "{}", "s", "r4"), "bad_value");
	error_of(rig_send(worker, "\"t\":\"call\",\"kind\":\"what\",\"fn\":\"x\",\"args\":{}"), "bad_message");
	error_of(rig_send(worker, "\"t\":\"read\",\"entity\":\"Nothing\""), "unknown_entity");
	error_of(rig_send(worker, "\"t\":\"read\",\"entity\":\"Counter\",\"where\":\"[\""), "bad_message");
}

static void test_results_are_bounded(void **state)
{
	const char *const env[] = {"MILLRACE_MAX_RESULT=4096", NULL};
	fresh_worker(env);
	assert_int_equal(value_of(rig_query(worker, "bigResult", "{\"n\":4000}"))->text.n, 4000);
	const struct mr_node *e = error_of(rig_query(worker, "bigResult", "{\"n\":5000}"), "too_large");
	assert_string_equal(text_of(mr_node_str(mr_node_get(e, "data"), "setting")), "max_result");
	error_of(rig_query(worker, "bigResult", "{\"n\":5000000}"), "too_large");
	fresh_worker(NULL);
}

static void test_prelude(void **state)
{
	const struct mr_node *wrong = value_of(rig_query(worker, "prelude", "{}"));
	if (wrong->n)
		fail_msg("%s", text_of(wrong->raw));
}

static void test_env(void **state)
{
	uint64_t n = rig_send(worker,
		"\"t\":\"call\",\"kind\":\"query\",\"fn\":\"t.env\",\"args\":{},\"auth\":{\"userId\":\"ann\",\"role\":\"x\"},"
		"\"seed\":\"s\\\"1\",\"now\":5");
	const struct mr_node *v = value_of(n);
	assert_string_equal(text_of(mr_node_str(v, "kind")), "query");
	assert_string_equal(text_of(mr_node_str(v, "seed")), "s\"1");
	assert_string_equal(text_of(mr_node_str(mr_node_get(v, "auth"), "role")), "x");
	assert_int_equal(int_of(mr_node_get(v, "now")), 5);
}

/* ---- mutations ---- */

static void test_mutation(void **state)
{
	const char *args = new_counter("a");
	uint64_t n = rig_mutation(worker, "increment", args, "s1", "1");
	assert_int_equal(int_of(value_of(n)), 1);
	int64_t xid = int_of(mr_node_get(rig_answer(&rig, n), "xid"));
	assert_int_equal(counter_value("a"), 1);
	assert_int_equal(mr_test_ask_int(rig.db, "select xid::text::bigint from millrace.change_log where session = 's1'"), xid);
	assert_int_equal(
		mr_test_ask_int(rig.db, "select count(*) from millrace.change_log where token is null and changes::text not like '%bulk%'"),
		0);
	/* The same call again: the recorded result, and nothing done. */
	n = rig_mutation(worker, "increment", args, "s1", "1");
	assert_int_equal(int_of(value_of(n)), 1);
	assert_true(mr_node_truth(rig_answer(&rig, n), "dup"));
	assert_int_equal(int_of(mr_node_get(rig_answer(&rig, n), "xid")), xid);
	assert_int_equal(counter_value("a"), 1);
	/* The same id for something else. */
	error_of(rig_mutation(worker, "increment", new_counter("other"), "s1", "1"), "call_mismatch");
}

static void test_all_operations(void **state)
{
	const char *args = new_counter("a");
	char swap[128];
	snprintf(swap, sizeof swap, "%.*s,\"name\":\"b\"}", (int)strlen(args) - 1, args);
	const struct mr_node *v = value_of(rig_mutation(worker, "swap", swap, "s", "o1"));
	assert_int_equal(v->kind, MR_MAP);
	assert_string_equal(text_of(mr_node_str(v, "name")), "b");
	assert_int_equal(int_of(mr_node_get(v, "value")), -1);
	assert_int_equal(int_of(value_of(rig_query(worker, "counter", args))), -1);
	assert_int_equal(value_of(rig_mutation(worker, "many", "{\"n\":20,\"name\":\"m\"}", "s", "o2"))->n, 20);
	v = value_of(rig_query(worker, "counters", "{}"));
	assert_int_equal(v->n, 20);
	assert_int_equal(int_of(mr_node_get(&v->items[0], "value")), 19);
	value_of(rig_mutation(worker, "remove", args, "s", "o3"));
	assert_int_equal(value_of(rig_query(worker, "counter", args))->kind, MR_NULL);
	v = value_of(rig_query(worker, "sql", "{\"text\":\"select count(*) as n from \\\"Counter\\\" where value > $1\",\"params\":[9]}"));
	assert_int_equal(int_of(mr_node_get(&v->items[0], "n")), 10);
	error_of(rig_query(worker, "sql", "{\"text\":\"delete from \\\"Counter\\\"\"}"), "sql_refused");
	error_of(rig_query(worker, "sql", "{\"text\":\"select nosuch\"}"), "sql_error");
}

static bool bell_was_rung(void)
{
	uint64_t times;
	return read(rig.bell, &times, sizeof times) == sizeof times;
}

/* An answer that is sent at once stands for the bell; one that takes longer to be printed does not. */
static void test_bell(void **state)
{
	static const struct {
		const char *args;
		bool rings;
	} cases[] = {{"{\"name\":\"a\",\"n\":10}", true}, {"{\"name\":\"b\",\"n\":100000}", false}};
	fresh_worker(NULL); /* in which nothing is under way that might ring */
	bell_was_rung();    /* whatever rang before */
	for (int i = 0; i < 2; i++) {
		char call[2] = {(char)('1' + i), 0};
		uint64_t n = rig_mutation(worker, "createAndTell", cases[i].args, "bell", call);
		value_of(n);
		assert_true(mr_str_is(mr_node_str(rig_answer(&rig, n), "t"), cases[i].rings ? "wrote" : "reply"));
		assert_int_equal(bell_was_rung(), !cases[i].rings);
	}
	value_of(rig_query(worker, "quiet", "{}"));
	assert_false(bell_was_rung());
}

static void test_ring(void **state)
{
	uint8_t token[MR_TOKEN_BYTES];
	struct mr_buf payload = {0};
	uint64_t at;
	while (mr_ring_read(rig.ring, worker->lane, token, &payload, &at))
		mr_buf_reset(&payload);
	value_of(rig_mutation(worker, "create", "{\"name\":\"r\"}", "ringer", "1"));
	mr_buf_reset(&payload);
	assert_int_equal(mr_ring_read(rig.ring, worker->lane, token, &payload, &at), 1);
	assert_true(holds(mr_buf_view(&payload), "\"ringer\""));
	assert_int_equal(mr_ring_state(rig.ring, worker->lane, at), MR_SLOT_COMMITTED);
	assert_memory_equal(token, "\x00\x11\x22\x33\x44\x55\x66\xff", 8);
	/* A function that throws leaves nothing but the record that it was refused. */
	error_of(rig_mutation(worker, "writeAndThrow", "{\"name\":\"t\"}", "ringer", "2"), "function_failed");
	mr_buf_reset(&payload);
	assert_int_equal(mr_ring_read(rig.ring, worker->lane, token, &payload, &at), 1);
	assert_true(holds(mr_buf_view(&payload), "{\"$error\":{\"code\":\"function_failed\""));
	assert_true(holds(mr_buf_view(&payload), "\"changes\":[]"));
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Counter\" where name = 't'"), 0);
	mr_buf_fini(&payload);
}

/* Turns are given back after the answer. */
static void no_turn_is_left(void)
{
	for (int64_t end = mr_mono_us() + 10000000; mr_test_ask_int(rig.db, "select count(*) from pg_locks where locktype = 'advisory'");
		rig_wait(&rig, 10))
		assert_true(mr_mono_us() < end);
}

static void test_contention(void **state)
{
	enum { EACH = 125, AT_ONCE = 8 };
	const char *args = new_counter("hot");
	uint64_t under_way[AT_ONCE];
	char call[16];
	for (int i = 0; i < EACH * AT_ONCE; i++) {
		int slot = i % AT_ONCE;
		if (i >= AT_ONCE) /* whichever is done makes room; the order does not matter here */
			value_of(under_way[slot]);
		snprintf(call, sizeof call, "%d", i);
		under_way[slot] = rig_mutation(worker, "increment", args, "contention", call);
	}
	for (int i = 0; i < AT_ONCE; i++)
		value_of(under_way[i]);
	assert_int_equal(counter_value("hot"), EACH * AT_ONCE);
	no_turn_is_left();
}

/* Calls that never conflict themselves, in another worker, come between read and write of those who do; no lost turn is forgiven. */
static void test_contention_refuses_nobody(void **state)
{
	enum { TOUCHES = 900, EVERY = 45, INCREMENTS = TOUCHES / EVERY, AT_ONCE = 16 };
	const char *const env[] = {"MILLRACE_MUTATION_RETRIES=0", NULL};
	fresh_worker(env);
	struct rig_worker *other = rig_start(&rig, env);
	const char *args = new_counter("calm");
	uint64_t touches[AT_ONCE], increments[INCREMENTS];
	char slow[128], call[16];
	snprintf(slow, sizeof slow, "%.*s,\"seconds\":0.01}", (int)strlen(args) - 1, args);
	for (int i = 0; i < TOUCHES; i++) {
		snprintf(call, sizeof call, "%d", i);
		if (i >= AT_ONCE)
			value_of(touches[i % AT_ONCE]);
		touches[i % AT_ONCE] = rig_mutation(other, "touch", args, "touches", call);
		if (i % EVERY == 0)
			increments[i / EVERY] = rig_mutation(worker, "incrementSlowly", slow, "calm", call);
	}
	for (int i = 0; i < AT_ONCE; i++)
		value_of(touches[i]);
	for (int i = 0; i < INCREMENTS; i++)
		value_of(increments[i]);
	assert_int_equal(counter_value("calm"), INCREMENTS);
	no_turn_is_left();
	assert_int_equal(rig_end(other), 0);
	fresh_worker(NULL);
}

static void test_two_workers_contend(void **state)
{
	const char *args = new_counter("two");
	struct rig_worker *other = rig_start(&rig, NULL);
	uint64_t n[40];
	char slow[128], call[16];
	snprintf(slow, sizeof slow, "%.*s,\"seconds\":0.01}", (int)strlen(args) - 1, args);
	for (int i = 0; i < 40; i++) {
		snprintf(call, sizeof call, "%d", i);
		n[i] = rig_mutation(i % 2 ? other : worker, "incrementSlowly", slow, "two", call);
	}
	for (int i = 0; i < 40; i++)
		value_of(n[i]);
	assert_int_equal(counter_value("two"), 40);
	assert_int_equal(rig_end(other), 0);
}

static void test_reruns_see_the_same(void **state)
{
	const struct mr_node *a = value_of(rig_mutation(worker, "seen", "{}", "same", "1"));
	const struct mr_node *b = value_of(rig_mutation(worker, "seen", "{}", "same", "2"));
	assert_true(mr_str_eq(mr_node_get(a, "random")->raw, mr_node_get(b, "random")->raw));
	assert_int_equal(int_of(mr_node_get(a, "now")), 1750000000123);
}

static void test_isolation(void **state)
{
	uint64_t n = rig_send(worker,
		"\"t\":\"call\",\"kind\":\"mutation\",\"fn\":\"t.mine\",\"args\":{\"text\":\"x\"},\"auth\":{\"userId\":\"ann\"},"
		"\"session\":\"iso\",\"call\":\"%d.1\",\"hour\":%d,\"seed\":\"1\",\"now\":1",
		mr_this_hour(), mr_this_hour());
	value_of(n);
	assert_string_equal(mr_test_ask(rig.db, "select owner from \"Note\""), "ann");
	assert_string_equal(mr_test_ask(rig.db, "select user_id from millrace.change_log where session = 'iso'"), "ann");
}

/* A call that was done, and fails when it is run again: its record is the answer. */
static void test_done_before(void **state)
{
	uint64_t n = rig_mutation(worker, "create", "{\"name\":\"done\"}", "before", "1");
	const char *id = text_of(value_of(n)->text);
	n = rig_mutation(worker, "create", "{\"name\":\"done\"}", "before", "1");
	assert_string_equal(text_of(value_of(n)->text), id);
	assert_true(mr_node_truth(rig_answer(&rig, n), "dup"));
	error_of(rig_mutation(worker, "create", "{\"name\":\"other\"}", "before", "1"), "call_mismatch");
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Counter\""), 1);
}

/* ---- failures of functions ---- */

static void test_throw(void **state)
{
	const struct mr_node *e = error_of(rig_query(worker, "throws", "{}"), "function_failed");
	assert_true(holds(mr_node_str(e, "message"), "the reason"));
	assert_true(holds(mr_node_str(mr_node_get(e, "data"), "stack"), "bundle.js:"));
	e = error_of(rig_query(worker, "refuses", "{}"), "app_error");
	assert_string_equal(text_of(mr_node_str(mr_node_get(e, "data"), "code")), "closed");
	error_of(rig_query(worker, "stuck", "{}"), "function_failed");
	fresh_worker(production);
	e = error_of(rig_query(worker, "throws", "{}"), "function_failed");
	assert_false(holds(e->raw, "the reason"));
	assert_null(mr_node_get(e, "data"));
	e = error_of(rig_query(worker, "refuses", "{}"), "app_error");
	assert_string_equal(text_of(mr_node_str(e, "message")), "not today");
	value_of(rig_query(worker, "says", "{}"));
	assert_int_equal(rig.logs.n, 0);
	fresh_worker(NULL);
}

static void test_poisoned(void **state)
{
	value_of(rig_mutation(worker, "create", "{\"name\":\"p\"}", "s", "p1"));
	error_of(rig_mutation(worker, "create", "{\"name\":\"p\"}", "s", "p2"), "unique_violation");
	error_of(rig_mutation(worker, "catches", "{\"name\":\"p\"}", "s", "p3"), "unique_violation");
	const struct mr_node *e = error_of(rig_mutation(worker, "maps", "{\"name\":\"p\"}", "s", "p4"), "app_error");
	assert_string_equal(text_of(mr_node_str(mr_node_get(e, "data"), "why")), "unique_violation");
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Counter\""), 1);
	/* A refused call stays refused. */
	mr_test_exec(rig.db, "delete from \"Counter\"");
	e = error_of(rig_mutation(worker, "maps", "{\"name\":\"p\"}", "s", "p4"), "app_error");
	assert_string_equal(text_of(mr_node_str(mr_node_get(e, "data"), "why")), "unique_violation");
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Counter\""), 0);
}

static void test_console(void **state)
{
	value_of(rig_query(worker, "says", "{}"));
	struct mr_str logs = mr_buf_view(&rig.logs);
	assert_true(holds(logs, "\"text\":\"one { two: 2 }\""));
	assert_true(holds(logs, "\"level\":\"warn\""));
	assert_true(holds(logs, "\"fn\":\"t.says\""));
	assert_true(holds(logs, "Error: three"));
	mr_buf_reset(&rig.logs);
	value_of(rig_query(worker, "saysMuch", "{}"));
	size_t lines = 0;
	for (size_t i = 0; i < rig.logs.n; i++)
		lines += rig.logs.p[i] == '\n';
	assert_in_range(lines, 1000, 1002);
}

static void test_promises_between_calls(void **state)
{
	uint64_t a = rig_query(worker, "sharing", "{}"), b = rig_query(worker, "sharing", "{}");
	assert_int_equal(int_of(mr_node_get(&value_of(a)->items[0], "answer")), 42);
	assert_int_equal(int_of(mr_node_get(&value_of(b)->items[0], "answer")), 42);
	assert_string_equal(text_of(value_of(rig_query(worker, "stray", "{}"))->text), "done");
}

/* ---- limits ---- */

static void test_plain_loop(void **state)
{
	fresh_worker(fast);
	uint64_t slow = rig_query(worker, "sleep", "{\"seconds\":0.6}"), loop = rig_query(worker, "plainLoop", "{}"),
		 late = rig_query(worker, "lateLoop", "{}");
	const struct mr_node *e = error_of(loop, "time_limit");
	assert_string_equal(text_of(mr_node_str(mr_node_get(e, "data"), "setting")), "function_time_limit");
	error_of(late, "time_limit");
	assert_true(holds(mr_buf_view(&rig.slow), "{\"t\":\"slow\",\"fn\":\"t.plainLoop\",\"ms\":"));
	assert_true(holds(mr_buf_view(&rig.slow), ",\"ended\":true}"));
	assert_false(holds(mr_buf_view(&rig.slow), "t.sleep"));
	value_of(slow);
	value_of(rig_query(worker, "hello", "{\"name\":\"still\"}"));
	assert_int_equal(worker->status, -1);
}

static void dies(const char *fn, enum mr_reason want, int status)
{
	uint64_t n = rig_query(worker, fn, "{}"), call;
	enum mr_reason reason;
	int s = rig_wait_end(worker);
	assert_true(WIFEXITED(s));
	assert_int_equal(WEXITSTATUS(s), status);
	mr_ring_last(rig.ring, worker->lane, &call, &reason);
	assert_int_equal(call, n);
	assert_int_equal(reason, want);
	assert_false(rig_has_answer(&rig, n));
	worker = rig_start(&rig, fast);
	value_of(rig_query(worker, "hello", "{\"name\":\"again\"}"));
}

static void test_runaways(void **state)
{
	fresh_worker(fast);
	dies("promiseLoop", MR_REASON_TIME, 77);
	fresh_worker(patient); /* on a machine that is busy its time would be over first */
	dies("eat", MR_REASON_MEMORY, 78);
	uint64_t n = rig_query(worker, "regexp", "{}"); /* stopped by the engine or by the guard: one or the other, and soon */
	for (int64_t end = mr_mono_us() + 10000000; worker->link && !rig_has_answer(&rig, n); rig_turn(&rig, 20))
		assert_true(mr_mono_us() < end);
	if (worker->link) {
		error_of(n, "time_limit");
	} else {
		uint64_t call;
		enum mr_reason reason;
		rig_wait_end(worker);
		mr_ring_last(rig.ring, worker->lane, &call, &reason);
		assert_int_equal(call, n);
		worker = rig_start(&rig, NULL);
	}
	fresh_worker(NULL);
}

static void test_runaway_after_a_write(void **state)
{
	fresh_worker(fast);
	rig_mutation(worker, "loopAfterWrite", "{\"name\":\"never\"}", "s", "w1");
	assert_int_equal(WEXITSTATUS(rig_wait_end(worker)), 77);
	worker = rig_start(&rig, NULL);
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Counter\""), 0);
}

static void test_call_time_limit(void **state)
{
	const char *const env[] = {"MILLRACE_CALL_TIME_LIMIT=400", "MILLRACE_WORKER_CONNECTIONS=2", NULL};
	fresh_worker(env);
	int64_t began = mr_mono_us();
	uint64_t a = rig_query(worker, "sleep", "{\"seconds\":20}"), b = rig_query(worker, "sleep", "{\"seconds\":20}");
	const struct mr_node *e = error_of(a, "time_limit");
	assert_string_equal(text_of(mr_node_str(mr_node_get(e, "data"), "setting")), "call_time_limit");
	error_of(b, "time_limit");
	error_of(rig_query(worker, "zombie", "{}"), "time_limit");
	assert_true(mr_mono_us() - began < 5000000);
	value_of(rig_query(worker, "hello", "{\"name\":\"free\"}"));
	for (int64_t end = mr_mono_us() + 5000000;; rig_wait(&rig, 50)) {
		if (!mr_test_ask_int(rig.db, "select count(*) from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and "
					     "pid <> pg_backend_pid()"))
			break;
		assert_true(mr_mono_us() < end);
	}
	fresh_worker(NULL);
}

/* ---- live queries ---- */

static void test_run(void **state)
{
	const char *args = new_counter("live");
	uint64_t n = rig_send(
		worker, "\"t\":\"run\",\"fn\":\"t.counter\",\"args\":%s,\"auth\":null,\"shared\":true,\"seed\":\"1\",\"now\":1", args);
	assert_int_equal(int_of(value_of(n)), 0);
	const struct mr_node *reads = mr_node_get(rig_answer(&rig, n), "reads");
	assert_int_equal(reads->n, 1);
	assert_string_equal(text_of(reads->items[0].items[0].text), "Counter");
	assert_true(mr_node_str(rig_answer(&rig, n), "snapshot").n > 2);
	/* Reading nothing is also as of a snapshot. */
	n = rig_send(worker, "\"t\":\"run\",\"fn\":\"t.quiet\",\"args\":{},\"auth\":null,\"shared\":true,\"seed\":\"1\",\"now\":1");
	assert_int_equal(int_of(value_of(n)), 7);
	assert_true(mr_node_str(rig_answer(&rig, n), "snapshot").n > 2);
}

/* A live query's run that takes too long would hold back vacuum: it ends, in Postgres too. */
static void rule_21_runs_end_in_time(void **state)
{
	const char *const env[] = {"MILLRACE_CALL_TIME_LIMIT=400", NULL};
	fresh_worker(env);
	error_of(rig_send(worker, "\"t\":\"run\",\"fn\":\"t.sleep\",\"args\":{\"seconds\":20},\"auth\":null,\"shared\":true,\"seed\":\"1\","
				  "\"now\":1"),
		"time_limit");
	for (int64_t end = mr_mono_us() + 10000000;; rig_wait(&rig, 50)) {
		if (!mr_test_ask_int(rig.db,
			    "select count(*) from pg_stat_activity where backend_xmin is not null and query like '%pg_sleep%' "
			    "and pid <> pg_backend_pid()"))
			break;
		assert_true(mr_mono_us() < end);
	}
	fresh_worker(NULL);
}

static void rule_18_split(void **state)
{
	uint64_t n = rig_send(worker, "\"t\":\"run\",\"fn\":\"t.who\",\"args\":{},\"auth\":null,\"shared\":true,\"seed\":\"1\",\"now\":1");
	assert_true(mr_node_truth(rig_answer(&rig, n), "split"));
	assert_null(mr_node_get(rig_answer(&rig, n), "value"));
	n = rig_send(
		worker, "\"t\":\"run\",\"fn\":\"t.who\",\"args\":{},\"auth\":{\"userId\":\"u\"},\"shared\":false,\"seed\":\"1\",\"now\":1");
	assert_string_equal(text_of(value_of(n)->text), "u");
}

static uint64_t send_read(const char *more)
{
	struct mr_arena a = {0};
	struct mr_buf where = {0}, quoted = {0};
	const struct mr_entity *e = mr_app_entity(rig.app, MR_STR("Counter"));
	const struct mr_pred yes = {.op = MR_P_TRUE};
	mr_pred_print(&where, e, &yes);
	mr_json_quote(&quoted, mr_buf_view(&where));
	uint64_t n =
		rig_send(worker, "\"t\":\"read\",\"entity\":\"Counter\",\"where\":%s,\"order\":[[\"value\",\"desc\"]]%s", quoted.p, more);
	mr_buf_fini(&where);
	mr_buf_fini(&quoted);
	mr_arena_fini(&a);
	return n;
}

static void test_read(void **state)
{
	value_of(rig_mutation(worker, "many", "{\"n\":5,\"name\":\"m\"}", "s", "l1"));
	const struct mr_node *a = rig_answer(&rig, send_read(",\"limit\":3"));
	assert_string_equal(text_of(mr_node_str(a, "t")), "rows");
	const struct mr_node *rows = mr_node_get(a, "rows");
	assert_int_equal(rows->n, 3);
	assert_int_equal(int_of(mr_node_get(&rows->items[0], "value")), 4);
	assert_true(mr_node_str(a, "snapshot").n > 2);
	assert_int_equal(mr_node_get(rig_answer(&rig, send_read(",\"limit\":-1")), "rows")->n, 5);
}

/* At an exported snapshot what came later is not there. */
static void rule_13_import(void **state)
{
	value_of(rig_mutation(worker, "create", "{\"name\":\"before\"}", "s", "i1"));
	PGconn *tick = mr_test_connect(&rig.pg);
	mr_test_exec(tick, "begin isolation level repeatable read read only");
	char more[96];
	snprintf(more, sizeof more, ",\"limit\":-1,\"snapshot\":\"%s\"", mr_test_ask(tick, "select pg_export_snapshot()"));
	value_of(rig_mutation(worker, "create", "{\"name\":\"after\"}", "s", "i2"));
	assert_int_equal(mr_node_get(rig_answer(&rig, send_read(more)), "rows")->n, 1);
	mr_test_exec(tick, "commit");
	PQfinish(tick);
	assert_non_null(mr_node_get(rig_answer(&rig, send_read(more)), "error"));
}

/* Imports do not wait behind mutations. */
static void rule_13_reserve(void **state)
{
	const char *const env[] = {"MILLRACE_WORKER_CONNECTIONS=4", NULL};
	fresh_worker(env);
	uint64_t slow[8];
	for (int i = 0; i < 8; i++)
		slow[i] = rig_query(worker, "sleep", "{\"seconds\":0.5}");
	PGconn *tick = mr_test_connect(&rig.pg);
	mr_test_exec(tick, "begin isolation level repeatable read read only");
	char more[96];
	snprintf(more, sizeof more, ",\"limit\":-1,\"snapshot\":\"%s\"", mr_test_ask(tick, "select pg_export_snapshot()"));
	rig_answer(&rig, send_read(more));
	assert_false(rig_has_answer(&rig, slow[7]));
	PQfinish(tick);
	for (int i = 0; i < 8; i++)
		value_of(slow[i]);
	fresh_worker(NULL);
}

/* ---- entity acts ---- */

static const char *new_note(const char *user, const char *fields)
{
	char args[256];
	snprintf(args, sizeof args, "{\"entity\":\"Note\",\"value\":{%s}}", fields);
	return text_of(mr_node_str(value_of(rig_entity(worker, "insert", args, user)), "id"));
}

static const char *note_args(const char *id, const char *value)
{
	return text_of(mr_arena_printf(&rig.arena, "{\"entity\":\"Note\",\"id\":\"%s\",\"value\":{%s}}", id, value));
}

static void test_entity_insert(void **state)
{
	const char *id = new_note("ann", "\"text\":\"hi\"");
	assert_string_equal(mr_test_ask(rig.db, "select owner from \"Note\" where id = '%s'", id), "ann");
	error_of(rig_entity(worker, "insert", "{\"entity\":\"Note\",\"value\":{\"text\":\"x\"}}", NULL), "unauthenticated");
	error_of(rig_entity(worker, "insert", "{\"entity\":\"Note\",\"value\":{\"text\":\"x\",\"owner\":\"bob\"}}", "ann"), "forbidden");
	error_of(rig_entity(worker, "insert", "{\"entity\":\"Note\",\"value\":{\"text\":\"x\",\"secret\":\"s\"}}", "ann"), "unknown_field");
	error_of(rig_entity(worker, "insert", "{\"entity\":\"Note\",\"value\":{\"text\":5}}", "ann"), "bad_value");
	error_of(rig_entity(worker, "insert", "{\"entity\":\"Note\",\"value\":7}", "ann"), "bad_value");
	error_of(rig_entity(worker, "insert", "{\"entity\":\"Counter\",\"value\":{\"name\":\"x\",\"value\":1}}", "ann"), "forbidden");
	error_of(rig_entity(worker, "bogus", "{\"entity\":\"Note\"}", "ann"), "bad_message");
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Note\""), 1);
}

static void rule_26_entity_read(void **state)
{
	const char *a = new_note("ann", "\"text\":\"one\""), *b = new_note("bob", "\"text\":\"two\"");
	const char *hidden = new_note("ann", "\"text\":\"three\",\"hidden\":true");
	mr_test_exec(rig.db, "update \"Note\" set secret = 'geheim'");
	const struct mr_node *v = value_of(rig_entity(worker, "list", "{\"entity\":\"Note\",\"order\":[[\"text\",\"desc\"]]}", NULL));
	assert_int_equal(v->n, 2);
	assert_string_equal(text_of(mr_node_str(&v->items[0], "id")), b);
	assert_false(holds(v->raw, "geheim"));
	v = value_of(rig_entity(worker, "list", "{\"entity\":\"Note\",\"where\":{\"owner\":\"ann\"},\"limit\":5}", NULL));
	assert_int_equal(v->n, 1);
	assert_string_equal(text_of(mr_node_str(value_of(rig_entity(worker, "get", note_args(a, ""), NULL)), "text")), "one");
	error_of(rig_entity(worker, "get", note_args(hidden, ""), "ann"), "not_found");
	error_of(rig_entity(worker, "get", note_args("00000000-0000-4000-8000-000000000000", ""), "ann"), "not_found");
	error_of(rig_entity(worker, "get", note_args("nonsense", ""), "ann"), "bad_value");
	error_of(rig_entity(worker, "list", "{\"entity\":\"Note\",\"where\":{\"secret\":\"g\"}}", "ann"), "unknown_field");
	error_of(rig_entity(worker, "list", "{\"entity\":\"Note\",\"order\":[[\"secret\",\"asc\"]]}", "ann"), "unknown_field");
	error_of(rig_entity(worker, "list", "{\"entity\":\"Note\",\"limit\":-5}", "ann"), "bad_filter");
	assert_int_equal(value_of(rig_entity(worker, "list", "{\"entity\":\"Counter\"}", "ann"))->n, 0);
}

static void test_entity_update(void **state)
{
	const char *id = new_note("ann", "\"text\":\"one\",\"kind\":\"k\""), *hidden = new_note("ann", "\"text\":\"h\",\"hidden\":true");
	const struct mr_node *v =
		value_of(rig_entity(worker, "update", note_args(id, "\"text\":\"two\",\"owner\":\"ann\",\"kind\":\"k\""), "ann"));
	assert_string_equal(text_of(mr_node_str(v, "text")), "two");
	error_of(rig_entity(worker, "update", note_args(id, "\"text\":\"x\""), "bob"), "forbidden");
	error_of(rig_entity(worker, "update", note_args(id, "\"text\":\"x\""), NULL), "unauthenticated");
	error_of(rig_entity(worker, "update", note_args(id, "\"owner\":\"bob\""), "ann"), "forbidden");
	error_of(rig_entity(worker, "update", note_args(id, "\"kind\":\"other\""), "ann"), "forbidden");
	error_of(rig_entity(worker, "update", note_args(id, "\"secret\":\"other\""), "ann"), "unknown_field");
	error_of(rig_entity(worker, "update", note_args(hidden, "\"text\":\"x\""), "ann"), "not_found");
	assert_string_equal(mr_test_ask(rig.db, "select text from \"Note\" where id = '%s'", id), "two");
	/* What it becomes may be out of its writer's own sight. */
	v = value_of(rig_entity(worker, "update", note_args(id, "\"hidden\":true"), "ann"));
	assert_int_equal(v->n, 1);
	assert_string_equal(text_of(mr_node_str(v, "id")), id);
}

static void test_entity_delete(void **state)
{
	const char *id = new_note("ann", "\"text\":\"one\""), *keep = new_note("ann", "\"text\":\"keep\"");
	error_of(rig_entity(worker, "delete", note_args(id, ""), "bob"), "forbidden");
	error_of(rig_entity(worker, "delete", note_args(keep, ""), "ann"), "forbidden");
	assert_string_equal(text_of(mr_node_str(value_of(rig_entity(worker, "delete", note_args(id, ""), "ann")), "text")), "one");
	error_of(rig_entity(worker, "delete", note_args(id, ""), "ann"), "not_found");
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Note\""), 1);
}

static void test_entity_once(void **state)
{
	const char *fmt =
		"\"t\":\"call\",\"kind\":\"entity\",\"fn\":\"insert\",\"args\":{\"entity\":\"Note\",\"value\":{\"text\":\"once\"}},"
		"\"auth\":{\"userId\":\"ann\"},\"session\":\"http\",\"call\":\"%d.9\",\"hour\":%d,\"seed\":\"1\",\"now\":1";
	const struct mr_node *a = value_of(rig_send(worker, fmt, mr_this_hour(), mr_this_hour()));
	const struct mr_node *b = value_of(rig_send(worker, fmt, mr_this_hour(), mr_this_hour()));
	assert_true(mr_str_eq(mr_node_str(a, "id"), mr_node_str(b, "id")));
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Note\""), 1);
}

/* ---- deaths ---- */

/* Killed somewhere in the middle, each call is sent again as it was: it runs once. */
static void test_kill_worker(void **state)
{
	enum { CALLS = 60 };
	const char *args = new_counter("killed");
	uint64_t n[CALLS];
	char call[16];
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < CALLS; i++) {
			snprintf(call, sizeof call, "%d", round * CALLS + i);
			n[i] = rig_mutation(worker, "increment", args, "kill", call);
		}
		while (!rig_has_answer(&rig, n[5 + round * 10]))
			rig_turn(&rig, 5);
		kill(worker->pid, SIGKILL);
		rig_wait_end(worker);
		worker = rig_start(&rig, NULL);
		for (int i = 0; i < CALLS; i++)
			if (!rig_has_answer(&rig, n[i])) {
				snprintf(call, sizeof call, "%d", round * CALLS + i);
				n[i] = rig_mutation(worker, "increment", args, "kill", call);
			}
		for (int i = 0; i < CALLS; i++)
			value_of(n[i]);
	}
	assert_int_equal(counter_value("killed"), 3 * CALLS);
}

/* Connections die under the calls, also in COMMIT: the worker settles each by itself. */
static void test_lost_connections(void **state)
{
	enum { CALLS = 200 };
	const char *args = new_counter("lost");
	uint64_t n[CALLS];
	char call[16];
	int next = 0;
	for (int i = 0; i < CALLS; i++) {
		snprintf(call, sizeof call, "%d", i);
		n[i] = rig_mutation(worker, "increment", args, "lost", call);
		if (i % 20 == 19) {
			while (!rig_has_answer(&rig, n[next]))
				rig_turn(&rig, 1);
			next = i - 5;
			mr_test_exec(rig.db, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and "
					     "backend_type = 'client backend'");
		}
	}
	for (int i = 0; i < CALLS; i++)
		value_of(n[i]);
	assert_int_equal(counter_value("lost"), CALLS);
}

static void test_postgres_gone(void **state)
{
	const char *const env[] = {"MILLRACE_CALL_TIME_LIMIT=1500", NULL};
	fresh_worker(env);
	PQfinish(rig.db);
	mr_test_pg_stop(&rig.pg, SIGQUIT);
	error_of(rig_mutation(worker, "create", "{\"name\":\"g\"}", "gone", "1"), "postgres_unavailable");
	error_of(rig_query(worker, "counters", "{}"), "postgres_unavailable");
	uint64_t n = rig_mutation(worker, "create", "{\"name\":\"h\"}", "gone", "2");
	mr_test_pg_start(&rig.pg);
	rig.db = mr_test_connect(&rig.pg);
	rig_answer(&rig, n); /* in time or not; then the same id settles it */
	value_of(rig_mutation(worker, "create", "{\"name\":\"h\"}", "gone", "2"));
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from \"Counter\" where name = 'h'"), 1);
	fresh_worker(NULL);
}

static void test_cancel(void **state)
{
	uint64_t n = rig_query(worker, "sleep", "{\"seconds\":20}");
	rig_wait(&rig, 100);
	mr_link_send(worker->link, mr_str(text_of(mr_arena_printf(&rig.arena, "{\"t\":\"cancel\",\"n\":%d}", (int)n))));
	assert_non_null(mr_node_get(rig_answer(&rig, n), "error"));
	mr_link_send(worker->link, MR_STR("{\"t\":\"cancel\",\"n\":4000}"));
	value_of(rig_query(worker, "hello", "{\"name\":\"x\"}"));
}

/* Another worker has it: what waits here is never begun, what runs goes on. */
static void test_forget(void **state)
{
	uint64_t n[12];
	const char *counter = new_counter("forgotten");
	for (int i = 0; i < 12; i++)
		n[i] = rig_query(worker, "sleep", "{\"seconds\":0.3}");
	uint64_t forgotten = rig_mutation(worker, "increment", counter, "s", "g1");
	rig_wait(&rig, 100);
	const uint64_t both[] = {n[0], forgotten};
	for (int i = 0; i < 2; i++)
		mr_link_send(worker->link, mr_str(text_of(mr_arena_printf(&rig.arena, "{\"t\":\"forget\",\"n\":%d}", (int)both[i]))));
	for (int i = 0; i < 12; i++)
		value_of(n[i]);
	value_of(rig_query(worker, "hello", "{\"name\":\"x\"}"));
	assert_false(rig_has_answer(&rig, forgotten));
	assert_int_equal(counter_value("forgotten"), 0);
}

static void test_drain(void **state)
{
	uint64_t n[12];
	for (int i = 0; i < 12; i++)
		n[i] = rig_query(worker, "sleep", "{\"seconds\":0.2}");
	assert_int_equal(rig_end(worker), 0);
	worker = NULL;
	for (int i = 0; i < 12; i++)
		value_of(n[i]);
}

static void test_fanout_gone(void **state)
{
	rig_mutation(worker, "incrementSlowly",
		text_of(mr_arena_printf(&rig.arena, "%.*s,\"seconds\":30}", (int)strlen(new_counter("f")) - 1, new_counter("g"))), "s",
		"f1");
	rig_wait(&rig, 200);
	mr_link_delete(&worker->link);
	assert_int_equal(rig_wait_end(worker), 0);
	worker = NULL;
	rig_wait(&rig, 200);
	assert_int_equal(mr_test_ask_int(rig.db, "select count(*) from pg_stat_activity where query like '%pg_sleep%' and state = 'active' "
						 "and pid <> pg_backend_pid()"),
		0);
}

/* ---- the manifest ---- */

static void manifest_of(const char *source, struct mr_buf *out, struct mr_buf *err, int *status)
{
	char path[256];
	snprintf(path, sizeof path, "%s/other.js", rig.dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(source, f);
	fclose(f);
	mr_buf_reset(out);
	mr_buf_reset(err);
	*status = rig_manifest(&rig, path, out, err);
}

static void test_manifest(void **state)
{
	struct mr_buf out = {0}, err = {0};
	int status;
	assert_int_equal(rig.app->version.n, 16);
	manifest_of("globalThis.__millrace = { manifest: () => '{}', call() {}, settle() {} };\nlet x = ;", &out, &err, &status);
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_true(holds(mr_buf_view(&err), "SyntaxError") && holds(mr_buf_view(&err), "bundle.js:2"));
	manifest_of("\n\n  throw new Error('at start');", &out, &err, &status);
	assert_true(holds(mr_buf_view(&err), "at start") && holds(mr_buf_view(&err), "bundle.js:3:"));
	manifest_of("1", &out, &err, &status);
	assert_true(holds(mr_buf_view(&err), "is no app"));
	manifest_of("globalThis.__millrace = { manifest: () => '{\"entities\":5}', call() {}, settle() {} };", &out, &err, &status);
	assert_int_equal(WEXITSTATUS(status), 1);
	manifest_of("globalThis.__millrace = { manifest: () => 'no json', call() {}, settle() {} };", &out, &err, &status);
	assert_int_equal(WEXITSTATUS(status), 1);
	mr_buf_fini(&out);
	mr_buf_fini(&err);
}

/* ---- source maps ---- */

/* Two files; the second line of the bundle begins with code from nowhere. */
static const char map_text[] = "{\"version\":3,\"sources\":[\"app.ts\",\"functions/a.ts\"],\"names\":[],"
			       "\"mappings\":\"AAAA,IAAIA;A,CCCC;;KADD\"}";

static void test_source_map(void **state)
{
	struct mr_source_map *map = mr_source_map_read(mr_str(map_text), "bundle.js");
	struct mr_buf out = {0};
	const char *source;
	int line, column;
	assert_non_null(map);
	assert_true(mr_source_map_find(map, 1, 6, &source, &line, &column));
	assert_string_equal(source, "app.ts");
	assert_int_equal(line, 1);
	assert_int_equal(column, 5);
	assert_true(mr_source_map_find(map, 2, 9, &source, &line, &column));
	assert_string_equal(source, "functions/a.ts");
	assert_int_equal(line, 2);
	assert_false(mr_source_map_find(map, 3, 1, &source, &line, &column));
	assert_false(mr_source_map_find(map, 9, 1, &source, &line, &column));
	mr_source_map_text(map, MR_STR("at f@bundle.js:1:6 and bundle.js:9:1, bundle.js, bundle.js:1"), &out);
	assert_string_equal(out.p, "at f@app.ts:1:5 and bundle.js:9:1, bundle.js, bundle.js:1");
	mr_buf_fini(&out);
	mr_source_map_delete(&map);
	/* Cut short or changed anywhere: a map or none, never a fault. */
	for (size_t i = 0; i < sizeof map_text; i++) {
		char text[sizeof map_text];
		memcpy(text, map_text, sizeof text);
		map = mr_source_map_read((struct mr_str){text, i}, "bundle.js");
		mr_source_map_delete(&map);
		for (const char *c = "g;,9\xff\""; *c; c++) {
			text[i] = *c;
			map = mr_source_map_read((struct mr_str){text, sizeof text - 1}, "bundle.js");
			mr_source_map_delete(&map);
		}
	}
}

static int group_setup(void **state)
{
	rig_init(&rig, getenv("MILLRACE_WORKER_APP"));
	return 0;
}

static int group_teardown(void **state)
{
	if (worker)
		rig_end(worker);
	rig_fini(&rig);
	return 0;
}

#define T(name) cmocka_unit_test_setup(name, each_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_query),
		T(test_refusals),
		T(test_results_are_bounded),
		T(test_env),
		T(test_prelude),
		T(test_mutation),
		T(test_all_operations),
		T(test_bell),
		T(test_ring),
		T(test_contention),
		T(test_two_workers_contend),
		T(test_contention_refuses_nobody),
		T(test_reruns_see_the_same),
		T(test_isolation),
		T(test_done_before),
		T(test_throw),
		T(test_poisoned),
		T(test_console),
		T(test_promises_between_calls),
		T(test_plain_loop),
		T(test_runaways),
		T(test_runaway_after_a_write),
		T(test_call_time_limit),
		T(test_run),
		T(rule_21_runs_end_in_time),
		T(rule_18_split),
		T(test_read),
		T(rule_13_import),
		T(rule_13_reserve),
		T(test_entity_insert),
		T(rule_26_entity_read),
		T(test_entity_update),
		T(test_entity_delete),
		T(test_entity_once),
		T(test_kill_worker),
		T(test_lost_connections),
		T(test_postgres_gone),
		T(test_cancel),
		T(test_forget),
		T(test_drain),
		T(test_fanout_gone),
		T(test_manifest),
		T(test_source_map),
	};
	const char *only = getenv("WORKER_TEST");
	cmocka_set_test_filter(only);
	return cmocka_run_group_tests_name("worker", tests, group_setup, group_teardown);
}
