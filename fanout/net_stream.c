/* Responses that go on: server-sent events above all. While one is open its socket is watched for the client's farewell, and an event
 * stream that had nothing to say for 15 s gets a comment line, so that proxies keep it and a silent death is noticed.
 */
#include <errno.h>
#include <stdlib.h>

#include "net_inner.h"
#include "proto/ground/log.h"

enum { HEARTBEAT_US = 15 * 1000000, HEARTBEAT_STEP_US = 5 * 1000000 };

struct mr_stream {
	h2o_generator_t generator; /* first: h2o gives it back */
	unsigned magic;
	struct mr_net *net;
	struct mr_req *req; /* NULL: the connection is gone */
	struct mr_stream_handler handler;
	struct mr_list link, dirty;
	struct mr_buf queue, flying;
	bool is_flying, owes_drained, closing, events;
	bool head_due; /* the head has not left, and is to do so without waiting for the body */
	bool cut;
	bool body; /* that has an end of its own: without it, it is cut */
	int64_t last;
	struct mr_watch *watch;
};

static void mark(struct mr_stream *s)
{
	if (!mr_list_linked(&s->dirty))
		mr_list_add_tail(&s->net->dirty_streams, &s->dirty);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
	struct mr_stream *s = (struct mr_stream *)generator;

	s->is_flying = false;
	mr_buf_fini(&s->flying);
	if (s->queue.n || s->closing) {
		mark(s);
	} else if (s->owes_drained) {
		s->owes_drained = false;
		if (s->handler.drained)
			s->handler.drained(s->handler.arg);
	}
}

void mr_net_stream_gone(struct mr_stream *s)
{
	mr_watch_delete(&s->watch);
	s->req = NULL;
	mark(s);
}

/* Stream and request go separate ways: the end of the response is h2o's, the stream is finished in this turn. */
static h2o_req_t *part(struct mr_stream *s)
{
	h2o_req_t *h = s->req->h2o;

	mr_watch_delete(&s->watch);
	s->req->stream = NULL;
	s->req = NULL;
	mark(s);
	return h;
}

/* The client closed or reset its side. What it sent behind a request still open is the next request: not ours to read. */
static void on_watch(void *arg, int events)
{
	struct mr_stream *s = arg;
	char byte;
	ssize_t n = recv(mr_net_fd(s->req), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0 || (n < 0 && errno == EAGAIN)) {
		mr_watch_set(s->watch, 0);
		return;
	}
	mr_watch_set(s->watch, 0);
	s->closing = true;
	mr_buf_fini(&s->queue);
	if (s->is_flying) /* the write fails now, and h2o then closes */
		shutdown(mr_net_fd(s->req), SHUT_RDWR);
	else
		h2o_send(part(s), NULL, 0, H2O_SEND_STATE_ERROR);
}

static struct mr_stream *start(
	struct mr_req *req, int status, const char *content_type, size_t length, const struct mr_stream_handler *handler)
{
	struct mr_net *net = req->net;
	struct mr_stream *s = mr_alloc(sizeof(*s));

	mr_req_add_header(req, "X-Accel-Buffering", "no"); /* a proxy in between must not wait for more */
	mr_req_begin(req, status, content_type);
	req->h2o->res.content_length = length;
	*s = (struct mr_stream){.magic = MR_STREAM_MAGIC, .net = net, .req = req, .handler = *handler};
	s->generator.proceed = on_proceed;
	s->last = mr_mono_us();
	s->watch = mr_watch_new(net->loop, mr_net_fd(req), MR_READ, on_watch, s);
	req->stream = s;
	mr_list_add_tail(&net->streams, &s->link);
	if (!mr_timer_running(net->heartbeat))
		mr_timer_start(net->heartbeat, HEARTBEAT_STEP_US);
	mr_req_start(req, &s->generator);
	mark(s);
	return s;
}

struct mr_stream *mr_req_stream(struct mr_req *req, const char *content_type, const struct mr_stream_handler *handler)
{
	struct mr_stream *s = start(req, 200, content_type, MR_LENGTH_UNKNOWN, handler);

	s->events = strncmp(content_type, "text/event-stream", 17) == 0;
	if (s->events)
		mr_buf_z(&s->queue, ":\n\n"); /* makes the head of the response leave at once */
	return s;
}

struct mr_stream *mr_req_stream_body(struct mr_req *req, int status, size_t length, const struct mr_stream_handler *handler)
{
	struct mr_stream *s = start(req, status, NULL, length, handler);

	s->head_due = s->body = true;
	return s;
}

void mr_stream_send(struct mr_stream *s, struct mr_str bytes)
{
	MR_ASSERT(s->magic == MR_STREAM_MAGIC);
	if (s->closing || !s->req || bytes.n == 0)
		return;
	mr_buf_str(&s->queue, bytes);
	s->owes_drained = true;
	mark(s);
}

size_t mr_stream_pending(const struct mr_stream *s)
{
	return s->queue.n + s->flying.n;
}

struct mr_req *mr_stream_req(const struct mr_stream *s)
{
	return s->req;
}

void mr_stream_close(struct mr_stream *s)
{
	MR_ASSERT(s->magic == MR_STREAM_MAGIC);
	s->closing = true;
	mark(s);
}

/* A reset, since to an old client, or behind a proxy, a mere end could look like the body's. */
void mr_stream_cut(struct mr_stream *s)
{
	static const struct linger at_once = {.l_onoff = 1};

	MR_ASSERT(s->magic == MR_STREAM_MAGIC);
	if (!s->req || s->cut)
		return;
	setsockopt(mr_net_fd(s->req), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	s->cut = s->closing = true;
	mr_buf_fini(&s->queue);
	if (s->is_flying) /* the write fails now, and h2o then closes */
		shutdown(mr_net_fd(s->req), SHUT_RDWR);
	mark(s);
}

/* Last bytes and the end. h2o may free the request at once, and the bytes must outlive the stream: they go to the request's pool. */
static void send_last(struct mr_stream *s)
{
	h2o_req_t *h = s->req->h2o;
	h2o_iovec_t bytes = {NULL, 0};

	if (s->queue.n)
		bytes = h2o_strdup(&h->pool, s->queue.p, s->queue.n);
	mr_count_own(&s->net->bytes_sent, (int64_t)bytes.len);
	h2o_send(part(s), &bytes, bytes.len ? 1 : 0, H2O_SEND_STATE_FINAL);
}

static void send_queue(struct mr_stream *s)
{
	s->head_due = false;
	s->flying = s->queue;
	s->queue = (struct mr_buf){0};
	s->is_flying = true;
	s->last = mr_mono_us();
	mr_count_own(&s->net->bytes_sent, (int64_t)s->flying.n);
	h2o_iovec_t bytes = {s->flying.p, s->flying.n};
	h2o_send(s->req->h2o, &bytes, bytes.len ? 1 : 0, H2O_SEND_STATE_IN_PROGRESS);
}

static void finish(struct mr_stream *s)
{
	if (s->handler.closed)
		s->handler.closed(s->handler.arg);
	mr_list_del(&s->dirty);
	mr_list_del(&s->link);
	mr_buf_fini(&s->queue);
	mr_buf_fini(&s->flying);
	s->magic = 0;
	free(s);
}

static void flush(struct mr_stream *s)
{
	if (s->req && !s->is_flying && s->cut)
		h2o_send(part(s), NULL, 0, H2O_SEND_STATE_ERROR);
	else if (s->req && !s->is_flying && s->closing)
		send_last(s);
	else if (s->req && !s->is_flying && (s->queue.n || s->head_due))
		send_queue(s);
	if (!s->req)
		finish(s);
}

void mr_net_flush_streams(struct mr_net *net)
{
	for (struct mr_list *e; (e = mr_net_pop(&net->dirty_streams));)
		flush(MR_CONTAINER(e, struct mr_stream, dirty));
}

static void on_heartbeat(void *arg)
{
	struct mr_net *net = arg;
	int64_t now = mr_mono_us();

	MR_LIST_FOR (e, &net->streams) {
		struct mr_stream *s = MR_CONTAINER(e, struct mr_stream, link);
		if (s->events && s->req && !s->closing && !mr_stream_pending(s) && now - s->last >= HEARTBEAT_US) {
			mr_buf_z(&s->queue, ":\n\n");
			mark(s);
		}
	}
	if (!mr_list_empty(&net->streams))
		mr_timer_start(net->heartbeat, HEARTBEAT_STEP_US);
}

void mr_net_stream_init(struct mr_net *net)
{
	mr_list_init(&net->streams);
	mr_list_init(&net->dirty_streams);
	net->heartbeat = mr_timer_new(net->loop, on_heartbeat, net);
}

void mr_net_close_streams(struct mr_net *net)
{
	MR_LIST_FOR (e, &net->streams) {
		struct mr_stream *s = MR_CONTAINER(e, struct mr_stream, link);
		if (s->req)
			s->req->h2o->http1_is_persistent = 0;
		if (s->body && !s->closing)
			mr_stream_cut(s);
		else
			mr_stream_close(s);
	}
}

void mr_net_stream_fini(struct mr_net *net)
{
	mr_timer_delete(&net->heartbeat);
}
