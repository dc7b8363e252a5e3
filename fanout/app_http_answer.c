/* From a request's call to the end of its answer. Request, call and stream end in any order; what is left of them all goes with the last.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "app_http_inner.h"
#include "errors.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "tasks.h"

struct exchange {
	struct mr_fanout *f;
	struct mr_app *app; /* of the route, held */
	const struct mr_route *route;
	struct mr_req *req;       /* NULL: it is answered, or its client went */
	struct mr_task *task;     /* NULL: it has ended */
	struct mr_stream *stream; /* NULL: it has not begun, or is closed */
	size_t read;              /* bytes of the request's body that the handler has */
	bool streamed;            /* the answer's head has left */
	bool failed;              /* and its end will not come */
	bool owes;                /* a piece that the worker has not been told is taken */
	bool measured;            /* the body's length was said: */
	uint64_t left;            /* what of it is to come */
	struct mr_timer *stall;
};

static void tell(const struct exchange *x, const char *member)
{
	struct mr_buf m = {0};
	if (!x->task)
		return;
	mr_buf_printf(&m, "\"%s\":true", member);
	mr_task_tell(x->task, &m);
}

static void let_go(struct exchange *x)
{
	if (x->req || x->stream)
		return;
	/* Nobody waits for the threads' calls when they stop. */
	if (x->task && x->f->stopping)
		mr_task_abandon(&x->task);
	if (x->task)
		return;
	mr_timer_delete(&x->stall);
	mr_app_drop(&x->app);
	free(x);
}

static void on_gone(void *arg)
{
	struct exchange *x = arg;
	x->req = NULL;
	tell(x, "gone");
	let_go(x);
}

/* --- the request's body --- */

static void give_piece(struct exchange *x)
{
	struct mr_buf m = {0};
	const struct mr_req *req = x->stream ? mr_stream_req(x->stream) : x->req;
	if (!req) {
		tell(x, "gone");
		return;
	}
	struct mr_str body = mr_req_body(req);
	size_t n = MR_MIN(body.n - x->read, (size_t)MR_HTTP_PIECE);
	mr_buf_z(&m, "\"bytes\":");
	if (n) {
		mr_buf_z(&m, "{\"$bytes\":\"");
		mr_base64(&m, (struct mr_str){body.p + x->read, n});
		mr_buf_z(&m, "\"}");
	} else {
		mr_buf_z(&m, "null");
	}
	x->read += n;
	mr_task_tell(x->task, &m);
}

/* --- the answer's head --- */

/* One line of characters up to U+00FF, as bytes. */
static bool to_latin(struct mr_str s, struct mr_buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f || c > 0xc3)
			return false;
		if (c >= 0x80)
			c = (unsigned char)(c << 6 | (s.p[++i] & 0x3f));
		mr_buf_char(out, (char)c);
	}
	return true;
}

static bool is_any_of(struct mr_str name, const char *const *names)
{
	for (; *names; names++)
		if (name.n == strlen(*names) && strncasecmp(name.p, *names, name.n) == 0)
			return true;
	return false;
}

/* What is the server's own to say. */
static bool is_ours(const struct exchange *x, struct mr_str name)
{
	static const char *const names[] = {"connection", "content-length", "date", "keep-alive", "proxy-authenticate", "proxy-connection",
		"server", "te", "trailer", "transfer-encoding", "upgrade", NULL};
	static const char cors[] = "access-control-";
	bool is_cors = name.n >= sizeof cors - 1 && strncasecmp(name.p, cors, sizeof cors - 1) == 0;
	return is_any_of(name, names) || (is_cors && x->route->cors.declared);
}

static bool is_length(struct mr_str name)
{
	static const char *const names[] = {"content-length", NULL};
	return is_any_of(name, names);
}

struct head {
	int status;
	bool has_length;
	int64_t length; /* of the body */
	const struct mr_node *headers;
};

/* The runtime has looked at all this; but what it is made of may have been changed by the app's code. */
static bool check_head(const struct mr_node *n, struct head *head)
{
	int64_t status;
	head->headers = mr_node_get(n, "headers");
	if (!mr_node_int(mr_node_get(n, "status"), &status) || status < 200 || status > 599)
		return false;
	head->status = (int)status;
	head->has_length = mr_node_int(mr_node_get(n, "length"), &head->length) && head->length >= 0;
	if (!head->headers || head->headers->kind != MR_ARRAY)
		return false;
	for (size_t i = 0; i < head->headers->n; i++) {
		const struct mr_node *pair = &head->headers->items[i];
		struct mr_buf scratch = {0};
		bool ok = pair->kind == MR_ARRAY && pair->n == 2 && pair->items[0].kind == MR_STRING && pair->items[1].kind == MR_STRING &&
			  mr_is_http_token(pair->items[0].text) && to_latin(pair->items[1].text, &scratch);
		mr_buf_fini(&scratch);
		if (!ok)
			return false;
		/* The handler may know how long what it streams will be. */
		struct mr_node number = {.kind = MR_NUMBER, .text = pair->items[1].text};
		struct mr_decimal d;
		if (is_length(pair->items[0].text) && !head->has_length && mr_decimal_read(number.text, &d))
			head->has_length = mr_node_int(&number, &head->length) && head->length >= 0;
	}
	return true;
}

static void say_head(const struct exchange *x, const struct head *head)
{
	mr_cors_say(x->req, &x->route->cors);
	for (size_t i = 0; i < head->headers->n; i++) {
		struct mr_str name = head->headers->items[i].items[0].text;
		struct mr_buf value = {0};
		if (!is_ours(x, name) && to_latin(head->headers->items[i].items[1].text, &value))
			mr_req_append_header(x->req, name, mr_buf_view(&value));
		mr_buf_fini(&value);
	}
}

/* --- the answer's body --- */

static void cut(struct exchange *x, const char *why)
{
	if (x->failed)
		return;
	x->failed = true;
	x->f->counter[MR_C_ROUTES_CUT_TOTAL]++;
	mr_log(MR_WARN, "%s: the answer is cut off: %s", x->route->fn.name.p, why);
	if (x->stream)
		mr_stream_cut(x->stream);
}

static void on_stall(void *arg)
{
	cut(arg, "its client is too slow (http_stall_limit)");
}

static void on_drained(void *arg)
{
	struct exchange *x = arg;
	mr_timer_stop(x->stall);
	if (x->owes)
		tell(x, "taken");
	x->owes = false;
}

static void on_closed(void *arg)
{
	struct exchange *x = arg;
	x->stream = NULL;
	mr_timer_stop(x->stall);
	tell(x, "gone");
	let_go(x);
}

/* A status that has no body: whatever is streamed to it goes nowhere. */
static bool is_bare(int status)
{
	return status == 204 || status == 205 || status == 304;
}

static void begin_stream(struct exchange *x, const struct mr_node *n)
{
	const struct mr_stream_handler handler = {.drained = on_drained, .closed = on_closed, .arg = x};
	struct head head;
	if (!x->req || x->streamed)
		return;
	if (!check_head(n, &head) || is_bare(head.status)) {
		mr_log(MR_ERROR, "%s: the head of its answer is none", x->route->fn.name.p);
		return; /* the call's end will find that nothing was said */
	}
	say_head(x, &head);
	x->streamed = true;
	x->measured = head.has_length;
	x->left = head.has_length ? (uint64_t)head.length : 0;
	struct mr_req *req = x->req;
	x->req = NULL;
	x->stream = mr_req_stream_body(req, head.status, head.has_length ? (size_t)head.length : MR_LENGTH_UNKNOWN, &handler);
}

static void send_piece(struct exchange *x, struct mr_str bytes)
{
	if (!x->stream || x->failed) {
		tell(x, "gone");
		return;
	}
	if (!bytes.n) {
		tell(x, "taken");
		return;
	}
	if (x->measured && bytes.n > x->left) {
		cut(x, "it is longer than its Content-Length");
		return;
	}
	x->left -= x->measured ? bytes.n : 0;
	bool first = !mr_stream_pending(x->stream);
	mr_stream_send(x->stream, bytes);
	if (!mr_timer_running(x->stall))
		mr_timer_start(x->stall, x->f->settings.http_stall_limit * 1000);
	if (first)
		tell(x, "taken"); /* another may come while this one is on its way */
	x->owes = !first;
}

static void on_part(void *arg, const struct mr_node *part, struct mr_arena *arena)
{
	struct exchange *x = arg;
	const struct mr_node *head = mr_node_get(part, "head"), *bytes = mr_node_get(part, "bytes");
	if (head)
		begin_stream(x, head);
	if (bytes && bytes->kind == MR_BYTES)
		send_piece(x, bytes->text);
	if (mr_node_truth(part, "want"))
		give_piece(x);
}

/* --- the end --- */

static void reply_error(struct exchange *x, const struct mr_error *err)
{
	struct mr_req *req = x->req;
	x->f->counter[MR_C_ROUTES_FAILED_TOTAL]++;
	x->req = NULL;
	if (x->streamed)
		cut(x, err->message);
	if (!req)
		return;
	mr_cors_say(req, &x->route->cors);
	mr_req_error(req, err);
}

static void reply_whole(struct exchange *x, const struct mr_node *value)
{
	struct mr_error err;
	struct head head;
	const struct mr_node *bytes = mr_node_get(value, "bytes");
	if (!x->req)
		return;
	if (!check_head(value, &head)) {
		mr_log(MR_ERROR, "%s: the head of its answer is none", x->route->fn.name.p);
		mr_fail(&err, MR_INTERNAL, "The handler of the route gave what is no answer.");
		reply_error(x, &err);
		return;
	}
	struct mr_req *req = x->req;
	say_head(x, &head);
	x->req = NULL;
	if (mr_str_is(mr_req_method(req), "HEAD"))
		mr_req_reply_head(req, head.status, head.has_length && !is_bare(head.status) ? (size_t)head.length : MR_LENGTH_UNKNOWN);
	else
		mr_req_reply(req, head.status, NULL, bytes && bytes->kind == MR_BYTES ? bytes->text : MR_STR(""));
}

static void end_stream(struct exchange *x)
{
	if (!x->stream || x->failed)
		return;
	if (x->measured && x->left)
		cut(x, "it is shorter than its Content-Length");
	else
		mr_stream_close(x->stream);
}

static void on_done(void *arg, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err)
{
	struct exchange *x = arg;
	struct mr_error failure;
	const struct mr_node *error = mr_node_get(reply, "error");
	x->task = NULL;
	if (error) {
		mr_error_from_node(error, &failure);
		err = &failure;
	}
	if (err)
		reply_error(x, err);
	else if (x->streamed)
		end_stream(x);
	else
		reply_whole(x, mr_node_get(reply, "value"));
	let_go(x);
}

void mr_http_exchange(struct mr_req *req, struct mr_fanout *f, const struct mr_route *route, struct mr_buf *members)
{
	struct exchange *x = mr_alloc(sizeof *x);
	*x = (struct exchange){.f = f, .app = mr_app_hold(f->app), .route = route, .req = req};
	x->stall = mr_timer_new(f->loop, on_stall, x);
	f->counter[MR_C_ROUTES_TOTAL]++;
	x->task = mr_task_new(f, members, route->fn.name, (struct mr_str){0}, MR_REPEAT_NEVER, on_done, x);
	mr_task_listen(x->task, on_part);
	mr_req_on_gone(req, on_gone, x);
}
