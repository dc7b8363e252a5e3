/* Transfers between accounts as fast as the server takes them: each session has one call under way. bench/transfer/run starts what it
 * needs. transfer PORT FUNCTION ACCOUNTS SESSIONS SECONDS http|socket id|any Accounts are numbered from 1; the number is the id. id: the
 * lower one pays, which may be less than nothing; so none are in a deadlock. The last line tells how many were done and how many were
 * refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../latency/line.h"

enum { EVENTS = 64, WAIT_MS = 30000 };

struct load {
	int accounts, sessions, hour;
	const char *fn;
	bool http, ordered;
	struct line *lines;
	unsigned *calls; /* of each session */
	long done, refused;
	double *sent, waited;
};

static int other_than(int account, int accounts)
{
	int other = 1 + (int)(random() % (accounts - 1));
	return other + (other >= account);
}

static void send_call(struct load *l, int i)
{
	struct mr_buf args = {0}, message = {0};
	int from = 1 + (int)(random() % l->accounts), to = other_than(from, l->accounts);
	int amount = 1 + (int)(random() % 100);
	if (l->ordered && from > to) {
		int lower = to;
		to = from;
		from = lower;
		amount = -amount;
	}
	mr_buf_printf(&args, "{\"from\":\"00000000-0000-0000-0000-%012d\",\"to\":\"00000000-0000-0000-0000-%012d\",\"amount\":%d}", from,
		to, amount);
	l->sent[i] = mr_bench_now();
	l->calls[i]++;
	if (l->http) {
		mr_buf_printf(&message, "/api/fn/%s", l->fn);
		mr_line_post(&l->lines[i], message.p, mr_buf_view(&args));
	} else {
		mr_buf_printf(&message, "{\"t\":\"call\",\"id\":\"%d.%u\",\"fn\":\"%s\",\"args\":%s}", l->hour, l->calls[i], l->fn, args.p);
		mr_line_say(&l->lines[i], mr_buf_view(&message));
	}
	mr_buf_fini(&args);
	mr_buf_fini(&message);
}

static void greet(struct load *l, int i)
{
	char hello[128];
	struct mr_str m = {0};
	mr_line_upgrade(&l->lines[i]);
	int n = snprintf(hello, sizeof hello, "{\"t\":\"hello\",\"protocol\":1,\"session\":\"transfer-%08d-%08d-transfer-transfer\"}",
		(int)getpid(), i);
	mr_line_say(&l->lines[i], (struct mr_str){hello, (size_t)n});
	while (!mr_line_message(&l->lines[i], &m))
		mr_line_fill(&l->lines[i], true);
	const char *hour = memmem(m.p, m.n, "\"hour\":", 7);
	if (!hour)
		mr_bench_die("not welcome: %.*s", (int)m.n, m.p);
	l->hour = (int)strtol(hour + 7, NULL, 10);
}

/* Whether the answer to the session's call is there. A transition without it tells of something else. */
static bool has_answer(struct load *l, int i, struct mr_str *answer)
{
	char id[48];
	int status, n = snprintf(id, sizeof id, "\"id\":\"%d.%u\"", l->hour, l->calls[i]);
	mr_line_fill(&l->lines[i], false);
	if (l->http)
		return mr_line_answer(&l->lines[i], &status, answer);
	while (mr_line_message(&l->lines[i], answer))
		if (memmem(answer->p, answer->n, id, (size_t)n))
			return true;
	return false;
}

static void on_answer(struct load *l, int i, struct mr_str answer)
{
	bool refused = memmem(answer.p, answer.n, "\"error\"", 7) != NULL;
	if (refused && !l->refused)
		fprintf(stderr, "transfer: %.*s\n", (int)answer.n, answer.p);
	l->refused += refused;
	l->done += !refused;
	l->waited += mr_bench_now() - l->sent[i];
}

static void turn(struct load *l, int epoll)
{
	struct epoll_event events[EVENTS];
	struct mr_str answer;
	int n = epoll_wait(epoll, events, EVENTS, WAIT_MS);
	if (n == 0)
		mr_bench_die("no answer for %d s", WAIT_MS / 1000);
	for (int k = 0; k < n; k++) {
		int i = events[k].data.fd;
		if (!has_answer(l, i, &answer))
			continue;
		on_answer(l, i, answer);
		send_call(l, i);
	}
}

static int open_all(struct load *l, int port)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	l->lines = mr_alloc((size_t)l->sessions * sizeof *l->lines);
	l->calls = mr_alloc((size_t)l->sessions * sizeof *l->calls);
	l->sent = mr_alloc((size_t)l->sessions * sizeof *l->sent);
	for (int i = 0; i < l->sessions; i++) {
		mr_line_open(&l->lines[i], port);
		if (!l->http)
			greet(l, i);
		struct epoll_event e = {.events = EPOLLIN, .data.fd = i};
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, l->lines[i].fd, &e) != 0)
			mr_bench_die("epoll: %s", strerror(errno));
	}
	return epoll;
}

int main(int argc, char **argv)
{
	if (argc != 8)
		mr_bench_die("usage: transfer PORT FUNCTION ACCOUNTS SESSIONS SECONDS http|socket id|any");
	struct load l = {.fn = argv[2],
		.accounts = (int)strtol(argv[3], NULL, 10),
		.sessions = (int)strtol(argv[4], NULL, 10),
		.http = !strcmp(argv[6], "http"),
		.ordered = !strcmp(argv[7], "id")};
	srandom((unsigned)getpid());
	int epoll = open_all(&l, (int)strtol(argv[1], NULL, 10));
	double end = mr_bench_now() + strtod(argv[5], NULL) * 1e6;
	for (int i = 0; i < l.sessions; i++)
		send_call(&l, i);
	while (mr_bench_now() < end)
		turn(&l, epoll);
	printf("done %ld refused %ld mean_ms %.2f\n", l.done, l.refused, l.waited / (double)(l.done + l.refused) / 1e3);
	for (int i = 0; i < l.sessions; i++)
		mr_line_close(&l.lines[i]);
	free(l.lines);
	free(l.calls);
	free(l.sent);
	close(epoll);
	return 0;
}
