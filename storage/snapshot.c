/* Reading, printing and comparing pg_snapshot texts. Pure; takes any bytes. */
#include "snapshot.h"

#include <inttypes.h>
#include <stdlib.h>

/* Takes decimal digits up to the end or a stop character; false: none, or out of range. */
static bool read_xid(const char **at, const char *end, uint64_t *value)
{
	const char *p = *at;
	uint64_t v = 0;
	while (p < end && *p >= '0' && *p <= '9') {
		uint64_t digit = (uint64_t)(*p - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
		p++;
	}
	if (p == *at)
		return false;
	*at = p;
	*value = v;
	return true;
}

static bool skip(const char **at, const char *end, char c)
{
	if (*at == end || **at != c)
		return false;
	(*at)++;
	return true;
}

static size_t count_commas(const char *p, const char *end)
{
	size_t n = 0;
	for (; p < end; p++)
		n += *p == ',';
	return n;
}

/* Postgres prints running xids in ascending order within [xmin, xmax); doubles are dropped as it does itself. */
static bool read_running(const char *at, const char *end, struct mr_snapshot *s)
{
	if (at == end)
		return true;
	s->xip = mr_alloc((count_commas(at, end) + 1) * sizeof(*s->xip));
	do {
		uint64_t xid;
		if (!read_xid(&at, end, &xid) || xid < s->xmin || xid >= s->xmax)
			return false;
		if (s->n && xid < s->xip[s->n - 1])
			return false;
		if (!s->n || xid != s->xip[s->n - 1])
			s->xip[s->n++] = xid;
	} while (skip(&at, end, ','));
	return at == end;
}

bool mr_snapshot_read(struct mr_str text, struct mr_snapshot *s)
{
	*s = (struct mr_snapshot){0};
	if (!text.n)
		return false;
	const char *at = text.p, *end = text.p + text.n;
	bool ok = read_xid(&at, end, &s->xmin) && skip(&at, end, ':') && read_xid(&at, end, &s->xmax) && skip(&at, end, ':') &&
		  s->xmin > 0 && s->xmin <= s->xmax && read_running(at, end, s);
	if (!ok)
		mr_snapshot_fini(s);
	return ok;
}

void mr_snapshot_fini(struct mr_snapshot *s)
{
	free(s->xip);
	*s = (struct mr_snapshot){0};
}

void mr_snapshot_copy(struct mr_snapshot *to, const struct mr_snapshot *from)
{
	if (to == from)
		return;
	free(to->xip);
	*to = *from;
	to->xip = NULL;
	if (from->n) {
		to->xip = mr_alloc(from->n * sizeof(*to->xip));
		memcpy(to->xip, from->xip, from->n * sizeof(*to->xip));
	}
}

void mr_snapshot_print(struct mr_buf *b, const struct mr_snapshot *s)
{
	mr_buf_printf(b, "%" PRIu64 ":%" PRIu64 ":", s->xmin, s->xmax);
	for (size_t i = 0; i < s->n; i++)
		mr_buf_printf(b, i ? ",%" PRIu64 : "%" PRIu64, s->xip[i]);
}

static bool running(const struct mr_snapshot *s, uint64_t xid)
{
	size_t lo = 0, hi = s->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (s->xip[mid] == xid)
			return true;
		if (s->xip[mid] < xid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

bool mr_snapshot_sees(const struct mr_snapshot *s, uint64_t xid)
{
	if (xid < s->xmin)
		return true;
	return xid < s->xmax && !running(s, xid);
}

/* What b cannot see must be unseen by a too: its running xids, and all from its xmax up to a's xmax. */
bool mr_snapshot_within(const struct mr_snapshot *a, const struct mr_snapshot *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (mr_snapshot_sees(a, b->xip[i]))
			return false;
	if (a->xmax <= b->xmax)
		return true;
	uint64_t above = 0;
	for (size_t i = 0; i < a->n; i++)
		above += a->xip[i] >= b->xmax;
	return above == a->xmax - b->xmax;
}
