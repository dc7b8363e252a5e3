/* Checks. Those that a plan has made say so, and what they are, in a comment: so one that is declared otherwise since is made anew, one
 * that is declared no more is dropped, and nobody else's is touched. */
#include <inttypes.h>
#include <stdlib.h>

#include "install_private.h"
#include "pred_sql.h"

void mr_draft_pred(struct mr_buf *b, const struct mr_entity *e, const struct mr_pred *pred)
{
	struct mr_arena a = {0};
	struct mr_params literal = {.arena = &a, .plan = true};
	mr_pred_sql(b, &literal, e, pred);
	mr_arena_fini(&a);
}

static void print_length(struct mr_buf *b, const struct mr_entity *e, const struct mr_check *c, const char *operator, int64_t length)
{
	if (length < 0)
		return;
	const struct mr_field *f = &e->fields[c->field];
	mr_buf_printf(b, "%s%s(", b->n ? " and " : "", f->type == MR_T_BYTES ? "octet_length" : "char_length");
	mr_sql_ident(b, f->column);
	mr_buf_printf(b, ") %s %" PRId64, operator, length);
}

static void print_check(struct mr_buf *b, const struct mr_entity *e, const struct mr_check *c)
{
	if (c->pred)
		mr_draft_pred(b, e, c->pred);
	print_length(b, e, c, ">=", c->min_length);
	print_length(b, e, c, "<=", c->max_length);
}

static void alter_constraint(struct mr_draft *d, const struct mr_entity *e, const char *what, struct mr_str name)
{
	mr_buf_z(&d->constraints, "alter table ");
	mr_sql_table(&d->constraints, e);
	mr_buf_printf(&d->constraints, " %s constraint ", what);
	mr_sql_ident(&d->constraints, name);
}

static void drop_check(struct mr_draft *d, const struct mr_entity *e, const char *name)
{
	alter_constraint(d, e, "drop", mr_str(name));
	mr_buf_z(&d->constraints, ";\n");
}

void mr_draft_validate(struct mr_draft *d, const struct mr_entity *e, struct mr_str name)
{
	mr_buf_z(&d->later, MR_DRAFT_AGAIN "alter table ");
	mr_sql_table(&d->later, e);
	mr_buf_z(&d->later, " validate constraint ");
	mr_sql_ident(&d->later, name);
	mr_buf_z(&d->later, ";\n");
}

static void add_check(struct mr_draft *d, const struct mr_draft_table *t, struct mr_str name, struct mr_str is)
{
	const struct mr_entity *e = t->entity;
	struct mr_buf *b = &d->constraints, said = {0};
	mr_buf_printf(&said, MR_DRAFT_SAYS "%.*s", (int)is.n, is.p);
	alter_constraint(d, e, "add", name);
	mr_buf_printf(b, " check (%.*s)%s;\ncomment on constraint ", (int)is.n, is.p, mr_draft_gently(t) ? " not valid" : "");
	if (mr_draft_gently(t))
		mr_draft_validate(d, e, name);
	mr_sql_ident(b, name);
	mr_buf_z(b, " on ");
	mr_sql_table(b, e);
	mr_buf_z(b, " is ");
	mr_sql_literal(b, mr_buf_view(&said));
	mr_buf_z(b, ";\n");
	mr_buf_fini(&said);
}

/* ---- would the rows stand it ---- */

/* A column that the plan is yet to add holds nothing that could break it. */
static bool columns_exist(struct mr_draft *d, const struct mr_draft_table *t, const struct mr_pred *p, bool *exist)
{
	bool leaf = p->op != MR_P_TRUE && p->op != MR_P_FALSE && !p->kids;
	if (leaf && !mr_draft_column_exists(d, t, t->entity->fields[p->field].column, exist))
		return false;
	if (leaf && *exist && p->op >= MR_P_EQ_FIELD && !mr_draft_column_exists(d, t, t->entity->fields[p->other].column, exist))
		return false;
	for (size_t i = 0; p->kids && i < p->n && *exist; i++)
		if (!columns_exist(d, t, p->kids[i], exist))
			return false;
	return true;
}

bool mr_draft_pred_exists(struct mr_draft *d, const struct mr_draft_table *t, const struct mr_pred *p, bool *exist)
{
	*exist = true;
	return !p || columns_exist(d, t, p, exist);
}

static bool refuse_breakers(struct mr_draft *d, struct mr_draft_table *t, const struct mr_check *c, struct mr_str is)
{
	const struct mr_entity *e = t->entity;
	bool exist, broken;
	if (!mr_draft_pred_exists(d, t, c->pred, &exist))
		return false;
	if (exist && c->field >= 0 && !mr_draft_column_exists(d, t, e->fields[c->field].column, &exist))
		return false;
	if (!exist)
		return true;
	struct mr_buf rest = {0};
	mr_buf_printf(&rest, "where not (%.*s)", (int)is.n, is.p);
	if (!mr_draft_any(d, e, &rest, &broken))
		return false;
	if (broken)
		mr_draft_refuse(
			d, e->name, c->name, "cannot be checked: the table holds rows that break it: %.*s", (int)MR_MIN(is.n, 200), is.p);
	return true;
}

/* ---- the draft ---- */

enum { K_NAME, K_SAYS, K_VALID };

static int find(const PGresult *have, const char *name)
{
	for (int i = 0; have && i < PQntuples(have); i++)
		if (!strcmp(PQgetvalue(have, i, K_NAME), name))
			return i;
	return -1;
}

static bool is_ours(const PGresult *have, int i)
{
	return !strncmp(PQgetvalue(have, i, K_SAYS), MR_DRAFT_SAYS, strlen(MR_DRAFT_SAYS));
}

static bool draft_check(struct mr_draft *d, struct mr_draft_table *t, const PGresult *have, bool *wanted, const struct mr_check *c)
{
	struct mr_buf name = {0}, is = {0};
	bool ok = true;
	mr_sql_key_name(&name, t->entity, c->name, "_check");
	print_check(&is, t->entity, c);
	int i = find(have, name.p);
	bool same = i >= 0 && is_ours(have, i) && mr_str_eq(mr_str(PQgetvalue(have, i, K_SAYS) + strlen(MR_DRAFT_SAYS)), mr_buf_view(&is));
	if (i >= 0)
		wanted[i] = true;
	if (!same) {
		if (i >= 0)
			drop_check(d, t->entity, name.p);
		ok = !t->rows || refuse_breakers(d, t, c, mr_buf_view(&is));
		add_check(d, t, mr_buf_view(&name), mr_buf_view(&is));
	} else if (PQgetvalue(have, i, K_VALID)[0] != 't') {
		mr_draft_validate(d, t->entity, mr_buf_view(&name));
	}
	mr_buf_fini(&name);
	mr_buf_fini(&is);
	return ok;
}

static void drop_unwanted(struct mr_draft *d, const struct mr_entity *e, const PGresult *have, const bool *wanted)
{
	for (int i = 0; i < PQntuples(have); i++)
		if (!wanted[i] && is_ours(have, i))
			drop_check(d, e, PQgetvalue(have, i, K_NAME));
}

bool mr_draft_checks(struct mr_draft *d, struct mr_draft_table *t)
{
	PGresult *have = NULL;
	if (*t->oid) {
		const char *params[] = {t->oid};
		have = mr_draft_ask(d,
			"select conname, coalesce(obj_description(oid, 'pg_constraint'), ''), convalidated from pg_constraint "
			"where conrelid = $1::oid and contype = 'c' order by conname",
			1, params);
		if (!have)
			return false;
	}
	bool ok = true, *wanted = mr_alloc((size_t)(have ? PQntuples(have) : 0) + 1);
	for (size_t i = 0; ok && i < t->entity->n_checks; i++)
		ok = draft_check(d, t, have, wanted, &t->entity->checks[i]);
	if (ok && have)
		drop_unwanted(d, t->entity, have, wanted);
	free(wanted);
	PQclear(have);
	return ok;
}
