/* Intervals of one field, and which of them hold a value: a B+ tree of intervals in the order of their lower ends, in which each node knows
 * the least lower and the greatest upper end below each of its kids (the interval tree of Cormen, Leiserson, Rivest and Stein,
 * "Introduction to Algorithms", 14.3, with wide nodes for the sake of the caches). A search costs O((1 + found) log n). A node goes when it
 * is empty and is not merged before (Johnson and Shasha, "B-trees with inserts and deletes: why free-at-empty is better than
 * merge-at-half", 1993).
 *
 * Ends are ranks (matcher_rank.h); where these are not exact, the values decide among equal ones. All ends count as inside: open
 * intervals of exact types are given with their ends moved by one, for other types the finder looks at the candidate once more.
 */
#ifndef MR_MATCHER_RANGE_H
#define MR_MATCHER_RANGE_H

#include "matcher_pool.h"
#include "proto/value.h"

struct mr_end {
	uint64_t rank;
	const struct mr_value *value; /* NULL: the rank is exact, or the interval has no end here (rank 0 or UINT64_MAX) */
};

/* Embedded in what is found. */
struct mr_span {
	struct mr_end low, high;
};

struct mr_ranges {
	struct mr_range_node *root; /* NULL: empty */
	uint32_t height;            /* levels above the leaves */
};

/* whole: what is found with it when its ranks are all there is to know of it, so that nobody need look at it; or NULL. Aligned to 2 at the
 * least. */
void mr_ranges_add(struct mr_ranges *r, struct mr_span *s, void *whole, struct mr_pool *pool);
void mr_ranges_remove(struct mr_ranges *r, struct mr_span *s, struct mr_pool *pool); /* it must be in */
/* Calls found for each interval that holds v (not null), with s or with whole. Allocates nothing; found must not change the tree. */
typedef void mr_span_found(struct mr_span *s, void *whole, void *arg);
void mr_ranges_stab(const struct mr_ranges *r, const struct mr_value *v, mr_span_found *found, void *arg);

/* A scout goes ahead of a search, a level at a time, on the way on which that will most likely find something, and asks for the memory of
 * the next: with many scouts under way, one does not wait for the memory of another. As long as there is no other way, the search need not
 * go it again. The tree must not change meanwhile. */
struct mr_scout {
	const struct mr_ranges *ranges;    /* NULL: it has not been sent */
	const struct mr_range_node *node;  /* NULL: nothing left to do */
	const struct mr_range_node *begin; /* all that may hold the value is below it */
	uint32_t height, begin_height;
	uint64_t rank;
};
void mr_scout_start(struct mr_scout *s, const struct mr_ranges *r, const struct mr_value *v); /* r not empty, v not null */
/* What it has come to, once: *whole, or else an interval, for which it has asked. NULL: nothing yet, or *whole. */
const struct mr_span *mr_scout_step(struct mr_scout *s, void **whole);
/* As mr_ranges_stab, from where the scout came to; v: for which it was sent. */
void mr_scout_stab(const struct mr_scout *s, const struct mr_value *v, mr_span_found *found, void *arg);

#endif
