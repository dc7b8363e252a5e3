/* Unique fields, indexes and references. What an existing table has already, under whatever name, is used as it is. */
#include "install_private.h"

#include <stdlib.h>

static void field_list(struct mr_buf *b, const struct mr_entity *e, const int *fields, size_t n, bool collate)
{
	for (size_t i = 0; i < n; i++) {
		mr_buf_z(b, i ? ", " : "");
		mr_sql_ident(b, e->fields[fields[i]].column);
		if (collate && e->fields[fields[i]].type == MR_T_STRING)
			mr_buf_z(b, " collate \"C\"");
	}
}

/* "schema"."name": an index is in the schema of its table. */
static void index_name(struct mr_buf *b, const struct mr_entity *e, struct mr_str name)
{
	mr_sql_ident(b, e->schema);
	mr_buf_char(b, '.');
	mr_sql_ident(b, name);
}

/* What a partial index says in its comment: how Postgres prints its filter is not how it was written. */
static void print_says(struct mr_buf *b, const struct mr_entity *e, const struct mr_index *x)
{
	mr_buf_printf(b, MR_DRAFT_SAYS "%s (", x->unique ? "unique" : "");
	field_list(b, e, x->fields, x->n, false);
	mr_buf_z(b, ") where ");
	mr_draft_pred(b, e, x->where);
}

static void comment_index(struct mr_buf *b, const struct mr_entity *e, const struct mr_index *x, struct mr_str name)
{
	struct mr_buf says = {0};
	print_says(&says, e, x);
	mr_buf_z(b, "comment on index ");
	index_name(b, e, name);
	mr_buf_z(b, " is ");
	mr_sql_literal(b, mr_buf_view(&says));
	mr_buf_z(b, ";\n");
	mr_buf_fini(&says);
}

/* Where there are rows nobody waits for it. An attempt that was broken off left an index that serves nothing: it is among those dropped. */
static void create_index(struct mr_draft *d, const struct mr_draft_table *t, const struct mr_index *x, struct mr_str name, bool taken)
{
	const struct mr_entity *e = t->entity;
	bool gently = mr_draft_gently(t);
	struct mr_buf *b = gently ? &d->later : &d->constraints;
	const char *how = gently ? "concurrently " : "", *step = gently ? MR_DRAFT_ALONE : "";
	if (taken) {
		mr_buf_printf(b, "%sdrop index %s", step, how);
		index_name(b, e, name);
		mr_buf_z(b, ";\n");
	}
	mr_buf_printf(b, "%screate %sindex %s", step, x->unique ? "unique " : "", how);
	mr_sql_ident(b, name);
	mr_buf_z(b, " on ");
	mr_sql_table(b, e);
	mr_buf_z(b, " (");
	field_list(b, e, x->fields, x->n, true);
	mr_buf_char(b, ')');
	if (x->where) {
		mr_buf_z(b, " where ");
		mr_draft_pred(b, e, x->where);
	}
	mr_buf_z(b, ";\n");
	if (x->where) {
		mr_buf_z(b, gently ? MR_DRAFT_AGAIN : "");
		comment_index(b, e, x, name);
	}
}

/* ---- what is there ---- */

/* Usable indexes: their name, uniqueness and columns as a JSON list of [name, collation is "C" or none]. */
#define INDEXES                                                                                                                            \
	"select c.relname, i.indisunique, (select json_agg(a.attname order by k.n)::text from unnest(i.indkey::int2[]) with ordinality "   \
	"k(attnum, n) join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum), "                                           \
	"(select bool_and(x in (0, 950)) from unnest(i.indcollation::oid[]) x) "                                                           \
	"from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam "                                         \
	"where i.indrelid = $1::oid and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null "                     \
	"and i.indnatts = i.indnkeyatts and m.amname = 'btree' and (select bool_and(o = 0) from unnest(i.indoption::int2[]) o)"

static void names_json(struct mr_buf *b, const struct mr_entity *e, const int *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		mr_buf_z(b, i ? ", " : "[");
		mr_json_quote(b, e->fields[fields[i]].column);
	}
	mr_buf_char(b, ']');
}

/* A unique index serves whatever the collation is, since equality is by bytes under all that are allowed. */
static bool has_index(const PGresult *have, const struct mr_entity *e, const struct mr_index *x)
{
	struct mr_buf names = {0};
	names_json(&names, e, x->fields, x->n);
	bool found = false;
	for (int i = 0; i < PQntuples(have) && !found; i++) {
		bool unique = PQgetvalue(have, i, 1)[0] == 't', plain = PQgetvalue(have, i, 3)[0] == 't';
		found = !strcmp(PQgetvalue(have, i, 2), names.p) && (x->unique ? unique : plain);
	}
	mr_buf_fini(&names);
	return found;
}

/* Whether the table has an index of this name; `same`: a partial one, and it says that it is as declared. */
static bool name_taken(struct mr_draft *d, const struct mr_entity *e, const struct mr_index *x, struct mr_str name, bool *taken, bool *same)
{
	const char *params[] = {e->schema.p, name.p, e->table.p};
	PGresult *res = mr_draft_ask(d,
		"select coalesce(obj_description(c.oid, 'pg_class'), '') from pg_index i join pg_class c on c.oid = i.indexrelid join "
		"pg_class t on t.oid = i.indrelid "
		"join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2 and t.relname = $3",
		3, params);
	struct mr_buf says = {0};
	*taken = res && PQntuples(res);
	if (*taken && x->where) {
		print_says(&says, e, x);
		*same = !strcmp(PQgetvalue(res, 0, 0), says.p);
	}
	mr_buf_fini(&says);
	PQclear(res);
	return res != NULL;
}

/* ---- would the rows stand it ---- */

bool mr_draft_column_exists(struct mr_draft *d, const struct mr_draft_table *t, struct mr_str column, bool *exists)
{
	const char *params[] = {t->oid, column.p};
	PGresult *res =
		mr_draft_ask(d, "select from pg_attribute where attrelid = $1::oid and attname = $2 and not attisdropped", 2, params);
	*exists = res && PQntuples(res);
	PQclear(res);
	return res != NULL;
}

static bool all_exist(struct mr_draft *d, const struct mr_draft_table *t, const struct mr_index *x, bool *exist)
{
	*exist = true;
	for (size_t i = 0; i < x->n && *exist; i++) {
		if (!mr_draft_column_exists(d, t, t->entity->fields[x->fields[i]].column, exist))
			return false;
	}
	return true;
}

static bool refuse_doubles(struct mr_draft *d, struct mr_draft_table *t, const struct mr_index *x)
{
	const struct mr_entity *e = t->entity;
	bool doubles, exist;
	if (!all_exist(d, t, x, &exist) || (exist && !mr_draft_pred_exists(d, t, x->where, &exist)))
		return false;
	if (!exist)
		return true;
	struct mr_buf rest = {0};
	for (size_t i = 0; i < x->n; i++) {
		mr_buf_z(&rest, i ? " and " : "where ");
		mr_sql_ident(&rest, e->fields[x->fields[i]].column);
		mr_buf_z(&rest, " is not null");
	}
	if (x->where) {
		mr_buf_z(&rest, " and ");
		mr_draft_pred(&rest, e, x->where);
	}
	mr_buf_z(&rest, " group by ");
	field_list(&rest, e, x->fields, x->n, false);
	mr_buf_z(&rest, " having count(*) > 1");
	if (!mr_draft_any(d, e, &rest, &doubles))
		return false;
	if (doubles)
		mr_draft_refuse(d, e->name, e->fields[x->fields[0]].name, "cannot become unique: the table holds equal values in it");
	return true;
}

/* ---- unique fields and indexes ---- */

static bool draft_index(struct mr_draft *d, struct mr_draft_table *t, const PGresult *have, const struct mr_index *x, struct mr_str name)
{
	if (have && !x->where && has_index(have, t->entity, x))
		return true;
	bool taken = false, same = false;
	if (*t->oid && !name_taken(d, t->entity, x, name, &taken, &same))
		return false;
	if (same)
		return true;
	if (*t->oid && x->unique && t->rows && !refuse_doubles(d, t, x))
		return false;
	create_index(d, t, x, name, taken);
	return true;
}

static bool draft_indexes(struct mr_draft *d, struct mr_draft_table *t, const PGresult *have)
{
	const struct mr_entity *e = t->entity;
	bool ok = true;
	for (int i = 1; ok && i < (int)e->n; i++) {
		if (!e->fields[i].unique || e->fields[i].key)
			continue;
		const struct mr_index x = {.name = e->fields[i].name, .fields = &i, .n = 1, .unique = true};
		struct mr_buf name = {0};
		mr_sql_key_name(&name, e, x.name, "_key");
		ok = draft_index(d, t, have, &x, mr_buf_view(&name));
		mr_buf_fini(&name);
	}
	for (size_t i = 0; ok && i < e->n_indexes; i++) {
		struct mr_buf name = {0};
		mr_sql_key_name(&name, e, e->indexes[i].name, "");
		ok = draft_index(d, t, have, &e->indexes[i], mr_buf_view(&name));
		mr_buf_fini(&name);
	}
	return ok;
}

/* ---- references ---- */

static const char *delete_action(const struct mr_field *f, char *letter)
{
	if (mr_str_is(f->on_delete, "cascade")) {
		*letter = 'c';
		return "cascade";
	}
	if (mr_str_is(f->on_delete, "set null")) {
		*letter = 'n';
		return "set null";
	}
	*letter = 'r';
	return "restrict";
}

static bool refuse_orphans(struct mr_draft *d, struct mr_draft_table *t, const struct mr_field *f, const struct mr_entity *to)
{
	const char *params[] = {to->schema.p, to->table.p};
	PGresult *res = mr_draft_ask(d,
		"select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2", 2, params);
	bool exists = res && PQntuples(res), orphans = false;
	PQclear(res);
	if (!res || (exists && !mr_draft_column_exists(d, t, f->column, &exists)))
		return false;
	if (!exists)
		return true;
	struct mr_buf rest = {0};
	mr_buf_z(&rest, "a where a.");
	mr_sql_ident(&rest, f->column);
	mr_buf_z(&rest, " is not null and not exists (select from ");
	mr_sql_table(&rest, to);
	mr_buf_z(&rest, " b where b.");
	mr_sql_ident(&rest, to->fields[0].column);
	mr_buf_z(&rest, " = a.");
	mr_sql_ident(&rest, f->column);
	mr_buf_z(&rest, ")");
	if (!mr_draft_any(d, t->entity, &rest, &orphans))
		return false;
	if (orphans)
		mr_draft_refuse(
			d, t->entity->name, f->name, "cannot refer to %s: the table holds values that no row there has", to->name.p);
	return true;
}

static void add_reference(
	struct mr_draft *d, const struct mr_draft_table *t, const struct mr_field *f, const struct mr_entity *to, const char *action)
{
	const struct mr_entity *e = t->entity;
	struct mr_buf *b = &d->constraints, name = {0};
	mr_sql_key_name(&name, e, f->name, "_fkey");
	mr_buf_z(b, "alter table ");
	mr_sql_table(b, e);
	mr_buf_z(b, " add constraint ");
	mr_sql_ident(b, mr_buf_view(&name));
	mr_buf_z(b, " foreign key (");
	mr_sql_ident(b, f->column);
	mr_buf_z(b, ") references ");
	mr_sql_table(b, to);
	mr_buf_z(b, " (");
	mr_sql_ident(b, to->fields[0].column);
	mr_buf_printf(b, ") on delete %s%s;\n", action, mr_draft_gently(t) ? " not valid" : "");
	if (mr_draft_gently(t))
		mr_draft_validate(d, e, mr_buf_view(&name));
	mr_buf_fini(&name);
}

/* The reference that is there: 1 as declared, 0 none, 2 with another action (then dropped by the plan), -1 failure. "no action", Postgres's
 * own default, counts as restrict. */
static int find_reference(struct mr_draft *d, struct mr_draft_table *t, const struct mr_field *f, const struct mr_entity *to, char letter)
{
	const char *params[] = {t->oid, f->column.p, to->schema.p, to->table.p};
	PGresult *res = mr_draft_ask(d,
		"select k.conname, replace(k.confdeltype::text, 'a', 'r'), k.convalidated from pg_constraint k join pg_class c on c.oid = "
		"k.confrelid "
		"join pg_namespace n on n.oid = c.relnamespace "
		"join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1] "
		"where k.conrelid = $1::oid and k.contype = 'f' and cardinality(k.conkey) = 1 and a.attname = $2 and n.nspname = $3 "
		"and c.relname = $4 order by k.confdeltype::text = 'c' desc",
		4, params);
	if (!res)
		return -1;
	int found = 0;
	for (int i = 0; i < PQntuples(res) && found != 1; i++)
		found = PQgetvalue(res, i, 1)[0] == letter ? 1 : 2;
	if (found == 1 && !t->entity->adopted && PQntuples(res) == 1 && PQgetvalue(res, 0, 2)[0] != 't')
		mr_draft_validate(d, t->entity, mr_sync_str(res, 0, 0));
	if (found == 2) {
		mr_buf_z(&d->constraints, "alter table ");
		mr_sql_table(&d->constraints, t->entity);
		mr_buf_z(&d->constraints, " drop constraint ");
		mr_sql_ident(&d->constraints, mr_sync_str(res, 0, 0));
		mr_buf_z(&d->constraints, ";\n");
	}
	PQclear(res);
	return found;
}

static bool draft_reference(struct mr_draft *d, struct mr_draft_table *t, const struct mr_field *f)
{
	char letter;
	const char *action = delete_action(f, &letter);
	const struct mr_entity *to = mr_app_entity(d->app, f->references);
	if (!to) {
		mr_draft_refuse(
			d, t->entity->name, f->name, "refers to %.*s, which is not declared", (int)f->references.n, f->references.p);
		return true;
	}
	if (letter == 'n' && !f->optional) {
		mr_draft_refuse(d, t->entity->name, f->name, "is required, so it cannot be set to null when the row it refers to goes");
		return true;
	}
	int found = *t->oid ? find_reference(d, t, f, to, letter) : 0;
	if (found < 0)
		return false;
	if (found == 1)
		return true;
	if (found == 0 && t->rows && !refuse_orphans(d, t, f, to))
		return false;
	add_reference(d, t, f, to, action);
	return true;
}

bool mr_draft_keys(struct mr_draft *d, struct mr_draft_table *t)
{
	PGresult *have = NULL;
	if (*t->oid) {
		const char *params[] = {t->oid};
		have = mr_draft_ask(d, INDEXES, 1, params);
		if (!have)
			return false;
	}
	bool ok = draft_indexes(d, t, have);
	PQclear(have);
	for (size_t i = 1; ok && i < t->entity->n; i++) {
		if (t->entity->fields[i].references.n)
			ok = draft_reference(d, t, &t->entity->fields[i]);
	}
	return ok;
}
