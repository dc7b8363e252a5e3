/* Whether a read transaction saw what its snapshot holds (CLOCK.md rule 7). TRUNCATE and ALTER that rewrites are not versioned: under a
 * snapshot taken before, the table reads as it is now. The catalog row is versioned, the file that is really read is not; they differ just
 * then. A table that was read stays locked to the end, so nothing can change after this was asked. */
#include "txn_private.h"

static const char rewritten_sql[] =
	"select 1 from pg_locks l join pg_class c on c.oid = l.relation where l.pid = pg_backend_pid() and l.locktype = 'relation' and "
	"l.database = (select oid from pg_database where datname = current_database()) and c.relkind in ('r', 'm', 't') and c.relfilenode "
	"<> 0 and "
	"c.relfilenode <> pg_relation_filenode(c.oid) limit 1";

static void take_verdict(struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_error err;
	if (mr_pg_rows(r) == 0) {
		mr_op_answer(op, MR_STR("null"));
		return;
	}
	mr_fail(&err, MR_CONFLICT, "A table was truncated or rewritten while it was read; it is read again.");
	mr_op_fail(op, &err, true);
}

void mr_txn_verify(struct mr_txn *txn, mr_txn_cb *cb, void *arg)
{
	struct mr_op *op = mr_op_new(txn, cb, arg);
	mr_buf_z(&op->sql, rewritten_sql);
	op->only_reads = true;
	mr_op_send(op, 0, false, txn->capturing, take_verdict);
}
