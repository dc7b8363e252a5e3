/* Transactions from begin to their three ends: results, errors, read sets, records, duplicates, commits that nobody answered. */
#include "txn_rig.h"

#include "proto/policy.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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
	rig_sql("insert into \"Channel\" (id, name) values ('" ID("1") "', 'one'), ('" ID("2") "', 'two')");
	return 0;
}

static struct mr_txn *begin(enum mr_txn_kind kind)
{
	return mr_txn_begin(pg, rig.app, kind, NULL);
}

static void answers(const struct rig_answer *a, const char *json)
{
	if (!a->json)
		fail_msg("%s: %s", mr_code_name(a->err.code), a->err.message);
	assert_string_equal(a->json, json);
}

static void refuses(const struct rig_answer *a, enum mr_code code)
{
	assert_null(a->json);
	if (a->err.code != code)
		fail_msg("%s: %s", mr_code_name(a->err.code), a->err.message);
}

/* ---- entities ---- */

static void writes_answer_rows(void **state)
{
	struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
	answers(rig_write(txn, RIG_INSERT, "Node", "", "{\"id\":\"" ID("5") "\",\"label\":\"x\"}"),
		"{\"id\":\"" ID("5") "\",\"parent\":null,\"label\":\"x\"}");
	answers(rig_write(txn, RIG_PATCH, "Node", ID("5"), "{\"parent\":\"" ID("5") "\"}"),
		"{\"id\":\"" ID("5") "\",\"parent\":\"" ID("5") "\",\"label\":\"x\"}");
	answers(rig_write(txn, RIG_PATCH, "Node", ID("5"), "{}"), "{\"id\":\"" ID("5") "\",\"parent\":\"" ID("5") "\",\"label\":\"x\"}");
	answers(rig_write(txn, RIG_REPLACE, "Node", ID("5"), "{\"id\":\"" ID("5") "\",\"label\":\"y\"}"),
		"{\"id\":\"" ID("5") "\",\"parent\":null,\"label\":\"y\"}");
	answers(rig_write(txn, RIG_PATCH, "Node", ID("6"), "{\"label\":\"z\"}"), "null");
	answers(rig_write(txn, RIG_REPLACE, "Node", ID("6"), "{\"label\":\"z\"}"), "null");
	answers(rig_write(txn, RIG_REMOVE, "Node", ID("6"), NULL), "null");
	answers(rig_read(txn, "Node", "{\"label\":\"y\"}"), "[{\"id\":\"" ID("5") "\",\"parent\":null,\"label\":\"y\"}]");
	answers(rig_write(txn, RIG_REMOVE, "Node", ID("5"), NULL), "{\"id\":\"" ID("5") "\",\"parent\":null,\"label\":\"y\"}");
	answers(rig_read(txn, "Node", "{}"), "[]");
	assert_int_equal(rig_commit(&txn, "", "", NULL)->end, MR_DONE);
}

/* An update says itself that it is captured, unless it finds no row: whatever comes next is captured once all the same. */
static void rule_03_after_an_update_that_found_no_row(void **state)
{
	for (enum mr_txn_kind kind = MR_TXN_SERIALIZABLE; kind <= MR_TXN_READ_COMMITTED; kind++) {
		int64_t mark = rig_mark();
		struct mr_txn *txn = begin(kind);
		answers(rig_write(txn, RIG_PATCH, "Node", ID("5"), "{\"label\":\"x\"}"), "null");
		assert_non_null(rig_sql_in(txn, "insert into \"Node\" (id, label) values ('" ID("5") "', 'sql')", "[]")->json);
		answers(rig_write(txn, RIG_PATCH, "Channel", ID("6"), "{\"name\":\"x\"}"), "null");
		answers(rig_read(txn, "Channel", "{\"name\":\"nobody\"}"), "[]");
		assert_non_null(rig_write(txn, RIG_PATCH, "Node", ID("5"), "{\"label\":\"y\"}")->json);
		assert_non_null(rig_sql_in(txn, "update \"Node\" set label = 'z'", "[]")->json);
		answers(rig_write(txn, RIG_PATCH, "Node", ID("6"), "{\"label\":\"x\"}"), "null");
		assert_non_null(rig_write(txn, RIG_REMOVE, "Node", ID("5"), NULL)->json);
		assert_int_equal(rig_commit(&txn, "", "", NULL)->end, MR_DONE);
		RIG_CHANGES(mark, "Node+ Node~ Node~ Node-");
	}
}

static void defaults(void **state)
{
	struct mr_txn *txn = begin(MR_TXN_READ_COMMITTED);
	const struct rig_answer *a =
		rig_write(txn, RIG_INSERT, "Message", "", "{\"id\":\"" ID("5") "\",\"channel\":\"" ID("1") "\",\"author\":\"a\",\"n\":8}");
	assert_non_null(strstr(a->json, "\"n\":8"));
	a = rig_write(txn, RIG_REPLACE, "Message", ID("5"), "{\"channel\":\"" ID("1") "\",\"author\":\"b\"}");
	assert_non_null(strstr(a->json, "\"n\":7"));
	assert_non_null(strstr(a->json, "\"body\":null"));
	assert_null(strstr(a->json, "\"createdAt\":null"));
	rig_rollback(&txn);
}

static void all_types(void **state)
{
	struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
	const char *row = "{\"id\":\"" ID(
		"5") "\",\"b\":true,\"i\":9007199254740991,\"g\":{\"$int\":\"9223372036854775807\"},\"f\":{\"$float\":\"NaN\"},"
		     "\"n\":\"123456789012345678901234567890.5\",\"s\":\"a\\\"\\\\\\u0001\xf0\x9f\x98\x80\",\"s2\":\"\",\"u\":\"" ID(
			     "9") "\","
				  "\"d\":\"2026-07-01T10:34:56.789Z\",\"y\":{\"$bytes\":\"AP9c\"},\"j\":{\"a\":[1,\"\xc3\xa9\"]}}";
	assert_non_null(rig_write(txn, RIG_INSERT, "All", "", row)->json);
	answers(rig_read(txn, "All",
			"{\"f\":{\"$float\":\"NaN\"},\"y\":{\"$bytes\":\"AP9c\"},\"n\":{\"$gt\":\"123456789012345678901234567890.4\"}}"),
		"[{\"id\":\"" ID(
			"5") "\",\"b\":true,\"i\":9007199254740991,\"g\":{\"$int\":\"9223372036854775807\"},\"f\":{\"$float\":\"NaN\"},"
			     "\"n\":\"123456789012345678901234567890.5\",\"s\":\"a\\\"\\\\\\u0001\xf0\x9f\x98\x80\",\"s2\":\"\",\"u\":"
			     "\"" ID("9") "\","
					  "\"d\":\"2026-07-01T10:34:56.789Z\",\"y\":{\"$bytes\":\"AP9c\"},\"j\":{\"a\": [1, \"\xc3\xa9\"]}}"
					  "]");
	rig_rollback(&txn);
}

static void refusals(void **state)
{
	struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
	refuses(rig_write(txn, RIG_INSERT, "Node", "", "{\"nope\":1}"), MR_UNKNOWN_FIELD);
	refuses(rig_write(txn, RIG_INSERT, "Node", "", "{\"label\":1}"), MR_BAD_VALUE);
	refuses(rig_write(txn, RIG_INSERT, "Message", "", "{\"author\":\"x\"}"), MR_BAD_VALUE);
	refuses(rig_write(txn, RIG_INSERT, "Message", "", "{\"author\":null,\"channel\":\"" ID("1") "\"}"), MR_BAD_VALUE);
	refuses(rig_write(txn, RIG_PATCH, "Node", "no uuid", "{}"), MR_BAD_VALUE);
	refuses(rig_write(txn, RIG_PATCH, "Node", ID("1"), "{\"id\":\"" ID("2") "\"}"), MR_BAD_VALUE);
	refuses(rig_write(txn, RIG_PATCH, "Node", ID("1"), "[]"), MR_BAD_VALUE);
	/* these did not reach Postgres; the transaction is whole */
	assert_non_null(rig_write(txn, RIG_INSERT, "Node", "", "{}")->json);
	refuses(rig_write(txn, RIG_INSERT, "Channel", "", "{\"name\":\"one\"}"), MR_UNIQUE_VIOLATION);
	refuses(rig_write(txn, RIG_INSERT, "Node", "", "{}"), MR_UNIQUE_VIOLATION);
	refuses(rig_read(txn, "Node", "{}"), MR_UNIQUE_VIOLATION);
	const struct rig_end *e = rig_commit(&txn, "s", "1.1", NULL);
	assert_int_equal(e->end, MR_REFUSED);
	assert_int_equal(e->err.code, MR_UNIQUE_VIOLATION);
	txn = begin(MR_TXN_SERIALIZABLE);
	refuses(rig_write(txn, RIG_INSERT, "Message", "", "{\"author\":\"x\",\"channel\":\"" ID("7") "\"}"), MR_REFERENCE_VIOLATION);
	rig_rollback(&txn);
	txn = begin(MR_TXN_READ);
	refuses(rig_write(txn, RIG_INSERT, "Node", "", "{}"), MR_SQL_ERROR);
	rig_rollback(&txn);
	RIG_IS("0", "select count(*) from \"Node\"");
}

static struct mr_pred *author_is(struct mr_arena *a, const char *name)
{
	struct mr_value *v = mr_arena_alloc(a, sizeof(*v));
	struct mr_pred *p = mr_arena_alloc(a, sizeof(*p));
	*v = (struct mr_value){.type = MR_T_STRING, .text = mr_str(name)};
	*p = (struct mr_pred){.op = MR_P_EQ, .field = mr_entity_field(rig_entity("Message"), MR_STR("author")), .values = v, .n = 1};
	return p;
}

static void policies(void **state)
{
	rig_sql("insert into \"Message\" (id, channel, author) values ('" ID("5") "', '" ID("1") "', 'ann')");
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *to_bob = mr_json_read(&a, MR_STR("{\"author\":\"bob\"}"), 9, true, &err);
	struct {
		const char *old, *new;
		bool allowed;
	} cases[] = {{"ann", "bob", true}, {"bob", "bob", false}, {"ann", "ann", false}, {NULL, NULL, true}};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
		struct mr_write w = {.entity = rig_entity("Message"), .id = MR_STR(ID("5")), .value = to_bob};
		w.allow_old = cases[i].old ? author_is(&a, cases[i].old) : NULL;
		w.allow_new = cases[i].new ? author_is(&a, cases[i].new) : NULL;
		struct rig_answer r = {0};
		mr_txn_patch(txn, &w, rig_answered, &r);
		rig_until(&r.done, "patched");
		assert_int_equal(r.json != NULL, cases[i].allowed);
		assert_int_equal(r.err.code, cases[i].allowed ? MR_OK : MR_FORBIDDEN);
		rig_free_answer(&r);
		rig_rollback(&txn);
	}
	mr_arena_fini(&a);
	RIG_IS("ann", "select author from \"Message\"");
}

/* A policy that asks what another table holds, in the transaction that writes: as of before each write. */
static void policies_that_ask_sets(void **state)
{
	static const char to_one[] = "exists(Channel, id == data.channel && name == 'one')",
			  self[] = "exists(Node, id == data.parent && label == 'top')";
	static const struct {
		enum { INSERT, PATCH, NOTHING, REMOVE } what;
		const char *entity, *value, *old, *new;
		enum mr_code code;
	} cases[] = {
		{INSERT, "Message", "{\"channel\":\"" ID("1") "\",\"author\":\"x\"}", NULL, to_one, MR_OK},
		{INSERT, "Message", "{\"channel\":\"" ID("2") "\",\"author\":\"x\"}", NULL, to_one, MR_FORBIDDEN},
		{PATCH, "Message", "{\"channel\":\"" ID("1") "\"}", to_one, to_one, MR_OK},
		{PATCH, "Message", "{\"channel\":\"" ID("2") "\"}", to_one, to_one, MR_FORBIDDEN},
		{PATCH, "Message", "{\"channel\":\"" ID("2") "\"}", to_one, NULL, MR_OK},
		{PATCH, "Message", "{\"channel\":\"" ID("2") "\"}", "data.author == 'ann'",
			"!exists(Channel, id == data.channel && name == 'one')", MR_OK},
		{PATCH, "Message", "{\"body\":\"x\"}", "!exists(Channel, id == data.channel && name == 'one')", NULL, MR_FORBIDDEN},
		{PATCH, "Message", "{\"body\":\"x\"}", "data.author == 'bob'", to_one, MR_FORBIDDEN},
		{NOTHING, "Message", "{}", to_one, to_one, MR_OK},
		{NOTHING, "Message", "{}", "!exists(Channel, id == data.channel && name == 'one')", NULL, MR_FORBIDDEN},
		{REMOVE, "Message", NULL, to_one, NULL, MR_OK},
		{REMOVE, "Message", NULL, "!exists(Channel, id == data.channel)", NULL, MR_FORBIDDEN},
		/* What a write makes true does not allow it, and it cannot take back what does. */
		{INSERT, "Node", "{\"id\":\"" ID("8") "\",\"parent\":\"" ID("8") "\",\"label\":\"top\"}", NULL, self, MR_FORBIDDEN},
		{PATCH, "Node", "{\"label\":\"none\"}", self, self, MR_OK},
	};
	rig_sql("insert into \"Message\" (id, channel, author) values ('" ID("5") "', '" ID(
		"1") "', 'ann');"
		     "insert into \"Node\" (id, parent, label) values ('" ID("5") "', '" ID("5") "', 'top')");
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_arena a = {0};
		struct mr_error err;
		struct mr_write w = {.entity = rig_entity(cases[i].entity), .id = MR_STR(ID("5"))};
		struct rig_answer r = {0};
		struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
		w.value = cases[i].value ? mr_json_read(&a, mr_str(cases[i].value), 9, true, &err) : NULL;
		w.allow_old = cases[i].old ? mr_policy_compile(&a, w.entity, mr_str(cases[i].old), NULL, &err) : NULL;
		w.allow_new = cases[i].new ? mr_policy_compile(&a, w.entity, mr_str(cases[i].new), NULL, &err) : NULL;
		if (cases[i].what == INSERT)
			mr_txn_insert(txn, &w, rig_answered, &r);
		else if (cases[i].what == REMOVE)
			mr_txn_remove(txn, &w, rig_answered, &r);
		else
			mr_txn_patch(txn, &w, rig_answered, &r);
		rig_until(&r.done, "written");
		if (r.err.code != cases[i].code)
			fail_msg("case %zu: %s %s", i, mr_code_name(r.err.code), r.err.message);
		rig_free_answer(&r);
		rig_rollback(&txn);
		mr_arena_fini(&a);
	}
}

/* A column that is not as declared is an error of its own, and nothing is guessed. */
static void schema_changed(void **state)
{
	rig_sql("alter table \"Node\" rename label to tag; insert into \"Node\" (tag) values ('x')");
	struct mr_txn *txn = begin(MR_TXN_READ);
	refuses(rig_read(txn, "Node", "{}"), MR_SCHEMA_CHANGED);
	rig_rollback(&txn);
	rig_sql("alter table \"Node\" rename tag to label");
}

/* What was prepared for the table as it was is prepared anew, for the next attempt. */
static void type_altered(void **state)
{
	rig_sql("insert into \"Node\" (label) values ('x')");
	struct mr_txn *txn = begin(MR_TXN_READ);
	assert_non_null(rig_read(txn, "Node", "{}")->json);
	rig_rollback(&txn);
	rig_sql("alter table \"Node\" alter label type varchar(9)");
	txn = begin(MR_TXN_READ);
	refuses(rig_read(txn, "Node", "{}"), MR_CONFLICT);
	rig_rollback(&txn);
	txn = begin(MR_TXN_READ);
	assert_non_null(strstr(rig_read(txn, "Node", "{}")->json, "\"label\":\"x\""));
	rig_rollback(&txn);
	rig_sql("alter table \"Node\" alter label type text");
}

/* ---- reads ---- */

static void reads_are(struct mr_txn *txn, const char *expected)
{
	struct mr_buf b = {0};
	mr_txn_reads(txn, &b);
	assert_string_equal(b.p, expected);
	mr_buf_fini(&b);
}

static void snapshots_and_loads(void **state)
{
	struct mr_error err;
	PGconn *other = mr_sync_open(rig.conninfo.p, &err);
	PGresult *res;
	assert_true(mr_sync_run(other, &err, "begin isolation level repeatable read"));
	res = mr_sync_query(other, &err, "select pg_export_snapshot(), pg_current_snapshot()", 0, NULL);
	char *name = mr_strdup(PQgetvalue(res, 0, 0)), *snapshot = mr_strdup(PQgetvalue(res, 0, 1));
	PQclear(res);
	rig_sql("insert into \"Channel\" (name) values ('three')");
	struct mr_txn *txn = mr_txn_begin(pg, rig.app, MR_TXN_READ, name);
	assert_string_equal(mr_txn_snapshot(txn), "");
	const struct mr_entity *e = rig_entity("Channel");
	const struct mr_order order[] = {{mr_entity_field(e, MR_STR("name")), true}, {0, true}};
	struct mr_plan plan = {.entity = e, .order = order, .n_order = 2, .limit = 1};
	struct rig_answer a = {0};
	mr_txn_load(txn, &plan, rig_answered, &a);
	rig_until(&a.done, "loaded");
	struct mr_buf expected = {0};
	mr_buf_printf(&expected, "{\"snapshot\":\"%s\",\"rows\":[{\"id\":\"" ID("2") "\",\"name\":\"two\"}]}", snapshot);
	answers(&a, expected.p);
	assert_string_equal(mr_txn_snapshot(txn), snapshot);
	reads_are(txn, "[[\"Channel\",null]]");
	rig_rollback(&txn);
	rig_free_answer(&a);
	/* gone, and no name at all: no word about what was asked, so it is to be asked again */
	assert_true(mr_sync_run(other, &err, "rollback"));
	PQfinish(other);
	for (int i = 0; i < 2; i++) {
		txn = mr_txn_begin(pg, rig.app, MR_TXN_READ, i ? "x' or '1" : name);
		const struct rig_answer *refused = rig_read(txn, "Channel", "{}");
		assert_null(refused->json);
		assert_int_equal(refused->err.code, MR_POSTGRES_UNAVAILABLE);
		rig_rollback(&txn);
	}
	mr_buf_fini(&expected);
	free(name);
	free(snapshot);
}

static void verify(struct mr_txn *txn, struct rig_answer *a)
{
	*a = (struct rig_answer){0};
	mr_txn_verify(txn, rig_answered, a);
	rig_until(&a->done, "verified");
}

/* CLOCK.md rule 7: under a snapshot from before, a table that was truncated or rewritten since then reads as it is now. */
static void rule_07_tables_rewritten_behind_a_snapshot(void **state)
{
	static const char *const rewrites[] = {
		"truncate \"Node\"", "alter table \"Node\" alter column label type text using label || 'x'", NULL};
	struct rig_answer a;
	for (size_t i = 0; i < MR_COUNT(rewrites); i++) {
		rig_sql("insert into \"Node\" (label) values ('one')");
		struct mr_txn *txn = begin(MR_TXN_READ);
		rig_read(txn, "Channel", "{}"); /* takes the snapshot */
		rig_sql("insert into \"Channel\" (name) values ('an ordinary write') on conflict do nothing");
		if (rewrites[i])
			rig_sql(rewrites[i]);
		rig_read(txn, "Node", "{}");
		verify(txn, &a);
		if (rewrites[i])
			refuses(&a, MR_CONFLICT);
		else
			answers(&a, "null");
		rig_free_answer(&a);
		rig_rollback(&txn);
	}
}

static void rule_24_read_sets(void **state)
{
	struct {
		const char *sql, *params, *reads;
	} cases[] = {
		{"select count(*) from \"Message\" where channel = $1", "[\"" ID("1") "\"]", "[[\"Message\",C1,[\"channel\"]]]"},
		{"select count(*) from \"Message\" m join \"Channel\" c on c.id = m.channel and c.name = 'one' where $1::uuid = m.channel",
			"[\"" ID("1") "\"]", "[[\"Message\",C1,[\"channel\"]],[\"Channel\",N1]]"},
		{"select count(*) from \"Message\" where channel = $1 or n = 1", "[\"" ID("1") "\"]",
			"[[\"Message\",null,[\"channel\",\"n\"]]]"},
		{"select (select count(*) from \"Message\" where channel = c.id) from \"Channel\" c where c.name = $1", "[\"one\"]",
			"[[\"Message\",null,[\"channel\"]],[\"Channel\",N1]]"},
		{"with c as (select * from \"Channel\" where name = 'one') select * from c", NULL, "[[\"Channel\",N1]]"},
		{"with \"Message\" as (select 1) select * from \"Message\"", NULL, "[]"},
		{"select * from \"Channel\" c left join \"Message\" m on m.channel = c.id and c.name = 'one'", NULL,
			"[[\"Channel\",null],[\"Message\",null]]"},
		{"select 1 from \"Channel\" as c(a, name) where name = 'one'", NULL, NULL},
		{"select * from plain_view", NULL, "[[\"Channel\",null]]"},
		{"select channels()", NULL, "[[\"Channel\",null]]"},
		{"select * from other", NULL, "[[\"\",\"public.other\"]]"},
		{"select relname from pg_class limit 1", NULL, "[]"},
		{"select 1 from \"Channel\" where name in ('one', 'one')", NULL, "[[\"Channel\",N1,[\"name\"]]]"},
		{"select 1 from \"Channel\" where name = any($1)", "[[\"one\",null]]", "[[\"Channel\",N1,[\"name\"]]]"},
		{"select 1 from \"Channel\" where name = $1::varchar(2)", "[\"one\"]", "[[\"Channel\",null,[\"name\"]]]"},
		{"select 1 from \"Channel\" union select 2 from \"Channel\" where name = 'one'", NULL,
			"[[\"Channel\",null,[\"name\"]],[\"Channel\",N1,[\"name\"]]]"},
		/* which columns: none, some, all by a star, by the row itself, by a name that is no field's */
		{"select count(*) from \"Message\"", NULL, "[[\"Message\",null,[]]]"},
		{"select author, count(*) as total from \"Message\" m where m.channel = $1 group by author order by total desc",
			"[\"" ID("1") "\"]", "[[\"Message\",C1,[\"channel\",\"author\"]]]"},
		{"select body as n from \"Message\" order by n", NULL, "[[\"Message\",null,[\"body\"]]]"},
		{"select array_agg(body order by n) as n from \"Message\" order by n", NULL, "[[\"Message\",null,[\"body\",\"n\"]]]"},
		{"select m.* from \"Message\" m", NULL, "[[\"Message\",null]]"},
		{"select count(m) from \"Message\" m", NULL, "[[\"Message\",null]]"},
		{"select m.xmin::text from \"Message\" m", NULL, "[[\"Message\",null]]"},
		{"select count(*) from public.\"Message\" where public.\"Message\".n = 1", NULL, "[[\"Message\",null,[\"n\"]]]"},
		{"select to_json(public.\"Message\") from public.\"Message\"", NULL, NULL},
		{"select c.id from \"Channel\" c where exists (select from \"Message\" m where m.channel = c.id)", NULL,
			"[[\"Channel\",null,[\"id\"]],[\"Message\",null,[\"channel\"]]]"},
		{"select count(*) from \"Channel\" join \"Message\" using (id)", NULL,
			"[[\"Channel\",null,[\"id\"]],[\"Message\",null,[\"id\"]]]"},
		{"select count(*) from \"Channel\" natural join \"Message\"", NULL, "[[\"Channel\",null],[\"Message\",null]]"},
		{"select m.n, name from \"Message\" m join \"Channel\" c on c.id = m.channel", NULL,
			"[[\"Message\",null],[\"Channel\",null]]"},
		{"select count(n) from \"All\"", NULL, "[[\"All\",null]]"},
		{"select count(i) from \"All\"", NULL, "[[\"All\",null,[\"i\"]]]"},
	};
	rig_sql("create view plain_view as select * from \"Channel\"; create table other (x int);"
		"create function channels() returns bigint language plpgsql as $$ begin return (select count(*) from \"Channel\"); end $$");
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_buf c1 = {0}, n1 = {0};
	const char *wheres[] = {"{\"channel\":\"" ID("1") "\"}", "{\"name\":\"one\"}"};
	for (int i = 0; i < 2; i++) {
		const struct mr_entity *e = rig_entity(i ? "Channel" : "Message");
		const struct mr_pred *p = mr_pred_from_where(&a, e, mr_json_read(&a, mr_str(wheres[i]), 9, false, &err), false, &err);
		mr_pred_print(i ? &n1 : &c1, e, mr_pred_normal(&a, p));
	}
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_buf expected = {0}, got = {0};
		for (const char *t = cases[i].reads; t && *t; t++) {
			if (!strncmp(t, "C1", 2) || !strncmp(t, "N1", 2))
				mr_buf_str(&expected, mr_buf_view(*t++ == 'C' ? &c1 : &n1));
			else
				mr_buf_char(&expected, *t);
		}
		struct mr_txn *txn = begin(MR_TXN_READ);
		const struct rig_answer *r = rig_sql_in(txn, cases[i].sql, cases[i].params);
		mr_txn_reads(txn, &got);
		if (cases[i].reads && (!r->json || strcmp(got.p, expected.p)))
			fail_msg("%s: %s, not %s %s", cases[i].sql, got.p, expected.p, r->err.message);
		rig_rollback(&txn);
		mr_buf_fini(&expected);
		mr_buf_fini(&got);
	}
	mr_buf_fini(&c1);
	mr_buf_fini(&n1);
	mr_arena_fini(&a);
}

/* A read that asks a set has read that too, and of its own table all that it may find. */
static void rule_24_sets_are_read(void **state)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_plan plan = {.entity = rig_entity("Message"), .limit = -1};
	plan.where = mr_policy_compile(&a, plan.entity,
		MR_STR("data.author == 'ann' && !(data.n == 1 && exists(Channel, id == data.channel && name == 'one'))"), NULL, &err);
	rig_sql("insert into \"Message\" (channel, author, n) values ('" ID("1") "', 'ann', 1), ('" ID("2") "', 'ann', 1), ('" ID(
		"1") "', 'ann', 2), ('" ID("2") "', 'bob', 1)");
	struct mr_txn *txn = begin(MR_TXN_READ);
	struct rig_answer r = {0};
	mr_txn_read(txn, &plan, rig_answered, &r);
	rig_until(&r.done, "read");
	assert_non_null(r.json);
	assert_null(strstr(r.json, "bob"));
	assert_int_equal(mr_json_read(&a, mr_str(r.json), 9, true, &err)->n, 2);
	reads_are(txn, "[[\"Channel\",[\"eq\",\"name\",\"one\"]],[\"Message\",[\"eq\",\"author\",\"ann\"]]]");
	rig_free_answer(&r);
	rig_rollback(&txn);
	mr_arena_fini(&a);
}

/* ---- statements ---- */

static void statements(void **state)
{
	struct mr_txn *txn = begin(MR_TXN_READ);
	answers(rig_sql_in(txn,
			"select 1 as i, 9223372036854775807 as g, 1.50 as n, 'x' as t, true as b, null as z, 0.5::float8 as f, "
			"'infinity'::float8 as inf, "
			"'2026-01-02 03:04:05+00'::timestamptz as d, '\\x00ff'::bytea as y, '{\"a\": [1]}'::jsonb as j, date '2026-01-02' "
			"as o",
			NULL),
		"[{\"i\":1,\"g\":{\"$int\":\"9223372036854775807\"},\"n\":\"1.5\",\"t\":\"x\",\"b\":true,\"z\":null,\"f\":0.5,"
		"\"inf\":{\"$float\":\"Infinity\"},\"d\":\"2026-01-02T03:04:05.000Z\",\"y\":{\"$bytes\":\"AP8=\"},\"j\":{\"a\":[1]},\"o\":"
		"\"2026-01-02\"}]");
	answers(rig_sql_in(txn, "select 1 as a, 2 as b, 3 as a", NULL), "[{\"b\":2,\"a\":3}]");
	answers(rig_sql_in(txn,
			"select $1::int[] as a, $2::jsonb->>'k' as k, $3::text[] as t, $4::bytea = '\\x00ff' as y, $5::int is null as z",
			"[[1,2],{\"k\":\"v\"},[\"a\\\"b\",null],{\"$bytes\":\"AP8=\"},null]"),
		"[{\"a\":\"{1,2}\",\"k\":\"v\",\"t\":\"{\\\"a\\\\\\\"b\\\",NULL}\",\"y\":true,\"z\":true}]");
	const char *refused_in_reads[] = {"insert into \"Node\" default values",
		"with x as (delete from \"Node\" returning 1) select * from x", "select 1 from \"Node\" for update"};
	for (size_t i = 0; i < MR_COUNT(refused_in_reads); i++)
		refuses(rig_sql_in(txn, refused_in_reads[i], NULL), MR_SQL_REFUSED);
	rig_rollback(&txn);
	const char *refused[] = {"", "select 1; select 2", "begin", "commit", "set timezone = 'UTC'", "create table x ()",
		"select set_config('a.b', 'c', true)", "select pg_catalog.set_config($1, $2, true)", "select * from millrace.change_log",
		"select millrace.uuid_v7()", "select current_setting('millrace.capturing')", "select nextval('millrace.seq')",
		"select * into t from \"Node\"", "select query_to_xml('select 1', true, true, '')", "copy \"Node\" to stdout", "listen x",
		"do $$ begin end $$", "lock table \"Node\"", "truncate \"Node\"", "select 1 from set_config('a.b', 'c', true)",
		"select pg_advisory_lock(1)", "select null::millrace.setting"};
	txn = begin(MR_TXN_SERIALIZABLE);
	for (size_t i = 0; i < MR_COUNT(refused); i++)
		refuses(rig_sql_in(txn, refused[i], NULL), MR_SQL_REFUSED);
	refuses(rig_sql_in(txn, "select ) from", NULL), MR_SQL_ERROR);
	answers(rig_sql_in(txn, "insert into \"Channel\" (id, name) values ('" ID("3") "', $1) returning name;", "[\"3\"]"),
		"[{\"name\":\"3\"}]");
	refuses(rig_sql_in(txn, "select 1 / 0", NULL), MR_SQL_ERROR);
	refuses(rig_sql_in(txn, "select 1", NULL), MR_SQL_ERROR);
	rig_rollback(&txn);
}

/* ---- ends ---- */

static void rule_09_done_and_duplicate(void **state)
{
	int fd;
	struct mr_ring *ring = mr_ring_create(1, 65536, &fd), *lane;
	const char *why;
	mr_ring_reset_lane(ring, 0);
	lane = mr_ring_attach(fd, 0, &why);
	struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
	rig_write(txn, RIG_INSERT, "Node", "", "{\"id\":\"" ID("5") "\",\"label\":\"x\"}");
	const struct rig_end *e = rig_commit(&txn, "s1", "20000.1", lane);
	assert_int_equal(e->end, MR_DONE);
	uint64_t xid = e->xid, position;
	RIG_IS("1",
		"select count(*) from millrace.change_log where xid = '%llu' and session = 's1' and call = '20000.1' and fn = 'm.f' and "
		"user_id = 'u1' and result->>'ok' = '1' and changes->0->'n'->>'label' = 'x'",
		(unsigned long long)xid);
	uint8_t token[MR_TOKEN_BYTES];
	struct mr_buf payload = {0};
	assert_int_equal(mr_ring_read(ring, 0, token, &payload, &position), 1);
	assert_int_equal(mr_ring_state(ring, 0, position), MR_SLOT_COMMITTED);
	char *changes =
		rig_value("select '{\"session\":\"s1\",\"call\":\"20000.1\",\"result\":' || result || ',\"changes\":' || changes || '}' "
			  "from millrace.change_log where session = 's1'");
	assert_string_equal(payload.p, changes);
	free(changes);
	/* again: the first result, and nothing of the second run */
	mr_buf_reset(&payload);
	txn = begin(MR_TXN_SERIALIZABLE);
	rig_write(txn, RIG_INSERT, "Node", "", "{\"label\":\"second\"}");
	e = rig_commit(&txn, "s1", "20000.1", lane);
	assert_int_equal(e->end, MR_DUPLICATE);
	assert_int_equal(e->xid, xid);
	assert_string_equal(e->result, "{\"ok\":1}");
	assert_int_equal(mr_ring_read(ring, 0, token, &payload, &position), 1);
	assert_int_equal(mr_ring_state(ring, 0, position), MR_SLOT_ABORTED);
	RIG_IS("1", "select count(*) from \"Node\"");
	/* another identity, function or arguments */
	for (int i = 0; i < 3; i++) {
		struct mr_record record = {.session = MR_STR("s1"),
			.hour = mr_this_hour(),
			.call = MR_STR("20000.1"),
			.fn = MR_STR("m.f"),
			.user = MR_STR("u1")};
		if (i == 0)
			record.user = MR_STR("");
		else if (i == 1)
			record.fn = MR_STR("m.g");
		else
			record.args_hash[31] = 1;
		struct rig_end end = {0};
		txn = begin(MR_TXN_SERIALIZABLE);
		mr_txn_commit(&txn, &record, token, MR_STR("null"), NULL, rig_ended, &end);
		rig_until(&end.done, "answered");
		assert_int_equal(end.end, MR_REFUSED);
		assert_int_equal(end.err.code, MR_CALL_MISMATCH);
		free(end.result);
	}
	mr_buf_fini(&payload);
	mr_ring_delete(&ring);
	mr_ring_delete(&lane);
	close(fd);
}

static void commit_in_hour(int32_t hour, enum mr_end end, enum mr_code code)
{
	struct mr_record record = {.session = MR_STR("old"), .hour = hour, .call = MR_STR("1.1"), .fn = MR_STR("m.f")};
	const uint8_t token[MR_TOKEN_BYTES] = {9};
	struct rig_end e = {0};
	struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
	mr_txn_commit(&txn, &record, token, MR_STR("1"), NULL, rig_ended, &e);
	rig_until(&e.done, "answered");
	if (e.end != end || (end == MR_REFUSED && e.err.code != code))
		fail_msg("hour %+d: end %d, %s", hour - mr_this_hour(), e.end, e.err.message);
	free(e.result);
	assert_true(mr_pg_state(pg) == MR_PG_READY);
}

static void rule_09_expired_calls(void **state)
{
	struct mr_error err;
	assert_true(mr_log_retain(rig.conninfo.p, &err));
	int32_t now = mr_this_hour();
	commit_in_hour(now - 48, MR_DONE, MR_OK);
	commit_in_hour(now - 48, MR_DUPLICATE, MR_OK);
	commit_in_hour(now + 1, MR_DONE, MR_OK);
	commit_in_hour(now + 3, MR_REFUSED, MR_BAD_CALL_ID);
	commit_in_hour(now - 97, MR_REFUSED, MR_CALL_EXPIRED);
	commit_in_hour(0, MR_REFUSED, MR_CALL_EXPIRED);
	commit_in_hour(-20, MR_REFUSED, MR_CALL_EXPIRED);
}

/* A commit is asked for while writes are still under way, and one of nothing at all. */
static void commit_waits(void **state)
{
	struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
	struct rig_answer a[3] = {0};
	struct mr_arena arena = {0};
	struct mr_error err;
	struct mr_write w = {.entity = rig_entity("Node"), .value = mr_json_read(&arena, MR_STR("{\"label\":\"w\"}"), 9, true, &err)};
	for (int i = 0; i < 3; i++)
		mr_txn_insert(txn, &w, rig_answered, &a[i]);
	int64_t mark = rig_mark();
	const struct rig_end *e = rig_commit(&txn, "s2", "1", NULL);
	assert_int_equal(e->end, MR_DONE);
	for (int i = 0; i < 3; i++) {
		assert_non_null(a[i].json);
		rig_free_answer(&a[i]);
	}
	RIG_CHANGES(mark, "Node+ Node+ Node+");
	mr_arena_fini(&arena);
	txn = begin(MR_TXN_SERIALIZABLE);
	assert_int_equal(rig_commit(&txn, "s2", "2", NULL)->end, MR_DONE);
	RIG_IS("[]", "select changes from millrace.change_log where session = 's2' and call = '2'");
	/* rolled back with writes under way, and before anything was sent */
	txn = begin(MR_TXN_SERIALIZABLE);
	mr_txn_remove(txn, &(struct mr_write){.entity = rig_entity("Node"), .id = MR_STR(ID("1"))}, rig_answered, &a[0]);
	rig_rollback(&txn);
	assert_false(a[0].done);
	txn = begin(MR_TXN_SERIALIZABLE);
	rig_rollback(&txn);
}

static bool turn_refuses(int64_t turn, const char *call)
{
	struct mr_record record = {
		.session = MR_STR("turns"), .hour = mr_this_hour(), .call = mr_str(call), .fn = MR_STR("f"), .turn = turn};
	const uint8_t token[MR_TOKEN_BYTES] = {11};
	struct rig_end e = {0};
	struct mr_txn *txn = begin(MR_TXN_SERIALIZABLE);
	assert_non_null(rig_write(txn, RIG_INSERT, "Node", NULL, "{\"label\":\"t\"}")->json);
	mr_txn_commit(&txn, &record, token, MR_STR("1"), NULL, rig_ended, &e);
	rig_until(&e.done, "answered");
	assert_int_equal(e.end, e.turn ? MR_REFUSED : MR_DONE);
	assert_true(!e.turn || e.err.code == MR_CONFLICT);
	free(e.result);
	return e.turn;
}

/* Who has a lock alone lets nobody commit who asks for it; who shares it, does. */
static void turns(void **state)
{
	rig_sql("select pg_advisory_lock(77)");
	assert_true(turn_refuses(77, "1"));
	assert_false(turn_refuses(78, "2"));
	assert_false(turn_refuses(0, "3"));
	rig_sql("select pg_advisory_unlock(77), pg_advisory_lock_shared(77)");
	assert_false(turn_refuses(77, "1"));
	rig_sql("select pg_advisory_unlock_all()");
	RIG_IS("3", "select count(*) from \"Node\"");
	RIG_IS("0", "select count(*) from pg_locks where locktype = 'advisory'");
}

static void conflicts(void **state)
{
	struct mr_pg *other = rig_connect();
	rig_sql("insert into \"Node\" (id, label) values ('" ID("5") "', 'x')");
	struct mr_txn *a = begin(MR_TXN_SERIALIZABLE), *b = mr_txn_begin(other, rig.app, MR_TXN_SERIALIZABLE, NULL);
	assert_non_null(rig_read(a, "Node", "{\"id\":\"" ID("5") "\"}")->json);
	assert_non_null(rig_read(b, "Node", "{\"id\":\"" ID("5") "\"}")->json);
	assert_non_null(rig_write(a, RIG_PATCH, "Node", ID("5"), "{\"label\":\"a\"}")->json);
	assert_int_equal(rig_commit(&a, "", "", NULL)->end, MR_DONE);
	refuses(rig_write(b, RIG_PATCH, "Node", ID("5"), "{\"label\":\"b\"}"), MR_CONFLICT);
	rig_rollback(&b);
	mr_pg_delete(&other);
}

/* Rows of a small table that nobody shares do not conflict, though the planner would read all of it. */
static void rule_25_small_tables(void **state)
{
	struct mr_pg *other = rig_connect();
	rig_sql("insert into \"Node\" (id, label) values ('" ID("5") "', 'x'), ('" ID("6") "', 'y'); analyze \"Node\"");
	struct mr_txn *a = begin(MR_TXN_SERIALIZABLE), *b = mr_txn_begin(other, rig.app, MR_TXN_SERIALIZABLE, NULL);
	for (int i = 0; i < 2; i++) {
		const char *where = i ? "{\"id\":\"" ID("6") "\"}" : "{\"id\":\"" ID("5") "\"}";
		assert_non_null(rig_read(i ? b : a, "Node", where)->json);
		assert_non_null(rig_write(i ? b : a, RIG_PATCH, "Node", i ? ID("6") : ID("5"), "{\"label\":\"z\"}")->json);
	}
	assert_int_equal(rig_commit(&a, "", "", NULL)->end, MR_DONE);
	assert_int_equal(rig_commit(&b, "", "", NULL)->end, MR_DONE);
	mr_pg_delete(&other);
}

/* ---- lost connections ---- */

static void ends_as(struct mr_txn **txn, struct mr_pg *on, const char *call, bool kill_while_committing, enum mr_end end)
{
	struct rig_end e = {0};
	struct mr_record record = {.session = MR_STR("lost"), .hour = mr_this_hour(), .call = mr_str(call), .fn = MR_STR("f")};
	const uint8_t token[MR_TOKEN_BYTES] = {7};
	mr_txn_commit(txn, &record, token, MR_STR("\"r\""), NULL, rig_ended, &e);
	if (kill_while_committing) {
		/* its deferred trigger sleeps inside of COMMIT */
		mr_loop_turn(rig.loop, 50);
		RIG_IS("t", "select pg_sleep(0.2) is not null and pg_terminate_backend(%d)", mr_pg_backend_pid(on));
	}
	rig_until(&e.done, "an end");
	if (e.end != end)
		fail_msg("end %d: %s", e.end, e.err.message);
	if (end == MR_UNKNOWN)
		assert_string_equal(e.err.data, "{\"outcome\":\"unknown\"}");
	free(e.result);
}

static void rule_10_unknown_commits(void **state)
{
	rig_sql("create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(1); return null; end $$;"
		"create constraint trigger slow after insert on \"Node\" deferrable initially deferred for each row when (new.label = "
		"'slow') "
		"execute function slow()");
	struct mr_pg *other = rig_connect();
	struct mr_txn *txn = mr_txn_begin(other, rig.app, MR_TXN_SERIALIZABLE, NULL);
	assert_non_null(rig_write(txn, RIG_INSERT, "Node", "", "{\"label\":\"slow\"}")->json);
	ends_as(&txn, other, "1", true, MR_UNKNOWN);
	mr_pg_delete(&other);
	/* settled by asking again: it had not been committed, so it runs now, and then it is a double */
	for (int i = 0; i < 2; i++) {
		txn = begin(MR_TXN_SERIALIZABLE);
		ends_as(&txn, pg, "1", false, i ? MR_DUPLICATE : MR_DONE);
	}
	/* killed before COMMIT was sent: nothing happened, and that is certain */
	other = rig_connect();
	txn = mr_txn_begin(other, rig.app, MR_TXN_SERIALIZABLE, NULL);
	assert_non_null(rig_write(txn, RIG_INSERT, "Node", "", "{\"label\":\"x\"}")->json);
	RIG_IS("t", "select pg_terminate_backend(%d, 2000)", mr_pg_backend_pid(other));
	while (mr_pg_state(other) != MR_PG_DEAD)
		mr_loop_turn(rig.loop, 100);
	ends_as(&txn, other, "2", false, MR_REFUSED);
	mr_pg_delete(&other);
	rig_sql("drop trigger slow on \"Node\"");
	RIG_IS("0", "select count(*) from \"Node\"");
}

/* kill -9 of the server's process at COMMIT: all connections go; the record decides, whichever way it went. */
static void rule_10_killed_server_process(void **state)
{
	for (int i = 0; i < 6; i++) {
		struct mr_pg *other = rig_connect();
		char call[16];
		snprintf(call, sizeof(call), "k%d", i);
		struct mr_txn *txn = mr_txn_begin(other, rig.app, MR_TXN_SERIALIZABLE, NULL);
		assert_non_null(rig_write(txn, RIG_INSERT, "Node", "", "{\"label\":\"kill\"}")->json);
		struct rig_end e = {0};
		struct mr_record record = {.session = MR_STR("kill"), .hour = mr_this_hour(), .call = mr_str(call), .fn = MR_STR("f")};
		const uint8_t token[MR_TOKEN_BYTES] = {8, (uint8_t)i};
		mr_txn_commit(&txn, &record, token, MR_STR("1"), NULL, rig_ended, &e);
		usleep((useconds_t)(i * 150));
		assert_int_equal(kill(mr_pg_backend_pid(other), SIGKILL), 0);
		rig_until(&e.done, "an end");
		assert_true(e.end == MR_UNKNOWN || e.end == MR_DONE);
		enum mr_end first = e.end;
		free(e.result);
		mr_pg_delete(&other);
		mr_pg_delete(&pg);
		struct mr_error err;
		/* Once this one is gone Postgres has noticed, and takes no other before it has recovered. */
		while (mr_sync_run(rig.admin, &err, "select 1"))
			usleep(1000);
		PQfinish(rig.admin);
		while (!(rig.admin = mr_sync_open(rig.conninfo.p, &err)))
			usleep(20000);
		rig_sql("reset search_path");
		pg = rig_connect();
		char *there = rig_value("select count(*) from millrace.change_log where session = 'kill' and call = '%s'", call);
		if (first == MR_DONE)
			assert_string_equal(there, "1");
		txn = begin(MR_TXN_SERIALIZABLE);
		e = (struct rig_end){0};
		mr_txn_commit(&txn, &record, token, MR_STR("1"), NULL, rig_ended, &e);
		rig_until(&e.done, "settled");
		assert_int_equal(e.end, *there == '1' ? MR_DUPLICATE : MR_DONE);
		free(e.result);
		free(there);
	}
	RIG_IS("0",
		"select count(*) - (select count(*) from millrace.change_log where session = 'kill' and json_array_length(changes) > 0) "
		"from \"Node\" where label = 'kill'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(writes_answer_rows, clear),
		cmocka_unit_test_setup(rule_03_after_an_update_that_found_no_row, clear),
		cmocka_unit_test_setup(defaults, clear),
		cmocka_unit_test_setup(all_types, clear),
		cmocka_unit_test_setup(refusals, clear),
		cmocka_unit_test_setup(policies, clear),
		cmocka_unit_test_setup(policies_that_ask_sets, clear),
		cmocka_unit_test_setup(schema_changed, clear),
		cmocka_unit_test_setup(type_altered, clear),
		cmocka_unit_test_setup(snapshots_and_loads, clear),
		cmocka_unit_test_setup(rule_07_tables_rewritten_behind_a_snapshot, clear),
		cmocka_unit_test_setup(rule_24_read_sets, clear),
		cmocka_unit_test_setup(rule_24_sets_are_read, clear),
		cmocka_unit_test_setup(statements, clear),
		cmocka_unit_test_setup(rule_09_done_and_duplicate, clear),
		cmocka_unit_test_setup(rule_09_expired_calls, clear),
		cmocka_unit_test_setup(commit_waits, clear),
		cmocka_unit_test_setup(conflicts, clear),
		cmocka_unit_test_setup(rule_25_small_tables, clear),
		cmocka_unit_test_setup(turns, clear),
		cmocka_unit_test_setup(rule_10_unknown_commits, clear),
		cmocka_unit_test_setup(rule_10_killed_server_process, clear),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
