/* Snapshots that stay open for the threads.
 *
 * A tick's transaction is open until all threads have said whether they need its snapshot, or a moment has passed: no thread holds up the
 * ticks of the others. If one comes too late for it, the next ticks are held beforehand, as long as it takes (other ticks go on meanwhile,
 * on other connections), until that has served.
 */
#include "ticks_hold.h"

#include <stdlib.h>

#include "proto/ground/log.h"

enum { PATIENCE_US = 1000 };

struct asker {
	struct mr_fanout *f;
	mr_hold_cb *cb;
	void *arg;
};

/* Of one tick, from its delivery until nobody needs it any more. */
struct mr_hold {
	struct mr_list in_ticks;
	struct mr_ticks *ticks;
	uint64_t n;
	size_t missing;       /* threads that have not said what they need */
	struct mr_tick *tick; /* until its end */
	struct mr_held *held; /* from then on, if it is held */
	bool asked;           /* for its name */
	char *name;
	size_t users, n_waiting; /* who got the name and has not dropped it yet; who is to get it */
	struct asker waiting[];  /* one a thread at most */
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
	if (hold)
		hold->users++;
	mr_loop_call(to->f->loop, on_answer, a);
}

static void free_hold(struct mr_hold *hold)
{
	mr_list_del(&hold->in_ticks);
	mr_held_drop(&hold->held);
	free(hold->name);
	free(hold);
}

static void maybe_free(struct mr_hold *hold)
{
	if (!hold->tick && !hold->missing && !hold->users && !hold->n_waiting)
		free_hold(hold);
}

static void answer_waiting(struct mr_hold *hold)
{
	/* Who is answered at once may drop it at once. */
	hold->users++;
	while (hold->n_waiting)
		answer(&hold->waiting[--hold->n_waiting], hold->name ? hold : NULL);
	hold->users--;
	maybe_free(hold);
}

static void on_export(struct mr_held *held, const char *name, void *arg)
{
	struct mr_hold *hold = arg;
	hold->name = name ? mr_strdup(name) : NULL;
	if (!name)
		hold->missing = 0; /* whoever still asks is refused */
	answer_waiting(hold);
}

static void ask_name(struct mr_hold *hold)
{
	if (hold->name)
		answer_waiting(hold);
	else if (!hold->asked)
		mr_held_export(hold->held, on_export, hold);
	hold->asked = true;
}

static void drop(void *arg)
{
	struct mr_hold *hold = arg;
	hold->users--;
	maybe_free(hold);
}

void mr_hold_drop(struct mr_fanout *f, struct mr_hold **hold)
{
	if (*hold)
		mr_loop_call(f->hub->loop, drop, *hold);
	*hold = NULL;
}

/* --- ticks --- */

static void end_tick(struct mr_hold *hold, bool held)
{
	struct mr_ticks *t = hold->ticks;
	struct mr_tick *tick = hold->tick;
	hold->tick = NULL;
	t->open = NULL;
	mr_timer_stop(t->patience);
	mr_tick_done(tick, held ? &hold->held : NULL);
	if (!held)
		free_hold(hold);
	else if (hold->n_waiting)
		ask_name(hold);
	mr_ticks_go_on(t);
}

static void on_patience(void *arg)
{
	struct mr_ticks *t = arg;
	bool beforehand = t->refused && mr_ticker_held(t->ticker) < MR_HELD_MAX / 2;
	end_tick(t->open, t->open->n_waiting || beforehand);
}

void mr_ticks_open(struct mr_ticks *t, struct mr_tick *tick)
{
	MR_ASSERT(!t->open);
	struct mr_hold *hold = mr_alloc(sizeof *hold + t->hub->n * sizeof *hold->waiting);
	hold->ticks = t;
	hold->n = t->n;
	hold->missing = t->hub->n;
	hold->tick = tick;
	mr_list_add_tail(&t->holds, &hold->in_ticks);
	t->open = hold;
}

void mr_ticks_wait(struct mr_ticks *t)
{
	if (t->open)
		mr_timer_start(t->patience, PATIENCE_US);
}

static struct mr_hold *find(const struct mr_ticks *t, uint64_t n)
{
	MR_LIST_FOR (e, &t->holds) {
		struct mr_hold *hold = MR_CONTAINER(e, struct mr_hold, in_ticks);
		if (hold->n == n && hold->missing)
			return hold;
	}
	return NULL;
}

static void take(struct mr_hold *hold, const struct asker *who)
{
	hold->missing--;
	if (who->cb)
		hold->waiting[hold->n_waiting++] = *who;
	if (hold->tick) {
		if (!hold->missing)
			end_tick(hold, hold->n_waiting);
		return;
	}
	hold->ticks->refused &= hold->missing > 0;
	if (hold->n_waiting)
		ask_name(hold);
	else
		maybe_free(hold);
}

struct applied {
	struct asker who;
	uint64_t n;
};

static void on_applied(void *arg)
{
	struct applied *a = arg;
	struct mr_ticks *t = a->who.f->hub->ticks;
	struct mr_hold *hold = find(t, a->n);
	if (hold) {
		take(hold, &a->who);
	} else if (a->who.cb) {
		t->refused = true;
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

/* --- life --- */

void mr_ticks_hold_init(struct mr_ticks *t)
{
	mr_list_init(&t->holds);
	t->patience = mr_timer_new(t->hub->loop, on_patience, t);
}

void mr_ticks_hold_fini(struct mr_ticks *t)
{
	MR_LIST_FOR (e, &t->holds) {
		struct mr_hold *hold = MR_CONTAINER(e, struct mr_hold, in_ticks);
		hold->tick = NULL;
		hold->missing = 0;
		answer_waiting(hold);
	}
	mr_timer_delete(&t->patience);
}
