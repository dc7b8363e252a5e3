/* Tails of the log, read for threads. */
#include <stdlib.h>

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

static void on_tail(const struct mr_tail *tail, void *arg)
{
	struct ask *a = arg;
	struct mr_app *app = a->f->hub->app;
	bool lost = false;
	const struct mr_entity *misfit = NULL;
	if (tail->ok && app)
		a->batch = mr_batch_new(0, app, tail->rows, tail->n, no_payload, NULL, &lost, &misfit);
	a->ok = a->batch && !lost && !misfit;
	mr_loop_call(a->f->loop, on_told, a);
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
