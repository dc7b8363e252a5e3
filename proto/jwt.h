/* JSON Web Tokens, HS256 only: the algorithm is fixed by the key, whatever the token's header says. */
#ifndef MR_JWT_H
#define MR_JWT_H

#include "ground/node.h"

/* claims: JSON map text; appends the token. */
void mr_jwt_sign(struct mr_buf *out, struct mr_str secret, struct mr_str claims);
/* The identity that a valid token names: a map { "userId": sub, ...all other claims but iat, exp, nbf }, in the arena, and when it
 * expires (seconds since 1970; 0: never). now: seconds; 10 s of leeway. NULL and *err: bad_token, token_expired. `sub` is required. */
const struct mr_node *mr_jwt_verify(
	struct mr_arena *a, struct mr_str secret, struct mr_str token, int64_t now, int64_t *expires, struct mr_error *err);

#endif
