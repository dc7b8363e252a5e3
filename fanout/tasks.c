#include "tasks.h"

#include <inttypes.h>
#include <stdlib.h>

#include "hub.h"
#include "jobs.h"
#include "proto/ground/hash.h"
#include "session.h"

enum { REPLY_DEPTH = 5000, THREAD_SHIFT = 44 };

struct mr_task {
	struct mr_fanout *f;
	uint64_t n;
	mr_task_done *done;
	void *arg;
};

struct mr_tasks {
	struct mr_map by_n;
	uint64_t last;
};

struct mr_tasks *mr_tasks_new(struct mr_fanout *f)
{
	return mr_alloc(sizeof(struct mr_tasks));
}

static struct mr_str key_of(const uint64_t *n)
{
	return (struct mr_str){(const char *)n, sizeof *n};
}

static void free_task(struct mr_task *t)
{
	mr_map_del(&t->f->tasks->by_n, key_of(&t->n));
	free(t);
}

void mr_tasks_delete(struct mr_tasks **tasks)
{
	struct mr_tasks *all = *tasks;
	*tasks = NULL;
	if (!all)
		return;
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->by_n, &i, &key, &value);)
		free_task(value);
	mr_map_fini(&all->by_n);
	free(all);
}

static void on_order(void *arg)
{
	struct mr_job_order *order = arg;
	mr_jobs_order(order->f->hub->workers, order);
}

struct mr_task *mr_task_new(
	struct mr_fanout *f, struct mr_buf *members, struct mr_str session, bool recorded, mr_task_done *done, void *arg)
{
	struct mr_task *t = mr_alloc(sizeof *t);
	*t = (struct mr_task){.f = f, .n = (uint64_t)f->index << THREAD_SHIFT | ++f->tasks->last, .done = done, .arg = arg};
	mr_map_put(&f->tasks->by_n, key_of(&t->n), t);
	struct mr_job_order *order = mr_alloc(sizeof *order);
	*order = (struct mr_job_order){.f = f, .n = t->n, .members = *members, .recorded = recorded};
	if (session.n)
		order->session = (struct mr_str){mr_strndup(session.p, session.n), session.n};
	*members = (struct mr_buf){0};
	mr_loop_call(f->hub->loop, on_order, order);
	return t;
}

struct abandoned {
	struct mr_fanout *f;
	uint64_t n;
};

static void on_abandoned(void *arg)
{
	struct abandoned *a = arg;
	mr_jobs_abandon(a->f->hub->workers, a->n);
	free(a);
}

void mr_task_abandon(struct mr_task **task)
{
	struct mr_task *t = *task;
	*task = NULL;
	if (!t)
		return;
	struct abandoned *a = mr_alloc(sizeof *a);
	*a = (struct abandoned){t->f, t->n};
	free_task(t);
	mr_loop_call(a->f->hub->loop, on_abandoned, a);
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

void mr_task_end(struct mr_fanout *f, uint64_t n, struct mr_arena *arena, struct mr_str text, const struct mr_error *err)
{
	struct mr_task *t = mr_map_get(&f->tasks->by_n, key_of(&n));
	struct mr_error damaged;
	if (t) {
		mr_task_done *done = t->done;
		void *arg = t->arg;
		const struct mr_node *reply = err ? NULL : mr_json_read(arena, text, REPLY_DEPTH, false, &damaged);
		free_task(t);
		done(arg, reply, arena, reply ? NULL : err ? err : &damaged);
	}
	mr_arena_fini(arena);
	mr_sessions_advance(f->sessions);
}
