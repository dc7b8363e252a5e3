/* Reads of entities. */
#include "proto/ground/log.h"
#include "txn_private.h"

#include <inttypes.h>
#include <stdio.h>

enum { DEPTH_MAX = 1000 }; /* of a json column's text */

bool mr_is_keyed(const struct mr_pred *where)
{
	const struct mr_value *value;
	int field;
	return where && mr_pred_equalities(where, &value, &field, 1) > 0;
}

void mr_op_print_from(struct mr_op *op, const struct mr_plan *plan)
{
	struct mr_buf *b = &op->sql;
	mr_buf_z(b, " from ");
	mr_sql_table(b, plan->entity);
	mr_buf_z(b, " as r where ");
	if (plan->where)
		mr_pred_sql(b, &op->params, plan->entity, plan->where);
	else
		mr_buf_z(b, "true");
}

static void write_select(struct mr_op *op, const struct mr_plan *plan)
{
	struct mr_buf *b = &op->sql;
	mr_buf_z(b, "select row_to_json(r.*)::text");
	mr_op_print_from(op, plan);
	mr_buf_z(b, " order by ");
	mr_order_sql(b, plan->entity, plan->order, plan->n_order);
	/* Not a parameter: a plan for any limit takes it for a tenth of the rows, and walks the whole table in its order rather than find a
	 * few by an index and sort them. */
	if (plan->limit >= 0)
		mr_buf_printf(b, " limit %" PRId64, plan->limit);
	if (plan->for_update)
		mr_buf_z(b, " for update");
}

static bool encode_row(struct mr_enc *enc, struct mr_arena *a, const struct mr_entity *e, struct mr_str image, struct mr_error *err)
{
	struct mr_error why;
	struct mr_row row;
	const struct mr_node *node = mr_json_read(a, image, DEPTH_MAX, false, &why);
	if (!node || !mr_row_from_image(a, e, node, &row))
		return mr_fail(err, MR_SCHEMA_CHANGED, "A row of %s is not as the entity is declared", e->name.p);
	mr_row_encode(enc, &row, true);
	return true;
}

static void take_rows(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_buf json = {0};
	struct mr_arena a = {0};
	struct mr_enc enc;
	struct mr_error err;
	bool ok = true;
	int n = mr_pg_rows(r);
	mr_enc_init(&enc, &json, MR_JSON);
	mr_enc_array(&enc, (size_t)n);
	for (int i = 0; ok && i < n; i++) {
		ok = encode_row(&enc, &a, op->entity, mr_pg_value(r, i, 0), &err);
		mr_arena_reset(&a);
	}
	if (ok) {
		mr_enc_end(&enc);
		mr_op_answer(op, mr_buf_view(&json));
	} else {
		mr_op_fail(op, &err, true);
	}
	mr_arena_fini(&a);
	mr_buf_fini(&json);
}

/* Images as they are, for whoever matches them against changes. */
static void take_images(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_buf json = {0};
	mr_buf_z(&json, "{\"snapshot\":");
	mr_json_quote(&json, mr_str(mr_txn_snapshot(op->txn)));
	mr_buf_z(&json, ",\"rows\":[");
	for (int i = 0; i < mr_pg_rows(r); i++) {
		mr_buf_z(&json, i ? "," : "");
		mr_buf_str(&json, mr_pg_value(r, i, 0));
	}
	mr_buf_z(&json, "]}");
	mr_op_answer(op, mr_buf_view(&json));
	mr_buf_fini(&json);
}

static void read_plan(struct mr_txn *txn, const struct mr_plan *plan, mr_txn_cb *cb, void *arg, mr_op_take *take)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	op->entity = plan->entity;
	op->only_reads = true;
	write_select(op, plan);
	mr_txn_add_read(txn, plan->entity, plan->where);
	mr_op_send(op, 0, mr_is_keyed(plan->where), txn->capturing, take);
}

void mr_txn_read(struct mr_txn *txn, const struct mr_plan *plan, mr_txn_cb *cb, void *arg)
{
	read_plan(txn, plan, cb, arg, take_rows);
}

void mr_txn_load(struct mr_txn *txn, const struct mr_plan *plan, mr_txn_cb *cb, void *arg)
{
	MR_ASSERT(txn->kind == MR_TXN_READ); /* else the rows' snapshot is not the transaction's */
	read_plan(txn, plan, cb, arg, take_images);
}
