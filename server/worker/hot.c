/* Contention by itself never refuses a call. What has conflicted takes its turn, and so do, for a while, others that would meet it. Turns
 * are advisory locks of the session, taken before the attempt's snapshot, so that who has one sees all that those before it did:
 *
 *   MR_TURN_NONE  most attempts. They ask for no lock until they commit: there, within the statement that writes the record, they try the
 *                 lock of all, shared, until the transaction's end, and are refused when somebody has it alone or waits for that.
 *   MR_TURN_ROWS  one at a time for each of some rows, by their ids: those that the lost attempt was about; before the first attempt those
 *                 among the arguments about which calls conflicted lately. Calls about other rows go on beside it.
 *   MR_TURN_OWN   one of a function's calls at a time. Attempts without a turn commit all the same and may win over it: those that do not
 *                 conflict need not suffer.
 *   MR_TURN_ALL   alone: the lock of all. Nothing that we run commits between its snapshot and its end. What it still loses, it loses to
 *                 writers from outside or to a deadlock; only that counts to mutation_retries.
 *
 * Locks are taken in one order, and by nobody who is in a transaction already: the one of all (shared but for MR_TURN_ALL), the function's
 * (shared for MR_TURN_ROWS), those of rows by number. Nobody waits for the answer: BEGIN follows in the same pipeline, as the end of the
 * turn follows COMMIT. */
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

/* What is hot stays so for a while after the last conflict. */
static void prolong(int64_t now, int64_t *until, int64_t *span)
{
	if (now >= *until) /* not of those who began before; a relapse? */
		*span = now < *until + *span ? MR_MIN(*span * 2, HOT_MOST_US) : HOT_US;
	*until = now + *span;
}

struct hot {
	int64_t until_us[MR_TURN_ALL + 1], span_us[MR_TURN_ALL + 1];
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

/* Rows about which calls conflicted lately; of two in one place the later one. */
struct mr_hot_row {
	int64_t key, until_us, span_us;
};

static struct mr_hot_row *row_of(struct mr_worker *w, int64_t key)
{
	if (!w->hot_rows)
		w->hot_rows = mr_alloc(MR_HOT_ROWS * sizeof *w->hot_rows);
	return &w->hot_rows[(uint64_t)key % MR_HOT_ROWS];
}

static int64_t row_key(struct mr_str id)
{
	return lock_key(id);
}

static bool is_hot_row(struct mr_worker *w, int64_t key)
{
	const struct mr_hot_row *row = w->hot_rows ? row_of(w, key) : NULL;
	return row && row->key == key && row->until_us > mr_loop_now(w->loop);
}

static void mark_row(struct mr_worker *w, int64_t key)
{
	struct mr_hot_row *row = row_of(w, key);
	if (row->key != key)
		*row = (struct mr_hot_row){.key = key};
	prolong(mr_loop_now(w->loop), &row->until_us, &row->span_us);
}

static void add_key(struct mr_hot_keys *keys, int64_t key)
{
	size_t at = 0;
	while (at < keys->n && keys->v[at] < key)
		at++;
	if (keys->n == MR_HOT_KEYS || (at < keys->n && keys->v[at] == key))
		return;
	memmove(&keys->v[at + 1], &keys->v[at], (keys->n - at) * sizeof *keys->v);
	keys->v[at] = key;
	keys->n++;
}

static bool is_id(const struct mr_node *n)
{
	return n->kind == MR_STRING && n->text.n == 36 && n->text.p[8] == '-' && n->text.p[23] == '-';
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
	return h ? h : mr_map_make(&job->w->hot, name, sizeof *h);
}

static void mark(struct mr_job *job, enum mr_turn turn)
{
	struct hot *h = hot_of(job);
	prolong(mr_loop_now(job->w->loop), &h->until_us[turn], &h->span_us[turn]);
}

/* The rows that the lost attempt was about; hot is the one where it was lost, or any of them. */
static void learn_rows(struct mr_job *job)
{
	struct mr_str at = job->run.failed ? job->run.failed_at : (struct mr_str){0};
	job->hot.rows.n = 0;
	MR_LIST_FOR (e, &job->run.ops) {
		struct mr_str id = MR_CONTAINER(e, struct mr_op, in_run)->id;
		if (id.n)
			add_key(&job->hot.rows, row_key(id));
	}
	if (at.n)
		mark_row(job->w, row_key(at));
	for (size_t i = 0; !at.n && i < job->hot.rows.n; i++)
		mark_row(job->w, job->hot.rows.v[i]);
}

void mr_hot_conflict(struct mr_job *job)
{
	job->conflicts++;
	job->lost_turns += job->turn == MR_TURN_ALL;
	if (!mr_job_writes(job))
		return;
	learn_rows(job);
	if (mr_mono_us() - job->attempt_us >= LONG_US)
		job->conflicts = MR_MAX(job->conflicts, AFTER_OWN);
	if (job->yielded || job->conflicts >= AFTER_OWN)
		mark(job, MR_TURN_OWN);
	if (job->conflicts >= AFTER_ALL)
		mark(job, MR_TURN_ALL);
}

/* ---- taking and giving ---- */

static struct mr_hot_keys rows_of(const struct mr_job *job)
{
	struct mr_hot_keys keys = {0};
	if (job->conflicts)
		return job->hot.rows;
	for (size_t i = 0; job->args && job->w->hot_rows && i < job->args->n; i++)
		if (is_id(&job->args->items[i]) && is_hot_row(job->w, row_key(job->args->items[i].text)))
			add_key(&keys, row_key(job->args->items[i].text));
	return keys;
}

static enum mr_turn wanted(const struct mr_job *job, struct mr_hot_keys *rows)
{
	*rows = (struct mr_hot_keys){0};
	if (!mr_job_writes(job) || job->tombstone)
		return MR_TURN_NONE;
	if (job->conflicts >= AFTER_ALL || is_hot(job, MR_TURN_ALL))
		return MR_TURN_ALL;
	if (job->yielded || job->conflicts >= AFTER_OWN || is_hot(job, MR_TURN_OWN))
		return MR_TURN_OWN;
	*rows = rows_of(job);
	return rows->n ? MR_TURN_ROWS : MR_TURN_NONE;
}

bool mr_hot_waits(const struct mr_job *job)
{
	struct mr_hot_keys rows;
	return wanted(job, &rows) != MR_TURN_NONE;
}

void mr_hot_ask(struct mr_job *job)
{
	job->record.turn = job->turn == MR_TURN_NONE && !job->tombstone ? lock_key(MR_STR("")) : 0;
}

/* Who waits for the end of his turn goes on when nothing is under way any more. A lock that could not be given back (in a transaction that
 * failed; cancelled, when that came too late for what it was meant for) is so then. */
static void answered(struct mr_job *job)
{
	void (*then)(struct mr_job *) = job->hot.then;
	if (--job->hot.asked || !then)
		return;
	job->hot.then = NULL;
	mr_hot_give(job, then);
}

static void on_lock(const struct mr_pg_result *r, void *arg)
{
	struct mr_job *job = arg;
	job->attempt_us = mr_mono_us();
	if (!mr_pg_ok(r))
		job->turn = MR_TURN_NONE;
	answered(job);
}

static void lock(struct mr_job *job, enum mr_turn turn)
{
	char text[MR_HOT_KEYS + 2][24];
	struct mr_str keys[MR_HOT_KEYS + 2];
	struct mr_buf sql = {0};
	int n = 0;
	int64_t numbers[MR_HOT_KEYS + 2] = {lock_key(MR_STR("")), lock_key(key_name(job))};
	memcpy(&numbers[2], job->hot.held.v, job->hot.held.n * sizeof *numbers);
	mr_buf_z(&sql, turn == MR_TURN_ALL ? "select pg_advisory_lock($1::bigint)" : "select pg_advisory_lock_shared($1::bigint)");
	if (turn != MR_TURN_ALL)
		mr_buf_printf(&sql, ", pg_advisory_lock%s($2::bigint)", turn == MR_TURN_ROWS ? "_shared" : "");
	for (size_t i = 0; i < job->hot.held.n; i++)
		mr_buf_printf(&sql, ", pg_advisory_lock($%zu::bigint)", i + 3);
	for (size_t i = 0; i < (turn == MR_TURN_ALL ? 1 : 2 + job->hot.held.n); i++, n++)
		keys[n] = (struct mr_str){text[n], (size_t)snprintf(text[n], sizeof text[n], "%" PRId64, numbers[i])};
	job->hot.asked++;
	mr_pg_query(job->pg, 0, sql.p, n, keys, on_lock, job);
	mr_pg_sync(job->pg);
	mr_buf_fini(&sql);
}

static bool same_keys(const struct mr_hot_keys *a, const struct mr_hot_keys *b)
{
	return a->n == b->n && !memcmp(a->v, b->v, a->n * sizeof *a->v);
}

void mr_hot_take(struct mr_job *job)
{
	struct mr_hot_keys rows;
	enum mr_turn turn = wanted(job, &rows);
	if (turn < job->turn || turn == MR_TURN_NONE || (turn == job->turn && same_keys(&rows, &job->hot.held)))
		return;
	if (job->locks) /* one turn at a time: who keeps one could wait for who waits for him */
		mr_hot_give(job, NULL);
	job->turn = turn;
	job->hot.held = rows;
	job->locks = true; /* also when it is cancelled between two of them */
	lock(job, turn);
}

static void on_unlock(const struct mr_pg_result *r, void *arg)
{
	struct mr_job *job = arg;
	job->locks |= !mr_pg_ok(r);
	answered(job);
}

void mr_hot_give(struct mr_job *job, void (*then)(struct mr_job *job))
{
	bool ready = job->pg && mr_pg_state(job->pg) == MR_PG_READY;
	job->turn = MR_TURN_NONE;
	if (job->locks && ready) {
		job->locks = false;
		job->hot.asked++;
		mr_pg_query(job->pg, 0, "select pg_advisory_unlock_all()", 0, NULL, on_unlock, job);
		mr_pg_sync(job->pg);
	}
	if (job->hot.asked)
		job->hot.then = then;
	else if (then)
		then(job);
}

void mr_hot_lost(struct mr_job *job)
{
	job->turn = MR_TURN_NONE;
	job->locks = false;
	job->hot.asked = 0;
}

void mr_hot_free(struct mr_worker *w)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&w->hot, &i, &key, &value);)
		free(value);
	mr_map_fini(&w->hot);
	free(w->hot_rows);
}
