#include "line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 65536, OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, WAIT_MS = 30000 };

void mr_bench_die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

double mr_bench_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void mr_line_open(struct line *l, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;
	*l = (struct line){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&to, sizeof to) != 0)
		mr_bench_die("cannot connect to port %d: %s", port, strerror(errno));
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void mr_line_close(struct line *l)
{
	close(l->fd);
	mr_buf_fini(&l->in);
}

static void write_all(const struct line *l, const char *p, size_t n)
{
	while (n) {
		ssize_t sent = send(l->fd, p, n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			mr_bench_die("the server hung up: %s", strerror(errno));
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		}
	}
}

void mr_line_fill(struct line *l, bool wait)
{
	struct pollfd ready = {.fd = l->fd, .events = POLLIN};
	if (wait && poll(&ready, 1, WAIT_MS) != 1)
		mr_bench_die("the server did not answer in %d s", WAIT_MS / 1000);
	if (l->at == l->in.n) {
		mr_buf_reset(&l->in);
		l->at = 0;
	}
	ssize_t got = recv(l->fd, mr_buf_room(&l->in, CHUNK + 1), CHUNK, MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		mr_bench_die("the server hung up%s%s", got ? ": " : "", got ? strerror(errno) : "");
	if (got > 0)
		l->in.n += (size_t)got;
	l->in.p[l->in.n] = 0;
}

static struct mr_str unread(const struct line *l)
{
	return (struct mr_str){l->in.p + l->at, l->in.n - l->at};
}

/* ---- WebSocket ---- */

void mr_line_upgrade(struct line *l)
{
	static const char request[] = "GET /api/sync HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
				      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGF0ZW5jeS1sYXRlbmN5IQ==\r\n"
				      "Sec-WebSocket-Protocol: millrace.v1.json\r\n\r\n";
	write_all(l, request, sizeof request - 1);
	const char *end = NULL;
	while (!end) {
		mr_line_fill(l, true);
		end = memmem(unread(l).p, unread(l).n, "\r\n\r\n", 4);
	}
	if (memcmp(unread(l).p, "HTTP/1.1 101", 12) != 0)
		mr_bench_die("the WebSocket was refused: %.*s", (int)(end - unread(l).p), unread(l).p);
	l->at = (size_t)(end + 4 - l->in.p);
}

/* A mask of zeros is a mask. */
static void send_frame(struct line *l, int op, struct mr_str payload)
{
	struct mr_buf b = {0};
	mr_buf_char(&b, (char)(0x80 | op));
	if (payload.n < 126) {
		mr_buf_char(&b, (char)(0x80 | payload.n));
	} else {
		mr_buf_char(&b, (char)(0x80 | 126));
		mr_buf_char(&b, (char)(payload.n >> 8));
		mr_buf_char(&b, (char)payload.n);
	}
	mr_buf_add(&b, "\0\0\0\0", 4);
	mr_buf_str(&b, payload);
	write_all(l, b.p, b.n);
	mr_buf_fini(&b);
}

void mr_line_say(struct line *l, struct mr_str json)
{
	if (json.n > UINT16_MAX)
		mr_bench_die("a message of %zu bytes is too long", json.n);
	send_frame(l, OP_TEXT, json);
}

/* Servers neither mask nor, here, fragment. */
static bool read_frame(struct line *l, int *op, struct mr_str *payload)
{
	struct mr_str s = unread(l);
	if (s.n < 2)
		return false;
	const uint8_t *p = (const uint8_t *)s.p;
	size_t n = p[1] & 0x7f, head = 2, more = n == 127 ? 8 : n == 126 ? 2 : 0;
	if (s.n < head + more)
		return false;
	if (more)
		for (n = 0; head < 2 + more; head++)
			n = n << 8 | p[head];
	if (s.n - head < n)
		return false;
	*op = p[0] & 15;
	*payload = (struct mr_str){s.p + head, n};
	l->at += head + n;
	return true;
}

bool mr_line_message(struct line *l, struct mr_str *json)
{
	int op;
	while (read_frame(l, &op, json)) {
		if (op == OP_TEXT)
			return true;
		if (op == OP_PING)
			send_frame(l, OP_PONG, *json);
		else if (op == OP_CLOSE)
			mr_bench_die("the server closed the WebSocket");
	}
	return false;
}

/* ---- HTTP ---- */

void mr_line_post(struct line *l, const char *path, struct mr_str json)
{
	struct mr_buf b = {0};
	mr_buf_printf(
		&b, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", path, json.n);
	mr_buf_str(&b, json);
	write_all(l, b.p, b.n);
	mr_buf_fini(&b);
}

bool mr_line_answer(struct line *l, int *status, struct mr_str *body)
{
	struct mr_str s = unread(l);
	const char *end = s.n ? memmem(s.p, s.n, "\r\n\r\n", 4) : NULL;
	if (!end)
		return false;
	const char *length = strcasestr(s.p, "\r\ncontent-length:");
	if (!length || length > end)
		mr_bench_die("an answer without a length: %.*s", (int)(end - s.p), s.p);
	size_t n = strtoul(length + 17, NULL, 10), head = (size_t)(end + 4 - s.p);
	if (s.n - head < n)
		return false;
	*status = (int)strtol(s.p + 9, NULL, 10);
	*body = (struct mr_str){s.p + head, n};
	l->at += head + n;
	return true;
}
