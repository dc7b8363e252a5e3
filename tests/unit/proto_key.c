/* Ids of rows: made of a key's values, read back, told apart. */
#include "tests/unit/vectors.h"

#include "proto/key.h"
#include "proto/predicate.h"

#define ENTITY(key, fields) "{\"entities\":[{\"name\":\"T\",\"key\":[" key "],\"fields\":[" fields "]}]}"
#define FIELD(name, type)   "{\"name\":\"" name "\",\"type\":\"" type "\"}"

static struct mr_app *app_of(const char *manifest)
{
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(manifest), &err);
	if (!app)
		fail_msg("%s: %s", manifest, err.message);
	return app;
}

static void refused(const char *manifest, const char *sentence)
{
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(manifest), &err);
	if (app || !strstr(err.message, sentence))
		fail_msg("'%s' is not in: %s", sentence, app ? "(it was taken)" : err.message);
}

static struct mr_row row_of(struct mr_arena *a, const struct mr_entity *e, const char *image)
{
	struct mr_error err;
	struct mr_row row = {0};
	const struct mr_node *n = mr_json_read(a, mr_str(image), 8, false, &err);
	if (!n || !mr_row_from_image(a, e, n, &row))
		fail_msg("no row: %s", image);
	return row;
}

static void several_columns(void **state)
{
	struct mr_arena a = {0};
	struct mr_app *app = app_of(ENTITY("\"s\",\"i\",\"b\",\"n\",\"u\",\"t\"",
		FIELD("i", "bigint") "," FIELD("s", "string") "," FIELD("b", "bool") "," FIELD("n", "numeric") "," FIELD(
			"u", "uuid") "," FIELD("t", "datetime") "," FIELD("other", "int")));
	const struct mr_entity *e = app->entities;
	assert_int_equal(e->n_key, 6);
	assert_true(mr_field_computed(&e->fields[0]) && e->fields[0].type == MR_T_STRING);
	struct mr_row row = row_of(&a, e,
		"{\"s\":\"a\\\"]\",\"i\":9223372036854775807,\"b\":false,\"n\":1.50,\"u\":\"00000000-0000-7000-8000-000000000001\",\"t\":"
		"\"2026-11-21T03:40:18.123456+00:00\",\"other\":1}");
	const char *text =
		"[\"a\\\"]\",9223372036854775807,false,\"1.5\",\"00000000-0000-7000-8000-000000000001\",\"2026-11-21T03:40:18.123456Z\"]";
	struct mr_str key = mr_row_key(&row);
	assert_int_equal(key.n, strlen(text));
	assert_memory_equal(key.p, text, key.n);
	struct mr_value v[6];
	struct mr_error err;
	assert_true(mr_key_read(&a, e, key, v, &err));
	for (size_t i = 0; i < 6; i++)
		assert_true(mr_value_eq(&v[i], &row.v[e->key[i]]));
	static const char *const wrong[] = {"", "x", "{}", "[]", "[\"a\"]",
		"[null,1,true,\"1\",\"00000000-0000-7000-8000-000000000001\",\"2026-11-21T03:40:18Z\"]",
		"[\"a\",\"1\",true,\"1\",\"00000000-0000-7000-8000-000000000001\",\"2026-11-21T03:40:18Z\"]", "[[[[[[1]]]]]]"};
	for (size_t i = 0; i < MR_COUNT(wrong); i++) {
		assert_false(mr_key_read(&a, e, mr_str(wrong[i]), v, &err));
		assert_int_equal(err.code, MR_BAD_VALUE);
		assert_non_null(strstr(err.message, "s, i, b, n, u and t"));
	}
	mr_arena_fini(&a);
	mr_app_drop(&app);
}

static void one_column(void **state)
{
	static const struct {
		const char *type, *image, *text, *wrong;
	} cases[] = {{"int", "-7", "-7", "1.5"}, {"bigint", "9007199254740993", "9007199254740993", "9223372036854775808"},
		{"string", "\"\"", "", NULL}, {"string", "\"a/b \xc3\xbc\"", "a/b \xc3\xbc", NULL}, {"bool", "true", "true", "null"},
		{"uuid", "\"00000000-0000-7000-8000-00000000000a\"", "00000000-0000-7000-8000-00000000000A", "1"},
		{"numeric", "10.10", "10.1", "ten"}, {"datetime", "\"2026-11-21T03:40:18+00:00\"", "2026-11-21T05:40:18+02:00", "today"}};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_arena a = {0};
		struct mr_buf manifest = {0}, image = {0};
		struct mr_value v;
		struct mr_error err;
		mr_buf_printf(&manifest, ENTITY("\"k\"", "{\"name\":\"k\",\"type\":\"%s\",\"column\":\"the k\"}"), cases[i].type);
		mr_buf_printf(&image, "{\"the k\":%s}", cases[i].image);
		struct mr_app *app = app_of(manifest.p);
		const struct mr_entity *e = app->entities;
		struct mr_row row = row_of(&a, e, image.p);
		assert_true(e->n == 2 && mr_value_eq(&row.v[0], &row.v[1]));
		assert_int_equal(mr_entity_column(e, MR_STR("the k")), 1);
		assert_true(mr_key_read(&a, e, mr_str(cases[i].text), &v, &err) && mr_value_eq(&v, &row.v[0]));
		assert_true(!cases[i].wrong || !mr_key_read(&a, e, mr_str(cases[i].wrong), &v, &err));
		assert_non_null(mr_row_key(&row).p);
		mr_buf_fini(&manifest);
		mr_buf_fini(&image);
		mr_arena_fini(&a);
		mr_app_drop(&app);
	}
}

static void ids_are_equal_or_not(void **state)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_app *app = app_of(ENTITY("\"t\",\"n\"", FIELD("n", "int") "," FIELD("t", "string")));
	const struct mr_entity *e = app->entities;
	struct mr_row row = row_of(&a, e, "{\"t\":\"a\",\"n\":7}");
	static const struct {
		const char *where;
		int is;
	} cases[] = {{"{\"id\":\"[\\\"a\\\", 7]\"}", 1}, {"{\"id\":\"[\\\"a\\\",8]\"}", 0}, {"{\"id\":null}", 0},
		{"{\"id\":{\"$in\":[\"[\\\"b\\\",7]\",\"[\\\"a\\\",7]\"]}}", 1}, {"{\"id\":{\"$not\":\"[\\\"a\\\",7]\"}}", 0},
		{"{\"id\":{\"$gt\":\"a\"}}", -1}, {"{\"id\":7}", -1}, {"{\"id\":{}}", -1}, {"{\"id\":{\"$like\":\"%\"}}", -1}};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		const struct mr_pred *p = mr_pred_from_where(&a, e, mr_json_read(&a, mr_str(cases[i].where), 8, false, &err), true, &err);
		if (p ? mr_pred_eval(p, &row) != cases[i].is : cases[i].is >= 0)
			fail_msg("%s", cases[i].where);
	}
	const struct mr_order *o;
	size_t n;
	assert_true(mr_order_read(&a, e, mr_json_read(&a, MR_STR("[[\"n\",\"desc\"]]"), 4, false, &err), true, &o, &n, &err));
	assert_true(n == 2 && o[0].field == e->key[1] && o[1].field == e->key[0] && o[0].desc && o[1].desc);
	assert_true(mr_order_read(&a, e, mr_json_read(&a, MR_STR("[[\"id\",\"desc\"]]"), 4, false, &err), true, &o, &n, &err));
	assert_true(n == 2 && o[0].field == e->key[0] && o[1].field == e->key[1] && o[0].desc && o[1].desc);
	mr_arena_fini(&a);
	mr_app_drop(&app);
}

static void what_no_key_is_made_of(void **state)
{
	refused(ENTITY("\"x\"", FIELD("k", "int")), "there is no such field");
	refused(ENTITY("\"id\"", FIELD("k", "int")), "there is no such field");
	refused(ENTITY("", FIELD("k", "int")), "names 1 to 8 fields");
	refused(ENTITY("\"k\"", FIELD("k", "float")), "a key is made of");
	refused(ENTITY("\"k\"", FIELD("k", "bytes")), "a key is made of");
	refused(ENTITY("\"k\"", "{\"name\":\"k\",\"type\":\"string\",\"as\":\"text\"}"), "a key is made of");
	refused(ENTITY("\"k\"", "{\"name\":\"k\",\"type\":\"int\",\"optional\":true}"), "is required");
	refused(ENTITY("\"k\"", "{\"name\":\"k\",\"type\":\"int\",\"serverOnly\":true}"), "is seen by clients");
	refused(ENTITY("\"k\",\"k\"", FIELD("k", "int")), "is named once");
	refused(ENTITY("\"k\"", FIELD("k", "int") "," FIELD("id", "int")), "a field named id is the whole key");
	refused(ENTITY("\"id\",\"k\"", FIELD("k", "int") "," FIELD("id", "int")), "a field named id is the whole key");
	refused("{\"entities\":[{\"name\":\"T\",\"fields\":[" FIELD("id", "int") "]}]}", "id is implied");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_columns),
		cmocka_unit_test(one_column),
		cmocka_unit_test(ids_are_equal_or_not),
		cmocka_unit_test(what_no_key_is_made_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
