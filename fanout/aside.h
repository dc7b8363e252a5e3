/* What takes long and needs nothing of its thread is done aside, in a thread that serves no sockets: large answers of workers and large
 * batches are parsed there, long results are encoded and deflated. One job after the other, in the order in which they were given.
 */
#ifndef MR_ASIDE_H
#define MR_ASIDE_H

#include "proto/ground/loop.h"

enum { MR_ASIDE_BYTES = 64 << 10, MR_ASIDE_ROWS = 500 }; /* from here on it is worth the way there and back */

struct mr_aside;
/* apart: all loops that it will tell are there already, and only one other thread is to come. Then the table of descriptors is not shared,
 * and the kernel need not count who uses one: 2 % of a small send(). */
struct mr_aside *mr_aside_new(bool apart);
/* What it was given is done first; the loops are told of it in a later turn, or when they are deleted. */
void mr_aside_delete(struct mr_aside **a);
/* work(arg) aside, then done(arg) on this loop, whose thread calls this. NULL: both at once, here. What arg leads to is nobody else's
 * meanwhile, or nobody changes it. */
void mr_aside_do(struct mr_aside *a, struct mr_loop *loop, mr_call_cb *work, mr_call_cb *done, void *arg);

#endif
