/* Ticks: the hub asks for one when there is a reason, reads it once, and hands it to all threads as news. Threads that have live queries to
 * run again say so when they have applied it; then its snapshot is held and exported for them.
 */
#ifndef MR_TICKS_H
#define MR_TICKS_H

#include "hub.h"
#include "news.h"
#include "storage/ticker.h"

struct mr_payloads;
struct mr_hold;

struct mr_ticks {
	struct mr_hub *hub;
	struct mr_ticker *ticker;
	struct mr_payloads *payloads;
	uint64_t n; /* ticks so far; 0: none yet */
	bool wanted;
	bool outside;                /* the next tick reads the catalog too */
	atomic_bool failing;         /* as all atomics here: the threads look at it */
	atomic_bool asked;           /* a thread's wish for a tick is on its way */
	_Atomic int64_t waits_since; /* when the tick that has not come yet was asked for first; 0: none is under way */
	int64_t last_tick_us, last_position_us;
	int64_t rest_us, rested_since; /* before the next tick */
	size_t brought;                /* by the last one: log rows, one for each commit of a function */
	bool tells;                    /* what the last tick brought is being written */
	struct mr_timer *poll, *soon;
	struct mr_hold *open; /* of the tick that was delivered last, while its transaction is open */
	struct mr_list holds; /* all */
	bool refused;         /* a thread came too late to read at a snapshot */
	struct mr_timer *patience;
};

struct mr_ticks *mr_ticks_new(struct mr_hub *hub, const char *conninfo);
/* No tick comes any more; what threads still wait for is answered. */
void mr_ticks_end(struct mr_ticks *ticks);
void mr_ticks_delete(struct mr_ticks **ticks);
/* The serving app changed: its tables are watched from now on. */
void mr_ticks_app(struct mr_ticks *ticks);

/* From any thread. A tick as soon as possible. Cheap; ask as often as you like. */
void mr_ticks_want(struct mr_ticks *ticks);
/* The same, and the catalog is read with it. */
void mr_ticks_want_catalog(struct mr_ticks *ticks);
/* A tick that was wanted while another one was under way is asked for: with one thread when it has written what that one had to tell, else
 * at once. */
void mr_ticks_go_on(struct mr_ticks *ticks);
void mr_ticks_written(struct mr_ticks *ticks);
bool mr_ticks_follow(const struct mr_ticks *ticks); /* no tick is overdue: what is shown is what Postgres holds, give or take a moment */

/* For a thread that reads at a tick's snapshot. hold and name live until mr_hold_drop; both NULL: it could not be held. */
typedef void mr_hold_cb(void *arg, struct mr_hold *hold, const char *name);
/* The thread has applied tick n, as it says once for each. cb: it needs the snapshot, and is told later, never at once; NULL: it does not.
 */
void mr_ticks_applied(struct mr_fanout *f, uint64_t n, mr_hold_cb *cb, void *arg);
void mr_hold_drop(struct mr_fanout *f, struct mr_hold **hold);

/* The log since a position, for a thread. ok false: read all anew (storage/ticker.h). The callee takes the batch over. */
typedef void mr_ticks_tail_cb(void *arg, bool ok, struct mr_batch *batch);
void mr_ticks_tail(struct mr_fanout *f, const struct mr_position *from, size_t max_bytes, mr_ticks_tail_cb *cb, void *arg);

#endif
