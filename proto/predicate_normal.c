/* The normal form of predicates. Each rule keeps the three-valued meaning, so that it may be applied anywhere in a tree. */
#include <stdlib.h>

#include "predicate.h"

/* A total order of trees: the operator, then what it holds. */
static int cmp_int(int a, int b)
{
	return (a > b) - (a < b);
}

static int cmp_tree(const struct mr_pred *a, const struct mr_pred *b);

static int cmp_links(const void *a, const void *b)
{
	const struct mr_link *x = a, *y = b;
	int c = cmp_int(x->inner, y->inner);
	return c ? c : cmp_int(x->outer, y->outer);
}

static int cmp_members(const struct mr_members *a, const struct mr_members *b)
{
	int c = cmp_int(a->entity->number, b->entity->number);
	if (!c)
		c = (a->n > b->n) - (a->n < b->n);
	for (size_t i = 0; !c && i < a->n; i++)
		c = cmp_links(&a->links[i], &b->links[i]);
	return c ? c : cmp_tree(a->pred, b->pred);
}

static int cmp_tree(const struct mr_pred *a, const struct mr_pred *b)
{
	int c = cmp_int((int)a->op, (int)b->op);
	if (!c && a->op == MR_P_MEMBER)
		return cmp_members(a->members, b->members);
	if (!c && !mr_pred_has_kids(a->op))
		c = cmp_int(a->field, b->field);
	if (!c)
		c = cmp_int(a->other, b->other);
	if (!c)
		c = (a->n > b->n) - (a->n < b->n);
	for (size_t i = 0; !c && i < a->n; i++)
		c = mr_pred_has_kids(a->op) ? cmp_tree(a->kids[i], b->kids[i]) : mr_value_cmp(&a->values[i], &b->values[i]);
	return c;
}

bool mr_pred_same(const struct mr_pred *a, const struct mr_pred *b)
{
	return cmp_tree(a, b) == 0;
}

static int by_tree(const void *a, const void *b)
{
	return cmp_tree(*(const struct mr_pred *const *)a, *(const struct mr_pred *const *)b);
}

/* Kids in normal form, flattened into one list. */
struct list {
	const struct mr_pred **p;
	size_t n, cap;
};

static void list_add(struct list *l, const struct mr_pred *p)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 8;
		l->p = mr_realloc(l->p, l->cap * sizeof(*l->p));
	}
	l->p[l->n++] = p;
}

/* False: a kid decides the whole (false in AND, true in OR). */
static bool collect(struct mr_arena *a, const struct mr_pred *p, struct list *l)
{
	enum mr_pred_op decides = p->op == MR_P_AND ? MR_P_FALSE : MR_P_TRUE, neutral = p->op == MR_P_AND ? MR_P_TRUE : MR_P_FALSE;
	for (size_t i = 0; i < p->n; i++) {
		const struct mr_pred *kid = mr_pred_normal(a, p->kids[i]);
		if (kid->op == decides)
			return false;
		if (kid->op == neutral)
			continue;
		if (kid->op != p->op) {
			list_add(l, kid);
			continue;
		}
		for (size_t j = 0; j < kid->n; j++)
			list_add(l, kid->kids[j]);
	}
	return true;
}

static size_t sort_kids(struct list *l)
{
	size_t kept = 0;
	if (l->n)
		qsort(l->p, l->n, sizeof(struct mr_pred *), by_tree);
	for (size_t i = 0; i < l->n; i++)
		if (!kept || cmp_tree(l->p[kept - 1], l->p[i]) != 0)
			l->p[kept++] = l->p[i];
	return kept;
}

static const struct mr_pred *normal_kids(struct mr_arena *a, const struct mr_pred *p)
{
	struct list l = {0};
	const struct mr_pred *result;
	if (!collect(a, p, &l)) {
		result = mr_pred_constant(a, p->op == MR_P_OR);
	} else if ((l.n = sort_kids(&l)) == 0) {
		result = mr_pred_constant(a, p->op == MR_P_AND);
	} else if (l.n == 1) {
		result = l.p[0];
	} else {
		struct mr_pred *q = mr_arena_alloc(a, sizeof(*q));
		const struct mr_pred **kids = mr_arena_alloc(a, l.n * sizeof(*kids));
		memcpy(kids, l.p, l.n * sizeof(*kids));
		*q = (struct mr_pred){.op = p->op, .kids = kids, .n = l.n};
		result = q;
	}
	free(l.p);
	return result;
}

static const struct mr_pred *with_op(struct mr_arena *a, const struct mr_pred *p, enum mr_pred_op op)
{
	struct mr_pred *q = mr_arena_alloc(a, sizeof(*q));
	*q = *p;
	q->op = op;
	return q;
}

/* not (x < y) is y <= x. */
static const struct mr_pred *swapped(struct mr_arena *a, const struct mr_pred *p, enum mr_pred_op op)
{
	return mr_pred_fields(a, op, p->other, p->field);
}

static const struct mr_pred *normal_not(struct mr_arena *a, const struct mr_pred *p)
{
	const struct mr_pred *kid = mr_pred_normal(a, p->kids[0]);
	switch (kid->op) {
	case MR_P_TRUE:
	case MR_P_FALSE:
		return mr_pred_constant(a, kid->op == MR_P_FALSE);
	case MR_P_NOT:
		return kid->kids[0];
	case MR_P_EQ:
		return with_op(a, kid, MR_P_NE);
	case MR_P_NE:
		return with_op(a, kid, MR_P_EQ);
	case MR_P_LT:
		return with_op(a, kid, MR_P_GE);
	case MR_P_LE:
		return with_op(a, kid, MR_P_GT);
	case MR_P_GT:
		return with_op(a, kid, MR_P_LE);
	case MR_P_GE:
		return with_op(a, kid, MR_P_LT);
	case MR_P_EQ_FIELD:
		return with_op(a, kid, MR_P_NE_FIELD);
	case MR_P_NE_FIELD:
		return with_op(a, kid, MR_P_EQ_FIELD);
	case MR_P_LT_FIELD:
		return swapped(a, kid, MR_P_LE_FIELD);
	case MR_P_LE_FIELD:
		return swapped(a, kid, MR_P_LT_FIELD);
	default:
		break;
	}
	struct mr_pred *q = mr_arena_alloc(a, sizeof(*q));
	const struct mr_pred **kids = mr_arena_alloc(a, sizeof(*kids));
	kids[0] = kid;
	*q = (struct mr_pred){.op = MR_P_NOT, .kids = kids, .n = 1};
	return q;
}

static int by_value(const void *a, const void *b)
{
	return mr_value_cmp(a, b);
}

static const struct mr_pred *normal_in(struct mr_arena *a, const struct mr_pred *p)
{
	if (!p->n)
		return mr_pred_constant(a, false);
	if (p->n == 1)
		return with_op(a, p, MR_P_EQ);
	struct mr_value *v = mr_arena_alloc(a, p->n * sizeof(*v));
	size_t n = 0;
	memcpy(v, p->values, p->n * sizeof(*v));
	qsort(v, p->n, sizeof(*v), by_value);
	for (size_t i = 0; i < p->n; i++)
		if (!n || mr_value_cmp(&v[n - 1], &v[i]) != 0)
			v[n++] = v[i];
	struct mr_pred *q = mr_arena_alloc(a, sizeof(*q));
	*q = (struct mr_pred){.op = n == 1 ? MR_P_EQ : MR_P_IN, .field = p->field, .values = v, .n = n};
	return q;
}

/* A set that has no rows has no members. */
static const struct mr_pred *normal_member(struct mr_arena *a, const struct mr_pred *p)
{
	struct mr_members m = *p->members;
	struct mr_link *links = mr_arena_alloc(a, m.n * sizeof(*links));
	m.pred = mr_pred_normal(a, m.pred);
	if (m.pred->op == MR_P_FALSE)
		return m.pred;
	memcpy(links, m.links, m.n * sizeof(*links));
	qsort(links, m.n, sizeof(*links), cmp_links);
	m.links = links;
	m.n = 0;
	for (size_t i = 0; i < p->members->n; i++)
		if (!m.n || cmp_links(&links[m.n - 1], &links[i]) != 0)
			links[m.n++] = links[i];
	return mr_pred_member(a, &m);
}

const struct mr_pred *mr_pred_normal(struct mr_arena *a, const struct mr_pred *p)
{
	switch (p->op) {
	case MR_P_AND:
	case MR_P_OR:
		return normal_kids(a, p);
	case MR_P_NOT:
		return normal_not(a, p);
	case MR_P_IN:
		return normal_in(a, p);
	case MR_P_MEMBER:
		return normal_member(a, p);
	case MR_P_EQ_FIELD:
	case MR_P_NE_FIELD:
		return p->other < p->field ? swapped(a, p, p->op) : p;
	default:
		return p;
	}
}
