#include "matcher_plan.h"

#include "matcher_rank.h"

/* IN lists beside other equalities: longer ones are left to the predicate. */
enum { IN_MOST = 1024, SETTLED_MOST = 64 };

static const struct mr_value null_value = {.null = true};

static bool is_equality(const struct mr_pred *p)
{
	return p->op == MR_P_EQ || p->op == MR_P_NULL;
}

static bool is_range(const struct mr_pred *p)
{
	return p->op == MR_P_LT || p->op == MR_P_LE || p->op == MR_P_GT || p->op == MR_P_GE;
}

static bool is_keyed(const struct mr_pred *p)
{
	return is_equality(p) || p->op == MR_P_IN;
}

static bool is_found(const struct mr_pred *p)
{
	return is_keyed(p) || is_range(p) || p->op == MR_P_FALSE;
}

/* The terms of a conjunction; any other predicate is one of itself. */
static const struct mr_pred *const *terms(const struct mr_pred *const *p, size_t *n)
{
	*n = (*p)->op == MR_P_AND ? (*p)->n : 1;
	return (*p)->op == MR_P_AND ? (*p)->kids : p;
}

typedef bool test_pred(const struct mr_pred *p);

static bool any_term(const struct mr_pred *p, test_pred *test)
{
	size_t n;
	const struct mr_pred *const *kids = terms(&p, &n);
	for (size_t i = 0; i < n; i++)
		if (test(kids[i]))
			return true;
	return false;
}

static bool all_branches(const struct mr_pred *p, test_pred *test)
{
	for (size_t i = 0; i < p->n; i++)
		if (!any_term(p->kids[i], test))
			return false;
	return true;
}

/* The first OR among the terms whose branches all are found; its place, or -1. */
static int find_or(const struct mr_pred *p, test_pred *test)
{
	for (size_t i = 0; p->op == MR_P_AND && i < p->n && i < SETTLED_MOST; i++)
		if (p->kids[i]->op == MR_P_OR && all_branches(p->kids[i], test))
			return (int)i;
	return -1;
}

/* Equalities */

static uint64_t bit_of(size_t kid)
{
	return kid < SETTLED_MOST ? UINT64_C(1) << kid : 0;
}

/* A field compared twice keeps its first value: the rest is left to the predicate. */
static void add_equality(struct mr_branch *b, struct mr_equality e)
{
	size_t at = 0;
	while (at < b->n && b->equal[at].field < e.field)
		at++;
	if (b->n == MR_KEY_FIELDS || (at < b->n && b->equal[at].field == e.field))
		return;
	memmove(b->equal + at + 1, b->equal + at, (b->n - at) * sizeof *b->equal);
	b->equal[at] = e;
	b->n++;
}

/* Long lists are of ids and tell rows best apart. */
static bool better_list(const struct mr_pred *in, const struct mr_pred *than)
{
	if (in->n > IN_MOST || than->n > IN_MOST)
		return in->n < than->n;
	return in->n > than->n && than->n;
}

static void add_equalities(struct mr_branch *b)
{
	size_t n, list = 0;
	const struct mr_pred *const *kids = terms(&b->pred, &n), *in = NULL;
	for (size_t i = 0; i < n; i++) {
		const struct mr_pred *p = kids[i];
		if (is_equality(p))
			add_equality(b, (struct mr_equality){p->field, p->op == MR_P_EQ ? p->values : &null_value, 1, bit_of(i)});
		if (p->op == MR_P_IN && (!in || better_list(p, in))) {
			in = p;
			list = i;
		}
	}
	b->never |= in && in->n == 0;
	if (in && (b->n == 0 || in->n <= IN_MOST))
		add_equality(b, (struct mr_equality){in->field, in->values, in->n, bit_of(list)});
}

/* Ranges */

static bool is_below(const struct mr_pred *p)
{
	return p->op == MR_P_LT || p->op == MR_P_LE;
}

/* The field of the first range; rather one that has both ends. */
static int choose_range(const struct mr_pred *p)
{
	int field = -1;
	size_t n;
	const struct mr_pred *const *kids = terms(&p, &n);
	n = MR_MIN(n, (size_t)SETTLED_MOST);
	for (size_t i = 0; i < n; i++) {
		if (!is_range(kids[i]))
			continue;
		if (field < 0)
			field = kids[i]->field;
		for (size_t j = 0; j < i; j++)
			if (is_range(kids[j]) && kids[j]->field == kids[i]->field && is_below(kids[j]) != is_below(kids[i]))
				return kids[i]->field;
	}
	return field;
}

static int cmp_ends(const struct mr_end *a, const struct mr_end *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->value && b->value ? mr_value_cmp(a->value, b->value) : 0;
}

/* Exact types: the last rank inside. Others: the end itself, which may be outside. */
static void narrow(struct mr_branch *b, const struct mr_pred *p)
{
	bool exact = mr_rank_exact(p->values->type), open = p->op == MR_P_LT || p->op == MR_P_GT, below = is_below(p);
	struct mr_end end = {mr_rank(p->values), exact ? NULL : p->values};
	if (exact && open) {
		b->never |= end.rank == (below ? 0 : UINT64_MAX);
		end.rank += below ? -1 : 1;
	}
	if (below && (!b->high.value || exact ? end.rank <= b->high.rank : cmp_ends(&end, &b->high) < 0))
		b->high = end;
	if (!below && (!b->low.value || exact ? end.rank >= b->low.rank : cmp_ends(&end, &b->low) > 0))
		b->low = end;
	b->never |= b->low.rank > b->high.rank;
}

static void add_range(struct mr_branch *b)
{
	size_t n;
	const struct mr_pred *const *kids = terms(&b->pred, &n);
	b->range = choose_range(b->pred);
	b->low = (struct mr_end){0};
	b->high = (struct mr_end){.rank = UINT64_MAX};
	for (size_t i = 0; i < n && b->range >= 0; i++) {
		if (!is_range(kids[i]) || kids[i]->field != b->range)
			continue;
		narrow(b, kids[i]);
		if (mr_rank_exact(kids[i]->values->type))
			b->range_kids |= bit_of(i);
	}
}

/* Branches */

struct planner {
	void (*each)(const struct mr_branch *b, void *arg);
	void *arg;
};

static bool is_false(const struct mr_pred *p)
{
	return p->op == MR_P_FALSE;
}

static void make_branch(const struct planner *pl, const struct mr_pred *p, const struct mr_pred *around, uint64_t around_kid)
{
	struct mr_branch b = {.pred = p, .around = around, .around_kid = around_kid};
	if (any_term(p, is_false))
		return;
	add_equalities(&b);
	add_range(&b);
	pl->each(&b, pl->arg);
}

static void make_branches(const struct planner *pl, const struct mr_pred * or, const struct mr_pred *around, uint64_t around_kid)
{
	for (size_t i = 0; i < or->n; i++)
		make_branch(pl, or->kids[i], around, around_kid);
}

bool mr_plan(const struct mr_pred *p, void (*each)(const struct mr_branch *b, void *arg), void *arg)
{
	const struct planner pl = {each, arg};
	bool keyed = any_term(p, is_keyed);
	int or = keyed ? -1 : find_or(p, is_keyed);
	if (or < 0 && !any_term(p, is_found))
		or = find_or(p, is_found);
	if (p->op == MR_P_OR && all_branches(p, is_found))
		make_branches(&pl, p, NULL, 0);
	else if (or >= 0)
		make_branches(&pl, p->kids[or], p, bit_of((size_t) or));
	else if (any_term(p, is_found))
		make_branch(&pl, p, NULL, 0);
	else
		return false;
	return true;
}

struct mr_rest mr_branch_rest(const struct mr_branch *b, uint64_t settled)
{
	size_t n;
	terms(&b->pred, &n);
	bool all = n <= SETTLED_MOST && settled == (n == SETTLED_MOST ? UINT64_MAX : (UINT64_C(1) << n) - 1);
	if (b->around)
		return (struct mr_rest){b->around, all ? b->around_kid : 0};
	if (all)
		return (struct mr_rest){0};
	return (struct mr_rest){b->pred, b->pred->op == MR_P_AND ? settled : 0};
}
