/* What the files of a transaction share. For txn*.c only. */
#ifndef MR_TXN_PRIVATE_H
#define MR_TXN_PRIVATE_H

#include "pred_sql.h"
#include "proto/ground/hash.h"
#include "sql.h"
#include "txn.h"

enum { MR_LOOKED_AT = 4 };

struct mr_txn {
	struct mr_pg *pg;
	const struct mr_app *app;
	enum mr_txn_kind kind;
	char *import;   /* name of an exported snapshot, or NULL */
	char *snapshot; /* of a read transaction, or NULL */
	bool begun;
	bool abandoned; /* mr_txn_rollback was called: operations under way are not answered any more */
	bool failed;    /* a statement failed, or a write was forbidden: it can only be rolled back */
	struct mr_error error;
	int ops;  /* operations under way */
	int refs; /* the owner, and each operation under way */

	struct mr_txn_limits limits, used; /* txn_limits.c */

	/* What the session's transaction-local settings are now. */
	const struct mr_entity *capturing; /* the worker captures writes to this table itself; NULL: triggers capture all */
	bool perhaps;                      /* ...if an update found its row, for it says so itself (mr_op_send_update) */
	bool seqscan_off;

	/* Changes so far, as in docs/changes.md without the closing bracket. Too many: the entities touched, to be marked. */
	struct mr_buf changes;
	bool bulk;
	bool *touched; /* by entity number, once bulk */
	int64_t last_seq;

	struct mr_txn_mark *marks; /* savepoints that are open (txn_savepoint.c) */
	size_t n_marks, cap_marks;

	/* The read set: texts in the arena, each once. */
	struct mr_arena arena;
	struct mr_map reads;
	struct mr_str *read_list;
	size_t n_reads, cap_reads;
	/* For mr_txn_verify. */
	const struct mr_entity *looked_at[MR_LOOKED_AT];
	size_t n_looked_at;
	bool looked_around; /* at more than these, or at who knows what */
	int64_t moment;     /* microseconds since 2000: at which the reads give something else; INT64_MAX: none */

	struct mr_txn_commit *commit;                          /* asked for; sent when no operation is under way */
	enum { MR_TXN_OPEN, MR_TXN_ENDING, MR_TXN_ENDED } end; /* by a rollback that went with its last operation */
	void (*rolled_back)(void *arg);
	void *rolled_back_arg;
};

/* One operation under way: what was asked, and who reads the result. */
struct mr_op;
/* Reads the result and answers through mr_op_answer or mr_op_fail, exactly once. */
typedef void mr_op_take(struct mr_op *op, const struct mr_pg_result *r);
/* Prints a row, the only one of its result. false: it fails the operation. */
typedef bool mr_op_print(struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err);
struct mr_op {
	struct mr_txn *txn;
	mr_txn_cb *cb;
	void *arg;
	mr_op_take *take;
	mr_op_print *print; /* rows are printed as they arrive (txn_rows.c); NULL: `take` has them all */
	struct mr_op_rows {
		struct mr_buf json;
		bool before;           /* they are of a statement that was sent before this one */
		size_t n;              /* printed */
		struct mr_arena arena; /* of one row */
		struct mr_enc enc;
		struct mr_value *values; /* what printing a row needs, made for the first one */
		const struct mr_str *heads;
		int *types;
		size_t kept;
	} rows;
	const struct mr_entity *entity;
	const struct mr_pred *allow_old, *allow_new;
	struct mr_arena arena; /* parameters, then the rows of the result */
	struct mr_params params;
	struct mr_buf sql;
	bool writes;             /* what it changes is counted */
	struct mr_error refusal; /* of our own, found before anything was sent */
	bool only_reads;         /* whatever is captured: it stays as it is */
	bool app_sql;            /* a statement of ctx.db.sql */
	struct mr_str added;     /* fields that it adds to: `"a","b"`; empty: none */
	mr_fields key;           /* of an insert: a row of the same key is a conflict */
	const struct mr_summary *summary;
	int64_t ahead; /* of the present, what is asked for in microseconds (txn_moments.c) */
	/* Of a read: the fields that its answer has, and those whose columns the statement gives. */
	const int *fields, *columns;
	size_t n_fields, n_columns;
	bool computed; /* the answer has a key that is made of columns */
	size_t level;  /* of a savepoint */
	bool mends;    /* it makes the transaction whole again, whatever failed before it */
};
struct mr_op *mr_op_new(struct mr_txn *txn, mr_txn_cb *cb, void *arg);
/* Sends op->sql with op->params (or, when op->refusal is set, comes back with it). keyed: by an index, if it can be (CLOCK.md rule 25).
 * capture: the entity whose changes this statement returns, or NULL. */
void mr_op_send(struct mr_op *op, int flags, bool keyed, const struct mr_entity *capture, mr_op_take *take);
/* The same for a statement that sets `millrace.capturing` to its entity itself, before it writes a row; not when it writes none. */
void mr_op_send_update(struct mr_op *op, mr_op_take *take);
/* The last of its transaction, which ends with it, whatever is answered. */
void mr_op_send_last(struct mr_op *op, mr_op_take *take);
/* A statement that neither reads nor writes rows. mends: it ends a failure of the transaction. */
void mr_op_send_plain(struct mr_op *op, bool mends, mr_op_take *take);
void mr_op_answer(struct mr_op *op, struct mr_str json);
/* What a failed result means. A value that Postgres refuses within a statement of the app is that statement's failure. */
void mr_op_error(const struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err);
/* final: the transaction cannot go on. */
void mr_op_fail(struct mr_op *op, const struct mr_error *err, bool final);

void mr_txn_fail(struct mr_txn *txn, const struct mr_error *err); /* the first one counts */
void mr_txn_unref(struct mr_txn *txn);
void mr_txn_ensure_begun(struct mr_txn *txn);
void mr_txn_commit_if_ready(struct mr_txn *txn); /* txn_commit.c */

void mr_op_print_from(struct mr_op *op, const struct mr_plan *plan); /* appends " from table as r where ..." to its statement */
bool mr_is_keyed(const struct mr_pred *where);                       /* some field is compared for equality */

/* txn_limits.c: count rows that came back, and what was written; false: that is more than the transaction may. */
bool mr_op_count_read(const struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err);
bool mr_op_count_printed(const struct mr_op *op, size_t bytes, struct mr_error *err); /* of one more row */
bool mr_op_count_written(const struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err);

/* txn_rows.c: for mr_pg_stream, of an operation that prints. Rows of a transaction that failed or was given up are not wanted. */
mr_pg_row_cb mr_op_on_row;
struct mr_str mr_op_printed(struct mr_op *op); /* all rows, an array */
void mr_op_take_printed(struct mr_op *op, const struct mr_pg_result *r);
void mr_op_rows_fini(struct mr_op_rows *rows);

/* txn_changes.c */
void mr_txn_add_change(struct mr_txn *txn, const struct mr_entity *e, int64_t seq, struct mr_str was, struct mr_str now);
void mr_txn_print_changes(struct mr_txn *txn, struct mr_buf *json);

/* txn_verify.c: the transaction has read of this table; NULL: of some that are not known by name. */
void mr_txn_look_at(struct mr_txn *txn, const struct mr_entity *e);
/* txn_reads.c: where NULL is the whole table; fields: what is looked at beside those of `where`. */
void mr_txn_add_read(struct mr_txn *txn, const struct mr_entity *e, const struct mr_pred *where, mr_fields fields);
/* txn_moments.c: the same for a plan that has been sent, and for the moments at which it reads something else. */
void mr_txn_add_plan(struct mr_txn *txn, const struct mr_plan *plan, mr_fields fields);
void mr_txn_add_foreign_read(struct mr_txn *txn, struct mr_str table); /* "schema.table" that is no entity */

#endif
