#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ground/atomic.h"
#include "ground/fault.h"
#include "ground/log.h"

/* Layout. Fields of different writers lie two cache lines apart. */

struct head {
	uint64_t magic, version, lanes, size;
	uint64_t pad[28];
};

struct lane {
	mr_word intent, tail, call, reason, since; /* writer */
	uint64_t pad1[27];
	mr_word epoch; /* fanout */
	uint64_t pad2[31];
	/* data: size bytes */
};

/* A record, in words: length of the payload, state, token (2), payload. It may wrap at any word. */
enum { RECORD_LENGTH, RECORD_STATE, RECORD_TOKEN, RECORD_PAYLOAD = RECORD_TOKEN + MR_TOKEN_BYTES / 8 };

/* Two builds may meet at one ring. Where one of these must change, MR_RING_VERSION grows. */
#define PIN(type, field, at) _Static_assert(offsetof(type, field) == (at), "layout of the ring: " #type "." #field)
PIN(struct head, magic, 0);
PIN(struct head, version, 8);
PIN(struct head, lanes, 16);
PIN(struct head, size, 24);
PIN(struct lane, intent, 0);
PIN(struct lane, tail, 8);
PIN(struct lane, call, 16);
PIN(struct lane, reason, 24);
PIN(struct lane, since, 32);
PIN(struct lane, epoch, 256);
#undef PIN
_Static_assert(sizeof(struct head) == 256 && sizeof(struct lane) == 512, "layout of the ring: sizes");
_Static_assert(RECORD_LENGTH == 0 && RECORD_STATE == 1 && RECORD_TOKEN == 2 && RECORD_PAYLOAD == 4, "layout of the ring: record");
_Static_assert(MR_SLOT_PENDING == 1 && MR_SLOT_COMMITTED == 2 && MR_SLOT_ABORTED == 3, "layout of the ring: states");
_Static_assert(MR_REASON_NONE == 0 && MR_REASON_TIME == 1 && MR_REASON_MEMORY == 2, "layout of the ring: reasons");
_Static_assert(MR_RING_VERSION == 3, "another version: are these its layout?");

enum { RING_MAGIC = 0x72696e67, SIZE_LEAST = 4096, LANES_MOST = 4096 };

struct mr_ring {
	unsigned magic;
	char *base;
	size_t mapped, size;
	int lanes;
	/* Writer. */
	int lane;
	uint64_t tail, epoch;
	/* Reader: where it stands in each lane. */
	uint64_t *at;
};

static size_t mapped_size(size_t lanes, size_t size)
{
	return sizeof(struct head) + lanes * (sizeof(struct lane) + size);
}

static struct lane *lane_of(const struct mr_ring *r, int lane)
{
	MR_ASSERT(r->magic == RING_MAGIC && lane >= 0 && lane < r->lanes);
	return (struct lane *)(r->base + sizeof(struct head) + (size_t)lane * (sizeof(struct lane) + r->size));
}

/* The word at a position, which grows for ever; any position is within the data. */
static mr_word *word_at(const struct mr_ring *r, struct lane *l, uint64_t position)
{
	return (mr_word *)(l + 1) + ((position & (r->size - 1)) >> 3);
}

static uint64_t words_for(uint64_t bytes)
{
	return (bytes + 7) / 8;
}

static uint64_t record_size(uint64_t payload)
{
	return 8 * (RECORD_PAYLOAD + words_for(payload));
}

/* Life */

struct mr_ring *mr_ring_create(int lanes, size_t size, int *fd)
{
	if (lanes < 1 || lanes > LANES_MOST || size < SIZE_LEAST || (size & (size - 1)) || size > SIZE_MAX / 2 / (size_t)lanes) {
		errno = EINVAL;
		return NULL;
	}
	size_t mapped = mapped_size((size_t)lanes, size);
	int f = memfd_create("millrace-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (f < 0)
		return NULL;
	void *base = MAP_FAILED;
	/* Sealed, so that no worker can make it smaller under the others' feet. */
	if (ftruncate(f, (off_t)mapped) == 0 && fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	if (base == MAP_FAILED) {
		int saved = errno;
		close(f);
		errno = saved;
		return NULL;
	}
	struct head *h = base;
	*h = (struct head){.magic = MR_RING_MAGIC, .version = MR_RING_VERSION, .lanes = (uint64_t)lanes, .size = size};
	struct mr_ring *r = mr_alloc(sizeof(*r));
	*r = (struct mr_ring){.magic = RING_MAGIC, .base = base, .mapped = mapped, .size = size, .lanes = lanes, .lane = -1};
	r->at = mr_alloc((size_t)lanes * sizeof(*r->at));
	for (int i = 0; i < lanes; i++) {
		/* Position 0 means "no record", so the first one is a whole turn further. */
		struct lane *l = lane_of(r, i);
		mr_store_release(&l->intent, size);
		mr_store_release(&l->tail, size);
		r->at[i] = size;
	}
	*fd = f;
	return r;
}

static const char *misfit(const struct head *h, size_t file_size, int lane)
{
	if (file_size < sizeof(*h) || h->magic != MR_RING_MAGIC)
		return "the shared memory is not a ring";
	if (h->version != MR_RING_VERSION)
		return "the ring has another version";
	if (h->lanes < 1 || h->lanes > LANES_MOST || h->size < SIZE_LEAST || (h->size & (h->size - 1)) || h->size > file_size)
		return "the ring's sizes make no sense";
	if (mapped_size(h->lanes, h->size) != file_size)
		return "the ring's sizes do not fit its memory";
	if (lane < 0 || (uint64_t)lane >= h->lanes)
		return "the ring has no such lane";
	return NULL;
}

struct mr_ring *mr_ring_attach(int fd, int lane, const char **why)
{
	struct stat st;
	*why = "the ring's memory cannot be mapped";
	if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(struct head))
		return NULL;
	size_t mapped = (size_t)st.st_size;
	void *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return NULL;
	const struct head *h = base;
	*why = misfit(h, mapped, lane);
	if (*why) {
		munmap(base, mapped);
		return NULL;
	}
	struct mr_ring *r = mr_alloc(sizeof(*r));
	*r = (struct mr_ring){.magic = RING_MAGIC, .base = base, .mapped = mapped, .size = h->size, .lanes = (int)h->lanes, .lane = lane};
	struct lane *l = lane_of(r, lane);
	r->epoch = mr_load_acquire(&l->epoch);
	r->tail = mr_load_acquire(&l->tail);
	return r;
}

void mr_ring_delete(struct mr_ring **ring)
{
	struct mr_ring *r = *ring;
	*ring = NULL;
	if (!r)
		return;
	MR_ASSERT(r->magic == RING_MAGIC);
	munmap(r->base, r->mapped);
	free(r->at);
	r->magic = 0;
	free(r);
}

/* Writer */

static void put_bytes(struct mr_ring *r, struct lane *l, uint64_t at, const char *p, size_t n)
{
	for (; n; at += 8) {
		size_t piece = MR_MIN(n, 8);
		uint64_t w = 0;
		memcpy(&w, p, piece);
		mr_store_release(word_at(r, l, at), w);
		p += piece;
		n -= piece;
	}
}

/* The lane was not given to another writer. */
static bool is_ours(const struct mr_ring *r, const struct lane *l)
{
	return mr_load_acquire(&l->epoch) == r->epoch;
}

uint64_t mr_ring_publish(struct mr_ring *r, const uint8_t token[MR_TOKEN_BYTES], struct mr_str payload)
{
	struct lane *l = lane_of(r, r->lane);
	if (payload.n > r->size / 2 || record_size(payload.n) > r->size / 2 || !is_ours(r, l))
		return 0;
	uint64_t start = r->tail, end = start + record_size(payload.n);
	mr_store_release(&l->intent, end);
	mr_store_release(word_at(r, l, start + 8 * RECORD_LENGTH), payload.n);
	mr_store_release(word_at(r, l, start + 8 * RECORD_STATE), MR_SLOT_PENDING);
	put_bytes(r, l, start + 8 * RECORD_TOKEN, (const char *)token, MR_TOKEN_BYTES);
	MR_FAULT(RING_TORN);
	put_bytes(r, l, start + 8 * RECORD_PAYLOAD, payload.p, payload.n);
	mr_store_release(&l->tail, end);
	r->tail = end;
	return start;
}

void mr_ring_flip(struct mr_ring *r, uint64_t position, enum mr_slot state)
{
	struct lane *l = lane_of(r, r->lane);
	if (!position || r->tail - position > r->size || !is_ours(r, l))
		return;
	mr_store_release(word_at(r, l, position + 8 * RECORD_STATE), state);
}

void mr_ring_slice(struct mr_ring *r, uint64_t call, int64_t since_us)
{
	struct lane *l = lane_of(r, r->lane);
	if (!is_ours(r, l))
		return;
	mr_store_release(&l->call, call);
	mr_store_release(&l->since, (uint64_t)since_us);
}

void mr_ring_reason(struct mr_ring *r, enum mr_reason reason)
{
	struct lane *l = lane_of(r, r->lane);
	if (is_ours(r, l))
		mr_store_release(&l->reason, reason);
}

/* Reader */

void mr_ring_reset_lane(struct mr_ring *r, int lane)
{
	struct lane *l = lane_of(r, lane);
	mr_store_release(&l->epoch, mr_load_relaxed(&l->epoch) + 1);
	/* What the former writer had begun is passed over, so that intent never goes back. */
	uint64_t intent = mr_load_acquire(&l->intent), tail = mr_load_acquire(&l->tail);
	uint64_t start = (MR_MAX(intent, tail) + 7) & ~(uint64_t)7;
	mr_store_release(&l->intent, start);
	mr_store_release(&l->tail, start);
	mr_store_release(&l->call, 0);
	mr_store_release(&l->reason, MR_REASON_NONE);
	mr_store_release(&l->since, 0);
	r->at[lane] = start;
}

static bool overwritten(const struct mr_ring *r, const struct lane *l, uint64_t position)
{
	return mr_load_acquire(&l->intent) - position > r->size;
}

static void get_bytes(const struct mr_ring *r, struct lane *l, uint64_t at, char *p, size_t n)
{
	for (; n; at += 8) {
		size_t piece = MR_MIN(n, 8);
		uint64_t w = mr_load_acquire(word_at(r, l, at));
		memcpy(p, &w, piece);
		p += piece;
		n -= piece;
	}
}

static int lapped(struct mr_ring *r, int lane, struct lane *l)
{
	r->at[lane] = mr_load_acquire(&l->tail) & ~(uint64_t)7;
	return -1;
}

int mr_ring_read(struct mr_ring *r, int lane, uint8_t token[MR_TOKEN_BYTES], struct mr_buf *payload, uint64_t *position)
{
	struct lane *l = lane_of(r, lane);
	uint64_t start = r->at[lane], tail = mr_load_acquire(&l->tail);
	mr_buf_reset(payload);
	if (start == tail)
		return 0;
	uint64_t length = mr_load_acquire(word_at(r, l, start + 8 * RECORD_LENGTH));
	if (overwritten(r, l, start) || tail - start > r->size || length > r->size || record_size(length) > tail - start)
		return lapped(r, lane, l);
	get_bytes(r, l, start + 8 * RECORD_TOKEN, (char *)token, MR_TOKEN_BYTES);
	get_bytes(r, l, start + 8 * RECORD_PAYLOAD, mr_buf_room(payload, length), length);
	if (overwritten(r, l, start))
		return lapped(r, lane, l);
	payload->n = length;
	payload->p[length] = 0;
	r->at[lane] = start + record_size(length);
	*position = start;
	return 1;
}

int mr_ring_state(const struct mr_ring *r, int lane, uint64_t position)
{
	struct lane *l = lane_of(r, lane);
	if (!position || mr_load_acquire(&l->tail) <= position)
		return 0;
	uint64_t state = mr_load_acquire(word_at(r, l, position + 8 * RECORD_STATE));
	if (overwritten(r, l, position) || state < MR_SLOT_PENDING || state > MR_SLOT_ABORTED)
		return 0;
	return (int)state;
}

void mr_ring_last(const struct mr_ring *r, int lane, uint64_t *call, enum mr_reason *reason)
{
	const struct lane *l = lane_of(r, lane);
	*call = mr_load_acquire(&l->call);
	uint64_t why = mr_load_acquire(&l->reason);
	*reason = why <= MR_REASON_MEMORY ? (enum mr_reason)why : MR_REASON_NONE;
}

int64_t mr_ring_since(const struct mr_ring *r, int lane)
{
	return (int64_t)mr_load_acquire(&lane_of(r, lane)->since);
}
