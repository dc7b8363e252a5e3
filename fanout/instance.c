#include "instance.h"

#include <stdlib.h>

#include "clock.h"
#include "instance_gates.h"
#include "instance_sets.h"
#include "numbers.h"
#include "proto/ground/log.h"
#include "session.h"
#include "whole.h"
#include "work.h"

enum {
	HISTORY_MOST = 128 << 20, /* of all live queries together */
	HISTORY_FREE = 64 << 10,  /* of one, whatever its result is */
	ROW_LEAST = 48,           /* bytes that the smallest row takes */
};

struct mr_instances *mr_instances_new(struct mr_fanout *f)
{
	struct mr_instances *all = mr_alloc(sizeof *all);
	all->f = f;
	all->index = mr_matcher_new();
	all->sets = mr_matcher_new();
	mr_list_init(&all->dirty);
	mr_list_init(&all->hit);
	mr_list_init(&all->hit_sets);
	mr_list_init(&all->histories);
	mr_list_init(&all->failed);
	return all;
}

void mr_instances_delete(struct mr_instances **all)
{
	if (!*all)
		return;
	MR_ASSERT((*all)->by_key.n == 0);
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&(*all)->split, &i, &key, &value);) {
		mr_map_del(&(*all)->split, key);
		free(value);
	}
	mr_map_fini(&(*all)->split);
	mr_map_fini(&(*all)->by_key);
	mr_matcher_delete(&(*all)->index);
	mr_matcher_delete(&(*all)->sets);
	free(*all);
	*all = NULL;
}

void mr_instance_trim_later(struct mr_instance *inst)
{
	inst->all->trimmed = 0;
	if (!mr_list_linked(&inst->in_history))
		mr_list_add_tail(&inst->all->histories, &inst->in_history);
}

void mr_instance_dirty(struct mr_instance *inst, uint64_t n)
{
	if (mr_instance_is_gate(inst) || (inst->failure && mr_sets_failure(inst)))
		return; /* its sets say what it is; it fails as long as they do */
	if (!inst->dirty) {
		inst->dirty = n;
		mr_subs_held(inst, true);
		if (mr_instance_is_set(inst))
			mr_set_dirty(inst, n);
	}
	/* Sets before rows (CLOCK.md rule 14): it is told again when they are known. */
	if (inst->work || mr_list_linked(&inst->in_dirty) || !mr_sets_serve(inst))
		return;
	if (!inst->ready && !inst->attempts) {
		mr_work_begin(inst);
		return;
	}
	mr_list_add_tail(&inst->all->dirty, &inst->in_dirty);
	if (mr_mono_us() >= inst->not_before)
		mr_clock_want(inst->all->f->clock);
}

void mr_instance_known(struct mr_instance *inst, uint64_t n)
{
	if (inst->ready && !inst->dirty)
		return; /* it never ceased to be */
	inst->gap = inst->ready ? inst->dirty : 0;
	inst->gap_from = inst->from;
	inst->from = n;
	if (inst->dirty)
		mr_subs_held(inst, false);
	inst->dirty = 0;
	if (!inst->ready) {
		inst->last = n;
		inst->hash_was = inst->hash;
	}
	inst->ready = true;
	mr_subs_news(inst);
	if (mr_instance_is_set(inst) && !inst->failure)
		mr_set_known(inst);
}

uint64_t mr_instance_bound(const struct mr_instance *inst, uint64_t n)
{
	if (!inst->ready)
		return 0;
	if (inst->dirty && n >= inst->dirty)
		n = inst->dirty - 1;
	if (n >= inst->from)
		return n;
	if (!inst->gap)
		return 0;
	if (n >= inst->gap)
		n = inst->gap - 1;
	return n >= inst->gap_from ? n : 0;
}

static struct mr_wire *make_wire(struct mr_instance *inst, enum mr_encoding encoding, mr_body_encode *encode, const void *arg)
{
	struct mr_buf text = {0};
	encode(&text, encoding, inst, arg);
	inst->all->f->counter[MR_C_BODIES_ENCODED_TOTAL]++;
	return mr_wire_new(&text);
}

/* Another thread may have made it; else it is made, and others find it. */
static struct mr_wire *find_wire(struct mr_instance *inst, uint64_t n, enum mr_encoding encoding, mr_body_encode *encode, const void *arg)
{
	const struct mr_news *news = inst->all->f->clock->news;
	struct mr_change_of change = {inst->number, n, inst->hash_was, inst->hash, encoding};
	struct mr_wire *w = news && news->board ? mr_board_find(news->board, &change) : NULL;
	if (w)
		return w;
	w = make_wire(inst, encoding, encode, arg);
	if (news && news->board)
		mr_board_pin(news->board, &change, w);
	return w;
}

void mr_instance_add_body(struct mr_instance *inst, uint64_t n, mr_body_encode *encode, const void *arg)
{
	struct mr_instances *all = inst->all;
	if (mr_instance_is_set(inst))
		return; /* nobody is told */
	struct mr_body *b = mr_body_new(n);
	for (int e = 0; e < MR_ENCODINGS; e++) {
		if (!all->speaks[e])
			continue;
		b->wire[e] = find_wire(inst, n, e, encode, arg);
		b->bytes += b->wire[e]->text.n;
	}
	mr_whole_age(inst, b);
	inst->hash_was = inst->hash;
	mr_list_add_tail(&inst->bodies, &b->in_history);
	b->bytes += sizeof *b;
	inst->history += b->bytes;
	all->history += b->bytes;
	inst->last = n;
	mr_instance_trim_later(inst);
	mr_subs_news(inst);
}

/* Oldest bodies go first, while keep says no. */
static void drop_bodies(struct mr_instance *inst, uint64_t up_to, size_t max)
{
	MR_LIST_FOR (e, &inst->bodies) {
		struct mr_body *b = MR_CONTAINER(e, struct mr_body, in_history);
		if (b->n > up_to && inst->history <= max)
			break;
		inst->history -= b->bytes;
		inst->all->history -= b->bytes;
		inst->lost = b->n;
		mr_body_delete(&b);
	}
}

void mr_instance_give_up(struct mr_instance *inst, uint64_t n)
{
	drop_bodies(inst, UINT64_MAX, 0);
	mr_whole_clear(inst);
	inst->lost = inst->last = n;
	inst->hash_was = inst->hash;
	mr_instance_trim_later(inst);
	mr_subs_news(inst);
}

size_t mr_instance_least(const struct mr_instance *inst)
{
	return inst->entity ? mr_rowset_size(&inst->rows) * ROW_LEAST : inst->run->result.n / 2;
}

/* Who has missed more than twice what the whole takes gets the whole: what is older than that serves nobody. */
static void drop_useless(struct mr_instance *inst)
{
	const struct mr_instances *all = inst->all;
	size_t whole = 0, max = (size_t)all->f->settings.history_bytes;
	if (inst->history <= MR_MAX(inst->history_most, (size_t)HISTORY_FREE) || !inst->ready)
		return;
	bool small = mr_instance_least(inst) < max;
	for (int e = 0; small && e < MR_ENCODINGS; e++)
		whole += all->speaks[e] ? mr_whole_size(inst, e) : 0;
	inst->history_most = small ? MR_MAX(2 * whole, (size_t)HISTORY_FREE) : max;
	if (inst->history > inst->history_most)
		drop_bodies(inst, 0, inst->history_most / 2);
}

void mr_instances_trim(struct mr_instances *all, uint64_t n)
{
	size_t max = (size_t)all->f->settings.history_bytes;
	if (n && n == all->trimmed)
		return;
	all->trimmed = n;
	do {
		MR_LIST_FOR (e, &all->histories) {
			struct mr_instance *inst = MR_CONTAINER(e, struct mr_instance, in_history);
			drop_bodies(inst, MR_MIN(n, mr_whole_since(inst)), max);
			drop_useless(inst);
			/* Who watches alone has been told: nobody asks again. */
			if (inst->n_subs <= 1)
				mr_whole_told(inst);
			if (mr_list_empty(&inst->bodies))
				mr_list_del(&inst->in_history);
		}
		max /= 2;
	} while (all->history > HISTORY_MOST);
}

static void encode_failure(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst, const void *arg)
{
	mr_body_error(out, encoding, inst->number, inst->hash, arg);
}

void mr_instance_fail(struct mr_instance *inst, uint64_t n, const struct mr_error *err)
{
	uint64_t hash = mr_hash_fixed(err->message, strlen(err->message), err->code);
	bool same = inst->ready && inst->failure && inst->hash == hash;
	if (!inst->failure) {
		inst->failure = mr_alloc(sizeof *inst->failure);
		inst->failure->instance = inst;
	}
	inst->failure->why = *err;
	inst->hash = hash;
	if (inst->entity)
		mr_rowset_empty(&inst->rows);
	mr_instance_retry_later(inst);
	mr_instance_known(inst, n);
	if (!same)
		mr_instance_add_body(inst, n, encode_failure, err);
	if (mr_instance_is_set(inst))
		mr_set_failed(inst, n);
}

void mr_instance_mend(struct mr_instance *inst)
{
	if (!inst->failure)
		return;
	mr_list_del(&inst->failure->in_failed);
	free(inst->failure);
	inst->failure = NULL;
}

/* Applying a tick. */

struct applying {
	struct mr_instances *all;
	const struct mr_batch *batch;
	/* The one at hand, and its row as the instances that it enters share it. */
	const struct mr_change *change;
	struct mr_item *is;
};

static void next_change(struct applying *a, const struct mr_change *c)
{
	mr_item_drop(&a->is);
	a->change = c;
	a->all->last_mark++;
}

/* A function query is met once, however many of its reads are. */
static bool sees(struct mr_run *run, const struct mr_read *read, const struct mr_change *c, const struct mr_instances *all)
{
	if (run->mark == all->last_mark)
		return false;
	if (!mr_read_sees(read, c)) {
		all->f->counter[MR_C_UPDATES_UNREAD_TOTAL]++;
		return false;
	}
	run->mark = all->last_mark;
	return true;
}

static void on_hit(struct mr_watcher *w, const struct mr_change *c, void *arg)
{
	struct applying *a = arg;
	struct mr_instance *inst = w->owner;
	if (a->change != c)
		next_change(a, c);
	if (inst->run && !sees(inst->run, MR_CONTAINER(w, struct mr_read, watcher), c, a->all))
		return;
	a->all->f->counter[MR_C_INDEX_HITS_TOTAL]++;
	if (!inst->entity) {
		mr_instance_dirty(inst, a->batch->n);
		return;
	}
	if (mr_instance_is_set(inst))
		inst->bonds->touched = a->batch->n;
	if (inst->failure)
		inst->failure->shrank |= c->was.v != NULL;
	/* What is not known now is brought up to date from the batches when its rows have come. */
	if (!inst->ready || inst->dirty || inst->failure)
		return;
	mr_rowset_apply(&inst->rows, c, &a->is);
	if (!mr_list_linked(&inst->in_hit))
		mr_list_add_tail(mr_instance_is_set(inst) ? &a->all->hit_sets : &a->all->hit, &inst->in_hit);
}

static void on_soon(const struct mr_watcher *w)
{
	__builtin_prefetch(&w->owner);
}

static void on_bulk(struct mr_watcher *w, void *arg)
{
	struct applying *a = arg;
	struct mr_instance *inst = w->owner;
	if (inst->work)
		mr_work_spoil(inst->work);
	mr_instance_dirty(inst, a->batch->n);
}

static void bulk(struct mr_instances *all, struct mr_matcher *index, const struct mr_entity *e, uint64_t n)
{
	struct mr_batch at = {.n = n};
	struct applying a = {.all = all, .batch = &at};
	mr_matcher_each(index, e, on_bulk, &a);
}

void mr_instances_bulk(struct mr_instances *all, const struct mr_entity *e, uint64_t n)
{
	all->f->counter[MR_C_BULK_CHANGES_TOTAL]++;
	bulk(all, all->sets, e, n);
	bulk(all, all->index, e, n);
}

void mr_instances_reset(struct mr_instances *all, uint64_t n)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->by_key, &i, &key, &value);) {
		struct mr_instance *inst = value;
		if (inst->work)
			mr_work_spoil(inst->work);
		mr_instance_dirty(inst, n);
	}
}

/* From change i on, those that are told row by row. */
static size_t told_from(const struct mr_batch *batch, size_t i)
{
	size_t n = 0;
	while (i + n < batch->n_changes && !batch->changes[i + n].bulk)
		n++;
	return n;
}

static void meet_changes(struct mr_instances *all, struct mr_matcher *index, const struct mr_batch *batch)
{
	struct applying a = {.all = all, .batch = batch};
	size_t probes = 0;
	for (size_t i = 0; i < batch->n_changes; i++) {
		size_t n = told_from(batch, i);
		probes += mr_matcher_match(index, batch->changes + i, n, on_hit, on_soon, &a);
		i += n;
		if (i == batch->n_changes)
			break;
		bulk(all, index, batch->changes[i].entity, batch->n);
		all->f->counter[MR_C_BULK_CHANGES_TOTAL] += index == all->index;
	}
	mr_item_drop(&a.is);
	all->f->counter[MR_C_INDEX_PROBES_TOTAL] += (int64_t)probes;
}

static void seal_all(struct mr_list *hit, const struct mr_batch *batch)
{
	MR_LIST_FOR (e, hit) {
		struct mr_instance *inst = MR_CONTAINER(e, struct mr_instance, in_hit);
		mr_list_del(&inst->in_hit);
		/* Dry, or made dirty by a later change of the same tick: it is read anew and compared then. Until that, who comes new gets
		 * the state of a tick before this one. */
		if (mr_rowset_dry(&inst->rows))
			mr_instance_dirty(inst, batch->n);
		if (inst->dirty)
			mr_rowset_revert(&inst->rows);
		else
			mr_instance_seal(inst, batch->n);
	}
}

/* Sets before rows (CLOCK.md rule 14). What is sealed with a set has its new predicate when the changes meet it, and has lost what that
 * does not admit: so a row's image of before need not be met by the predicate of before. */
void mr_instances_apply(struct mr_instances *all, const struct mr_batch *batch)
{
	meet_changes(all, all->sets, batch);
	seal_all(&all->hit_sets, batch);
	meet_changes(all, all->index, batch);
	seal_all(&all->hit, batch);
}

static bool meets(const struct mr_watcher *w, const struct mr_change *c)
{
	return w->entity == c->entity &&
	       (c->bulk || (c->was.v && mr_pred_eval(w->pred, &c->was) == 1) || (c->is.v && mr_pred_eval(w->pred, &c->is) == 1));
}

bool mr_instance_meets(const struct mr_instance *inst, const struct mr_change *c)
{
	if (inst->entity)
		return meets(&inst->watcher, c);
	for (size_t i = 0; i < inst->run->n_reads; i++) {
		const struct mr_read *read = &inst->run->reads[i];
		if (meets(&read->watcher, c) && (c->bulk || mr_read_sees(read, c)))
			return true;
	}
	return false;
}

static void free_instance(struct mr_instance *inst)
{
	struct mr_instances *all = inst->all;
	mr_work_abandon(&inst->work);
	mr_list_del(&inst->in_dirty);
	mr_list_del(&inst->in_hit);
	mr_map_del(&all->by_key, inst->key);
	mr_matcher_remove(mr_instance_is_set(inst) ? all->sets : all->index, &inst->watcher);
	mr_sets_unbind(inst);
	if (inst->entity) {
		mr_stakes_add(&all->f->hub->stakes, inst->entity, -inst->stake);
		mr_rowset_fini(&inst->rows);
	} else {
		mr_instance_end_run(inst);
	}
	drop_bodies(inst, UINT64_MAX, 0);
	mr_list_del(&inst->in_history);
	mr_whole_clear(inst);
	mr_instance_mend(inst);
	MR_ASSERT(!inst->cap_subs);
	mr_app_drop(&inst->app);
	mr_number_leave(all->f->hub->numbers, inst->key);
	free((char *)inst->key.p);
	free(inst);
	all->f->counter[MR_C_INSTANCES] = (int64_t)all->by_key.n;
}

void mr_instance_release(struct mr_instance *inst)
{
	if (inst->bonds && !mr_list_empty(inst->bonds->is_set ? &inst->bonds->queries : &inst->bonds->followers))
		return;
	if (inst->n_subs == 0)
		free_instance(inst);
	else if (inst->n_subs == 1)
		mr_whole_clear(inst);
}
