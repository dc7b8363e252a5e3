/* Members of sets in predicates: what stands for them where a row is to be judged by itself. */
#include "predicate.h"

const struct mr_pred *mr_pred_member(struct mr_arena *a, const struct mr_members *members)
{
	struct mr_pred *p = mr_arena_alloc(a, sizeof(*p));
	struct mr_members *m = mr_arena_alloc(a, sizeof(*m));
	struct mr_link *links = mr_arena_alloc(a, members->n * sizeof(*links));
	*m = *members;
	m->links = memcpy(links, members->links, m->n * sizeof(*links));
	*p = (struct mr_pred){.op = MR_P_MEMBER, .members = m};
	return p;
}

size_t mr_pred_members(const struct mr_pred *p)
{
	size_t n = p->op == MR_P_MEMBER;
	for (size_t i = 0; mr_pred_has_kids(p->op) && i < p->n; i++)
		n += mr_pred_members(p->kids[i]);
	return n;
}

static const struct mr_pred *resolve(struct mr_arena *a, const struct mr_pred *p, bool negated, mr_pred_resolver *each, void *arg)
{
	if (p->op == MR_P_MEMBER)
		return each(a, p->members, negated, arg);
	if (!mr_pred_has_kids(p->op))
		return p;
	const struct mr_pred **kids = mr_arena_alloc(a, p->n * sizeof(*kids));
	struct mr_pred *made = mr_arena_alloc(a, sizeof(*made));
	for (size_t i = 0; i < p->n; i++)
		kids[i] = resolve(a, p->kids[i], negated != (p->op == MR_P_NOT), each, arg);
	*made = *p;
	made->kids = kids;
	return made;
}

const struct mr_pred *mr_pred_resolve(struct mr_arena *a, const struct mr_pred *p, mr_pred_resolver *each, void *arg)
{
	return mr_pred_normal(a, resolve(a, p, false, each, arg));
}

static const struct mr_pred *perhaps(struct mr_arena *a, const struct mr_members *m, bool negated, void *arg)
{
	return mr_pred_constant(a, !negated);
}

const struct mr_pred *mr_pred_coarse(struct mr_arena *a, const struct mr_pred *p)
{
	return mr_pred_resolve(a, p, perhaps, NULL);
}

/* What of the links is not pinned. */
struct among {
	struct mr_arena *a;
	const struct mr_entity *outer;
	struct mr_link links[MR_LINKS_MOST];
	size_t n;
	const struct mr_row *rows;
	size_t n_rows;
};

static const struct mr_value *pinned_value(const struct mr_pred *within, int field)
{
	size_t n = within->op == MR_P_AND ? within->n : 1;
	for (size_t i = 0; i < n; i++) {
		const struct mr_pred *p = within->op == MR_P_AND ? within->kids[i] : within;
		if (p->op == MR_P_EQ && p->field == field)
			return p->values;
	}
	return NULL;
}

/* Rows that the pinned links leave, and that have nothing but values in the others. */
bool mr_pred_member_counts(const struct mr_members *m, const struct mr_row *row, const struct mr_pred *within)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct mr_value *pin = within ? pinned_value(within, m->links[i].outer) : NULL, *v = &row->v[m->links[i].inner];
		if (v->null || (pin && mr_value_cmp(pin, v) != 0))
			return false;
	}
	return true;
}

static bool pinned(const struct mr_pred *p, const struct mr_pred *within)
{
	for (size_t i = 0; p->op == MR_P_MEMBER && i < p->members->n; i++)
		if (!pinned_value(within, p->members->links[i].outer))
			return false;
	for (size_t i = 0; mr_pred_has_kids(p->op) && i < p->n; i++)
		if (!pinned(p->kids[i], within))
			return false;
	return true;
}

bool mr_pred_members_pinned(const struct mr_pred *within)
{
	return pinned(within, within);
}

static void find_open(struct among *g, const struct mr_members *m, const struct mr_pred *within)
{
	for (size_t i = 0; i < m->n; i++)
		if (!within || !pinned_value(within, m->links[i].outer))
			g->links[g->n++] = m->links[i];
}

/* As a value of the row's own field. */
static struct mr_value linked(const struct among *g, const struct mr_row *row, size_t link)
{
	struct mr_value v = row->v[g->links[link].inner];
	v.type = g->outer->fields[g->links[link].outer].type;
	return v;
}

static const struct mr_pred *any_value(const struct among *g)
{
	struct mr_value *values = mr_arena_alloc(g->a, g->n_rows * sizeof(*values));
	for (size_t i = 0; i < g->n_rows; i++)
		values[i] = linked(g, &g->rows[i], 0);
	return mr_pred_in(g->a, g->links[0].outer, values, g->n_rows);
}

static const struct mr_pred *all_equal(const struct among *g, const struct mr_row *row)
{
	const struct mr_pred *p = NULL;
	for (size_t i = 0; i < g->n; i++) {
		struct mr_value v = linked(g, row, i);
		const struct mr_pred *eq = mr_pred_compare(g->a, MR_P_EQ, g->links[i].outer, &v);
		p = p ? mr_pred_and(g->a, p, eq) : eq;
	}
	return p;
}

static const struct mr_pred *any_tuple(const struct among *g)
{
	const struct mr_pred **kids = mr_arena_alloc(g->a, g->n_rows * sizeof(*kids));
	struct mr_pred *p = mr_arena_alloc(g->a, sizeof(*p));
	for (size_t i = 0; i < g->n_rows; i++)
		kids[i] = all_equal(g, &g->rows[i]);
	*p = (struct mr_pred){.op = MR_P_OR, .kids = kids, .n = g->n_rows};
	return p;
}

/* A null of the row's own is in no set: that is known, while a comparison with it is not. */
static const struct mr_pred *known(const struct among *g, const struct mr_pred *p)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->outer->fields[g->links[i].outer].optional)
			p = mr_pred_and(g->a, p, mr_pred_is_null(g->a, g->links[i].outer, false));
	return p;
}

const struct mr_pred *mr_pred_among(struct mr_arena *a, const struct mr_entity *outer, const struct mr_members *m,
	const struct mr_row *rows, size_t n, bool negated, const struct mr_pred *within)
{
	struct among g = {.a = a, .outer = outer};
	struct mr_row *left = mr_arena_alloc(a, n * sizeof(*left));
	find_open(&g, m, within);
	g.rows = left;
	for (size_t i = 0; i < n; i++)
		if (mr_pred_member_counts(m, &rows[i], within))
			left[g.n_rows++] = rows[i];
	if (!g.n || !g.n_rows)
		return mr_pred_constant(a, g.n_rows > 0);
	const struct mr_pred *p = g.n == 1 ? any_value(&g) : any_tuple(&g);
	return negated ? known(&g, p) : p;
}
