#include "app_http_inner.h"

#include "api_inner.h"
#include "calls.h"
#include "rates.h"
#include "tasks.h"

/* --- the request, as the handler will see it --- */

static bool check_host(struct mr_str host, struct mr_error *err)
{
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i], low = c | 0x20;
		if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || strchr(".-_:[]", c)))
			return mr_fail(err, MR_BAD_MESSAGE, "the Host header is no name of a host");
	}
	return host.n > 0 || mr_fail(err, MR_BAD_MESSAGE, "the Host header is empty");
}

/* What would end or change an address is escaped; the rest stands as it came. */
static void add_target(struct mr_buf *b, struct mr_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\')
			mr_buf_printf(b, "%%%02X", c);
		else
			mr_buf_char(b, (char)c);
	}
}

static void print_url(struct mr_buf *m, const struct mr_req *req)
{
	struct mr_buf url = {0};
	struct mr_str query = mr_req_query(req);
	mr_buf_z(&url, mr_req_is_tls(req) ? "https://" : "http://");
	mr_buf_str(&url, mr_req_header(req, "host"));
	add_target(&url, mr_req_raw_path(req));
	if (query.p) {
		mr_buf_char(&url, '?');
		add_target(&url, query);
	}
	mr_json_quote(m, mr_buf_view(&url));
	mr_buf_fini(&url);
}

static void print_headers(struct mr_buf *m, const struct mr_req *req, const struct mr_route *route)
{
	struct mr_str name, value;
	bool cookies = mr_cors_cookies(req, &route->cors);
	mr_buf_z(m, "[[\"host\",");
	mr_json_quote(m, mr_req_header(req, "host"));
	mr_buf_char(m, ']');
	for (size_t at = 0; mr_req_next_header(req, &at, &name, &value);) {
		if (mr_str_is(name, "cookie") && !cookies)
			continue;
		mr_buf_z(m, ",[");
		mr_json_quote_latin(m, name);
		mr_buf_char(m, ',');
		mr_json_quote_latin(m, value);
		mr_buf_char(m, ']');
	}
	mr_buf_char(m, ']');
}

static void print_params(struct mr_buf *m, const struct mr_route_match *match)
{
	const struct mr_route *r = match->route;
	size_t k = 0;
	mr_buf_char(m, '{');
	for (size_t i = 0; i < r->n; i++) {
		if (r->parts[i].kind == MR_PART_TEXT)
			continue;
		if (k)
			mr_buf_char(m, ',');
		mr_json_quote(m, r->parts[i].text);
		mr_buf_char(m, ':');
		mr_json_quote(m, match->values[k++]);
	}
	mr_buf_char(m, '}');
}

static void print_request(struct mr_buf *m, struct mr_req *req, const struct mr_fanout *f, const struct mr_route_match *match)
{
	struct mr_str body = mr_req_body(req);
	mr_buf_z(m, "{\"method\":");
	mr_json_quote(m, mr_req_method(req));
	mr_buf_z(m, ",\"url\":");
	print_url(m, req);
	mr_buf_z(m, ",\"headers\":");
	print_headers(m, req, match->route);
	mr_buf_z(m, ",\"params\":");
	print_params(m, match);
	if (body.n > MR_HTTP_PIECE) {
		mr_buf_z(m, ",\"more\":true");
	} else if (body.n) {
		mr_buf_z(m, ",\"body\":{\"$bytes\":\"");
		mr_base64(m, body);
		mr_buf_z(m, "\"}");
	}
	/* In base64, and with the head, a piece is to be below max_result. */
	mr_buf_printf(m, ",\"piece\":%d}", (int)MR_MIN(f->settings.max_result / 2, (int64_t)MR_HTTP_PIECE));
}

/* A token that is not good leaves the caller nobody: what else an Authorization header may say is the handler's business. */
static bool who_asks(struct mr_req *req, struct mr_fanout *f, struct mr_token *t, struct mr_error *err)
{
	if (!mr_rates_address(f->rates, mr_req_address(req), err))
		return false;
	if (mr_api_identity(req, f, t, err))
		return true;
	*t = (struct mr_token){0};
	return err->code != MR_KEYS_UNAVAILABLE && err->code != MR_RATE_LIMITED &&
	       mr_rates_caller(f->rates, MR_STR(""), mr_req_address(req), err);
}

static bool print_call(struct mr_buf *m, struct mr_req *req, struct mr_fanout *f, const struct mr_route_match *match, struct mr_error *err)
{
	struct mr_token caller;
	if (!check_host(mr_req_header(req, "host"), err) || !who_asks(req, f, &caller, err))
		return false;
	if (mr_req_body(req).n > (size_t)f->settings.http_max_body)
		return mr_fail_data(err, MR_TOO_LARGE, "{\"setting\":\"http_max_body\"}",
			"the body is larger than %lld bytes (setting http_max_body)", (long long)f->settings.http_max_body);
	if (f->stopping)
		return mr_fail(err, MR_SHUTTING_DOWN, "the server is stopping");
	mr_buf_z(m, "\"t\":\"call\",\"kind\":\"http\",\"fn\":");
	mr_json_quote(m, match->route->fn.name);
	mr_buf_z(m, ",\"args\":");
	print_request(m, req, f, match);
	mr_buf_char(m, ',');
	mr_call_add_caller(m, caller.identity, caller.has_session ? caller.session : NULL);
	mr_buf_char(m, ',');
	mr_task_add_time(m);
	return true;
}

/* --- which route --- */

static void serve(struct mr_req *req, struct mr_fanout *f, const struct mr_route_match *match)
{
	struct mr_buf members = {0};
	struct mr_error err = {0};
	if (print_call(&members, req, f, match, &err)) {
		mr_http_exchange(req, f, match->route, &members);
		return;
	}
	mr_cors_say(req, &match->route->cors);
	mr_req_error(req, &err);
	mr_buf_fini(&members);
}

/* A browser asks whether a page may use a route; false: it asks nothing of the kind, or the route has no CORS. */
static bool is_preflight(struct mr_req *req, const struct mr_fanout *f, struct mr_route_match *wanted)
{
	struct mr_str method = mr_req_header(req, "access-control-request-method");
	if (!mr_str_is(mr_req_method(req), "OPTIONS") || !method.n || !mr_req_header(req, "origin").n)
		return false;
	mr_routes_find(f->app, mr_req_arena(req), mr_req_raw_path(req), method, wanted);
	return wanted->route && wanted->route->cors.declared;
}

bool mr_app_http(struct mr_req *req, struct mr_fanout *f)
{
	struct mr_route_match match, wanted;
	if (!f->app)
		return false;
	mr_routes_find(f->app, mr_req_arena(req), mr_req_raw_path(req), mr_req_method(req), &match);
	if (!match.found)
		return false;
	mr_req_keep_to_itself(req);
	if (match.route)
		serve(req, f, &match);
	else if (is_preflight(req, f, &wanted))
		mr_cors_preflight(req, &wanted.route->cors, match.methods);
	else
		mr_api_not_allowed(req, match.methods.p);
	return true;
}
