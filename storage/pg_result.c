/* Results, and what SQLSTATE means in our terms. */
#include "pg_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/log.h"

enum { SWOLLEN_BYTES = 4 << 20 };

/* The first row whose prefix fits decides: whole states before their classes. */
static const struct {
	const char *prefix;
	enum mr_code code;
} code_of_state[] = {
	{"40001", MR_CONFLICT}, /* serialization failure */
	{"40P01", MR_CONFLICT}, /* deadlock */
	{"55P03", MR_CONFLICT}, /* lock not available */
	{"23505", MR_UNIQUE_VIOLATION},
	{"23503", MR_REFERENCE_VIOLATION},
	{"23001", MR_REFERENCE_VIOLATION}, /* restrict */
	{"23", MR_CHECK_VIOLATION},        /* not null, check, exclusion */
	{"44000", MR_CHECK_VIOLATION},     /* with check option */
	{"53100", MR_DISK_FULL},
	{"53", MR_POSTGRES_UNAVAILABLE},    /* memory, connections */
	{"57014", MR_TIME_LIMIT},           /* statement timeout, cancelled */
	{"57", MR_POSTGRES_UNAVAILABLE},    /* shut down, starting up */
	{"25P03", MR_POSTGRES_UNAVAILABLE}, /* idle in transaction for too long */
	{"08", MR_POSTGRES_UNAVAILABLE},
	{"58", MR_POSTGRES_UNAVAILABLE}, /* input and output errors */
	{"XX", MR_INTERNAL},
	{"26000", MR_INTERNAL}, /* no such prepared statement */
	{"PIPEL", MR_INTERNAL},
	{"22", MR_BAD_VALUE},
	{"428C9", MR_BAD_VALUE}, /* a column that the table alone fills in */
	{"", MR_SQL_ERROR},
};

enum mr_code mr_pg_code(const char *sqlstate)
{
	size_t i = 0;
	while (strncmp(sqlstate, code_of_state[i].prefix, strlen(code_of_state[i].prefix)))
		i++;
	return code_of_state[i].code;
}

/* Copies a message without line ends, cut to size; to and text may be the same. */
void mr_pg_one_line(char *to, size_t size, const char *text)
{
	size_t n = 0;
	for (; *text && n + 1 < size; text++)
		to[n++] = (unsigned char)*text < ' ' ? ' ' : *text;
	while (n && to[n - 1] == ' ')
		n--;
	to[n] = 0;
}

bool mr_pg_res_ok(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);
	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}

static const char *field(const PGresult *res, int code)
{
	const char *text = PQresultErrorField(res, code);
	return text ? text : "";
}

/* libpq reads a row whole before it makes a result of it, into a buffer that only grows. */
void mr_pg_weigh(struct mr_pg *pg, const PGresult *res)
{
	pg->swollen |= PQresultMemorySize(res) > SWOLLEN_BYTES;
}

void mr_pg_log_result(const struct mr_pg *pg, const PGresult *res)
{
	if (PQresultStatus(res) == PGRES_PIPELINE_ABORTED)
		return;
	const char *detail = field(res, PG_DIAG_MESSAGE_DETAIL), *context = field(res, PG_DIAG_CONTEXT);
	char text[1024];
	snprintf(text, sizeof(text), "%s%s%s%s%s", field(res, PG_DIAG_MESSAGE_PRIMARY), *detail ? "; detail: " : "", detail,
		*context ? "; context: " : "", context);
	mr_pg_one_line(text, sizeof(text), text);
	mr_log(MR_DEBUG, "%s: Postgres refuses: %s: %s", pg->name, field(res, PG_DIAG_SQLSTATE), text);
}

bool mr_pg_ok(const struct mr_pg_result *r)
{
	return r->res && mr_pg_res_ok(r->res);
}

bool mr_pg_unreplicated(const struct mr_pg_result *r)
{
	return r->unreplicated;
}

const char *mr_pg_sqlstate(const struct mr_pg_result *r)
{
	if (mr_pg_ok(r))
		return "";
	if (!r->res)
		return r->sqlstate;
	if (PQresultStatus(r->res) == PGRES_PIPELINE_ABORTED)
		return "PIPEL";
	const char *state = field(r->res, PG_DIAG_SQLSTATE);
	return *state ? state : "08000"; /* libpq's own failures have none: the connection is gone */
}

/* The primary message alone: detail and hint may hold values that the caller must not see. */
void mr_pg_error(const struct mr_pg_result *r, struct mr_error *err)
{
	const char *state = mr_pg_sqlstate(r), *message = r->message;
	char line[sizeof(err->message)];
	if (r->res) {
		message = field(r->res, PG_DIAG_MESSAGE_PRIMARY);
		if (!*message)
			message = !strcmp(state, "PIPEL") ? "skipped after an earlier error" : "connection to Postgres lost";
	}
	mr_pg_one_line(line, sizeof(line), message ? message : "connection to Postgres lost");
	mr_fail(err, mr_pg_code(state), "%s", line);
	err->foreign = true;
}

const char *mr_pg_about(const struct mr_pg_result *r, enum mr_pg_about what)
{
	static const int codes[] = {[MR_PG_SCHEMA] = PG_DIAG_SCHEMA_NAME,
		[MR_PG_TABLE] = PG_DIAG_TABLE_NAME,
		[MR_PG_COLUMN] = PG_DIAG_COLUMN_NAME,
		[MR_PG_CONSTRAINT] = PG_DIAG_CONSTRAINT_NAME,
		[MR_PG_DETAIL] = PG_DIAG_MESSAGE_DETAIL,
		[MR_PG_CONTEXT] = PG_DIAG_CONTEXT};
	return r->res ? field(r->res, codes[what]) : "";
}

int mr_pg_rows(const struct mr_pg_result *r)
{
	return r->res ? PQntuples(r->res) : 0;
}

int mr_pg_columns(const struct mr_pg_result *r)
{
	return r->res ? PQnfields(r->res) : 0;
}

unsigned mr_pg_column_oid(const struct mr_pg_result *r, int col)
{
	return r->res ? PQftype(r->res, col) : 0;
}

const char *mr_pg_column_name(const struct mr_pg_result *r, int col)
{
	const char *name = r->res ? PQfname(r->res, col) : NULL;
	return name ? name : "";
}

struct mr_str mr_pg_value(const struct mr_pg_result *r, int row, int col)
{
	MR_ASSERT(r->res && row >= 0 && row < PQntuples(r->res) && col >= 0 && col < PQnfields(r->res));
	if (PQgetisnull(r->res, row, col))
		return (struct mr_str){NULL, 0};
	return (struct mr_str){PQgetvalue(r->res, row, col), (size_t)PQgetlength(r->res, row, col)};
}

int64_t mr_pg_int(const struct mr_pg_result *r, int row, int col)
{
	struct mr_str text = mr_pg_value(r, row, col);
	return text.p ? strtoll(text.p, NULL, 10) : 0;
}

int64_t mr_pg_affected(const struct mr_pg_result *r)
{
	return r->res ? strtoll(PQcmdTuples(r->res), NULL, 10) : 0;
}
