/* What a message of the fanout asks for, read into a job. */
#include <inttypes.h>
#include <stdio.h>

#include "job_inner.h"
#include "proto/routes.h"

void mr_job_set_verdict(struct mr_job *job, struct mr_str error)
{
	mr_buf_reset(&job->verdict);
	mr_buf_printf(&job->verdict, "{\"$error\":%.*s}", (int)error.n, error.p);
	job->tombstone = true;
}

static const struct {
	const char *name;
	enum mr_job_kind kind;
} kinds[] = {{"query", MR_JOB_QUERY}, {"mutation", MR_JOB_MUTATION}, {"action", MR_JOB_ACTION}, {"http", MR_JOB_ACTION},
	{"entity", MR_JOB_ENTITY}};

static bool read_kind(struct mr_job *job, struct mr_error *err)
{
	struct mr_str t = mr_node_str(job->message, "t"), kind = mr_node_str(job->message, "kind");
	if (mr_str_is(t, "run") || mr_str_is(t, "read")) {
		job->kind = mr_str_is(t, "run") ? MR_JOB_RUN : MR_JOB_READ;
		return true;
	}
	for (size_t i = 0; i < MR_COUNT(kinds); i++)
		if (mr_str_is(kind, kinds[i].name)) {
			job->kind = kinds[i].kind;
			return true;
		}
	return mr_fail(err, MR_BAD_MESSAGE, "A call of an unknown kind came from the fanout.");
}

static bool read_route(struct mr_job *job, struct mr_error *err)
{
	struct mr_str name = mr_node_str(job->message, "fn");
	const struct mr_route *route = job->inner ? NULL : mr_app_route(job->w->app, name);
	if (!route)
		return mr_fail(err, MR_NOT_FOUND, "No route %.*s is loaded.", (int)MR_MIN(name.n, 200), name.p ? name.p : "");
	job->fn = &route->fn;
	job->http.gone = mr_node_truth(job->message, "gone");
	return true;
}

static bool read_function(struct mr_job *job, struct mr_error *err)
{
	struct mr_str name = mr_node_str(job->message, "fn");
	if (mr_str_is(mr_node_str(job->message, "kind"), "http"))
		return read_route(job, err);
	job->fn = mr_app_fn(job->w->app, name);
	enum mr_fn_kind want = job->kind == MR_JOB_MUTATION ? MR_FN_MUTATION : job->kind == MR_JOB_ACTION ? MR_FN_ACTION : MR_FN_QUERY;
	static const char *const names[] = {[MR_FN_QUERY] = "query", [MR_FN_MUTATION] = "mutation", [MR_FN_ACTION] = "action"};
	if (!job->fn || job->fn->kind != want)
		return mr_fail(err, MR_UNKNOWN_FUNCTION, "No %s function named %.*s is loaded.", names[want], (int)MR_MIN(name.n, 200),
			name.p ? name.p : "");
	if (job->fn->needs_user && !job->auth && !job->shared)
		return mr_fail(err, MR_UNAUTHENTICATED, "%s needs a signed-in caller.", job->fn->name.p);
	return true;
}

/* The record that makes it run once. A call without a session gets one of its own, so that a COMMIT without an answer can be settled. */
static void read_record(struct mr_job *job)
{
	struct mr_record *r = &job->record;
	int64_t hour;
	r->hour = mr_node_int(mr_node_get(job->message, "hour"), &hour) ? (int32_t)hour : mr_this_hour();
	r->lasting = mr_node_truth(job->message, "lasting");
	r->session = job->session;
	r->call = mr_node_str(job->message, "call");
	job->recorded = r->session.n && r->call.n;
	job->before = job->recorded && mr_node_truth(job->message, "again");
	if (!job->recorded) {
		uint8_t bytes[16];
		struct mr_buf hex = {0};
		mr_random(bytes, sizeof bytes);
		mr_hex(&hex, (struct mr_str){(const char *)bytes, sizeof bytes});
		r->session = mr_arena_printf(&job->arena, "once.%s", hex.p);
		r->call = mr_arena_printf(&job->arena, "%d.1", r->hour);
		mr_buf_fini(&hex);
	}
	r->fn = job->fn ? job->fn->name : mr_arena_printf(&job->arena, "%s %s", job->act.p, job->entity->name.p);
	r->user = mr_node_str(job->auth, "userId");
	struct mr_buf canonical = {0};
	if (job->args)
		mr_json_canonical(&canonical, job->args);
	mr_sha256(canonical.p, canonical.n, r->args_hash);
	mr_buf_fini(&canonical);
}

/* Time and randomness of all its attempts. */
static void read_frozen(struct mr_job *job)
{
	const struct mr_node *now = mr_node_get(job->message, "now"), *seed = mr_node_get(job->message, "seed");
	if (!mr_node_double(now, &job->now_ms))
		job->now_ms = (double)mr_wall_us() / 1000;
	if (seed && (seed->kind == MR_STRING || seed->kind == MR_NUMBER) && seed->text.n) {
		job->seed = seed->text;
		return;
	}
	uint64_t random[2];
	mr_random(random, sizeof random);
	job->seed = mr_arena_printf(&job->arena, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
}

/* The fanout has given the call up, for its code ended workers: what is left is to find out whether it was done before. */
static void read_refusal(struct mr_job *job)
{
	const struct mr_node *refuse = mr_node_get(job->message, "refuse");
	if (refuse && mr_job_writes(job))
		mr_job_set_verdict(job, refuse->raw);
}

static void read_claim(struct mr_job *job)
{
	if (!job->session.n || !mr_node_str(job->message, "call").n)
		return;
	job->claiming = true;
	read_record(job);
	uint64_t random[2];
	mr_random(random, sizeof random);
	snprintf(job->claim, sizeof job->claim, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
	job->tombstone = true;
	mr_buf_printf(&job->verdict,
		"{\"$error\":{\"code\":\"action_interrupted\",\"message\":\"The action was begun before, and its end is not known here; "
		"it is not run a second time.\",\"data\":{\"outcome\":\"unknown\"}},\"claim\":\"%s\"}",
		job->claim);
}

bool mr_job_read(struct mr_job *job, struct mr_error *err)
{
	const struct mr_node *m = job->message;
	job->args = mr_node_get(m, "args");
	job->auth = mr_node_get(m, "auth");
	if (job->auth && job->auth->kind != MR_MAP)
		job->auth = NULL;
	job->session = mr_node_str(m, "session");
	job->auth_session = mr_node_str(m, "sid");
	job->shared = mr_node_truth(m, "shared");
	struct mr_str snapshot = mr_node_str(m, "snapshot");
	read_frozen(job);
	job->snapshot = snapshot.n ? mr_arena_z(&job->arena, snapshot) : NULL;
	if (!read_kind(job, err))
		return false;
	if (job->kind == MR_JOB_ENTITY || job->kind == MR_JOB_READ) {
		job->act = mr_arena_str(&job->arena, mr_node_str(m, "fn"));
		job->entity = mr_entity_of(job->w, job->kind == MR_JOB_READ ? m : job->args, err);
		if (!job->entity)
			return false;
	} else if (!read_function(job, err)) {
		return false;
	}
	if (mr_job_writes(job))
		read_record(job);
	if (job->kind == MR_JOB_ACTION)
		read_claim(job);
	read_refusal(job);
	return true;
}
