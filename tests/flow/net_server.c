/* A server on fanout/net.h alone, for tests/flow/net_*.mjs: echoes frames and tells what the callbacks said.
 *   net_server [max_frame [ping_interval_ms [max_connections [root of files [port [certificate key]]]]]]
 *         prints "port N"; ends with standard input
 * WebSocket messages: "burst N SIZE" sends N frames of SIZE bytes, "all SIZE" one frame of SIZE bytes to every client, "close CODE REASON"
 * closes, "die" sends and closes in one turn, all else is echoed. HTTP: /echo, /slow?ms=, /never, /stream?n=&size=, /stats, /files/...
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fanout/net.h"
#include "proto/ground/list.h"
#include "proto/ground/log.h"

struct server {
	struct mr_loop *loop;
	struct mr_net *net;
	const char *root;
	struct mr_list clients;
	long opened, closed, drained, gone, stream_closed, stream_drained, messages;
	size_t most_pending;
	char last[200];
};
struct client {
	struct mr_list link; /* server->clients */
	struct server *server;
	struct mr_ws *ws;
	enum mr_encoding encoding;
};

static void *ws_open(struct mr_ws *ws, enum mr_encoding encoding, void *arg)
{
	struct client *c = mr_alloc(sizeof(*c));
	c->server = arg;
	c->ws = ws;
	c->encoding = encoding;
	mr_list_add_tail(&c->server->clients, &c->link);
	mr_ws_want_drained(ws, true);
	c->server->opened++;
	return c;
}

static void send_text(struct client *c, struct mr_str text)
{
	struct mr_deflate *d = mr_ws_deflate(c->ws);
	struct mr_frame *f = d ? mr_deflate_frame(d, c->encoding, text) : mr_frame_new(c->encoding, text);
	mr_ws_send(c->ws, f);
	mr_frame_drop(&f);
	c->server->most_pending = MR_MAX(c->server->most_pending, mr_ws_pending(c->ws));
}

static void burst(struct client *c, int n, int size)
{
	char *bytes = mr_alloc((size_t)size + 1);
	memset(bytes, 'x', (size_t)size);
	struct mr_frame *f = mr_frame_new(c->encoding, (struct mr_str){bytes, (size_t)size});
	for (int i = 0; i < n; i++)
		mr_ws_send(c->ws, f);
	mr_frame_drop(&f);
	free(bytes);
	c->server->most_pending = MR_MAX(c->server->most_pending, mr_ws_pending(c->ws));
}

static void send_all(struct server *s, int size)
{
	struct mr_frame *frames[MR_ENCODINGS];
	char *bytes = mr_alloc((size_t)size + 1);

	memset(bytes, 'x', (size_t)size);
	for (int e = 0; e < MR_ENCODINGS; e++)
		frames[e] = mr_frame_new((enum mr_encoding)e, (struct mr_str){bytes, (size_t)size});
	MR_LIST_FOR (e, &s->clients) {
		struct client *c = MR_CONTAINER(e, struct client, link);
		mr_ws_send(c->ws, frames[c->encoding]);
	}
	for (int e = 0; e < MR_ENCODINGS; e++)
		mr_frame_drop(&frames[e]);
	free(bytes);
}

static void ws_message(void *user, struct mr_str payload)
{
	struct client *c = user;
	char text[200] = "", reason[200] = "";
	int a, b;

	c->server->messages++;
	memcpy(text, payload.p, MR_MIN(payload.n, sizeof(text) - 1));
	if (sscanf(text, "burst %d %d", &a, &b) == 2) {
		burst(c, a, b);
	} else if (sscanf(text, "all %d", &a) == 1) {
		send_all(c->server, a);
	} else if (sscanf(text, "close %d %199[^\n]", &a, reason) >= 1) {
		mr_ws_close(c->ws, a, reason);
		send_text(c, MR_STR("never sent"));
		send_text(c, payload); /* still to be read, though closed */
	} else if (mr_str_is(payload, "die")) {
		send_text(c, MR_STR("last words"));
		mr_ws_close(c->ws, 1000, "done");
	} else {
		send_text(c, payload);
	}
}

static void ws_drained(void *user)
{
	struct client *c = user;
	c->server->drained++;
}

static void ws_closed(void *user, const char *reason)
{
	struct client *c = user;
	c->server->closed++;
	snprintf(c->server->last, sizeof(c->server->last), "%s", reason);
	mr_list_del(&c->link);
	free(c);
}

/* --- HTTP --- */

static long param(struct mr_req *req, const char *name)
{
	struct mr_str s = mr_req_param(req, name);
	return s.n ? strtol(mr_arena_z(mr_req_arena(req), s), NULL, 10) : 0;
}

static void echo(struct mr_req *req)
{
	struct mr_buf b = {0};
	struct mr_str q = mr_req_param(req, "q"), x = mr_req_header(req, "x-test");

	mr_buf_z(&b, "{\"method\":");
	mr_json_quote(&b, mr_req_method(req));
	mr_buf_z(&b, ",\"path\":");
	mr_json_quote(&b, mr_req_path(req));
	mr_buf_z(&b, ",\"q\":");
	if (q.p)
		mr_json_quote(&b, q);
	else
		mr_buf_z(&b, "null");
	mr_buf_z(&b, ",\"x\":");
	if (x.p)
		mr_json_quote(&b, x);
	else
		mr_buf_z(&b, "null");
	mr_buf_printf(&b, ",\"body\":%zu}", mr_req_body(req).n);
	mr_req_add_header(req, "X-Answer", "1");
	mr_req_reply(req, 200, "application/json", mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void stats(struct mr_req *req, struct server *s)
{
	struct mr_buf b = {0};
	mr_buf_printf(&b,
		"{\"opened\":%ld,\"closed\":%ld,\"drained\":%ld,\"gone\":%ld,\"streamClosed\":%ld,\"streamDrained\":%ld,\"messages\":%ld,"
		"\"mostPending\":%zu,\"sent\":%" PRId64 ","
		"\"last\":",
		s->opened, s->closed, s->drained, s->gone, s->stream_closed, s->stream_drained, s->messages, s->most_pending,
		mr_net_bytes_sent(s->net));
	mr_json_quote(&b, mr_str(s->last));
	mr_buf_z(&b, "}");
	mr_req_reply(req, 200, "application/json", mr_buf_view(&b));
	mr_buf_fini(&b);
}

struct slow {
	struct server *server;
	struct mr_req *req;
	struct mr_timer *timer;
};

static void slow_done(void *arg)
{
	struct slow *s = arg;
	if (s->req)
		mr_req_reply(s->req, 200, "text/plain", MR_STR("at last\n"));
	mr_timer_delete(&s->timer);
	free(s);
}

static void slow_gone(void *arg)
{
	struct slow *s = arg;
	s->server->gone++;
	s->req = NULL;
	slow_done(s);
}

static void slow(struct mr_req *req, struct server *server, long ms)
{
	struct slow *s = mr_alloc(sizeof(*s));
	s->server = server;
	s->req = req;
	s->timer = mr_timer_new(server->loop, slow_done, s);
	mr_timer_start(s->timer, ms * 1000);
	mr_req_on_gone(req, slow_gone, s);
}

static void stream_drained(void *arg)
{
	struct server *s = arg;
	s->stream_drained++;
}

static void stream_closed(void *arg)
{
	struct server *s = arg;
	s->stream_closed++;
}

static void stream(struct mr_req *req, struct server *s)
{
	long n = param(req, "n"), size = param(req, "size"), end = param(req, "end");
	struct mr_stream *st = mr_req_stream(req, "text/event-stream", &(struct mr_stream_handler){stream_drained, stream_closed, s});
	char *bytes = mr_alloc((size_t)size + 20);

	memset(bytes, 'y', (size_t)size + 8);
	memcpy(bytes, "data: ", 6);
	memcpy(bytes + 6 + size, "\n\n", 2);
	for (long i = 0; i < n; i++)
		mr_stream_send(st, (struct mr_str){bytes, (size_t)size + 8});
	free(bytes);
	if (end)
		mr_stream_close(st);
}

static void request(struct mr_req *req, void *arg)
{
	struct server *s = arg;
	struct mr_str path = mr_req_path(req);
	struct mr_error err = {0};

	if (mr_str_is(path, "/stats"))
		stats(req, s);
	else if (mr_str_is(path, "/slow"))
		slow(req, s, param(req, "ms"));
	else if (mr_str_is(path, "/stream"))
		stream(req, s);
	else if (s->root && path.n >= 7 && memcmp(path.p, "/files/", 7) == 0)
		mr_req_file(req, s->root, (struct mr_str){path.p + 6, path.n - 6});
	else if (mr_str_is(path, "/error"))
		mr_fail_data(&err, MR_BAD_ARGS, "{\"a\":1}", "a \"quoted\" word"), mr_req_error(req, &err);
	else
		echo(req);
}

static void on_stdin(void *arg, int events)
{
	struct server *s = arg;
	char bytes[100];
	if (read(0, bytes, sizeof(bytes)) <= 0)
		mr_net_stop(s->net);
}

int main(int argc, char **argv)
{
	struct server s = {.loop = mr_loop_new(), .root = argc > 4 ? argv[4] : NULL};
	struct mr_net_config config = {
		.listen = "127.0.0.1",
		.max_frame = argc > 1 ? (size_t)atol(argv[1]) : 1 << 20,
		.ping_interval_ms = argc > 2 ? atol(argv[2]) : 25000,
		.compress = true,
		.max_connections = argc > 3 ? atoi(argv[3]) : 1000,
		.port = argc > 5 ? atoi(argv[5]) : 0,
		.tls_certificate = argc > 7 ? argv[6] : NULL,
		.tls_key = argc > 7 ? argv[7] : NULL,
		.ws_open = ws_open,
		.ws_message = ws_message,
		.ws_drained = ws_drained,
		.ws_closed = ws_closed,
		.request = request,
		.arg = &s,
	};
	struct mr_error err = {0};

	mr_list_init(&s.clients);
	mr_log_init("net_server", MR_DEBUG);
	s.net = mr_net_new(s.loop, &config, &err);
	if (!s.net)
		mr_die("%s", err.message);
	struct mr_watch *w = mr_watch_new(s.loop, 0, MR_READ, on_stdin, &s);
	printf("port %d\n", mr_net_port(s.net));
	fflush(stdout);
	mr_net_run(s.net);
	mr_watch_delete(&w);
	mr_net_delete(&s.net);
	mr_loop_delete(&s.loop);
	return 0;
}
