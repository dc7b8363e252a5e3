#include "ticks.h"

#include <stdlib.h>

#include "aside.h"
#include "clock.h"
#include "payloads.h"
#include "proto/ground/fault.h"
#include "proto/ground/log.h"
#include "ticks_hold.h"
#include "work.h"
#include "workers.h"

enum {
	PAYLOAD_BYTES = 64 << 20,
	TOKENS_MAX = 512,                /* told to Postgres in one tick */
	POSITION_EVERY_US = 1000 * 1000, /* full positions travel seldom (CLOCK.md rule 20) */
	RETRY_US = 100 * 1000,
	FOLLOWS_US = 1000 * 1000, /* so long may a tick take before we say that we do not follow */
	REST_MOST_US = 5 * 1000,
	CROWDED_US = 200,
};

static void have_payloads(struct mr_buf *tokens, void *arg)
{
	struct mr_ticks *t = arg;
	mr_workers_read_ring(t->hub->workers, t->payloads);
	mr_payloads_pin(t->payloads, t->hub->workers->ring, tokens, TOKENS_MAX);
}

/* What would not be told one by one need not be read. */
static int64_t worth_reading(void *arg)
{
	enum { ROW_BYTES = 256 };
	const struct mr_ticks *t = arg;
	return mr_stakes_all(&t->hub->stakes) * ROW_BYTES;
}

/* Payloads that this tick has shown have served. */
static void count_payloads(struct mr_ticks *t, const struct mr_tick *tick)
{
	_Atomic int64_t *counter = t->hub->counter;
	for (size_t i = 0; i < tick->n; i++) {
		const struct mr_log_row *row = &tick->rows[i];
		if (!row->entity.n)
			counter[row->changes.p ? MR_C_PAYLOADS_FROM_LOG_TOTAL : MR_C_PAYLOADS_FROM_RING_TOTAL]++;
		if (row->has_token)
			counter[MR_C_RING_SETTLED_TOTAL] += (int64_t)mr_payloads_shown(t->payloads, row->token, row->session, row->call);
	}
	mr_payloads_unpin(t->payloads);
}

/* --- news --- */

static struct mr_news *make_news(struct mr_ticks *t, const struct mr_tick *tick)
{
	struct mr_news *news = mr_news_new();
	news->moment = mr_moment_new(t->n, tick->position);
	news->board = t->hub->n > 1 ? mr_board_new() : NULL;
	news->at_us = t->last_tick_us;
	news->hour = tick->hour;
	news->reset = tick->reset && t->n > 1;
	news->durable = !tick->standby;
	news->may_hold = mr_ticker_held(t->ticker) < MR_HELD_MAX / 2;
	news->carries_position = t->last_tick_us - t->last_position_us >= POSITION_EVERY_US;
	if (news->carries_position)
		t->last_position_us = t->last_tick_us;
	if (tick->fingerprints.n)
		news->catalog = (struct mr_str){mr_strndup(tick->fingerprints.p, tick->fingerprints.n), tick->fingerprints.n};
	return news;
}

struct delivery {
	struct mr_fanout *f;
	struct mr_news *news;
};

static void *make_delivery(struct mr_fanout *f, const void *from)
{
	struct delivery *d = mr_alloc(sizeof *d);
	*d = (struct delivery){f, mr_news_hold((struct mr_news *)from)};
	return d;
}

static void deliver(void *arg)
{
	struct delivery *d = arg;
	struct mr_news *news = d->news;
	if (!d->f->stopping)
		mr_clock_take(d->f->clock, news);
	mr_news_drop(&news);
	free(d);
}

/* --- ticks --- */

/* Where commits never end, ticks would follow each other without a pause and take from Postgres, and from those who call, what they need.
 * So the next one waits as long as the last one took, and then as long as telling it took, and finds more. A tick takes 0.2 ms of a
 * machine that has time; where it takes longer, processors or Postgres are crowded, fewer ticks leave more to the calls, and the wait grows
 * with the square. After a pause nobody waits, nor where the last one brought a single commit: they do not come faster than ticks. */
static void rest(struct mr_ticks *t, int64_t took_us)
{
	int64_t wait_us = t->brought > 1 ? MR_MAX(took_us, took_us * took_us / CROWDED_US) : 0;
	t->rested_since = mr_mono_us();
	t->rest_us = MR_MAX(t->hub->settings.tick_min_interval * 1000, MR_MIN(wait_us, REST_MOST_US));
}

/* --- the rows --- */

/* What the ring has brought of a row that was withheld. */
struct brought {
	const uint8_t *token;
	struct mr_str text;
};

struct reading {
	struct mr_ticks *ticks;
	struct mr_tick *tick;
	struct mr_news *news;
	struct mr_app *app; /* held; NULL: nobody serves yet */
	struct brought *brought;
	size_t n_brought;
	const struct mr_entity *misfit;
};

static struct mr_str payload_of(void *arg, const uint8_t token[MR_TOKEN_BYTES])
{
	const struct reading *r = arg;
	for (size_t i = 0; i < r->n_brought; i++)
		if (memcmp(r->brought[i].token, token, MR_TOKEN_BYTES) == 0)
			return r->brought[i].text;
	return (struct mr_str){0};
}

static void read_rows(void *arg)
{
	struct reading *r = arg;
	if (r->app)
		r->news->batch = mr_batch_new(r->news->moment->n, r->app, r->tick->rows, r->tick->n, payload_of, r, &r->ticks->hub->stakes,
			&r->news->lost, &r->misfit);
}

static void tell_threads(struct mr_ticks *t, struct mr_tick *tick, struct mr_news *news)
{
	mr_ticks_open(t, tick);
	mr_hub_each(t->hub, deliver, make_delivery, news);
	mr_ticks_wait(t);
}

static void have_rows(void *arg)
{
	struct reading *r = arg;
	struct mr_ticks *t = r->ticks;
	if (r->app != t->hub->app) { /* another app serves since */
		mr_batch_drop(&r->news->batch);
		mr_app_drop(&r->app);
		r->app = mr_app_hold(t->hub->app);
		r->misfit = NULL;
		read_rows(r);
	}
	if (r->misfit)
		mr_log(MR_WARN, "a row of table %s does not fit the declaration of entity %s", r->misfit->table.p, r->misfit->name.p);
	if (r->app) {
		count_payloads(t, r->tick);
		t->hub->counter[MR_C_CHANGES_TOTAL] += (int64_t)r->news->batch->n_changes;
	}
	tell_threads(t, r->tick, r->news);
	mr_news_drop(&r->news);
	mr_app_drop(&r->app);
	free(r->brought);
	free(r);
}

/* What is brought stays until count_payloads: Postgres was told its tokens (mr_payloads_pin). Gives the bytes to be parsed. */
static size_t gather(struct reading *r)
{
	size_t bytes = 0;
	for (size_t i = 0; i < r->tick->n; i++) {
		const struct mr_log_row *row = &r->tick->rows[i];
		bytes += row->changes.n;
		if (row->changes.p || !row->has_token)
			continue;
		if (!r->brought)
			r->brought = mr_alloc((r->tick->n - i) * sizeof *r->brought);
		struct mr_str text = mr_payloads_get(r->ticks->payloads, row->token);
		bytes += text.n;
		if (text.n)
			r->brought[r->n_brought++] = (struct brought){row->token, text};
	}
	return bytes;
}

static void on_tick(struct mr_tick *tick, void *arg)
{
	struct mr_ticks *t = arg;
	t->n++;
	t->failing = false;
	t->last_tick_us = mr_mono_us();
	t->brought = tick->n;
	rest(t, t->last_tick_us - t->waits_since);
	t->waits_since = 0;
	t->tells = true;
	t->hub->counter[MR_C_TICKS_TOTAL]++;
	struct reading *r = mr_alloc(sizeof *r);
	*r = (struct reading){.ticks = t, .tick = tick, .news = make_news(t, tick)};
	r->app = t->hub->app ? mr_app_hold(t->hub->app) : NULL;
	if (gather(r) >= MR_ASIDE_BYTES) {
		mr_aside_do(t->hub->aside, t->hub->loop, read_rows, have_rows, r);
		return;
	}
	read_rows(r);
	have_rows(r);
}

static void spoil(void *arg)
{
	mr_works_spoil(((struct mr_fanout *)arg)->clock);
}

static void on_failure(const struct mr_error *err, void *arg)
{
	struct mr_ticks *t = arg;
	t->hub->counter[MR_C_TICK_FAILURES_TOTAL]++;
	mr_payloads_unpin(t->payloads);
	mr_hub_each(t->hub, spoil, NULL, NULL);
	/* Before the first app the schema may not be there yet. */
	if (!t->failing)
		mr_log(t->hub->app ? MR_WARN : MR_DEBUG, "no tick: %s", err->message);
	t->failing = true;
	mr_timer_start(t->soon, RETRY_US);
}

static void run(struct mr_ticks *t)
{
	if (!t->waits_since)
		t->waits_since = mr_mono_us();
	t->wanted = !mr_ticker_run(t->ticker, t->outside);
	t->outside &= t->wanted;
}

static void want(struct mr_ticks *t)
{
	t->wanted = true;
	if (mr_ticker_busy(t->ticker) || mr_timer_running(t->soon))
		return;
	int64_t wait = t->rest_us - (mr_mono_us() - t->rested_since);
	if (wait > 0)
		mr_timer_start(t->soon, wait);
	else
		run(t);
}

static void go_on(struct mr_ticks *t)
{
	if (t->wanted && t->ticker)
		want(t);
}

void mr_ticks_written(struct mr_ticks *t)
{
	int64_t took_us = mr_mono_us() - t->last_tick_us;
	if (t->tells && took_us > t->rest_us)
		rest(t, took_us);
	t->tells = false;
	go_on(t);
}

void mr_ticks_go_on(struct mr_ticks *t)
{
	if (t->hub->n > 1)
		go_on(t);
}

static void on_wish(void *arg)
{
	struct mr_ticks *t = arg;
	t->asked = false;
	if (t->ticker)
		want(t);
}

void mr_ticks_want(struct mr_ticks *t)
{
	if (!atomic_exchange(&t->asked, true))
		mr_loop_call(t->hub->loop, on_wish, t);
}

static void on_catalog_wish(void *arg)
{
	struct mr_ticks *t = arg;
	t->outside = true;
	if (t->ticker)
		want(t);
}

void mr_ticks_want_catalog(struct mr_ticks *t)
{
	mr_loop_call(t->hub->loop, on_catalog_wish, t);
}

static void on_soon(void *arg)
{
	struct mr_ticks *t = arg;
	if (!mr_ticker_busy(t->ticker))
		run(t);
}

static void on_poll(void *arg)
{
	struct mr_ticks *t = arg;
	bool idle = mr_hub_count(t->hub, MR_C_INSTANCES) == 0;
	const struct mr_settings *s = &t->hub->settings;
	/* Where ticks follow each other without a pause, one of them does it. */
	t->outside = true;
	if (!mr_ticker_busy(t->ticker) && !mr_timer_running(t->soon))
		run(t);
	mr_timer_start(t->poll, 1000 * (idle ? s->outside_poll_idle_interval : s->outside_poll_interval));
}

/* --- life --- */

struct mr_ticks *mr_ticks_new(struct mr_hub *hub, const char *conninfo)
{
	struct mr_ticks *t = mr_alloc(sizeof *t);
	t->hub = hub;
	t->payloads = mr_payloads_new(PAYLOAD_BYTES);
	t->soon = mr_timer_new(hub->loop, on_soon, t);
	t->poll = mr_timer_new(hub->loop, on_poll, t);
	mr_ticks_hold_init(t);
	struct mr_ticker_config config = {
		.conninfo = conninfo,
		.have = have_payloads,
		.worth = worth_reading,
		.on_tick = on_tick,
		.on_failure = on_failure,
		.arg = t,
	};
	t->ticker = mr_ticker_new(hub->loop, &config);
	mr_timer_start(t->poll, 0);
	return t;
}

void mr_ticks_end(struct mr_ticks *t)
{
	mr_ticker_delete(&t->ticker);
	mr_ticks_hold_fini(t);
	mr_timer_delete(&t->soon);
	mr_timer_delete(&t->poll);
}

void mr_ticks_delete(struct mr_ticks **ticks)
{
	struct mr_ticks *t = *ticks;
	*ticks = NULL;
	if (!t)
		return;
	MR_ASSERT(!t->ticker);
	mr_payloads_delete(&t->payloads);
	free(t);
}

void mr_ticks_app(struct mr_ticks *t)
{
	const struct mr_app *app = t->hub->app;
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, MR_JSON);
	mr_enc_map(&e, app->n_entities);
	for (size_t i = 0; i < app->n_entities; i++) {
		mr_enc_key(&e, app->entities[i].name);
		mr_enc_array(&e, 2);
		mr_enc_str(&e, app->entities[i].schema);
		mr_enc_str(&e, app->entities[i].table);
		mr_enc_end(&e);
	}
	mr_enc_end(&e);
	mr_ticker_tables(t->ticker, mr_buf_view(&b));
	mr_buf_fini(&b);
	mr_ticks_want_catalog(t);
}

bool mr_ticks_follow(const struct mr_ticks *t)
{
	int64_t since = t->waits_since;
	return !since || mr_mono_us() - since < FOLLOWS_US;
}
