/* Filters and orders: the vectors of where.json and order.json; normal form and text keep the meaning of random trees. */
#include "tests/unit/vectors.h"

#include "proto/predicate.h"

/* A row in wire form, as a client would see it. */
static struct mr_row wire_row(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *n)
{
	struct mr_row row = {e, mr_arena_alloc(a, e->n * sizeof(struct mr_value))};
	for (size_t i = 0; i < e->n; i++) {
		struct mr_error err;
		if (!mr_value_from_node(a, e->fields[i].type, member(n, e->fields[i].name.p), &row.v[i], &err))
			fail_msg("%s: %s", shown(a, n), err.message);
	}
	return row;
}

/* The tree through its text and back. */
static const struct mr_pred *through_text(struct mr_arena *a, const struct mr_entity *e, const struct mr_pred *p)
{
	struct mr_buf b = {0}, again = {0};
	struct mr_error err;
	mr_pred_print(&b, e, p);
	const struct mr_node *n = mr_json_read(a, mr_arena_str(a, mr_buf_view(&b)), 64, false, &err);
	const struct mr_pred *q = n ? mr_pred_read(a, e, n, &err) : NULL;
	if (!q)
		fail_msg("%s: %s", b.p, err.message);
	mr_pred_print(&again, e, q);
	assert_string_equal(again.p, b.p);
	mr_buf_fini(&b);
	mr_buf_fini(&again);
	return q;
}

static void where_case(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *c)
{
	const struct mr_node *where = member(c, "where"), *rows = member(c, "rows"), *matches = member(c, "matches");
	struct mr_error err;
	const struct mr_pred *p = mr_pred_from_where(a, e, where, true, &err);
	if (!p)
		fail_msg("%s: %s", shown(a, where), err.message);
	const struct mr_pred *normal = mr_pred_normal(a, p), *read = through_text(a, e, normal);
	assert_int_equal(rows->n, matches->n);
	for (size_t i = 0; i < rows->n; i++) {
		struct mr_row row = wire_row(a, e, &rows->items[i]);
		int64_t want = 9;
		mr_node_int(&matches->items[i], &want);
		int got[] = {mr_pred_eval(p, &row), mr_pred_eval(normal, &row), mr_pred_eval(read, &row)};
		for (size_t k = 0; k < MR_COUNT(got); k++)
			if (got[k] != want)
				fail_msg("%s on %s: %d (form %zu)", shown(a, where), shown(a, &rows->items[i]), got[k], k);
	}
}

static void vectors_of_where(void **state)
{
	struct mr_arena a = {0};
	const struct mr_node *root = vectors(&a, "where"), *cases = member(root, "cases");
	struct mr_app *app = vector_app(member(root, "fields"));
	for (size_t i = 0; i < cases->n; i++)
		where_case(&a, &app->entities[0], &cases->items[i]);
	mr_app_drop(&app);
	mr_arena_fini(&a);
}

static void vectors_of_refused_where(void **state)
{
	struct mr_arena a = {0};
	const struct mr_node *root = vectors(&a, "where"), *refused = member(root, "refused");
	struct mr_app *app = vector_app(member(root, "fields"));
	for (size_t i = 0; i < refused->n; i++) {
		const struct mr_node *where = member(&refused->items[i], "where");
		struct mr_error err = {0};
		if (mr_pred_from_where(&a, &app->entities[0], where, true, &err))
			fail_msg("%s was taken", shown(&a, where));
		if (!mr_str_is(mr_node_str(&refused->items[i], "code"), mr_code_name(err.code)))
			fail_msg("%s: %s (%s)", shown(&a, where), mr_code_name(err.code), err.message);
	}
	mr_app_drop(&app);
	mr_arena_fini(&a);
}

static struct mr_order const *order_used;
static size_t order_used_n;

static int by_order(const void *x, const void *y)
{
	return mr_order_cmp(order_used, order_used_n, x, y);
}

static void order_case(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *c)
{
	const struct mr_node *rows = member(c, "rows"), *ids = member(c, "ids");
	struct mr_row *sorted = mr_arena_alloc(a, rows->n * sizeof(*sorted));
	struct mr_error err;
	if (!mr_order_read(a, e, member(c, "order"), true, &order_used, &order_used_n, &err))
		fail_msg("%s: %s", shown(a, c), err.message);
	for (size_t i = 0; i < rows->n; i++)
		sorted[i] = wire_row(a, e, &rows->items[i]);
	qsort(sorted, rows->n, sizeof(*sorted), by_order);
	for (size_t i = 0; i < rows->n; i++) {
		struct mr_buf b = {0};
		mr_value_pgtext(&b, &sorted[i].v[0]);
		if (!mr_str_eq(mr_buf_view(&b), ids->items[i].text))
			fail_msg("%s: place %zu has %s", shown(a, member(c, "order")), i, b.p);
		mr_buf_fini(&b);
	}
}

static void vectors_of_order(void **state)
{
	struct mr_arena a = {0};
	const struct mr_node *root = vectors(&a, "order"), *cases = member(root, "cases"), *refused = member(root, "refused");
	struct mr_app *app = vector_app(member(root, "fields"));
	for (size_t i = 0; i < cases->n; i++)
		order_case(&a, &app->entities[0], &cases->items[i]);
	for (size_t i = 0; i < refused->n; i++) {
		struct mr_error err = {0};
		assert_false(
			mr_order_read(&a, &app->entities[0], member(&refused->items[i], "order"), true, &order_used, &order_used_n, &err));
		assert_true(mr_str_is(mr_node_str(&refused->items[i], "code"), mr_code_name(err.code)));
	}
	mr_app_drop(&app);
	mr_arena_fini(&a);
}

/* Random trees over three small fields, so that rows of all combinations can be tried. */

static const char small_app[] =
	"{\"entities\":[{\"name\":\"S\",\"fields\":[{\"name\":\"a\",\"type\":\"int\",\"optional\":true},"
	"{\"name\":\"b\",\"type\":\"int\",\"optional\":true},{\"name\":\"f\",\"type\":\"float\",\"optional\":true},"
	"{\"name\":\"hidden\",\"type\":\"int\",\"serverOnly\":true},{\"name\":\"j\",\"type\":\"json\",\"optional\":true}]}]}";

static struct mr_value small_value(int field)
{
	static const double floats[] = {-1, -0.0, 0, 1};
	struct mr_value v = {.type = field == 3 ? MR_T_FLOAT : MR_T_INT};
	if (field == 3)
		v.d = floats[rand() % 4];
	else
		v.i = rand() % 3;
	return v;
}

static const struct mr_pred *random_in(struct mr_arena *a, int field)
{
	struct mr_pred *p = mr_arena_alloc(a, sizeof(*p));
	struct mr_value *v = mr_arena_alloc(a, 3 * sizeof(*v));
	*p = (struct mr_pred){.op = MR_P_IN, .field = field, .values = v};
	for (int64_t i = 0; i < 3; i++)
		if (rand() % 2) {
			v[p->n].type = field == 3 ? MR_T_FLOAT : MR_T_INT;
			if (field == 3)
				v[p->n++].d = (double)(i - 1);
			else
				v[p->n++].i = i;
		}
	return p;
}

static const struct mr_pred *random_tree(struct mr_arena *a, int depth)
{
	enum mr_pred_op op = (enum mr_pred_op)(rand() % (MR_P_LE_FIELD + 1));
	int field = 1 + rand() % 3;
	struct mr_value v = small_value(field);
	if (op >= MR_P_AND && op <= MR_P_NOT) {
		if (!depth)
			return mr_pred_constant(a, rand() % 2);
		struct mr_pred *p = mr_arena_alloc(a, sizeof(*p));
		const struct mr_pred **kids = mr_arena_alloc(a, 3 * sizeof(*kids));
		*p = (struct mr_pred){.op = op, .kids = kids, .n = op == MR_P_NOT ? 1 : (size_t)(rand() % 4)};
		for (size_t i = 0; i < p->n; i++)
			kids[i] = random_tree(a, depth - 1);
		return p;
	}
	if (op == MR_P_TRUE || op == MR_P_FALSE)
		return mr_pred_constant(a, op == MR_P_TRUE);
	if (op == MR_P_IN)
		return random_in(a, field);
	if (op == MR_P_NULL)
		return mr_pred_is_null(a, field, true);
	if (op >= MR_P_EQ_FIELD)
		return mr_pred_fields(a, op, 1 + rand() % 2, 1 + rand() % 2);
	return mr_pred_compare(a, op, field, &v);
}

static void each_row(const struct mr_entity *e, void (*each)(const struct mr_row *row, void *arg), void *arg)
{
	for (int i = 0; i < 64; i++) {
		struct mr_value v[6] = {{.type = MR_T_UUID}, {.type = MR_T_INT, .null = i % 4 == 3, .i = i % 4},
			{.type = MR_T_INT, .null = i / 4 % 4 == 3, .i = i / 4 % 4},
			{.type = MR_T_FLOAT, .null = i / 16 == 3, .d = (int)(i / 16) - 1}, {.type = MR_T_INT},
			{.type = MR_T_JSON, .null = true}};
		struct mr_row row = {e, v};
		each(&row, arg);
	}
}

struct pair {
	const struct mr_pred *x, *y;
};

static void same_truth(const struct mr_row *row, void *arg)
{
	const struct pair *p = arg;
	int x = mr_pred_eval(p->x, row), y = mr_pred_eval(p->y, row);
	if (x != y) {
		struct mr_buf b = {0};
		mr_pred_print(&b, row->entity, p->x);
		mr_buf_z(&b, " and ");
		mr_pred_print(&b, row->entity, p->y);
		fail_msg("%s: %d and %d", b.p, x, y);
	}
}

/* A copy of a copy of which nothing is left: it must not need it. */
static const struct mr_pred *copied(const struct mr_entity *e, const struct mr_pred *p, void **kept)
{
	size_t n = mr_pred_size(p);
	void *first = mr_alloc(n);
	struct mr_buf text = {0}, again = {0};
	const struct mr_pred *copy = mr_pred_copy(first, p);
	assert_true(mr_pred_size(copy) == n);
	*kept = mr_alloc(n);
	copy = mr_pred_copy(*kept, copy);
	memset(first, 0xff, n);
	free(first);
	mr_pred_print(&text, e, p);
	mr_pred_print(&again, e, copy);
	assert_string_equal(text.p, again.p);
	mr_buf_fini(&text);
	mr_buf_fini(&again);
	return copy;
}

static void normal_form_keeps_meaning(void **state)
{
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(small_app), &err);
	assert_non_null(app);
	for (int i = 0; i < 20000; i++) {
		struct mr_arena a = {0};
		void *kept;
		struct pair p = {.x = random_tree(&a, 4)};
		p.y = mr_pred_normal(&a, p.x);
		each_row(&app->entities[0], same_truth, &p);
		p.x = through_text(&a, &app->entities[0], p.y);
		each_row(&app->entities[0], same_truth, &p);
		p.x = copied(&app->entities[0], p.y, &kept);
		each_row(&app->entities[0], same_truth, &p);
		free(kept);
		/* Normal already: nothing changes any more. */
		struct mr_buf once = {0}, twice = {0};
		mr_pred_print(&once, &app->entities[0], p.y);
		mr_pred_print(&twice, &app->entities[0], mr_pred_normal(&a, p.y));
		assert_string_equal(once.p, twice.p);
		mr_buf_fini(&once);
		mr_buf_fini(&twice);
		mr_arena_fini(&a);
	}
	mr_app_drop(&app);
}

static const struct mr_pred *from_text(struct mr_arena *a, const struct mr_entity *e, const char *where, bool visible, struct mr_error *err)
{
	const struct mr_node *n = mr_json_read(a, mr_str(where), 64, false, err);
	assert_non_null(n);
	return mr_pred_from_where(a, e, n, visible, err);
}

static void written_differently_prints_alike(void **state)
{
	static const char *const alike[][2] = {
		{"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1.0}"},
		{"{\"a\":{\"$in\":[1]}}", "{\"a\":1}"},
		{"{\"a\":{\"$in\":[2,1,2]}}", "{\"$or\":[{\"a\":{\"$in\":[1,2]}},{\"a\":{\"$in\":[]}}]}"},
		{"{\"$and\":[{\"a\":1},{\"$and\":[{\"b\":2},{}]}]}", "{\"a\":1,\"b\":2,\"$and\":[{\"a\":1}]}"},
		{"{\"f\":{\"$float\":\"-0\"}}", "{\"f\":0}"},
		{"{\"$or\":[{\"a\":1},{}]}", "{}"},
		{"{\"a\":1,\"$or\":[]}", "{\"$or\":[]}"},
	};
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(small_app), &err);
	for (size_t i = 0; i < MR_COUNT(alike); i++) {
		struct mr_buf b[2] = {0};
		for (int k = 0; k < 2; k++)
			mr_pred_print(
				&b[k], &app->entities[0], mr_pred_normal(&a, from_text(&a, &app->entities[0], alike[i][k], true, &err)));
		assert_string_equal(b[0].p, b[1].p);
		mr_buf_fini(&b[0]);
		mr_buf_fini(&b[1]);
	}
	mr_app_drop(&app);
	mr_arena_fini(&a);
}

static void rule_26_hidden_fields_are_unknown(void **state)
{
	struct mr_arena a = {0};
	struct mr_error err = {0}, other = {0};
	struct mr_app *app = mr_app_read(mr_str(small_app), &err);
	const struct mr_entity *e = &app->entities[0];
	assert_null(from_text(&a, e, "{\"hidden\":1}", true, &err));
	assert_null(from_text(&a, e, "{\"hiddex\":1}", true, &other));
	assert_int_equal(err.code, MR_UNKNOWN_FIELD);
	/* The sentences differ in the name alone. */
	assert_int_equal(strlen(err.message), strlen(other.message));
	assert_non_null(from_text(&a, e, "{\"hidden\":1}", false, &err));
	assert_null(from_text(&a, e, "{\"j\":1}", true, &err));
	assert_int_equal(err.code, MR_BAD_FILTER);
	mr_app_drop(&app);
	mr_arena_fini(&a);
}

static void equalities(void **state)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(small_app), &err);
	const struct mr_entity *e = &app->entities[0];
	const struct mr_value *values[4];
	int fields[4];
	const struct mr_pred *p =
		mr_pred_normal(&a, from_text(&a, e, "{\"a\":1,\"b\":{\"$gt\":0},\"f\":2,\"$or\":[{\"b\":1},{\"b\":2}]}", true, &err));
	assert_int_equal(mr_pred_equalities(p, values, fields, 4), 2);
	assert_int_equal(mr_pred_equalities(p, values, fields, 1), 1);
	p = mr_pred_normal(&a, from_text(&a, e, "{\"b\":2}", true, &err));
	assert_int_equal(mr_pred_equalities(p, values, fields, 4), 1);
	assert_true(fields[0] == 2 && values[0]->i == 2);
	p = mr_pred_normal(&a, from_text(&a, e, "{\"$or\":[{\"b\":1},{\"a\":2}]}", true, &err));
	assert_int_equal(mr_pred_equalities(p, values, fields, 4), 0);
	mr_app_drop(&app);
	mr_arena_fini(&a);
}

static void bad_texts(void **state)
{
	static const char *const texts[] = {"1", "[]", "[1]", "[\"nope\"]", "[\"eq\"]", "[\"eq\",\"a\"]", "[\"eq\",\"a\",null]",
		"[\"eq\",\"x\",1]", "[\"eq\",\"j\",1]", "[\"in\",\"a\",[2,1]]", "[\"in\",\"a\",[1,1]]", "[\"in\",\"a\",1]", "[\"not\"]",
		"[\"not\",[\"true\"],[\"true\"]]", "[\"and\",1]", "[\"eq_field\",\"a\",\"f\"]", "[\"eq_field\",\"a\"]", "[\"true\",1]",
		"[\"null\",\"a\",1]", "[\"eq\",\"a\",\"x\"]"};
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(small_app), &err);
	for (size_t i = 0; i < MR_COUNT(texts); i++) {
		const struct mr_node *n = mr_json_read(&a, mr_str(texts[i]), 8, false, &err);
		err.code = MR_OK;
		if (mr_pred_read(&a, &app->entities[0], n, &err))
			fail_msg("%s was taken", texts[i]);
		assert_int_not_equal(err.code, MR_OK);
	}
	mr_app_drop(&app);
	mr_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_where),
		cmocka_unit_test(vectors_of_refused_where),
		cmocka_unit_test(vectors_of_order),
		cmocka_unit_test(normal_form_keeps_meaning),
		cmocka_unit_test(written_differently_prints_alike),
		cmocka_unit_test(rule_26_hidden_fields_are_unknown),
		cmocka_unit_test(equalities),
		cmocka_unit_test(bad_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
