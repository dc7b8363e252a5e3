/* ctx.db.sql: statements of the app, checked by their parse tree; their rows by the type of each column. */
#include "txn_sql.h"

#include <stdlib.h>

enum { DEPTH_MAX = 1000 };

/* ---- parameters ---- */

static void array_param(struct mr_buf *b, const struct mr_node *n);

static void scalar_text(struct mr_buf *b, const struct mr_node *n)
{
	switch (n->kind) {
	case MR_BOOL:
		mr_buf_z(b, n->truth ? "true" : "false");
		return;
	case MR_NUMBER:
	case MR_BIGINT:
	case MR_STRING:
		mr_buf_str(b, n->text);
		return;
	case MR_BYTES:
		mr_buf_z(b, "\\x");
		mr_hex(b, n->text);
		return;
	case MR_ARRAY:
		array_param(b, n);
		return;
	case MR_NULL:
	case MR_MAP: {
		struct mr_enc enc;
		mr_enc_init(&enc, b, MR_JSON);
		mr_enc_node(&enc, n);
	}
	}
}

static void array_param(struct mr_buf *b, const struct mr_node *n)
{
	struct mr_buf text = {0};
	mr_buf_char(b, '{');
	for (size_t i = 0; i < n->n; i++) {
		const struct mr_node *item = &n->items[i];
		mr_buf_z(b, i ? "," : "");
		if (item->kind == MR_NULL || item->kind == MR_ARRAY) {
			mr_buf_z(b, item->kind == MR_NULL ? "NULL" : "");
			if (item->kind == MR_ARRAY)
				array_param(b, item);
			continue;
		}
		mr_buf_reset(&text);
		scalar_text(&text, item);
		mr_sql_item(b, mr_buf_view(&text));
	}
	mr_buf_char(b, '}');
	mr_buf_fini(&text);
}

static void add_param(struct mr_op *op, const struct mr_node *n)
{
	if (n->kind == MR_NULL) {
		mr_params_add(&op->params, (struct mr_str){NULL, 0});
		return;
	}
	struct mr_buf b = {0};
	scalar_text(&b, n);
	mr_params_add(&op->params, mr_arena_str(&op->arena, mr_buf_view(&b)));
	mr_buf_fini(&b);
}

/* ---- rows ---- */

/* Types that have a form of their own in values; all others are text. */
enum { JSON_TEXT = MR_TYPES, PLAIN_TEXT };
static int type_of_oid(unsigned oid)
{
	switch (oid) {
	case 16:
		return MR_T_BOOL;
	case 20: /* int8, int4, int2, oid */
	case 21:
	case 23:
	case 26:
		return MR_T_INT;
	case 700:
	case 701:
		return MR_T_FLOAT;
	case 1700:
		return MR_T_NUMERIC;
	case 1184:
		return MR_T_DATETIME;
	case 17:
		return MR_T_BYTES;
	case 2950:
		return MR_T_UUID;
	case 114: /* json, jsonb */
	case 3802:
		return JSON_TEXT;
	default:
		return PLAIN_TEXT;
	}
}

static void encode_cell(struct mr_enc *enc, struct mr_arena *a, int type, struct mr_str text)
{
	struct mr_value v;
	struct mr_error err;
	const struct mr_node *node;
	if (!text.p)
		mr_enc_null(enc);
	else if (type == JSON_TEXT && (node = mr_json_read(a, text, DEPTH_MAX, false, &err)))
		mr_enc_node(enc, node);
	else if (type < (int)MR_TYPES && mr_value_from_pgtext(a, (enum mr_type)type, text, &v))
		mr_value_encode(enc, &v);
	else
		mr_enc_str(enc, text);
}

/* Of columns with one name the last one stays, as in every driver that makes maps of rows. */
static bool shadowed(const struct mr_pg_result *r, int col)
{
	for (int i = col + 1; i < mr_pg_columns(r); i++) {
		if (!strcmp(mr_pg_column_name(r, i), mr_pg_column_name(r, col)))
			return true;
	}
	return false;
}

bool mr_sql_columns(struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	struct mr_op_rows *rows = &op->rows;
	int columns = mr_pg_columns(r);
	if (rows->types)
		return true;
	int *types = mr_arena_alloc(&op->arena, ((size_t)columns + 1) * sizeof(*types));
	for (int i = 0; i < columns; i++) {
		if (mr_pg_column_name(r, i)[0] == '$')
			return mr_fail(err, MR_SQL_ERROR, "ctx.db.sql: names of columns must not begin with \"$\"");
		types[i] = shadowed(r, i) ? -1 : type_of_oid(mr_pg_column_oid(r, i));
		rows->kept += types[i] >= 0;
	}
	rows->types = types;
	mr_enc_init(&rows->enc, &rows->json, MR_JSON); /* of one row after the other */
	return true;
}

bool mr_sql_print(struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	struct mr_op_rows *rows = &op->rows;
	if (!mr_sql_columns(op, r, err))
		return false;
	mr_enc_map(&rows->enc, rows->kept);
	for (int k = 0; k < mr_pg_columns(r); k++) {
		if (rows->types[k] < 0)
			continue;
		mr_enc_key(&rows->enc, mr_str(mr_pg_column_name(r, k)));
		encode_cell(&rows->enc, &rows->arena, rows->types[k], mr_pg_value(r, 0, k));
	}
	mr_enc_end(&rows->enc);
	return true;
}

/* The names of columns are looked at without a row as well. */
static void take_sql(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_error err;
	if (mr_sql_columns(op, r, &err))
		mr_op_take_printed(op, r);
	else
		mr_op_fail(op, &err, true);
}

/* ---- sending ---- */

static bool refuse_in_reads(const struct mr_txn *txn, const struct mr_sql_check *check, struct mr_error *err)
{
	static const char *const instead[] = {
		[MR_SQL_TIME] = "pass new Date(ctx.now()) as a parameter instead",
		[MR_SQL_CHANCE] = "pass ctx.random() as a parameter instead",
		[MR_SQL_COUNTER] = "it belongs into a mutation",
	};
	if (txn->kind != MR_TXN_READ)
		return true;
	if (!check->writes && !check->locks && check->moves)
		return mr_fail(err, MR_SQL_ERROR, "ctx.db.sql: a query's result changes by writes alone, but %.*s changes by itself; %s.",
			(int)MR_MIN(check->moving.n, 100), check->moving.p, instead[check->moves]);
	if (!check->writes && !check->locks)
		return true;
	return mr_fail(err, MR_SQL_REFUSED, "ctx.db.sql: a query only reads; %s belongs into a mutation",
		check->writes ? "a statement that writes" : "FOR UPDATE or FOR SHARE");
}

void mr_txn_sql(struct mr_txn *txn, struct mr_str text, const struct mr_node *params, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	op->app_sql = true;
	const struct mr_sql_check *check = mr_sql_check(text);
	size_t n = params && params->kind == MR_ARRAY ? params->n : 0;
	if (check->refusal.code)
		op->refusal = check->refusal;
	else
		refuse_in_reads(txn, check, &op->refusal);
	op->writes = check->writes;
	op->print = mr_sql_print;
	if (op->refusal.code) {
		mr_op_send(op, 0, false, NULL, take_sql);
		return;
	}
	mr_buf_str(&op->sql, text);
	for (size_t i = 0; i < n; i++)
		add_param(op, &params->items[i]);
	mr_txn_look_at(txn, NULL);
	if (txn->kind == MR_TXN_READ && mr_sql_reads(txn, check, params, &op->arena))
		mr_sql_send_opaque(op);
	else
		mr_op_send(op, 0, false, NULL, take_sql);
}
