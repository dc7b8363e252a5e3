/* The subscription index: random worlds against brute force, and what a match costs, in probes. MR_SEED repeats one world; MILLRACE_LONG
 * tries more of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/matcher_world.h"

static void one_world(uint64_t seed, int steps, size_t *met)
{
	struct choices c = {.x = seed * 0x9e3779b97f4a7c15ULL + 1};
	struct world *w = world_new(&c);
	for (int i = 0; i < steps; i++)
		world_step(w);
	*met += w->met;
	world_delete(&w);
}

/* A failure ends the process; the line before it says which world it was. */
static void rule_22_index_and_brute_force_agree(void **state)
{
	const char *given = getenv("MR_SEED");
	uint64_t first = given ? strtoull(given, NULL, 10) : 1, worlds = given ? 1 : getenv("MILLRACE_LONG") ? 300 : 40;
	size_t met = 0;
	for (uint64_t seed = first; seed < first + worlds; seed++) {
		print_message("world MR_SEED=%llu\n", (unsigned long long)seed);
		one_world(seed, 1500, &met);
	}
	assert_true(met > worlds * 1000);
}

/* Watchers made from text. */

struct rig {
	struct mr_app *app;
	const struct mr_entity *e;
	struct mr_arena arena;
	struct mr_matcher *ix;
	struct mr_watcher *w;
	size_t n, hits;
};

static int start(void **state)
{
	struct mr_error err;
	struct mr_buf b = {0};
	struct rig *r = mr_alloc(sizeof *r);
	mr_buf_z(&b, "{\"entities\":[{\"name\":\"T\",\"fields\":[{\"name\":\"s\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"}");
	for (int i = 0; i < 12; i++)
		mr_buf_printf(&b, ",{\"name\":\"f%d\",\"type\":\"int\",\"optional\":true}", i);
	mr_buf_z(&b, "]}]}");
	r->app = mr_app_read(mr_buf_view(&b), &err);
	mr_buf_fini(&b);
	r->e = &r->app->entities[0];
	r->ix = mr_matcher_new();
	r->w = mr_alloc(100000 * sizeof *r->w);
	*state = r;
	return 0;
}

static int stop(void **state)
{
	struct rig *r = *state;
	for (size_t i = 0; i < r->n; i++)
		mr_matcher_remove(r->ix, &r->w[i]);
	mr_matcher_delete(&r->ix);
	mr_app_drop(&r->app);
	mr_arena_fini(&r->arena);
	free(r->w);
	free(r);
	return 0;
}

static void watch(struct rig *r, struct mr_str where)
{
	struct mr_error err;
	const struct mr_node *n = mr_json_read(&r->arena, where, 16, false, &err);
	const struct mr_pred *p = n ? mr_pred_from_where(&r->arena, r->e, n, true, &err) : NULL;
	assert_non_null(p);
	r->w[r->n] = (struct mr_watcher){.entity = r->e, .pred = mr_pred_normal(&r->arena, p), .owner = r};
	mr_matcher_add(r->ix, &r->w[r->n++]);
}

#define WATCH(r, ...) watch(r, mr_arena_printf(&(r)->arena, __VA_ARGS__))

static struct mr_row row_of(struct rig *r, const char *s, int64_t n)
{
	struct mr_row row = {r->e, mr_arena_alloc(&r->arena, r->e->n * sizeof(struct mr_value))};
	for (size_t i = 0; i < r->e->n; i++)
		row.v[i] = (struct mr_value){.type = r->e->fields[i].type};
	row.v[1].text = mr_str(s);
	row.v[2].i = n;
	return row;
}

static void on_hit(struct mr_watcher *w, const struct mr_change *c, void *arg)
{
	((struct rig *)w->owner)->hits++;
}

/* Probes of a change; how many were hit is in r->hits. */
static size_t match(struct rig *r, struct mr_row was, struct mr_row is)
{
	struct mr_change c = {.entity = r->e, .was = was, .is = is};
	r->hits = 0;
	return mr_matcher_match(r->ix, &c, 1, on_hit, NULL, NULL);
}

static const struct mr_row absent;

static void nobody_watches_costs_a_probe_for_each_group(void **state)
{
	struct rig *r = *state;
	assert_int_equal(0, match(r, absent, row_of(r, "x", 1)));
	for (int i = 0; i < 20000; i++) {
		WATCH(r, "{\"s\":\"s%d\"}", i);
		WATCH(r, "{\"s\":\"s%d\",\"n\":{\"$gte\":5}}", i);
		WATCH(r, "{\"s\":\"s%d\",\"n\":%d}", i, i);
	}
	assert_int_equal(2, match(r, absent, row_of(r, "x", 1)));
	assert_int_equal(0, r->hits);
	/* The same key before and after is looked for once. */
	assert_int_equal(3, match(r, row_of(r, "x", 1), row_of(r, "x", 2)));
	assert_int_equal(2, match(r, absent, row_of(r, "s7", 7)));
	assert_int_equal(3, r->hits);
	assert_int_equal(4, match(r, row_of(r, "s7", 7), row_of(r, "s8", 1)));
	assert_int_equal(4, r->hits);
}

static void lists_are_found_by_one_probe_and_met_once(void **state)
{
	struct rig *r = *state;
	for (int i = 0; i < 1000; i++) {
		WATCH(r, "{\"s\":{\"$in\":[\"a%d\",\"b%d\",\"c%d\"]}}", i, i, i);
		WATCH(r, "{\"$or\":[{\"s\":\"a%d\"},{\"s\":\"b%d\",\"n\":{\"$gt\":3}},{\"s\":{\"$in\":[\"c%d\",\"d\"]}}]}", i, i, i);
	}
	assert_int_equal(1, match(r, absent, row_of(r, "b9", 4)));
	assert_int_equal(2, r->hits);
	assert_int_equal(2, match(r, row_of(r, "a9", 4), row_of(r, "c9", 4)));
	assert_int_equal(2, r->hits);
	assert_int_equal(2, match(r, row_of(r, "a9", 4), row_of(r, "a8", 4)));
	assert_int_equal(4, r->hits);
	assert_int_equal(1, match(r, absent, row_of(r, "d", 4)));
	assert_int_equal(1000, r->hits);
}

static void ranges_alone_need_no_probe(void **state)
{
	struct rig *r = *state;
	for (int i = 0; i < 10000; i++)
		WATCH(r, "{\"n\":{\"$gte\":%d,\"$lt\":%d}}", 10 * i, 10 * i + 10);
	assert_int_equal(0, match(r, row_of(r, "a", 555), row_of(r, "a", 777)));
	assert_int_equal(2, r->hits);
	match(r, row_of(r, "a", 555), row_of(r, "a", 556));
	assert_int_equal(1, r->hits);
	match(r, absent, row_of(r, "a", -1));
	assert_int_equal(0, r->hits);
}

/* Trees of several levels, in which a search has one way, several, or none, for changes that are looked for together. */

enum { SPANS = 3000, TICK = 64, NUMBERS = 20000 };

struct spans {
	struct rig *r;
	struct mr_change changes[TICK];
	bool hit[TICK][SPANS];
};

static void on_span(struct mr_watcher *w, const struct mr_change *c, void *arg)
{
	struct spans *s = arg;
	bool *hit = &s->hit[c - s->changes][w - s->r->w];
	assert_false(*hit);
	*hit = true;
}

static bool wants(const struct mr_watcher *w, const struct mr_row *row)
{
	return row->v && mr_pred_eval(w->pred, row) == 1;
}

static void change_number(struct spans *s, struct choices *c, struct mr_change *to)
{
	static const int64_t far[] = {INT64_MIN, -1, NUMBERS * 2, INT64_MAX};
	*to = (struct mr_change){.entity = s->r->e};
	int64_t was = pick(c, 8) ? pick(c, NUMBERS) : far[pick(c, MR_COUNT(far))], is = pick(c, 2) ? was : pick(c, NUMBERS);
	unsigned images = pick(c, 4);
	if (images != 0)
		to->was = row_of(s->r, "a", was);
	if (images != 1)
		to->is = row_of(s->r, "b", is);
}

static void match_spans(struct spans *s, struct choices *c)
{
	memset(s->hit, 0, sizeof s->hit);
	for (int i = 0; i < TICK; i++)
		change_number(s, c, &s->changes[i]);
	mr_matcher_match(s->r->ix, s->changes, TICK, on_span, NULL, s);
	for (int i = 0; i < TICK; i++)
		for (size_t k = 0; k < SPANS; k++) {
			const struct mr_watcher *w = &s->r->w[k];
			bool in = mr_list_linked(&w->in_entity);
			assert_int_equal(in && (wants(w, &s->changes[i].was) || wants(w, &s->changes[i].is)), s->hit[i][k]);
		}
}

/* Most are short. */
static void watch_span(struct rig *r, struct choices *c, bool with_rest)
{
	unsigned low = pick(c, NUMBERS), length = pick(c, pick(c, 30) ? 20 : pick(c, 8) ? 400 : NUMBERS);
	WATCH(r, "{\"n\":{\"$gte\":%u,\"$lte\":%u}%s}", low, low + length, with_rest ? ",\"s\":{\"$gt\":\"a\"}" : "");
}

static void rule_22_many_changes_find_their_ranges(void **state)
{
	struct rig *r = *state;
	struct choices c = {.x = 7};
	struct spans *s = mr_alloc(sizeof *s);
	s->r = r;
	for (int i = 0; i < SPANS; i++)
		watch_span(r, &c, pick(&c, 4) == 0);
	for (int i = 0; i < 12; i++) {
		match_spans(s, &c);
		for (int k = 0; k < SPANS / 10; k++)
			mr_matcher_remove(r->ix, &r->w[pick(&c, SPANS)]);
	}
	free(s);
}

/* Whoever watches by all sets of fields there are does not make every change probe for each of them. */
static void groups_are_bounded(void **state)
{
	struct rig *r = *state;
	for (unsigned set = 1; set < 1 << 12; set++) {
		struct mr_buf b = {0};
		mr_buf_z(&b, "{\"s\":\"x\"");
		for (unsigned i = 0; i < 12; i++)
			if (set >> i & 1)
				mr_buf_printf(&b, ",\"f%u\":0", i);
		mr_buf_char(&b, '}');
		watch(r, mr_arena_str(&r->arena, mr_buf_view(&b)));
		mr_buf_fini(&b);
	}
	assert_true(match(r, absent, row_of(r, "x", 1)) <= 32 + r->e->n);
	assert_int_equal((1 << 12) - 1, r->hits);
}

/* As when a session goes to another thread: what the old index remembered of it does not count in the new one. */
static void watchers_move_between_indexes(void **state)
{
	struct rig *r = *state;
	struct mr_matcher *old = r->ix, *fresh = mr_matcher_new();
	WATCH(r, "{\"s\":\"x\"}");
	match(r, absent, row_of(r, "x", 1));
	assert_int_equal(1, r->hits);
	mr_matcher_remove(old, &r->w[0]);
	r->ix = fresh;
	mr_matcher_add(fresh, &r->w[0]);
	match(r, absent, row_of(r, "x", 1));
	assert_int_equal(1, r->hits);
	mr_matcher_delete(&old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_22_index_and_brute_force_agree),
		cmocka_unit_test_setup_teardown(nobody_watches_costs_a_probe_for_each_group, start, stop),
		cmocka_unit_test_setup_teardown(lists_are_found_by_one_probe_and_met_once, start, stop),
		cmocka_unit_test_setup_teardown(ranges_alone_need_no_probe, start, stop),
		cmocka_unit_test_setup_teardown(rule_22_many_changes_find_their_ranges, start, stop),
		cmocka_unit_test_setup_teardown(groups_are_bounded, start, stop),
		cmocka_unit_test_setup_teardown(watchers_move_between_indexes, start, stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
