/* The ticker: what the fanout asks of storage. Runs tick statements on rotating connections (at least three), each inside a REPEATABLE
 * READ transaction that stays open until the fanout is done with the tick, so that reruns can read at its very snapshot.
 * Reads log tails for resumes. Reconnects by itself. (CLOCK.md rules 1, 2, 5, 11, 12, 13, 16, 20.)
 */
#ifndef MR_TICKER_H
#define MR_TICKER_H

#include "proto/ground/loop.h"
#include "proto/ring.h"
#include "snapshot.h"

/* One row of the change log, in order of seq. Texts live as long as the tick or tail. */
struct mr_log_row {
	int64_t seq;
	uint64_t xid, tag;
	bool has_token;
	uint8_t token[MR_TOKEN_BYTES];
	struct mr_str session, call; /* empty for outside writers */
	struct mr_str result;        /* JSON text, empty when withheld with the changes */
	/* JSON text (docs/changes.md); p NULL: withheld, since the caller has it by its token, or since there is too much of it: then it is
	 * to be asked for by mr_ticker_payloads. */
	struct mr_str changes;
	/* Of a row that a trigger wrote and that is withheld, since there is too much of it: the entity that it is about, which tells what
	 * must be read anew: where there are very many, one may stand for all of that entity. Else empty. */
	struct mr_str entity;
};

struct mr_ticker;
struct mr_tick {
	const struct mr_position *position; /* where this tick is */
	const struct mr_log_row *rows;      /* visible here and not in the previous tick; after a reset: none */
	size_t n;
	/* true: no continuity with what came before (first tick, new timeline or system, Postgres lost transactions, retention passed us):
	 * every instance must be read anew. */
	bool reset;
	int32_t hour; /* since 1970, by the clock of Postgres */
	bool standby; /* commits wait for a synchronous one: a row that shows here may not be on it yet */
	/* Catalog fingerprint of the app's tables when it was read in this tick (outside polls), else empty. JSON map entity -> text; the
	 * text ends in " blind" when rows of the table are not captured. */
	struct mr_str fingerprints;
};

struct mr_ticker_config {
	const char *conninfo;
	/* Tokens whose payload the fanout holds: called when a tick is about to be sent; appends tokens (MR_TOKEN_BYTES each) to b, at most
	 * some hundreds. */
	void (*have)(struct mr_buf *b, void *arg);
	/* So many bytes of what triggers wrote are worth reading; asked with `have`. NULL: as many as of all else (8 MiB). */
	int64_t (*worth)(void *arg);
	/* A tick is there. The transaction stays open until mr_tick_done(tick). No other tick is delivered before that... */
	void (*on_tick)(struct mr_tick *tick, void *arg);
	/* ...and this is told when one failed; the ticker reconnects and the next one will say reset only if it must. */
	void (*on_failure)(const struct mr_error *err, void *arg);
	void *arg;
};
struct mr_ticker *mr_ticker_new(struct mr_loop *loop, const struct mr_ticker_config *config);
/* Not from inside one of its callbacks. Tails and payloads still asked for are answered with ok false; held snapshots end, but each
 * mr_held is still to be dropped. */
void mr_ticker_delete(struct mr_ticker **ticker);
/* Ask for a tick. Returns false when one is in flight (ask again when it is delivered). outside: read the catalog fingerprints too.
 * It is sent at once if it can be, else as soon as a connection is free, and ends in on_tick or on_failure. */
bool mr_ticker_run(struct mr_ticker *ticker, bool outside);
bool mr_ticker_busy(const struct mr_ticker *ticker);
/* Declared tables, for the fingerprints: JSON map entity -> [schema, table]. */
void mr_ticker_tables(struct mr_ticker *ticker, struct mr_str json);

/* Matching is over. With `held` the snapshot stays exportable until mr_held_drop; else its transaction ends soon. The tick is gone after
 * this. */
struct mr_held; /* an open snapshot; other ticks go on meanwhile on other connections */
void mr_tick_done(struct mr_tick *tick, struct mr_held **held);
/* Gives the exported snapshot's name (valid until the drop) or NULL when the connection died. Called later, never at once. Asked once. */
void mr_held_export(struct mr_held *held, void (*cb)(struct mr_held *held, const char *name, void *arg), void *arg);
void mr_held_drop(struct mr_held **held);
int mr_ticker_held(const struct mr_ticker *ticker); /* snapshots held open; at most MR_HELD_MAX, further ticks wait */
enum { MR_HELD_MAX = 8 };

/* All log rows that are visible now and were not at `from`. ok false: the log does not reach back to it, or another database: read all
 * anew. `position` is the snapshot of the reading, NULL when nothing could be read. Rows above max_bytes in sum also give ok false. */
struct mr_tail {
	bool ok;
	const struct mr_position *position;
	const struct mr_log_row *rows;
	size_t n;
};
typedef void mr_tail_cb(const struct mr_tail *tail, void *arg);
void mr_ticker_tail(struct mr_ticker *ticker, const struct mr_position *from, size_t max_bytes, mr_tail_cb *cb, void *arg);
/* Reads withheld or missing payloads by seq (distinct; log rows never change). Rows come back in the order of seq; those after the first
 * 64 MiB without their changes, to be asked for again. ok false: some are not there, or Postgres could not be asked. No position. */
void mr_ticker_payloads(struct mr_ticker *ticker, const int64_t *seqs, size_t n, mr_tail_cb *cb, void *arg);

#endif
