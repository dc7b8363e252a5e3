/* Reads of entities. */
#include "proto/ground/log.h"
#include "proto/key.h"
#include "txn_private.h"

#include <inttypes.h>
#include <stdio.h>

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

static void print_columns(struct mr_op *op)
{
	for (size_t i = 0; i < op->n_columns; i++) {
		mr_buf_z(&op->sql, i ? ", " : "");
		mr_sql_column(&op->sql, "r.", &op->entity->fields[op->columns[i]]);
	}
}

static void write_select(struct mr_op *op, const struct mr_plan *plan)
{
	struct mr_buf *b = &op->sql;
	mr_buf_z(b, "select ");
	if (op->n_columns)
		print_columns(op);
	else
		mr_buf_z(b, "row_to_json(r.*)::text");
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

/* ---- rows as they are told ---- */

/* The fields that an answer has, in this order. */
static void choose_fields(struct mr_op *op, const struct mr_plan *plan)
{
	const struct mr_entity *e = plan->entity;
	int *fields = mr_arena_alloc(&op->arena, (plan->n_pick + e->n) * sizeof *fields);
	op->fields = fields;
	if (plan->pick) {
		memcpy(fields, plan->pick, plan->n_pick * sizeof *fields);
		op->n_fields = plan->n_pick;
		return;
	}
	for (size_t i = 0; i < e->n; i++)
		if (!plan->visible || !e->fields[i].server_only)
			fields[op->n_fields++] = (int)i;
}

/* And those whose columns are read for it: a computed one is made of others. */
static void choose_columns(struct mr_op *op)
{
	const struct mr_entity *e = op->entity;
	bool *read = mr_arena_alloc(&op->arena, e->n * sizeof *read);
	int *columns = mr_arena_alloc(&op->arena, e->n * sizeof *columns);
	for (size_t i = 0; i < op->n_fields; i++) {
		int field = op->fields[i];
		bool computed = mr_field_computed(&e->fields[field]);
		op->computed |= computed;
		for (size_t k = 0; computed && k < e->n_key; k++)
			read[e->key[k]] = true;
		read[field] = !computed;
	}
	for (size_t i = 0; i < e->n; i++)
		if (read[i])
			columns[op->n_columns++] = (int)i;
	op->columns = columns;
}

static bool read_columns(struct mr_op *op, const struct mr_pg_result *r)
{
	const struct mr_entity *e = op->entity;
	struct mr_arena *a = &op->rows.arena;
	struct mr_value *values = op->rows.values;
	for (size_t i = 0; i < op->n_columns; i++) {
		int field = op->columns[i];
		if (!mr_value_from_pgtext(a, e->fields[field].type, mr_pg_value(r, 0, (int)i), &values[field]))
			return false;
	}
	for (size_t k = 0; op->computed && k < e->n_key; k++)
		if (values[e->key[k]].null)
			return false;
	if (op->computed)
		mr_key_make(a, e, values);
	return true;
}

/* What stands before each value of a row, the same in all: `{"id":`, `,"name":`. */
static struct mr_str *print_heads(struct mr_op *op)
{
	struct mr_arena *a = &op->arena;
	struct mr_str *heads = mr_arena_alloc(a, op->n_fields * sizeof *heads);
	struct mr_buf b = {0};
	for (size_t i = 0; i < op->n_fields; i++) {
		mr_buf_reset(&b);
		mr_buf_char(&b, i ? ',' : '{');
		mr_json_quote(&b, op->entity->fields[op->fields[i]].name);
		mr_buf_char(&b, ':');
		heads[i] = mr_arena_str(a, mr_buf_view(&b));
	}
	mr_buf_fini(&b);
	return heads;
}

static void prepare(struct mr_op *op)
{
	op->rows.heads = print_heads(op);
	op->rows.values = mr_arena_alloc(&op->arena, op->entity->n * sizeof *op->rows.values);
	mr_enc_init(&op->rows.enc, &op->rows.json, MR_JSON); /* of one value after the other */
}

static bool print_fields(struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	struct mr_op_rows *rows = &op->rows;
	if (!rows->heads)
		prepare(op);
	if (!read_columns(op, r))
		return mr_fail(err, MR_SCHEMA_CHANGED, "A row of %s is not as the entity is declared", op->entity->name.p);
	for (size_t i = 0; i < op->n_fields; i++) {
		mr_buf_str(&rows->json, rows->heads[i]);
		mr_value_encode(&rows->enc, &rows->values[op->fields[i]]);
	}
	mr_buf_char(&rows->json, '}');
	return true;
}

/* ---- rows as they are kept ---- */

/* Images as they are, for whoever matches them against changes. */
static bool print_image(struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	mr_buf_str(&op->rows.json, mr_pg_value(r, 0, 0));
	return true;
}

static void take_images(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_buf json = {0};
	mr_buf_z(&json, "{\"snapshot\":");
	mr_json_quote(&json, mr_str(mr_txn_snapshot(op->txn)));
	mr_buf_z(&json, ",\"rows\":");
	mr_buf_str(&json, mr_op_printed(op));
	mr_buf_char(&json, '}');
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

static void read_plan(struct mr_op *op, const struct mr_plan *plan, mr_op_print *print, mr_op_take *take)
{
	struct mr_txn *txn = op->txn;
	op->only_reads = true;
	op->print = print;
	write_select(op, plan);
	mr_op_send(op, 0, mr_is_keyed(plan->where), txn->capturing, take);
	mr_txn_add_plan(txn, plan, fields_of(plan));
}

void mr_txn_read(struct mr_txn *txn, const struct mr_plan *plan, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	op->entity = plan->entity;
	choose_fields(op, plan);
	choose_columns(op);
	read_plan(op, plan, print_fields, mr_op_take_printed);
}

void mr_txn_load(struct mr_txn *txn, const struct mr_plan *plan, mr_txn_cb *cb, void *arg)
{
	MR_ASSERT(txn->kind == MR_TXN_READ); /* else the rows' snapshot is not the transaction's */
	struct mr_op *op = mr_op_new(txn, cb, arg);
	op->entity = plan->entity;
	read_plan(op, plan, print_image, take_images);
}
