/* What one statement of ctx.db.sql is and reads, found by Postgres's own parser without asking the database. Knows no app: names are
 * resolved by who asks (txn_sql_reads.c).
 */
#ifndef MR_SQL_CHECK_H
#define MR_SQL_CHECK_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

/* A value that a column is compared with. */
struct mr_sql_value {
	int param;          /* $n, or 0 */
	struct mr_str text; /* of a literal */
	struct mr_str cast; /* the type it is cast to, as Postgres's parser names it ("int8", "text"), or empty */
};
/* `column = value`, `column in (values)` or `column = any($n)`: holds for every row that the statement's part `scope` can use. */
struct mr_sql_cond {
	int scope;
	struct mr_str qualifier, column; /* qualifier: alias or table, or empty */
	const struct mr_sql_value *values;
	size_t n;
	bool any; /* values[0] is an array */
};
struct mr_sql_table {
	int scope;
	struct mr_str schema, name; /* schema: as written, or empty */
	struct mr_str alias;        /* what its columns are qualified with */
	bool renamed;               /* its columns go by other names: no condition can be told to be on it */
};
/* A column by its name: `column` or `qualifier.column`; column empty: all of them (`*`). */
struct mr_sql_ref {
	struct mr_str qualifier, column;
};
/* What gives another result although nothing was written. */
enum mr_sql_moves { MR_SQL_STANDS, MR_SQL_TIME, MR_SQL_CHANCE, MR_SQL_COUNTER };
struct mr_sql_check {
	struct mr_arena arena;
	struct mr_error refusal; /* code MR_OK: it may be sent */
	bool writes;             /* INSERT, UPDATE or DELETE somewhere in it */
	bool locks;              /* FOR UPDATE and the like */
	bool opaque;             /* calls functions that may read tables */
	enum mr_sql_moves moves; /* it does, by `moving`: the first such thing in it, as "now()" */
	struct mr_str moving;
	const struct mr_sql_table *tables;
	size_t n_tables;
	const struct mr_sql_cond *conds;
	size_t n_conds;
	const struct mr_sql_ref *refs; /* wherever in it */
	size_t n_refs;
};

/* Kept by text, so that a statement is parsed once in the life of a thread (some hundreds are kept). Valid until the next call. */
const struct mr_sql_check *mr_sql_check(struct mr_str text);

/* sql_moving.c */
enum mr_sql_moves mr_sql_moving_function(const char *name, size_t n_args);
bool mr_sql_moving_literal(const char *type, const char *text); /* 'now'::timestamptz and the like */

#endif
