/* The load generator's one thread: who is told when a descriptor is ready, and what is due when. */
#ifndef BENCH_FANOUT_LOOP_H
#define BENCH_FANOUT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* First member of whatever waits for a descriptor. */
struct watched {
	void (*ready)(struct watched *w, uint32_t events);
};

void mr_loop_init(void);
void mr_loop_add(int fd, uint32_t events, struct watched *w);
/* For those who must not wait behind many others: they are looked at after every few. */
void mr_loop_add_urgent(int fd, uint32_t events, struct watched *w);
void mr_loop_change(int fd, uint32_t events, struct watched *w);
/* Turns until done() says so; false when that took longer. due(now): does what is due and gives when the next thing is (0: nothing);
 * NULL: nothing ever is. Times are microseconds of CLOCK_MONOTONIC. */
bool mr_loop_until(bool (*done)(void), double (*due)(double now), double seconds);
/* Looks only every so many microseconds, and is never woken between: waking a reader costs the writer, and only a reader on the same
 * machine is woken by it. 0: looks when there is something. */
void mr_loop_pace(double us);
/* Now, as of the last few descriptors. */
double mr_loop_now(void);

#endif
