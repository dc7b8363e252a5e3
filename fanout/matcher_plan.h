/* How a predicate is found: cut into branches, one of which is true whenever the predicate is, each with the equalities (null tests and IN
 * lists among them) and the range by which the index can find it, and what is then left to be evaluated. Any tree will do; normal ones
 * (mr_pred_normal) are found best.
 */
#ifndef MR_MATCHER_PLAN_H
#define MR_MATCHER_PLAN_H

#include "matcher_key.h"
#include "matcher_range.h"
#include "proto/predicate.h"

/* Something left to be true: the kids of an AND that are not settled (bit i: kid i is), or a whole predicate; NULL: nothing is left. */
struct mr_rest {
	const struct mr_pred *pred;
	uint64_t settled;
};

struct mr_equality {
	int field;
	const struct mr_value *values; /* the field is one of them; one that is null stands for a null test */
	size_t n;
	uint64_t kid; /* its bit, 0 when it is beyond those that can be settled */
};

struct mr_branch {
	const struct mr_pred *pred;
	/* The AND that has an OR with this branch as its kid, and the OR's bit; or NULL. */
	const struct mr_pred *around;
	uint64_t around_kid;
	struct mr_equality equal[MR_KEY_FIELDS]; /* by ascending field; at most one of them has several values */
	size_t n;
	int range; /* field with an interval, or -1 */
	struct mr_end low, high;
	uint64_t range_kids; /* those which the interval's ranks settle */
	bool never;          /* the interval or a list is empty */
};

/* Calls each for every branch. False: the predicate cannot be found by any index, and each was not called. */
bool mr_plan(const struct mr_pred *p, void (*each)(const struct mr_branch *b, void *arg), void *arg);
/* What is left when these kids of the branch are settled. */
struct mr_rest mr_branch_rest(const struct mr_branch *b, uint64_t settled);

static inline bool mr_rest_holds(const struct mr_rest *r, const struct mr_row *row)
{
	if (!r->pred)
		return true;
	if (!r->settled)
		return mr_pred_eval(r->pred, row) == 1;
	for (size_t i = 0; i < r->pred->n; i++)
		if ((i >= 64 || !(r->settled >> i & 1)) && mr_pred_eval(r->pred->kids[i], row) != 1)
			return false;
	return true;
}

#endif
