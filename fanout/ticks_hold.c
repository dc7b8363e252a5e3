#include "ticks_hold.h"

#include <stdlib.h>

#include "proto/ground/log.h"

enum { PATIENCE_US = 1000, ASKERS_MOST = 64 };

struct asker {
	struct mr_fanout *f;
	mr_hold_cb *cb;
	void *arg;
};

struct mr_hold {
	struct mr_list in_ticks;
	struct mr_hub *hub;
	struct mr_held *held;
	size_t n, users; /* who asked; who has not dropped it yet */
	char *name;
	struct asker askers[];
};

/* --- what threads are told --- */

struct answer {
	struct asker to;
	struct mr_hold *hold;
};

static void on_answer(void *arg)
{
	struct answer *a = arg;
	a->to.cb(a->to.arg, a->hold, a->hold ? a->hold->name : NULL);
	free(a);
}

static void answer(const struct asker *to, struct mr_hold *hold)
{
	struct answer *a = mr_alloc(sizeof *a);
	*a = (struct answer){*to, hold};
	mr_loop_call(to->f->loop, on_answer, a);
}

static void free_hold(struct mr_hold *hold)
{
	mr_list_del(&hold->in_ticks);
	mr_held_drop(&hold->held);
	free(hold->name);
	free(hold);
}

static void tell_all(struct mr_hold *hold, const char *name)
{
	struct asker askers[ASKERS_MOST];
	size_t n = hold->n;
	memcpy(askers, hold->askers, n * sizeof *askers);
	hold->users = n;
	hold->name = name ? mr_strdup(name) : NULL;
	if (!name)
		free_hold(hold);
	for (size_t i = 0; i < n; i++)
		answer(&askers[i], name ? hold : NULL);
}

static void on_export(struct mr_held *held, const char *name, void *arg)
{
	tell_all(arg, name);
}

static void drop(void *arg)
{
	struct mr_hold *hold = arg;
	if (--hold->users == 0)
		free_hold(hold);
}

void mr_hold_drop(struct mr_fanout *f, struct mr_hold **hold)
{
	if (*hold)
		mr_loop_call(f->hub->loop, drop, *hold);
	*hold = NULL;
}

/* --- the tick that is open --- */

static void close_tick(struct mr_ticks *t)
{
	struct mr_tick *tick = t->open;
	struct mr_hold *hold = t->hold;
	t->open = NULL;
	t->hold = NULL;
	t->missing = 0;
	mr_timer_stop(t->patience);
	mr_tick_done(tick, hold ? &hold->held : NULL);
	if (hold)
		mr_held_export(hold->held, on_export, hold);
	if (t->wanted)
		mr_ticks_want(t);
}

static void on_patience(void *arg)
{
	close_tick(arg);
}

void mr_ticks_open(struct mr_ticks *t, struct mr_tick *tick)
{
	MR_ASSERT(!t->open && !t->hold);
	t->open = tick;
	t->open_n = t->n;
	t->missing = t->hub->n;
}

void mr_ticks_wait(struct mr_ticks *t)
{
	if (t->open)
		mr_timer_start(t->patience, PATIENCE_US);
}

static void add_asker(struct mr_ticks *t, const struct asker *who)
{
	if (!t->hold) {
		t->hold = mr_alloc(sizeof *t->hold + t->hub->n * sizeof *t->hold->askers);
		t->hold->hub = t->hub;
		mr_list_add_tail(&t->holds, &t->hold->in_ticks);
	}
	MR_ASSERT(t->hold->n < t->hub->n);
	t->hold->askers[t->hold->n++] = *who;
}

struct applied {
	struct asker who;
	uint64_t n;
};

static void on_applied(void *arg)
{
	struct applied *a = arg;
	struct mr_ticks *t = a->who.f->hub->ticks;
	if (t->open && a->n == t->open_n) {
		if (a->who.cb)
			add_asker(t, &a->who);
		if (--t->missing == 0)
			close_tick(t);
	} else if (a->who.cb) {
		answer(&a->who, NULL);
	}
	free(a);
}

void mr_ticks_applied(struct mr_fanout *f, uint64_t n, mr_hold_cb *cb, void *arg)
{
	struct applied *a = mr_alloc(sizeof *a);
	*a = (struct applied){{f, cb, arg}, n};
	mr_loop_call(f->hub->loop, on_applied, a);
}

void mr_ticks_hold_init(struct mr_ticks *t)
{
	mr_list_init(&t->holds);
	t->patience = mr_timer_new(t->hub->loop, on_patience, t);
}

void mr_ticks_hold_fini(struct mr_ticks *t)
{
	MR_LIST_FOR (e, &t->holds) {
		struct mr_hold *hold = MR_CONTAINER(e, struct mr_hold, in_ticks);
		if (!hold->name)
			tell_all(hold, NULL);
	}
	mr_timer_delete(&t->patience);
}
