/* TLS of the listener: certificate and key from PEM files, read again when they were renewed. */
#ifndef MR_NET_TLS_H
#define MR_NET_TLS_H

#include <openssl/ssl.h>
#include <sys/stat.h>

#include "proto/ground/error.h"

struct mr_tls {
	const char *certificate, *key; /* paths; the chain follows the certificate in its file */
	struct timespec changed[2];    /* when they were, as of the last look */
	SSL_CTX *context;
};
/* False and *err (with the file and what is wrong with it): nothing can be served. The paths must outlive it. */
bool mr_tls_open(struct mr_tls *tls, const char *certificate, const char *key, struct mr_error *err);
/* Reads the files again when one of them has changed; what is wrong is logged, and the certificate before stays. Connections that are open
 * keep theirs. True: the context is another one. */
bool mr_tls_look(struct mr_tls *tls);
void mr_tls_close(struct mr_tls *tls);

#endif
