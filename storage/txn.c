/* A transaction's life: begin, operations, rollback. Statements are pipelined: each goes out at once and is answered in order; after an
 * error Postgres skips the rest, and only a rollback helps. */
#include "txn_private.h"

#include <stdlib.h>

#include "proto/ground/log.h"

struct mr_txn *mr_txn_begin(struct mr_pg *pg, const struct mr_app *app, enum mr_txn_kind kind, const char *snapshot)
{
	MR_ASSERT(!snapshot || kind == MR_TXN_READ);
	struct mr_txn *txn = mr_alloc(sizeof(*txn));
	txn->refs = 1;
	txn->pg = pg;
	txn->app = app;
	txn->kind = kind;
	txn->moment = INT64_MAX;
	txn->import = snapshot ? mr_strdup(snapshot) : NULL;
	return txn;
}

void mr_txn_unref(struct mr_txn *txn)
{
	if (--txn->refs)
		return;
	free(txn->import);
	free(txn->snapshot);
	free(txn->touched);
	free(txn->marks);
	free(txn->read_list);
	mr_map_fini(&txn->reads);
	mr_buf_fini(&txn->changes);
	mr_arena_fini(&txn->arena);
	free(txn);
}

struct mr_pg *mr_txn_pg(struct mr_txn *txn)
{
	return txn->pg;
}

const char *mr_txn_snapshot(const struct mr_txn *txn)
{
	return txn->snapshot ? txn->snapshot : "";
}

void mr_txn_fail(struct mr_txn *txn, const struct mr_error *err)
{
	if (txn->failed)
		return;
	txn->failed = true;
	txn->error = *err;
}

/* ---- begin ---- */

/* Answers of statements that nobody waits for; what fails here is told to the operations behind it. */
static void on_quiet(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	if (!mr_pg_ok(r)) {
		struct mr_error err;
		mr_pg_error(r, &err);
		mr_txn_fail(txn, &err);
	}
	mr_txn_unref(txn);
}

/* A snapshot that is gone went with the connection that held it: whoever asked is to ask again. */
static void on_import(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	struct mr_error err, gone;
	if (!mr_pg_ok(r)) {
		mr_pg_error(r, &err);
		mr_fail(&gone, MR_POSTGRES_UNAVAILABLE, "The snapshot to read at is gone (%s).", err.message);
		mr_txn_fail(txn, err.code == MR_BAD_VALUE ? &gone : &err);
	}
	mr_txn_unref(txn);
}

static void on_snapshot(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	if (mr_pg_ok(r) && mr_pg_rows(r) == 1) {
		struct mr_str text = mr_pg_value(r, 0, 0);
		txn->snapshot = mr_strndup(text.p, text.n);
	}
	on_quiet(r, arg);
}

static void send_quiet(struct mr_txn *txn, int flags, const char *sql, int n, const struct mr_str *params, mr_pg_result_cb *cb)
{
	txn->refs++;
	mr_pg_query(txn->pg, flags, sql, n, params, cb, txn);
}

static void import_snapshot(struct mr_txn *txn)
{
	struct mr_buf sql = {0};
	mr_buf_z(&sql, "set transaction snapshot ");
	mr_sql_literal(&sql, mr_str(txn->import));
	send_quiet(txn, MR_PG_ONCE, sql.p, 0, NULL, on_import);
	mr_buf_fini(&sql);
}

void mr_txn_ensure_begun(struct mr_txn *txn)
{
	static const char *const begins[] = {
		[MR_TXN_READ] = "begin isolation level repeatable read, read only",
		[MR_TXN_SERIALIZABLE] = "begin isolation level serializable, read write",
		[MR_TXN_REPEATABLE_READ] = "begin isolation level repeatable read, read write",
		[MR_TXN_READ_COMMITTED] = "begin isolation level read committed, read write",
	};
	if (txn->begun)
		return;
	txn->begun = true;
	send_quiet(txn, 0, begins[txn->kind], 0, NULL, on_quiet);
	if (txn->import)
		import_snapshot(txn);
	if (txn->kind == MR_TXN_READ)
		send_quiet(txn, 0, "select pg_current_snapshot()::text", 0, NULL, on_snapshot);
}

/* ---- settings around a statement ---- */

/* Small tables read by sequential scans make serializable transactions conflict over rows that they never looked at (rule 25). The cost
 * of a scan that is switched off is so high that it would wake the compiler of expressions; so that one stays off as well. */
static void set_mode(struct mr_txn *txn, bool keyed, const struct mr_entity *capture, bool only_reads)
{
	bool off = txn->kind == MR_TXN_SERIALIZABLE && keyed;
	bool captures = txn->capturing == capture && (only_reads || !txn->perhaps);
	if (txn->kind == MR_TXN_READ || (captures && txn->seqscan_off == off))
		return;
	struct mr_str params[] = {capture ? capture->name : MR_STR(""), off ? MR_STR("off") : MR_STR("on")};
	if (txn->seqscan_off == off)
		send_quiet(txn, 0, "select set_config('millrace.capturing', $1, true)", 1, params, on_quiet);
	else
		send_quiet(txn, 0,
			"select set_config('millrace.capturing', $1, true), set_config('enable_seqscan', $2, true), set_config('jit', "
			"'off', true)",
			2, params, on_quiet);
	txn->capturing = capture;
	txn->perhaps = false;
	txn->seqscan_off = off;
}

/* ---- operations ---- */

struct mr_op *mr_op_new(struct mr_txn *txn, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_alloc(sizeof(*op));
	op->txn = txn;
	op->cb = cb;
	op->arg = arg;
	op->params.arena = &op->arena;
	return op;
}

static void free_op(struct mr_op *op)
{
	mr_op_rows_fini(&op->rows);
	mr_arena_fini(&op->arena);
	mr_buf_fini(&op->sql);
	free(op);
}

static void end_op(struct mr_op *op, struct mr_str json, const struct mr_error *err)
{
	struct mr_txn *txn = op->txn;
	txn->ops--;
	if (!txn->abandoned && op->cb)
		op->cb(txn, json, err, op->arg);
	free_op(op);
	mr_txn_commit_if_ready(txn);
}

void mr_op_answer(struct mr_op *op, struct mr_str json)
{
	end_op(op, json, NULL);
}

void mr_op_fail(struct mr_op *op, const struct mr_error *err, bool final)
{
	if (final)
		mr_txn_fail(op->txn, err);
	end_op(op, (struct mr_str){NULL, 0}, err);
}

static void on_op_result(const struct mr_pg_result *r, void *arg)
{
	struct mr_op *op = arg;
	struct mr_txn *txn = op->txn;
	struct mr_error err;
	if (op->mends && mr_pg_ok(r))
		txn->failed = false;
	if (txn->failed) {
		err = txn->error;
		mr_op_fail(op, &err, true);
	} else if (!mr_pg_ok(r)) {
		mr_op_error(op, r, &err);
		mr_op_fail(op, &err, true);
	} else if (op->refusal.code) {
		mr_op_fail(op, &op->refusal, false);
	} else if (op->writes && !mr_op_count_written(op, r, &err)) {
		mr_op_fail(op, &err, true);
	} else {
		op->take(op, r);
	}
	mr_txn_unref(txn);
}

static void write_op(struct mr_op *op, int flags, mr_op_take *take)
{
	struct mr_txn *txn = op->txn;
	MR_ASSERT(!txn->abandoned && !txn->commit && txn->end == MR_TXN_OPEN);
	txn->ops++;
	txn->refs++;
	op->take = take;
	if (op->refusal.code) {
		/* Answered in its turn, as all others are. */
		mr_pg_query(txn->pg, 0, "select", 0, NULL, on_op_result, op);
	} else if (op->print && !op->rows.before) {
		mr_pg_stream(txn->pg, flags, op->sql.p, op->params.n, op->params.v, mr_op_on_row, on_op_result, op);
	} else {
		mr_pg_query(txn->pg, flags, op->sql.p, op->params.n, op->params.v, on_op_result, op);
	}
}

static void send_op(struct mr_op *op, int flags, mr_op_take *take)
{
	struct mr_txn *txn = op->txn;
	write_op(op, flags, take);
	/* Behind an error Postgres reads on only at a sync. */
	if (txn->failed)
		mr_pg_sync(txn->pg);
	else
		mr_pg_flush(txn->pg);
}

void mr_op_send(struct mr_op *op, int flags, bool keyed, const struct mr_entity *capture, mr_op_take *take)
{
	mr_txn_ensure_begun(op->txn);
	if (!op->refusal.code)
		set_mode(op->txn, keyed, capture, op->only_reads);
	send_op(op, flags, take);
}

void mr_op_send_update(struct mr_op *op, mr_op_take *take)
{
	struct mr_txn *txn = op->txn;
	mr_txn_ensure_begun(txn);
	if (!op->refusal.code) {
		if (txn->kind == MR_TXN_SERIALIZABLE && !txn->seqscan_off)
			set_mode(txn, true, op->entity, false);
		txn->perhaps |= txn->capturing != op->entity;
		txn->capturing = op->entity;
	}
	send_op(op, 0, take);
}

void mr_op_send_plain(struct mr_op *op, bool mends, mr_op_take *take)
{
	struct mr_txn *txn = op->txn;
	mr_txn_ensure_begun(txn);
	op->mends = mends;
	if (mends)
		mr_pg_sync(txn->pg); /* what fails or has failed in this pipeline must not take it along */
	send_op(op, 0, take);
}

/* ---- rollback ---- */

static void tell_rolled_back(struct mr_txn *txn)
{
	if (txn->rolled_back)
		txn->rolled_back(txn->rolled_back_arg);
	mr_txn_unref(txn);
}

static void on_rolled_back(const struct mr_pg_result *r, void *arg)
{
	tell_rolled_back(arg);
}

static void send_rollback(struct mr_txn *txn)
{
	/* What fails or has failed in this pipeline must not take the rollback with it. */
	if (txn->failed || txn->ops)
		mr_pg_sync(txn->pg);
	mr_pg_query(txn->pg, 0, "rollback", 0, NULL, on_rolled_back, txn);
	mr_pg_sync(txn->pg);
}

/* Postgres has passed over the rollback when what was before it failed. */
static void on_ended(const struct mr_pg_result *r, void *arg)
{
	struct mr_txn *txn = arg;
	txn->end = mr_pg_ok(r) ? MR_TXN_ENDED : MR_TXN_OPEN;
	if (txn->abandoned && txn->end == MR_TXN_ENDED)
		tell_rolled_back(txn);
	else if (txn->abandoned)
		send_rollback(txn);
	mr_txn_unref(txn);
}

void mr_op_send_last(struct mr_op *op, mr_op_take *take)
{
	struct mr_txn *txn = op->txn;
	mr_txn_ensure_begun(txn);
	write_op(op, 0, take);
	send_quiet(txn, 0, "rollback", 0, NULL, on_ended);
	txn->end = MR_TXN_ENDING;
	mr_pg_sync(txn->pg);
}

void mr_txn_rollback(struct mr_txn **txnp, void (*cb)(void *arg), void *arg)
{
	struct mr_txn *txn = *txnp;
	*txnp = NULL;
	if (!txn)
		return;
	MR_ASSERT(!txn->commit);
	txn->abandoned = true;
	if (!txn->begun) {
		mr_txn_unref(txn);
		if (cb)
			cb(arg);
		return;
	}
	txn->rolled_back = cb;
	txn->rolled_back_arg = arg;
	if (txn->end == MR_TXN_OPEN)
		send_rollback(txn);
	else if (txn->end == MR_TXN_ENDED)
		tell_rolled_back(txn);
}
