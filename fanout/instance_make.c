#include "instance_make.h"

#include <stdio.h>
#include <stdlib.h>

#include "catalog.h"
#include "clock.h"
#include "instance_included.h"
#include "instance_sets.h"
#include "numbers.h"
#include "proto/ground/log.h"

static void full_key(struct mr_buf *b, const struct mr_app *app, struct mr_str text)
{
	mr_buf_str(b, app->version);
	mr_buf_char(b, '|');
	mr_buf_str(b, text);
}

struct mr_instance *mr_instance_by_key(struct mr_instances *all, struct mr_str text)
{
	struct mr_buf b = {0};
	full_key(&b, all->f->app, text);
	struct mr_instance *inst = mr_map_get(&all->by_key, mr_buf_view(&b));
	mr_buf_fini(&b);
	return inst;
}

struct mr_str mr_instance_part(const struct mr_instance *inst, size_t at, size_t n)
{
	size_t from = inst->app->version.n + 1 + at;
	MR_ASSERT(from + n <= inst->key.n);
	return (struct mr_str){inst->key.p + from, n};
}

void mr_instance_k(const struct mr_instance *inst, char k[33])
{
	struct mr_str text = mr_instance_part(inst, 0, inst->key.n - inst->app->version.n - 1);
	unsigned long long h[2];
	for (int i = 0; i < 2; i++)
		h[i] = mr_hash_fixed(text.p, text.n, 1 + i);
	snprintf(k, 33, "%016llx%016llx", h[0] ^ inst->table_hash ^ mr_sets_table_hash(inst), h[1]);
}

void mr_instance_h(const struct mr_instance *inst, char h[17])
{
	snprintf(h, 17, "%016llx", (unsigned long long)inst->hash);
}

void mr_instance_note_table(struct mr_instance *inst)
{
	inst->table_hash = inst->entity ? mr_catalog_hash(inst->all->f->clock->catalog, inst->entity) : 0;
}

static void on_rekey(struct mr_watcher *w, void *arg)
{
	mr_instance_note_table(w->owner);
}

void mr_instances_rekey(struct mr_instances *all, const struct mr_entity *e)
{
	mr_matcher_each(all->sets, e, on_rekey, NULL);
	mr_matcher_each(all->index, e, on_rekey, NULL);
}

static void keep_key(struct mr_instance *inst, struct mr_str key, size_t n, void **room)
{
	const size_t align = _Alignof(void *);
	size_t at = (key.n + align - 1) / align * align;
	char *p = mr_alloc(at + n);
	memcpy(p, key.p, key.n);
	inst->key = (struct mr_str){p, key.n};
	if (room)
		*room = p + at;
}

struct mr_instance *mr_instance_make(struct mr_instances *all, struct mr_str text, size_t n, void **room)
{
	struct mr_instance *inst = mr_alloc(sizeof *inst);
	struct mr_buf b = {0};
	inst->all = all;
	inst->app = mr_app_hold(all->f->app);
	full_key(&b, inst->app, text);
	keep_key(inst, mr_buf_view(&b), n, room);
	mr_buf_fini(&b);
	inst->number = mr_number_take(all->f->hub->numbers, inst->key);
	mr_list_init(&inst->in_dirty);
	mr_list_init(&inst->in_hit);
	mr_list_init(&inst->in_history);
	mr_list_init(&inst->bodies);
	mr_map_put(&all->by_key, inst->key, inst);
	all->f->counter[MR_C_INSTANCES] = (int64_t)all->by_key.n;
	return inst;
}

struct mr_instance *mr_instance_find(struct mr_instances *all, const struct mr_query *q, struct mr_error *err)
{
	bool entity = mr_node_str(q->node, "entity").p, fn = mr_node_str(q->node, "fn").p;
	if (entity == fn) {
		mr_fail(err, MR_BAD_MESSAGE, "A live query names either an entity or a function (fn), as text.");
		return NULL;
	}
	if (!entity)
		return mr_instance_find_fn(all, q, err);
	return mr_included_is_asked(q->node) ? mr_instance_find_included(all, q, err) : mr_instance_find_rows(all, q, err);
}
