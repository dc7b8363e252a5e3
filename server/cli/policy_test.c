#include "policy_test.h"

#include "proto/policy.h"

enum { DEPTH_MAX = 64 };

struct table {
	const struct mr_app *app;
	struct mr_arena arena;
	const struct mr_node *given;
	const struct mr_entity *outer; /* whose policy is asked */
	struct mr_error err;           /* of the case at hand */
};

/* What a case is about. */
struct subject {
	const struct mr_entity *entity;
	const struct mr_node *auth;
	struct mr_row row, to;
};

/* ---- rows ---- */

static bool set_fields(struct table *t, const struct mr_entity *e, const struct mr_node *map, struct mr_row *row)
{
	if (map && map->kind != MR_MAP && map->kind != MR_NULL)
		return mr_fail(&t->err, MR_BAD_VALUE, "a row of %s is a map of fields", e->name.p);
	for (size_t i = 0; map && i < map->n; i++) {
		const struct mr_node *n = &map->items[i];
		int f = mr_entity_field(e, n->key);
		if (f < 0)
			return mr_fail(&t->err, MR_UNKNOWN_FIELD, "%s has no field \"%.*s\"", e->name.p, (int)n->key.n, n->key.p);
		if (!mr_value_from_node(&t->arena, e->fields[f].type, n, &row->v[f], &t->err))
			return false;
	}
	return true;
}

static bool read_row(struct table *t, const struct mr_entity *e, const struct mr_node *map, struct mr_row *row)
{
	*row = (struct mr_row){.entity = e, .v = mr_arena_alloc(&t->arena, e->n * sizeof *row->v)};
	for (size_t i = 0; i < e->n; i++)
		row->v[i] = (struct mr_value){.type = e->fields[i].type, .null = true};
	return set_fields(t, e, map, row);
}

/* ---- sets ---- */

/* What stands for exists(...): the rows given that it asks for. */
static const struct mr_pred *among(struct mr_arena *a, const struct mr_members *m, bool negated, void *arg)
{
	struct table *t = arg;
	const struct mr_node *list = mr_node_get(t->given, m->entity->name.p);
	size_t n = 0, most = list && list->kind == MR_ARRAY ? list->n : 0;
	struct mr_row *rows = mr_arena_alloc(a, (most + 1) * sizeof *rows);
	for (size_t i = 0; i < most; i++)
		n += read_row(t, m->entity, &list->items[i], &rows[n]) && mr_pred_eval(m->pred, &rows[n]) == 1;
	return mr_pred_among(a, t->outer, m, rows, n, negated, NULL);
}

/* ---- who may what ---- */

static bool holds(struct table *t, const struct subject *s, enum mr_act act, const struct mr_row *row)
{
	const struct mr_pred *p = mr_policy_compile(&t->arena, s->entity, s->entity->policy[act], s->auth, &t->err);
	t->outer = s->entity;
	return p && mr_pred_eval(mr_pred_resolve(&t->arena, p, among, t), row) == 1;
}

static bool may(struct table *t, const struct subject *s, enum mr_act act)
{
	switch (act) {
	case MR_ACT_READ:
	case MR_ACT_INSERT:
		return holds(t, s, act, &s->row);
	case MR_ACT_UPDATE:
		return holds(t, s, MR_ACT_READ, &s->row) && holds(t, s, act, &s->row) && holds(t, s, act, &s->to);
	default:
		return holds(t, s, MR_ACT_READ, &s->row) && holds(t, s, act, &s->row);
	}
}

static bool find_act(struct table *t, const struct mr_node *name, enum mr_act *act)
{
	for (int i = 0; i < MR_ACTS; i++)
		if (name->kind == MR_STRING && mr_str_is(name->text, mr_act_names[i])) {
			*act = (enum mr_act)i;
			return true;
		}
	return mr_fail(&t->err, MR_BAD_VALUE, "acts are read, insert, update, delete");
}

/* "ann, Post" */
static void print_case(struct mr_buf *out, size_t number, const struct subject *s)
{
	struct mr_str user = s->auth ? mr_node_str(s->auth, "userId") : MR_STR("nobody");
	mr_buf_printf(out, "case %zu (%.*s, %s): ", number, (int)user.n, user.p ? user.p : "", s->entity ? s->entity->name.p : "?");
}

static bool expect(struct table *t, const struct subject *s, size_t number, const struct mr_node *list, bool wanted, struct mr_buf *out)
{
	bool ok = true;
	for (size_t i = 0; list && list->kind == MR_ARRAY && i < list->n; i++) {
		enum mr_act act = MR_ACT_READ;
		if (!find_act(t, &list->items[i], &act))
			return false;
		bool is = may(t, s, act);
		if (t->err.code)
			return false;
		if (is == wanted)
			continue;
		print_case(out, number, s);
		mr_buf_printf(out, "%s %.*s\n", is ? "may" : "may not", (int)list->items[i].text.n, list->items[i].text.p);
		ok = false;
	}
	return ok;
}

static bool read_subject(struct table *t, const struct mr_node *n, struct subject *s)
{
	struct mr_str name = mr_node_str(n, "entity");
	s->auth = mr_node_get(n, "as");
	s->auth = s->auth && s->auth->kind == MR_MAP ? s->auth : NULL;
	s->entity = name.n ? mr_app_entity(t->app, name) : NULL;
	if (!s->entity)
		return mr_fail(&t->err, MR_UNKNOWN_ENTITY, "no entity named \"%.*s\" is declared", (int)name.n, name.p ? name.p : "");
	return read_row(t, s->entity, mr_node_get(n, "row"), &s->row) && read_row(t, s->entity, mr_node_get(n, "row"), &s->to) &&
	       set_fields(t, s->entity, mr_node_get(n, "to"), &s->to);
}

static bool run_case(struct table *t, size_t number, const struct mr_node *n, struct mr_buf *out)
{
	struct subject s = {0};
	const struct mr_node *allowed = mr_node_get(n, "may"), *denied = mr_node_get(n, "mayNot");
	t->err = (struct mr_error){0};
	bool ok = read_subject(t, n, &s);
	if (ok && !allowed && !denied)
		ok = mr_fail(&t->err, MR_BAD_VALUE, "it says neither \"may\" nor \"mayNot\"");
	if (ok) {
		ok = expect(t, &s, number, allowed, true, out);
		ok = !t->err.code && expect(t, &s, number, denied, false, out) && ok;
	}
	if (t->err.code) {
		print_case(out, number, &s);
		mr_buf_printf(out, "%s\n", t->err.message);
	}
	return ok;
}

bool mr_policy_test(const struct mr_app *app, struct mr_str json, struct mr_buf *out)
{
	struct table t = {.app = app};
	const struct mr_node *all = mr_json_read(&t.arena, json, DEPTH_MAX, false, &t.err);
	const struct mr_node *cases = mr_node_get(all, "cases");
	size_t n = cases && cases->kind == MR_ARRAY ? cases->n : 0, right = 0;
	t.given = mr_node_get(all, "given");
	if (!all)
		mr_buf_printf(out, "%s\n", t.err.message);
	else if (!n)
		mr_buf_z(out, "There are no cases: { \"given\": {...}, \"cases\": [...] }\n");
	for (size_t i = 0; i < n; i++)
		right += run_case(&t, i + 1, &cases->items[i], out);
	if (n)
		mr_buf_printf(out, "%zu of %zu cases hold\n", right, n);
	mr_arena_fini(&t.arena);
	return n > 0 && right == n;
}
