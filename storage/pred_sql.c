/* Predicate -> SQL. Every operator keeps the three values of logic that mr_pred_eval has. */
#include "pred_sql.h"

#include "proto/ground/log.h"
#include "sql.h"

int mr_params_add(struct mr_params *p, struct mr_str text)
{
	if (p->n == p->cap) {
		int cap = p->cap ? p->cap * 2 : 8;
		struct mr_str *v = mr_arena_alloc(p->arena, (size_t)cap * sizeof(*v));
		if (p->n)
			memcpy(v, p->v, (size_t)p->n * sizeof(*v));
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = text;
	return p->n;
}

static struct mr_str text_of(struct mr_arena *a, const struct mr_value *v)
{
	struct mr_buf b = {0};
	if (v->null)
		return (struct mr_str){NULL, 0};
	mr_value_pgtext(&b, v);
	struct mr_str text = mr_arena_str(a, mr_buf_view(&b));
	mr_buf_fini(&b);
	return text;
}

int mr_params_add_value(struct mr_params *p, const struct mr_value *v)
{
	return mr_params_add(p, text_of(p->arena, v));
}

/* A parameter of this text, or the text itself. */
static void given(struct mr_buf *sql, struct mr_params *params, struct mr_str text)
{
	if (!params->plan)
		mr_buf_printf(sql, "$%d", mr_params_add(params, text));
	else if (text.p)
		mr_sql_literal(sql, text);
	else
		mr_buf_z(sql, "null");
}

static void column(struct mr_buf *sql, const struct mr_params *params, const struct mr_entity *e, int field)
{
	mr_sql_column(sql, params->plan ? "" : params->members ? "s." : "r.", &e->fields[field]);
}

/* Order of text is by bytes, whatever the column's collation; equality is so under every collation that the installer takes, and without
 * the clause any index on the column serves it. */
static void ordered_column(struct mr_buf *sql, const struct mr_params *params, const struct mr_entity *e, int field)
{
	column(sql, params, e, field);
	if (e->fields[field].type == MR_T_STRING)
		mr_buf_z(sql, " collate \"C\"");
}

static void compare(struct mr_buf *sql, struct mr_params *params, const struct mr_entity *e, const struct mr_pred *p, const char *operator)
{
	bool orders = *operator== '>' ||(*operator== '<' && operator[1] != '>');
	if (orders)
		ordered_column(sql, params, e, p->field);
	else
		column(sql, params, e, p->field);
	mr_buf_printf(sql, " %s ", operator);
	given(sql, params, text_of(params->arena, &p->values[0]));
	mr_buf_printf(sql, "::%s", mr_sql_cast(e->fields[p->field].type));
}

static void compare_fields(
	struct mr_buf *sql, const struct mr_params *params, const struct mr_entity *e, const struct mr_pred *p, const char *operator)
{
	ordered_column(sql, params, e, p->field);
	mr_buf_printf(sql, " %s ", operator);
	column(sql, params, e, p->other);
}

/* As one array parameter: the text of the statement does not depend on how many there are. */
static void in_list(struct mr_buf *sql, struct mr_params *params, const struct mr_entity *e, const struct mr_pred *p)
{
	struct mr_buf list = {0}, text = {0};
	mr_buf_char(&list, '{');
	for (size_t i = 0; i < p->n; i++) {
		mr_buf_reset(&text);
		mr_value_pgtext(&text, &p->values[i]);
		mr_buf_z(&list, i ? "," : "");
		mr_sql_item(&list, mr_buf_view(&text));
	}
	mr_buf_char(&list, '}');
	column(sql, params, e, p->field);
	mr_buf_z(sql, " = any(");
	given(sql, params, mr_arena_str(params->arena, mr_buf_view(&list)));
	mr_buf_printf(sql, "::%s[])", mr_sql_cast(e->fields[p->field].type));
	mr_buf_fini(&list);
	mr_buf_fini(&text);
}

static void kids(struct mr_buf *sql, struct mr_params *params, const struct mr_entity *e, const struct mr_pred *p, const char *word)
{
	mr_buf_char(sql, '(');
	for (size_t i = 0; i < p->n; i++) {
		mr_buf_z(sql, i ? word : "");
		mr_pred_sql(sql, params, e, p->kids[i]);
	}
	mr_buf_char(sql, ')');
}

/* The collation is said on the row's side, for the two columns may be of different ones: an index that declared text has serves it. */
static void member(struct mr_buf *sql, struct mr_params *params, const struct mr_entity *e, const struct mr_members *m)
{
	MR_ASSERT(!params->plan && !params->members);
	mr_buf_z(sql, "exists (select 1 from ");
	mr_sql_table(sql, m->entity);
	mr_buf_z(sql, " as s where ");
	for (size_t i = 0; i < m->n; i++) {
		params->members = true;
		column(sql, params, m->entity, m->links[i].inner);
		params->members = false;
		mr_buf_z(sql, " = ");
		ordered_column(sql, params, e, m->links[i].outer);
		mr_buf_z(sql, " and ");
	}
	params->members = true;
	mr_pred_sql(sql, params, m->entity, m->pred);
	params->members = false;
	mr_buf_char(sql, ')');
}

void mr_pred_sql(struct mr_buf *sql, struct mr_params *params, const struct mr_entity *e, const struct mr_pred *p)
{
	switch (p->op) {
	case MR_P_TRUE:
		mr_buf_z(sql, "true");
		return;
	case MR_P_FALSE:
		mr_buf_z(sql, "false");
		return;
	case MR_P_AND:
		if (p->n)
			kids(sql, params, e, p, " and ");
		else
			mr_buf_z(sql, "true");
		return;
	case MR_P_OR:
		if (p->n)
			kids(sql, params, e, p, " or ");
		else
			mr_buf_z(sql, "false");
		return;
	case MR_P_NOT:
		mr_buf_z(sql, "(not ");
		mr_pred_sql(sql, params, e, p->kids[0]);
		mr_buf_char(sql, ')');
		return;
	case MR_P_EQ:
		compare(sql, params, e, p, "=");
		return;
	case MR_P_NE:
		compare(sql, params, e, p, "<>");
		return;
	case MR_P_LT:
		compare(sql, params, e, p, "<");
		return;
	case MR_P_LE:
		compare(sql, params, e, p, "<=");
		return;
	case MR_P_GT:
		compare(sql, params, e, p, ">");
		return;
	case MR_P_GE:
		compare(sql, params, e, p, ">=");
		return;
	case MR_P_IN:
		in_list(sql, params, e, p);
		return;
	case MR_P_NULL:
		column(sql, params, e, p->field);
		mr_buf_z(sql, " is null");
		return;
	case MR_P_LIKE:
		ordered_column(sql, params, e, p->field); /* an index by bytes finds what begins alike */
		mr_buf_z(sql, " like ");
		given(sql, params, text_of(params->arena, &p->values[0]));
		return;
	case MR_P_DISTINCT:
		compare(sql, params, e, p, "is distinct from");
		return;
	case MR_P_EQ_FIELD:
		compare_fields(sql, params, e, p, "=");
		return;
	case MR_P_NE_FIELD:
		compare_fields(sql, params, e, p, "<>");
		return;
	case MR_P_LT_FIELD:
		compare_fields(sql, params, e, p, "<");
		return;
	case MR_P_LE_FIELD:
		compare_fields(sql, params, e, p, "<=");
		return;
	case MR_P_MEMBER:
		member(sql, params, e, p->members);
		return;
	}
	MR_ASSERT(!"an operator of the language");
}

void mr_order_sql(struct mr_buf *sql, const struct mr_entity *e, const struct mr_order *order, size_t n)
{
	static const struct mr_params aliased = {0};
	for (size_t i = 0; !n && i < e->n_key; i++) {
		mr_buf_z(sql, i ? ", " : "");
		ordered_column(sql, &aliased, e, e->key[i]);
		mr_buf_z(sql, " asc");
	}
	for (size_t i = 0; i < n; i++) {
		mr_buf_z(sql, i ? ", " : "");
		ordered_column(sql, &aliased, e, order[i].field);
		mr_buf_z(sql, order[i].desc ? " desc" : " asc");
	}
}
