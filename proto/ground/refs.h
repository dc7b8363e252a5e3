/* How many hold a thing that several threads may hold. Who makes it is the first: 1. */
#ifndef MR_GROUND_REFS_H
#define MR_GROUND_REFS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "log.h"

/* By somebody who holds it, or for whom it is held meanwhile. */
static inline void mr_refs_hold(atomic_uint *refs)
{
	unsigned before = atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
	MR_ASSERT(before > 0);
}
/* true: nobody holds it any more, and all that others did with it is visible to us, who free it. */
static inline bool mr_refs_drop(atomic_uint *refs)
{
	unsigned before = atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel);
	MR_ASSERT(before > 0);
	return before == 1;
}

#endif
