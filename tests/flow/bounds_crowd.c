/* Very many clients of one list with one row, each a socket that takes little of the kernel's memory, as if it were on a machine of its
 * own. bounds_crowd PORT N QUERY subscribes each to QUERY (members of a subscribe message, as JSON) and prints "open" when all have been
 * answered. Then, on stdin: pause       reads nothing any more resume      reads on having K    prints how many have been told the text "
 * change K " last Ends with its input. Of a message only " change <number> " is looked for, so it must be sent uncompressed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RECEIVE_BYTES = 16 * 1024, /* doubled by the kernel */
	AT_ONCE = 100,             /* that are not answered yet */
	MARK_MOST = 24,            /* " change <number> " */
	READ_BYTES = 256 * 1024,
};
static const char mark[] = " change ", rows[] = "\"rows\"";

struct member {
	int fd;
	enum { UPGRADING, SUBSCRIBED, ANSWERED } state;
	long last;           /* the latest number; -1: none */
	char end[MARK_MOST]; /* what was read last, for a mark that is cut */
	size_t n_end;
};

static struct member *members;
static size_t n_members, n_begun, n_answered;
static int epoll;
static char buffer[MARK_MOST + READ_BYTES + 1];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void write_all(int fd, const char *p, size_t n)
{
	if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		die("send");
}

/* Masked with zeros. */
static void write_frame(int fd, const char *text)
{
	char frame[1024];
	size_t n = strlen(text), head = n < 126 ? 2 : 4;
	memset(frame, 0, 8);
	frame[0] = (char)0x81;
	frame[1] = (char)(0x80 | (n < 126 ? n : 126));
	if (n >= 126) {
		frame[2] = (char)(n >> 8);
		frame[3] = (char)n;
	}
	head += 4;
	memcpy(frame + head, text, n);
	write_all(fd, frame, head + n);
}

static void watch(const struct member *m, int op, bool reads)
{
	struct epoll_event ev = {.events = reads ? EPOLLIN : 0, .data.u64 = (uint64_t)(m - members)};
	if (epoll_ctl(epoll, op, m->fd, &ev) != 0)
		die("epoll_ctl");
}

static void begin(struct member *m, int port)
{
	static const char upgrade[] =
		"GET /api/sync HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: millrace.v1.json\r\n\r\n";
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int bytes = RECEIVE_BYTES, on = 1;
	m->last = -1;
	m->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (m->fd < 0 || setsockopt(m->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0 ||
		setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 || connect(m->fd, (struct sockaddr *)&to, sizeof to) != 0)
		die("connect");
	write_all(m->fd, upgrade, sizeof upgrade - 1);
	watch(m, EPOLL_CTL_ADD, true);
}

static void subscribe(struct member *m, const char *query)
{
	char text[1000];
	snprintf(text, sizeof text, "{\"t\":\"hello\",\"protocol\":1,\"session\":\"crowd%027zu%d\",\"positions\":false}",
		(size_t)(m - members), (int)getpid());
	write_frame(m->fd, text);
	snprintf(text, sizeof text, "{\"t\":\"subscribe\",\"id\":1,%s}", query);
	write_frame(m->fd, text);
	m->state = SUBSCRIBED;
}

/* The latest number in these bytes, whose end is kept for what comes next. */
static void look(struct member *m, char *p, size_t n)
{
	char *at = p;
	p[n] = 0;
	for (char *found, *end; (found = memmem(at, n - (size_t)(at - p), mark, sizeof mark - 1)); at = found + 1) {
		long k = strtol(found + sizeof mark - 1, &end, 10);
		if (*end == ' ')
			m->last = k;
	}
	m->n_end = n < MARK_MOST ? n : MARK_MOST;
	memcpy(m->end, p + n - m->n_end, m->n_end);
}

static void read_some(struct member *m, const char *query)
{
	memcpy(buffer, m->end, m->n_end);
	ssize_t got = recv(m->fd, buffer + m->n_end, READ_BYTES, MSG_DONTWAIT);
	if (got <= 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		die("recv");
	size_t n = m->n_end + (size_t)got;
	bool upgraded = m->state == UPGRADING && memmem(buffer, n, "\r\n\r\n", 4);
	if (m->state == SUBSCRIBED && memmem(buffer, n, rows, sizeof rows - 1)) {
		m->state = ANSWERED;
		n_answered++;
	}
	look(m, buffer, n);
	if (upgraded)
		subscribe(m, query);
}

static void pause_all(bool pause)
{
	for (size_t i = 0; i < n_members; i++)
		watch(&members[i], EPOLL_CTL_MOD, !pause);
}

static size_t having(long k)
{
	size_t n = 0;
	for (size_t i = 0; i < n_members; i++)
		n += members[i].last == k;
	return n;
}

/* False at the end of the input. */
static bool obey(void)
{
	char line[100];
	ssize_t n = read(STDIN_FILENO, line, sizeof line - 1); /* one at a time: the next one is sent when this has been answered */
	if (n <= 0)
		return false;
	line[n] = 0;
	if (strncmp(line, "having ", 7) == 0) {
		printf("%zu\n", having(strtol(line + 7, NULL, 10)));
	} else {
		pause_all(strncmp(line, "pause", 5) == 0);
		printf("done\n");
	}
	return true;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	int port = atoi(argv[1]);
	const char *query = argv[3];
	n_members = (size_t)atol(argv[2]);
	members = calloc(n_members, sizeof *members);
	epoll = epoll_create1(0);
	if (!members || epoll < 0)
		die("begin");
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct epoll_event input = {.events = EPOLLIN, .data.u64 = UINT64_MAX}, ready[256];
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0)
		die("epoll_ctl");
	for (bool opened = false;;) {
		while (n_begun < n_members && n_begun - n_answered < AT_ONCE)
			begin(&members[n_begun++], port);
		if (!opened && n_answered == n_members)
			opened = puts("open");
		int n = epoll_wait(epoll, ready, 256, -1);
		for (int i = 0; i < n; i++) {
			if (ready[i].data.u64 != UINT64_MAX)
				read_some(&members[ready[i].data.u64], query);
			else if (!obey())
				return 0;
		}
	}
}
