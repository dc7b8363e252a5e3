#include "instance_sets.h"

#include <stdlib.h>

#include "batch.h"
#include "catalog.h"
#include "clock.h"
#include "instance_gates.h"
#include "instance_make.h"
#include "proto/ground/log.h"
#include "work.h"

static const struct mr_pred nothing = {.op = MR_P_FALSE};

static struct mr_bond *bond_of(struct mr_list *in_set)
{
	return MR_CONTAINER(in_set, struct mr_bond, in_set);
}

/* Sets */

static struct mr_instance *make_set(struct mr_instances *all, struct mr_str key, size_t where_at, const struct mr_members *m)
{
	void *room;
	struct mr_instance *set = mr_instance_make(all, key, mr_pred_size(m->pred), &room);
	const struct mr_pred *pred = mr_pred_copy(room, m->pred);
	set->bonds = mr_alloc(sizeof *set->bonds);
	set->bonds->is_set = true;
	mr_list_init(&set->bonds->queries);
	set->entity = m->entity;
	mr_instance_note_table(set);
	set->where = mr_instance_part(set, where_at, key.n - where_at);
	mr_rowset_init(&set->rows, m->entity, pred, NULL, 0, -1);
	set->watcher = (struct mr_watcher){.entity = m->entity, .pred = pred, .owner = set};
	mr_matcher_add(all->sets, &set->watcher);
	mr_instance_stake(set);
	mr_instance_dirty(set, 1);
	return set;
}

static struct mr_instance *find_set(struct mr_instances *all, const struct mr_members *m)
{
	struct mr_buf key = {0};
	mr_buf_printf(&key, "S|%s|%016llx|", m->entity->name.p, (unsigned long long)m->entity->shape);
	size_t where_at = key.n;
	mr_pred_print(&key, m->entity, m->pred);
	struct mr_instance *set = mr_instance_by_key(all, mr_buf_view(&key));
	if (!set)
		set = make_set(all, mr_buf_view(&key), where_at, m);
	mr_buf_fini(&key);
	return set;
}

/* The effective predicate */

struct resolving {
	const struct mr_instance *query;
	size_t at;
};

static const struct mr_pred *among(struct mr_arena *a, const struct mr_members *m, bool negated, void *arg)
{
	struct resolving *r = arg;
	const struct mr_instance *query = r->query;
	const struct mr_rowset *held = &query->bonds->v[r->at++].set->rows;
	struct mr_row *rows = mr_arena_alloc(a, mr_rowset_size(held) * sizeof *rows);
	const struct mr_item *item;
	size_t n = 0;
	for (size_t i = 0; (item = mr_rowset_next(held, &i));)
		rows[n++] = item->row;
	return mr_pred_among(a, query->entity, m, rows, n, negated, query->bonds->asked);
}

static void match_by(struct mr_instance *query, const struct mr_pred *p)
{
	struct mr_bonds *b = query->bonds;
	void *room = mr_alloc(mr_pred_size(p)), *before = b->effective;
	mr_matcher_remove(query->all->index, &query->watcher);
	query->rows.pred = query->watcher.pred = mr_pred_copy(room, p);
	mr_matcher_add(query->all->index, &query->watcher);
	b->effective = room;
	free(before);
	if (query->work)
		mr_work_other_predicate(query->work);
}

const struct mr_pred *mr_sets_effective(struct mr_arena *a, const struct mr_instance *inst)
{
	struct resolving r = {inst, 0};
	return mr_pred_resolve(a, inst->bonds->asked, among, &r);
}

/* False: it is what it was. */
static bool refresh(struct mr_instance *query)
{
	struct mr_arena a = {0};
	const struct mr_pred *p = mr_sets_effective(&a, query);
	bool other = !query->bonds->effective || !mr_pred_same(p, query->rows.pred);
	if (other)
		match_by(query, p);
	mr_arena_fini(&a);
	return other;
}

/* Bonds */

static const struct mr_pred *bind(struct mr_arena *a, const struct mr_members *m, bool negated, void *arg)
{
	struct mr_instance *query = arg;
	struct mr_bond *bond = &query->bonds->v[query->bonds->n++];
	*bond = (struct mr_bond){.query = query, .set = find_set(query->all, m), .members = m, .negated = negated};
	mr_list_add_tail(&bond->set->bonds->queries, &bond->in_set);
	return &nothing;
}

void mr_sets_bind(struct mr_instance *inst, const struct mr_pred *asked)
{
	struct mr_arena a = {0};
	inst->bonds = mr_alloc(sizeof *inst->bonds + mr_pred_members(asked) * sizeof inst->bonds->v[0]);
	inst->bonds->asked = asked;
	mr_pred_resolve(&a, asked, bind, inst);
	mr_arena_fini(&a);
	mr_list_init(&inst->bonds->followers);
	inst->bonds->is_gate = mr_pred_members_pinned(asked);
	if (!inst->bonds->is_gate)
		refresh(inst);
}

void mr_sets_unbind(struct mr_instance *inst)
{
	struct mr_bonds *b = inst->bonds;
	if (!b)
		return;
	MR_ASSERT(b->is_set ? mr_list_empty(&b->queries) : mr_list_empty(&b->followers));
	mr_matcher_remove(inst->all->index, &inst->watcher);
	for (size_t i = 0; i < b->n; i++) {
		mr_list_del(&b->v[i].in_set);
		mr_instance_release(b->v[i].set);
	}
	free(b->effective);
	free(b);
	inst->bonds = NULL;
}

bool mr_sets_serve(const struct mr_instance *inst)
{
	for (size_t i = 0; i < mr_instance_bonds(inst); i++) {
		const struct mr_instance *set = inst->bonds->v[i].set;
		if (!set->ready || set->dirty || set->failure)
			return false;
	}
	return true;
}

const struct mr_error *mr_sets_failure(const struct mr_instance *inst)
{
	for (size_t i = 0; i < mr_instance_bonds(inst); i++)
		if (inst->bonds->v[i].set->failure)
			return &inst->bonds->v[i].set->failure->why;
	return NULL;
}

uint64_t mr_sets_touched(const struct mr_instance *inst)
{
	uint64_t n = 0;
	for (size_t i = 0; i < mr_instance_bonds(inst); i++)
		n = MR_MAX(n, inst->bonds->v[i].set->bonds->touched);
	return n;
}

uint64_t mr_sets_grew(const struct mr_instance *inst)
{
	return inst->bonds ? inst->bonds->grew : 0;
}

uint64_t mr_sets_loaded(const struct mr_instance *inst)
{
	uint64_t n = 0;
	for (size_t i = 0; i < mr_instance_bonds(inst); i++)
		n = MR_MAX(n, inst->bonds->v[i].set->loaded);
	return n;
}

/* In their order: two tables that change places make another one. */
uint64_t mr_sets_table_hash(const struct mr_instance *inst)
{
	uint64_t h = 0;
	for (size_t i = 0; i < mr_instance_bonds(inst); i++)
		h = (h ^ inst->bonds->v[i].set->table_hash) * UINT64_C(0x9e3779b97f4a7c15);
	return h;
}

bool mr_sets_blind(const struct mr_instance *inst)
{
	for (size_t i = 0; i < mr_instance_bonds(inst); i++)
		if (mr_catalog_blind(inst->all->f->clock->catalog, inst->bonds->v[i].set->entity))
			return true;
	return false;
}

bool mr_set_met(const struct mr_instance *set, const struct mr_batch *batch)
{
	for (size_t i = 0; i < batch->n_changes; i++)
		if (mr_instance_meets(set, &batch->changes[i]))
			return true;
	return false;
}

/* What a difference of a set may do to a query. */
struct effect {
	bool grows, shrinks;
};

static void add_effect(struct effect *e, const struct mr_bond *bond, bool comes)
{
	e->grows |= comes != bond->negated;
	e->shrinks |= comes == bond->negated;
}

static bool counts(const struct mr_bond *bond, const struct mr_item *item)
{
	return mr_pred_member_counts(bond->members, &item->row, bond->query->bonds->asked);
}

static bool same_links(const struct mr_bond *bond, const struct mr_item *was, const struct mr_item *is)
{
	for (size_t i = 0; i < bond->members->n; i++) {
		int field = bond->members->links[i].inner;
		if (!mr_value_eq(&was->row.v[field], &is->row.v[field]))
			return false;
	}
	return true;
}

static void add_effects(struct effect *e, const struct mr_bond *bond, const struct mr_diff *d)
{
	for (size_t i = 0; i < d->n_put; i++)
		if (counts(bond, d->put[i]))
			add_effect(e, bond, true);
	for (size_t i = 0; i < d->n_del; i++)
		if (counts(bond, d->del[i]))
			add_effect(e, bond, false);
	for (size_t i = 0; i < d->n_patch; i++) {
		if (same_links(bond, d->was[i], d->is[i]))
			continue;
		if (counts(bond, d->is[i]))
			add_effect(e, bond, true);
		if (counts(bond, d->was[i]))
			add_effect(e, bond, false);
	}
}

static struct effect effect_on(const struct mr_instance *query, const struct mr_instance *set, const struct mr_diff *d)
{
	struct effect e = {0};
	for (size_t i = 0; i < query->bonds->n; i++)
		if (query->bonds->v[i].set == set)
			add_effects(&e, &query->bonds->v[i], d);
	return e;
}

/* Rows that the query holds, and its sets do not admit any more, leave in this tick. */
static void shrink(struct mr_instance *query)
{
	mr_rowset_admit(&query->rows);
	if (!mr_list_linked(&query->in_hit))
		mr_list_add_tail(&query->all->hit, &query->in_hit);
}

static void fail_with(struct mr_instance *query, uint64_t n, const struct mr_error *why)
{
	mr_work_abandon(&query->work);
	mr_list_del(&query->in_dirty);
	mr_list_del(&query->in_hit);
	query->attempts = 0;
	mr_instance_fail(query, n, why);
}

static void tell(struct mr_instance *query, uint64_t n, struct effect e)
{
	if (!query->ready || query->dirty)
		return; /* it is read when all its sets are known */
	if (query->failure)
		query->failure->shrank |= e.shrinks;
	else if (e.grows)
		mr_instance_dirty(query, n);
	else
		shrink(query);
}

static void tell_difference(struct mr_instance *set, uint64_t n, const struct mr_diff *d)
{
	MR_LIST_FOR (at, &set->bonds->queries) {
		struct mr_instance *query = bond_of(at)->query;
		struct mr_bonds *b = query->bonds;
		struct effect e = effect_on(query, set, d);
		if (!e.grows && !e.shrinks)
			continue;
		if (b->is_gate) {
			mr_gate_turn(query, n);
			continue;
		}
		/* Or it was another set of the same tick that found what both hold now. */
		if (refresh(query))
			b->other = n;
		if (b->other != n)
			continue;
		if (e.grows)
			b->grew = n;
		tell(query, n, e);
	}
}

/* It is known again, and what it was is not what its queries knew last. */
static void tell_anew(struct mr_instance *set, uint64_t n)
{
	set->bonds->touched = n;
	MR_LIST_FOR (at, &set->bonds->queries) {
		struct mr_instance *query = bond_of(at)->query;
		const struct mr_error *why = mr_sets_failure(query);
		if (query->bonds->is_gate) {
			mr_gate_turn(query, n);
			continue;
		}
		refresh(query);
		query->bonds->grew = n;
		if (why)
			fail_with(query, n, why);
		else if (query->ready && !query->dirty)
			mr_instance_dirty(query, n);
	}
}

void mr_set_seal(struct mr_instance *set, uint64_t n)
{
	int64_t max = set->all->f->settings.policy_set_max;
	bool anew = set->dirty || !set->ready || set->failure;
	struct mr_error err;
	struct mr_diff d;
	mr_instance_stake(set);
	if ((int64_t)mr_rowset_size(&set->rows) > max) {
		mr_fail_data(&err, MR_TOO_MANY_ROWS, "{\"setting\":\"policy_set_max\"}",
			"A policy asks for more than %lld rows of %s (policy_set_max); let exists(...) ask for fewer.", (long long)max,
			set->entity->name.p);
		mr_instance_fail(set, n, &err);
		return;
	}
	if (!mr_instance_bytes_fit(set, n))
		return;
	mr_instance_mend(set);
	mr_rowset_diff(&set->rows, &d);
	if (anew)
		tell_anew(set, n);
	else
		tell_difference(set, n, &d);
	mr_diff_fini(&d);
}

void mr_set_dirty(struct mr_instance *set, uint64_t n)
{
	MR_LIST_FOR (at, &set->bonds->queries) {
		struct mr_instance *query = bond_of(at)->query;
		if (query->bonds->is_gate)
			mr_gate_turn(query, n);
		else
			mr_instance_dirty(query, n);
	}
}

void mr_set_known(struct mr_instance *set)
{
	MR_LIST_FOR (at, &set->bonds->queries) {
		struct mr_instance *query = bond_of(at)->query;
		if (query->bonds->is_gate)
			mr_gate_turn(query, set->from);
		else if (query->dirty)
			mr_instance_dirty(query, query->dirty);
	}
	mr_clock_want(set->all->f->clock); /* some may be listed, and wait for a tick since then */
}

void mr_set_failed(struct mr_instance *set, uint64_t n)
{
	MR_LIST_FOR (at, &set->bonds->queries) {
		struct mr_instance *query = bond_of(at)->query;
		if (query->bonds->is_gate)
			mr_gate_turn(query, n);
		else
			fail_with(query, n, &set->failure->why);
	}
}
