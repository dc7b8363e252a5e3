/* The subscription index: which watchers does a change meet? Pure code without I/O; matching allocates nothing and makes no system call.
 * Not for several threads: each has an index of its own.
 *
 * A predicate is cut into branches (matcher_plan.h): itself, or the branches of an OR. Branches are grouped by the set of fields that they
 * compare for equality; null tests count as such, an IN list stands once for each of its values. A change probes one hash table per group
 * with its own values; hashes are keyed, for clients choose the values. Branches with equal keys share a bucket, in which ranges sit in an
 * interval tree (matcher_range.h). What key and interval have settled is not looked at again, the rest of the predicate is evaluated for
 * the candidates. Branches without equality or range are candidates of every change of their entity. So cost follows the matches, not the
 * watchers.
 *
 * Groups of an entity are bounded (about 32): beyond that, branches go to a group that has some of their fields.
 */
#ifndef MR_MATCHER_H
#define MR_MATCHER_H

#include "change.h"
#include "proto/ground/list.h"
#include "proto/predicate.h"

struct mr_matcher;

enum mr_place_kind { MR_PLACE_LONE, MR_PLACE_ENTRY, MR_PLACE_RANGE };

/* Where a branch of a watcher is. Private. */
struct mr_place {
	void *at;       /* its group (NULL: none), where it is alone with its key; what it shares with others; its interval */
	uint32_t index; /* the upper half of its hash; among the others; 0 */
	enum mr_place_kind kind;
};

/* Embedded in whatever watches. The predicate must outlive it; entity, pred and owner are set by the user, the rest is zero. */
struct mr_watcher {
	const struct mr_entity *entity;
	const struct mr_pred *pred;
	void *owner;
	/* private */
	uint64_t mark; /* of the change that met it last */
	struct mr_list in_entity;
	union {
		struct mr_place one;
		struct mr_place *many;
	};
	uint32_t n_places, cap_places;
};

struct mr_matcher *mr_matcher_new(void);
void mr_matcher_delete(struct mr_matcher **ix); /* all watchers must have left */
/* Both take amortised constant time for each value of an equality, and logarithmic time for a range. */
void mr_matcher_add(struct mr_matcher *ix, struct mr_watcher *w);
void mr_matcher_remove(struct mr_matcher *ix, struct mr_watcher *w); /* nothing when it is not in */

/* Calls hit once for each change and watcher whose predicate is true of the row before or the row after; changes in their order. No change
 * is bulk. Many at once are faster than one by one: while one is compared, memory for the next is on its way. Returns the number of hash
 * probes made. hit must not change the index. soon, if not NULL, is told some steps ahead who will most likely be hit, so that it asks for
 * the memory that hit is going to read; the index itself reads as little of a watcher as it can. */
typedef void mr_matcher_hit(struct mr_watcher *w, const struct mr_change *c, void *arg);
typedef void mr_matcher_soon(const struct mr_watcher *w);
size_t mr_matcher_match(
	struct mr_matcher *ix, const struct mr_change *changes, size_t n, mr_matcher_hit *hit, mr_matcher_soon *soon, void *arg);
/* Calls hit for each watcher of the entity, for changes that are not told row by row. The same holds for it. */
void mr_matcher_each(struct mr_matcher *ix, const struct mr_entity *e, void (*hit)(struct mr_watcher *w, void *arg), void *arg);

#endif
