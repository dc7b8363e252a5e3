#include "loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "bench/latency/line.h"

enum { EVENTS = 512, FEW = 16, SPIN_US = 60 };

static int epoll, urgent; /* urgent: an epoll of its own, which the other one watches */
static struct watched urgents;
static double turn, pace;

static void control(int in, int op, int fd, uint32_t events, struct watched *w)
{
	struct epoll_event e = {.events = events, .data.ptr = w};
	if (epoll_ctl(in, op, fd, &e) != 0)
		mr_bench_die("epoll: %s", strerror(errno));
}

static void look_at_urgent(struct watched *w, uint32_t events)
{
	struct epoll_event ready[EVENTS];
	int n = epoll_wait(urgent, ready, EVENTS, 0);
	if (n <= 0)
		return;
	turn = mr_bench_now();
	for (int i = 0; i < n; i++) {
		struct watched *one = ready[i].data.ptr;
		one->ready(one, ready[i].events);
	}
}

void mr_loop_init(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	urgent = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || urgent < 0)
		mr_bench_die("epoll: %s", strerror(errno));
	urgents.ready = look_at_urgent;
	control(epoll, EPOLL_CTL_ADD, urgent, EPOLLIN, &urgents);
}

void mr_loop_add(int fd, uint32_t events, struct watched *w)
{
	control(epoll, EPOLL_CTL_ADD, fd, events, w);
}

void mr_loop_add_urgent(int fd, uint32_t events, struct watched *w)
{
	control(urgent, EPOLL_CTL_ADD, fd, events, w);
}

void mr_loop_change(int fd, uint32_t events, struct watched *w)
{
	control(epoll, EPOLL_CTL_MOD, fd, events, w);
}

double mr_loop_now(void)
{
	return turn;
}

void mr_loop_pace(double us)
{
	pace = us;
}

static struct timespec timespec_of(double us)
{
	time_t s = (time_t)(us / 1e6);
	return (struct timespec){.tv_sec = s, .tv_nsec = (long)((us - (double)s * 1e6) * 1e3)};
}

/* What is due soon is waited for awake. */
static int wait_for(struct epoll_event *events, double us)
{
	if (us <= SPIN_US)
		return epoll_wait(epoll, events, EVENTS, 0);
	struct timespec t = timespec_of(pace > 0 ? MR_MIN(pace, us - SPIN_US) : us - SPIN_US);
	if (pace > 0) {
		nanosleep(&t, NULL);
		return epoll_wait(epoll, events, EVENTS, 0);
	}
	return epoll_pwait2(epoll, events, EVENTS, &t, NULL);
}

static void between(double (*due)(double now))
{
	look_at_urgent(&urgents, EPOLLIN);
	turn = mr_bench_now();
	if (due)
		due(turn);
}

bool mr_loop_until(bool (*done)(void), double (*due)(double now), double seconds)
{
	struct epoll_event events[EVENTS];
	turn = mr_bench_now();
	for (double end = turn + seconds * 1e6; !done();) {
		double next = due ? due(mr_bench_now()) : 0, until = next > 0 && next < end ? next : end;
		int n = wait_for(events, until - mr_bench_now());
		if (n < 0 && errno != EINTR)
			mr_bench_die("epoll: %s", strerror(errno));
		turn = mr_bench_now();
		for (int i = 0; i < n; i++) {
			struct watched *w = events[i].data.ptr;
			w->ready(w, events[i].events);
			if (i % FEW == FEW - 1)
				between(due);
		}
		if (turn > end)
			return done();
	}
	return true;
}
