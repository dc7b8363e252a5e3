/* Matching. Probes of many changes go in step (group prefetching: Chen, Ailamaki, Gibbons and Mowry, "Improving hash join performance
 * through prefetching", 2004): all are hashed, then all look at their slots, then at their buckets, then at what is in these; each step
 * asks for the memory that the next one needs.
 */
#include "matcher_inner.h"

enum { STEP = 32, LINE = 64 };

/* One key of a change in one group. rows: the images that have it, the second NULL when there is only one. */
struct probe {
	const struct mr_change *change;
	const struct mr_group *group; /* NULL: bucket is what it is */
	const struct mr_row *rows[2];
	uint64_t mark;
	uint64_t hash;
	struct mr_bucket *bucket;
};

struct match {
	struct mr_matcher *ix;
	mr_matcher_hit *hit;
	void *arg;
	size_t probes; /* made */
	size_t n;
	struct probe p[STEP];
};

static void meet(const struct match *m, const struct probe *p, struct mr_watcher *w)
{
	if (w->mark == p->mark)
		return;
	w->mark = p->mark;
	m->hit(w, p->change, m->arg);
}

/* What is in a bucket */

struct candidate {
	const struct match *match;
	const struct probe *probe;
	const struct mr_row *row;
};

static void on_range(struct mr_span *s, void *arg)
{
	const struct candidate *c = arg;
	const struct mr_range_entry *e = (const struct mr_range_entry *)s;
	if (mr_rest_holds(&e->rest, c->row))
		meet(c->match, c->probe, e->watcher);
}

static void look_at_ranges(const struct match *m, const struct probe *p, const struct mr_field_ranges *r)
{
	for (int i = 0; i < 2 && p->rows[i]; i++) {
		struct candidate c = {m, p, p->rows[i]};
		const struct mr_value *v = &c.row->v[r->field];
		if (!v->null)
			mr_ranges_stab(&r->tree, v, on_range, &c);
	}
}

static void look_at_bucket(const struct match *m, const struct probe *p)
{
	const struct mr_bucket *b = p->bucket;
	for (uint32_t i = 0; i < b->n; i++) {
		const struct mr_rest *rest = &b->entries[i].rest;
		if (mr_rest_holds(rest, p->rows[0]) || (p->rows[1] && mr_rest_holds(rest, p->rows[1])))
			meet(m, p, b->entries[i].watcher);
	}
	for (const struct mr_field_ranges *r = b->ranges; r; r = r->next)
		look_at_ranges(m, p, r);
}

/* The steps */

static void find_slots(struct match *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct probe *p = &m->p[i];
		if (!p->group)
			continue;
		const struct mr_table *t = &p->group->buckets;
		p->bucket = t->slots[mr_table_find(t, p->hash, p->hash & (t->cap - 1))].bucket;
		if (!p->bucket)
			continue;
		__builtin_prefetch(p->bucket);
		__builtin_prefetch((const char *)p->bucket + LINE);
	}
}

static void compare_keys(struct match *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct probe *p = &m->p[i];
		if (!p->bucket)
			continue;
		if (p->group) {
			struct mr_key k = mr_group_key(p->group, p->rows[0]);
			/* Another key of the same hash is as good as impossible, but possible. */
			if (!mr_key_is(p->bucket->key, &k))
				p->bucket = mr_table_get(&p->group->buckets, p->hash, &k);
		}
		if (p->bucket && p->bucket->n) {
			__builtin_prefetch(p->bucket->entries->watcher);
			__builtin_prefetch(p->bucket->entries->rest.pred);
		}
	}
}

static void flush(struct match *m)
{
	find_slots(m);
	compare_keys(m);
	for (size_t i = 0; i < m->n; i++)
		if (m->p[i].bucket)
			look_at_bucket(m, &m->p[i]);
	m->n = 0;
}

static struct probe *add_probe(struct match *m, const struct mr_change *c)
{
	if (m->n == STEP)
		flush(m);
	struct probe *p = &m->p[m->n++];
	*p = (struct probe){.change = c, .mark = m->ix->mark};
	return p;
}

static void add_hash(struct match *m, const struct mr_change *c, const struct mr_group *g, const struct mr_key *k, const struct mr_row *row,
	const struct mr_row *other)
{
	struct probe *p = add_probe(m, c);
	p->group = g;
	p->rows[0] = row;
	p->rows[1] = other;
	p->hash = mr_key_hash(&m->ix->start, k);
	m->probes++;
	__builtin_prefetch(&g->buckets.slots[p->hash & (g->buckets.cap - 1)]);
}

/* Images that have the same key are looked for once. */
static void add_group(struct match *m, const struct mr_change *c, const struct mr_group *g)
{
	struct mr_key was, is;
	if (c->was.v)
		was = mr_group_key(g, &c->was);
	if (c->is.v)
		is = mr_group_key(g, &c->is);
	bool same = c->was.v && c->is.v && mr_key_eq(&was, &is);
	if (c->was.v)
		add_hash(m, c, g, &was, &c->was, same ? &c->is : NULL);
	if (c->is.v && !same)
		add_hash(m, c, g, &is, &c->is, NULL);
}

static void add_unkeyed(struct match *m, const struct mr_change *c, struct mr_bucket *b)
{
	struct probe *p = add_probe(m, c);
	p->bucket = b;
	p->rows[0] = c->was.v ? &c->was : &c->is;
	p->rows[1] = c->was.v && c->is.v ? &c->is : NULL;
}

size_t mr_matcher_match(struct mr_matcher *ix, const struct mr_change *changes, size_t n, mr_matcher_hit *hit, void *arg)
{
	struct match m;
	m.ix = ix;
	m.hit = hit;
	m.arg = arg;
	m.probes = m.n = 0;
	for (size_t i = 0; i < n; i++) {
		const struct mr_change *c = &changes[i];
		const struct mr_by_entity *e = mr_matcher_entity(ix, c->entity);
		if (!e || (!c->was.v && !c->is.v))
			continue;
		ix->mark++;
		for (size_t g = 0; g < e->n; g++)
			add_group(&m, c, e->groups[g]);
		if (e->unkeyed)
			add_unkeyed(&m, c, e->unkeyed);
	}
	flush(&m);
	return m.probes;
}
