/* What a client that comes back is told: the rows that were touched since its position, as they are now. Those who come back to the same
 * live query get the same, which is made once in a tick for all who were served by one reading.
 */
#include <stdlib.h>

#include "clock.h"
#include "instance_sets.h"
#include "proto/ground/log.h"
#include "proto/key.h"
#include "resume.h"
#include "transition.h"

/* A body that several get. */
struct told {
	uint64_t key[2];      /* the instance's number and the encoding */
	uint64_t n, hash;     /* the tick and the state that it brings to */
	struct mr_wire *wire; /* NULL: the log does not tell */
};

/* Ids that the client may hold, or must: those whose image matched before or after some change. */
struct touched {
	const struct mr_instance *inst;
	struct mr_map seen;
	const struct mr_item **put;
	const struct mr_row **del; /* some image of each */
	size_t n_put, n_del, cap;
};

static void touch(struct touched *t, const struct mr_row *row, bool was)
{
	if (!row->v || mr_pred_eval(t->inst->rows.pred, row) != 1)
		return;
	struct mr_str key = mr_row_key(row);
	const struct mr_item *item = mr_rowset_get(&t->inst->rows, key);
	/* It came, and is not here: after the tick that we are at, since the log was read later. Nobody holds it yet. */
	if (!was && !item)
		return;
	if (mr_map_put(&t->seen, key, (void *)row))
		return;
	if (t->n_put + t->n_del == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->put = mr_realloc(t->put, t->cap * sizeof *t->put);
		t->del = mr_realloc(t->del, t->cap * sizeof *t->del);
	}
	if (item)
		t->put[t->n_put++] = item;
	else
		t->del[t->n_del++] = row;
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

/* Whether a set of the query was touched: as above, by what concerns it. */
static bool set_was_read(const struct mr_instance *set, struct mr_resume *r)
{
	const struct mr_value *value;
	int field;
	size_t n;
	bool bulk;
	if (!mr_pred_equalities(set->rows.pred, &value, &field, 1))
		return mr_set_met(set, r->batch);
	const struct mr_image *images = mr_lookup_find(&r->lookups, r->batch, set->entity, field, value, &n, &bulk);
	for (size_t i = 0; i < n && !bulk; i++)
		bulk = mr_instance_meets(set, &r->batch->changes[images[i].change]);
	return bulk;
}

/* What the client holds was admitted by the sets of then: keys tell what became of it only while these are the same. */
static bool sets_are_other(const struct mr_instance *inst, struct mr_resume *r)
{
	for (size_t i = 0; i < mr_instance_bonds(inst); i++) {
		const struct mr_instance *set = inst->bonds->v[i].set;
		if (set_was_read(set, r))
			return true;
		MR_LIST_FOR (e, &inst->all->f->clock->kept) {
			const struct mr_batch *b = MR_CONTAINER(e, struct mr_kept, in_clock)->batch;
			if (b->n > r->asked && mr_set_met(set, b))
				return true;
		}
	}
	return false;
}

/* What brings rows held at the position to the state now; false: the log does not tell. */
static bool make(const struct mr_sub *sub, struct mr_buf *body)
{
	struct mr_resume *r = sub->have->resume;
	const struct mr_instance *inst = sub->inst;
	struct touched t = {.inst = inst};
	if (sets_are_other(inst, r))
		return false;
	bool bulk = touch_read(&t, r);
	/* And what the ticks brought since the log was asked for. */
	MR_LIST_FOR (e, &sub->session->all->f->clock->kept) {
		const struct mr_batch *b = MR_CONTAINER(e, struct mr_kept, in_clock)->batch;
		if (b->n > r->asked)
			bulk |= touch_all(&t, b);
	}
	if (!bulk)
		mr_body_touched(body, sub->session->encoding, inst->number, inst->hash, t.put, t.n_put, t.del, t.n_del);
	mr_map_fini(&t.seen);
	free(t.put);
	free(t.del);
	return !bulk;
}

static struct told *find(struct mr_resume *r, const struct mr_sub *sub)
{
	uint64_t key[2] = {sub->inst->number, sub->session->encoding};
	struct told *told = mr_map_get(&r->told, (struct mr_str){(const char *)key, sizeof key});
	if (told)
		return told;
	told = mr_alloc(sizeof *told);
	memcpy(told->key, key, sizeof key);
	mr_map_put(&r->told, (struct mr_str){(const char *)told->key, sizeof key}, told);
	return told;
}

static struct mr_wire *common(struct mr_resume *r, const struct mr_sub *sub)
{
	struct told *told = find(r, sub);
	uint64_t n = sub->session->all->f->clock->n;
	if (told->n == n && told->hash == sub->inst->hash)
		return told->wire;
	struct mr_buf body = {0};
	mr_wire_drop(&told->wire);
	told->n = n;
	told->hash = sub->inst->hash;
	if (make(sub, &body))
		told->wire = mr_wire_new(&body);
	mr_buf_fini(&body);
	return told->wire;
}

void mr_resume_forget(struct mr_resume *r)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&r->told, &i, &key, &value);) {
		struct told *told = value;
		mr_wire_drop(&told->wire);
		free(told);
	}
	mr_map_fini(&r->told);
}

bool mr_resume_tell(struct mr_sub *sub, struct mr_transition *t)
{
	struct mr_resume *r = sub->have->resume;
	const struct mr_instance *inst = sub->inst;
	MR_ASSERT(r->come);
	if (!r->ok || inst->failure)
		return false;
	if (inst->n_subs > 1) {
		struct mr_wire *wire = common(r, sub);
		if (wire)
			mr_transition_body(t, wire, true);
		return wire != NULL;
	}
	bool told = make(sub, mr_transition_own(t));
	if (told)
		mr_transition_own_done(t);
	return told;
}
