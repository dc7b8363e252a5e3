/* What actions fetch: HTTP by libcurl, on the worker's own loop. A fetch is asked for by an operation, which is answered when the head of
 * the response has come; its body is read piece by piece, by further operations, and is not taken from the network faster than that. It
 * belongs to its job and ends with that at the latest.
 *
 * Rule 29: http and https only, and each connect looks at the address (fetch_allow.h), also after redirects. No proxy, no cookies,
 * no .netrc.
 */
#ifndef MR_FETCH_H
#define MR_FETCH_H

#include "worker.h"

/* Operations; each is answered later, or refused now with *err. */
bool mr_fetch_start(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
bool mr_fetch_read(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
bool mr_fetch_close(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
/* All of a job: it has ended. */
void mr_fetch_end_all(struct mr_job *job);

#endif
