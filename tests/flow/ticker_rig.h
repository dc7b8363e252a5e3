/* A private Postgres with a change log, and a fanout in small that asks the ticker and collects what ticks bring. */
#ifndef MR_TICKER_RIG_H
#define MR_TICKER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "storage/ticker.h"
#include "tests/lib/postgres.h"

extern struct mr_test_pg server;
extern struct mr_loop *loop;
extern PGconn *admin;

/* For cmocka's group. */
int ticker_rig_start(void **state);
int ticker_rig_stop(void **state);

/* A fanout in small: collects what ticks bring. */
struct fan {
	struct mr_ticker *ticker;
	int ticks, resets, failures;
	bool keep; /* do not end the tick in its callback */
	struct mr_tick *tick;
	struct mr_position position, before;
	int64_t *seqs; /* all rows seen since the last reset, in order of coming */
	size_t n, cap;
	size_t withheld, wrong; /* wrong: a row that its snapshot does not see, or that the one before saw */
	int64_t worth;          /* bytes of what triggers wrote that are read; 0: the usual ones */
	struct mr_buf entities; /* of rows that do not tell more, each followed by a space */
	struct mr_buf tokens, fingerprints, changes;
	struct mr_error err;
};

void fan_start(struct fan *f);
void fan_start_at(struct fan *f, const char *conninfo);
void fan_stop(struct fan *f);
void until_grown(const int *counter, int from); /* turns until *counter has grown */
/* The tick after number `before`, whether it is under way or must be asked for (again). */
void tick_after(struct fan *f, int before, bool outside);
void tick_once(struct fan *f, bool outside);         /* one tick that is sent from now on, asked for again as long as it fails */
void let_it_be_reported(struct fan *f);              /* what its backends have read so far */
size_t new_rows(struct fan *f);                      /* rows that one more tick brought */
void on_tail(const struct mr_tail *tail, void *arg); /* arg: struct fan */

#define INSERT "insert into millrace.change_log (part, hour, changes) values (0, 0, '[{\"e\":\"T\",\"n\":{}}]')"
void empty_log(void); /* without a ticker that runs: its transactions read the log */

#endif
