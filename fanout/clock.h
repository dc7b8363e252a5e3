/* The clock of a thread: at which tick it is, and what it keeps of those before. It takes each tick's news, applies them to instances and
 * sessions, and takes the sessions on.
 */
#ifndef MR_CLOCK_H
#define MR_CLOCK_H

#include "fanout.h"
#include "news.h"
#include "ticks.h"

struct mr_catalog;

/* A batch that works or resumes may need. */
struct mr_kept {
	struct mr_list in_clock;
	struct mr_batch *batch;
};

struct mr_clock {
	struct mr_fanout *f;
	uint64_t n;              /* the tick; 0: none yet */
	struct mr_moment *now;   /* where it is; NULL: nowhere yet */
	struct mr_news *news;    /* of tick n */
	struct mr_moment **past; /* the last ticks, for sessions that are held at one of them */
	bool carries_position;   /* transitions of this tick do */
	struct mr_list kept;     /* struct mr_kept, oldest first */
	struct mr_list works;    /* struct mr_work, oldest first */
	struct mr_list answered; /* of these, those whose answers wait for a tick */
	struct mr_list asked;    /* struct mr_loaded of this turn (load.h) */
	struct mr_list loads;    /* what they are read by, until it is sent */
	int64_t last_tick_us;
	struct mr_catalog *catalog;
};

struct mr_clock *mr_clock_new(struct mr_fanout *f);
void mr_clock_delete(struct mr_clock **clock);
void mr_clock_take(struct mr_clock *clock, struct mr_news *news);
/* Another app serves from now on. */
void mr_clock_app(struct mr_clock *clock);
struct mr_str mr_clock_position(const struct mr_clock *clock, uint64_t n); /* text of the position at tick n; empty: too long ago */
bool mr_clock_sees(const struct mr_clock *clock, struct mr_written written);
static inline void mr_clock_want(struct mr_clock *clock)
{
	mr_ticks_want(clock->f->hub->ticks);
}

#endif
