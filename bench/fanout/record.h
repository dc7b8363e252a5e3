/* What client 0 was told, and when; and the same once more: to the floor, over the control connection that floor.c describes. */
#ifndef BENCH_FANOUT_RECORD_H
#define BENCH_FANOUT_RECORD_H

#include <stdio.h>

#include "proto/ground/mem.h"

/* Begins a record; what was recorded before is forgotten, but for one frame with one mark. */
void mr_record_begin(void);
void mr_record_end(void);
/* A frame that client 0 has got, with so many marks. */
void mr_record_frame(struct mr_str frame, unsigned marks, double now);
/* Members of a JSON object. */
void mr_record_report(FILE *out);

void mr_control_open(int port);
void mr_control_close(void);
/* Feeds the floor until all clients have all marks of the last run. Frames: the same ones at the same times. Else: each mark by itself, in
 * a frame as that of one mark was, at the time when its writer had its answer (or sent it, if nobody answers). */
void mr_replay(bool frames, double seconds);
/* Has the floor write so many frames of no mark, one after the other, so that its sockets and caches are as used as another's. */
void mr_warm(unsigned n);
/* Feeds it one frame of one mark: a write of which it is told at once. */
void mr_feed(uint64_t number);

#endif
