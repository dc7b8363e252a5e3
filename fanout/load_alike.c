#include "load_alike.h"

#include <stdlib.h>

#include "proto/ground/hash.h"

/* Fewer than this are not worth a statement of their own: up to so many times as many are joined by OR. */
enum { ALIKE_LEAST = 4 };

struct key {
	const struct mr_entity *entity;
	const char *snapshot; /* of the same generation it is the same piece of memory */
	int64_t field;
	uint64_t others; /* sum of the hashes of the other conditions */
};

struct dealing {
	struct mr_map kinds; /* struct key -> struct mr_alike */
	struct mr_arena arena;
	struct mr_buf text;
};

/* The conditions of a predicate: those of an AND, or itself. */
static const struct mr_pred *const *conditions(const struct mr_pred *const *p, size_t *n)
{
	bool many = (*p)->op == MR_P_AND;
	*n = many ? (*p)->n : 1;
	return many ? (*p)->kids : p;
}

const struct mr_value *mr_alike_value(const struct mr_loaded *l, size_t kid)
{
	size_t n;
	return &conditions(&l->inst->rows.pred, &n)[kid]->values[0];
}

static uint64_t hash_of(struct dealing *d, const struct mr_entity *e, const struct mr_pred *p)
{
	d->text.n = 0;
	mr_pred_print(&d->text, e, p);
	return mr_hash(d->text.p, d->text.n);
}

/* Whether two predicates differ at most in the value at this place. */
static bool same_but(const struct mr_pred *a, const struct mr_pred *b, size_t kid)
{
	size_t n, m;
	const struct mr_pred *const *x = conditions(&a, &n), *const *y = conditions(&b, &m);
	if (n != m || x[kid]->op != y[kid]->op || x[kid]->field != y[kid]->field)
		return false;
	for (size_t i = 0; i < n; i++)
		if (i != kid && !mr_pred_same(x[i], y[i]))
			return false;
	return true;
}

static struct mr_alike *kind_of(struct dealing *d, const struct mr_loaded *l, const struct key *key, size_t kid)
{
	struct mr_alike *kind = mr_map_get(&d->kinds, (struct mr_str){(const char *)key, sizeof *key});
	if (kind)
		return key->field < 0 || same_but(kind->like, l->inst->rows.pred, kid) ? kind : NULL;
	struct key *kept = mr_arena_alloc(&d->arena, sizeof *kept);
	*kept = *key;
	kind = mr_arena_alloc(&d->arena, sizeof *kind);
	*kind = (struct mr_alike){key->entity, key->snapshot, (int)key->field, kid, l->inst->rows.pred, 0, NULL};
	mr_map_put(&d->kinds, (struct mr_str){(const char *)kept, sizeof *kept}, kind);
	return kind;
}

static struct mr_alike *unlike(struct dealing *d, const struct mr_loaded *l)
{
	struct key key = {l->inst->entity, l->snapshot, MR_ALIKE_IN_NOTHING, 0};
	return kind_of(d, l, &key, 0);
}

/* A query, and all kinds that it may be of. */
struct query {
	struct mr_loaded *l;
	struct mr_alike **kinds;
	size_t n;
};

static void find_kinds(struct dealing *d, struct query *q)
{
	size_t n;
	const struct mr_pred *const *p = conditions(&q->l->inst->rows.pred, &n);
	uint64_t all = 0, *hashes = mr_alloc(n * sizeof *hashes);
	for (size_t i = 0; i < n; i++)
		all += hashes[i] = hash_of(d, q->l->inst->entity, p[i]);
	q->kinds = mr_arena_alloc(&d->arena, n * sizeof *q->kinds);
	for (size_t i = 0; i < n; i++) {
		struct key key = {q->l->inst->entity, q->l->snapshot, p[i]->field, all - hashes[i]};
		struct mr_alike *kind = p[i]->op == MR_P_EQ ? kind_of(d, q->l, &key, i) : NULL;
		if (!kind)
			continue;
		kind->n++;
		q->kinds[q->n++] = kind;
	}
	free(hashes);
}

/* Of the kinds that it may be of, the one with the most. */
static struct mr_alike *choose(struct dealing *d, const struct query *q)
{
	struct mr_alike *most = NULL;
	for (size_t i = 0; i < q->n; i++)
		if (!most || q->kinds[i]->n > most->n)
			most = q->kinds[i];
	return most && most->n >= ALIKE_LEAST ? most : unlike(d, q->l);
}

void mr_alike_deal(struct mr_list *asked, void (*join)(void *arg, struct mr_loaded *l, struct mr_alike *kind), void *arg)
{
	struct dealing d = {0};
	size_t n = 0, i = 0;
	MR_LIST_FOR (e, asked)
		n++;
	struct query *queries = mr_alloc(n * sizeof *queries);
	MR_LIST_FOR (e, asked) {
		queries[i] = (struct query){.l = MR_CONTAINER(e, struct mr_loaded, in_load)};
		find_kinds(&d, &queries[i++]);
		mr_list_del(e);
	}
	for (i = 0; i < n; i++)
		join(arg, queries[i].l, choose(&d, &queries[i]));
	free(queries);
	mr_map_fini(&d.kinds);
	mr_arena_fini(&d.arena);
	mr_buf_fini(&d.text);
}
