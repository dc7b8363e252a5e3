/* Snapshots of Postgres: the only clock. Positions: where a client is, resumable on any machine after any restart.
 */
#ifndef MR_SNAPSHOT_H
#define MR_SNAPSHOT_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

struct mr_snapshot {
	uint64_t xmin, xmax;
	uint64_t *xip; /* sorted, heap */
	size_t n;
};
bool mr_snapshot_read(struct mr_str text, struct mr_snapshot *s); /* "xmin:xmax:xip,xip"; initialises s; false: not one */
void mr_snapshot_fini(struct mr_snapshot *s);
void mr_snapshot_copy(struct mr_snapshot *to, const struct mr_snapshot *from); /* `to` is initialised (zero or valid) */
void mr_snapshot_print(struct mr_buf *b, const struct mr_snapshot *s);
bool mr_snapshot_sees(const struct mr_snapshot *s, uint64_t xid);
/* Everything that a sees, b sees too. */
bool mr_snapshot_within(const struct mr_snapshot *a, const struct mr_snapshot *b);

struct mr_position {
	uint64_t system; /* system identifier */
	uint32_t timeline;
	int64_t seq;  /* highest seq of a log row seen; 0: none */
	uint64_t tag; /* random tag of that row */
	struct mr_snapshot snapshot;
};
void mr_position_fini(struct mr_position *p);
void mr_position_copy(struct mr_position *to, const struct mr_position *from);
/* Opaque text: base64url of the fields, a dot, 16 bytes of HMAC-SHA256 under `secret`. */
void mr_position_print(struct mr_buf *b, const struct mr_position *p, struct mr_str secret);
/* false: forged, damaged, too large (4 KiB) or of another version; p is then untouched. */
bool mr_position_read(struct mr_str text, struct mr_str secret, struct mr_position *p);

#endif
