/* Types of existing columns: those in which a field can live, and what is told of one that is of another type. */
#include <stdio.h>

#include "install_private.h"

/* The image of each reads as the field's type and compares alike. */
static const char *const types_of[MR_TYPES] = {
	[MR_T_BOOL] = "|boolean|",
	[MR_T_INT] = "|bigint|integer|smallint|",
	[MR_T_BIGINT] = "|bigint|integer|smallint|",
	[MR_T_FLOAT] = "|double precision|",
	[MR_T_NUMERIC] = "|numeric|",
	[MR_T_STRING] = "|text|character varying|",
	[MR_T_UUID] = "|uuid|",
	[MR_T_DATETIME] = "|timestamp with time zone|",
	[MR_T_BYTES] = "|bytea|",
	[MR_T_JSON] = "|jsonb|json|",
};

bool mr_draft_type_fits(enum mr_type type, const char *sql_type)
{
	char word[128];
	snprintf(word, sizeof(word), "|%s|", sql_type);
	return strstr(types_of[type], word) != NULL;
}

const char *mr_draft_column_type(enum mr_type t)
{
	return t == MR_T_STRING ? "text collate \"C\"" : t == MR_T_DATETIME ? "timestamptz(3)" : mr_sql_cast(t);
}

/* As JSON has the values of a type; NULL: it has none of its own for them. */
static const char *json_kind(enum mr_type t)
{
	switch (t) {
	case MR_T_BOOL:
		return "boolean";
	case MR_T_INT:
	case MR_T_FLOAT:
		return "number";
	case MR_T_STRING:
	case MR_T_UUID:
	case MR_T_DATETIME:
		return "string";
	default:
		return NULL;
	}
}

static void print_column(struct mr_buf *b, const struct mr_field *f, bool json)
{
	mr_buf_z(b, json ? "(" : "");
	mr_sql_ident(b, f->column);
	mr_buf_z(b, json ? "::jsonb)" : "");
}

/* Ids of documents name their table before an underscore. What is no such value fails the statement, which then has done nothing. */
static void print_conversion(struct mr_buf *b, const struct mr_entity *e, const struct mr_field *f, bool filled)
{
	mr_buf_z(b, "alter table ");
	mr_sql_table(b, e);
	if (filled) {
		mr_buf_z(b, " alter column ");
		mr_sql_ident(b, f->column);
		mr_buf_z(b, " drop default,");
	}
	mr_buf_z(b, " alter column ");
	mr_sql_ident(b, f->column);
	mr_buf_printf(b, " type %s using (%s", mr_draft_column_type(f->type), f->type == MR_T_UUID ? "substring(" : "");
	print_column(b, f, true);
	mr_buf_printf(b, " #>> '{}'%s)::%s", f->type == MR_T_UUID ? " from '[0-9a-f-]+$')" : "", mr_sql_cast(f->type));
}

/* Rows whose value would come out as another than it is. */
static bool holds_others(struct mr_draft *d, const struct mr_draft_table *t, const struct mr_field *f, bool *others)
{
	struct mr_buf rest = {0};
	*others = false;
	if (!t->rows)
		return true;
	mr_buf_z(&rest, "where jsonb_typeof");
	print_column(&rest, f, true);
	mr_buf_printf(&rest, " not in ('null', '%s')", json_kind(f->type));
	return mr_draft_any(d, t->entity, &rest, others);
}

bool mr_draft_refuse_type(struct mr_draft *d, struct mr_draft_table *t, const struct mr_field *f, const char *sql_type, bool filled)
{
	const struct mr_entity *e = t->entity;
	t->unlike = true;
	bool json = mr_draft_type_fits(MR_T_JSON, sql_type) && json_kind(f->type), others = false;
	if (json && !holds_others(d, t, f, &others))
		return false;
	struct mr_buf how = {0};
	if (json)
		print_conversion(&how, e, f, filled);
	if (others)
		mr_draft_refuse(d, e->name, f->name,
			"is declared as %s, but the existing column is of type %s and holds other values than JSON's %ss: columns are "
			"never "
			"rewritten. Declare it as v.any(), correct those rows, and then try again",
			mr_type_name(f->type), sql_type, json_kind(f->type));
	else if (json)
		mr_draft_refuse(d, e->name, f->name,
			"is declared as %s, but the existing column is of type %s; columns are never rewritten. All its values are such: "
			"convert it yourself (the table is locked meanwhile): %s",
			mr_type_name(f->type), sql_type, how.p);
	else
		mr_draft_refuse(d, e->name, f->name,
			"is declared as %s, but the existing column is of type %s; columns are never rewritten. Convert it yourself by "
			"\"alter table\", or give the field another name and move the values there",
			mr_type_name(f->type), sql_type);
	mr_buf_fini(&how);
	return true;
}
