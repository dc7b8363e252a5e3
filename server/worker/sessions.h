/* Sessions (docs/identity.md): what functions ask of ctx.auth, and the acts on the entity `_sessions` that the fanout asks for a caller
 * who renews or ends his own. Their tokens are signed here: the secret is nothing that JavaScript sees.
 */
#ifndef MR_WORKER_SESSIONS_H
#define MR_WORKER_SESSIONS_H

#include "worker.h"

/* { act: "create", userId, claims?, expiresIn? (ms) } | { act: "revoke", id } | { act: "revokeUser", userId } */
bool mr_op_session(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
/* Entities that functions and clients may read and nobody writes but by the above. */
bool mr_sessions_admit_write(const struct mr_entity *e, struct mr_error *err);

/* Acts "renew" and "end" on `_sessions`. */
bool mr_session_is_act(const struct mr_job *job);
void mr_session_act_start(struct mr_job *job);

#endif
