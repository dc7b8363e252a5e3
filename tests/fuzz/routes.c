/* A route's path, a line's end, and the path of a request. What is taken as a route is in order: a path made of its own parts finds it,
 * with the values that were put in; and no value of a rest climbs out of its folder. */
#include "proto/routes.h"
#include "proto/ground/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void escape(struct mr_buf *b, struct mr_str s)
{
	for (size_t i = 0; i < s.n; i++)
		mr_buf_printf(b, "%%%02x", (unsigned char)s.p[i]);
}

/* The route itself, asked for by its own path. */
static void ask_itself(const struct mr_app *app, struct mr_arena *a)
{
	const struct mr_route *r = &app->routes[0];
	struct mr_route_match m;
	struct mr_buf path = {0};
	for (size_t i = 0; i < r->n; i++) {
		mr_buf_char(&path, '/');
		escape(&path, r->parts[i].kind == MR_PART_TEXT ? r->parts[i].text : MR_STR("value"));
	}
	mr_routes_find(app, a, mr_buf_view(&path), MR_STR("GET"), &m);
	MR_ASSERT(m.route == r);
	for (size_t i = 0, k = 0; i < r->n; i++)
		MR_ASSERT(r->parts[i].kind == MR_PART_TEXT || mr_str_is(m.values[k++], "value"));
	mr_buf_fini(&path);
}

static bool climbs(struct mr_str s)
{
	for (size_t i = 0; i + 1 < s.n; i++) {
		bool begins = i == 0 || s.p[i - 1] == '/', ends = i + 2 == s.n || s.p[i + 2] == '/';
		if (begins && ends && s.p[i] == '.' && s.p[i + 1] == '.')
			return true;
	}
	return false;
}

static void ask(const struct mr_app *app, struct mr_arena *a, struct mr_str path)
{
	const struct mr_route *r = &app->routes[0];
	struct mr_route_match m;
	mr_routes_find(app, a, path, MR_STR("HEAD"), &m);
	MR_ASSERT(m.found == (m.route != NULL));
	for (size_t i = 0, k = 0; m.route && i < r->n; i++) {
		if (r->parts[i].kind == MR_PART_TEXT)
			continue;
		MR_ASSERT(mr_utf8_ok(m.values[k]) && (r->parts[i].kind == MR_PART_REST ? !climbs(m.values[k]) : m.values[k].n > 0));
		k++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mr_str in = {(const char *)data, n};
	const char *line = n ? memchr(in.p, '\n', n) : NULL;
	if (!line)
		return 0;
	struct mr_buf manifest = {0};
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_str path = {in.p, (size_t)(line - in.p)};
	if (mr_utf8_ok(path)) {
		mr_buf_z(&manifest, "{\"routes\":[{\"methods\":[\"GET\"],\"path\":");
		mr_json_quote(&manifest, path);
		mr_buf_z(&manifest, "}]}");
	}
	struct mr_app *app = manifest.n ? mr_app_read(mr_buf_view(&manifest), &err) : NULL;
	if (app) {
		ask_itself(app, &a);
		ask(app, &a, (struct mr_str){line + 1, n - path.n - 1});
	}
	mr_app_drop(&app);
	mr_buf_fini(&manifest);
	mr_arena_fini(&a);
	return 0;
}
