/* Contention by itself never refuses a call. What has conflicted a few times takes its turn, and so do, for a while, all later calls of
 * that function. Turns are advisory locks of the session, taken before the attempt's snapshot:
 *
 *   MR_TURN_NONE  most attempts. They ask for no lock until they commit: there, within the statement that writes the record, they try the
 *                 lock of all, shared, until the transaction's end, and are refused when somebody has it alone or waits for that.
 *   MR_TURN_OWN   one of a function's calls at a time: the function's lock, and the lock of all shared. Attempts without a turn commit all
 *                 the same and may win over it: those that do not conflict need not suffer.
 *   MR_TURN_ALL   alone: the lock of all. Nothing that we run commits between its snapshot and its end. What it still loses, it loses to
 *                 writers from outside or to a deadlock; only that counts to mutation_retries.
 *
 * Locks are taken in one order, the one of all before the function's, and by nobody who is in a transaction already. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker.h"

enum {
	AFTER_OWN = 5, /* conflicts of one call */
	AFTER_ALL = 10,
	LONG_US = 200 * 1000,      /* an attempt that is costly to lose again; a deadlock is found after a second */
	HOT_US = 500 * 1000,       /* how long calls of a function take turns at once, after the last conflict */
	HOT_MOST_US = 4000 * 1000, /* ...when it conflicts again as soon as they do not */
};

struct hot {
	int64_t until_us[MR_TURN_ALL + 1], span_us[MR_TURN_ALL + 1];
	char name[];
};

static struct mr_str key_name(const struct mr_job *job)
{
	return job->kind == MR_JOB_ENTITY ? job->entity->name : job->fn->name;
}

static int64_t lock_key(struct mr_str name)
{
	int64_t key = (int64_t)mr_hash_fixed(name.p, name.n, 0x6d696c6c72616365ULL);
	return key ? key : 1;
}

static bool is_hot(const struct mr_job *job, enum mr_turn turn)
{
	const struct hot *h = mr_map_get(&job->w->hot, key_name(job));
	return h && h->until_us[turn] > mr_loop_now(job->w->loop);
}

static struct hot *hot_of(struct mr_job *job)
{
	struct mr_str name = key_name(job);
	struct hot *h = mr_map_get(&job->w->hot, name);
	if (!h) {
		h = mr_alloc(sizeof *h + name.n + 1);
		memcpy(h->name, name.p, name.n);
		mr_map_put(&job->w->hot, (struct mr_str){h->name, name.n}, h);
	}
	return h;
}

static void mark(struct mr_job *job, enum mr_turn turn)
{
	struct hot *h = hot_of(job);
	int64_t now = mr_loop_now(job->w->loop), *until = &h->until_us[turn], *span = &h->span_us[turn];
	if (now >= *until) /* not of those who began before; a relapse? */
		*span = now < *until + *span ? MR_MIN(*span * 2, HOT_MOST_US) : HOT_US;
	*until = now + *span;
}

void mr_hot_conflict(struct mr_job *job)
{
	job->conflicts++;
	job->lost_turns += job->turn == MR_TURN_ALL;
	if (!mr_job_writes(job))
		return;
	if (mr_mono_us() - job->attempt_us >= LONG_US)
		job->conflicts = MR_MAX(job->conflicts, AFTER_OWN);
	if (job->yielded || job->conflicts >= AFTER_OWN)
		mark(job, MR_TURN_OWN);
	if (job->conflicts >= AFTER_ALL)
		mark(job, MR_TURN_ALL);
}

enum mr_turn mr_hot_turn(const struct mr_job *job)
{
	if (!mr_job_writes(job) || job->tombstone)
		return MR_TURN_NONE;
	if (job->conflicts >= AFTER_ALL || is_hot(job, MR_TURN_ALL))
		return MR_TURN_ALL;
	return job->yielded || job->conflicts >= AFTER_OWN || is_hot(job, MR_TURN_OWN) ? MR_TURN_OWN : MR_TURN_NONE;
}

void mr_hot_ask(struct mr_job *job)
{
	job->record.turn = job->turn == MR_TURN_NONE && !job->tombstone ? lock_key(MR_STR("")) : 0;
}

void mr_hot_take(struct mr_job *job, enum mr_turn turn, mr_pg_result_cb *cb)
{
	char all[24], own[24];
	snprintf(all, sizeof all, "%" PRId64, lock_key(MR_STR("")));
	snprintf(own, sizeof own, "%" PRId64, lock_key(key_name(job)));
	struct mr_str keys[] = {mr_str(all), mr_str(own)};
	if (job->locks) /* one turn at a time: who keeps one could wait for who waits for him */
		mr_hot_give(job, NULL);
	job->turn = turn;
	job->locks = true; /* also when it is cancelled between the two */
	if (turn == MR_TURN_ALL)
		mr_pg_query(job->pg, 0, "select pg_advisory_lock($1::bigint)", 1, keys, cb, job);
	else
		mr_pg_query(job->pg, 0, "select pg_advisory_lock_shared($1::bigint), pg_advisory_lock($2::bigint)", 2, keys, cb, job);
	mr_pg_sync(job->pg);
}

void mr_hot_give(struct mr_job *job, mr_pg_result_cb *cb)
{
	job->turn = MR_TURN_NONE;
	job->locks = false;
	mr_pg_query(job->pg, 0, "select pg_advisory_unlock_all()", 0, NULL, cb, job);
	mr_pg_sync(job->pg);
}

void mr_hot_free(struct mr_worker *w)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&w->hot, &i, &key, &value);)
		free(value);
	mr_map_fini(&w->hot);
}
