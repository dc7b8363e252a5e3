/* What one session is told in a transition: of each live query what has become of it since, or all that it is; answers to those that are
 * new or come back; which are behind; replies. Each is found from where the session is (s->at) to where it goes (t->n).
 */
#ifndef MR_SESSION_TELL_H
#define MR_SESSION_TELL_H

#include <stdbool.h>
#include <stdint.h>

struct mr_session;
struct mr_sub;
struct mr_transition;

/* Can the session go to tick n with it? One that moves is told all that its instance is, which is known as of its last change only. */
bool mr_tell_arrived(const struct mr_sub *sub, uint64_t n);
/* Those for which the session cannot go on are behind from here, and go on by themselves; whether there are any. */
bool mr_tell_detached(struct mr_session *s, struct mr_transition *t);
/* In this order: those that are shown, those that wait, replies to calls. */
void mr_tell_shown(struct mr_session *s, struct mr_transition *t);
void mr_tell_new(struct mr_session *s, struct mr_transition *t);
void mr_tell_replies(struct mr_session *s, struct mr_transition *t);

#endif
