/* Functions and entities over HTTP: each request is one call. */
#include <stdio.h>
#include <stdlib.h>

#include "api_inner.h"
#include "calls.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum { KEY_MAX = 255 };

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

static void on_done(void *arg, struct mr_str value, struct mr_written written, const struct mr_error *err)
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

/* The token lives as long as the request for a call does. */
static bool take_caller(struct mr_req *req, struct mr_fanout *f, struct mr_token *t, struct mr_call_request *rq, struct mr_error *err)
{
	if (!mr_api_identity(req, f, t, err))
		return false;
	rq->auth = t->identity;
	rq->auth_session = t->has_session ? t->session : NULL;
	return true;
}

/* --- exactly once --- */

/* The hour that a key of the form <six digits>.<anything> names; 0: none. */
static int32_t hour_of_key(struct mr_str key)
{
	int32_t hour = 0;

	if (key.n < 7 || key.p[6] != '.')
		return 0;
	for (size_t i = 0; i < 6; i++) {
		if (key.p[i] < '0' || key.p[i] > '9')
			return 0;
		hour = hour * 10 + key.p[i] - '0';
	}
	return hour;
}

/* Turns the Idempotency-Key into a session of its own, bound to the caller, with one call in it. */
static bool take_key(struct mr_req *req, const struct mr_fanout *f, struct mr_call_request *rq, struct mr_error *err)
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
	rq->hour = hour_of_key(key);
	rq->lasting = !rq->hour;
	rq->call = rq->lasting ? MR_STR("key") : mr_arena_printf(mr_req_arena(req), "%d.0", (int)rq->hour);
	if (rq->lasting)
		rq->hour = mr_fanout_hour(f);
	return true;
}

/* --- functions --- */

static bool find_fn(const struct mr_fanout *f, struct mr_str name, struct mr_call_request *rq, struct mr_error *err)
{
	if (!f->app)
		return mr_fail(err, MR_NO_WORKERS, "no code serves yet; the server is starting or its app does not build");
	const struct mr_fn *fn = mr_app_fn(f->app, name);
	if (!fn || fn->internal)
		return mr_fail(err, MR_UNKNOWN_FUNCTION, "there is no public function \"%.*s\"", (int)MR_MIN(name.n, (size_t)100), name.p);
	rq->fn = name;
	rq->kind = mr_call_kind_of(fn);
	return true;
}

void mr_api_fn(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_call_request rq = {0};
	struct mr_error err = {0};
	struct mr_token t;

	if (!mr_api_params(req, mr_api_no_params, &err) || !find_fn(f, rest, &rq, &err) || !take_caller(req, f, &t, &rq, &err) ||
		!mr_api_body(req, f, &rq.args, &err) || (rq.kind != MR_CALL_QUERY && !take_key(req, f, &rq, &err)))
		mr_req_error(req, &err);
	else
		start(req, f, &rq, AS_VALUE);
}

/* --- entities --- */

static bool list_args(struct mr_req *req, const struct mr_fanout *f, struct mr_str entity, struct mr_buf *args, struct mr_error *err)
{
	mr_buf_char(args, '{');
	bool ok = mr_api_params(req, mr_api_list_params, err) && mr_api_list(req, f, entity, args, err);
	mr_buf_char(args, '}');
	return ok;
}

/* entity, and id and value where they belong. */
static bool row_args(struct mr_req *req, const struct mr_fanout *f, struct mr_str entity, struct mr_str id, bool value, struct mr_buf *args,
	struct mr_error *err)
{
	struct mr_str text;
	struct mr_enc e;

	if (!mr_api_params(req, mr_api_no_params, err) || (value && !mr_api_body(req, f, &text, err)))
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
	bool is_list, has_id, has_value, writes;
	enum wrap wrap;
};

static const struct act *find_act(const struct mr_req *req, bool has_id)
{
	static const struct act acts[] = {
		{"GET", "list", true, false, false, false, AS_DATA},
		{"POST", "insert", false, false, true, true, AS_CREATED},
		{"GET", "get", false, true, false, false, AS_ROW},
		{"PATCH", "update", false, true, true, true, AS_DATA},
		{"DELETE", "delete", false, true, false, true, AS_DATA},
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
	const struct mr_entity *e = mr_app_entity(f->app, entity);
	if (!e)
		return mr_fail(err, MR_UNKNOWN_ENTITY, "there is no entity \"%.*s\"", (int)MR_MIN(entity.n, (size_t)100), entity.p);
	/* A key that is text may hold one. */
	if (e->fields[0].type != MR_T_STRING && memchr(id.p, '/', id.n))
		return mr_fail(err, MR_NOT_FOUND, "a row's path is /api/entities/<Entity>/<id>");
	return true;
}

static void serve_act(struct mr_req *req, struct mr_fanout *f, struct mr_str entity, struct mr_str id, const struct act *act)
{
	struct mr_call_request rq = {.kind = MR_CALL_ENTITY, .fn = mr_str(act->fn)};
	struct mr_error err = {0};
	struct mr_buf args = {0};
	struct mr_token t;

	bool ok = check_entity(f, entity, id, &err) && take_caller(req, f, &t, &rq, &err) &&
		  (act->is_list ? list_args(req, f, entity, &args, &err) : row_args(req, f, entity, id, act->has_value, &args, &err)) &&
		  (!act->writes || take_key(req, f, &rq, &err));
	rq.args = mr_buf_view(&args);
	rq.may_include = act->is_list && mr_req_param(req, "include").n;
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
