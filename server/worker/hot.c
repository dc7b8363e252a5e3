/* Contention by itself never refuses a call: what has conflicted a few times takes its turn by a session-level advisory lock, and so do,
 * for a while, all later calls of that function. If that does not help (it conflicts with other functions), all take turns on one lock.
 * Only what is lost then counts to mutation_retries: to writers from outside, or to workers that do not take turns yet. */
#include <stdlib.h>

#include "worker.h"

enum {
	FUNCTION_AFTER = 5, /* conflicts of one call */
	HOT_FOR_US = 500 * 1000,
};

struct hot {
	int64_t until_us;
	char name[]; /* the function's; empty: all */
};

static struct mr_str key_name(const struct mr_job *job)
{
	return job->kind == MR_JOB_ENTITY ? job->entity->name : job->fn->name;
}

static int64_t lock_key(struct mr_str name)
{
	return (int64_t)mr_hash_fixed(name.p, name.n, 0x6d696c6c72616365ULL);
}

static bool is_hot(struct mr_worker *w, struct mr_str name)
{
	const struct hot *h = mr_map_get(&w->hot, name);
	return h && h->until_us > mr_loop_now(w->loop);
}

static void mark(struct mr_worker *w, struct mr_str name)
{
	struct hot *h = mr_map_get(&w->hot, name);
	if (!h) {
		h = mr_alloc(sizeof *h + name.n + 1);
		if (name.n)
			memcpy(h->name, name.p, name.n);
		mr_map_put(&w->hot, (struct mr_str){h->name, name.n}, h);
	}
	h->until_us = mr_loop_now(w->loop) + HOT_FOR_US;
}

void mr_hot_conflict(struct mr_job *job)
{
	if (job->conflicts >= FUNCTION_AFTER)
		mark(job->w, key_name(job));
	if (job->conflicts >= MR_HOT_ALL_AFTER)
		mark(job->w, MR_STR(""));
}

bool mr_hot_key(struct mr_job *job, int64_t *key)
{
	if (!mr_job_writes(job))
		return false;
	struct mr_str all = MR_STR(""), own = key_name(job);
	if (job->conflicts < MR_HOT_ALL_AFTER && !is_hot(job->w, all)) {
		if (job->conflicts < FUNCTION_AFTER && !is_hot(job->w, own))
			return false;
		*key = lock_key(own);
		return true;
	}
	*key = lock_key(all);
	return true;
}

void mr_hot_free(struct mr_worker *w)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&w->hot, &i, &key, &value);)
		free(value);
	mr_map_fini(&w->hot);
}
