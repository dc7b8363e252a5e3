/* Answers of jobs beside those that their code gives: what becomes of a call that is late, cannot begin, or whose end is not known or was
 * recorded before. */
#include <inttypes.h>
#include <stdio.h>

#include "job_inner.h"

void mr_job_answer_unknown(struct mr_job *job)
{
	struct mr_error err;
	mr_fail_data(&err, MR_POSTGRES_UNAVAILABLE, "{\"outcome\":\"unknown\"}",
		"Postgres did not answer in time; whether the call was done is not known. Send it again with the same id.");
	mr_answer_error(job, &err);
}

bool mr_job_is_open(const struct mr_job *job)
{
	return job->unknown || (job->before && mr_job_writes(job));
}

void mr_job_answer_open(struct mr_job *job, struct mr_str error)
{
	struct mr_error err;
	const struct mr_node *info = mr_json_read(&job->arena, error, 64, false, &err);
	struct mr_str code = mr_node_str(info, "code"), message = mr_node_str(info, "message");
	mr_fail_data(&err, mr_code_by_name(code.p ? code.p : "", code.n), "{\"outcome\":\"unknown\"}",
		"%.*s Whether an earlier attempt was done is not known; send the call again with the same id.", (int)message.n, message.p);
	mr_answer_error(job, &err);
}

void mr_job_answer_passing(struct mr_job *job, const struct mr_error *err)
{
	struct mr_buf text = {0};
	mr_error_print(&text, job, err);
	if (mr_job_is_open(job))
		mr_job_answer_open(job, mr_buf_view(&text));
	else
		mr_answer_error(job, err);
	mr_buf_fini(&text);
}

void mr_job_late(const struct mr_job *job, struct mr_error *err)
{
	const struct mr_settings *s = &job->w->settings;
	if (mr_job_is_action(job))
		mr_fail_data(err, MR_TIME_LIMIT, "{\"setting\":\"action_time_limit\"}",
			"The action took longer than %" PRId64 " ms (action_time_limit).", s->action_time_limit);
	else
		mr_fail_data(err, MR_TIME_LIMIT, "{\"setting\":\"call_time_limit\"}",
			"The call took longer than %" PRId64 " ms (call_time_limit).", s->call_time_limit);
}

void mr_job_answer_late(struct mr_job *job)
{
	struct mr_error err;
	if (job->unknown) {
		mr_job_answer_unknown(job);
		return;
	}
	mr_job_late(job, &err);
	mr_answer_error(job, &err);
}

void mr_job_answer_crowded(struct mr_job *job)
{
	struct mr_error err;
	if (!mr_pool_away(job->w->pool, &err)) /* else those who have the connections wait for Postgres, and this one with them */
		mr_fail(&err, MR_NO_WORKERS, "The call waited %" PRId64 " ms for its turn (call_time_limit): the workers are busy.",
			job->w->settings.call_time_limit);
	mr_job_answer_passing(job, &err);
}

/* A recorded result is the value, or the error that settled an unknown end. */
void mr_job_answer_recorded(struct mr_job *job, const struct mr_outcome *o)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *error = mr_node_get(mr_json_read(&a, o->result, 1024, false, &err), "$error");
	struct mr_buf more = {0};
	mr_buf_z(&more, ",\"dup\":true");
	mr_print_written(&more, o->xid, o->seq);
	if (error)
		mr_answer_error_text(job, error->raw, MR_STR(""));
	else
		mr_answer(job, o->result, mr_buf_view(&more));
	mr_buf_fini(&more);
	mr_arena_fini(&a);
}

void mr_job_answer_done(struct mr_job *job, const struct mr_outcome *o)
{
	if (job->tombstone) {
		struct mr_str error = mr_buf_view(&job->verdict);
		error.p += sizeof "{\"$error\":" - 1;
		error.n -= sizeof "{\"$error\":}" - 1;
		mr_answer_error_text(job, error, MR_STR(""));
		return;
	}
	struct mr_buf more = {0};
	mr_print_written(&more, o->xid, o->seq);
	mr_answer(job, mr_buf_view(&job->run.text), mr_buf_view(&more));
	mr_buf_fini(&more);
}

void mr_job_answer_interrupted(struct mr_job *job)
{
	struct mr_error err;
	mr_fail_data(&err, MR_ACTION_INTERRUPTED, "{\"outcome\":\"unknown\"}",
		"The action's worker was replaced; how far the action came is not known, and it is not run a second time.");
	mr_answer_error(job, &err);
}
