/* The clock of the fanout: asks for ticks when there is a reason, applies each to instances and sessions, remembers where we are.
 */
#ifndef MR_CLOCK_H
#define MR_CLOCK_H

#include "batch.h"
#include "fanout.h"
#include "storage/snapshot.h"
#include "storage/ticker.h"

struct mr_payloads;
struct mr_catalog;

struct mr_clock {
	struct mr_fanout *f;
	struct mr_ticker *ticker;
	struct mr_payloads *payloads;
	uint64_t n;                  /* ticks so far; 0: none yet */
	struct mr_position position; /* of tick n */
	struct mr_past *past;        /* positions of the last ticks, for sessions that are held at one of them */
	int64_t last_position_us;    /* when a position last went to everybody */
	bool carries_position;       /* transitions of this tick do */
	struct mr_list batches;      /* struct mr_batch, oldest first: those that works may need */
	struct mr_list works;        /* struct mr_work, oldest first */
	bool wanted, failing;
	bool outside;        /* the next tick reads the catalog too */
	int64_t waits_since; /* when the tick that has not come yet was asked for first; 0: none is under way */
	int64_t last_tick_us;
	int64_t rest_us; /* before the next tick */
	struct mr_timer *poll, *soon;
	struct mr_catalog *catalog;
};

struct mr_clock *mr_clock_new(struct mr_fanout *f, const char *conninfo);
void mr_clock_delete(struct mr_clock **clock);
/* A tick as soon as possible. Cheap; ask as often as you like. */
void mr_clock_want(struct mr_clock *clock);
/* The same, and the catalog is read with it. */
void mr_clock_want_catalog(struct mr_clock *clock);
/* The serving app changed: its tables are watched from now on. */
void mr_clock_app(struct mr_clock *clock);
struct mr_str mr_clock_position(struct mr_clock *clock, uint64_t n); /* text of the position at tick n; empty when it is too long ago */
bool mr_clock_runs(const struct mr_clock *clock);                    /* a tick came and Postgres answers */
bool mr_clock_follows(const struct mr_clock *clock); /* no tick is overdue: what is shown is what Postgres holds, give or take a moment */

#endif
