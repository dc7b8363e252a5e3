/* An attempt that runs a function, or an action: slices of its code, each between two answers of the database. Several jobs' slices take
 * turns in one heap. The engine is never entered from a callback of storage: answers queue up and a deferred pump settles them one by one.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "fetch.h"
#include "proto/ground/fault.h"
#include "server/js/guard.h"
#include "server/js/source_map.h"
#include "worker.h"

enum {
	LOG_LINES_MAX = 1000, /* of one run */
	PUMP_US = 5000,       /* so long answers are handed to their runs in one turn: then others are heard, and begun */
};

static struct mr_job *job_of(struct mr_worker *w, uint64_t number)
{
	if (!number)
		return NULL;
	MR_LIST_FOR (e, &w->jobs) {
		struct mr_job *job = MR_CONTAINER(e, struct mr_job, node);
		if (job->run.number == number)
			return job;
	}
	return NULL;
}

/* ---- errors of functions ---- */

static void log_failure(struct mr_job *job, struct mr_str message, struct mr_str stack)
{
	struct mr_buf b = {0};
	mr_source_map_text(job->w->source_map, stack, &b);
	mr_log(MR_ERROR, "%s (%s): %.*s%s%s", job->fn->name.p, mr_error_id(job, message).text, (int)message.n, message.p, b.n ? "\n" : "",
		b.n ? b.p : "");
	mr_buf_fini(&b);
}

/* What a caller is told of a function that threw: in production nothing of its text. */
static void print_failure(struct mr_job *job, struct mr_str message, struct mr_str stack, struct mr_buf *out)
{
	if (!job->w->development) {
		mr_buf_printf(out,
			"{\"code\":\"function_failed\",\"message\":\"The function failed; what it said is in the server's log as %s.\"}",
			mr_error_id(job, message).text);
		return;
	}
	struct mr_buf mapped = {0};
	mr_source_map_text(job->w->source_map, stack, &mapped);
	mr_buf_z(out, "{\"code\":\"function_failed\",\"message\":");
	mr_json_quote(out, message);
	mr_buf_z(out, ",\"data\":{\"stack\":");
	mr_json_quote(out, mr_buf_view(&mapped));
	mr_buf_z(out, "}}");
	mr_buf_fini(&mapped);
}

static void more_of_run(struct mr_job *job, struct mr_buf *more)
{
	const char *snapshot = job->kind == MR_JOB_RUN && job->txn ? mr_txn_snapshot(job->txn) : "";
	if (!snapshot[0])
		return;
	mr_buf_z(more, ",\"reads\":");
	mr_txn_reads(job->txn, more);
	int64_t again;
	if (mr_txn_moment(job->txn, &again))
		mr_buf_printf(more, ",\"again\":%" PRId64, again);
	mr_buf_z(more, ",\"snapshot\":");
	mr_json_quote(more, mr_str(snapshot));
}

static void refuse(struct mr_job *job, enum mr_code code, struct mr_str error)
{
	struct mr_buf more = {0};
	more_of_run(job, &more);
	mr_job_refused(job, code, error, mr_buf_view(&more));
	mr_buf_fini(&more);
}

static void refuse_error(struct mr_job *job, const struct mr_error *err)
{
	struct mr_buf text = {0};
	mr_error_print(&text, job, err);
	refuse(job, err->code, mr_buf_view(&text));
	mr_buf_fini(&text);
}

static void refuse_failure(struct mr_job *job, struct mr_str message, struct mr_str stack)
{
	struct mr_buf text = {0};
	log_failure(job, message, stack);
	print_failure(job, message, stack, &text);
	refuse(job, MR_FUNCTION_FAILED, mr_buf_view(&text));
	mr_buf_fini(&text);
}

/* What libraries say of the network is nobody's business in production. */
static void refuse_fetch(struct mr_job *job, enum mr_code code, struct mr_str message)
{
	struct mr_error err;
	struct mr_log_id id = mr_error_id(job, message);
	mr_log(MR_WARN, "%s (%s): a fetch failed: %.*s", job->fn->name.p, id.text, (int)message.n, message.p);
	mr_fail(&err, code, "A request of the function failed; what it met is in the server's log as %s.", id.text);
	refuse_error(job, &err);
}

/* The function ended with an error; the runtime gives it as an ErrorInfo. */
static void finish_error(struct mr_job *job)
{
	struct mr_error err;
	const struct mr_node *info = mr_json_read(&job->attempt, mr_buf_view(&job->run.text), 64, false, &err);
	struct mr_str message = mr_node_str(info, "message");
	struct mr_str name = mr_node_str(info, "code");
	enum mr_code code = mr_code_by_name(name.p ? name.p : "", name.n);
	if (code == MR_OK || code == MR_FUNCTION_FAILED || !message.p)
		refuse_failure(
			job, message.p ? message : MR_STR("It threw what has no text"), mr_node_str(mr_node_get(info, "data"), "stack"));
	else if (!job->w->development && (code == MR_FETCH_FAILED || code == MR_FETCH_REFUSED))
		refuse_fetch(job, code, message);
	else
		refuse(job, code, mr_buf_view(&job->run.text));
}

/* ---- results ---- */

static bool check_result(struct mr_job *job, struct mr_error *err)
{
	const struct mr_settings *s = &job->w->settings;
	if (job->run.too_large)
		return mr_fail_data(err, MR_TOO_LARGE, "{\"setting\":\"max_result\"}",
			"The result of %s is larger than %" PRId64 " bytes (max_result).", job->fn->name.p, s->max_result);
	struct mr_error why;
	if (mr_json_ok(mr_buf_view(&job->run.text), (int)s->max_depth, true, &why))
		return true;
	return mr_fail(err, MR_FUNCTION_FAILED, "The result of %s cannot be sent: %s", job->fn->name.p, why.message);
}

static void answer_read(struct mr_job *job)
{
	struct mr_buf more = {0};
	more_of_run(job, &more);
	if (job->kind == MR_JOB_RUN)
		MR_FAULT_PG(WORKER_RUN_OVER, job->pg);
	mr_answer(job, mr_buf_view(&job->run.text), mr_buf_view(&more));
	mr_buf_fini(&more);
	mr_job_over(job);
}

static void on_verified(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_job *job = arg;
	if (job->answered || job->step != MR_JOB_RUNNING)
		return;
	if (err)
		mr_job_failed(job, err);
	else
		answer_read(job);
}

static void finish_read(struct mr_job *job)
{
	/* A run that read nothing is as of a snapshot all the same; this takes one. */
	if (job->kind != MR_JOB_RUN && !mr_txn_snapshot(job->txn)[0]) {
		answer_read(job);
		return;
	}
	mr_run_stop(job);
	mr_txn_verify(job->txn, on_verified, job);
}

/* It is shown with the effects of its mutations, as a mutation is. */
static void finish_action(struct mr_job *job)
{
	struct mr_buf more = {0};
	if (job->xid)
		mr_print_written(&more, job->xid, job->seq);
	mr_answer(job, mr_buf_view(&job->run.text), mr_buf_view(&more));
	mr_buf_fini(&more);
	mr_job_over(job);
}

static void finish(struct mr_job *job)
{
	struct mr_run *run = &job->run;
	struct mr_error err;
	if (run->split) {
		mr_answer_split(job);
		mr_job_over(job);
	} else if (!run->ok && !run->too_large) {
		finish_error(job);
	} else if (run->failed) {
		/* Caught by the function or not: the transaction is lost. */
		refuse_error(job, &run->failure);
	} else if (!check_result(job, &err)) {
		refuse_error(job, &err);
	} else if (job->kind == MR_JOB_ACTION) {
		finish_action(job);
	} else if (job->kind == MR_JOB_MUTATION && job->scheduled) {
		mr_run_stop(job);
		mr_scheduled_end(job);
	} else if (job->kind == MR_JOB_MUTATION) {
		mr_run_stop(job);
		mr_job_commit(job, mr_buf_view(&run->text));
	} else {
		finish_read(job);
	}
}

static bool is_running(const struct mr_job *job)
{
	return job->run.number && job->step == MR_JOB_RUNNING;
}

static bool is_over(const struct mr_job *job)
{
	const struct mr_run *run = &job->run;
	/* Timers and fetches of an action that has ended are of no account; the runtime has waited for its calls. */
	bool settled = run->out == 0 || job->kind == MR_JOB_ACTION;
	return is_running(job) && (run->split || (run->done && (!run->ok || settled)));
}

/* Nothing is under way that could wake it: of an action, nothing at all, since what one fetches others may wait for. */
static bool is_stuck(const struct mr_job *job)
{
	const struct mr_worker *w = job->w;
	return is_running(job) && !job->run.done && w->ops_out == 0 && (job->kind != MR_JOB_ACTION || w->action_ops_out == 0);
}

static int *ops_out(const struct mr_job *job)
{
	return job->kind == MR_JOB_ACTION ? &job->w->action_ops_out : &job->w->ops_out;
}

static struct mr_job *first_that(struct mr_worker *w, bool (*is)(const struct mr_job *job))
{
	MR_LIST_FOR (e, &w->jobs) {
		struct mr_job *job = MR_CONTAINER(e, struct mr_job, node);
		if (is(job))
			return job;
	}
	return NULL;
}

/* A slice may have ended other runs than its own: promises know no walls. */
static void sweep(struct mr_worker *w)
{
	for (struct mr_job *job; (job = first_that(w, is_over));)
		finish(job);
	for (struct mr_job *job; (job = first_that(w, is_stuck));)
		refuse_failure(job, MR_STR("It waits for a promise that nothing will settle"), MR_STR(""));
}

/* ---- slices ---- */

/* For whoever looks for the culprit when this worker dies of it. */
static uint64_t culprit(const struct mr_job *job)
{
	while (job->asker)
		job = job->asker->job;
	return job->scheduled ? MR_RING_SCHEDULED | (uint64_t)(job->fn - job->w->app->fns) : job->root;
}

static void slice_begin(struct mr_job *job)
{
	struct mr_worker *w = job->w;
	MR_ASSERT(!w->slicing);
	w->slicing = job;
	mr_ring_slice(w->ring, culprit(job), mr_mono_us());
	mr_guard_enter();
}

static void tell_slow(struct mr_job *job, bool ended)
{
	struct mr_worker *w = job->w;
	int64_t limit_us = w->settings.slow_slice * 1000, us = limit_us ? mr_guard_spent_us() : 0;
	if (us > limit_us)
		mr_door_slow(job, us, ended);
}

static void slice_end(struct mr_job *job, enum mr_js_end end, const struct mr_error *err)
{
	struct mr_worker *w = job->w;
	tell_slow(job, end == MR_JS_TIME);
	mr_guard_leave();
	mr_ring_slice(w->ring, 0, 0);
	w->slicing = NULL;
	if (end == MR_JS_TIME) {
		mr_log(MR_WARN, "%s: stopped: %s", job->fn->name.p, err->message);
		refuse_error(job, err);
	} else if (end == MR_JS_THREW && !job->run.done) {
		refuse_failure(job, mr_str(err->message), MR_STR(""));
	}
	sweep(w);
}

static void print_env(struct mr_job *job, struct mr_buf *b)
{
	mr_buf_printf(b, "{\"kind\":\"%s\",\"auth\":",
		job->kind == MR_JOB_MUTATION ? "mutation"
		: job->kind == MR_JOB_ACTION ? "action"
					     : "query");
	mr_buf_str(b, job->auth ? job->auth->raw : MR_STR("null"));
	mr_buf_printf(b, ",\"shared\":%s,\"now\":%.0f,\"depth\":%" PRId64 ",\"most\":%" PRId64 ",\"seed\":", job->shared ? "true" : "false",
		job->now_ms, job->w->settings.max_call_depth - job->depth, job->w->settings.max_result);
	mr_json_quote(b, job->seed);
	/* Queries are shared by all sessions of a caller. */
	if (job->auth_session.n && (job->kind == MR_JOB_MUTATION || job->kind == MR_JOB_ACTION)) {
		mr_buf_z(b, ",\"sessionId\":");
		mr_json_quote(b, job->auth_session);
	}
	mr_buf_char(b, '}');
}

void mr_run_start(struct mr_job *job)
{
	struct mr_run *run = &job->run;
	struct mr_buf env = {0};
	struct mr_error err;
	mr_buf_reset(&run->text);
	*run = (struct mr_run){.number = ++job->w->runs, .text = run->text};
	mr_list_init(&run->ops);
	print_env(job, &env);
	struct mr_js_env e = {.json = mr_buf_view(&env), .now_ms = job->now_ms, .seed = job->seed, .live = job->kind == MR_JOB_ACTION};
	slice_begin(job);
	enum mr_js_end end = mr_js_call(job->w->js, run->number, job->fn->name, job->args ? job->args->raw : MR_STR("{}"), &e, &err);
	mr_buf_fini(&env);
	slice_end(job, end, &err);
}

void mr_run_stop(struct mr_job *job)
{
	struct mr_run *run = &job->run;
	if (!run->number)
		return;
	uint64_t number = run->number;
	run->number = 0;
	*ops_out(job) -= run->out;
	run->out = 0;
	MR_LIST_FOR (e, &run->ops) {
		struct mr_op *op = MR_CONTAINER(e, struct mr_op, in_run);
		mr_list_del(&op->in_answered);
		if (op->drop)
			op->drop(op);
		op->drop = NULL;
	}
	mr_fetch_end_all(job);
	if (!run->done)
		mr_js_forget(job->w->js, number);
}

static void op_free(struct mr_op *op)
{
	mr_list_del(&op->in_run);
	mr_buf_fini(&op->json);
	free(op);
}

void mr_run_op_free(struct mr_op *op)
{
	mr_list_del(&op->in_answered);
	if (op->drop)
		op->drop(op);
	op->job->run.out--;
	--*ops_out(op->job);
	op_free(op);
}

void mr_run_free(struct mr_job *job)
{
	MR_ASSERT(!job->run.number && !job->txn);
	MR_LIST_FOR (e, &job->run.ops)
		op_free(MR_CONTAINER(e, struct mr_op, in_run));
}

/* ---- answers of the database ---- */

static bool ends_attempt(const struct mr_error *err)
{
	return err->code == MR_CONFLICT || err->code == MR_POSTGRES_UNAVAILABLE;
}

static void settle(struct mr_op *op)
{
	struct mr_job *job = op->job;
	struct mr_error err;
	struct mr_buf json = op->json;
	uint64_t number = op->number;
	bool ok = op->ok;
	op->json = (struct mr_buf){0};
	job->run.out--;
	--*ops_out(job);
	if (job->kind == MR_JOB_ACTION) /* it may ask for very many in its time */
		op_free(op);
	slice_begin(job);
	enum mr_js_end end = mr_js_settle(job->w->js, job->run.number, number, ok, mr_buf_view(&json), &err);
	mr_buf_fini(&json);
	slice_end(job, end, &err);
}

static void pump(void *arg)
{
	struct mr_worker *w = arg;
	w->pumping = false;
	for (int64_t until = mr_mono_us() + PUMP_US; !mr_list_empty(&w->answered);) {
		if (mr_mono_us() > until) {
			if (!w->pump_on)
				w->pump_on = mr_timer_new(w->loop, pump, w);
			w->pumping = true;
			mr_timer_start(w->pump_on, 0);
			return;
		}
		struct mr_op *op = MR_CONTAINER(w->answered.next, struct mr_op, in_answered);
		struct mr_job *job = op->job;
		mr_list_del(&op->in_answered);
		if (job->run.failed && ends_attempt(&job->run.failure)) {
			struct mr_error err = job->run.failure;
			mr_job_failed(job, &err); /* its code need not see what the next attempt will not meet */
		} else {
			settle(op);
		}
	}
}

void mr_run_op_answered(struct mr_op *op)
{
	struct mr_worker *w = op->job->w;
	if (!op->job->run.number)
		return; /* the run was stopped; its operations go with the transaction */
	mr_list_add_tail(&w->answered, &op->in_answered);
	if (!w->pumping) {
		w->pumping = true;
		mr_defer(w->loop, pump, w);
	}
}

/* ---- what the bundle calls ---- */

static uint64_t host_op(void *arg, uint64_t n, struct mr_str kind, struct mr_str json)
{
	struct mr_worker *w = arg;
	struct mr_job *job = job_of(w, n);
	uint64_t number = ++w->ops;
	if (!job || !is_running(job))
		return number; /* of a run that is over: never answered */
	if (job->kind == MR_JOB_ACTION && !mr_action_admits(job, kind))
		return 0;
	struct mr_op *op = mr_alloc(sizeof *op);
	op->job = job;
	op->number = number;
	mr_list_add_tail(&job->run.ops, &op->in_run);
	job->run.out++;
	++*ops_out(job);
	if (job->kind == MR_JOB_ACTION)
		mr_action_op(op, kind, json);
	else
		mr_op_start(op, kind, json);
	return number;
}

/* A function that said it was done may say in the same slice that it was not, before anybody was told: something failed that it did not
 * wait for. */
static bool takes_back(const struct mr_job *job, bool ok)
{
	return job->run.ok && !ok && job->w->slicing == job && job->kind != MR_JOB_ACTION;
}

static void host_done(void *arg, uint64_t n, bool ok, struct mr_str json)
{
	struct mr_job *job = job_of(arg, n);
	if (!job || (job->run.done && !takes_back(job, ok)))
		return;
	job->run.done = true;
	job->run.ok = ok;
	job->run.too_large = !json.p;
	mr_buf_reset(&job->run.text);
	mr_buf_str(&job->run.text, json.p ? json : MR_STR(""));
}

static enum mr_level level_of(struct mr_str level)
{
	return mr_str_is(level, "error") ? MR_ERROR : mr_str_is(level, "warn") ? MR_WARN : mr_str_is(level, "debug") ? MR_DEBUG : MR_INFO;
}

static void host_log(void *arg, uint64_t n, struct mr_str level, struct mr_str text)
{
	struct mr_worker *w = arg;
	struct mr_job *job = job_of(w, n);
	if (!text.p || (job && ++job->run.log_lines > LOG_LINES_MAX + 1))
		return;
	if (job && job->run.log_lines > LOG_LINES_MAX)
		text = MR_STR("(further lines of this run are left out)");
	struct mr_buf mapped = {0};
	mr_source_map_text(w->source_map, text, &mapped);
	text = mr_buf_view(&mapped);
	mr_log(level_of(level), "%s: %.*s", job ? job->fn->name.p : "app", (int)text.n, text.p);
	if (job && w->development)
		mr_door_log(w, job, level, text);
	mr_buf_fini(&mapped);
}

static void host_identity(void *arg, uint64_t n)
{
	struct mr_job *job = job_of(arg, n);
	if (job && job->shared)
		job->run.split = true;
}

const struct mr_js_host mr_run_host = {host_op, host_done, host_log, host_identity, NULL};
