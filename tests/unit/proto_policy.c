/* Policies: what they allow whom on which row, above all where something is null, absent or of another type. */
#include "tests/unit/vectors.h"

#include "proto/policy.h"

static const char app_text[] =
	"{\"entities\":[{\"name\":\"M\",\"fields\":[{\"name\":\"owner\",\"type\":\"string\",\"optional\":true},"
	"{\"name\":\"team\",\"type\":\"uuid\",\"optional\":true},{\"name\":\"level\",\"type\":\"int\",\"optional\":true},"
	"{\"name\":\"rank\",\"type\":\"bigint\",\"optional\":true},{\"name\":\"open\",\"type\":\"bool\",\"optional\":true},"
	"{\"name\":\"other\",\"type\":\"string\",\"optional\":true},{\"name\":\"at\",\"type\":\"datetime\",\"optional\":true},"
	"{\"name\":\"score\",\"type\":\"float\",\"optional\":true},{\"name\":\"j\",\"type\":\"json\",\"optional\":true},"
	"{\"name\":\"secret\",\"type\":\"string\",\"optional\":true,\"serverOnly\":true}]},"
	"{\"name\":\"Member\",\"fields\":[{\"name\":\"userId\",\"type\":\"string\"},{\"name\":\"team\",\"type\":\"uuid\",\"optional\":true}"
	","
	"{\"name\":\"level\",\"type\":\"bigint\"},{\"name\":\"lead\",\"type\":\"bool\"},{\"name\":\"j\",\"type\":\"json\",\"optional\":"
	"true},"
	"{\"name\":\"key\",\"type\":\"string\",\"optional\":true,\"serverOnly\":true}]}]}";

#define ID     "\"id\":\"00000000-0000-7000-8000-000000000001\""
#define NOBODY NULL
#define ANN                                                                                                                                \
	"{\"userId\":\"ann\",\"role\":\"admin\",\"level\":5,\"ok\":true,\"no\":false,\"org\":{\"team\":\"a0eebc99-9c0b-4ef8-bb6d-"         \
	"6bb9bd380a11\"},\"nil\":null,\"roles\":[\"dev\",\"ops\",5],\"none\":[],\"levels\":[1,3],\"holes\":[1,null]}"

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

struct judged {
	const char *source, *auth, *row;
	bool want;
};

static void judge(const struct judged *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (allows(cases[i].source, cases[i].auth, cases[i].row) != cases[i].want)
			fail_msg("%s for %s on %s", cases[i].source, cases[i].auth ? cases[i].auth : "nobody", cases[i].row);
}

static void allowed_or_not(void **state)
{
	static const struct judged cases[] = {
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
	judge(cases, MR_COUNT(cases));
}

static void lists_and_empty_sets(void **state)
{
	static const struct judged cases[] = {
		/* Lists. */
		{"data.owner in ['x', \"ann\"]", ANN, "{\"owner\":\"ann\"}", true},
		{"data.owner in ['x', auth.userId]", ANN, "{\"owner\":\"ann\"}", true},
		{"data.owner in ['x', auth.userId]", NOBODY, "{\"owner\":\"ann\"}", false},
		{"!(data.owner in ['x', auth.userId])", NOBODY, "{\"owner\":\"ann\"}", false},
		{"data.owner in ['x', 'y']", ANN, "{}", false},
		{"!(data.owner in ['x', 'y'])", ANN, "{}", false},
		{"!(data.owner in ['x', 'y'])", ANN, "{\"owner\":\"ann\"}", true},
		{"data.owner in []", ANN, "{\"owner\":\"ann\"}", false},
		{"!(data.owner in [])", ANN, "{}", true},
		{"data.level in auth.levels", ANN, "{\"level\":3}", true},
		{"data.level in auth.levels", ANN, "{\"level\":2}", false},
		{"!(data.level in auth.levels)", ANN, "{\"level\":2}", true},
		{"data.level in auth.holes", ANN, "{\"level\":1}", true},
		{"!(data.level in auth.holes)", ANN, "{\"level\":2}", false},
		{"data.level in auth.none", ANN, "{\"level\":2}", false},
		{"!(data.level in auth.none)", ANN, "{\"level\":2}", true},
		{"data.level in auth.nope", ANN, "{\"level\":2}", false},
		{"!(data.level in auth.nope)", ANN, "{\"level\":2}", false},
		{"!(data.level in auth.userId)", ANN, "{\"level\":2}", false},
		{"'dev' in auth.roles", ANN, "{}", true},
		{"5 in auth.roles", ANN, "{}", true},
		{"'boss' in auth.roles", ANN, "{}", false},
		{"!('boss' in auth.roles)", ANN, "{}", false},
		{"!('boss' in auth.none)", ANN, "{}", true},
		{"'dev' in auth.roles", NOBODY, "{}", false},
		{"!('dev' in auth.roles)", NOBODY, "{}", false},
		{"auth.role in ['user', 'admin'] && data.open", ANN, "{\"open\":true}", true},
		{"!(auth.nope in ['user'])", ANN, "{}", false},
		/* A set that is empty whatever it holds. */
		{"exists(Member, userId == auth.userId && team == data.team)", NOBODY, "{\"owner\":\"ann\"}", false},
		{"!exists(Member, userId == auth.userId && team == data.team)", NOBODY, "{}", true},
		{"exists(Member, team == data.team && false) || data.open", ANN, "{\"open\":true}", true},
	};
	judge(cases, MR_COUNT(cases));
}

static void rule_23_refused_sources(void **state)
{
	static const char *const sources[] = {" ", "data", "auth", "data.", "auth.", "data.nope == 1", "data.owner.x == 1", "data.owner",
		"data.level", "data.j == 1", "data.j", "1", "'x'", "null", "1 == 'x'", "true == 1", "data.level == 'x'",
		"data.level == 1.5", "data.team == 'x'", "data.owner == 5", "data.owner == data.level", "data.level == data.score",
		"data.open == (true && true)", "(data.open && true) == true", "exists(Member)", "now()", "foo", "exists(", "exists()",
		"exists(Member,", "exists(Member,)", "exists(Nobody, team == data.team)", "exists(data, team == data.team)",
		"exists(Member, team == data.team", "exists(Member, nope == data.team)", "exists(Member, team == data.nope)",
		"exists(Member, level == data.team)", "exists(Member, j == data.j)", "exists(Member, team != data.team)",
		"exists(Member, level < data.level)", "exists(Member, team == data.team || lead)", "exists(Member, !(team == data.team))",
		"exists(Member, lead || (lead && team == data.team))", "exists(Member, team == data.team && data.open)",
		"exists(Member, team == data.team && data.owner == auth.userId)", "exists(Member, data.team == data.team)",
		"exists(Member, team == data.team && data.level == 5)", "exists(Member, (team == data.team) == true)",
		"exists(Member, team == data.team && data.level in [1])", "exists(Member, team == data.team && userId)",
		"exists(Member, team == data.team && exists(Member, team == data.team))", "exists(Member, team == data.team) == true",
		"exists(M, Member.team == data.team)", "exists Member", "team == data.team", "data.owner in", "data.owner in 'x'",
		"data.owner in [", "data.owner in ['x'", "data.owner in ['x',]", "data.owner in [null]", "data.owner in [5]",
		"data.owner in [data.other]", "data.level in ['x']", "data.j in [1]", "null in ['x']", "5 in ['x']", "(data.open) in [true",
		"(data.open && true) in [true]", "data.owner in data.other", "data.owner in [true && true]", "in", "data.owner in in",
		"data.owner = 'x'", "data.owner === 'x'", "data.owner == 'x", "data.owner == \"x'", "(true", "true)", "true true",
		"&& true", "true &&", "true & false", "!", "auth.1", "data.level == 1..2", "data.level == 1e", "data.level == 0x10",
		"data.owner == 'a\\nb'", "true; drop", "true -- x", "data['owner'] == 'x'", "auth.a..b == 1", "1 < 2 < 3"};
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

/* What other languages have is told what it is here. */
static void foreign_words(void **state)
{
	static const char *const cases[][2] = {
		{"data.owner = 'x'", "compared by =="},
		{"data.owner like 'x'", "compared by =="},
		{"data.owner && true", "must be a bool"},
		{"data.at < now", "ctx.now()"},
		{"now() > data.at", "ctx.now()"},
		{"existing.owner == auth.userId", "both \"data\""},
		{"user.id == data.owner", "\"auth.\" or \"data.\""},
		{"auth.hasRole('admin')", "'admin' in auth.roles"},
		{"lower(data.owner) == 'x'", "no functions but exists"},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_error err = {0};
		assert_false(mr_policy_check(&app->entities[0], mr_str(cases[i][0]), &err));
		if (!strstr(err.message, cases[i][1]))
			fail_msg("%s: %s", cases[i][0], err.message);
	}
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
		{"data.level in auth.levels", "[\"in\",\"level\",[1,3]]"},
		{"data.level in [3, 3]", "[\"eq\",\"level\",3]"},
		{"!(data.owner in ['b', 'a'])", "[\"not\",[\"in\",\"owner\",[\"a\",\"b\"]]]"},
		{"exists(Member, userId == auth.userId && team == data.team)",
			"[\"member\",\"Member\",[\"eq\",\"userId\",\"ann\"],[\"team\",\"team\"]]"},
		/* Serving the author, policies look at what clients may not see; names are of the set, also where the row has the same. */
		{"exists(Member, data.team == team && key == auth.role && (level == data.rank && userId == data.owner && lead))",
			"[\"member\",\"Member\",[\"and\",[\"eq\",\"lead\",true],[\"eq\",\"key\",\"admin\"]],[\"userId\",\"owner\"],["
			"\"team\","
			"\"team\"],[\"level\",\"rank\"]]"},
		{"data.open && !exists(Member, level == data.level && level in auth.levels)",
			"[\"and\",[\"not\",[\"member\",\"Member\",[\"in\",\"level\",[{\"$int\":\"1\"},{\"$int\":\"3\"}]],[\"level\","
			"\"level\"]]],"
			"[\"eq\",\"open\",true]]"},
		{"exists(Member, team == data.team) || exists(Member, team == data.team && team == data.team)",
			"[\"member\",\"Member\",[\"true\"],[\"team\",\"team\"]]"},
		{"exists(Member, userId == auth.userId)", "[\"member\",\"Member\",[\"eq\",\"userId\",\"ann\"]]"},
		{"exists(Member, true)", "[\"member\",\"Member\",[\"true\"]]"},
		{"exists(M, id == data.team && open)", "[\"member\",\"M\",[\"eq\",\"open\",true],[\"id\",\"team\"]]"},
		{"auth.role == 'admin' || exists(Member, team == data.team)", "[\"true\"]"},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_error err;
		struct mr_buf b = {0};
		mr_pred_print(&b, &app->entities[0], mr_policy_compile(&arena, &app->entities[0], mr_str(cases[i][0]), json(ANN), &err));
		assert_string_equal(b.p, cases[i][1]);
		mr_buf_fini(&b);
	}
}

static const char *text_of(const struct mr_pred *p)
{
	struct mr_buf b = {0};
	mr_pred_print(&b, &app->entities[0], p);
	const char *text = mr_arena_str(&arena, mr_buf_view(&b)).p;
	mr_buf_fini(&b);
	return text;
}

static const struct mr_pred *compiled(const char *source)
{
	struct mr_error err;
	const struct mr_pred *p = mr_policy_compile(&arena, &app->entities[0], mr_str(source), json(ANN), &err);
	if (!p)
		fail_msg("%s: %s", source, err.message);
	return p;
}

#define AMONG "exists(Member, userId == auth.userId && team == data.team && level == data.rank)"

/* Members go by text and by copy as the rest does, and never come as what a client may write. */
static void members_are_carried(void **state)
{
	static const char *const sources[] = {AMONG, "!" AMONG " && data.open", "data.level in [1, 2] || !(data.open && " AMONG ")"};
	struct mr_error err;
	for (size_t i = 0; i < MR_COUNT(sources); i++) {
		const struct mr_pred *p = compiled(sources[i]);
		const struct mr_pred *read = mr_pred_read(&arena, &app->entities[0], json(text_of(p)), &err);
		assert_non_null(read);
		assert_true(mr_pred_same(p, read));
		void *room = mr_alloc(mr_pred_size(p));
		assert_true(mr_pred_same(p, mr_pred_copy(room, p)));
		free(room);
		assert_int_equal(mr_pred_members(p), 1);
	}
	assert_false(mr_pred_same(compiled(AMONG), compiled("exists(Member, userId == 'bob' && team == data.team && level == data.rank)")));
	assert_false(mr_pred_same(compiled(AMONG), compiled("exists(Member, userId == auth.userId && team == data.team)")));
	static const char *const bad[] = {"[\"member\"]", "[\"member\",\"Member\"]",
		"[\"member\",\"Nobody\",[\"true\"],[\"team\",\"team\"]]", "[\"member\",5,[\"true\"],[\"team\",\"team\"]]",
		"[\"member\",\"Member\",[\"true\"],[\"team\"]]", "[\"member\",\"Member\",[\"true\"],[\"team\",\"nope\"]]",
		"[\"member\",\"Member\",[\"true\"],[\"nope\",\"team\"]]", "[\"member\",\"Member\",[\"true\"],[\"level\",\"team\"]]",
		"[\"member\",\"Member\",[\"true\"],[\"j\",\"j\"]]", "[\"member\",\"Member\",[\"eq\",\"owner\",\"x\"],[\"team\",\"team\"]]",
		"[\"member\",\"Member\",[\"member\",\"Member\",[\"true\"],[\"team\",\"team\"]],[\"team\",\"team\"]]"};
	for (size_t i = 0; i < MR_COUNT(bad); i++)
		if (mr_pred_read(&arena, &app->entities[0], json(bad[i]), &err))
			fail_msg("%s was taken", bad[i]);
}

/* What may be true stays true, whatever the set holds. */
static void members_made_coarse(void **state)
{
	static const char *const cases[][2] = {
		{AMONG, "[\"true\"]"},
		{"!" AMONG, "[\"true\"]"},
		{"data.open && !" AMONG, "[\"eq\",\"open\",true]"},
		{"!(data.open || " AMONG ")", "[\"eq\",\"open\",false]"},
		{"!(data.open && " AMONG ")", "[\"true\"]"},
	};
	for (size_t i = 0; i < MR_COUNT(cases); i++)
		assert_string_equal(text_of(mr_pred_coarse(&arena, compiled(cases[i][0]))), cases[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allowed_or_not),
		cmocka_unit_test(lists_and_empty_sets),
		cmocka_unit_test(rule_23_refused_sources),
		cmocka_unit_test(foreign_words),
		cmocka_unit_test(compiles_to_predicates),
		cmocka_unit_test(members_are_carried),
		cmocka_unit_test(members_made_coarse),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
