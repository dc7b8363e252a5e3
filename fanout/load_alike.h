/* Which of the queries that come up together can be read by one statement: those that differ in nothing but the value of one field
 * (`channel = 1`, `channel = 2`, with the same other conditions or none) are told apart by that value; others are joined by OR.
 */
#ifndef MR_LOAD_ALIKE_H
#define MR_LOAD_ALIKE_H

#include "load.h"

enum { MR_ALIKE_IN_NOTHING = -1 };

struct mr_alike {
	const struct mr_entity *entity;
	const char *snapshot;
	int field;                  /* whose value makes the difference, or MR_ALIKE_IN_NOTHING */
	size_t kid;                 /* where it stands, when the predicate is an AND */
	const struct mr_pred *like; /* any of them */
	size_t n;                   /* how many there are */
	struct mr_load *load;       /* the caller's: what those to come are read by; NULL: none yet */
};

/* What `l` must be equal to, in a kind with a field. */
const struct mr_value *mr_alike_value(const struct mr_loaded *l, size_t kid);
/* Takes all (mr_loaded.in_load) out of the list and calls join for each, in their order, with its kind, which is gone when this returns. */
void mr_alike_deal(struct mr_list *asked, void (*join)(void *arg, struct mr_loaded *l, struct mr_alike *kind), void *arg);

#endif
