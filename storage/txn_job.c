/* The end of a scheduled mutation, as a part of what it did. */
#include <inttypes.h>
#include <stdio.h>

#include "txn_private.h"

static void take_end(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_error err;
	if (mr_str_is(mr_pg_value(r, 0, 0), "t")) {
		mr_op_answer(op, MR_STR("true"));
		return;
	}
	mr_fail(&err, MR_JOB_LOST, "The job was canceled, or its worker was taken for lost and another one has it.");
	mr_op_fail(op, &err, true);
}

/* Captured by the trigger, for the worker does not see the row. */
void mr_txn_end_job(struct mr_txn *txn, struct mr_str place, struct mr_str id, int64_t attempt, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	mr_params_add(&op->params, mr_arena_str(&op->arena, place));
	mr_params_add(&op->params, mr_arena_str(&op->arena, id));
	mr_params_add(&op->params, mr_arena_printf(&op->arena, "%" PRId64, attempt));
	mr_buf_z(&op->sql, "select millrace.end_own_job($1::tid, $2::uuid, $3::integer)");
	mr_op_send(op, 0, false, NULL, take_end);
}
