#include "tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "errors.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "session.h"
#include "workers.h"

enum { REPLY_DEPTH = 5000, DEATHS_MAX = 2 };

struct mr_task {
	struct mr_list in_worker; /* or in all->waiting */
	struct mr_worker *worker;
	struct mr_workers *all;
	uint64_t n;
	int deaths; /* workers that died while this one's code ran */
	int64_t since_us;
	struct mr_str session; /* heap */
	struct mr_buf message;
	mr_task_done *done; /* NULL: abandoned */
	void *arg;
	bool recorded;
	bool again;   /* it was given to a worker that is gone */
	bool refused; /* what is left is that a worker finds out whether it was done before */
};

static struct mr_str key_of(const struct mr_task *t)
{
	return (struct mr_str){(const char *)&t->n, sizeof t->n};
}

static void leave_worker(struct mr_task *t)
{
	mr_list_del(&t->in_worker);
	if (t->worker)
		t->worker->n_tasks--;
	t->worker = NULL;
}

static void free_task(struct mr_task *t)
{
	leave_worker(t);
	mr_map_del(&t->all->tasks, key_of(t));
	mr_buf_fini(&t->message);
	free((char *)t->session.p);
	free(t);
}

static void give(struct mr_task *t, struct mr_worker *w)
{
	mr_list_del(&t->in_worker);
	t->worker = w;
	w->n_tasks++;
	mr_list_add_tail(&w->tasks, &t->in_worker);
	mr_link_send(w->link, mr_buf_view(&t->message));
}

static void dispatch(struct mr_task *t)
{
	struct mr_worker *w = mr_workers_least_busy(t->all);
	if (w)
		give(t, w);
	else
		mr_list_add_tail(&t->all->waiting, &t->in_worker);
}

struct mr_task *mr_task_new(struct mr_fanout *f, struct mr_buf *members, struct mr_str session, mr_task_done *done, void *arg)
{
	struct mr_workers *all = f->workers;
	struct mr_task *t = mr_alloc(sizeof *t);
	t->all = all;
	t->n = ++all->last_task;
	t->since_us = mr_mono_us();
	t->done = done;
	t->arg = arg;
	t->session = (struct mr_str){session.n ? mr_strndup(session.p, session.n) : NULL, session.n};
	mr_list_init(&t->in_worker);
	mr_buf_printf(&t->message, "{\"n\":%" PRIu64 ",", t->n);
	mr_buf_str(&t->message, mr_buf_view(members));
	mr_buf_char(&t->message, '}');
	mr_buf_fini(members);
	mr_map_put(&all->tasks, key_of(t), t);
	dispatch(t);
	return t;
}

void mr_task_abandon(struct mr_task **task)
{
	struct mr_task *t = *task;
	*task = NULL;
	if (!t)
		return;
	t->done = NULL;
	if (!t->worker) {
		free_task(t);
		return;
	}
	char text[64];
	int n = snprintf(text, sizeof text, "{\"t\":\"cancel\",\"n\":%" PRIu64 "}", t->n);
	mr_link_send(t->worker->link, (struct mr_str){text, (size_t)n});
}

void mr_task_add_time(struct mr_buf *members)
{
	uint8_t raw[16];
	struct mr_buf seed = {0};
	mr_random(raw, sizeof raw);
	mr_hex(&seed, (struct mr_str){(const char *)raw, sizeof raw});
	mr_buf_printf(members, "\"now\":%" PRId64 ",\"seed\":\"%s\"", mr_wall_us() / 1000, seed.p);
	mr_buf_fini(&seed);
}

static void end(struct mr_task *t, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err)
{
	mr_task_done *done = t->done;
	void *arg = t->arg;
	free_task(t);
	if (done)
		done(arg, reply, arena, err);
}

static void fail(struct mr_task *t, const struct mr_error *err)
{
	struct mr_arena none = {0};
	end(t, NULL, &none, err);
}

static struct mr_task *find(struct mr_workers *all, const struct mr_node *message)
{
	int64_t n;
	if (!mr_node_int(mr_node_get(message, "n"), &n))
		return NULL;
	uint64_t key = (uint64_t)n;
	return mr_map_get(&all->tasks, (struct mr_str){(const char *)&key, sizeof key});
}

void mr_tasks_answer(struct mr_worker *w, struct mr_str text, const struct mr_node *message)
{
	struct mr_task *t = find(w->all, message);
	if (!t || t->worker != w)
		return;
	/* The answer may outlive the frame: it is read again from a copy in an arena of its own. */
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *reply = mr_json_read(&a, mr_arena_str(&a, text), REPLY_DEPTH, false, &err);
	end(t, reply, &a, reply ? NULL : &err);
	mr_arena_fini(&a);
	mr_tasks_dispatch(w->all);
}

void mr_tasks_console(struct mr_worker *w, const struct mr_node *message)
{
	struct mr_task *t = find(w->all, message);
	if (t && t->session.n)
		mr_sessions_console(w->all->f->sessions, t->session, message);
}

static bool was_fatal(struct mr_task *t, bool ran, enum mr_reason reason, struct mr_error *err)
{
	const struct mr_settings *s = &t->all->f->settings;
	if (!ran)
		return false;
	if (reason == MR_REASON_TIME)
		return !mr_fail_data(err, MR_TIME_LIMIT, "{\"setting\":\"function_time_limit\"}",
			"The function ran longer than %lld ms of CPU without a pause (function_time_limit).",
			(long long)s->function_time_limit);
	if (reason == MR_REASON_MEMORY)
		return !mr_fail_data(err, MR_MEMORY_LIMIT, "{\"setting\":\"worker_memory_limit\"}",
			"The function took its worker above %lld bytes of memory (worker_memory_limit).",
			(long long)s->worker_memory_limit);
	/* It may have been killed for no fault of this function: it gets a second chance. */
	if (++t->deaths < DEATHS_MAX)
		return false;
	return !mr_fail(err, MR_WORKER_CRASHED, "The worker died each time while it ran this function.");
}

/* A write that was given to several workers may have been done by one of them: it is refused by its record (CLOCK.md rule 10). */
static void refuse(struct mr_task *t, const struct mr_error *err)
{
	struct mr_enc e;
	t->refused = true;
	t->message.n--; /* the brace */
	mr_buf_z(&t->message, ",\"refuse\":");
	mr_enc_init(&e, &t->message, MR_JSON);
	mr_enc_error(&e, err);
	mr_buf_char(&t->message, '}');
}

/* To another worker, which is told that it may have been done. */
static void give_again(struct mr_task *t)
{
	if (t->recorded && !t->again) {
		t->message.n--;
		mr_buf_z(&t->message, ",\"again\":true}");
	}
	t->again = true;
	mr_list_add_tail(&t->all->waiting, &t->in_worker);
}

void mr_task_is_recorded(struct mr_task *task)
{
	task->recorded = true;
}

void mr_tasks_orphaned(struct mr_worker *w, uint64_t running, enum mr_reason reason)
{
	MR_LIST_FOR (e, &w->tasks) {
		struct mr_task *t = MR_CONTAINER(e, struct mr_task, in_worker);
		struct mr_error err;
		leave_worker(t);
		if (!t->done) {
			free_task(t);
		} else if (!t->refused && was_fatal(t, t->n == running, reason, &err)) {
			if (t->recorded) {
				refuse(t, &err);
				give_again(t);
			} else {
				fail(t, &err);
			}
		} else {
			w->all->f->counter[MR_C_CALLS_RESENT_TOTAL]++;
			give_again(t);
		}
	}
}

void mr_tasks_dispatch(struct mr_workers *all)
{
	while (!mr_list_empty(&all->waiting)) {
		struct mr_worker *w = mr_workers_least_busy(all);
		if (!w)
			return;
		give(MR_CONTAINER(all->waiting.next, struct mr_task, in_worker), w);
	}
}

void mr_tasks_overdue(struct mr_workers *all)
{
	int64_t limit = all->f->settings.call_time_limit * 1000, now = mr_mono_us();
	MR_LIST_FOR (e, &all->waiting) {
		struct mr_task *t = MR_CONTAINER(e, struct mr_task, in_worker);
		struct mr_error err;
		if (now - t->since_us < limit)
			continue;
		mr_fail_data(&err, MR_NO_WORKERS, t->recorded && t->again ? "{\"outcome\":\"unknown\"}" : "",
			"No worker took this for %lld ms (call_time_limit); the server's log says why none runs.",
			(long long)(limit / 1000));
		fail(t, &err);
		return; /* the list may have changed; the next one goes at the next look */
	}
}

void mr_tasks_delete_all(struct mr_workers *all)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->tasks, &i, &key, &value);)
		free_task(value);
}
