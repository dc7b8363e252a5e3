/* Writes of entities: one statement each, which returns the old row, the new row and the number of the change. */
#include "proto/ground/fault.h"
#include "proto/key.h"
#include "txn_private.h"

#include <math.h>

enum { DEPTH_MAX = 1000 }; /* of a json column's text */

/* ---- the row that a write asks for ---- */

struct cell {
	bool given, added; /* added: to what is there */
	struct mr_value value;
};

static bool read_cell(struct mr_op *op, const struct mr_node *n, struct cell *cells, bool id_allowed)
{
	const struct mr_entity *e = op->entity;
	int field = mr_entity_field(e, n->key);
	if (field < 0)
		return mr_fail(
			&op->refusal, MR_UNKNOWN_FIELD, "%s has no field \"%.*s\"", e->name.p, (int)MR_MIN(n->key.n, 100u), n->key.p);
	const struct mr_field *f = &e->fields[field];
	struct mr_error why;
	if ((field == 0 || f->key) && !id_allowed)
		return mr_fail(&op->refusal, MR_BAD_VALUE, "%s.%s cannot be changed", e->name.p, f->name.p);
	if (!mr_value_from_node(&op->arena, f->type, n, &cells[field].value, &why))
		return mr_fail(&op->refusal, why.code, "%s.%s: %s", e->name.p, f->name.p, why.message);
	if (cells[field].value.null && !f->optional)
		return mr_fail(&op->refusal, MR_BAD_VALUE, "%s.%s is required and cannot be null", e->name.p, f->name.p);
	cells[field].given = true;
	return true;
}

/* The key of the row that is meant, in the first parameters. */
static bool read_id(struct mr_op *op, struct mr_str id, struct mr_value **key)
{
	const struct mr_entity *e = op->entity;
	*key = mr_arena_alloc(&op->arena, e->n_key * sizeof **key);
	if (!mr_key_read(&op->arena, e, id, *key, &op->refusal))
		return false;
	for (size_t i = 0; i < e->n_key; i++)
		mr_params_add_value(&op->params, &(*key)[i]);
	return true;
}

/* Says the node what the row's key says anyway? */
static bool repeats_key(struct mr_op *op, const struct mr_node *n, const struct mr_value *key)
{
	const struct mr_entity *e = op->entity;
	struct mr_value v, *other = mr_arena_alloc(&op->arena, e->n_key * sizeof *other);
	struct mr_error why;
	int field = mr_entity_field(e, n->key);
	if (field < 0 || (field > 0 && !e->fields[field].key))
		return false;
	if (mr_field_computed(&e->fields[field])) {
		bool same = n->kind == MR_STRING && mr_key_read(&op->arena, e, n->text, other, &why);
		for (size_t i = 0; same && i < e->n_key; i++)
			same = mr_value_eq(&key[i], &other[i]);
		return same;
	}
	for (size_t i = 0; i < e->n_key; i++)
		if (e->n_key == 1 || e->key[i] == field)
			return mr_value_from_node(&op->arena, e->fields[field].type, n, &v, &why) && mr_value_eq(&v, &key[i]);
	return false;
}

/* An id that is given besides the fields that it stands for says the same as they do; then only these are written. */
static bool settle_key(struct mr_op *op, struct cell *cells)
{
	const struct mr_entity *e = op->entity;
	struct mr_value *id = mr_arena_alloc(&op->arena, e->n_key * sizeof *id);
	if (!e->adopted || !cells[0].given)
		return true;
	int named = mr_entity_column(e, e->fields[0].column);
	if (e->n_key == 1 && named == 0)
		return true;
	if (e->n_key == 1)
		id[0] = cells[0].value;
	else if (cells[0].value.null || !mr_key_read(&op->arena, e, cells[0].value.text, id, &op->refusal))
		return false;
	for (size_t i = 0; i < e->n_key; i++) {
		struct cell *cell = &cells[e->n_key == 1 ? named : e->key[i]];
		if (cell->given && !mr_value_eq(&cell->value, &id[i]))
			return mr_fail(&op->refusal, MR_BAD_VALUE, "%s.id says another key than the fields that it is made of", e->name.p);
		*cell = (struct cell){.given = true, .value = id[i]};
	}
	cells[0].given = false;
	return true;
}

/* One cell for each field, or NULL and op->refusal. What belongs to the key (NULL: of an insert) may be repeated in a value as long as it
 * is the same. */
static struct cell *read_cells(struct mr_op *op, const struct mr_write *w, const struct mr_value *key)
{
	struct cell *cells = mr_arena_alloc(&op->arena, op->entity->n * sizeof(*cells));
	if (!w->value || w->value->kind != MR_MAP) {
		mr_fail(&op->refusal, MR_BAD_VALUE, "A row of %s is written as a map of its fields", op->entity->name.p);
		return NULL;
	}
	for (size_t i = 0; i < w->value->n; i++) {
		const struct mr_node *n = &w->value->items[i];
		if (key && repeats_key(op, n, key))
			continue;
		if (!read_cell(op, n, cells, !key))
			return NULL;
	}
	return key || settle_key(op, cells) ? cells : NULL;
}

static bool is_finite(const struct mr_value *v)
{
	if (v->type == MR_T_NUMERIC)
		return v->text.p[v->text.n - 1] <= '9'; /* else a word */
	return v->type != MR_T_FLOAT || isfinite(v->d);
}

static bool read_amount(struct mr_op *op, const struct mr_node *n, struct cell *cells)
{
	const struct mr_entity *e = op->entity;
	int field = mr_entity_field(e, n->key);
	struct mr_error why;
	if (field < 0)
		return mr_fail(
			&op->refusal, MR_UNKNOWN_FIELD, "%s has no field \"%.*s\"", e->name.p, (int)MR_MIN(n->key.n, 100u), n->key.p);
	const struct mr_field *f = &e->fields[field];
	struct cell *cell = &cells[field];
	if (f->type != MR_T_INT && f->type != MR_T_BIGINT && f->type != MR_T_FLOAT && f->type != MR_T_NUMERIC)
		return mr_fail(&op->refusal, MR_BAD_VALUE, "%s.%s: only numbers can be incremented, and it is %s", e->name.p, f->name.p,
			mr_type_name(f->type));
	if (!mr_value_from_node(&op->arena, f->type, n, &cell->value, &why))
		return mr_fail(&op->refusal, why.code, "%s.%s: increment: %s", e->name.p, f->name.p, why.message);
	if (cell->value.null || !is_finite(&cell->value))
		return mr_fail(&op->refusal, MR_BAD_VALUE, "%s.%s: increment takes a finite number", e->name.p, f->name.p);
	if (cell->given)
		return mr_fail(&op->refusal, MR_BAD_VALUE, "%s.%s is both set and incremented", e->name.p, f->name.p);
	cell->given = cell->added = true;
	return true;
}

/* After the values. */
static bool read_amounts(struct mr_op *op, const struct mr_node *add, struct cell *cells)
{
	struct mr_buf names = {0};
	bool ok = true;
	for (size_t i = 0; ok && add && i < add->n; i++) {
		ok = read_amount(op, &add->items[i], cells);
		mr_buf_z(&names, i ? "," : "");
		mr_json_quote(&names, add->items[i].key);
	}
	op->added = mr_arena_str(&op->arena, mr_buf_view(&names));
	mr_buf_fini(&names);
	return ok;
}

/* Our own ids are minted by the table. */
static bool may_be_left_out(const struct mr_entity *e, int field)
{
	const struct mr_field *f = &e->fields[field];
	if (field == 0 && (!e->adopted || mr_field_computed(f) || mr_entity_column(e, f->column) > 0))
		return true;
	return f->optional || f->generated || f->default_now || (f->def && f->def->kind != MR_NULL);
}

static bool refuse_missing(struct mr_op *op, const struct cell *cells, bool insert)
{
	const struct mr_entity *e = op->entity;
	for (size_t i = 0; i < e->n; i++) {
		const struct mr_field *f = &e->fields[i];
		if (!insert && (i == 0 || f->key))
			continue;
		if (!cells[i].given && !may_be_left_out(e, (int)i))
			return mr_fail(&op->refusal, MR_BAD_VALUE, "%s.%s is required", e->name.p, f->name.p);
	}
	return true;
}

/* ---- results ---- */

static bool read_row(struct mr_op *op, struct mr_str image, struct mr_row *row, struct mr_error *err)
{
	struct mr_error why;
	const struct mr_node *node = mr_json_read(&op->arena, image, DEPTH_MAX, false, &why);
	if (node && mr_row_from_image(&op->arena, op->entity, node, row))
		return true;
	return mr_fail(err, MR_SCHEMA_CHANGED, "A row of %s is not as the entity is declared", op->entity->name.p);
}

/* Of sets only Postgres knows the members: it judges in the statement that writes, by what they held before that. */
static void verdict_sql(struct mr_op *op, const struct mr_pred *allow)
{
	mr_buf_z(&op->sql, ", ");
	if (mr_pred_asks_sets(allow))
		mr_pred_sql(&op->sql, &op->params, op->entity, allow);
	else
		mr_buf_z(&op->sql, "null::bool");
}

/* Its verdict stands in this column, where it is asked. */
static bool judge(struct mr_op *op, const struct mr_pred *allow, const struct mr_row *row, const struct mr_pg_result *r, int column,
	struct mr_error *err)
{
	bool allowed = !allow || (mr_pred_asks_sets(allow) ? mr_str_is(mr_pg_value(r, 0, column), "t") : mr_pred_eval(allow, row) == 1);
	return allowed || mr_fail(err, MR_FORBIDDEN, "The policy of %s does not allow it", op->entity->name.p);
}

/* Columns: old image, new image, number; nulls where there is none. Then verdicts on both, if one is asked. */
static bool take_images(struct mr_op *op, const struct mr_pg_result *r, struct mr_row *shown, struct mr_error *err)
{
	struct mr_str was = mr_pg_value(r, 0, 0), now = mr_pg_value(r, 0, 1);
	if (was.p && (!read_row(op, was, shown, err) || !judge(op, op->allow_old, shown, r, 3, err)))
		return false;
	if (now.p && (!read_row(op, now, shown, err) || !judge(op, op->allow_new, shown, r, 4, err)))
		return false;
	mr_txn_add_change(op->txn, op->entity, mr_pg_int(r, 0, 2), was, now);
	return true;
}

static void answer_row(struct mr_op *op, const struct mr_row *row)
{
	struct mr_buf json = {0};
	struct mr_enc enc;
	mr_enc_init(&enc, &json, MR_JSON);
	mr_row_encode(&enc, row, true);
	mr_op_answer(op, mr_buf_view(&json));
	mr_buf_fini(&json);
}

static void take_write(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_row row;
	struct mr_error err;
	MR_FAULT_PG(WORKER_WROTE, op->txn->pg);
	if (!mr_pg_rows(r))
		mr_op_answer(op, MR_STR("null"));
	else if (take_images(op, r, &row, &err))
		answer_row(op, &row);
	else
		mr_op_fail(op, &err, true);
}

/* A patch of nothing: the row as it is, under the policies as if it had been written. */
static void take_unchanged(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_row row;
	struct mr_error err;
	if (!mr_pg_rows(r))
		mr_op_answer(op, MR_STR("null"));
	else if (read_row(op, mr_pg_value(r, 0, 0), &row, &err) && judge(op, op->allow_old, &row, r, 1, &err) &&
		 judge(op, op->allow_new, &row, r, 2, &err))
		answer_row(op, &row);
	else
		mr_op_fail(op, &err, true);
}

/* ---- statements ---- */

static struct mr_op *new_write(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	op->entity = w->entity;
	op->writes = true;
	op->allow_old = w->allow_old;
	op->allow_new = w->allow_new;
	return op;
}

static void send_write(struct mr_op *op)
{
	mr_op_send(op, 0, true, op->entity, take_write);
}

static void insert_sql(struct mr_op *op, const struct cell *cells)
{
	const struct mr_entity *e = op->entity;
	struct mr_buf *b = &op->sql, values = {0};
	mr_buf_z(b, "insert into ");
	mr_sql_table(b, e);
	mr_buf_z(b, " as r");
	for (size_t i = 0; i < e->n; i++) {
		if (!cells[i].given)
			continue;
		mr_buf_z(b, op->params.n ? ", " : " (");
		mr_sql_ident(b, e->fields[i].column);
		mr_buf_printf(&values, "%s$%d", op->params.n ? ", " : ") values (", op->params.n + 1);
		mr_params_add_value(&op->params, &cells[i].value);
	}
	if (op->params.n) {
		mr_buf_str(b, mr_buf_view(&values));
		mr_buf_char(b, ')');
	} else {
		mr_buf_z(b, " default values");
	}
	mr_buf_fini(&values);
	mr_buf_z(b, " returning null, row_to_json(r.*)::text, nextval('millrace.seq')");
	if (mr_pred_asks_sets(op->allow_new)) {
		verdict_sql(op, NULL);
		verdict_sql(op, op->allow_new);
	}
}

void mr_txn_insert(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = new_write(txn, w, cb, arg);
	const struct cell *cells = read_cells(op, w, NULL);
	op->key = w->key;
	if (cells && refuse_missing(op, cells, true))
		insert_sql(op, cells);
	send_write(op);
}

static void where_id(struct mr_op *op, const char *tail)
{
	const struct mr_entity *e = op->entity;
	for (size_t i = 0; i < e->n_key; i++) {
		const struct mr_field *f = &e->fields[e->key[i]];
		mr_buf_z(&op->sql, i ? " and r." : " as r where r.");
		mr_sql_ident(&op->sql, f->column);
		mr_buf_printf(&op->sql, " = $%zu::%s", i + 1, mr_sql_cast(f->type));
	}
	mr_buf_z(&op->sql, tail);
}

/* `= r.n + $2`, of the row as it is when the statement gets it: concurrent ones wait for each other and none is lost. */
static void add_sql(struct mr_op *op, const struct mr_field *f, const struct mr_value *amount)
{
	struct mr_buf *b = &op->sql;
	mr_buf_z(b, f->optional ? " = coalesce(r." : " = r.");
	mr_sql_ident(b, f->column);
	mr_buf_printf(b, "%s + $%d::%s", f->optional ? ", 0)" : "", mr_params_add_value(&op->params, amount), mr_sql_cast(f->type));
}

/* The row is locked first: what is returned as old is then what the update replaces, also under read committed. That it is captured here is
 * said on the way, which saves a statement. Its key is key, key1, ... there. */
static void update_sql(struct mr_op *op, const struct cell *cells, bool replace)
{
	const struct mr_entity *e = op->entity;
	struct mr_buf *b = &op->sql;
	bool verdicts = mr_pred_asks_sets(op->allow_old) || mr_pred_asks_sets(op->allow_new);
	mr_buf_z(b, "with o as materialized (select ");
	for (size_t i = 0; i < e->n_key; i++) {
		mr_buf_z(b, "r.");
		mr_sql_ident(b, e->fields[e->key[i]].column);
		mr_buf_printf(b, " as key%.0zu, ", i);
	}
	mr_buf_z(b, "row_to_json(r.*)::text as image, set_config('millrace.capturing', ");
	mr_sql_literal(b, e->name);
	mr_buf_z(b, ", true)");
	if (verdicts)
		verdict_sql(op, op->allow_old);
	mr_buf_z(b, verdicts ? " as allowed from " : " from ");
	mr_sql_table(b, e);
	where_id(op, " for update) update ");
	mr_sql_table(b, e);
	mr_buf_z(b, " as r set");
	const char *comma = " ";
	for (size_t i = 1; i < e->n; i++) {
		if ((!cells[i].given && !replace) || e->fields[i].key)
			continue;
		mr_buf_z(b, comma);
		comma = ", ";
		mr_sql_ident(b, e->fields[i].column);
		if (cells[i].added)
			add_sql(op, &e->fields[i], &cells[i].value);
		else if (cells[i].given)
			mr_buf_printf(b, " = $%d", mr_params_add_value(&op->params, &cells[i].value));
		else
			mr_buf_z(b, " = default");
	}
	for (size_t i = 0; i < e->n_key; i++) {
		mr_buf_z(b, i ? " and r." : " from o where r.");
		mr_sql_ident(b, e->fields[e->key[i]].column);
		mr_buf_printf(b, " = o.key%.0zu", i);
	}
	mr_buf_z(b, " returning o.image, row_to_json(r.*)::text, nextval('millrace.seq')");
	if (verdicts) {
		mr_buf_z(b, ", o.allowed");
		verdict_sql(op, op->allow_new);
	}
}

static void select_sql(struct mr_op *op)
{
	mr_buf_z(&op->sql, "select row_to_json(r.*)::text");
	if (mr_pred_asks_sets(op->allow_old) || mr_pred_asks_sets(op->allow_new)) {
		verdict_sql(op, op->allow_old);
		verdict_sql(op, op->allow_new);
	}
	mr_buf_z(&op->sql, " from ");
	mr_sql_table(&op->sql, op->entity);
	where_id(op, " for update");
}

static bool writes_something(const struct mr_op *op, const struct cell *cells, bool replace)
{
	for (size_t i = 1; i < op->entity->n; i++) {
		if (cells[i].given || (replace && !op->entity->fields[i].key))
			return true;
	}
	return false;
}

static void update(struct mr_txn *txn, const struct mr_write *w, bool replace, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = new_write(txn, w, cb, arg);
	struct mr_value *key;
	struct cell *cells = read_id(op, w->id, &key) ? read_cells(op, w, key) : NULL;
	if (cells && !replace && !read_amounts(op, w->add, cells))
		cells = NULL;
	if (cells && replace && !refuse_missing(op, cells, false))
		cells = NULL;
	bool something = cells && writes_something(op, cells, replace);
	if (cells && something)
		update_sql(op, cells, replace);
	else if (cells)
		select_sql(op);
	if (something) {
		mr_op_send_update(op, take_write);
	} else {
		op->only_reads = true;
		mr_op_send(op, 0, true, txn->capturing, take_unchanged);
	}
}

void mr_txn_patch(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg)
{
	update(txn, w, false, cb, arg);
}

void mr_txn_replace(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg)
{
	update(txn, w, true, cb, arg);
}

void mr_txn_remove(struct mr_txn *txn, const struct mr_write *w, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = new_write(txn, w, cb, arg);
	struct mr_value *key;
	if (read_id(op, w->id, &key)) {
		mr_buf_z(&op->sql, "delete from ");
		mr_sql_table(&op->sql, op->entity);
		where_id(op, " returning row_to_json(r.*)::text, null, nextval('millrace.seq')");
		if (mr_pred_asks_sets(op->allow_old)) {
			verdict_sql(op, op->allow_old);
			verdict_sql(op, NULL);
		}
	}
	send_write(op);
}
