/* Postgres without Millrace: what a commit and a tick's statement cost by themselves, and the writer from outside. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <libpq-fe.h>
#include <stdbool.h>

struct pg_floor {
	PGconn *bare, *tick, *outside;
	char xmax[24]; /* of the last tick's snapshot */
};
/* The connection for ticks alone. */
void mr_floor_open_tick(struct pg_floor *f, const char *conninfo);
void mr_floor_open(struct pg_floor *f, const char *conninfo);
void mr_floor_close(struct pg_floor *f);
/* Inserts a row into a table like Note without triggers; gives the time that its COMMIT took, in microseconds. */
double mr_floor_commit(struct pg_floor *f, const char *channel, int mark, const char *body);
/* One statement that asks for the snapshot and for the log's rows that are new in it, and its time. */
double mr_floor_tick(struct pg_floor *f);

/* A row of Note by a transaction of another program: all but its COMMIT, which is sent and not waited for. */
void mr_outside_insert(struct pg_floor *f, const char *channel, int mark, const char *body);
void mr_outside_commit(struct pg_floor *f);
/* Reads what is there; true: the COMMIT is acknowledged. */
bool mr_outside_acknowledged(struct pg_floor *f);

#endif
