/* One reading of the log for clients that come back (session.h), and what is told of it.
 */
#ifndef MR_RESUME_H
#define MR_RESUME_H

#include "batch.h"
#include "lookup.h"
#include "session.h"

struct mr_resume {
	struct mr_list in_sessions;
	struct mr_sessions *all;
	struct mr_position from;
	uint64_t asked; /* the tick that was current when it was asked for; 0: it is still to be */
	size_t max_bytes;
	int waiting; /* subscriptions that hold it */
	bool come, ok, spoiled;
	bool under_way; /* the hub will call back */
	int64_t came_us;
	struct mr_batch *batch;
	struct mr_lookups lookups; /* in the batch */
	struct mr_map told;        /* bodies made of it that several get (resume_body.c) */
};

void mr_resume_forget(struct mr_resume *r); /* the bodies made of it */

#endif
