#include "body.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/log.h"
#include "proto/key.h"

struct mr_body *mr_body_new(uint64_t n)
{
	struct mr_body *b = mr_alloc(sizeof *b);
	b->n = n;
	mr_list_init(&b->in_history);
	return b;
}

void mr_body_delete(struct mr_body **b)
{
	if (!*b)
		return;
	mr_list_del(&(*b)->in_history);
	for (int e = 0; e < MR_ENCODINGS; e++)
		mr_wire_drop(&(*b)->wire[e]);
	free(*b);
	*b = NULL;
}

size_t mr_enc_list_around(struct mr_enc *e, size_t n)
{
	/* Array 32: the longest form is as good as the others. */
	char head[5] = {(char)0xdd, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
	mr_enc_raw(e, e->encoding == MR_JSON ? MR_STR("[") : (struct mr_str){head, sizeof head});
	size_t at = e->out->n;
	if (e->encoding == MR_JSON)
		mr_buf_char(e->out, ']');
	return at;
}

void mr_enc_list(struct mr_enc *e, size_t n, struct mr_str pieces)
{
	mr_enc_list_around(e, n);
	if (e->encoding == MR_JSON)
		e->out->n--; /* the bracket comes after them */
	mr_buf_str(e->out, pieces);
	if (e->encoding == MR_JSON)
		mr_buf_char(e->out, ']');
}

void mr_enc_hash(struct mr_enc *e, uint64_t h)
{
	char text[17];
	snprintf(text, sizeof text, "%016llx", (unsigned long long)h);
	mr_enc_str(e, (struct mr_str){text, 16});
}

void mr_enc_error(struct mr_enc *e, const struct mr_error *err)
{
	struct mr_arena a = {0};
	struct mr_error ignored;
	const struct mr_node *data = err->data[0] ? mr_json_read(&a, mr_str(err->data), 16, false, &ignored) : NULL;
	mr_enc_map(e, data ? 3 : 2);
	mr_enc_key(e, MR_STR("code"));
	mr_enc_str(e, mr_str(mr_code_name(err->code)));
	mr_enc_key(e, MR_STR("message"));
	mr_enc_str(e, mr_str(err->message));
	if (data) {
		mr_enc_key(e, MR_STR("data"));
		mr_enc_node(e, data);
	}
	mr_enc_end(e);
	mr_arena_fini(&a);
}

/* Opens a body: a map with i and h, and `more` members to follow. */
static struct mr_enc open_body(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, size_t more)
{
	struct mr_enc e;
	mr_enc_init(&e, out, encoding);
	mr_enc_map(&e, 2 + more);
	mr_enc_key(&e, MR_STR("i"));
	mr_enc_int(&e, (int64_t)i);
	mr_enc_key(&e, MR_STR("h"));
	mr_enc_hash(&e, h);
	return e;
}

static void enc_items(struct mr_enc *e, struct mr_str key, const struct mr_item *const *items, size_t n)
{
	if (!n)
		return;
	mr_enc_key(e, key);
	mr_enc_array(e, n);
	for (size_t i = 0; i < n; i++)
		mr_row_encode(e, &items[i]->row, false);
	mr_enc_end(e);
}

static void enc_patches(struct mr_enc *e, const struct mr_diff *d)
{
	if (!d->n_patch)
		return;
	mr_enc_key(e, MR_STR("patch"));
	mr_enc_array(e, d->n_patch);
	for (size_t i = 0; i < d->n_patch; i++) {
		mr_enc_array(e, 2);
		mr_row_encode_id(e, &d->is[i]->row);
		mr_row_encode_changes(e, &d->was[i]->row, &d->is[i]->row);
		mr_enc_end(e);
	}
	mr_enc_end(e);
}

void mr_body_diff(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_diff *d)
{
	struct mr_enc e = open_body(out, encoding, i, h, (d->n_put > 0) + (d->n_patch > 0) + (d->n_del > 0));
	enc_items(&e, MR_STR("put"), (const struct mr_item *const *)d->put, d->n_put);
	enc_patches(&e, d);
	if (d->n_del) {
		mr_enc_key(&e, MR_STR("del"));
		mr_enc_array(&e, d->n_del);
		for (size_t k = 0; k < d->n_del; k++)
			mr_row_encode_id(&e, &d->del[k]->row);
		mr_enc_end(&e);
	}
	mr_enc_end(&e);
}

static int in_order(const void *x, const void *y, void *arg)
{
	const struct mr_item *const *a = x, *const *b = y;
	const struct mr_rows_order *order = arg;
	return mr_order_cmp(order->order, order->n, &(*a)->row, &(*b)->row);
}

void mr_body_items(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_item **items, size_t n,
	struct mr_rows_order order)
{
	struct mr_enc e = open_body(out, encoding, i, h, 1);
	qsort_r(items, n, sizeof *items, in_order, &order);
	mr_enc_key(&e, MR_STR("rows"));
	mr_enc_array(&e, n);
	for (size_t k = 0; k < n; k++)
		mr_row_encode(&e, &items[k]->row, false);
	mr_enc_end(&e);
	mr_enc_end(&e);
}

void mr_body_rows(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_rowset *rs)
{
	size_t n = mr_rowset_size(rs), at = 0;
	const struct mr_item **items = mr_alloc((n + 1) * sizeof *items);
	for (size_t k = 0; k < n; k++)
		items[k] = mr_rowset_next(rs, &at);
	mr_body_items(out, encoding, i, h, items, n, (struct mr_rows_order){rs->order, rs->n_order});
	free(items);
}

void mr_body_touched(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_item *const *put, size_t n_put,
	const struct mr_row *const *del, size_t n_del)
{
	struct mr_enc e = open_body(out, encoding, i, h, (n_put > 0) + (n_del > 0));
	enc_items(&e, MR_STR("put"), put, n_put);
	if (n_del) {
		mr_enc_key(&e, MR_STR("del"));
		mr_enc_array(&e, n_del);
		for (size_t k = 0; k < n_del; k++)
			mr_row_encode_id(&e, del[k]);
		mr_enc_end(&e);
	}
	mr_enc_end(&e);
}

/* Text that was found to be a value. */
static void enc_text(struct mr_enc *e, struct mr_str json)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *value = mr_json_read(&a, json, MR_RESULT_DEPTH, false, &err);
	MR_ASSERT(value);
	mr_enc_node(e, value);
	mr_arena_fini(&a);
}

void mr_body_value(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, struct mr_str json)
{
	struct mr_enc e = open_body(out, encoding, i, h, 1);
	mr_enc_key(&e, MR_STR("value"));
	enc_text(&e, json);
	mr_enc_end(&e);
}

void mr_body_error(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_error *err)
{
	struct mr_enc e = open_body(out, encoding, i, h, 1);
	mr_enc_key(&e, MR_STR("error"));
	mr_enc_error(&e, err);
	mr_enc_end(&e);
}

void mr_body_behind(struct mr_buf *out, enum mr_encoding encoding, uint64_t i, bool behind)
{
	struct mr_enc e;
	mr_enc_init(&e, out, encoding);
	mr_enc_map(&e, 2);
	mr_enc_key(&e, MR_STR("i"));
	mr_enc_int(&e, (int64_t)i);
	mr_enc_key(&e, MR_STR("behind"));
	mr_enc_bool(&e, behind);
	mr_enc_end(&e);
}

/* A run of elements copied from the old array (from >= 0), or new ones (from < 0, starting at `at` of the new array). */
struct seg {
	int64_t from;
	size_t at, n;
};

static bool is_same(const struct mr_node *was, int64_t at, const struct mr_node *is, size_t k)
{
	return at < (int64_t)was->n && k < is->n && mr_str_eq(was->items[at].raw, is->items[k].raw);
}

/* An element in the place of another, as most changes are: what follows both is the same. */
static bool is_replaced(const struct mr_node *was, int64_t at, const struct mr_node *is, size_t k)
{
	return is_same(was, at + 1, is, k + 1) || (at + 1 == (int64_t)was->n && k + 1 == is->n);
}

static int64_t find_old(struct mr_map *old, const struct mr_node *was, struct mr_str raw)
{
	bool empty = !old->n;
	for (size_t k = was->n; empty && k-- > 0;)
		mr_map_put(old, was->items[k].raw, &was->items[k]);
	const struct mr_node *found = mr_map_get(old, raw);
	return found ? found - was->items : -1;
}

/* Where each element of the new array stands in the old one: after the last one used if possible, so that moves stay few. */
static size_t plan_segs(const struct mr_node *was, const struct mr_node *is, struct seg *segs)
{
	struct mr_map old = {0};
	size_t n = 0;
	int64_t expect = 0;
	for (size_t k = 0; k < is->n; k++) {
		bool replaced = !is_same(was, expect, is, k) && is_replaced(was, expect, is, k);
		int64_t from = replaced ? -1 : is_same(was, expect, is, k) ? expect : find_old(&old, was, is->items[k].raw);
		struct seg *last = n ? &segs[n - 1] : NULL;
		bool joins = last && (from < 0 ? last->from < 0 : last->from >= 0 && last->from + (int64_t)last->n == from);
		if (joins)
			last->n++;
		else
			segs[n++] = (struct seg){.from = from, .at = k, .n = 1};
		expect = replaced ? expect + 1 : from >= 0 ? from + 1 : expect;
	}
	mr_map_fini(&old);
	return n;
}

static void enc_seg(struct mr_enc *e, const struct seg *s, const struct mr_node *is)
{
	if (s->from >= 0) {
		mr_enc_array(e, 2);
		mr_enc_int(e, s->from);
		mr_enc_int(e, (int64_t)s->n);
		mr_enc_end(e);
		return;
	}
	mr_enc_map(e, 1);
	mr_enc_key(e, MR_STR("v"));
	mr_enc_array(e, s->n);
	for (size_t k = 0; k < s->n; k++)
		enc_text(e, is->items[s->at + k].raw);
	mr_enc_end(e);
	mr_enc_end(e);
}

bool mr_body_segs(
	struct mr_buf *out, enum mr_encoding encoding, uint64_t i, uint64_t h, const struct mr_node *was, const struct mr_node *is)
{
	if (was->kind != MR_ARRAY || is->kind != MR_ARRAY || !is->n || !was->n)
		return false;
	struct seg *segs = mr_alloc(is->n * sizeof *segs);
	size_t n = plan_segs(was, is, segs), fresh = 0;
	for (size_t k = 0; k < n; k++)
		fresh += segs[k].from < 0 ? segs[k].n : 0;
	bool pays = fresh < is->n && n <= is->n / 2 + 2;
	if (pays) {
		struct mr_enc e = open_body(out, encoding, i, h, 1);
		mr_enc_key(&e, MR_STR("segs"));
		mr_enc_array(&e, n);
		for (size_t k = 0; k < n; k++)
			enc_seg(&e, &segs[k], is);
		mr_enc_end(&e);
		mr_enc_end(&e);
	}
	free(segs);
	return pays;
}
