/* How long after a commit each subscriber of a live query has it: one write at a time, after a random pause, through a function over the
 * WebSocket, through a function over HTTP, and by a COMMIT of another program; between them, in the same seconds, a bare COMMIT of the same
 * row and a bare tick statement. bench/latency/run starts what it needs; bench/README.md says what the columns mean.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "floor.h"
#include "line.h"
#include "samples.h"

enum { WARM_UP = 20, EVENTS = 256, WAIT_MS = 30000, PAUSE_US = 20000, WRITER = -1 };
enum way { SOCKET, HTTP, OUTSIDE, WAYS };
static const char *const way_names[] = {"function, WebSocket", "function, HTTP", "outside COMMIT"};
static const char body[] = "Sixty-four bytes of text, as long as a short message in a chat.";

struct bench {
	int port, epoll, number; /* of the last call */
	struct pg_floor floor;
	char channel[32];
	struct line *subscribers, caller, http;
	double *received;
	int n, hour;
};

struct results {
	struct samples acknowledged, then_received, received, commit, tick;
};

static void on_read(const struct bench *b, int fd, int who)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = who};
	if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		mr_bench_die("epoll: %s", strerror(errno));
}

/* ---- subscribers and callers ---- */

static struct mr_str await(struct line *l, const char *what)
{
	struct mr_str m;
	for (;;) {
		while (mr_line_message(l, &m)) {
			if (memmem(m.p, m.n, what, strlen(what)))
				return m;
			if (memmem(m.p, m.n, "\"error\"", 7))
				mr_bench_die("the server says %.*s", (int)m.n, m.p);
		}
		mr_line_fill(l, true);
	}
}

/* Gives the server's hour. */
static int greet(struct line *l, int port, int number)
{
	char hello[128];
	mr_line_open(l, port);
	mr_line_upgrade(l);
	int n = snprintf(hello, sizeof hello, "{\"t\":\"hello\",\"protocol\":1,\"session\":\"latency-%08d-%08d-latency-latency\"}",
		(int)getpid(), number);
	mr_line_say(l, (struct mr_str){hello, (size_t)n});
	struct mr_str welcome = await(l, "\"welcome\"");
	const char *hour = memmem(welcome.p, welcome.n, "\"hour\":", 7);
	return hour ? (int)strtol(hour + 7, NULL, 10) : 0;
}

static void open_subscribers(struct bench *b, int n)
{
	static int session;
	b->n = n;
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	b->subscribers = mr_alloc((size_t)n * sizeof *b->subscribers);
	b->received = mr_alloc((size_t)n * sizeof *b->received);
	char ask[160];
	int size =
		snprintf(ask, sizeof ask, "{\"t\":\"subscribe\",\"id\":1,\"entity\":\"Note\",\"where\":{\"channel\":\"%s\"}}", b->channel);
	for (int i = 0; i < n; i++) {
		greet(&b->subscribers[i], b->port, ++session);
		mr_line_say(&b->subscribers[i], (struct mr_str){ask, (size_t)size});
		await(&b->subscribers[i], "\"q\":");
		on_read(b, b->subscribers[i].fd, i);
	}
	b->hour = greet(&b->caller, b->port, ++session);
	mr_line_open(&b->http, b->port);
}

static void close_subscribers(struct bench *b)
{
	for (int i = 0; i < b->n; i++)
		mr_line_close(&b->subscribers[i]);
	mr_line_close(&b->caller);
	mr_line_close(&b->http);
	free(b->subscribers);
	free(b->received);
	close(b->epoll);
}

/* ---- one write ---- */

static void send_write(struct bench *b, enum way way, int mark)
{
	struct mr_buf args = {0}, call = {0};
	mr_buf_printf(&args, "{\"channel\":\"%s\",\"mark\":%d,\"body\":\"%s\"}", b->channel, mark, body);
	switch (way) {
	case SOCKET:
		mr_buf_printf(&call, "{\"t\":\"call\",\"id\":\"%d.%d\",\"fn\":\"notes.add\",\"args\":%s}", b->hour, ++b->number, args.p);
		mr_line_say(&b->caller, mr_buf_view(&call));
		break;
	case HTTP:
		mr_line_post(&b->http, "/api/fn/notes.add", mr_buf_view(&args));
		break;
	default:
		mr_outside_commit(&b->floor);
	}
	mr_buf_fini(&args);
	mr_buf_fini(&call);
}

static bool caller_has(struct bench *b)
{
	char id[48];
	struct mr_str m;
	bool found = false;
	int n = snprintf(id, sizeof id, "\"id\":\"%d.%d\"", b->hour, b->number);
	mr_line_fill(&b->caller, false);
	while (mr_line_message(&b->caller, &m)) {
		if (memmem(m.p, m.n, "\"error\"", 7))
			mr_bench_die("the call was answered by %.*s", (int)m.n, m.p);
		found |= memmem(m.p, m.n, id, (size_t)n) != NULL;
	}
	return found;
}

static bool http_has(struct bench *b)
{
	int status;
	struct mr_str answer;
	mr_line_fill(&b->http, false);
	if (!mr_line_answer(&b->http, &status, &answer))
		return false;
	if (status != 200)
		mr_bench_die("the request was answered by %d: %.*s", status, (int)answer.n, answer.p);
	return true;
}

static bool writer_has(struct bench *b, enum way way)
{
	return way == SOCKET ? caller_has(b) : way == HTTP ? http_has(b) : mr_outside_acknowledged(&b->floor);
}

static bool subscriber_has(struct line *l, int mark)
{
	char field[24];
	struct mr_str m;
	bool found = false;
	size_t n = (size_t)snprintf(field, sizeof field, "\"mark\":%d", mark);
	mr_line_fill(l, false);
	while (mr_line_message(l, &m)) {
		const char *at = memmem(m.p, m.n, field, n);
		found |= at && (at[n] == ',' || at[n] == '}');
	}
	return found;
}

/* Waits for the writer's acknowledgement and for all subscribers; gives when the former came. */
static double await_all(struct bench *b, enum way way, int mark)
{
	double acknowledged = 0;
	for (int missing = b->n; missing || acknowledged == 0;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(b->epoll, events, EVENTS, WAIT_MS);
		if (n == 0)
			mr_bench_die("%d of %d subscribers wait in vain for write %d (%s)", missing, b->n, mark, way_names[way]);
		for (int i = 0; i < n; i++) {
			int who = events[i].data.fd;
			if (who == WRITER) {
				if (writer_has(b, way))
					acknowledged = mr_bench_now();
			} else if (subscriber_has(&b->subscribers[who], mark) && b->received[who] == 0) {
				b->received[who] = mr_bench_now();
				missing--;
			}
		}
	}
	return acknowledged;
}

static void one_write(struct bench *b, enum way way, int mark, struct results *r)
{
	usleep((useconds_t)(random() % PAUSE_US)); /* one period of the poll for writers from outside */
	double commit = mr_floor_commit(&b->floor, b->channel, mark, body), tick = mr_floor_tick(&b->floor);
	if (way == OUTSIDE)
		mr_outside_insert(&b->floor, b->channel, mark, body);
	memset(b->received, 0, (size_t)b->n * sizeof *b->received);
	double sent = mr_bench_now();
	send_write(b, way, mark);
	double acknowledged = await_all(b, way, mark);
	if (!r)
		return;
	mr_samples_add(&r->commit, commit);
	mr_samples_add(&r->tick, tick);
	mr_samples_add(&r->acknowledged, acknowledged - sent);
	for (int i = 0; i < b->n; i++) {
		mr_samples_add(&r->then_received, b->received[i] - acknowledged);
		mr_samples_add(&r->received, b->received[i] - sent);
	}
}

/* ---- the table ---- */

static void print_head(void)
{
	printf("milliseconds, p50 / p99\n\n");
	printf("| subscribers | written by | writes | sent -> acknowledged | acknowledged -> received | sent -> received | bare COMMIT | "
	       "bare tick |"
	       " received : bare |\n|---|---|---|---|---|---|---|---|---|\n");
}

static void print_pair(struct samples *s)
{
	printf(" %.2f / %.2f |", mr_samples_at(s, 0.5) / 1e3, mr_samples_at(s, 0.99) / 1e3);
}

static void print_row(struct results *r, int subscribers, enum way way)
{
	double bare = mr_samples_at(&r->commit, 0.5) + mr_samples_at(&r->tick, 0.5);
	printf("| %d | %s | %zu |", subscribers, way_names[way], r->commit.n);
	print_pair(&r->acknowledged);
	print_pair(&r->then_received);
	print_pair(&r->received);
	print_pair(&r->commit);
	print_pair(&r->tick);
	printf(" %.1f |\n", mr_samples_at(&r->received, 0.5) / bare);
	fflush(stdout);
	mr_samples_fini(&r->acknowledged);
	mr_samples_fini(&r->then_received);
	mr_samples_fini(&r->received);
	mr_samples_fini(&r->commit);
	mr_samples_fini(&r->tick);
}

static void measure(struct bench *b, int subscribers, enum way way, int writes)
{
	struct results r = {0};
	snprintf(b->channel, sizeof b->channel, "%d-%d", subscribers, (int)way);
	open_subscribers(b, subscribers);
	on_read(b, way == SOCKET ? b->caller.fd : way == HTTP ? b->http.fd : PQsocket(b->floor.outside), WRITER);
	for (int mark = 1; mark <= WARM_UP + writes; mark++)
		one_write(b, way, mark, mark > WARM_UP ? &r : NULL);
	close_subscribers(b);
	print_row(&r, subscribers, way);
}

static void raise_files(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	if (argc < 5)
		mr_bench_die("usage: latency PORT CONNINFO WRITES SUBSCRIBERS...");
	raise_files();
	b.port = (int)strtol(argv[1], NULL, 10);
	mr_floor_open(&b.floor, argv[2]);
	print_head();
	for (int i = 4; i < argc; i++)
		for (int way = 0; way < WAYS; way++)
			measure(&b, (int)strtol(argv[i], NULL, 10), (enum way)way, (int)strtol(argv[3], NULL, 10));
	mr_floor_close(&b.floor);
	return 0;
}
