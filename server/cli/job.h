/* Work that blocks (bundling, migrating, cleaning), done in a forked copy of the supervisor, so that the supervisor stays answerable. One
 * at a time per job. The copy writes a text back; its exit status is 0 when the work was done.
 */
#ifndef MR_CLI_JOB_H
#define MR_CLI_JOB_H

#include "proto/ground/loop.h"
#include "spawn.h"

/* Runs in the copy; out goes back to the supervisor. */
typedef bool mr_job_work(struct mr_buf *out, void *arg);
/* Runs in the supervisor. The job may be started again here. */
typedef void mr_job_cb(bool ok, struct mr_str out, void *arg);

struct mr_job;
struct mr_job *mr_job_new(struct mr_loop *loop, const char *name);
void mr_job_delete(struct mr_job **job); /* stops it */
bool mr_job_running(const struct mr_job *job);
/* Starts it; a running one is stopped first and never heard of. */
void mr_job_start(struct mr_job *job, mr_job_work *work, mr_job_cb *done, void *arg);

#endif
