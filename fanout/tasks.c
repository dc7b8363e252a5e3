#include "tasks.h"

#include <inttypes.h>
#include <stdlib.h>

#include "aside.h"
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
	struct mr_app *app; /* of the entity whose rows are wanted, held; NULL: none are */
	const struct mr_entity *entity;
	struct mr_rows *rows;
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
	mr_app_drop(&t->app);
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

void mr_task_want_rows(struct mr_task *t, struct mr_app *app, const struct mr_entity *e, struct mr_rows *into)
{
	t->app = mr_app_hold(app);
	t->entity = e;
	t->rows = into;
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

/* --- the end --- */

struct end {
	struct mr_fanout *f;
	uint64_t n;
	struct mr_arena arena;
	struct mr_str text;
	struct mr_app *app;
	const struct mr_entity *entity;
	const struct mr_node *reply;
	struct mr_rows rows;
	struct mr_error err; /* its code is 0 when there is a reply */
};

static void read_reply(void *arg)
{
	struct end *e = arg;
	e->reply = mr_json_read(&e->arena, e->text, REPLY_DEPTH, false, &e->err);
	if (e->reply && e->entity)
		mr_rows_read(&e->rows, e->entity, mr_node_get(e->reply, "rows"));
}

/* It may have been abandoned meanwhile. */
static void tell(void *arg)
{
	struct end *e = arg;
	struct mr_task *t = mr_map_get(&e->f->tasks->by_n, key_of(&e->n));
	if (t) {
		mr_task_done *done = t->done;
		void *to = t->arg;
		if (t->rows)
			*t->rows = e->rows;
		else
			mr_rows_fini(&e->rows);
		free_task(t);
		done(to, e->reply, &e->arena, e->reply ? NULL : &e->err);
	} else {
		mr_rows_fini(&e->rows);
	}
	mr_arena_fini(&e->arena);
	mr_app_drop(&e->app);
	mr_sessions_advance(e->f->sessions);
	free(e);
}

void mr_task_end(struct mr_fanout *f, uint64_t n, struct mr_arena *arena, struct mr_str text, const struct mr_error *err)
{
	const struct mr_task *t = mr_map_get(&f->tasks->by_n, key_of(&n));
	struct end *e = mr_alloc(sizeof *e);
	*e = (struct end){.f = f, .n = n, .arena = *arena, .text = text};
	if (t && t->app) {
		e->app = mr_app_hold(t->app);
		e->entity = t->entity;
	}
	if (err)
		e->err = *err;
	bool reads = t && !err;
	if (reads && text.n >= MR_ASIDE_BYTES) {
		mr_aside_do(f->hub->aside, f->loop, read_reply, tell, e);
		return;
	}
	if (reads)
		read_reply(e);
	tell(e);
}
