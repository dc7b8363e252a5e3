/* Plans: the order of a plan, its refusals, settings of the triggers, retention. */
#include "install_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Held by whoever stores settings, and by the transaction of a plan (install_apply.c). */
#define INSTALL_LOCK "select pg_advisory_xact_lock(7838371846531)"

/* ---- drafts ---- */

void mr_draft_refuse(struct mr_draft *d, struct mr_str entity, struct mr_str field, const char *fmt, ...)
{
	struct mr_buf name = {0};
	mr_buf_printf(&name, "%.*s%s%.*s", (int)entity.n, entity.p, field.n ? "." : "", (int)field.n, field.p);
	if (d->refusals++ == 0) {
		va_list ap;
		va_start(ap, fmt);
		int n = snprintf(d->sentence, sizeof(d->sentence), "%s ", name.p);
		vsnprintf(d->sentence + MR_MIN(n, 200), sizeof(d->sentence) - (size_t)MR_MIN(n, 200), fmt, ap);
		va_end(ap);
	}
	/* The data of an error is short: what does not fit is counted by the message. */
	if (d->refused.n + name.n + 40 < sizeof(((struct mr_error *)0)->data)) {
		mr_buf_char(&d->refused, d->refused.n ? ',' : '[');
		mr_json_quote(&d->refused, mr_buf_view(&name));
	}
	mr_buf_fini(&name);
}

PGresult *mr_draft_ask(struct mr_draft *d, const char *sql, int n, const char *const *params)
{
	return mr_sync_query(d->conn, d->err, sql, n, params);
}

bool mr_draft_asks(struct mr_draft *d, struct mr_buf *sql, bool *answer)
{
	bool ok = mr_sync_asks(d->conn, d->err, sql->p, answer);
	mr_buf_fini(sql);
	return ok;
}

bool mr_draft_any(struct mr_draft *d, const struct mr_entity *e, struct mr_buf *rest, bool *answer)
{
	struct mr_buf sql = {0};
	mr_buf_z(&sql, "select exists (select from ");
	mr_sql_table(&sql, e);
	if (rest) {
		mr_buf_char(&sql, ' ');
		mr_buf_str(&sql, mr_buf_view(rest));
		mr_buf_fini(rest);
	}
	mr_buf_char(&sql, ')');
	return mr_draft_asks(d, &sql, answer);
}

/* Rows that come and go elsewhere are not seen here. */
static const char *kind_of(char relkind)
{
	return relkind == 'v' ? ", but a view" : relkind == 'm' ? ", but a materialized view" : relkind == 'f' ? ", but a foreign one" : "";
}

static bool find_table(struct mr_draft *d, struct mr_draft_table *t)
{
	const char *params[] = {t->entity->schema.p, t->entity->table.p};
	PGresult *res = mr_draft_ask(d,
		"select c.oid, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname "
		"= $2",
		2, params);
	if (!res)
		return false;
	if (PQntuples(res)) {
		snprintf(t->oid, sizeof(t->oid), "%s", PQgetvalue(res, 0, 0));
		t->partitioned = PQgetvalue(res, 0, 1)[0] == 'p';
		if (!strchr("rp", PQgetvalue(res, 0, 1)[0]))
			mr_draft_refuse(d, t->entity->name, MR_STR(""), "cannot be installed: \"%s\".\"%s\" exists and is not a table%s",
				t->entity->schema.p, t->entity->table.p, kind_of(PQgetvalue(res, 0, 1)[0]));
	}
	PQclear(res);
	if (!*t->oid || d->refusals)
		return true;
	return mr_draft_any(d, t->entity, NULL, &t->rows);
}

static void refuse_shared_tables(struct mr_draft *d)
{
	for (size_t i = 0; i < d->app->n_entities; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct mr_entity *a = &d->app->entities[k], *b = &d->app->entities[i];
			if (mr_str_eq(a->schema, b->schema) && mr_str_eq(a->table, b->table))
				mr_draft_refuse(d, b->name, MR_STR(""), "cannot be installed: its table \"%s\" is that of %s too",
					b->table.p, a->name.p);
		}
	}
}

/* What is on screen from this table is read anew once the plan is committed. */
static void mark(struct mr_draft *d, const struct mr_entity *e)
{
	mr_buf_z(&d->marks, "select millrace.mark_bulk(");
	mr_sql_literal(&d->marks, e->name);
	mr_buf_z(&d->marks, ");\n");
}

static bool draft_adopted(struct mr_draft *d, struct mr_draft_table *t)
{
	int before = d->refusals;
	if (!mr_draft_adopted_table(d, t) || d->refusals > before)
		return d->refusals > before;
	if (!mr_draft_adopted_key(d, t) || !mr_draft_adopted_columns(d, t))
		return false;
	if (d->refusals > before)
		return true;
	size_t triggers = d->triggers.n;
	mr_buf_printf(&d->triggers, "-- \"%s\".\"%s\" is adopted as %s: it gets the triggers that see its changes, and stays as it is.\n",
		t->entity->schema.p, t->entity->table.p, t->entity->name.p);
	size_t said = d->triggers.n;
	if (!mr_draft_adopted_rest(d, t) || !mr_draft_triggers(d, t))
		return false;
	if (d->triggers.n == said) {
		d->triggers.n = triggers;
		d->triggers.p[triggers] = 0;
		return true;
	}
	mark(d, t->entity);
	return mr_draft_adopted_owner(d, t);
}

static bool draft_entity(struct mr_draft *d, const struct mr_entity *e)
{
	struct mr_draft_table t = {.entity = e};
	int before = d->refusals;
	if (!find_table(d, &t))
		return false;
	if (d->refusals > before)
		return true;
	if (e->adopted)
		return draft_adopted(d, &t);
	if (!mr_draft_columns(d, &t))
		return false;
	if (t.unlike)
		return true;
	if (!mr_draft_keys(d, &t) || !mr_draft_checks(d, &t) || !mr_draft_triggers(d, &t))
		return false;
	if (*t.oid && t.changed)
		mark(d, e);
	return true;
}

/* The version of the schema millrace in this database: 0 when there is none. */
static bool installed_version(PGconn *conn, struct mr_error *err, int *version)
{
	bool there = false;
	*version = 0;
	if (!mr_sync_asks(conn, err, "select to_regclass('millrace.setting') is not null", &there))
		return false;
	if (!there)
		return true;
	PGresult *res = mr_sync_query(conn, err, "select value from millrace.setting where key = 'version'", 0, NULL);
	if (res && PQntuples(res))
		*version = atoi(PQgetvalue(res, 0, 0));
	PQclear(res);
	return res != NULL;
}

/* As declared, against what was declared when they were last set. The last statement: it counts on all else. */
static bool draft_crons(struct mr_draft *d, int version)
{
	struct mr_str crons = d->app->crons;
	bool same = version == 0 && mr_str_is(crons, "[]");
	if (!crons.n || same)
		return true;
	if (version >= 4) {
		const char *params[] = {crons.p};
		PGresult *res = mr_draft_ask(d, "select from millrace.setting where key = 'crons' and value::jsonb = $1::jsonb", 1, params);
		if (!res)
			return false;
		same = PQntuples(res) > 0;
		PQclear(res);
	}
	if (same)
		return true;
	mr_buf_z(&d->marks, "select millrace.set_crons(");
	mr_sql_literal(&d->marks, crons);
	mr_buf_z(&d->marks, ");\n");
	return true;
}

static bool draft(struct mr_draft *d, struct mr_buf *sql)
{
	int version;
	if (!installed_version(d->conn, d->err, &version))
		return false;
	refuse_shared_tables(d);
	for (size_t i = 0; i < d->app->n_entities; i++) {
		if (!draft_entity(d, &d->app->entities[i]))
			return false;
	}
	if (!draft_crons(d, version))
		return false;
	if (d->refusals) {
		mr_buf_z(&d->refused, "]");
		struct mr_buf data = {0};
		mr_buf_printf(&data, "{\"refused\":%s}", d->refused.p);
		mr_fail_data(
			d->err, MR_CHECK_VIOLATION, data.p, "%s%s", d->sentence, d->refusals > 1 ? " (and more, see data.refused)" : "");
		mr_buf_fini(&data);
		return false;
	}
	if (version < MR_SCHEMA_VERSION) {
		mr_buf_z(sql, mr_sql_millrace);
		mr_buf_z(sql, mr_sql_scheduler);
		mr_buf_z(sql, mr_sql_crons);
		mr_buf_z(sql, mr_sql_sessions);
	}
	struct mr_buf *parts[] = {&d->tables, &d->constraints, &d->triggers, &d->marks, &d->later};
	for (size_t i = 0; i < MR_COUNT(parts); i++)
		mr_buf_str(sql, mr_buf_view(parts[i]));
	return true;
}

bool mr_install_plan(const char *conninfo, const struct mr_app *app, struct mr_buf *sql, struct mr_error *err)
{
	struct mr_draft d = {.app = app, .err = err, .conn = mr_sync_open(conninfo, err)};
	if (!d.conn)
		return false;
	/* One snapshot, so that a plan is not drawn up between two halves of somebody else's. */
	bool ok = mr_sync_run(d.conn, err, "begin isolation level repeatable read read only") && draft(&d, sql);
	PQfinish(d.conn);
	struct mr_buf *parts[] = {&d.tables, &d.constraints, &d.triggers, &d.marks, &d.later, &d.refused};
	for (size_t i = 0; i < MR_COUNT(parts); i++)
		mr_buf_fini(parts[i]);
	return ok;
}

/* ---- settings ---- */

/* Hours are kept in parts of one period each. An era begins with a new part; before its hour the past era's period holds. */
struct era {
	int64_t hour, part, period, past_hour, past_part, past_period;
};

/* A longer or shorter period begins behind the part that the next hour falls into; an era that is younger than one of its
 * own periods is left alone, since only one past era is known (the next start of the server tries again). */
static bool next_era(struct era *e, int64_t now, int64_t period)
{
	if (e->period == period)
		return false;
	if (now + 1 < e->hour) {
		e->period = period;
		return true;
	}
	if (now < e->hour + e->period)
		return false;
	int64_t parts = (now + 1 - e->hour) / e->period + 1;
	*e = (struct era){.hour = e->hour + parts * e->period,
		.part = (e->part + parts) % 4,
		.period = period,
		.past_hour = e->hour,
		.past_part = e->part,
		.past_period = e->period};
	return true;
}

static bool store_setting(PGconn *conn, struct mr_error *err, const char *key, const char *value)
{
	const char *params[] = {key, value};
	PGresult *res = mr_sync_query(conn, err,
		"insert into millrace.setting as s values ($1, $2) on conflict (key) do update set value = excluded.value "
		"where s.value <> excluded.value",
		2, params);
	PQclear(res);
	return res != NULL;
}

static bool store_number(PGconn *conn, struct mr_error *err, const char *key, int64_t value)
{
	char text[32];
	snprintf(text, sizeof(text), "%" PRId64, value);
	return store_setting(conn, err, key, text);
}

static bool store_period(PGconn *conn, struct mr_error *err, int period)
{
	PGresult *res =
		mr_sync_query(conn, err, "select millrace.this_hour(), (select value from millrace.setting where key = 'era')", 0, NULL);
	if (!res)
		return false;
	struct era e;
	int64_t now = atoll(PQgetvalue(res, 0, 0));
	int n = sscanf(PQgetvalue(res, 0, 1), "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, &e.hour, &e.part,
		&e.period, &e.past_hour, &e.past_part, &e.past_period);
	PQclear(res);
	if (n != 6 || e.period < 1 || e.past_period < 1)
		return mr_fail(err, MR_INTERNAL, "the row 'era' of millrace.setting is damaged");
	if (!next_era(&e, now, period))
		return true;
	char numbers[160], call[256];
	snprintf(numbers, sizeof(numbers), "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, e.hour, e.part, e.period,
		e.past_hour, e.past_part, e.past_period);
	snprintf(call, sizeof(call), "select millrace.set_period(%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ")",
		e.hour, e.part, e.period, e.past_hour, e.past_part, e.past_period);
	return store_setting(conn, err, "era", numbers) && mr_sync_run(conn, err, call);
}

bool mr_install_settings(const char *conninfo, int64_t capture_max_rows, int64_t capture_max_bytes, int log_retention,
	int64_t token_max_age_ms, struct mr_error *err)
{
	PGconn *conn = mr_sync_open(conninfo, err);
	if (!conn)
		return false;
	bool ok = mr_sync_run(conn, err, "begin; set local lock_timeout = '5s'; " INSTALL_LOCK) &&
		  store_number(conn, err, "capture_max_rows", capture_max_rows) &&
		  store_number(conn, err, "capture_max_bytes", capture_max_bytes) &&
		  store_number(conn, err, "auth_token_max_age", token_max_age_ms) &&
		  store_number(conn, err, "log_retention", log_retention) && store_period(conn, err, MR_MAX(log_retention, 1)) &&
		  mr_sync_run(conn, err, "commit");
	PQfinish(conn);
	return ok;
}

/* ---- retention ---- */

static bool judge(PGresult *res, struct mr_error *err)
{
	const char *said = PQntuples(res) ? PQgetvalue(res, 0, 0) : "";
	bool ok = !strcmp(said, "done") || !strcmp(said, "nothing");
	if (!ok)
		mr_fail(err, MR_CONFLICT, "the oldest part of the change log waits to be dropped: %s", said);
	PQclear(res);
	return ok;
}

bool mr_log_retain(const char *conninfo, struct mr_error *err)
{
	PGconn *conn = mr_sync_open(conninfo, err);
	if (!conn)
		return false;
	PGresult *res = mr_sync_run(conn, err, "begin; set local lock_timeout = '50ms'")
				? mr_sync_query(conn, err, "select millrace.retain()", 0, NULL)
				: NULL;
	bool ok = res && mr_sync_run(conn, err, "commit") && mr_sync_run(conn, err, "select millrace.retain_sessions(1000)") &&
		  judge(res, err);
	PQfinish(conn);
	return ok;
}
