/* What the files of a job's life share. For job*.c only. */
#ifndef MR_JOB_INNER_H
#define MR_JOB_INNER_H

#include "worker.h"

/* An action that runs, or may: without a connection. */
static inline bool mr_job_is_action(const struct mr_job *job)
{
	return job->kind == MR_JOB_ACTION && !job->claiming;
}
static inline int64_t mr_job_time_left(const struct mr_job *job)
{
	return job->deadline_us - mr_mono_us();
}

/* job.c */
void mr_job_attempt(struct mr_job *job);   /* it has its connection */
void mr_job_set_timer(struct mr_job *job); /* for the next look at it: at its deadline, or before */
/* Nobody hears of its end any more: what it has done is taken back, and nothing is written down of it, so that the same call, sent again
 * to somebody else, runs. */
void mr_job_desert(struct mr_job *job);
bool mr_job_is_refused_now(const struct mr_job *job, struct mr_error *err);

/* job_line.c */
void mr_job_move(struct mr_job *job, enum mr_job_step step);
void mr_job_lease(struct mr_job *job);
bool mr_job_is_plain_read(const struct mr_job *job); /* only reads, and somebody waits for it */
int64_t mr_job_patience_left(struct mr_job *job);    /* microseconds; how long it waits yet for Postgres to come back */
void mr_job_give_connection_back(struct mr_job *job);
void mr_job_leave(struct mr_job *job); /* it is answered, and its transaction gone: gives back its turn and connection, and frees it */
void mr_job_free(struct mr_job *job);  /* one that has no connection */
void mr_jobs_admit_soon(struct mr_worker *w);
struct mr_job *mr_job_find(struct mr_worker *w, uint64_t n); /* in any line; NULL: it is not here */

/* job_read.c */
bool mr_job_read(struct mr_job *job, struct mr_error *err);
/* A write is refused for good only when its record says so (CLOCK.md rule 10): an earlier attempt, of this worker or of one that died, may
 * have been done or be in COMMIT still. So the record is written with the error as its result; a duplicate means that the call was done. */
void mr_job_set_verdict(struct mr_job *job, struct mr_str error);

/* job_answer.c: each answers the job. */
bool mr_job_is_open(const struct mr_job *job); /* it may have been done, as far as is known here */
void mr_job_late(const struct mr_job *job, struct mr_error *err);
void mr_job_answer_late(struct mr_job *job);
void mr_job_answer_unknown(struct mr_job *job);
/* An error that says nothing of what became of earlier attempts. The text is an ErrorInfo; its data is the outcome. */
void mr_job_answer_open(struct mr_job *job, struct mr_str error);
void mr_job_answer_passing(struct mr_job *job, const struct mr_error *err); /* another attempt may not meet it */
/* A write that never had its turn here may have been done elsewhere before; it may be sent again. */
void mr_job_answer_crowded(struct mr_job *job);
void mr_job_answer_recorded(struct mr_job *job, const struct mr_outcome *o);
void mr_job_answer_done(struct mr_job *job, const struct mr_outcome *o);
void mr_job_answer_interrupted(struct mr_job *job);

#endif
