/* WebSockets: what waits for each of them, and writing it. h2o is asked for nothing on a plain socket but to tell when there is room again:
 * one send() of one buffer is all that a delivery costs.
 *
 * Small frames that wait together go out in one copied piece, since the kernel takes one buffer faster than two (1.13 x); large ones go as
 * they are. A socket gets no more than a quantum each turn, then it is the others' turn.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net_ws.h"
#include "proto/ground/log.h"

enum { QUANTUM = 256 << 10, COPIED_MOST = 16 << 10, SLOTS = MR_COUNT(((struct mr_ws_queue *)0)->slots) };

void mr_ws_mark(struct mr_ws *ws)
{
	struct mr_ws_batch *b = &ws->net->dirty_ws;

	if (ws->dirty)
		return;
	if (b->n == b->cap) {
		b->cap = MR_MAX(2 * b->cap, (size_t)64);
		b->v = mr_realloc(b->v, b->cap * sizeof(struct mr_ws *));
	}
	ws->dirty = true;
	b->v[b->n++] = ws;
}

/* --- queue --- */

static unsigned waiting(const struct mr_ws_queue *q)
{
	return q->n - q->head;
}

/* Makes room for one more: moves what is there to the start, or to a larger place. */
static void widen(struct mr_ws_queue *q)
{
	unsigned n = waiting(q);

	if (!q->frames) {
		q->frames = q->slots;
		q->cap = SLOTS;
	}
	if (q->head > q->cap / 2 || n < q->cap) {
		memmove(q->frames, q->frames + q->head, n * sizeof(struct mr_frame *));
	} else {
		struct mr_frame **to = mr_alloc(2 * q->cap * sizeof(struct mr_frame *));
		memcpy(to, q->frames + q->head, n * sizeof(struct mr_frame *));
		if (q->frames != q->slots)
			free(q->frames);
		q->frames = to;
		q->cap *= 2;
	}
	q->head = 0;
	q->n = n;
}

void mr_ws_push(struct mr_ws *ws, struct mr_frame *frame)
{
	struct mr_ws_queue *q = &ws->queue;

	if (q->n == q->cap)
		widen(q);
	q->frames[q->n++] = frame;
	ws->pending += frame->n;
	mr_ws_mark(ws);
}

static void drop_first(struct mr_ws *ws)
{
	struct mr_ws_queue *q = &ws->queue;

	mr_frame_drop(&q->frames[q->head++]);
	ws->sent = 0;
	if (q->head < q->n)
		return;
	q->head = q->n = 0;
	if (q->frames != q->slots) {
		free(q->frames);
		q->frames = q->slots;
		q->cap = SLOTS;
	}
}

static bool at_border(const struct mr_ws *ws)
{
	return ws->sent % MR_FRAGMENT == 0;
}

void mr_ws_cut(struct mr_ws *ws)
{
	struct mr_ws_queue *q = &ws->queue;
	unsigned keep = at_border(ws) ? 0 : 1;

	while (waiting(q) > keep) {
		ws->pending -= q->frames[q->n - 1]->n - (waiting(q) == 1 ? ws->sent : 0);
		if (waiting(q) == 1)
			drop_first(ws);
		else
			mr_frame_drop(&q->frames[--q->n]);
	}
}

/* --- control frames --- */

void mr_ws_urge(struct mr_ws *ws, enum mr_ws_place place, struct mr_frame *frame)
{
	if (!ws->control)
		ws->control = mr_alloc(sizeof(*ws->control));
	mr_frame_drop(&ws->control->wait[place]);
	ws->control->wait[place] = frame;
	mr_ws_mark(ws);
}

/* The control frame that is to be sent now, chosen if need be. */
static struct mr_frame *current_control(struct mr_ws_control *c)
{
	for (int i = 0; i < MR_WS_PLACES && !c->now; i++) {
		c->place = (enum mr_ws_place)i;
		c->now = c->wait[i];
		c->wait[i] = NULL;
	}
	MR_ASSERT(c->now);
	return c->now;
}

static bool has_control(const struct mr_ws_control *c)
{
	return c->now || c->wait[MR_WS_OUR_PING] || c->wait[MR_WS_OUR_PONG] || c->wait[MR_WS_OUR_CLOSE];
}

static void drop_control(struct mr_ws *ws)
{
	if (!ws->control)
		return;
	for (int i = 0; i < MR_WS_PLACES; i++)
		mr_frame_drop(&ws->control->wait[i]);
	mr_frame_drop(&ws->control->now);
	free(ws->control);
	ws->control = NULL;
}

void mr_ws_drop_all(struct mr_ws *ws)
{
	while (waiting(&ws->queue))
		drop_first(ws);
	ws->pending = 0;
	drop_control(ws);
}

static void control_sent(struct mr_ws *ws, size_t n)
{
	struct mr_ws_control *c = ws->control;

	c->sent += n;
	if (c->sent < c->now->n)
		return;
	mr_frame_drop(&c->now);
	c->sent = 0;
	if (c->place == MR_WS_OUR_CLOSE)
		mr_ws_drop_all(ws);
	else if (!has_control(c))
		drop_control(ws);
}

/* --- writing --- */

struct piece {
	const char *p;
	size_t n;
	bool control;
};

static bool has_bytes(const struct mr_ws *ws)
{
	return waiting(&ws->queue) || ws->control;
}

/* Several small frames, the first of them perhaps half sent, side by side. */
static struct piece copied(struct mr_ws *ws)
{
	const struct mr_ws_queue *q = &ws->queue;
	char *to = ws->net->scratch;
	size_t n = 0, from = ws->sent;

	for (unsigned i = q->head; i < q->n; i++) {
		size_t more = q->frames[i]->n - from;
		if (more > COPIED_MOST || n + more > sizeof(ws->net->scratch))
			break;
		memcpy(to + n, q->frames[i]->bytes + from, more);
		n += more;
		from = 0;
	}
	return (struct piece){to, n, false};
}

static struct piece next_piece(struct mr_ws *ws, size_t most)
{
	const struct mr_ws_queue *q = &ws->queue;

	if (ws->control && at_border(ws)) {
		struct mr_frame *c = current_control(ws->control);
		return (struct piece){c->bytes + ws->control->sent, c->n - ws->control->sent, true};
	}
	const struct mr_frame *f = q->frames[q->head];
	size_t n = f->n - ws->sent;
	if (ws->control)
		n = MR_MIN(n, MR_FRAGMENT - ws->sent % MR_FRAGMENT);
	else if (n <= COPIED_MOST && waiting(q) > 1)
		return copied(ws);
	return (struct piece){f->bytes + ws->sent, MR_MIN(n, most), false};
}

static void piece_sent(struct mr_ws *ws, const struct piece *piece, size_t n)
{
	mr_count_own(&ws->net->bytes_sent, (int64_t)n);
	if (piece->control) {
		control_sent(ws, n);
		return;
	}
	ws->pending -= n;
	while (n) {
		size_t rest = ws->queue.frames[ws->queue.head]->n - ws->sent;
		if (n < rest) {
			ws->sent += n;
			return;
		}
		n -= rest;
		drop_first(ws);
	}
}

static void on_writable(h2o_socket_t *sock, const char *err)
{
	struct mr_ws *ws = sock->data;

	ws->waiting = false; /* an error shows when it is written to */
	mr_ws_mark(ws);
}

static void wait_for_room(struct mr_ws *ws)
{
	ws->waiting = true;
	h2o_socket_notify_write(ws->sock, on_writable);
}

/* send(), but no point where a thread may be cancelled: to be one costs 1 % of a small one. */
static ssize_t send_now(int fd, const char *p, size_t n)
{
	return syscall(SYS_sendto, fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

/* False: no more goes now. */
static bool send_piece(struct mr_ws *ws, const struct piece *piece)
{
	ssize_t n = send_now(ws->fd, piece->p, piece->n);

	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
		mr_ws_die(ws, "the connection broke while writing");
		return false;
	}
	if (n > 0)
		piece_sent(ws, piece, (size_t)n);
	if (n == (ssize_t)piece->n)
		return true;
	wait_for_room(ws);
	return false;
}

static void on_encrypted_out(h2o_socket_t *sock, const char *err)
{
	struct mr_ws *ws = sock->data;

	ws->waiting = false;
	ws->flying = 0;
	mr_ws_mark(ws);
	if (err)
		mr_ws_die(ws, "the connection broke while writing");
}

/* h2o encrypts (a copy) and writes by itself; until that is out, no more is given to it. */
static void encrypt_piece(struct mr_ws *ws, const struct piece *piece)
{
	h2o_iovec_t bytes = {(char *)piece->p, piece->n};

	ws->waiting = true;
	ws->flying = piece->control ? 0 : piece->n;
	h2o_socket_write(ws->sock, &bytes, 1, on_encrypted_out);
	piece_sent(ws, piece, piece->n);
}

/* One frame and nothing else, as nearly always: true when it is out. */
static bool send_only(struct mr_ws *ws)
{
	struct mr_ws_queue *q = &ws->queue;

	if (waiting(q) != 1 || ws->sent || ws->control || ws->tls || ws->waiting || q->frames[q->head]->n > COPIED_MOST)
		return false;
	struct piece piece = {q->frames[q->head]->bytes, q->frames[q->head]->n, false};
	return send_piece(ws, &piece);
}

void mr_ws_write(struct mr_ws *ws)
{
	size_t left = QUANTUM;

	if (send_only(ws)) {
		mr_ws_all_out(ws);
		return;
	}

	while (ws->state != MR_WS_DEAD && !ws->waiting && left && has_bytes(ws)) {
		struct piece piece = next_piece(ws, left);
		left -= MR_MIN(piece.n, left);
		if (ws->tls)
			encrypt_piece(ws, &piece);
		else if (!send_piece(ws, &piece))
			break;
	}
	if (ws->state == MR_WS_DEAD || ws->waiting)
		return;
	if (has_bytes(ws))
		mr_ws_mark(ws);
	else
		mr_ws_all_out(ws);
}

void mr_ws_send(struct mr_ws *ws, struct mr_frame *frame)
{
	MR_ASSERT(ws->magic == MR_WS_MAGIC);
	if (ws->state != MR_WS_OPEN)
		return;
	mr_ws_push(ws, mr_frame_hold(frame));
	ws->owes_drained = true;
}

/* What waits already goes first, what is much among its like, and what is encrypted is h2o's. */
static bool goes_at_once(const struct mr_ws *ws, const struct mr_frame *frame)
{
	return ws->state == MR_WS_OPEN && !ws->dirty && !ws->waiting && !ws->pending && !ws->control && !ws->tls && !ws->wants_drained &&
	       frame->n <= MR_WS_MUCH;
}

void mr_ws_send_at_once(struct mr_ws *ws, struct mr_frame *frame)
{
	if (!goes_at_once(ws, frame)) {
		mr_ws_send(ws, frame);
		return;
	}
	struct piece piece = {frame->bytes, frame->n, false};
	ssize_t n = send_now(ws->fd, piece.p, piece.n);
	if (n == (ssize_t)piece.n) {
		mr_count_own(&ws->net->bytes_sent, (int64_t)piece.n);
		return;
	}
	mr_ws_send(ws, frame); /* whatever is the matter shows when the rest is written */
	if (n > 0)
		piece_sent(ws, &piece, (size_t)n);
}

void mr_ws_want_drained(struct mr_ws *ws, bool want)
{
	ws->wants_drained = want;
}

size_t mr_ws_pending(const struct mr_ws *ws)
{
	return ws->pending + ws->flying;
}

struct mr_deflate *mr_ws_deflate(const struct mr_ws *ws)
{
	return ws->deflates ? ws->net->deflate : NULL;
}
