/* Policies: what they allow whom on which row, above all where something is null, absent or of another type. */
#include "tests/unit/vectors.h"

#include "proto/policy.h"

static const char app_text[] =
	"{\"entities\":[{\"name\":\"M\",\"fields\":[{\"name\":\"owner\",\"type\":\"string\",\"optional\":true},"
	"{\"name\":\"team\",\"type\":\"uuid\",\"optional\":true},{\"name\":\"level\",\"type\":\"int\",\"optional\":true},"
	"{\"name\":\"rank\",\"type\":\"bigint\",\"optional\":true},{\"name\":\"open\",\"type\":\"bool\",\"optional\":true},"
	"{\"name\":\"other\",\"type\":\"string\",\"optional\":true},{\"name\":\"at\",\"type\":\"datetime\",\"optional\":true},"
	"{\"name\":\"score\",\"type\":\"float\",\"optional\":true},{\"name\":\"j\",\"type\":\"json\",\"optional\":true},"
	"{\"name\":\"secret\",\"type\":\"string\",\"optional\":true,\"serverOnly\":true}]}]}";

#define ID     "\"id\":\"00000000-0000-7000-8000-000000000001\""
#define NOBODY NULL
#define ANN                                                                                                                                \
	"{\"userId\":\"ann\",\"role\":\"admin\",\"level\":5,\"ok\":true,\"no\":false,\"org\":{\"team\":\"a0eebc99-9c0b-4ef8-bb6d-"         \
	"6bb9bd380a11\"},\"nil\":null}"

static struct mr_app *app;
static struct mr_arena arena;

static int setup(void **state)
{
	struct mr_error err;
	app = mr_app_read(mr_str(app_text), &err);
	return app ? 0 : -1;
}

static int teardown(void **state)
{
	mr_app_drop(&app);
	mr_arena_fini(&arena);
	return 0;
}

static const struct mr_node *json(const char *text)
{
	struct mr_error err;
	return text ? mr_json_read(&arena, mr_str(text), 16, false, &err) : NULL;
}

static bool allows(const char *source, const char *auth, const char *fields)
{
	struct mr_error err;
	struct mr_row row = {&app->entities[0], mr_arena_alloc(&arena, app->entities[0].n * sizeof(struct mr_value))};
	const struct mr_node *n = json(fields);
	for (size_t i = 0; i < app->entities[0].n; i++) {
		const struct mr_node *m = mr_node_get(n, app->entities[0].fields[i].name.p);
		row.v[i] = (struct mr_value){.type = app->entities[0].fields[i].type, .null = true};
		if (m && !mr_value_from_node(&arena, row.v[i].type, m, &row.v[i], &err))
			fail_msg("%s: %s", fields, err.message);
	}
	const struct mr_pred *p = mr_policy_compile(&arena, &app->entities[0], mr_str(source), json(auth), &err);
	if (!p)
		fail_msg("%s: %s", source, err.message);
	return mr_pred_eval(p, &row) == 1;
}

static void allowed_or_not(void **state)
{
	static const struct {
		const char *source, *auth, *row;
		bool want;
	} cases[] = {
		{"", ANN, "{}", false},
		{"true", NOBODY, "{}", true},
		{"false", ANN, "{}", false},
		{"!true", ANN, "{}", false},
		{"!false", NOBODY, "{}", true},
		{"data.owner == auth.userId", ANN, "{\"owner\":\"ann\"}", true},
		{"auth.userId == data.owner", ANN, "{\"owner\":\"ann\"}", true},
		{"data.owner == auth.userId", ANN, "{\"owner\":\"bob\"}", false},
		{"data.owner == auth.userId", NOBODY, "{\"owner\":\"ann\"}", false},
		/* Nobody owns what nobody owns: null is not equal to an absent claim. */
		{"data.owner == auth.userId", NOBODY, "{}", false},
		{"data.owner == auth.userId", ANN, "{}", false},
		{"data.owner == auth.nil", ANN, "{}", false},
		{"!(data.owner == auth.userId)", NOBODY, "{}", false},
		{"!(data.owner == auth.userId)", NOBODY, "{\"owner\":\"ann\"}", false},
		{"!(data.owner == auth.userId)", ANN, "{}", false},
		{"!(data.owner == auth.userId)", ANN, "{\"owner\":\"bob\"}", true},
		{"data.owner != auth.userId", ANN, "{}", false},
		{"data.owner != auth.userId", NOBODY, "{\"owner\":\"bob\"}", false},
		{"data.owner != auth.userId", ANN, "{\"owner\":\"bob\"}", true},
		{"!(data.owner != auth.userId)", ANN, "{}", false},
		/* Asked for in so many words. */
		{"data.owner == null", ANN, "{}", true},
		{"data.owner == null", ANN, "{\"owner\":\"x\"}", false},
		{"null != data.owner", ANN, "{\"owner\":\"x\"}", true},
		{"auth.userId == null", NOBODY, "{}", true},
		{"auth.userId == null", ANN, "{}", false},
		{"auth.userId != null", ANN, "{}", true},
		{"auth.userId != null", NOBODY, "{}", false},
		{"null == null", NOBODY, "{}", true},
		{"null != null", NOBODY, "{}", false},
		{"!(data.owner == null)", NOBODY, "{\"owner\":\"x\"}", true},
		{"auth.nil == null", ANN, "{}", true},
		{"data.level < null", ANN, "{\"level\":1}", false},
		{"!(data.level < null)", ANN, "{\"level\":1}", false},
		/* Claims alone. */
		{"auth.ok", ANN, "{}", true},
		{"auth.ok", NOBODY, "{}", false},
		{"!auth.ok", NOBODY, "{}", false},
		{"!auth.no", ANN, "{}", true},
		{"auth.role", ANN, "{}", false},
		{"!auth.role", ANN, "{}", false},
		{"auth.role == 'admin'", ANN, "{}", true},
		{"auth.role == \"admin\"", ANN, "{}", true},
		{"'admin' != auth.role", ANN, "{}", false},
		{"auth.level >= 5 && auth.level < 5.5", ANN, "{}", true},
		{"auth.level == '5'", ANN, "{}", false},
		{"auth.level != '5'", ANN, "{}", false},
		{"!(auth.level == '5')", ANN, "{}", false},
		{"auth.org == auth.org", ANN, "{}", false},
		{"auth.org.team == data.team", ANN, "{\"team\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"}", true},
		{"auth.org.team.more == data.team", ANN, "{\"team\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"}", false},
		{"auth.constructor == null", ANN, "{}", true},
		/* A claim that does not fit the field says nothing. */
		{"data.team == auth.userId", ANN, "{\"team\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"}", false},
		{"data.team != auth.userId", ANN, "{\"team\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"}", false},
		{"!(data.team == auth.userId)", ANN, "{\"team\":\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"}", false},
		{"data.level <= auth.level", ANN, "{\"level\":5}", true},
		{"auth.level > data.level", ANN, "{\"level\":5}", false},
		{"auth.level > data.level", ANN, "{\"level\":4}", true},
		/* Fields. */
		{"data.open", ANN, "{\"open\":true}", true},
		{"data.open", ANN, "{\"open\":false}", false},
		{"data.open", ANN, "{}", false},
		{"!data.open", ANN, "{}", false},
		{"!data.open", ANN, "{\"open\":false}", true},
		{"!!data.open", ANN, "{\"open\":true}", true},
		{"data.open == false", ANN, "{\"open\":false}", true},
		{"data.owner == data.other", ANN, "{\"owner\":\"a\",\"other\":\"a\"}", true},
		{"data.owner == data.other", ANN, "{}", false},
		{"data.owner != data.other", ANN, "{\"owner\":\"a\"}", false},
		{"!(data.owner == data.other)", ANN, "{\"owner\":\"a\"}", false},
		{"data.level > data.rank", ANN, "{\"level\":2,\"rank\":1}", true},
		{"data.level >= data.rank", ANN, "{\"level\":1,\"rank\":1}", true},
		{"data.level < data.rank", ANN, "{\"level\":1,\"rank\":1}", false},
		{"!(data.level < data.rank)", ANN, "{\"level\":1,\"rank\":1}", true},
		{"!(data.level < data.rank)", ANN, "{\"level\":1}", false},
		{"data.at < '2026-01-01T00:00:00Z'", ANN, "{\"at\":\"2025-12-31T23:59:59Z\"}", true},
		{"data.score > -1.5e0", ANN, "{\"score\":-1}", true},
		{"data.secret == 'it\\'s'", ANN, "{\"secret\":\"it's\"}", true},
		/* And, or, not. */
		{"data.open || data.owner == auth.userId", ANN, "{\"owner\":\"ann\"}", true},
		{"data.open && data.owner == auth.userId", ANN, "{\"owner\":\"ann\"}", false},
		{"!(data.open && data.owner == auth.userId)", ANN, "{\"owner\":\"bob\"}", true},
		{"!(data.open || data.owner == auth.userId)", ANN, "{\"owner\":\"bob\"}", false},
		{"!(data.open || data.owner == auth.userId)", ANN, "{\"open\":false,\"owner\":\"bob\"}", true},
		{"true || false && false", ANN, "{}", true},
		{"(true || false) && false", ANN, "{}", false},
		{"!false && !(true && false)", ANN, "{}", true},
		{"((data.level)) == 3", ANN, "{\"level\":3}", true},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++)
		if (allows(cases[i].source, cases[i].auth, cases[i].row) != cases[i].want)
			fail_msg("%s for %s on %s", cases[i].source, cases[i].auth ? cases[i].auth : "nobody", cases[i].row);
}

static void rule_23_refused_sources(void **state)
{
	static const char *const sources[] = {" ", "data", "auth", "data.", "auth.", "data.nope == 1", "data.owner.x == 1", "data.owner",
		"data.level", "data.j == 1", "data.j", "1", "'x'", "null", "1 == 'x'", "true == 1", "data.level == 'x'",
		"data.level == 1.5", "data.team == 'x'", "data.owner == 5", "data.owner == data.level", "data.level == data.score",
		"data.open == (true && true)", "(data.open && true) == true", "exists(Member)", "now()", "foo", "data.owner = 'x'",
		"data.owner === 'x'", "data.owner == 'x", "data.owner == \"x'", "(true", "true)", "true true", "&& true", "true &&",
		"true & false", "!", "auth.1", "data.level == 1..2", "data.level == 1e", "data.level == 0x10", "data.owner == 'a\\nb'",
		"true; drop", "true -- x", "data['owner'] == 'x'", "auth.a..b == 1", "1 < 2 < 3"};
	for (size_t i = 0; i < MR_COUNT(sources); i++) {
		struct mr_error err = {0};
		if (mr_policy_check(&app->entities[0], mr_str(sources[i]), &err))
			fail_msg("%s was taken", sources[i]);
		assert_int_equal(err.code, MR_BAD_POLICY);
		assert_non_null(strstr(err.message, "policy of M"));
	}
	struct mr_buf deep = {0};
	struct mr_error err;
	for (int i = 0; i < 2000; i++)
		mr_buf_char(&deep, i % 2 ? '!' : '(');
	assert_false(mr_policy_check(&app->entities[0], mr_buf_view(&deep), &err));
	mr_buf_fini(&deep);
}

/* Filled in, it is a plain predicate: equal for all who may see the same. */
static void compiles_to_predicates(void **state)
{
	static const char *const cases[][2] = {
		{"data.owner == auth.userId", "[\"eq\",\"owner\",\"ann\"]"},
		{"auth.role == 'admin' || data.owner == auth.userId", "[\"true\"]"},
		{"auth.role == 'user' || data.owner == auth.userId", "[\"eq\",\"owner\",\"ann\"]"},
		{"auth.nope == data.owner || data.open", "[\"eq\",\"open\",true]"},
		{"!(data.owner == null)", "[\"not\",[\"null\",\"owner\"]]"},
		{"data.rank > data.level", "[\"lt_field\",\"level\",\"rank\"]"},
		{"!(data.open && data.level > 3)", "[\"or\",[\"eq\",\"open\",false],[\"le\",\"level\",3]]"},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_error err;
		struct mr_buf b = {0};
		mr_pred_print(&b, &app->entities[0], mr_policy_compile(&arena, &app->entities[0], mr_str(cases[i][0]), json(ANN), &err));
		assert_string_equal(b.p, cases[i][1]);
		mr_buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allowed_or_not),
		cmocka_unit_test(rule_23_refused_sources),
		cmocka_unit_test(compiles_to_predicates),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
