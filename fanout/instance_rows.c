/* Entity queries: from what a client asks to an instance, and from rows to bodies. */
#include <stdio.h>
#include <stdlib.h>

#include "instance.h"
#include "instance_make.h"
#include "proto/ground/log.h"
#include "proto/policy.h"

enum { TEXT_DEPTH = 4096 };

static void encode_diff(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst, const void *arg)
{
	mr_body_diff(out, encoding, inst->number, inst->hash, arg);
}

static void encode_rows(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst, const void *arg)
{
	mr_body_rows(out, encoding, inst->number, inst->hash, &inst->rows);
}

void mr_instance_seal(struct mr_instance *inst, uint64_t n)
{
	int64_t max = inst->all->f->settings.instance_max_rows;
	if ((int64_t)mr_rowset_size(&inst->rows) > max) {
		struct mr_error err;
		mr_fail_data(&err, MR_TOO_MANY_ROWS, "{\"setting\":\"instance_max_rows\"}",
			"The query has more than %lld rows (instance_max_rows); add a filter or a limit.", (long long)max);
		mr_instance_fail(inst, n, &err);
		return;
	}
	struct mr_diff d;
	bool changed = mr_rowset_diff(&inst->rows, &d);
	bool failed = inst->failure;
	free(inst->failure);
	inst->failure = NULL;
	mr_list_del(&inst->in_failed);
	inst->hash = inst->rows.hash;
	if (failed)
		mr_instance_add_body(inst, n, encode_rows, NULL);
	else if (changed && inst->ready)
		mr_instance_add_body(inst, n, encode_diff, &d);
	mr_diff_fini(&d);
}

/* Filter and read policy as one predicate. A policy that allows this caller nothing at all is said so, instead of an empty list. */
static const struct mr_pred *build_predicate(struct mr_arena *a, const struct mr_entity *e, const struct mr_query *q, struct mr_error *err)
{
	const struct mr_pred *where = mr_pred_from_where(a, e, mr_node_get(q->node, "where"), true, err);
	if (!where)
		return NULL;
	struct mr_str source = e->policy[MR_ACT_READ];
	const struct mr_pred *policy = mr_policy_compile(a, e, source, q->auth, err);
	if (!policy)
		return NULL;
	policy = mr_pred_normal(a, policy);
	if (policy->op == MR_P_FALSE) {
		if (!source.n)
			mr_fail(err, MR_FORBIDDEN,
				"Entity %s has no read policy, so nobody may read it; add policy(\"%s\", { read: ... }).", e->name.p,
				e->name.p);
		else
			mr_fail(err, q->auth ? MR_FORBIDDEN : MR_UNAUTHENTICATED, "The read policy of %s allows %s no row.", e->name.p,
				q->auth ? "this user" : "a caller who is not signed in");
		return NULL;
	}
	return mr_pred_normal(a, mr_pred_and(a, where, policy));
}

static void print_order(struct mr_buf *b, const struct mr_entity *e, const struct mr_order *order, size_t n)
{
	struct mr_enc enc;
	mr_enc_init(&enc, b, MR_JSON);
	mr_enc_array(&enc, n);
	for (size_t i = 0; i < n; i++) {
		mr_enc_array(&enc, 2);
		mr_enc_str(&enc, e->fields[order[i].field].name);
		mr_enc_str(&enc, order[i].desc ? MR_STR("desc") : MR_STR("asc"));
		mr_enc_end(&enc);
	}
	mr_enc_end(&enc);
}

/* Without a limit the order is the client's business, and those who differ in it share an instance; but for those who are to be told in
 * order. */
static void print_key(struct mr_buf *key, const struct mr_entity *e, int64_t limit, struct mr_str where, struct mr_str order, bool ordered)
{
	mr_buf_printf(key, "E|%s|%016llx|%lld|", e->name.p, (unsigned long long)e->shape, (long long)limit);
	mr_buf_str(key, where);
	if (limit >= 0 || ordered) {
		mr_buf_char(key, '|');
		mr_buf_str(key, order);
	}
}

/* What an instance keeps of its question, in an arena. */
struct kept {
	struct mr_str where, order_text;
	const struct mr_pred *pred;
	const struct mr_order *order;
	size_t n_order;
};

static void keep(struct mr_arena *a, const struct mr_entity *e, struct mr_str where, struct mr_str order_text, struct kept *k)
{
	struct mr_error err;
	k->where = mr_arena_str(a, where);
	k->order_text = mr_arena_str(a, order_text);
	const struct mr_node *node = mr_json_read(a, k->where, TEXT_DEPTH, false, &err);
	k->pred = node ? mr_pred_read(a, e, node, &err) : NULL;
	node = mr_json_read(a, k->order_text, TEXT_DEPTH, false, &err);
	MR_ASSERT(k->pred && node && mr_order_read(a, e, node, true, &k->order, &k->n_order, &err));
}

/* A new instance outlives the message and the identity that it was made for: its predicate and order are read anew from their texts, in an
 * arena of its own that is no larger than them: instances are many. */
static struct mr_instance *make_rows(struct mr_instances *all, const struct mr_entity *e, struct mr_str key, struct mr_str where,
	struct mr_str order_text, int64_t limit)
{
	struct mr_instance *inst = mr_instance_make(all, key);
	struct mr_arena rough = {0};
	struct kept k;
	keep(&rough, e, where, order_text, &k);
	mr_arena_begin(&inst->arena, rough.used);
	mr_arena_fini(&rough);
	keep(&inst->arena, e, where, order_text, &k);
	inst->entity = e;
	mr_instance_set_k(inst);
	inst->where = k.where;
	inst->order = k.order_text;
	mr_rowset_init(&inst->rows, e, k.pred, k.order, k.n_order, limit);
	inst->watcher = (struct mr_watcher){.entity = e, .pred = k.pred, .owner = inst};
	mr_matcher_add(all->index, &inst->watcher);
	mr_instance_dirty(inst, 1);
	return inst;
}

struct mr_instance *mr_instance_find_rows(struct mr_instances *all, const struct mr_query *q, struct mr_error *err)
{
	struct mr_app *app = all->f->app;
	struct mr_str name = mr_node_str(q->node, "entity");
	const struct mr_entity *e = mr_app_entity(app, name);
	if (!e) {
		mr_fail(err, MR_UNKNOWN_ENTITY, "No entity \"%.*s\" is declared.", (int)MR_MIN(name.n, 80), name.p);
		return NULL;
	}
	struct mr_arena a = {0};
	struct mr_buf where = {0}, order_text = {0}, key = {0};
	struct mr_instance *inst = NULL;
	const struct mr_order *order;
	size_t n_order;
	int64_t limit;
	const struct mr_pred *pred = build_predicate(&a, e, q, err);
	if (pred && mr_order_read(&a, e, mr_node_get(q->node, "order"), true, &order, &n_order, err) &&
		mr_limit_read(mr_node_get(q->node, "limit"), all->f->settings.instance_max_rows, &limit, err)) {
		mr_pred_print(&where, e, pred);
		print_order(&order_text, e, order, n_order);
		print_key(&key, e, limit, mr_buf_view(&where), mr_buf_view(&order_text), q->ordered);
		inst = mr_instance_by_key(all, mr_buf_view(&key));
		if (!inst)
			inst = make_rows(all, e, mr_buf_view(&key), mr_buf_view(&where), mr_buf_view(&order_text), limit);
	}
	mr_arena_fini(&a);
	mr_buf_fini(&where);
	mr_buf_fini(&order_text);
	mr_buf_fini(&key);
	return inst;
}
