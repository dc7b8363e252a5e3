#include "hash.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "log.h"
#include "siphash.h"

enum { RANDOM_STORE = 1024 };

/* Little-endian on every machine, so that stored hashes mean the same everywhere. */
static inline uint64_t word(const uint8_t *p)
{
	uint64_t w;
	memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	w = __builtin_bswap64(w);
#endif
	return w;
}

static inline uint64_t siphash(const uint8_t *p, size_t n, const uint64_t key[2], int c, int d)
{
	struct mr_sip s = mr_sip_start(key);
	uint64_t last = (uint64_t)n << 56;
	for (; n >= 8; p += 8, n -= 8)
		mr_sip_word(&s, word(p), c);
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << (8 * i);
	mr_sip_word(&s, last, c);
	return mr_sip_end(&s, d);
}

static uint64_t process_key[2];

__attribute__((constructor)) static void make_process_key(void)
{
	mr_random(process_key, sizeof(process_key));
}

uint64_t mr_hash(const void *p, size_t n)
{
	return siphash(p, n, process_key, 1, 3);
}

uint64_t mr_hash_fixed(const void *p, size_t n, uint64_t seed)
{
	const uint64_t key[2] = {0x6d696c6c72616365ULL ^ seed, 0x66697865642d3031ULL};
	return siphash(p, n, key, 2, 4);
}

/* SHA256() and HMAC() look up their algorithms by name each time, which costs more than the rest. */
static EVP_MD *sha256;
static EVP_MAC_CTX *hmac_sha256;
static pthread_once_t algorithms_once = PTHREAD_ONCE_INIT;

static void make_algorithms(void)
{
	char digest[] = "SHA256";
	sha256 = EVP_MD_fetch(NULL, digest, NULL);
	const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	hmac_sha256 = mac ? EVP_MAC_CTX_new(mac) : NULL;
	MR_ASSERT(sha256 && hmac_sha256 && EVP_MAC_CTX_set_params(hmac_sha256, params));
	EVP_MAC_free(mac);
}

void mr_sha256(const void *p, size_t n, uint8_t out[32])
{
	pthread_once(&algorithms_once, make_algorithms);
	MR_ASSERT(EVP_Digest(p ? p : "", n, out, NULL, sha256, NULL));
}

void mr_hmac_sha256(struct mr_str key, struct mr_str data, uint8_t out[32])
{
	size_t n = 0;
	pthread_once(&algorithms_once, make_algorithms);
	EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(hmac_sha256);
	bool ok = mac && EVP_MAC_init(mac, (const uint8_t *)(key.p ? key.p : ""), key.n, NULL) &&
		  EVP_MAC_update(mac, (const uint8_t *)(data.p ? data.p : ""), data.n) && EVP_MAC_final(mac, out, &n, 32);
	MR_ASSERT(ok && n == 32);
	EVP_MAC_CTX_free(mac);
}

bool mr_equal_ct(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;
	for (size_t i = 0; i < n; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

static void ask_kernel(uint8_t *at, size_t n)
{
	while (n) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			mr_die("the kernel gives no random bytes");
		at += got;
		n -= (size_t)got;
	}
}

/* Small ones are taken from a store, for calls need some and the kernel has its price; what was given out is wiped. */
void mr_random(void *p, size_t n)
{
	static _Thread_local struct {
		uint8_t bytes[RANDOM_STORE];
		size_t left;
	} store;
	if (n > sizeof(store.bytes) / 4) {
		ask_kernel(p, n);
		return;
	}
	if (store.left < n) {
		ask_kernel(store.bytes, sizeof(store.bytes));
		store.left = sizeof(store.bytes);
	}
	store.left -= n;
	memcpy(p, store.bytes + store.left, n);
	memset(store.bytes + store.left, 0, n);
}

/* Base64 and hex */

static const char url_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void base64(struct mr_buf *b, struct mr_str s, const char *letters, bool pad)
{
	const uint8_t *p = (const uint8_t *)s.p;
	char *out = mr_buf_room(b, (s.n + 2) / 3 * 4), *start = out;
	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t w = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
		*out++ = letters[w >> 18];
		*out++ = letters[w >> 12 & 63];
		if (left > 1)
			*out++ = letters[w >> 6 & 63];
		else if (pad)
			*out++ = '=';
		if (left > 2)
			*out++ = letters[w & 63];
		else if (pad)
			*out++ = '=';
	}
	*out = 0;
	b->n += (size_t)(out - start);
}

static int letter_value(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	return c == (url ? '_' : '/') ? 63 : -1;
}

/* One text for each sequence of bytes: bits that stand for nothing must be zero. */
static bool base64_read(struct mr_buf *b, struct mr_str s, bool url)
{
	size_t n = s.n, was = b->n;
	for (int i = 0; i < 2 && n && s.n % 4 == 0 && s.p[n - 1] == '='; i++)
		n--;
	if (n % 4 == 1 || (!url && s.n % 4 != 0))
		return false;
	uint8_t *out = (uint8_t *)mr_buf_room(b, n / 4 * 3 + 3);
	uint32_t w = 0;
	for (size_t i = 0; i < n; i++) {
		int v = letter_value(s.p[i], url);
		if (v < 0)
			return false;
		w = w << 6 | (uint32_t)v;
		if (i % 4 == 0)
			continue;
		int spare = 6 - 2 * (int)(i % 4);
		*out++ = (uint8_t)(w >> spare);
		w &= (1u << spare) - 1;
		b->n++;
	}
	if (w) {
		b->n = was;
		b->p[was] = 0;
		return false;
	}
	b->p[b->n] = 0;
	return true;
}

void mr_base64url(struct mr_buf *b, struct mr_str s)
{
	base64(b, s, url_letters, false);
}

bool mr_base64url_read(struct mr_buf *b, struct mr_str s)
{
	size_t was = b->n;
	bool ok = base64_read(b, s, true);
	if (!ok && b->p) {
		b->n = was;
		b->p[was] = 0;
	}
	return ok;
}

void mr_base64(struct mr_buf *b, struct mr_str s)
{
	base64(b, s, std_letters, true);
}

bool mr_base64_read(struct mr_buf *b, struct mr_str s)
{
	size_t was = b->n;
	bool ok = base64_read(b, s, false);
	if (!ok && b->p) {
		b->n = was;
		b->p[was] = 0;
	}
	return ok;
}

void mr_hex(struct mr_buf *b, struct mr_str s)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];
		mr_buf_char(b, digits[c >> 4]);
		mr_buf_char(b, digits[c & 15]);
	}
}

bool mr_hex_read(struct mr_str s, uint8_t *to)
{
	if (s.n % 2)
		return false;
	for (size_t i = 0; i < s.n; i += 2) {
		int high = mr_hex_digit(s.p[i]), low = mr_hex_digit(s.p[i + 1]);
		if (high < 0 || low < 0)
			return false;
		to[i / 2] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* The map: linear probing, at most 3/4 full. A deleted member leaves a grave (nothing moves, so that a walk may delete what it stands
 * on), unless its run ends there. */

struct mr_map_slot {
	struct mr_str key;
	void *value; /* NULL: empty or a grave */
	union {
		uint64_t hash;
		uint64_t grave; /* without a value */
	};
};

/* Most maps of a process that serves many hold one member or two. */
enum { MAP_LEAST = 2 };

static bool is_grave(const struct mr_map_slot *s)
{
	return !s->value && s->grave;
}

void mr_map_fini(struct mr_map *m)
{
	free(m->slots);
	*m = (struct mr_map){0};
}

/* The slot that holds key, or the one where it would go: the first grave of its run, else the empty slot behind. */
static struct mr_map_slot *map_find(const struct mr_map *m, struct mr_str key, uint64_t hash)
{
	struct mr_map_slot *first = NULL;
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct mr_map_slot *s = &m->slots[i];
		if (s->value && s->hash == hash && mr_str_eq(s->key, key))
			return s;
		if (!s->value && !s->grave)
			return first ? first : s;
		if (!s->value && !first)
			first = s;
	}
}

/* Makes room for one more, without graves; gives back what those took that are gone. */
static void map_rebuild(struct mr_map *m)
{
	struct mr_map fresh = {.cap = MAP_LEAST, .n = m->n};
	while ((m->n + 1) * 2 > fresh.cap)
		fresh.cap *= 2;
	MR_ASSERT(fresh.cap <= 1U << 29);
	fresh.slots = mr_alloc(fresh.cap * sizeof(*fresh.slots));
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].value)
			*map_find(&fresh, m->slots[i].key, m->slots[i].hash) = m->slots[i];
	free(m->slots);
	*m = fresh;
}

void *mr_map_get(const struct mr_map *m, struct mr_str key)
{
	return m->n ? map_find(m, key, mr_hash(key.p, key.n))->value : NULL;
}

void *mr_map_put(struct mr_map *m, struct mr_str key, void *value)
{
	MR_ASSERT(value);
	if ((m->n + m->graves + 1) * 4 > m->cap * 3)
		map_rebuild(m);
	uint64_t hash = mr_hash(key.p, key.n);
	struct mr_map_slot *s = map_find(m, key, hash);
	void *former = s->value;
	m->n += !former;
	m->graves -= is_grave(s);
	*s = (struct mr_map_slot){.key = key, .value = value, .hash = hash};
	return former;
}

void *mr_map_make(struct mr_map *m, struct mr_str key, size_t size)
{
	char *value = mr_alloc(size + key.n);
	if (key.n)
		memcpy(value + size, key.p, key.n);
	mr_map_put(m, (struct mr_str){value + size, key.n}, value);
	return value;
}

void *mr_map_del(struct mr_map *m, struct mr_str key)
{
	if (!m->n)
		return NULL;
	struct mr_map_slot *s = map_find(m, key, mr_hash(key.p, key.n));
	void *former = s->value;
	if (!former)
		return NULL;
	size_t mask = m->cap - 1, i = (size_t)(s - m->slots);
	*s = (struct mr_map_slot){.grave = true};
	m->n--;
	m->graves++;
	const struct mr_map_slot *behind = &m->slots[(i + 1) & mask];
	/* The run ends here: graves at its end are not needed. */
	for (; !behind->value && !behind->grave && is_grave(&m->slots[i]); i = (i - 1) & mask) {
		m->slots[i].grave = false;
		m->graves--;
		behind = &m->slots[i];
	}
	return former;
}

bool mr_map_next(const struct mr_map *m, size_t *i, struct mr_str *key, void **value)
{
	while (*i < m->cap) {
		const struct mr_map_slot *s = &m->slots[(*i)++];
		if (!s->value)
			continue;
		*key = s->key;
		*value = s->value;
		return true;
	}
	return false;
}
