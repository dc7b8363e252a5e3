/* Points in time as int64 microseconds since 2000-01-01 UTC, as Postgres has them; the texts that Postgres and JavaScript write. */
#include <inttypes.h>

#include "value.h"

static const int64_t DAY_US = INT64_C(86400000000);
static const int64_t UNIX_TO_2000_MS = INT64_C(946684800000);
/* 0001-01-01 and 294277-01-01, the end of Postgres's timestamptz. Years before Christ are not taken. */
static const int64_t LEAST = INT64_C(-63082281600000000), END = INT64_C(9223371331200000000);

/* Days since 2000-01-01 of a date in the proleptic Gregorian calendar, and back. Years are counted from March, so that the leap day ends
 * them; 400 of them have 146097 days. */
static int64_t days_from_date(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400, year = y - era * 400;
	int64_t day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + year * 365 + year / 4 - year / 100 + day - 730425;
}

static void date_from_days(int64_t days, int64_t *y, int *m, int *d)
{
	days += 730425;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t day = of_era - (365 * year + year / 4 - year / 100), month = (5 * day + 2) / 153;
	*d = (int)(day - (153 * month + 2) / 5 + 1);
	*m = (int)(month < 10 ? month + 3 : month - 9);
	*y = year + era * 400 + (*m <= 2);
}

static int month_days(int64_t y, int m)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return m == 2 && leap ? 29 : days[m - 1];
}

struct text {
	const char *p, *end;
};

static bool take(struct text *t, char c)
{
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

/* From `least` to `most` digits. */
static bool take_number(struct text *t, int least, int most, int64_t *n)
{
	int digits = 0;
	for (*n = 0; digits < most && t->p < t->end && *t->p >= '0' && *t->p <= '9'; digits++)
		*n = *n * 10 + (*t->p++ - '0');
	return digits >= least;
}

static bool take_two(struct text *t, int most, int64_t *n)
{
	return take_number(t, 2, 2, n) && *n <= most;
}

static bool take_date(struct text *t, int64_t *days)
{
	int64_t y, m, d;
	take(t, '+');
	if (!take_number(t, 4, 6, &y) || !take(t, '-') || !take_two(t, 12, &m) || !take(t, '-') || !take_two(t, 31, &d))
		return false;
	if (y < 1 || m < 1 || d < 1 || d > month_days(y, (int)m))
		return false;
	*days = days_from_date(y, (int)m, (int)d);
	return true;
}

/* Up to six digits; more only when they are zeros. */
static bool take_fraction(struct text *t, int64_t *us)
{
	const char *from = t->p;
	int64_t scale = 100000;
	for (*us = 0; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++, scale /= 10) {
		if (!scale && *t->p != '0')
			return false;
		*us += (*t->p - '0') * scale;
	}
	return t->p > from;
}

static bool take_time(struct text *t, int64_t *us)
{
	int64_t h, m, s = 0, fraction = 0;
	if (!take_two(t, 23, &h) || !take(t, ':') || !take_two(t, 59, &m))
		return false;
	if (take(t, ':') && !take_two(t, 59, &s))
		return false;
	if (take(t, '.') && !take_fraction(t, &fraction))
		return false;
	*us = ((h * 60 + m) * 60 + s) * 1000000 + fraction;
	return true;
}

/* Z, +HH, +HH:MM, +HHMM, +HH:MM:SS */
static bool take_offset(struct text *t, int64_t *us)
{
	int64_t h, m = 0, s = 0;
	*us = 0;
	if (take(t, 'Z') || take(t, 'z'))
		return true;
	bool minus = take(t, '-');
	if (!minus && !take(t, '+'))
		return false;
	if (!take_two(t, 15, &h))
		return false;
	bool colon = take(t, ':');
	if ((colon || t->p < t->end) && !take_two(t, 59, &m))
		return false;
	if (take(t, ':') && !take_two(t, 59, &s))
		return false;
	*us = ((h * 60 + m) * 60 + s) * 1000000;
	if (minus)
		*us = -*us;
	return true;
}

bool mr_datetime_read(struct mr_str s, int64_t *us)
{
	s = mr_str_solid(s);
	struct text t = {s.p, s.p + s.n};
	int64_t days, time, offset;
	if (mr_str_is(s, "infinity") || mr_str_is(s, "-infinity")) {
		*us = s.p[0] == '-' ? INT64_MIN : INT64_MAX;
		return true;
	}
	if (!take_date(&t, &days) || !(take(&t, 'T') || take(&t, 't') || take(&t, ' ')))
		return false;
	if (!take_time(&t, &time) || !take_offset(&t, &offset) || t.p != t.end)
		return false;
	int64_t at;
	if (__builtin_mul_overflow(days, DAY_US, &at) || __builtin_add_overflow(at, time - offset, &at) || at < LEAST || at >= END)
		return false;
	*us = at;
	return true;
}

int64_t mr_datetime_to_unix_ms(int64_t us)
{
	return (us - ((us % 1000) + 1000) % 1000) / 1000 + UNIX_TO_2000_MS;
}

bool mr_datetime_from_unix_ms(int64_t ms, int64_t *us)
{
	int64_t since;
	if (__builtin_sub_overflow(ms, UNIX_TO_2000_MS, &since) || __builtin_mul_overflow(since, 1000, &since) || since < LEAST ||
		since >= END)
		return false;
	*us = since;
	return true;
}

void mr_datetime_print(struct mr_buf *b, int64_t us)
{
	if (us == INT64_MIN || us == INT64_MAX) {
		mr_buf_z(b, us < 0 ? "-infinity" : "infinity");
		return;
	}
	int64_t days = us / DAY_US, y;
	int64_t rest = us % DAY_US;
	int m, d;
	if (rest < 0) {
		rest += DAY_US;
		days--;
	}
	date_from_days(days, &y, &m, &d);
	int64_t seconds = rest / 1000000, fraction = rest % 1000000;
	mr_buf_printf(b, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d.", y, m, d, (int)(seconds / 3600), (int)(seconds / 60 % 60),
		(int)(seconds % 60));
	if (fraction % 1000)
		mr_buf_printf(b, "%06dZ", (int)fraction);
	else
		mr_buf_printf(b, "%03dZ", (int)(fraction / 1000));
}
