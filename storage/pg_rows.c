/* Results whose rows are given as they arrive. libpq's single rows cost less than a result of all of them, whose pages have to be found
 * first; what is more, nothing is held of an answer that is larger than anybody wants. */
#include "pg_private.h"
#include "proto/ground/log.h"

/* Of rows that nobody wants: so many turns of them (some 16 kB each) are read to their end, for that costs less than a cancel. */
enum { UNWANTED_TURNS = 8 };

void mr_pg_arm(struct mr_pg *pg)
{
	struct mr_pg_entry *e = pg->head;
	/* Refused until libpq itself has come to this statement, before any of its answer is read. */
	if (e->row && !e->armed)
		e->armed = PQsetSingleRowMode(pg->conn);
}

void mr_pg_answer_row(struct mr_pg *pg, PGresult *row)
{
	struct mr_pg_entry *e = pg->head;
	MR_ASSERT(e->row);
	const struct mr_pg_result result = {.res = row};
	mr_pg_weigh(pg, row);
	if (!e->unwanted)
		e->unwanted = !e->row(&result, e->arg);
	PQclear(row);
}

void mr_pg_stop_unwanted(struct mr_pg *pg)
{
	struct mr_pg_entry *e = pg->head;
	if (!e || !e->unwanted || pg->stopping || e->turns++ < UNWANTED_TURNS << MR_MIN(e->stops, 10))
		return;
	/* A cancel that found no connection is tried again, later each time. */
	e->turns = 0;
	e->stops++;
	mr_pg_stop(pg);
}

void mr_pg_stream(
	struct mr_pg *pg, int flags, const char *sql, int n, const struct mr_str *params, mr_pg_row_cb *row, mr_pg_result_cb *cb, void *arg)
{
	MR_ASSERT(pg->state != MR_PG_CONNECTING && !pg->deleted);
	mr_pg_send_query(pg, flags, sql, n, params, cb, arg)->row = row;
}
