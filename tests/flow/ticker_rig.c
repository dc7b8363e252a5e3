#include "ticker_rig.h"

#include <stdlib.h>

#include "proto/ground/hash.h"
#include "storage/sql.h"

struct mr_test_pg server;
struct mr_loop *loop;
PGconn *admin;

static void have(struct mr_buf *b, void *arg)
{
	const struct fan *f = arg;
	mr_buf_str(b, mr_buf_view(&f->tokens));
}

static int64_t worth(void *arg)
{
	const struct fan *f = arg;
	return f->worth ? f->worth : INT64_MAX;
}

static void add_seq(struct fan *f, int64_t seq)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 1024;
		f->seqs = mr_realloc(f->seqs, f->cap * sizeof(*f->seqs));
	}
	f->seqs[f->n++] = seq;
}

static void collect(struct fan *f, const struct mr_log_row *rows, size_t n, const struct mr_position *at)
{
	for (size_t i = 0; i < n; i++) {
		add_seq(f, rows[i].seq);
		f->withheld += !rows[i].changes.p;
		if (rows[i].entity.n)
			mr_buf_printf(&f->entities, "%.*s ", (int)rows[i].entity.n, rows[i].entity.p);
		f->wrong += !mr_snapshot_sees(&at->snapshot, rows[i].xid) || (i && rows[i].seq <= rows[i - 1].seq);
		f->wrong += mr_snapshot_sees(&f->before.snapshot, rows[i].xid) && rows[i].seq <= f->before.seq;
		mr_buf_reset(&f->changes);
		mr_buf_str(&f->changes, rows[i].changes);
	}
}

static void on_tick(struct mr_tick *tick, void *arg)
{
	struct fan *f = arg;
	f->ticks++;
	f->resets += tick->reset;
	mr_position_copy(&f->before, &f->position);
	mr_position_copy(&f->position, tick->position);
	collect(f, tick->rows, tick->n, tick->position);
	assert_true(!tick->reset || tick->n == 0);
	if (tick->fingerprints.n) {
		mr_buf_reset(&f->fingerprints);
		mr_buf_str(&f->fingerprints, tick->fingerprints);
	}
	if (f->keep)
		f->tick = tick;
	else
		mr_tick_done(tick, NULL);
}

static void on_failure(const struct mr_error *err, void *arg)
{
	struct fan *f = arg;
	f->failures++;
	f->err = *err;
}

void fan_start_at(struct fan *f, const char *conninfo)
{
	*f = (struct fan){0};
	struct mr_ticker_config config = {
		.conninfo = conninfo, .have = have, .worth = worth, .on_tick = on_tick, .on_failure = on_failure, .arg = f};
	f->ticker = mr_ticker_new(loop, &config);
}

void fan_start(struct fan *f)
{
	fan_start_at(f, server.conninfo);
}

void fan_stop(struct fan *f)
{
	mr_ticker_delete(&f->ticker);
	mr_position_fini(&f->position);
	mr_position_fini(&f->before);
	mr_buf_fini(&f->tokens);
	mr_buf_fini(&f->entities);
	mr_buf_fini(&f->fingerprints);
	mr_buf_fini(&f->changes);
	free(f->seqs);
	for (int i = 0; i < 3; i++)
		mr_loop_turn(loop, 0);
}

void until_grown(const int *counter, int from)
{
	for (int64_t end = mr_mono_us() + 20000000; *counter <= from;) {
		if (mr_mono_us() > end)
			fail_msg("waited in vain");
		mr_loop_turn(loop, 100);
	}
}

void tick_after(struct fan *f, int before, bool outside)
{
	for (int64_t end = mr_mono_us() + 20000000; f->ticks == before;) {
		if (mr_mono_us() > end)
			fail_msg("no tick: %s", f->err.message);
		if (!mr_ticker_busy(f->ticker))
			assert_true(mr_ticker_run(f->ticker, outside));
		mr_loop_turn(loop, 20);
	}
}

void tick_once(struct fan *f, bool outside)
{
	while (mr_ticker_busy(f->ticker))
		mr_loop_turn(loop, 20);
	tick_after(f, f->ticks, outside);
}

size_t new_rows(struct fan *f)
{
	size_t before = f->n;
	tick_once(f, false);
	return f->n - before;
}

/* The ticker goes on meanwhile, and ends the transactions that nobody needs. */
static void pause_us(int64_t us)
{
	for (int64_t end = mr_mono_us() + us; mr_mono_us() < end;)
		mr_loop_turn(loop, 20);
}

/* Backends report what they have read once a second, outside of transactions. */
void let_it_be_reported(struct fan *f)
{
	pause_us(2000000);
	for (int i = 0; i < 5; i++) {
		tick_once(f, false);
		pause_us(50000);
	}
	mr_test_exec(admin, "select pg_stat_clear_snapshot()");
}

void empty_log(void)
{
	mr_test_exec(admin, "truncate millrace.change_log; update millrace.log_floor set xid = '0', seq = 0");
}

void on_tail(const struct mr_tail *tail, void *arg)
{
	struct fan *f = arg;
	f->ticks++;
	f->resets += !tail->ok;
	if (tail->position)
		mr_position_copy(&f->position, tail->position);
	if (tail->n)
		collect(f, tail->rows, tail->n, tail->position ? tail->position : &f->position);
}

int ticker_rig_start(void **state)
{
	mr_test_pg_init(&server);
	loop = mr_loop_new();
	admin = mr_test_connect(&server);
	mr_test_exec(admin, "%s", mr_sql_millrace);
	return 0;
}

int ticker_rig_stop(void **state)
{
	for (int i = 0; i < 3; i++)
		mr_loop_turn(loop, 0);
	mr_loop_delete(&loop);
	PQfinish(admin);
	mr_test_pg_fini(&server);
	return 0;
}
