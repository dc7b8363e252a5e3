#include "clock.h"

#include <stdlib.h>

#include "catalog.h"
#include "instance.h"
#include "proto/ground/fault.h"
#include "proto/ground/log.h"
#include "revoked.h"
#include "session.h"
#include "work.h"

enum { PAST_TICKS = 4096 };

static void drop_kept(struct mr_kept *k)
{
	mr_list_del(&k->in_clock);
	mr_batch_drop(&k->batch);
	free(k);
}

static void keep(struct mr_clock *clock, struct mr_batch *batch)
{
	struct mr_kept *k = mr_alloc(sizeof *k);
	k->batch = mr_batch_hold(batch);
	mr_list_add_tail(&clock->kept, &k->in_clock);
}

static void drop_needless(struct mr_clock *clock)
{
	uint64_t since = MR_MIN(mr_works_since(clock), mr_resumes_since(clock->f->sessions));
	MR_LIST_FOR (e, &clock->kept) {
		struct mr_kept *k = MR_CONTAINER(e, struct mr_kept, in_clock);
		if (k->batch->n > since)
			break;
		drop_kept(k);
	}
}

static void reset(struct mr_clock *clock, const char *why)
{
	if (clock->f->index == 0)
		mr_log(MR_WARN, "%s: every live query is read anew", why);
	mr_instances_reset(clock->f->instances, clock->n);
	mr_resumes_spoil(clock->f->sessions);
}

static void apply(struct mr_clock *clock, const struct mr_news *news)
{
	struct mr_fanout *f = clock->f;
	keep(clock, news->batch);
	if (news->reset)
		reset(clock, "Postgres went on without continuity");
	if (news->lost)
		reset(clock, "a payload was lost");
	if (news->reset || news->lost)
		mr_revoked_reread(f->revoked);
	mr_revoked_apply(f->revoked, news->batch);
	mr_catalog_take(clock->catalog, news->catalog, clock->n);
	mr_instances_apply(f->instances, news->batch);
	mr_catalog_reread(clock->catalog, clock->n, clock->last_tick_us);
	mr_sessions_effects(f->sessions, news->batch, news->durable);
	drop_needless(clock);
}

static void move(struct mr_clock *clock, struct mr_news *news)
{
	struct mr_moment *to = news->moment;
	struct mr_moment **past = &clock->past[to->n % PAST_TICKS];
	mr_news_drop(&clock->news);
	clock->news = mr_news_hold(news);
	clock->n = to->n;
	clock->now = to;
	mr_moment_drop(past);
	*past = mr_moment_hold(to);
}

void mr_clock_take(struct mr_clock *clock, struct mr_news *news)
{
	struct mr_fanout *f = clock->f;
	move(clock, news);
	clock->last_tick_us = f->hour_us = news->at_us;
	clock->carries_position = news->carries_position;
	f->hour = news->hour;
	if (f->app)
		apply(clock, news);
	MR_FAULT(FANOUT_TICK_APPLIED);
	mr_instances_retry(f->instances, clock->last_tick_us);
	mr_works_at_tick(clock, news->may_hold);
	mr_works_settle(clock);
	mr_sessions_advance(f->sessions);
}

struct mr_clock *mr_clock_new(struct mr_fanout *f)
{
	struct mr_clock *clock = mr_alloc(sizeof *clock);
	clock->f = f;
	mr_list_init(&clock->kept);
	mr_list_init(&clock->works);
	mr_list_init(&clock->answered);
	mr_list_init(&clock->asked);
	mr_list_init(&clock->loads);
	clock->past = mr_alloc(PAST_TICKS * sizeof(struct mr_moment *));
	clock->catalog = mr_catalog_new(f);
	return clock;
}

static void forget(struct mr_clock *clock)
{
	MR_LIST_FOR (e, &clock->kept)
		drop_kept(MR_CONTAINER(e, struct mr_kept, in_clock));
}

void mr_clock_delete(struct mr_clock **clock)
{
	struct mr_clock *c = *clock;
	*clock = NULL;
	if (!c)
		return;
	forget(c);
	mr_news_drop(&c->news);
	for (size_t i = 0; i < PAST_TICKS; i++)
		mr_moment_drop(&c->past[i]);
	free(c->past);
	mr_catalog_delete(&c->catalog);
	free(c);
}

/* Kept batches name entities of the app before; the works that need them end with its instances. */
void mr_clock_app(struct mr_clock *clock)
{
	mr_catalog_app(clock->catalog);
	forget(clock);
}

struct mr_str mr_clock_position(const struct mr_clock *clock, uint64_t n)
{
	struct mr_moment *past = clock->past[n % PAST_TICKS];
	return past && past->n == n ? mr_moment_text(past, clock->f->hub->secret) : (struct mr_str){0};
}

bool mr_clock_sees(const struct mr_clock *clock, struct mr_written written)
{
	return clock->now && clock->now->position.seq >= written.seq && mr_snapshot_sees(&clock->now->position.snapshot, written.xid);
}
