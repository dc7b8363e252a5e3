/* Resumes: which rows were touched since the position that a client comes from. The log is read once for all who come from there or a
 * little later, one reading after the other, and what was read serves those who come within a moment too: with what the ticks brought
 * since. Who comes from further back waits for the next. What is dearer to read than the rows are to send is not read: they are sent.
 */
#include <stdlib.h>

#include "clock.h"
#include "proto/ground/log.h"
#include "resume.h"

enum {
	TAIL_LEAST = 256 << 10,
	TAIL_MOST = 32 << 20,
	ROW_COSTS = 400,         /* bytes of the log that are read rather than a row sent */
	TOGETHER = 10000,        /* numbers of the log between positions that are served by one reading */
	LINGER_US = 2000 * 1000, /* so long does a reading serve others after it has come */
};

static void free_resume(struct mr_resume *r)
{
	mr_list_del(&r->in_sessions);
	mr_position_fini(&r->from);
	mr_resume_forget(r);
	mr_lookups_fini(&r->lookups);
	mr_batch_drop(&r->batch);
	free(r);
}

static bool lingers(const struct mr_resume *r)
{
	return r->come && r->ok && !r->spoiled && mr_mono_us() - r->came_us < LINGER_US;
}

/* Nowhere else do they go, since a transition in the making may name what they hold. */
void mr_resumes_tidy(struct mr_sessions *all)
{
	MR_LIST_FOR (e, &all->resumes) {
		struct mr_resume *r = MR_CONTAINER(e, struct mr_resume, in_sessions);
		if (!r->waiting && !r->under_way && !lingers(r))
			free_resume(r);
	}
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
		if (!r->asked && r->waiting && !next)
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
