/* Rows of a worker's answer, as items. They may be made in any thread; from then on they are of the one that gets them.
 */
#ifndef MR_ROWS_H
#define MR_ROWS_H

#include "rowset.h"

struct mr_rows {
	struct mr_item **v; /* heap, each held */
	size_t n;
	bool misfit; /* a row does not fit its declaration: there are none */
};
/* images: an array, or anything else for none. */
void mr_rows_read(struct mr_rows *rows, const struct mr_entity *e, const struct mr_node *images);
void mr_rows_fini(struct mr_rows *rows);

#endif
