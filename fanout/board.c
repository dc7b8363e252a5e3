#include "board.h"

#include <stdlib.h>

/* Chains that only grow: who finds a pin may read it as long as the board is there. */
enum { CHAINS = 256 };

struct pin {
	struct pin *next;
	struct mr_change_of of;
	struct mr_wire *wire;
};

struct mr_board {
	_Atomic(struct pin *) chains[CHAINS];
};

struct mr_board *mr_board_new(void)
{
	return mr_alloc(sizeof(struct mr_board));
}

void mr_board_delete(struct mr_board **b)
{
	for (int i = 0; *b && i < CHAINS; i++)
		for (struct pin *p = atomic_load(&(*b)->chains[i]), *next; p; p = next) {
			next = p->next;
			mr_wire_drop(&p->wire);
			free(p);
		}
	free(*b);
	*b = NULL;
}

static size_t chain_of(const struct mr_change_of *c)
{
	return (size_t)(c->number * 2 + (uint64_t)c->encoding) % CHAINS;
}

static bool same(const struct mr_change_of *a, const struct mr_change_of *b)
{
	return a->number == b->number && a->n == b->n && a->was == b->was && a->is == b->is && a->encoding == b->encoding;
}

struct mr_wire *mr_board_find(const struct mr_board *b, const struct mr_change_of *c)
{
	struct pin *p = atomic_load_explicit(&b->chains[chain_of(c)], memory_order_acquire);
	while (p && !same(&p->of, c))
		p = p->next;
	return p ? mr_wire_hold(p->wire) : NULL;
}

void mr_board_pin(struct mr_board *b, const struct mr_change_of *c, struct mr_wire *w)
{
	_Atomic(struct pin *) *chain = &b->chains[chain_of(c)];
	struct pin *p = mr_alloc(sizeof *p);
	*p = (struct pin){.next = atomic_load_explicit(chain, memory_order_relaxed), .of = *c, .wire = mr_wire_hold(w)};
	while (!atomic_compare_exchange_weak_explicit(chain, &p->next, p, memory_order_release, memory_order_relaxed))
		continue;
}
