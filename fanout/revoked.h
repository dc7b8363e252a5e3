/* What is revoked before its end: sessions of our own by their id, and all tokens that a user had at some time, as the entity
 * `_revocations` has it (storage/sql/sessions.sql). Each thread keeps the whole of it in memory: read once before the first app serves, so
 * that no token passes unasked, then kept by ticks, and read anew where these do not tell it. What is revoked stays so; it is forgotten
 * when the tokens are over.
 */
#ifndef MR_REVOKED_H
#define MR_REVOKED_H

#include "batch.h"
#include "fanout.h"
#include "proto/jwt.h"

struct mr_revoked;
struct mr_revoked *mr_revoked_new(struct mr_fanout *f);
void mr_revoked_delete(struct mr_revoked **r); /* whoever waits is called */

/* then(arg) when what is revoked is known, by the app that is about to serve: perhaps at once. */
void mr_revoked_await(struct mr_revoked *r, struct mr_app *app, mr_call_cb *then, void *arg);
/* Ticks have not told all, or another app serves: reads it again, and meanwhile keeps what it has. */
void mr_revoked_reread(struct mr_revoked *r);
/* The changes of a tick; who is connected with what they revoke is nobody from here on. */
void mr_revoked_apply(struct mr_revoked *r, const struct mr_batch *batch);

/* session: 16 bytes, or NULL. False: session_revoked. */
bool mr_revoked_check(const struct mr_revoked *r, const uint8_t *session, struct mr_str user, int64_t issued_ms, struct mr_error *err);
bool mr_revoked_check_token(const struct mr_revoked *r, const struct mr_token *t, struct mr_error *err);

#endif
