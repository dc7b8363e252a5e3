/* Records that prove themselves, for the tortures of the ring: the token says whose it is, and length, every byte and the end of its
 * state follow from that. What was mixed from two records, cut off, or never published as it stands fits no token.
 */
#ifndef MR_TEST_RING_RECORDS_H
#define MR_TEST_RING_RECORDS_H

#include "tests/unit/vectors.h"

#include <string.h>

#include "proto/ring.h"

enum { RING_TINY = 4096, RING_MOST = RING_TINY / 2 - 32 }; /* the largest payload that a tiny lane takes */

struct ring_record {
	uint32_t lane, life;
	uint64_t number; /* from 1 on in each life of a lane */
};

static inline uint64_t ring_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Random numbers of a test; not of a record. */
static inline uint64_t ring_random(uint64_t *state, uint64_t below)
{
	return ring_mix(++*state) % below;
}

static inline uint64_t ring_seed(struct ring_record r)
{
	return ring_mix(ring_mix((uint64_t)r.life << 32 | r.lane) ^ r.number);
}

static inline void ring_token(struct ring_record r, uint8_t token[MR_TOKEN_BYTES])
{
	_Static_assert(sizeof r == MR_TOKEN_BYTES, "a record's name fills its token");
	memcpy(token, &r, sizeof r);
}

/* Some are empty, some as large as can be, most are small. */
static inline size_t ring_length(struct ring_record r)
{
	uint64_t s = ring_seed(r);
	switch (s % 16) {
	case 0:
		return 0;
	case 1:
		return RING_MOST;
	case 2:
		return (s >> 8) % RING_MOST;
	default:
		return (s >> 8) % 300;
	}
}

static inline struct mr_str ring_payload(struct ring_record r, char space[RING_MOST + 8])
{
	size_t n = ring_length(r);
	uint64_t s = ring_seed(r);
	for (size_t i = 0; i < n; i += 8) {
		uint64_t w = ring_mix(s + i);
		memcpy(space + i, &w, sizeof w);
	}
	return (struct mr_str){space, n};
}

/* What its writer ends it with; MR_SLOT_PENDING: never. */
static inline enum mr_slot ring_end(struct ring_record r)
{
	return (enum mr_slot)(MR_SLOT_PENDING + (ring_seed(r) >> 40) % 3);
}

static inline bool ring_is_whole(struct ring_record r, const struct mr_buf *b)
{
	char want[RING_MOST + 8];
	return mr_str_eq(mr_buf_view(b), ring_payload(r, want));
}

static inline uint64_t ring_write(struct mr_ring *w, struct ring_record r)
{
	char space[RING_MOST + 8];
	uint8_t token[MR_TOKEN_BYTES];
	ring_token(r, token);
	return mr_ring_publish(w, token, ring_payload(r, space));
}

/* The reader of one lane, through its lives. */

enum { RING_SEEN = 64 };

struct ring_reader {
	struct mr_ring *ring;
	int lane;
	uint32_t life;
	uint64_t last, position; /* the last record's */
	uint64_t got, lapped;    /* in all */
	bool missed;             /* there was a lap since the last record */
	struct ring_seen {
		struct ring_record record;
		uint64_t position;
		int state;
	} seen[RING_SEEN]; /* of the last ones; position 0: none */
	size_t n_seen;
	struct mr_buf payload;
};

/* A state is the record's own and does not go back; 0 when it was overwritten. */
static inline void ring_look(struct ring_reader *r, struct ring_seen *s)
{
	if (!s->position)
		return;
	int state = mr_ring_state(r->ring, r->lane, s->position);
	assert_true(state == 0 || state == MR_SLOT_PENDING || state == (int)ring_end(s->record));
	assert_true(state == 0 || s->state == MR_SLOT_PENDING || state == s->state);
	if (!state)
		s->position = 0;
	s->state = state;
}

static inline void ring_look_at_all(struct ring_reader *r)
{
	for (size_t i = 0; i < RING_SEEN; i++)
		ring_look(r, &r->seen[i]);
}

/* One record, if there is one: whole, of this life, later than all before. Gives what mr_ring_read gave. */
static inline int ring_take(struct ring_reader *r)
{
	uint8_t token[MR_TOKEN_BYTES];
	struct ring_record record;
	uint64_t position;
	int code = mr_ring_read(r->ring, r->lane, token, &r->payload, &position);
	if (code < 0) {
		r->lapped++;
		r->missed = true;
	}
	if (code != 1)
		return code;
	memcpy(&record, token, sizeof record);
	assert_int_equal(record.lane, r->lane);
	assert_int_equal(record.life, r->life);
	assert_true(ring_is_whole(record, &r->payload));
	assert_true(position > r->position);
	assert_true(r->missed ? record.number > r->last : record.number == r->last + 1);
	r->last = record.number;
	r->position = position;
	r->missed = false;
	r->got++;
	struct ring_seen *s = &r->seen[r->n_seen++ % RING_SEEN];
	*s = (struct ring_seen){record, position, MR_SLOT_PENDING};
	ring_look(r, s);
	return 1;
}

/* The writer is quiet: takes what is left. */
static inline void ring_drain(struct ring_reader *r)
{
	while (ring_take(r))
		continue;
	assert_int_equal(ring_take(r), 0);
	ring_look_at_all(r);
}

/* The lane is given to a next writer. */
static inline void ring_next_life(struct ring_reader *r)
{
	mr_ring_reset_lane(r->ring, r->lane);
	ring_look_at_all(r);
	assert_int_equal(ring_take(r), 0);
	r->life++;
	r->last = 0;
	r->missed = false;
}

#endif
