/* What an address asks for, as the members of a message. */
#include <stdio.h>
#include <stdlib.h>

#include "api_inner.h"
#include "proto/predicate.h"

enum { ORDERS_MAX = 8 };

const char *const mr_api_no_params[] = {NULL};
const char *const mr_api_list_params[] = {"where", "include", "orderBy", "limit", NULL};

static bool is_known(struct mr_str name, const char *const *known)
{
	while (*known && !mr_str_is(name, *known))
		known++;
	return *known != NULL;
}

static bool refuse(struct mr_str name, const char *const *known, struct mr_error *err)
{
	struct mr_buf list = {0};
	for (size_t i = 0; known[i]; i++)
		mr_buf_printf(&list, "%s%s", i ? ", " : "", known[i]);
	mr_fail(err, MR_BAD_MESSAGE, "there is no parameter \"%.*s\" here; known: %s", (int)MR_MIN(name.n, (size_t)100), name.p,
		list.n ? list.p : "none");
	mr_buf_fini(&list);
	return false;
}

bool mr_api_params(struct mr_req *req, const char *const *known, struct mr_error *err)
{
	struct mr_str name;
	for (size_t at = 0; mr_req_next_param(req, &at, &name);)
		if (name.n && !is_known(name, known))
			return refuse(name, known, err);
	return true;
}

struct order {
	struct mr_str field;
	bool desc;
};
struct list {
	struct mr_str where, include; /* JSON text, or empty */
	int64_t limit;                /* -1: none */
	struct order orders[ORDERS_MAX];
	size_t n;
};

static bool add_order(struct list *l, struct mr_str field, bool desc, struct mr_error *err)
{
	if (l->n == ORDERS_MAX)
		return mr_fail(err, MR_BAD_FILTER, "orderBy takes at most %d fields", ORDERS_MAX);
	if (field.n == 0)
		return mr_fail(err, MR_BAD_FILTER, "orderBy names an empty field");
	l->orders[l->n++] = (struct order){field, desc};
	return true;
}

static bool add_direction(struct list *l, struct mr_str field, const struct mr_node *direction, struct mr_error *err)
{
	if (direction->kind != MR_STRING || (!mr_str_is(direction->text, "asc") && !mr_str_is(direction->text, "desc")))
		return mr_fail(err, MR_BAD_FILTER, "a direction of orderBy is \"asc\" or \"desc\"");
	return add_order(l, field, mr_str_is(direction->text, "desc"), err);
}

/* {"field":"desc", ...} or [["field","desc"], ...] */
static bool read_order_json(struct list *l, const struct mr_node *n, struct mr_error *err)
{
	for (size_t i = 0; i < n->n; i++) {
		const struct mr_node *e = &n->items[i];
		if (n->kind == MR_MAP) {
			if (!add_direction(l, e->key, e, err))
				return false;
		} else if (e->kind != MR_ARRAY || e->n != 2 || e->items[0].kind != MR_STRING) {
			return mr_fail(err, MR_BAD_FILTER, "orderBy is an array of [field, direction]");
		} else if (!add_direction(l, e->items[0].text, &e->items[1], err)) {
			return false;
		}
	}
	return true;
}

/* field,-field */
static bool read_order_words(struct list *l, struct mr_str s, struct mr_error *err)
{
	for (const char *p = s.p, *end = s.p + s.n; p <= end;) {
		const char *comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL, *stop = comma ? comma : end;
		bool desc = p < stop && *p == '-';
		if (!add_order(l, (struct mr_str){p + desc, (size_t)(stop - p) - desc}, desc, err))
			return false;
		p = stop + 1;
	}
	return true;
}

static bool read_order(struct mr_req *req, const struct mr_fanout *f, struct list *l, struct mr_error *err)
{
	struct mr_str s = mr_req_param(req, "orderBy");

	if (s.n == 0)
		return true;
	if (!mr_utf8_ok(s))
		return mr_fail(err, MR_BAD_FILTER, "orderBy is not UTF-8");
	if (s.p[0] != '{' && s.p[0] != '[')
		return read_order_words(l, s, err);
	const struct mr_node *n = mr_json_read(mr_req_arena(req), s, (int)f->settings.max_depth, false, err);
	return n && read_order_json(l, n, err);
}

static bool read_map(struct mr_req *req, const struct mr_fanout *f, const char *param, struct mr_str *text, struct mr_error *err)
{
	struct mr_str s = mr_req_param(req, param);

	if (s.n == 0)
		return true;
	const struct mr_node *n = mr_json_read(mr_req_arena(req), s, (int)f->settings.max_depth, false, err);
	if (n && n->kind != MR_MAP)
		return mr_fail(err, MR_BAD_FILTER, "%s must be a JSON object", param);
	*text = s;
	return n != NULL;
}

/* Digits are a number; all else is text, which no limit may be. */
static bool read_limit(struct mr_req *req, const struct mr_fanout *f, struct list *l, struct mr_error *err)
{
	struct mr_str s = mr_req_param(req, "limit");
	struct mr_node n = {.kind = s.n ? MR_NUMBER : MR_STRING, .text = s};

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			n.kind = MR_STRING;
	return mr_limit_read(s.p ? &n : NULL, f->settings.instance_max_rows, &l->limit, err);
}

static void add_map(struct mr_buf *out, const char *name, struct mr_str text)
{
	if (!text.n)
		return;
	mr_buf_printf(out, ",\"%s\":", name);
	mr_buf_str(out, text);
}

static void print_list(struct mr_buf *out, struct mr_str entity, const struct list *l)
{
	mr_buf_z(out, "\"entity\":");
	mr_json_quote(out, entity);
	add_map(out, "where", l->where);
	add_map(out, "include", l->include);
	for (size_t i = 0; i < l->n; i++) {
		mr_buf_z(out, i ? ",[" : ",\"order\":[[");
		mr_json_quote(out, l->orders[i].field);
		mr_buf_z(out, l->orders[i].desc ? ",\"desc\"]" : ",\"asc\"]");
	}
	if (l->n)
		mr_buf_char(out, ']');
	if (l->limit >= 0)
		mr_buf_printf(out, ",\"limit\":%lld", (long long)l->limit);
}

bool mr_api_list(struct mr_req *req, const struct mr_fanout *f, struct mr_str entity, struct mr_buf *out, struct mr_error *err)
{
	struct list l = {0};

	if (!read_map(req, f, "where", &l.where, err) || !read_map(req, f, "include", &l.include, err) || !read_order(req, f, &l, err) ||
		!read_limit(req, f, &l, err))
		return false;
	print_list(out, entity, &l);
	return true;
}
