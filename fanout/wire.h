/* What many clients get, in one encoding: a text, and what became of it on its way out, each made when it is first needed, once for all
 * threads. Counted; nothing in it changes but that something is added.
 */
#ifndef MR_WIRE_H
#define MR_WIRE_H

#include "fanout.h"

struct mr_wire {
	atomic_uint refs;
	struct mr_str text;                   /* heap */
	_Atomic(struct mr_packed *) packed;   /* deflated, a piece of a message (deflate.h); NULL: it was not tried */
	_Atomic(struct mr_frame *) middle[2]; /* long ones: as fragments in the middle of a message; plain, deflated */
};
struct mr_wire *mr_wire_new(struct mr_buf *text); /* takes the text over; refs is 1 */
struct mr_wire *mr_wire_hold(struct mr_wire *w);
void mr_wire_drop(struct mr_wire **w);

/* Whether a client that takes deflated messages gets it deflated. f counts what it took. */
bool mr_wire_pays(struct mr_wire *w, struct mr_deflate *d, struct mr_fanout *f);
/* After that: its piece of a deflated message, which is stored when it does not pay. */
void mr_wire_pack(const struct mr_wire *w, struct mr_buf *out);
/* The same piece, or the text as it is, in fragments that go on with a message and do not end it. Belongs to w. */
struct mr_frame *mr_wire_middle(struct mr_wire *w, bool deflated);

#endif
