/* A pool of connections. A slot is a connection that is opening, idle, lent, or settling: returned, while the end of its last pipeline is
 * still under way (a user learns of his COMMIT just before that). Who asks waits in a line. */
#include <stdlib.h>

#include "pg_private.h"
#include "proto/ground/log.h"

enum { BACKOFF_FIRST_US = 50 * 1000, BACKOFF_MOST_US = 2 * 1000 * 1000 };

enum slot_state { SLOT_OPENING, SLOT_IDLE, SLOT_LENT, SLOT_SETTLING, SLOT_STATES };

struct slot {
	struct mr_list link;
	struct mr_pool *pool;
	struct mr_pg *pg;
	enum slot_state state;
};

struct waiter {
	struct mr_list link;
	struct mr_pool *pool;
	struct mr_timer *timer;
	mr_lease_cb *cb;
	void *arg;
};

struct mr_pool {
	struct mr_loop *loop;
	char *conninfo, *name;
	int max, open, count[SLOT_STATES];
	struct mr_list slots; /* idle ones first: the last returned is lent next, so that its statements are prepared */
	struct mr_list waiters;
	size_t waiting;
	struct mr_timer *retry; /* running: no attempt to open before */
	int64_t backoff_us;
	struct mr_error why; /* of the last failure to open */
};

static void serve(struct mr_pool *pool);

static void move(struct slot *s, enum slot_state state)
{
	struct mr_pool *pool = s->pool;
	pool->count[s->state]--;
	pool->count[state]++;
	s->state = state;
	mr_list_del(&s->link);
	if (state == SLOT_IDLE) {
		s->link.next = pool->slots.next;
		s->link.prev = &pool->slots;
		pool->slots.next->prev = &s->link;
		pool->slots.next = &s->link;
	} else {
		mr_list_add_tail(&pool->slots, &s->link);
	}
}

static void close_slot(struct slot *s)
{
	s->pool->open--;
	s->pool->count[s->state]--;
	mr_list_del(&s->link);
	mr_pg_delete(&s->pg);
	free(s);
}

static void back_off(struct mr_pool *pool)
{
	uint32_t random;
	mr_random(&random, sizeof(random));
	pool->backoff_us = pool->backoff_us ? MR_MIN(pool->backoff_us * 2, BACKOFF_MOST_US) : BACKOFF_FIRST_US;
	mr_timer_start(pool->retry, pool->backoff_us / 2 + random % pool->backoff_us);
}

static void on_state(struct mr_pg *pg, enum mr_pg_state state, const struct mr_error *err, void *arg)
{
	struct slot *s = arg;
	struct mr_pool *pool = s->pool;
	if (state == MR_PG_READY) {
		mr_pg_back();
		pool->backoff_us = 0;
		move(s, SLOT_IDLE);
		serve(pool);
		return;
	}
	if (s->state == SLOT_LENT)
		return; /* its user learns it by its results and returns it */
	if (s->state == SLOT_OPENING) {
		mr_pg_away(pool->name, err);
		pool->why = *err;
		back_off(pool);
	}
	close_slot(s);
	serve(pool);
}

static void open_slot(struct mr_pool *pool)
{
	struct slot *s = mr_alloc(sizeof(*s));
	s->pool = pool;
	s->state = SLOT_OPENING;
	mr_list_add_tail(&pool->slots, &s->link);
	pool->open++;
	pool->count[SLOT_OPENING]++;
	s->pg = mr_pg_open(pool->loop, pool->conninfo, pool->name, on_state, s);
}

static struct slot *idle_slot(struct mr_pool *pool)
{
	if (mr_list_empty(&pool->slots))
		return NULL;
	struct slot *s = MR_CONTAINER(pool->slots.next, struct slot, link);
	return s->state == SLOT_IDLE && mr_pg_state(s->pg) == MR_PG_READY ? s : NULL;
}

static void finish_waiter(struct waiter *w, struct mr_pg *pg, const struct mr_error *err)
{
	mr_list_del(&w->link);
	w->pool->waiting--;
	mr_timer_delete(&w->timer);
	w->cb(pg, err, w->arg);
	free(w);
}

/* Lends what is idle to who waits, and opens what is missing. */
static void serve(struct mr_pool *pool)
{
	struct slot *s;
	while (!mr_list_empty(&pool->waiters) && (s = idle_slot(pool))) {
		move(s, SLOT_LENT);
		finish_waiter(MR_CONTAINER(pool->waiters.next, struct waiter, link), s->pg, NULL);
	}
	while ((size_t)pool->count[SLOT_OPENING] + (size_t)pool->count[SLOT_SETTLING] < pool->waiting && pool->open < pool->max &&
		!mr_timer_running(pool->retry))
		open_slot(pool);
}

static void on_retry(void *arg)
{
	serve(arg);
}

static void on_wait_over(void *arg)
{
	struct waiter *w = arg;
	struct mr_error err;
	if (w->pool->backoff_us)
		err = w->pool->why;
	else
		mr_fail(&err, MR_POSTGRES_UNAVAILABLE, "no connection to Postgres became free in time");
	finish_waiter(w, NULL, &err);
}

struct mr_pool *mr_pool_new(struct mr_loop *loop, const char *conninfo, const char *name, int max)
{
	MR_ASSERT(max > 0);
	struct mr_pool *pool = mr_alloc(sizeof(*pool));
	pool->loop = loop;
	pool->conninfo = mr_strdup(conninfo);
	pool->name = mr_strdup(name);
	pool->max = max;
	pool->retry = mr_timer_new(loop, on_retry, pool);
	mr_list_init(&pool->slots);
	mr_list_init(&pool->waiters);
	return pool;
}

void mr_pool_delete(struct mr_pool **poolp)
{
	struct mr_pool *pool = *poolp;
	*poolp = NULL;
	if (!pool)
		return;
	pool->max = 0; /* nothing is opened for those who ask again */
	MR_LIST_FOR (e, &pool->slots) {
		struct slot *s = MR_CONTAINER(e, struct slot, link);
		if (s->state == SLOT_IDLE)
			close_slot(s);
	}
	struct mr_error err;
	mr_fail(&err, MR_SHUTTING_DOWN, "the server is stopping");
	while (!mr_list_empty(&pool->waiters))
		finish_waiter(MR_CONTAINER(pool->waiters.next, struct waiter, link), NULL, &err);
	while (!mr_list_empty(&pool->slots))
		close_slot(MR_CONTAINER(pool->slots.next, struct slot, link));
	mr_timer_delete(&pool->retry);
	free(pool->conninfo);
	free(pool->name);
	free(pool);
}

void mr_pool_lease(struct mr_pool *pool, int64_t wait_us, mr_lease_cb *cb, void *arg)
{
	struct slot *s = mr_list_empty(&pool->waiters) ? idle_slot(pool) : NULL;
	if (s) {
		move(s, SLOT_LENT);
		cb(s->pg, NULL, arg);
		return;
	}
	struct waiter *w = mr_alloc(sizeof(*w));
	w->pool = pool;
	w->cb = cb;
	w->arg = arg;
	w->timer = mr_timer_new(pool->loop, on_wait_over, w);
	mr_timer_start(w->timer, wait_us);
	mr_list_add_tail(&pool->waiters, &w->link);
	pool->waiting++;
	serve(pool);
}

bool mr_pool_away(const struct mr_pool *pool, struct mr_error *why)
{
	if (pool->backoff_us)
		*why = pool->why;
	return pool->backoff_us;
}

static struct slot *slot_of(struct mr_pool *pool, const struct mr_pg *pg)
{
	MR_LIST_FOR (e, &pool->slots) {
		struct slot *s = MR_CONTAINER(e, struct slot, link);
		if (s->pg == pg)
			return s;
	}
	return NULL;
}

static void take_back(struct slot *s)
{
	struct mr_pool *pool = s->pool;
	bool idle = mr_pg_idle(s->pg);
	if (idle && !s->pg->swollen) {
		move(s, SLOT_IDLE);
	} else {
		if (!idle && mr_pg_state(s->pg) == MR_PG_READY)
			mr_log(MR_WARN, "%s: a connection came back in use and is closed", pool->name);
		close_slot(s);
	}
	serve(pool);
}

static void on_settled(void *arg)
{
	take_back(arg);
}

void mr_pool_return(struct mr_pool *pool, struct mr_pg *pg)
{
	struct slot *s = slot_of(pool, pg);
	MR_ASSERT(s && s->state == SLOT_LENT);
	if (mr_pg_state(pg) == MR_PG_READY && !mr_pg_outstanding(pg) && !mr_pg_is_settled(pg)) {
		move(s, SLOT_SETTLING);
		mr_pg_settle(pg, on_settled, s);
	} else {
		take_back(s);
	}
}
