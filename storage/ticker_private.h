/* What the files of the ticker share. For ticker*.c only.
 *
 *   ticker.c       ticks: rotating connections, held snapshots
 *   ticker_tail.c  tails and payloads: readers with a connection of their own each
 *   ticker_log.c   the statements on the log, and how their answers are read and judged
 *   ticker_catalog.c  whether the app's tables are still what they were
 */
#ifndef MR_TICKER_PRIVATE_H
#define MR_TICKER_PRIVATE_H

#include "pg.h"
#include "proto/ground/list.h"
#include "ticker.h"

enum {
	MR_TICK_ROWS = 100000,       /* rows of one tick; more make it a reset */
	MR_TICK_FEW = 128,           /* rows of an ordinary one; more are counted before they are read */
	MR_TICK_BYTES = 8 << 20,     /* payload of one tick; the rest is withheld */
	MR_PAYLOAD_BYTES = 64 << 20, /* payload of one mr_ticker_payloads; the rest is withheld */
	MR_TAIL_ROWS = 1000000,      /* rows of one tail */
	MR_TICK_TIMEOUT_MS = 5000,   /* for Postgres to answer a tick */
	MR_TAIL_TIMEOUT_MS = 15000,
};

/* What a reading says beside its rows. The second half is asked by a careful one only. */
struct mr_log_head {
	struct mr_snapshot snapshot;
	uint32_t timeline;
	int32_t hour;
	bool standby;
	uint64_t floor_xid;
	int64_t floor_seq;
	bool careful;
	uint64_t system;
	int64_t last_seq; /* highest seq there is, with its tag */
	uint64_t last_tag;
	bool has_mark; /* the row at the position's seq is there, with this tag */
	uint64_t mark;
};
void mr_log_head_fini(struct mr_log_head *h);

struct mr_log_rows {
	struct mr_arena arena;
	struct mr_log_row *rows;
	size_t n, cap;
	bool withheld; /* some payload was above the budget */
};
void mr_log_rows_fini(struct mr_log_rows *rows);
void mr_log_rows_reset(struct mr_log_rows *rows);

/* Settings of a connection that reads the log. The answer goes to mr_log_setup_done: whether pg_control_system may be asked. */
void mr_log_setup(struct mr_pg *pg, int timeout_ms, mr_pg_result_cb *cb, void *arg);
bool mr_log_setup_done(const struct mr_pg_result *r);
/* BEGIN and the locks that keep retention away, so that what the snapshot says of the floor and what the parts hold fit together. Two
 * results. */
void mr_log_begin(struct mr_pg *pg, mr_pg_result_cb *cb, void *arg);
/* from NULL: no position. One result each. */
void mr_log_ask_head(struct mr_pg *pg, bool careful, bool control, const struct mr_position *from, mr_pg_result_cb *cb, void *arg);
/* What a large tick brings. Where triggers wrote more than is read of some tables and there is little else, that little is read alone, and
 * of each such table one row that stands for all. */
struct mr_log_totals {
	int64_t rows;
	size_t n_left_out;         /* tables */
	struct mr_buf some, stand; /* numbers of rows, as arrays of Postgres */
};
void mr_log_totals_fini(struct mr_log_totals *totals);
/* How much is read: rows, bytes of their payload, and bytes up to which that of a row is read that a trigger wrote. */
struct mr_log_most {
	int64_t rows, bytes, outside;
};
void mr_log_ask_rows(struct mr_pg *pg, const struct mr_position *from, struct mr_str tokens, const struct mr_log_most *most,
	mr_pg_result_cb *cb, void *arg);
void mr_log_ask_totals(struct mr_pg *pg, const struct mr_position *from, int64_t most, mr_pg_result_cb *cb, void *arg);
void mr_log_ask_some(struct mr_pg *pg, const struct mr_log_totals *totals, struct mr_str tokens, const struct mr_log_most *most,
	mr_pg_result_cb *cb, void *arg);
/* Is mr_log_ask_few worth it? Only from a position of the same life of Postgres. */
bool mr_log_few(const struct mr_position *from);
void mr_log_ask_few(struct mr_pg *pg, const struct mr_position *from, struct mr_str tokens, mr_pg_result_cb *cb, void *arg);
void mr_log_ask_payloads(struct mr_pg *pg, const int64_t *seqs, size_t n, int64_t max_bytes, mr_pg_result_cb *cb, void *arg);

bool mr_log_read_head(const struct mr_pg_result *r, struct mr_log_head *h, struct mr_error *err);
/* most: bytes that are read of what triggers wrote. true: some are enough, else all are to be asked for. */
bool mr_log_read_totals(const struct mr_pg_result *r, int64_t most, struct mr_log_totals *totals);
/* Appends, copying. */
void mr_log_read_rows(const struct mr_pg_result *r, struct mr_log_rows *rows);
/* false: there is more than that, to be asked by mr_log_ask_rows in the same transaction. */
bool mr_log_read_few(const struct mr_pg_result *r, struct mr_log_rows *rows);

/* Can what follows `from` be told from this reading? A head that is not careful leaves out what only a careful one knows. */
bool mr_log_continues(const struct mr_log_head *h, const struct mr_position *from);
/* The position of a reading: after those rows, or (reset) anew from a careful head. */
void mr_log_advance(struct mr_position *p, const struct mr_log_head *h, const struct mr_log_rows *rows);
void mr_log_restart(struct mr_position *p, const struct mr_log_head *h);

/* ticker_tail.c */
struct mr_reader;
struct mr_reader *mr_reader_new(struct mr_loop *loop, const char *conninfo, const char *name);
void mr_reader_delete(struct mr_reader **reader); /* jobs are answered with ok false */
void mr_reader_tail(struct mr_reader *reader, const struct mr_position *from, size_t max_bytes, mr_tail_cb *cb, void *arg);
void mr_reader_payloads(struct mr_reader *reader, const int64_t *seqs, size_t n, mr_tail_cb *cb, void *arg);

#endif
