/* The ring under threads that race, for the thread sanitizer: writers on tiny lanes that overtake the reader all the time, states flipped
 * while they are looked at, lanes that go from one writer to the next. */
#include "tests/unit/ring_records.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { LANES = 3, LATE = 5 }; /* so many records later a state is flipped */

struct writer {
	struct mr_ring *ring;
	int lane;
	uint32_t life;
	atomic_bool stop;
	uint64_t published;
	bool runs;
	pthread_t thread;
};
static struct writer writers[LANES];

static void flip(const struct writer *w, uint64_t number, const uint64_t at[LATE])
{
	struct ring_record r = {(uint32_t)w->lane, w->life, number};
	if (ring_end(r) != MR_SLOT_PENDING)
		mr_ring_flip(w->ring, at[number % LATE], ring_end(r));
}

static void *write_a_life(void *arg)
{
	struct writer *w = arg;
	uint64_t at[LATE], random = ring_seed((struct ring_record){(uint32_t)w->lane, w->life, 0});
	uint64_t pause = 1 + ring_random(&random, 200);
	for (uint64_t n = 1; !atomic_load_explicit(&w->stop, memory_order_relaxed); n++) {
		if (n > LATE)
			flip(w, n - LATE, at);
		at[n % LATE] = ring_write(w->ring, (struct ring_record){(uint32_t)w->lane, w->life, n});
		MR_ASSERT(at[n % LATE]);
		w->published = n;
		/* The reader gets a turn now and then, also where there is one core. */
		if (n % pause == 0) {
			usleep(20);
			pause = 1 + ring_random(&random, 200);
		}
	}
	return NULL;
}

static void begin(struct writer *w, int fd, const struct ring_reader *r)
{
	const char *why;
	w->lane = r->lane;
	w->life = r->life;
	w->published = 0;
	w->ring = mr_ring_attach(fd, r->lane, &why);
	assert_non_null(w->ring);
	atomic_store(&w->stop, false);
	assert_int_equal(pthread_create(&w->thread, NULL, write_a_life, w), 0);
	w->runs = true;
}

static void stop(struct writer *w)
{
	if (!w->runs)
		return;
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
	mr_ring_delete(&w->ring);
	w->runs = false;
}

static int stop_all(void **state)
{
	for (int i = 0; i < LANES; i++)
		stop(&writers[i]);
	return 0;
}

/* The writer is gone for good: what it published was read, or a lap was told; what it flipped is flipped, the rest stays pending. */
static void end(struct writer *w, struct ring_reader *r)
{
	stop(w);
	ring_drain(r);
	assert_true(r->last == w->published || r->missed);
	for (size_t i = 0; i < RING_SEEN; i++) {
		const struct ring_seen *s = &r->seen[i];
		if (s->position && s->record.life == r->life && s->record.number + LATE > w->published)
			assert_int_equal(s->state, MR_SLOT_PENDING);
		else if (s->position && s->record.life == r->life)
			assert_int_equal(s->state, ring_end(s->record));
	}
}

static void torture(size_t size, unsigned lives)
{
	int fd;
	struct mr_ring *ring = mr_ring_create(LANES, size, &fd);
	struct ring_reader readers[LANES] = {0};
	uint64_t until[LANES], random = lives, got = 0, lapped = 0;
	assert_non_null(ring);
	for (int i = 0; i < LANES; i++) {
		readers[i] = (struct ring_reader){.ring = ring, .lane = i};
		until[i] = 1 + ring_random(&random, 200);
		begin(&writers[i], fd, &readers[i]);
	}
	for (unsigned ended = 0; ended < lives;) {
		int i = (int)ring_random(&random, LANES);
		struct ring_reader *r = &readers[i];
		for (uint64_t n = ring_random(&random, 30); n && ring_take(r); n--)
			continue;
		if (ring_random(&random, 8) == 0)
			ring_look_at_all(r);
		/* Not looking for a while is what makes a reader late. */
		if (ring_random(&random, 64) == 0)
			usleep(100);
		if (r->got < until[i])
			continue;
		end(&writers[i], r);
		ring_next_life(r);
		begin(&writers[i], fd, r);
		until[i] = r->got + 1 + ring_random(&random, 200);
		ended++;
	}
	for (int i = 0; i < LANES; i++) {
		end(&writers[i], &readers[i]);
		got += readers[i].got;
		lapped += readers[i].lapped;
		mr_buf_fini(&readers[i].payload);
	}
	print_message("           %zu bytes: %u lives, %llu records read, %llu laps\n", size, lives, (unsigned long long)got,
		(unsigned long long)lapped);
	assert_true(size > RING_TINY || lapped > 0);
	mr_ring_delete(&ring);
	close(fd);
}

static unsigned lives(unsigned usual)
{
	return getenv("MILLRACE_LONG") ? usual * 50 : usual;
}

static void tiny_lanes_are_lapped_all_the_time(void **state)
{
	torture(RING_TINY, lives(150));
}

static void large_lanes(void **state)
{
	torture(1 << 20, lives(50));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(tiny_lanes_are_lapped_all_the_time, stop_all),
		cmocka_unit_test_teardown(large_lanes, stop_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
