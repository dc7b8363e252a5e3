/* Sessions by whose tokens they came with: so whoever is revoked is found without a look at all the others. */
#ifndef MR_BEARERS_H
#define MR_BEARERS_H

#include "session.h"

/* The caller's token is one of these; an empty key: of nobody there. Once for each kind. */
void mr_bearers_put(struct mr_caller *c, enum mr_bearers_of of, struct mr_str key);
void mr_bearers_leave(struct mr_caller *c); /* before it is freed */
/* cb for each of them; it may end the one that it is called for. */
void mr_bearers_each(struct mr_sessions *all, enum mr_bearers_of of, struct mr_str key, void (*cb)(struct mr_session *s));
void mr_bearers_fini(struct mr_sessions *all); /* when no session is left */

#endif
