#include "share.h"

#include <stdlib.h>

/* A place for each frame; one that comes to a place that is taken takes it. A round has few frames that many get: what is lost is made
 * again. */
enum { PLACES = 256, PARTS_MOST = 16 };

struct place {
	struct mr_frame *frame; /* NULL: empty */
	uint64_t n;
	struct mr_manner manner;
	size_t n_parts;
	struct mr_wire *wires[PARTS_MOST]; /* held, so that no other comes to lie where one was */
};

struct mr_share {
	struct place places[PLACES];
	uint16_t taken[PLACES]; /* n_taken places that are not empty */
	size_t n_taken;
};

struct mr_share *mr_share_new(void)
{
	return mr_alloc(sizeof(struct mr_share));
}

void mr_share_delete(struct mr_share **s)
{
	if (*s)
		mr_share_end_round(*s);
	free(*s);
	*s = NULL;
}

static size_t place_of(const struct mr_transition *t, const struct mr_manner *m)
{
	uint64_t h = t->n * 8 + (uint64_t)m->encoding * 4 + m->deflated * 2U + m->position;
	for (size_t i = 0; i < t->n_bodies; i++)
		h = (h ^ (uint64_t)(uintptr_t)t->parts[i].wire) * 0x9e3779b97f4a7c15ULL; /* 2^64 by the golden ratio: Knuth, TAOCP 6.4 */
	return h >> 56;
}

static bool holds(const struct place *p, const struct mr_transition *t, const struct mr_manner *m)
{
	if (!p->frame || p->n != t->n || p->n_parts != t->n_bodies || p->manner.encoding != m->encoding ||
		p->manner.deflated != m->deflated || p->manner.position != m->position)
		return false;
	for (size_t i = 0; i < p->n_parts; i++)
		if (p->wires[i] != t->parts[i].wire)
			return false;
	return true;
}

static bool can_share(const struct mr_transition *t)
{
	return t->common && t->n_bodies && t->n_bodies <= PARTS_MOST && !t->n_acks && !t->n_replies;
}

struct mr_frame *mr_share_find(const struct mr_share *s, const struct mr_transition *t, const struct mr_manner *m)
{
	const struct place *p = can_share(t) ? &s->places[place_of(t, m)] : NULL;
	return p && holds(p, t, m) ? p->frame : NULL;
}

static void clear(struct place *p)
{
	mr_frame_drop(&p->frame);
	for (size_t i = 0; i < p->n_parts; i++)
		mr_wire_drop(&p->wires[i]);
	p->n_parts = 0;
}

void mr_share_keep(struct mr_share *s, const struct mr_transition *t, const struct mr_manner *m, struct mr_frame *f)
{
	if (!can_share(t)) {
		mr_frame_drop(&f);
		return;
	}
	size_t at = place_of(t, m);
	struct place *p = &s->places[at];
	if (!p->frame)
		s->taken[s->n_taken++] = (uint16_t)at;
	clear(p);
	p->frame = f;
	p->n = t->n;
	p->manner = *m;
	p->n_parts = t->n_bodies;
	for (size_t i = 0; i < t->n_bodies; i++)
		p->wires[i] = mr_wire_hold(t->parts[i].wire);
}

void mr_share_end_round(struct mr_share *s)
{
	while (s->n_taken)
		clear(&s->places[s->taken[--s->n_taken]]);
}
