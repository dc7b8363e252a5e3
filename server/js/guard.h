/* Ends the process when a slice of JavaScript cannot be ended otherwise: promise loops and long regular expressions are out of reach of the
 * engine's own limit, and an exhausted heap is a crash. A timer of the thread's CPU time (so idle costs nothing) looks every few
 * milliseconds at the slice's CPU time and at the resident memory. Uses the signal SIGRTMIN + 5, on the thread that called mr_guard_start.
 */
#ifndef MR_GUARD_H
#define MR_GUARD_H

#include <stdint.h>

#include "proto/ring.h"

enum { MR_EXIT_TIME = 77, MR_EXIT_MEMORY = 78 };

struct mr_guard_limits {
	int64_t slice_ms;     /* CPU time of a slice at which the process ends: above the engine's own limit */
	int64_t memory_bytes; /* resident memory at which the process ends while a slice runs */
};
/* Called in the signal handler just before _exit: only what is async-signal-safe. */
typedef void mr_guard_cb(enum mr_reason reason, void *arg);

/* One for each process; `last_words` may be NULL. */
void mr_guard_start(const struct mr_guard_limits *limits, mr_guard_cb *last_words, void *arg);
void mr_guard_stop(void);
void mr_guard_enter(void); /* a slice begins */
void mr_guard_leave(void);
int64_t mr_guard_spent_us(void); /* CPU time of the slice that runs; up to 10 ms less than it was */
int64_t mr_guard_resident(void); /* bytes; 0 when unknown */

#endif
