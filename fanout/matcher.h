/* The subscription index: which watchers does a row meet? Pure code without I/O; matching allocates nothing.
 *
 * Watchers of one entity are grouped by the set of fields that their predicate compares for equality; a row probes one hash table per group
 * with its own values, and what is left of the predicate is evaluated for the few that remain. So cost follows the matches, not the
 * watchers.
 */
#ifndef MR_MATCHER_H
#define MR_MATCHER_H

#include "proto/ground/list.h"
#include "proto/predicate.h"

struct mr_matcher;

/* Embedded in whatever watches. The predicate must outlive it. */
struct mr_watcher {
	const struct mr_entity *entity;
	const struct mr_pred *pred;
	void *owner;
	/* private */
	struct mr_list in_bucket;
	struct mr_bucket *bucket;
};

struct mr_matcher *mr_matcher_new(void);
void mr_matcher_delete(struct mr_matcher **ix); /* all watchers must have left */
void mr_matcher_add(struct mr_matcher *ix, struct mr_watcher *w);
void mr_matcher_remove(struct mr_matcher *ix, struct mr_watcher *w); /* nothing when it is not in */
/* Calls hit for each watcher whose predicate is true of the row; returns the number of hash probes made. hit must not change the index. */
size_t mr_matcher_match(struct mr_matcher *ix, const struct mr_row *row, void (*hit)(struct mr_watcher *w, void *arg), void *arg);
/* Calls hit for each watcher of the entity, for changes that are not told row by row. */
void mr_matcher_each(struct mr_matcher *ix, const struct mr_entity *e, void (*hit)(struct mr_watcher *w, void *arg), void *arg);

#endif
