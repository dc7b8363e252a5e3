/* Applies a plan: the part that must be one is one transaction; what takes long on a table with rows follows in steps of its own, under
 * locks that let others write. Whoever waits for a strong lock makes all others wait behind him: so that is done shortly, and again later.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "install_private.h"
#include "proto/ground/log.h"

enum { ATTEMPTS = 5, LOOK_MS = 100 };
/* Held from the first step to the last, so that two plans are not applied at once. */
#define APPLY_LOCK "select pg_try_advisory_lock(7838371846532)"
/* Held by the transaction, and by whoever stores settings. */
#define INSTALL_LOCK "select pg_advisory_xact_lock(7838371846531)"

struct apply {
	PGconn *conn, *watch; /* watch: looks who blocks the first */
	struct mr_error *err;
	int64_t lock_timeout_ms;
	char blocker[400]; /* who stood in the way last, or "" */
};

static void pause_ms(int64_t ms)
{
	struct timespec t = {ms / 1000, (ms % 1000) * 1000000};
	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

/* Who holds what the statement waits for: kept until somebody else does. */
static void look_for_blocker(struct apply *a)
{
	char pid[16];
	struct mr_error none;
	const char *params[] = {pid};
	snprintf(pid, sizeof pid, "%d", PQbackendPID(a->conn));
	PGresult *res = mr_sync_query(a->watch, &none,
		"select format('process %s of Postgres (user %s%s), whose transaction began at %s and whose last statement%s began at %s: "
		"%s', pid, "
		"usename, case when application_name <> '' then ', ' || application_name else '' end, to_char(xact_start, 'HH24:MI:SS'), "
		"case when state like 'idle%' then ', which is over,' else '' end, to_char(query_start, 'HH24:MI:SS'), "
		"left(regexp_replace(query, '\\s+', ' ', 'g'), 120)) "
		"from pg_stat_activity where pid = any(pg_blocking_pids($1::int)) order by xact_start limit 1",
		1, params);
	if (res && PQntuples(res))
		snprintf(a->blocker, sizeof a->blocker, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
}

/* Runs statements, and looks who blocks them when they take long. */
static bool run(struct apply *a, const char *sql)
{
	if (!PQsendQuery(a->conn, sql))
		return mr_fail(a->err, MR_POSTGRES_UNAVAILABLE, "Postgres cannot be reached: %s", PQerrorMessage(a->conn));
	while (PQisBusy(a->conn)) {
		struct pollfd p = {.fd = PQsocket(a->conn), .events = POLLIN};
		int n = poll(&p, 1, LOOK_MS);
		if (n == 0)
			look_for_blocker(a);
		else if (!PQconsumeInput(a->conn))
			break;
	}
	bool ok = true;
	for (PGresult *res; (res = PQgetResult(a->conn)); PQclear(res)) {
		ExecStatusType status = PQresultStatus(res);
		if (ok && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
			mr_sync_refuse(a->err, a->conn, res);
			ok = false;
		}
	}
	return ok;
}

static bool set_lock_timeout(struct apply *a, int64_t ms)
{
	char sql[80];
	snprintf(sql, sizeof sql, "set lock_timeout = '%" PRId64 "ms'", ms);
	return run(a, sql);
}

static bool give_up(struct apply *a)
{
	struct mr_error why = *a->err;
	if (!*a->blocker)
		return false;
	return mr_fail_data(a->err, why.code, "{\"setting\":\"migrate_lock_timeout\"}",
		"The migration waited for a lock in vain (migrate_lock_timeout, %d times) and gave up; writers go on. In its way is %s. "
		"End that, or "
		"migrate later.",
		ATTEMPTS, a->blocker);
}

/* All or nothing. Between attempts those who waited behind us get their turn. */
static bool run_transaction(struct apply *a, const char *sql)
{
	struct mr_buf whole = {0};
	mr_buf_z(&whole, "begin;\n" INSTALL_LOCK ";\n");
	mr_buf_z(&whole, sql);
	mr_buf_z(&whole, "\n;commit");
	bool ok = set_lock_timeout(a, a->lock_timeout_ms);
	for (int i = 1; ok; i++) {
		*a->blocker = 0;
		ok = run(a, whole.p);
		if (ok || a->err->code != MR_CONFLICT)
			break;
		struct mr_error why = *a->err;
		ok = run(a, "rollback");
		*a->err = why;
		if (!ok || i == ATTEMPTS) {
			ok = give_up(a);
			break;
		}
		pause_ms(a->lock_timeout_ms);
	}
	mr_buf_fini(&whole);
	return ok;
}

/* A statement that lets others write while it waits and while it works: it may wait as long as all attempts of another. */
static bool run_alone(struct apply *a, const char *sql)
{
	*a->blocker = 0;
	return set_lock_timeout(a, 2 * ATTEMPTS * a->lock_timeout_ms) && (run(a, sql) || (a->err->code == MR_CONFLICT && give_up(a)));
}

/* Cuts the next step off; false: there is none. */
static bool next_step(const char **rest, bool *alone, struct mr_buf *step)
{
	const char *from = *rest, *to;
	mr_buf_reset(step);
	if (!*from)
		return false;
	*alone = strncmp(from, MR_DRAFT_ALONE, strlen(MR_DRAFT_ALONE)) == 0;
	to = strstr(from + 1, "\n" MR_DRAFT_STEP);
	to = to ? to + 1 : from + strlen(from);
	mr_buf_add(step, from, (size_t)(to - from));
	*rest = to;
	return true;
}

static bool run_steps(struct apply *a, const char *sql)
{
	struct mr_buf step = {0};
	bool ok = true, alone;
	while (ok && next_step(&sql, &alone, &step))
		ok = alone ? run_alone(a, step.p) : run_transaction(a, step.p);
	mr_buf_fini(&step);
	return ok;
}

static bool take_turn(struct apply *a)
{
	bool mine = false;
	for (int i = 0; i < 2 * ATTEMPTS && !mine; i++) {
		if (i)
			pause_ms(a->lock_timeout_ms);
		if (!mr_sync_asks(a->conn, a->err, APPLY_LOCK, &mine))
			return false;
	}
	return mine || mr_fail(a->err, MR_CONFLICT, "Another migration of this database is under way; wait for its end.");
}

bool mr_install_apply(const char *conninfo, struct mr_str sql, int64_t lock_timeout_ms, struct mr_error *err)
{
	if (!sql.n)
		return true;
	struct apply a = {.err = err, .lock_timeout_ms = lock_timeout_ms, .conn = mr_sync_open(conninfo, err)};
	char *text = mr_strndup(sql.p, sql.n);
	bool ok = a.conn && (a.watch = mr_sync_open(conninfo, err)) && take_turn(&a) && run_steps(&a, text);
	free(text);
	PQfinish(a.watch);
	PQfinish(a.conn);
	return ok;
}
