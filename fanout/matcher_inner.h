/* What the files of the matcher share: entities, groups, buckets and what is in them. */
#ifndef MR_MATCHER_INNER_H
#define MR_MATCHER_INNER_H

#include "matcher.h"
#include "matcher_plan.h"

/* A branch of a watcher, in its bucket. An interval is compared by ranks here; where these are not exact, it is left to the rest as well.
 */
struct mr_entry {
	struct mr_watcher *watcher;
	struct mr_rest rest;
	uint32_t place; /* of the watcher's */
	int32_t field;  /* with an interval, or -1 */
	uint64_t low, high;
};

/* A branch in an interval tree. */
struct mr_range_entry {
	struct mr_span span;
	struct mr_watcher *watcher;
	struct mr_rest rest;
	struct mr_field_ranges *in;
};
_Static_assert(sizeof(struct mr_range_entry) == MR_LINE, "an interval that is found is one more line of memory");

struct mr_field_ranges {
	struct mr_field_ranges *next;
	struct mr_bucket *bucket;
	int field;
	struct mr_ranges tree;
};

/* What is in a bucket, unless it is one watcher of which nothing is left to be evaluated. */
struct mr_many {
	uint32_t n, cap;
	union {
		struct mr_entry one; /* while cap is 1 */
		struct mr_entry *entries;
	};
	struct mr_field_ranges *ranges;
};
_Static_assert(sizeof(struct mr_many) == MR_LINE, "a lone watcher with a rest is one more line of memory");

/* Branches with the same values in the fields of their group. With a lone watcher and a key of up to 32 bytes (a text of 27) it is one
 * line. */
struct mr_bucket {
	union {
		struct mr_watcher *lone;
		struct mr_many *many; /* NULL: there is nothing in it */
	};
	struct mr_group *group; /* NULL: of branches without equality */
	uint64_t hash;
	uint32_t place;                                /* of the lone watcher's */
	uint32_t is_lone : 1, is_only : 1, n_key : 30; /* is_only: the lone watcher is in no other bucket */
	char key[];
};

struct mr_slot {
	uint64_t hash;
	struct mr_bucket *bucket; /* NULL: empty */
};

/* Open addressing with linear probing. */
struct mr_table {
	struct mr_slot *slots;
	size_t n, cap; /* cap: a power of two */
};

struct mr_group {
	struct mr_table buckets;
	size_t n;
	int fields[MR_KEY_FIELDS]; /* ascending */
	bool wide;                 /* there were buckets of more than a line */
};

struct mr_by_entity {
	struct mr_by_entity *next; /* another app's, of the same number */
	const struct mr_entity *entity;
	struct mr_group **groups;
	size_t n;
	struct mr_bucket *unkeyed;
	struct mr_list watchers;
};

struct mr_matcher {
	struct mr_pool pool; /* of buckets, intervals and their trees */
	struct mr_sip start;
	uint64_t mark;
	struct mr_by_entity **entities; /* by number */
	size_t n;
};

static inline struct mr_by_entity *mr_matcher_entity(const struct mr_matcher *ix, const struct mr_entity *e)
{
	struct mr_by_entity *b = (size_t)e->number < ix->n ? ix->entities[e->number] : NULL;
	while (b && b->entity != e)
		b = b->next;
	return b;
}

static inline struct mr_entry *mr_entries(struct mr_many *m)
{
	return m->cap == 1 ? &m->one : m->entries;
}

static inline struct mr_key mr_group_key(const struct mr_group *g, const struct mr_row *row)
{
	struct mr_key k;
	k.n = g->n;
	for (size_t i = 0; i < g->n; i++)
		k.v[i] = &row->v[g->fields[i]];
	return k;
}

/* The slot with this hash at or after place i of the run, or the empty one at its end. */
static inline size_t mr_table_find(const struct mr_table *t, uint64_t hash, size_t i)
{
	while (t->slots[i].bucket && t->slots[i].hash != hash)
		i = (i + 1) & (t->cap - 1);
	return i;
}

/* NULL when there is none of this key. */
struct mr_bucket *mr_table_get(const struct mr_table *t, uint64_t hash, const struct mr_key *k);
void mr_table_put(struct mr_table *t, struct mr_bucket *b); /* its key is not in yet */
void mr_table_remove(struct mr_table *t, const struct mr_bucket *b);

#endif
