/* SipHash, fed by 64-bit words: a keyed hash that nobody without the key can find collisions of (Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF", 2012). hash.h has it over bytes; tables that hash values one after the other use it as it is here. c rounds for each
 * word, d at the end: c and d are written by the callers, 1 and 3 for tables, 2 and 4 where the hash goes out of the process.
 *
 * Whoever feeds words must see to it that different things are different sequences of words.
 */
#ifndef MR_GROUND_SIPHASH_H
#define MR_GROUND_SIPHASH_H

#include <stdint.h>

struct mr_sip {
	uint64_t v[4];
};

static inline uint64_t mr_sip_rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void mr_sip_round(struct mr_sip *s)
{
	uint64_t *v = s->v;
	v[0] += v[1];
	v[2] += v[3];
	v[1] = mr_sip_rotl(v[1], 13) ^ v[0];
	v[3] = mr_sip_rotl(v[3], 16) ^ v[2];
	v[0] = mr_sip_rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = mr_sip_rotl(v[1], 17) ^ v[2];
	v[3] = mr_sip_rotl(v[3], 21) ^ v[0];
	v[2] = mr_sip_rotl(v[2], 32);
}

static inline struct mr_sip mr_sip_start(const uint64_t key[2])
{
	return (struct mr_sip){{key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL, key[0] ^ 0x6c7967656e657261ULL,
		key[1] ^ 0x7465646279746573ULL}};
}

static inline void mr_sip_word(struct mr_sip *s, uint64_t word, int c)
{
	s->v[3] ^= word;
	for (int i = 0; i < c; i++)
		mr_sip_round(s);
	s->v[0] ^= word;
}

static inline uint64_t mr_sip_end(struct mr_sip *s, int d)
{
	s->v[2] ^= 0xff;
	for (int i = 0; i < d; i++)
		mr_sip_round(s);
	return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}

#endif
