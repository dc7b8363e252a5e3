/* The lines in which jobs wait, the connection that each is given when it is its turn, and what becomes of all when the worker ends. */
#include <stdlib.h>

#include "job_inner.h"
#include "proto/ground/log.h"

void mr_jobs_init(struct mr_worker *w)
{
	mr_list_init(&w->waiting);
	mr_list_init(&w->importing);
	mr_list_init(&w->actions);
	mr_list_init(&w->scheduled);
	mr_list_init(&w->jobs);
	mr_list_init(&w->answered);
	w->lines = (int)w->settings.worker_connections;
	w->reserve = w->lines >= 4 ? 2 : w->lines >= 2 ? 1 : 0;
}

static struct mr_list *list_of(const struct mr_job *job)
{
	struct mr_worker *w = job->w;
	if (job->step != MR_JOB_WAITING)
		return &w->jobs;
	if (mr_job_is_action(job))
		return &w->actions;
	return job->snapshot ? &w->importing : job->scheduled ? &w->scheduled : &w->waiting;
}

void mr_job_move(struct mr_job *job, enum mr_job_step step)
{
	mr_list_del(&job->node);
	job->step = step;
	mr_list_add_tail(list_of(job), &job->node);
}

void mr_job_free(struct mr_job *job)
{
	MR_ASSERT(job->answered && !job->txn && !job->pg);
	mr_list_del(&job->node);
	mr_timer_delete(&job->timer);
	mr_run_free(job);
	mr_buf_fini(&job->run.text);
	mr_buf_fini(&job->verdict);
	mr_arena_fini(&job->attempt);
	mr_arena_fini(&job->arena);
	free(job);
}

/* ---- the line, and the connection ---- */

void mr_jobs_maybe_exit(struct mr_worker *w)
{
	if ((w->draining || w->retiring) && mr_list_empty(&w->jobs) && mr_list_empty(&w->actions) && mr_scheduler_idle(w) &&
		(w->retiring || (mr_list_empty(&w->waiting) && mr_list_empty(&w->importing))))
		mr_timer_start(w->exit_timer, 0);
}

static void on_lease(struct mr_pg *pg, const struct mr_error *err, void *arg)
{
	struct mr_job *job = arg;
	job->pg = pg;
	if (pg)
		job->away_us = 0;
	if (!pg && !job->answered) {
		if (job->unknown)
			mr_job_answer_unknown(job);
		else
			mr_job_answer_passing(job, err);
	}
	if (job->answered)
		mr_job_leave(job);
	else
		mr_job_attempt(job);
}

/* What only reads loses nothing by an early answer. Loads and runs of live queries have nobody who waits for an answer. */
bool mr_job_is_plain_read(const struct mr_job *job)
{
	return job->kind == MR_JOB_QUERY || (job->kind == MR_JOB_ENTITY && !mr_job_writes(job));
}

/* How long it waits yet for Postgres to come back: long enough for a quick restart. */
int64_t mr_job_patience_left(struct mr_job *job)
{
	int64_t left = mr_job_time_left(job), now = mr_mono_us();
	if (!mr_job_is_plain_read(job))
		return left;
	if (!job->away_us)
		job->away_us = now;
	return MR_MIN(left, job->away_us + job->w->settings.read_wait * 1000 - now);
}

void mr_job_lease(struct mr_job *job)
{
	mr_job_move(job, MR_JOB_LEASING);
	int64_t left = mr_job_patience_left(job);
	mr_pool_lease(job->w->pool, left > 1000 ? left : 1000, on_lease, job);
}

static void take(struct mr_job *job)
{
	struct mr_worker *w = job->w;
	w->leased++;
	job->leased = true;
	if (job->scheduled) {
		w->scheduled_leased++;
		job->deadline_us = mr_mono_us() + w->settings.call_time_limit * 1000; /* nobody waits for it before */
		mr_job_set_timer(job);
	}
	mr_job_lease(job);
}

int mr_jobs_scheduled_share(const struct mr_worker *w)
{
	return MR_MAX((w->lines - w->reserve) / 2, 1);
}

/* Callers go first, but for one connection that scheduled functions have by turns, so that none waits for ever. */
static struct mr_list *line_of_next(struct mr_worker *w)
{
	bool may = !mr_list_empty(&w->scheduled) && w->scheduled_leased < mr_jobs_scheduled_share(w);
	bool first = w->scheduled_leased == 0 && !w->scheduled_last;
	if (may && (first || mr_list_empty(&w->waiting)))
		return &w->scheduled;
	return mr_list_empty(&w->waiting) ? NULL : &w->waiting;
}

static void admit(struct mr_worker *w)
{
	if (w->retiring)
		return;
	while (w->leased < w->lines && !mr_list_empty(&w->importing))
		take(MR_CONTAINER(w->importing.next, struct mr_job, node));
	for (struct mr_list *line; w->leased < w->lines - w->reserve && (line = line_of_next(w));) {
		w->scheduled_last = line == &w->scheduled;
		take(MR_CONTAINER(line->next, struct mr_job, node));
	}
}

static void act(struct mr_job *job)
{
	mr_job_move(job, MR_JOB_RUNNING);
	mr_run_start(job);
}

static void on_admit(void *arg)
{
	struct mr_worker *w = arg;
	w->admitting = false;
	while (!mr_list_empty(&w->actions))
		act(MR_CONTAINER(w->actions.next, struct mr_job, node));
	admit(w);
}

/* Not at once: a line of functions that never wait would come back here from within each other. */
void mr_jobs_admit_soon(struct mr_worker *w)
{
	if (!w->admitting)
		mr_defer(w->loop, on_admit, w);
	w->admitting = true;
}

void mr_job_give_connection_back(struct mr_job *job)
{
	struct mr_worker *w = job->w;
	if (job->pg)
		mr_pool_return(w->pool, job->pg);
	job->pg = NULL;
	w->leased -= job->leased;
	w->scheduled_leased -= job->leased && job->scheduled;
	job->leased = false;
	mr_jobs_admit_soon(w);
}

static void left(struct mr_job *job)
{
	struct mr_worker *w = job->w;
	mr_job_give_connection_back(job);
	mr_job_free(job);
	mr_jobs_maybe_exit(w);
}

/* The transaction is gone and the job answered: gives back the turn, then the connection. */
void mr_job_leave(struct mr_job *job)
{
	MR_ASSERT(job->answered && !job->txn);
	mr_timer_stop(job->timer);
	mr_job_move(job, MR_JOB_LEAVING);
	mr_hot_give(job, left);
}

static struct mr_job *find(struct mr_list *list, uint64_t n)
{
	MR_LIST_FOR (e, list) {
		struct mr_job *job = MR_CONTAINER(e, struct mr_job, node);
		if (job->n == n)
			return job;
	}
	return NULL;
}

struct mr_job *mr_job_find(struct mr_worker *w, uint64_t n)
{
	struct mr_list *lists[] = {&w->jobs, &w->waiting, &w->importing, &w->actions};
	struct mr_job *job = NULL;
	for (size_t i = 0; !job && i < MR_COUNT(lists); i++)
		job = find(lists[i], n);
	return job;
}

/* ---- the end of the worker ---- */

void mr_jobs_drain(struct mr_worker *w)
{
	w->draining = true;
	mr_jobs_maybe_exit(w);
}

/* Actions may take long, and other workers cannot go on with them. */
static struct mr_job *some_action(struct mr_list *list)
{
	MR_LIST_FOR (e, list) {
		struct mr_job *job = MR_CONTAINER(e, struct mr_job, node);
		if (job->kind == MR_JOB_ACTION && (!job->inner || job->scheduled) && !job->answered &&
			(job->step == MR_JOB_WAITING || mr_job_is_action(job)))
			return job;
	}
	return NULL;
}

static void interrupt_actions(struct mr_worker *w, struct mr_list *list)
{
	for (struct mr_job *job; (job = some_action(list));) {
		struct mr_error err;
		if (job->step != MR_JOB_WAITING) {
			mr_job_answer_interrupted(job);
			mr_job_over(job);
		} else {
			mr_job_is_refused_now(job, &err);
			mr_answer_error(job, &err);
			mr_job_free(job);
		}
	}
}

void mr_jobs_retire(struct mr_worker *w)
{
	w->retiring = true;
	interrupt_actions(w, &w->jobs);
	interrupt_actions(w, &w->actions);
	interrupt_actions(w, &w->waiting);
	while (!mr_list_empty(&w->scheduled)) {
		struct mr_job *job = MR_CONTAINER(w->scheduled.next, struct mr_job, node);
		mr_scheduled_back(job);
		mr_job_free(job);
	}
	mr_scheduler_soon(w);
	mr_jobs_maybe_exit(w);
}

void mr_jobs_abort(struct mr_worker *w)
{
	mr_jobs_retire(w); /* ends actions, with what they have under way */
	MR_LIST_FOR (e, &w->jobs)
		mr_job_desert(MR_CONTAINER(e, struct mr_job, node));
	mr_jobs_maybe_exit(w);
}
