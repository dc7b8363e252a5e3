/* What the live queries of all threads have at stake in a table: what it costs to read them anew, in changed rows that could be told one by
 * one for it. Where more rows changed in a tick than that, it is done: who has nothing to do with the table does not wait meanwhile. An
 * estimate: tables may share a count.
 */
#ifndef MR_STAKES_H
#define MR_STAKES_H

#include <stdatomic.h>

#include "proto/schema.h"

enum {
	MR_STAKE_QUERY = 16,  /* to read it, whatever it finds: some 100 us; to read a row of the log, match it and tell it takes 6 */
	MR_STAKE_ROW = 2,     /* each row that it holds */
	MR_STAKE_RUN = 128,   /* a function that reads the table */
	MR_STAKES_LEAST = 500 /* so many rows are told one by one, whoever watches: 3 ms */
};

struct mr_stakes {
	_Atomic int64_t of[256];
};
void mr_stakes_add(struct mr_stakes *s, const struct mr_entity *e, int64_t rows); /* any thread; below zero: no longer */
/* So many changed rows of a tick are told one by one: of this table, of all tables together. */
int64_t mr_stakes_of(const struct mr_stakes *s, const struct mr_entity *e);
int64_t mr_stakes_all(const struct mr_stakes *s);

#endif
