/* Tables and columns: made, widened or refused; never narrowed, rewritten or dropped. */
#include "install_private.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- defaults ---- */

/* The default's expression; false when the field has none, or it is not a value of its type (then refused). */
static bool default_of(struct mr_draft *d, const struct mr_entity *e, int field, struct mr_buf *b)
{
	const struct mr_field *f = &e->fields[field];
	if (field == 0) {
		mr_buf_z(b, "millrace.uuid_v7()");
		return true;
	}
	if (f->default_now) {
		mr_buf_z(b, "now()");
		return true;
	}
	if (!f->def || f->def->kind == MR_NULL)
		return false;
	struct mr_arena a = {0};
	struct mr_value v;
	struct mr_error err = {0};
	bool ok = mr_value_from_node(&a, f->type, f->def, &v, &err);
	if (ok) {
		struct mr_buf text = {0};
		mr_value_pgtext(&text, &v);
		mr_sql_literal(b, mr_buf_view(&text));
		mr_buf_printf(b, "::%s", mr_sql_cast(f->type));
		mr_buf_fini(&text);
	} else {
		mr_draft_refuse(d, e->name, f->name, "has a default that does not fit its type: %s", err.message);
	}
	mr_arena_fini(&a);
	return ok;
}

static void define_column(struct mr_draft *d, const struct mr_entity *e, int field, struct mr_buf *b)
{
	const struct mr_field *f = &e->fields[field];
	struct mr_buf def = {0};
	mr_sql_ident(b, f->column);
	mr_buf_printf(b, " %s%s", mr_draft_column_type(f->type), f->optional ? "" : " not null");
	if (default_of(d, e, field, &def))
		mr_buf_printf(b, " default %s", def.p);
	mr_buf_fini(&def);
}

/* ---- new tables ---- */

static bool create_schema(struct mr_draft *d, const struct mr_entity *e)
{
	const char *params[] = {e->schema.p};
	PGresult *res = mr_draft_ask(d, "select from pg_namespace where nspname = $1", 1, params);
	bool there = res && PQntuples(res);
	PQclear(res);
	if (!res || there)
		return res != NULL;
	mr_buf_z(&d->tables, "create schema if not exists ");
	mr_sql_ident(&d->tables, e->schema);
	mr_buf_z(&d->tables, ";\n");
	return true;
}

static bool create_table(struct mr_draft *d, const struct mr_entity *e)
{
	if (!create_schema(d, e))
		return false;
	struct mr_buf *b = &d->tables;
	mr_buf_z(b, "create table ");
	mr_sql_table(b, e);
	mr_buf_z(b, " (\n");
	for (size_t i = 0; i < e->n; i++) {
		mr_buf_z(b, "\t");
		define_column(d, e, (int)i, b);
		mr_buf_z(b, ",\n");
	}
	mr_buf_z(b, "\tprimary key (");
	mr_sql_ident(b, e->fields[0].column);
	mr_buf_z(b, ")\n);\n");
	return true;
}

/* ---- columns of existing tables ---- */

static void alter(struct mr_draft *d, const struct mr_entity *e, const char *action)
{
	mr_buf_z(&d->tables, "alter table ");
	mr_sql_table(&d->tables, e);
	mr_buf_printf(&d->tables, " %s", action);
}

static void alter_column(struct mr_draft *d, const struct mr_entity *e, const struct mr_field *f, const char *action)
{
	alter(d, e, "alter column ");
	mr_sql_ident(&d->tables, f->column);
	mr_buf_printf(&d->tables, " %s;\n", action);
}

static void add_column(struct mr_draft *d, struct mr_draft_table *t, int field)
{
	const struct mr_entity *e = t->entity;
	const struct mr_field *f = &e->fields[field];
	if (field == 0) {
		mr_draft_refuse(d, e->name, f->name, "is missing: the existing table \"%s\" has no uuid column \"id\" as its primary key",
			e->table.p);
		return;
	}
	if (t->rows && !f->optional && !f->def && !f->default_now) {
		mr_draft_refuse(d, e->name, f->name,
			"cannot be added: it is required and the table has rows; make it optional or give it a default");
		return;
	}
	alter(d, e, "add column ");
	define_column(d, e, field, &d->tables);
	mr_buf_z(&d->tables, ";\n");
	t->changed = true;
}

static bool has_nulls(struct mr_draft *d, const struct mr_entity *e, const struct mr_field *f, bool *answer)
{
	struct mr_buf rest = {0};
	mr_buf_z(&rest, "where ");
	mr_sql_ident(&rest, f->column);
	mr_buf_z(&rest, " is null");
	return mr_draft_any(d, e, &rest, answer);
}

/* By a check that is proved while others write: with it Postgres need not look at the rows. One from before may be left. */
static void require(struct mr_draft *d, const struct mr_entity *e, const struct mr_field *f)
{
	struct mr_buf name = {0}, quoted = {0}, column = {0}, table = {0}, *b = &d->later;
	mr_sql_key_name(&name, e, f->column, "_not_null");
	mr_sql_ident(&quoted, mr_buf_view(&name));
	mr_sql_ident(&column, f->column);
	mr_sql_table(&table, e);
	mr_buf_printf(&d->tables, "alter table %s drop constraint if exists %s;\n", table.p, quoted.p);
	mr_buf_printf(&d->tables, "alter table %s add constraint %s check (%s is not null) not valid;\n", table.p, quoted.p, column.p);
	mr_draft_validate(d, e, mr_buf_view(&name));
	mr_buf_printf(b, MR_DRAFT_AGAIN "alter table %s alter column %s set not null;\n", table.p, column.p);
	mr_buf_printf(b, "alter table %s drop constraint %s;\n", table.p, quoted.p);
	mr_buf_fini(&name);
	mr_buf_fini(&quoted);
	mr_buf_fini(&column);
	mr_buf_fini(&table);
}

static bool fit_null(struct mr_draft *d, struct mr_draft_table *t, int field, bool not_null)
{
	const struct mr_entity *e = t->entity;
	const struct mr_field *f = &e->fields[field];
	if (not_null == !f->optional)
		return true;
	if (f->optional) {
		alter_column(d, e, f, "drop not null");
		return true;
	}
	bool nulls = false;
	if (t->rows && !has_nulls(d, e, f, &nulls))
		return false;
	if (nulls)
		mr_draft_refuse(d, e->name, f->name, "cannot become required: the table holds nulls in it");
	else if (mr_draft_gently(t))
		require(d, e, f);
	else
		alter_column(d, e, f, "set not null");
	return true;
}

/* A constant as Postgres prints it, with its cast; so that it can be evaluated without side effects. */
static bool is_constant(const char *expr)
{
	const char *c = expr;
	if (*c == '\'') {
		for (c++; *c; c++) {
			if (*c == '\'' && *++c != '\'')
				break;
		}
	} else {
		while (*c && strchr("-0123456789.eE", *c))
			c++;
		if (c == expr) {
			const char *const words[] = {"true", "false", "NULL"};
			for (size_t i = 0; i < MR_COUNT(words); i++) {
				if (!strncmp(expr, words[i], strlen(words[i])))
					c = expr + strlen(words[i]);
			}
			if (c == expr)
				return false;
		}
	}
	return c[strspn(c, ": abcdefghijklmnopqrstuvwxyz0123456789")] == 0 && (!*c || *c == ':');
}

static bool same_default(struct mr_draft *d, const struct mr_field *f, const char *have, const char *want, bool *same)
{
	*same = !strcmp(have, want) || (f->default_now && !strcmp(have, "CURRENT_TIMESTAMP"));
	if (*same || f->default_now || !is_constant(have))
		return true;
	struct mr_buf sql = {0};
	mr_buf_printf(&sql, "select (%s)::%s is not distinct from %s", have, mr_sql_cast(f->type), want);
	return mr_draft_asks(d, &sql, same);
}

static bool fit_default(struct mr_draft *d, struct mr_draft_table *t, int field, const char *have)
{
	const struct mr_entity *e = t->entity;
	const struct mr_field *f = &e->fields[field];
	struct mr_buf want = {0}, action = {0};
	bool same = true;
	bool ok = true;
	/* An adopted table mints its ids as it likes. */
	if (!(field == 0 && *have) && default_of(d, e, field, &want))
		ok = same_default(d, f, have, want.p, &same);
	if (ok && !same) {
		mr_buf_printf(&action, "set default %s", want.p);
		alter_column(d, e, f, action.p);
	}
	mr_buf_fini(&want);
	mr_buf_fini(&action);
	return ok;
}

static bool fit_column(struct mr_draft *d, struct mr_draft_table *t, int field, const PGresult *res, int row)
{
	const struct mr_entity *e = t->entity;
	const struct mr_field *f = &e->fields[field];
	const char *type = PQgetvalue(res, row, MR_COLUMN_TYPE);
	if (!mr_draft_type_fits(f->type, type))
		return mr_draft_refuse_type(d, t, f, type, *PQgetvalue(res, row, MR_COLUMN_DEFAULT));
	if (PQgetvalue(res, row, MR_COLUMN_DETERMINISTIC)[0] == 'f') {
		mr_draft_refuse(
			d, e->name, f->name, "has a nondeterministic collation, under which values cannot be compared by their bytes");
		return true;
	}
	if (!fit_null(d, t, field, PQgetvalue(res, row, MR_COLUMN_NOT_NULL)[0] == 't'))
		return false;
	return *PQgetvalue(res, row, MR_COLUMN_GENERATED) || fit_default(d, t, field, PQgetvalue(res, row, MR_COLUMN_DEFAULT));
}

static bool fit_primary_key(struct mr_draft *d, struct mr_draft_table *t)
{
	const struct mr_entity *e = t->entity;
	const char *params[] = {t->oid, e->fields[0].column.p};
	/* A partitioned table's key has to hold the partition key too. */
	PGresult *res = mr_draft_ask(d,
		"select i.indimmediate, a.attname is not null and (i.indnkeyatts = 1 or c.relkind = 'p') "
		"from pg_index i join pg_class c on c.oid = i.indrelid "
		"left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey) and a.attname = $2 "
		"where i.indrelid = $1::oid and i.indisprimary",
		2, params);
	if (!res)
		return false;
	if (!PQntuples(res)) {
		alter(d, e, "add primary key (");
		mr_sql_ident(&d->tables, e->fields[0].column);
		mr_buf_z(&d->tables, ");\n");
	} else if (PQgetvalue(res, 0, 0)[0] != 't') {
		mr_draft_refuse(
			d, e->name, e->fields[0].name, "has a deferrable primary key, under which the order of changes is not certain");
	} else if (PQgetvalue(res, 0, 1)[0] != 't') {
		mr_draft_refuse(d, e->name, e->fields[0].name,
			"must be the primary key of the existing table \"%s\", which has another one", e->table.p);
	}
	PQclear(res);
	return true;
}

PGresult *mr_draft_ask_columns(struct mr_draft *d, const struct mr_draft_table *t)
{
	const char *params[] = {t->oid};
	return mr_draft_ask(d,
		"select a.attname, format_type(y.oid, null), format_type(case y.typtype when 'd' then y.typbasetype else y.oid end, null), "
		"case y.typtype when 'e' then 'the enum' when 'd' then 'a domain of' else 'type' end, a.attnotnull, "
		"coalesce(l.collisdeterministic, true), coalesce(pg_get_expr(d.adbin, d.adrelid), ''), "
		"a.atthasdef or a.attidentity <> '', a.attgenerated "
		"from pg_attribute a join pg_type y on y.oid = a.atttypid left join pg_collation l on l.oid = a.attcollation "
		"left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum "
		"where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped",
		1, params);
}

int mr_draft_find_column(const PGresult *columns, struct mr_str name)
{
	for (int row = 0; row < PQntuples(columns); row++)
		if (strcmp(PQgetvalue(columns, row, MR_COLUMN_NAME), name.p) == 0)
			return row;
	return -1;
}

bool mr_draft_columns(struct mr_draft *d, struct mr_draft_table *t)
{
	const struct mr_entity *e = t->entity;
	if (!*t->oid)
		return create_table(d, e);
	PGresult *res = mr_draft_ask_columns(d, t);
	if (!res)
		return false;
	bool ok = true;
	int before = d->refusals;
	for (size_t i = 0; ok && i < e->n; i++) {
		int row = mr_draft_find_column(res, e->fields[i].column);
		if (row < 0)
			add_column(d, t, (int)i);
		else
			ok = fit_column(d, t, (int)i, res, row);
	}
	PQclear(res);
	return ok && (d->refusals > before || fit_primary_key(d, t));
}
