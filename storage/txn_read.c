/* Reads of entities. */
#include "proto/ground/log.h"
#include "proto/key.h"
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

static void write_image(struct mr_buf *b, const struct mr_plan *plan)
{
	if (!plan->pick) {
		mr_buf_z(b, "row_to_json(r.*)::text");
		return;
	}
	const struct mr_entity *e = plan->entity;
	const char *comma = "(select row_to_json(x) from (select r.";
	for (size_t i = 0; i < plan->n_pick; i++) {
		bool computed = mr_field_computed(&e->fields[plan->pick[i]]);
		const int *fields = computed ? e->key : &plan->pick[i];
		for (size_t k = 0; k < (computed ? e->n_key : 1); k++) {
			mr_buf_z(b, comma);
			mr_sql_ident(b, e->fields[fields[k]].column);
			comma = ",r.";
		}
	}
	mr_buf_z(b, ") as x)::text");
}

static void write_select(struct mr_op *op, const struct mr_plan *plan)
{
	struct mr_buf *b = &op->sql;
	mr_buf_z(b, "select ");
	write_image(b, plan);
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

static bool encode_whole(struct mr_enc *enc, struct mr_arena *a, const struct mr_op *op, const struct mr_node *image)
{
	struct mr_row row;
	if (!mr_row_from_image(a, op->entity, image, &row))
		return false;
	mr_row_encode(enc, &row, !op->visible);
	return true;
}

/* row: one value for each field of the entity, of which only the asked ones are there. */
static bool read_field(struct mr_arena *a, const struct mr_entity *e, int field, const struct mr_node *image, struct mr_value *row)
{
	const struct mr_field *f = &e->fields[field];
	if (!mr_field_computed(f))
		return mr_field_from_image(a, f, image, &row[field]);
	for (size_t i = 0; i < e->n_key; i++)
		if (!read_field(a, e, e->key[i], image, row))
			return false;
	mr_key_make(a, e, row);
	return true;
}

static bool encode_picked(struct mr_enc *enc, struct mr_arena *a, const struct mr_op *op, const struct mr_node *image)
{
	const struct mr_entity *e = op->entity;
	struct mr_value *row = mr_arena_alloc(a, e->n * sizeof *row);
	mr_enc_map(enc, op->n_pick);
	for (size_t i = 0; i < op->n_pick; i++) {
		if (!read_field(a, e, op->pick[i], image, row))
			return false;
		mr_enc_key(enc, e->fields[op->pick[i]].name);
		mr_value_encode(enc, &row[op->pick[i]]);
	}
	mr_enc_end(enc);
	return true;
}

static bool encode_row(struct mr_enc *enc, struct mr_arena *a, const struct mr_op *op, struct mr_str text, struct mr_error *err)
{
	struct mr_error why;
	const struct mr_node *image = mr_json_read(a, text, DEPTH_MAX, false, &why);
	if (image && (op->pick ? encode_picked(enc, a, op, image) : encode_whole(enc, a, op, image)))
		return true;
	return mr_fail(err, MR_SCHEMA_CHANGED, "A row of %s is not as the entity is declared", op->entity->name.p);
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
		ok = encode_row(&enc, &a, op, mr_pg_value(r, i, 0), &err);
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

static mr_fields fields_of(const struct mr_plan *plan)
{
	mr_fields all = plan->pick ? 0 : MR_FIELDS_ALL;
	for (size_t i = 0; i < plan->n_pick; i++)
		all |= mr_field_bit(plan->pick[i]);
	for (size_t i = 0; i < plan->n_order; i++)
		all |= mr_field_bit(plan->order[i].field);
	return all;
}

static void read_plan(struct mr_txn *txn, const struct mr_plan *plan, mr_txn_cb *cb, void *arg, mr_op_take *take)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	op->entity = plan->entity;
	op->only_reads = true;
	op->amount = MR_OP_READS;
	op->visible = plan->visible;
	op->pick = plan->pick;
	op->n_pick = plan->n_pick;
	write_select(op, plan);
	mr_op_send(op, 0, mr_is_keyed(plan->where), txn->capturing, take);
	mr_txn_add_plan(txn, plan, fields_of(plan));
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
