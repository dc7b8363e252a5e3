/* What the files of the matcher share: entities, groups, and what is in the buckets (matcher_table.h). */
#ifndef MR_MATCHER_INNER_H
#define MR_MATCHER_INNER_H

#include "matcher.h"
#include "matcher_plan.h"
#include "matcher_table.h"

/* A branch of a watcher, in its bucket. An interval is compared by ranks here; where these are not exact, it is left to the rest as well.
 */
struct mr_entry {
	struct mr_watcher *watcher;
	struct mr_rest rest;
	uint32_t place : 31, is_only : 1; /* of the watcher's; it is the only one */
	int32_t field;                    /* with an interval, or -1 */
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
	struct mr_many *in;
	int field;
	struct mr_ranges tree;
};

/* What is in a bucket, unless it is one watcher of which nothing is left to be evaluated. It stays where it is; the bucket does not. */
struct mr_many {
	struct mr_group *group; /* NULL: of branches without equality */
	uint32_t high;          /* of the hash: by these the bucket is found */
	uint32_t n : 31, is_one : 1;
	union {
		struct mr_entry one; /* is_one: room for one, and no ranges */
		struct {
			struct mr_entry *entries;
			struct mr_field_ranges *ranges;
			uint32_t cap;
		};
	};
};
_Static_assert(sizeof(struct mr_many) == MR_LINE, "a lone watcher with a rest is one more line of memory");

struct mr_group {
	struct mr_table buckets;
	size_t n;
	int fields[MR_KEY_FIELDS]; /* ascending */
};

struct mr_by_entity {
	struct mr_by_entity *next; /* another app's, of the same number */
	const struct mr_entity *entity;
	struct mr_group **groups;
	size_t n;
	struct mr_list watchers;
	struct mr_bucket *unkeyed; /* of branches without equality; always there, perhaps empty */
};

struct mr_matcher {
	struct mr_pool pool; /* of what shares a bucket, far keys, intervals and their trees */
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
	return m->is_one ? &m->one : m->entries;
}

static inline struct mr_field_ranges *mr_ranges_in(const struct mr_many *m)
{
	return m->is_one ? NULL : m->ranges;
}

static inline struct mr_key mr_group_key(const struct mr_group *g, const struct mr_row *row)
{
	struct mr_key k;
	k.n = g->n;
	for (size_t i = 0; i < g->n; i++)
		k.v[i] = &row->v[g->fields[i]];
	return k;
}

#endif
