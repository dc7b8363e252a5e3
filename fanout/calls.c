#include "calls.h"

#include <inttypes.h>
#include <stdlib.h>

#include "errors.h"
#include "instance_included.h"
#include "proto/ground/fault.h"
#include "proto/ground/hash.h"
#include "proto/value.h"
#include "tasks.h"

struct mr_call {
	struct mr_fanout *f;
	struct mr_task *task;
	mr_call_done *done; /* NULL: abandoned */
	void *arg;
	bool cancels; /* when it is abandoned */
};

bool mr_call_is_cancelled(const struct mr_fn *fn)
{
	return fn && fn->kind == MR_FN_ACTION && fn->cancel;
}

static void on_answer(void *arg, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err)
{
	struct mr_call *c = arg;
	struct mr_error failure;
	const struct mr_node *value = mr_node_get(reply, "value"), *error = mr_node_get(reply, "error");
	int64_t xid = 0, seq = 0;
	MR_FAULT(FANOUT_REPLY_TAKEN);
	mr_node_int(mr_node_get(reply, "xid"), &xid);
	mr_node_int(mr_node_get(reply, "seq"), &seq);
	if (error) {
		mr_error_from_node(error, &failure);
		err = &failure;
	}
	if (c->done)
		c->done(c->arg, value ? value->raw : MR_STR("null"), (struct mr_written){(uint64_t)xid, seq}, err);
	free(c);
}

static bool check_hour(const struct mr_fanout *f, int32_t hour, struct mr_error *err)
{
	int32_t now = mr_fanout_hour(f);
	if (hour > now + 1)
		return mr_fail(err, MR_BAD_CALL_ID,
			"The call's hour %d is yet to come: it is hour %d since 1970 now. Is the caller's clock right?", (int)hour,
			(int)now);
	if (hour < now - f->settings.log_retention)
		return mr_fail_data(err, MR_CALL_EXPIRED, "{\"setting\":\"log_retention\"}",
			"The call's hour %d is more than %lld hours ago (log_retention; it is hour %d since 1970 now): whether it ran is "
			"not "
			"known any more, so it is not run again.",
			(int)hour, (long long)f->settings.log_retention, (int)now);
	return true;
}

static bool check_fn(const struct mr_fanout *f, const struct mr_call_request *rq, struct mr_error *err)
{
	if (rq->kind == MR_CALL_ENTITY)
		return true;
	const struct mr_fn *fn = mr_app_fn(f->app, rq->fn);
	if (!fn || fn->internal || mr_call_kind_of(fn) != rq->kind)
		return mr_fail(err, MR_UNKNOWN_FUNCTION, "No public function \"%.*s\" is loaded.", (int)MR_MIN(rq->fn.n, 120), rq->fn.p);
	if (fn->needs_user && !rq->auth)
		return mr_fail(err, MR_UNAUTHENTICATED, "%s needs a signed-in caller.", fn->name.p);
	return true;
}

static void add_member(struct mr_buf *m, const char *name, struct mr_str text)
{
	mr_buf_printf(m, ",\"%s\":", name);
	mr_json_quote(m, text);
}

/* A call that nobody can repeat still gets a record of its own: if its worker dies in COMMIT, the next one finds it done. */
static void add_record(struct mr_buf *m, const struct mr_fanout *f, const struct mr_call_request *rq)
{
	if (rq->session.n) {
		add_member(m, "session", rq->session);
		add_member(m, "call", rq->call);
		mr_buf_printf(m, ",\"hour\":%d%s", (int)rq->hour, rq->lasting ? ",\"lasting\":true" : "");
		return;
	}
	uint8_t raw[18];
	struct mr_buf id = {0};
	mr_random(raw, sizeof raw);
	mr_buf_z(&id, "once:");
	mr_base64url(&id, (struct mr_str){(const char *)raw, sizeof raw});
	add_member(m, "session", mr_buf_view(&id));
	mr_buf_printf(m, ",\"call\":\"%d.0\",\"hour\":%d", (int)mr_fanout_hour(f), (int)mr_fanout_hour(f));
	mr_buf_fini(&id);
}

void mr_call_add_caller(struct mr_buf *members, const struct mr_node *auth, const uint8_t *session)
{
	mr_buf_z(members, "\"auth\":");
	if (auth)
		mr_json_canonical(members, auth);
	else
		mr_buf_z(members, "null");
	if (!session)
		return;
	mr_buf_z(members, ",\"sid\":\"");
	mr_uuid_append(members, session);
	mr_buf_char(members, '"');
}

static void print_call(struct mr_buf *m, const struct mr_fanout *f, const struct mr_call_request *rq)
{
	static const char *const kinds[] = {
		[MR_CALL_QUERY] = "query", [MR_CALL_MUTATION] = "mutation", [MR_CALL_ACTION] = "action", [MR_CALL_ENTITY] = "entity"};
	mr_buf_printf(m, "\"t\":\"call\",\"kind\":\"%s\",\"fn\":", kinds[rq->kind]);
	mr_json_quote(m, rq->fn);
	mr_buf_z(m, ",\"args\":");
	mr_buf_str(m, rq->args.n ? rq->args : MR_STR("{}"));
	mr_buf_char(m, ',');
	mr_call_add_caller(m, rq->auth, rq->auth_session);
	/* An action that nobody can send again needs none: no worker is given it twice. */
	if (rq->kind != MR_CALL_QUERY && (rq->kind != MR_CALL_ACTION || rq->session.n))
		add_record(m, f, rq);
	mr_buf_char(m, ',');
	mr_task_add_time(m);
}

static enum mr_repeat repeat_of(const struct mr_call_request *rq)
{
	bool writes =
		rq->kind == MR_CALL_MUTATION || (rq->kind == MR_CALL_ENTITY && !mr_str_is(rq->fn, "list") && !mr_str_is(rq->fn, "get"));
	return rq->kind == MR_CALL_ACTION ? MR_REPEAT_NEVER : writes ? MR_REPEAT_RECORDED : MR_REPEAT_FREELY;
}

static struct mr_call *start(struct mr_fanout *f, const struct mr_call_request *rq, mr_call_done *done, void *arg)
{
	MR_FAULT(FANOUT_CALL_TAKEN);
	struct mr_call *c = mr_alloc(sizeof *c);
	struct mr_buf m = {0};
	c->f = f;
	c->done = done;
	c->arg = arg;
	c->cancels = rq->kind == MR_CALL_ACTION && mr_call_is_cancelled(mr_app_fn(f->app, rq->fn));
	f->counter[MR_C_CALLS_TOTAL]++;
	print_call(&m, f, rq);
	bool runs = rq->kind != MR_CALL_ENTITY;
	c->task = mr_task_new(
		f, &m, runs ? rq->fn : (struct mr_str){0}, runs ? rq->session : (struct mr_str){0}, repeat_of(rq), on_answer, c);
	MR_FAULT(FANOUT_CALL_SENT);
	return c;
}

/* A list of rows: with `include` a function of the runtime's own reads it. */
static struct mr_call *start_list(
	struct mr_fanout *f, const struct mr_call_request *rq, mr_call_done *done, void *arg, struct mr_error *err)
{
	struct mr_arena a = {0};
	struct mr_included in = {0};
	struct mr_call *call = NULL;
	struct mr_query q = {.node = mr_json_read(&a, rq->args, (int)f->settings.max_depth + 1, false, err), .auth = rq->auth};
	if (q.node && !mr_included_is_asked(q.node)) {
		call = start(f, rq, done, arg);
	} else if (q.node && mr_included_read(f, &q, &in, err)) {
		struct mr_call_request run = *rq;
		run.kind = MR_CALL_QUERY;
		run.fn = in.fn->name;
		run.args = mr_buf_view(&in.args);
		call = start(f, &run, done, arg);
	}
	mr_included_fini(&in);
	mr_arena_fini(&a);
	return call;
}

struct mr_call *mr_call_start(struct mr_fanout *f, const struct mr_call_request *rq, mr_call_done *done, void *arg, struct mr_error *err)
{
	if (f->stopping) {
		mr_fail(err, MR_SHUTTING_DOWN, "The server is stopping; the same call may be sent again when it is back.");
		return NULL;
	}
	if (!f->app) {
		mr_fail(err, MR_NO_WORKERS, "The app is still being loaded; try again in a moment.");
		return NULL;
	}
	if (!check_fn(f, rq, err) || (rq->session.n && !check_hour(f, rq->hour, err)))
		return NULL;
	return rq->may_include ? start_list(f, rq, done, arg, err) : start(f, rq, done, arg);
}

void mr_call_abandon(struct mr_call *call)
{
	call->done = NULL;
	if (!call->cancels)
		return;
	mr_task_abandon(&call->task);
	free(call);
}

void mr_call_lost(struct mr_call *call)
{
	free(call);
}
