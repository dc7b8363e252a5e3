/* Functions that run later: those that this worker has claimed, each a job (job.c) that is nobody's call. A mutation writes its own end in
 * its transaction; all other ends are written by the next turn (scheduler_turn.c).
 */
#include "scheduler.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/fault.h"

#define SCHEDULED MR_STR("_scheduled_functions")

enum { LATE_MS = 1000 };

/* ---- what runs ---- */

int mr_scheduler_places(const struct mr_scheduler *s)
{
	const struct mr_worker *w = s->w;
	if (w->draining || w->retiring || s->mutations >= 2 * mr_jobs_scheduled_share(w))
		return 0;
	return MR_MAX((int)w->settings.scheduler_jobs - s->n, 0);
}

void mr_scheduled_free(struct mr_scheduled *x)
{
	struct mr_scheduler *s = x->s;
	MR_ASSERT(!x->job);
	mr_list_del(&x->node);
	s->n--;
	s->mutations -= !x->action;
	mr_buf_fini(&x->why);
	free(x);
	if (s->more)
		mr_scheduler_soon(s->w);
	mr_jobs_maybe_exit(s->w);
}

static struct mr_scheduled *find(struct mr_scheduler *s, struct mr_str id)
{
	MR_LIST_FOR (e, &s->jobs) {
		struct mr_scheduled *x = MR_CONTAINER(e, struct mr_scheduled, node);
		if (!x->gone && mr_str_is(id, x->id))
			return x;
	}
	return NULL;
}

static void print_message(struct mr_buf *b, const struct mr_node *claimed)
{
	mr_call_print(b, claimed);
	mr_buf_z(b, "null}");
}

void mr_scheduled_begin(struct mr_scheduler *s, const struct mr_node *claimed)
{
	int64_t late = 0;
	struct mr_str id = mr_node_str(claimed, "id"), place = mr_node_str(claimed, "place");
	struct mr_scheduled *old = find(s, id), *x = mr_alloc(sizeof *x);
	if (old) /* it was taken for lost, given back, and is this worker's again */
		mr_scheduled_gone(s, id);
	x->s = s;
	x->action = mr_str_is(mr_node_str(claimed, "kind"), "action");
	snprintf(x->id, sizeof x->id, "%.*s", (int)id.n, id.p);
	snprintf(x->place, sizeof x->place, "%.*s", (int)place.n, place.p);
	mr_node_int(mr_node_get(claimed, "attempt"), &x->attempt);
	mr_node_int(mr_node_get(claimed, "late"), &late);
	s->late += late > LATE_MS;
	mr_list_add_tail(&s->jobs, &x->node);
	s->n++;
	s->mutations += !x->action;
	struct mr_buf text = {0};
	struct mr_arena arena = {0};
	struct mr_error err;
	print_message(&text, claimed);
	const struct mr_node *message = mr_json_read(&arena, mr_arena_str(&arena, mr_buf_view(&text)), 1024, false, &err);
	mr_buf_fini(&text);
	MR_ASSERT(message);
	mr_job_start_scheduled(s->w, x, &arena, message);
	mr_arena_fini(&arena);
}

void mr_scheduled_is(struct mr_scheduled *x, struct mr_job *job)
{
	x->job = job;
}

static void on_written(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg)
{
	struct mr_job *job = arg;
	if (job->answered || job->step != MR_JOB_RUNNING)
		return;
	if (err)
		mr_job_failed(job, err);
	else
		mr_job_commit(job, MR_STR("null"));
}

void mr_scheduled_end(struct mr_job *job)
{
	const struct mr_scheduled *x = job->scheduled;
	mr_txn_end_job(job->txn, mr_str(x->place), mr_str(x->id), x->attempt, on_written, job);
}

/* ---- their ends ---- */

static void ended(struct mr_scheduled *x, const char *how, struct mr_str why)
{
	x->how = how;
	mr_buf_str(&x->why, why);
	mr_scheduler_soon(x->s->w);
}

static struct mr_scheduled *taken_off(struct mr_job *job)
{
	struct mr_scheduled *x = job->scheduled;
	MR_ASSERT(!job->answered && x->job == job);
	job->answered = true;
	x->job = NULL;
	return x;
}

static void fail(struct mr_scheduled *x, const struct mr_job *job, struct mr_str json)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *info = mr_json_read(&a, mr_arena_str(&a, json), 1024, false, &err);
	struct mr_str name = mr_node_str(info, "code"), message = mr_node_str(info, "message");
	enum mr_code code = mr_code_by_name(name.p ? name.p : "", name.n);
	mr_log(code == MR_JOB_LOST ? MR_INFO : MR_WARN, "%s: job %s, attempt %" PRId64 ": %.*s", job->fn ? job->fn->name.p : "a function",
		x->id, x->attempt, (int)message.n, message.p ? message.p : "");
	bool passing = !x->action && strcmp(mr_code_retry(code), "never") != 0;
	if (code == MR_JOB_LOST)
		mr_scheduled_free(x);
	else
		ended(x, passing ? "lost" : "failed", json);
	mr_arena_fini(&a);
}

void mr_scheduled_answered(struct mr_job *job, bool ok, struct mr_str json)
{
	struct mr_scheduled *x = taken_off(job);
	if (x->gone) {
		mr_log(MR_INFO, "%s: job %s was canceled, or is another worker's by now; it is stopped", job->fn->name.p, x->id);
		mr_scheduled_free(x);
	} else if (!ok) {
		fail(x, job, json);
	} else if (x->action) {
		ended(x, "success", MR_STR(""));
	} else {
		x->s->done++;
		mr_scheduled_free(x);
	}
}

void mr_scheduled_back(struct mr_job *job)
{
	ended(taken_off(job), "back", MR_STR(""));
}

void mr_scheduled_gone(struct mr_scheduler *s, struct mr_str id)
{
	struct mr_scheduled *x = find(s, id);
	if (!x || !x->job)
		return; /* its end will find that out */
	x->gone = true;
	mr_job_cancel_inner(x->job);
}

/* ---- scheduling ---- */

bool mr_scheduler_admits(struct mr_op *op, const struct mr_entity *e, const struct mr_node *value, struct mr_error *err)
{
	const struct mr_settings *s = &op->job->w->settings;
	if (!mr_str_eq(e->name, SCHEDULED))
		return true;
	const struct mr_node *args = mr_node_get(value, "args");
	op->job->schedules = true;
	if (++op->job->run.scheduled > s->scheduler_max_scheduled)
		return mr_fail_data(err, MR_TOO_MANY_SCHEDULED, "{\"setting\":\"scheduler_max_scheduled\"}",
			"The call schedules more than %" PRId64
			" functions (scheduler_max_scheduled); let one that it schedules schedule others.",
			s->scheduler_max_scheduled);
	if (args && args->raw.n > (size_t)s->scheduler_max_args)
		return mr_fail_data(err, MR_TOO_LARGE, "{\"setting\":\"scheduler_max_args\"}",
			"The arguments of a scheduled function have %zu bytes, more than %" PRId64
			" (scheduler_max_args); keep them in a row and pass its id.",
			args->raw.n, s->scheduler_max_args);
	return true;
}

/* ---- life ---- */

static bool is_named(const struct mr_node *names, struct mr_str name)
{
	for (size_t i = 0; names && i < names->n; i++)
		if (mr_str_eq(names->items[i].text, name))
			return true;
	return false;
}

static void print_known(struct mr_buf *b, const struct mr_app *app, const struct mr_node *but)
{
	mr_buf_char(b, '{');
	for (size_t i = 0; i < app->n_fns; i++)
		if (app->fns[i].kind != MR_FN_QUERY && !is_named(but, app->fns[i].name))
			mr_buf_printf(b, "%s\"%s\"", b->n > 1 ? "," : "", app->fns[i].name.p);
	mr_buf_char(b, '}');
}

static void name_self(struct mr_scheduler *s)
{
	uint8_t r[16];
	mr_random(r, sizeof r);
	r[6] = (uint8_t)((r[6] & 15) | 0x40);
	r[8] = (uint8_t)((r[8] & 63) | 0x80);
	snprintf(s->me, sizeof s->me, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3], r[4],
		r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
}

void mr_scheduler_start(struct mr_worker *w)
{
	bool has_jobs = mr_app_entity(w->app, SCHEDULED) != NULL; /* not in manifests that the SDK did not print */
	if (w->scheduler || !has_jobs || !w->settings.scheduler_jobs)
		return;
	struct mr_scheduler *s = mr_alloc(sizeof *s);
	s->w = w;
	mr_list_init(&s->jobs);
	name_self(s);
	print_known(&s->known, w->app, NULL);
	s->timer = mr_timer_new(w->loop, mr_scheduler_turn, s);
	w->scheduler = s;
	mr_scheduler_soon(w);
}

void mr_scheduler_leave(struct mr_worker *w, const struct mr_node *names)
{
	struct mr_scheduler *s = w->scheduler;
	if (!s)
		return;
	mr_buf_reset(&s->known);
	print_known(&s->known, w->app, names);
	mr_scheduler_soon(w);
}

void mr_scheduler_soon(struct mr_worker *w)
{
	struct mr_scheduler *s = w->scheduler;
	if (!s)
		return;
	if (s->turning)
		s->again = true;
	else
		mr_timer_start(s->timer, 0);
}

const char *mr_scheduler_holder(const struct mr_worker *w)
{
	return w->scheduler ? w->scheduler->me : NULL;
}

void mr_scheduler_lost(struct mr_worker *w, struct mr_str holder)
{
	struct mr_scheduler *s = w->scheduler;
	uint8_t uuid[16];
	if (!s || !mr_uuid_read(holder, uuid))
		return;
	mr_buf_str(&s->lost, holder);
	mr_buf_char(&s->lost, ',');
	mr_scheduler_soon(w);
}

bool mr_scheduler_idle(const struct mr_worker *w)
{
	return !w->scheduler || (mr_list_empty(&w->scheduler->jobs) && !w->scheduler->turning);
}
