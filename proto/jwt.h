/* JSON Web Tokens. Those signed with the server's own secret are HS256; those of other issuers (issuers.h) are signed with one of the keys
 * that the issuer publishes (jwk.h). The algorithm is fixed by the key, whatever the token's header says: the header only says which key.
 */
#ifndef MR_JWT_H
#define MR_JWT_H

#include "issuers.h"

/* Whose tokens are taken. */
struct mr_trust {
	struct mr_str secret; /* of our own */
	int64_t leeway;       /* seconds by which clocks may differ */
	int64_t max_age;      /* seconds from `iat` on for which a token is taken at most; 0: as long as it says */
	const struct mr_issuers *issuers;
	struct mr_issuer_keys *keys; /* for each of them */
};
struct mr_issuer_keys {
	struct mr_jwks *set; /* NULL: they could not be read yet */
	int64_t read;        /* when they were read last, seconds since 1970 */
	int64_t fresh;       /* until then they are not read again */
};

/* claims: JSON map text; appends the token. */
void mr_jwt_sign(struct mr_buf *out, struct mr_str secret, struct mr_str claims);

struct mr_token {
	const struct mr_node *identity; /* a map { "userId": prefix and sub, ...claims }: all but those that change with each token
					 * (and `sid` of our own), or
					 * those that the issuer's entry names; in the arena */
	int64_t expires;                /* seconds since 1970, by max_age too; 0: never */
	int64_t issued_ms;              /* `iat`, milliseconds since 1970; 0: it does not say */
	bool has_session;               /* it is of a session of our own (`sid`): */
	uint8_t session[16];
	int issuer; /* of auth_issuers; -1: signed with our secret, or not known */
};
/* now: seconds. False and *err: bad_token, token_expired; keys_unavailable: the keys of t->issuer are not those of now, and should be read
 * anew. `sub` is required; of issuers `iss`, `aud` and `exp` too, with max_age `iat`. */
bool mr_jwt_verify(
	struct mr_arena *a, const struct mr_trust *trust, struct mr_str token, int64_t now, struct mr_token *t, struct mr_error *err);

#endif
