/* The matcher against brute force: random watchers come and go, random changes are matched, and each watcher must be hit just once for each
 * change of which its predicate is true. Choices come from a seed (tests/unit/fanout_matcher.c) or from a fuzzer's bytes
 * (tests/fuzz/matcher.c). Values are drawn from few, so that they meet; among them are those that index structures get wrong.
 */
#ifndef MR_TEST_MATCHER_WORLD_H
#define MR_TEST_MATCHER_WORLD_H

#include <math.h>
#include <stdlib.h>

#include "fanout/matcher.h"
#include "proto/ground/log.h"

enum { WORLD_WATCHERS = 500, WORLD_CHANGES = 40, WORLD_FIELDS = 9, WORLD_DEPTH = 3 };

struct choices {
	const uint8_t *p; /* NULL: random */
	size_t n;
	uint64_t x; /* not 0 */
};

/* A number below n; the end of the bytes gives zeros. */
static inline unsigned pick(struct choices *c, unsigned n)
{
	if (c->p) {
		if (!c->n)
			return 0;
		c->n--;
		return *c->p++ % n;
	}
	c->x ^= c->x << 13;
	c->x ^= c->x >> 7;
	c->x ^= c->x << 17;
	return (unsigned)((c->x >> 11) % n);
}

struct world_watcher {
	struct mr_watcher watcher;
	struct mr_arena arena;
	uint64_t hits; /* bit i: met by change i of the batch */
	bool in;
};

struct world {
	struct choices *c;
	struct mr_app *apps[2]; /* the same entities twice, as after a new bundle */
	const struct mr_entity *entities[3];
	struct mr_matcher *ix;
	struct world_watcher w[WORLD_WATCHERS];
	struct mr_change changes[WORLD_CHANGES];
	struct mr_arena arena; /* of changes */
	const struct mr_change *last;
	int focus;           /* the field of all intervals, so that their trees grow; or 0 */
	size_t matched, met; /* how much was seen, so that a test can tell that it tested something */
};

/* Fields of a world's entities: id, then one of each type that predicates know, by turns. */
static inline struct mr_app *world_app(void)
{
	struct mr_error err;
	struct mr_buf b = {0};
	mr_buf_z(&b, "{\"entities\":[");
	for (int e = 0; e < 2; e++) {
		mr_buf_printf(&b, "%s{\"name\":\"E%d\",\"fields\":[", e ? "," : "", e);
		for (int f = 1; f <= WORLD_FIELDS; f++)
			mr_buf_printf(&b, "%s{\"name\":\"f%d\",\"type\":\"%s\",\"optional\":true}", f > 1 ? "," : "", f,
				mr_type_name((enum mr_type)((e ? f / 2 : f - 1) % MR_T_JSON)));
		mr_buf_z(&b, "]}");
	}
	mr_buf_z(&b, "]}");
	struct mr_app *app = mr_app_read(mr_buf_view(&b), &err);
	mr_buf_fini(&b);
	MR_ASSERT(app);
	return app;
}

static inline struct world *world_new(struct choices *c)
{
	struct world *w = mr_alloc(sizeof *w);
	w->c = c;
	for (int i = 0; i < 2; i++)
		w->apps[i] = world_app();
	w->entities[0] = &w->apps[0]->entities[0];
	w->entities[1] = &w->apps[0]->entities[1];
	w->entities[2] = &w->apps[1]->entities[0];
	w->ix = mr_matcher_new();
	w->focus = (int)(pick(c, 2) * (1 + pick(c, WORLD_FIELDS)));
	return w;
}

static inline void world_remove(struct world *w, struct world_watcher *x)
{
	mr_matcher_remove(w->ix, &x->watcher);
	mr_matcher_remove(w->ix, &x->watcher); /* nothing the second time */
	mr_arena_fini(&x->arena);
	x->in = false;
}

static inline void world_delete(struct world **w)
{
	for (size_t i = 0; i < WORLD_WATCHERS; i++)
		if ((*w)->w[i].in)
			world_remove(*w, &(*w)->w[i]);
	mr_matcher_delete(&(*w)->ix);
	for (int i = 0; i < 2; i++)
		mr_app_drop(&(*w)->apps[i]);
	mr_arena_fini(&(*w)->arena);
	free(*w);
	*w = NULL;
}

/* Values */

static inline struct mr_value world_value(struct choices *c, enum mr_type type)
{
	static const int64_t ints[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, 2, 3, 1 << 20, INT64_MAX - 1, INT64_MAX};
	static const double doubles[] = {-INFINITY, -1e308, -1, -5e-324, -0.0, 0, 5e-324, 0.5, 1, 1e308, INFINITY, NAN};
	static const char *const numerics[] = {"-Infinity", "-12345678901234567891", "-12345678901234567890", "-1", "-0.5", "0", "0.05",
		"0.5", "0.50001", "1", "9", "10", "11", "12345678901234567890", "12345678901234567891", "1e0", "Infinity", "NaN"};
	static const char *const texts[] = {"", "a", "b", "ab", "aaaaaaaa", "aaaaaaab", "aaaaaaaaa", "aaaaaaaab",
		"aaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaab",
		"012345678901234567890123456789012345", /* has room beside its watcher */
		"0123456789012345678901234567890123456",
		"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789a",
		"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789b",
		"012345678901234567890123456789012345678901234567890123456789", "\xc3\xa9", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
	struct mr_value v = {.type = type};
	switch (type) {
	case MR_T_BOOL:
		v.truth = pick(c, 2);
		break;
	case MR_T_INT:
	case MR_T_BIGINT:
	case MR_T_DATETIME:
		v.i = ints[pick(c, MR_COUNT(ints))];
		break;
	case MR_T_FLOAT:
		v.d = doubles[pick(c, MR_COUNT(doubles))];
		break;
	case MR_T_NUMERIC:
		v.text = mr_str(numerics[pick(c, MR_COUNT(numerics))]);
		if (mr_str_is(v.text, "1e0"))
			v.text = MR_STR("1"); /* canonical, as all readers make it */
		break;
	case MR_T_UUID:
		v.uuid[pick(c, 2) ? 15 : 0] = (uint8_t)(pick(c, 4) << 6);
		break;
	default:
		v.text = mr_str(texts[pick(c, MR_COUNT(texts))]);
	}
	return v;
}

static inline struct mr_row world_row(struct world *w, const struct mr_entity *e)
{
	struct mr_row row = {e, mr_arena_alloc(&w->arena, e->n * sizeof(struct mr_value))};
	row.v[0] = (struct mr_value){.type = MR_T_UUID, .uuid = {(uint8_t)pick(w->c, 256)}};
	for (size_t i = 1; i < e->n; i++) {
		row.v[i] = world_value(w->c, e->fields[i].type);
		row.v[i].null = pick(w->c, 6) == 0;
	}
	return row;
}

/* Predicates */

static inline int world_field(struct world *w)
{
	/* The first fields more often, so that predicates meet. */
	return 1 + (int)(pick(w->c, 2) ? pick(w->c, 3) : pick(w->c, WORLD_FIELDS));
}

static int by_value(const void *a, const void *b)
{
	return mr_value_cmp(a, b);
}

static inline const struct mr_pred *world_in(struct world *w, struct mr_arena *a, const struct mr_entity *e, int field)
{
	struct mr_pred *p = mr_arena_alloc(a, sizeof *p);
	unsigned n = pick(w->c, 5);
	struct mr_value *v = mr_arena_alloc(a, (n + 1) * sizeof *v);
	for (unsigned i = 0; i < n; i++)
		v[i] = world_value(w->c, e->fields[field].type);
	qsort(v, n, sizeof *v, by_value);
	*p = (struct mr_pred){.op = MR_P_IN, .field = field, .values = v, .n = n};
	return p;
}

static inline const struct mr_pred *world_fields(struct world *w, struct mr_arena *a, const struct mr_entity *e, enum mr_pred_op op)
{
	int x = world_field(w), y = world_field(w);
	return mr_pred_fields(a, op, x, mr_types_compare(e->fields[x].type, e->fields[y].type) ? y : x);
}

static inline const struct mr_pred *world_leaf(struct world *w, struct mr_arena *a, const struct mr_entity *e, enum mr_pred_op op)
{
	int field = world_field(w);
	struct mr_value v;
	switch (op) {
	case MR_P_IN:
		return world_in(w, a, e, field);
	case MR_P_NULL:
		return mr_pred_is_null(a, field, true);
	case MR_P_TRUE:
	case MR_P_FALSE:
		/* Seldom: they make trees of themselves. */
		return pick(w->c, 4) ? mr_pred_is_null(a, field, false) : mr_pred_constant(a, op == MR_P_TRUE);
	case MR_P_EQ_FIELD:
	case MR_P_NE_FIELD:
	case MR_P_LT_FIELD:
	case MR_P_LE_FIELD:
		return world_fields(w, a, e, op);
	default:
		v = world_value(w->c, e->fields[field].type);
		return mr_pred_compare(a, op, field, &v);
	}
}

static inline const struct mr_pred *world_tree(struct world *w, struct mr_arena *a, const struct mr_entity *e, int depth)
{
	/* What the index knows more often than the rest. */
	static const enum mr_pred_op known[] = {MR_P_EQ, MR_P_EQ, MR_P_EQ, MR_P_IN, MR_P_NULL, MR_P_LT, MR_P_LE, MR_P_GT, MR_P_GE};
	enum mr_pred_op op = pick(w->c, 3) ? known[pick(w->c, MR_COUNT(known))] : (enum mr_pred_op)pick(w->c, MR_P_LE_FIELD + 1);
	if (depth == WORLD_DEPTH)
		op = pick(w->c, 3) ? MR_P_AND : MR_P_OR;
	if (op < MR_P_AND || op > MR_P_NOT)
		return world_leaf(w, a, e, op);
	if (!depth)
		return world_leaf(w, a, e, MR_P_EQ);
	struct mr_pred *p = mr_arena_alloc(a, sizeof *p);
	size_t n = op == MR_P_NOT ? 1 : pick(w->c, 8) ? 1 + pick(w->c, 4) : pick(w->c, 80);
	const struct mr_pred **kids = mr_arena_alloc(a, (n + 1) * sizeof *kids);
	for (size_t i = 0; i < n; i++)
		kids[i] = world_tree(w, a, e, n > 8 ? 0 : depth - 1);
	*p = (struct mr_pred){.op = op, .kids = kids, .n = n};
	return p;
}

/* An interval beside few equalities: these fill trees. */
static inline const struct mr_pred *world_interval(struct world *w, struct mr_arena *a, const struct mr_entity *e)
{
	int field = w->focus ? w->focus : 1 + (int)pick(w->c, WORLD_FIELDS);
	struct mr_value low = world_value(w->c, e->fields[field].type), high = world_value(w->c, e->fields[field].type);
	const struct mr_pred *p = mr_pred_compare(a, pick(w->c, 2) ? MR_P_GT : MR_P_GE, field, &low);
	if (pick(w->c, 4))
		p = mr_pred_and(a, p, mr_pred_compare(a, pick(w->c, 2) ? MR_P_LT : MR_P_LE, field, &high));
	if (pick(w->c, w->focus ? 10 : 3) == 0)
		p = mr_pred_and(a, p, world_leaf(w, a, e, MR_P_EQ));
	return p;
}

static inline void world_add(struct world *w)
{
	struct world_watcher *x = &w->w[pick(w->c, 256) * 2 % WORLD_WATCHERS + pick(w->c, 2)];
	if (x->in)
		world_remove(w, x);
	const struct mr_entity *e = w->entities[pick(w->c, 8) < 6 ? 0 : 1 + pick(w->c, 2)];
	const struct mr_pred *p = pick(w->c, 2) ? world_interval(w, &x->arena, e) : world_tree(w, &x->arena, e, WORLD_DEPTH);
	if (pick(w->c, 4))
		p = mr_pred_normal(&x->arena, p);
	x->watcher = (struct mr_watcher){.entity = e, .pred = p, .owner = x};
	x->in = true;
	mr_matcher_add(w->ix, &x->watcher);
}

/* Changes */

static inline void world_change(struct world *w, struct mr_change *c)
{
	const struct mr_entity *e = w->entities[pick(w->c, 8) < 6 ? 0 : 1 + pick(w->c, 2)];
	unsigned kind = pick(w->c, 6);
	*c = (struct mr_change){.entity = e};
	if (kind != 0)
		c->is = world_row(w, e);
	if (kind == 0 || kind == 2)
		c->was = world_row(w, e);
	if (kind < 3)
		return;
	/* An update of one field. */
	c->was = (struct mr_row){e, mr_arena_alloc(&w->arena, e->n * sizeof(struct mr_value))};
	memcpy(c->was.v, c->is.v, e->n * sizeof(struct mr_value));
	int field = world_field(w);
	c->was.v[field] = world_value(w->c, e->fields[field].type);
	c->was.v[field].null = pick(w->c, 6) == 0;
}

static inline void world_hit(struct mr_watcher *watcher, const struct mr_change *c, void *arg)
{
	struct world *w = arg;
	struct world_watcher *x = watcher->owner;
	uint64_t bit = UINT64_C(1) << (c - w->changes);
	MR_ASSERT(x->in && c >= w->last && watcher->entity == c->entity);
	w->last = c;
	MR_ASSERT(!(x->hits & bit));
	x->hits |= bit;
}

/* Whoever is foreseen is in, hit or not. */
static inline void world_soon(const struct mr_watcher *watcher)
{
	MR_ASSERT(((const struct world_watcher *)watcher->owner)->in);
}

static inline bool world_wants(const struct mr_watcher *watcher, const struct mr_change *c)
{
	return watcher->entity == c->entity &&
	       ((c->was.v && mr_pred_eval(watcher->pred, &c->was) == 1) || (c->is.v && mr_pred_eval(watcher->pred, &c->is) == 1));
}

static inline void world_match(struct world *w)
{
	size_t n = 1 + (pick(w->c, 4) ? pick(w->c, 3) : pick(w->c, WORLD_CHANGES));
	for (size_t i = 0; i < n; i++)
		world_change(w, &w->changes[i]);
	w->last = w->changes;
	mr_matcher_match(w->ix, w->changes, n, world_hit, pick(w->c, 2) ? world_soon : NULL, w);
	for (size_t i = 0; i < WORLD_WATCHERS; i++) {
		struct world_watcher *x = &w->w[i];
		for (size_t k = 0; x->in && k < n; k++) {
			bool want = world_wants(&x->watcher, &w->changes[k]);
			if (want != (x->hits >> k & 1)) {
				struct mr_buf b = {0};
				mr_pred_print(&b, x->watcher.entity, x->watcher.pred);
				mr_log(MR_ERROR, "watcher %zu of change %zu: %d is wrong for %s", i, k, !want, b.p);
				mr_buf_fini(&b);
			}
			MR_ASSERT(want == (x->hits >> k & 1));
			w->met += want;
		}
		x->hits = 0;
	}
	w->matched += n;
	mr_arena_reset(&w->arena);
}

static inline void world_each_hit(struct mr_watcher *watcher, void *arg)
{
	((struct world_watcher *)watcher->owner)->hits++;
}

static inline void world_each(struct world *w)
{
	const struct mr_entity *e = w->entities[pick(w->c, 3)];
	mr_matcher_each(w->ix, e, world_each_hit, NULL);
	for (size_t i = 0; i < WORLD_WATCHERS; i++) {
		MR_ASSERT(w->w[i].hits == (w->w[i].in && w->w[i].watcher.entity == e));
		w->w[i].hits = 0;
	}
}

static inline void world_step(struct world *w)
{
	unsigned what = pick(w->c, 16);
	struct world_watcher *x = &w->w[pick(w->c, 256) * 2 % WORLD_WATCHERS + pick(w->c, 2)];
	if (what == 0)
		world_each(w);
	else if (what < 4 && x->in)
		world_remove(w, x);
	else if (what < 8)
		world_match(w);
	else
		world_add(w);
}

#endif
