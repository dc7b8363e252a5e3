/* Decimal texts: exact integers from any notation, doubles there and back. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "node.h"

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exponents beyond this mean the same to everybody who asks: far too large, or as good as zero. */
static const int64_t FAR = 1000000000000000;

static bool read_exponent(const char *p, const char *end, int64_t *e)
{
	bool minus = p < end && *p == '-';
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end)
		return false;
	*e = 0;
	for (; p < end; p++) {
		if (!digit(*p))
			return false;
		*e = MR_MIN(*e * 10 + (*p - '0'), FAR);
	}
	if (minus)
		*e = -*e;
	return true;
}

bool mr_decimal_read(struct mr_str text, struct mr_decimal *d)
{
	text = mr_str_solid(text);
	const char *p = text.p, *end = text.p + text.n, *dot = NULL;
	*d = (struct mr_decimal){0};
	if (p < end && (*p == '-' || *p == '+'))
		d->negative = *p++ == '-';
	const char *a = p;
	for (; p < end && (digit(*p) || (*p == '.' && !dot)); p++)
		if (*p == '.')
			dot = p;
	const char *b = p;
	int64_t e = 0;
	if (b - a == (dot ? 1 : 0))
		return false;
	if (p < end && ((*p | 0x20) != 'e' || !read_exponent(p + 1, end, &e)))
		return false;
	if (!dot)
		dot = b;
	while (a < b && (*a == '0' || *a == '.'))
		a++;
	while (b > a && (b[-1] == '0' || b[-1] == '.'))
		b--;
	if (a == b)
		return true;
	d->a = a;
	d->b = b;
	d->n = (size_t)(b - a) - (dot > a && dot < b);
	/* The first digit's place, counted from the point; a digit behind the point lies one further than the distance says. */
	d->point = (dot > a ? dot - a : dot + 1 - a) + e;
	return true;
}

void mr_decimal_digits(struct mr_buf *b, const struct mr_decimal *d)
{
	for (const char *p = d->a; p < d->b; p++)
		if (*p != '.')
			mr_buf_char(b, *p);
}

bool mr_decimal_magnitude(const struct mr_decimal *d, uint64_t *value)
{
	uint64_t u = 0;
	if (d->n && (d->point > 20 || d->point < (int64_t)d->n))
		return false;
	for (const char *p = d->a; p < d->b; p++)
		if (*p != '.' && (__builtin_mul_overflow(u, 10u, &u) || __builtin_add_overflow(u, (uint64_t)(*p - '0'), &u)))
			return false;
	for (int64_t zeros = d->n ? d->point - (int64_t)d->n : 0; zeros > 0; zeros--)
		if (__builtin_mul_overflow(u, 10u, &u))
			return false;
	*value = u;
	return true;
}

bool mr_decimal_int(const struct mr_decimal *d, int64_t *value)
{
	uint64_t u;
	if (!mr_decimal_magnitude(d, &u) || u > (uint64_t)INT64_MAX + d->negative)
		return false;
	*value = d->negative ? (int64_t)(0 - u) : (int64_t)u;
	return true;
}

/* Magnitudes; digits are normal, so the place of the first one decides before the digits do. */
static int cmp_magnitude(const struct mr_decimal *a, const struct mr_decimal *b)
{
	if (!a->n || !b->n)
		return (a->n > 0) - (b->n > 0);
	if (a->point != b->point)
		return a->point < b->point ? -1 : 1;
	const char *p = a->a, *q = b->a;
	for (;;) {
		p += p < a->b && *p == '.';
		q += q < b->b && *q == '.';
		if (p == a->b || q == b->b)
			return (p < a->b) - (q < b->b);
		if (*p != *q)
			return *p < *q ? -1 : 1;
		p++;
		q++;
	}
}

int mr_decimal_cmp(const struct mr_decimal *a, const struct mr_decimal *b)
{
	bool a_below = a->negative && a->n, b_below = b->negative && b->n;
	if (a_below != b_below)
		return a_below ? -1 : 1;
	return a_below ? cmp_magnitude(b, a) : cmp_magnitude(a, b);
}

bool mr_double_read(struct mr_str text, double *value)
{
	static const struct {
		const char *name;
		double d;
	} words[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
	for (size_t i = 0; i < MR_COUNT(words); i++)
		if (mr_str_is(text, words[i].name)) {
			*value = words[i].d;
			return true;
		}
	struct mr_decimal d;
	if (!mr_decimal_read(text, &d))
		return false;
	char small[64], *z = text.n < sizeof(small) ? small : mr_alloc(text.n + 1);
	memcpy(z, text.p, text.n);
	z[text.n] = 0;
	*value = strtod(z, NULL);
	if (z != small)
		free(z);
	return isfinite(*value);
}

void mr_double_print(struct mr_buf *b, double d)
{
	if (isnan(d)) {
		mr_buf_z(b, "NaN");
		return;
	}
	if (isinf(d)) {
		mr_buf_z(b, d < 0 ? "-Infinity" : "Infinity");
		return;
	}
	char text[32];
	/* Fifteen digits always survive, so trailing zeros cut off make them the shortest - but for subnormals, which have fewer bits. */
	for (int digits = fabs(d) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	mr_buf_z(b, text);
}
