/* Resumes: which rows were touched since the position that a client comes from. The log is read once for all who come from there or a
 * little later, one reading after the other, and what was read serves those who come within a moment too: with what the ticks brought
 * since. Who comes from further back waits for the next. What is dearer to read than the rows are to send is not read: they are sent.
 */
#include <stdlib.h>

#include "batch.h"
#include "clock.h"
#include "lookup.h"
#include "proto/ground/log.h"
#include "session.h"

enum {
	TAIL_LEAST = 256 << 10,
	TAIL_MOST = 32 << 20,
	ROW_COSTS = 400,         /* bytes of the log that are read rather than a row sent */
	TOGETHER = 10000,        /* numbers of the log between positions that are served by one reading */
	LINGER_US = 2000 * 1000, /* so long does a reading serve others after it has come */
};

struct mr_resume {
	struct mr_list in_sessions;
	struct mr_sessions *all;
	struct mr_position from;
	uint64_t asked; /* the tick that was current when it was asked for; 0: it is still to be */
	size_t max_bytes;
	int waiting; /* subscriptions that hold it */
	bool come, ok, spoiled;
	bool under_way; /* the hub will call back */
	int64_t came_us;
	struct mr_batch *batch;
	struct mr_lookups lookups; /* in the batch */
};

static void free_resume(struct mr_resume *r)
{
	mr_list_del(&r->in_sessions);
	mr_position_fini(&r->from);
	mr_lookups_fini(&r->lookups);
	mr_batch_drop(&r->batch);
	free(r);
}

static bool lingers(const struct mr_resume *r)
{
	return r->come && r->ok && !r->spoiled && mr_mono_us() - r->came_us < LINGER_US;
}

static void maybe_free(struct mr_resume *r)
{
	if (!r->waiting && !r->under_way && !lingers(r))
		free_resume(r);
}

void mr_resumes_tidy(struct mr_sessions *all)
{
	MR_LIST_FOR (e, &all->resumes)
		maybe_free(MR_CONTAINER(e, struct mr_resume, in_sessions));
}

static void ask_next(struct mr_sessions *all);

static void look_again(struct mr_resume *r)
{
	MR_LIST_FOR (e, &r->all->lagging)
		mr_session_look(MR_CONTAINER(e, struct mr_session, in_lagging));
}

static void on_tail(void *arg, bool ok, struct mr_batch *batch)
{
	struct mr_resume *r = arg;
	struct mr_sessions *all = r->all;
	r->under_way = false;
	r->come = true;
	r->came_us = mr_mono_us();
	r->ok = ok && !r->spoiled;
	r->batch = batch;
	look_again(r);
	maybe_free(r);
	ask_next(all);
	mr_sessions_advance(all);
}

/* One at a time. */
static void ask_next(struct mr_sessions *all)
{
	struct mr_resume *next = NULL;
	MR_LIST_FOR (e, &all->resumes) {
		struct mr_resume *r = MR_CONTAINER(e, struct mr_resume, in_sessions);
		if (r->under_way)
			return;
		if (!r->asked && !next)
			next = r;
	}
	if (!next)
		return;
	next->asked = all->f->clock->n;
	next->under_way = true;
	mr_ticks_tail(all->f, &next->from, next->max_bytes, on_tail, next);
}

static bool reaches(const struct mr_position *from, const struct mr_position *to)
{
	return from->system == to->system && from->timeline == to->timeline && from->seq <= to->seq && to->seq - from->seq <= TOGETHER &&
	       mr_snapshot_within(&from->snapshot, &to->snapshot);
}

/* A reading that goes back far enough, or a little further if it is still to be asked for, serves this position as well. */
static struct mr_resume *find(struct mr_sessions *all, const struct mr_position *from)
{
	MR_LIST_FOR (e, &all->resumes) {
		struct mr_resume *r = MR_CONTAINER(e, struct mr_resume, in_sessions);
		if (r->spoiled || (r->asked && !(r->come && r->ok)))
			continue; /* one under way may be given up, since it reads no more than those are worth who asked for it */
		if (reaches(&r->from, from))
			return r;
		if (!r->asked && reaches(from, &r->from)) {
			mr_position_copy(&r->from, from);
			return r;
		}
	}
	return NULL;
}

static size_t worth(const struct mr_instance *inst)
{
	size_t bytes = mr_rowset_size(&inst->rows) * ROW_COSTS;
	return MR_MIN(MR_MAX(bytes, (size_t)TAIL_LEAST), (size_t)TAIL_MOST);
}

void mr_resume_ask(struct mr_sub *sub)
{
	struct mr_session *s = sub->session;
	struct mr_sessions *all = s->all;
	struct mr_resume *r = find(all, s->resume_from);
	if (!r) {
		r = mr_alloc(sizeof *r);
		r->all = all;
		mr_position_copy(&r->from, s->resume_from);
		mr_list_add_tail(&all->resumes, &r->in_sessions);
	}
	if (!r->asked)
		r->max_bytes = MR_MIN(r->max_bytes + worth(sub->inst), (size_t)TAIL_MOST);
	r->waiting++;
	sub->have->resume = r;
	sub->at = all->f->clock->n;
	mr_sub_state(sub, MR_SUB_TAIL);
	if (r->come)
		mr_session_look(s);
	ask_next(all);
}

void mr_resume_leave(struct mr_sub *sub)
{
	struct mr_resume *r = sub->have ? sub->have->resume : NULL;
	if (!r)
		return;
	sub->have->resume = NULL;
	r->waiting--;
	maybe_free(r);
}

void mr_resumes_spoil(struct mr_sessions *all)
{
	MR_LIST_FOR (e, &all->resumes) {
		struct mr_resume *r = MR_CONTAINER(e, struct mr_resume, in_sessions);
		r->ok = false;
		r->spoiled = true;
	}
}

void mr_resumes_delete(struct mr_sessions *all)
{
	MR_LIST_FOR (e, &all->resumes)
		free_resume(MR_CONTAINER(e, struct mr_resume, in_sessions));
}

/* Ids that the client may hold, or must: those whose image matched before or after some change. */
struct touched {
	const struct mr_instance *inst;
	struct mr_map seen;
	const struct mr_item **put;
	char (*del)[16];
	size_t n_put, n_del, cap;
};

static void touch(struct touched *t, const struct mr_row *row, bool was)
{
	if (!row->v || mr_pred_eval(t->inst->rows.pred, row) != 1)
		return;
	struct mr_str id = {(const char *)row->v[0].uuid, 16};
	const struct mr_item *item = mr_rowset_get(&t->inst->rows, id.p);
	/* It came, and is not here: after the tick that we are at, since the log was read later. Nobody holds it yet. */
	if (!was && !item)
		return;
	if (mr_map_put(&t->seen, id, (void *)row))
		return;
	if (t->n_put + t->n_del == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->put = mr_realloc(t->put, t->cap * sizeof *t->put);
		t->del = mr_realloc(t->del, t->cap * sizeof *t->del);
	}
	if (item)
		t->put[t->n_put++] = item;
	else
		memcpy(t->del[t->n_del++], id.p, 16);
}

/* true: the table changed in a way that is not told row by row. */
static bool touch_all(struct touched *t, const struct mr_batch *b)
{
	bool bulk = false;
	for (size_t i = 0; i < b->n_changes; i++) {
		const struct mr_change *c = &b->changes[i];
		if (c->entity != t->inst->entity)
			continue;
		bulk |= c->bulk;
		touch(t, &c->was, true);
		touch(t, &c->is, false);
	}
	return bulk;
}

/* The same for what was read of the log: for thousands of queries, so each looks at what concerns it. */
static bool touch_read(struct touched *t, struct mr_resume *r)
{
	const struct mr_value *value;
	int field;
	size_t n;
	bool bulk;
	if (!mr_pred_equalities(t->inst->rows.pred, &value, &field, 1))
		return touch_all(t, r->batch);
	const struct mr_image *images = mr_lookup_find(&r->lookups, r->batch, t->inst->entity, field, value, &n, &bulk);
	for (size_t i = 0; i < n; i++) {
		const struct mr_change *c = &r->batch->changes[images[i].change];
		touch(t, images[i].was ? &c->was : &c->is, images[i].was);
	}
	return bulk;
}

uint64_t mr_resumes_since(const struct mr_sessions *all)
{
	uint64_t since = UINT64_MAX;
	MR_LIST_FOR (e, &all->resumes) {
		const struct mr_resume *r = MR_CONTAINER(e, struct mr_resume, in_sessions);
		since = r->asked ? MR_MIN(since, r->asked) : since;
	}
	return since;
}

bool mr_resume_come(const struct mr_sub *sub)
{
	return sub->have->resume->come;
}

bool mr_resume_body(struct mr_sub *sub, struct mr_buf *body)
{
	struct mr_resume *r = sub->have->resume;
	const struct mr_instance *inst = sub->inst;
	MR_ASSERT(r->come);
	if (!r->ok || inst->failure)
		return false;
	struct touched t = {.inst = inst};
	bool bulk = touch_read(&t, r);
	/* And what the ticks brought since the log was asked for. */
	MR_LIST_FOR (e, &sub->session->all->f->clock->kept) {
		const struct mr_batch *b = MR_CONTAINER(e, struct mr_kept, in_clock)->batch;
		if (b->n > r->asked)
			bulk |= touch_all(&t, b);
	}
	if (!bulk)
		mr_body_touched(body, sub->session->encoding, inst->number, inst->hash, t.put, t.n_put, (const char(*)[16])t.del, t.n_del);
	mr_map_fini(&t.seen);
	free(t.put);
	free(t.del);
	return !bulk;
}
