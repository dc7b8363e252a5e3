/* WebSockets: reading, signs of life, closing. Writing is net_ws_out.c's, the upgrade net_ws_upgrade.c's, and the bytes within a frame are
 * ws.c's.
 */
#include "net_ws.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/log.h"
#include "rates.h"

enum {
	CLOSE_US = 2 * 1000000,
	LEAVE_US = 200000,
	JANITOR_STEP_US = 10000,
	FRAMES_MOST = 4096,
	READ_MOST = 16 * 1024,
	/* Of a turn, for writing to those who have something new. What others ask needs several turns until it is answered, so where
	 * there is much to write turns are short. */
	SLICE_US = 8000,
	REST_US = 4000,
	MUCH_US = 1000,
	AT_LEAST = 16, /* frames between two looks at the clock */
};

static void janitor_at(struct mr_net *net, int64_t due);
static void pause_reading(struct mr_ws *ws);
static void on_readable(h2o_socket_t *sock, const char *err);

/* --- states --- */

/* Leaves "open". The reason is the user's. */
static void leave_open(struct mr_ws *ws, enum mr_ws_state state, const char *reason)
{
	MR_ASSERT(ws->state == MR_WS_OPEN && state != MR_WS_OPEN);
	ws->state = state;
	ws->reason = mr_strdup(reason);
	mr_list_del(&ws->link);
	mr_list_add_tail(&ws->net->closing, &ws->link);
	ws->since = mr_mono_us();
	janitor_at(ws->net, ws->since + (ws->net->deleting ? LEAVE_US : CLOSE_US));
	mr_ws_mark(ws);
}

void mr_ws_die(struct mr_ws *ws, const char *reason)
{
	h2o_socket_read_stop(ws->sock);
	if (ws->state == MR_WS_OPEN)
		leave_open(ws, MR_WS_DEAD, reason);
	ws->state = MR_WS_DEAD;
	mr_ws_mark(ws);
}

void mr_ws_close(struct mr_ws *ws, int code, const char *reason)
{
	MR_ASSERT(ws->magic == MR_WS_MAGIC);
	if (ws->state != MR_WS_OPEN)
		return;
	leave_open(ws, MR_WS_CLOSING, reason);
	mr_ws_push(ws, mr_frame_close(code, reason));
}

/* The same at once: the peer hears nothing more, or broke the protocol. What it has not been sent, it does not get. */
static void close_now(struct mr_ws *ws, int code, const char *told, const char *reason)
{
	leave_open(ws, MR_WS_CLOSING, reason);
	mr_ws_cut(ws);
	mr_ws_urge(ws, MR_WS_OUR_CLOSE, mr_frame_close(code, told));
}

void mr_ws_delete(struct mr_ws *ws)
{
	mr_ws_drop_all(ws); /* a write under way has no callback after the close */
	mr_ws_reader_fini(&ws->reader);
	mr_list_del(&ws->link);
	if (ws->sock)
		h2o_socket_close(ws->sock);
	mr_rates_leave(ws->net->config.rates, ws->entered);
	free(ws->reason);
	ws->magic = 0;
	free(ws);
}

static void linger(struct mr_ws *ws)
{
	if (ws->peer_closed) {
		mr_ws_die(ws, "");
		return;
	}
	ws->state = MR_WS_LINGERING;
	shutdown(ws->fd, SHUT_WR);
}

void mr_ws_all_out(struct mr_ws *ws)
{
	if (ws->state == MR_WS_CLOSING) {
		linger(ws);
	} else if (ws->state == MR_WS_OPEN && ws->owes_drained) {
		ws->owes_drained = false;
		if (ws->wants_drained)
			ws->net->config.ws_drained(ws->user);
	}
}

/* --- the end of a turn --- */

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
	ws->dirty = false;
	if (ws->state != MR_WS_OPEN && !ws->told)
		tell_closed(ws);
	if (ws->state == MR_WS_DEAD) {
		mr_ws_delete(ws);
		return;
	}
	if (ws->waiting || ws->state == MR_WS_LINGERING)
		return;
	mr_ws_write(ws);
	if (ws->paused)
		pause_reading(ws);
}

/* The kernel takes its time with the one before, and needs the cache for it. */
void mr_ws_fetch(const struct mr_ws *ws)
{
	__builtin_prefetch(ws);
	__builtin_prefetch((const char *)ws + 64);
}

bool mr_net_has_time(struct mr_net *net)
{
	if (net->at_once++ % AT_LEAST == 0) {
		int64_t now = mr_mono_us();
		if (net->at_once == 1)
			net->at_once_until = now + (net->more ? REST_US : SLICE_US);
		net->late = now > net->at_once_until;
	}
	return !net->late;
}

/* As many as there is time for, and at least some; gives where it stopped. */
static size_t flush_from(struct mr_ws_batch *batch, size_t i, int64_t slice_us)
{
	int64_t until = mr_mono_us() + slice_us;

	for (; i < batch->n; i++) {
		if (i % AT_LEAST == 0 && i && mr_mono_us() > until)
			break;
		if (i + 1 < batch->n)
			mr_ws_fetch(batch->v[i + 1]);
		flush(batch->v[i]);
	}
	return i;
}

/* Those who had their turn make room, when they are many: else it would grow for as long as somebody is left. */
static void make_room(struct mr_ws_rest *rest, size_t more)
{
	struct mr_ws_batch *b = &rest->ws;

	if (b->n + more <= b->cap)
		return;
	if (rest->from > b->n / 2) {
		b->n -= rest->from;
		memmove(b->v, b->v + rest->from, b->n * sizeof(struct mr_ws *));
		rest->from = 0;
	}
	if (b->n + more > b->cap) {
		b->cap = 2 * (b->n + more);
		b->v = mr_realloc(b->v, b->cap * sizeof(struct mr_ws *));
	}
}

static void add_rest(struct mr_net *net, struct mr_ws_rest *rest, struct mr_ws *const *ws, size_t n)
{
	if (!mr_net_has_rest(net))
		net->rest_since = mr_mono_us();
	make_room(rest, n);
	memcpy(rest->ws.v + rest->ws.n, ws, n * sizeof(*ws));
	rest->ws.n += n;
}

/* Those for whom there is much have their turn among themselves; they are taken out of the batch. */
static void take_much(struct mr_net *net, struct mr_ws_batch *batch)
{
	size_t little = 0;

	for (size_t i = 0; i < batch->n; i++) {
		struct mr_ws *ws = batch->v[i];
		if (mr_ws_pending(ws) > MR_WS_MUCH && !ws->waiting)
			add_rest(net, &net->rest[1], &ws, 1);
		else
			batch->v[little++] = ws;
	}
	batch->n = little;
}

static void flush_rest(struct mr_ws_rest *rest, int64_t slice_us)
{
	rest->from = flush_from(&rest->ws, rest->from, slice_us);
	if (rest->from < rest->ws.n)
		return;
	free(rest->ws.v);
	*rest = (struct mr_ws_rest){0};
}

bool mr_net_has_rest(const struct mr_net *net)
{
	return net->more || net->rest[0].ws.n || net->rest[1].ws.n;
}

void mr_net_more(struct mr_net *net, bool more)
{
	if (more && !mr_net_has_rest(net))
		net->rest_since = mr_mono_us();
	net->more = more;
}

/* What comes up meanwhile has its turn after all others have had theirs. Where there are so many that others would wait for it, some have
 * theirs later: then those for whom something comes up next go before them; and who gets little waits for nobody who gets much. */
void mr_net_flush_ws(struct mr_net *net)
{
	static const int64_t slices_us[] = {REST_US, MUCH_US};
	struct mr_ws_batch batch = net->dirty_ws;

	net->dirty_ws = net->spare_ws;
	net->spare_ws = (struct mr_ws_batch){0};
	take_much(net, &batch);
	size_t done = flush_from(&batch, 0, net->late ? 0 : SLICE_US);
	net->late = false;
	net->at_once = 0;
	if (done < batch.n)
		add_rest(net, &net->rest[0], batch.v + done, batch.n - done);
	for (size_t k = 0; k < MR_COUNT(net->rest); k++)
		if (net->rest[k].ws.n)
			flush_rest(&net->rest[k], slices_us[k]);
	batch.n = 0;
	free(net->spare_ws.v);
	net->spare_ws = batch;
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
	mr_ws_urge(ws, MR_WS_OUR_PONG, mr_frame_control(MR_WS_OP_PONG, payload));
}

static void on_peer_close(struct mr_ws *ws, const struct mr_ws_event *ev)
{
	char reason[200];

	snprintf(reason, sizeof(reason), "closed by the client (%d%s%.*s)", ev->code, ev->payload.n ? " " : "", (int)ev->payload.n,
		ev->payload.n ? ev->payload.p : "");
	ws->peer_closed = true;
	close_now(ws, ev->code, NULL, reason);
}

static void on_bad(struct mr_ws *ws, const struct mr_ws_event *ev)
{
	char reason[100];

	snprintf(reason, sizeof(reason), ev->code == MR_WS_SIZE ? "%s (%zu bytes)" : "%s", ev->reason, ws->net->config.max_frame);
	close_now(ws, ev->code, reason, reason);
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
		ev = mr_ws_read(&ws->reader, ws->net->deflate, &p, &n);
		on_event(ws, &ev);
	} while (ev.kind != MR_WS_MORE && ws->state == MR_WS_OPEN);
}

/* Who asks and asks and does not read the answers is not asked for more: what waits for one client is bounded. */
static void pause_reading(struct mr_ws *ws)
{
	size_t most = ws->net->config.unread_most;
	bool full = ws->queue.n - ws->queue.head > FRAMES_MOST || (most && mr_ws_pending(ws) > most);
	if (ws->state != MR_WS_OPEN || full == ws->paused)
		return;
	ws->paused = full;
	if (full)
		h2o_socket_read_stop(ws->sock);
	else
		h2o_socket_read_start(ws->sock, on_readable);
}

static void on_plain(struct mr_ws *ws)
{
	struct mr_net *net = ws->net;
	ssize_t n = recv(ws->fd, net->scratch, READ_MOST, 0);

	if (n > 0 && ws->state == MR_WS_OPEN) {
		feed(ws, net->scratch, (size_t)n);
		pause_reading(ws);
	} else if (n == 0) {
		mr_ws_die(ws, "the client left without a close frame");
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		mr_ws_die(ws, "the connection broke");
	}
}

/* h2o has read and decrypted; an empty buffer goes back to its store. */
static void on_decrypted(struct mr_ws *ws, const char *err)
{
	h2o_buffer_t **input = &ws->sock->input;

	if ((*input)->size && ws->state == MR_WS_OPEN) {
		feed(ws, (*input)->bytes, (*input)->size);
		pause_reading(ws);
	}
	h2o_buffer_consume(input, (*input)->size);
	if (err)
		mr_ws_die(ws, err == h2o_socket_error_closed ? "the client left without a close frame" : "the connection broke");
}

/* One read a turn, into a buffer that all share: who sends much waits for the others, and idle connections hold nothing. */
static void on_readable(h2o_socket_t *sock, const char *err)
{
	struct mr_ws *ws = sock->data;

	if (ws->tls)
		on_decrypted(ws, err);
	else
		on_plain(ws);
}

/* --- signs of life --- */

static uint32_t bytes_acked(const struct mr_ws *ws)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);

	getsockopt(ws->fd, IPPROTO_TCP, TCP_INFO, &info, &n);
	return (uint32_t)info.tcpi_bytes_acked;
}

static void ping(struct mr_ws *ws)
{
	ws->acked = bytes_acked(ws);
	mr_ws_urge(ws, MR_WS_OUR_PING, mr_frame_control(MR_WS_OP_PING, MR_STR("")));
	mr_list_del(&ws->link);
	mr_list_add_tail(&ws->net->pinged, &ws->link);
}

/* Silent for twice the interval. Who is busy reading a long queue cannot answer the ping behind it, and is alive. */
static void give_up(struct mr_ws *ws)
{
	if (mr_ws_pending(ws) && bytes_acked(ws) != ws->acked)
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
		mr_ws_die(ws, "");
	}
	plan(net, &net->awake, interval);
	plan(net, &net->pinged, 2 * interval);
	plan(net, &net->closing, close_after);
}

/* --- life --- */

void mr_net_ws_init(struct mr_net *net)
{
	mr_list_init(&net->awake);
	mr_list_init(&net->pinged);
	mr_list_init(&net->closing);
	net->deflate = mr_deflate_new();
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
	mr_deflate_delete(&net->deflate);
	free(net->dirty_ws.v);
	for (size_t k = 0; k < MR_COUNT(net->rest); k++)
		free(net->rest[k].ws.v);
	free(net->spare_ws.v);
}

uint64_t mr_ws_address(const struct mr_ws *ws)
{
	return ws->address;
}

struct mr_ws *mr_ws_new(struct mr_net *net, enum mr_encoding encoding, const struct mr_ws_deflate *deflate)
{
	struct mr_ws *ws = mr_alloc(sizeof(*ws));

	ws->magic = MR_WS_MAGIC;
	ws->net = net;
	ws->encoding = (uint8_t)encoding;
	ws->deflates = deflate && mr_ws_deflate_out(deflate);
	mr_ws_reader_init(&ws->reader, encoding, net->config.max_frame, deflate != NULL);
	return ws;
}

void mr_ws_start(struct mr_ws *ws, h2o_socket_t *sock)
{
	struct mr_net *net = ws->net;

	ws->sock = sock;
	ws->fd = h2o_socket_get_fd(sock);
	ws->tls = sock->ssl != NULL;
	sock->data = ws;
	h2o_socket_dont_read(sock, !ws->tls);
	h2o_socket_read_start(sock, on_readable);
	ws->user = net->config.ws_open(ws, (enum mr_encoding)ws->encoding, net->config.arg);
	if (ws->state == MR_WS_OPEN)
		heard(ws);
	if (net->deleting)
		mr_ws_close(ws, MR_WS_AWAY, "the server is stopping");
	janitor_at(net, ws->since + net->config.ping_interval_ms * 1000);
	if (ws->state == MR_WS_OPEN && sock->input->size) /* it did not wait for our answer */
		feed(ws, sock->input->bytes, sock->input->size);
	h2o_buffer_consume(&sock->input, sock->input->size);
}
