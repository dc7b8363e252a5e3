#include "numbers.h"

#include <pthread.h>
#include <stdlib.h>

#include "proto/ground/hash.h"
#include "proto/ground/log.h"

struct number {
	uint64_t is;
	size_t users;
};

struct mr_numbers {
	pthread_mutex_t lock;
	bool alone;
	struct mr_map by_key;
	uint64_t last;
};

struct mr_numbers *mr_numbers_new(bool alone)
{
	struct mr_numbers *n = mr_alloc(sizeof *n);
	n->alone = alone;
	pthread_mutex_init(&n->lock, NULL);
	return n;
}

void mr_numbers_delete(struct mr_numbers **n)
{
	MR_ASSERT((*n)->by_key.n == 0);
	mr_map_fini(&(*n)->by_key);
	pthread_mutex_destroy(&(*n)->lock);
	free(*n);
	*n = NULL;
}

static struct number *make(struct mr_numbers *n, struct mr_str key)
{
	struct number *x = mr_map_make(&n->by_key, key, sizeof *x);
	x->is = ++n->last;
	return x;
}

uint64_t mr_number_take(struct mr_numbers *n, struct mr_str key)
{
	if (n->alone)
		return ++n->last;
	pthread_mutex_lock(&n->lock);
	struct number *x = mr_map_get(&n->by_key, key);
	if (!x)
		x = make(n, key);
	x->users++;
	uint64_t is = x->is;
	pthread_mutex_unlock(&n->lock);
	return is;
}

void mr_number_leave(struct mr_numbers *n, struct mr_str key)
{
	if (n->alone)
		return;
	pthread_mutex_lock(&n->lock);
	struct number *x = mr_map_get(&n->by_key, key);
	MR_ASSERT(x && x->users);
	if (--x->users == 0) {
		mr_map_del(&n->by_key, key);
		free(x);
	}
	pthread_mutex_unlock(&n->lock);
}
