#include "floor.h"

#include <stdio.h>
#include <string.h>

#include "line.h"

static const char tick_sql[] =
	"select s, pg_snapshot_xmax(s), l.seq, l.xid, l.tag, l.token, l.changes from (select pg_current_snapshot() s) one"
	" left join millrace.change_log l on l.xid >= $1::xid8";
static const char tick_setup_sql[] =
	"set enable_seqscan = off; set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan; set jit = off";

static void check(const PGconn *pg, PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		mr_bench_die("%s", PQerrorMessage(pg));
	PQclear(r);
}

static void run(PGconn *pg, const char *sql)
{
	check(pg, PQexec(pg, sql));
}

static PGconn *open_one(const char *conninfo)
{
	PGconn *pg = PQconnectdb(conninfo);
	if (PQstatus(pg) != CONNECTION_OK)
		mr_bench_die("%s", PQerrorMessage(pg));
	run(pg, "set client_min_messages = warning");
	return pg;
}

void mr_floor_open_tick(struct pg_floor *f, const char *conninfo)
{
	f->tick = open_one(conninfo);
	run(f->tick, tick_setup_sql);
	check(f->tick, PQprepare(f->tick, "tick", tick_sql, 0, NULL));
	PGresult *r = PQexec(f->tick, "select pg_snapshot_xmax(pg_current_snapshot())");
	snprintf(f->xmax, sizeof f->xmax, "%s", PQgetvalue(r, 0, 0));
	check(f->tick, r);
}

void mr_floor_open(struct pg_floor *f, const char *conninfo)
{
	f->bare = open_one(conninfo);
	f->outside = open_one(conninfo);
	run(f->bare, "drop table if exists bench_bare; create table bench_bare (like \"Note\" including all)");
	check(f->bare, PQprepare(f->bare, "insert", "insert into bench_bare (channel, mark, body) values ($1, $2, $3)", 0, NULL));
	check(f->outside, PQprepare(f->outside, "insert", "insert into \"Note\" (channel, mark, body) values ($1, $2, $3)", 0, NULL));
	mr_floor_open_tick(f, conninfo);
}

void mr_floor_close(struct pg_floor *f)
{
	PQfinish(f->bare);
	PQfinish(f->tick);
	PQfinish(f->outside);
}

static void insert(PGconn *pg, const char *channel, int mark, const char *body)
{
	char number[16];
	snprintf(number, sizeof number, "%d", mark);
	run(pg, "begin");
	check(pg, PQexecPrepared(pg, "insert", 3, (const char *[]){channel, number, body}, NULL, NULL, 0));
}

double mr_floor_commit(struct pg_floor *f, const char *channel, int mark, const char *body)
{
	insert(f->bare, channel, mark, body);
	double began = mr_bench_now();
	run(f->bare, "commit");
	return mr_bench_now() - began;
}

double mr_floor_tick(struct pg_floor *f)
{
	double began = mr_bench_now();
	PGresult *r = PQexecPrepared(f->tick, "tick", 1, (const char *[]){f->xmax}, NULL, NULL, 0);
	double took = mr_bench_now() - began;
	if (PQresultStatus(r) == PGRES_TUPLES_OK)
		snprintf(f->xmax, sizeof f->xmax, "%s", PQgetvalue(r, 0, 1));
	check(f->tick, r);
	return took;
}

void mr_outside_insert(struct pg_floor *f, const char *channel, int mark, const char *body)
{
	insert(f->outside, channel, mark, body);
}

void mr_outside_commit(struct pg_floor *f)
{
	if (!PQsendQuery(f->outside, "commit"))
		mr_bench_die("%s", PQerrorMessage(f->outside));
}

bool mr_outside_acknowledged(struct pg_floor *f)
{
	if (!PQconsumeInput(f->outside))
		mr_bench_die("%s", PQerrorMessage(f->outside));
	if (PQisBusy(f->outside))
		return false;
	for (PGresult *r; (r = PQgetResult(f->outside));) {
		if (strcmp(PQcmdStatus(r), "COMMIT") != 0)
			mr_bench_die("COMMIT was answered by %s", PQcmdStatus(r));
		check(f->outside, r);
	}
	return true;
}
