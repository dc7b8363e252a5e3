/* Hashing: a keyed 64-bit hash for tables (SipHash-1-3 with a random key of the process), a fixed 64-bit hash that is the
 * same on every machine and in every release (for result hashes, instance keys), SHA-256 and HMAC by OpenSSL's libcrypto,
 * base64url and hex, random bytes.
 */
#ifndef MR_GROUND_HASH_H
#define MR_GROUND_HASH_H

#include <stdint.h>

#include "mem.h"

uint64_t mr_hash(const void *p, size_t n);                      /* keyed per process; for tables only */
uint64_t mr_hash_fixed(const void *p, size_t n, uint64_t seed); /* SipHash-2-4 with a fixed key; stable for ever */
void mr_sha256(const void *p, size_t n, uint8_t out[32]);
void mr_hmac_sha256(struct mr_str key, struct mr_str data, uint8_t out[32]);
bool mr_equal_ct(const void *a, const void *b, size_t n);  /* constant time */
void mr_random(void *p, size_t n);                         /* strong; ends the process when the kernel refuses */
void mr_base64url(struct mr_buf *b, struct mr_str s);      /* no padding */
bool mr_base64url_read(struct mr_buf *b, struct mr_str s); /* false on other characters; padding allowed */
void mr_base64(struct mr_buf *b, struct mr_str s);         /* with padding, for $bytes */
bool mr_base64_read(struct mr_buf *b, struct mr_str s);
void mr_hex(struct mr_buf *b, struct mr_str s);
bool mr_hex_read(struct mr_str s, uint8_t *to); /* s.n / 2 bytes; false on other characters, or half a byte */
/* The value of one digit, -1 for another character. */
static inline int mr_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A hash map from byte strings to pointers: open addressing, keys not copied (they live in the value or longer). */
struct mr_map {
	struct mr_map_slot *slots;
	uint32_t n, cap, graves;
};
void mr_map_fini(struct mr_map *m);
void *mr_map_get(const struct mr_map *m, struct mr_str key);
void *mr_map_put(struct mr_map *m, struct mr_str key, void *value); /* returns the former value or NULL; the key is replaced too */
/* Makes the value: so many zeroed bytes, and behind them a copy of the key. Whoever takes it out frees it. */
void *mr_map_make(struct mr_map *m, struct mr_str key, size_t size);
void *mr_map_del(struct mr_map *m, struct mr_str key); /* returns what was there */
/* for (size_t i = 0; mr_map_next(m, &i, &key, &value);) - no changes but deleting the current key */
bool mr_map_next(const struct mr_map *m, size_t *i, struct mr_str *key, void **value);

#endif
