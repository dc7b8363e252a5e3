/* What the files of the installer share: a plan while it is drawn up. For install*.c only. */
#ifndef MR_INSTALL_PRIVATE_H
#define MR_INSTALL_PRIVATE_H

#include "install.h"
#include "sql.h"
#include "sync.h"

struct mr_draft {
	PGconn *conn;
	const struct mr_app *app;
	struct mr_error *err;
	struct mr_buf tables, constraints, triggers, marks; /* one transaction */
	struct mr_buf later;                                /* steps after it */
	/* Why the plan is refused: the first sentence, and the names of all. */
	char sentence[480];
	struct mr_buf refused;
	int refusals;
};

/* The entity under work. oid is empty when the table does not exist yet. */
struct mr_draft_table {
	const struct mr_entity *entity;
	char oid[16];
	bool rows; /* there are some */
	bool partitioned;
	bool unlike;  /* a column is of another type than its field: nothing can be asked of the rows */
	bool changed; /* rows may look different after the plan, or were not captured before it */
};

/* Says that the plan cannot be made, and goes on to find all reasons. `what`: "Entity" or "Entity.field". */
void mr_draft_refuse(struct mr_draft *d, struct mr_str entity, struct mr_str field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A statement with text parameters; NULL when it failed (d->err). */
PGresult *mr_draft_ask(struct mr_draft *d, const char *sql, int n, const char *const *params);
/* A question about a table's rows; sql is consumed. */
bool mr_draft_asks(struct mr_draft *d, struct mr_buf *sql, bool *answer);
/* Whether an entity's table has rows: of those that `rest` leaves, which stands behind the table's name and is consumed; NULL: any. */
bool mr_draft_any(struct mr_draft *d, const struct mr_entity *e, struct mr_buf *rest, bool *answer);

/* Each appends to the draft; false when Postgres failed. */
bool mr_draft_columns(struct mr_draft *d, struct mr_draft_table *t);  /* install_table.c: the table, its columns and primary key */
bool mr_draft_keys(struct mr_draft *d, struct mr_draft_table *t);     /* install_keys.c: unique, indexes, references */
bool mr_draft_checks(struct mr_draft *d, struct mr_draft_table *t);   /* install_checks.c */
bool mr_draft_triggers(struct mr_draft *d, struct mr_draft_table *t); /* install_triggers.c */

/* install_types.c */
bool mr_draft_type_fits(enum mr_type type, const char *sql_type); /* an existing column's */
const char *mr_draft_column_type(enum mr_type type);              /* of a new column */
/* Of a column that does not fit: says what to do. `filled`: it has a default. False when Postgres failed. */
bool mr_draft_refuse_type(struct mr_draft *d, struct mr_draft_table *t, const struct mr_field *f, const char *sql_type, bool filled);
/* The columns of a table that exists, and what is asked of each; NULL as mr_draft_ask. */
PGresult *mr_draft_ask_columns(struct mr_draft *d, const struct mr_draft_table *t);
enum mr_draft_column {
	MR_COLUMN_NAME,
	MR_COLUMN_TYPE,
	MR_COLUMN_BASE, /* the same, but of a domain the type that it is over */
	MR_COLUMN_KIND, /* of its type, in words: "the enum", "a domain of" or "type" */
	MR_COLUMN_NOT_NULL,
	MR_COLUMN_DETERMINISTIC, /* its collation, if it has one */
	MR_COLUMN_DEFAULT,
	MR_COLUMN_FILLED,   /* by the table, when an insert leaves it out */
	MR_COLUMN_GENERATED /* from other columns; empty: it is not */
};
int mr_draft_find_column(const PGresult *columns, struct mr_str name); /* its row, or -1 */

/* install_adopt.c: the same of a table that is adopted, in this order. */
bool mr_draft_adopted_table(struct mr_draft *d, struct mr_draft_table *t);
bool mr_draft_adopted_columns(struct mr_draft *d, struct mr_draft_table *t);
bool mr_draft_adopted_key(struct mr_draft *d, struct mr_draft_table *t);
bool mr_draft_adopted_rest(struct mr_draft *d, struct mr_draft_table *t);  /* indexes, references, checks */
bool mr_draft_adopted_owner(struct mr_draft *d, struct mr_draft_table *t); /* asked when triggers are to be made */

/* Steps behind the transaction of a plan begin with such a line: alone, as `concurrently` must be, or a transaction again. */
#define MR_DRAFT_STEP  "-- ==== "
#define MR_DRAFT_ALONE MR_DRAFT_STEP "By itself, while others write:\n"
#define MR_DRAFT_AGAIN MR_DRAFT_STEP "In a transaction of its own, while others write:\n"
/* Whether what reads all rows is put off, so that nobody waits for it. */
static inline bool mr_draft_gently(const struct mr_draft_table *t)
{
	return t->rows && !t->partitioned;
}
/* A step that proves a constraint which is there, but not of rows from before it. */
void mr_draft_validate(struct mr_draft *d, const struct mr_entity *e, struct mr_str name);

/* How the comment begins of a check or partial index that a plan made; behind it its filter as SQL. */
#define MR_DRAFT_SAYS "millrace: "
void mr_draft_pred(struct mr_buf *b, const struct mr_entity *e, const struct mr_pred *pred);
/* Whether the table has this column by now, or all that the predicate (NULL: none) speaks of. */
bool mr_draft_column_exists(struct mr_draft *d, const struct mr_draft_table *t, struct mr_str column, bool *exists);
bool mr_draft_pred_exists(struct mr_draft *d, const struct mr_draft_table *t, const struct mr_pred *p, bool *exist);

#endif
