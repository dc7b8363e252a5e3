#include "matcher.h"

#include <stdlib.h>

#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum { MAX_EQUALITIES = 8 };

/* Watchers with the same values in the fields of their group. */
struct mr_bucket {
	struct mr_group *group;
	struct mr_list watchers;
	size_t n_key;
	char key[];
};

struct mr_group {
	struct mr_group *next;
	const struct mr_entity *entity;
	int fields[MAX_EQUALITIES]; /* ascending; none: all watchers are in the one bucket of the empty key */
	size_t n;
	struct mr_map buckets;
};

struct by_entity {
	const struct mr_entity *entity;
	struct mr_group *groups;
};

struct mr_matcher {
	struct by_entity *entities;
	size_t n;
	struct mr_buf key; /* of the probe at hand */
};

struct mr_matcher *mr_matcher_new(void)
{
	return mr_alloc(sizeof(struct mr_matcher));
}

void mr_matcher_delete(struct mr_matcher **ix)
{
	if (!*ix)
		return;
	for (size_t i = 0; i < (*ix)->n; i++)
		MR_ASSERT(!(*ix)->entities[i].groups);
	mr_buf_fini(&(*ix)->key);
	free((*ix)->entities);
	free(*ix);
	*ix = NULL;
}

static struct by_entity *find_entity(struct mr_matcher *ix, const struct mr_entity *e)
{
	for (size_t i = 0; i < ix->n; i++)
		if (ix->entities[i].entity == e)
			return &ix->entities[i];
	return NULL;
}

static struct by_entity *make_entity(struct mr_matcher *ix, const struct mr_entity *e)
{
	ix->entities = mr_realloc(ix->entities, (ix->n + 1) * sizeof *ix->entities);
	ix->entities[ix->n] = (struct by_entity){.entity = e};
	return &ix->entities[ix->n++];
}

static struct mr_group *find_group(struct by_entity *b, const int *fields, size_t n)
{
	for (struct mr_group *g = b->groups; g; g = g->next)
		if (g->n == n && (n == 0 || memcmp(g->fields, fields, n * sizeof *fields) == 0))
			return g;
	struct mr_group *g = mr_alloc(sizeof *g);
	g->entity = b->entity;
	g->n = n;
	if (n)
		memcpy(g->fields, fields, n * sizeof *fields);
	g->next = b->groups;
	b->groups = g;
	return g;
}

/* Fields in ascending order, each once; values follow. A field compared twice keeps its first value: the rest is left to the predicate. */
static size_t sort_equalities(int *fields, const struct mr_value **values, size_t n)
{
	size_t out = 0;
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;
		while (at < out && fields[at] < fields[i])
			at++;
		if (at < out && fields[at] == fields[i])
			continue;
		int field = fields[i];
		const struct mr_value *value = values[i];
		memmove(fields + at + 1, fields + at, (out - at) * sizeof *fields);
		memmove(values + at + 1, values + at, (out - at) * sizeof *values);
		fields[at] = field;
		values[at] = value;
		out++;
	}
	return out;
}

static void add_key(struct mr_buf *key, const struct mr_value *v)
{
	size_t start = key->n;
	mr_buf_add(key, "\0\0\0\0", 4);
	mr_value_key(key, v);
	uint32_t n = (uint32_t)(key->n - start - 4);
	memcpy(key->p + start, &n, 4);
}

void mr_matcher_add(struct mr_matcher *ix, struct mr_watcher *w)
{
	MR_ASSERT(w->entity && w->pred && !w->bucket);
	int fields[MAX_EQUALITIES + 1];
	const struct mr_value *values[MAX_EQUALITIES + 1];
	size_t n = sort_equalities(fields, values, mr_pred_equalities(w->pred, values, fields, MAX_EQUALITIES));
	struct by_entity *b = find_entity(ix, w->entity);
	if (!b)
		b = make_entity(ix, w->entity);
	struct mr_group *g = find_group(b, fields, n);
	mr_buf_reset(&ix->key);
	for (size_t i = 0; i < n; i++)
		add_key(&ix->key, values[i]);
	struct mr_bucket *bucket = mr_map_get(&g->buckets, mr_buf_view(&ix->key));
	if (!bucket) {
		bucket = mr_alloc(sizeof *bucket + ix->key.n + 1);
		bucket->group = g;
		bucket->n_key = ix->key.n;
		if (ix->key.n)
			memcpy(bucket->key, ix->key.p, ix->key.n);
		mr_list_init(&bucket->watchers);
		mr_map_put(&g->buckets, (struct mr_str){bucket->key, bucket->n_key}, bucket);
	}
	w->bucket = bucket;
	mr_list_add_tail(&bucket->watchers, &w->in_bucket);
}

static void drop_group(struct mr_matcher *ix, struct mr_group *g)
{
	struct by_entity *b = find_entity(ix, g->entity);
	struct mr_group **at = &b->groups;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	mr_map_fini(&g->buckets);
	free(g);
	if (!b->groups)
		*b = ix->entities[--ix->n];
}

void mr_matcher_remove(struct mr_matcher *ix, struct mr_watcher *w)
{
	struct mr_bucket *bucket = w->bucket;
	if (!bucket)
		return;
	w->bucket = NULL;
	mr_list_del(&w->in_bucket);
	if (!mr_list_empty(&bucket->watchers))
		return;
	struct mr_group *g = bucket->group;
	mr_map_del(&g->buckets, (struct mr_str){bucket->key, bucket->n_key});
	free(bucket);
	if (g->buckets.n == 0)
		drop_group(ix, g);
}

/* The row's values in the group's fields; false when one is null: equality never holds for it. */
static bool probe_key(struct mr_matcher *ix, const struct mr_group *g, const struct mr_row *row)
{
	mr_buf_reset(&ix->key);
	for (size_t i = 0; i < g->n; i++) {
		const struct mr_value *v = &row->v[g->fields[i]];
		if (v->null)
			return false;
		add_key(&ix->key, v);
	}
	return true;
}

size_t mr_matcher_match(struct mr_matcher *ix, const struct mr_row *row, void (*hit)(struct mr_watcher *w, void *arg), void *arg)
{
	struct by_entity *b = find_entity(ix, row->entity);
	size_t probes = 0;
	for (struct mr_group *g = b ? b->groups : NULL; g; g = g->next) {
		if (!probe_key(ix, g, row))
			continue;
		probes++;
		struct mr_bucket *bucket = mr_map_get(&g->buckets, mr_buf_view(&ix->key));
		if (!bucket)
			continue;
		MR_LIST_FOR (e, &bucket->watchers) {
			struct mr_watcher *w = MR_CONTAINER(e, struct mr_watcher, in_bucket);
			if (mr_pred_eval(w->pred, row) == 1)
				hit(w, arg);
		}
	}
	return probes;
}

void mr_matcher_each(struct mr_matcher *ix, const struct mr_entity *e, void (*hit)(struct mr_watcher *w, void *arg), void *arg)
{
	struct by_entity *b = find_entity(ix, e);
	for (struct mr_group *g = b ? b->groups : NULL; g; g = g->next) {
		struct mr_str key;
		void *value;
		for (size_t i = 0; mr_map_next(&g->buckets, &i, &key, &value);) {
			MR_LIST_FOR (at, &((struct mr_bucket *)value)->watchers)
				hit(MR_CONTAINER(at, struct mr_watcher, in_bucket), arg);
		}
	}
}
