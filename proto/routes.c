#include "routes.h"

#include "ground/hash.h"

/* ---- what is declared ---- */

/* Percent-decoding, strictly. */
static bool decode(struct mr_arena *a, struct mr_str s, struct mr_str *out)
{
	char *p = mr_arena_alloc(a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		int c = (unsigned char)s.p[i];
		if (c == '%') {
			int high = i + 2 < s.n ? mr_hex_digit(s.p[i + 1]) : -1, low = high >= 0 ? mr_hex_digit(s.p[i + 2]) : -1;
			if (low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return false;
		p[n++] = (char)c;
	}
	*out = (struct mr_str){p, n};
	return mr_utf8_ok(*out);
}

static bool is_dots(struct mr_str s)
{
	return mr_str_is(s, ".") || mr_str_is(s, "..");
}

/* Of either kind: who asks for one that was escaped finds no rest. */
static bool has_slash(struct mr_str s)
{
	return memchr(mr_str_solid(s).p, '/', s.n) || memchr(mr_str_solid(s).p, '\\', s.n);
}

static bool is_param_name(struct mr_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], low = c | 0x20;
		if (!(c == '_' || (low >= 'a' && low <= 'z') || (i && c >= '0' && c <= '9')))
			return false;
	}
	return s.n > 0 && s.n <= 63;
}

static size_t count_slashes(struct mr_str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '/';
	return n;
}

/* The part that begins at *at, behind a slash; *at then stands behind the next one. */
static struct mr_str next_part(struct mr_str path, size_t *at)
{
	const char *p = path.p + *at, *slash = memchr(p, '/', path.n - *at);
	size_t n = slash ? (size_t)(slash - p) : path.n - *at;
	*at += n + 1;
	return (struct mr_str){p, n};
}

static bool read_part(struct mr_arena *a, struct mr_str s, bool last, struct mr_part *part, const char **why)
{
	if (s.n && s.p[0] == ':') {
		*part = (struct mr_part){MR_PART_PARAM, mr_arena_str(a, (struct mr_str){s.p + 1, s.n - 1})};
		*why = "a parameter is :name, of letters, digits and _";
		return is_param_name(part->text);
	}
	if (mr_str_is(s, "*")) {
		*part = (struct mr_part){MR_PART_REST, MR_STR("*")};
		*why = "* is the last part of a path";
		return last;
	}
	*part = (struct mr_part){MR_PART_TEXT, {0}};
	*why = "a part of a path is text as in a URL, without ?, # and *, and not . or ..";
	for (size_t i = 0; i < s.n; i++)
		if (strchr("?#*\\", s.p[i]) || s.p[i] == ' ')
			return false;
	return decode(a, s, &part->text) && !is_dots(part->text) && !has_slash(part->text);
}

/* What the server answers itself, whatever an app declares. */
static bool is_reserved(const struct mr_part *parts, size_t n)
{
	static const char *const names[] = {"healthz", "readyz", "metrics"};
	if (parts[0].kind != MR_PART_TEXT)
		return false;
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (n == 1 && mr_str_is(parts[0].text, names[i]))
			return true;
	return mr_str_is(parts[0].text, "api");
}

static bool names_twice(const struct mr_part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (parts[i].kind == MR_PART_PARAM && parts[k].kind == MR_PART_PARAM && mr_str_eq(parts[i].text, parts[k].text))
				return true;
	return false;
}

bool mr_route_parts(struct mr_arena *a, struct mr_str path, const struct mr_part **parts, size_t *n, const char **why)
{
	*why = "a path begins with a slash";
	if (!path.n || path.p[0] != '/')
		return false;
	*n = count_slashes(path);
	struct mr_part *out = mr_arena_alloc(a, *n * sizeof *out);
	size_t params = 0, at = 1;
	for (size_t i = 0; i < *n; i++) {
		if (!read_part(a, next_part(path, &at), i + 1 == *n, &out[i], why))
			return false;
		params += out[i].kind != MR_PART_TEXT;
	}
	*parts = out;
	*why = "it has more than 32 parameters";
	if (params > MR_ROUTE_PARAMS)
		return false;
	*why = "it names a parameter twice";
	if (names_twice(out, *n))
		return false;
	*why = "paths below /api, and /healthz, /readyz and /metrics, are the server's own";
	return !is_reserved(out, *n);
}

int mr_route_cmp(const void *x, const void *y)
{
	const struct mr_route *a = x, *b = y;
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		if (a->parts[i].kind != b->parts[i].kind)
			return (int)a->parts[i].kind - (int)b->parts[i].kind;
		int c = a->parts[i].kind == MR_PART_TEXT ? mr_str_cmp(a->parts[i].text, b->parts[i].text) : 0;
		if (c)
			return c;
	}
	return (a->n > b->n) - (a->n < b->n);
}

/* ---- what is asked for ---- */

struct asked {
	struct mr_str *parts;
	size_t n;
	bool slashed; /* some part holds a slash that was escaped */
};

static bool take_apart(struct mr_arena *a, struct mr_str path, struct asked *q)
{
	if (!path.n || path.p[0] != '/')
		return false;
	q->n = count_slashes(path);
	q->parts = mr_arena_alloc(a, q->n * sizeof *q->parts);
	size_t at = 1;
	for (size_t i = 0; i < q->n; i++) {
		if (!decode(a, next_part(path, &at), &q->parts[i]) || is_dots(q->parts[i]))
			return false;
		q->slashed = q->slashed || has_slash(q->parts[i]);
	}
	return true;
}

/* Where the rest begins, an escaped slash would look like one that is none: such a path has no rest. */
static bool fits(const struct mr_route *r, const struct asked *q)
{
	for (size_t i = 0; i < r->n; i++) {
		if (i >= q->n)
			return false;
		const struct mr_part *part = &r->parts[i];
		if (part->kind == MR_PART_REST)
			return !q->slashed;
		if (part->kind == MR_PART_TEXT ? !mr_str_eq(part->text, q->parts[i]) : q->parts[i].n == 0)
			return false;
	}
	return r->n == q->n;
}

static struct mr_str join(struct mr_arena *a, const struct mr_str *parts, size_t n)
{
	struct mr_buf b = {0};
	for (size_t i = 0; i < n; i++) {
		if (i)
			mr_buf_char(&b, '/');
		mr_buf_str(&b, parts[i]);
	}
	struct mr_str s = mr_arena_str(a, mr_buf_view(&b));
	mr_buf_fini(&b);
	return s;
}

static void take_values(struct mr_arena *a, const struct asked *q, struct mr_route_match *match)
{
	const struct mr_route *r = match->route;
	size_t k = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (r->parts[i].kind == MR_PART_PARAM)
			match->values[k++] = q->parts[i];
		else if (r->parts[i].kind == MR_PART_REST)
			match->values[k++] = join(a, q->parts + i, q->n - i);
	}
}

static bool has(const struct mr_route *r, const char *method)
{
	for (size_t i = 0; i < r->n_methods; i++)
		if (mr_str_is(r->methods[i], method))
			return true;
	return false;
}

bool mr_route_has(const struct mr_route *r, struct mr_str method)
{
	for (size_t i = 0; i < r->n_methods; i++)
		if (mr_str_eq(r->methods[i], method))
			return true;
	return mr_str_is(method, "HEAD") && has(r, "GET");
}

/* Each method once, in a fixed order. */
static struct mr_str all_methods(const struct mr_app *app, struct mr_arena *a, const struct asked *q)
{
	static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
	struct mr_buf b = {0};
	for (size_t i = 0; i < MR_COUNT(names); i++) {
		bool some = false;
		for (size_t k = 0; !some && k < app->n_routes; k++)
			some = mr_route_has(&app->routes[k], mr_str(names[i])) && fits(&app->routes[k], q);
		if (some)
			mr_buf_printf(&b, "%s%s", b.n ? ", " : "", names[i]);
	}
	struct mr_str s = mr_arena_str(a, mr_buf_view(&b));
	mr_buf_fini(&b);
	return s;
}

void mr_routes_find(const struct mr_app *app, struct mr_arena *a, struct mr_str path, struct mr_str method, struct mr_route_match *match)
{
	struct asked q = {0};
	*match = (struct mr_route_match){0};
	if (!app->n_routes || !take_apart(a, path, &q))
		return;
	for (size_t i = 0; i < app->n_routes && !match->route; i++) {
		const struct mr_route *r = &app->routes[i];
		if (!fits(r, &q))
			continue;
		match->found = true;
		if (mr_route_has(r, method))
			match->route = r;
	}
	if (match->route)
		take_values(a, &q, match);
	else if (match->found)
		match->methods = all_methods(app, a, &q);
}
