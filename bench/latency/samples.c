#include "samples.h"

#include <math.h>
#include <stdlib.h>

#include "proto/ground/mem.h"

void mr_samples_add(struct samples *s, double us)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 1024;
		s->us = mr_realloc(s->us, s->cap * sizeof(*s->us));
	}
	s->us[s->n++] = us;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double mr_samples_at(struct samples *s, double p)
{
	if (!s->n)
		return 0;
	qsort(s->us, s->n, sizeof(*s->us), by_size);
	size_t rank = (size_t)ceil(p * (double)s->n);
	return s->us[rank ? rank - 1 : 0];
}

void mr_samples_fini(struct samples *s)
{
	free(s->us);
	*s = (struct samples){0};
}
