#include "buckets.h"

#include <pthread.h>
#include <stdlib.h>

#include "proto/ground/hash.h"

enum { WAYS = 8, SETS = 8192, STRIPES = 64, SECOND_NS = 1000 * 1000 * 1000 };

/* A bucket is the time at which it will be full again: what is missing then is what has been taken. */
struct bucket {
	uint64_t key;
	int64_t full_ns;
};

struct mr_buckets {
	int64_t each_ns;  /* one more every so often */
	int64_t whole_ns; /* an empty one is full after */
	pthread_mutex_t locks[STRIPES];
	struct bucket v[SETS][WAYS];
};

struct mr_buckets *mr_buckets_new(int64_t per_second, int64_t burst)
{
	struct mr_buckets *all = mr_alloc(sizeof *all);
	all->each_ns = SECOND_NS / per_second;
	all->whole_ns = all->each_ns * burst;
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_init(&all->locks[i], NULL);
	return all;
}

void mr_buckets_delete(struct mr_buckets **all)
{
	if (!*all)
		return;
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&(*all)->locks[i]);
	free(*all);
	*all = NULL;
}

/* That of the key, else the fullest of its set, which becomes that of the key. */
static struct bucket *find(struct bucket *set, uint64_t key)
{
	struct bucket *fullest = set;
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].full_ns < fullest->full_ns)
			fullest = &set[i];
	}
	fullest->key = key;
	return fullest;
}

int64_t mr_buckets_take(struct mr_buckets *all, uint64_t key, int64_t now_us)
{
	size_t set = mr_hash(&key, sizeof key) % SETS;
	int64_t now_ns = now_us * 1000, wait_ns;
	pthread_mutex_lock(&all->locks[set % STRIPES]);
	struct bucket *b = find(all->v[set], key);
	int64_t after = MR_MAX(b->full_ns, now_ns) + all->each_ns;
	wait_ns = after - now_ns - all->whole_ns;
	if (wait_ns <= 0)
		b->full_ns = after;
	pthread_mutex_unlock(&all->locks[set % STRIPES]);
	return wait_ns > 0 ? (wait_ns + 999) / 1000 : 0;
}
