/* Payloads: what came through the ring and has not been seen by a tick yet, by attempt token. Bounded: the log has everything.
 *
 * A record is dropped when its worker says that it was aborted, when a tick shows it, or when it is among the oldest of too many. One that
 * its worker left pending and can say nothing about any more (unblocked) waits for the log, which shows it or another attempt of the same
 * call in its place: there is at most one log row for a call.
 */
#ifndef MR_PAYLOADS_H
#define MR_PAYLOADS_H

#include "proto/ground/mem.h"
#include "proto/ring.h"

struct mr_payloads;
struct mr_payloads *mr_payloads_new(size_t max_bytes);
void mr_payloads_delete(struct mr_payloads **p);
/* Copies; position is the record's in that lane. */
void mr_payloads_add(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES], struct mr_str payload, int lane, uint64_t position);
/* Appends the tokens of what is held (the newest, at most max) and keeps these until mr_payloads_unpin. */
void mr_payloads_pin(struct mr_payloads *p, const struct mr_ring *ring, struct mr_buf *tokens, size_t max);
void mr_payloads_unpin(struct mr_payloads *p);
struct mr_str mr_payloads_get(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES]); /* empty: not held */
/* The lane's worker is lost. Gives how many of the records held it left pending. */
size_t mr_payloads_unblock(struct mr_payloads *p, const struct mr_ring *ring, int lane);
/* The log has this row: its payload has served. Gives how many records this settles that were left pending. */
size_t mr_payloads_shown(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES], struct mr_str session, struct mr_str call);

#endif
