/* Who is trusted to say who callers are: the server's own secret, and the keys of the issuers of the setting auth_issuers. The hub reads
 * the keys (URLs aside, each in a thread of its own), again when they may be others, and hands each thread a ring of all of them that
 * nobody changes any more; so tokens are judged without a lock. Keys that cannot be read leave those from before in use.
 */
#ifndef MR_KEYS_H
#define MR_KEYS_H

#include "hub.h"
#include "proto/jwt.h"

/* What a thread has of it. Counted; any thread may drop it last. */
struct mr_keyring;
/* Without the keys of the issuers. */
struct mr_keyring *mr_keyring_new(struct mr_str secret, const struct mr_settings *s, const struct mr_issuers *issuers);
struct mr_keyring *mr_keyring_hold(struct mr_keyring *ring);
void mr_keyring_drop(struct mr_keyring **ring);

/* Before the threads are opened: hub->keyring is for them. Ends the process when the setting is wrong, or a file cannot be read. */
struct mr_keys *mr_keys_new(struct mr_hub *hub);
void mr_keys_end(struct mr_keys *keys); /* the threads that fetch end; nothing is handed out any more */
void mr_keys_delete(struct mr_keys **keys);

/* Who this token says the caller is, by the keys as this thread knows them; the identity lies in the arena. False: as mr_jwt_verify; where
 * keys are missing they are asked for. */
bool mr_keys_verify(struct mr_fanout *f, struct mr_arena *a, struct mr_str token, struct mr_token *t, struct mr_error *err);
/* Seconds for which a token is taken after its end. */
int64_t mr_keys_leeway(const struct mr_fanout *f);

#endif
