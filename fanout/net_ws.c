/* WebSockets: the upgrade, reading, writing, signs of life, closing. Frames are ws.c's.
 *
 *   open ----------> closing ------------> lingering ------> dead
 *    | mr_ws_close,   our close frame is    it is out; what   freed at the end of the turn
 *    | peer's close,  queued                comes is dropped,
 *    | bad frame                            until EOF or 2 s
 *    +--- EOF, error -----------------------------------------^
 *
 * The user hears ws_closed at the end of the turn in which "open" ends, and nothing after it. There is no Origin check: an upgrade carries
 * no authority, since tokens travel in messages and cookies are not used. permessage-deflate is not spoken: an offer is passed over, as the
 * RFC allows; answering it would be choose_extensions beside choose_protocol, and RSV1 in ws.c.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "net_inner.h"
#include "proto/ground/log.h"

enum { SLOTS = 2, FRAMES_A_WRITE = 1024, FRAMES_MOST = 4096 };
enum { CLOSE_US = 2 * 1000000, LEAVE_US = 200000, JANITOR_STEP_US = 10000 };

enum state { OPEN, CLOSING, LINGERING, DEAD };

struct mr_ws {
	unsigned magic;
	enum state state;
	enum mr_encoding encoding;
	bool told;         /* ws_closed was called; the user is gone */
	bool peer_closed;  /* its close frame came first: we close as soon as ours is out */
	bool owes_drained; /* frames of the user are under way */
	bool paused;       /* it is not read, since it does not read */
	struct mr_net *net;
	h2o_socket_t *sock;
	void *user;
	struct mr_list link; /* net->awake, pinged, closing */
	struct mr_list dirty;
	int64_t since;  /* heard of last; closing: began */
	uint64_t acked; /* bytes that the peer had acknowledged when it was pinged */
	char *reason;   /* for ws_closed */
	/* Frames in order, the first n_flying of them being written. `slots` until there are more. */
	struct mr_frame **frames;
	struct mr_frame *slots[SLOTS];
	unsigned n, cap, n_flying;
	int pong_at; /* place of a pong that is not yet being written; -1: none */
	size_t pending;
	struct mr_ws_reader reader;
};

static void janitor_at(struct mr_net *net, int64_t due);

static void mark(struct mr_ws *ws)
{
	if (!mr_list_linked(&ws->dirty))
		mr_list_add_tail(&ws->net->dirty_ws, &ws->dirty);
}

/* --- queue --- */

static void push(struct mr_ws *ws, struct mr_frame *frame)
{
	if (ws->n == ws->cap) {
		bool small = ws->frames == ws->slots;
		ws->cap *= 2;
		ws->frames = mr_realloc(small ? NULL : ws->frames, ws->cap * sizeof(struct mr_frame *));
		if (small)
			memcpy(ws->frames, ws->slots, ws->n * sizeof(struct mr_frame *));
	}
	ws->frames[ws->n++] = frame;
	ws->pending += frame->n;
	mark(ws);
}

/* Drops the first k frames. */
static void shift(struct mr_ws *ws, unsigned k)
{
	for (unsigned i = 0; i < k; i++) {
		ws->pending -= ws->frames[i]->n;
		mr_frame_drop(&ws->frames[i]);
	}
	ws->n -= k;
	ws->pong_at = MR_MAX(ws->pong_at - (int)k, -1);
	if (ws->n) {
		memmove(ws->frames, ws->frames + k, ws->n * sizeof(struct mr_frame *));
	} else if (ws->frames != ws->slots) {
		free(ws->frames);
		ws->frames = ws->slots;
		ws->cap = SLOTS;
	}
}

void mr_ws_send(struct mr_ws *ws, struct mr_frame *frame)
{
	MR_ASSERT(ws->magic == MR_WS_MAGIC);
	if (ws->state != OPEN)
		return;
	push(ws, mr_frame_hold(frame));
	ws->owes_drained = true;
}

size_t mr_ws_pending(const struct mr_ws *ws)
{
	return ws->pending;
}

/* --- states --- */

/* Leaves "open"; frame may be NULL. The reason is the user's. */
static void leave_open(struct mr_ws *ws, enum state state, struct mr_frame *frame, const char *reason)
{
	MR_ASSERT(ws->state == OPEN && state != OPEN);
	ws->state = state;
	ws->reason = mr_strdup(reason);
	if (frame)
		push(ws, frame);
	mr_list_del(&ws->link);
	mr_list_add_tail(&ws->net->closing, &ws->link);
	ws->since = mr_mono_us();
	janitor_at(ws->net, ws->since + (ws->net->deleting ? LEAVE_US : CLOSE_US));
	mark(ws);
}

static void die(struct mr_ws *ws, const char *reason)
{
	h2o_socket_read_stop(ws->sock);
	if (ws->state == OPEN)
		leave_open(ws, DEAD, NULL, reason);
	ws->state = DEAD;
	mark(ws);
}

void mr_ws_close(struct mr_ws *ws, int code, const char *reason)
{
	MR_ASSERT(ws->magic == MR_WS_MAGIC);
	if (ws->state == OPEN)
		leave_open(ws, CLOSING, mr_frame_close(code, reason), reason);
}

/* Everything is out. */
static void linger(struct mr_ws *ws)
{
	if (ws->peer_closed) {
		die(ws, "");
		return;
	}
	ws->state = LINGERING;
	shutdown(h2o_socket_get_fd(ws->sock), SHUT_WR);
}

static void destroy(struct mr_ws *ws)
{
	shift(ws, ws->n); /* a write under way has no callback after the close */
	mr_ws_reader_fini(&ws->reader);
	mr_list_del(&ws->link);
	mr_list_del(&ws->dirty);
	if (ws->sock)
		h2o_socket_close(ws->sock);
	free(ws->reason);
	ws->magic = 0;
	free(ws);
}

/* --- writing --- */

static void on_readable(h2o_socket_t *sock, const char *err);
static void pause_reading(struct mr_ws *ws);

static void on_written(h2o_socket_t *sock, const char *err)
{
	struct mr_ws *ws = sock->data;

	if (err) {
		die(ws, "the connection broke while writing");
		return;
	}
	shift(ws, ws->n_flying);
	ws->n_flying = 0;
	pause_reading(ws);
	if (ws->n) {
		mark(ws);
	} else if (ws->state == CLOSING) {
		linger(ws);
	} else if (ws->state == OPEN && ws->owes_drained) {
		ws->owes_drained = false;
		ws->net->config.ws_drained(ws->user);
	}
}

static void write_queue(struct mr_ws *ws)
{
	h2o_iovec_t bufs[FRAMES_A_WRITE];
	size_t bytes = 0;

	ws->n_flying = MR_MIN(ws->n, (unsigned)FRAMES_A_WRITE);
	for (unsigned i = 0; i < ws->n_flying; i++) {
		bufs[i] = h2o_iovec_init(ws->frames[i]->bytes, ws->frames[i]->n);
		bytes += ws->frames[i]->n;
	}
	ws->net->bytes_sent += bytes;
	h2o_socket_write(ws->sock, bufs, ws->n_flying, on_written);
}

static void tell_closed(struct mr_ws *ws)
{
	void *user = ws->user;

	ws->told = true;
	ws->user = NULL;
	mr_ws_reader_fini(&ws->reader); /* not earlier: the user may have closed from within ws_message, whose payload lies there */
	ws->net->config.ws_closed(user, ws->reason);
}

static void flush(struct mr_ws *ws)
{
	if (ws->state != OPEN && !ws->told)
		tell_closed(ws);
	if (ws->state == DEAD) {
		destroy(ws);
		return;
	}
	if (ws->n && !h2o_socket_is_writing(ws->sock))
		write_queue(ws);
}

void mr_net_flush_ws(struct mr_net *net)
{
	for (struct mr_list *e; (e = mr_net_pop(&net->dirty_ws));)
		flush(MR_CONTAINER(e, struct mr_ws, dirty));
}

/* --- reading --- */

static void heard(struct mr_ws *ws)
{
	ws->since = mr_mono_us();
	mr_list_del(&ws->link);
	mr_list_add_tail(&ws->net->awake, &ws->link);
}

/* Only the latest ping is owed an answer, so that a flood of them piles up nothing. */
static void answer_ping(struct mr_ws *ws, struct mr_str payload)
{
	struct mr_frame *pong = mr_frame_control(MR_WS_OP_PONG, payload);

	if (ws->pong_at >= (int)ws->n_flying) {
		struct mr_frame **slot = &ws->frames[ws->pong_at];
		ws->pending += pong->n - (*slot)->n;
		mr_frame_drop(slot);
		*slot = pong;
	} else {
		push(ws, pong);
		ws->pong_at = (int)ws->n - 1;
	}
}

static void on_peer_close(struct mr_ws *ws, const struct mr_ws_event *ev)
{
	char reason[200];

	snprintf(reason, sizeof(reason), "closed by the client (%d%s%.*s)", ev->code, ev->payload.n ? " " : "", (int)ev->payload.n,
		ev->payload.n ? ev->payload.p : "");
	ws->peer_closed = true;
	leave_open(ws, CLOSING, mr_frame_close(ev->code, NULL), reason);
}

static void on_bad(struct mr_ws *ws, const struct mr_ws_event *ev)
{
	char reason[100];

	snprintf(reason, sizeof(reason), ev->code == MR_WS_SIZE ? "%s (%zu bytes)" : "%s", ev->reason, ws->net->config.max_frame);
	mr_ws_close(ws, ev->code, reason);
}

static void on_event(struct mr_ws *ws, const struct mr_ws_event *ev)
{
	switch (ev->kind) {
	case MR_WS_MESSAGE:
		ws->net->config.ws_message(ws->user, ev->payload);
		break;
	case MR_WS_PING:
		answer_ping(ws, ev->payload);
		break;
	case MR_WS_CLOSE:
		on_peer_close(ws, ev);
		break;
	case MR_WS_BAD:
		on_bad(ws, ev);
		break;
	case MR_WS_PONG:
	case MR_WS_MORE:
		break;
	}
}

static void feed(struct mr_ws *ws, char *p, size_t n)
{
	struct mr_ws_event ev;

	heard(ws);
	do {
		ev = mr_ws_read(&ws->reader, &p, &n);
		on_event(ws, &ev);
	} while (ev.kind != MR_WS_MORE && ws->state == OPEN);
}

/* Who asks and asks and does not read the answers is not asked for more: what waits for one client is bounded. */
static void pause_reading(struct mr_ws *ws)
{
	size_t most = ws->net->config.unread_most;
	bool full = ws->n > FRAMES_MOST || (most && ws->pending > most);
	if (ws->state != OPEN || full == ws->paused)
		return;
	ws->paused = full;
	if (full)
		h2o_socket_read_stop(ws->sock);
	else
		h2o_socket_read_start(ws->sock, on_readable);
}

/* One read a turn, into a buffer that all share: who sends much waits for the others, and idle connections hold nothing. */
static void on_readable(h2o_socket_t *sock, const char *err)
{
	struct mr_ws *ws = sock->data;
	struct mr_net *net = ws->net;
	ssize_t n = recv(h2o_socket_get_fd(sock), net->scratch, sizeof(net->scratch), 0);

	if (n > 0 && ws->state == OPEN) {
		feed(ws, net->scratch, (size_t)n);
		pause_reading(ws);
	} else if (n == 0) {
		die(ws, "the client left without a close frame");
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		die(ws, "the connection broke");
	}
}

/* --- signs of life --- */

static uint64_t bytes_acked(const struct mr_ws *ws)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);

	getsockopt(h2o_socket_get_fd(ws->sock), IPPROTO_TCP, TCP_INFO, &info, &n);
	return info.tcpi_bytes_acked;
}

static void ping(struct mr_ws *ws)
{
	ws->acked = bytes_acked(ws);
	push(ws, mr_frame_control(MR_WS_OP_PING, MR_STR("")));
	mr_list_del(&ws->link);
	mr_list_add_tail(&ws->net->pinged, &ws->link);
}

/* Silent for twice the interval. Who is busy reading a long queue cannot answer the ping behind it, and is alive. */
static void give_up(struct mr_ws *ws)
{
	if (ws->pending && bytes_acked(ws) != ws->acked)
		heard(ws);
	else
		mr_ws_close(ws, MR_WS_AWAY, "no sign of life");
}

static struct mr_ws *first(struct mr_list *list)
{
	return mr_list_empty(list) ? NULL : MR_CONTAINER(list->next, struct mr_ws, link);
}

static struct mr_ws *overdue(struct mr_list *list, int64_t limit, int64_t now)
{
	struct mr_ws *ws = first(list);
	return ws && now - ws->since >= limit ? ws : NULL;
}

static void janitor_at(struct mr_net *net, int64_t due)
{
	if (mr_timer_running(net->janitor) && net->janitor_due <= due)
		return;
	net->janitor_due = due;
	mr_timer_start(net->janitor, MR_MAX(due - mr_mono_us(), (int64_t)JANITOR_STEP_US));
}

static void plan(struct mr_net *net, struct mr_list *list, int64_t limit)
{
	struct mr_ws *ws = first(list);
	if (ws)
		janitor_at(net, ws->since + limit);
}

static void on_janitor(void *arg)
{
	struct mr_net *net = arg;
	int64_t now = mr_mono_us(), interval = net->config.ping_interval_ms * 1000;
	int64_t close_after = net->deleting ? LEAVE_US : CLOSE_US;
	struct mr_ws *ws;

	while ((ws = overdue(&net->awake, interval, now)))
		ping(ws);
	while ((ws = overdue(&net->pinged, 2 * interval, now)))
		give_up(ws);
	while ((ws = overdue(&net->closing, close_after, now))) {
		mr_list_del(&ws->link);
		die(ws, "");
	}
	plan(net, &net->awake, interval);
	plan(net, &net->pinged, 2 * interval);
	plan(net, &net->closing, close_after);
}

/* --- upgrade --- */

static bool fail_upgrade(struct mr_req *req, struct mr_error *err)
{
	mr_req_add_header(req, "Upgrade", "websocket");
	mr_req_add_header(req, "Sec-WebSocket-Version", "13");
	return mr_fail(err, MR_PROTOCOL_MISMATCH, "this is a WebSocket of version 13 (RFC 6455)");
}

/* The first offered subprotocol that we know, in the client's order. */
static bool choose_protocol(const h2o_req_t *h, enum mr_encoding *encoding)
{
	static const char *const names[MR_ENCODINGS] = {[MR_JSON] = "millrace.v1.json", [MR_MSGPACK] = "millrace.v1.msgpack"};

	for (ssize_t at = -1; (at = h2o_find_header_by_str(&h->headers, H2O_STRLIT("sec-websocket-protocol"), at)) != -1;) {
		h2o_iovec_t list = h->headers.entries[at].value;
		size_t n;
		for (const char *name; (name = h2o_next_token(&list, ',', &n, NULL)) != NULL;)
			for (int e = 0; e < MR_ENCODINGS; e++)
				if (mr_str_is((struct mr_str){name, n}, names[e])) {
					*encoding = (enum mr_encoding)e;
					return true;
				}
	}
	return false;
}

static bool check_upgrade(struct mr_req *req, enum mr_encoding *encoding, char accept[29], struct mr_error *err)
{
	const h2o_req_t *h = req->h2o;

	if (!mr_str_is(mr_req_method(req), "GET")) {
		mr_req_add_header(req, "Allow", "GET");
		return mr_fail(err, MR_METHOD_NOT_ALLOWED, "a WebSocket is opened with GET");
	}
	if (h->version < 0x101 || !h->upgrade.base || !h2o_lcstris(h->upgrade.base, h->upgrade.len, H2O_STRLIT("websocket")))
		return fail_upgrade(req, err);
	if (!mr_str_is(mr_req_header(req, "sec-websocket-version"), "13"))
		return fail_upgrade(req, err);
	if (!mr_ws_accept(mr_req_header(req, "sec-websocket-key"), accept))
		return mr_fail(err, MR_BAD_MESSAGE, "Sec-WebSocket-Key is not 16 bytes in base64");
	if (!choose_protocol(h, encoding))
		return mr_fail(
			err, MR_BAD_MESSAGE, "offer the subprotocol millrace.v1.msgpack or millrace.v1.json in Sec-WebSocket-Protocol");
	return true;
}

static void on_upgraded(void *arg, h2o_socket_t *sock, size_t request_bytes)
{
	struct mr_ws *ws = arg;
	struct mr_net *net = ws->net;

	ws->sock = sock;
	if (!sock) {
		destroy(ws);
		return;
	}
	sock->data = ws;
	h2o_buffer_consume(&sock->input, request_bytes);
	h2o_socket_dont_read(sock, 1);
	h2o_socket_read_start(sock, on_readable);
	ws->user = net->config.ws_open(ws, ws->encoding, net->config.arg);
	if (ws->state == OPEN)
		heard(ws);
	if (net->deleting)
		mr_ws_close(ws, MR_WS_AWAY, "the server is stopping");
	janitor_at(net, ws->since + net->config.ping_interval_ms * 1000);
	if (ws->state == OPEN && sock->input->size) /* it did not wait for our answer */
		feed(ws, sock->input->bytes, sock->input->size);
	h2o_buffer_consume(&sock->input, sock->input->size);
}

static void upgrade(struct mr_req *req, enum mr_encoding encoding, const char *accept)
{
	struct mr_net *net = req->net;
	struct mr_ws *ws = mr_alloc(sizeof(*ws));

	ws->magic = MR_WS_MAGIC;
	ws->net = net;
	ws->encoding = encoding;
	ws->frames = ws->slots;
	ws->cap = SLOTS;
	ws->pong_at = -1;
	mr_ws_reader_init(&ws->reader, encoding, net->config.max_frame);
	mr_req_add_header(req, "Upgrade", "websocket");
	mr_req_add_header(req, "Sec-WebSocket-Accept", accept);
	mr_req_add_header(req, "Sec-WebSocket-Protocol", encoding == MR_JSON ? "millrace.v1.json" : "millrace.v1.msgpack");
	mr_req_begin(req, 101, NULL);
	h2o_http1_upgrade(req->h2o, NULL, 0, on_upgraded, ws);
}

void mr_net_ws_request(struct mr_req *req)
{
	enum mr_encoding encoding = MR_MSGPACK;
	char accept[29];
	struct mr_error err = {0};

	if (check_upgrade(req, &encoding, accept, &err))
		upgrade(req, encoding, accept);
	else
		mr_req_error(req, &err);
}

/* --- life --- */

void mr_net_ws_init(struct mr_net *net)
{
	mr_list_init(&net->awake);
	mr_list_init(&net->pinged);
	mr_list_init(&net->closing);
	mr_list_init(&net->dirty_ws);
	net->janitor = mr_timer_new(net->loop, on_janitor, net);
}

void mr_net_close_ws(struct mr_net *net)
{
	for (struct mr_ws *ws; (ws = first(&net->awake)) || (ws = first(&net->pinged));)
		mr_ws_close(ws, MR_WS_AWAY, "the server is stopping");
}

void mr_net_ws_fini(struct mr_net *net)
{
	mr_timer_delete(&net->janitor);
}
