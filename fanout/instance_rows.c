/* Entity queries: from what a client asks to an instance, and from rows to bodies. */
#include <stdio.h>
#include <stdlib.h>

#include "aside.h"
#include "clock.h"
#include "hub.h"
#include "instance.h"
#include "instance_gates.h"
#include "instance_make.h"
#include "instance_sets.h"
#include "proto/ground/log.h"
#include "proto/policy.h"

static void encode_diff(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst, const void *arg)
{
	mr_body_diff(out, encoding, inst->number, inst->hash, arg);
}

static void encode_rows(struct mr_buf *out, enum mr_encoding encoding, struct mr_instance *inst, const void *arg)
{
	mr_body_rows(out, encoding, inst->number, inst->hash, &inst->rows);
}

/* So long to encode, and so much of the rows, that all of them are told instead: that is encoded aside. */
static bool is_most(const struct mr_diff *d, size_t rows)
{
	enum { LONG_DIFF = 10 * MR_ASIDE_ROWS, PART = 4 };
	size_t n = d->n_put + d->n_patch + d->n_del;
	return n >= LONG_DIFF && n > rows / PART;
}

/* Not each time: about so much. */
void mr_instance_stake(struct mr_instance *inst)
{
	int64_t stake = MR_STAKE_QUERY + MR_STAKE_ROW * (int64_t)mr_rowset_size(&inst->rows), more = stake - inst->stake;
	if (4 * (more < 0 ? -more : more) <= stake)
		return;
	mr_stakes_add(&inst->all->f->hub->stakes, inst->entity, more);
	inst->stake = stake;
}

bool mr_instance_bytes_fit(struct mr_instance *inst, uint64_t n)
{
	int64_t most = inst->all->f->settings.instance_max_bytes;
	struct mr_error err;
	bool fits = (int64_t)inst->rows.bytes <= most || mr_rows_too_large(inst->entity, most, &err);
	if (!fits)
		mr_instance_fail(inst, n, &err);
	return fits;
}

void mr_instance_seal(struct mr_instance *inst, uint64_t n)
{
	int64_t max = inst->all->f->settings.instance_max_rows;
	if (mr_instance_is_set(inst)) {
		mr_set_seal(inst, n);
		return;
	}
	mr_instance_stake(inst);
	if ((int64_t)mr_rowset_size(&inst->rows) > max) {
		struct mr_error err;
		mr_fail_data(&err, MR_TOO_MANY_ROWS, "{\"setting\":\"instance_max_rows\"}",
			"The query has more than %lld rows (instance_max_rows); add a filter or a limit.", (long long)max);
		mr_instance_fail(inst, n, &err);
		return;
	}
	if (!mr_instance_bytes_fit(inst, n))
		return;
	struct mr_diff d;
	bool changed = mr_rowset_diff(&inst->rows, &d);
	bool failed = inst->failure;
	mr_instance_mend(inst);
	inst->hash = inst->rows.hash;
	if (failed)
		mr_instance_add_body(inst, n, encode_rows, NULL);
	else if (changed && inst->ready && is_most(&d, mr_rowset_size(&inst->rows)))
		mr_instance_give_up(inst, n);
	else if (changed && inst->ready)
		mr_instance_add_body(inst, n, encode_diff, &d);
	mr_diff_fini(&d);
}

/* Filter and read policy as one predicate. A policy that allows this caller nothing at all is said so, instead of an empty list. */
const struct mr_pred *mr_query_predicate(struct mr_arena *a, const struct mr_entity *e, const struct mr_query *q, struct mr_error *err)
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

void mr_instance_print_order(struct mr_buf *b, const struct mr_instance *inst)
{
	print_order(b, inst->entity, inst->rows.order, inst->rows.n_order);
}

struct asked {
	const struct mr_entity *entity;
	const struct mr_pred *pred;
	const struct mr_order *order;
	size_t n_order;
	int64_t limit;
	bool ordered;
	size_t where_at, where_n; /* of its key */
};

/* Without a limit the order is the client's business, and those who differ in it share an instance; but for those who are to be told in
 * order. */
static void print_key(struct mr_buf *key, struct asked *q)
{
	const struct mr_entity *e = q->entity;
	mr_buf_printf(key, "E|%s|%016llx|%lld|", e->name.p, (unsigned long long)e->shape, (long long)q->limit);
	q->where_at = key->n;
	mr_pred_print(key, e, q->pred);
	q->where_n = key->n - q->where_at;
	if (q->limit >= 0 || q->ordered) {
		mr_buf_char(key, '|');
		print_order(key, e, q->order, q->n_order);
	}
}

static void begin_rows(struct mr_instance *inst)
{
	const struct mr_error *why = mr_sets_failure(inst);
	if (mr_instance_is_gate(inst))
		inst->dirty = 1; /* until somebody enters */
	else if (why)
		mr_instance_fail(inst, inst->all->f->clock->n, why);
	else
		mr_instance_dirty(inst, 1);
}

/* A new instance outlives the message and the identity that it was made for: it has predicate and order with its key, in no more memory
 * than they take: instances are many. */
static struct mr_instance *make_rows(struct mr_instances *all, struct mr_str key, const struct asked *q)
{
	void *room;
	struct mr_instance *inst = mr_instance_make(all, key, mr_pred_size(q->pred) + q->n_order * sizeof *q->order, &room);
	struct mr_order *order = room;
	const struct mr_pred *pred = mr_pred_copy(order + q->n_order, q->pred);
	_Static_assert(sizeof *order % _Alignof(void *) == 0, "what is behind it is aligned");
	memcpy(order, q->order, q->n_order * sizeof *order);
	inst->entity = q->entity;
	mr_instance_note_table(inst);
	inst->where = mr_instance_part(inst, q->where_at, q->where_n);
	mr_rowset_init(&inst->rows, q->entity, pred, order, q->n_order, q->limit);
	inst->watcher = (struct mr_watcher){.entity = q->entity, .pred = pred, .owner = inst};
	if (mr_pred_asks_sets(pred)) {
		mr_sets_bind(inst, pred);
		inst->bonds->ordered = q->ordered;
	} else {
		mr_matcher_add(all->index, &inst->watcher);
	}
	mr_instance_stake(inst);
	begin_rows(inst);
	return inst;
}

static struct mr_instance *find_or_make(struct mr_instances *all, struct asked *q)
{
	struct mr_buf key = {0};
	print_key(&key, q);
	struct mr_instance *inst = mr_instance_by_key(all, mr_buf_view(&key));
	if (!inst)
		inst = make_rows(all, mr_buf_view(&key), q);
	mr_buf_fini(&key);
	return inst;
}

struct mr_instance *mr_instance_with(const struct mr_instance *inst, const struct mr_pred *pred)
{
	struct asked asked = {.entity = inst->entity,
		.pred = pred,
		.order = inst->rows.order,
		.n_order = inst->rows.n_order,
		.limit = inst->rows.limit,
		.ordered = inst->bonds && inst->bonds->ordered};
	return find_or_make(inst->all, &asked);
}

const struct mr_entity *mr_query_entity(const struct mr_fanout *f, const struct mr_query *q, struct mr_error *err)
{
	struct mr_str name = mr_node_str(q->node, "entity");
	const struct mr_entity *e = mr_app_entity(f->app, name);
	if (!e)
		mr_fail(err, MR_UNKNOWN_ENTITY, "No entity \"%.*s\" is declared.", (int)MR_MIN(name.n, 80), name.p);
	return e;
}

struct mr_instance *mr_instance_find_rows(struct mr_instances *all, const struct mr_query *q, struct mr_error *err)
{
	const struct mr_entity *e = mr_query_entity(all->f, q, err);
	if (!e)
		return NULL;
	struct mr_arena a = {0};
	struct mr_instance *inst = NULL;
	struct asked asked = {.entity = e, .pred = mr_query_predicate(&a, e, q, err), .ordered = q->ordered};
	if (asked.pred && mr_order_read(&a, e, mr_node_get(q->node, "order"), true, &asked.order, &asked.n_order, err) &&
		mr_limit_read(mr_node_get(q->node, "limit"), all->f->settings.instance_max_rows, &asked.limit, err))
		inst = find_or_make(all, &asked);
	mr_arena_fini(&a);
	return inst;
}
