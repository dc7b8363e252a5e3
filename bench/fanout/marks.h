/* Each write carries its number, a mark, in what it writes: "~#" and ten digits. Here it is kept who has it since when.
 * Times are microseconds of CLOCK_MONOTONIC; 0: not yet.
 */
#ifndef BENCH_FANOUT_MARKS_H
#define BENCH_FANOUT_MARKS_H

#include <stdio.h>

#include "proto/ground/mem.h"

enum { MARK_DIGITS = 10 };
struct mark {
	double sent, answered, first, last; /* answered: by the writer's server; first, last: the first and the last client has it */
	unsigned got;                       /* clients that have it */
};
struct marks {
	uint64_t from; /* number of the first of this run; numbers go on from run to run */
	struct mark *m;
	size_t n, cap;
	size_t n_done;   /* answered, if anybody answers, and had by all who expect it */
	unsigned expect; /* clients that each of them is for */
	bool answers;
	uint64_t arrivals, twice; /* twice: a client was told one that all had */
};
extern struct marks mr_marks;

/* A new run: `expect` clients for each write, whose server answers the writer or does not. */
void mr_marks_begin(unsigned expect, bool answers);
/* The same run again, from the first mark on, nobody has any; nobody answers. */
void mr_marks_again(void);
uint64_t mr_marks_send(double now);
void mr_marks_answered(uint64_t number, double now);
/* Counts the marks of a message that a client has got; gives how many. */
unsigned mr_marks_scan(struct mr_str message, double now);
uint64_t mr_marks_read_number(const char *digits);
void mr_marks_print_number(char *to, uint64_t number, int digits);
/* Figures of the run, members of a JSON object. */
void mr_marks_report(FILE *out);
/* A line for each: number, sent, answered, first, last. */
void mr_marks_dump(FILE *out);

#endif
