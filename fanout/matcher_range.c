#include "matcher_range.h"

#include <stdlib.h>

#include "matcher_rank.h"
#include "proto/ground/log.h"

enum { WIDTH = 16 };

/* Of a leaf, each place is an interval: its ends' ranks, itself. Of an inner node, each place is a kid: the least lower end's rank and the
 * greatest upper end's rank below it, and the intervals that have them. */
struct mr_range_node {
	uint32_t n;
	bool inner;
	uint64_t low[WIDTH], high[WIDTH];
	struct mr_span *first[WIDTH];
};

struct inner_node {
	struct mr_range_node node;
	struct mr_span *last[WIDTH];
	struct mr_range_node *kid[WIDTH];
};

static struct inner_node *inner(const struct mr_range_node *n)
{
	MR_ASSERT(n->inner);
	return (struct inner_node *)n;
}

static struct mr_range_node *make_node(bool is_inner)
{
	struct mr_range_node *n = mr_alloc(is_inner ? sizeof(struct inner_node) : sizeof(struct mr_range_node));
	n->inner = is_inner;
	return n;
}

/* Order of intervals: by lower end; those that have the same, by address. */
static int cmp_spans(const struct mr_span *a, const struct mr_span *b)
{
	if (a->low.rank != b->low.rank)
		return a->low.rank < b->low.rank ? -1 : 1;
	int c = 0;
	if (a->low.value && b->low.value)
		c = mr_value_cmp(a->low.value, b->low.value);
	else if (a->low.value || b->low.value)
		c = a->low.value ? 1 : -1;
	return c ? c : (a > b) - (a < b);
}

static bool ends_later(const struct mr_span *a, const struct mr_span *b)
{
	if (a->high.rank != b->high.rank)
		return a->high.rank > b->high.rank;
	if (a->high.value && b->high.value)
		return mr_value_cmp(a->high.value, b->high.value) > 0;
	return !a->high.value && b->high.value;
}

/* The last place that is not behind s, or the first. */
static uint32_t place_of(const struct mr_range_node *n, const struct mr_span *s)
{
	uint32_t i = n->n;
	while (i > 0 && (n->low[i - 1] > s->low.rank || (n->low[i - 1] == s->low.rank && cmp_spans(n->first[i - 1], s) > 0)))
		i--;
	return i ? i - 1 : 0;
}

static void move_places(struct mr_range_node *to, uint32_t at, struct mr_range_node *from, uint32_t start, uint32_t n)
{
	memmove(to->low + at, from->low + start, n * sizeof *to->low);
	memmove(to->high + at, from->high + start, n * sizeof *to->high);
	memmove(to->first + at, from->first + start, n * sizeof *to->first);
	if (!to->inner)
		return;
	memmove(inner(to)->last + at, inner(from)->last + start, n * sizeof *inner(to)->last);
	memmove(inner(to)->kid + at, inner(from)->kid + start, n * sizeof *inner(to)->kid);
}

static void open_place(struct mr_range_node *n, uint32_t at)
{
	move_places(n, at + 1, n, at, n->n - at);
	n->n++;
}

static void close_place(struct mr_range_node *n, uint32_t at)
{
	move_places(n, at, n, at + 1, n->n - at - 1);
	n->n--;
}

/* What the place says of its kid. */
static void describe(struct mr_range_node *n, uint32_t at)
{
	const struct mr_range_node *kid = inner(n)->kid[at];
	struct mr_span *last = NULL;
	for (uint32_t i = 0; i < kid->n; i++) {
		struct mr_span *s = kid->inner ? inner(kid)->last[i] : kid->first[i];
		if (!last || kid->high[i] > last->high.rank || (kid->high[i] == last->high.rank && ends_later(s, last)))
			last = s;
	}
	n->low[at] = kid->low[0];
	n->first[at] = kid->first[0];
	n->high[at] = last->high.rank;
	inner(n)->last[at] = last;
}

static void put_kid(struct mr_range_node *n, uint32_t at, struct mr_range_node *kid)
{
	open_place(n, at);
	inner(n)->kid[at] = kid;
	describe(n, at);
}

/* A full node gives its upper half away; returns who has it. */
static struct mr_range_node *split(struct mr_range_node *n)
{
	if (n->n < WIDTH)
		return NULL;
	struct mr_range_node *right = make_node(n->inner);
	right->n = n->n / 2;
	n->n -= right->n;
	move_places(right, 0, n, n->n, right->n);
	return right;
}

static void put_span(struct mr_range_node *leaf, struct mr_span *s)
{
	uint32_t at = place_of(leaf, s);
	if (leaf->n && cmp_spans(leaf->first[at], s) < 0)
		at++;
	open_place(leaf, at);
	leaf->low[at] = s->low.rank;
	leaf->high[at] = s->high.rank;
	leaf->first[at] = s;
}

static struct mr_range_node *add(struct mr_range_node *n, struct mr_span *s)
{
	if (n->inner) {
		uint32_t at = place_of(n, s);
		struct mr_range_node *right = add(inner(n)->kid[at], s);
		describe(n, at);
		if (right)
			put_kid(n, at + 1, right);
	} else {
		put_span(n, s);
	}
	return split(n);
}

void mr_ranges_add(struct mr_ranges *r, struct mr_span *s)
{
	if (!r->root)
		r->root = make_node(false);
	struct mr_range_node *right = add(r->root, s);
	if (!right)
		return;
	struct mr_range_node *root = make_node(true);
	put_kid(root, 0, r->root);
	put_kid(root, 1, right);
	r->root = root;
}

static void take_out(struct mr_range_node *n, const struct mr_span *s)
{
	uint32_t at = place_of(n, s);
	if (!n->inner) {
		MR_ASSERT(n->first[at] == s);
		close_place(n, at);
		return;
	}
	struct mr_range_node *kid = inner(n)->kid[at];
	take_out(kid, s);
	if (kid->n) {
		describe(n, at);
		return;
	}
	free(kid);
	close_place(n, at);
}

void mr_ranges_remove(struct mr_ranges *r, struct mr_span *s)
{
	MR_ASSERT(r->root);
	take_out(r->root, s);
	while (r->root->inner && r->root->n == 1) {
		struct mr_range_node *kid = inner(r->root)->kid[0];
		free(r->root);
		r->root = kid;
	}
	if (r->root->n)
		return;
	free(r->root);
	r->root = NULL;
}

struct stab {
	uint64_t rank;
	const struct mr_value *v;
	mr_span_found *found;
	void *arg;
};

static bool begins(const struct mr_end *low, const struct stab *st)
{
	return low->rank < st->rank || (low->rank == st->rank && (!low->value || mr_value_cmp(low->value, st->v) <= 0));
}

static bool reaches(const struct mr_end *high, const struct stab *st)
{
	return high->rank > st->rank || (high->rank == st->rank && (!high->value || mr_value_cmp(high->value, st->v) >= 0));
}

/* Where ranks differ they have decided, without a look at the intervals themselves. */
static void look(const struct mr_range_node *n, const struct stab *st)
{
	for (uint32_t i = 0; i < n->n && n->low[i] <= st->rank; i++) {
		if (n->low[i] == st->rank && !begins(&n->first[i]->low, st))
			return;
		if (n->high[i] < st->rank)
			continue;
		if (n->high[i] == st->rank && !reaches(n->inner ? &inner(n)->last[i]->high : &n->first[i]->high, st))
			continue;
		if (n->inner)
			look(inner(n)->kid[i], st);
		else
			st->found(n->first[i], st->arg);
	}
}

void mr_ranges_stab(const struct mr_ranges *r, const struct mr_value *v, mr_span_found *found, void *arg)
{
	struct stab st = {mr_rank(v), v, found, arg};
	if (r->root)
		look(r->root, &st);
}
