/* How a connection is opened and what it must be: parameters, the checks, the settings on which images depend.
 *
 * Two statements in two pipelines. The first pins the settings and leaves a mark in the session; the second must find the same backend
 * and the mark. A transaction pooler may hand out the same backend twice while it is idle. So behind any pooler (the process id that was
 * announced at connecting is not the backend's) no two live connections may have one backend either, and the first connection there opens
 * another one as a probe: while both are idle, only a pooler of whole sessions keeps them apart.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg_private.h"
#include "proto/ground/log.h"

enum { CONNECT_US = 5 * 1000 * 1000, OLDEST_SERVER = 140000 };

static const char check_sql[] =
	"select pg_is_in_recovery(), pg_backend_pid(), set_config('DateStyle', 'ISO, MDY', false), set_config('TimeZone', 'UTC', false),"
	" set_config('extra_float_digits', '1', false), set_config('bytea_output', 'hex', false),"
	" set_config('IntervalStyle', 'iso_8601', false), set_config('client_encoding', 'UTF8', false),"
	" set_config('search_path', 'public', false), set_config('standard_conforming_strings', 'on', false),"
	" set_config('millrace.session', $1, false)";
static const char again_sql[] = "select pg_backend_pid(), current_setting('millrace.session', true)";

static const char pooler_text[] = "Postgres is reached through a pooler that gives each transaction another session; "
				  "connect directly, or through one that pools whole sessions";

/* Connections of this thread, to notice two that share a backend. */
static _Thread_local struct mr_list connections;

/* Our wishes stand before the conninfo, which may override them, our needs after it. */
PGconn *mr_pg_start(const struct mr_pg *pg)
{
	const char *keys[] = {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
		"application_name", "dbname", "target_session_attrs", "client_encoding", NULL};
	char name[64] = "millrace ";
	strncat(name, pg->name, sizeof(name) - strlen(name) - 1);
	const char *values[] = {"1", "5", "2", "3", "10000", name, pg->conninfo, "read-write", "UTF8", NULL};
	return PQconnectStartParams(keys, values, 1);
}

/* connect_timeout of the conninfo (seconds), else five seconds. */
int64_t mr_pg_connect_us(PGconn *conn)
{
	int64_t us = CONNECT_US;
	PQconninfoOption *options = PQconninfo(conn);
	for (PQconninfoOption *o = options; o && o->keyword; o++) {
		if (strcmp(o->keyword, "connect_timeout") || !o->val)
			continue;
		long seconds = strtol(o->val, NULL, 10);
		if (seconds > 0 && seconds <= 3600)
			us = seconds * 1000000;
	}
	PQconninfoFree(options);
	return us;
}

static bool pooled(const struct mr_pg *pg)
{
	return PQbackendPID(pg->conn) != pg->backend;
}

/* Another live connection to the same database for which `fits` holds, or NULL. */
static struct mr_pg *find_other(const struct mr_pg *pg, bool (*fits)(const struct mr_pg *pg, const struct mr_pg *other))
{
	MR_LIST_FOR (e, &connections) {
		struct mr_pg *other = MR_CONTAINER(e, struct mr_pg, link);
		if (other != pg && !strcmp(other->conninfo, pg->conninfo) && fits(pg, other))
			return other;
	}
	return NULL;
}

static bool shares_backend(const struct mr_pg *pg, const struct mr_pg *other)
{
	return other->backend == pg->backend;
}

static bool was_accepted(const struct mr_pg *pg, const struct mr_pg *other)
{
	return other->state == MR_PG_READY;
}

static void refuse_pooler(struct mr_pg *pg)
{
	mr_pg_die(pg, MR_POSTGRES_UNAVAILABLE, "%s", pooler_text);
}

static void on_probe(struct mr_pg *probe, enum mr_pg_state state, const struct mr_error *err, void *arg)
{
	struct mr_pg *pg = arg;
	bool refused = state == MR_PG_DEAD && !strcmp(err->message, pooler_text);
	mr_pg_delete(&pg->probe);
	if (refused)
		refuse_pooler(pg);
	else
		mr_pg_become_ready(pg); /* also when the pooler has no second session to give: that is for others to meet */
}

static void accept_pooled(struct mr_pg *pg)
{
	struct mr_pg *other = find_other(pg, shares_backend);
	if (other) {
		refuse_pooler(pg);
		refuse_pooler(other);
	} else if (pg->cb == on_probe || find_other(pg, was_accepted)) {
		mr_pg_become_ready(pg);
	} else {
		mr_timer_stop(pg->deadline); /* the probe has its own */
		pg->probe = mr_pg_open(pg->loop, pg->conninfo, "probe", on_probe, pg);
	}
}

static void refuse_result(struct mr_pg *pg, const struct mr_pg_result *r)
{
	struct mr_error err;
	mr_pg_error(r, &err);
	mr_pg_die(pg, MR_POSTGRES_UNAVAILABLE, "cannot use the connection: %s", err.message);
}

static void on_again(const struct mr_pg_result *r, void *arg)
{
	struct mr_pg *pg = arg;
	if (pg->state == MR_PG_DEAD)
		return;
	if (!mr_pg_ok(r)) {
		refuse_result(pg, r);
		return;
	}
	if (mr_pg_int(r, 0, 0) != pg->backend || !mr_str_is(mr_pg_value(r, 0, 1), pg->mark))
		refuse_pooler(pg);
	else if (pooled(pg))
		accept_pooled(pg);
	else
		mr_pg_become_ready(pg);
}

static void on_check(const struct mr_pg_result *r, void *arg)
{
	struct mr_pg *pg = arg;
	if (pg->state == MR_PG_DEAD)
		return;
	if (!mr_pg_ok(r))
		refuse_result(pg, r);
	else if (PQserverVersion(pg->conn) < OLDEST_SERVER)
		mr_pg_die(pg, MR_POSTGRES_UNAVAILABLE, "Postgres 14 or newer is needed, this is %d", PQserverVersion(pg->conn) / 10000);
	else if (mr_str_is(mr_pg_value(r, 0, 0), "t"))
		mr_pg_die(pg, MR_POSTGRES_UNAVAILABLE, "this Postgres is a standby; the primary is needed");
	else
		pg->backend = (int)mr_pg_int(r, 0, 1);
}

void mr_pg_check(struct mr_pg *pg)
{
	if (!connections.next)
		mr_list_init(&connections);
	mr_list_add_tail(&connections, &pg->link);
	uint64_t random;
	mr_random(&random, sizeof(random));
	snprintf(pg->mark, sizeof(pg->mark), "%016" PRIx64, random);
	struct mr_str param = mr_str(pg->mark);
	mr_pg_send_query(pg, MR_PG_ONCE, check_sql, 1, &param, on_check, pg);
	mr_pg_sync(pg);
	mr_pg_send_query(pg, MR_PG_ONCE, again_sql, 0, NULL, on_again, pg);
	mr_pg_sync(pg);
}
