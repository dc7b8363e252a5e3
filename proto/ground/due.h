/* What comes due: things by their time, in a binary heap (Williams, Algorithm 232, CACM 7, 1964). The heap knows where each is, so that one
 * can be moved or taken out without a search. */
#ifndef MR_GROUND_DUE_H
#define MR_GROUND_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Part of the thing itself; zeroed, it is in no heap. */
struct mr_due {
	int64_t at;     /* in whatever clock the heap's owner reads */
	uint64_t order; /* of those of the same time, who was put in first comes first: how many were put in up to it */
	size_t place;   /* in the heap, and 1; 0: in none */
};

/* Zeroed, it is empty. */
struct mr_dues {
	struct mr_due **v;
	size_t n, cap;
	uint64_t puts; /* so far */
};

void mr_dues_put(struct mr_dues *h, struct mr_due *d, int64_t at); /* or moves it there, behind those of that time */
void mr_dues_take(struct mr_dues *h, struct mr_due *d);            /* nothing, if it is not in */
void mr_dues_fini(struct mr_dues *h);                              /* when none is in */

/* The one that comes first; NULL. */
static inline struct mr_due *mr_dues_first(const struct mr_dues *h)
{
	return h->n ? h->v[0] : NULL;
}
static inline bool mr_due_waits(const struct mr_due *d)
{
	return d->place != 0;
}

#endif
