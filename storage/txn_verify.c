/* Whether a read transaction saw what its snapshot holds (CLOCK.md rule 7). TRUNCATE and ALTER that rewrites are not versioned: under a
 * snapshot taken before, the table reads as it is now. The catalog row is versioned, the file that is really read is not; they differ just
 * then. A table that was read stays locked to the end, so nothing can change after this was asked.
 *
 * Which tables were read is known of all but statements of ctx.db.sql, and tables in parts. For those the transaction's locks are looked
 * at, which costs as much as a read of its own and stops others who lock.
 */
#include "txn_private.h"

#define REWRITTEN                                                                                                                          \
	"select 1 from pg_locks l join pg_class c on c.oid = l.relation where l.pid = pg_backend_pid() and l.locktype = 'relation' and "   \
	"l.database = (select oid from pg_database where datname = current_database()) and c.relkind in ('r', 'm', 't') and "              \
	"c.relfilenode <> 0 and c.relfilenode <> pg_relation_filenode(c.oid)"

void mr_txn_look_at(struct mr_txn *txn, const struct mr_entity *e)
{
	for (size_t i = 0; i < txn->n_looked_at; i++)
		if (txn->looked_at[i] == e)
			return;
	if (e && txn->n_looked_at < MR_LOOKED_AT)
		txn->looked_at[txn->n_looked_at++] = e;
	else
		txn->looked_around = true;
}

/* Each compared by itself: of a list Postgres would not know that the prepared statement is about these tables, and is to be made anew with
 * them. */
static void print_table(struct mr_buf *sql, const struct mr_entity *e)
{
	struct mr_buf name = {0};
	mr_sql_table(&name, e);
	mr_buf_z(sql, " or t.oid = ");
	mr_sql_literal(sql, mr_buf_view(&name));
	mr_buf_z(sql, "::regclass");
	mr_buf_fini(&name);
}

static void print_check(struct mr_buf *sql, const struct mr_txn *txn)
{
	if (txn->looked_around) {
		mr_buf_z(sql, REWRITTEN " limit 1");
		return;
	}
	mr_buf_z(sql, "select 1 from pg_class t where (false");
	for (size_t i = 0; i < txn->n_looked_at; i++)
		print_table(sql, txn->looked_at[i]);
	mr_buf_z(sql,
		") and case t.relkind when 'r' then t.relfilenode <> pg_relation_filenode(t.oid) else exists (" REWRITTEN ") end limit 1");
}

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
	print_check(&op->sql, txn);
	mr_op_send_last(op, take_verdict);
}
