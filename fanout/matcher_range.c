#include "matcher_range.h"

#if defined __x86_64__ && !defined MR_NO_AVX2
#define MR_AVX2
#include <immintrin.h>
#endif

#include "matcher_rank.h"
#include "proto/ground/log.h"

enum { WIDTH = 16 };

/* Of a leaf, each place is an interval: its ends' ranks, what is found with it, itself. Of an inner node, each place is a kid: the least
 * lower end's rank and the greatest upper end's rank below it, itself, and the intervals that have them. Places that are not used hold no
 * rank, so that a search compares all of a node without a branch. What a search reads comes first: READ bytes. */
struct mr_range_node {
	uint64_t low[WIDTH], high[WIDTH];
	union {
		uintptr_t found[WIDTH]; /* the interval, or what is whole, and then WHOLE */
		struct mr_range_node *kid[WIDTH];
	};
	struct mr_span *first[WIDTH];
	uint32_t n;
	bool inner;
};

struct inner_node {
	struct mr_range_node node;
	struct mr_span *last[WIDTH];
};

enum { WHOLE = 1, READ = offsetof(struct mr_range_node, first) };

static struct inner_node *inner(const struct mr_range_node *n)
{
	return (struct inner_node *)n;
}

static struct mr_span *last_of(const struct mr_range_node *n, uint32_t i)
{
	return n->inner ? inner(n)->last[i] : n->first[i];
}

/* Of a leaf. */
static void *whole_of(const struct mr_range_node *n, uint32_t i)
{
	return n->found[i] & WHOLE ? (char *)n->found[i] - WHOLE : NULL;
}

static void clear_places(struct mr_range_node *n, uint32_t from)
{
	for (uint32_t i = from; i < WIDTH; i++) {
		n->low[i] = UINT64_MAX;
		n->high[i] = 0;
	}
}

static size_t node_size(bool is_inner)
{
	return is_inner ? sizeof(struct inner_node) : sizeof(struct mr_range_node);
}

static struct mr_range_node *make_node(struct mr_pool *pool, bool is_inner)
{
	struct mr_range_node *n = mr_pool_alloc(pool, node_size(is_inner));
	n->inner = is_inner;
	clear_places(n, 0);
	return n;
}

static void drop_node(struct mr_pool *pool, struct mr_range_node *n)
{
	mr_pool_free(pool, n, node_size(n->inner));
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
	memmove(to->found + at, from->found + start, n * sizeof *to->found);
	memmove(to->first + at, from->first + start, n * sizeof *to->first);
	if (to->inner)
		memmove(inner(to)->last + at, inner(from)->last + start, n * sizeof *inner(to)->last);
}

static void open_place(struct mr_range_node *n, uint32_t at)
{
	move_places(n, at + 1, n, at, n->n - at);
	n->n++;
}

static void close_place(struct mr_range_node *n, uint32_t at)
{
	move_places(n, at, n, at + 1, n->n - at - 1);
	clear_places(n, --n->n);
}

/* What the place says of its kid. */
static void describe(struct mr_range_node *n, uint32_t at)
{
	const struct mr_range_node *kid = n->kid[at];
	struct mr_span *last = NULL;
	for (uint32_t i = 0; i < kid->n; i++) {
		struct mr_span *s = last_of(kid, i);
		if (!last || kid->high[i] > last->high.rank || (kid->high[i] == last->high.rank && ends_later(s, last)))
			last = s;
	}
	MR_ASSERT(last);
	n->low[at] = kid->low[0];
	n->high[at] = last->high.rank;
	n->first[at] = kid->first[0];
	inner(n)->last[at] = last;
}

static void put_kid(struct mr_range_node *n, uint32_t at, struct mr_range_node *kid)
{
	open_place(n, at);
	n->kid[at] = kid;
	describe(n, at);
}

/* A full node gives its upper half away; returns who has it. */
static struct mr_range_node *split(struct mr_range_node *n, struct mr_pool *pool)
{
	if (n->n < WIDTH)
		return NULL;
	struct mr_range_node *right = make_node(pool, n->inner);
	right->n = n->n / 2;
	n->n -= right->n;
	move_places(right, 0, n, n->n, right->n);
	clear_places(n, n->n);
	return right;
}

static void put_span(struct mr_range_node *leaf, struct mr_span *s, void *whole)
{
	uint32_t at = place_of(leaf, s);
	if (leaf->n && cmp_spans(leaf->first[at], s) < 0)
		at++;
	open_place(leaf, at);
	leaf->low[at] = s->low.rank;
	leaf->high[at] = s->high.rank;
	leaf->found[at] = whole ? (uintptr_t)whole + WHOLE : (uintptr_t)s;
	leaf->first[at] = s;
}

static struct mr_range_node *add(struct mr_range_node *n, struct mr_span *s, void *whole, struct mr_pool *pool)
{
	if (n->inner) {
		uint32_t at = place_of(n, s);
		struct mr_range_node *right = add(n->kid[at], s, whole, pool);
		describe(n, at);
		if (right)
			put_kid(n, at + 1, right);
	} else {
		put_span(n, s, whole);
	}
	return split(n, pool);
}

void mr_ranges_add(struct mr_ranges *r, struct mr_span *s, void *whole, struct mr_pool *pool)
{
	if (!r->root)
		r->root = make_node(pool, false);
	struct mr_range_node *right = add(r->root, s, whole, pool);
	if (!right)
		return;
	struct mr_range_node *root = make_node(pool, true);
	put_kid(root, 0, r->root);
	put_kid(root, 1, right);
	r->root = root;
	r->height++;
}

static void take_out(struct mr_range_node *n, const struct mr_span *s, struct mr_pool *pool)
{
	uint32_t at = place_of(n, s);
	if (!n->inner) {
		MR_ASSERT(n->first[at] == s);
		close_place(n, at);
		return;
	}
	struct mr_range_node *kid = n->kid[at];
	take_out(kid, s, pool);
	if (kid->n) {
		describe(n, at);
		return;
	}
	drop_node(pool, kid);
	close_place(n, at);
}

void mr_ranges_remove(struct mr_ranges *r, struct mr_span *s, struct mr_pool *pool)
{
	MR_ASSERT(r->root);
	take_out(r->root, s, pool);
	while (r->root->inner && r->root->n == 1) {
		struct mr_range_node *kid = r->root->kid[0];
		drop_node(pool, r->root);
		r->root = kid;
		r->height--;
	}
	if (r->root->n)
		return;
	drop_node(pool, r->root);
	r->root = NULL;
}

struct stab {
	uint64_t rank;
	const struct mr_value *v;
	mr_span_found *found;
	void *arg;
};

static uint32_t places_by_one(const struct mr_range_node *n, uint64_t rank)
{
	uint32_t places = 0;
	for (uint32_t i = 0; i < WIDTH; i++)
		places |= (uint32_t)((n->low[i] <= rank) & (n->high[i] >= rank)) << i;
	return places;
}

#ifdef MR_AVX2
enum { LANES = 4 };

/* It compares with signs: half of all is added to each. */
__attribute__((target("avx2"))) static __m256i signed_lanes(const uint64_t *rank)
{
	return _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)rank), _mm256_set1_epi64x(INT64_MIN));
}

__attribute__((target("avx2"))) static uint32_t places_by_lanes(const struct mr_range_node *n, uint64_t rank)
{
	const __m256i r = _mm256_set1_epi64x((int64_t)(rank ^ (uint64_t)INT64_MIN));
	uint32_t others = 0;
	for (uint32_t i = 0; i < WIDTH; i += LANES) {
		__m256i behind = _mm256_cmpgt_epi64(signed_lanes(n->low + i), r), before = _mm256_cmpgt_epi64(r, signed_lanes(n->high + i));
		others |= (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_or_si256(behind, before))) << i;
	}
	return ~others & ((UINT32_C(1) << WIDTH) - 1);
}
#endif

/* Bit i: place i may hold the value, as far as ranks tell. Most of a search's time is spent here. */
static uint32_t places_with(const struct mr_range_node *n, uint64_t rank)
{
#ifdef MR_AVX2
	if (__builtin_cpu_supports("avx2"))
		return places_by_lanes(n, rank);
#endif
	return places_by_one(n, rank);
}

static bool begins(const struct mr_end *low, const struct stab *st)
{
	return low->rank < st->rank || (low->rank == st->rank && (!low->value || mr_value_cmp(low->value, st->v) <= 0));
}

static bool reaches(const struct mr_end *high, const struct stab *st)
{
	return high->rank > st->rank || (high->rank == st->rank && (!high->value || mr_value_cmp(high->value, st->v) >= 0));
}

/* Where ranks differ they have decided, without a look at the intervals themselves. */
static bool holds(const struct mr_range_node *n, uint32_t i, const struct stab *st)
{
	return (n->low[i] < st->rank || begins(&n->first[i]->low, st)) && (n->high[i] > st->rank || reaches(&last_of(n, i)->high, st));
}

static void fetch_node(const struct mr_range_node *n)
{
	for (size_t i = 0; i < READ; i += MR_LINE)
		__builtin_prefetch((const char *)n + i);
}

static void look(const struct mr_range_node *n, uint32_t height, const struct stab *st)
{
	for (uint32_t places = places_with(n, st->rank); places; places &= places - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(places);
		if (height)
			fetch_node(n->kid[i]);
		void *whole = height ? NULL : whole_of(n, i);
		if (!whole && !holds(n, i, st))
			continue;
		if (height)
			look(n->kid[i], height - 1, st);
		else
			st->found(whole ? NULL : (struct mr_span *)n->found[i], whole, st->arg);
	}
}

void mr_ranges_stab(const struct mr_ranges *r, const struct mr_value *v, mr_span_found *found, void *arg)
{
	struct stab st = {mr_rank(v), v, found, arg};
	if (r->root)
		look(r->root, r->height, &st);
}

/* Levels above these are few nodes, which the caches have. */
enum { SCOUTED = 3 };

void mr_scout_start(struct mr_scout *s, const struct mr_ranges *r, const struct mr_value *v)
{
	*s = (struct mr_scout){r, r->root, r->root, r->height, r->height, mr_rank(v)};
	while (s->node && s->height > SCOUTED)
		(void)mr_scout_step(s, &(void *){NULL});
}

static const struct mr_span *come_to(const struct mr_range_node *leaf, uint32_t i, void **whole)
{
	*whole = whole_of(leaf, i);
	const struct mr_span *span = *whole ? NULL : (const struct mr_span *)leaf->found[i];
	__builtin_prefetch(span);
	return span;
}

static void go_down(struct mr_scout *s, const struct mr_range_node *kid, bool no_other_way)
{
	s->node = kid;
	s->height--;
	fetch_node(kid);
	if (!no_other_way)
		return;
	s->begin = kid;
	s->begin_height = s->height;
}

const struct mr_span *mr_scout_step(struct mr_scout *s, void **whole)
{
	const struct mr_range_node *n = s->node;
	uint32_t places = n ? places_with(n, s->rank) : 0;
	s->node = NULL;
	if (!places)
		return NULL;
	uint32_t i = 31 - (uint32_t)__builtin_clz(places);
	if (!s->height)
		return come_to(n, i, whole);
	go_down(s, n->kid[i], s->begin == n && places == UINT32_C(1) << i);
	return NULL;
}

void mr_scout_stab(const struct mr_scout *s, const struct mr_value *v, mr_span_found *found, void *arg)
{
	look(s->begin, s->begin_height, &(struct stab){s->rank, v, found, arg});
}
