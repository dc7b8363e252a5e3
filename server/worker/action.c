/* What an action asks for (docs/manifest.md): calls of queries, mutations and actions, each a job of its own with its own transaction; and
 * time. Nothing here is a transaction's, so nothing that fails spoils anything else. */
#include <inttypes.h>
#include <stdlib.h>

#include "fetch.h"

static void answer(struct mr_op *op, bool ok, struct mr_str json)
{
	op->ok = ok;
	mr_buf_reset(&op->json);
	mr_buf_str(&op->json, json);
	mr_run_op_answered(op);
}

static void answer_error(struct mr_op *op, const struct mr_error *err)
{
	struct mr_buf text = {0};
	mr_error_print(&text, op->job, err);
	answer(op, false, mr_buf_view(&text));
	mr_buf_fini(&text);
}

/* ---- calls ---- */

static void drop_call(struct mr_op *op)
{
	if (op->inner)
		mr_job_cancel_inner(op->inner);
	op->inner = NULL;
}

void mr_action_answered(struct mr_job *job, bool ok, struct mr_str json)
{
	struct mr_op *op = job->asker;
	MR_ASSERT(!job->answered);
	job->answered = true;
	if (!op)
		return;
	job->asker = NULL;
	op->inner = NULL;
	op->drop = NULL;
	if (job->xid) {
		op->job->xid = job->xid;
		op->job->seq = job->seq;
	}
	answer(op, ok, json.n ? json : MR_STR("null"));
}

void mr_call_print(struct mr_buf *b, const struct mr_node *in)
{
	const struct mr_node *args = mr_node_get(in, "args");
	mr_buf_z(b, "{\"t\":\"call\",\"kind\":");
	mr_json_quote(b, mr_node_str(in, "kind"));
	mr_buf_z(b, ",\"fn\":");
	mr_json_quote(b, mr_node_str(in, "fn"));
	mr_buf_z(b, ",\"args\":");
	mr_buf_str(b, args ? args->raw : MR_STR("{}"));
	mr_buf_z(b, ",\"auth\":");
}

static void print_call(struct mr_buf *b, const struct mr_job *job, const struct mr_node *in)
{
	mr_call_print(b, in);
	mr_buf_str(b, job->auth ? job->auth->raw : MR_STR("null"));
	if (job->auth_session.n) {
		mr_buf_z(b, ",\"sid\":");
		mr_json_quote(b, job->auth_session);
	}
	if (job->session.n) {
		mr_buf_z(b, ",\"session\":");
		mr_json_quote(b, job->session);
	}
	mr_buf_char(b, '}');
}

static bool is_function_kind(struct mr_str kind)
{
	return mr_str_is(kind, "query") || mr_str_is(kind, "mutation") || mr_str_is(kind, "action");
}

static bool op_call(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	const struct mr_job *job = op->job;
	const struct mr_settings *s = &job->w->settings;
	if (!is_function_kind(mr_node_str(in, "kind")))
		return mr_fail(err, MR_INTERNAL, "The app's runtime asked for a call of no known kind.");
	if (job->depth + 1 >= s->max_call_depth)
		return mr_fail_data(err, MR_CALL_DEPTH, "{\"setting\":\"max_call_depth\"}",
			"%.*s would be more than %" PRId64 " functions deep (max_call_depth).", (int)mr_node_str(in, "fn").n,
			mr_node_str(in, "fn").p ? mr_node_str(in, "fn").p : "", s->max_call_depth);
	struct mr_buf text = {0};
	struct mr_arena arena = {0};
	print_call(&text, job, in);
	const struct mr_node *message = mr_json_read(&arena, mr_arena_str(&arena, mr_buf_view(&text)), 1024, false, err);
	mr_buf_fini(&text);
	if (message) {
		op->drop = drop_call;
		mr_job_start_inner(op, &arena, message);
	}
	mr_arena_fini(&arena);
	return message != NULL;
}

/* ---- time ---- */

static void drop_sleep(struct mr_op *op)
{
	mr_timer_delete(&op->timer);
}

static void on_slept(void *arg)
{
	struct mr_op *op = arg;
	mr_timer_delete(&op->timer);
	op->drop = NULL;
	answer(op, true, MR_STR("null"));
}

static bool op_sleep(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	double ms;
	if (!mr_node_double(mr_node_get(in, "ms"), &ms) || !(ms >= 0))
		return mr_fail(err, MR_BAD_VALUE, "A timer takes a number of milliseconds.");
	op->timer = mr_timer_new(op->job->w->loop, on_slept, op);
	op->drop = drop_sleep;
	mr_timer_start(op->timer, (int64_t)(MR_MIN(ms, 1e9) * 1000));
	return true;
}

/* Another operation is of no use any more. */
static bool op_drop(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	int64_t n;
	if (!mr_node_int(mr_node_get(in, "op"), &n))
		return mr_fail(err, MR_INTERNAL, "The app's runtime dropped an operation without its number.");
	MR_LIST_FOR (e, &op->job->run.ops) {
		struct mr_op *other = MR_CONTAINER(e, struct mr_op, in_run);
		if (other->number != (uint64_t)n || other == op)
			continue;
		mr_run_op_free(other);
		break;
	}
	answer(op, true, MR_STR("null"));
	return true;
}

/* ---- all of them ---- */

static const struct {
	const char *kind;
	bool (*start)(struct mr_op *op, const struct mr_node *in, struct mr_error *err);
} kinds[] = {
	{"call", op_call},
	{"sleep", op_sleep},
	{"fetch", mr_fetch_start},
	{"read", mr_fetch_read},
	{"close", mr_fetch_close},
	{"drop", op_drop},
	{"body", mr_http_body},
	{"respond", mr_http_respond},
	{"write", mr_http_write},
	{"gone", mr_http_gone},
};

static bool is_end(struct mr_str kind)
{
	return mr_str_is(kind, "drop") || mr_str_is(kind, "close");
}

/* Actions that call actions may not have more than that many actions could. */
bool mr_action_admits(const struct mr_job *job, struct mr_str kind)
{
	const struct mr_settings *s = &job->w->settings;
	return is_end(kind) || (job->run.out < s->action_operations && job->w->action_ops_out < s->action_operations * s->worker_actions);
}

static bool start(struct mr_op *op, struct mr_str kind, struct mr_str json, struct mr_error *err)
{
	if (!json.p)
		return mr_fail_data(
			err, MR_TOO_LARGE, "{\"setting\":\"max_result\"}", "What the action asks for is larger than max_result.");
	for (size_t i = 0; i < MR_COUNT(kinds); i++) {
		if (!mr_str_is(kind, kinds[i].kind))
			continue;
		struct mr_arena a = {0};
		const struct mr_node *in = mr_json_read(&a, json, 1024, false, err);
		bool ok = in && kinds[i].start(op, in, err);
		mr_arena_fini(&a);
		return ok;
	}
	return mr_fail(err, MR_FUNCTION_FAILED, "An action has no database of its own; use ctx.runQuery and ctx.runMutation.");
}

void mr_action_op(struct mr_op *op, struct mr_str kind, struct mr_str json)
{
	struct mr_error err;
	if (!start(op, kind, json, &err))
		answer_error(op, &err);
}
