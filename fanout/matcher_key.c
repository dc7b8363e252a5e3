#include "matcher_key.h"

#include <math.h>

#include "proto/ground/log.h"

/* What a value of fixed size is hashed and compared by, if it has one: equal values have equal words. */
static uint64_t double_word(double d)
{
	uint64_t w;
	d = isnan(d) ? NAN : d == 0 ? 0 : d;
	memcpy(&w, &d, sizeof w);
	return w;
}

static bool has_word(enum mr_type t)
{
	return t == MR_T_BOOL || t == MR_T_INT || t == MR_T_BIGINT || t == MR_T_DATETIME || t == MR_T_FLOAT;
}

static uint64_t value_word(const struct mr_value *v)
{
	if (v->type == MR_T_BOOL)
		return v->truth;
	return v->type == MR_T_FLOAT ? double_word(v->d) : (uint64_t)v->i;
}

/* The length first, so that texts may follow each other. */
static void hash_text(struct mr_sip *s, struct mr_str t)
{
	uint64_t w;
	size_t at = 0;
	mr_sip_word(s, t.n, 1);
	for (; t.n - at >= sizeof w; at += sizeof w) {
		memcpy(&w, t.p + at, sizeof w);
		mr_sip_word(s, w, 1);
	}
	if (at == t.n)
		return;
	w = 0;
	memcpy(&w, t.p + at, t.n - at);
	mr_sip_word(s, w, 1);
}

static void hash_value(struct mr_sip *s, const struct mr_value *v)
{
	if (has_word(v->type)) {
		mr_sip_word(s, value_word(v), 1);
	} else if (v->type == MR_T_UUID) {
		uint64_t w[2];
		memcpy(w, v->uuid, sizeof w);
		mr_sip_word(s, w[0], 1);
		mr_sip_word(s, w[1], 1);
	} else {
		hash_text(s, v->text);
	}
}

static unsigned nulls_of(const struct mr_key *k)
{
	unsigned nulls = 0;
	for (size_t i = 0; i < k->n; i++)
		nulls |= (unsigned)k->v[i]->null << i;
	return nulls;
}

/* Which are null comes last: together with the types, which a group fixes, it tells how the words before are to be read. */
uint64_t mr_key_hash(const struct mr_sip *start, const struct mr_key *k)
{
	struct mr_sip s = *start;
	for (size_t i = 0; i < k->n; i++)
		if (!k->v[i]->null)
			hash_value(&s, k->v[i]);
	mr_sip_word(&s, nulls_of(k), 1);
	return mr_sip_end(&s, 3);
}

/* Stored: a byte that says which are null, then the others one after the other: words, uuids, texts with their lengths. */

static size_t value_size(const struct mr_value *v)
{
	if (v->null)
		return 0;
	if (has_word(v->type))
		return sizeof(uint64_t);
	return v->type == MR_T_UUID ? sizeof v->uuid : sizeof(uint32_t) + v->text.n;
}

size_t mr_key_size(const struct mr_key *k)
{
	size_t n = 1;
	for (size_t i = 0; i < k->n; i++)
		n += value_size(k->v[i]);
	return n;
}

static void store_value(char *to, const struct mr_value *v)
{
	if (has_word(v->type)) {
		uint64_t w = value_word(v);
		memcpy(to, &w, sizeof w);
	} else if (v->type == MR_T_UUID) {
		memcpy(to, v->uuid, sizeof v->uuid);
	} else {
		uint32_t n = (uint32_t)v->text.n;
		MR_ASSERT(n == v->text.n);
		memcpy(to, &n, sizeof n);
		if (n)
			memcpy(to + sizeof n, v->text.p, n);
	}
}

void mr_key_store(char *to, const struct mr_key *k)
{
	*to++ = (char)nulls_of(k);
	for (size_t i = 0; i < k->n; i++) {
		if (!k->v[i]->null)
			store_value(to, k->v[i]);
		to += value_size(k->v[i]);
	}
}

static bool is_value(const char *stored, const struct mr_value *v)
{
	if (has_word(v->type)) {
		uint64_t w = value_word(v);
		return memcmp(stored, &w, sizeof w) == 0;
	}
	if (v->type == MR_T_UUID)
		return memcmp(stored, v->uuid, sizeof v->uuid) == 0;
	uint32_t n;
	memcpy(&n, stored, sizeof n);
	return n == v->text.n && (n == 0 || memcmp(stored + sizeof n, v->text.p, n) == 0);
}

bool mr_key_is(const char *stored, const struct mr_key *k)
{
	if ((unsigned char)*stored++ != nulls_of(k))
		return false;
	for (size_t i = 0; i < k->n; i++) {
		const struct mr_value *v = k->v[i];
		if (v->null)
			continue;
		if (!is_value(stored, v))
			return false;
		stored += value_size(v);
	}
	return true;
}

static bool same_value(const struct mr_value *a, const struct mr_value *b)
{
	if (a->null || b->null)
		return a->null && b->null;
	if (has_word(a->type))
		return value_word(a) == value_word(b);
	if (a->type == MR_T_UUID)
		return memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0;
	return mr_str_eq(a->text, b->text);
}

bool mr_key_eq(const struct mr_key *a, const struct mr_key *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!same_value(a->v[i], b->v[i]))
			return false;
	return true;
}
