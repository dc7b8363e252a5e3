/* Tails of the log, read for threads. */
#include <stdlib.h>

#include "aside.h"
#include "proto/ground/fault.h"
#include "ticks.h"

struct ask {
	struct mr_fanout *f;
	struct mr_position from;
	size_t max_bytes;
	mr_ticks_tail_cb *cb;
	void *arg;
	bool ok;
	struct mr_batch *batch;
	/* What was read, until it is parsed. */
	struct mr_app *app;
	struct mr_arena texts;
	struct mr_log_row *rows;
	size_t n;
};

static void on_told(void *arg)
{
	struct ask *a = arg;
	if (a->f->stopping)
		mr_batch_drop(&a->batch);
	else
		a->cb(a->arg, a->ok, a->batch);
	mr_position_fini(&a->from);
	free(a);
}

static struct mr_str no_payload(void *arg, const uint8_t token[MR_TOKEN_BYTES])
{
	return (struct mr_str){0};
}

static void read_rows(void *arg)
{
	struct ask *a = arg;
	bool lost = false;
	const struct mr_entity *misfit = NULL;
	a->batch = mr_batch_new(0, a->app, a->rows, a->n, no_payload, NULL, NULL, &lost, &misfit);
	a->ok = !lost && !misfit;
}

static void have_rows(void *arg)
{
	struct ask *a = arg;
	mr_arena_fini(&a->texts);
	mr_app_drop(&a->app);
	mr_loop_call(a->f->loop, on_told, a);
}

static struct mr_str copy(struct ask *a, struct mr_str text)
{
	return text.p ? mr_arena_str(&a->texts, text) : text;
}

/* The texts go when we return. */
static size_t copy_rows(struct ask *a, const struct mr_tail *tail)
{
	size_t bytes = 0;
	a->n = tail->n;
	a->rows = mr_arena_alloc(&a->texts, (tail->n + 1) * sizeof *a->rows);
	for (size_t i = 0; i < tail->n; i++) {
		struct mr_log_row *row = &a->rows[i];
		*row = tail->rows[i];
		row->session = copy(a, row->session);
		row->call = copy(a, row->call);
		row->result = copy(a, row->result);
		row->changes = copy(a, row->changes);
		row->entity = copy(a, row->entity);
		bytes += row->changes.n;
	}
	return bytes;
}

static void on_tail(const struct mr_tail *tail, void *arg)
{
	struct ask *a = arg;
	const struct mr_hub *hub = a->f->hub;
	if (!tail->ok || !hub->app) {
		mr_loop_call(a->f->loop, on_told, a);
		return;
	}
	a->app = mr_app_hold(hub->app);
	if (copy_rows(a, tail) >= MR_ASIDE_BYTES) {
		mr_aside_do(hub->aside, hub->loop, read_rows, have_rows, a);
		return;
	}
	read_rows(a);
	have_rows(a);
}

static void on_ask(void *arg)
{
	struct ask *a = arg;
	mr_ticker_tail(a->f->hub->ticks->ticker, &a->from, a->max_bytes, on_tail, a);
	MR_FAULT(FANOUT_RESUMING);
}

void mr_ticks_tail(struct mr_fanout *f, const struct mr_position *from, size_t max_bytes, mr_ticks_tail_cb *cb, void *arg)
{
	struct ask *a = mr_alloc(sizeof *a);
	*a = (struct ask){.f = f, .max_bytes = max_bytes, .cb = cb, .arg = arg};
	mr_position_copy(&a->from, from);
	mr_loop_call(f->hub->loop, on_ask, a);
}
