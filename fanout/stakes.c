#include "stakes.h"

#include "proto/ground/hash.h"

static size_t place_of(const struct mr_stakes *s, const struct mr_entity *e)
{
	return mr_hash(e->name.p, e->name.n) % MR_COUNT(s->of);
}

void mr_stakes_add(struct mr_stakes *s, const struct mr_entity *e, int64_t rows)
{
	atomic_fetch_add_explicit(&s->of[place_of(s, e)], rows, memory_order_relaxed);
}

int64_t mr_stakes_of(const struct mr_stakes *s, const struct mr_entity *e)
{
	return MR_STAKES_LEAST + atomic_load_explicit(&s->of[place_of(s, e)], memory_order_relaxed);
}

int64_t mr_stakes_all(const struct mr_stakes *s)
{
	int64_t sum = MR_STAKES_LEAST;
	for (size_t i = 0; i < MR_COUNT(s->of); i++)
		sum += atomic_load_explicit(&s->of[i], memory_order_relaxed);
	return sum;
}
