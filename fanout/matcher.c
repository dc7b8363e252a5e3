#include "matcher.h"

#include <stdlib.h>

#include "matcher_inner.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum {
	GROUPS_MOST = 32, /* of an entity; beyond that, only those of one field are made */
	FLAT_MOST = 4,    /* entries in a bucket beside which another range goes to a tree */
};

struct mr_matcher *mr_matcher_new(void)
{
	struct mr_matcher *ix = mr_alloc(sizeof *ix);
	uint64_t key[2];
	mr_random(key, sizeof key);
	ix->start = mr_sip_start(key);
	return ix;
}

void mr_matcher_delete(struct mr_matcher **ix)
{
	if (!*ix)
		return;
	for (size_t i = 0; i < (*ix)->n; i++)
		MR_ASSERT(!(*ix)->entities[i]);
	mr_pool_fini(&(*ix)->pool);
	free((*ix)->entities);
	free(*ix);
	*ix = NULL;
}

static struct mr_by_entity *make_entity(struct mr_matcher *ix, const struct mr_entity *e)
{
	size_t number = (size_t)e->number;
	if (number >= ix->n) {
		ix->entities = mr_realloc(ix->entities, (number + 1) * sizeof(*ix->entities));
		memset(ix->entities + ix->n, 0, (number + 1 - ix->n) * sizeof(*ix->entities));
		ix->n = number + 1;
	}
	struct mr_by_entity *b = mr_alloc(sizeof *b);
	b->entity = e;
	b->unkeyed = mr_alloc(sizeof *b->unkeyed);
	mr_list_init(&b->watchers);
	b->next = ix->entities[number];
	ix->entities[number] = b;
	return b;
}

static void drop_entity(struct mr_matcher *ix, struct mr_by_entity *b)
{
	struct mr_by_entity **at = &ix->entities[b->entity->number];
	MR_ASSERT(!b->n && !b->unkeyed->held);
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	free(b->unkeyed);
	free(b->groups);
	free(b);
}

/* Groups */

/* The field that tells rows apart best, as far as its declaration tells. */
static int telling_field(const struct mr_entity *e, const struct mr_branch *b)
{
	int best = b->equal[0].field;
	for (size_t i = 0; i < b->n; i++) {
		const struct mr_field *f = &e->fields[b->equal[i].field];
		if (f->unique || f->type == MR_T_UUID)
			return b->equal[i].field;
		if (e->fields[best].type == MR_T_BOOL)
			best = b->equal[i].field;
	}
	return best;
}

/* All fields of the group are among the branch's, and this one is among them. */
static bool has_fields(const struct mr_group *g, const struct mr_branch *b, int field)
{
	size_t found = 0;
	bool has = false;
	for (size_t i = 0; i < b->n && found < g->n; i++) {
		if (b->equal[i].field != g->fields[found])
			continue;
		has |= b->equal[i].field == field;
		found++;
	}
	return found == g->n && has;
}

/* The largest group that will do; or NULL. */
static struct mr_group *find_group(const struct mr_by_entity *e, const struct mr_branch *b)
{
	struct mr_group *best = NULL;
	int field = telling_field(e->entity, b);
	for (size_t i = 0; i < e->n; i++)
		if (has_fields(e->groups[i], b, field) && (!best || e->groups[i]->n > best->n))
			best = e->groups[i];
	return best;
}

static struct mr_group *make_group(struct mr_by_entity *e, const struct mr_branch *b)
{
	struct mr_group *g = mr_alloc(sizeof *g);
	if (e->n < GROUPS_MOST) {
		g->n = b->n;
		for (size_t i = 0; i < b->n; i++)
			g->fields[i] = b->equal[i].field;
	} else {
		g->n = 1;
		g->fields[0] = telling_field(e->entity, b);
	}
	e->groups = mr_realloc(e->groups, (e->n + 1) * sizeof(*e->groups));
	e->groups[e->n++] = g;
	return g;
}

static struct mr_group *group_for(struct mr_by_entity *e, const struct mr_branch *b)
{
	struct mr_group *g = find_group(e, b);
	if (g && (g->n == b->n || e->n >= GROUPS_MOST))
		return g;
	return make_group(e, b);
}

static void drop_group(struct mr_by_entity *e, struct mr_group *g)
{
	size_t i = 0;
	while (e->groups[i] != g)
		i++;
	e->groups[i] = e->groups[--e->n];
	mr_table_fini(&g->buckets);
	free(g);
}

/* Buckets */

static void store_key(struct mr_matcher *ix, const struct mr_group *g, struct mr_bucket *b, const struct mr_key *k)
{
	struct mr_far_key far = {.n = mr_key_size(k)};
	b->is_far = far.n > mr_key_room(g->buckets.wide);
	if (b->is_far) {
		far.key = mr_pool_alloc(&ix->pool, far.n);
		memcpy(b->key + MR_FAR_AT, &far, sizeof far);
	}
	mr_key_store(b->is_far ? far.key : b->key, k);
}

static struct mr_bucket *bucket_for(struct mr_matcher *ix, struct mr_group *g, const struct mr_key *k)
{
	uint64_t hash = mr_key_hash(&ix->start, k);
	struct mr_bucket *b = mr_table_get(&g->buckets, hash, k);
	if (b)
		return b;
	/* As the first, so are most. */
	if (!g->buckets.n)
		g->buckets.wide = mr_key_size(k) > mr_key_room(false) && mr_key_size(k) <= mr_key_room(true);
	b = mr_table_add(&g->buckets, hash);
	store_key(ix, g, b, k);
	return b;
}

/* Of a group, or of the entity; place: of a lone watcher's, else 0. */
static struct mr_bucket *holder(struct mr_by_entity *e, const struct mr_group *g, uint32_t high, const void *held, uint32_t place)
{
	return g ? mr_table_holder(&g->buckets, high, held, place) : e->unkeyed;
}

static void empty_bucket(struct mr_matcher *ix, struct mr_by_entity *e, struct mr_group *g, struct mr_bucket *b)
{
	if (!g) {
		memset(b, 0, sizeof *b);
		return;
	}
	if (b->is_far)
		mr_pool_free(&ix->pool, mr_bucket_far(b).key, mr_bucket_far(b).n);
	mr_table_remove(&g->buckets, b);
	if (!g->buckets.n)
		drop_group(e, g);
}

/* Places of a watcher */

static struct mr_place *places(struct mr_watcher *w)
{
	return w->cap_places ? w->many : &w->one;
}

static struct mr_place *add_place(struct mr_watcher *w)
{
	if (w->n_places == MR_MAX(w->cap_places, 1u)) {
		uint32_t cap = w->cap_places ? 2 * w->cap_places : 4;
		struct mr_place *many = mr_realloc(w->cap_places ? w->many : NULL, cap * sizeof *many);
		if (!w->cap_places)
			many[0] = w->one;
		w->many = many;
		w->cap_places = cap;
	}
	return &places(w)[w->n_places++];
}

/* Entries */

/* From now on the bucket may hold several, or other things than a lone watcher. */
static struct mr_many *make_many(struct mr_matcher *ix, struct mr_group *g, struct mr_bucket *b)
{
	if (b->held && !b->is_lone)
		return b->many;
	struct mr_many *m = mr_pool_alloc(&ix->pool, sizeof *m);
	m->group = g;
	m->high = mr_hash_high(b->hash);
	m->is_one = true;
	if (b->is_lone) {
		m->one = (struct mr_entry){.watcher = b->lone, .place = b->place, .is_only = b->is_only, .field = -1};
		m->n = 1;
		places(b->lone)[b->place] = (struct mr_place){.at = m, .kind = MR_PLACE_ENTRY};
	}
	b->place = 0;
	b->is_lone = b->is_only = false;
	return b->many = m;
}

static void drop_empty_many(struct mr_matcher *ix, struct mr_by_entity *e, struct mr_many *m)
{
	if (m->n || mr_ranges_in(m))
		return;
	empty_bucket(ix, e, m->group, holder(e, m->group, m->high, m, 0));
	if (!m->is_one)
		free(m->entries);
	mr_pool_free(&ix->pool, m, sizeof *m);
}

static uint32_t entries_in(const struct mr_bucket *b)
{
	return b->is_lone ? 1 : b->held ? b->many->n : 0;
}

static void grow(struct mr_many *m)
{
	uint32_t cap = m->is_one ? 2 : 2 * m->cap;
	struct mr_entry *entries = mr_realloc(m->is_one ? NULL : m->entries, cap * sizeof *entries);
	if (m->is_one) {
		entries[0] = m->one;
		m->ranges = NULL;
	}
	m->is_one = false;
	m->entries = entries;
	m->cap = cap;
}

static void add_alone(struct mr_watcher *w, struct mr_group *g, struct mr_bucket *b, bool only)
{
	*add_place(w) = (struct mr_place){.at = g, .index = mr_hash_high(b->hash), .kind = MR_PLACE_LONE};
	b->lone = w;
	b->place = w->n_places - 1;
	b->is_lone = true;
	b->is_only = only;
}

static void add_entry(struct mr_matcher *ix, struct mr_watcher *w, struct mr_group *g, struct mr_bucket *b, struct mr_entry e)
{
	if (!b->held && !e.rest.pred && e.field < 0) {
		add_alone(w, g, b, e.is_only);
		return;
	}
	struct mr_many *m = make_many(ix, g, b);
	*add_place(w) = (struct mr_place){.at = m, .index = m->n, .kind = MR_PLACE_ENTRY};
	e.watcher = w;
	e.place = (w->n_places - 1) & INT32_MAX;
	if (m->n == (m->is_one ? 1 : m->cap))
		grow(m);
	mr_entries(m)[m->n++] = e;
}

/* The last one takes its place. */
static void remove_entry(struct mr_many *m, uint32_t index)
{
	const struct mr_entry *last = &mr_entries(m)[--m->n];
	mr_entries(m)[index] = *last;
	places(last->watcher)[last->place].index = index;
	if (!m->is_one && m->cap > 4 && m->n < m->cap / 4) {
		m->cap /= 2;
		m->entries = mr_realloc(m->entries, m->cap * sizeof *m->entries);
	}
}

static struct mr_field_ranges *ranges_for(struct mr_many *m, int field)
{
	MR_ASSERT(!m->is_one);
	struct mr_field_ranges *r = m->ranges;
	while (r && r->field != field)
		r = r->next;
	if (r)
		return r;
	r = mr_alloc(sizeof *r);
	r->in = m;
	r->field = field;
	r->next = m->ranges;
	m->ranges = r;
	return r;
}

/* There are entries beside it. When it is found, the watcher is, if nothing is left to be evaluated and no other place finds it. */
static void add_range(
	struct mr_matcher *ix, struct mr_watcher *w, struct mr_bucket *b, const struct mr_branch *branch, struct mr_rest rest, bool only)
{
	struct mr_range_entry *e = mr_pool_alloc(&ix->pool, sizeof *e);
	e->span = (struct mr_span){branch->low, branch->high};
	e->watcher = w;
	e->rest = rest;
	e->in = ranges_for(b->many, branch->range);
	mr_ranges_add(&e->in->tree, &e->span, only && !rest.pred ? w : NULL, &ix->pool);
	*add_place(w) = (struct mr_place){.at = e, .kind = MR_PLACE_RANGE};
}

static void drop_ranges(struct mr_field_ranges *r)
{
	struct mr_field_ranges **at = &r->in->ranges;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	free(r);
}

static void remove_range(struct mr_matcher *ix, struct mr_range_entry *e)
{
	mr_ranges_remove(&e->in->tree, &e->span, &ix->pool);
	if (!e->in->tree.root)
		drop_ranges(e->in);
	mr_pool_free(&ix->pool, e, sizeof *e);
}

static void leave_place(struct mr_matcher *ix, struct mr_by_entity *e, struct mr_watcher *w, uint32_t i)
{
	struct mr_place p = places(w)[i];
	if (p.kind == MR_PLACE_LONE) {
		empty_bucket(ix, e, p.at, holder(e, p.at, p.index, w, i));
		return;
	}
	struct mr_many *m = p.kind == MR_PLACE_RANGE ? ((struct mr_range_entry *)p.at)->in->in : p.at;
	if (p.kind == MR_PLACE_RANGE)
		remove_range(ix, p.at);
	else
		remove_entry(m, p.index);
	drop_empty_many(ix, e, m);
}

/* Adding and removing */

struct adding {
	struct mr_matcher *ix;
	struct mr_by_entity *entity;
	struct mr_watcher *watcher;
};

/* n: to how many buckets this branch comes. In the only place of all, a watcher's mark need not be looked at, for no change meets it twice:
 * that is a line of memory less. */
static void add_to(
	const struct adding *a, struct mr_group *g, struct mr_bucket *bucket, const struct mr_branch *b, uint64_t settled, size_t n)
{
	struct mr_rest rest = mr_branch_rest(b, settled | b->range_kids);
	bool only = n == 1 && b->pred == a->watcher->pred;
	struct mr_entry e = {.rest = rest, .is_only = only, .field = b->range, .low = b->low.rank, .high = b->high.rank};
	if (b->range >= 0 && entries_in(bucket) >= FLAT_MOST)
		add_range(a->ix, a->watcher, bucket, b, rest, only);
	else
		add_entry(a->ix, a->watcher, g, bucket, e);
}

/* Once for each value of the list, if there is one among the group's fields. */
static void add_keyed(const struct adding *a, struct mr_group *g, const struct mr_branch *b)
{
	struct mr_key k = {.n = g->n};
	uint64_t settled = 0;
	size_t list = 0, n = 1;
	for (size_t i = 0, at = 0; at < g->n; i++) {
		if (b->equal[i].field != g->fields[at])
			continue;
		k.v[at] = b->equal[i].values;
		settled |= b->equal[i].kid;
		if (b->equal[i].n != 1) {
			n = b->equal[i].n;
			list = at;
		}
		at++;
	}
	const struct mr_value *values = k.v[list];
	for (size_t i = 0; i < n; i++) {
		k.v[list] = &values[i];
		add_to(a, g, bucket_for(a->ix, g, &k), b, settled, n);
	}
}

static void add_branch(const struct mr_branch *b, void *arg)
{
	const struct adding *a = arg;
	if (b->never)
		return;
	if (b->n)
		add_keyed(a, group_for(a->entity, b), b);
	else
		add_to(a, NULL, a->entity->unkeyed, b, 0, 1);
}

void mr_matcher_add(struct mr_matcher *ix, struct mr_watcher *w)
{
	MR_ASSERT(w->entity && w->pred && !mr_list_linked(&w->in_entity));
	struct adding a = {ix, mr_matcher_entity(ix, w->entity), w};
	w->mark = 0;
	if (!a.entity)
		a.entity = make_entity(ix, w->entity);
	mr_list_add_tail(&a.entity->watchers, &w->in_entity);
	if (mr_plan(w->pred, add_branch, &a))
		return;
	struct mr_rest rest = {.pred = w->pred->op == MR_P_TRUE ? NULL : w->pred};
	add_entry(ix, w, NULL, a.entity->unkeyed, (struct mr_entry){.rest = rest, .is_only = true, .field = -1});
}

void mr_matcher_remove(struct mr_matcher *ix, struct mr_watcher *w)
{
	if (!mr_list_linked(&w->in_entity))
		return;
	struct mr_by_entity *e = mr_matcher_entity(ix, w->entity);
	for (uint32_t i = 0; i < w->n_places; i++)
		leave_place(ix, e, w, i);
	if (w->cap_places)
		free(w->many);
	w->n_places = w->cap_places = 0;
	mr_list_del(&w->in_entity);
	if (mr_list_empty(&e->watchers))
		drop_entity(ix, e);
}

void mr_matcher_each(struct mr_matcher *ix, const struct mr_entity *e, void (*hit)(struct mr_watcher *w, void *arg), void *arg)
{
	struct mr_by_entity *b = mr_matcher_entity(ix, e);
	if (!b)
		return;
	MR_LIST_FOR (at, &b->watchers)
		hit(MR_CONTAINER(at, struct mr_watcher, in_entity), arg);
}
