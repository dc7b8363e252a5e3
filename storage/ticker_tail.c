/* Tails and payloads: a reader works off its jobs one after the other on a connection of its own, so that memory is bounded by one job and
 * ticks never wait for it. A job survives the loss of the connection and is asked again, until its time is over.
 */
#include <stdlib.h>

#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "ticker_private.h"

enum {
	BACKOFF_FIRST_US = 50 * 1000,
	BACKOFF_MOST_US = 1000 * 1000,
	ROW_LEAST = 16,
	JOB_US = 30 * 1000 * 1000, /* a job that could not be asked for so long fails */
	WATCHDOG_US = (MR_TAIL_TIMEOUT_MS + 1000) * 1000,
};

struct job {
	struct mr_list link;
	bool tail;
	struct mr_position from;
	size_t max_bytes;
	int64_t *seqs;
	size_t n_seqs;
	int64_t due;
	mr_tail_cb *cb;
	void *arg;
};

struct mr_reader {
	struct mr_loop *loop;
	char *conninfo, *name;
	struct mr_pg *pg;
	bool ready, control;
	struct mr_list jobs;
	struct job *current; /* asked, the first of jobs */
	bool answering;      /* inside of a job's callback, which may ask for more */
	int answers;
	bool failed;
	struct mr_error err;
	struct mr_log_head head;
	struct mr_log_rows rows;
	struct mr_timer *retry, *watchdog;
	int64_t backoff_us;
};

static void pump(struct mr_reader *rd);

static void free_job(struct job *job)
{
	mr_list_del(&job->link);
	mr_position_fini(&job->from);
	free(job->seqs);
	free(job);
}

/* Ends the job with what was read, or with nothing. */
static void answer(struct mr_reader *rd, struct job *job, const struct mr_tail *tail)
{
	mr_tail_cb *cb = job->cb;
	void *arg = job->arg;
	if (rd->current == job)
		rd->current = NULL;
	free_job(job);
	rd->answering = true;
	cb(tail, arg);
	rd->answering = false;
}

static void refuse(struct mr_reader *rd, struct job *job)
{
	struct mr_tail tail = {.ok = false};
	answer(rd, job, &tail);
}

/* Without a connection: jobs whose time is over fail, the others wait for the next attempt. */
static void lost(struct mr_reader *rd)
{
	mr_pg_delete(&rd->pg);
	rd->ready = false;
	rd->current = NULL;
	mr_timer_stop(rd->watchdog);
	uint32_t random;
	mr_random(&random, sizeof(random));
	rd->backoff_us = rd->backoff_us ? MR_MIN(rd->backoff_us * 2, BACKOFF_MOST_US) : BACKOFF_FIRST_US;
	mr_timer_start(rd->retry, rd->backoff_us / 2 + random % rd->backoff_us);
	int64_t now = mr_mono_us();
	while (!mr_list_empty(&rd->jobs)) {
		struct job *job = MR_CONTAINER(rd->jobs.next, struct job, link);
		if (job->due > now)
			break;
		refuse(rd, job);
	}
}

static void on_retry(void *arg)
{
	pump(arg);
}

static void on_watchdog(void *arg)
{
	struct mr_reader *rd = arg;
	mr_log(MR_WARN, "%s: Postgres did not answer in time", rd->name);
	lost(rd);
}

static void on_setup(const struct mr_pg_result *r, void *arg)
{
	struct mr_reader *rd = arg;
	if (!mr_pg_ok(r)) {
		if (mr_pg_state(rd->pg) != MR_PG_DEAD)
			lost(rd);
		return;
	}
	mr_timer_stop(rd->watchdog);
	rd->control = mr_log_setup_done(r);
	mr_pg_back();
	rd->ready = true;
	rd->backoff_us = 0;
	pump(rd);
}

static void on_state(struct mr_pg *pg, enum mr_pg_state state, const struct mr_error *err, void *arg)
{
	struct mr_reader *rd = arg;
	if (state == MR_PG_READY) {
		mr_timer_start(rd->watchdog, WATCHDOG_US);
		mr_log_setup(pg, MR_TAIL_TIMEOUT_MS, on_setup, rd);
		return;
	}
	if (!mr_list_empty(&rd->jobs))
		mr_pg_away(rd->name, err);
	lost(rd);
}

/* ---- one job ---- */

static size_t bytes_of(const struct mr_log_rows *rows)
{
	size_t bytes = 0;
	for (size_t i = 0; i < rows->n; i++)
		bytes += rows->rows[i].changes.n + rows->rows[i].result.n;
	return bytes;
}

/* A row of the log with something to tell takes more bytes than this. */
static int64_t max_rows(const struct job *job)
{
	return (int64_t)MR_MIN(job->max_bytes / ROW_LEAST, (size_t)MR_TAIL_ROWS);
}

static bool fits(const struct mr_reader *rd, const struct job *job)
{
	return !rd->rows.withheld && (int64_t)rd->rows.n <= max_rows(job) && bytes_of(&rd->rows) <= job->max_bytes;
}

static void answer_tail(struct mr_reader *rd, struct job *job)
{
	struct mr_position position = {0};
	struct mr_tail tail = {.position = &position};
	tail.ok = mr_log_continues(&rd->head, &job->from) && fits(rd, job);
	if (tail.ok) {
		mr_position_copy(&position, &job->from);
		mr_log_advance(&position, &rd->head, &rd->rows);
		tail.rows = rd->rows.rows;
		tail.n = rd->rows.n;
	} else {
		mr_log_restart(&position, &rd->head);
	}
	answer(rd, job, &tail);
	mr_position_fini(&position);
}

static void answer_payloads(struct mr_reader *rd, struct job *job)
{
	struct mr_tail tail = {.ok = rd->rows.n == job->n_seqs, .rows = rd->rows.rows, .n = rd->rows.n};
	answer(rd, job, &tail);
}

static void finish(struct mr_reader *rd)
{
	struct job *job = rd->current;
	mr_timer_stop(rd->watchdog);
	if (rd->failed && mr_pg_state(rd->pg) == MR_PG_DEAD)
		return; /* asked again after its death has been told */
	if (rd->failed && rd->err.code == MR_POSTGRES_UNAVAILABLE) {
		lost(rd); /* it says that it stops before the connection ends */
		return;
	}
	if (rd->failed) {
		mr_log(MR_WARN, "%s: %s", rd->name, rd->err.message);
		refuse(rd, job);
	} else if (job->tail) {
		answer_tail(rd, job);
	} else {
		answer_payloads(rd, job);
	}
	mr_log_head_fini(&rd->head);
	mr_log_rows_fini(&rd->rows); /* they may have been large */
	pump(rd);
}

static bool answered(struct mr_reader *rd, const struct mr_pg_result *r)
{
	rd->answers--;
	if (!mr_pg_ok(r) && !rd->failed) {
		rd->failed = true;
		mr_pg_error(r, &rd->err);
	}
	return !rd->failed;
}

static void on_other(const struct mr_pg_result *r, void *arg)
{
	struct mr_reader *rd = arg;
	answered(rd, r);
	if (!rd->answers)
		finish(rd);
}

static void on_head(const struct mr_pg_result *r, void *arg)
{
	struct mr_reader *rd = arg;
	if (answered(rd, r))
		rd->failed = !mr_log_read_head(r, &rd->head, &rd->err);
}

static void on_rows(const struct mr_pg_result *r, void *arg)
{
	struct mr_reader *rd = arg;
	if (answered(rd, r))
		mr_log_read_rows(r, &rd->rows);
	if (!rd->answers)
		finish(rd);
}

/* The transaction ends in the same pipeline; after a failure COMMIT is skipped, so ROLLBACK follows in one of its own (a mere warning when
 * there is no transaction any more). */
static void ask(struct mr_reader *rd, struct job *job)
{
	rd->current = job;
	rd->failed = false;
	mr_log_rows_reset(&rd->rows);
	mr_timer_start(rd->watchdog, WATCHDOG_US);
	if (job->tail) {
		rd->answers = 5;
		mr_log_begin(rd->pg, on_other, rd);
		mr_log_ask_head(rd->pg, true, rd->control, &job->from, on_head, rd);
		int64_t bytes = (int64_t)MR_MIN(job->max_bytes, (size_t)INT64_MAX);
		mr_log_ask_rows(
			rd->pg, &job->from, (struct mr_str){"", 0}, &(struct mr_log_most){max_rows(job), bytes, bytes}, on_rows, rd);
		mr_pg_sync(rd->pg);
		mr_pg_query(rd->pg, 0, "rollback", 0, NULL, on_other, rd);
	} else {
		rd->answers = 1;
		mr_log_ask_payloads(rd->pg, job->seqs, job->n_seqs, MR_PAYLOAD_BYTES, on_rows, rd);
	}
	mr_pg_sync(rd->pg);
}

static void pump(struct mr_reader *rd)
{
	if (rd->current || rd->answering || mr_list_empty(&rd->jobs))
		return;
	if (!rd->pg && !mr_timer_running(rd->retry))
		rd->pg = mr_pg_open(rd->loop, rd->conninfo, rd->name, on_state, rd);
	else if (rd->ready && mr_pg_state(rd->pg) == MR_PG_READY)
		ask(rd, MR_CONTAINER(rd->jobs.next, struct job, link));
}

/* ---- life ---- */

struct mr_reader *mr_reader_new(struct mr_loop *loop, const char *conninfo, const char *name)
{
	struct mr_reader *rd = mr_alloc(sizeof(*rd));
	rd->loop = loop;
	rd->conninfo = mr_strdup(conninfo);
	rd->name = mr_strdup(name);
	rd->retry = mr_timer_new(loop, on_retry, rd);
	rd->watchdog = mr_timer_new(loop, on_watchdog, rd);
	mr_list_init(&rd->jobs);
	return rd;
}

void mr_reader_delete(struct mr_reader **rdp)
{
	struct mr_reader *rd = *rdp;
	*rdp = NULL;
	if (!rd)
		return;
	mr_pg_delete(&rd->pg);
	while (!mr_list_empty(&rd->jobs))
		refuse(rd, MR_CONTAINER(rd->jobs.next, struct job, link));
	mr_timer_delete(&rd->retry);
	mr_timer_delete(&rd->watchdog);
	mr_log_head_fini(&rd->head);
	mr_log_rows_fini(&rd->rows);
	free(rd->conninfo);
	free(rd->name);
	free(rd);
}

static struct job *add_job(struct mr_reader *rd, mr_tail_cb *cb, void *arg)
{
	struct job *job = mr_alloc(sizeof(*job));
	job->due = mr_mono_us() + JOB_US;
	job->cb = cb;
	job->arg = arg;
	mr_list_add_tail(&rd->jobs, &job->link);
	return job;
}

void mr_reader_tail(struct mr_reader *rd, const struct mr_position *from, size_t max_bytes, mr_tail_cb *cb, void *arg)
{
	struct job *job = add_job(rd, cb, arg);
	job->tail = true;
	mr_position_copy(&job->from, from);
	job->max_bytes = max_bytes;
	pump(rd);
}

void mr_reader_payloads(struct mr_reader *rd, const int64_t *seqs, size_t n, mr_tail_cb *cb, void *arg)
{
	struct job *job = add_job(rd, cb, arg);
	job->seqs = mr_alloc(MR_MAX(n, 1) * sizeof(*seqs));
	memcpy(job->seqs, seqs, n * sizeof(*seqs));
	job->n_seqs = n;
	pump(rd);
}
