#include "lookup.h"

#include <stdlib.h>

#include "matcher_key.h"
#include "proto/ground/hash.h"

struct mr_lookup {
	const struct mr_entity *entity;
	int field;
	bool bulk;
	struct mr_sip sip;
	size_t n;
	struct mr_image images[]; /* by hash, then as in the batch */
};

static uint64_t hash(const struct mr_lookup *l, const struct mr_value *v)
{
	struct mr_key key = {.v = {v}, .n = 1};
	return mr_key_hash(&l->sip, &key);
}

static int by_hash(const void *a, const void *b)
{
	const struct mr_image *x = a, *y = b;
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->change != y->change)
		return x->change < y->change ? -1 : 1;
	return y->was - x->was;
}

static void add(struct mr_lookup *l, const struct mr_row *row, size_t change, bool was)
{
	if (row->v)
		l->images[l->n++] = (struct mr_image){hash(l, &row->v[l->field]), change, was};
}

static struct mr_lookup *make(const struct mr_batch *b, const struct mr_entity *e, int field)
{
	uint64_t secret[2];
	struct mr_lookup *l = mr_alloc(sizeof *l + 2 * b->n_changes * sizeof *l->images);
	l->entity = e;
	l->field = field;
	mr_random(secret, sizeof secret);
	l->sip = mr_sip_start(secret);
	for (size_t i = 0; i < b->n_changes; i++) {
		const struct mr_change *c = &b->changes[i];
		if (c->entity != e)
			continue;
		l->bulk |= c->bulk;
		add(l, &c->was, i, true);
		add(l, &c->is, i, false);
	}
	qsort(l->images, l->n, sizeof *l->images, by_hash);
	return l;
}

static struct mr_lookup *get(struct mr_lookups *all, const struct mr_batch *b, const struct mr_entity *e, int field)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i]->entity == e && all->v[i]->field == field)
			return all->v[i];
	all->v = mr_realloc(all->v, (all->n + 1) * sizeof *all->v);
	return all->v[all->n++] = make(b, e, field);
}

static size_t first_at(const struct mr_lookup *l, uint64_t h)
{
	size_t from = 0, to = l->n;
	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (l->images[mid].hash < h)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

const struct mr_image *mr_lookup_find(struct mr_lookups *all, const struct mr_batch *b, const struct mr_entity *e, int field,
	const struct mr_value *value, size_t *n, bool *bulk)
{
	const struct mr_lookup *l = get(all, b, e, field);
	uint64_t h = hash(l, value);
	size_t first = first_at(l, h);
	for (*n = 0; first + *n < l->n && l->images[first + *n].hash == h;)
		++*n;
	*bulk = l->bulk;
	return l->images + first;
}

void mr_lookups_fini(struct mr_lookups *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->v[i]);
	free(all->v);
	*all = (struct mr_lookups){0};
}
