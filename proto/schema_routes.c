/* The manifest's routes. */
#include <inttypes.h>
#include <stdlib.h>

#include "ground/log.h"
#include "routes.h"

enum { MAX_AGE_MOST = 86400, ORIGINS_MOST = 1000 };

struct reader {
	struct mr_app *app;
	struct mr_str path; /* of the route that is read */
	struct mr_error *err;
};

static bool refuse(const struct reader *r, const char *why)
{
	return mr_fail(r->err, MR_BAD_VALUE, "The manifest is wrong at the route \"%.*s\": %s.", (int)MR_MIN(r->path.n, (size_t)200),
		r->path.p ? r->path.p : "", why);
}

/* A list of texts, or nothing. */
static bool texts(const struct reader *r, const struct mr_node *n, const char *why, const struct mr_str **v, size_t *count)
{
	if (!n || n->kind == MR_NULL)
		return true;
	if (n->kind != MR_ARRAY)
		return refuse(r, why);
	struct mr_str *out = mr_arena_alloc(&r->app->arena, n->n * sizeof *out);
	for (size_t i = 0; i < n->n; i++) {
		if (n->items[i].kind != MR_STRING || !n->items[i].text.n)
			return refuse(r, why);
		out[i] = mr_arena_str(&r->app->arena, n->items[i].text);
	}
	*v = out;
	*count = n->n;
	return true;
}

static bool is_method(struct mr_str s)
{
	static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (mr_str_is(s, names[i]))
			return true;
	return false;
}

static bool read_methods(const struct reader *r, const struct mr_node *n, struct mr_route *route)
{
	static const char why[] = "\"methods\" is a list of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS";
	if (!texts(r, mr_node_get(n, "methods"), why, &route->methods, &route->n_methods))
		return false;
	for (size_t i = 0; i < route->n_methods; i++)
		if (!is_method(route->methods[i]))
			return refuse(r, why);
	return route->n_methods > 0 || refuse(r, why);
}

/* ---- CORS ---- */

bool mr_is_http_token(struct mr_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], low = c | 0x20;
		if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c))))
			return false;
	}
	return s.n > 0;
}

/* "https://example.org", with a port perhaps: printable, and no path. */
static bool is_origin(struct mr_str s)
{
	const char *host = memmem(s.p, s.n, "://", 3);
	if (!host)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ',' || (s.p[i] >= 'A' && s.p[i] <= 'Z'))
			return false;
	host += 3;
	return host < s.p + s.n && !memchr(host, '/', (size_t)(s.p + s.n - host));
}

static bool read_origins(const struct reader *r, const struct mr_node *n, struct mr_cors *cors)
{
	static const char why[] = "\"origins\" of cors is \"*\" or a list of origins in small letters, as https://example.org";
	if (n && n->kind == MR_STRING && mr_str_is(n->text, "*")) {
		cors->any = true;
		return true;
	}
	if (!texts(r, n, why, &cors->origins, &cors->n_origins))
		return false;
	for (size_t i = 0; i < cors->n_origins; i++)
		if (!is_origin(cors->origins[i]))
			return refuse(r, why);
	return (cors->n_origins > 0 && cors->n_origins <= ORIGINS_MOST) || refuse(r, why);
}

/* Names of headers, printed as a header's value. */
static bool read_names(const struct reader *r, const struct mr_node *n, const char *why, struct mr_str *out)
{
	const struct mr_str *v = NULL;
	size_t count = 0;
	struct mr_buf b = {0};
	if (!texts(r, n, why, &v, &count))
		return false;
	bool ok = true;
	for (size_t i = 0; i < count; i++) {
		ok = ok && mr_is_http_token(v[i]);
		mr_buf_printf(&b, "%s%s", i ? ", " : "", v[i].p);
	}
	if (count)
		*out = mr_arena_str(&r->app->arena, mr_buf_view(&b));
	mr_buf_fini(&b);
	return ok || refuse(r, why);
}

static bool read_cors(const struct reader *r, const struct mr_node *n, struct mr_cors *cors)
{
	if (!n || n->kind == MR_NULL)
		return true;
	if (n->kind != MR_MAP)
		return refuse(r, "\"cors\" is a map");
	cors->declared = true;
	cors->credentials = mr_node_truth(n, "credentials");
	cors->headers = MR_STR("Authorization, Content-Type");
	cors->max_age = 600;
	const struct mr_node *age = mr_node_get(n, "maxAge");
	if (!read_origins(r, mr_node_get(n, "origins"), cors) ||
		!read_names(r, mr_node_get(n, "headers"), "\"headers\" of cors is a list of names", &cors->headers) ||
		!read_names(r, mr_node_get(n, "expose"), "\"expose\" of cors is a list of names", &cors->exposed))
		return false;
	if (age && age->kind != MR_NULL && (!mr_node_int(age, &cors->max_age) || cors->max_age < 0 || cors->max_age > MAX_AGE_MOST))
		return refuse(r, "\"maxAge\" of cors is a number of seconds from 0 to 86400");
	if (cors->any && cors->credentials)
		return refuse(r, "cors with credentials takes a list of origins, not \"*\"");
	return true;
}

/* ---- routes ---- */

static struct mr_str name_of(struct mr_arena *a, const struct mr_route *route)
{
	struct mr_buf b = {0};
	for (size_t i = 0; i < route->n_methods; i++)
		mr_buf_printf(&b, "%s%s", i ? "," : "", route->methods[i].p);
	mr_buf_printf(&b, " %s", route->path.p);
	struct mr_str s = mr_arena_str(a, mr_buf_view(&b));
	mr_buf_fini(&b);
	return s;
}

static bool read_route(struct reader *r, const struct mr_node *n, struct mr_route *route)
{
	const char *why = NULL;
	r->path = mr_node_str(n, "path");
	if (!r->path.p)
		return refuse(r, "\"path\" must be a string");
	route->path = mr_arena_str(&r->app->arena, r->path);
	if (!mr_route_parts(&r->app->arena, route->path, &route->parts, &route->n, &why))
		return refuse(r, why);
	if (!read_methods(r, n, route) || !read_cors(r, mr_node_get(n, "cors"), &route->cors))
		return false;
	route->fn = (struct mr_fn){.name = name_of(&r->app->arena, route),
		.kind = MR_FN_ACTION,
		.internal = true,
		.http = true,
		.isolation = MR_STR("repeatable read")};
	return true;
}

static bool share_a_method(const struct mr_route *a, const struct mr_route *b)
{
	for (size_t i = 0; i < a->n_methods; i++)
		for (size_t k = 0; k < b->n_methods; k++)
			if (mr_str_eq(a->methods[i], b->methods[k]))
				return true;
	return false;
}

/* Sorted, so that those which no request could tell apart stand together. */
static bool check_pairs(struct reader *r)
{
	const struct mr_route *v = r->app->routes;
	for (size_t i = 0; i < r->app->n_routes; i++)
		for (size_t k = i + 1; k < r->app->n_routes && mr_route_cmp(&v[i], &v[k]) == 0; k++) {
			r->path = v[k].path;
			if (share_a_method(&v[i], &v[k]))
				return refuse(r, "another route has the same path and method");
		}
	return true;
}

bool mr_app_read_routes(struct mr_app *app, const struct mr_node *list, struct mr_error *err)
{
	struct reader r = {app, {0}, err};
	if (!list || list->kind == MR_NULL)
		return true;
	if (list->kind != MR_ARRAY)
		return mr_fail(err, MR_BAD_VALUE, "The manifest is wrong at the top: \"routes\" must be a list.");
	if (list->n > MR_ROUTES_MOST)
		return mr_fail(err, MR_BAD_VALUE, "The manifest is wrong at the top: there are more than %d routes.", MR_ROUTES_MOST);
	app->routes = mr_arena_alloc(&app->arena, list->n * sizeof *app->routes);
	for (size_t i = 0; i < list->n; i++, app->n_routes++)
		if (!read_route(&r, &list->items[i], &app->routes[i]))
			return false;
	if (app->n_routes)
		qsort(app->routes, app->n_routes, sizeof *app->routes, mr_route_cmp);
	return check_pairs(&r);
}
