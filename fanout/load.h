/* Loads of live queries. Those that come up together are read by few statements (load_alike.h): when clients come back
 * to a server that has just started, each with a query of its own, or when their table changed in bulk, that is what they wait for.
 */
#ifndef MR_LOAD_H
#define MR_LOAD_H

#include "clock.h"
#include "instance.h"

/* A reading for several works; counted by them. */
struct mr_load;

/* For work.c, of one work in a reading: its part of the answer, once it has come. */
struct mr_loaded {
	struct mr_load *load;
	const struct mr_instance *inst;
	const char *snapshot; /* until it is in a load */
	struct mr_list in_load;
	struct mr_item **rows; /* heap; held by the load */
	size_t n, cap;
	/* The answer has come: a snapshot and the rows, or an error. NULL for both: read it by itself. */
	void (*done)(struct mr_loaded *l, const char *snapshot, const struct mr_error *err);
};
/* The question to a worker (proto/link.h), from `"t"` on. limit -1: all of them, however many and large. */
void mr_load_print(struct mr_buf *m, const struct mr_entity *e, struct mr_str where, struct mr_str order, int64_t limit);

/* Whether a query like this can be read with others. */
bool mr_load_fits(const struct mr_instance *inst);
/* At the end of this turn it is read with all others that fit it, at this exported snapshot or (NULL) one of its own. done is called later,
 * once. */
void mr_load_add(struct mr_clock *clock, struct mr_loaded *l, const char *snapshot);
void mr_load_at(struct mr_buf *m, const char *snapshot); /* the question's member for it */
void mr_load_leave(struct mr_loaded *l);                 /* no matter what has become of it; done is not called any more */

#endif
