/* What the scheduler asks Postgres for (storage/sql/scheduler.sql), on one connection, each in a transaction of its own: ends of functions
 * that have ended, then a look at what is due, and seldom the removal of old ones.
 */
#include <inttypes.h>
#include <stdio.h>

#include "proto/ground/fault.h"
#include "scheduler.h"

enum {
	RETAIN_MOST = 500,
	RETAIN_EVERY_US = 60 * 1000 * 1000,
	AGAIN_US = 100 * 1000, /* after a turn that failed */
	HOLDER_CHARS = 36,     /* a uuid's text */
};

static struct mr_str text(char *out, size_t size, const char *fmt, int64_t n)
{
	int k = snprintf(out, size, fmt, n);
	return (struct mr_str){out, (size_t)k};
}

/* ---- the end of a turn ---- */

static int64_t jittered(int64_t us)
{
	uint32_t random;
	mr_random(&random, sizeof random);
	return us / 2 + (int64_t)(random % (uint64_t)(us / 2 + 1));
}

static bool has_unwritten(const struct mr_scheduler *s)
{
	MR_LIST_FOR (e, &s->jobs) {
		if (MR_CONTAINER(e, struct mr_scheduled, node)->how)
			return true;
	}
	return false;
}

static void arm(struct mr_scheduler *s)
{
	int64_t wait = jittered(s->w->settings.scheduler_poll_interval * 1000), now = mr_mono_us();
	if (s->next_us)
		wait = MR_MIN(wait, MR_MAX(s->next_us - now, 1000));
	if (s->failed || has_unwritten(s))
		wait = MR_MIN(wait, AGAIN_US);
	if (!s->failed && (s->again || (s->more && mr_scheduler_places(s))))
		wait = 0;
	mr_timer_start(s->timer, wait);
}

static void over(struct mr_scheduler *s)
{
	if (s->pg)
		mr_pool_return(s->w->pool, s->pg);
	s->pg = NULL;
	s->turning = false;
	if (s->done || s->failed_for_good || s->late)
		mr_door_jobs(s->w, s->done, s->failed_for_good, s->late);
	s->done = s->failed_for_good = s->late = 0;
	s->told &= s->failed;
	arm(s);
	mr_jobs_maybe_exit(s->w);
}

static void answered(struct mr_scheduler *s, const struct mr_pg_result *r)
{
	struct mr_error err;
	if (!mr_pg_ok(r)) {
		mr_pg_error(r, &err);
		if (!s->told && err.code != MR_POSTGRES_UNAVAILABLE && err.code != MR_CONFLICT)
			mr_log(MR_ERROR, "scheduled functions: Postgres refuses: %s", err.message);
		s->failed = s->told = true;
	}
	if (--s->out == 0)
		over(s);
}

/* ---- what ended ---- */

static void on_end(const struct mr_pg_result *r, void *arg)
{
	struct mr_scheduled *x = arg;
	struct mr_scheduler *s = x->s;
	x->asked = false;
	if (mr_pg_ok(r)) {
		struct mr_str state = mr_pg_value(r, 0, 0);
		if (mr_str_is(state, "failed"))
			mr_log(MR_ERROR, "job %s has failed for good: %.*s", x->id, (int)x->why.n, x->why.n ? x->why.p : "");
		s->failed_for_good += mr_str_is(state, "failed");
		s->done += mr_str_is(state, "success");
		mr_scheduled_free(x);
	}
	answered(s, r);
}

static void ask_end(struct mr_scheduled *x)
{
	struct mr_scheduler *s = x->s;
	char attempt[24], crashes[24];
	const struct mr_str params[] = {mr_str(x->id), text(attempt, sizeof attempt, "%" PRId64, x->attempt), mr_str(x->how),
		x->why.n ? mr_buf_view(&x->why) : (struct mr_str){0},
		text(crashes, sizeof crashes, "%" PRId64, s->w->settings.scheduler_crashes)};
	x->asked = true;
	s->out++;
	mr_pg_query(s->pg, 0, "select millrace.end_job($1::uuid, $2::integer, $3, $4::jsonb, $5::integer)", (int)MR_COUNT(params), params,
		on_end, x);
	mr_pg_sync(s->pg);
}

/* ---- whose jobs are anybody's ---- */

static void on_lost(const struct mr_pg_result *r, void *arg)
{
	struct mr_scheduler *s = arg;
	if (mr_pg_ok(r)) {
		for (size_t at = 0; at < s->losing; at += HOLDER_CHARS + 1)
			mr_door_lost(s->w, (struct mr_str){s->lost.p + at, HOLDER_CHARS});
		memmove(s->lost.p, s->lost.p + s->losing, s->lost.n - s->losing);
		s->lost.n -= s->losing;
	}
	answered(s, r);
}

/* Before the claim, which takes over what they had. */
static void ask_lose(struct mr_scheduler *s)
{
	struct mr_buf ids = {0};
	if (!s->lost.n)
		return;
	s->losing = s->lost.n;
	mr_buf_char(&ids, '{');
	mr_buf_add(&ids, s->lost.p, s->lost.n - 1);
	mr_buf_char(&ids, '}');
	const struct mr_str params[] = {mr_buf_view(&ids)};
	s->out++;
	mr_pg_query(s->pg, 0, "select millrace.lose_workers($1::uuid[])", (int)MR_COUNT(params), params, on_lost, s);
	mr_pg_sync(s->pg);
	mr_buf_fini(&ids);
}

/* ---- what is due ---- */

static void on_claimed(const struct mr_pg_result *r, void *arg)
{
	struct mr_scheduler *s = arg;
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *in = mr_pg_ok(r) ? mr_json_read(&a, mr_arena_str(&a, mr_pg_value(r, 0, 0)), 1024, false, &err) : NULL;
	const struct mr_node *jobs = mr_node_get(in, "jobs"), *gone = mr_node_get(in, "gone");
	int64_t ms;
	s->next_us = mr_node_int(mr_node_get(in, "in"), &ms) ? mr_mono_us() + MR_MAX(ms, 1) * 1000 : 0;
	if (jobs && jobs->n)
		MR_FAULT(SCHEDULER_CLAIMED);
	for (size_t i = 0; gone && i < gone->n; i++)
		mr_scheduled_gone(s, gone->items[i].text);
	s->more = jobs && jobs->n && (int)jobs->n == s->asked;
	for (size_t i = 0; jobs && i < jobs->n; i++)
		mr_scheduled_begin(s, &jobs->items[i]);
	mr_arena_fini(&a);
	answered(s, r);
}

static void print_running(const struct mr_scheduler *s, struct mr_buf *ids, struct mr_buf *attempts)
{
	mr_buf_char(ids, '{');
	mr_buf_char(attempts, '{');
	MR_LIST_FOR (e, &s->jobs) {
		const struct mr_scheduled *x = MR_CONTAINER(e, struct mr_scheduled, node);
		if (x->gone)
			continue;
		const char *comma = ids->n > 1 ? "," : "";
		mr_buf_printf(ids, "%s%s", comma, x->id);
		mr_buf_printf(attempts, "%s%" PRId64, comma, x->attempt);
	}
	mr_buf_char(ids, '}');
	mr_buf_char(attempts, '}');
}

static void ask_claim(struct mr_scheduler *s)
{
	const struct mr_settings *set = &s->w->settings;
	struct mr_buf ids = {0}, attempts = {0};
	char places[24], lease[40], crashes[24], wait[40];
	print_running(s, &ids, &attempts);
	s->asked = mr_scheduler_places(s);
	const struct mr_str params[] = {mr_str(s->me), mr_buf_view(&ids), mr_buf_view(&attempts),
		text(places, sizeof places, "%" PRId64, s->asked),
		text(lease, sizeof lease, "%" PRId64 " milliseconds", set->scheduler_lease),
		text(crashes, sizeof crashes, "%" PRId64, set->scheduler_crashes), mr_buf_view(&s->known),
		text(wait, sizeof wait, "%" PRId64 " milliseconds", set->scheduler_unknown_wait)};
	s->out++;
	mr_pg_query(s->pg, 0,
		"select millrace.claim_jobs($1::uuid, $2::uuid[], $3::integer[], $4::integer, $5::interval, $6::integer, $7::text[], "
		"$8::interval)",
		(int)MR_COUNT(params), params, on_claimed, s);
	mr_pg_sync(s->pg);
	mr_buf_fini(&ids);
	mr_buf_fini(&attempts);
}

/* ---- what is old ---- */

static void on_retained(const struct mr_pg_result *r, void *arg)
{
	struct mr_scheduler *s = arg;
	if (mr_pg_ok(r) && mr_pg_int(r, 0, 0) == RETAIN_MOST)
		s->retain_us = 0;
	answered(s, r);
}

static void ask_retain(struct mr_scheduler *s)
{
	int64_t now = mr_mono_us(), every = MR_MIN(RETAIN_EVERY_US, s->w->settings.job_retention * 1000);
	if (now < s->retain_us)
		return;
	s->retain_us = now + jittered(every);
	char keep[40], most[24];
	const struct mr_str params[] = {text(keep, sizeof keep, "%" PRId64 " milliseconds", s->w->settings.job_retention),
		text(most, sizeof most, "%" PRId64, RETAIN_MOST)};
	s->out++;
	mr_pg_query(s->pg, 0, "select millrace.retain_jobs($1::interval, $2::integer)", (int)MR_COUNT(params), params, on_retained, s);
	mr_pg_sync(s->pg);
}

/* ---- a turn ---- */

static void on_lease(struct mr_pg *pg, const struct mr_error *err, void *arg)
{
	struct mr_scheduler *s = arg;
	s->pg = pg;
	if (!pg) {
		s->failed = true;
		over(s);
		return;
	}
	s->out = 1; /* until all is asked */
	if (has_unwritten(s))
		MR_FAULT_PG(SCHEDULER_ENDED, pg);
	MR_LIST_FOR (e, &s->jobs) {
		struct mr_scheduled *x = MR_CONTAINER(e, struct mr_scheduled, node);
		if (x->how && !x->asked)
			ask_end(x);
	}
	ask_lose(s);
	ask_claim(s);
	ask_retain(s);
	if (--s->out == 0)
		over(s);
}

void mr_scheduler_turn(void *arg)
{
	struct mr_scheduler *s = arg;
	MR_ASSERT(!s->turning);
	s->turning = true;
	s->again = s->failed = false;
	mr_pool_lease(s->w->pool, s->w->settings.call_time_limit * 1000, on_lease, s);
}
