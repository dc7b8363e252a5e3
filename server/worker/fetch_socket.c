#include "fetch_socket.h"

#include <stdlib.h>

#include "proto/ground/mem.h"

struct mr_fetch_sockets {
	struct mr_loop *loop;
	CURLM *multi;
	struct mr_timer *timer;
	mr_call_cb *done;
	void *arg;
};

struct fetch_socket {
	struct mr_fetch_sockets *all;
	curl_socket_t fd;
	struct mr_watch *watch;
};

static void turn(struct mr_fetch_sockets *s, curl_socket_t fd, int events)
{
	int running;
	curl_multi_socket_action(s->multi, fd, events, &running);
	s->done(s->arg);
}

static void on_ready(void *arg, int events)
{
	const struct fetch_socket *one = arg; /* may be gone after it */
	turn(one->all, one->fd, (events & MR_READ ? CURL_CSELECT_IN : 0) | (events & MR_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(void *arg)
{
	turn(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	struct mr_fetch_sockets *s = arg;
	if (ms < 0)
		mr_timer_stop(s->timer);
	else
		mr_timer_start(s->timer, (int64_t)ms * 1000);
	return 0;
}

static int events_of(int what)
{
	return what == CURL_POLL_IN ? MR_READ : what == CURL_POLL_OUT ? MR_WRITE : what == CURL_POLL_INOUT ? MR_READ | MR_WRITE : 0;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct mr_fetch_sockets *s = arg;
	struct fetch_socket *one = known;
	if (what == CURL_POLL_REMOVE) {
		if (one)
			mr_watch_delete(&one->watch);
		free(one);
		curl_multi_assign(s->multi, fd, NULL);
		return 0;
	}
	if (one) {
		mr_watch_set(one->watch, events_of(what));
		return 0;
	}
	one = mr_alloc(sizeof *one);
	*one = (struct fetch_socket){.all = s, .fd = fd};
	one->watch = mr_watch_new(s->loop, fd, events_of(what), on_ready, one);
	curl_multi_assign(s->multi, fd, one);
	return 0;
}

struct mr_fetch_sockets *mr_fetch_sockets_new(struct mr_loop *loop, CURLM *multi, mr_call_cb *done, void *arg)
{
	struct mr_fetch_sockets *s = mr_alloc(sizeof *s);
	*s = (struct mr_fetch_sockets){.loop = loop, .multi = multi, .done = done, .arg = arg};
	s->timer = mr_timer_new(loop, on_timer, s);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, s);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, s);
	return s;
}
