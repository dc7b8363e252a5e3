/* Payloads: what came through the ring and has not been seen by a tick yet, by attempt token. Bounded: the log has everything.
 */
#ifndef MR_PAYLOADS_H
#define MR_PAYLOADS_H

#include "proto/ground/mem.h"
#include "proto/ring.h"

struct mr_payloads;
struct mr_payloads *mr_payloads_new(size_t max_bytes);
void mr_payloads_delete(struct mr_payloads **p);
void mr_payloads_add(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES], struct mr_str payload); /* copies */
/* Appends the tokens of what is held (the newest, at most max) and keeps these until mr_payloads_unpin. */
void mr_payloads_pin(struct mr_payloads *p, struct mr_buf *tokens, size_t max);
void mr_payloads_unpin(struct mr_payloads *p);
struct mr_str mr_payloads_get(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES]); /* empty: not held */
void mr_payloads_del(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES]);

#endif
