/* The floor: what it costs to write bytes to many sockets, and nothing else. One thread, epoll, one send() for each client and round, of
 * bytes that all share.
 *
 *   floor PORT                       the first connection gives orders (floor.h), the others are clients
 *   floor PORT greet HEX HEX         each connection is a client: the first bytes answer its upgrade, the second what it says then
 *
 * All that is to be written lies in one stretch of memory; a client is a place in it. Who cannot take more is written to when it can.
 */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/latency/line.h"

enum { EVENTS = 512, BACKLOG = 4096, CONTROL_CHUNK = 1 << 20, BYTES_MOST = 256 << 20 };

struct client {
	int fd;
	unsigned place;    /* in `all` */
	uint64_t sent;     /* so many bytes of all that was ever written */
	unsigned answered; /* greeting: answers given */
	bool full;
};

static int epoll, listener, control = -1;
static struct client **all;
static unsigned n_all, cap_all;
static struct mr_buf bytes; /* what not everybody has been sent */
static uint64_t base;       /* so many were dropped before it */
static struct mr_buf answers[2];
static bool greeting;

static void watch(int fd, uint32_t events, void *ptr)
{
	struct epoll_event e = {.events = events, .data.ptr = ptr};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		mr_bench_die("floor: epoll: %s", strerror(errno));
}

static void open_listener(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, BACKLOG) != 0)
		mr_bench_die("floor: port %d: %s", port, strerror(errno));
	watch(listener, EPOLLIN, &listener);
}

static void drop(struct client *c)
{
	close(c->fd);
	all[c->place] = all[--n_all];
	all[c->place]->place = c->place;
	free(c);
}

static void accept_client(int fd)
{
	if (n_all == cap_all) {
		cap_all = cap_all ? 2 * cap_all : 1024;
		all = mr_realloc(all, cap_all * sizeof(struct client *));
	}
	struct client *c = mr_alloc(sizeof *c);
	c->fd = fd;
	c->sent = base + bytes.n;
	c->place = n_all;
	all[n_all++] = c;
	watch(fd, greeting ? EPOLLIN : EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLET, c);
}

static void on_listener(void)
{
	int fd, on = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (control < 0 && !greeting) {
			control = fd;
			watch(fd, EPOLLIN, &control);
		} else {
			accept_client(fd);
		}
	}
}

/* ---- writing ---- */

static void write_one(struct client *c)
{
	size_t n = (size_t)(base + bytes.n - c->sent);
	ssize_t sent = n ? send(c->fd, bytes.p + (c->sent - base), n, MSG_NOSIGNAL) : 0;
	c->sent += sent > 0 ? (uint64_t)sent : 0;
	c->full = sent < (ssize_t)n;
}

static void round_of_writes(void)
{
	bool full = false;
	for (unsigned i = 0; i < n_all; i++) {
		if (!all[i]->full)
			write_one(all[i]);
		full |= all[i]->full;
	}
	if (!full) {
		base += bytes.n;
		mr_buf_reset(&bytes);
	} else if (bytes.n > BYTES_MOST) {
		mr_bench_die("floor: a client does not read");
	}
}

/* ---- orders ---- */

static void on_control(void)
{
	static struct mr_buf in;
	ssize_t n = recv(control, mr_buf_room(&in, CONTROL_CHUNK), CONTROL_CHUNK, 0);
	if (n <= 0)
		exit(0); /* whoever gave the orders has left */
	in.n += (size_t)n;
	size_t at = 0;
	bool pending = false;
	for (struct floor_order order; in.n - at >= sizeof order; at += sizeof order + order.n) {
		memcpy(&order, in.p + at, sizeof order);
		if (in.n - at - sizeof order < order.n)
			break;
		mr_buf_add(&bytes, in.p + at + sizeof order, order.n);
		pending = !order.alone;
		if (order.alone)
			round_of_writes();
	}
	memmove(in.p, in.p + at, in.n - at);
	in.n -= at;
	if (pending)
		round_of_writes();
}

/* ---- clients ---- */

static void greet(struct client *c)
{
	char said[4096];
	ssize_t n = recv(c->fd, said, sizeof said, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		drop(c);
		return;
	}
	if (n > 0 && c->answered < 2) {
		const struct mr_buf *answer = &answers[c->answered++];
		if (send(c->fd, answer->p, answer->n, MSG_NOSIGNAL) != (ssize_t)answer->n)
			mr_bench_die("floor: a client's socket is full");
	}
}

static void on_client(struct client *c, uint32_t events)
{
	if (greeting) {
		greet(c);
	} else if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
		drop(c);
	} else if (c->full && (events & EPOLLOUT)) {
		c->full = false;
		write_one(c);
	}
}

static void read_hex(struct mr_buf *out, const char *hex)
{
	for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		mr_buf_char(out, (char)byte);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	if (argc != 2 && argc != 5)
		mr_bench_die("floor PORT [greet HEX HEX]");
	greeting = argc == 5;
	for (int i = 0; greeting && i < 2; i++)
		read_hex(&answers[i], argv[3 + i]);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	open_listener((int)strtol(argv[1], NULL, 10));
	puts("listening");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			void *who = events[i].data.ptr;
			if (who == &listener)
				on_listener();
			else if (who == &control)
				on_control();
			else
				on_client(who, events[i].events);
		}
	}
}
