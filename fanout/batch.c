#include "batch.h"

#include <stdlib.h>

#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "proto/ground/refs.h"
#include "proto/key.h"

enum { IMAGE_DEPTH = 4096 };
#define TOO_MANY SIZE_MAX

struct builder {
	struct mr_batch *batch;
	const struct mr_app *app;
	size_t cap_changes, cap_effects;
	const struct mr_entity *misfit;
	size_t *counts; /* rows by triggers, by entity; TOO_MANY: it has changed in bulk */
};

static bool read_image(struct builder *b, const struct mr_entity *e, const struct mr_node *image, struct mr_row *row)
{
	if (!image || image->kind == MR_NULL)
		return true;
	if (mr_row_from_image(&b->batch->arena, e, image, row))
		return true;
	b->misfit = e;
	return false;
}

static void push(struct builder *b, const struct mr_change *c)
{
	struct mr_batch *batch = b->batch;
	if (batch->n_changes == b->cap_changes) {
		b->cap_changes = b->cap_changes ? 2 * b->cap_changes : 16;
		batch->changes = mr_realloc(batch->changes, b->cap_changes * sizeof *batch->changes);
	}
	batch->changes[batch->n_changes++] = *c;
	batch->last_xid = MR_MAX(batch->last_xid, c->xid);
}

static void add_change(struct builder *b, uint64_t xid, const struct mr_node *node)
{
	const struct mr_entity *e = mr_app_entity(b->app, mr_node_str(node, "e"));
	if (!e)
		return;
	struct mr_change c = {.xid = xid, .entity = e, .bulk = mr_node_truth(node, "bulk")};
	mr_node_int(mr_node_get(node, "s"), &c.seq);
	const struct mr_node *is = mr_node_get(node, "n");
	if (!c.bulk && (!read_image(b, e, mr_node_get(node, "o"), &c.was) || !read_image(b, e, is, &c.is)))
		c.bulk = true;
	c.bytes = c.is.v ? (uint32_t)is->raw.n : 0;
	if (!c.bulk && !c.was.v && !c.is.v)
		return;
	push(b, &c);
}

static void add_changes(struct builder *b, uint64_t xid, const struct mr_node *changes)
{
	for (size_t i = 0; changes && changes->kind == MR_ARRAY && i < changes->n; i++)
		add_change(b, xid, &changes->items[i]);
}

static void add_effect(struct builder *b, const struct mr_log_row *row, struct mr_str result)
{
	struct mr_batch *batch = b->batch;
	if (batch->n_effects == b->cap_effects) {
		b->cap_effects = b->cap_effects ? 2 * b->cap_effects : 16;
		batch->effects = mr_realloc(batch->effects, b->cap_effects * sizeof *batch->effects);
	}
	batch->effects[batch->n_effects++] = (struct mr_effect){
		.written = {row->xid, row->seq},
		.session = mr_arena_str(&batch->arena, row->session),
		.call = mr_arena_str(&batch->arena, row->call),
		.result = mr_arena_str(&batch->arena, result.n ? result : MR_STR("null")),
	};
}

static const struct mr_node *parse(struct mr_arena *a, struct mr_str text)
{
	struct mr_error err;
	const struct mr_node *n = mr_json_read(a, mr_arena_str(a, text), IMAGE_DEPTH, false, &err);
	if (!n)
		mr_log(MR_ERROR, "the change log holds text that is not JSON: %s", err.message);
	return n;
}

static int by_seq(const void *x, const void *y)
{
	int64_t a = ((const struct mr_change *)x)->seq, b = ((const struct mr_change *)y)->seq;
	return a < b ? -1 : a > b;
}

static void sort_changes(struct mr_batch *b)
{
	for (size_t i = 1; i < b->n_changes; i++) {
		if (b->changes[i - 1].seq > b->changes[i].seq) {
			qsort(b->changes, b->n_changes, sizeof *b->changes, by_seq);
			return;
		}
	}
}

static bool same_row(const struct mr_row *a, const struct mr_row *b)
{
	if (!a->v || !b->v)
		return !a->v && !b->v;
	for (size_t i = 0; i < a->entity->n; i++)
		if (!mr_value_eq(&a->v[i], &b->v[i]))
			return false;
	return true;
}

/* The state in which the changes before left the row of this id. */
static const struct mr_row *state_after(const struct mr_change *c, struct mr_str key)
{
	static const struct mr_row absent;
	return c->is.v && mr_str_eq(mr_row_key(&c->is), key) ? &c->is : &absent;
}

/* Each change of a row must begin where the one before it ended. Where it does not, their numbers do not tell the order of writing (an
 * AFTER trigger wrote a row whose own capture was still to come), and the table is read anew. */
static void check_chains(struct mr_batch *b, const struct mr_entity *e)
{
	struct mr_map last = {0};
	for (size_t i = 0; i < b->n_changes; i++) {
		struct mr_change *c = &b->changes[i];
		if (c->entity != e || c->bulk)
			continue;
		struct mr_str key = mr_row_key(c->was.v ? &c->was : &c->is);
		const struct mr_change *before = mr_map_get(&last, key);
		if (before && !same_row(state_after(before, key), &c->was)) {
			c->bulk = true;
			break;
		}
		mr_map_put(&last, key, c);
		if (c->was.v && c->is.v)
			mr_map_put(&last, mr_row_key(&c->is), c);
	}
	mr_map_fini(&last);
}

static void check_all_chains(struct mr_batch *b, const struct mr_app *app)
{
	for (size_t i = 0; b->n_changes > 1 && i < app->n_entities; i++)
		check_chains(b, &app->entities[i]);
}

/* --- what is not read --- */

/* A log row that a trigger wrote is about one change: of this entity. -1: another's row, or of a table that the app does not declare. */
static long entity_of(const struct builder *b, const struct mr_log_row *row)
{
	static const char before[] = "\"e\":\"";
	struct mr_str name = row->entity;
	if (row->has_token || (!name.n && !row->changes.p))
		return -1;
	if (!name.n) {
		const char *end = row->changes.p + MR_MIN(row->changes.n, (size_t)200);
		const char *p = memmem(row->changes.p, (size_t)(end - row->changes.p), before, sizeof before - 1);
		name.p = p ? p + sizeof before - 1 : NULL;
		const char *quote = p ? memchr(name.p, '"', (size_t)(end - name.p)) : NULL;
		name.n = quote ? (size_t)(quote - name.p) : 0;
	}
	const struct mr_entity *e = name.n ? mr_app_entity(b->app, name) : NULL;
	return e ? e - b->app->entities : -1;
}

/* The row by which a trigger says that no more are told of this transaction and entity (docs/changes.md). */
static bool is_marker(const struct mr_log_row *row)
{
	static const char end[] = ",\"bulk\":true}]";
	size_t n = sizeof end - 1;
	return row->changes.n > n && memcmp(row->changes.p + row->changes.n - n, end, n) == 0;
}

/* Marks those that are not told row by row anyway: a row that is withheld may stand for many. */
static void count_rows(struct builder *b, const struct mr_log_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		long e = entity_of(b, &rows[i]);
		if (e < 0 || b->counts[e] == TOO_MANY)
			continue;
		if (rows[i].entity.n || is_marker(&rows[i]))
			b->counts[e] = TOO_MANY;
		else
			b->counts[e]++;
	}
}

/* Marks those that are read anew for less, and those that have most, until what is left is not too much. */
static void choose_bulks(struct builder *b, const struct mr_stakes *stakes)
{
	size_t sum = 0;
	for (size_t e = 0; e < b->app->n_entities; e++) {
		if (b->counts[e] != TOO_MANY && (int64_t)b->counts[e] > mr_stakes_of(stakes, &b->app->entities[e]))
			b->counts[e] = TOO_MANY;
		if (b->counts[e] != TOO_MANY)
			sum += b->counts[e];
	}
	while (sum > MR_BATCH_CHANGES) {
		size_t top = 0;
		for (size_t e = 1; e < b->app->n_entities; e++)
			if (b->counts[top] == TOO_MANY || (b->counts[e] != TOO_MANY && b->counts[e] > b->counts[top]))
				top = e;
		sum -= b->counts[top];
		b->counts[top] = TOO_MANY;
	}
}

/* By no transaction in particular: whoever reads meanwhile reads again. */
static void add_bulks(struct builder *b)
{
	for (size_t e = 0; e < b->app->n_entities; e++)
		if (b->counts[e] == TOO_MANY)
			push(b, &(struct mr_change){.xid = UINT64_MAX, .entity = &b->app->entities[e], .bulk = true});
}

static bool is_skipped(const struct builder *b, const struct mr_log_row *row)
{
	long e = entity_of(b, row);
	return e >= 0 ? b->counts[e] == TOO_MANY : row->entity.n > 0;
}

/* --- the whole --- */

static void read_row(struct builder *b, const struct mr_log_row *row, mr_payload_of *payload, void *arg, bool *lost)
{
	const struct mr_node *changes = NULL;
	bool told = true;
	struct mr_str result = row->result;
	if (row->changes.p) {
		changes = parse(&b->batch->arena, row->changes);
		*lost |= !changes;
	} else {
		struct mr_str text = row->has_token ? payload(arg, row->token) : (struct mr_str){0};
		const struct mr_node *whole = text.n ? parse(&b->batch->arena, text) : NULL;
		const struct mr_node *r = mr_node_get(whole, "result");
		changes = mr_node_get(whole, "changes");
		if (r)
			result = r->raw;
		told = whole;
		*lost |= !told;
	}
	add_changes(b, row->xid, changes);
	/* A result that was withheld with its changes is its worker's to tell. */
	if (row->call.n && told)
		add_effect(b, row, result);
}

struct mr_batch *mr_batch_new(uint64_t n, struct mr_app *app, const struct mr_log_row *rows, size_t n_rows, mr_payload_of *payload,
	void *arg, const struct mr_stakes *stakes, bool *lost, const struct mr_entity **misfit)
{
	struct builder b = {.batch = mr_alloc(sizeof *b.batch), .app = app};
	b.batch->refs = 1;
	b.batch->app = mr_app_hold(app);
	b.batch->n = n;
	*lost = false;
	if (n_rows) {
		b.counts = mr_alloc((app->n_entities + 1) * sizeof *b.counts);
		count_rows(&b, rows, n_rows);
		if (stakes)
			choose_bulks(&b, stakes);
		add_bulks(&b);
	}
	for (size_t i = 0; i < n_rows; i++)
		if (!is_skipped(&b, &rows[i]))
			read_row(&b, &rows[i], payload, arg, lost);
	free(b.counts);
	sort_changes(b.batch);
	check_all_chains(b.batch, app);
	*misfit = b.misfit;
	return b.batch;
}

struct mr_batch *mr_batch_hold(struct mr_batch *b)
{
	mr_refs_hold(&b->refs);
	return b;
}

void mr_batch_drop(struct mr_batch **b)
{
	struct mr_batch *batch = *b;
	*b = NULL;
	if (!batch || !mr_refs_drop(&batch->refs))
		return;
	mr_arena_fini(&batch->arena);
	mr_app_drop(&batch->app);
	free(batch->changes);
	free(batch->effects);
	free(batch);
}
