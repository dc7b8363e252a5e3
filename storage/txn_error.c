/* Errors of Postgres in the app's words: which entity and field a refused value is of. */
#include "sql.h"
#include "txn_private.h"

static const struct mr_entity *entity_of(const struct mr_app *app, const struct mr_pg_result *r)
{
	struct mr_str schema = mr_str(mr_pg_about(r, MR_PG_SCHEMA)), table = mr_str(mr_pg_about(r, MR_PG_TABLE));
	for (size_t i = 0; table.n && i < app->n_entities; i++) {
		const struct mr_entity *e = &app->entities[i];
		if (mr_str_eq(e->table, table) && mr_str_eq(e->schema, schema))
			return e;
	}
	return NULL;
}

/* Appends `"field"`; false when clients know of no such field. */
static bool add_field(struct mr_buf *b, const struct mr_entity *e, struct mr_str column)
{
	int f = mr_entity_column(e, column);
	if (f < 0 || e->fields[f].server_only)
		return false;
	mr_json_quote(b, e->fields[f].name);
	return true;
}

/* The columns of "Key (a, b)=(x, y) ...", in whatever language; never the values. */
static struct mr_str key_columns(const char *detail)
{
	const char *from = strchr(detail, '('), *to = from ? strstr(from, ")=(") : NULL;
	return to ? (struct mr_str){from + 1, (size_t)(to - from) - 1} : (struct mr_str){"", 0};
}

/* Takes the first of `a, "b"` off; false when there is none left. */
static bool next_column(struct mr_str *columns, struct mr_str *column)
{
	if (!columns->n)
		return false;
	const char *comma = memmem(columns->p, columns->n, ", ", 2);
	size_t n = comma ? (size_t)(comma - columns->p) : columns->n, over = comma ? n + 2 : n;
	bool quoted = n > 2 && columns->p[0] == '"';
	*column = (struct mr_str){columns->p + quoted, n - 2 * (size_t)quoted};
	*columns = (struct mr_str){columns->p + over, columns->n - over};
	return true;
}

static bool add_fields(struct mr_buf *b, const struct mr_entity *e, struct mr_str columns)
{
	bool ok = columns.n > 0;
	for (struct mr_str column; ok && next_column(&columns, &column);) {
		ok = add_field(b, e, column);
		if (ok && columns.n)
			mr_buf_char(b, ',');
	}
	return ok;
}

/* data: {"entity":..,"fields":[..]} for a value that is there already or is missing. */
static void name_fields(const struct mr_app *app, const struct mr_pg_result *r, struct mr_error *err)
{
	bool missing = !strcmp(mr_pg_sqlstate(r), "23502");
	const struct mr_entity *e = missing || err->code == MR_UNIQUE_VIOLATION ? entity_of(app, r) : NULL;
	struct mr_buf b = {0};
	if (!e)
		return;
	mr_buf_z(&b, "{\"entity\":");
	mr_json_quote(&b, e->name);
	mr_buf_z(&b, ",\"fields\":[");
	bool ok = add_fields(&b, e, missing ? mr_str(mr_pg_about(r, MR_PG_COLUMN)) : key_columns(mr_pg_about(r, MR_PG_DETAIL)));
	mr_buf_z(&b, "]}");
	if (ok && b.n < sizeof(err->data))
		memcpy(err->data, b.p, b.n + 1);
	mr_buf_fini(&b);
}

/* The check of this name, if it is one that the app declares and that is not about what clients must not know. */
static const struct mr_check *check_of(const struct mr_entity *e, const char *constraint)
{
	const struct mr_check *found = NULL;
	for (size_t i = 0; i < e->n_checks && !found; i++) {
		struct mr_buf name = {0};
		mr_sql_key_name(&name, e, e->checks[i].name, "_check");
		if (!strcmp(name.p, constraint))
			found = &e->checks[i];
		mr_buf_fini(&name);
	}
	return found && (found->field < 0 || !e->fields[found->field].server_only) ? found : NULL;
}

/* data: {"entity":..,"check":..}, and "fields" where it is the rules of one. */
static void name_check(const struct mr_app *app, const struct mr_pg_result *r, struct mr_error *err)
{
	const struct mr_entity *e = entity_of(app, r);
	const struct mr_check *c = e ? check_of(e, mr_pg_about(r, MR_PG_CONSTRAINT)) : NULL;
	struct mr_buf b = {0};
	if (!c)
		return;
	mr_buf_z(&b, "{\"entity\":");
	mr_json_quote(&b, e->name);
	mr_buf_z(&b, c->field >= 0 ? ",\"fields\":[" : ",\"check\":");
	mr_json_quote(&b, c->name);
	mr_buf_z(&b, c->field >= 0 ? "]}" : "}");
	mr_fail_data(err, MR_CHECK_VIOLATION, b.p,
		c->field >= 0 ? "%s.%s: the value breaks the rules of the field" : "%s: the row breaks the check \"%s\"", e->name.p,
		c->name.p);
	mr_buf_fini(&b);
}

/* data: {"entity":..,"fields":[..]}: the field whose references this constraint keeps, whichever side was written. */
static void name_reference(const struct mr_app *app, const struct mr_pg_result *r, struct mr_error *err)
{
	const struct mr_entity *e = entity_of(app, r);
	for (size_t i = 0; e && i < e->n; i++) {
		const struct mr_field *f = &e->fields[i];
		struct mr_buf name = {0}, data = {0};
		mr_sql_key_name(&name, e, f->name, "_fkey");
		if (f->references.n && !f->server_only && !strcmp(name.p, mr_pg_about(r, MR_PG_CONSTRAINT))) {
			mr_buf_z(&data, "{\"entity\":");
			mr_json_quote(&data, e->name);
			mr_buf_z(&data, ",\"fields\":[");
			mr_json_quote(&data, f->name);
			mr_buf_z(&data, "]}");
			if (data.n < sizeof err->data)
				memcpy(err->data, data.p, data.n + 1);
		}
		mr_buf_fini(&name);
		mr_buf_fini(&data);
	}
}

/* Postgres does not say which sum it was. */
static void name_sum(const struct mr_op *op, struct mr_error *err)
{
	struct mr_buf data = {0};
	mr_buf_z(&data, "{\"entity\":");
	mr_json_quote(&data, op->entity->name);
	mr_buf_printf(&data, ",\"fields\":[%.*s]}", (int)op->added.n, op->added.p);
	mr_fail_data(err, MR_BAD_VALUE, data.p, "%s: with the increment a value is out of the range of its field (%.*s)",
		op->entity->name.p, (int)MR_MIN(op->added.n, 200), op->added.p);
	mr_buf_fini(&data);
}

/* Is the key that is taken the one whose row was looked for, and came meanwhile? */
static bool met_its_key(const struct mr_op *op, const struct mr_pg_result *r)
{
	struct mr_str columns = key_columns(mr_pg_about(r, MR_PG_DETAIL));
	mr_fields taken = 0;
	if (!op->key || strcmp(mr_pg_sqlstate(r), "23505") != 0 || entity_of(op->txn->app, r) != op->entity)
		return false;
	for (struct mr_str column; next_column(&columns, &column);) {
		int f = mr_entity_column(op->entity, column);
		taken |= f < 0 ? MR_FIELDS_ALL : mr_field_bit(f);
	}
	return taken == op->key;
}

/* A table, column, type or operator that is not there: what we wrote is right for the declaration, so the table is another one now. What
 * a function of the database misses (a trigger, say) is its own affair. */
static bool misses_its_table(const struct mr_op *op, const struct mr_pg_result *r)
{
	static const char *const states[] = {"42P01", "42703", "42704", "42804", "42883", "3F000"};
	const char *state = mr_pg_sqlstate(r);
	bool ours = !op->app_sql && op->entity && !*mr_pg_about(r, MR_PG_CONTEXT);
	for (size_t i = 0; ours && i < MR_COUNT(states); i++)
		if (!strcmp(state, states[i]))
			return true;
	return false;
}

/* A column has another type since the statement was prepared: prepared anew, it is as good as before. */
static bool is_outdated(const struct mr_op *op, const struct mr_pg_result *r)
{
	return !op->app_sql && op->entity && !strcmp(mr_pg_sqlstate(r), "0A000") && !*mr_pg_about(r, MR_PG_CONTEXT);
}

void mr_op_error(const struct mr_op *op, const struct mr_pg_result *r, struct mr_error *err)
{
	mr_pg_error(r, err);
	if (is_outdated(op, r)) {
		mr_fail(err, MR_CONFLICT, "Table %s was altered since it was read last; it is read again.", op->entity->table.p);
		return;
	}
	if (met_its_key(op, r)) {
		mr_fail(err, MR_CONFLICT, "Others keep adding and removing the row of %s that is to be added or changed.",
			op->entity->name.p);
		return;
	}
	if (misses_its_table(op, r)) {
		mr_fail(err, MR_SCHEMA_CHANGED,
			"Table %s no longer fits the declaration of entity %s; run millrace migrate to see the difference.",
			op->entity->table.p, op->entity->name.p);
		return;
	}
	if (op->app_sql && err->code == MR_BAD_VALUE)
		err->code = MR_SQL_ERROR;
	name_fields(op->txn->app, r, err);
	if (!strcmp(mr_pg_sqlstate(r), "23514"))
		name_check(op->txn->app, r, err);
	if (!strcmp(mr_pg_sqlstate(r), "23503"))
		name_reference(op->txn->app, r, err);
	if (op->added.n && !strcmp(mr_pg_sqlstate(r), "22003"))
		name_sum(op, err);
}
