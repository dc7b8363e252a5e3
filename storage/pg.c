/* A connection: its life, and the queue of what was sent and is not answered yet. */
#include "pg_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proto/ground/log.h"

/* Distinct texts prepared on one connection; when there are more and it is idle, all are dropped at once. */
enum { STATEMENTS_MAX = 800, PARAMS_MAX = 65535 };

static void on_ready_fd(void *arg, int events);

/* ---- references ---- */

static void free_statement(struct mr_pg_statement *s)
{
	if (s && --s->refs == 0) {
		free((char *)s->sql.p);
		free(s);
	}
}

static void free_entry(struct mr_pg_entry *e)
{
	free_statement(e->statement);
	PQclear(e->failure);
	free(e);
}

void mr_pg_unref(struct mr_pg *pg)
{
	if (--pg->refs)
		return;
	free(pg->conninfo);
	free(pg->name);
	free(pg->values);
	mr_buf_fini(&pg->scratch);
	free(pg);
}

static struct mr_pg_entry *pop(struct mr_pg *pg)
{
	struct mr_pg_entry *e = pg->head;
	pg->head = e->next;
	if (!pg->head)
		pg->tail = &pg->head;
	if (e->kind == MR_PG_QUERY)
		pg->outstanding--;
	return e;
}

static struct mr_pg_entry *push(struct mr_pg *pg, enum mr_pg_entry_kind kind, struct mr_pg_statement *statement)
{
	struct mr_pg_entry *e = mr_alloc(sizeof(*e));
	e->kind = kind;
	e->statement = statement;
	if (statement)
		statement->refs++;
	if (kind == MR_PG_QUERY)
		pg->outstanding++;
	*pg->tail = e;
	pg->tail = &e->next;
	return e;
}

static void forget_statements(struct mr_pg *pg)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&pg->statements, &i, &key, &value);) {
		mr_map_del(&pg->statements, key);
		free_statement(value);
	}
}

static void forget_statement(struct mr_pg *pg, struct mr_pg_statement *s)
{
	if (mr_map_get(&pg->statements, s->sql) == s) {
		mr_map_del(&pg->statements, s->sql);
		free_statement(s);
	}
}

/* ---- the end ---- */

/* Closes what the kernel and libpq hold; what is outstanding stays in the queue. */
static void close_connection(struct mr_pg *pg)
{
	mr_pg_delete(&pg->probe);
	mr_watch_delete(&pg->watch);
	mr_timer_delete(&pg->deadline);
	mr_list_del(&pg->link);
	forget_statements(pg);
	mr_map_fini(&pg->statements);
	PQclear(pg->held);
	pg->held = NULL;
	if (pg->conn) {
		PQfinish(pg->conn);
		pg->conn = NULL;
	}
}

/* Answers all that is outstanding, then tells the owner. */
static void answer_the_dead(void *arg)
{
	struct mr_pg *pg = arg;
	pg->ending = false;
	struct mr_pg_result lost = {.sqlstate = "08000", .message = pg->why.message};
	while (!pg->deleted && pg->head) {
		struct mr_pg_entry *e = pop(pg);
		if (e->cb)
			e->cb(&lost, e->arg);
		free_entry(e);
	}
	if (!pg->deleted && !pg->told) {
		pg->told = true;
		pg->cb(pg, MR_PG_DEAD, &pg->why, pg->arg);
	}
	mr_pg_unref(pg);
}

static void end_later(struct mr_pg *pg)
{
	if (pg->ending)
		return;
	pg->ending = true;
	pg->refs++;
	mr_defer(pg->loop, answer_the_dead, pg);
}

void mr_pg_die(struct mr_pg *pg, enum mr_code code, const char *fmt, ...)
{
	if (pg->state == MR_PG_DEAD || pg->deleted)
		return;
	char text[sizeof(pg->why.message)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mr_pg_one_line(text, sizeof(text), text);
	mr_fail(&pg->why, code, "%s", text);
	pg->why.foreign = true;
	pg->state = MR_PG_DEAD;
	close_connection(pg);
	end_later(pg);
}

static void die_of_libpq(struct mr_pg *pg, const char *what)
{
	char reason[512];
	snprintf(reason, sizeof(reason), "%s", PQerrorMessage(pg->conn));
	mr_pg_die(pg, MR_POSTGRES_UNAVAILABLE, "%s: %s", what, *reason ? reason : "connection lost");
}

void mr_pg_delete(struct mr_pg **pgp)
{
	struct mr_pg *pg = *pgp;
	*pgp = NULL;
	if (!pg)
		return;
	pg->deleted = true;
	pg->state = MR_PG_DEAD;
	close_connection(pg);
	while (pg->head)
		free_entry(pop(pg));
	mr_pg_unref(pg);
}

/* ---- connecting ---- */

static void watch(struct mr_pg *pg, int events)
{
	if (!pg->watch)
		pg->watch = mr_watch_new(pg->loop, PQsocket(pg->conn), events, on_ready_fd, pg);
	else if (pg->events != events)
		mr_watch_set(pg->watch, events);
	pg->events = events;
}

static void on_deadline(void *arg)
{
	mr_pg_die(arg, MR_POSTGRES_UNAVAILABLE, "Postgres did not answer in time while connecting");
}

/* The warning of a given up wait has no SQLSTATE of its own and a text in the server's language; only its place in the server's source
 * tells it. It comes before the answer to COMMIT. */
static void on_notice(void *arg, const PGresult *res)
{
	struct mr_pg *pg = arg;
	const char *from = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
	char line[512];
	mr_pg_one_line(line, sizeof(line), PQresultErrorMessage(res));
	pg->unreplicated |= from && !strcmp(from, "SyncRepWaitForLSN");
	mr_log(pg->unreplicated ? MR_WARN : MR_DEBUG, "%s: Postgres says: %s", pg->name, line);
}

static void connected(struct mr_pg *pg)
{
	if (PQsetnonblocking(pg->conn, 1) || !PQenterPipelineMode(pg->conn)) {
		die_of_libpq(pg, "cannot use the connection");
		return;
	}
	pg->connecting = false;
	watch(pg, MR_READ);
	mr_pg_check(pg);
}

/* The socket may be another one after each poll (several hosts, TLS refused), under the same number: so the watch is made anew. */
static void poll_connect(struct mr_pg *pg)
{
	mr_watch_delete(&pg->watch);
	switch (PQconnectPoll(pg->conn)) {
	case PGRES_POLLING_READING:
		watch(pg, MR_READ);
		break;
	case PGRES_POLLING_WRITING:
		watch(pg, MR_WRITE);
		break;
	case PGRES_POLLING_OK:
		connected(pg);
		break;
	default:
		die_of_libpq(pg, "cannot connect");
	}
}

struct mr_pg *mr_pg_open(struct mr_loop *loop, const char *conninfo, const char *name, mr_pg_state_cb *cb, void *arg)
{
	struct mr_pg *pg = mr_alloc(sizeof(*pg));
	pg->refs = 1;
	pg->loop = loop;
	pg->conninfo = mr_strdup(conninfo);
	pg->name = mr_strdup(name);
	pg->cb = cb;
	pg->arg = arg;
	pg->tail = &pg->head;
	pg->state = MR_PG_CONNECTING;
	mr_list_init(&pg->link);
	pg->conn = mr_pg_start(pg);
	if (!pg->conn) {
		mr_pg_die(pg, MR_POSTGRES_UNAVAILABLE, "out of memory in libpq");
	} else if (PQstatus(pg->conn) == CONNECTION_BAD) {
		die_of_libpq(pg, "cannot connect");
	} else {
		pg->connecting = true;
		PQsetNoticeReceiver(pg->conn, on_notice, pg);
		pg->deadline = mr_timer_new(loop, on_deadline, pg);
		mr_timer_start(pg->deadline, mr_pg_connect_us(pg->conn));
		watch(pg, MR_WRITE);
	}
	return pg;
}

void mr_pg_become_ready(struct mr_pg *pg)
{
	mr_timer_delete(&pg->deadline);
	pg->state = MR_PG_READY;
	pg->cb(pg, MR_PG_READY, NULL, pg->arg);
}

/* ---- reading ---- */

/* A statement whose plan no longer fits its table is prepared anew the next time. */
static void learn_from(struct mr_pg *pg, struct mr_pg_entry *e, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	if (e->statement && state && (!strcmp(state, "0A000") || !strcmp(state, "26000")))
		forget_statement(pg, e->statement);
}

static void answer_prepare(struct mr_pg *pg, PGresult *res)
{
	struct mr_pg_entry *e = pop(pg);
	MR_ASSERT(pg->head && pg->head->kind == MR_PG_QUERY);
	if (PQresultStatus(res) == PGRES_COMMAND_OK) {
		e->statement->ready = true;
		PQclear(res);
	} else {
		forget_statement(pg, e->statement);
		if (PQresultStatus(res) == PGRES_PIPELINE_ABORTED)
			PQclear(res);
		else
			pg->head->failure = res;
	}
	free_entry(e);
}

static void answer_query(struct mr_pg *pg, PGresult *res)
{
	struct mr_pg_entry *e = pop(pg);
	pg->answered++;
	if (e->failure) {
		PQclear(res);
		res = e->failure;
		e->failure = NULL;
	}
	if (!mr_pg_res_ok(res)) {
		mr_pg_log_result(pg, res);
		learn_from(pg, e, res);
	}
	mr_pg_weigh(pg, res);
	struct mr_pg_result result = {.res = res, .unreplicated = pg->unreplicated};
	pg->unreplicated = false;
	mr_pg_result_cb *cb = e->cb;
	void *arg = e->arg;
	free_entry(e);
	if (cb)
		cb(&result, arg);
	PQclear(res);
}

static bool copies(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);
	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

static void take(struct mr_pg *pg, PGresult *res)
{
	if (copies(res)) {
		PQclear(res);
		mr_pg_die(pg, MR_SQL_REFUSED, "COPY is not possible here");
	} else if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
		MR_ASSERT(pg->head->kind == MR_PG_SYNC);
		free_entry(pop(pg));
		PQclear(res);
	} else if (pg->head->kind == MR_PG_SYNC) {
		/* libpq's word that the connection broke, said to whatever is next in line. */
		mr_pg_die(pg, MR_POSTGRES_UNAVAILABLE, "connection to Postgres lost: %s", PQresultErrorMessage(res));
		PQclear(res);
	} else if (pg->head->kind == MR_PG_PREPARE) {
		answer_prepare(pg, res);
	} else if (PQresultStatus(res) == PGRES_SINGLE_TUPLE) {
		mr_pg_answer_row(pg, res);
	} else if (pg->stopping) {
		pg->held = res;
	} else {
		MR_ASSERT(pg->head->kind == MR_PG_QUERY);
		answer_query(pg, res);
	}
}

bool mr_pg_is_settled(const struct mr_pg *pg)
{
	return !pg->head && !pg->cancels;
}

void mr_pg_settle(struct mr_pg *pg, mr_call_cb *cb, void *arg)
{
	MR_ASSERT(!mr_pg_is_settled(pg) && !pg->on_settled);
	pg->on_settled = cb;
	pg->settled_arg = arg;
}

void mr_pg_maybe_settled(struct mr_pg *pg)
{
	if (pg->state == MR_PG_DEAD || !mr_pg_is_settled(pg) || !pg->on_settled)
		return;
	mr_call_cb *cb = pg->on_settled;
	pg->on_settled = NULL;
	cb(pg->settled_arg);
}

/* libpq gives each statement's result, then NULL; a second NULL in a row means that there is nothing to take. */
static void take_results(struct mr_pg *pg)
{
	for (int nulls = 0; pg->state != MR_PG_DEAD && pg->head && !pg->held && nulls < 2;) {
		mr_pg_arm(pg);
		if (PQisBusy(pg->conn))
			break;
		PGresult *res = PQgetResult(pg->conn);
		nulls = res ? 0 : nulls + 1;
		if (res)
			take(pg, res);
	}
	mr_pg_maybe_settled(pg);
	if (pg->state != MR_PG_DEAD && !pg->head)
		(void)PQisBusy(pg->conn); /* parses notices and parameter changes that came unasked */
}

/* ---- writing ---- */

static void flush(struct mr_pg *pg)
{
	int left = PQflush(pg->conn);
	if (left < 0 && PQsocket(pg->conn) < 0) {
		/* Found by writing once more than there was somebody to read: nothing will wake a reader. */
		die_of_libpq(pg, "connection to Postgres lost");
		return;
	}
	if (left < 0) {
		/* What Postgres said last may be waiting to be read (terminated, shutting down): the reader will find the end. */
		watch(pg, MR_READ);
		return;
	}
	watch(pg, left ? MR_READ | MR_WRITE : MR_READ);
}

static void on_ready_fd(void *arg, int events)
{
	struct mr_pg *pg = arg;
	if (pg->state == MR_PG_DEAD)
		return;
	pg->refs++;
	if (pg->connecting) {
		poll_connect(pg);
	} else {
		bool alive = PQconsumeInput(pg->conn);
		take_results(pg);
		if (pg->state != MR_PG_DEAD && (!alive || PQstatus(pg->conn) == CONNECTION_BAD))
			die_of_libpq(pg, "connection to Postgres lost");
		if (pg->state != MR_PG_DEAD)
			mr_pg_stop_unwanted(pg);
		if (pg->state != MR_PG_DEAD)
			flush(pg);
	}
	mr_pg_unref(pg);
}

void mr_pg_stopped(struct mr_pg *pg)
{
	PGresult *end = pg->held;
	pg->held = NULL;
	pg->stopping = false;
	pg->refs++;
	if (end)
		take(pg, end);
	if (pg->state != MR_PG_DEAD)
		take_results(pg);
	mr_pg_unref(pg);
}

static void *send_failed(struct mr_pg *pg)
{
	/* Nothing that we send can be wrong in itself: it is the connection, or memory. */
	die_of_libpq(pg, "cannot send to Postgres");
	return NULL;
}

static const char *const *copy_params(struct mr_pg *pg, int n, const struct mr_str *params)
{
	if ((size_t)n > pg->values_cap) {
		pg->values_cap = (size_t)n;
		pg->values = mr_realloc(pg->values, pg->values_cap * sizeof(*pg->values));
	}
	size_t bytes = 0;
	for (int i = 0; i < n; i++)
		bytes += params[i].n + 1;
	mr_buf_reset(&pg->scratch);
	char *to = mr_buf_room(&pg->scratch, bytes + 1);
	for (int i = 0; i < n; i++) {
		pg->values[i] = params[i].p ? to : NULL;
		if (!params[i].p)
			continue;
		memcpy(to, params[i].p, params[i].n);
		/* Text of Postgres holds no NUL and a parameter would end there: a byte that is no UTF-8 makes it refuse the value. */
		for (char *nul = to; (nul = memchr(nul, 0, (size_t)(to + params[i].n - nul)));)
			*nul = (char)0xff;
		to[params[i].n] = 0;
		to += params[i].n + 1;
	}
	return pg->values;
}

static struct mr_pg_statement *new_statement(struct mr_pg *pg, const char *sql)
{
	struct mr_pg_statement *s = mr_alloc(sizeof(*s));
	s->refs = 1;
	s->segment = pg->segment;
	s->sql = (struct mr_str){mr_strdup(sql), strlen(sql)};
	snprintf(s->name, sizeof(s->name), "m%u", ++pg->names);
	return s;
}

static bool idle(const struct mr_pg *pg)
{
	return !pg->head && PQtransactionStatus(pg->conn) == PQTRANS_IDLE;
}

/* In a pipeline of its own: it takes a snapshot, and BEGIN may follow. */
static bool drop_all_statements(struct mr_pg *pg)
{
	forget_statements(pg);
	if (!PQsendQueryParams(pg->conn, "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 0))
		return false;
	push(pg, MR_PG_QUERY, NULL);
	mr_pg_sync(pg);
	return pg->state != MR_PG_DEAD;
}

/* The prepared statement for a text, sending its preparation when it is new; NULL: send the text itself. */
static struct mr_pg_statement *statement_for(struct mr_pg *pg, const char *sql)
{
	struct mr_pg_statement *s = mr_map_get(&pg->statements, mr_str(sql));
	if (s)
		return s->ready || s->segment == pg->segment ? s : NULL;
	if (pg->statements.n >= STATEMENTS_MAX) {
		if (!idle(pg))
			return NULL;
		if (!drop_all_statements(pg))
			return send_failed(pg);
	}
	s = new_statement(pg, sql);
	if (!PQsendPrepare(pg->conn, s->name, sql, 0, NULL)) {
		free_statement(s);
		return send_failed(pg);
	}
	push(pg, MR_PG_PREPARE, s);
	mr_map_put(&pg->statements, s->sql, s);
	return s;
}

struct mr_pg_entry *mr_pg_send_query(
	struct mr_pg *pg, int flags, const char *sql, int n, const struct mr_str *params, mr_pg_result_cb *cb, void *arg)
{
	struct mr_pg_statement *s = NULL;
	if (n > PARAMS_MAX) {
		sql = "more than 65535 parameters"; /* refused as a syntax error, in its turn */
		n = 0;
		flags |= MR_PG_ONCE;
	}
	if (pg->state != MR_PG_DEAD && !(flags & MR_PG_ONCE))
		s = statement_for(pg, sql);
	if (pg->state != MR_PG_DEAD) {
		const char *const *values = copy_params(pg, n, params);
		if (!(s ? PQsendQueryPrepared(pg->conn, s->name, n, values, NULL, NULL, 0)
			: PQsendQueryParams(pg->conn, sql, n, NULL, values, NULL, NULL, 0)))
			send_failed(pg);
	}
	struct mr_pg_entry *e = push(pg, MR_PG_QUERY, pg->state == MR_PG_DEAD ? NULL : s);
	e->cb = cb;
	e->arg = arg;
	if (pg->state == MR_PG_DEAD)
		end_later(pg);
	return e;
}

void mr_pg_query(struct mr_pg *pg, int flags, const char *sql, int n, const struct mr_str *params, mr_pg_result_cb *cb, void *arg)
{
	MR_ASSERT(pg->state != MR_PG_CONNECTING && !pg->deleted);
	mr_pg_send_query(pg, flags, sql, n, params, cb, arg);
}

void mr_pg_abandon(struct mr_pg *pg)
{
	mr_pg_die(pg, MR_POSTGRES_UNAVAILABLE, "Postgres said nothing for too long");
}

#ifdef MR_FAULTS
void mr_pg_cut(struct mr_pg *pg)
{
	if (pg->state != MR_PG_DEAD)
		shutdown(PQsocket(pg->conn), SHUT_RDWR);
}
#endif

void mr_pg_sync(struct mr_pg *pg)
{
	if (pg->state == MR_PG_DEAD)
		return;
	if (!PQpipelineSync(pg->conn)) {
		send_failed(pg);
		return;
	}
	push(pg, MR_PG_SYNC, NULL);
	pg->segment++;
	flush(pg);
}

void mr_pg_flush(struct mr_pg *pg)
{
	if (pg->state == MR_PG_DEAD)
		return;
	if (!PQsendFlushRequest(pg->conn)) {
		send_failed(pg);
		return;
	}
	flush(pg);
}

/* ---- observers ---- */

enum mr_pg_state mr_pg_state(const struct mr_pg *pg)
{
	return pg->state;
}

int mr_pg_backend_pid(const struct mr_pg *pg)
{
	return pg->backend;
}

int mr_pg_outstanding(const struct mr_pg *pg)
{
	return pg->outstanding;
}

bool mr_pg_idle(const struct mr_pg *pg)
{
	return pg->state == MR_PG_READY && idle(pg);
}
