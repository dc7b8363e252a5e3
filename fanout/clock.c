#include "clock.h"

#include <stdlib.h>

#include "catalog.h"
#include "instance.h"
#include "payloads.h"
#include "proto/ground/fault.h"
#include "proto/ground/log.h"
#include "session.h"
#include "work.h"
#include "workers.h"

enum {
	PAYLOAD_BYTES = 64 << 20,
	TOKENS_MAX = 512,                /* told to Postgres in one tick */
	POSITION_EVERY_US = 1000 * 1000, /* full positions travel seldom (CLOCK.md rule 20) */
	RETRY_US = 100 * 1000,
	PAST_TICKS = 4096,
	FOLLOWS_US = 1000 * 1000, /* so long may a tick take before we say that we do not follow */
	REST_MOST_US = 5 * 1000,
};

struct mr_past {
	uint64_t n;
	struct mr_position position;
	struct mr_buf text; /* made when asked for */
};

static void have_payloads(struct mr_buf *tokens, void *arg)
{
	struct mr_clock *clock = arg;
	mr_workers_read_ring(clock->f->workers, clock->payloads);
	mr_payloads_pin(clock->payloads, clock->f->workers->ring, tokens, TOKENS_MAX);
}

static struct mr_str payload_of(void *arg, const uint8_t token[MR_TOKEN_BYTES])
{
	return mr_payloads_get(((struct mr_clock *)arg)->payloads, token);
}

/* Payloads that this tick has shown have served. */
static void count_payloads(struct mr_clock *clock, const struct mr_tick *tick)
{
	int64_t *counter = clock->f->counter;
	for (size_t i = 0; i < tick->n; i++) {
		const struct mr_log_row *row = &tick->rows[i];
		counter[row->changes.p ? MR_C_PAYLOADS_FROM_LOG_TOTAL : MR_C_PAYLOADS_FROM_RING_TOTAL]++;
		if (row->has_token)
			counter[MR_C_RING_SETTLED_TOTAL] +=
				(int64_t)mr_payloads_shown(clock->payloads, row->token, row->session, row->call);
	}
	mr_payloads_unpin(clock->payloads);
}

static void drop_batches(struct mr_clock *clock)
{
	uint64_t since = MR_MIN(mr_works_since(clock), mr_resumes_since(clock->f->sessions));
	MR_LIST_FOR (e, &clock->batches) {
		struct mr_batch *b = MR_CONTAINER(e, struct mr_batch, in_clock);
		if (b->n > since)
			break;
		mr_batch_delete(&b);
	}
}

static void reset(struct mr_clock *clock, const char *why)
{
	mr_log(MR_WARN, "%s: every live query is read anew", why);
	mr_instances_reset(clock->f->instances, clock->n);
}

static void apply_tick(struct mr_clock *clock, struct mr_tick *tick)
{
	struct mr_fanout *f = clock->f;
	bool lost = false;
	const struct mr_entity *misfit = NULL;
	struct mr_batch *b = mr_batch_new(clock->n, f->app, tick->rows, tick->n, payload_of, clock, &lost, &misfit);
	count_payloads(clock, tick);
	f->counter[MR_C_CHANGES_TOTAL] += (int64_t)b->n_changes;
	mr_list_add_tail(&clock->batches, &b->in_clock);
	if (tick->reset && clock->n > 1)
		reset(clock, "Postgres went on without continuity");
	if (lost)
		reset(clock, "a payload was lost");
	if (misfit)
		mr_log(MR_WARN, "a row of table %s does not fit the declaration of entity %s", misfit->table.p, misfit->name.p);
	mr_catalog_take(clock->catalog, tick->fingerprints, clock->n);
	mr_instances_apply(f->instances, b);
	mr_catalog_reread(clock->catalog, clock->n, clock->last_tick_us);
	mr_sessions_effects(f->sessions, b, !tick->standby);
	drop_batches(clock);
}

static void set_position(struct mr_clock *clock, const struct mr_position *p)
{
	struct mr_past *past = &clock->past[clock->n % PAST_TICKS];
	mr_position_copy(&clock->position, p);
	mr_position_copy(&past->position, p);
	mr_buf_reset(&past->text);
	past->n = clock->n;
	int64_t now = mr_mono_us();
	clock->carries_position = now - clock->last_position_us >= POSITION_EVERY_US;
	if (clock->carries_position)
		clock->last_position_us = now;
}

/* Where commits never end, ticks would follow each other without a pause and take from Postgres what the commits need. So the next one
 * waits as long as the last one took, and finds more. After a pause nobody waits. */
static int64_t rest_after(const struct mr_clock *clock, int64_t took_us)
{
	return MR_MAX(clock->f->settings.tick_min_interval * 1000, MR_MIN(took_us, REST_MOST_US));
}

static void on_tick(struct mr_tick *tick, void *arg)
{
	struct mr_clock *clock = arg;
	clock->n++;
	clock->failing = false;
	clock->last_tick_us = mr_mono_us();
	clock->rest_us = rest_after(clock, clock->last_tick_us - clock->waits_since);
	clock->waits_since = 0;
	clock->f->counter[MR_C_TICKS_TOTAL]++;
	set_position(clock, tick->position);
	clock->f->hour = tick->hour;
	clock->f->hour_us = clock->last_tick_us;
	if (clock->f->app)
		apply_tick(clock, tick);
	MR_FAULT(FANOUT_TICK_APPLIED);
	mr_instances_retry(clock->f->instances, clock->last_tick_us);
	mr_works_at_tick(clock, tick);
	mr_works_settle(clock);
	mr_sessions_advance(clock->f->sessions);
	if (clock->wanted)
		mr_clock_want(clock);
}

static void on_failure(const struct mr_error *err, void *arg)
{
	struct mr_clock *clock = arg;
	clock->f->counter[MR_C_TICK_FAILURES_TOTAL]++;
	mr_payloads_unpin(clock->payloads);
	mr_works_spoil(clock);
	/* Before the first app the schema may not be there yet. */
	if (!clock->failing)
		mr_log(clock->f->app ? MR_WARN : MR_DEBUG, "no tick: %s", err->message);
	clock->failing = true;
	mr_timer_start(clock->soon, RETRY_US);
}

static void run(struct mr_clock *clock)
{
	if (!clock->waits_since)
		clock->waits_since = mr_mono_us();
	clock->wanted = !mr_ticker_run(clock->ticker, clock->outside);
	clock->outside &= clock->wanted;
}

void mr_clock_want(struct mr_clock *clock)
{
	clock->wanted = true;
	if (mr_ticker_busy(clock->ticker) || mr_timer_running(clock->soon))
		return;
	int64_t wait = clock->rest_us - (mr_mono_us() - clock->last_tick_us);
	if (wait > 0)
		mr_timer_start(clock->soon, wait);
	else
		run(clock);
}

void mr_clock_want_catalog(struct mr_clock *clock)
{
	clock->outside = true;
	mr_clock_want(clock);
}

static void on_soon(void *arg)
{
	struct mr_clock *clock = arg;
	if (!mr_ticker_busy(clock->ticker))
		run(clock);
}

static void on_poll(void *arg)
{
	struct mr_clock *clock = arg;
	bool idle = clock->f->instances->by_key.n == 0;
	const struct mr_settings *s = &clock->f->settings;
	/* Where ticks follow each other without a pause, one of them does it. */
	clock->outside = true;
	if (!mr_ticker_busy(clock->ticker) && !mr_timer_running(clock->soon))
		run(clock);
	mr_timer_start(clock->poll, 1000 * (idle ? s->outside_poll_idle_interval : s->outside_poll_interval));
}

struct mr_clock *mr_clock_new(struct mr_fanout *f, const char *conninfo)
{
	struct mr_clock *clock = mr_alloc(sizeof *clock);
	clock->f = f;
	mr_list_init(&clock->batches);
	mr_list_init(&clock->works);
	clock->past = mr_alloc(PAST_TICKS * sizeof *clock->past);
	clock->catalog = mr_catalog_new(f);
	clock->payloads = mr_payloads_new(PAYLOAD_BYTES);
	clock->soon = mr_timer_new(f->loop, on_soon, clock);
	clock->poll = mr_timer_new(f->loop, on_poll, clock);
	struct mr_ticker_config config = {
		.conninfo = conninfo, .have = have_payloads, .on_tick = on_tick, .on_failure = on_failure, .arg = clock};
	clock->ticker = mr_ticker_new(f->loop, &config);
	mr_timer_start(clock->poll, 0);
	return clock;
}

void mr_clock_delete(struct mr_clock **clock)
{
	struct mr_clock *c = *clock;
	if (!c)
		return;
	mr_ticker_delete(&c->ticker);
	mr_timer_delete(&c->soon);
	mr_timer_delete(&c->poll);
	MR_LIST_FOR (e, &c->batches) {
		struct mr_batch *b = MR_CONTAINER(e, struct mr_batch, in_clock);
		mr_batch_delete(&b);
	}
	mr_payloads_delete(&c->payloads);
	mr_position_fini(&c->position);
	for (size_t i = 0; i < PAST_TICKS; i++) {
		mr_position_fini(&c->past[i].position);
		mr_buf_fini(&c->past[i].text);
	}
	free(c->past);
	mr_catalog_delete(&c->catalog);
	free(c);
	*clock = NULL;
}

void mr_clock_app(struct mr_clock *clock)
{
	const struct mr_app *app = clock->f->app;
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
	mr_ticker_tables(clock->ticker, mr_buf_view(&b));
	mr_buf_fini(&b);
	mr_catalog_app(clock->catalog);
	/* Kept batches name entities of the app before; the works that need them end with its instances. */
	MR_LIST_FOR (at, &clock->batches) {
		struct mr_batch *batch = MR_CONTAINER(at, struct mr_batch, in_clock);
		mr_batch_delete(&batch);
	}
	mr_clock_want_catalog(clock);
}

struct mr_str mr_clock_position(struct mr_clock *clock, uint64_t n)
{
	struct mr_past *past = &clock->past[n % PAST_TICKS];
	if (past->n != n)
		return (struct mr_str){0};
	if (!past->text.n)
		mr_position_print(&past->text, &past->position, clock->f->secret);
	return mr_buf_view(&past->text);
}

bool mr_clock_runs(const struct mr_clock *clock)
{
	return clock->n && !clock->failing;
}

bool mr_clock_follows(const struct mr_clock *clock)
{
	return !clock->waits_since || mr_mono_us() - clock->waits_since < FOLLOWS_US;
}
