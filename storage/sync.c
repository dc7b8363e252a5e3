/* Blocking statements. */
#include "sync.h"

#include <stdio.h>

static const struct {
	const char *prefix;
	enum mr_code code;
} code_of_state[] = {
	{"23505", MR_UNIQUE_VIOLATION},
	{"23503", MR_REFERENCE_VIOLATION},
	{"23", MR_CHECK_VIOLATION},
	{"40", MR_CONFLICT},
	{"55P03", MR_CONFLICT},
	{"53100", MR_DISK_FULL},
	{"08", MR_POSTGRES_UNAVAILABLE},
	{"57P", MR_POSTGRES_UNAVAILABLE},
	{"", MR_SQL_ERROR},
};

bool mr_sync_refuse(struct mr_error *err, const PGconn *conn, const PGresult *res)
{
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	const char *primary = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const char *detail = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL) : NULL;
	char line[480];
	snprintf(line, sizeof(line), "%s%s%s", primary ? primary : PQerrorMessage(conn), detail ? ": " : "", detail ? detail : "");
	for (char *c = line; *c; c++)
		*c = (unsigned char)*c < ' ' ? ' ' : *c;
	enum mr_code code = MR_POSTGRES_UNAVAILABLE;
	for (size_t i = 0; state && i < MR_COUNT(code_of_state); i++) {
		if (!strncmp(state, code_of_state[i].prefix, strlen(code_of_state[i].prefix))) {
			code = code_of_state[i].code;
			break;
		}
	}
	return mr_fail(err, code, "Postgres refuses: %s", line);
}

static void silent(void *arg, const PGresult *res) {}

PGconn *mr_sync_open(const char *conninfo, struct mr_error *err)
{
	PGconn *conn = PQconnectdb(conninfo);
	if (!conn || PQstatus(conn) != CONNECTION_OK) {
		char line[400];
		snprintf(line, sizeof(line), "%s", conn ? PQerrorMessage(conn) : "out of memory");
		for (char *c = line; *c; c++)
			*c = (unsigned char)*c < ' ' ? ' ' : *c;
		mr_fail(err, MR_POSTGRES_UNAVAILABLE, "Postgres cannot be reached: %s", line);
		PQfinish(conn);
		return NULL;
	}
	PQsetNoticeReceiver(conn, silent, NULL);
	if (mr_sync_run(conn, err,
		    "set statement_timeout = 0; set datestyle = 'ISO, MDY'; set timezone = 'UTC'; set standard_conforming_strings = on;"
		    "set search_path = pg_catalog; set client_encoding = 'UTF8'; set synchronous_commit = on"))
		return conn;
	PQfinish(conn);
	return NULL;
}

PGresult *mr_sync_query(PGconn *conn, struct mr_error *err, const char *sql, int n, const char *const *params)
{
	PGresult *res = n ? PQexecParams(conn, sql, n, NULL, params, NULL, NULL, 0) : PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(res);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
		return res;
	mr_sync_refuse(err, conn, res);
	PQclear(res);
	return NULL;
}

bool mr_sync_run(PGconn *conn, struct mr_error *err, const char *sql)
{
	PGresult *res = mr_sync_query(conn, err, sql, 0, NULL);
	PQclear(res);
	return res != NULL;
}

bool mr_sync_asks(PGconn *conn, struct mr_error *err, const char *sql, bool *answer)
{
	PGresult *res = mr_sync_query(conn, err, sql, 0, NULL);
	if (!res)
		return false;
	*answer = PQntuples(res) && PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return true;
}

struct mr_str mr_sync_str(const PGresult *res, int row, int col)
{
	if (PQgetisnull(res, row, col))
		return (struct mr_str){NULL, 0};
	return (struct mr_str){PQgetvalue(res, row, col), (size_t)PQgetlength(res, row, col)};
}
