/* A function's new array told in pieces: what a client makes of them and of the old one is the new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "fanout/body.h"

enum { MOST = 12, CASES = 20000 };

static uint64_t seed;

static unsigned dice(unsigned sides)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % sides;
}

/* Elements of which some are equal, some nest, some need a second look. */
static const char *element(void)
{
	static const char *const some[] = {"1", "{\"id\":1,\"a\":[1,{\"b\":null}]}", "{\"id\":2,\"big\":{\"$int\":\"5\"}}", "[]",
		"[[\"x\"],{}]", "\"\\u00e9 \\\" ]\"", "null", "{\"id\":3}"};
	return some[dice(MR_COUNT(some))];
}

struct list {
	const char *v[2 * MOST];
	size_t n;
};

static void edit(struct list *l)
{
	size_t at = dice((unsigned)l->n + 1);
	unsigned what = dice(4);
	if (what == 0 && l->n < MOST) {
		memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof *l->v);
		l->v[at] = element();
		l->n++;
	} else if (what == 1 && at < l->n) {
		memmove(l->v + at, l->v + at + 1, (l->n - at - 1) * sizeof *l->v);
		l->n--;
	} else if (at < l->n) {
		l->v[at] = element();
	}
}

static const struct mr_node *outline(struct mr_arena *a, const struct list *l)
{
	struct mr_buf b = {0};
	struct mr_error err;
	mr_buf_char(&b, '[');
	for (size_t i = 0; i < l->n; i++) {
		mr_buf_z(&b, i ? " , " : "");
		mr_buf_z(&b, l->v[i]);
	}
	mr_buf_char(&b, ']');
	const struct mr_node *n = mr_json_outline(a, mr_arena_str(a, mr_buf_view(&b)), 1, MR_RESULT_DEPTH, &err);
	assert_non_null(n);
	assert_int_equal(n->n, l->n);
	mr_buf_fini(&b);
	return n;
}

static void is_element(const struct mr_node *told, const char *want)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_buf x = {0}, y = {0};
	mr_json_canonical(&x, told);
	mr_json_canonical(&y, mr_json_read(&a, mr_str(want), 8, false, &err));
	assert_string_equal(x.p, y.p);
	mr_buf_fini(&x);
	mr_buf_fini(&y);
	mr_arena_fini(&a);
}

/* As a client does it. */
static void pieces_make(struct mr_str body, enum mr_encoding encoding, const struct list *was, const struct list *is)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *n =
		encoding == MR_JSON ? mr_json_read(&a, body, 64, false, &err) : mr_msgpack_read(&a, body, 64, false, &err);
	const struct mr_node *segs = mr_node_get(n, "segs");
	size_t k = 0;
	assert_non_null(segs);
	for (size_t i = 0; i < segs->n; i++) {
		const struct mr_node *fresh = mr_node_get(&segs->items[i], "v");
		int64_t from = 0, count = 0;
		if (!fresh)
			assert_true(mr_node_int(&segs->items[i].items[0], &from) && mr_node_int(&segs->items[i].items[1], &count));
		for (size_t j = 0; fresh && j < fresh->n; j++)
			is_element(&fresh->items[j], is->v[k++]);
		for (int64_t j = 0; j < count; j++)
			assert_string_equal(was->v[from + j], is->v[k++]);
	}
	assert_int_equal(k, is->n);
	mr_arena_fini(&a);
}

static void pieces_make_the_new_array(void **state)
{
	const char *given = getenv("MILLRACE_SEED");
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid();
	print_message("MILLRACE_SEED=%llu\n", (unsigned long long)seed);
	int told = 0;
	for (int i = 0; i < CASES; i++) {
		struct mr_arena a = {0};
		struct mr_buf body = {0};
		struct list was = {.n = dice(MOST)}, is;
		for (size_t k = 0; k < was.n; k++)
			was.v[k] = element();
		is = was;
		for (unsigned k = dice(4); k; k--)
			edit(&is);
		enum mr_encoding encoding = dice(2) ? MR_JSON : MR_MSGPACK;
		if (mr_body_segs(&body, encoding, 7, 9, outline(&a, &was), outline(&a, &is))) {
			pieces_make(mr_buf_view(&body), encoding, &was, &is);
			told++;
		}
		mr_buf_fini(&body);
		mr_arena_fini(&a);
	}
	assert_true(told > CASES / 3);
}

/* One of many that changes in its place is all that is told. */
static void one_change_is_one_element(void **state)
{
	struct mr_arena a = {0};
	struct mr_buf body = {0};
	struct list was = {.n = 3, .v = {"{\"id\":1}", "{\"id\":2,\"n\":1}", "{\"id\":3}"}}, is = was;
	is.v[1] = "{\"id\":2,\"n\":2}";
	assert_true(mr_body_segs(&body, MR_JSON, 7, 9, outline(&a, &was), outline(&a, &is)));
	assert_string_equal(body.p, "{\"i\":7,\"h\":\"0000000000000009\",\"segs\":[[0,1],{\"v\":[{\"id\":2,\"n\":2}]},[2,1]]}");
	mr_buf_fini(&body);
	mr_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_make_the_new_array),
		cmocka_unit_test(one_change_is_one_element),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
