/* Requests and their answers. */
#include <errno.h>
#include <stdlib.h>

#include "net_inner.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "rates.h"

enum { WATCH_AFTER_US = 50 * 1000 };

/* --- decoding --- */

/* Percent-decoding; form: "+" is a blank. An escape that is none is kept as it stands; then *clean says false. */
static struct mr_str decode(struct mr_arena *a, struct mr_str s, bool form, bool *clean)
{
	char *out = mr_arena_alloc(a, s.n + 1);
	size_t n = 0;

	*clean = true;
	for (size_t i = 0; i < s.n; i++) {
		bool escape = s.p[i] == '%';
		int high = escape && i + 2 < s.n ? mr_hex_digit(s.p[i + 1]) : -1, low = high >= 0 ? mr_hex_digit(s.p[i + 2]) : -1;
		if (low >= 0) {
			out[n++] = (char)(high << 4 | low);
			i += 2;
		} else {
			*clean = *clean && !escape;
			out[n++] = form && s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	return (struct mr_str){out, n};
}

/* What follows scheme and authority when the request line has a whole URL. */
static struct mr_str local_part(struct mr_str target)
{
	if (target.n && target.p[0] == '/')
		return target;
	const char *colon = memmem(target.p, target.n, "://", 3);
	if (!colon)
		return target;
	size_t from = (size_t)(colon + 3 - target.p);
	const char *slash = memchr(target.p + from, '/', target.n - from);
	return slash ? (struct mr_str){slash, target.n - (size_t)(slash - target.p)} : MR_STR("/");
}

static bool split_target(struct mr_req *req, struct mr_error *err)
{
	struct mr_str target = local_part((struct mr_str){req->h2o->input.path.base, req->h2o->input.path.len});
	const char *q = memchr(target.p, '?', target.n);
	struct mr_str path = {target.p, q ? (size_t)(q - target.p) : target.n};
	bool clean;

	req->raw_path = path;
	req->query = q ? (struct mr_str){q + 1, target.n - path.n - 1} : (struct mr_str){NULL, 0};
	req->path = decode(&req->arena, path, false, &clean);
	if (!clean || !mr_utf8_ok(req->path))
		return mr_fail(err, MR_BAD_MESSAGE, "the path has a bad percent escape or is not UTF-8");
	if (req->path.n == 0 || req->path.p[0] != '/')
		return mr_fail(err, MR_BAD_MESSAGE, "the request target must be a path");
	return true;
}

/* --- what was asked --- */

struct mr_str mr_req_method(const struct mr_req *req)
{
	return (struct mr_str){req->h2o->input.method.base, req->h2o->input.method.len};
}

struct mr_str mr_req_path(const struct mr_req *req)
{
	return req->path;
}

/* The parameter that begins at *at of the query; false at its end. */
static bool next_param(struct mr_req *req, size_t *at, struct mr_str *name, struct mr_str *raw)
{
	bool clean;

	if (*at >= req->query.n)
		return false;
	const char *p = req->query.p + *at;
	size_t left = req->query.n - *at;
	const char *amp = memchr(p, '&', left);
	size_t n = amp ? (size_t)(amp - p) : left;
	const char *eq = memchr(p, '=', n);
	*name = (struct mr_str){p, eq ? (size_t)(eq - p) : n};
	*raw = eq ? (struct mr_str){eq + 1, n - name->n - 1} : MR_STR("");
	if (memchr(name->p, '%', name->n))
		*name = decode(&req->arena, *name, true, &clean);
	*at += n + (amp != NULL);
	return true;
}

bool mr_req_next_param(struct mr_req *req, size_t *at, struct mr_str *name)
{
	struct mr_str raw;
	return next_param(req, at, name, &raw);
}

struct mr_str mr_req_param(struct mr_req *req, const char *name)
{
	struct mr_str is, raw;
	bool clean;

	for (size_t at = 0; next_param(req, &at, &is, &raw);)
		if (mr_str_is(is, name))
			return decode(&req->arena, raw, true, &clean);
	return (struct mr_str){NULL, 0};
}

struct mr_str mr_req_header(const struct mr_req *req, const char *name)
{
	if (strcmp(name, "host") == 0)
		return (struct mr_str){req->h2o->input.authority.base, req->h2o->input.authority.len};
	ssize_t at = h2o_find_header_by_str(&req->h2o->headers, name, strlen(name), -1);
	if (at < 0)
		return (struct mr_str){NULL, 0};
	h2o_iovec_t value = req->h2o->headers.entries[at].value;
	return (struct mr_str){value.len ? value.base : "", value.len};
}

/* RFC 9110, 7.6.1: between us and whoever connected. */
static bool is_of_connection(struct mr_str name)
{
	static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer",
		"transfer-encoding", "upgrade", "http2-settings", "expect", "host"};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (mr_str_is(name, names[i]))
			return true;
	return false;
}

bool mr_req_next_header(const struct mr_req *req, size_t *at, struct mr_str *name, struct mr_str *value)
{
	const h2o_headers_t *all = &req->h2o->headers;

	while (*at < all->size) {
		const h2o_header_t *h = &all->entries[(*at)++];
		*name = (struct mr_str){h->name->base, h->name->len};
		*value = (struct mr_str){h->value.len ? h->value.base : "", h->value.len};
		if (!is_of_connection(*name))
			return true;
	}
	return false;
}

struct mr_str mr_req_raw_path(const struct mr_req *req)
{
	return req->raw_path;
}

struct mr_str mr_req_query(const struct mr_req *req)
{
	return req->query;
}

struct mr_str mr_req_body(const struct mr_req *req)
{
	return (struct mr_str){req->h2o->entity.base, req->h2o->entity.base ? req->h2o->entity.len : 0};
}

struct mr_arena *mr_req_arena(struct mr_req *req)
{
	return &req->arena;
}

/* --- a client that leaves before the answer --- */

static void on_left(void *arg, int events)
{
	struct mr_req *req = arg;
	void (*gone)(void *) = req->gone;
	void *gone_arg = req->gone_arg;

	req->gone = NULL;
	gone(gone_arg);
	req->h2o->http1_is_persistent = 0;
	mr_req_reply(req, 503, "text/plain", MR_STR("")); /* ends the exchange; nobody reads it */
}

void mr_req_on_gone(struct mr_req *req, void (*cb)(void *arg), void *arg)
{
	MR_ASSERT(req->magic == MR_REQ_MAGIC && !req->answered);
	req->gone = cb;
	req->gone_arg = arg;
	if (!mr_timer_running(req->net->watch_waiting))
		mr_timer_start(req->net->watch_waiting, WATCH_AFTER_US);
}

/* Most are answered before a client could leave; the others are watched. */
static void on_watch_waiting(void *arg)
{
	struct mr_net *net = arg;
	MR_LIST_FOR (e, &net->requests) {
		struct mr_req *req = MR_CONTAINER(e, struct mr_req, link);
		if (req->gone && !req->watch)
			req->watch = mr_watch_new(net->loop, mr_net_fd(req), 0, on_left, req);
	}
}

/* --- answers --- */

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{101, "Switching Protocols"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{206, "Partial Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{410, "Gone"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{418, "I'm a Teapot"},
		{422, "Unprocessable Content"},
		{426, "Upgrade Required"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < MR_COUNT(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

void mr_req_add_header(struct mr_req *req, const char *name, const char *value)
{
	h2o_req_t *h = req->h2o;
	h2o_iovec_t n = h2o_strdup(&h->pool, name, strlen(name)), v = h2o_strdup(&h->pool, value, strlen(value));
	h2o_iovec_t lower = h2o_strdup(&h->pool, name, strlen(name));

	MR_ASSERT(!req->answered);
	for (size_t i = 0; i < v.len; i++)
		MR_ASSERT(v.base[i] != '\r' && v.base[i] != '\n');
	h2o_strtolower(lower.base, lower.len);
	ssize_t at = h2o_find_header_by_str(&h->res.headers, lower.base, lower.len, -1);
	if (at >= 0)
		h->res.headers.entries[at].value = v; /* said twice: the last word counts */
	else
		h2o_add_header_by_str(&h->pool, &h->res.headers, lower.base, lower.len, 1, n.base, v.base, v.len);
}

void mr_req_append_header(struct mr_req *req, struct mr_str name, struct mr_str value)
{
	h2o_req_t *h = req->h2o;
	h2o_iovec_t n = h2o_strdup(&h->pool, name.p, name.n), v = h2o_strdup(&h->pool, value.n ? value.p : "", value.n);

	MR_ASSERT(!req->answered && name.n);
	MR_ASSERT(!memchr(n.base, '\r', n.len) && !memchr(n.base, '\n', n.len) && !memchr(n.base, ':', n.len));
	MR_ASSERT(!memchr(v.base, '\r', v.len) && !memchr(v.base, '\n', v.len));
	h2o_strtolower(n.base, n.len);
	h2o_add_header_by_str(&h->pool, &h->res.headers, n.base, n.len, 1, NULL, v.base, v.len);
}

void mr_req_keep_to_itself(struct mr_req *req)
{
	req->to_itself = true;
}

void mr_req_begin(struct mr_req *req, int status, const char *content_type)
{
	MR_ASSERT(req->magic == MR_REQ_MAGIC && !req->answered);
	mr_req_add_header(req, "X-Content-Type-Options", "nosniff");
	if (content_type)
		mr_req_add_header(req, "Content-Type", content_type);
	req->h2o->res.status = status;
	req->h2o->res.reason = reason_of(status);
	req->answered = true;
	req->gone = NULL;
	mr_watch_delete(&req->watch);
	mr_list_del(&req->link);
}

void mr_req_start(struct mr_req *req, h2o_generator_t *generator)
{
	req->net->answering = req->h2o;
	h2o_start_response(req->h2o, generator);
	req->net->answering = NULL;
}

static h2o_generator_t nothing_more = {NULL, NULL};

void mr_req_reply_head(struct mr_req *req, int status, size_t length)
{
	h2o_req_t *h = req->h2o;

	mr_req_begin(req, status, NULL);
	h->res.content_length = length;
	mr_req_start(req, &nothing_more);
	h2o_send(h, NULL, 0, H2O_SEND_STATE_FINAL);
}

void mr_req_reply(struct mr_req *req, int status, const char *content_type, struct mr_str body)
{
	struct mr_net *net = req->net;
	h2o_req_t *h = req->h2o;
	bool bare = status == 204 || status == 304;

	mr_req_begin(req, status, bare ? NULL : content_type);
	if (!bare)
		h->res.content_length = body.n;
	if (bare || mr_str_is(mr_req_method(req), "HEAD"))
		body = (struct mr_str){NULL, 0};
	h2o_iovec_t bytes = {NULL, 0};
	if (body.n)
		bytes = h2o_strdup(&h->pool, body.p, body.n);
	mr_count_own(&net->bytes_sent, (int64_t)body.n);
	mr_req_start(req, &nothing_more);
	h2o_send(h, &bytes, body.n ? 1 : 0, H2O_SEND_STATE_FINAL); /* req may be gone after it */
}

static void error_text(struct mr_buf *b, const struct mr_error *err)
{
	mr_buf_z(b, "{\"error\":{\"code\":");
	mr_json_quote(b, mr_str(mr_code_name(err->code)));
	mr_buf_z(b, ",\"message\":");
	mr_json_quote(b, mr_str(err->message));
	if (err->data[0]) {
		mr_buf_z(b, ",\"data\":");
		mr_buf_z(b, err->data);
	}
	mr_buf_z(b, "}}\n");
}

static void add_retry_after(struct mr_req *req, const struct mr_error *err)
{
	struct mr_error ignored;
	const struct mr_node *data = mr_json_read(&req->arena, mr_arena_str(&req->arena, mr_str(err->data)), 4, false, &ignored);
	int64_t ms;

	if (err->code == MR_RATE_LIMITED && mr_node_int(mr_node_get(data, "retryAfter"), &ms))
		mr_req_add_header(req, "Retry-After", mr_arena_printf(&req->arena, "%lld", (long long)(ms + 999) / 1000).p);
	else if (mr_code_http(err->code) == 503)
		mr_req_add_header(req, "Retry-After", "2");
}

void mr_req_error(struct mr_req *req, const struct mr_error *err)
{
	struct mr_buf b = {0};

	error_text(&b, err);
	if (!req->to_itself)
		mr_req_add_header(req, "Access-Control-Allow-Origin", "*");
	mr_req_add_header(req, "Cache-Control", "no-store");
	if (err->code == MR_UNAUTHENTICATED || err->code == MR_BAD_TOKEN || err->code == MR_TOKEN_EXPIRED)
		mr_req_add_header(req, "WWW-Authenticate", "Bearer");
	add_retry_after(req, err);
	mr_req_reply(req, mr_code_http(err->code), "application/json", mr_buf_view(&b));
	mr_buf_fini(&b);
}

/* --- h2o's own error pages, in our form --- */

struct own_page {
	h2o_ostream_t super;
	h2o_iovec_t body;
};

static void send_own_page(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t n, h2o_send_state_t state)
{
	struct own_page *page = (struct own_page *)self;
	bool head = h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("HEAD"));

	h2o_ostream_send_next(self, req, &page->body, head ? 0 : 1, H2O_SEND_STATE_FINAL);
}

static void describe(const struct mr_net *net, const h2o_req_t *req, struct mr_error *err)
{
	bool to_route = net->config.max_body && !(req->input.path.len >= 5 && memcmp(req->input.path.base, "/api/", 5) == 0);

	if (req->res.status == 413 && to_route)
		mr_fail_data(err, MR_TOO_LARGE, "{\"setting\":\"http_max_body\"}",
			"the body is larger than %zu bytes (setting http_max_body)", net->config.max_body);
	else if (req->res.status == 413)
		mr_fail_data(err, MR_TOO_LARGE, "{\"setting\":\"max_frame\"}", "the body is larger than %zu bytes (setting max_frame)",
			net->config.max_frame);
	else if (req->res.status >= 500)
		mr_fail(err, MR_INTERNAL, "the request could not be answered");
	else
		mr_fail(err, MR_BAD_MESSAGE, "the request is not proper HTTP: %s", req->res.reason);
}

struct pages_filter {
	h2o_filter_t super;
	struct mr_net *net;
};

static void on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
	struct mr_net *net = ((struct pages_filter *)self)->net;
	struct mr_error err = {0};
	struct mr_buf b = {0};

	if (net->answering != req && req->res.status >= 400) {
		struct own_page *page = (struct own_page *)h2o_add_ostream(req, sizeof(*page), slot);
		describe(net, req, &err);
		error_text(&b, &err);
		page->super.do_send = send_own_page;
		page->body = h2o_strdup(&req->pool, b.p, b.n);
		mr_buf_fini(&b);
		req->res.content_length = page->body.len;
		h2o_set_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, H2O_STRLIT("application/json"), 1);
		h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("access-control-allow-origin"), 1, NULL, H2O_STRLIT("*"));
		slot = &page->super.next;
		if (req->res.status == 413)
			mr_net_linger(net, h2o_socket_get_fd(req->conn->callbacks->get_socket(req->conn)));
	}
	h2o_setup_next_ostream(req, slot);
}

/* --- the handler --- */

static void on_dispose(void *p)
{
	struct mr_req *req = p;

	if (req->gone)
		req->gone(req->gone_arg);
	if (req->stream)
		mr_net_stream_gone(req->stream);
	mr_watch_delete(&req->watch);
	mr_list_del(&req->link);
	mr_arena_fini(&req->arena);
	mr_rates_leave(req->net->config.rates, req->entered);
	req->magic = 0;
}

static bool check_request(struct mr_req *req, struct mr_error *err)
{
	if (req->h2o->input.authority.base == req->net->host->authority.hostport.base)
		return mr_fail(err, MR_BAD_MESSAGE, "the Host header is missing");
	if (req->net->deleting)
		return mr_fail(err, MR_SHUTTING_DOWN, "the server is stopping");
	return split_target(req, err);
}

struct handler {
	h2o_handler_t super;
	struct mr_net *net;
};

static int on_req(h2o_handler_t *self, h2o_req_t *h)
{
	struct mr_net *net = ((struct handler *)self)->net;
	struct mr_req *req = h2o_mem_alloc_shared(&h->pool, sizeof(*req), on_dispose);
	struct mr_error err = {0};

	*req = (struct mr_req){.magic = MR_REQ_MAGIC, .net = net, .h2o = h};
	mr_list_add_tail(&net->requests, &req->link);
	if (!check_request(req, &err))
		mr_req_error(req, &err);
	else if (mr_str_is(req->path, "/api/sync"))
		mr_net_ws_request(req);
	else
		net->config.request(req, net->config.arg);
	return 0;
}

void mr_net_http_init(struct mr_net *net)
{
	mr_list_init(&net->requests);
	net->watch_waiting = mr_timer_new(net->loop, on_watch_waiting, net);
	struct handler *h = (struct handler *)h2o_create_handler(&net->host->fallback_path, sizeof(*h));
	h->super.on_req = on_req;
	h->net = net;
	struct pages_filter *f = (struct pages_filter *)h2o_create_filter(&net->host->fallback_path, sizeof(*f));
	f->super.on_setup_ostream = on_setup_ostream;
	f->net = net;
}

void mr_net_http_fini(struct mr_net *net)
{
	mr_timer_delete(&net->watch_waiting);
}

void mr_net_refuse_all(struct mr_net *net)
{
	struct mr_error err = {0};

	mr_fail(&err, MR_SHUTTING_DOWN, "the server is stopping");
	while (!mr_list_empty(&net->requests)) {
		struct mr_req *req = MR_CONTAINER(net->requests.next, struct mr_req, link);
		void (*gone)(void *) = req->gone;
		req->gone = NULL;
		if (gone)
			gone(req->gone_arg);
		req->h2o->http1_is_persistent = 0;
		mr_req_error(req, &err);
	}
}
