#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proto/ground/log.h"

enum { LOOK_EVERY_MS = 10 };

static struct {
	bool on;
	struct mr_guard_limits limits;
	mr_guard_cb *last_words;
	void *arg;
	timer_t timer;
	int statm;
	long page;
	_Atomic uint64_t slice; /* odd: one runs */
	uint64_t seen;          /* the one that was met last, */
	int64_t seen_us;        /* and the thread's CPU time then: to ask it for every slice would cost as much as a short one */
} guard = {.statm = -1};

static int64_t cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Async-signal-safe. statm: "size resident shared ..." in pages. */
int64_t mr_guard_resident(void)
{
	char text[128];
	ssize_t n = guard.statm < 0 ? -1 : pread(guard.statm, text, sizeof text - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = 0;
	const char *p = text;
	while (*p >= '0' && *p <= '9')
		p++;
	while (*p == ' ')
		p++;
	int64_t pages = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		pages = pages * 10 + (*p - '0');
	return pages * guard.page;
}

_Noreturn static void end(enum mr_reason reason, int status)
{
	if (guard.last_words)
		guard.last_words(reason, guard.arg);
	_exit(status);
}

static void on_signal(int signal)
{
	uint64_t slice = atomic_load_explicit(&guard.slice, memory_order_relaxed);
	if (slice % 2 == 0)
		return;
	int64_t now = cpu_us();
	if (slice != guard.seen) {
		guard.seen = slice;
		guard.seen_us = now;
	}
	if (now - guard.seen_us > guard.limits.slice_ms * 1000)
		end(MR_REASON_TIME, MR_EXIT_TIME);
	if (mr_guard_resident() > guard.limits.memory_bytes)
		end(MR_REASON_MEMORY, MR_EXIT_MEMORY);
}

void mr_guard_start(const struct mr_guard_limits *limits, mr_guard_cb *last_words, void *arg)
{
	MR_ASSERT(!guard.on && limits->slice_ms > 0 && limits->memory_bytes > 0);
	guard.limits = *limits;
	guard.last_words = last_words;
	guard.arg = arg;
	guard.page = sysconf(_SC_PAGESIZE);
	guard.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	atomic_store(&guard.slice, 0);
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigemptyset(&act.sa_mask);
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 5};
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	const struct timespec look = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
	const struct itimerspec spec = {.it_interval = look, .it_value = look};
	if (sigaction(SIGRTMIN + 5, &act, NULL) || timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &guard.timer) ||
		timer_settime(guard.timer, 0, &spec, NULL))
		mr_die("cannot make the timer that ends runaway functions: %s", strerror(errno));
	guard.on = true;
}

void mr_guard_stop(void)
{
	if (!guard.on)
		return;
	guard.on = false;
	timer_delete(guard.timer);
	signal(SIGRTMIN + 5, SIG_IGN);
	close(guard.statm);
	guard.statm = -1;
}

static void step(void)
{
	atomic_store_explicit(&guard.slice, atomic_load_explicit(&guard.slice, memory_order_relaxed) + 1, memory_order_relaxed);
}

void mr_guard_enter(void)
{
	step();
}

int64_t mr_guard_spent_us(void)
{
	return guard.seen == atomic_load_explicit(&guard.slice, memory_order_relaxed) ? cpu_us() - guard.seen_us : 0;
}

void mr_guard_leave(void)
{
	step();
}
