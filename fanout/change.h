/* One row's change, as a tick tells it. */
#ifndef MR_CHANGE_H
#define MR_CHANGE_H

#include "proto/value.h"

struct mr_change {
	int64_t seq;
	uint64_t xid;
	const struct mr_entity *entity;
	uint32_t bytes;        /* of `is` as it was told (mr_item_new) */
	bool bulk;             /* the table changed in a way that is not told row by row; no images */
	struct mr_row was, is; /* v NULL: absent (insert, delete) */
};

#endif
