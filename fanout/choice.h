/* Which worker a job goes to. The quick and the slow (slow.h) keep out of each other's way:
 *   - One worker is kept for quick functions: slow ones go to the others alone, and wait while none of those is there. With one worker in
 *     all, nothing is kept.
 *   - Slow ones go where the fewest of them are, on the same workers again rather than on all in turn; quick ones keep away from workers
 *     that have a slow one, or had one a moment ago, as long as another is not full.
 *   - A worker whose code has not paused for slow_slice gets nothing as long as there is another.
 * Otherwise the one with the least to do.
 */
#ifndef MR_CHOICE_H
#define MR_CHOICE_H

#include "workers.h"

bool mr_worker_serves(const struct mr_worker *w); /* the version that serves */
bool mr_line_is_slow(enum mr_line line);
/* Since when (mr_mono_us) its code has not paused, if that is longer than slow_slice ago; else 0. */
int64_t mr_worker_stuck_us(const struct mr_worker *w, int64_t now_us);
/* Makes sure that all->kept is one that serves, or NULL. */
void mr_choice_keep(struct mr_workers *all);
/* For a job of this line; NULL: it waits. */
struct mr_worker *mr_choose(struct mr_workers *all, enum mr_line line, int64_t now_us);

#endif
