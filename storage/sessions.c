#include "sessions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sync.h"

/* NULL and *err on failure; the caller clears the result. */
static PGresult *ask(const char *conninfo, const char *sql, int n, const char *const *params, struct mr_error *err)
{
	bool there = false;
	PGresult *res = NULL;
	PGconn *conn = mr_sync_open(conninfo, err);
	if (!conn)
		return NULL;
	if (mr_sync_asks(conn, err, "select to_regclass('millrace.revocation') is not null and to_regclass('millrace.session') is not null",
		    &there) &&
		(there || mr_fail(err, MR_SCHEMA_CHANGED, "This database has no sessions yet; run `millrace migrate --apply`.")))
		res = mr_sync_query(conn, err, sql, n, params);
	PQfinish(conn);
	return res;
}

bool mr_sessions_list(const char *conninfo, const char *user, int most, struct mr_buf *out, struct mr_error *err)
{
	char limit[16];
	const char *params[] = {user, limit};
	snprintf(limit, sizeof limit, "%d", most);
	PGresult *res = ask(conninfo,
		"select id, \"userId\", to_char(\"createdAt\" at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), "
		"to_char(\"expiresAt\" at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), "
		"case when \"revokedAt\" is null then 'good' else 'revoked' end "
		"from millrace.session where \"expiresAt\" > now() and ($1::text is null or \"userId\" = $1) "
		"order by \"createdAt\" desc limit $2::integer",
		2, params, err);
	for (int i = 0; res && i < PQntuples(res); i++) {
		for (int k = 0; k < PQnfields(res); k++) {
			mr_buf_z(out, k ? "  " : "");
			mr_buf_z(out, PQgetvalue(res, i, k));
		}
		mr_buf_char(out, '\n');
	}
	PQclear(res);
	return res != NULL;
}

bool mr_sessions_revoke(const char *conninfo, const char *id, int64_t kept_ms, bool *was, struct mr_error *err)
{
	char ms[32];
	const char *params[] = {id, ms};
	snprintf(ms, sizeof ms, "%" PRId64, kept_ms);
	PGresult *res = ask(conninfo, "select millrace.revoke_session($1::uuid, now() + $2::bigint * interval '1 ms')", 2, params, err);
	*was = res && PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return res != NULL;
}

bool mr_sessions_revoke_user(const char *conninfo, const char *user, int64_t *n, struct mr_error *err)
{
	PGresult *res = ask(conninfo, "select millrace.revoke_user($1::text)", 1, &user, err);
	*n = res ? atoll(PQgetvalue(res, 0, 0)) : 0;
	PQclear(res);
	return res != NULL;
}
