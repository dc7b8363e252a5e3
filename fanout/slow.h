/* Functions that hold their worker up. All calls of one worker share one thread: while a slice of code runs, the others there wait. So a
 * function whose slices are long is remembered for a while, and its jobs get workers apart (choice.h). For the hub alone.
 */
#ifndef MR_SLOW_H
#define MR_SLOW_H

#include "proto/ground/mem.h"
#include "proto/settings.h"

/* Of settings: slow_slice (0: nothing is ever slow) and slow_lease. They must outlive it. */
struct mr_slow *mr_slow_new(const struct mr_settings *settings);
void mr_slow_delete(struct mr_slow **slow);

enum mr_offence {
	MR_SLOW_SLICE, /* a slice took longer than slow_slice; at the second one within slow_lease the function is slow */
	MR_SLOW_ENDED, /* a slice was ended by a limit, or its worker died of it: the function is slow at once */
};
/* true: from now on the function is slow, and was not before. */
bool mr_slow_note(struct mr_slow *slow, struct mr_str fn, enum mr_offence what, int64_t now_us);
bool mr_slow_is(const struct mr_slow *slow, struct mr_str fn);
/* Forgets those whose lease is over. */
void mr_slow_expire(struct mr_slow *slow, int64_t now_us);
void mr_slow_forget(struct mr_slow *slow); /* all: the code is another */
/* Appends their names as a JSON list. */
void mr_slow_print(const struct mr_slow *slow, struct mr_buf *b);
int64_t mr_slow_count(const struct mr_slow *slow);

#endif
