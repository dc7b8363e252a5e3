/* Sessions: functions of the schema millrace, whose writes are captured by triggers. */
#include "txn_private.h"

static const struct {
	const char *sql;
	size_t n_params;
} acts[] = {
	[MR_SESSION_CREATE] = {"select millrace.create_session($1::text, $2::jsonb, $3::bigint)", 3},
	[MR_SESSION_RENEW] = {"select millrace.renew_session($1::uuid, $2::bigint)", 2},
	[MR_SESSION_REVOKE] = {"select to_json(millrace.revoke_session($1::uuid, $2::timestamptz))", 2},
	[MR_SESSION_REVOKE_USER] = {"select to_json(millrace.revoke_user($1::text))", 1},
};

static void take_json(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_str json = mr_pg_value(r, 0, 0);
	mr_op_answer(op, json.p ? json : MR_STR("null"));
}

void mr_txn_session(struct mr_txn *txn, enum mr_session_act act, const struct mr_str *params, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	mr_buf_z(&op->sql, acts[act].sql);
	for (size_t i = 0; i < acts[act].n_params; i++)
		mr_params_add(&op->params, params[i].p ? mr_arena_str(&op->arena, params[i]) : params[i]);
	mr_op_send(op, 0, false, NULL, take_json);
}
