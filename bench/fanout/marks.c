#include "marks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/latency/samples.h"

enum { HISTOGRAM_US = 1 << 21 };

struct marks mr_marks = {.from = 1};
static uint32_t *arrived_after; /* by microseconds since sent; the last: longer */

static void reset_histogram(void)
{
	free(arrived_after);
	arrived_after = mr_alloc(HISTOGRAM_US * sizeof *arrived_after);
	mr_marks.arrivals = mr_marks.twice = 0;
	mr_marks.n_done = 0;
}

void mr_marks_begin(unsigned expect, bool answers)
{
	struct marks *all = &mr_marks;
	all->from += all->n;
	all->n = 0;
	all->expect = expect;
	all->answers = answers;
	reset_histogram();
}

void mr_marks_again(void)
{
	for (size_t i = 0; i < mr_marks.n; i++)
		mr_marks.m[i] = (struct mark){0};
	mr_marks.answers = false;
	reset_histogram();
}

uint64_t mr_marks_send(double now)
{
	struct marks *all = &mr_marks;
	if (all->n == all->cap) {
		all->cap = all->cap ? 2 * all->cap : 4096;
		all->m = mr_realloc(all->m, all->cap * sizeof *all->m);
	}
	all->m[all->n] = (struct mark){.sent = now};
	return all->from + all->n++;
}

static void look(const struct mark *m)
{
	mr_marks.n_done += m->got >= mr_marks.expect && (m->answered > 0 || !mr_marks.answers);
}

void mr_marks_answered(uint64_t number, double now)
{
	struct mark *m = &mr_marks.m[number - mr_marks.from];
	m->answered = now;
	look(m);
}

static void arrived(uint64_t number, double now)
{
	struct marks *all = &mr_marks;
	if (number < all->from || number - all->from >= all->n)
		return; /* what an earlier run wrote is told to who comes now */
	struct mark *m = &all->m[number - all->from];
	if (m->got >= all->expect) {
		all->twice++;
		return;
	}
	if (!m->got++)
		m->first = now;
	m->last = now;
	all->arrivals++;
	double us = now - m->sent;
	arrived_after[us < 0 ? 0 : us < HISTOGRAM_US ? (size_t)us : HISTOGRAM_US - 1]++;
	if (m->got == all->expect)
		look(m);
}

uint64_t mr_marks_read_number(const char *digits)
{
	uint64_t number = 0;
	for (int i = 0; i < MARK_DIGITS; i++)
		number = number * 10 + (uint64_t)(digits[i] - '0');
	return number;
}

unsigned mr_marks_scan(struct mr_str message, double now)
{
	const char *p = message.p, *end = message.p + message.n;
	unsigned n = 0;
	while (p < end && (p = memchr(p, '~', (size_t)(end - p)))) {
		if (end - ++p <= MARK_DIGITS || *p != '#')
			continue;
		arrived(mr_marks_read_number(p + 1), now);
		n++;
	}
	return n;
}

void mr_marks_print_number(char *to, uint64_t number, int digits)
{
	for (int i = digits - 1; i >= 0; i--, number /= 10)
		to[i] = (char)('0' + number % 10);
}

static double percentile(double q)
{
	uint64_t left = (uint64_t)(q * (double)mr_marks.arrivals);
	for (size_t us = 0; us < HISTOGRAM_US; us++) {
		if (arrived_after[us] > left)
			return (double)us;
		left -= arrived_after[us];
	}
	return 0;
}

static void report_times(FILE *out, const char *name, double (*time)(const struct mark *m))
{
	struct samples s = {0};
	for (size_t i = 0; i < mr_marks.n; i++)
		mr_samples_add(&s, time(&mr_marks.m[i]));
	fprintf(out, ",\"%s\":[%.1f,%.1f]", name, mr_samples_at(&s, 0.5), mr_samples_at(&s, 0.99));
	mr_samples_fini(&s);
}

static double to_answer(const struct mark *m)
{
	return m->answered - m->sent;
}
static double to_first(const struct mark *m)
{
	return m->first - m->sent;
}
static double to_last(const struct mark *m)
{
	return m->last - m->sent;
}

void mr_marks_report(FILE *out)
{
	const struct marks *all = &mr_marks;
	double from = all->n ? all->m[0].sent : 0, to = from;
	for (size_t i = 0; i < all->n; i++) {
		from = MR_MIN(from, all->m[i].sent);
		to = MR_MAX(to, MR_MAX(all->m[i].last, all->m[i].answered));
	}
	fprintf(out, "\"next\":%" PRIu64 ",\"writes\":%zu,\"deliveries\":%llu,\"twice\":%llu,\"seconds\":%.6f,\"received\":[%.1f,%.1f]",
		all->from + all->n, all->n, (unsigned long long)all->arrivals, (unsigned long long)all->twice, (to - from) / 1e6,
		percentile(0.5), percentile(0.99));
	if (all->answers)
		report_times(out, "answered", to_answer);
	if (all->expect) {
		report_times(out, "first", to_first);
		report_times(out, "last", to_last);
	}
}

void mr_marks_dump(FILE *out)
{
	uint64_t number = mr_marks.from;
	for (const struct mark *m = mr_marks.m; m < mr_marks.m + mr_marks.n; m++, number++)
		fprintf(out, "%" PRIu64 " %.1f %.1f %.1f %.1f\n", number, m->sent, m->answered, m->first, m->last);
}
