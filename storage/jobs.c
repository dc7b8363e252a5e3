#include "jobs.h"

#include "sync.h"

bool mr_jobs_list(const char *conninfo, const char *state, int most, struct mr_buf *out, struct mr_error *err)
{
	PGconn *conn = mr_sync_open(conninfo, err);
	if (!conn)
		return false;
	struct mr_buf limit = {0};
	mr_buf_printf(&limit, "%d", most);
	const char *params[] = {state, limit.p};
	PGresult *res = mr_sync_query(conn, err,
		"select id, rpad(state, 10), to_char(coalesce(\"finishedAt\", \"runAt\"), 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), attempt, "
		"name, "
		"case when error is not null then '  ' || coalesce(error ->> 'code', '') || ': ' || "
		"regexp_replace(coalesce(error ->> 'message', ''), '[[:cntrl:]]+', ' ', 'g') else '' end "
		"from millrace.job where $1::text is null or state = $1 order by coalesce(\"finishedAt\", \"runAt\") desc, id desc limit "
		"$2::integer",
		2, params);
	for (int i = 0; res && i < PQntuples(res); i++)
		mr_buf_printf(out, "%s  %s  %s  %s  %s%s\n", PQgetvalue(res, i, 0), PQgetvalue(res, i, 1), PQgetvalue(res, i, 2),
			PQgetvalue(res, i, 3), PQgetvalue(res, i, 4), PQgetvalue(res, i, 5));
	mr_buf_fini(&limit);
	PQclear(res);
	PQfinish(conn);
	return res != NULL;
}

bool mr_crons_list(const char *conninfo, struct mr_buf *out, struct mr_error *err)
{
	PGconn *conn = mr_sync_open(conninfo, err);
	if (!conn)
		return false;
	PGresult *res = mr_sync_query(conn, err,
		"select name, coalesce(to_char(next_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'never'), "
		"coalesce(to_char(last_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'never'), ran, skipped, "
		"spec -> 'when' ->> 'text', coalesce(' ' || (spec -> 'when' ->> 'timeZone'), ''), spec ->> 'fn' "
		"from millrace.cron order by next_at, name",
		0, NULL);
	for (int i = 0; res && i < PQntuples(res); i++)
		mr_buf_printf(out, "%s  next %s  last %s  ran %s  skipped %s  [%s%s]  %s\n", PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
			PQgetvalue(res, i, 2), PQgetvalue(res, i, 3), PQgetvalue(res, i, 4), PQgetvalue(res, i, 5), PQgetvalue(res, i, 6),
			PQgetvalue(res, i, 7));
	PQclear(res);
	PQfinish(conn);
	return res != NULL;
}

/* `sql` changes the job $1 if it can be and gives true; then true, else the state of one that cannot be. */
static bool change(const char *conninfo, const char *id, const char *sql, const char *states, struct mr_error *err)
{
	PGconn *conn = mr_sync_open(conninfo, err);
	if (!conn)
		return false;
	const char *params[] = {id};
	PGresult *res = mr_sync_query(conn, err, sql, 1, params);
	bool ok = res && PQntuples(res);
	PQclear(res);
	if (res && !ok) {
		res = mr_sync_query(conn, err, "select state from millrace.job where id::text = $1", 1, params);
		if (res && PQntuples(res))
			mr_fail(err, MR_BAD_ARGS, "The state of job %s is %s; it would have to be %s.", id, PQgetvalue(res, 0, 0), states);
		else if (res)
			mr_fail(err, MR_BAD_ARGS, "There is no job %s; `millrace jobs` lists them.", id);
		PQclear(res);
	}
	PQfinish(conn);
	return ok;
}

bool mr_jobs_cancel(const char *conninfo, const char *id, struct mr_error *err)
{
	return change(conninfo, id,
		"update millrace.job set state = 'canceled', holder = null, \"finishedAt\" = date_trunc('milliseconds', clock_timestamp()) "
		"where id::text = $1 and state in ('pending', 'inProgress') returning true",
		"pending or inProgress", err);
}

/* Its attempts are counted anew. */
bool mr_jobs_retry(const char *conninfo, const char *id, struct mr_error *err)
{
	return change(conninfo, id,
		"update millrace.job set state = 'pending', lost = 0, attempt = 0, error = null, \"finishedAt\" = null, "
		"\"runAt\" = date_trunc('milliseconds', clock_timestamp()) where id::text = $1 and state in ('failed', 'canceled') "
		"returning true",
		"failed or canceled", err);
}
