/* Which worker a job goes to: quick and slow functions apart, workers that are held up passed over; and which functions are slow. */
#include "tests/unit/vectors.h"

#include <unistd.h>

#include "fanout/choice.h"
#include "proto/schema.h"

enum { SECOND = 1000 * 1000, WORKERS = 3, NOW = 100 * SECOND };

struct rig {
	struct mr_app app;
	struct mr_hub hub;
	struct mr_workers all;
	struct mr_worker w[WORKERS];
	int fd;
};

static void start(struct rig *r, int n)
{
	*r = (struct rig){.app = {.version = MR_STR("one")}, .fd = -1};
	r->hub.app = &r->app;
	r->hub.settings = (struct mr_settings){.slow_slice = 25, .slow_lease = 60000, .worker_connections = 8, .worker_actions = 4};
	r->all.hub = &r->hub;
	r->all.crew = n;
	r->all.ring = mr_ring_create(WORKERS, 4096, &r->fd);
	mr_list_init(&r->all.workers);
	for (int i = 0; i < n; i++) {
		r->w[i] = (struct mr_worker){.all = &r->all, .lane = i, .version = "one", .ready = true};
		mr_list_add_tail(&r->all.workers, &r->w[i].in_workers);
	}
}

static void stop(struct rig *r)
{
	mr_ring_delete(&r->all.ring);
	close(r->fd);
}

/* The number of the worker chosen; -1: none. */
static int choose(struct rig *r, enum mr_line line)
{
	struct mr_worker *w = mr_choose(&r->all, line, NOW);
	return w ? w->lane : -1;
}

static void begin_slice(struct rig *r, int lane, int64_t since_us)
{
	const char *why;
	struct mr_ring *writer = mr_ring_attach(r->fd, lane, &why);
	mr_ring_slice(writer, 1, since_us);
	mr_ring_delete(&writer);
}

static void the_least_to_do(void **state)
{
	struct rig r;
	start(&r, 3);
	r.w[0].n_jobs = 5;
	r.w[1].n_jobs = 2;
	r.w[2].n_jobs = 9;
	r.w[2].n_actions = 8; /* which wait for others */
	assert_int_equal(choose(&r, MR_LINE_CALLS), 2);
	r.w[2].draining = true;
	assert_int_equal(choose(&r, MR_LINE_CALLS), 1);
	r.w[1].version = "other";
	assert_int_equal(choose(&r, MR_LINE_CALLS), 0);
	r.w[0].ready = false;
	assert_int_equal(choose(&r, MR_LINE_CALLS), -1);
	stop(&r);
}

static void one_is_kept_for_the_quick(void **state)
{
	struct rig r;
	start(&r, 3);
	for (int i = 0; i < 30; i++) {
		int lane = choose(&r, MR_LINE_SLOW_CALLS);
		assert_int_not_equal(lane, -1);
		r.w[lane].n_slow++;
		r.w[lane].n_jobs++;
		assert_int_equal(r.w[choose(&r, MR_LINE_CALLS)].n_slow, 0);
	}
	int kept = r.all.kept->lane;
	assert_int_equal(r.w[kept].n_slow, 0);
	for (int i = 0; i < 3; i++)
		assert_true(i == kept || r.w[i].n_slow == 15);
	/* Alone, it takes none of them; they wait. */
	for (int i = 0; i < 3; i++)
		r.w[i].ready = i == kept;
	assert_int_equal(choose(&r, MR_LINE_SLOW_CALLS), -1);
	assert_int_equal(choose(&r, MR_LINE_SLOW_ACTIONS), -1);
	assert_int_equal(choose(&r, MR_LINE_CALLS), kept);
	/* When it goes, another one is kept: that with the fewest of them. */
	for (int i = 0; i < 3; i++)
		r.w[i].ready = i != kept;
	int fewest = (kept + 1) % 3;
	r.w[fewest].n_slow = 3;
	assert_int_equal(choose(&r, MR_LINE_SLOW_CALLS), 3 - kept - fewest);
	assert_int_equal(r.all.kept->lane, fewest);
	r.w[kept].ready = true;
	choose(&r, MR_LINE_CALLS);
	assert_int_equal(r.all.kept->lane, fewest);
	stop(&r);
}

static void one_worker_takes_all(void **state)
{
	struct rig r;
	start(&r, 1);
	for (enum mr_line line = 0; line < MR_LINES; line++)
		assert_int_equal(choose(&r, line), 0);
	assert_null(r.all.kept);
	/* One of two is another thing: the second comes. */
	r.all.crew = 2;
	assert_int_equal(choose(&r, MR_LINE_SLOW_CALLS), -1);
	assert_int_equal(choose(&r, MR_LINE_CALLS), 0);
	stop(&r);
}

static void the_quick_keep_away(void **state)
{
	struct rig r;
	start(&r, 3);
	/* The same worker again, and nobody between two of them. */
	int lane = choose(&r, MR_LINE_SLOW_CALLS);
	for (int i = 0; i < 5; i++)
		assert_int_equal(choose(&r, MR_LINE_SLOW_CALLS), lane);
	r.w[lane].slow_us = NOW - SECOND / 2;
	for (int i = 0; i < 3; i++)
		r.w[i].n_jobs = i == lane ? 0 : 31;
	assert_int_not_equal(choose(&r, MR_LINE_CALLS), lane);
	/* When the others are full it takes its part. */
	for (int i = 0; i < 3; i++)
		r.w[i].n_jobs = i == lane ? 0 : 32;
	assert_int_equal(choose(&r, MR_LINE_CALLS), lane);
	/* A while after the last one it is like the others. */
	r.w[lane].slow_us = NOW - 2 * SECOND;
	for (int i = 0; i < 3; i++)
		r.w[i].n_jobs = i == lane ? 0 : 1;
	assert_int_equal(choose(&r, MR_LINE_CALLS), lane);
	stop(&r);
}

static void who_is_held_up_gets_nothing(void **state)
{
	struct rig r;
	start(&r, 3);
	r.w[1].n_jobs = 3;
	r.w[2].n_jobs = 2;
	begin_slice(&r, 0, NOW - 20 * 1000);
	assert_int_equal(choose(&r, MR_LINE_CALLS), 0);
	begin_slice(&r, 0, NOW - 30 * 1000);
	assert_int_equal(mr_worker_stuck_us(&r.w[0], NOW), NOW - 30 * 1000);
	assert_int_equal(choose(&r, MR_LINE_CALLS), 2);
	begin_slice(&r, 2, NOW - 40 * 1000);
	assert_int_equal(choose(&r, MR_LINE_CALLS), 1);
	begin_slice(&r, 1, NOW - 50 * 1000);
	assert_int_equal(choose(&r, MR_LINE_CALLS), 0); /* all are: the least to do */
	begin_slice(&r, 2, 0);
	assert_int_equal(choose(&r, MR_LINE_CALLS), 2);
	r.hub.settings.slow_slice = 0; /* off */
	assert_int_equal(choose(&r, MR_LINE_CALLS), 0);
	stop(&r);
}

static void actions_have_their_number(void **state)
{
	struct rig r;
	start(&r, 2);
	for (int i = 0; i < 8; i++) {
		struct mr_worker *w = mr_choose(&r.all, MR_LINE_ACTIONS, NOW);
		assert_non_null(w);
		w->n_actions++;
		w->n_jobs++;
	}
	assert_int_equal(r.w[0].n_actions, 4);
	assert_int_equal(choose(&r, MR_LINE_ACTIONS), -1);
	assert_int_equal(choose(&r, MR_LINE_SLOW_ACTIONS), -1);
	assert_int_not_equal(choose(&r, MR_LINE_SLOW_CALLS), -1);
	stop(&r);
}

/* --- which functions are slow --- */

static void twice_or_ended(void **state)
{
	const struct mr_settings s = {.slow_slice = 25, .slow_lease = 60000};
	struct mr_slow *slow = mr_slow_new(&s);
	struct mr_str one = MR_STR("a.one"), two = MR_STR("a.two");
	assert_false(mr_slow_note(slow, one, MR_SLOW_SLICE, NOW));
	assert_false(mr_slow_is(slow, one));
	assert_true(mr_slow_note(slow, one, MR_SLOW_SLICE, NOW + 59 * SECOND));
	assert_true(mr_slow_is(slow, one));
	assert_false(mr_slow_note(slow, one, MR_SLOW_SLICE, NOW + 60 * SECOND)); /* it is already */
	assert_true(mr_slow_note(slow, two, MR_SLOW_ENDED, NOW + 60 * SECOND));
	assert_int_equal(mr_slow_count(slow), 2);
	assert_false(mr_slow_is(slow, MR_STR("a.three")));
	/* The lease is from the last one on. */
	assert_false(mr_slow_note(slow, two, MR_SLOW_SLICE, NOW + 100 * SECOND));
	mr_slow_expire(slow, NOW + 119 * SECOND);
	assert_true(mr_slow_is(slow, one));
	mr_slow_expire(slow, NOW + 120 * SECOND);
	assert_false(mr_slow_is(slow, one));
	assert_true(mr_slow_is(slow, two));
	/* Once in a lease is not twice. */
	assert_false(mr_slow_note(slow, one, MR_SLOW_SLICE, NOW + 130 * SECOND));
	mr_slow_expire(slow, NOW + 191 * SECOND);
	assert_false(mr_slow_note(slow, one, MR_SLOW_SLICE, NOW + 192 * SECOND));
	assert_int_equal(mr_slow_count(slow), 0);
	assert_true(mr_slow_note(slow, one, MR_SLOW_ENDED, NOW + 193 * SECOND));
	mr_slow_forget(slow);
	assert_int_equal(mr_slow_count(slow), 0);
	mr_slow_delete(&slow);
}

static void off_is_off(void **state)
{
	const struct mr_settings s = {.slow_lease = 60000};
	struct mr_slow *slow = mr_slow_new(&s);
	assert_false(mr_slow_note(slow, MR_STR("a.one"), MR_SLOW_ENDED, NOW));
	assert_false(mr_slow_is(slow, MR_STR("a.one")));
	mr_slow_delete(&slow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_to_do),
		cmocka_unit_test(one_is_kept_for_the_quick),
		cmocka_unit_test(one_worker_takes_all),
		cmocka_unit_test(the_quick_keep_away),
		cmocka_unit_test(who_is_held_up_gets_nothing),
		cmocka_unit_test(actions_have_their_number),
		cmocka_unit_test(twice_or_ended),
		cmocka_unit_test(off_is_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
