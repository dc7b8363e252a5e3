/* Frames of one round of transitions: clients that go to the same tick with the same bodies get one buffer. One per thread.
 */
#ifndef MR_SHARE_H
#define MR_SHARE_H

#include "transition.h"

struct mr_share;
struct mr_share *mr_share_new(void);
void mr_share_delete(struct mr_share **s);

/* How the transition goes out, beside what is in it. */
struct mr_manner {
	enum mr_encoding encoding;
	bool deflated, position;
};
/* Belongs to the share until the round ends; NULL: nobody has got the same yet. */
struct mr_frame *mr_share_find(const struct mr_share *s, const struct mr_transition *t, const struct mr_manner *m);
void mr_share_keep(struct mr_share *s, const struct mr_transition *t, const struct mr_manner *m, struct mr_frame *f); /* takes it over */
void mr_share_end_round(struct mr_share *s);

#endif
