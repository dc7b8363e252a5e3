/* Ticks on rotating connections.
 *
 * A connection's states:  OPENING -> SETUP -> IDLE -> TICKING -> DELIVERED -> DONE -> TICKING or, after a while, ENDING -> IDLE
 *                                                                DELIVERED -> HELD -> ENDING -> IDLE
 * One tick at a time is TICKING or DELIVERED (ticker->current); others may be HELD or ENDING meanwhile. Whose tick is DONE still has its
 * transaction open: the next tick ends it with the statements that it sends anyway, so that under load a tick is one message to Postgres
 * and one back. A connection that dies in any state is removed and another one is opened when it is needed; its first tick is a careful
 * one.
 */
#include <stdlib.h>

#include "proto/ground/fault.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "ticker_catalog.h"
#include "ticker_private.h"

enum {
	ROTATING = 3,
	BACKOFF_FIRST_US = 50 * 1000,
	BACKOFF_MOST_US = 1000 * 1000,
	WATCHDOG_US = (MR_TICK_TIMEOUT_MS + 1000) * 1000,
	DONE_US = 10 * 1000, /* so long at most is a transaction open that nobody needs */
};

enum conn_state { CONN_OPENING, CONN_SETUP, CONN_IDLE, CONN_DONE, CONN_TICKING, CONN_DELIVERED, CONN_HELD, CONN_ENDING, CONN_STATES };

struct conn {
	struct mr_list link; /* in the ticker's list of its state */
	struct mr_ticker *ticker;
	struct mr_pg *pg;
	enum conn_state state;
	bool fresh;   /* its next tick verifies that this is the database of our position */
	bool control; /* may ask pg_control_system() */
	int64_t done_us;
	struct mr_held *held;
};

struct mr_held {
	struct mr_list link;
	struct mr_ticker *ticker; /* NULL: the ticker is gone */
	struct conn *conn;        /* NULL: the connection died */
	void (*cb)(struct mr_held *held, const char *name, void *arg);
	void *arg;
};

/* The one tick under way. */
struct tick {
	struct mr_tick tick; /* what the fanout sees */
	bool delivered;
	bool restart; /* to be a reset: the head is asked again, carefully */
	bool failed;
	struct mr_error err; /* the first failure */
	int answers;         /* still to come */
	struct mr_log_head head;
	struct mr_log_rows rows;
	/* The rows must be asked for once more: first how many they are; then all, or some. */
	bool many, counted, all, some;
	struct mr_log_totals totals;
	struct mr_buf tokens;
	bool outside; /* the catalog is to be read with it... */
	bool catalog; /* ...and must be asked once more */
};

struct mr_ticker {
	int refs; /* owner and deferred calls */
	bool deleted;
	struct mr_loop *loop;
	struct mr_ticker_config config;
	char *conninfo;
	struct mr_list conns[CONN_STATES];
	int count[CONN_STATES], total;
	struct conn *current; /* TICKING or DELIVERED; NULL while delivered: it died */
	struct tick tick;
	bool wanted, outside;
	bool has_position;
	int too_slow; /* ticks in a row that Postgres could not answer within the time limit */
	struct mr_position position;
	struct mr_catalog_watch catalog;
	struct mr_timer *retry, *watchdog, *enough; /* of what is DONE */
	int64_t backoff_us;
	struct mr_list held; /* all mr_held */
	struct mr_reader *tails, *payloads;
};

static void pump(struct mr_ticker *t);

/* ---- connections ---- */

static void move(struct conn *c, enum conn_state state)
{
	struct mr_ticker *t = c->ticker;
	t->count[c->state]--;
	mr_list_del(&c->link);
	c->state = state;
	t->count[state]++;
	mr_list_add_tail(&t->conns[state], &c->link);
}

static void close_conn(struct conn *c)
{
	struct mr_ticker *t = c->ticker;
	t->count[c->state]--;
	t->total--;
	mr_list_del(&c->link);
	if (t->current == c)
		t->current = NULL;
	if (c->held)
		c->held->conn = NULL;
	mr_pg_delete(&c->pg);
	free(c);
}

static void unref(struct mr_ticker *t)
{
	if (--t->refs == 0)
		free(t);
}

static void pump_deferred(void *arg)
{
	struct mr_ticker *t = arg;
	if (!t->deleted)
		pump(t);
	unref(t);
}

/* Not at once: the callers are in the middle of something, and a tick that is sent asks the fanout for its tokens. */
static void pump_later(struct mr_ticker *t)
{
	t->refs++;
	mr_defer(t->loop, pump_deferred, t);
}

/* What was asked for does not come; the fanout asks again. */
static void tell_failure(struct mr_ticker *t, const struct mr_error *err)
{
	t->wanted = false;
	t->outside = false;
	mr_timer_stop(t->watchdog);
	t->config.on_failure(err, t->config.arg);
}

static void back_off(struct mr_ticker *t)
{
	if (mr_timer_running(t->retry))
		return;
	uint32_t random;
	mr_random(&random, sizeof(random));
	t->backoff_us = t->backoff_us ? MR_MIN(t->backoff_us * 2, BACKOFF_MOST_US) : BACKOFF_FIRST_US;
	mr_timer_start(t->retry, t->backoff_us / 2 + random % t->backoff_us);
}

static void abandon_tick(struct mr_ticker *t, const struct mr_error *err);

static void on_setup(const struct mr_pg_result *r, void *arg)
{
	struct conn *c = arg;
	struct mr_ticker *t = c->ticker;
	if (!mr_pg_ok(r)) {
		struct mr_error err;
		mr_pg_error(r, &err);
		if (mr_pg_state(c->pg) != MR_PG_DEAD) {
			mr_log(MR_WARN, "ticker: %s", err.message);
			close_conn(c);
			back_off(t);
		}
		return;
	}
	c->control = mr_log_setup_done(r);
	mr_pg_back();
	t->backoff_us = 0;
	move(c, CONN_IDLE);
	pump(t);
}

static void on_state(struct mr_pg *pg, enum mr_pg_state state, const struct mr_error *err, void *arg)
{
	struct conn *c = arg;
	struct mr_ticker *t = c->ticker;
	if (state == MR_PG_READY) {
		move(c, CONN_SETUP);
		mr_log_setup(pg, MR_TICK_TIMEOUT_MS, on_setup, c);
		return;
	}
	bool was_opening = c->state == CONN_OPENING || c->state == CONN_SETUP;
	bool was_ticking = c->state == CONN_TICKING;
	close_conn(c);
	if (was_opening) {
		mr_pg_away("ticker", err);
		back_off(t);
		if (t->wanted && t->total == t->count[CONN_HELD])
			tell_failure(t, err);
	} else if (was_ticking) {
		abandon_tick(t, err);
	}
	pump_later(t);
}

static void open_conn(struct mr_ticker *t)
{
	struct conn *c = mr_alloc(sizeof(*c));
	c->ticker = t;
	c->state = CONN_OPENING;
	c->fresh = true;
	mr_list_add_tail(&t->conns[CONN_OPENING], &c->link);
	t->count[CONN_OPENING]++;
	t->total++;
	c->pg = mr_pg_open(t->loop, t->conninfo, "ticker", on_state, c);
}

/* Three that rotate and one for each that is held; one at a time while Postgres cannot be reached. */
static void open_missing(struct mr_ticker *t)
{
	int target = ROTATING + t->count[CONN_HELD];
	while (t->total < target && !mr_timer_running(t->retry) && !(t->backoff_us && t->count[CONN_OPENING]))
		open_conn(t);
}

static void on_retry(void *arg)
{
	pump(arg);
}

/* ---- the end of a transaction ---- */

static void on_ended(const struct mr_pg_result *r, void *arg)
{
	struct conn *c = arg;
	struct mr_ticker *t = c->ticker;
	if (mr_pg_ok(r)) {
		move(c, CONN_IDLE);
		pump(t);
	} else if (mr_pg_state(c->pg) != MR_PG_DEAD) {
		close_conn(c);
		pump_later(t);
	}
}

static void end_transaction(struct conn *c, const char *how)
{
	move(c, CONN_ENDING);
	mr_pg_query(c->pg, 0, how, 0, NULL, on_ended, c);
	mr_pg_sync(c->pg);
}

static void linger(struct conn *c)
{
	struct mr_ticker *t = c->ticker;
	c->done_us = mr_mono_us();
	move(c, CONN_DONE);
	if (!mr_timer_running(t->enough))
		mr_timer_start(t->enough, DONE_US);
}

static void on_enough(void *arg)
{
	struct mr_ticker *t = arg;
	MR_LIST_FOR (e, &t->conns[CONN_DONE]) {
		struct conn *c = MR_CONTAINER(e, struct conn, link);
		int64_t left = c->done_us + DONE_US - mr_mono_us();
		if (left > 0)
			mr_timer_start(t->enough, left);
		else if (mr_pg_state(c->pg) == MR_PG_READY)
			end_transaction(c, "commit");
	}
}

/* ---- ticks ---- */

static void reset_tick(struct tick *tick)
{
	mr_log_head_fini(&tick->head);
	mr_log_rows_reset(&tick->rows);
	mr_log_totals_fini(&tick->totals);
	tick->tick = (struct mr_tick){0};
	tick->delivered = tick->restart = tick->failed = tick->outside = tick->catalog = false;
	tick->many = tick->counted = tick->all = tick->some = false;
	tick->answers = 0;
}

/* The connection of the tick is gone or was given up by the caller. */
static void abandon_tick(struct mr_ticker *t, const struct mr_error *err)
{
	struct mr_error copy = *err;
	reset_tick(&t->tick);
	tell_failure(t, &copy);
}

/* Connections that lead to another database than the new position's are not asked again. */
static void close_others(struct mr_ticker *t, const struct conn *keep)
{
	for (int state = CONN_OPENING; state < CONN_HELD; state++)
		MR_LIST_FOR (e, &t->conns[state]) {
			struct conn *c = MR_CONTAINER(e, struct conn, link);
			if (c != keep)
				close_conn(c);
		}
	MR_LIST_FOR (e, &t->conns[CONN_ENDING])
		close_conn(MR_CONTAINER(e, struct conn, link));
}

static void restart_position(struct mr_ticker *t, struct tick *tick)
{
	bool moved = t->has_position && (t->position.system != tick->head.system || t->position.timeline != tick->head.timeline);
	mr_log_restart(&t->position, &tick->head);
	t->has_position = true;
	tick->tick.reset = true;
	mr_log_rows_reset(&tick->rows);
	if (moved)
		close_others(t, t->current);
}

static void deliver(struct mr_ticker *t)
{
	struct tick *tick = &t->tick;
	if (tick->restart)
		restart_position(t, tick);
	else
		mr_log_advance(&t->position, &tick->head, &tick->rows);
	t->too_slow = 0;
	t->current->fresh = false;
	move(t->current, CONN_DELIVERED);
	mr_timer_stop(t->watchdog);
	tick->delivered = true;
	tick->tick.position = &t->position;
	tick->tick.rows = tick->rows.rows;
	tick->tick.n = tick->rows.n;
	tick->tick.hour = tick->head.hour;
	tick->tick.standby = tick->head.standby;
	if (tick->outside)
		tick->tick.fingerprints = mr_buf_view(&t->catalog.text);
	MR_FAULT_PG(FANOUT_TICK_TAKEN, t->current->pg);
	t->config.on_tick(&tick->tick, t->config.arg);
}

static void fail_tick(struct mr_ticker *t)
{
	struct conn *c = t->current;
	struct mr_error err = t->tick.err;
	t->current = NULL;
	if (mr_pg_state(c->pg) == MR_PG_READY) {
		c->fresh = true;
		end_transaction(c, "rollback");
	} else {
		move(c, CONN_ENDING); /* its death is told in a moment */
	}
	if (err.code == MR_TIME_LIMIT && ++t->too_slow > 1)
		t->has_position = false; /* more than one statement can catch up with */
	abandon_tick(t, &err);
}

static void on_head(const struct mr_pg_result *r, void *arg);
static void on_rows(const struct mr_pg_result *r, void *arg);
static void on_totals(const struct mr_pg_result *r, void *arg);
static void on_few(const struct mr_pg_result *r, void *arg);
static void on_catalog(const struct mr_pg_result *r, void *arg);

static struct mr_log_most most_of(const struct mr_ticker *t)
{
	struct mr_log_most most = {t->tick.counted ? MR_TICK_ROWS : MR_TICK_FEW, MR_TICK_BYTES, MR_TICK_BYTES};
	if (mr_fault_large())
		most.outside = 0;
	else if (t->config.worth)
		most.outside = MR_MIN(t->config.worth(t->config.arg), most.outside);
	return most;
}

static void ask_rows(struct mr_ticker *t, struct conn *c)
{
	struct tick *tick = &t->tick;
	struct mr_log_most most = most_of(t);
	mr_log_rows_reset(&tick->rows);
	tick->answers++;
	if (tick->some)
		mr_log_ask_some(c->pg, &tick->totals, mr_buf_view(&tick->tokens), &most, on_rows, c);
	else
		mr_log_ask_rows(c->pg, &t->position, mr_buf_view(&tick->tokens), &most, on_rows, c);
	tick->all = tick->some = false;
}

static void ask_totals(struct mr_ticker *t, struct conn *c)
{
	t->tick.many = false;
	t->tick.answers++;
	mr_log_ask_totals(c->pg, &t->position, MR_TICK_ROWS, on_totals, c);
}

static void ask_few(struct mr_ticker *t, struct conn *c)
{
	t->tick.answers++;
	mr_log_ask_few(c->pg, &t->position, mr_buf_view(&t->tick.tokens), on_few, c);
}

static void ask_catalog(struct mr_ticker *t, struct conn *c)
{
	t->tick.answers++;
	mr_catalog_ask(&t->catalog, c->pg, on_catalog, c);
}

/* All answers are there. A position that cannot be continued from is made anew from a careful head, in the same transaction. */
static void finish_tick(struct mr_ticker *t)
{
	struct tick *tick = &t->tick;
	struct conn *c = t->current;
	if (tick->failed) {
		fail_tick(t);
		return;
	}
	if (!t->has_position || !mr_log_continues(&tick->head, &t->position) ||
		MR_MAX((int64_t)tick->rows.n, tick->totals.rows) > MR_TICK_ROWS)
		tick->restart = true;
	if (tick->restart && !tick->head.careful) {
		tick->answers = 1;
		mr_log_ask_head(c->pg, true, c->control, NULL, on_head, c);
		mr_pg_sync(c->pg);
		return;
	}
	if (!tick->restart && tick->many)
		ask_totals(t, c);
	if (!tick->restart && (tick->all || tick->some))
		ask_rows(t, c);
	if (tick->catalog)
		ask_catalog(t, c);
	if (tick->answers) {
		mr_pg_sync(c->pg);
		return;
	}
	deliver(t);
}

/* Counts an answer, keeps the first failure; true: this one may be read. */
static bool answered(struct conn *c, const struct mr_pg_result *r)
{
	struct tick *tick = &c->ticker->tick;
	MR_ASSERT(c->ticker->current == c && tick->answers > 0);
	tick->answers--;
	if (!mr_pg_ok(r) && !tick->failed) {
		tick->failed = true;
		mr_pg_error(r, &tick->err);
	}
	return !tick->failed;
}

static void finish_if_last(struct mr_ticker *t)
{
	if (t->tick.answers == 0)
		finish_tick(t);
}

static void on_begun(const struct mr_pg_result *r, void *arg)
{
	struct conn *c = arg;
	answered(c, r);
	finish_if_last(c->ticker);
}

static void on_head(const struct mr_pg_result *r, void *arg)
{
	struct conn *c = arg;
	struct tick *tick = &c->ticker->tick;
	if (answered(c, r))
		tick->failed = !mr_log_read_head(r, &tick->head, &tick->err);
	finish_if_last(c->ticker);
}

static bool is_many(const struct tick *tick)
{
	return tick->rows.n > (mr_fault_large() ? 0 : MR_TICK_FEW);
}

static void on_rows(const struct mr_pg_result *r, void *arg)
{
	struct conn *c = arg;
	struct tick *tick = &c->ticker->tick;
	if (answered(c, r)) {
		mr_log_read_rows(r, &tick->rows);
		tick->many = !tick->counted && is_many(tick);
	}
	finish_if_last(c->ticker);
}

static void on_totals(const struct mr_pg_result *r, void *arg)
{
	struct conn *c = arg;
	struct tick *tick = &c->ticker->tick;
	if (answered(c, r)) {
		tick->counted = true;
		tick->some = mr_log_read_totals(r, most_of(c->ticker).outside, &tick->totals);
		tick->all = !tick->some;
	}
	finish_if_last(c->ticker);
}

static void on_few(const struct mr_pg_result *r, void *arg)
{
	struct conn *c = arg;
	struct tick *tick = &c->ticker->tick;
	if (answered(c, r))
		tick->many = !mr_log_read_few(r, &tick->rows) || is_many(tick);
	finish_if_last(c->ticker);
}

static void on_catalog(const struct mr_pg_result *r, void *arg)
{
	struct conn *c = arg;
	if (answered(c, r))
		c->ticker->tick.catalog = !mr_catalog_answer(&c->ticker->catalog, r);
	finish_if_last(c->ticker);
}

static void send_tick(struct mr_ticker *t, struct conn *c)
{
	struct tick *tick = &t->tick;
	reset_tick(tick);
	tick->outside = t->outside && t->catalog.tables.n;
	bool open = c->state == CONN_DONE;
	t->wanted = t->outside = false;
	t->current = c;
	move(c, CONN_TICKING);
	tick->answers = 3 + open;
	mr_timer_start(t->watchdog, WATCHDOG_US);
	if (open)
		mr_pg_query(c->pg, 0, "commit", 0, NULL, on_begun, c);
	mr_log_begin(c->pg, on_begun, c);
	mr_log_ask_head(c->pg, c->fresh || !t->has_position, c->control, t->has_position ? &t->position : NULL, on_head, c);
	if (t->has_position) {
		mr_buf_reset(&tick->tokens);
		t->config.have(&tick->tokens, t->config.arg);
		if (c->fresh || !mr_log_few(&t->position))
			ask_rows(t, c);
		else
			ask_few(t, c);
	}
	if (tick->outside) {
		mr_catalog_begin(&t->catalog, t->has_position && !c->fresh);
		ask_catalog(t, c);
	}
	mr_pg_sync(c->pg);
	MR_FAULT_PG(FANOUT_TICK_SENT, c->pg);
}

static bool under_way(const struct mr_ticker *t)
{
	return t->current || t->tick.delivered;
}

/* Sends what is wanted when it can be sent, and keeps enough connections open. */
static void pump(struct mr_ticker *t)
{
	open_missing(t);
	struct mr_list *free_ones = &t->conns[mr_list_empty(&t->conns[CONN_DONE]) ? CONN_IDLE : CONN_DONE];
	if (!t->wanted || under_way(t) || t->count[CONN_HELD] >= MR_HELD_MAX || mr_list_empty(free_ones))
		return;
	struct conn *c = MR_CONTAINER(free_ones->next, struct conn, link);
	if (mr_pg_state(c->pg) == MR_PG_READY)
		send_tick(t, c);
}

/* Postgres has not answered, or no connection became free: those that hang are closed. */
static void on_watchdog(void *arg)
{
	struct mr_ticker *t = arg;
	struct mr_error err;
	mr_fail(&err, MR_POSTGRES_UNAVAILABLE, "Postgres did not answer a tick in time");
	if (t->current && t->current->state == CONN_TICKING) {
		close_conn(t->current);
		abandon_tick(t, &err);
	} else if (t->wanted && t->count[CONN_HELD] < MR_HELD_MAX && !t->tick.delivered) {
		MR_LIST_FOR (e, &t->conns[CONN_ENDING])
			close_conn(MR_CONTAINER(e, struct conn, link));
		MR_LIST_FOR (e, &t->conns[CONN_SETUP])
			close_conn(MR_CONTAINER(e, struct conn, link));
		tell_failure(t, &err);
	} else if (t->wanted) {
		mr_timer_start(t->watchdog, WATCHDOG_US);
	}
	pump_later(t);
}

bool mr_ticker_run(struct mr_ticker *t, bool outside)
{
	if (t->current && t->current->state == CONN_TICKING)
		return false;
	t->outside |= outside;
	t->wanted = true;
	if (!mr_timer_running(t->watchdog))
		mr_timer_start(t->watchdog, WATCHDOG_US);
	pump(t);
	return true;
}

bool mr_ticker_busy(const struct mr_ticker *t)
{
	return t->wanted || under_way(t);
}

void mr_ticker_tables(struct mr_ticker *t, struct mr_str json)
{
	mr_catalog_watch(&t->catalog, json);
}

/* ---- held snapshots ---- */

static struct mr_held *hold(struct mr_ticker *t, struct conn *c)
{
	struct mr_held *held = mr_alloc(sizeof(*held));
	held->ticker = t;
	held->conn = c;
	mr_list_add_tail(&t->held, &held->link);
	if (c) {
		c->held = held;
		move(c, CONN_HELD);
	}
	return held;
}

void mr_tick_done(struct mr_tick *tick, struct mr_held **held)
{
	struct mr_ticker *t = MR_CONTAINER(MR_CONTAINER(tick, struct tick, tick), struct mr_ticker, tick);
	MR_ASSERT(t->tick.delivered);
	struct conn *c = t->current;
	t->current = NULL;
	reset_tick(&t->tick);
	if (held)
		*held = hold(t, c);
	else if (c && mr_pg_state(c->pg) == MR_PG_READY)
		linger(c);
	else if (c)
		move(c, CONN_ENDING);
	pump_later(t);
}

static void tell_export(struct mr_held *held, const char *name)
{
	void (*cb)(struct mr_held *, const char *, void *) = held->cb;
	held->cb = NULL;
	if (cb)
		cb(held, name, held->arg);
}

static void on_export(const struct mr_pg_result *r, void *arg)
{
	const struct conn *c = arg;
	if (c->held)
		tell_export(c->held, mr_pg_ok(r) && mr_pg_rows(r) == 1 ? mr_pg_value(r, 0, 0).p : NULL);
}

/* Tells those whose connection had died before they asked. A callback may drop any of them, so the search begins anew each time. */
static void tell_dead_exports(void *arg)
{
	struct mr_ticker *t = arg;
	for (bool found = true; found && !t->deleted;) {
		found = false;
		MR_LIST_FOR (e, &t->held) {
			struct mr_held *held = MR_CONTAINER(e, struct mr_held, link);
			if (held->conn || !held->cb)
				continue;
			found = true;
			tell_export(held, NULL);
			break;
		}
	}
	unref(t);
}

void mr_held_export(struct mr_held *held, void (*cb)(struct mr_held *held, const char *name, void *arg), void *arg)
{
	MR_ASSERT(held->ticker && !held->cb);
	held->cb = cb;
	held->arg = arg;
	if (held->conn) {
		mr_pg_query(held->conn->pg, 0, "select pg_export_snapshot()", 0, NULL, on_export, held->conn);
		mr_pg_sync(held->conn->pg);
	} else {
		held->ticker->refs++;
		mr_defer(held->ticker->loop, tell_dead_exports, held->ticker);
	}
}

void mr_held_drop(struct mr_held **heldp)
{
	struct mr_held *held = *heldp;
	*heldp = NULL;
	if (!held)
		return;
	mr_list_del(&held->link);
	struct conn *c = held->conn;
	if (c) {
		c->held = NULL;
		if (mr_pg_state(c->pg) == MR_PG_READY)
			end_transaction(c, "commit");
		else
			move(c, CONN_ENDING);
		pump_later(held->ticker);
	}
	free(held);
}

int mr_ticker_held(const struct mr_ticker *t)
{
	return t->count[CONN_HELD];
}

/* ---- life ---- */

struct mr_ticker *mr_ticker_new(struct mr_loop *loop, const struct mr_ticker_config *config)
{
	struct mr_ticker *t = mr_alloc(sizeof(*t));
	t->refs = 1;
	t->loop = loop;
	t->config = *config;
	t->conninfo = mr_strdup(config->conninfo);
	t->config.conninfo = t->conninfo;
	for (int i = 0; i < CONN_STATES; i++)
		mr_list_init(&t->conns[i]);
	mr_list_init(&t->held);
	t->retry = mr_timer_new(loop, on_retry, t);
	t->watchdog = mr_timer_new(loop, on_watchdog, t);
	t->enough = mr_timer_new(loop, on_enough, t);
	t->tails = mr_reader_new(loop, t->conninfo, "tail");
	t->payloads = mr_reader_new(loop, t->conninfo, "payloads");
	open_missing(t);
	return t;
}

void mr_ticker_delete(struct mr_ticker **tp)
{
	struct mr_ticker *t = *tp;
	*tp = NULL;
	if (!t)
		return;
	t->deleted = true;
	mr_reader_delete(&t->tails);
	mr_reader_delete(&t->payloads);
	for (int i = 0; i < CONN_STATES; i++)
		while (!mr_list_empty(&t->conns[i]))
			close_conn(MR_CONTAINER(t->conns[i].next, struct conn, link));
	while (!mr_list_empty(&t->held)) {
		struct mr_held *held = MR_CONTAINER(t->held.next, struct mr_held, link);
		mr_list_del(&held->link);
		held->ticker = NULL;
	}
	mr_timer_delete(&t->retry);
	mr_timer_delete(&t->watchdog);
	mr_timer_delete(&t->enough);
	mr_log_head_fini(&t->tick.head);
	mr_log_rows_fini(&t->tick.rows);
	mr_position_fini(&t->position);
	mr_buf_fini(&t->tick.tokens);
	mr_catalog_watch_fini(&t->catalog);
	free(t->conninfo);
	unref(t);
}

/* ---- tails and payloads ---- */

void mr_ticker_tail(struct mr_ticker *t, const struct mr_position *from, size_t max_bytes, mr_tail_cb *cb, void *arg)
{
	mr_reader_tail(t->tails, from, max_bytes, cb, arg);
}

void mr_ticker_payloads(struct mr_ticker *t, const int64_t *seqs, size_t n, mr_tail_cb *cb, void *arg)
{
	mr_reader_payloads(t->payloads, seqs, n, cb, arg);
}
