/* Callers by when something is to be said of their tokens: those of whom nothing is due cost nothing. */
#ifndef MR_EXPIRIES_H
#define MR_EXPIRIES_H

#include <stddef.h>
#include <stdint.h>

struct mr_caller;

/* A binary heap: Williams, Algorithm 232, CACM 7 (1964). */
struct mr_expiries {
	struct mr_caller **v;
	size_t n, cap;
};

/* As of its due_us, which is another than before, or not; 0: nothing is due any more, and it is not in. */
void mr_expiries_put(struct mr_expiries *x, struct mr_caller *c);
/* The one that is due first, if it is; NULL. */
struct mr_caller *mr_expiries_due(const struct mr_expiries *x, int64_t now_us);
void mr_expiries_fini(struct mr_expiries *x); /* when none is in */

#endif
