/* The matcher's hash table by itself, with small parts so that these grow, shrink and split often, and with hashes that no key would have:
 * all equal, equal in the half that decides the place, at home in the last word of a part. Then the whole index on such hashes, against
 * brute force.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "fanout/matcher_table.h"
#include "proto/ground/hash.h"
#include "tests/unit/matcher_world.h"

_Static_assert(MR_PART_WORDS == 4, "parts are small");

/* Bits of a strong hash that are kept, and bits that are always set. */
struct weakness {
	const char *name;
	uint64_t keep, set;
};

static const struct weakness weaknesses[] = {
	{"none", UINT64_MAX, 0},
	{"all equal, at home in the first word", 0, 0},
	{"all equal, at home in the last word", 0, UINT64_MAX},
	{"equal where it decides the place", UINT32_MAX, UINT64_C(0x1234567800000000)},
	{"equal tags", ~UINT64_C(0xff00000000), UINT64_C(0xff00000000)},
	{"few homes, among them the last and the first", UINT64_C(0xc000000f00000000), UINT64_C(0x3fffff0000000000)},
	{"few hashes", UINT64_C(0x8000000100000001), 0},
};

static const struct weakness *weakness;

static uint64_t weakened(uint64_t hash)
{
	return (hash & weakness->keep) | weakness->set;
}

/* The linker puts it in the place of mr_key_hash. */
uint64_t __real_mr_key_hash(const struct mr_sip *start, const struct mr_key *k);
uint64_t __wrap_mr_key_hash(const struct mr_sip *start, const struct mr_key *k);

uint64_t __wrap_mr_key_hash(const struct mr_sip *start, const struct mr_key *k)
{
	return weakened(__real_mr_key_hash(start, k));
}

/* A table of numbers, beside the truth */

enum { NUMBERS = 1500 };

struct numbers {
	struct mr_table table;
	uint64_t hash[NUMBERS];
	bool in[NUMBERS];
	size_t n;
};

/* What a bucket holds is a pointer into these. */
static char held[NUMBERS];

static struct mr_value number(int64_t i)
{
	return (struct mr_value){.type = MR_T_INT, .i = i};
}

static void add_number(struct numbers *t, unsigned i)
{
	struct mr_value v = number(i);
	struct mr_bucket *b = mr_table_add(&t->table, t->hash[i]);
	assert_null(b->held);
	assert_true(b->hash == t->hash[i]);
	b->held = &held[i];
	b->place = i % 3;
	mr_key_store(b->key, &(struct mr_key){{&v}, 1});
	t->in[i] = true;
	t->n++;
}

static void remove_number(struct numbers *t, unsigned i)
{
	struct mr_bucket *b = mr_table_holder(&t->table, mr_hash_high(t->hash[i]), &held[i], i % 3);
	assert_ptr_equal(&held[i], b->held);
	mr_table_remove(&t->table, b);
	t->in[i] = false;
	t->n--;
}

static void check_number(const struct numbers *t, unsigned i)
{
	struct mr_value v = number(i);
	const struct mr_bucket *b = mr_table_get(&t->table, t->hash[i], &(struct mr_key){{&v}, 1});
	assert_ptr_equal(t->in[i] ? &held[i] : NULL, b ? b->held : NULL);
}

/* No part is so full that a search would have no end, none is much larger than it need be, and together they have all lines. */
static void check_parts(const struct mr_table *t)
{
	size_t n = 0;
	for (size_t i = 0; t->parts && i < (size_t)1 << t->depth; i++) {
		const struct mr_part *p = t->parts[i];
		assert_true(p->depth <= t->depth && p->n <= p->words * MR_WORD_MOST);
		assert_true(p->n >= p->words * MR_WORD_LEAST || p->words == 1);
		if (i == 0 || p != t->parts[i - 1])
			n += p->n;
	}
	assert_int_equal(t->n, n);
}

static void check_all(const struct numbers *t)
{
	assert_int_equal(t->n, t->table.n);
	for (unsigned i = 0; i < NUMBERS; i++)
		check_number(t, i);
	check_parts(&t->table);
}

/* Grows and shrinks by turns, each time to other sizes. */
static void numbers_come_and_go(struct choices *c)
{
	struct numbers *t = mr_alloc(sizeof *t);
	t->table.wide = pick(c, 2);
	for (unsigned i = 0; i < NUMBERS; i++)
		t->hash[i] = weakened(mr_hash_fixed(&i, sizeof i, c->x));
	for (int turn = 0; turn < 8; turn++) {
		size_t to = pick(c, 4) ? pick(c, 60) : pick(c, NUMBERS);
		for (int k = 0; t->n != to || k < 200; k++) {
			unsigned i = pick(c, NUMBERS);
			if (t->in[i] && t->n >= to)
				remove_number(t, i);
			else if (!t->in[i] && t->n <= to)
				add_number(t, i);
			check_number(t, pick(c, NUMBERS));
		}
		check_all(t);
	}
	mr_table_fini(&t->table);
	free(t);
}

static void whatever_the_hashes_all_are_found(void **state)
{
	struct choices c = {.x = 4711};
	for (size_t i = 0; i < MR_COUNT(weaknesses); i++) {
		weakness = &weaknesses[i];
		print_message("hashes: %s\n", weakness->name);
		for (int k = 0; k < 5; k++)
			numbers_come_and_go(&c);
	}
}

/* A large table is many parts, of which one at a time is moved; what is left of it is small. */
static void large_parts_become_two(void **state)
{
	struct numbers *t = mr_alloc(sizeof *t);
	weakness = &weaknesses[0];
	for (unsigned i = 0; i < NUMBERS; i++)
		t->hash[i] = mr_hash_fixed(&i, sizeof i, 1);
	for (unsigned i = 0; i < NUMBERS; i++)
		add_number(t, i);
	check_all(t);
	assert_true(t->table.depth >= 5);
	for (size_t i = 0; i < (size_t)1 << t->table.depth; i++)
		assert_true(t->table.parts[i]->words <= MR_PART_WORDS);
	for (unsigned i = 1; i < NUMBERS; i++)
		remove_number(t, i);
	check_all(t);
	for (size_t i = 0; i < (size_t)1 << t->table.depth; i++)
		assert_int_equal(1, t->table.parts[i]->words);
	mr_table_fini(&t->table);
	free(t);
}

static void rule_22_equal_hashes_are_told_apart(void **state)
{
	for (size_t i = 1; i < MR_COUNT(weaknesses); i++) {
		weakness = &weaknesses[i];
		for (uint64_t seed = 1; seed <= (getenv("MILLRACE_LONG") ? 50 : 2); seed++) {
			struct choices c = {.x = seed * 0x9e3779b97f4a7c15ULL + i};
			struct world *w = world_new(&c);
			for (int k = 0; k < 1500; k++)
				world_step(w);
			assert_true(w->met > 0);
			world_delete(&w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_the_hashes_all_are_found),
		cmocka_unit_test(large_parts_become_two),
		cmocka_unit_test(rule_22_equal_hashes_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
