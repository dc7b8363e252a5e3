/* A job's life. Steps only move forward here; every job is answered once, and leaves once, when its transaction is gone. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "job_inner.h"
#include "proto/ground/fault.h"
#include "proto/ground/log.h"

enum { SETTLE_US = 3000 * 1000 }; /* for the record of a call that is refused since its time is over */

/* ---- attempts ---- */

bool mr_job_writes(const struct mr_job *job)
{
	return job->kind == MR_JOB_MUTATION || job->claiming ||
	       (job->kind == MR_JOB_ENTITY && !mr_str_is(job->act, "list") && !mr_str_is(job->act, "get"));
}

static enum mr_txn_kind txn_kind(const struct mr_job *job)
{
	if (!mr_job_writes(job))
		return MR_TXN_READ;
	/* The settling of an unknown end only inserts its record. */
	if (job->tombstone)
		return MR_TXN_READ_COMMITTED;
	if (job->kind == MR_JOB_ENTITY)
		return mr_entity_txn(job);
	if (mr_str_is(job->fn->isolation, "read committed"))
		return MR_TXN_READ_COMMITTED;
	if (mr_str_is(job->fn->isolation, "repeatable read"))
		return MR_TXN_REPEATABLE_READ;
	return MR_TXN_SERIALIZABLE;
}

static void limit(struct mr_txn *txn, const struct mr_settings *s)
{
	const struct mr_txn_limits limits = {{s->read_max_rows, s->read_max_bytes, s->write_max_rows, s->write_max_bytes}};
	mr_txn_limit(txn, &limits);
}

void mr_job_limit_rows(struct mr_job *job)
{
	const struct mr_txn_limits limits = {.most[MR_QUERY_BYTES] = job->w->settings.instance_max_bytes};
	mr_txn_limit(job->txn, &limits);
}

static void begin(struct mr_job *job)
{
	struct mr_worker *w = job->w;
	mr_job_move(job, MR_JOB_RUNNING);
	job->tries++;
	job->attempt_us = mr_mono_us();
	uint64_t number = ++w->attempts;
	memcpy(job->token, w->origin, 8);
	memcpy(job->token + 8, &number, 8);
	MR_FAULT(WORKER_BEGAN);
	if (job->kind == MR_JOB_RUN || job->kind == MR_JOB_READ)
		MR_FAULT_PG(WORKER_RUN_BEGAN, job->pg);
	job->txn = mr_txn_begin(job->pg, w->app, txn_kind(job), job->snapshot);
	if (job->fn)
		limit(job->txn, &w->settings);
	if (job->tombstone)
		mr_job_commit(job, mr_buf_view(&job->verdict));
	else if (job->kind == MR_JOB_ENTITY)
		mr_entity_start(job);
	else if (job->kind == MR_JOB_READ)
		mr_read_start(job);
	else
		mr_run_start(job);
}

void mr_job_attempt(struct mr_job *job)
{
	mr_hot_take(job);
	begin(job);
}

/* Another attempt after a moment; by then others have moved on. */
static void pause_for(struct mr_job *job, int64_t most_us)
{
	uint32_t random;
	mr_random(&random, sizeof random);
	int64_t us = most_us > 0 ? random % most_us : 0, left_us = mr_job_time_left(job);
	mr_job_move(job, MR_JOB_PAUSING);
	mr_timer_start(job->timer, us < left_us ? us : left_us > 0 ? left_us : 0);
}

static void try_again(struct mr_job *job)
{
	mr_run_free(job);
	mr_arena_reset(&job->attempt);
	job->again = false;
	if (job->unknown && job->pg)
		MR_FAULT_PG(WORKER_SETTLING, job->pg);
	if (job->pg && mr_pg_state(job->pg) != MR_PG_READY) {
		mr_pool_return(job->w->pool, job->pg);
		job->pg = NULL;
		mr_hot_lost(job);
	}
	if (job->why.code != MR_CONFLICT)
		pause_for(job, 200 * 1000);
	else if (job->tombstone || mr_hot_waits(job) || job->conflicts == 1)
		pause_for(job, 0);
	else
		pause_for(job, (int64_t)1000 << MR_MIN(job->conflicts, 5));
}

static void cancel_statements(struct mr_job *job)
{
	if (job->pg)
		mr_pg_cancel(job->pg);
}

static void on_gone(void *arg)
{
	struct mr_job *job = arg;
	job->txn = NULL;
	if (job->again && !job->answered)
		try_again(job);
	else
		mr_job_leave(job);
}

static void roll_back(struct mr_job *job)
{
	mr_run_stop(job);
	if (!job->txn) {
		on_gone(job);
		return;
	}
	mr_job_move(job, MR_JOB_ENDING);
	mr_txn_rollback(&job->txn, on_gone, job);
}

void mr_job_over(struct mr_job *job)
{
	MR_ASSERT(job->answered);
	roll_back(job);
}

static void bury(struct mr_job *job, struct mr_str error)
{
	mr_job_set_verdict(job, error);
	job->again = true;
	mr_fail(&job->why, MR_CONFLICT, "settling");
	roll_back(job);
}

/* Errors that the same call may not meet again are not written down. */
static bool is_final(enum mr_code code)
{
	return !strcmp(mr_code_retry(code), "never") && code != MR_CALL_MISMATCH && code != MR_CALL_EXPIRED && code != MR_BAD_CALL_ID;
}

void mr_job_refused(struct mr_job *job, enum mr_code code, struct mr_str error, struct mr_str more)
{
	if (job->answered) {
		roll_back(job);
		return;
	}
	if (mr_job_writes(job) && (job->recorded || job->unknown) && !job->tombstone) {
		if (is_final(code)) {
			bury(job, error);
			return;
		}
		if (mr_job_is_open(job)) {
			mr_job_answer_open(job, error);
			roll_back(job);
			return;
		}
	}
	mr_answer_error_text(job, error, more);
	roll_back(job);
}

/* Whether another attempt may end better. A snapshot that was imported is gone by then. */
static bool may_retry(struct mr_job *job, const struct mr_error *err)
{
	if (job->cancelled || job->snapshot || mr_job_time_left(job) <= 0)
		return false;
	if (err->code == MR_CONFLICT)
		return job->lost_turns <= job->w->settings.mutation_retries;
	return err->code == MR_POSTGRES_UNAVAILABLE && mr_job_patience_left(job) > 0;
}

void mr_job_failed(struct mr_job *job, const struct mr_error *err)
{
	job->why = *err;
	if (err->code == MR_CONFLICT)
		mr_hot_conflict(job);
	if (!job->answered && may_retry(job, err)) {
		job->again = true;
		roll_back(job);
		return;
	}
	if (job->tombstone && is_final(err->code) && !job->answered && !job->cancelled && mr_job_time_left(job) > 0) {
		job->again = true; /* a cancel or timeout that was meant for another statement */
		roll_back(job);
		return;
	}
	if ((job->tombstone && is_final(err->code)) ||
		(job->unknown && (job->tombstone || err->code == MR_POSTGRES_UNAVAILABLE || err->code == MR_CONFLICT))) {
		if (!job->answered)
			mr_job_answer_unknown(job);
		roll_back(job);
		return;
	}
	struct mr_buf b = {0};
	mr_error_log(job, err);
	mr_error_print(&b, job, err);
	mr_job_refused(job, err->code, mr_buf_view(&b), MR_STR(""));
	mr_buf_fini(&b);
}

/* ---- the end of a write ---- */

/* What is committed will be answered in this turn, and the fanout has it as soon as it would hear a bell. */
static bool answers_at_once(const struct mr_job *job)
{
	enum { FEW = 4 << 10 /* bytes: a larger result takes longer to be printed than a bell to be rung */ };
	const struct mr_link *link = job->w->link;
	return !job->unknown && !job->answered && !job->inner && !job->claiming && job->run.text.n <= FEW && link && !mr_link_pending(link);
}

/* The fanout looks at the ring now. Where the answer can stand for the bell, it is woken once instead of twice. An eventfd refuses only
 * when its counter is full: then it is ringing anyway. */
static void ring(struct mr_job *job)
{
	uint64_t one = 1;
	job->rings = answers_at_once(job);
	if (job->rings)
		return;
	ssize_t n = write(job->w->bell, &one, sizeof one);
	MR_ASSERT(n == sizeof one || errno == EAGAIN);
}

/* ---- actions ---- */

/* An earlier attempt wrote it, whose COMMIT nobody answered. */
static bool is_own_claim(const struct mr_job *job, const struct mr_outcome *o)
{
	return o->end == MR_DUPLICATE && memmem(o->result.p, o->result.n, job->claim, strlen(job->claim));
}

static void on_claimed(struct mr_job *job)
{
	struct mr_worker *w = job->w;
	mr_job_give_connection_back(job);
	if (!job->answered && w->retiring)
		mr_job_answer_interrupted(job);
	if (job->answered) {
		mr_job_leave(job);
		return;
	}
	job->claiming = job->tombstone = job->recorded = job->unknown = false;
	job->deadline_us = mr_mono_us() + w->settings.action_time_limit * 1000;
	mr_job_move(job, MR_JOB_WAITING);
	mr_job_set_timer(job);
	mr_jobs_admit_soon(w);
}

static void on_commit(const struct mr_outcome *o, void *arg)
{
	struct mr_job *job = arg;
	job->txn = NULL;
	if (o->end == MR_UNKNOWN)
		job->unknown = true;
	if (o->end == MR_DONE || o->end == MR_UNKNOWN)
		ring(job);
	MR_FAULT(WORKER_RUNG);
	if (o->end == MR_REFUSED || o->end == MR_UNKNOWN) {
		struct mr_error err = o->err;
		job->yielded |= o->turn;
		if (o->end == MR_UNKNOWN)
			err.code = MR_POSTGRES_UNAVAILABLE;
		mr_job_failed(job, &err);
		return;
	}
	job->xid = o->xid;
	job->seq = o->seq;
	if (job->claiming && (o->end == MR_DONE || is_own_claim(job, o))) {
		mr_hot_give(job, on_claimed);
		return;
	}
	if (!job->answered && o->end == MR_DUPLICATE)
		mr_job_answer_recorded(job, o);
	else if (!job->answered)
		mr_job_answer_done(job, o);
	if (job->schedules)
		mr_scheduler_soon(job->w);
	MR_FAULT(WORKER_REPLIED);
	mr_job_leave(job);
}

void mr_job_commit(struct mr_job *job, struct mr_str result)
{
	if (!job->tombstone && result.p != job->run.text.p) {
		mr_buf_reset(&job->run.text);
		mr_buf_str(&job->run.text, result);
		result = mr_buf_view(&job->run.text);
	}
	mr_job_move(job, MR_JOB_ENDING);
	mr_timer_start(job->timer, MR_MIN(MR_MAX(mr_job_time_left(job), 0), job->w->settings.call_time_limit * 500));
	mr_hot_ask(job);
	mr_txn_commit(&job->txn, &job->record, job->token, result, job->w->ring, on_commit, job);
	if (job->turn != MR_TURN_ALL) /* which is kept for another attempt */
		mr_hot_give(job, NULL);
}

/* ---- time ---- */

/* It is over here, but not refused before its record says so; that gets a little time of its own. */
static void bury_late(struct mr_job *job)
{
	struct mr_error err;
	struct mr_buf text = {0};
	mr_job_late(job, &err);
	mr_error_print(&text, job, &err);
	job->deadline_us = mr_mono_us() + SETTLE_US;
	mr_timer_start(job->timer, SETTLE_US);
	mr_pg_cancel(job->pg);
	bury(job, mr_buf_view(&text));
	mr_buf_fini(&text);
}

static bool must_settle(const struct mr_job *job)
{
	return mr_job_writes(job) && job->recorded && !job->tombstone;
}

static void expire(struct mr_job *job)
{
	switch (job->step) {
	case MR_JOB_WAITING:
		if (job->scheduled) {
			job->deadline_us = mr_mono_us() + job->w->settings.call_time_limit * 1000;
			mr_job_set_timer(job);
			return;
		}
		if (must_settle(job) || job->claiming)
			mr_job_answer_crowded(job);
		else
			mr_job_answer_late(job);
		mr_job_free(job);
		return;
	case MR_JOB_LEASING:
		return; /* the pool's own patience ends now */
	case MR_JOB_RUNNING:
		if (must_settle(job)) {
			bury_late(job);
			return;
		}
		mr_job_answer_late(job);
		cancel_statements(job);
		roll_back(job);
		return;
	case MR_JOB_ENDING:
		if (job->answered)
			return;
		if (!job->again || job->recorded)
			job->unknown = true; /* COMMIT is under way, or the record was not asked */
		mr_job_answer_late(job);
		return;
	case MR_JOB_PAUSING:
		if (job->unknown)
			mr_job_answer_unknown(job);
		else if (job->tombstone)
			mr_job_answer_late(job);
		else
			mr_job_answer_passing(job, &job->why);
		mr_job_leave(job);
		return;
	case MR_JOB_LEAVING:
		return;
	}
}

/* The next look at a job: its deadline; reads are looked at earlier, since all connections may be taken by writes that wait for Postgres.
 */
void mr_job_set_timer(struct mr_job *job)
{
	int64_t left = mr_job_time_left(job);
	mr_timer_start(job->timer,
		mr_job_is_plain_read(job) && job->step == MR_JOB_WAITING ? MR_MIN(left, job->w->settings.read_wait * 1000) : left);
}

static bool gives_up(struct mr_job *job)
{
	struct mr_error why;
	if (job->step != MR_JOB_WAITING || !mr_job_is_plain_read(job) || !mr_pool_away(job->w->pool, &why))
		return false;
	mr_answer_error(job, &why);
	mr_job_free(job);
	return true;
}

static void on_timer(void *arg)
{
	struct mr_job *job = arg;
	if (mr_job_time_left(job) <= 0) {
		expire(job);
		return;
	}
	if (gives_up(job))
		return;
	/* A COMMIT without an answer for half of the time: the line may be dead. Another connection can ask; it waits for a COMMIT that
	 * is merely slow. */
	if (job->step == MR_JOB_ENDING && !job->again && !job->answered)
		mr_pg_abandon(job->pg);
	mr_job_set_timer(job);
	if (job->step != MR_JOB_PAUSING)
		return;
	if (job->pg)
		mr_job_attempt(job);
	else
		mr_job_lease(job);
}

/* ---- the beginning ---- */

static struct mr_job *job_new(struct mr_worker *w, struct mr_arena *arena, const struct mr_node *message)
{
	struct mr_job *job = mr_alloc(sizeof *job);
	job->w = w;
	mr_list_init(&job->run.ops);
	mr_list_init(&job->fetches);
	job->timer = mr_timer_new(w->loop, on_timer, job);
	job->arena = *arena;
	*arena = (struct mr_arena){0};
	job->message = message;
	job->began_us = mr_mono_us();
	return job;
}

bool mr_job_is_refused_now(const struct mr_job *job, struct mr_error *err)
{
	/* Jobs that wait in a worker that ends are given to others, but for these. */
	return job->kind == MR_JOB_ACTION && job->w->retiring &&
	       !mr_fail(err, MR_NO_WORKERS, "The worker that was given the action is being replaced; it was not begun.");
}

static void start(struct mr_job *job)
{
	struct mr_error err;
	int64_t limit_us = job->deadline_us;
	job->deadline_us = job->began_us + job->w->settings.call_time_limit * 1000;
	if (!mr_job_read(job, &err) || mr_job_is_refused_now(job, &err)) {
		mr_answer_error(job, &err);
		mr_job_free(job);
		return;
	}
	if (mr_job_is_action(job))
		job->deadline_us = job->began_us + job->w->settings.action_time_limit * 1000;
	if (limit_us)
		job->deadline_us = MR_MIN(job->deadline_us, limit_us);
	mr_job_move(job, MR_JOB_WAITING);
	mr_job_set_timer(job);
	mr_jobs_admit_soon(job->w);
}

void mr_job_start_inner(struct mr_op *asker, struct mr_arena *arena, const struct mr_node *message)
{
	struct mr_job *parent = asker->job, *job = job_new(parent->w, arena, message);
	job->inner = true;
	job->asker = asker;
	asker->inner = job;
	job->depth = parent->depth + 1;
	job->root = parent->root;
	job->n = (uint64_t)1 << 63 | ++job->w->inner;
	job->deadline_us = parent->deadline_us;
	start(job);
}

void mr_job_start_scheduled(struct mr_worker *w, struct mr_scheduled *scheduled, struct mr_arena *arena, const struct mr_node *message)
{
	struct mr_job *job = job_new(w, arena, message);
	job->inner = true;
	job->scheduled = scheduled;
	job->n = (uint64_t)1 << 63 | ++w->inner;
	mr_scheduled_is(scheduled, job);
	start(job);
}

void mr_job_start(struct mr_worker *w, struct mr_arena *arena, const struct mr_node *message)
{
	struct mr_job *job = job_new(w, arena, message);
	int64_t n;
	if (!mr_node_int(mr_node_get(job->message, "n"), &n) || n <= 0) {
		mr_log(MR_ERROR, "a message of the fanout has no number and cannot be answered");
		job->answered = true;
		mr_job_free(job);
		return;
	}
	job->n = job->root = (uint64_t)n;
	start(job);
}

void mr_job_body(struct mr_worker *w, uint64_t n, const struct mr_node *message)
{
	struct mr_job *job = mr_job_find(w, n);
	if (job && !job->answered)
		mr_http_message(job, message);
}

/* A COMMIT under way is let be: its end is the end. */
static bool can_stop(const struct mr_job *job)
{
	return !job->answered && (job->step != MR_JOB_ENDING || job->again);
}

static void stop(struct mr_job *job)
{
	MR_ASSERT(job->answered);
	if (job->step == MR_JOB_WAITING) {
		mr_job_free(job);
	} else if (job->step == MR_JOB_PAUSING) {
		mr_job_leave(job);
	} else if (job->step == MR_JOB_RUNNING) {
		cancel_statements(job);
		roll_back(job);
	}
}

static void cancel(struct mr_job *job)
{
	if (!can_stop(job))
		return;
	struct mr_error err;
	mr_fail(&err, MR_INTERNAL, "The call was cancelled.");
	job->cancelled = true;
	mr_answer_error(job, &err);
	stop(job);
}

void mr_job_desert(struct mr_job *job)
{
	if (!can_stop(job))
		return;
	if (job->scheduled)
		mr_scheduled_back(job);
	job->answered = true;
	stop(job);
}

void mr_job_cancel(struct mr_worker *w, uint64_t n)
{
	struct mr_job *job = mr_job_find(w, n);
	if (job)
		cancel(job);
}

void mr_job_forget(struct mr_worker *w, uint64_t n)
{
	struct mr_job *job = mr_job_find(w, n);
	if (!job || job->answered || job->step != MR_JOB_WAITING)
		return;
	job->answered = true; /* by the other one */
	mr_job_free(job);
	mr_jobs_maybe_exit(w);
}

void mr_job_cancel_inner(struct mr_job *job)
{
	job->asker = NULL;
	cancel(job);
}
