/* Acts that obey: under the policies, over the fields that clients know. Entity acts of clients do, and what functions do as somebody
 * (ctx.db.as). */
#include "proto/policy.h"
#include "worker.h"

bool mr_obey_fields(const struct mr_entity *e, const struct mr_node *value, struct mr_error *err)
{
	if (!value || value->kind != MR_MAP)
		return mr_fail(err, MR_BAD_VALUE, "%s: expected a map of fields.", e->name.p);
	for (size_t i = 0; i < value->n; i++) {
		struct mr_str key = value->items[i].key;
		int f = mr_entity_field(e, key);
		if (f < 0 || e->fields[f].server_only)
			return mr_fail(err, MR_UNKNOWN_FIELD, "%s has no field %.*s.", e->name.p, (int)MR_MIN(key.n, 200), key.p);
	}
	return true;
}

bool mr_obey_same(struct mr_arena *a, const struct mr_entity *e, int f, const struct mr_node *x, const struct mr_node *y)
{
	struct mr_value v, w;
	struct mr_error err;
	struct mr_node null = {.kind = MR_NULL};
	return mr_value_from_node(a, e->fields[f].type, x ? x : &null, &v, &err) &&
	       mr_value_from_node(a, e->fields[f].type, y ? y : &null, &w, &err) && mr_value_eq(&v, &w);
}

const struct mr_node *mr_obey_owner(
	struct mr_arena *a, const struct mr_entity *e, const struct mr_node *value, const struct mr_node *auth, struct mr_error *err)
{
	struct mr_node *map = mr_arena_alloc(a, sizeof *map);
	*map = *value;
	map->items = mr_arena_alloc(a, (value->n + e->n) * sizeof *map);
	if (value->n)
		memcpy(map->items, value->items, value->n * sizeof *map);
	for (size_t f = 0; f < e->n; f++) {
		if (!e->fields[f].owner)
			continue;
		struct mr_node user = {.kind = MR_STRING, .text = mr_node_str(auth, "userId"), .key = e->fields[f].name};
		if (!user.text.n) {
			mr_fail(err, MR_UNAUTHENTICATED, "%s belongs to who inserts it: sign in first.", e->name.p);
			return NULL;
		}
		const struct mr_node *given = mr_node_get(map, e->fields[f].name.p);
		if (!given) {
			map->items[map->n++] = user;
		} else if (!mr_obey_same(a, e, (int)f, given, &user)) {
			mr_fail(err, MR_FORBIDDEN, "%s.%s is the caller; another value may not be given.", e->name.p, e->fields[f].name.p);
			return NULL;
		}
	}
	return map;
}

/* ---- functions, as somebody ---- */

bool mr_op_obeys(const struct mr_node *in)
{
	return mr_node_get(in, "as") != NULL;
}

static const struct mr_node *whose(const struct mr_node *in)
{
	const struct mr_node *as = mr_node_get(in, "as");
	return as && as->kind == MR_MAP ? as : NULL;
}

static const struct mr_pred *policy(
	struct mr_op *op, const struct mr_entity *e, enum mr_act act, const struct mr_node *in, struct mr_error *err)
{
	return mr_policy_compile(&op->job->attempt, e, e->policy[act], whose(in), err);
}

bool mr_obey_read(struct mr_op *op, const struct mr_node *in, struct mr_plan *plan, struct mr_error *err)
{
	if (!mr_op_obeys(in))
		return true;
	struct mr_arena *a = &op->job->attempt;
	const struct mr_pred *read = policy(op, plan->entity, MR_ACT_READ, in, err);
	if (!read)
		return false;
	plan->where = mr_pred_normal(a, mr_pred_and(a, plan->where, read));
	plan->visible = true;
	return true;
}

/* What clients may not change by an update. */
static bool leaves_locked(const struct mr_entity *e, const struct mr_node *value, struct mr_error *err)
{
	for (size_t i = 0; value && i < value->n; i++) {
		int f = mr_entity_field(e, value->items[i].key);
		if (f == 0 || (f > 0 && (e->fields[f].key || e->fields[f].owner || e->fields[f].readonly)))
			return mr_fail(err, MR_FORBIDDEN, "%s.%s cannot be changed.", e->name.p, e->fields[f].name.p);
	}
	return true;
}

/* A revocation could be raced otherwise (CLOCK.md rule 30). */
static bool is_strict_enough(const struct mr_op *op, const struct mr_entity *e, enum mr_act act, struct mr_error *err)
{
	bool asks = mr_policy_asks_sets(e, e->policy[act]) || (act != MR_ACT_INSERT && mr_policy_asks_sets(e, e->policy[MR_ACT_READ]));
	const struct mr_fn *fn = op->job->fn;
	return !asks || !fn->isolation.n || mr_str_is(fn->isolation, "serializable") ||
	       mr_fail(err, MR_FUNCTION_FAILED,
		       "The policy of %s asks exists(...), so what writes as somebody is to be serializable; %s is %s.", e->name.p,
		       fn->name.p, fn->isolation.p);
}

bool mr_obey_write(struct mr_op *op, const struct mr_node *in, enum mr_act act, struct mr_write *w, struct mr_error *err)
{
	if (!mr_op_obeys(in))
		return true;
	struct mr_arena *a = &op->job->attempt;
	const struct mr_entity *e = w->entity;
	const struct mr_pred *may = policy(op, e, act, in, err), *read = may ? policy(op, e, MR_ACT_READ, in, err) : NULL;
	if (!read || !is_strict_enough(op, e, act, err))
		return false;
	if (act != MR_ACT_DELETE && (!mr_obey_fields(e, w->value, err) || (w->add && !mr_obey_fields(e, w->add, err))))
		return false;
	if (act == MR_ACT_INSERT && !(w->value = mr_obey_owner(a, e, w->value, whose(in), err)))
		return false;
	if (act == MR_ACT_UPDATE && (!leaves_locked(e, w->value, err) || !leaves_locked(e, w->add, err)))
		return false;
	w->allow_new = act == MR_ACT_DELETE ? NULL : mr_pred_normal(a, may);
	w->allow_old = act == MR_ACT_INSERT ? NULL : mr_pred_normal(a, mr_pred_and(a, read, may));
	return true;
}
