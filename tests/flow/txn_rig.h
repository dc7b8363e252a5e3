/* A private cluster, an app installed in it, and short words for what the tests of the installer, capture and transactions do. */
#ifndef MR_TXN_RIG_H
#define MR_TXN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/install.h"
#include "storage/sync.h"
#include "storage/txn.h"

struct rig {
	char dir[64];
	struct mr_cluster *cluster;
	struct mr_buf conninfo;
	struct mr_loop *loop;
	struct mr_app *app;
	PGconn *admin;
};
extern struct rig rig;
extern const char rig_manifest[]; /* Channel, Message (-> Channel, cascade), Node (-> Node, cascade), All (every type) */

/* For cmocka's group: the cluster with and without the manifest installed. */
int rig_start_bare(void **state);
int rig_start(void **state);
int rig_stop(void **state);

struct mr_app *rig_app(const char *manifest);
/* Plans and applies; fails the test on any refusal. */
void rig_install(const struct mr_app *app);
void rig_sql(const char *sql);                                               /* as admin; must succeed */
char *rig_value(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* first cell, to be freed; "" when there is none */
#define RIG_IS(expected, ...)                                                                                                              \
	do {                                                                                                                               \
		char *rig_got = rig_value(__VA_ARGS__);                                                                                    \
		assert_string_equal(rig_got, expected);                                                                                    \
		free(rig_got);                                                                                                             \
	} while (0)

int64_t rig_mark(void); /* where the log is now */
/* What was logged since: "Message+ Message~ Message- Channel!", in order of the changes' numbers (+ insert, ~ update, - delete, ! bulk). */
char *rig_changes(int64_t mark);
#define RIG_CHANGES(mark, expected)                                                                                                        \
	do {                                                                                                                               \
		char *rig_got = rig_changes(mark);                                                                                         \
		assert_string_equal(rig_got, expected);                                                                                    \
		free(rig_got);                                                                                                             \
	} while (0)

/* ---- transactions, one step at a time ---- */

struct mr_pg *rig_connect(void);
void rig_until(const bool *done, const char *what);
struct rig_answer {
	bool done;
	char *json; /* NULL on error */
	struct mr_error err;
};
struct rig_end {
	bool done;
	enum mr_end end;
	uint64_t xid;
	char *result;
	struct mr_error err;
	bool turn;
};
void rig_answered(struct mr_txn *txn, struct mr_str json, const struct mr_error *err, void *arg); /* arg: struct rig_answer */
void rig_ended(const struct mr_outcome *outcome, void *arg);                                      /* arg: struct rig_end */
void rig_free_answer(struct rig_answer *a);
const struct mr_entity *rig_entity(const char *name);

enum rig_write { RIG_INSERT, RIG_PATCH, RIG_REPLACE, RIG_REMOVE };
/* Runs one write to its answer; value is JSON. The answer's text lives until the next call. */
const struct rig_answer *rig_write(struct mr_txn *txn, enum rig_write kind, const char *entity, const char *id, const char *value);
const struct rig_answer *rig_sql_in(struct mr_txn *txn, const char *sql, const char *params);
const struct rig_answer *rig_read(struct mr_txn *txn, const char *entity, const char *where);
/* Inserts n rows and commits; `value` prints a field of the row of this number as JSON, or nothing: it is left out. */
void rig_insert_rows(
	struct mr_pg *pg, const struct mr_entity *e, int n, void (*value)(struct mr_buf *b, const struct mr_field *f, int row));
/* Rows that Postgres finds, of all their fields, as images in the arena. where may be NULL. */
const struct mr_node *rig_load_rows(struct mr_txn *txn, struct mr_arena *a, const struct mr_entity *e, const struct mr_pred *where,
	const struct mr_order *order, size_t n_order);
/* All that there are, of which there must be n. */
void rig_keep_rows(struct mr_txn *txn, struct mr_arena *a, const struct mr_entity *e, struct mr_row *rows, size_t n);
/* Commits with the record (session empty: none). */
const struct rig_end *rig_commit(struct mr_txn **txn, const char *session, const char *call, struct mr_ring *ring);
void rig_rollback(struct mr_txn **txn);

#endif
