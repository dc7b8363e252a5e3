/* Scheduled functions, for the CLI: blocking calls. What workers ask for is in storage/sql/scheduler.sql. */
#ifndef MR_JOBS_H
#define MR_JOBS_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

/* Appends a line for each: id, state, time, attempts, name and, of failures, why; those that are due or ended last come first, `most` of
 * them. state: one of pending, inProgress, success, failed, canceled; NULL: all. */
bool mr_jobs_list(const char *conninfo, const char *state, int most, struct mr_buf *out, struct mr_error *err);
/* Appends a line for each cron: name, next and last time, how often it became a job and how often it was skipped, when, what. */
bool mr_crons_list(const char *conninfo, struct mr_buf *out, struct mr_error *err);
/* What has not ended does not run any more; what has failed or was canceled runs again. bad_args with the reason when that
 * cannot be. */
bool mr_jobs_cancel(const char *conninfo, const char *id, struct mr_error *err);
bool mr_jobs_retry(const char *conninfo, const char *id, struct mr_error *err);

#endif
