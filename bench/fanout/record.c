#include "record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/latency/line.h"
#include "clients.h"
#include "floor.h"
#include "loop.h"
#include "marks.h"

struct frame {
	double at;
	size_t from, n; /* of the bytes */
};

static struct {
	bool on;
	struct mr_buf bytes;
	struct frame *frames;
	size_t n, cap;
	struct mr_buf one; /* a frame with one mark */
	int control;
	/* of a replay */
	bool as_frames;
	double *times; /* when each was, in order */
	uint64_t *order;
	size_t next, n_all;
	double late; /* that much later than it was */
} self = {.control = -1};

void mr_record_begin(void)
{
	self.on = true;
	self.n = 0;
	mr_buf_reset(&self.bytes);
}

void mr_record_end(void)
{
	self.on = false;
}

void mr_record_frame(struct mr_str frame, unsigned marks, double now)
{
	if (!self.on)
		return;
	if (marks == 1) {
		mr_buf_reset(&self.one);
		mr_buf_str(&self.one, frame);
	}
	if (self.n == self.cap) {
		self.cap = self.cap ? 2 * self.cap : 1024;
		self.frames = mr_realloc(self.frames, self.cap * sizeof *self.frames);
	}
	self.frames[self.n++] = (struct frame){now, self.bytes.n, frame.n};
	mr_buf_str(&self.bytes, frame);
}

void mr_record_report(FILE *out)
{
	fprintf(out, "\"frames\":%zu,\"frameBytes\":%zu", self.n, self.bytes.n);
}

/* ---- the control connection ---- */

void mr_control_open(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;
	self.control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (self.control < 0 || connect(self.control, (struct sockaddr *)&to, sizeof to) != 0)
		mr_bench_die("cannot connect to the floor: %s", strerror(errno));
	setsockopt(self.control, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void mr_control_close(void)
{
	close(self.control);
	self.control = -1;
}

static void tell(struct mr_str bytes, bool alone)
{
	struct mr_buf b = {0};
	struct floor_order head = {.n = (uint32_t)bytes.n, .alone = alone};
	mr_buf_add(&b, &head, sizeof head);
	mr_buf_str(&b, bytes);
	for (size_t at = 0; at < b.n;) {
		ssize_t n = send(self.control, b.p + at, b.n - at, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			mr_bench_die("the floor hung up: %s", strerror(errno));
		at += n > 0 ? (size_t)n : 0;
	}
	mr_buf_fini(&b);
}

void mr_feed(uint64_t number)
{
	char *at = self.one.n ? memmem(self.one.p, self.one.n, "~#", 2) : NULL;
	if (!at)
		mr_bench_die("no frame of one mark was recorded that the floor could be fed with");
	mr_marks_print_number(at + 2, number, MARK_DIGITS);
	tell(mr_buf_view(&self.one), false);
}

static uint64_t warm_until;

static bool is_warm(void)
{
	return mr_clients_messages() >= warm_until;
}

void mr_warm(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		warm_until = mr_clients_messages() + mr_clients_ready();
		mr_feed(0);
		if (!mr_loop_until(is_warm, NULL, 10))
			mr_bench_die("the floor does not write");
	}
}

/* ---- replay ---- */

static void tell_frame(const struct frame *f, double now)
{
	struct mr_str bytes = {self.bytes.p + f->from, f->n};
	/* From now on its marks are under way. */
	for (const char *p = bytes.p, *end = bytes.p + bytes.n; (p = memmem(p, (size_t)(end - p), "~#", 2)); p += 2) {
		uint64_t number = mr_marks_read_number(p + 2);
		if (number >= mr_marks.from && number - mr_marks.from < mr_marks.n)
			mr_marks.m[number - mr_marks.from].sent = now;
	}
	tell(bytes, true);
}

static void tell_mark(uint64_t number, double now)
{
	mr_marks.m[number - mr_marks.from].sent = now;
	mr_feed(number);
}

static double tell_due(double now)
{
	for (; self.next < self.n_all; self.next++) {
		double at = self.times[self.next] + self.late;
		if (at > now)
			return at;
		if (self.as_frames)
			tell_frame(&self.frames[self.next], now);
		else
			tell_mark(self.order[self.next], now);
	}
	return 0;
}

static bool all_have_all(void)
{
	return self.next == self.n_all && mr_marks.n_done == mr_marks.n;
}

static int by_time(const void *a, const void *b)
{
	const struct mark *x = &mr_marks.m[*(const uint64_t *)a - mr_marks.from], *y = &mr_marks.m[*(const uint64_t *)b - mr_marks.from];
	double at = x->answered > 0 ? x->answered : x->sent, bt = y->answered > 0 ? y->answered : y->sent;
	return (at > bt) - (at < bt);
}

static void plan_marks(void)
{
	self.n_all = mr_marks.n;
	self.order = mr_alloc(self.n_all * sizeof *self.order);
	for (size_t i = 0; i < self.n_all; i++)
		self.order[i] = mr_marks.from + i;
	qsort(self.order, self.n_all, sizeof *self.order, by_time);
	self.times = mr_alloc(self.n_all * sizeof *self.times);
	for (size_t i = 0; i < self.n_all; i++) {
		const struct mark *m = &mr_marks.m[self.order[i] - mr_marks.from];
		self.times[i] = m->answered > 0 ? m->answered : m->sent;
	}
}

static void plan_frames(void)
{
	self.n_all = self.n;
	self.times = mr_alloc(self.n_all * sizeof *self.times);
	for (size_t i = 0; i < self.n_all; i++)
		self.times[i] = self.frames[i].at;
}

void mr_replay(bool frames, double seconds)
{
	self.as_frames = frames;
	if (frames)
		plan_frames();
	else
		plan_marks();
	if (!self.n_all)
		mr_bench_die("nothing was recorded");
	mr_marks_again();
	self.next = 0;
	self.late = mr_bench_now() + 1000 - self.times[0];
	if (!mr_loop_until(all_have_all, tell_due, seconds))
		mr_bench_die("the floor: %zu of %zu marks have come to all after %.0f s", mr_marks.n_done, mr_marks.n, seconds);
	free(self.times);
	free(self.order);
	self.times = NULL;
	self.order = NULL;
}
