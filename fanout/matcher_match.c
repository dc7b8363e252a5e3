/* Matching. Many probes are under way at once, in a pipeline: when one is hashed, the one before looks at its tags, the one before that at
 * its bucket, and so on, each stage some probes behind the last, and each asks for the memory that the next one needs (software-pipelined
 * prefetching: Chen, Ailamaki, Gibbons and Mowry, "Improving hash join performance through prefetching", 2004). So one change does not wait
 * for the memory of another. Watchers are met in the order of the changes.
 */
#include "matcher_inner.h"
#include "matcher_rank.h"

/* The stages: how many probes behind the first. Before the last one scouts go their way, a step for each second probe that comes through:
 * time for five. */
enum { TAGS = 10, OPEN = 20, ENTER = 28, FINISH = 38, SCOUT_APART = 2, RING = 64, FEW = 8 };
_Static_assert(FINISH < RING && FEW <= TAGS, "probes are not overwritten before they are done, and few have not begun");

/* One key of a change in one group. rows: the images that have it, the second NULL when there is only one. */
struct probe {
	const struct mr_change *change;
	const struct mr_group *group; /* NULL: bucket is what it is */
	const struct mr_row *rows[2];
	uint64_t mark;
	uint64_t hash;
	struct mr_bucket *bucket;
	struct mr_scout scout;
	const struct mr_span *scouted; /* what it has come to */
};

struct match {
	struct mr_matcher *ix;
	mr_matcher_hit *hit;
	mr_matcher_soon *soon;
	void *arg;
	size_t probes; /* made */
	size_t n;      /* probes that were added */
	size_t clock;  /* steps of the pipeline; as many as probes, until it runs empty */
	struct probe ring[RING];
};

static struct probe *probe_at(struct match *m, size_t i)
{
	return &m->ring[i % RING];
}

static void meet(const struct match *m, const struct probe *p, struct mr_watcher *w)
{
	if (w->mark == p->mark)
		return;
	w->mark = p->mark;
	m->hit(w, p->change, m->arg);
}

/* It will most likely be met. only: its mark will not be looked at. */
static void foresee(const struct match *m, const struct mr_watcher *w, bool only)
{
	if (!only)
		__builtin_prefetch(&w->mark);
	if (m->soon)
		m->soon(w);
}

/* What is in a bucket */

static bool in_interval(const struct mr_entry *e, const struct mr_row *row)
{
	if (e->field < 0)
		return true;
	const struct mr_value *v = &row->v[e->field];
	uint64_t rank = v->null ? 0 : mr_rank(v);
	return !v->null && e->low <= rank && rank <= e->high;
}

static bool entry_holds(const struct mr_entry *e, const struct mr_row *row)
{
	return row && in_interval(e, row) && mr_rest_holds(&e->rest, row);
}

/* Rows that have the same value in the field: one, or both images of a change. */
struct stabbing {
	const struct match *match;
	const struct probe *probe;
	const struct mr_row *row, *other;
	bool only; /* there are no other rows to look for */
};

static void on_range(struct mr_span *s, void *whole, void *arg)
{
	const struct stabbing *st = arg;
	const struct mr_range_entry *e = (const struct mr_range_entry *)s;
	if (whole && st->only)
		st->match->hit(whole, st->probe->change, st->match->arg);
	else if (whole)
		meet(st->match, st->probe, whole);
	else if (mr_rest_holds(&e->rest, st->row) || (st->other && mr_rest_holds(&e->rest, st->other)))
		meet(st->match, st->probe, e->watcher);
}

static void stab(struct stabbing *st, const struct mr_field_ranges *r)
{
	const struct mr_value *v = &st->row->v[r->field];
	if (v->null)
		return;
	if (st->row == st->probe->rows[0] && st->probe->scout.ranges == &r->tree)
		mr_scout_stab(&st->probe->scout, v, on_range, st);
	else
		mr_ranges_stab(&r->tree, v, on_range, st);
}

static void look_at_ranges(const struct match *m, const struct probe *p, const struct mr_field_ranges *r)
{
	const struct mr_row *row = p->rows[0], *other = p->rows[1];
	bool same = other && mr_value_eq(&row->v[r->field], &other->v[r->field]);
	stab(&(struct stabbing){m, p, row, same ? other : NULL, !other || same}, r);
	if (other && !same)
		stab(&(struct stabbing){m, p, other, NULL, false}, r);
}

static void look_at_many(const struct match *m, const struct probe *p, struct mr_many *many)
{
	for (uint32_t i = 0; i < many->n; i++) {
		const struct mr_entry *e = &mr_entries(many)[i];
		if (!entry_holds(e, p->rows[0]) && !entry_holds(e, p->rows[1]))
			continue;
		if (e->is_only)
			m->hit(e->watcher, p->change, m->arg);
		else
			meet(m, p, e->watcher);
	}
	for (const struct mr_field_ranges *r = mr_ranges_in(many); r; r = r->next)
		look_at_ranges(m, p, r);
}

/* The stages */

static void find_line(struct probe *p)
{
	if (!p->group)
		return;
	p->bucket = mr_part_guess(mr_table_part(&p->group->buckets, mr_hash_high(p->hash)), mr_hash_high(p->hash));
	if (!p->bucket)
		return;
	__builtin_prefetch(p->bucket);
	if (p->group->buckets.wide)
		__builtin_prefetch((const char *)p->bucket + MR_LINE);
}

static bool has_key(const struct probe *p)
{
	struct mr_key k = mr_group_key(p->group, p->rows[0]);
	return mr_key_is(mr_bucket_key(p->bucket), &k);
}

/* Of those with the same tag it may not be the first; another key of the same hash is as good as impossible, but possible. */
static void look_closer(struct probe *p)
{
	struct mr_key k = mr_group_key(p->group, p->rows[0]);
	p->bucket = mr_table_get(&p->group->buckets, p->hash, &k);
}

/* A far key is fetched, and compared at the end. */
static void open_bucket(const struct match *m, struct probe *p)
{
	if (p->bucket && p->group && (p->bucket->hash != p->hash || (!p->bucket->is_far && !has_key(p))))
		look_closer(p);
	if (!p->bucket)
		return;
	if (p->bucket->is_far)
		for (size_t i = 0; i < mr_bucket_far(p->bucket).n; i += MR_LINE)
			__builtin_prefetch(mr_bucket_far(p->bucket).key + i);
	if (p->bucket->is_lone)
		foresee(m, p->bucket->lone, p->bucket->is_only);
	else
		__builtin_prefetch(p->bucket->many);
}

static void enter(const struct match *m, struct probe *p)
{
	if (!p->bucket || p->bucket->is_lone)
		return;
	struct mr_many *many = p->bucket->many;
	const struct mr_field_ranges *r = mr_ranges_in(many);
	if (many->n) {
		foresee(m, mr_entries(many)->watcher, mr_entries(many)->is_only);
		__builtin_prefetch(mr_entries(many)->rest.pred);
	}
	if (r && !p->rows[0]->v[r->field].null)
		mr_scout_start(&p->scout, &r->tree, &p->rows[0]->v[r->field]);
}

static void step_scouts(struct match *m, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += SCOUT_APART) {
		struct probe *p = probe_at(m, i);
		if (p->scouted)
			foresee(m, ((const struct mr_range_entry *)p->scouted)->watcher, false);
		void *whole = NULL;
		p->scouted = p->scout.node ? mr_scout_step(&p->scout, &whole) : NULL;
		/* Its mark is looked at only when the images differ in this field. */
		if (whole)
			foresee(m, whole, true);
	}
}

static void finish(struct match *m, struct probe *p)
{
	if (p->bucket && p->bucket->is_far && !has_key(p))
		look_closer(p);
	if (p->bucket && p->bucket->is_only)
		m->hit(p->bucket->lone, p->change, m->arg);
	else if (p->bucket && p->bucket->is_lone)
		meet(m, p, p->bucket->lone);
	else if (p->bucket)
		look_at_many(m, p, p->bucket->many);
}

/* The probe that a stage has at this step, if there is one. */
static bool comes(const struct match *m, size_t stage, size_t *i)
{
	*i = m->clock - stage;
	return m->clock >= stage && *i < m->n;
}

static void advance(struct match *m)
{
	size_t i;
	if (comes(m, TAGS, &i))
		find_line(probe_at(m, i));
	if (comes(m, OPEN, &i))
		open_bucket(m, probe_at(m, i));
	if (comes(m, ENTER, &i))
		enter(m, probe_at(m, i));
	if (m->clock >= ENTER)
		step_scouts(m, m->clock < FINISH ? 0 : m->clock - FINISH, MR_MIN(m->n, m->clock - ENTER));
	if (comes(m, FINISH, &i))
		finish(m, probe_at(m, i));
	m->clock++;
}

/* A few probes gain nothing by waiting for each other. */
static void run_empty(struct match *m)
{
	if (m->n > FEW) {
		while (m->clock < m->n + FINISH)
			advance(m);
		return;
	}
	for (size_t i = 0; i < m->n; i++)
		find_line(probe_at(m, i));
	for (size_t i = 0; i < m->n; i++)
		open_bucket(m, probe_at(m, i));
	for (size_t i = 0; i < m->n; i++)
		finish(m, probe_at(m, i));
}

static struct probe *add_probe(struct match *m, const struct mr_change *c)
{
	advance(m);
	struct probe *p = probe_at(m, m->n++);
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
	const struct mr_part *part = mr_table_part(&g->buckets, mr_hash_high(p->hash));
	__builtin_prefetch(&part->tags[mr_part_home(part, mr_hash_high(p->hash))]);
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

size_t mr_matcher_match(
	struct mr_matcher *ix, const struct mr_change *changes, size_t n, mr_matcher_hit *hit, mr_matcher_soon *soon, void *arg)
{
	struct match m;
	m.ix = ix;
	m.hit = hit;
	m.soon = soon;
	m.arg = arg;
	m.probes = m.n = m.clock = 0;
	for (size_t i = 0; i < n; i++) {
		const struct mr_change *c = &changes[i];
		struct mr_by_entity *e = mr_matcher_entity(ix, c->entity);
		if (!e || (!c->was.v && !c->is.v))
			continue;
		ix->mark++;
		for (size_t g = 0; g < e->n; g++)
			add_group(&m, c, e->groups[g]);
		if (e->unkeyed->held)
			add_unkeyed(&m, c, e->unkeyed);
	}
	run_empty(&m);
	return m.probes;
}
