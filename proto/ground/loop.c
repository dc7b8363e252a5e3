#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "due.h"
#include "fault.h"
#include "list.h"
#include "log.h"
#include "mem.h"

enum { LOOP_MAGIC = 0x6c6f6f70, WATCH_MAGIC = 0x77617463, TIMER_MAGIC = 0x74696d65, EVENTS_A_TURN = 64 };

struct deferred {
	mr_call_cb *cb;
	void *arg;
};

struct post {
	struct post *next;
	mr_call_cb *cb;
	void *arg;
};

struct mr_loop {
	unsigned magic;
	int epoll, timerfd, wake; /* wake: readable while deferred or posted calls wait outside of a turn */
	bool stopped, in_turn, woken;
	int64_t now;
	size_t watches;
	struct mr_list graves;  /* watches deleted in this turn: events at hand may still point to them */
	struct mr_dues running; /* timers */
	size_t timers;
	int64_t armed; /* due time that the timerfd is set to; 0: not set */
	struct deferred *deferred;
	size_t n_deferred, cap_deferred;
	_Atomic(struct post *) posted; /* by any thread, the latest first */
};

struct mr_watch {
	unsigned magic;
	struct mr_loop *loop;
	struct mr_list grave;
	int fd, events;
	mr_watch_cb *cb; /* NULL: deleted */
	void *arg;
};

struct mr_timer {
	unsigned magic;
	struct mr_loop *loop;
	struct mr_due due;
	mr_call_cb *cb;
	void *arg;
};

static _Thread_local const struct mr_loop *own_loop; /* the one that this thread turned last */

int64_t mr_mono_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t mr_wall_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + mr_fault_clock_us();
}

int32_t mr_this_hour(void)
{
	return (int32_t)(mr_wall_us() / (3600LL * 1000000));
}

/* Life */

static void add_own(struct mr_loop *loop, int fd, int *place)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = place};
	if (fd < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		mr_die("the event loop cannot be set up: %s", strerror(errno));
}

struct mr_loop *mr_loop_new(void)
{
	struct mr_loop *loop = mr_alloc(sizeof(*loop));
	loop->magic = LOOP_MAGIC;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		mr_die("the event loop cannot be set up: %s", strerror(errno));
	loop->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	add_own(loop, loop->timerfd, &loop->timerfd);
	add_own(loop, loop->wake, &loop->wake);
	mr_list_init(&loop->graves);
	loop->now = mr_mono_us();
	return loop;
}

static void run_posted(struct mr_loop *loop);

void mr_loop_delete(struct mr_loop **loop)
{
	struct mr_loop *l = *loop;
	*loop = NULL;
	if (!l)
		return;
	run_posted(l);
	if (own_loop == l)
		own_loop = NULL;
	MR_ASSERT(l->magic == LOOP_MAGIC && !l->in_turn && !l->watches && !l->timers);
	close(l->epoll);
	close(l->timerfd);
	close(l->wake);
	mr_dues_fini(&l->running);
	free(l->deferred);
	l->magic = 0;
	free(l);
}

int mr_loop_fd(const struct mr_loop *loop)
{
	return loop->epoll;
}

bool mr_loop_has_calls(const struct mr_loop *loop)
{
	return loop->n_deferred || atomic_load_explicit(&loop->posted, memory_order_relaxed);
}

int64_t mr_loop_now(const struct mr_loop *loop)
{
	return loop->now;
}

/* Watches */

static uint32_t epoll_bits(int events)
{
	return (events & MR_READ ? EPOLLIN | EPOLLRDHUP : 0) | (events & MR_WRITE ? EPOLLOUT : 0);
}

struct mr_watch *mr_watch_new(struct mr_loop *loop, int fd, int events, mr_watch_cb *cb, void *arg)
{
	MR_ASSERT(loop->magic == LOOP_MAGIC && cb);
	struct mr_watch *w = mr_alloc(sizeof(*w));
	*w = (struct mr_watch){.magic = WATCH_MAGIC, .loop = loop, .fd = fd, .events = events, .cb = cb, .arg = arg};
	mr_list_init(&w->grave);
	struct epoll_event e = {.events = epoll_bits(events), .data.ptr = w};
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		mr_die("descriptor %d cannot be watched: %s", fd, strerror(errno));
	loop->watches++;
	return w;
}

void mr_watch_set(struct mr_watch *w, int events)
{
	MR_ASSERT(w->magic == WATCH_MAGIC && w->cb);
	if (w->events == events)
		return;
	w->events = events;
	struct epoll_event e = {.events = epoll_bits(events), .data.ptr = w};
	if (epoll_ctl(w->loop->epoll, EPOLL_CTL_MOD, w->fd, &e) != 0)
		mr_die("descriptor %d cannot be watched: %s", w->fd, strerror(errno));
}

void mr_watch_delete(struct mr_watch **watch)
{
	struct mr_watch *w = *watch;
	*watch = NULL;
	if (!w)
		return;
	MR_ASSERT(w->magic == WATCH_MAGIC && w->cb);
	struct mr_loop *loop = w->loop;
	/* The descriptor may be closed already (then the kernel has dropped it), which is not ours to judge. */
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	loop->watches--;
	w->cb = NULL;
	if (loop->in_turn) {
		mr_list_add_tail(&loop->graves, &w->grave);
		return;
	}
	w->magic = 0;
	free(w);
}

static void bury(struct mr_loop *loop)
{
	while (!mr_list_empty(&loop->graves)) {
		struct mr_watch *w = MR_CONTAINER(loop->graves.next, struct mr_watch, grave);
		mr_list_del(&w->grave);
		w->magic = 0;
		free(w);
	}
}

/* Timers */

static void set_timerfd(struct mr_loop *loop, int64_t due)
{
	struct itimerspec at = {.it_value = {.tv_sec = due / 1000000, .tv_nsec = due % 1000000 * 1000}};
	if (timerfd_settime(loop->timerfd, TFD_TIMER_ABSTIME, &at, NULL) != 0)
		mr_die("the timer cannot be set: %s", strerror(errno));
	loop->armed = due;
}

/* Sets the kernel's timer only when the next due time comes earlier; a needless wake-up is cheaper than a call for each change. */
static void arm(struct mr_loop *loop)
{
	const struct mr_due *first = mr_dues_first(&loop->running);
	if (!first)
		return;
	int64_t due = MR_MAX(first->at, 1);
	if (!loop->armed || due < loop->armed)
		set_timerfd(loop, due);
}

struct mr_timer *mr_timer_new(struct mr_loop *loop, mr_call_cb *cb, void *arg)
{
	MR_ASSERT(loop->magic == LOOP_MAGIC && cb);
	struct mr_timer *t = mr_alloc(sizeof(*t));
	*t = (struct mr_timer){.magic = TIMER_MAGIC, .loop = loop, .cb = cb, .arg = arg};
	loop->timers++;
	return t;
}

void mr_timer_start(struct mr_timer *t, int64_t delay_us)
{
	MR_ASSERT(t->magic == TIMER_MAGIC);
	struct mr_loop *loop = t->loop;
	/* Counted from now, not from the turn's time, which is old when a turn was long. */
	int64_t now = mr_mono_us();
	mr_dues_put(&loop->running, &t->due, delay_us > INT64_MAX - now ? INT64_MAX : now + MR_MAX(delay_us, 0));
	arm(loop);
}

void mr_timer_stop(struct mr_timer *t)
{
	MR_ASSERT(t->magic == TIMER_MAGIC);
	mr_dues_take(&t->loop->running, &t->due);
}

bool mr_timer_running(const struct mr_timer *t)
{
	return mr_due_waits(&t->due);
}

void mr_timer_delete(struct mr_timer **timer)
{
	struct mr_timer *t = *timer;
	*timer = NULL;
	if (!t)
		return;
	mr_timer_stop(t);
	t->loop->timers--;
	t->magic = 0;
	free(t);
}

/* Timers started by these callbacks wait for the next turn, so that one that restarts itself with 0 does not starve the rest. */
static void run_timers(struct mr_loop *loop)
{
	uint64_t last = loop->running.puts;
	for (struct mr_due *d; (d = mr_dues_first(&loop->running)) && d->at <= loop->now && d->order <= last;) {
		struct mr_timer *t = MR_CONTAINER(d, struct mr_timer, due);
		mr_timer_stop(t);
		t->cb(t->arg);
	}
}

static void on_timerfd(struct mr_loop *loop)
{
	uint64_t times;
	ssize_t got = read(loop->timerfd, &times, sizeof(times));
	(void)got; /* nothing to read: it was set anew meanwhile */
	loop->armed = 0;
}

/* Deferred calls */

static void wake(struct mr_loop *loop)
{
	uint64_t one = 1;
	ssize_t put = write(loop->wake, &one, sizeof(one));
	MR_ASSERT(put == (ssize_t)sizeof(one));
}

void mr_defer(struct mr_loop *loop, mr_call_cb *cb, void *arg)
{
	MR_ASSERT(loop->magic == LOOP_MAGIC && cb);
	if (loop->n_deferred == loop->cap_deferred) {
		loop->cap_deferred = loop->cap_deferred ? loop->cap_deferred * 2 : 16;
		loop->deferred = mr_realloc(loop->deferred, loop->cap_deferred * sizeof(*loop->deferred));
	}
	loop->deferred[loop->n_deferred++] = (struct deferred){cb, arg};
	/* Outside of a turn somebody may sleep on mr_loop_fd. */
	if (!loop->in_turn && !loop->woken) {
		loop->woken = true;
		wake(loop);
	}
}

static void run_deferred(struct mr_loop *loop)
{
	/* Calls may add calls; they run in this turn too. */
	for (size_t i = 0; i < loop->n_deferred; i++) {
		struct deferred d = loop->deferred[i];
		d.cb(d.arg);
	}
	loop->n_deferred = 0;
}

static void on_wake(struct mr_loop *loop)
{
	uint64_t times;
	ssize_t got = read(loop->wake, &times, sizeof(times));
	(void)got;
	loop->woken = false;
}

/* Posted calls: a stack that any thread pushes to and that its loop takes whole (R. K. Treiber, 1986; taken whole, it has no ABA problem).
 * Only who pushes to an empty one wakes the loop. */

void mr_loop_post(struct mr_loop *loop, mr_call_cb *cb, void *arg)
{
	MR_ASSERT(loop->magic == LOOP_MAGIC && cb);
	struct post *p = mr_alloc(sizeof(*p)), *top = atomic_load_explicit(&loop->posted, memory_order_relaxed);
	p->cb = cb;
	p->arg = arg;
	do
		p->next = top;
	while (!atomic_compare_exchange_weak_explicit(&loop->posted, &top, p, memory_order_release, memory_order_relaxed));
	/* From here on p may be gone. */
	if (!top)
		wake(loop);
}

void mr_loop_call(struct mr_loop *loop, mr_call_cb *cb, void *arg)
{
	if (own_loop == loop)
		cb(arg);
	else
		mr_loop_post(loop, cb, arg);
}

static struct post *in_order(struct post *latest)
{
	struct post *first = NULL;
	while (latest) {
		struct post *p = latest;
		latest = p->next;
		p->next = first;
		first = p;
	}
	return first;
}

static void run_posted(struct mr_loop *loop)
{
	if (!atomic_load_explicit(&loop->posted, memory_order_relaxed))
		return;
	struct post *p = in_order(atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire));
	while (p) {
		struct post *next = p->next;
		p->cb(p->arg);
		free(p);
		p = next;
	}
}

/* Turns */

static void on_event(struct mr_loop *loop, const struct epoll_event *e)
{
	if (e->data.ptr == &loop->timerfd) {
		on_timerfd(loop);
		return;
	}
	if (e->data.ptr == &loop->wake) {
		on_wake(loop);
		return;
	}
	struct mr_watch *w = e->data.ptr;
	if (!w->cb)
		return;
	int events = 0;
	if (e->events & (EPOLLERR | EPOLLHUP))
		events = MR_READ | MR_WRITE;
	if (e->events & (EPOLLIN | EPOLLRDHUP))
		events |= MR_READ;
	if (e->events & EPOLLOUT)
		events |= MR_WRITE;
	/* A callback earlier in this turn may have narrowed what is asked for; errors are always told. */
	if (!(e->events & (EPOLLERR | EPOLLHUP)))
		events &= w->events;
	if (events)
		w->cb(w->arg, events);
}

void mr_loop_turn(struct mr_loop *loop, int timeout_ms)
{
	MR_ASSERT(loop->magic == LOOP_MAGIC && !loop->in_turn);
	own_loop = loop;
	struct epoll_event ready[EVENTS_A_TURN];
	int n = epoll_wait(loop->epoll, ready, EVENTS_A_TURN, loop->n_deferred ? 0 : timeout_ms);
	if (n < 0 && errno != EINTR)
		mr_die("waiting for events failed: %s", strerror(errno));
	loop->in_turn = true;
	loop->now = mr_mono_us();
	for (int i = 0; i < n; i++)
		on_event(loop, &ready[i]);
	run_posted(loop);
	run_timers(loop);
	run_deferred(loop);
	arm(loop);
	loop->in_turn = false;
	bury(loop);
}

void mr_loop_run(struct mr_loop *loop)
{
	loop->stopped = false;
	while (!loop->stopped)
		mr_loop_turn(loop, -1);
}

void mr_loop_stop(struct mr_loop *loop)
{
	loop->stopped = true;
}
