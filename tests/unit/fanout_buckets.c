/* Token buckets: never more than is due, whoever else asks; what is due is had; threads lose nothing. */
#include "tests/unit/vectors.h"

#include <pthread.h>

#include "fanout/buckets.h"
#include "proto/ground/hash.h"

enum { SECOND = 1000 * 1000 };

static uint64_t random_to(uint64_t n)
{
	uint64_t x;
	mr_random(&x, sizeof x);
	return x % n;
}

static void a_burst_then_the_rate(void **state)
{
	struct mr_buckets *b = mr_buckets_new(10, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(mr_buckets_take(b, 7, SECOND), 0);
	assert_int_equal(mr_buckets_take(b, 7, SECOND), SECOND / 10);
	assert_int_equal(mr_buckets_take(b, 7, SECOND + SECOND / 20), SECOND / 20);
	assert_int_equal(mr_buckets_take(b, 8, SECOND), 0); /* another's is full */
	assert_int_equal(mr_buckets_take(b, 7, SECOND + SECOND / 10), 0);
	assert_int_equal(mr_buckets_take(b, 7, SECOND + SECOND / 10), SECOND / 10);
	for (int i = 0; i < 5; i++)
		assert_int_equal(mr_buckets_take(b, 7, 100 * SECOND), 0);
	assert_int_not_equal(mr_buckets_take(b, 7, 100 * SECOND), 0);
	mr_buckets_delete(&b);
}

/* Who waits as long as he was told is served, and no sooner: at any rate. */
static void waiting_helps(void **state)
{
	static const int64_t rates[] = {1, 3, 7, 1000, 999983, 1000000};
	for (size_t r = 0; r < MR_COUNT(rates); r++) {
		struct mr_buckets *b = mr_buckets_new(rates[r], 1 + (int64_t)random_to(20));
		int64_t now = SECOND, wait;
		for (int i = 0; i < 2000; i++) {
			wait = mr_buckets_take(b, 1, now);
			if (!wait)
				continue;
			if (wait > 1)
				assert_int_not_equal(mr_buckets_take(b, 1, now + wait - 1), 0);
			now += wait;
			assert_int_equal(mr_buckets_take(b, 1, now), 0);
		}
		mr_buckets_delete(&b);
	}
}

enum { WATCHED = 40, STEPS = 400 * 1000 };
struct watched {
	uint64_t key;
	int64_t first, taken;
};

/* Few keys among very many that come once, more than the table holds. */
static void never_more_than_is_due_in_a_flood(void **state)
{
	const int64_t rate = 50, burst = 20;
	struct mr_buckets *b = mr_buckets_new(rate, burst);
	struct watched all[WATCHED] = {0};
	int64_t now = SECOND, refused = 0;
	for (size_t i = 0; i < WATCHED; i++)
		all[i] = (struct watched){random_to(UINT64_MAX), now, 0};
	for (int step = 0; step < STEPS; step++) {
		now += (int64_t)random_to(20);
		mr_buckets_take(b, random_to(UINT64_MAX), now);
		struct watched *w = &all[random_to(WATCHED)];
		bool had = mr_buckets_take(b, w->key, now) == 0;
		w->taken += had;
		refused += !had;
		if (w->taken > burst + (now - w->first) * rate / SECOND)
			fail_msg("%lld were taken in %lld us", (long long)w->taken, (long long)(now - w->first));
	}
	assert_true(refused > 0);
	mr_buckets_delete(&b);
}

/* While the table has room nobody gets less for the others. */
static void nobody_starves(void **state)
{
	struct mr_buckets *b = mr_buckets_new(10, 3);
	for (uint64_t second = 1; second <= 20; second++) {
		for (uint64_t key = 1; key <= 3000; key++)
			for (int i = 0; i < 5; i++)
				mr_buckets_take(b, key << 32, (int64_t)second * SECOND);
		for (int i = 0; i < 3; i++)
			assert_int_equal(mr_buckets_take(b, 77, (int64_t)second * SECOND), 0);
	}
	mr_buckets_delete(&b);
}

struct taker {
	pthread_t thread;
	struct mr_buckets *buckets;
	int64_t taken;
};

static void *take_all(void *arg)
{
	struct taker *t = arg;
	for (int i = 0; i < 20000; i++)
		t->taken += mr_buckets_take(t->buckets, 5, SECOND) == 0;
	return NULL;
}

static void threads_share(void **state)
{
	struct mr_buckets *b = mr_buckets_new(1, 30000);
	struct taker all[4];
	int64_t sum = 0;
	for (size_t i = 0; i < MR_COUNT(all); i++) {
		all[i] = (struct taker){.buckets = b};
		assert_int_equal(pthread_create(&all[i].thread, NULL, take_all, &all[i]), 0);
	}
	for (size_t i = 0; i < MR_COUNT(all); i++) {
		pthread_join(all[i].thread, NULL);
		sum += all[i].taken;
	}
	assert_int_equal(sum, 30000);
	mr_buckets_delete(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_then_the_rate),
		cmocka_unit_test(waiting_helps),
		cmocka_unit_test(never_more_than_is_due_in_a_flood),
		cmocka_unit_test(nobody_starves),
		cmocka_unit_test(threads_share),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
