#include "choice.h"

#include "proto/schema.h"

enum {
	APART_US = 1000 * 1000, /* the next slow job comes soon, and would catch the quick ones that came in between */
	FULL = 4,               /* jobs for each connection of a worker */
};

bool mr_worker_serves(const struct mr_worker *w)
{
	const struct mr_app *app = w->all->hub->app;
	return app && w->ready && !w->draining && mr_str_is(app->version, w->version);
}

bool mr_line_is_slow(enum mr_line line)
{
	return line == MR_LINE_SLOW_CALLS || line == MR_LINE_SLOW_ACTIONS;
}

static bool is_action_line(enum mr_line line)
{
	return line == MR_LINE_ACTIONS || line == MR_LINE_SLOW_ACTIONS;
}

/* Actions wait for others most of the time. */
static size_t n_calls(const struct mr_worker *w)
{
	return w->n_jobs - w->n_actions;
}

int64_t mr_worker_stuck_us(const struct mr_worker *w, int64_t now_us)
{
	int64_t limit_us = w->all->hub->settings.slow_slice * 1000;
	int64_t since_us = limit_us && w->lane >= 0 ? mr_ring_since(w->all->ring, w->lane) : 0;
	return since_us && now_us - since_us > limit_us ? since_us : 0;
}

static bool is_mixed(const struct mr_worker *w, int64_t now_us)
{
	return w != w->all->kept && (w->n_slow || (w->slow_us && now_us - w->slow_us < APART_US));
}

static bool is_full(const struct mr_worker *w)
{
	return (int64_t)n_calls(w) >= FULL * w->all->hub->settings.worker_connections;
}

struct rank {
	int tier; /* less is better */
	size_t n;
};

static struct rank rank_of(const struct mr_worker *w, enum mr_line line, int64_t now_us)
{
	bool stuck = mr_worker_stuck_us(w, now_us) != 0;
	if (mr_line_is_slow(line))
		return (struct rank){stuck, w->n_slow};
	if (is_action_line(line))
		return (struct rank){stuck ? 2 : is_mixed(w, now_us), w->n_actions};
	return (struct rank){stuck ? 2 : is_mixed(w, now_us) || is_full(w), n_calls(w)};
}

static bool is_better(const struct mr_worker *a, const struct mr_worker *b, enum mr_line line, int64_t now_us)
{
	struct rank x = rank_of(a, line, now_us), y = rank_of(b, line, now_us);
	if (x.tier != y.tier || x.n != y.n)
		return x.tier != y.tier ? x.tier < y.tier : x.n < y.n;
	return mr_line_is_slow(line) && a->lane > b->lane;
}

static bool may_take(const struct mr_worker *w, enum mr_line line)
{
	const struct mr_workers *all = w->all;
	if (!mr_worker_serves(w) || (mr_line_is_slow(line) && w == all->kept))
		return false;
	return !is_action_line(line) || (int64_t)w->n_actions < all->hub->settings.worker_actions;
}

/* It stays the same one as long as it serves: it is warm, and those that died of slow functions are not. */
void mr_choice_keep(struct mr_workers *all)
{
	if (all->kept && mr_worker_serves(all->kept) && all->crew > 1)
		return;
	all->kept = NULL;
	if (all->crew < 2)
		return;
	MR_LIST_FOR (e, &all->workers) {
		struct mr_worker *w = MR_CONTAINER(e, struct mr_worker, in_workers);
		if (mr_worker_serves(w) && (!all->kept || w->n_slow < all->kept->n_slow))
			all->kept = w;
	}
}

struct mr_worker *mr_choose(struct mr_workers *all, enum mr_line line, int64_t now_us)
{
	struct mr_worker *best = NULL;
	mr_choice_keep(all);
	MR_LIST_FOR (e, &all->workers) {
		struct mr_worker *w = MR_CONTAINER(e, struct mr_worker, in_workers);
		if (may_take(w, line) && (!best || is_better(w, best, line, now_us)))
			best = w;
	}
	return best;
}
