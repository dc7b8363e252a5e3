/* First loads and refills of live queries: rows as images, and the snapshot at which they were read. */
#include "proto/ground/fault.h"
#include "worker.h"

static bool goes_on(struct mr_job *job, const struct mr_error *err)
{
	if (job->answered || job->step != MR_JOB_RUNNING)
		return false;
	if (err) {
		struct mr_error why = *err;
		mr_job_failed(job, &why);
	}
	return !err;
}

static void on_load(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_job *job = arg;
	if (goes_on(job, err))
		job->loaded = mr_arena_str(&job->attempt, json);
}

static void on_verified(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_job *job = arg;
	if (!goes_on(job, err))
		return;
	MR_FAULT_PG(WORKER_RUN_OVER, job->pg);
	mr_answer_rows(job, job->loaded);
	mr_job_over(job);
}

static const struct mr_pred *read_where(struct mr_job *job, struct mr_error *err)
{
	const struct mr_node *where = mr_node_get(job->message, "where");
	if (where && where->kind == MR_STRING && !(where = mr_json_read(&job->attempt, where->text, 1024, false, err)))
		return NULL;
	return where ? mr_pred_read(&job->attempt, job->entity, where, err)
		     : (mr_fail(err, MR_BAD_MESSAGE, "A read without a predicate came from the fanout."), NULL);
}

void mr_read_start(struct mr_job *job)
{
	struct mr_error err;
	struct mr_plan plan = {.entity = job->entity};
	if (!(plan.where = read_where(job, &err)) || !mr_plan_read(&job->attempt, job->message, false, &plan, &err)) {
		mr_job_failed(job, &err);
		return;
	}
	/* What is asked for without a limit is no query of a client (fanout/revoked.c): all of it is needed. */
	if (plan.limit >= 0)
		mr_job_limit_rows(job);
	mr_txn_load(job->txn, &plan, on_load, job);
	mr_txn_verify(job->txn, on_verified, job);
}
