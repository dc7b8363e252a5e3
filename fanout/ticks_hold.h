/* Private to ticks*.c: snapshots that stay open for the threads. */
#ifndef MR_TICKS_HOLD_H
#define MR_TICKS_HOLD_H

#include "ticks.h"

void mr_ticks_hold_init(struct mr_ticks *t);
void mr_ticks_hold_fini(struct mr_ticks *t);
/* A tick was delivered: the threads are about to see it. */
void mr_ticks_open(struct mr_ticks *t, struct mr_tick *tick);
/* It has been handed to all. Those that do not answer within a moment do without its snapshot: no thread holds up the others' ticks. */
void mr_ticks_wait(struct mr_ticks *t);

#endif
