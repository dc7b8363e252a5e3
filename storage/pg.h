/* One asynchronous connection to Postgres, always in pipeline mode, on the event loop. The only door to libpq.
 *
 * Every connection is checked when it opens: a primary (not in recovery), a session of its own (a transaction pooler is refused with a
 * sentence), server 14 or newer; then the settings on which images depend are pinned (DateStyle ISO, TimeZone UTC, extra_float_digits 1,
 * bytea_output hex, IntervalStyle iso_8601, client_encoding UTF8, search_path public alone, so that no role's name redirects;
 * standard_conforming_strings on).
 */
#ifndef MR_PG_H
#define MR_PG_H

#include "proto/ground/error.h"
#include "proto/ground/loop.h"
#include "proto/ground/mem.h"

struct mr_pg;
enum mr_pg_state { MR_PG_CONNECTING, MR_PG_READY, MR_PG_DEAD };

/* Told when the connection becomes ready, and when it died (err says why); after DEAD all outstanding results have been answered with an
 * error result and the owner deletes it. Never called from inside mr_pg_open. */
typedef void mr_pg_state_cb(struct mr_pg *pg, enum mr_pg_state state, const struct mr_error *err, void *arg);
struct mr_pg *mr_pg_open(struct mr_loop *loop, const char *conninfo, const char *name, mr_pg_state_cb *cb, void *arg);
void mr_pg_delete(struct mr_pg **pg); /* outstanding results are not called */
enum mr_pg_state mr_pg_state(const struct mr_pg *pg);
int mr_pg_backend_pid(const struct mr_pg *pg);
int mr_pg_outstanding(const struct mr_pg *pg); /* statements sent and not answered */
bool mr_pg_idle(const struct mr_pg *pg);       /* ready, nothing outstanding, outside of a transaction */
/* Asks the server to cancel what runs now, over a short-lived connection of its own (PQcancel would block the loop). Nothing happens when
 * the statement has been answered by then. */
void mr_pg_cancel(struct mr_pg *pg);
/* Ends a connection that says nothing: it dies, as if lost. */
void mr_pg_abandon(struct mr_pg *pg);
#ifdef MR_FAULTS
void mr_pg_cut(struct mr_pg *pg); /* as a broken line would */
#endif

/* A result, valid during the callback only. */
struct mr_pg_result;
bool mr_pg_ok(const struct mr_pg_result *r);
const char *mr_pg_sqlstate(const struct mr_pg_result *r); /* "" when ok; "PIPEL" skipped after an earlier error; "08000" connection lost */
/* A COMMIT that is ok, but gave up its wait for a synchronous standby (cancelled, statement_timeout): a failover may take it back. */
bool mr_pg_unreplicated(const struct mr_pg_result *r);
/* The error in our terms. SQLSTATE details stay in the log (CLOCK.md rule 27). */
void mr_pg_error(const struct mr_pg_result *r, struct mr_error *err);
enum mr_pg_about { MR_PG_SCHEMA, MR_PG_TABLE, MR_PG_COLUMN, MR_PG_CONSTRAINT, MR_PG_DETAIL, MR_PG_CONTEXT };
/* What an error is about, in Postgres's words; "" when it does not say. The detail may hold values that the caller must not see. */
const char *mr_pg_about(const struct mr_pg_result *r, enum mr_pg_about what);
int mr_pg_rows(const struct mr_pg_result *r);
int mr_pg_columns(const struct mr_pg_result *r);
unsigned mr_pg_column_oid(const struct mr_pg_result *r, int col);
const char *mr_pg_column_name(const struct mr_pg_result *r, int col);
struct mr_str mr_pg_value(const struct mr_pg_result *r, int row, int col); /* p NULL: null */
int64_t mr_pg_int(const struct mr_pg_result *r, int row, int col);
int64_t mr_pg_affected(const struct mr_pg_result *r);

typedef void mr_pg_result_cb(const struct mr_pg_result *r, void *arg);
/* Queues one statement with text parameters (p NULL: null). Prepared on first use of the same text on this connection and then only bound,
 * unless MR_PG_ONCE. cb may be NULL. Parameters and SQL are copied. The statement is sent at the next mr_pg_sync or mr_pg_flush. */
enum { MR_PG_ONCE = 1 };
void mr_pg_query(struct mr_pg *pg, int flags, const char *sql, int n, const struct mr_str *params, mr_pg_result_cb *cb, void *arg);
/* The same for a statement of many rows, of which none is held longer than its turn: each is given to `row` as it arrives, in a result of
 * its own (not mr_pg_ok, but with columns and values), and cb is told the end, with columns and without rows. `row` says whether it wants
 * more: when not, what still comes is dropped, and the statement is cancelled if that is much; cb is told its end as ever, which need not
 * be an error. `row` must not delete the connection. */
typedef bool mr_pg_row_cb(const struct mr_pg_result *r, void *arg);
void mr_pg_stream(struct mr_pg *pg, int flags, const char *sql, int n, const struct mr_str *params, mr_pg_row_cb *row, mr_pg_result_cb *cb,
	void *arg);
/* Ends a pipeline: an error skips what follows up to here. */
void mr_pg_sync(struct mr_pg *pg);
/* Asks for the results so far without ending the pipeline (the transaction goes on, an error skips up to the next sync). */
void mr_pg_flush(struct mr_pg *pg);

/* An attempt to connect failed; one succeeded. Logged, but not each. */
void mr_pg_away(const char *name, const struct mr_error *err);
void mr_pg_back(void);

/* A pool: up to `max` connections opened as needed, each lent to one user at a time, reopened with jittered backoff when they die. */
struct mr_pool;
struct mr_pool *mr_pool_new(struct mr_loop *loop, const char *conninfo, const char *name, int max);
/* Who waits is told shutting_down; lent connections are closed without a word and must not be touched any more. Not from inside a callback.
 */
void mr_pool_delete(struct mr_pool **pool);
/* Calls cb with a READY connection, at once or later, in order of asking; with NULL and err after wait_us without one. */
typedef void mr_lease_cb(struct mr_pg *pg, const struct mr_error *err, void *arg);
void mr_pool_lease(struct mr_pool *pool, int64_t wait_us, mr_lease_cb *cb, void *arg);
/* true and *why: the last attempt to open a connection failed. */
bool mr_pool_away(const struct mr_pool *pool, struct mr_error *why);
/* Gives it back; it must be idle (outside of a transaction, nothing outstanding) or dead, else it is closed. So is one
 * that has swollen by a very large row. */
void mr_pool_return(struct mr_pool *pool, struct mr_pg *pg);

#endif
