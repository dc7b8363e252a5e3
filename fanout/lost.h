/* Workers that died, as far as scheduled functions are concerned: what they had in hand waits for nothing but that somebody tells Postgres
 * of it, which another worker does. Without that (nobody is left, or the fanout dies too) it waits for scheduler_lease.
 */
#ifndef MR_LOST_H
#define MR_LOST_H

#include "workers.h"

/* The worker's link is gone: what it was told others have to be told. Of one that never said by what name it holds jobs there is nothing to
 * tell. */
void mr_lost_add(const struct mr_worker *w);
/* Tells a worker of all that are dead by now. When there are more of either, and now and then: a process may outlive its link. */
void mr_lost_tell(struct mr_workers *all);
void mr_lost_known(struct mr_workers *all, struct mr_str holder); /* by Postgres */
void mr_lost_delete_all(struct mr_workers *all);

#endif
