/* The matcher's hash tables. They are at most 5/8 full, so that a probe seldom leaves its cache line, and are cut in half when less than an
 * eighth is used. Removing moves the rest of the run back (Knuth, "Sorting and Searching", 6.4, algorithm R), so that there are no graves.
 */
#include <stdlib.h>

#include "matcher_inner.h"
#include "proto/ground/log.h"

enum { CAP_LEAST = 4 };

static void put_slot(struct mr_table *t, struct mr_slot s)
{
	size_t i = s.hash & (t->cap - 1);
	while (t->slots[i].bucket)
		i = (i + 1) & (t->cap - 1);
	t->slots[i] = s;
}

static void resize(struct mr_table *t, size_t cap)
{
	struct mr_table was = *t;
	t->cap = cap;
	t->slots = mr_lines_alloc(cap * sizeof *t->slots);
	for (size_t i = 0; i < was.cap; i++)
		if (was.slots[i].bucket)
			put_slot(t, was.slots[i]);
	free(was.slots);
}

struct mr_bucket *mr_table_get(const struct mr_table *t, uint64_t hash, const struct mr_key *k)
{
	if (!t->n)
		return NULL;
	size_t i = mr_table_find(t, hash, hash & (t->cap - 1));
	while (t->slots[i].bucket && !mr_key_is(t->slots[i].bucket->key, k))
		i = mr_table_find(t, hash, (i + 1) & (t->cap - 1));
	return t->slots[i].bucket;
}

void mr_table_put(struct mr_table *t, struct mr_bucket *b)
{
	if ((t->n + 1) * 8 > t->cap * 5)
		resize(t, t->cap ? 2 * t->cap : CAP_LEAST);
	put_slot(t, (struct mr_slot){b->hash, b});
	t->n++;
}

/* Those behind in the run that may stand in the gap, do. */
static void close_gap(struct mr_table *t, size_t gap)
{
	size_t mask = t->cap - 1;
	for (size_t i = (gap + 1) & mask; t->slots[i].bucket; i = (i + 1) & mask) {
		size_t home = t->slots[i].hash & mask;
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		t->slots[gap] = t->slots[i];
		gap = i;
	}
	t->slots[gap].bucket = NULL;
}

void mr_table_remove(struct mr_table *t, const struct mr_bucket *b)
{
	size_t i = b->hash & (t->cap - 1);
	while (t->slots[i].bucket != b) {
		MR_ASSERT(t->slots[i].bucket);
		i = (i + 1) & (t->cap - 1);
	}
	close_gap(t, i);
	t->n--;
	if (t->n * 8 < t->cap && t->cap > CAP_LEAST)
		resize(t, t->cap / 2);
}
