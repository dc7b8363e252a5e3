/* Rows of a read on their way from Postgres to an answer: counted and printed one by one, none of them kept. */
#include "txn_private.h"

static bool print_row(struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	struct mr_op_rows *rows = &op->rows;
	mr_buf_char(&rows->json, rows->n ? ',' : '[');
	size_t before = rows->json.n;
	if (!op->print(op, r, err) || !mr_op_count_printed(op, rows->json.n - before, err))
		return false;
	mr_arena_reset(&rows->arena);
	rows->n++;
	return true;
}

bool mr_op_on_row(const struct mr_pg_result *r, void *arg)
{
	struct mr_op *op = arg;
	struct mr_txn *txn = op->txn;
	struct mr_error err;
	if (txn->failed || txn->abandoned)
		return false;
	if (mr_op_count_read(op, r, &err) && print_row(op, r, &err))
		return true;
	mr_txn_fail(txn, &err);
	mr_buf_fini(&op->rows.json);
	return false;
}

struct mr_str mr_op_printed(struct mr_op *op)
{
	mr_buf_z(&op->rows.json, op->rows.n ? "]" : "[]");
	return mr_buf_view(&op->rows.json);
}

void mr_op_take_printed(struct mr_op *op, const struct mr_pg_result *r)
{
	mr_op_answer(op, mr_op_printed(op));
}

void mr_op_rows_fini(struct mr_op_rows *rows)
{
	mr_buf_fini(&rows->json);
	mr_arena_fini(&rows->arena);
}
