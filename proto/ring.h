/* The ring: shared memory through which workers hand the changes of a transaction to the fanout before it commits.
 *
 *   +--------------+---------+------+---------+------+--
 *   | segment head | lane 0  | data | lane 1  | data | ...        one memfd, made by the fanout
 *   +--------------+---------+------+---------+------+--
 *
 * Each worker has one lane and is its only writer; the fanout is the only reader. A record is the payload of one attempt of one
 * transaction, published as pending before COMMIT is sent and flipped to committed or aborted after. The writer never waits: it may lap
 * the reader, who notices, counts it and reads the log instead. The ring makes it fast; it is never needed to make it right.
 *
 * Who writes what, in which order, and what a death leaves behind:
 *   head.*           the fanout, before any worker maps it; constant after.
 *   lane.intent      writer: position up to which bytes may be changing. Stored before bytes are written, so that a reader who copied
 *                    bytes and then finds intent - start > size knows that they were overwritten.
 *   lane.tail        writer: position after the last published record. Stored (release) after its bytes.
 *   lane.epoch       fanout: grows when the lane is given to another worker; the reader then starts behind whatever the former one had
 *                    begun (intent), and so does the new one. The former one must be dead by then. Should it not be, it finds another
 *                    epoch than it attached to and stores no more; but one that was just storing would spoil what the new one writes.
 *   record.state     writer: pending, then once committed or aborted (release). A writer that dies in between leaves pending: the log says.
 *   lane.call, lane.reason   writer: what code runs now (0: none), and why the process ended itself; read after its death. A call's
 *                    number; of a scheduled function, which is nobody's call, its place in the manifest (MR_RING_SCHEDULED).
 *   lane.since       writer: when the slice of code that runs now began (0: none runs). Any time may be read: it says whether the writer is
 *                    held up.
 * Bytes are copied as 8-byte atomics, each stored with release and loaded with acquire (plain moves on x86): whoever meets a byte of a
 * newer record also meets the intent that announced it. So overtaking is defined behaviour and the thread sanitizer sees it all. The reader
 * trusts no length: what a broken writer leaves can be wrong, but is never read or copied beyond the lane.
 *
 * ring.pml is a model of all this, which the tests have checked in every interleaving: what changes here changes there.
 */
#ifndef MR_RING_H
#define MR_RING_H

#include "ground/mem.h"

#define MR_RING_MAGIC   0x31676e69724d6c69ULL
#define MR_RING_VERSION 3  /* grows with every change of the layout that ring.c pins by static asserts, or of what a word means */
#define MR_TOKEN_BYTES  16 /* attempt token: 8 bytes origin, 8 bytes running number */

enum mr_slot { MR_SLOT_PENDING = 1, MR_SLOT_COMMITTED = 2, MR_SLOT_ABORTED = 3 };
#define MR_RING_SCHEDULED ((uint64_t)1 << 63) /* in lane.call: the rest is a position in mr_app.fns of the writer's version */
enum mr_reason { MR_REASON_NONE, MR_REASON_TIME, MR_REASON_MEMORY };

/* Reader's side: makes a segment of `lanes` lanes with `size` data bytes each (a power of two, at least 4096). -1 and errno on failure. */
struct mr_ring;
struct mr_ring *mr_ring_create(int lanes, size_t size, int *fd);
/* Writer's side: maps the segment and takes one lane. NULL when magic, version or sizes do not fit (says so in *why, a constant). */
struct mr_ring *mr_ring_attach(int fd, int lane, const char **why);
void mr_ring_delete(struct mr_ring **ring); /* unmaps; the fd is the caller's */

/* Writer. Publishes a payload as pending; returns its position, or 0 when it is larger than half the lane (then the log alone carries it).
 */
uint64_t mr_ring_publish(struct mr_ring *ring, const uint8_t token[MR_TOKEN_BYTES], struct mr_str payload);
void mr_ring_flip(struct mr_ring *ring, uint64_t position, enum mr_slot state); /* nothing when position is 0 or was lapped */
/* A slice of a call's code begins now (mr_mono_us; call 0: nobody's call); since_us 0: it is over. */
void mr_ring_slice(struct mr_ring *ring, uint64_t call, int64_t since_us);
void mr_ring_reason(struct mr_ring *ring, enum mr_reason reason); /* async-signal-safe */

/* Reader. Begins a new life of a lane, whose former writer is dead. */
void mr_ring_reset_lane(struct mr_ring *ring, int lane);
/* Next record of the lane, copied to out (token and payload). 1: one record; 0: none; -1: lapped, the reader is now at the tail. */
int mr_ring_read(struct mr_ring *ring, int lane, uint8_t token[MR_TOKEN_BYTES], struct mr_buf *payload, uint64_t *position);
/* State of a record seen before; 0 when it was overwritten. */
int mr_ring_state(const struct mr_ring *ring, int lane, uint64_t position);
void mr_ring_last(const struct mr_ring *ring, int lane, uint64_t *call, enum mr_reason *reason);
int64_t mr_ring_since(const struct mr_ring *ring, int lane); /* since when a slice runs (mr_mono_us); 0: none does */

#endif
