/* A batch by the values of a field: which of its changes concern rows that have a given one there. For those who look for the changes of
 * thousands of live queries in one long batch, such as clients that come back.
 */
#ifndef MR_LOOKUP_H
#define MR_LOOKUP_H

#include "batch.h"

/* Some image of one change. */
struct mr_image {
	uint64_t hash;
	size_t change; /* its place in the batch */
	bool was;      /* the row before, else the row after */
};

struct mr_lookup; /* of one entity and field */
struct mr_lookups {
	struct mr_lookup **v;
	size_t n;
};

/* The images of rows of the entity that may have the value (a type of that field, or null) in the field, in the order of the batch; made
 * at the first question about the field. Valid until the end of `all`, which is for one batch. *bulk: the batch has a change of the entity
 * that is not told row by row. */
const struct mr_image *mr_lookup_find(struct mr_lookups *all, const struct mr_batch *b, const struct mr_entity *e, int field,
	const struct mr_value *value, size_t *n, bool *bulk);
void mr_lookups_fini(struct mr_lookups *all);

#endif
