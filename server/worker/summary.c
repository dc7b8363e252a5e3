/* What a summary is asked for: groups, measures, order (docs/manifest.md). */
#include "worker.h"

struct reader {
	struct mr_arena *arena;
	const struct mr_entity *entity;
	bool visible;
	struct mr_summary *to;
	struct mr_error *err;
};

static int field_named(const struct reader *r, const struct mr_node *name)
{
	int field = name && name->kind == MR_STRING ? mr_entity_field(r->entity, name->text) : -1;
	if (field >= 0 && !mr_field_computed(&r->entity->fields[field]) && !(r->visible && r->entity->fields[field].server_only))
		return field;
	struct mr_str text = name && name->kind == MR_STRING ? name->text : MR_STR("");
	mr_fail(r->err, MR_UNKNOWN_FIELD, "%s has no field \"%.*s\" to group or measure by.", r->entity->name.p, (int)MR_MIN(text.n, 80),
		text.p);
	return -1;
}

static bool read_groups(const struct reader *r, const struct mr_node *list)
{
	size_t n = list && list->kind == MR_ARRAY ? list->n : 0;
	int *group = mr_arena_alloc(r->arena, (n + 1) * sizeof *group);
	for (size_t i = 0; i < n; i++) {
		group[i] = field_named(r, &list->items[i]);
		if (group[i] < 0)
			return false;
		if (r->entity->fields[group[i]].type == MR_T_JSON)
			return mr_fail(r->err, MR_BAD_FILTER, "%s.%s is JSON, by which nothing is grouped.", r->entity->name.p,
				r->entity->fields[group[i]].name.p);
	}
	r->to->group = group;
	r->to->n_group = n;
	return true;
}

/* [name, function, field or null] */
static bool read_measure(const struct reader *r, const struct mr_node *n, struct mr_measure *m)
{
	if (n->kind != MR_ARRAY || n->n != 3)
		return mr_fail(r->err, MR_BAD_FILTER, "A measure is count, sum, avg, min or max.");
	*m = (struct mr_measure){.name = n->items[0].text, .field = -1};
	size_t fn = 0;
	while (fn < MR_MEASURES && !mr_str_is(n->items[1].text, mr_measure_names[fn]))
		fn++;
	if (fn == MR_MEASURES)
		return mr_fail(r->err, MR_BAD_FILTER, "A measure is count, sum, avg, min or max.");
	m->fn = (enum mr_measure_fn)fn;
	if (n->items[2].kind == MR_NULL)
		return m->fn == MR_MEASURE_COUNT || mr_fail(r->err, MR_BAD_FILTER, "%s needs a field.", mr_measure_names[m->fn]);
	m->field = field_named(r, &n->items[2]);
	if (m->field < 0)
		return false;
	const struct mr_field *f = &r->entity->fields[m->field];
	return mr_measure_fits(r->entity, m->fn, m->field) ||
	       mr_fail(r->err, MR_BAD_FILTER, "%s.%s is of a type that has no %s.", r->entity->name.p, f->name.p, mr_measure_names[m->fn]);
}

static bool read_measures(const struct reader *r, const struct mr_node *list)
{
	size_t n = list && list->kind == MR_ARRAY ? list->n : 0;
	struct mr_measure *measures = mr_arena_alloc(r->arena, (n + 1) * sizeof *measures);
	for (size_t i = 0; i < n; i++)
		if (!read_measure(r, &list->items[i], &measures[i]))
			return false;
	r->to->measures = measures;
	r->to->n = n;
	return n || r->to->n_group || mr_fail(r->err, MR_BAD_FILTER, "A summary needs something to measure.");
}

static bool find_column(const struct reader *r, struct mr_str name, size_t *column)
{
	const struct mr_summary *s = r->to;
	for (*column = 0; *column < s->n_group + s->n; ++*column)
		if (mr_str_eq(name,
			    *column < s->n_group ? r->entity->fields[s->group[*column]].name : s->measures[*column - s->n_group].name))
			return true;
	return mr_fail(r->err, MR_BAD_FILTER, "order: a summary is ordered by its groups and measures, not by %.*s.",
		(int)MR_MIN(name.n, 80), name.p ? name.p : "");
}

static bool read_order(const struct reader *r, const struct mr_node *list)
{
	size_t n = list && list->kind == MR_ARRAY ? list->n : 0;
	struct mr_summary_order *order = mr_arena_alloc(r->arena, (n + 1) * sizeof *order);
	for (size_t i = 0; i < n; i++) {
		const struct mr_node *term = &list->items[i];
		if (term->kind != MR_ARRAY || term->n != 2)
			return mr_fail(r->err, MR_BAD_FILTER, "order: expected [[name, \"asc\" or \"desc\"], ...].");
		order[i].desc = mr_str_is(term->items[1].text, "desc");
		if (!find_column(r, term->items[0].text, &order[i].column))
			return false;
	}
	r->to->order = order;
	r->to->n_order = n;
	return true;
}

bool mr_summary_read(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *in, bool visible, struct mr_summary *summary,
	struct mr_error *err)
{
	struct reader r = {a, e, visible, summary, err};
	*summary = (struct mr_summary){0};
	return read_groups(&r, mr_node_get(in, "groupBy")) && read_measures(&r, mr_node_get(in, "measures")) &&
	       read_order(&r, mr_node_get(in, "order"));
}
