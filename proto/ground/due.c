#include "due.h"

#include <stdlib.h>

#include "log.h"
#include "mem.h"

static bool before(const struct mr_due *a, const struct mr_due *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void set(struct mr_dues *h, size_t i, struct mr_due *d)
{
	h->v[i] = d;
	d->place = i + 1;
}

static void sift(struct mr_dues *h, size_t i)
{
	struct mr_due *d = h->v[i];
	for (; i > 0 && before(d, h->v[(i - 1) / 2]); i = (i - 1) / 2)
		set(h, i, h->v[(i - 1) / 2]);
	for (;;) {
		size_t kid = 2 * i + 1;
		if (kid + 1 < h->n && before(h->v[kid + 1], h->v[kid]))
			kid++;
		if (kid >= h->n || !before(h->v[kid], d))
			break;
		set(h, i, h->v[kid]);
		i = kid;
	}
	set(h, i, d);
}

static void append(struct mr_dues *h, struct mr_due *d)
{
	if (h->n == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 16;
		h->v = mr_realloc(h->v, h->cap * sizeof(struct mr_due *));
	}
	set(h, h->n++, d);
}

void mr_dues_put(struct mr_dues *h, struct mr_due *d, int64_t at)
{
	d->at = at;
	d->order = ++h->puts;
	if (!d->place)
		append(h, d);
	sift(h, d->place - 1);
}

void mr_dues_take(struct mr_dues *h, struct mr_due *d)
{
	if (!d->place)
		return;
	size_t i = d->place - 1;
	struct mr_due *last = h->v[--h->n];
	d->place = 0;
	if (last == d)
		return;
	set(h, i, last);
	sift(h, i);
}

void mr_dues_fini(struct mr_dues *h)
{
	MR_ASSERT(!h->n);
	free(h->v);
}
