/* Adopted tables: looked at and refused, or taken as they stand. Nothing of them is changed but that they get the triggers of capture; what
 * else a declaration asks for is a statement that their owner runs. */
#include "install_private.h"

#include <stdio.h>

/* ---- the table ---- */

enum { T_PERSISTENCE, T_CHILDREN, T_ROW_SECURITY, T_ME };

bool mr_draft_adopted_table(struct mr_draft *d, struct mr_draft_table *t)
{
	const struct mr_entity *e = t->entity;
	if (!*t->oid) {
		mr_draft_refuse(d, e->name, MR_STR(""), "cannot be adopted: there is no table \"%s\".\"%s\"", e->schema.p, e->table.p);
		return true;
	}
	const char *params[] = {t->oid};
	PGresult *res = mr_draft_ask(d,
		"select c.relpersistence, exists (select from pg_inherits i join pg_class k on k.oid = i.inhrelid where i.inhparent = "
		"c.oid and "
		"not k.relispartition), row_security_active(c.oid), current_user from pg_class c where c.oid = $1::oid",
		1, params);
	if (!res)
		return false;
	if (PQgetvalue(res, 0, T_PERSISTENCE)[0] != 'p')
		mr_draft_refuse(d, e->name, MR_STR(""), "cannot be adopted: \"%s\" is unlogged or temporary, so a crash empties it unseen",
			e->table.p);
	else if (PQgetvalue(res, 0, T_CHILDREN)[0] == 't')
		mr_draft_refuse(d, e->name, MR_STR(""),
			"cannot be adopted: \"%s\" has tables that inherit from it, whose rows its primary key does not keep apart",
			e->table.p);
	else if (PQgetvalue(res, 0, T_ROW_SECURITY)[0] == 't')
		mr_draft_refuse(d, e->name, MR_STR(""),
			"cannot be adopted: row level security hides rows of \"%s\" from the role \"%s\"; use a role with bypassrls",
			e->table.p, PQgetvalue(res, 0, T_ME));
	PQclear(res);
	return true;
}

/* ---- columns ---- */

static void fit_default(struct mr_draft *d, const struct mr_entity *e, const struct mr_field *f, const char *have, bool filled)
{
	bool declared = f->default_now || (f->def && f->def->kind != MR_NULL);
	if (f->generated && !filled)
		mr_draft_refuse(
			d, e->name, f->name, "is declared as generated, but nothing fills in the column \"%s\" of the table", f->column.p);
	else if (f->default_now && strcmp(have, "now()") != 0 && strcmp(have, "CURRENT_TIMESTAMP") != 0)
		mr_draft_refuse(d, e->name, f->name,
			"is declared with defaultNow(), but the default of the column \"%s\" is %s; declare it with generated()",
			f->column.p, *have ? have : "none");
	else if (declared && !filled)
		mr_draft_refuse(d, e->name, f->name, "is declared with a default, but the column \"%s\" has none", f->column.p);
}

static bool fits(const struct mr_field *f, const char *type, const char *kind)
{
	if (f->as == MR_AS_UTC)
		return !strcmp(type, "timestamp without time zone");
	if (f->as == MR_AS_TEXT)
		return !strcmp(kind, "the enum") || !strcmp(type, "date") || !strcmp(type, "time without time zone");
	return strcmp(kind, "the enum") != 0 && mr_draft_type_fits(f->type, type);
}

static void fit_column(struct mr_draft *d, const struct mr_entity *e, const struct mr_field *f, const PGresult *res, int row)
{
	const char *type = PQgetvalue(res, row, MR_COLUMN_BASE);
	bool not_null = PQgetvalue(res, row, MR_COLUMN_NOT_NULL)[0] == 't';
	if (!fits(f, type, PQgetvalue(res, row, MR_COLUMN_KIND)))
		mr_draft_refuse(d, e->name, f->name, "is declared as %s, but the column \"%s\" is of %s %s", mr_type_name(f->type),
			f->column.p, PQgetvalue(res, row, MR_COLUMN_KIND), type);
	else if (PQgetvalue(res, row, MR_COLUMN_DETERMINISTIC)[0] == 'f')
		mr_draft_refuse(
			d, e->name, f->name, "has a nondeterministic collation, under which values cannot be compared by their bytes");
	else if (f->optional && not_null)
		mr_draft_refuse(d, e->name, f->name, "is declared as optional, but the column \"%s\" takes no nulls", f->column.p);
	else if (!f->optional && !not_null)
		mr_draft_refuse(d, e->name, f->name, "may be null in the table; declare it with optional()");
	else
		fit_default(d, e, f, PQgetvalue(res, row, MR_COLUMN_DEFAULT), PQgetvalue(res, row, MR_COLUMN_FILLED)[0] == 't');
}

bool mr_draft_adopted_columns(struct mr_draft *d, struct mr_draft_table *t)
{
	const struct mr_entity *e = t->entity;
	PGresult *res = mr_draft_ask_columns(d, t);
	for (size_t i = 0; res && i < e->n; i++) {
		const struct mr_field *f = &e->fields[i];
		/* The key's column goes by two names; the other one is looked at. */
		if (mr_field_computed(f) || mr_entity_column(e, f->column) != (int)i)
			continue;
		int row = mr_draft_find_column(res, f->column);
		if (row >= 0)
			fit_column(d, e, f, res, row);
		else
			mr_draft_refuse(
				d, e->name, f->name, "is declared, but the table \"%s\" has no column \"%s\"", e->table.p, f->column.p);
	}
	PQclear(res);
	return res != NULL;
}

/* ---- the primary key ---- */

/* The columns, in whatever order: rows are told apart by all of them. */
bool mr_draft_adopted_key(struct mr_draft *d, struct mr_draft_table *t)
{
	const struct mr_entity *e = t->entity;
	struct mr_buf names = {0};
	for (size_t i = 0; i < e->n_key; i++) {
		mr_buf_z(&names, i ? "," : "[");
		mr_json_quote(&names, e->fields[e->key[i]].column);
	}
	mr_buf_char(&names, ']');
	const char *params[] = {t->oid, names.p};
	PGresult *res = mr_draft_ask(d,
		"select i.indimmediate, (select array_agg(a.attname::text order by a.attname::text) from pg_attribute a where a.attrelid = "
		"i.indrelid "
		"and a.attnum = any(i.indkey)) = (select array_agg(x order by x) from json_array_elements_text($2::json) x), "
		"(select string_agg(a.attname, ', ') from pg_attribute a where a.attrelid = i.indrelid and a.attnum = any(i.indkey)) "
		"from pg_index i where i.indrelid = $1::oid and i.indisprimary",
		2, params);
	mr_buf_fini(&names);
	if (!res)
		return false;
	if (!PQntuples(res))
		mr_draft_refuse(d, e->name, MR_STR(""), "cannot be adopted: \"%s\" has no primary key, by which its rows are told apart",
			e->table.p);
	else if (PQgetvalue(res, 0, 0)[0] != 't')
		mr_draft_refuse(d, e->name, MR_STR(""),
			"cannot be adopted: the primary key of \"%s\" is deferrable, under which the order of changes is not certain",
			e->table.p);
	else if (PQgetvalue(res, 0, 1)[0] != 't')
		mr_draft_refuse(d, e->name, MR_STR(""), "is declared with another key than the primary key of \"%s\", which is (%s)",
			e->table.p, PQgetvalue(res, 0, 2));
	PQclear(res);
	return true;
}

/* ---- what else is declared ---- */

/* What the draft would have changed of it; the text behind `from` is taken back. */
static void refuse_changes(struct mr_draft *d, const struct mr_entity *e, struct mr_buf *part, size_t from)
{
	if (part->n == from)
		return;
	const char *first = part->p + from;
	if (!strncmp(first, MR_DRAFT_STEP, strlen(MR_DRAFT_STEP)))
		first = strchr(first, '\n') + 1;
	const char *end = strstr(first, ";\n");
	mr_draft_refuse(d, e->name, MR_STR(""), "is adopted, so nothing of its table is changed; declare what is there, or run: %.*s",
		(int)(end ? end - first : 0), first);
	part->n = from;
	part->p[from] = 0;
}

bool mr_draft_adopted_rest(struct mr_draft *d, struct mr_draft_table *t)
{
	size_t before = d->constraints.n, later = d->later.n;
	if (!mr_draft_keys(d, t) || !mr_draft_checks(d, t))
		return false;
	refuse_changes(d, t->entity, &d->constraints, before);
	refuse_changes(d, t->entity, &d->later, later);
	return true;
}

/* Only an owner may say that a trigger fires always. */
bool mr_draft_adopted_owner(struct mr_draft *d, struct mr_draft_table *t)
{
	const struct mr_entity *e = t->entity;
	const char *params[] = {t->oid};
	PGresult *res = mr_draft_ask(d,
		"select pg_has_role(relowner, 'usage'), quote_ident(pg_get_userbyid(relowner)), quote_ident(current_user) from pg_class "
		"where oid = "
		"$1::oid",
		1, params);
	if (res && PQgetvalue(res, 0, 0)[0] != 't')
		mr_draft_refuse(d, e->name, MR_STR(""),
			"cannot be adopted: the triggers that see its changes are to be made by the owner of \"%s\", %s; let it run: grant "
			"%s to %s",
			e->table.p, PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2));
	PQclear(res);
	return res != NULL;
}
