/* What the files of the connection share. For pg*.c only. */
#ifndef MR_PG_PRIVATE_H
#define MR_PG_PRIVATE_H

#include <libpq-fe.h>

#include "pg.h"
#include "proto/ground/hash.h"
#include "proto/ground/list.h"

/* One of two: a result of Postgres, or an error of our own (res NULL). */
struct mr_pg_result {
	PGresult *res;
	bool unreplicated;
	const char *sqlstate, *message;
};

/* A statement prepared on the connection, found by its text. Named afresh for each preparation, so that a name never stands for two texts.
 */
struct mr_pg_statement {
	int refs;         /* the map, and entries in the queue */
	bool ready;       /* Postgres has answered its preparation */
	unsigned segment; /* the pipeline it was prepared in: only there may it be used before it is ready */
	char name[16];
	struct mr_str sql;
};

enum mr_pg_entry_kind { MR_PG_PREPARE, MR_PG_QUERY, MR_PG_SYNC };

/* What libpq owes us an answer for, in the order sent. A preparation is always followed by the query that asked for it. */
struct mr_pg_entry {
	struct mr_pg_entry *next;
	enum mr_pg_entry_kind kind;
	struct mr_pg_statement *statement; /* or NULL */
	PGresult *failure;                 /* of its preparation */
	mr_pg_row_cb *row;                 /* rows are given one by one; or NULL */
	mr_pg_result_cb *cb;
	void *arg;
	bool armed;    /* libpq gives them so */
	bool unwanted; /* rows that still come are dropped */
	int turns;     /* for which they came, since the last of so many cancels */
	int stops;
};

struct mr_pg {
	struct mr_list link; /* among the connections of this thread */
	int refs;            /* the owner, deferred calls, and the reader while it runs callbacks */
	bool deleted;
	bool connecting; /* PQconnectPoll has not finished */
	bool ending;     /* a deferred call will answer what is outstanding */
	enum mr_pg_state state;
	bool told; /* the owner knows that it is dead */
	struct mr_loop *loop;
	char *conninfo, *name;
	mr_pg_state_cb *cb;
	void *arg;

	PGconn *conn;
	struct mr_watch *watch;
	int events;
	struct mr_timer *deadline; /* of connecting and checking */
	int backend;               /* pg_backend_pid() */
	char mark[17];             /* random, left in the session to find it again */
	struct mr_pg *probe;       /* opened to find out about a pooler */
	struct mr_error why;       /* it died */

	struct mr_pg_entry *head, **tail;
	int outstanding;        /* queries among the entries */
	int cancels;            /* sent, and not known to have come: they may hit whatever runs here */
	mr_call_cb *on_settled; /* once, when the queue is empty again and no cancel is under way */
	void *settled_arg;
	uint64_t answered; /* queries so far */
	bool unreplicated; /* said of what is answered next */
	bool swollen;      /* a result was so large that libpq's buffer, which never shrinks, is better given back with the connection */
	bool stopping;     /* rows are unwanted, and a cancel is under way to the statement at the head: its end waits for that one's */
	PGresult *held;    /* that end */
	struct mr_map statements;
	unsigned segment, names;
	struct mr_buf scratch; /* parameters, NUL-terminated */
	const char **values;
	size_t values_cap;
};

/* pg.c */
void mr_pg_unref(struct mr_pg *pg);
void mr_pg_die(struct mr_pg *pg, enum mr_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void mr_pg_become_ready(struct mr_pg *pg);
struct mr_pg_entry *mr_pg_send_query(
	struct mr_pg *pg, int flags, const char *sql, int n, const struct mr_str *params, mr_pg_result_cb *cb, void *arg);

/* Whether nothing of what was sent, end of the pipeline and cancels included, can still meet who has the connection next. */
bool mr_pg_is_settled(const struct mr_pg *pg);
/* Calls cb once when that is so, which it is not yet; not when the connection dies before. One at a time. */
void mr_pg_settle(struct mr_pg *pg, mr_call_cb *cb, void *arg);
void mr_pg_maybe_settled(struct mr_pg *pg);

/* pg_rows.c */
void mr_pg_arm(struct mr_pg *pg); /* before libpq reads what came: has it give the head's rows one by one, when they are to be */
void mr_pg_answer_row(struct mr_pg *pg, PGresult *row);
void mr_pg_stop_unwanted(struct mr_pg *pg); /* once a turn */

/* pg_cancel.c: as mr_pg_cancel, and nothing behind the statement at the head is answered before it is certain that the cancel hits nothing
 * but this; pg.c: it is. */
void mr_pg_stop(struct mr_pg *pg);
void mr_pg_stopped(struct mr_pg *pg);

/* pg_check.c: starts the connection with our parameters over the conninfo; NULL when out of memory. */
PGconn *mr_pg_start(const struct mr_pg *pg);
int64_t mr_pg_connect_us(PGconn *conn);
void mr_pg_check(struct mr_pg *pg); /* ends in mr_pg_become_ready or mr_pg_die */

/* pg_result.c */
void mr_pg_weigh(struct mr_pg *pg, const PGresult *res);
void mr_pg_log_result(const struct mr_pg *pg, const PGresult *res);
bool mr_pg_res_ok(const PGresult *res);
enum mr_code mr_pg_code(const char *sqlstate);
void mr_pg_one_line(char *to, size_t size, const char *text);

#endif
