/* A transition in the making: everything that changes for one session from one tick to another. It is collected as parts, which are sent
 * without being put into one buffer where that pays: bodies that others get as well are deflated once, and long ones are framed once.
 */
#ifndef MR_TRANSITION_H
#define MR_TRANSITION_H

#include "body.h"

struct mr_session;

/* A body: somebody else's wire, or (NULL) n bytes of the transition's own, at `from`. */
struct mr_part {
	struct mr_wire *wire;
	bool lone; /* a short wire that nobody else gets */
	size_t from, n;
};

struct mr_transition {
	uint64_t n;
	struct mr_buf acks, own, replies;
	size_t n_acks, n_bodies, n_replies;
	struct mr_part *parts; /* n_bodies; `few` until there are more */
	struct mr_part few[4];
	size_t cap;
	bool common; /* others may get the very same bodies, and all are short */
	uint64_t serial;
	bool again; /* an instance has more to say, in the next one */
};
void mr_transition_fini(struct mr_transition *t);

/* The wire must stay until it is sent. common: it is of a live query that others have too. */
void mr_transition_body(struct mr_transition *t, struct mr_wire *wire, bool common);
/* A body of this session only: append it to the buffer, then say so. */
struct mr_buf *mr_transition_own(struct mr_transition *t);
void mr_transition_own_done(struct mr_transition *t);
/* Separates list members in JSON; MessagePack needs nothing between them. */
void mr_transition_comma(struct mr_buf *b, enum mr_encoding encoding, size_t already);

void mr_transition_send(struct mr_transition *t, struct mr_session *s, bool position);

#endif
