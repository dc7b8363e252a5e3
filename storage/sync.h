/* Blocking statements for the installer and the private cluster; never used by a process that serves clients. */
#ifndef MR_SYNC_H
#define MR_SYNC_H

#include <libpq-fe.h>

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

/* NULL and *err when Postgres cannot be reached. Notices are silent. */
PGconn *mr_sync_open(const char *conninfo, struct mr_error *err);
/* One statement (several when n is 0). NULL and *err on failure; the caller clears the result. */
PGresult *mr_sync_query(PGconn *conn, struct mr_error *err, const char *sql, int n, const char *const *params);
bool mr_sync_run(PGconn *conn, struct mr_error *err, const char *sql);
/* Why a result is none, in *err; false. */
bool mr_sync_refuse(struct mr_error *err, const PGconn *conn, const PGresult *res);
/* One statement that answers one boolean. */
bool mr_sync_asks(PGconn *conn, struct mr_error *err, const char *sql, bool *answer);
struct mr_str mr_sync_str(const PGresult *res, int row, int col);

#endif
