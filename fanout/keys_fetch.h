/* One small document from a URL, for the keys of issuers: with limits of time and size, and only from addresses of the public internet
 * unless told otherwise, which is looked at for each connection, that of a redirect too.
 */
#ifndef MR_KEYS_FETCH_H
#define MR_KEYS_FETCH_H

#include <stdatomic.h>

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

void mr_keys_fetch_init(void); /* once, before there are threads */
/* Waits, so it is not for a thread that serves. with_private: http, and addresses that are not public, are fine. *stop: give up soon. False
 * and *err (bad_value) with what happened: no connection, an address that is not public, a status that is not 200, above 256 KB, above
 * 5 seconds, too many redirects (3). */
bool mr_keys_fetch(const char *url, bool with_private, const atomic_bool *stop, struct mr_buf *body, struct mr_error *err);

#endif
