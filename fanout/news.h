/* What a tick tells the threads: made once by the hub, read by all, changed by nobody. Counted; any thread may drop it last.
 */
#ifndef MR_NEWS_H
#define MR_NEWS_H

#include <stdatomic.h>

#include "batch.h"
#include "board.h"
#include "storage/snapshot.h"

/* Where a tick is. */
struct mr_moment {
	atomic_uint refs;
	uint64_t n; /* tick */
	struct mr_position position;
	_Atomic(struct mr_moment_text *) text; /* of the position, when somebody has asked */
};
struct mr_moment *mr_moment_new(uint64_t n, const struct mr_position *p);
/* The position for clients, signed by the secret; made at the first call. Valid as long as the moment. */
struct mr_str mr_moment_text(struct mr_moment *m, struct mr_str secret);
struct mr_moment *mr_moment_hold(struct mr_moment *m);
void mr_moment_drop(struct mr_moment **m);

struct mr_news {
	atomic_uint refs;
	struct mr_moment *moment;
	struct mr_batch *batch; /* NULL: nobody serves yet */
	int64_t at_us;          /* when it came, monotonic microseconds */
	int32_t hour;           /* since 1970, by the clock of Postgres */
	bool reset;             /* no continuity with the ticks before: everything is read anew */
	bool lost;              /* a payload could not be found: the same */
	bool durable;           /* what it shows is on the synchronous standbys too */
	bool carries_position;  /* transitions of this tick do */
	bool may_hold;          /* its snapshot can be held for those who must read at it (ticks.h) */
	struct mr_str catalog;  /* fingerprints, empty: not read; heap */
	struct mr_board *board; /* NULL: there is one thread */
};
struct mr_news *mr_news_new(void); /* zero, refs 1 */
struct mr_news *mr_news_hold(struct mr_news *n);
void mr_news_drop(struct mr_news **n);

#endif
