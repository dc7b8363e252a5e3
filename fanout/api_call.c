/* Functions and entities over HTTP: each request is one call. */
#include <stdio.h>
#include <stdlib.h>

#include "api_inner.h"
#include "calls.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum { KEY_MAX = 255, ORDERS_MAX = 8 };

/* How the result is wrapped. */
enum wrap { AS_VALUE, AS_DATA, AS_ROW, AS_CREATED };

struct asked {
	struct mr_req *req;
	struct mr_call *call;
	enum wrap wrap;
};

static void fail(struct mr_req *req, enum mr_code code, const char *sentence)
{
	struct mr_error err = {0};

	mr_fail(&err, code, "%s", sentence);
	mr_req_error(req, &err);
}

/* --- one call --- */

static void answer(const struct asked *a, struct mr_str value)
{
	struct mr_buf b = {0};

	if (a->wrap == AS_ROW && mr_str_is(value, "null")) {
		fail(a->req, MR_NOT_FOUND, "there is no such row, or you may not see it");
		return;
	}
	if (a->wrap != AS_CREATED)
		mr_buf_z(&b, a->wrap == AS_VALUE ? "{\"value\":" : "{\"data\":");
	mr_buf_str(&b, value);
	mr_buf_z(&b, a->wrap == AS_CREATED ? "\n" : "}\n");
	mr_api_reply(a->req, a->wrap == AS_CREATED ? 201 : 200, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void on_done(void *arg, struct mr_str value, uint64_t xid, const struct mr_error *err)
{
	struct asked *a = arg;

	a->call = NULL;
	if (err)
		mr_req_error(a->req, err);
	else
		answer(a, value);
}

static void on_gone(void *arg)
{
	struct asked *a = arg;

	if (a->call)
		mr_call_abandon(a->call);
}

static void start(struct mr_req *req, struct mr_fanout *f, const struct mr_call_request *rq, enum wrap wrap)
{
	struct asked *a = mr_arena_alloc(mr_req_arena(req), sizeof(*a));
	struct mr_error err = {0};

	*a = (struct asked){.req = req, .wrap = wrap};
	a->call = mr_call_start(f, rq, on_done, a, &err);
	if (a->call)
		mr_req_on_gone(req, on_gone, a);
	else
		mr_req_error(req, &err);
}

/* --- exactly once --- */

/* A key of the form <day>.<anything> names its own day, and so holds across midnight; any other key holds within today (UTC). */
static int32_t day_of_key(struct mr_str key)
{
	int32_t day = 0;

	for (size_t i = 0; i < 5; i++) {
		if (i + 1 >= key.n || key.p[i] < '0' || key.p[i] > '9')
			return mr_today();
		day = day * 10 + key.p[i] - '0';
	}
	return key.p[5] == '.' ? day : mr_today();
}

/* Turns the Idempotency-Key into a session of its own, bound to the caller, with one call in it. */
static bool take_key(struct mr_req *req, struct mr_call_request *rq, struct mr_error *err)
{
	struct mr_str key = mr_req_header(req, "idempotency-key"), user = mr_node_str(rq->auth, "userId");
	struct mr_buf b = {0};
	uint8_t sum[32];

	if (!key.p)
		return true;
	if (key.n == 0 || key.n > KEY_MAX)
		return mr_fail(err, MR_BAD_CALL_ID, "an Idempotency-Key has 1 to %d characters", KEY_MAX);
	mr_buf_str(&b, user);
	mr_buf_char(&b, '\0');
	mr_buf_str(&b, key);
	mr_sha256(b.p, b.n, sum);
	mr_buf_reset(&b);
	mr_buf_z(&b, "http:");
	mr_base64url(&b, (struct mr_str){(const char *)sum, sizeof(sum)});
	rq->session = mr_arena_str(mr_req_arena(req), mr_buf_view(&b));
	mr_buf_fini(&b);
	rq->day = day_of_key(key);
	rq->call = mr_arena_printf(mr_req_arena(req), "%d.0", (int)rq->day);
	return true;
}

/* --- functions --- */

static bool find_fn(const struct mr_fanout *f, struct mr_str name, struct mr_call_request *rq, struct mr_error *err)
{
	if (!f->app)
		return mr_fail(err, MR_NO_WORKERS, "no code serves yet; the server is starting or its app does not build");
	const struct mr_fn *fn = mr_app_fn(f->app, name);
	if (!fn || fn->internal || fn->kind == MR_FN_ACTION)
		return mr_fail(err, MR_UNKNOWN_FUNCTION, "there is no public query or mutation \"%.*s\"", (int)MR_MIN(name.n, (size_t)100),
			name.p);
	rq->fn = name;
	rq->kind = fn->kind == MR_FN_QUERY ? MR_CALL_QUERY : MR_CALL_MUTATION;
	return true;
}

void mr_api_fn(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_call_request rq = {0};
	struct mr_error err = {0};

	if (!find_fn(f, rest, &rq, &err) || !mr_api_identity(req, f, &rq.auth, &err) || !mr_api_body(req, f, &rq.args, &err) ||
		(rq.kind == MR_CALL_MUTATION && !take_key(req, &rq, &err)))
		mr_req_error(req, &err);
	else
		start(req, f, &rq, AS_VALUE);
}

/* --- lists --- */

struct order {
	struct mr_str field;
	bool desc;
};
struct list {
	struct mr_str where; /* JSON text, or empty */
	int64_t limit;       /* -1: none */
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

static bool read_where(struct mr_req *req, const struct mr_fanout *f, struct list *l, struct mr_error *err)
{
	struct mr_str s = mr_req_param(req, "where");

	if (s.n == 0)
		return true;
	const struct mr_node *n = mr_json_read(mr_req_arena(req), s, (int)f->settings.max_depth, false, err);
	if (n && n->kind != MR_MAP)
		return mr_fail(err, MR_BAD_FILTER, "where must be a JSON object");
	l->where = s;
	return n != NULL;
}

static bool read_limit(struct mr_req *req, struct list *l, struct mr_error *err)
{
	struct mr_str s = mr_req_param(req, "limit");

	l->limit = s.p ? 0 : -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || i >= 9)
			return mr_fail(err, MR_BAD_FILTER, "limit is a whole number");
		l->limit = l->limit * 10 + s.p[i] - '0';
	}
	return !s.p || s.n > 0 || mr_fail(err, MR_BAD_FILTER, "limit is a whole number");
}

static void write_order(struct mr_enc *e, const struct list *l)
{
	mr_enc_key(e, MR_STR("order"));
	mr_enc_array(e, l->n);
	for (size_t i = 0; i < l->n; i++) {
		mr_enc_array(e, 2);
		mr_enc_str(e, l->orders[i].field);
		mr_enc_str(e, l->orders[i].desc ? MR_STR("desc") : MR_STR("asc"));
		mr_enc_end(e);
	}
	mr_enc_end(e);
}

bool mr_api_order(struct mr_req *req, const struct mr_fanout *f, struct mr_buf *json, struct mr_error *err)
{
	struct list l = {0};
	if (!read_order(req, f, &l, err))
		return false;
	for (size_t i = 0; i < l.n; i++) {
		mr_buf_z(json, i ? ",[" : "[[");
		mr_json_quote(json, l.orders[i].field);
		mr_buf_z(json, l.orders[i].desc ? ",\"desc\"]" : ",\"asc\"]");
	}
	mr_buf_z(json, l.n ? "]" : "null");
	return true;
}

static void write_list(struct mr_buf *b, struct mr_str entity, const struct list *l)
{
	struct mr_enc e;

	mr_enc_init(&e, b, MR_JSON);
	mr_enc_map(&e, 1 + (l->where.n != 0) + (l->n != 0) + (l->limit >= 0));
	mr_enc_key(&e, MR_STR("entity"));
	mr_enc_str(&e, entity);
	if (l->where.n) {
		mr_enc_key(&e, MR_STR("where"));
		mr_enc_raw(&e, l->where);
	}
	if (l->n)
		write_order(&e, l);
	if (l->limit >= 0) {
		mr_enc_key(&e, MR_STR("limit"));
		mr_enc_int(&e, l->limit);
	}
	mr_enc_end(&e);
}

static bool list_args(struct mr_req *req, const struct mr_fanout *f, struct mr_str entity, struct mr_buf *args, struct mr_error *err)
{
	struct list l = {0};

	if (!read_where(req, f, &l, err) || !read_order(req, f, &l, err) || !read_limit(req, &l, err))
		return false;
	write_list(args, entity, &l);
	return true;
}

/* --- entities --- */

/* entity, and id and value where they belong. */
static bool row_args(struct mr_req *req, const struct mr_fanout *f, struct mr_str entity, struct mr_str id, bool value, struct mr_buf *args,
	struct mr_error *err)
{
	struct mr_str text;
	struct mr_enc e;

	if (value && !mr_api_body(req, f, &text, err))
		return false;
	mr_enc_init(&e, args, MR_JSON);
	mr_enc_map(&e, 1 + (id.n != 0) + value);
	mr_enc_key(&e, MR_STR("entity"));
	mr_enc_str(&e, entity);
	if (id.n) {
		mr_enc_key(&e, MR_STR("id"));
		mr_enc_str(&e, id);
	}
	if (value) {
		mr_enc_key(&e, MR_STR("value"));
		mr_enc_raw(&e, text);
	}
	mr_enc_end(&e);
	return true;
}

struct act {
	const char *method, *fn;
	bool has_id, has_value, writes;
	enum wrap wrap;
};

static const struct act *find_act(const struct mr_req *req, bool has_id)
{
	static const struct act acts[] = {
		{"GET", "list", false, false, false, AS_DATA},
		{"POST", "insert", false, true, true, AS_CREATED},
		{"GET", "get", true, false, false, AS_ROW},
		{"PATCH", "update", true, true, true, AS_DATA},
		{"DELETE", "delete", true, false, true, AS_DATA},
	};

	for (size_t i = 0; i < MR_COUNT(acts); i++)
		if (acts[i].has_id == has_id && mr_api_is(req, acts[i].method))
			return &acts[i];
	return NULL;
}

static bool check_entity(const struct mr_fanout *f, struct mr_str entity, struct mr_str id, struct mr_error *err)
{
	if (!f->app)
		return mr_fail(err, MR_NO_WORKERS, "no code serves yet; the server is starting or its app does not build");
	if (!mr_app_entity(f->app, entity))
		return mr_fail(err, MR_UNKNOWN_ENTITY, "there is no entity \"%.*s\"", (int)MR_MIN(entity.n, (size_t)100), entity.p);
	if (memchr(id.p, '/', id.n))
		return mr_fail(err, MR_NOT_FOUND, "a row's path is /api/entities/<Entity>/<id>");
	return true;
}

static void serve_act(struct mr_req *req, struct mr_fanout *f, struct mr_str entity, struct mr_str id, const struct act *act)
{
	struct mr_call_request rq = {.kind = MR_CALL_ENTITY, .fn = mr_str(act->fn)};
	struct mr_error err = {0};
	struct mr_buf args = {0};

	bool ok = check_entity(f, entity, id, &err) && mr_api_identity(req, f, &rq.auth, &err) &&
		  (act->wrap == AS_DATA && !act->has_id ? list_args(req, f, entity, &args, &err)
							: row_args(req, f, entity, id, act->has_value, &args, &err)) &&
		  (!act->writes || take_key(req, &rq, &err));
	rq.args = mr_buf_view(&args);
	if (ok)
		start(req, f, &rq, act->wrap);
	else
		mr_req_error(req, &err);
	mr_buf_fini(&args);
}

void mr_api_entities(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	const char *slash = memchr(rest.p, '/', rest.n);
	struct mr_str entity = {rest.p, slash ? (size_t)(slash - rest.p) : rest.n};
	struct mr_str id = slash ? (struct mr_str){slash + 1, rest.n - entity.n - 1} : MR_STR("");
	const struct act *act = find_act(req, id.n != 0);

	if (act)
		serve_act(req, f, entity, id, act);
	else
		mr_api_not_allowed(req, id.n ? "GET, PATCH, DELETE" : "GET, POST");
}
