/* Schema: the `millrace` schema (log, sequence, functions), the app's tables, capture triggers; planned and applied.
 * Blocking calls, for the CLI and the supervisor only. Also the private cluster for development.
 */
#ifndef MR_INSTALL_H
#define MR_INSTALL_H

#include "proto/schema.h"

/* Plan: SQL text that takes the database from what it is to what the app declares: `millrace` schema, tables, columns, indexes,
 * constraints, triggers, primary keys. Additive only: what would destroy or rewrite data (dropping a column or table, narrowing a type, not
 * null over existing nulls) is refused with a sentence (check_violation, data lists them). Empty text: nothing to do. Tables of entities
 * that went away stay. */
bool mr_install_plan(const char *conninfo, const struct mr_app *app, struct mr_buf *sql, struct mr_error *err);
/* Appends a sentence and a line end for each column that no field declares and that makes inserts fail. */
bool mr_install_left(const char *conninfo, const struct mr_app *app, struct mr_buf *out, struct mr_error *err);
/* Runs a plan: its first part in one transaction, and the steps behind it that take long on tables with rows (install_apply.c). A statement
 * waits for its lock no longer than that; then all is taken back, others get their turn, and it is tried again, a few times. conflict: a
 * lock was not to be had, and err says who holds it. What was done stays; the next plan goes on from there. Running a plan of nothing is
 * fine. */
bool mr_install_apply(const char *conninfo, struct mr_str sql, int64_t lock_timeout_ms, struct mr_error *err);
/* Settings that triggers read (capture_max_rows, ...) are kept in millrace.setting. */
bool mr_install_settings(const char *conninfo, int64_t capture_max_rows, int64_t capture_max_bytes, int log_retention,
	int64_t token_max_age_ms, struct mr_error *err);

/* The private cluster in dir (absolute): initdb when it is empty, then starts `postgres` as a child on a unix socket in dir (as user
 * postgres when we are root, see FACTS.md section 10). Waits until it accepts. conninfo is written to out. */
struct mr_cluster;
struct mr_cluster *mr_cluster_start(const char *dir, struct mr_buf *out, struct mr_error *err);
int mr_cluster_pid(const struct mr_cluster *c);
/* Fast shutdown, waits up to 20 s. */
void mr_cluster_stop(struct mr_cluster **c);

/* Retention: removes what is left of sessions that are over, and, of the log, truncates the part that is due if no snapshot needs it
 * (lock_timeout 50 ms); called now and then by the supervisor. false with conflict: it has to wait for somebody, whom err names. Blocking.
 */
bool mr_log_retain(const char *conninfo, struct mr_error *err);

#endif
