/* The public keys of an issuer of tokens, as it publishes them: a JSON Web Key Set (RFC 7517, 7518, 8037). The algorithm is fixed by the
 * key: an RSA key of 2048 to 8192 bits is for RS256, a P-256 key for ES256, an Ed25519 key for EdDSA. What cannot be used so (other kinds,
 * curves, uses, algorithms; shared secrets above all) is passed over. A key's id is a name to look it up by and nothing else.
 *
 * Sets are counted and never change; any thread may verify by them and drop them last.
 */
#ifndef MR_JWK_H
#define MR_JWK_H

#include "ground/node.h"

enum mr_jwa { MR_RS256, MR_ES256, MR_EDDSA, MR_JWAS };
const char *mr_jwa_name(enum mr_jwa alg);
bool mr_jwa_by_name(struct mr_str name, enum mr_jwa *alg); /* false: none that a key can have */

struct mr_jwk;
struct mr_jwks;
/* NULL and *err (bad_value): not a set, above 256 KB, or without a key of use. At most 100 keys are kept; of those with one id, the first.
 */
struct mr_jwks *mr_jwks_read(struct mr_str json, struct mr_error *err);
struct mr_jwks *mr_jwks_hold(struct mr_jwks *set);
void mr_jwks_drop(struct mr_jwks **set); /* NULL is fine */
size_t mr_jwks_count(const struct mr_jwks *set);

/* Empty kid: the only key of the set, when there is just one. NULL: there is no such key. Valid as long as the set. */
const struct mr_jwk *mr_jwks_find(const struct mr_jwks *set, struct mr_str kid);
enum mr_jwa mr_jwk_alg(const struct mr_jwk *key);
/* Whether it signed the text. Signatures as in RFC 7518: of ES256 the two numbers of 32 bytes, not their DER form. */
bool mr_jwk_verify(const struct mr_jwk *key, struct mr_str text, struct mr_str signature);

#endif
