/* Parts of a transaction that can be taken back alone: savepoints, and what is known of the transaction besides. Postgres takes back rows,
 * log rows of triggers and settings; here it is the changes collected since (CLOCK.md, "Sound as they stand"), once the answers of all that
 * was sent before have come. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/log.h"
#include "txn_private.h"

struct mr_txn_mark {
	size_t changes;
	const struct mr_entity *capturing;
	bool perhaps, seqscan_off;
};

static struct mr_txn_mark *new_mark(struct mr_txn *txn)
{
	if (txn->n_marks == txn->cap_marks) {
		txn->cap_marks = txn->cap_marks ? txn->cap_marks * 2 : 4;
		txn->marks = mr_realloc(txn->marks, txn->cap_marks * sizeof(*txn->marks));
	}
	return &txn->marks[txn->n_marks++];
}

static void answer_level(struct mr_op *op)
{
	char level[24];
	snprintf(level, sizeof(level), "%zu", op->level);
	mr_op_answer(op, mr_str(level));
}

/* All that came before it is answered. */
static void on_savepoint(struct mr_op *op, const struct mr_pg_result *r)
{
	op->txn->marks[op->level - 1].changes = op->txn->changes.n;
	answer_level(op);
}

static void on_release(struct mr_op *op, const struct mr_pg_result *r)
{
	answer_level(op);
}

static void on_restore(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_txn *txn = op->txn;
	/* What was too much to be listed stays marked: its tables are read anew once more than they need be. */
	if (!txn->bulk)
		txn->changes.n = txn->marks[op->level - 1].changes;
	answer_level(op);
}

static struct mr_op *new_op(struct mr_txn *txn, const char *verb, size_t level, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	op->level = level;
	op->only_reads = true;
	mr_buf_printf(&op->sql, "%s mr_%zu", verb, level);
	return op;
}

bool mr_txn_savepoint(struct mr_txn *txn, size_t level, mr_txn_cb *cb, void *arg, struct mr_error *err)
{
	MR_ASSERT(txn->kind != MR_TXN_READ);
	if (level != txn->n_marks + 1)
		return mr_fail(err, MR_INTERNAL, "Savepoint %zu does not follow %zu.", level, txn->n_marks);
	*new_mark(txn) = (struct mr_txn_mark){.capturing = txn->capturing, .perhaps = txn->perhaps, .seqscan_off = txn->seqscan_off};
	mr_op_send_plain(new_op(txn, "savepoint", level, cb, arg), false, on_savepoint);
	return true;
}

static bool is_open(const struct mr_txn *txn, size_t level, struct mr_error *err)
{
	return (level > 0 && level <= txn->n_marks) || mr_fail(err, MR_INTERNAL, "There is no savepoint %zu in this transaction.", level);
}

bool mr_txn_release(struct mr_txn *txn, size_t level, mr_txn_cb *cb, void *arg, struct mr_error *err)
{
	if (!is_open(txn, level, err))
		return false;
	txn->n_marks = level - 1;
	mr_op_send_plain(new_op(txn, "release savepoint", level, cb, arg), false, on_release);
	return true;
}

bool mr_txn_restore(struct mr_txn *txn, size_t level, mr_txn_cb *cb, void *arg, struct mr_error *err)
{
	if (!is_open(txn, level, err))
		return false;
	const struct mr_txn_mark *mark = &txn->marks[level - 1];
	txn->capturing = mark->capturing;
	txn->perhaps = mark->perhaps;
	txn->seqscan_off = mark->seqscan_off;
	txn->n_marks = level - 1;
	mr_op_send_plain(new_op(txn, "rollback to savepoint", level, cb, arg), true, on_restore);
	return true;
}
