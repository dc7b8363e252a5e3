/* Matcher and row sets against brute force: random rows, filters, windows and changes; what a client makes of the differences is what a
 * reading of all rows would give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fanout/body.h"
#include "fanout/matcher.h"
#include "fanout/rowset.h"
#include "proto/key.h"

enum { ROWS = 40, QUERIES = 60, STEPS = 4000 };

static const char MANIFEST[] =
	"{\"version\":\"1\",\"entities\":[{\"name\":\"Item\",\"schema\":\"public\",\"table\":\"Item\",\"fields\":["
	"{\"name\":\"grp\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"},"
	"{\"name\":\"note\",\"type\":\"string\",\"optional\":true}],\"indexes\":[]}],\"policies\":[],\"functions\":[]}";

static const char *const WHERES[] = {
	"{}",
	"{\"grp\":\"a\"}",
	"{\"grp\":\"b\",\"n\":3}",
	"{\"n\":{\"$gte\":3,\"$lt\":7}}",
	"{\"grp\":{\"$in\":[\"a\",\"c\"]}}",
	"{\"note\":null}",
	"{\"note\":{\"$not\":\"x\"},\"grp\":\"c\"}",
	"{\"$or\":[{\"grp\":\"a\",\"n\":{\"$gt\":5}},{\"note\":\"y\"}]}",
};
static const char *const ORDERS[] = {
	"null", "[[\"n\",\"asc\"]]", "[[\"n\",\"desc\"],[\"grp\",\"asc\"]]", "[[\"note\",\"asc\"]]", "[[\"note\",\"desc\"]]"};

struct query {
	struct mr_watcher watcher;
	struct mr_rowset rows;
	const struct mr_order *order;
	size_t n_order;
	/* What a client holds: row hashes by id. */
	uint64_t held[ROWS];
	uint64_t hash;
	bool met;
	int refills;
};

struct world {
	struct mr_app *app;
	const struct mr_entity *e;
	struct mr_arena arena;
	struct mr_row now[ROWS]; /* v NULL: not there */
	struct mr_matcher *matcher;
	struct query q[QUERIES];
};

static uint64_t rnd(uint64_t n)
{
	static uint64_t x = 88172645463325252ull;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % n;
}

static struct mr_row random_row(struct world *w, int id)
{
	char json[200];
	static const char *const notes[] = {"null", "\"x\"", "\"y\""};
	snprintf(json, sizeof json, "{\"id\":\"00000000-0000-7000-8000-0000000000%02x\",\"grp\":\"%c\",\"n\":%d,\"note\":%s}", id,
		(char)('a' + rnd(3)), (int)rnd(10), notes[rnd(3)]);
	struct mr_error err;
	struct mr_row row = {0};
	const struct mr_node *n = mr_json_read(&w->arena, mr_arena_str(&w->arena, mr_str(json)), 8, false, &err);
	assert_true(n && mr_row_from_image(&w->arena, w->e, n, &row));
	return row;
}

static int id_of(const struct mr_row *row)
{
	return row->v[0].uuid[15];
}

/* Any size will do that another row of the same id has not. */
static uint32_t bytes_of(const struct mr_row *row)
{
	return 1000 + 10 * (uint32_t)id_of(row) + (uint32_t)row->v[2].i;
}

/* All rows of the query, from the table: the first `limit` in its order. */
static size_t brute(struct world *w, const struct query *q, int64_t limit, struct mr_row *out)
{
	size_t n = 0;
	for (int i = 0; i < ROWS; i++) {
		if (!w->now[i].v || mr_pred_eval(q->watcher.pred, &w->now[i]) != 1)
			continue;
		size_t at = n++;
		while (at > 0 && mr_order_cmp(q->order, q->n_order, &w->now[i], &out[at - 1]) < 0) {
			out[at] = out[at - 1];
			at--;
		}
		out[at] = w->now[i];
	}
	return limit >= 0 && n > (size_t)limit ? (size_t)limit : n;
}

static void fill_rows(struct mr_rowset *rs, const struct mr_row *rows, size_t n)
{
	struct mr_item *items[ROWS];
	assert_true(n <= ROWS);
	for (size_t i = 0; i < n; i++)
		items[i] = mr_item_new(&rows[i], bytes_of(&rows[i]));
	mr_rowset_fill(rs, items, n);
	for (size_t i = 0; i < n; i++)
		mr_item_drop(&items[i]);
}

static void fill(struct world *w, struct query *q)
{
	struct mr_row rows[ROWS];
	fill_rows(&q->rows, rows, brute(w, q, mr_rowset_want(&q->rows), rows));
}

/* The client's side of a difference. */
static void take_diff(struct query *q)
{
	struct mr_diff d;
	mr_rowset_diff(&q->rows, &d);
	for (size_t i = 0; i < d.n_put; i++) {
		assert_int_equal(q->held[id_of(&d.put[i]->row)], 0);
		q->held[id_of(&d.put[i]->row)] = d.put[i]->hash;
	}
	for (size_t i = 0; i < d.n_patch; i++) {
		assert_true(q->held[id_of(&d.is[i]->row)] == d.was[i]->hash);
		q->held[id_of(&d.is[i]->row)] = d.is[i]->hash;
	}
	for (size_t i = 0; i < d.n_del; i++) {
		assert_true(q->held[id_of(&d.del[i]->row)] == d.del[i]->hash);
		q->held[id_of(&d.del[i]->row)] = 0;
	}
	mr_diff_fini(&d);
}

/* Of all that are held, on screen or not. */
static void check_bytes(const struct mr_rowset *rs)
{
	struct mr_str key;
	void *value;
	size_t bytes = 0;
	for (size_t i = 0; mr_map_next(&rs->by_id, &i, &key, &value);)
		bytes += bytes_of(&((const struct mr_item *)value)->row);
	assert_int_equal(bytes, rs->bytes);
}

static void check(struct world *w, struct query *q)
{
	struct mr_row rows[ROWS];
	uint64_t want[ROWS] = {0}, hash = 0;
	size_t n = brute(w, q, q->rows.limit, rows);
	for (size_t i = 0; i < n; i++) {
		want[id_of(&rows[i])] = mr_row_hash(&rows[i]);
		hash += mr_row_hash(&rows[i]);
	}
	assert_memory_equal(want, q->held, sizeof want);
	assert_true(hash == q->rows.hash);
	assert_int_equal(n, mr_rowset_size(&q->rows));
	for (size_t i = 0; i < n; i++)
		assert_non_null(mr_rowset_get(&q->rows, mr_row_key(&rows[i])));
	check_bytes(&q->rows);
}

static void make_query(struct world *w, struct query *q, size_t i)
{
	struct mr_error err;
	const struct mr_node *where = mr_json_read(&w->arena, mr_str(WHERES[i % MR_COUNT(WHERES)]), 8, false, &err);
	const struct mr_node *order = mr_json_read(&w->arena, mr_str(ORDERS[i % MR_COUNT(ORDERS)]), 8, false, &err);
	const struct mr_pred *p = mr_pred_from_where(&w->arena, w->e, where, true, &err);
	assert_non_null(p);
	assert_true(mr_order_read(&w->arena, w->e, order, true, &q->order, &q->n_order, &err));
	q->watcher = (struct mr_watcher){.entity = w->e, .pred = mr_pred_normal(&w->arena, p), .owner = q};
	mr_rowset_init(&q->rows, w->e, q->watcher.pred, q->order, q->n_order, i % 3 ? (int64_t)(1 + i % 5) : -1);
	mr_matcher_add(w->matcher, &q->watcher);
}

static void on_hit(struct mr_watcher *watcher, const struct mr_change *c, void *arg)
{
	struct query *q = watcher->owner;
	q->met = true;
	(*(int *)arg)++;
}

/* One row changes; the matcher must find just those queries that the old or the new row belongs to. */
static void change_row(struct world *w, int id, struct mr_row is)
{
	struct mr_change c = {.entity = w->e, .was = w->now[id], .is = is, .bytes = is.v ? bytes_of(&is) : 0};
	int hits = 0;
	for (size_t i = 0; i < QUERIES; i++)
		w->q[i].met = false;
	mr_matcher_match(w->matcher, &c, 1, on_hit, NULL, &hits);
	w->now[id] = is;
	struct mr_item *shared = NULL;
	for (size_t i = 0; i < QUERIES; i++) {
		struct query *q = &w->q[i];
		bool want =
			(c.was.v && mr_pred_eval(q->watcher.pred, &c.was) == 1) || (c.is.v && mr_pred_eval(q->watcher.pred, &c.is) == 1);
		assert_int_equal(want, q->met);
		if (want)
			mr_rowset_apply(&q->rows, &c, &shared);
	}
	mr_item_drop(&shared);
}

/* Until rows are read anew, who asks gets what the last difference left. */
static void check_reverted(struct query *q)
{
	const struct mr_item *item;
	uint64_t shown[ROWS] = {0};
	mr_rowset_revert(&q->rows);
	for (size_t i = 0; (item = mr_rowset_next(&q->rows, &i));) {
		shown[id_of(&item->row)] = item->hash;
		assert_ptr_equal(mr_rowset_get(&q->rows, mr_row_key(&item->row)), item);
	}
	assert_memory_equal(shown, q->held, sizeof shown);
	assert_true(mr_rowset_dry(&q->rows));
	check_bytes(&q->rows);
}

static void settle(struct world *w)
{
	for (size_t i = 0; i < QUERIES; i++) {
		struct query *q = &w->q[i];
		bool dry = mr_rowset_dry(&q->rows);
		if (dry || rnd(20) == 0) {
			check_reverted(q);
			fill(w, q);
			q->refills += dry;
		}
		take_diff(q);
		check(w, q);
	}
}

static void rule_13_rows_follow_changes(void **state)
{
	struct mr_error err;
	struct world *w = calloc(1, sizeof *w);
	w->app = mr_app_read(MR_STR(MANIFEST), &err);
	assert_non_null(w->app);
	w->e = &w->app->entities[0];
	w->matcher = mr_matcher_new();
	for (size_t i = 0; i < QUERIES; i++) {
		make_query(w, &w->q[i], i);
		fill(w, &w->q[i]);
	}
	for (int step = 0; step < STEPS; step++) {
		int id = (int)rnd(ROWS);
		struct mr_row gone = {0};
		change_row(w, id, w->now[id].v && rnd(3) == 0 ? gone : random_row(w, id));
		if (rnd(4) == 0)
			settle(w);
	}
	settle(w);
	int refills = 0;
	for (size_t i = 0; i < QUERIES; i++) {
		refills += w->q[i].refills;
		mr_matcher_remove(w->matcher, &w->q[i].watcher);
		mr_rowset_fini(&w->q[i].rows);
	}
	/* A run in which no window ran dry would not have tested it. */
	assert_true(refills > 10);
	mr_matcher_delete(&w->matcher);
	mr_arena_fini(&w->arena);
	mr_app_drop(&w->app);
	free(w);
}

/* The ids' last digits, as a whole body tells the rows. */
static void told_order(
	struct mr_arena *a, const struct mr_entity *e, const char *order_text, const struct mr_row *rows, size_t n, char *out)
{
	const struct mr_order *order;
	size_t n_order;
	struct mr_error err;
	struct mr_rowset rs;
	struct mr_buf body = {0};
	const struct mr_pred *all = mr_pred_from_where(a, e, mr_json_read(a, MR_STR("{}"), 8, false, &err), true, &err);
	assert_true(mr_order_read(a, e, mr_json_read(a, mr_str(order_text), 8, false, &err), true, &order, &n_order, &err));
	mr_rowset_init(&rs, e, all, order, n_order, -1);
	fill_rows(&rs, rows, n);
	mr_body_rows(&body, MR_JSON, 1, 2, &rs);
	const struct mr_node *told = mr_node_get(mr_json_read(a, mr_arena_str(a, mr_buf_view(&body)), 8, false, &err), "rows");
	assert_int_equal(n, told->n);
	for (size_t i = 0; i < n; i++) {
		struct mr_str id = mr_node_str(&told->items[i], "id");
		out[i] = id.p[id.n - 1];
	}
	mr_buf_fini(&body);
	mr_rowset_fini(&rs);
}

/* A whole body tells its rows in their order although nothing limits them; without an order by id. */
static void whole_bodies_are_in_order(void **state)
{
	static const char *const cases[][2] = {
		{"null", "01234567"},
		{"[[\"n\",\"asc\"]]", "40516273"},
		{"[[\"n\",\"desc\"]]", "37261504"},
		{"[[\"grp\",\"desc\"]]", "76543210"},
		{"[[\"grp\",\"desc\"],[\"id\",\"asc\"]]", "01234567"},
		{"[[\"grp\",\"asc\"],[\"n\",\"desc\"]]", "37261504"},
	};
	struct mr_error err;
	struct mr_arena a = {0};
	struct mr_row rows[8];
	struct mr_app *app = mr_app_read(MR_STR(MANIFEST), &err);
	for (size_t i = 0; i < MR_COUNT(rows); i++) {
		struct mr_str text =
			mr_arena_printf(&a, "{\"id\":\"00000000-0000-7000-8000-00000000000%zu\",\"grp\":\"a\",\"n\":%zu,\"note\":null}", i,
				i % 4 * 2 + (i < 4));
		assert_true(mr_row_from_image(&a, &app->entities[0], mr_json_read(&a, text, 8, false, &err), &rows[i]));
	}
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		char told[9] = "";
		told_order(&a, &app->entities[0], cases[i][0], rows, MR_COUNT(rows), told);
		assert_string_equal(cases[i][1], told);
	}
	mr_arena_fini(&a);
	mr_app_drop(&app);
}

static struct mr_str nothing(void *arg, const uint8_t token[MR_TOKEN_BYTES])
{
	return (struct mr_str){0};
}

/* Builds a batch of one log row with these changes; tells how many of them are bulk. */
static size_t bulks(struct mr_app *app, const char *changes, int64_t *first)
{
	struct mr_log_row row = {.seq = 9, .xid = 7, .changes = mr_str(changes)};
	bool lost;
	const struct mr_entity *misfit;
	struct mr_batch *b = mr_batch_new(1, app, &row, 1, nothing, NULL, NULL, &lost, &misfit);
	size_t n = 0;
	assert_false(lost);
	assert_null(misfit);
	for (size_t i = 0; i < b->n_changes; i++)
		n += b->changes[i].bulk;
	*first = b->n_changes ? b->changes[0].seq : 0;
	mr_batch_drop(&b);
	return n;
}

#define IMAGE(n)        "{\"id\":\"00000000-0000-7000-8000-000000000001\",\"grp\":\"a\",\"n\":" #n ",\"note\":null}"
#define CHANGE(s, rest) "{\"s\":" #s ",\"e\":\"Item\"," rest "}"

static void rule_01_changes_come_in_the_order_of_writing(void **state)
{
	struct mr_error err;
	int64_t first;
	struct mr_app *app = mr_app_read(MR_STR(MANIFEST), &err);
	assert_int_equal(0, bulks(app,
				    "[" CHANGE(5, "\"o\":" IMAGE(2)) "," CHANGE(4, "\"o\":" IMAGE(1) ",\"n\":" IMAGE(2)) "," CHANGE(
					    3, "\"n\":" IMAGE(1)) "]",
				    &first));
	assert_int_equal(3, first);
	mr_app_drop(&app);
}

/* As many log rows of one changed row each, as triggers write them. */
static size_t told_of(struct mr_app *app, size_t n, const struct mr_stakes *stakes)
{
	static const char change[] = "[" CHANGE(5, "\"n\":" IMAGE(1)) "]";
	struct mr_log_row *rows = mr_alloc(n * sizeof *rows);
	bool lost;
	const struct mr_entity *misfit;
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct mr_log_row){.seq = 9 + (int64_t)i, .xid = 7, .changes = mr_str(change)};
	struct mr_batch *b = mr_batch_new(1, app, rows, n, nothing, NULL, stakes, &lost, &misfit);
	size_t told = b->n_changes == 1 && b->changes[0].bulk ? 0 : b->n_changes;
	mr_batch_drop(&b);
	free(rows);
	return told;
}

/* Many rows are told one by one where the live queries of their table cost more to read anew. */
static void many_rows_are_bulk_unless_they_are_worth_telling(void **state)
{
	struct mr_error err;
	struct mr_stakes stakes = {0};
	struct mr_app *app = mr_app_read(MR_STR(MANIFEST), &err);
	assert_int_equal(MR_STAKES_LEAST, told_of(app, MR_STAKES_LEAST, &stakes));
	assert_int_equal(0, told_of(app, MR_STAKES_LEAST + 1, &stakes));
	assert_int_equal(MR_STAKES_LEAST + 1, told_of(app, MR_STAKES_LEAST + 1, NULL));
	mr_stakes_add(&stakes, &app->entities[0], 100);
	assert_int_equal(MR_STAKES_LEAST + 100, told_of(app, MR_STAKES_LEAST + 100, &stakes));
	assert_int_equal(0, told_of(app, MR_STAKES_LEAST + 101, &stakes));
	assert_int_equal(MR_STAKES_LEAST + 100, mr_stakes_all(&stakes));
	mr_stakes_add(&stakes, &app->entities[0], 3 * MR_BATCH_CHANGES);
	assert_int_equal(MR_BATCH_CHANGES, told_of(app, MR_BATCH_CHANGES, &stakes));
	assert_int_equal(0, told_of(app, MR_BATCH_CHANGES + 1, &stakes));
	mr_app_drop(&app);
}

/* What a trigger rewrote before the outer write was captured: the numbers do not tell the order, so the table is read anew. */
static void rule_01_broken_chains_are_read_anew(void **state)
{
	struct mr_error err;
	int64_t first;
	struct mr_app *app = mr_app_read(MR_STR(MANIFEST), &err);
	assert_int_equal(
		1, bulks(app, "[" CHANGE(3, "\"o\":" IMAGE(2) ",\"n\":" IMAGE(3)) "," CHANGE(4, "\"o\":" IMAGE(1) ",\"n\":" IMAGE(2)) "]",
			   &first));
	assert_int_equal(1, bulks(app, "[" CHANGE(3, "\"n\":" IMAGE(2)) "," CHANGE(4, "\"n\":" IMAGE(2)) "]", &first));
	mr_app_drop(&app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_01_changes_come_in_the_order_of_writing),
		cmocka_unit_test(many_rows_are_bulk_unless_they_are_worth_telling),
		cmocka_unit_test(rule_01_broken_chains_are_read_anew),
		cmocka_unit_test(rule_13_rows_follow_changes),
		cmocka_unit_test(whole_bodies_are_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
