/* Calls of one function by many sessions: as fast as they are answered, each session with one under way, or so many a second. Words of
 * name=value:
 *   load port= fn= args= sessions= seconds= [via=http] [of=N] [rate=N]
 * args is JSON in which <lower> and <higher> become two different whole numbers from 1 to N, of twelve digits; <amount> one from -100 to
 * 100; <unique> a text that no other call of this program has. With a rate, a call that is due while all sessions wait is late, and what it
 * waited is counted. SIGINT ends it before its time; what is under way is waited for. The last line is JSON: how many were done, how many
 * refused with which code, and how long they took (ms).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../latency/line.h"
#include "../latency/samples.h"

enum { EVENTS = 64, WAIT_MS = 30000, CODES = 16, CODE = 40 };

struct session {
	struct line line;
	unsigned calls;
	bool busy;
	double since; /* when its call was sent, or due */
};

static struct {
	const char *fn, *args, *life;
	int port, of, hour;
	unsigned n;
	bool http;
	double rate, began, end;
	struct session *all;
	struct samples took;
	long sent, done, refused;
	struct refusal {
		char code[CODE];
		long n;
	} codes[CODES];
} self = {.of = 2};

static volatile sig_atomic_t stopped;

/* ---- what is said ---- */

static void fill_in(struct mr_buf *out, const char *p)
{
	int lower = 1 + (int)(random() % self.of), higher = 1 + (int)(random() % (self.of - 1));
	higher += higher >= lower;
	while (*p) {
		size_t n = strcspn(p, "<");
		mr_buf_add(out, p, n);
		p += n;
		if (strncmp(p, "<lower>", 7) == 0)
			mr_buf_printf(out, "%012d", MR_MIN(lower, higher)), p += 7;
		else if (strncmp(p, "<higher>", 8) == 0)
			mr_buf_printf(out, "%012d", MR_MAX(lower, higher)), p += 8;
		else if (strncmp(p, "<amount>", 8) == 0)
			mr_buf_printf(out, "%d", (int)(random() % 201) - 100), p += 8;
		else if (strncmp(p, "<unique>", 8) == 0)
			mr_buf_printf(out, "%s-%09ld", self.life, self.sent), p += 8;
		else if (*p)
			mr_buf_char(out, *p++);
	}
}

static void send_call(struct session *s, double since)
{
	struct mr_buf args = {0}, message = {0};
	fill_in(&args, self.args);
	self.sent++;
	s->since = since;
	s->busy = true;
	s->calls++;
	if (self.http) {
		mr_buf_printf(&message, "/api/fn/%s", self.fn);
		mr_line_post(&s->line, message.p, mr_buf_view(&args));
	} else {
		mr_buf_printf(
			&message, "{\"t\":\"call\",\"id\":\"%d.%u\",\"fn\":\"%s\",\"args\":%s}", self.hour, s->calls, self.fn, args.p);
		mr_line_say(&s->line, mr_buf_view(&message));
	}
	mr_buf_fini(&args);
	mr_buf_fini(&message);
}

/* ---- answers ---- */

/* Whether the answer to the session's call is there. A transition without it tells of something else. */
static bool has_answer(struct session *s, struct mr_str *answer)
{
	char id[48];
	int status, n = snprintf(id, sizeof id, "\"id\":\"%d.%u\"", self.hour, s->calls);
	mr_line_fill(&s->line, false);
	if (self.http)
		return mr_line_answer(&s->line, &status, answer);
	while (mr_line_message(&s->line, answer))
		if (memmem(answer->p, answer->n, id, (size_t)n))
			return true;
	return false;
}

static void count_refusal(struct mr_str answer)
{
	static const char key[] = "\"code\":\"";
	char code[CODE] = "unknown";
	const char *p = memmem(answer.p, answer.n, key, sizeof key - 1);
	if (p) {
		p += sizeof key - 1;
		snprintf(code, sizeof code, "%.*s", (int)strcspn(p, "\""), p);
	}
	struct refusal *r = self.codes;
	while (r < self.codes + CODES - 1 && r->n && strcmp(r->code, code) != 0)
		r++;
	memcpy(r->code, code, CODE);
	r->n++;
}

static void on_answer(struct session *s, struct mr_str answer)
{
	if (memmem(answer.p, answer.n, "\"error\":{", 9)) {
		self.refused++;
		count_refusal(answer);
	} else {
		self.done++;
	}
	s->busy = false;
	mr_samples_add(&self.took, mr_bench_now() - s->since);
}

/* ---- sessions ---- */

static void greet(struct session *s, unsigned i)
{
	char hello[160];
	struct mr_str m = {0};
	mr_line_upgrade(&s->line);
	int n = snprintf(
		hello, sizeof hello, "{\"t\":\"hello\",\"protocol\":1,\"session\":\"load-%s-%08u-of-bench-functions\"}", self.life, i);
	mr_line_say(&s->line, (struct mr_str){hello, (size_t)n});
	while (!mr_line_message(&s->line, &m))
		mr_line_fill(&s->line, true);
	const char *hour = memmem(m.p, m.n, "\"hour\":", 7);
	if (!hour)
		mr_bench_die("not welcome: %.*s", (int)m.n, m.p);
	self.hour = (int)strtol(hour + 7, NULL, 10);
}

static int open_all(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	self.all = mr_alloc(self.n * sizeof *self.all);
	for (unsigned i = 0; i < self.n; i++) {
		struct session *s = &self.all[i];
		mr_line_open(&s->line, self.port);
		if (!self.http)
			greet(s, i);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->line.fd, &e) != 0)
			mr_bench_die("epoll: %s", strerror(errno));
	}
	return epoll;
}

/* ---- time ---- */

static double due_at(void)
{
	return self.began + (double)self.sent / self.rate * 1e6;
}

static bool over(void)
{
	return stopped || mr_bench_now() >= self.end;
}

/* Sends what may be sent; gives ms until the next call is due. */
static int send_more(void)
{
	double now = mr_bench_now();
	for (unsigned i = 0; i < self.n; i++) {
		if (self.all[i].busy)
			continue;
		if (self.rate > 0 && due_at() > now)
			return 1 + (int)((due_at() - now) / 1e3);
		send_call(&self.all[i], self.rate > 0 ? due_at() : now);
	}
	return WAIT_MS;
}

/* A session that was answered speaks again at once, unless there is a rate. */
static void turn(int epoll, int ms)
{
	struct epoll_event events[EVENTS];
	struct mr_str answer;
	int n = epoll_wait(epoll, events, EVENTS, ms);
	if (n == 0 && ms == WAIT_MS)
		mr_bench_die("no answer for %d s", WAIT_MS / 1000);
	for (int i = 0; i < n; i++) {
		struct session *s = events[i].data.ptr;
		if (!has_answer(s, &answer))
			continue;
		on_answer(s, answer);
		if (self.rate <= 0 && !over())
			send_call(s, mr_bench_now());
	}
}

static void report(void)
{
	printf("{\"done\":%ld,\"refused\":%ld,\"codes\":{", self.done, self.refused);
	for (struct refusal *r = self.codes; r < self.codes + CODES && r->n; r++)
		printf("%s\"%s\":%ld", r == self.codes ? "" : ",", r->code, r->n);
	printf("},\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}\n", mr_samples_at(&self.took, 0.5) / 1e3, mr_samples_at(&self.took, 0.99) / 1e3,
		mr_samples_at(&self.took, 1) / 1e3);
}

static void on_signal(int number)
{
	stopped = 1;
}

/* ---- words ---- */

static const char *word(char **words, const char *name)
{
	size_t n = strlen(name);
	for (; *words; words++)
		if (strncmp(*words, name, n) == 0 && (*words)[n] == '=')
			return *words + n + 1;
	return NULL;
}

static double number(char **words, const char *name, double otherwise)
{
	const char *w = word(words, name);
	return w ? strtod(w, NULL) : otherwise;
}

int main(int argc, char **argv)
{
	char life[32];
	snprintf(life, sizeof life, "%08x-%08x", (unsigned)getpid(), (unsigned)(uint64_t)mr_bench_now());
	self.life = life;
	self.port = (int)number(argv, "port", 0);
	self.fn = word(argv, "fn");
	self.args = word(argv, "args");
	self.n = (unsigned)number(argv, "sessions", 64);
	self.of = (int)number(argv, "of", 2);
	self.rate = number(argv, "rate", 0);
	self.http = word(argv, "via") && strcmp(word(argv, "via"), "http") == 0;
	if (argc < 2 || !self.fn || !self.args || !self.port || self.of < 2)
		mr_bench_die("usage: load port= fn= args= sessions= seconds= [via=http] [of=N] [rate=N]");
	srandom((unsigned)getpid());
	signal(SIGINT, on_signal);
	int epoll = open_all();
	self.began = mr_bench_now();
	self.end = self.began + number(argv, "seconds", 1) * 1e6;
	int wait = send_more();
	while (!over()) {
		turn(epoll, MR_MIN(wait, (int)((self.end - mr_bench_now()) / 1e3) + 1));
		wait = self.rate > 0 && !over() ? send_more() : WAIT_MS;
	}
	while (self.sent > self.done + self.refused)
		turn(epoll, WAIT_MS);
	report();
	for (unsigned i = 0; i < self.n; i++)
		mr_line_close(&self.all[i].line);
	free(self.all);
	mr_samples_fini(&self.took);
	close(epoll);
	return 0;
}
