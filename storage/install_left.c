/* Columns that stay when a declaration goes: nothing drops them, but a required one makes every insert fail. */
#include "install_private.h"

static void add_left(struct mr_buf *out, const struct mr_entity *e, const char *column)
{
	struct mr_buf table = {0}, name = {0};
	mr_sql_table(&table, e);
	mr_sql_ident(&name, mr_str(column));
	mr_buf_printf(out,
		"Entity %s does not declare the column %s of its table, which is required and has no default, so inserts fail; "
		"declare it, or run: alter table %s alter column %s drop not null\n",
		e->name.p, name.p, table.p, name.p);
	mr_buf_fini(&table);
	mr_buf_fini(&name);
}

static bool look_at(PGconn *conn, const struct mr_entity *e, struct mr_buf *out, struct mr_error *err)
{
	const char *params[] = {e->schema.p, e->table.p};
	PGresult *res = mr_sync_query(conn, err,
		"select a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace "
		"where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped and a.attnotnull and not a.atthasdef "
		"and a.attidentity = '' order by a.attnum",
		2, params);
	for (int i = 0; res && i < PQntuples(res); i++)
		if (mr_entity_column(e, mr_sync_str(res, i, 0)) < 0)
			add_left(out, e, PQgetvalue(res, i, 0));
	PQclear(res);
	return res != NULL;
}

bool mr_install_left(const char *conninfo, const struct mr_app *app, struct mr_buf *out, struct mr_error *err)
{
	PGconn *conn = mr_sync_open(conninfo, err);
	bool ok = conn != NULL;
	for (size_t i = 0; ok && i < app->n_entities; i++)
		ok = look_at(conn, &app->entities[i], out, err);
	if (conn)
		PQfinish(conn);
	return ok;
}
