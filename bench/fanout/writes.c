#include "writes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/latency/line.h"
#include "loop.h"
#include "marks.h"
#include "record.h"

enum { CHUNK = 65536 };

struct writer {
	struct watched watched;
	struct line line;
	bool busy;
	uint64_t number; /* of the write that it waits for */
	struct writer *next_free;
};

static struct {
	enum via via;
	int port;
	struct writer *all, *free;
	unsigned n;
	struct writing now;
	double began;
	size_t sent, cap;
} self;

static enum framing framing(void)
{
	return self.via == VIA_NATS ? FRAMING_NATS : FRAMING_MQTT;
}

static void say(struct writer *w, const struct mr_buf *b)
{
	for (size_t at = 0; at < b->n;) {
		ssize_t n = send(w->line.fd, b->p + at, b->n - at, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			mr_bench_die("a writer cannot send: %s", strerror(errno));
		at += n > 0 ? (size_t)n : 0;
	}
}

/* ---- answers ---- */

static void on_answer(struct writer *w)
{
	int status;
	struct mr_str body;
	while (mr_line_answer(&w->line, &status, &body)) {
		if (status < 200 || status > 299)
			mr_bench_die("a write was answered by %d: %.*s", status, (int)body.n, body.p);
		if (!w->busy)
			mr_bench_die("an answer that nobody asked for: %.*s", (int)body.n, body.p);
		w->busy = false;
		w->next_free = self.free;
		self.free = w;
		mr_marks_answered(w->number, mr_loop_now());
	}
}

static void on_pieces(struct writer *w)
{
	struct piece piece;
	for (;;) {
		struct mr_str rest = {w->line.in.p + w->line.at, w->line.in.n - w->line.at};
		if (!rest.n || !mr_framing_next(framing(), rest, &piece))
			return;
		struct mr_buf pong = {0};
		if (piece.kind == PIECE_PING)
			mr_framing_pong(framing(), &pong, piece.payload);
		if (pong.n)
			say(w, &pong);
		mr_buf_fini(&pong);
		w->line.at += piece.size;
	}
}

static void open_line(struct writer *w)
{
	mr_line_open(&w->line, self.port);
	mr_loop_add_urgent(w->line.fd, EPOLLIN, &w->watched);
}

/* A server may close a connection that nothing was asked on for long. */
static bool was_closed(const struct writer *w)
{
	char c;
	return self.via == VIA_HTTP && !w->busy && recv(w->line.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void on_ready(struct watched *watched, uint32_t events)
{
	struct writer *w = (struct writer *)watched;
	if (was_closed(w)) {
		mr_line_close(&w->line);
		open_line(w);
		return;
	}
	mr_line_fill(&w->line, false);
	if (self.via == VIA_HTTP)
		on_answer(w);
	else
		on_pieces(w);
}

void mr_writers_open(enum via via, int port, unsigned n, struct mr_str greeting)
{
	self.via = via;
	self.port = port;
	self.n = via == VIA_FLOOR ? 0 : via == VIA_HTTP ? n : 1;
	self.all = mr_alloc(MR_MAX(self.n, 1U) * sizeof *self.all);
	self.free = NULL;
	struct mr_buf hello = {0};
	mr_buf_str(&hello, greeting);
	for (unsigned i = 0; i < self.n; i++) {
		struct writer *w = &self.all[i];
		w->watched.ready = on_ready;
		open_line(w);
		if (hello.n)
			say(w, &hello);
		w->next_free = self.free;
		self.free = w;
	}
	mr_buf_fini(&hello);
}

void mr_writers_close(void)
{
	for (unsigned i = 0; i < self.n; i++)
		mr_line_close(&self.all[i].line);
	free(self.all);
	self.all = NULL;
	self.free = NULL;
	self.n = 0;
}

/* ---- writing ---- */

static void fill_in(struct mr_buf *text, const char *what, uint64_t number)
{
	size_t n = strlen(what);
	for (char *p = text->p; (p = memmem(p, (size_t)(text->p + text->n - p), what, n)); p += n)
		mr_marks_print_number(p, number, (int)n);
}

static void write_one(double now)
{
	uint64_t number = mr_marks_send(now);
	self.sent++;
	if (self.via == VIA_FLOOR) {
		mr_feed(number);
		return;
	}
	struct writer *w = self.free;
	struct mr_buf text = {0};
	mr_buf_str(&text, mr_buf_view(&self.now.text));
	fill_in(&text, "$$$$$$$$$$", number);
	if (self.now.values)
		fill_in(&text, "%%%%%%", self.now.first_value + number % self.now.values);
	if (self.via == VIA_HTTP) {
		self.free = w->next_free;
		w->busy = true;
		w->number = number;
	}
	say(w, &text);
	mr_buf_fini(&text);
}

static bool may_begin(double now)
{
	const struct writing *w = &self.now;
	if (self.sent == w->count || (w->seconds > 0 && now - self.began > w->seconds * 1e6))
		return false;
	if (self.via == VIA_HTTP && !self.free)
		return false;
	return !w->under_way || mr_marks.n - mr_marks.n_done < w->under_way;
}

static double due(double now)
{
	const struct writing *w = &self.now;
	while (may_begin(now)) {
		double at = w->rate > 0 ? self.began + (double)self.sent / w->rate * 1e6 : now;
		if (at > now)
			return at;
		write_one(now);
		now = mr_bench_now();
	}
	return 0;
}

static bool over(void)
{
	const struct writing *w = &self.now;
	bool all_sent = self.sent == w->count || (w->seconds > 0 && mr_bench_now() - self.began > w->seconds * 1e6);
	return all_sent && mr_marks.n_done == mr_marks.n;
}

void mr_write_all(struct writing *w, double patience_seconds)
{
	self.now = *w;
	self.sent = 0;
	mr_marks_begin(w->expect, self.via == VIA_HTTP);
	mr_record_begin();
	self.began = mr_bench_now();
	if (!mr_loop_until(over, due, patience_seconds)) {
		for (size_t i = 0; i < mr_marks.n; i++)
			if (mr_marks.m[i].got < w->expect)
				mr_bench_die("write %zu of %zu: answered %s, %u of %u clients have it", i, mr_marks.n,
					mr_marks.m[i].answered > 0 ? "yes" : "no", mr_marks.m[i].got, w->expect);
		mr_bench_die("%zu of %zu writes have their end", mr_marks.n_done, mr_marks.n);
	}
	mr_record_end();
	mr_buf_fini(&w->text);
}
