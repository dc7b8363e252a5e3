/* Posts to a loop from threads that race, for the thread sanitizer: every one is run once, those of one thread in their order, also where
 * the loop sleeps between them and where it is deleted with some still to run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/ground/log.h"
#include "proto/ground/loop.h"
#include "proto/ground/mem.h"

enum { POSTERS = 4, POSTS = 20000, PAUSES = 500 };

struct poster {
	struct mr_loop *loop;
	pthread_t thread;
	int sent, seen;
};
struct note {
	struct poster *from;
	int number;
};

static void take(void *arg)
{
	struct note *note = arg;
	MR_ASSERT(note->number == note->from->seen + 1);
	note->from->seen = note->number;
	free(note);
}

static void *post_many(void *arg)
{
	struct poster *p = arg;
	while (p->sent < POSTS) {
		struct note *note = mr_alloc(sizeof(*note));
		*note = (struct note){p, ++p->sent};
		mr_loop_post(p->loop, take, note);
		if (p->sent % (POSTS / PAUSES) == 0)
			usleep(50); /* the loop falls asleep now and then */
	}
	return NULL;
}

static void begin(struct poster *posters, struct mr_loop *loop)
{
	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){.loop = loop};
		assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
	}
}

static int missing(const struct poster *posters)
{
	int n = POSTERS * POSTS;
	for (int i = 0; i < POSTERS; i++)
		n -= posters[i].seen;
	return n;
}

static void posts_come_once_and_in_order(void **state)
{
	struct mr_loop *loop = mr_loop_new();
	struct poster posters[POSTERS];
	begin(posters, loop);
	while (missing(posters))
		mr_loop_turn(loop, 20000);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	mr_loop_delete(&loop);
}

static void posts_left_behind_are_run_at_the_end(void **state)
{
	struct mr_loop *loop = mr_loop_new();
	struct poster posters[POSTERS];
	begin(posters, loop);
	mr_loop_turn(loop, 20000);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	mr_loop_delete(&loop);
	assert_int_equal(missing(posters), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posts_come_once_and_in_order),
		cmocka_unit_test(posts_left_behind_are_run_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
