#include "tasks.h"

#include <inttypes.h>
#include <stdlib.h>

#include "aside.h"
#include "hub.h"
#include "jobs.h"
#include "proto/ground/hash.h"
#include "session.h"

enum { REPLY_DEPTH = 5000, THREAD_SHIFT = 44, READINGS_OF_WORKER = 4 };

struct mr_task {
	struct mr_fanout *f;
	uint64_t n;
	mr_task_done *done;
	mr_task_part *part; /* NULL: its parts are of no account */
	void *arg;
	bool reading;               /* what live queries ask */
	bool outline;               /* the value of its reply stays text */
	struct mr_job_order *order; /* a reading that waits until others have ended; NULL: it is out */
	struct mr_list in_waiting;
	struct mr_app *app; /* of the entity whose rows are wanted, held; NULL: none are */
	const struct mr_entity *entity;
	struct mr_rows *rows;
};

struct mr_tasks {
	struct mr_map by_n;
	uint64_t last;
	struct mr_list waiting; /* readings */
	int64_t n_out;          /* readings that are under way */
};

struct mr_tasks *mr_tasks_new(struct mr_fanout *f)
{
	struct mr_tasks *all = mr_alloc(sizeof *all);
	mr_list_init(&all->waiting);
	return all;
}

static struct mr_str key_of(const uint64_t *n)
{
	return (struct mr_str){(const char *)n, sizeof *n};
}

static void free_task(struct mr_task *t)
{
	t->f->tasks->n_out -= t->reading && !t->order;
	mr_job_order_delete(&t->order);
	mr_list_del(&t->in_waiting);
	mr_map_del(&t->f->tasks->by_n, key_of(&t->n));
	mr_app_drop(&t->app);
	free(t);
}

void mr_tasks_delete(struct mr_tasks **tasks)
{
	struct mr_tasks *all = *tasks;
	if (!all)
		return;
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->by_n, &i, &key, &value);)
		free_task(value);
	mr_map_fini(&all->by_n);
	free(all);
	*tasks = NULL;
}

static void on_order(void *arg)
{
	struct mr_job_order *order = arg;
	mr_jobs_order(order->f->hub->workers, order);
}

static struct mr_str copy(struct mr_str s)
{
	return s.n ? (struct mr_str){mr_strndup(s.p, s.n), s.n} : (struct mr_str){0};
}

static struct mr_task *make(struct mr_fanout *f, struct mr_buf *members, struct mr_str fn, struct mr_str session, enum mr_repeat repeat,
	mr_task_done *done, void *arg)
{
	struct mr_task *t = mr_alloc(sizeof *t);
	*t = (struct mr_task){.f = f, .n = (uint64_t)f->index << THREAD_SHIFT | ++f->tasks->last, .done = done, .arg = arg};
	mr_map_put(&f->tasks->by_n, key_of(&t->n), t);
	struct mr_job_order *order = mr_alloc(sizeof *order);
	*order = (struct mr_job_order){.f = f, .n = t->n, .members = *members, .fn = copy(fn), .session = copy(session), .repeat = repeat};
	*members = (struct mr_buf){0};
	mr_list_init(&t->in_waiting);
	t->order = order;
	return t;
}

static void send(struct mr_task *t)
{
	struct mr_job_order *order = t->order;
	t->order = NULL;
	t->f->tasks->n_out += t->reading;
	t->f->counter[MR_C_READINGS_TOTAL] += t->reading;
	mr_loop_call(t->f->hub->loop, on_order, order);
}

struct mr_task *mr_task_new(struct mr_fanout *f, struct mr_buf *members, struct mr_str fn, struct mr_str session, enum mr_repeat repeat,
	mr_task_done *done, void *arg)
{
	struct mr_task *t = make(f, members, fn, session, repeat, done, arg);
	send(t);
	return t;
}

static void send_waiting(struct mr_fanout *f)
{
	struct mr_tasks *all = f->tasks;
	int64_t most = READINGS_OF_WORKER * MR_MAX(mr_hub_count(f->hub, MR_C_WORKERS), (int64_t)1);
	while (!mr_list_empty(&all->waiting) && all->n_out < most) {
		struct mr_task *t = MR_CONTAINER(all->waiting.next, struct mr_task, in_waiting);
		mr_list_del(&t->in_waiting);
		send(t);
	}
}

struct mr_task *mr_task_reading(struct mr_fanout *f, struct mr_buf *members, struct mr_str fn, mr_task_done *done, void *arg)
{
	struct mr_task *t = make(f, members, fn, (struct mr_str){0}, MR_REPEAT_FREELY, done, arg);
	t->reading = true;
	mr_list_add_tail(&f->tasks->waiting, &t->in_waiting);
	send_waiting(f);
	return t;
}

void mr_task_want_rows(struct mr_task *t, struct mr_app *app, const struct mr_entity *e, struct mr_rows *into)
{
	t->app = mr_app_hold(app);
	t->entity = e;
	t->rows = into;
}

void mr_task_leave_value(struct mr_task *t)
{
	t->outline = true;
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
	struct mr_fanout *f = t->f;
	struct abandoned *a = t->order ? NULL : mr_alloc(sizeof *a);
	if (a)
		*a = (struct abandoned){f, t->n};
	free_task(t);
	if (a)
		mr_loop_call(f->hub->loop, on_abandoned, a);
	send_waiting(f);
}

/* --- parts --- */

void mr_task_listen(struct mr_task *t, mr_task_part *part)
{
	t->part = part;
}

struct said {
	struct mr_fanout *f;
	uint64_t n;
	struct mr_buf members;
};

static void on_said(void *arg)
{
	struct said *s = arg;
	mr_jobs_tell(s->f->hub->workers, s->n, mr_buf_view(&s->members));
	mr_buf_fini(&s->members);
	free(s);
}

void mr_task_tell(const struct mr_task *t, struct mr_buf *members)
{
	struct said *s = mr_alloc(sizeof *s);
	*s = (struct said){t->f, t->n, *members};
	*members = (struct mr_buf){0};
	mr_loop_call(t->f->hub->loop, on_said, s);
}

void mr_task_take_part(struct mr_fanout *f, uint64_t n, struct mr_arena *arena, struct mr_str text)
{
	const struct mr_task *t = mr_map_get(&f->tasks->by_n, key_of(&n));
	struct mr_error err;
	const struct mr_node *part = t && t->part ? mr_json_read(arena, text, REPLY_DEPTH, false, &err) : NULL;
	if (part)
		t->part(t->arg, part, arena);
	mr_arena_fini(arena);
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
	bool outline;
	struct mr_app *app;
	const struct mr_entity *entity;
	const struct mr_node *reply;
	struct mr_rows rows;
	struct mr_error err; /* its code is 0 when there is a reply */
};

static void read_reply(void *arg)
{
	struct end *e = arg;
	e->reply = e->outline ? mr_json_read_but(&e->arena, e->text, "value", REPLY_DEPTH, &e->err)
			      : mr_json_read(&e->arena, e->text, REPLY_DEPTH, false, &e->err);
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
		send_waiting(e->f);
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
	*e = (struct end){.f = f, .n = n, .arena = *arena, .text = text, .outline = t && t->outline};
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
