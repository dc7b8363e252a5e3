/* Values, comparisons and orders against a real Postgres: every row of a table with edges and random values, read as an image and as text,
 * compared by each operator with each value, and sorted both ways.
 */
#include "tests/unit/vectors.h"

#include <unistd.h>

#include "proto/predicate.h"
#include "tests/lib/postgres.h"

static struct mr_test_pg server;
static PGconn *pg;
static struct mr_app *app;
static struct mr_arena arena;

enum { ROWS = 120, COMPARED = 24 }; /* the first rows hold the edges */

static const char *const edges[MR_TYPES][24] = {
	[MR_T_BOOL] = {"true", "false"},
	[MR_T_INT] = {"0", "-1", "1", "9007199254740991", "9007199254740992", "9007199254740993", "9223372036854775807",
		"-9223372036854775808"},
	[MR_T_BIGINT] = {"0", "-1", "1", "9007199254740993", "9223372036854775807", "-9223372036854775808"},
	[MR_T_FLOAT] = {"NaN", "Infinity", "-Infinity", "0", "-0", "0.1", "1e20", "1e-5", "0.0001", "123456789.123", "1e15", "1e16",
		"5e-324", "1.7976931348623157e308", "2.2250738585072014e-308", "0.30000000000000004", "9007199254740993"},
	[MR_T_NUMERIC] = {"NaN", "Infinity", "-Infinity", "0", "0.00", "-0.0", "1", "1.0", "1.00", "1.5", "-1.5", "10", "9.99",
		"123456789012345678901234567890.123456789", "1e40", "1e-40", "0.0010", "-10", "1000000"},
	[MR_T_STRING] = {"", "a", "A", "aa", "b", "Z", "\xc3\xa9", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf0\x9f\x98\x80", "a\nb\t\"\\", "\x01\x1f\x7f", " ", "it's", "\xe2\x80\xa8"},
	[MR_T_UUID] = {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000",
		"ffffffff-ffff-ffff-ffff-ffffffffffff", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12"},
	[MR_T_DATETIME] = {"infinity", "-infinity", "2000-01-01 00:00:00+00", "1999-12-31 23:59:59.999999+00", "0001-01-01 00:00:00+00",
		"294276-12-31 23:59:59.999999+00", "2026-11-21 03:40:18.123+00", "2026-11-21 03:40:18.123001+00",
		"2026-11-21 05:40:18.123+02", "1900-02-28 23:59:59+00", "2000-02-29 12:00:00+00", "1969-12-31 23:59:59.5-05:30",
		"9999-12-31 23:59:59+00", "10000-01-01 00:00:00+00"},
	[MR_T_BYTES] = {"\\x", "\\x00", "\\x7f", "\\x80", "\\x8000", "\\xff", "\\x7fff"},
};

static const char *edge(enum mr_type type, int row)
{
	size_t n = 0;
	while (n < MR_COUNT(edges[type]) && edges[type][n])
		n++;
	/* Each edge once, then at random, with nulls. */
	if ((size_t)row < n)
		return edges[type][row];
	return row % 7 == 0 || !n ? NULL : edges[type][(size_t)rand() % n];
}

static int setup(void **state)
{
	struct mr_error err;
	struct mr_buf manifest = {0}, table = {0};
	mr_test_pg_init(&server);
	pg = mr_test_connect(&server);
	mr_buf_z(&manifest, "{\"entities\":[{\"name\":\"T\",\"fields\":[");
	mr_buf_z(&table, "create table t (id uuid primary key");
	for (int t = 0; t < MR_T_JSON; t++) {
		mr_buf_printf(&manifest, "%s{\"name\":\"c_%s\",\"type\":\"%s\",\"optional\":true}", t ? "," : "",
			mr_type_name((enum mr_type)t), mr_type_name((enum mr_type)t));
		mr_buf_printf(&table, ", c_%s %s%s", mr_type_name((enum mr_type)t), mr_type_sql((enum mr_type)t),
			t == MR_T_STRING ? " collate \"C\"" : "");
	}
	mr_buf_z(&manifest, "]}]}");
	mr_buf_z(&table, ")");
	app = mr_app_read(mr_buf_view(&manifest), &err);
	assert_non_null(app);
	mr_test_exec(pg, "%s",
		"set datestyle = 'ISO'; set timezone = 'UTC'; set extra_float_digits = 1; set bytea_output = hex; "
		"set intervalstyle = iso_8601; set client_encoding = 'UTF8'");
	mr_test_exec(pg, "%s", table.p);
	mr_buf_fini(&manifest);
	mr_buf_fini(&table);
	for (int row = 0; row < ROWS; row++) {
		char id[40];
		const char *params[MR_T_JSON + 1] = {id};
		snprintf(id, sizeof(id), "00000000-0000-7000-8000-%012d", row);
		for (int t = 0; t < MR_T_JSON; t++)
			params[t + 1] = edge((enum mr_type)t, row);
		PGresult *r = PQexecParams(
			pg, "insert into t values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)", MR_T_JSON + 1, NULL, params, NULL, NULL, 0);
		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			fail_msg("%s", PQerrorMessage(pg));
		PQclear(r);
	}
	return 0;
}

static int teardown(void **state)
{
	PQfinish(pg);
	mr_app_drop(&app);
	mr_arena_fini(&arena);
	mr_test_pg_fini(&server);
	return 0;
}

static PGresult *ask(const char *sql, const char *param)
{
	PGresult *r = PQexecParams(pg, sql, param != NULL, NULL, &param, NULL, NULL, 0);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(pg));
	return r;
}

static const char *text_at(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? NULL : PQgetvalue(r, row, col);
}

static struct mr_row rows[ROWS];

static void rule_22_images_equal_texts(void **state)
{
	const struct mr_entity *e = &app->entities[0];
	PGresult *r = ask("select row_to_json(t), t.* from t order by id", NULL);
	assert_int_equal(PQntuples(r), ROWS);
	for (int i = 0; i < ROWS; i++) {
		struct mr_error err;
		struct mr_str image = mr_arena_str(&arena, mr_str(PQgetvalue(r, i, 0)));
		const struct mr_node *n = mr_json_read(&arena, image, 512, false, &err);
		if (!n || !mr_row_from_image(&arena, e, n, &rows[i]))
			fail_msg("%s", image.p);
		for (size_t f = 0; f < e->n; f++) {
			struct mr_value v;
			const char *text = text_at(r, i, (int)f + 1);
			if (!mr_value_from_pgtext(&arena, e->fields[f].type, mr_str(text), &v) || !mr_value_eq(&v, &rows[i].v[f]))
				fail_msg("%s: %s and %s", e->fields[f].name.p, text ? text : "null", image.p);
		}
	}
	PQclear(r);
}

/* What the client is given, Postgres takes back as the same value. */
static void rule_22_texts_go_back(void **state)
{
	const struct mr_entity *e = &app->entities[0];
	for (int i = 0; i < ROWS; i++)
		for (size_t f = 1; f < e->n; f++) {
			struct mr_buf text = {0};
			char *sql = mr_printf("select %s is not distinct from $1 from t where id = '00000000-0000-7000-8000-%012d'",
				e->fields[f].name.p, i);
			if (!rows[i].v[f].null) {
				mr_value_pgtext(&text, &rows[i].v[f]);
				mr_buf_add(&text, "", 0);
				PGresult *r = ask(sql, text.p);
				if (strcmp(PQgetvalue(r, 0, 0), "t") != 0)
					fail_msg("%s: %s", e->fields[f].name.p, text.p);
				PQclear(r);
			}
			mr_buf_fini(&text);
			free(sql);
		}
}

static void compare_column(size_t f, const struct mr_value *v)
{
	static const struct {
		enum mr_pred_op op;
		const char *sql;
	} ops[] = {{MR_P_EQ, "="}, {MR_P_NE, "<>"}, {MR_P_LT, "<"}, {MR_P_LE, "<="}, {MR_P_GT, ">"}, {MR_P_GE, ">="},
		{MR_P_DISTINCT, "is distinct from"}};
	const char *name = app->entities[0].fields[f].name.p;
	struct mr_buf text = {0}, sql = {0};
	mr_value_pgtext(&text, v);
	mr_buf_add(&text, "", 0);
	mr_buf_z(&sql, "select ");
	for (size_t k = 0; k < MR_COUNT(ops); k++)
		mr_buf_printf(&sql, "%s%s %s $1", k ? ", " : "", name, ops[k].sql);
	mr_buf_z(&sql, " from t order by id");
	PGresult *r = ask(sql.p, text.p);
	for (int i = 0; i < ROWS; i++)
		for (size_t k = 0; k < MR_COUNT(ops); k++) {
			const char *truth = text_at(r, i, (int)k);
			int want = truth ? truth[0] == 't' : -1;
			if (mr_pred_eval(mr_pred_compare(&arena, ops[k].op, (int)f, v), &rows[i]) != want)
				fail_msg("row %d: %s %s %s is %d to Postgres", i, name, ops[k].sql, text.p, want);
		}
	PQclear(r);
	mr_buf_fini(&text);
	mr_buf_fini(&sql);
}

static void rule_22_comparisons(void **state)
{
	for (size_t f = 1; f < app->entities[0].n; f++)
		for (int i = 0; i < COMPARED; i++)
			if (!rows[i].v[f].null)
				compare_column(f, &rows[i].v[f]);
}

static const struct mr_order *sort_order;
static int by_order(const void *a, const void *b)
{
	return mr_order_cmp(sort_order, 2, a, b);
}

static void rule_22_orders(void **state)
{
	for (int f = 1; f < (int)app->entities[0].n; f++)
		for (int desc = 0; desc < 2; desc++) {
			const struct mr_order order[] = {{f, desc}, {0, desc}};
			struct mr_row sorted[ROWS];
			const char *way = desc ? "desc" : "asc";
			char *sql = mr_printf("select id from t order by %s %s, id %s", app->entities[0].fields[f].name.p, way, way);
			PGresult *r = ask(sql, NULL);
			memcpy(sorted, rows, sizeof(sorted));
			sort_order = order;
			qsort(sorted, ROWS, sizeof(sorted[0]), by_order);
			for (int i = 0; i < ROWS; i++) {
				struct mr_buf id = {0};
				mr_value_pgtext(&id, &sorted[i].v[0]);
				if (!mr_str_is(mr_buf_view(&id), PQgetvalue(r, i, 0)))
					fail_msg("%s: place %d", sql, i);
				mr_buf_fini(&id);
			}
			PQclear(r);
			free(sql);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_22_images_equal_texts),
		cmocka_unit_test(rule_22_texts_go_back),
		cmocka_unit_test(rule_22_comparisons),
		cmocka_unit_test(rule_22_orders),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
