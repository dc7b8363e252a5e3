/* Routes of apps: what may be declared, and which one a request is for. */
#include "tests/unit/vectors.h"

#include "proto/routes.h"

/* Of routes as "GET /path|POST,PUT /other". */
static struct mr_app *app_of(const char *routes, struct mr_error *err)
{
	struct mr_buf b = {0};
	mr_buf_z(&b, "{\"version\":\"1\",\"routes\":[");
	for (const char *p = routes; *p;) {
		size_t n = strcspn(p, "|"), methods = strcspn(p, " ");
		mr_buf_printf(&b, "%s{\"methods\":[\"", p > routes ? "," : "");
		for (size_t i = 0; i < methods; i++)
			mr_buf_printf(&b, p[i] == ',' ? "\",\"" : "%c", p[i]);
		mr_buf_printf(&b, "\"],\"path\":\"%.*s\"}", (int)(n - methods - 1), p + methods + 1);
		p += n + (p[n] == '|');
	}
	mr_buf_z(&b, "]}");
	struct mr_app *app = mr_app_read(mr_buf_view(&b), err);
	mr_buf_fini(&b);
	return app;
}

/* "the route's path name=value ...", "405 methods", or "none". */
static void ask(const struct mr_app *app, const char *method, const char *path, struct mr_buf *out)
{
	struct mr_arena a = {0};
	struct mr_route_match m;
	size_t k = 0;
	mr_buf_reset(out);
	mr_routes_find(app, &a, mr_str(path), mr_str(method), &m);
	if (!m.route)
		mr_buf_printf(out, m.found ? "405 %s" : "none", m.found ? m.methods.p : "");
	else
		mr_buf_z(out, m.route->path.p);
	for (size_t i = 0; m.route && i < m.route->n; i++)
		if (m.route->parts[i].kind != MR_PART_TEXT) {
			mr_buf_printf(out, " %s=", m.route->parts[i].text.p);
			mr_buf_str(out, m.values[k++]);
		}
	mr_arena_fini(&a);
}

struct found {
	const char *method, *path, *expect;
};

static void check(const char *routes, const struct found *v, size_t n)
{
	struct mr_error err;
	struct mr_buf out = {0};
	struct mr_app *app = app_of(routes, &err);
	if (!app)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < n; i++) {
		ask(app, v[i].method, v[i].path, &out);
		if (!mr_str_is(mr_buf_view(&out), v[i].expect))
			fail_msg("%s %s: %s, not %s", v[i].method, v[i].path, out.p, v[i].expect);
	}
	mr_buf_fini(&out);
	mr_app_drop(&app);
}

static void finds_the_most_particular(void **state)
{
	static const struct found v[] = {
		{"GET", "/", "/"},
		{"GET", "/a", "/a"},
		{"GET", "/a/", "/a/"},
		{"GET", "/b", "/:x x=b"},
		{"GET", "/b/", "/* *=b/"},
		{"GET", "/a/b", "/a/:y y=b"},
		{"GET", "/b/b", "/:x/b x=b"},
		{"GET", "/b/c", "/* *=b/c"},
		{"GET", "/a/b/c", "/a/b/c"},
		{"GET", "/a/b/d", "/a/b/* *=d"},
		{"GET", "/a/x/d", "/a/:y/:z y=x z=d"},
		{"GET", "/a/b/c/d", "/a/b/* *=c/d"},
		{"GET", "/a/x/c/d", "/* *=a/x/c/d"},
		{"GET", "//", "/* *=/"},
		{"GET", "/a//d", "/* *=a//d"},
	};
	check("GET /*|GET /a/b/*|GET /a/:y/:z|GET /:x/b|GET /a/b/c|GET /a/:y|GET /:x|GET /a/|GET /a|GET /", v, MR_COUNT(v));
}

static void methods(void **state)
{
	static const struct found v[] = {
		{"GET", "/u/me", "/u/me"},
		{"HEAD", "/u/me", "/u/me"},
		{"DELETE", "/u/me", "/u/:id id=me"},
		{"PUT", "/u/me", "405 GET, HEAD, DELETE"},
		{"get", "/u/me", "405 GET, HEAD, DELETE"},
		{"HEAD", "/h", "/:x x=h"},
		{"GET", "/p", "405 HEAD, POST, PATCH"},
		{"OPTIONS", "/p", "405 HEAD, POST, PATCH"},
		{"GET", "/none/of/these", "none"},
	};
	check("GET /u/me|DELETE /u/:id|HEAD /:x|POST,PATCH /p", v, MR_COUNT(v));
}

static void escapes(void **state)
{
	static const struct found v[] = {
		{"GET", "/%63af%C3%A9/x%20y", "/caf%C3%A9/:p p=x y"},
		{"GET", "/caf\xc3\xa9/a%2Fb", "/caf%C3%A9/:p p=a/b"},
		{"GET", "/caf\xc3\xa9/a%5Cb%25", "/caf%C3%A9/:p p=a\\b%"},
		{"GET", "/f/a/b%20c", "/f/* *=a/b c"},
		{"GET", "/f/", "/f/* *="},
		{"GET", "/f", "none"},
		/* what could be mistaken is nobody's */
		{"GET", "/f/a%2Fb", "none"},
		{"GET", "/f/a%5cb", "none"},
		{"GET", "/f/../x", "none"},
		{"GET", "/f/%2e%2E/x", "none"},
		{"GET", "/f/./x", "none"},
		{"GET", "/f/a%00", "none"},
		{"GET", "/f/a%0d%0ab", "none"},
		{"GET", "/f/a\x7f", "none"},
		{"GET", "/f/%", "none"},
		{"GET", "/f/%4", "none"},
		{"GET", "/f/%g0", "none"},
		{"GET", "/f/%ff", "none"},
		{"GET", "/caf%C3%A9/", "none"},
		{"GET", "*", "none"},
		{"GET", "", "none"},
		{"GET", "f/x", "none"},
		{"GET", "/f/...", "/f/* *=..."},
	};
	check("GET /caf%C3%A9/:p|GET /f/*", v, MR_COUNT(v));
}

static void refuses_wrong_routes(void **state)
{
	static const char *const wrong[] = {"GET a", "GET /api", "GET /api/x", "GET /api/:x", "GET /a%70i/x", "GET /healthz", "GET /readyz",
		"POST /metrics", "GET /:1a", "GET /:", "GET /:a/:a", "GET /*/a", "GET /a*", "GET /a?b", "GET /a#b", "GET /a b", "GET /./a",
		"GET /a/..", "GET /%2e%2e/a", "GET /a%2Fb", "GET /a%5Cb", "GET /%", "GET /%00", "FETCH /a", "get /a", "GET /a|GET /a",
		"GET /:a|GET /:b", "GET,POST /a/:a/c|POST,PUT /a/:b/c", "GET /a|GET /%61",
		"GET /:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q/:r/:s/:t/:u/:v/:w/:x/:y/:z/:aa/:ab/:ac/:ad/:ae/:af/*"};
	static const char *const right[] = {"GET /healthz/x", "GET /apix", "GET /x/api", "GET /:a/b|GET /:b/c", "GET /a|POST /a", "GET /*",
		"GET /:all", "GET /.well-known/x", "OPTIONS,HEAD,PUT /x/:_a1/*"};
	struct mr_error err;
	for (size_t i = 0; i < MR_COUNT(wrong); i++) {
		struct mr_app *app = app_of(wrong[i], &err);
		if (app || err.code != MR_BAD_VALUE)
			fail_msg("%s is taken", wrong[i]);
	}
	for (size_t i = 0; i < MR_COUNT(right); i++) {
		struct mr_app *app = app_of(right[i], &err);
		if (!app)
			fail_msg("%s: %s", right[i], err.message);
		mr_app_drop(&app);
	}
}

static void reads_cors(void **state)
{
	static const char *const wrong[] = {"5", "{}", "{\"origins\":[]}", "{\"origins\":\"https://a.b\"}", "{\"origins\":[\"a.b\"]}",
		"{\"origins\":[\"https://a.b/\"]}", "{\"origins\":[\"https://\"]}", "{\"origins\":[\"https://a.b, https://c\"]}",
		"{\"origins\":[\"https://A.b\"]}", "{\"origins\":\"*\",\"credentials\":true}", "{\"origins\":\"*\",\"headers\":[\"a b\"]}",
		"{\"origins\":\"*\",\"headers\":\"a\"}", "{\"origins\":\"*\",\"expose\":[\"a\\r\\nb\"]}",
		"{\"origins\":\"*\",\"maxAge\":-1}", "{\"origins\":\"*\",\"maxAge\":1.5}", "{\"origins\":\"*\",\"maxAge\":100000}"};
	static const char form[] = "{\"routes\":[{\"path\":\"/a\",\"methods\":[\"GET\"],\"cors\":%s}]}";
	struct mr_error err;
	for (size_t i = 0; i < MR_COUNT(wrong); i++) {
		char *text = mr_printf(form, wrong[i]);
		if (mr_app_read(mr_str(text), &err) || err.code != MR_BAD_VALUE)
			fail_msg("%s is taken", wrong[i]);
		free(text);
	}
	char *text = mr_printf(
		form, "{\"origins\":[\"https://a.b\",\"http://l:80\"],\"credentials\":true,\"headers\":[\"X-A\",\"b\"],\"maxAge\":0}");
	struct mr_app *app = mr_app_read(mr_str(text), &err);
	free(text);
	assert_non_null(app);
	const struct mr_route *r = mr_app_route(app, MR_STR("GET /a"));
	assert_non_null(r);
	assert_true(r->cors.declared && !r->cors.any && r->cors.credentials && r->cors.n_origins == 2 && r->cors.max_age == 0);
	assert_string_equal(r->cors.headers.p, "X-A, b");
	assert_int_equal(r->cors.exposed.n, 0);
	assert_true(r->fn.http && r->fn.internal && !r->fn.needs_user && r->fn.kind == MR_FN_ACTION);
	assert_null(mr_app_fn(app, MR_STR("GET /a"))); /* no function that could be called */
	mr_app_drop(&app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_most_particular),
		cmocka_unit_test(methods),
		cmocka_unit_test(escapes),
		cmocka_unit_test(refuses_wrong_routes),
		cmocka_unit_test(reads_cors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
