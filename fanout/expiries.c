#include "expiries.h"

#include <stdlib.h>

#include "proto/ground/log.h"
#include "session.h"

static void set(struct mr_expiries *x, size_t i, struct mr_caller *c)
{
	x->v[i] = c;
	c->place = (uint32_t)i + 1;
}

static void swap(struct mr_expiries *x, size_t i, size_t k)
{
	struct mr_caller *c = x->v[i];
	set(x, i, x->v[k]);
	set(x, k, c);
}

static void settle(struct mr_expiries *x, size_t i)
{
	for (size_t up; i && x->v[up = (i - 1) / 2]->due_us > x->v[i]->due_us; i = up)
		swap(x, i, up);
	for (;;) {
		size_t least = i;
		for (size_t kid = 2 * i + 1; kid <= 2 * i + 2 && kid < x->n; kid++)
			if (x->v[kid]->due_us < x->v[least]->due_us)
				least = kid;
		if (least == i)
			return;
		swap(x, i, least);
		i = least;
	}
}

static void take_out(struct mr_expiries *x, struct mr_caller *c)
{
	size_t i = c->place - 1;
	swap(x, i, --x->n);
	c->place = 0;
	if (i < x->n)
		settle(x, i);
}

static void append(struct mr_expiries *x, struct mr_caller *c)
{
	if (x->n == x->cap) {
		x->cap = MR_MAX(2 * x->cap, (size_t)64);
		x->v = mr_realloc(x->v, x->cap * sizeof(struct mr_caller *));
	}
	set(x, x->n++, c);
}

void mr_expiries_put(struct mr_expiries *x, struct mr_caller *c)
{
	if (!c->due_us) {
		if (c->place)
			take_out(x, c);
		return;
	}
	if (!c->place)
		append(x, c);
	settle(x, c->place - 1);
}

struct mr_caller *mr_expiries_due(const struct mr_expiries *x, int64_t now_us)
{
	return x->n && x->v[0]->due_us <= now_us ? x->v[0] : NULL;
}

void mr_expiries_fini(struct mr_expiries *x)
{
	MR_ASSERT(!x->n);
	free(x->v);
}
