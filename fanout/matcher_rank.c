#include "matcher_rank.h"

#include <math.h>

static const uint64_t HALF = UINT64_C(1) << 63;

bool mr_rank_exact(enum mr_type t)
{
	return t == MR_T_BOOL || t == MR_T_INT || t == MR_T_BIGINT || t == MR_T_DATETIME || t == MR_T_FLOAT;
}

/* NaN is the largest; bits of positive doubles are in their order, of negative ones in the opposite. */
static uint64_t rank_double(double d)
{
	uint64_t w;
	if (isnan(d))
		return UINT64_MAX;
	d = d == 0 ? 0 : d;
	memcpy(&w, &d, sizeof w);
	return w & HALF ? ~w : w | HALF;
}

/* The first eight bytes; a shorter text is as if zeros followed. */
static uint64_t rank_bytes(const void *p, size_t n)
{
	uint8_t b[8] = {0};
	uint64_t w = 0;
	if (n)
		memcpy(b, p, MR_MIN(n, sizeof b));
	for (size_t i = 0; i < sizeof b; i++)
		w = w << 8 | b[i];
	return w;
}

/* Size of a number other than zero: the place of its first digit, then its first digits. Numerics have their first digit between 131072
 * places before and 16383 behind the point, so this stays below 2^62. */
static uint64_t rank_magnitude(const struct mr_decimal *d)
{
	enum { DIGITS = 13, DIGIT_BITS = 44, BEHIND = 1 << 15 };
	uint64_t digits = 0;
	const char *p = d->a;
	for (int i = 0; i < DIGITS; i++) {
		p += p < d->b && *p == '.';
		digits = digits * 10 + (p < d->b ? (uint64_t)(*p++ - '0') : 0);
	}
	return (uint64_t)(d->point + BEHIND) << DIGIT_BITS | digits;
}

static uint64_t rank_numeric(struct mr_str t)
{
	struct mr_decimal d;
	if (mr_str_is(t, "NaN"))
		return UINT64_MAX;
	if (mr_str_is(t, "Infinity"))
		return UINT64_MAX - 1;
	if (mr_str_is(t, "-Infinity") || !mr_decimal_read(t, &d))
		return 0;
	if (!d.n)
		return HALF;
	return d.negative ? HALF - rank_magnitude(&d) : HALF + rank_magnitude(&d);
}

uint64_t mr_rank(const struct mr_value *v)
{
	switch (v->type) {
	case MR_T_BOOL:
		return v->truth;
	case MR_T_INT:
	case MR_T_BIGINT:
	case MR_T_DATETIME:
		return (uint64_t)v->i ^ HALF;
	case MR_T_FLOAT:
		return rank_double(v->d);
	case MR_T_NUMERIC:
		return rank_numeric(v->text);
	case MR_T_UUID:
		return rank_bytes(v->uuid, sizeof v->uuid);
	default:
		return rank_bytes(v->text.p, v->text.n);
	}
}
