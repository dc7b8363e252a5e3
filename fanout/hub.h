/* What the process has once: the workers and the supervisor, the ring, the ticks, the app that serves. It has a loop of its own, or shares
 * that of the only thread. Threads and hub talk by calls that they post to each other's loops, in order, and by counted objects that nobody
 * changes any more (news.h); no side ever waits for the other.
 */
#ifndef MR_HUB_H
#define MR_HUB_H

#include "fanout.h"
#include "stakes.h"

struct mr_hub {
	struct mr_settings settings;
	struct mr_str secret;
	struct mr_loop *loop;
	struct mr_fanout **threads;
	size_t n;
	int port;
	atomic_int connections;    /* of all threads */
	_Atomic uint64_t arrivals; /* of sessions, so far */
	bool stopping;
	struct mr_app *app; /* that serves, or is just being handed to the threads */
	_Atomic int64_t counter[MR_COUNTERS];
	struct mr_stakes stakes;
	struct mr_keys *keys;       /* whose tokens are taken */
	struct mr_keyring *keyring; /* as of now */
	struct mr_workers *workers;
	struct mr_ticks *ticks;
	struct mr_numbers *numbers;
	struct mr_aside *aside; /* NULL: the process ends */
	struct mr_rates *rates; /* what callers and addresses may ask for, for all threads */
	struct mr_ip_ranges proxies;
};

/* A call for each thread: cb(arg), the argument made for it by make; NULL: it is the thread. */
typedef void *mr_hub_make(struct mr_fanout *f, const void *from);
void mr_hub_each(struct mr_hub *hub, mr_call_cb *cb, mr_hub_make *make, const void *from);
/* Sum over hub and threads. */
int64_t mr_hub_count(const struct mr_hub *hub, enum mr_counter counter);
/* Every thread closes what it has open, then the process ends. */
void mr_hub_stop(struct mr_hub *hub);

#endif
