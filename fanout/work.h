/* Work: a load of rows or a run of a function for one instance. What it read at snapshot S is brought to a tick that holds S by the
 * changes that S does not see (CLOCK.md rule 15), which the clock keeps while any work is under way.
 */
#ifndef MR_WORK_H
#define MR_WORK_H

#include "clock.h"
#include "instance.h"

struct mr_work;
/* First loads and runs read at a snapshot of their own, at once. */
void mr_work_begin(struct mr_instance *inst);
/* All that wait in the dirty list read at the tick's own snapshot, if it can be held; says that the tick was applied (mr_ticks_applied). */
void mr_works_at_tick(struct mr_clock *clock, bool may_hold);
/* After a tick: finishes what waited for it. */
void mr_works_settle(struct mr_clock *clock);
/* The instance is gone; the answer will be dropped. */
void mr_work_abandon(struct mr_work **work);
/* Its instance is matched by another predicate: what is being read together with others by the one before is read again. */
void mr_work_other_predicate(struct mr_work *work);
/* What it reads is of no use any more; it is done again. */
void mr_work_spoil(struct mr_work *work);
/* The same for all: Postgres may have crashed, and the snapshots they read at may count xids that are handed out again. */
void mr_works_spoil(struct mr_clock *clock);
struct mr_instance *mr_work_of(struct mr_list *in_clock); /* whose work in clock->works this is */
/* Oldest tick whose later batches are needed; UINT64_MAX when no work is under way. */
uint64_t mr_works_since(const struct mr_clock *clock);

#endif
