/* The board of a tick: threads that share a live query pin what they encoded of it, so that the others need not. A body is the same for all
 * whose state was the same before it and is the same after it.
 */
#ifndef MR_BOARD_H
#define MR_BOARD_H

#include "wire.h"

struct mr_board;
struct mr_board *mr_board_new(void);
void mr_board_delete(struct mr_board **b); /* nobody uses it any more */

struct mr_change_of {
	uint64_t number;  /* of the instance, in all threads */
	uint64_t n;       /* tick of the body */
	uint64_t was, is; /* hashes of its state */
	enum mr_encoding encoding;
};
/* The wire for this change, held for the caller, or NULL. Any thread; no lock is taken. */
struct mr_wire *mr_board_find(const struct mr_board *b, const struct mr_change_of *c);
void mr_board_pin(struct mr_board *b, const struct mr_change_of *c, struct mr_wire *w);

#endif
