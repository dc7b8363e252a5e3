#include "jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "choice.h"
#include "errors.h"
#include "hub.h"
#include "session.h"
#include "tasks.h"

enum { DEATHS_MAX = 2, LINE_DEPTH = 16 };

struct mr_job {
	struct mr_list in_worker; /* or in one of all->waiting */
	struct mr_worker *worker;
	struct mr_workers *all;
	struct mr_job_order *order;
	int deaths;                 /* workers that died while this one's code ran */
	int64_t since_us, given_us; /* ordered, given to the worker that has it */
	struct mr_buf message;
	bool abandoned; /* its worker was told; its answer goes nowhere */
	bool again;     /* it was given to a worker that is gone */
	bool slow;      /* it was given to its worker as one of a slow function */
	bool moved;     /* it was taken from a worker that was held up */
	bool refused;   /* what is left is that a worker finds out whether it was done before */
};

static struct mr_str key_of(const uint64_t *n)
{
	return (struct mr_str){(const char *)n, sizeof *n};
}

static bool is_action(const struct mr_job *j)
{
	return j->order->repeat == MR_REPEAT_NEVER;
}

/* What is left of a call that was refused runs none of its code. */
static bool is_slow(const struct mr_job *j)
{
	return !j->refused && mr_slow_is(j->all->slow, j->order->fn);
}

static void count_slow(struct mr_job *j, int by)
{
	if (!j->slow)
		return;
	j->worker->n_slow += (size_t)by;
	j->worker->slow_us = mr_mono_us();
}

static void leave_worker(struct mr_job *j)
{
	mr_list_del(&j->in_worker);
	if (j->worker) {
		j->worker->n_jobs--;
		j->worker->n_actions -= is_action(j);
		count_slow(j, -1);
	}
	j->worker = NULL;
	j->slow = false;
}

static void free_job(struct mr_job *j)
{
	leave_worker(j);
	mr_map_del(&j->all->jobs, key_of(&j->order->n));
	mr_buf_fini(&j->message);
	mr_job_order_delete(&j->order);
	free(j);
}

static enum mr_line line_of(const struct mr_job *j)
{
	if (is_slow(j))
		return is_action(j) ? MR_LINE_SLOW_ACTIONS : MR_LINE_SLOW_CALLS;
	return is_action(j) ? MR_LINE_ACTIONS : MR_LINE_CALLS;
}

static void wait_in_line(struct mr_job *j)
{
	mr_list_del(&j->in_worker);
	mr_list_add_tail(&j->all->waiting[line_of(j)], &j->in_worker);
}

static void look_soon(struct mr_workers *all)
{
	if (all->hub->settings.slow_slice && !mr_timer_running(all->held_up))
		mr_timer_start(all->held_up, all->hub->settings.slow_slice * 1000);
}

static void give(struct mr_job *j, struct mr_worker *w)
{
	mr_list_del(&j->in_worker);
	j->worker = w;
	j->slow = is_slow(j);
	j->given_us = mr_mono_us();
	count_slow(j, 1);
	look_soon(j->all);
	j->all->hub->counter[MR_C_SLOW_JOBS_TOTAL] += j->slow;
	w->n_jobs++;
	w->n_actions += is_action(j);
	mr_list_add_tail(&w->jobs, &j->in_worker);
	mr_link_send(w->link, mr_buf_view(&j->message));
}

void mr_job_order_delete(struct mr_job_order **order)
{
	if (!*order)
		return;
	mr_buf_fini(&(*order)->members);
	free((char *)(*order)->fn.p);
	free((char *)(*order)->session.p);
	free(*order);
	*order = NULL;
}

void mr_jobs_order(struct mr_workers *all, struct mr_job_order *order)
{
	struct mr_job *j = mr_alloc(sizeof *j);
	j->all = all;
	j->order = order;
	j->since_us = mr_mono_us();
	mr_list_init(&j->in_worker);
	mr_buf_printf(&j->message, "{\"n\":%" PRIu64 ",", order->n);
	mr_buf_str(&j->message, mr_buf_view(&order->members));
	mr_buf_char(&j->message, '}');
	mr_buf_fini(&order->members);
	mr_map_put(&all->jobs, key_of(&order->n), j);
	wait_in_line(j);
	mr_jobs_dispatch(all);
}

void mr_jobs_abandon(struct mr_workers *all, uint64_t n)
{
	struct mr_job *j = mr_map_get(&all->jobs, key_of(&n));
	if (!j)
		return;
	if (!j->worker) {
		free_job(j);
		return;
	}
	char text[64];
	int length = snprintf(text, sizeof text, "{\"t\":\"cancel\",\"n\":%" PRIu64 "}", n);
	j->abandoned = true;
	mr_link_send(j->worker->link, (struct mr_str){text, (size_t)length});
}

/* --- the end --- */

struct ending {
	struct mr_fanout *f;
	uint64_t n;
	struct mr_arena arena;
	struct mr_str text;
	struct mr_error err;
};

static void on_ending(void *arg)
{
	struct ending *e = arg;
	mr_task_end(e->f, e->n, &e->arena, e->text, e->err.code ? &e->err : NULL);
	free(e);
}

/* text: the answer, or empty with err. */
static void end(struct mr_job *j, struct mr_str text, const struct mr_error *err)
{
	struct ending *e = mr_alloc(sizeof *e);
	e->f = j->order->f;
	e->n = j->order->n;
	e->text = mr_arena_str(&e->arena, text);
	if (err)
		e->err = *err;
	bool wanted = !j->abandoned;
	free_job(j);
	if (wanted) {
		mr_loop_call(e->f->loop, on_ending, e);
		return;
	}
	mr_arena_fini(&e->arena);
	free(e);
}

static void fail(struct mr_job *j, const struct mr_error *err)
{
	end(j, (struct mr_str){0}, err);
}

void mr_jobs_answer(struct mr_worker *w, uint64_t n, struct mr_str text)
{
	struct mr_workers *all = w->all;
	struct mr_job *j = mr_map_get(&all->jobs, key_of(&n));
	if (j && j->worker == w)
		end(j, text, NULL);
	mr_jobs_dispatch(all);
}

/* --- what is said before the end --- */

struct part {
	struct mr_fanout *f;
	uint64_t n;
	struct mr_arena arena;
	struct mr_str text;
};

static void on_part(void *arg)
{
	struct part *p = arg;
	mr_task_take_part(p->f, p->n, &p->arena, p->text);
	free(p);
}

void mr_jobs_part(struct mr_worker *w, uint64_t n, struct mr_str text)
{
	const struct mr_job *j = mr_map_get(&w->all->jobs, key_of(&n));
	if (!j || j->worker != w || j->abandoned)
		return;
	struct part *p = mr_alloc(sizeof *p);
	p->f = j->order->f;
	p->n = n;
	p->text = mr_arena_str(&p->arena, text);
	mr_loop_call(p->f->loop, on_part, p);
}

/* --- console lines --- */

struct line {
	struct mr_fanout *f;
	struct mr_str session;
	struct mr_arena arena;
	struct mr_str text;
};

static void on_line(void *arg)
{
	struct line *l = arg;
	struct mr_error err;
	const struct mr_node *node = mr_json_read(&l->arena, l->text, LINE_DEPTH, false, &err);
	if (node)
		mr_sessions_console(l->f->sessions, l->session, node);
	mr_arena_fini(&l->arena);
	free(l);
}

void mr_jobs_console(struct mr_worker *w, uint64_t n, struct mr_str text)
{
	const struct mr_job *j = mr_map_get(&w->all->jobs, key_of(&n));
	if (!j || !j->order->session.n)
		return;
	struct line *l = mr_alloc(sizeof *l);
	l->f = j->order->f;
	l->session = mr_arena_str(&l->arena, j->order->session);
	l->text = mr_arena_str(&l->arena, text);
	mr_loop_call(l->f->loop, on_line, l);
}

/* --- workers that die --- */

static bool was_fatal(struct mr_job *j, bool ran, enum mr_reason reason, struct mr_error *err)
{
	const struct mr_settings *s = &j->all->hub->settings;
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
	if (++j->deaths < DEATHS_MAX)
		return false;
	return !mr_fail(err, MR_WORKER_CRASHED, "The worker died each time while it ran this function.");
}

/* Appends a member to the message. */
static void add_member(struct mr_job *j, struct mr_str member)
{
	j->message.n--; /* the brace */
	mr_buf_str(&j->message, member);
	mr_buf_char(&j->message, '}');
}

void mr_jobs_tell(struct mr_workers *all, uint64_t n, struct mr_str members)
{
	struct mr_job *j = mr_map_get(&all->jobs, key_of(&n));
	struct mr_buf b = {0};
	if (!j || j->abandoned)
		return;
	if (j->worker) {
		mr_buf_printf(&b, "{\"t\":\"part\",\"n\":%" PRIu64 ",", n);
		mr_buf_str(&b, members);
		mr_buf_char(&b, '}');
		mr_link_send(j->worker->link, mr_buf_view(&b));
	} else {
		mr_buf_char(&b, ',');
		mr_buf_str(&b, members);
		add_member(j, mr_buf_view(&b));
	}
	mr_buf_fini(&b);
}

/* A write that was given to several workers may have been done by one of them: it is refused by its record (CLOCK.md rule 10). */
static void refuse(struct mr_job *j, const struct mr_error *err)
{
	struct mr_buf member = {0};
	struct mr_enc e;
	j->refused = true;
	mr_buf_z(&member, ",\"refuse\":");
	mr_enc_init(&e, &member, MR_JSON);
	mr_enc_error(&e, err);
	add_member(j, mr_buf_view(&member));
	mr_buf_fini(&member);
}

/* To another worker, which is told that it may have been done. */
static void give_again(struct mr_job *j)
{
	if (j->order->repeat == MR_REPEAT_RECORDED && !j->again)
		add_member(j, MR_STR(",\"again\":true"));
	j->again = true;
	wait_in_line(j);
}

/* What it did, it did. */
static void interrupt(struct mr_job *j)
{
	struct mr_error err;
	mr_fail_data(&err, MR_ACTION_INTERRUPTED, "{\"outcome\":\"unknown\"}",
		"The action's worker died or was replaced; how far the action came is not known, and it is not run a second time.");
	fail(j, &err);
}

void mr_jobs_orphaned(struct mr_worker *w, uint64_t running, enum mr_reason reason)
{
	MR_LIST_FOR (e, &w->jobs) {
		struct mr_job *j = MR_CONTAINER(e, struct mr_job, in_worker);
		struct mr_error err;
		leave_worker(j);
		if (j->order->n == running && !j->refused)
			mr_workers_slow_death(w->all, j->order->fn, reason);
		if (j->abandoned) {
			free_job(j);
		} else if (!j->refused && was_fatal(j, j->order->n == running, reason, &err)) {
			if (j->order->repeat == MR_REPEAT_RECORDED) {
				refuse(j, &err);
				give_again(j);
			} else {
				fail(j, &err);
			}
		} else if (is_action(j)) {
			interrupt(j);
		} else {
			w->all->hub->counter[MR_C_CALLS_RESENT_TOTAL]++;
			give_again(j);
		}
	}
}

static void dispatch(struct mr_workers *all, enum mr_line line, int64_t now_us)
{
	struct mr_list *waiting = &all->waiting[line];
	while (!mr_list_empty(waiting)) {
		struct mr_job *j = MR_CONTAINER(waiting->next, struct mr_job, in_worker);
		if (is_slow(j) && !mr_line_is_slow(line)) {
			wait_in_line(j); /* its function has become slow meanwhile */
			continue;
		}
		struct mr_worker *w = mr_choose(all, line, now_us);
		if (!w)
			return;
		give(j, w);
	}
}

void mr_jobs_dispatch(struct mr_workers *all)
{
	int64_t now_us = mr_mono_us();
	for (int line = 0; line < MR_LINES; line++)
		dispatch(all, line, now_us);
}

/* --- workers that are held up --- */

/* It was given after the slice began in which the worker is: so the worker has not read it. It may in the very moment in which it is given
 * to another; then a write is done once all the same, by its record, and what only reads is read twice. But an action is never given again.
 */
static bool may_move(const struct mr_job *j, int64_t slice_us, int64_t now_us)
{
	if (j->moved || j->abandoned || is_action(j) || j->given_us <= slice_us)
		return false;
	const struct mr_worker *to = mr_choose(j->all, line_of(j), now_us);
	return to && to != j->worker && !mr_worker_stuck_us(to, now_us);
}

static void move(struct mr_job *j)
{
	char text[64];
	int length = snprintf(text, sizeof text, "{\"t\":\"forget\",\"n\":%" PRIu64 "}", j->order->n);
	mr_link_send(j->worker->link, (struct mr_str){text, (size_t)length});
	leave_worker(j);
	j->moved = true;
	j->all->hub->counter[MR_C_CALLS_MOVED_TOTAL]++;
	give_again(j);
}

void mr_jobs_held_up(struct mr_workers *all)
{
	int64_t now_us = mr_mono_us();
	MR_LIST_FOR (e, &all->workers) {
		struct mr_worker *w = MR_CONTAINER(e, struct mr_worker, in_workers);
		int64_t slice_us = mr_worker_stuck_us(w, now_us);
		if (!slice_us)
			continue;
		MR_LIST_FOR (f, &w->jobs) {
			struct mr_job *j = MR_CONTAINER(f, struct mr_job, in_worker);
			if (may_move(j, slice_us, now_us))
				move(j);
		}
	}
	mr_jobs_dispatch(all);
	if (all->jobs.n)
		look_soon(all);
}

/* --- what waits too long --- */

static void give_up(struct mr_job *j)
{
	const struct mr_settings *s = &j->all->hub->settings;
	struct mr_error err;
	if (is_slow(j))
		mr_fail_data(&err, MR_NO_WORKERS, j->order->repeat == MR_REPEAT_RECORDED && j->again ? "{\"outcome\":\"unknown\"}" : "",
			"No worker for slow functions (slow_slice) took this for %lld ms (call_time_limit); the server's log says why "
			"the function is slow.",
			(long long)s->call_time_limit);
	else if (is_action(j) && mr_choose(j->all, MR_LINE_CALLS, mr_mono_us()))
		mr_fail_data(&err, MR_TOO_MANY_CALLS, "{\"setting\":\"worker_actions\"}",
			"The action waited %lld ms for its turn (call_time_limit): each worker runs %lld of them (worker_actions).",
			(long long)s->call_time_limit, (long long)s->worker_actions);
	else
		mr_fail_data(&err, MR_NO_WORKERS, j->order->repeat == MR_REPEAT_RECORDED && j->again ? "{\"outcome\":\"unknown\"}" : "",
			"No worker took this for %lld ms (call_time_limit); the server's log says why none runs.",
			(long long)s->call_time_limit);
	fail(j, &err);
}

static void look_at(struct mr_workers *all, struct mr_list *waiting)
{
	int64_t limit = all->hub->settings.call_time_limit * 1000, now = mr_mono_us();
	MR_LIST_FOR (e, waiting) {
		struct mr_job *j = MR_CONTAINER(e, struct mr_job, in_worker);
		if (now - j->since_us < limit)
			continue;
		give_up(j);
		return; /* the list may have changed; the next one goes at the next look */
	}
}

void mr_jobs_overdue(struct mr_workers *all)
{
	for (int line = 0; line < MR_LINES; line++)
		look_at(all, &all->waiting[line]);
}

void mr_jobs_delete_all(struct mr_workers *all)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->jobs, &i, &key, &value);)
		free_job(value);
}
