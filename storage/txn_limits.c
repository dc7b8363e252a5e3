/* How much one transaction of a function reads and writes, all its operations together. Reads are counted row by row as they arrive, so
 * that what is above a limit is never held. */
#include "txn_private.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
	enum mr_code code;
	const char *setting, *does, *of, *instead;
} told[MR_TXN_AMOUNTS] = {
	[MR_READS_ROWS] = {MR_TOO_MANY_ROWS, "read_max_rows", "gets", "rows from the database",
		"add a filter or a limit, or let Postgres count"},
	[MR_READS_BYTES] = {MR_TOO_LARGE, "read_max_bytes", "gets", "bytes from the database", "select() fewer fields, or fewer rows"},
	[MR_WRITES_ROWS] = {MR_TOO_MANY_ROWS, "write_max_rows", "writes", "rows", "let scheduled functions write them, some at a time"},
	[MR_WRITES_BYTES] = {MR_TOO_LARGE, "write_max_bytes", "writes", "bytes", "let scheduled functions write them, some at a time"},
};

void mr_txn_limit(struct mr_txn *txn, const struct mr_txn_limits *limits)
{
	txn->limits = *limits;
}

static int64_t bytes_of(const struct mr_pg_result *r)
{
	int64_t n = 0;
	for (int i = 0, rows = mr_pg_rows(r), columns = mr_pg_columns(r); i < rows; i++)
		for (int k = 0; k < columns; k++)
			n += (int64_t)mr_pg_value(r, i, k).n;
	return n;
}

static bool fits(struct mr_txn *txn, enum mr_txn_amount what, int64_t n)
{
	txn->used.most[what] += n;
	return !txn->limits.most[what] || txn->used.most[what] <= txn->limits.most[what];
}

static bool add(struct mr_txn *txn, enum mr_txn_amount what, int64_t n, struct mr_error *err)
{
	int64_t most = txn->limits.most[what];
	if (fits(txn, what, n))
		return true;
	char data[64];
	snprintf(data, sizeof data, "{\"setting\":\"%s\"}", told[what].setting);
	mr_fail_data(err, told[what].code, data, "The call %s more than %" PRId64 " %s (%s); %s.", told[what].does, most, told[what].of,
		told[what].setting, told[what].instead);
	return false;
}

bool mr_op_count_read(const struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	return add(op->txn, MR_READS_ROWS, mr_pg_rows(r), err) && add(op->txn, MR_READS_BYTES, bytes_of(r), err);
}

bool mr_op_count_printed(const struct mr_op *op, size_t bytes, struct mr_error *err)
{
	struct mr_txn *txn = op->txn;
	return fits(txn, MR_QUERY_BYTES, (int64_t)bytes) || mr_rows_too_large(op->entity, txn->limits.most[MR_QUERY_BYTES], err);
}

bool mr_op_count_written(const struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	int64_t sent = 0;
	for (int i = 0; i < op->params.n; i++)
		sent += (int64_t)op->params.v[i].n;
	return add(op->txn, MR_WRITES_ROWS, mr_pg_affected(r), err) && add(op->txn, MR_WRITES_BYTES, sent, err);
}
