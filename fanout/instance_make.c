#include "instance_make.h"

#include <stdio.h>
#include <stdlib.h>

#include "catalog.h"
#include "clock.h"
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

void mr_instance_set_k(struct mr_instance *inst)
{
	uint64_t table = inst->entity ? mr_catalog_hash(inst->all->f->clock->catalog, inst->entity) : 0;
	snprintf(inst->k, sizeof inst->k, "%016llx%016llx", (unsigned long long)(inst->base[0] ^ table), (unsigned long long)inst->base[1]);
}

static void on_rekey(struct mr_watcher *w, void *arg)
{
	mr_instance_set_k(w->owner);
}

void mr_instances_rekey(struct mr_instances *all, const struct mr_entity *e)
{
	mr_matcher_each(all->index, e, on_rekey, NULL);
}

struct mr_instance *mr_instance_make(struct mr_instances *all, struct mr_str text)
{
	struct mr_instance *inst = mr_alloc(sizeof *inst);
	struct mr_buf b = {0};
	inst->all = all;
	inst->app = mr_app_hold(all->f->app);
	full_key(&b, inst->app, text);
	inst->key.n = b.n;
	inst->key.p = mr_buf_take(&b);
	for (int i = 0; i < 2; i++)
		inst->base[i] = mr_hash_fixed(text.p, text.n, 1 + i);
	mr_instance_set_k(inst);
	inst->number = mr_number_take(all->f->hub->numbers, inst->key);
	mr_list_init(&inst->in_dirty);
	mr_list_init(&inst->in_hit);
	mr_list_init(&inst->in_history);
	mr_list_init(&inst->in_failed);
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
	return entity ? mr_instance_find_rows(all, q, err) : mr_instance_find_fn(all, q, err);
}
