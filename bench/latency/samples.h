/* Durations in microseconds, and what they say together. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>

struct samples {
	double *us;
	size_t n, cap;
};
void mr_samples_add(struct samples *s, double us);
/* p from 0 to 1, by the nearest rank; 0 when there are none. Sorts. */
double mr_samples_at(struct samples *s, double p);
void mr_samples_fini(struct samples *s);

#endif
