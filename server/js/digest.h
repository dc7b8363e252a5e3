/* Digests and keyed digests of bytes, as the web's crypto.subtle names them: SHA-1, SHA-256, SHA-384, SHA-512. */
#ifndef MR_DIGEST_H
#define MR_DIGEST_H

#include "proto/ground/mem.h"

enum { MR_DIGEST_MOST = 64 };
/* Gives the number of bytes written to out (MR_DIGEST_MOST of room); 0: there is no such name. */
size_t mr_digest(struct mr_str name, struct mr_str data, uint8_t *out);
size_t mr_digest_keyed(struct mr_str name, struct mr_str key, struct mr_str data, uint8_t *out); /* HMAC */

#endif
