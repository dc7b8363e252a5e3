/* Values from the wire, from images, from Postgres's text; rows. */
#include "tests/unit/vectors.h"

#include "proto/value.h"

static struct mr_arena arena;

static int fini_arena(void **state)
{
	mr_arena_fini(&arena);
	return 0;
}

static const struct mr_node *json(const char *text)
{
	struct mr_error err;
	const struct mr_node *n = mr_json_read(&arena, mr_str(text), 64, false, &err);
	if (!n)
		fail_msg("%s: %s", text, err.message);
	return n;
}

static const char *wire(const struct mr_value *v)
{
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, MR_JSON);
	mr_value_encode(&e, v);
	char *z = mr_arena_z(&arena, mr_buf_view(&b));
	mr_buf_fini(&b);
	return z;
}

static const char *pgtext(const struct mr_value *v)
{
	struct mr_buf b = {0};
	mr_value_pgtext(&b, v);
	char *z = mr_arena_z(&arena, mr_buf_view(&b));
	mr_buf_fini(&b);
	return z;
}

/* One value as Postgres prints it in an image and as a column, and as it travels. The three ways in are equal. */
static void three_ways(void **state)
{
	static const struct {
		enum mr_type type;
		const char *image, *pg, *wire;
	} cases[] = {
		{MR_T_BOOL, "true", "t", "true"},
		{MR_T_BOOL, "false", "f", "false"},
		{MR_T_INT, "5", "5", "5"},
		{MR_T_INT, "9007199254740991", "9007199254740991", "9007199254740991"},
		{MR_T_INT, "9007199254740992", "9007199254740992", "{\"$int\":\"9007199254740992\"}"},
		{MR_T_INT, "-9223372036854775808", "-9223372036854775808", "{\"$int\":\"-9223372036854775808\"}"},
		{MR_T_BIGINT, "5", "5", "{\"$int\":\"5\"}"},
		{MR_T_FLOAT, "0.1", "0.1", "0.1"},
		{MR_T_FLOAT, "1e+20", "1e+20", "1e+20"},
		{MR_T_FLOAT, "\"NaN\"", "NaN", "{\"$float\":\"NaN\"}"},
		{MR_T_FLOAT, "\"-Infinity\"", "-Infinity", "{\"$float\":\"-Infinity\"}"},
		{MR_T_FLOAT, "-0", "-0", "{\"$float\":\"-0\"}"},
		{MR_T_NUMERIC, "1.50", "1.50", "\"1.5\""},
		{MR_T_NUMERIC, "100", "100", "\"100\""},
		{MR_T_NUMERIC, "0.000", "0.000", "\"0\""},
		{MR_T_NUMERIC, "-0.050", "-0.050", "\"-0.05\""},
		{MR_T_NUMERIC, "123456789012345678901234567890.10", "123456789012345678901234567890.10",
			"\"123456789012345678901234567890.1\""},
		{MR_T_NUMERIC, "\"NaN\"", "NaN", "\"NaN\""},
		{MR_T_NUMERIC, "\"Infinity\"", "Infinity", "\"Infinity\""},
		{MR_T_STRING, "\"a\\nb\"", "a\nb", "\"a\\nb\""},
		{MR_T_STRING, "\"\"", "", "\"\""},
		{MR_T_UUID, "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
			"\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""},
		{MR_T_DATETIME, "\"2026-11-21T03:40:18.123+00:00\"", "2026-11-21 03:40:18.123+00", "\"2026-11-21T03:40:18.123Z\""},
		{MR_T_DATETIME, "\"2026-11-21T03:40:18+00:00\"", "2026-11-21 03:40:18+00", "\"2026-11-21T03:40:18.000Z\""},
		{MR_T_DATETIME, "\"2026-11-21T03:40:18.123456+00:00\"", "2026-11-21 03:40:18.123456+00", "\"2026-11-21T03:40:18.123456Z\""},
		{MR_T_DATETIME, "\"infinity\"", "infinity", "\"infinity\""},
		{MR_T_DATETIME, "\"-infinity\"", "-infinity", "\"-infinity\""},
		{MR_T_DATETIME, "\"12026-11-21T00:00:00+00:00\"", "12026-11-21 00:00:00+00", "\"12026-11-21T00:00:00.000Z\""},
		{MR_T_BYTES, "\"\\\\x00ff\"", "\\x00ff", "{\"$bytes\":\"AP8=\"}"},
		{MR_T_BYTES, "\"\\\\x\"", "\\x", "{\"$bytes\":\"\"}"},
		{MR_T_JSON, "{\"a\": [1, null]}", "{\"a\": [1, null]}", "{\"a\": [1, null]}"},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_value image, pg, node;
		struct mr_error err;
		if (!mr_value_from_image(&arena, cases[i].type, json(cases[i].image), &image))
			fail_msg("image %s", cases[i].image);
		if (!mr_value_from_pgtext(&arena, cases[i].type, mr_str(cases[i].pg), &pg))
			fail_msg("text %s", cases[i].pg);
		assert_string_equal(wire(&image), cases[i].wire);
		assert_string_equal(wire(&pg), cases[i].wire);
		if (!mr_value_from_node(&arena, cases[i].type, json(cases[i].wire), &node, &err))
			fail_msg("wire %s: %s", cases[i].wire, err.message);
		assert_true(mr_value_eq(&image, &pg) && mr_value_eq(&image, &node));
		/* And out to Postgres and back. */
		assert_true(mr_value_from_pgtext(&arena, cases[i].type, mr_str(pgtext(&node)), &pg));
		assert_true(mr_value_eq(&image, &pg));
		struct mr_buf a = {0}, b = {0};
		mr_value_key(&a, &image);
		mr_value_key(&b, &node);
		assert_true(mr_str_eq(mr_buf_view(&a), mr_buf_view(&b)));
		mr_buf_fini(&a);
		mr_buf_fini(&b);
	}
}

static void images_that_do_not_fit(void **state)
{
	static const struct {
		enum mr_type type;
		const char *image;
	} cases[] = {{MR_T_BOOL, "1"}, {MR_T_BOOL, "\"t\""}, {MR_T_INT, "\"5\""}, {MR_T_INT, "1.5"}, {MR_T_INT, "9223372036854775808"},
		{MR_T_FLOAT, "\"x\""}, {MR_T_FLOAT, "true"}, {MR_T_NUMERIC, "\"x\""}, {MR_T_NUMERIC, "[]"}, {MR_T_STRING, "5"},
		{MR_T_UUID, "\"x\""}, {MR_T_UUID, "5"}, {MR_T_DATETIME, "\"0044-03-15T00:00:00+00:00 BC\""},
		{MR_T_DATETIME, "\"2026-11-21\""}, {MR_T_DATETIME, "5"}, {MR_T_BYTES, "\"x00\""}, {MR_T_BYTES, "\"\\\\x0\""},
		{MR_T_BYTES, "\"\\\\x0g\""}};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_value v;
		if (mr_value_from_image(&arena, cases[i].type, json(cases[i].image), &v))
			fail_msg("%s was taken", cases[i].image);
	}
}

static void nulls(void **state)
{
	for (int t = 0; t < MR_TYPES; t++) {
		struct mr_value a, b, c;
		struct mr_error err;
		assert_true(mr_value_from_node(&arena, (enum mr_type)t, json("null"), &a, &err) && a.null);
		assert_true(mr_value_from_image(&arena, (enum mr_type)t, json("null"), &b) && b.null);
		assert_true(mr_value_from_pgtext(&arena, (enum mr_type)t, (struct mr_str){NULL, 0}, &c) && c.null);
		assert_true(mr_value_eq(&a, &b));
		assert_string_equal(wire(&a), "null");
	}
}

static void numerics_are_canonical(void **state)
{
	static const char *const cases[][2] = {{"1", "1"}, {"1.0", "1"}, {"+1.50", "1.5"}, {"-0", "0"}, {"-0.00", "0"},
		{"00012.3400", "12.34"}, {"1e3", "1000"}, {"1.5e-3", "0.0015"}, {"12345e-2", "123.45"}, {"12300e-2", "123"}, {".5", "0.5"},
		{"5.", "5"}, {"0.1e1", "1"}, {"1e0", "1"}, {"0e400", "0"}, {"100", "100"}, {"1e20", "100000000000000000000"}};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_node n = {.kind = MR_STRING, .text = mr_str(cases[i][0])};
		struct mr_value v;
		struct mr_error err;
		if (!mr_value_from_node(&arena, MR_T_NUMERIC, &n, &v, &err))
			fail_msg("%s: %s", cases[i][0], err.message);
		assert_true(mr_str_is(v.text, cases[i][1]));
	}
	static const char *const bad[] = {
		"", "-", ".", "e5", "1e", "1 ", "0x1", "1.2.3", "nan", "1e999", "1e-999", "1e999999999999999999999"};
	for (size_t i = 0; i < MR_COUNT(bad); i++) {
		struct mr_node n = {.kind = MR_STRING, .text = mr_str(bad[i])};
		struct mr_value v;
		struct mr_error err;
		if (mr_value_from_node(&arena, MR_T_NUMERIC, &n, &v, &err))
			fail_msg("%s was taken as %.*s", bad[i], (int)v.text.n, v.text.p);
	}
}

static void every_day_reads_back(void **state)
{
	int64_t us = INT64_C(-63082281600000000); /* 0001-01-01 */
	for (int day = 0; day < 1100000; day += 1 + rand() % 5) {
		int64_t at = us + (int64_t)day * INT64_C(86400000000) + (int64_t)(rand() % 86400) * 1000000 + rand() % 1000000, back;
		struct mr_buf b = {0};
		mr_datetime_print(&b, at);
		if (!mr_datetime_read(mr_buf_view(&b), &back) || back != at)
			fail_msg("%s", b.p);
		mr_buf_fini(&b);
	}
	int64_t at;
	assert_true(mr_datetime_read(MR_STR("2000-01-01T00:00:00Z"), &at) && at == 0);
	assert_true(mr_datetime_read(MR_STR("1970-01-01 00:00:00+00"), &at) && at == INT64_C(-946684800000000));
	assert_true(mr_datetime_from_unix_ms(0, &at) && at == INT64_C(-946684800000000));
	assert_true(mr_datetime_read(MR_STR("294276-12-31T23:59:59.999999Z"), &at) && at == INT64_C(9223371331199999999));
	assert_true(mr_datetime_read(MR_STR("2000-01-01T00:00:00.1234560Z"), &at) && at == 123456);
	assert_true(mr_datetime_read(MR_STR("2000-01-01T00:00:00-05:30"), &at) && at == INT64_C(19800000000));
	assert_false(mr_datetime_from_unix_ms(INT64_MAX, &at));
	assert_false(mr_datetime_from_unix_ms(INT64_MIN, &at));
}

static void empty_texts(void **state)
{
	static const bool taken[MR_TYPES] = {[MR_T_STRING] = true};
	for (int t = 0; t < MR_TYPES; t++) {
		struct mr_value v;
		assert_true(mr_value_from_pgtext(&arena, (enum mr_type)t, MR_STR(""), &v) == taken[t]);
	}
	int64_t us;
	assert_false(mr_datetime_read(mr_str(NULL), &us));
}

/* Rows */

static const char rows_app[] = "{\"entities\":[{\"name\":\"R\",\"fields\":[{\"name\":\"s\",\"type\":\"string\"},{\"name\":\"n\",\"type\":"
			       "\"numeric\",\"optional\":true},"
			       "{\"name\":\"secret\",\"type\":\"int\",\"serverOnly\":true}]}]}";
#define ROW_ID "\"id\":\"00000000-0000-7000-8000-000000000001\""

static struct mr_row row_of(const struct mr_entity *e, const char *image)
{
	struct mr_row row;
	if (!mr_row_from_image(&arena, e, json(image), &row))
		fail_msg("%s", image);
	return row;
}

static void rows(void **state)
{
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(rows_app), &err);
	const struct mr_entity *e = &app->entities[0];
	struct mr_row a = row_of(e, "{" ROW_ID ",\"s\":\"x\",\"n\":1.50,\"secret\":1,\"undeclared\":[1]}");
	struct mr_row b = row_of(e, "{\"secret\":2,\"n\":1.5,\"s\":\"x\"," ROW_ID "}");
	struct mr_row c = row_of(e, "{\"secret\":2,\"n\":null,\"s\":\"y\"," ROW_ID "}"), bad;
	struct mr_buf out = {0};
	struct mr_enc enc;
	mr_enc_init(&enc, &out, MR_JSON);
	mr_row_encode(&enc, &a, false);
	assert_string_equal(out.p, "{" ROW_ID ",\"s\":\"x\",\"n\":\"1.5\"}");
	mr_buf_reset(&out);
	/* What clients do not see is no change, and does not show in the hash. */
	assert_int_equal(mr_row_encode_changes(&enc, &a, &b), 0);
	assert_int_equal(out.n, 0);
	assert_true(mr_row_hash(&a) == mr_row_hash(&b) && mr_row_hash(&a) != mr_row_hash(&c));
	assert_int_equal(mr_row_encode_changes(&enc, &a, &c), 2);
	assert_string_equal(out.p, "{\"s\":\"y\",\"n\":null}");
	assert_false(mr_row_from_image(&arena, e, json("{" ROW_ID ",\"s\":\"x\",\"n\":1}"), &bad));
	assert_false(mr_row_from_image(&arena, e, json("{\"id\":null,\"s\":\"x\",\"n\":1,\"secret\":1}"), &bad));
	assert_false(mr_row_from_image(&arena, e, json("[1]"), &bad));
	mr_buf_fini(&out);
	mr_app_drop(&app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(three_ways, fini_arena),
		cmocka_unit_test_teardown(images_that_do_not_fit, fini_arena),
		cmocka_unit_test_teardown(nulls, fini_arena),
		cmocka_unit_test_teardown(numerics_are_canonical, fini_arena),
		cmocka_unit_test_teardown(every_day_reads_back, fini_arena),
		cmocka_unit_test_teardown(empty_texts, fini_arena),
		cmocka_unit_test_teardown(rows, fini_arena),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
