#include "rowset.h"

#include <stdlib.h>

#include "proto/ground/log.h"
#include "proto/key.h"

/* A row as it was before the first change since the last difference; item NULL: it was not there. */
struct before {
	struct mr_item *item;
	struct mr_str key; /* in the same block */
};

struct mr_item *mr_item_new(const struct mr_row *row, uint32_t bytes)
{
	size_t n = row->entity->n, text = 0;
	for (size_t i = 0; i < n; i++)
		if (!row->v[i].null)
			text += row->v[i].text.n;
	struct mr_item *item = mr_alloc(sizeof *item + n * sizeof(struct mr_value) + text);
	struct mr_value *v = (struct mr_value *)(item + 1);
	char *at = (char *)(v + n);
	for (size_t i = 0; i < n; i++) {
		v[i] = row->v[i];
		if (v[i].null || !v[i].text.n) {
			v[i].text = (struct mr_str){0};
			continue;
		}
		memcpy(at, v[i].text.p, v[i].text.n);
		v[i].text.p = at;
		at += v[i].text.n;
	}
	item->refs = 1;
	item->bytes = bytes;
	item->row = (struct mr_row){.entity = row->entity, .v = v};
	item->hash = mr_row_hash(&item->row);
	return item;
}

struct mr_item *mr_item_hold(struct mr_item *item)
{
	item->refs++;
	return item;
}

static void item_drop(struct mr_item *item)
{
	if (item && --item->refs == 0)
		free(item);
}

void mr_item_drop(struct mr_item **item)
{
	item_drop(*item);
	*item = NULL;
}

static struct mr_str key_of(const struct mr_item *item)
{
	return mr_row_key(&item->row);
}

static bool is_window(const struct mr_rowset *rs)
{
	return rs->window;
}

static size_t margin(const struct mr_rowset *rs)
{
	return MR_MAX((size_t)8, (size_t)rs->limit / 4);
}

void mr_rowset_init(struct mr_rowset *rs, const struct mr_entity *e, const struct mr_pred *pred, const struct mr_order *order,
	size_t n_order, int64_t limit)
{
	*rs = (struct mr_rowset){.entity = e, .pred = pred, .order = order, .n_order = (uint32_t)n_order, .limit = limit};
	if (limit < 0)
		return;
	rs->window = mr_alloc(sizeof *rs->window);
	rs->window->complete = true;
}

/* Most row sets wait for long until something changes again. */
static void forget_touched(struct mr_rowset *rs)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&rs->touched, &i, &key, &value);) {
		struct before *b = value;
		item_drop(b->item);
		free(b);
	}
	mr_map_fini(&rs->touched);
}

static void drop_map(struct mr_map *m)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(m, &i, &key, &value);)
		item_drop(value);
	mr_map_fini(m);
}

/* Takes the caller's hold of the item over. */
static void keep(struct mr_rowset *rs, struct mr_item *item)
{
	struct mr_item *before = mr_map_put(&rs->by_id, key_of(item), item);
	rs->bytes += item->bytes - (before ? before->bytes : 0);
	item_drop(before);
}

/* The key may be that of the very row. */
static void forget(struct mr_rowset *rs, struct mr_str key)
{
	struct mr_item *item = mr_map_del(&rs->by_id, key);
	rs->bytes -= item ? item->bytes : 0;
	item_drop(item);
}

static void drop_rows(struct mr_rowset *rs)
{
	drop_map(&rs->by_id);
	rs->bytes = 0;
	if (is_window(rs))
		rs->window->n = 0;
}

static void drop_was(struct mr_rowset *rs)
{
	if (rs->was)
		drop_map(rs->was);
	free(rs->was);
	rs->was = NULL;
}

static void drop_shown(struct mr_rowset *rs)
{
	if (!is_window(rs))
		return;
	for (size_t i = 0; i < rs->window->n_shown; i++)
		item_drop(rs->window->shown[i]);
	rs->window->n_shown = 0;
}

void mr_rowset_fini(struct mr_rowset *rs)
{
	drop_rows(rs);
	drop_shown(rs);
	drop_was(rs);
	forget_touched(rs);
	mr_map_fini(&rs->by_id);
	if (is_window(rs)) {
		free(rs->window->rows);
		free(rs->window->shown);
		free(rs->window);
	}
	*rs = (struct mr_rowset){0};
}

int64_t mr_rowset_want(const struct mr_rowset *rs)
{
	return is_window(rs) ? rs->limit + (int64_t)margin(rs) : -1;
}

/* Remembers the row of this key as it is now, if this is its first change since the last difference. */
static void touch(struct mr_rowset *rs, struct mr_str key)
{
	if (is_window(rs) || rs->was || mr_map_get(&rs->touched, key))
		return;
	struct before *b = mr_alloc(sizeof *b + key.n);
	if (key.n)
		memcpy(b + 1, key.p, key.n);
	b->key = (struct mr_str){(const char *)(b + 1), key.n};
	b->item = mr_map_get(&rs->by_id, key);
	if (b->item)
		mr_item_hold(b->item);
	mr_map_put(&rs->touched, b->key, b);
}

/* Where the row stands in the window, or would: the first position not before it. */
static size_t find(const struct mr_rowset *rs, const struct mr_row *row)
{
	size_t lo = 0, hi = rs->window->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (mr_order_cmp(rs->order, rs->n_order, &rs->window->rows[mid]->row, row) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void window_remove(struct mr_rowset *rs, const struct mr_item *item)
{
	size_t at = find(rs, &item->row);
	MR_ASSERT(at < rs->window->n && rs->window->rows[at] == item);
	memmove(rs->window->rows + at, rs->window->rows + at + 1, (rs->window->n - at - 1) * sizeof *rs->window->rows);
	rs->window->n--;
}

static void set_remove(struct mr_rowset *rs, struct mr_str key)
{
	struct mr_item *item = mr_map_get(&rs->by_id, key);
	if (!item)
		return;
	touch(rs, key);
	if (is_window(rs))
		window_remove(rs, item);
	forget(rs, key);
}

/* Rows beyond the margin are given up; what comes after the last is unknown from then on. */
static void window_trim(struct mr_rowset *rs)
{
	while (rs->window->n > (size_t)rs->limit + margin(rs)) {
		struct mr_item *last = rs->window->rows[rs->window->n - 1];
		set_remove(rs, key_of(last));
		rs->window->complete = false;
	}
}

static void window_insert(struct mr_rowset *rs, struct mr_item *item, size_t at)
{
	if (rs->window->n == rs->window->cap) {
		rs->window->cap = rs->window->cap ? 2 * rs->window->cap : 16;
		rs->window->rows = mr_realloc(rs->window->rows, rs->window->cap * sizeof *rs->window->rows);
	}
	memmove(rs->window->rows + at + 1, rs->window->rows + at, (rs->window->n - at) * sizeof *rs->window->rows);
	rs->window->rows[at] = item;
	rs->window->n++;
}

/* The caller's, which is made when it is needed. */
static struct mr_item *item_of(const struct mr_row *row, uint32_t bytes, struct mr_item **made)
{
	if (!*made)
		*made = mr_item_new(row, bytes);
	return mr_item_hold(*made);
}

static void set_put(struct mr_rowset *rs, const struct mr_row *row, uint32_t bytes, struct mr_item **made)
{
	touch(rs, mr_row_key(row));
	set_remove(rs, mr_row_key(row));
	if (is_window(rs)) {
		size_t at = find(rs, row);
		/* Behind the last row that is known, there may be unknown rows before it. */
		if (at == rs->window->n && !rs->window->complete)
			return;
		struct mr_item *item = item_of(row, bytes, made);
		window_insert(rs, item, at);
		keep(rs, item);
		window_trim(rs);
		return;
	}
	keep(rs, item_of(row, bytes, made));
}

static void revert_set(struct mr_rowset *rs)
{
	struct mr_str key;
	void *value;
	if (rs->was) {
		drop_rows(rs);
		rs->by_id = *rs->was;
		free(rs->was);
		rs->was = NULL;
		for (size_t i = 0; mr_map_next(&rs->by_id, &i, &key, &value);)
			rs->bytes += ((const struct mr_item *)value)->bytes;
	}
	for (size_t i = 0; mr_map_next(&rs->touched, &i, &key, &value);) {
		const struct before *b = value;
		forget(rs, key);
		if (b->item)
			keep(rs, mr_item_hold(b->item));
	}
	forget_touched(rs);
}

static void fill_window(struct mr_rowset *rs, struct mr_item *const *items, size_t n)
{
	drop_rows(rs);
	rs->window->complete = true;
	for (size_t i = 0; i < n; i++) {
		struct mr_item *item = items[i];
		set_put(rs, &item->row, item->bytes, &item);
	}
	rs->window->complete = (int64_t)n < mr_rowset_want(rs);
}

/* What is on screen stays beside it until the difference. */
static void fill_set(struct mr_rowset *rs, struct mr_item *const *items, size_t n)
{
	revert_set(rs);
	rs->was = mr_alloc(sizeof *rs->was);
	*rs->was = rs->by_id;
	rs->by_id = (struct mr_map){0};
	rs->bytes = 0;
	for (size_t i = 0; i < n; i++)
		keep(rs, mr_item_hold(items[i]));
}

void mr_rowset_fill(struct mr_rowset *rs, struct mr_item *const *items, size_t n)
{
	if (is_window(rs))
		fill_window(rs, items, n);
	else
		fill_set(rs, items, n);
	rs->reverted = false;
}

void mr_rowset_empty(struct mr_rowset *rs)
{
	drop_rows(rs);
	drop_shown(rs);
	drop_was(rs);
	forget_touched(rs);
	rs->hash = 0;
	if (is_window(rs))
		rs->window->complete = true;
	rs->reverted = false;
}

void mr_rowset_apply(struct mr_rowset *rs, const struct mr_change *c, struct mr_item **is)
{
	MR_ASSERT(!c->bulk && c->entity == rs->entity && !rs->reverted);
	bool stays = c->is.v && mr_pred_eval(rs->pred, &c->is) == 1;
	bool same_key = c->was.v && c->is.v && mr_str_eq(mr_row_key(&c->was), mr_row_key(&c->is));
	if (c->was.v && !(stays && same_key))
		set_remove(rs, mr_row_key(&c->was));
	if (stays)
		set_put(rs, &c->is, c->bytes, is);
	else if (c->is.v)
		set_remove(rs, mr_row_key(&c->is));
}

bool mr_rowset_dry(const struct mr_rowset *rs)
{
	return rs->reverted || (is_window(rs) && !rs->window->complete && rs->window->n < (size_t)rs->limit);
}

void mr_rowset_admit(struct mr_rowset *rs)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&rs->by_id, &i, &key, &value);) {
		struct mr_item *item = mr_item_hold(value);
		if (mr_pred_eval(rs->pred, &item->row) != 1)
			set_remove(rs, key_of(item));
		item_drop(item);
	}
}

static void revert_window(struct mr_rowset *rs)
{
	drop_rows(rs);
	for (size_t i = 0; i < rs->window->n_shown; i++) {
		struct mr_item *item = mr_item_hold(rs->window->shown[i]);
		window_insert(rs, item, i);
		keep(rs, item);
	}
}

void mr_rowset_revert(struct mr_rowset *rs)
{
	if (is_window(rs))
		revert_window(rs);
	else
		revert_set(rs);
	rs->reverted = true;
}

size_t mr_rowset_size(const struct mr_rowset *rs)
{
	return is_window(rs) ? MR_MIN(rs->window->n, (size_t)rs->limit) : rs->by_id.n;
}

static void push(struct mr_item ***list, size_t *n, struct mr_item *item)
{
	if ((*n & (*n - 1)) == 0)
		*list = mr_realloc(*list, (*n ? 2 * *n : 4) * sizeof **list);
	(*list)[(*n)++] = mr_item_hold(item);
}

static void note(struct mr_rowset *rs, struct mr_diff *d, struct mr_item *was, struct mr_item *is)
{
	if (was == is)
		return;
	if (was)
		rs->hash -= was->hash;
	if (is)
		rs->hash += is->hash;
	if (was && is) {
		if (was->hash == is->hash)
			return;
		size_t n = d->n_patch;
		push(&d->was, &n, was);
		push(&d->is, &d->n_patch, is);
	} else if (is) {
		push(&d->put, &d->n_put, is);
	} else {
		push(&d->del, &d->n_del, was);
	}
}

static void diff_filled(struct mr_rowset *rs, struct mr_diff *d)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&rs->by_id, &i, &key, &value);) {
		struct mr_item *before = mr_map_del(rs->was, key);
		note(rs, d, before, value);
		item_drop(before);
	}
	for (size_t i = 0; mr_map_next(rs->was, &i, &key, &value);)
		note(rs, d, value, NULL);
	drop_was(rs);
}

static void diff_set(struct mr_rowset *rs, struct mr_diff *d)
{
	struct mr_str key;
	void *value;
	if (rs->was) {
		diff_filled(rs, d);
		return;
	}
	for (size_t i = 0; mr_map_next(&rs->touched, &i, &key, &value);) {
		struct before *b = value;
		note(rs, d, b->item, mr_map_get(&rs->by_id, b->key));
	}
	forget_touched(rs);
}

/* Rows of one list that are not in the other. Both are in the same order, so that rows which stayed meet, and are not even looked at. */
struct apart {
	struct mr_item **gone, **fresh;
	size_t n_gone, n_fresh;
};

static void tell_apart(const struct mr_rowset *rs, size_t n, struct apart *a)
{
	size_t i = 0, j = 0;
	while (i < rs->window->n_shown || j < n) {
		struct mr_item *was = i < rs->window->n_shown ? rs->window->shown[i] : NULL, *is = j < n ? rs->window->rows[j] : NULL;
		if (was == is) {
			i++;
			j++;
			continue;
		}
		int c = !was ? 1 : !is ? -1 : mr_order_cmp(rs->order, rs->n_order, &was->row, &is->row);
		if (c <= 0)
			a->gone[a->n_gone++] = rs->window->shown[i++];
		if (c >= 0)
			a->fresh[a->n_fresh++] = rs->window->rows[j++];
	}
}

/* A row that went and came again has changed. */
static void note_apart(struct mr_rowset *rs, struct mr_diff *d, const struct apart *a)
{
	struct mr_map old = {0};
	for (size_t i = 0; i < a->n_gone; i++)
		mr_map_put(&old, key_of(a->gone[i]), a->gone[i]);
	for (size_t i = 0; i < a->n_fresh; i++)
		note(rs, d, mr_map_del(&old, key_of(a->fresh[i])), a->fresh[i]);
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&old, &i, &key, &value);)
		note(rs, d, value, NULL);
	mr_map_fini(&old);
}

static void diff_window(struct mr_rowset *rs, struct mr_diff *d)
{
	size_t n = mr_rowset_size(rs);
	struct mr_item **lists = mr_alloc((n + rs->window->n_shown + 1) * sizeof *lists);
	struct apart a = {.gone = lists, .fresh = lists + rs->window->n_shown};
	tell_apart(rs, n, &a);
	note_apart(rs, d, &a);
	for (size_t i = 0; i < a.n_fresh; i++)
		mr_item_hold(a.fresh[i]);
	for (size_t i = 0; i < a.n_gone; i++)
		item_drop(a.gone[i]);
	free(lists);
	rs->window->shown = mr_realloc(rs->window->shown, (n + 1) * sizeof *rs->window->shown);
	if (n)
		memcpy(rs->window->shown, rs->window->rows, n * sizeof *rs->window->shown);
	rs->window->n_shown = n;
}

bool mr_rowset_diff(struct mr_rowset *rs, struct mr_diff *d)
{
	MR_ASSERT(!mr_rowset_dry(rs));
	*d = (struct mr_diff){0};
	if (is_window(rs))
		diff_window(rs, d);
	else
		diff_set(rs, d);
	if (!rs->by_id.n)
		mr_map_fini(&rs->by_id);
	return d->n_put || d->n_patch || d->n_del;
}

static void drop_all(struct mr_item **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		item_drop(list[i]);
	free(list);
}

void mr_diff_fini(struct mr_diff *d)
{
	drop_all(d->put, d->n_put);
	drop_all(d->was, d->n_patch);
	drop_all(d->is, d->n_patch);
	drop_all(d->del, d->n_del);
	*d = (struct mr_diff){0};
}

const struct mr_item *mr_rowset_next(const struct mr_rowset *rs, size_t *i)
{
	if (is_window(rs))
		return *i < mr_rowset_size(rs) ? rs->window->rows[(*i)++] : NULL;
	struct mr_str key;
	void *value;
	return mr_map_next(&rs->by_id, i, &key, &value) ? value : NULL;
}

const struct mr_item *mr_rowset_get(const struct mr_rowset *rs, struct mr_str key)
{
	struct mr_item *item = mr_map_get(&rs->by_id, key);
	if (item && is_window(rs) && find(rs, &item->row) >= (size_t)rs->limit)
		return NULL;
	return item;
}
