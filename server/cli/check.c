#include "check.h"

#include "proto/policy.h"

struct looking {
	const struct mr_entity *entity;
	const char *where; /* "The read policy of Task" */
	struct mr_buf *out;
	size_t mistakes;
	struct mr_arena arena;
};

/* The rules of the field rule it out, in every row. */
static bool never_is(struct looking *l, const struct mr_entity *e, int field, const struct mr_value *v)
{
	struct mr_row row = {.entity = e, .v = mr_arena_alloc(&l->arena, e->n * sizeof *row.v)};
	for (size_t i = 0; i < e->n; i++)
		row.v[i] = (struct mr_value){.type = e->fields[i].type, .null = true};
	row.v[field] = *v;
	for (size_t i = 0; i < e->n_checks; i++)
		if (e->checks[i].field == field && e->checks[i].pred && mr_pred_eval(e->checks[i].pred, &row) == 0)
			return true;
	return false;
}

static void look_at_values(struct looking *l, const struct mr_entity *e, const struct mr_pred *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (!never_is(l, e, p->field, &p->values[i]))
			continue;
		mr_buf_printf(l->out, "%s compares %s.%s with '", l->where, e->name.p, e->fields[p->field].name.p);
		mr_value_pgtext(l->out, &p->values[i]);
		mr_buf_z(l->out, "', which it never is: its declaration rules that out.\n");
		l->mistakes++;
	}
}

static void look_at(struct looking *l, const struct mr_entity *e, const struct mr_pred *p)
{
	switch (p->op) {
	case MR_P_AND:
	case MR_P_OR:
	case MR_P_NOT:
		for (size_t i = 0; i < p->n; i++)
			look_at(l, e, p->kids[i]);
		return;
	case MR_P_EQ:
	case MR_P_NE:
	case MR_P_IN:
	case MR_P_DISTINCT:
		look_at_values(l, e, p);
		return;
	case MR_P_MEMBER:
		look_at(l, p->members->entity, p->members->pred);
		return;
	default:
		return;
	}
}

/* Somebody, so that what is said of the caller does not decide the rest away. */
static const struct mr_node *somebody(void)
{
	static struct mr_node user = {.kind = MR_STRING};
	static struct mr_node map = {.kind = MR_MAP, .items = &user, .n = 1};
	user.key = MR_STR("userId");
	user.text = MR_STR("somebody");
	return &map;
}

static void look_at_policy(struct looking *l, enum mr_act act)
{
	const struct mr_entity *e = l->entity;
	struct mr_error err;
	if (!e->policy[act].n)
		return;
	l->where = mr_arena_printf(&l->arena, "The %s policy of %s", mr_act_names[act], e->name.p).p;
	const struct mr_pred *p = mr_policy_compile(&l->arena, e, e->policy[act], somebody(), &err);
	if (p) {
		look_at(l, e, p);
		return;
	}
	mr_buf_printf(l->out, "%s: %s\n", mr_act_names[act], err.message);
	l->mistakes++;
}

static void look_at_rules(struct looking *l)
{
	const struct mr_entity *e = l->entity;
	for (size_t i = 0; i < e->n_indexes; i++) {
		l->where = mr_arena_printf(&l->arena, "The index %s of %s", e->indexes[i].name.p, e->name.p).p;
		if (e->indexes[i].where)
			look_at(l, e, e->indexes[i].where);
	}
	for (size_t i = 0; i < e->n_checks; i++) {
		l->where = mr_arena_printf(&l->arena, "The check %s of %s", e->checks[i].name.p, e->name.p).p;
		if (e->checks[i].field < 0 && e->checks[i].pred)
			look_at(l, e, e->checks[i].pred);
	}
}

static bool has_policies(const struct mr_entity *e)
{
	for (int act = 0; act < MR_ACTS; act++)
		if (e->policy[act].n)
			return true;
	return false;
}

size_t mr_check_app(const struct mr_app *app, struct mr_buf *out)
{
	struct looking l = {.out = out};
	for (size_t i = 0; i < app->n_entities; i++) {
		l.entity = &app->entities[i];
		for (int act = 0; act < MR_ACTS; act++)
			look_at_policy(&l, (enum mr_act)act);
		look_at_rules(&l);
		if (has_policies(l.entity) && !l.entity->policy[MR_ACT_READ].n)
			mr_buf_printf(out, "Note: %s has policies for writes and none for reading, so clients see none of its rows.\n",
				l.entity->name.p);
	}
	mr_arena_fini(&l.arena);
	return l.mistakes;
}
