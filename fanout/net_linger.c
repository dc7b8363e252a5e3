/* Keeps a socket open behind h2o's back while a client still sends a body that was refused: closing with unread bytes would reset the
 * connection, and the client would never read why.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "net_inner.h"

enum { LINGER_US = 2 * 1000000, LINGERERS = 64 };

struct lingerer {
	struct mr_list link;
	struct mr_net *net;
	int fd;
	struct mr_watch *watch;
	struct mr_timer *limit;
};

static void finish(void *arg)
{
	struct lingerer *l = arg;

	mr_list_del(&l->link);
	l->net->lingerers--;
	mr_watch_delete(&l->watch);
	mr_timer_delete(&l->limit);
	close(l->fd);
	free(l);
}

static void on_readable(void *arg, int events)
{
	struct lingerer *l = arg;
	ssize_t n = recv(l->fd, l->net->scratch, sizeof(l->net->scratch), MSG_DONTWAIT);

	shutdown(l->fd, SHUT_WR); /* the answer has been written in the turn before */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		finish(l);
}

void mr_net_linger(struct mr_net *net, int fd)
{
	int copy = net->lingerers < LINGERERS && !net->deleting ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (copy < 0)
		return;
	struct lingerer *l = mr_alloc(sizeof(*l));
	l->net = net;
	l->fd = copy;
	l->watch = mr_watch_new(net->loop, copy, MR_READ, on_readable, l);
	l->limit = mr_timer_new(net->loop, finish, l);
	mr_timer_start(l->limit, LINGER_US);
	mr_list_add_tail(&net->lingering, &l->link);
	net->lingerers++;
}

void mr_net_linger_init(struct mr_net *net)
{
	mr_list_init(&net->lingering);
}

void mr_net_linger_fini(struct mr_net *net)
{
	for (struct mr_list *e; (e = mr_net_pop(&net->lingering));)
		finish(MR_CONTAINER(e, struct lingerer, link));
}
