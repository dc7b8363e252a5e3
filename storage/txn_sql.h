/* What txn_sql.c and txn_sql_reads.c share. Private to them. */
#ifndef MR_TXN_SQL_H
#define MR_TXN_SQL_H

#include "sql_check.h"
#include "txn_private.h"

/* A row as a map in wire form; before the first, or where there is none: its columns. false: they are not named as they may be. */
bool mr_sql_columns(struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err);
mr_op_print mr_sql_print;

/* Adds to the read set what the statement is seen to read. true: it may read more than that (views, functions, tables that are no
 * entity), so that Postgres has to be asked. */
bool mr_sql_reads(struct mr_txn *txn, const struct mr_sql_check *check, const struct mr_node *params, struct mr_arena *a);
/* Sends the statement of op, and behind it the question which tables the transaction has locked for reading. */
void mr_sql_send_opaque(struct mr_op *op);

#endif
