#include "clients.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <zlib.h>

#include "bench/latency/line.h"
#include "loop.h"
#include "marks.h"
#include "proto/ground/log.h"
#include "record.h"
#include "transport.h"

enum { CHUNK = 256 << 10, OF_AN_ADDRESS = 4000, RETRY_US = 2000 };

enum state { CLOSED, CONNECTING, SHAKING, UPGRADING, GREETING, READY };
struct client {
	struct watched watched;
	enum state state;
	struct transport at;
	unsigned number, acks;
	bool deflated;
	struct mr_buf in;      /* the beginning of a piece whose rest has not come */
	struct mr_buf message; /* the beginning of a message of several pieces, or deflated */
	char *p, *k, *h;
	const char *t; /* in the plan's tokens */
};

static struct {
	struct client_plan plan;
	struct client *all;
	unsigned *queue, first, n_queued; /* of those to be opened, a ring */
	unsigned n_opening, n_ready, n_closed;
	double not_before; /* the server refused us a moment ago */
	bool may_leave;
	double began, first_in, all_ready;
	uint64_t messages, bytes;
	struct mr_buf upgrade, words; /* that client 0 got */
} self;

static char chunk[CHUNK];

/* ---- sending ---- */

static void send_all(struct client *c, const struct mr_buf *b)
{
	ssize_t n = mr_transport_write(&c->at, b->p, b->n);
	if (n != (ssize_t)b->n && !self.may_leave)
		mr_bench_die("client %u cannot send: %s", c->number, n < 0 ? strerror(errno) : "its socket is full");
}

static void expand(struct mr_buf *out, struct mr_str text, const struct client *c)
{
	const char *held[] = {['p'] = c->p, ['k'] = c->k, ['h'] = c->h, ['t'] = c->t};
	for (size_t i = 0; i < text.n; i++) {
		const char *p = text.p + i;
		if (*p != '@') {
			mr_buf_char(out, *p);
		} else if (text.n - i >= 6 && memcmp(p, "@@@@@@", 6) == 0) {
			mr_buf_printf(out, "%06u", c->number);
			i += 5;
		} else if (text.n - i >= 3 && p[2] == '@' && strchr("pkht", p[1])) {
			const char *value = held[(unsigned char)p[1]];
			if (!value)
				mr_bench_die("client %u holds no \"%c\"", c->number, p[1]);
			mr_buf_z(out, value);
			i += 2;
		} else {
			mr_buf_char(out, '@');
		}
	}
}

/* From now on it only listens. A socket on which something was said lately keeps its acknowledgements back, for the next word to carry
 * them; after 40 ms of silence it ceases to. Here all have ceased, whatever was said on them at first: else the sender would have more to
 * keep track of with one server than with another. */
static void become_ready(struct client *c)
{
	int on = 1;
	setsockopt(c->at.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
	c->state = READY;
	self.n_opening--;
	self.n_ready++;
}

static void greet(struct client *c)
{
	const struct client_plan *plan = &self.plan;
	struct mr_buf out = {0}, words = {0};
	c->state = GREETING;
	for (unsigned i = 0; i < plan->n_say; i++) {
		mr_buf_reset(&words);
		expand(&words, mr_buf_view(&plan->say[i]), c);
		if (plan->request.n)
			mr_framing_ws(&out, plan->binary ? 2 : 1, mr_buf_view(&words));
		else
			mr_buf_str(&out, mr_buf_view(&words));
	}
	if (out.n)
		send_all(c, &out);
	mr_buf_fini(&out);
	mr_buf_fini(&words);
	if (!plan->want)
		become_ready(c);
}

static void on_connected(struct client *c)
{
	if (self.first_in == 0)
		self.first_in = mr_loop_now();
	if (!self.plan.request.n) {
		greet(c);
		return;
	}
	send_all(c, &self.plan.request);
	c->state = UPGRADING;
}

/* ---- messages ---- */

static unsigned count(struct mr_str in, struct mr_str what)
{
	unsigned n = 0;
	for (const char *p = in.p, *end = in.p + in.n; (p = memmem(p, (size_t)(end - p), what.p, what.n)); p += what.n)
		n++;
	return n;
}

static void keep(char **to, struct mr_str in, const char *key)
{
	size_t n = strlen(key);
	const char *last = NULL;
	for (const char *p = in.p, *end = in.p + in.n; (p = memmem(p, (size_t)(end - p), key, n));)
		last = p += n;
	const char *end = last ? memchr(last, '"', (size_t)(in.p + in.n - last)) : NULL;
	if (!end)
		return;
	free(*to);
	*to = mr_strndup(last, (size_t)(end - last));
}

static unsigned on_message(struct client *c, struct mr_str m)
{
	self.messages++;
	if (c->state == GREETING && self.plan.ready.n) {
		c->acks += count(m, mr_buf_view(&self.plan.ready));
		if (c->acks >= self.plan.want)
			become_ready(c);
	}
	if (self.plan.resumes) {
		keep(&c->p, m, "\"p\":\"");
		keep(&c->k, m, "\"k\":\"");
		keep(&c->h, m, "\"h\":\"");
	}
	return mr_marks_scan(m, mr_loop_now());
}

/* Clients are told the same in the same bytes: what was inflated last needs not be again. */
static struct mr_str inflated(struct mr_str in)
{
	static z_stream z;
	static struct mr_buf last, out;
	if (in.n == last.n && memcmp(in.p, last.p, in.n) == 0)
		return mr_buf_view(&out);
	if (!z.state && inflateInit2(&z, -15) != Z_OK)
		mr_bench_die("zlib does not start");
	mr_buf_reset(&last);
	mr_buf_str(&last, in);
	mr_buf_reset(&out);
	struct mr_buf whole = {0};
	mr_buf_str(&whole, in);
	mr_buf_add(&whole, "\0\0\xff\xff", 4);
	inflateReset(&z);
	z.next_in = (Bytef *)whole.p;
	z.avail_in = (uInt)whole.n;
	do {
		z.next_out = (Bytef *)mr_buf_room(&out, CHUNK);
		z.avail_out = CHUNK;
		int status = inflate(&z, Z_SYNC_FLUSH);
		if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
			mr_bench_die("what came does not inflate: %s", z.msg ? z.msg : "no reason");
		out.n += CHUNK - z.avail_out;
	} while (z.avail_out == 0);
	mr_buf_fini(&whole);
	return mr_buf_view(&out);
}

/* Gives how many marks it held. */
static unsigned on_data(struct client *c, const struct piece *piece)
{
	if (piece->first && piece->last && !piece->deflated)
		return on_message(c, piece->payload);
	if (piece->first) {
		mr_buf_reset(&c->message);
		c->deflated = piece->deflated;
	}
	mr_buf_str(&c->message, piece->payload);
	if (!piece->last)
		return 0;
	unsigned n = on_message(c, c->deflated ? inflated(mr_buf_view(&c->message)) : mr_buf_view(&c->message));
	mr_buf_fini(&c->message);
	return n;
}

static void on_piece(struct client *c, const struct piece *piece, struct mr_str whole)
{
	struct mr_buf pong = {0};
	unsigned marks = 0;
	bool greeting = c->state == GREETING;
	switch (piece->kind) {
	case PIECE_MESSAGE:
		marks = on_data(c, piece);
		break;
	case PIECE_READY:
		if (c->state == GREETING && ++c->acks >= self.plan.want)
			become_ready(c);
		break;
	case PIECE_PING:
		mr_framing_pong(self.plan.framing, &pong, piece->payload);
		send_all(c, &pong);
		mr_buf_fini(&pong);
		break;
	case PIECE_CLOSE:
		if (!self.may_leave)
			mr_bench_die("the server closed the WebSocket of client %u: %.*s", c->number, (int)piece->payload.n - 2,
				piece->payload.p + 2);
		break;
	default:
		break;
	}
	if (c->number == 0 && greeting)
		mr_buf_str(&self.words, whole);
	else if (c->number == 0)
		mr_record_frame(whole, marks, mr_loop_now());
}

/* ---- reading ---- */

/* Gives what of it was an answer to the upgrade. */
static size_t take_upgrade(struct client *c, struct mr_str in)
{
	const char *end = memmem(in.p, in.n, "\r\n\r\n", 4);
	if (!end)
		return 0;
	if (memcmp(in.p, "HTTP/1.1 101", 12) != 0)
		mr_bench_die("the WebSocket was refused: %.*s", (int)(end - in.p), in.p);
	if (c->number == 0) {
		mr_buf_reset(&self.upgrade);
		mr_buf_add(&self.upgrade, in.p, (size_t)(end + 4 - in.p));
	}
	greet(c);
	return (size_t)(end + 4 - in.p);
}

static size_t take(struct client *c, struct mr_str in)
{
	size_t at = 0;
	if (c->state == UPGRADING && !(at = take_upgrade(c, in)))
		return 0;
	struct piece piece;
	for (struct mr_str rest; rest = (struct mr_str){in.p + at, in.n - at}, rest.n && mr_framing_next(self.plan.framing, rest, &piece);
		at += piece.size)
		on_piece(c, &piece, (struct mr_str){rest.p, piece.size});
	return at;
}

static void on_bytes(struct client *c, const char *p, size_t n)
{
	self.bytes += n;
	if (!c->in.n) {
		size_t taken = take(c, (struct mr_str){p, n});
		if (taken < n)
			mr_buf_add(&c->in, p + taken, n - taken);
		return;
	}
	mr_buf_add(&c->in, p, n);
	size_t taken = take(c, mr_buf_view(&c->in));
	if (taken == c->in.n) {
		mr_buf_fini(&c->in);
	} else if (taken) {
		memmove(c->in.p, c->in.p + taken, c->in.n - taken);
		c->in.n -= taken;
	}
}

static void enqueue(const struct client *c)
{
	self.queue[(self.first + self.n_queued++) % self.plan.n] = c->number;
}

static void leave(struct client *c)
{
	if (!self.may_leave)
		mr_bench_die("the server hung up on client %u of %u (%u ready): %s", c->number, self.plan.n, self.n_ready, strerror(errno));
	mr_transport_fini(&c->at);
	mr_buf_fini(&c->in);
	mr_buf_fini(&c->message);
	if (c->state == READY)
		self.n_ready--;
	else
		self.n_opening--;
	c->state = CLOSED;
	c->acks = 0;
	self.n_closed++;
	enqueue(c);
	self.not_before = mr_bench_now() + RETRY_US;
}

/* The socket is open, or the server has gone on with the handshake. */
static void shake(struct client *c)
{
	int done = mr_transport_shake(&c->at);
	if (done > 0)
		on_connected(c);
	else if (done < 0)
		leave(c);
}

static void on_open(struct client *c)
{
	int err = 0;
	socklen_t size = sizeof err;
	getsockopt(c->at.fd, SOL_SOCKET, SO_ERROR, &err, &size);
	if (err) {
		errno = err;
		leave(c);
		return;
	}
	mr_loop_change(c->at.fd, EPOLLIN, &c->watched);
	c->state = SHAKING;
	shake(c);
}

static void on_ready(struct watched *w, uint32_t events)
{
	struct client *c = (struct client *)w;
	if (c->state == CONNECTING) {
		on_open(c);
		return;
	}
	if (c->state == SHAKING) {
		shake(c);
		return;
	}
	do {
		ssize_t n = mr_transport_read(&c->at, chunk, CHUNK);
		if (n > 0)
			on_bytes(c, chunk, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			leave(c);
	} while (c->state != CLOSED && mr_transport_pending(&c->at));
}

/* ---- opening ---- */

/* From many addresses: one has only so many ports. */
static void open_one(struct client *c)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + c->number / OF_AN_ADDRESS)};
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)self.plan.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;
	struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		mr_bench_die("client %u has no socket: %s", c->number, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
		mr_bench_die("client %u has no address: %s", c->number, strerror(errno));
	mr_transport_init(&c->at, fd, self.plan.tls);
	c->watched.ready = on_ready;
	c->state = CONNECTING;
	self.n_opening++;
	self.n_closed--;
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
		leave(c);
		return;
	}
	mr_loop_add(fd, EPOLLOUT, &c->watched);
}

static double open_more(double now)
{
	if (now < self.not_before)
		return self.not_before;
	while (self.n_queued && self.n_opening < self.plan.at_once && self.not_before <= now) {
		struct client *c = &self.all[self.queue[self.first]];
		self.first = (self.first + 1) % self.plan.n;
		self.n_queued--;
		open_one(c);
	}
	return self.n_queued && self.n_opening < self.plan.at_once ? self.not_before : 0;
}

static bool all_ready(void)
{
	return self.n_ready == self.plan.n;
}

static bool all_exact(void)
{
	return all_ready() && mr_marks.n_done == mr_marks.n;
}

static bool all_closed(void)
{
	return self.n_closed == self.plan.n;
}

static void fini_plan(struct client_plan *plan)
{
	mr_buf_fini(&plan->request);
	mr_buf_fini(&plan->ready);
	mr_buf_fini(&plan->tokens);
	for (unsigned i = 0; i < plan->n_say; i++)
		mr_buf_fini(&plan->say[i]);
}

static void open_all(bool (*done)(void), double seconds)
{
	self.began = mr_bench_now();
	self.first_in = self.all_ready = self.not_before = 0;
	mr_buf_reset(&self.words);
	if (!mr_loop_until(done, open_more, seconds))
		mr_bench_die("%u of %u clients are ready after %.0f s, %zu of %zu marks have come to all", self.n_ready, self.plan.n,
			seconds, mr_marks.n_done, mr_marks.n);
	self.all_ready = mr_loop_now();
}

void mr_clients_open(struct client_plan *plan, double seconds)
{
	MR_ASSERT(!self.all && plan->n);
	self.plan = *plan;
	self.all = mr_alloc(plan->n * sizeof *self.all);
	self.queue = mr_alloc(plan->n * sizeof *self.queue);
	self.first = self.n_queued = self.n_opening = self.n_ready = 0;
	self.n_closed = plan->n;
	self.may_leave = false;
	char *tokens = self.plan.tokens.p;
	for (unsigned i = 0; i < plan->n; i++) {
		self.all[i].number = i;
		self.all[i].t = tokens ? strsep(&tokens, "\n") : NULL;
		enqueue(&self.all[i]);
	}
	open_all(all_ready, seconds);
}

void mr_clients_await_end(double seconds)
{
	self.may_leave = true;
	if (!mr_loop_until(all_closed, NULL, seconds))
		mr_bench_die("the server has not left %u of %u clients", self.plan.n - self.n_closed, self.plan.n);
}

void mr_clients_again(struct client_plan *plan, double seconds)
{
	MR_ASSERT(plan->n == self.plan.n);
	fini_plan(&self.plan);
	self.plan = *plan;
	self.may_leave = true; /* it is coming up: it may refuse us, or even leave us again */
	open_all(all_exact, seconds);
	self.may_leave = false;
}

void mr_clients_close(void)
{
	for (unsigned i = 0; i < self.plan.n; i++) {
		struct client *c = &self.all[i];
		if (c->state != CLOSED)
			mr_transport_fini(&c->at);
		mr_buf_fini(&c->in);
		mr_buf_fini(&c->message);
		free(c->p);
		free(c->k);
		free(c->h);
	}
	free(self.all);
	free(self.queue);
	fini_plan(&self.plan);
	self.all = NULL;
	self.queue = NULL;
	self.plan = (struct client_plan){0};
}

uint64_t mr_clients_messages(void)
{
	return self.messages;
}

unsigned mr_clients_ready(void)
{
	return self.n_ready;
}

struct mr_str mr_clients_upgrade(void)
{
	return mr_buf_view(&self.upgrade);
}

struct mr_str mr_clients_first_words(void)
{
	return mr_buf_view(&self.words);
}

void mr_clients_report(FILE *out)
{
	fprintf(out, "\"clients\":%u,\"messages\":%llu,\"bytes\":%llu,\"opened\":[%.1f,%.1f]", self.n_ready,
		(unsigned long long)self.messages, (unsigned long long)self.bytes, self.first_in - self.began, self.all_ready - self.began);
	self.messages = self.bytes = 0;
}
