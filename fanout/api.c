/* Which path is answered by whom. Cross-origin pages may use all of /api: nothing there acts on cookies, so a foreign page has no more
 * rights than the token that it was given.
 */
#include "api.h"

#include "api_inner.h"
#include "app_http.h"
#include "keys.h"
#include "live.h"
#include "proto/ground/log.h"
#include "rates.h"
#include "revoked.h"

/* --- for all routes --- */

bool mr_api_is(const struct mr_req *req, const char *method)
{
	struct mr_str m = mr_req_method(req);
	return mr_str_is(m, method) || (mr_str_is(m, "HEAD") && strcmp(method, "GET") == 0);
}

void mr_api_reply(struct mr_req *req, int status, struct mr_str json)
{
	mr_req_add_header(req, "Cache-Control", "no-store");
	mr_req_reply(req, status, "application/json", json);
}

void mr_api_not_allowed(struct mr_req *req, const char *methods)
{
	struct mr_str m = mr_req_method(req);
	struct mr_error err = {0};

	mr_req_add_header(req, "Allow", methods);
	mr_fail(&err, MR_METHOD_NOT_ALLOWED, "%.*s is not served here; %s is", (int)MR_MIN(m.n, (size_t)20), m.p, methods);
	mr_req_error(req, &err);
}

static bool is_bearer(struct mr_str header, struct mr_str *token)
{
	static const char scheme[] = "Bearer ";

	if (header.n < sizeof(scheme) - 1 || strncasecmp(header.p, scheme, sizeof(scheme) - 1) != 0)
		return false;
	*token = (struct mr_str){header.p + sizeof(scheme) - 1, header.n - (sizeof(scheme) - 1)};
	while (token->n && token->p[0] == ' ') {
		token->p++;
		token->n--;
	}
	return true;
}

bool mr_api_identity(struct mr_req *req, struct mr_fanout *f, struct mr_token *t, struct mr_error *err)
{
	struct mr_str header = mr_req_header(req, "authorization"), token;

	*t = (struct mr_token){0};
	if (header.p && !is_bearer(header, &token))
		return mr_fail(err, MR_BAD_TOKEN, "the Authorization header must be `Bearer <token>`");
	if (header.p && (!mr_keys_verify(f, mr_req_arena(req), token, t, err) || !mr_revoked_check_token(f->revoked, t, err)))
		return false;
	return mr_rates_caller(f->rates, mr_node_str(t->identity, "userId"), mr_req_address(req), err);
}

const struct mr_node *mr_api_body(struct mr_req *req, const struct mr_fanout *f, struct mr_str *text, struct mr_error *err)
{
	*text = mr_req_body(req);
	if (text->n == 0)
		*text = MR_STR("{}");
	const struct mr_node *map = mr_json_read(mr_req_arena(req), *text, (int)f->settings.max_depth, true, err);
	if (map && map->kind != MR_MAP) {
		mr_fail(err, MR_BAD_MESSAGE, "the body must be a JSON object");
		return NULL;
	}
	return map;
}

/* --- health --- */

static void serve_alive(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	mr_api_reply(req, 200, MR_STR("{\"alive\":true}\n"));
}

static void serve_ready(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	const char *why = NULL;
	struct mr_buf b = {0};
	bool ready = mr_fanout_ready(f, &why);

	mr_buf_printf(&b, "{\"ready\":%s", ready ? "true" : "false");
	if (!ready) {
		mr_buf_z(&b, ",\"why\":");
		mr_json_quote(&b, mr_str(why ? why : "starting"));
	}
	mr_buf_z(&b, "}\n");
	mr_api_reply(req, ready ? 200 : 503, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void serve_live(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	mr_live_request(req, f);
}

/* --- routes --- */

struct route {
	const char *path;    /* one that ends with a slash takes what follows it */
	const char *methods; /* NULL: the route looks itself */
	void (*serve)(struct mr_req *req, struct mr_fanout *f, struct mr_str rest);
};

static const struct route routes[] = {
	{"/api/fn/", "POST", mr_api_fn},
	{"/api/entities/", NULL, mr_api_entities},
	{"/api/auth/guest", "POST", mr_api_guest},
	{"/api/auth/refresh", "POST", mr_api_refresh},
	{"/api/auth/sign-out", "POST", mr_api_sign_out},
	{"/api/live", "GET", serve_live},
	{"/healthz", "GET", serve_alive},
	{"/readyz", "GET", serve_ready},
	{"/metrics", "GET", mr_api_metrics},
};

static const struct route *find(struct mr_str path, struct mr_str *rest)
{
	for (size_t i = 0; i < MR_COUNT(routes); i++) {
		size_t n = strlen(routes[i].path);
		bool prefix = routes[i].path[n - 1] == '/';
		if (path.n < n || memcmp(path.p, routes[i].path, n) != 0 || (prefix ? path.n == n : path.n > n))
			continue;
		*rest = (struct mr_str){path.p + n, path.n - n};
		return &routes[i];
	}
	return NULL;
}

static bool is_below(struct mr_str path, const char *folder)
{
	size_t n = strlen(folder);
	return path.n >= n && memcmp(path.p, folder, n) == 0 && (path.n == n || path.p[n] == '/');
}

static void preflight(struct mr_req *req)
{
	mr_req_add_header(req, "Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE");
	mr_req_add_header(req, "Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Last-Event-ID");
	mr_req_add_header(req, "Access-Control-Max-Age", "86400");
	mr_req_reply(req, 204, NULL, MR_STR(""));
}

static void no_such_path(struct mr_req *req)
{
	struct mr_str path = mr_req_path(req);
	struct mr_error err = {0};

	mr_fail(&err, MR_NOT_FOUND, "there is nothing at %.*s", (int)MR_MIN(path.n, (size_t)200), path.p);
	mr_req_error(req, &err);
}

/* The listener takes what a route of the app may take. */
static void too_large(struct mr_req *req, const struct mr_fanout *f)
{
	struct mr_error err = {0};

	mr_fail_data(&err, MR_TOO_LARGE, "{\"setting\":\"max_frame\"}", "the body is larger than %lld bytes (setting max_frame)",
		(long long)f->settings.max_frame);
	mr_req_error(req, &err);
}

/* Its routes, then its pages. Before there is an app nobody can say that a request is for none of its routes. */
static void serve_app(struct mr_req *req, struct mr_fanout *f)
{
	struct mr_error err = {0};

	if (!f->app && !mr_api_is(req, "GET")) {
		mr_fail(&err, MR_NO_WORKERS, "no code serves yet; the server is starting or its app does not build");
		mr_req_error(req, &err);
	} else if (!mr_app_http(req, f)) {
		mr_api_static(req, f);
	}
}

void mr_api_request(struct mr_req *req, void *fanout)
{
	struct mr_fanout *f = fanout;
	struct mr_str path = mr_req_path(req), rest;
	const struct route *route = find(path, &rest);
	struct mr_error err;

	if (!route && !is_below(path, "/api")) {
		serve_app(req, f);
		return;
	}
	mr_req_add_header(req, "Access-Control-Allow-Origin", "*");
	if (!route)
		no_such_path(req);
	else if (mr_req_body(req).n > (size_t)f->settings.max_frame)
		too_large(req, f);
	else if (mr_str_is(mr_req_method(req), "OPTIONS"))
		preflight(req);
	else if (route->methods && !mr_api_is(req, route->methods))
		mr_api_not_allowed(req, route->methods);
	else if (is_below(path, "/api") && !mr_rates_address(f->rates, mr_req_address(req), &err))
		mr_req_error(req, &err);
	else
		route->serve(req, f, rest);
}
