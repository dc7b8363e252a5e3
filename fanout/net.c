/* Listener and loop. The other parts: net_http.c (requests and answers), net_stream.c, net_ws.c. */
#include "net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "files.h"
#include "net_inner.h"
#include "proto/ground/log.h"
#include "rates.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MR_LEAK_CHECK 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MR_LEAK_CHECK 1
#endif
#if MR_LEAK_CHECK
#include <sanitizer/lsan_interface.h>
#endif

enum { ACCEPTS_A_TURN = 64, ROUNDS_A_TURN = 4, ACCEPT_PAUSE_US = 100000, STARVED_TELL_US = 10 * 1000000, TLS_LOOK_US = 1000000 };
enum { REQUEST_TIMEOUT_MS = 30000, LEAVE_ROUNDS = 200 };

struct adopted {
	struct mr_list link;
	h2o_socket_t *sock;
	void (*cb)(void *arg);
	void *arg;
};

struct mr_list *mr_net_pop(struct mr_list *list)
{
	struct mr_list *e = list->next;

	if (e == list)
		return NULL;
	mr_list_del(e);
	return e;
}

/* --- accepting --- */

static void on_connection_closed(void *data)
{
	struct mr_net *net = data;

	MR_ASSERT(net->connections > 0);
	net->connections--;
	(*net->config.connections)--;
}

/* One of an address that may have only so many. */
struct counted {
	struct mr_net *net;
	uint64_t address;
};

static void on_counted_closed(void *data)
{
	struct counted *counted = data;

	mr_rates_leave(counted->net->config.rates, counted->address);
	on_connection_closed(counted->net);
	free(counted);
}

static void tune(const struct mr_net *net, int fd)
{
	int on = 1;
	/* So much lies in the kernel unsent, rather than the megabytes it would take from who does not read: what waits here can still be
	 * left out in favour of what is newer. */
	int unsent = 64 << 10;
	/* Who acknowledges nothing for this long is gone; h2o's responses have no other limit. */
	unsigned limit_ms = (unsigned)MR_MAX(2 * net->config.ping_interval_ms, (int64_t)30000);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms));
}

/* One too many: told so, as well as an unread request allows. */
static void refuse(int fd, const char *who, const char *setting)
{
	char body[200], text[440];

	int n = snprintf(body, sizeof(body),
		"{\"error\":{\"code\":\"%s\",\"message\":\"%s as many connections as it may (setting %s)\",\"data\":{\"setting\":\"%s\"}}}",
		mr_code_name(MR_TOO_MANY_CONNECTIONS), who, setting, setting);
	n = snprintf(text, sizeof(text),
		"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\nRetry-After: 5\r\n"
		"Content-Length: %d\r\n\r\n%s",
		n, body);
	ssize_t put = send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)put;
	shutdown(fd, SHUT_WR);
	close(fd);
}

static void on_accept_again(void *arg);
static void on_connection(h2o_socket_t *listener, const char *err);

/* No descriptors or no memory: the connection stays in the kernel's queue and the listener would be readable without end. */
static void pause_accepting(struct mr_net *net)
{
	int64_t now = mr_mono_us();
	if (!net->starved_told || now - net->starved_told > STARVED_TELL_US) {
		mr_log(MR_WARN, "cannot accept connections just now: %s (%d are open)", strerror(errno), net->connections);
		net->starved_told = now;
	}
	h2o_socket_read_stop(net->listener);
	mr_timer_start(net->accept_again, ACCEPT_PAUSE_US);
}

static void on_accept_again(void *arg)
{
	struct mr_net *net = arg;

	if (net->listener)
		h2o_socket_read_start(net->listener, on_connection);
}

static void welcome(struct mr_net *net, int fd, uint64_t address)
{
	tune(net, fd);
	h2o_socket_t *sock = h2o_evloop_socket_create(net->h2o, fd, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
	sock->on_close.cb = on_connection_closed;
	sock->on_close.data = net;
	if (address) {
		struct counted *counted = mr_alloc(sizeof(*counted));
		*counted = (struct counted){net, address};
		sock->on_close.cb = on_counted_closed;
		sock->on_close.data = counted;
	}
	net->connections++;
	struct timeval now;
	gettimeofday(&now, NULL);
	if (net->tls.context)
		h2o_accept(&net->accept, sock);
	else
		h2o_http1_accept(&net->accept, sock, now);
}

/* Counts it, if there is room, else refuses it; the address is 0 where it is not counted. */
static bool may_come(const struct mr_net *net, int fd, uint64_t address)
{
	if (!mr_rates_enter(net->config.rates, address)) {
		refuse(fd, "your address has", "connections_per_address");
		return false;
	}
	if ((*net->config.connections)++ < net->config.max_connections)
		return true;
	(*net->config.connections)--;
	mr_rates_leave(net->config.rates, address);
	refuse(fd, "the server has", "max_connections");
	return false;
}

static int accept_one(const struct mr_net *net, h2o_socket_t *listener, uint64_t *address)
{
	struct sockaddr_storage peer = {0};
	socklen_t n = sizeof(peer);
	int fd = accept4(h2o_socket_get_fd(listener), (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

	*address = 0;
	if (fd >= 0 && net->config.rates)
		mr_net_peer(net, (struct sockaddr *)&peer, address);
	return fd;
}

static void on_connection(h2o_socket_t *listener, const char *err)
{
	struct mr_net *net = listener->data;

	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		uint64_t address;
		int fd = accept_one(net, listener, &address);
		if (fd >= 0) {
			if (may_come(net, fd, address))
				welcome(net, fd, address);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(net);
			return;
		} else if (errno == EAGAIN) {
			return;
		} /* else: that one connection failed on its way in (ECONNABORTED and the like) */
	}
}

/* --- listening --- */

static bool listen_failed(struct mr_error *err, const struct mr_net_config *c, const char *what)
{
	if (errno == EADDRINUSE)
		return mr_fail(err, MR_BAD_VALUE, "port %d of %s is in use by another program; stop that one or choose another with --port",
			c->port, c->listen);
	if (errno == EACCES)
		return mr_fail(err, MR_BAD_VALUE, "port %d may not be opened by this user; choose one above 1023 with --port", c->port);
	if (errno == EADDRNOTAVAIL)
		return mr_fail(err, MR_BAD_VALUE, "%s is no address of this machine; see --listen", c->listen);
	return mr_fail(err, MR_INTERNAL, "cannot listen on %s port %d: %s: %s", c->listen, c->port, what, strerror(errno));
}

/* Sharing would go as far as other programs of the same user, who are to be told that the port is in use. */
static bool is_free(const struct addrinfo *a, const struct mr_net_config *c, struct mr_error *err)
{
	int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	bool ok = bind(fd, a->ai_addr, a->ai_addrlen) == 0 || listen_failed(err, c, "bind");
	close(fd);
	return ok;
}

static bool bind_and_listen(int fd, const struct addrinfo *a, const struct mr_net_config *c, struct mr_error *err)
{
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (c->sharing == MR_NET_SHARES_FIRST && !is_free(a, c, err))
		return false;
	if (c->sharing != MR_NET_ALONE)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) != 0)
		return listen_failed(err, c, "bind");
	return listen(fd, 4096) == 0 || listen_failed(err, c, "listen");
}

static int open_listener(const struct mr_net_config *c, struct mr_error *err)
{
	struct addrinfo *a, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	char port[16];

	snprintf(port, sizeof(port), "%d", c->port);
	int failed = getaddrinfo(c->listen && *c->listen ? c->listen : NULL, port, &hints, &a);
	if (failed) {
		mr_fail(err, MR_BAD_VALUE, "cannot listen on \"%s\": %s; see --listen", c->listen, gai_strerror(failed));
		return -1;
	}
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 ? bind_and_listen(fd, a, c, err) : listen_failed(err, c, "socket");
	freeaddrinfo(a);
	if (!ok && fd >= 0)
		close(fd);
	return ok ? fd : -1;
}

static int port_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);

	MR_ASSERT(getsockname(fd, (struct sockaddr *)&sa, &n) == 0);
	return h2o_socket_getport((struct sockaddr *)&sa);
}

/* --- life --- */

static void on_nested(h2o_socket_t *sock, const char *err)
{
	struct mr_net *net = sock->data;

	net->nested_ready = true; /* mr_net_run turns it after the wait */
}

static h2o_socket_t *adopt(struct mr_net *net, int fd, h2o_socket_cb cb, void *data)
{
	h2o_socket_t *sock = h2o_evloop_socket_create(net->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);

	sock->data = data;
	h2o_socket_read_start(sock, cb);
	return sock;
}

/* Lets go of an adopted descriptor without closing it. */
static void release(h2o_socket_t **sock)
{
	h2o_socket_export_t info;

	if (*sock && h2o_socket_export(*sock, &info) == 0)
		h2o_buffer_dispose(&info.input);
	*sock = NULL;
}

static void init_h2o(struct mr_net *net)
{
	h2o_config_init(&net->global);
	net->global.server_name = (h2o_iovec_t){NULL, 0};
	net->global.http1.upgrade_to_http2 = 0; /* its HTTP/2 has known holes */
	net->global.http1.req_timeout = REQUEST_TIMEOUT_MS;
	net->global.max_request_entity_size = MR_MAX(net->config.max_frame, net->config.max_body);
	net->host = h2o_config_register_host(&net->global, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	mr_net_http_init(net);
	net->h2o = h2o_evloop_create();
	h2o_context_init(&net->ctx, net->h2o, &net->global);
	net->accept = (h2o_accept_ctx_t){.ctx = &net->ctx, .hosts = net->global.hosts, .ssl_ctx = net->tls.context};
}

/* --- TLS --- */

static bool open_tls(struct mr_tls *tls, const struct mr_net_config *c, struct mr_error *err)
{
	bool certificate = c->tls_certificate && *c->tls_certificate, key = c->tls_key && *c->tls_key;

	if (certificate != key)
		return mr_fail(err, MR_BAD_VALUE, "%s is given and %s is not; TLS needs both", certificate ? "tls_certificate" : "tls_key",
			certificate ? "tls_key" : "tls_certificate");
	return !certificate || mr_tls_open(tls, c->tls_certificate, c->tls_key, err);
}

static void on_tls_look(void *arg)
{
	struct mr_net *net = arg;

	if (mr_tls_look(&net->tls))
		net->accept.ssl_ctx = net->tls.context;
	mr_timer_start(net->tls_look, TLS_LOOK_US);
}

static void watch_tls(struct mr_net *net)
{
	net->tls_look = mr_timer_new(net->loop, on_tls_look, net);
	if (net->tls.context)
		mr_timer_start(net->tls_look, TLS_LOOK_US);
}

struct mr_net *mr_net_new(struct mr_loop *loop, const struct mr_net_config *config, struct mr_error *err)
{
	struct mr_tls tls = {0};
	int fd = open_tls(&tls, config, err) ? open_listener(config, err) : -1;

	if (fd < 0) {
		mr_tls_close(&tls);
		return NULL;
	}
	signal(SIGPIPE, SIG_IGN); /* h2o writes with writev */
	struct mr_net *net = mr_alloc(sizeof(*net));
	net->magic = MR_NET_MAGIC;
	net->loop = loop;
	net->config = *config;
	net->config.listen = net->listen = mr_strdup(config->listen ? config->listen : "");
	net->port = port_of(fd);
	net->tls = tls;
	if (!net->config.connections)
		net->config.connections = &net->counted;
	mr_list_init(&net->adopted);
	init_h2o(net);
	mr_net_stream_init(net);
	mr_net_linger_init(net);
	net->files = mr_files_new();
	mr_net_ws_init(net);
	watch_tls(net);
	net->accept_again = mr_timer_new(loop, on_accept_again, net);
	net->nested = adopt(net, mr_loop_fd(loop), on_nested, net);
	net->listener = adopt(net, fd, on_connection, net);
	return net;
}

int mr_net_port(const struct mr_net *net)
{
	return net->port;
}

int64_t mr_net_bytes_sent(const struct mr_net *net)
{
	return atomic_load_explicit(&net->bytes_sent, memory_order_relaxed);
}

int mr_net_fd(const struct mr_req *req)
{
	return h2o_socket_get_fd(req->h2o->conn->callbacks->get_socket(req->h2o->conn));
}

static void on_adopted(h2o_socket_t *sock, const char *err)
{
	struct adopted *a = sock->data;
	a->cb(a->arg);
}

void mr_net_on_readable(struct mr_net *net, int fd, void (*cb)(void *arg), void *arg)
{
	struct adopted *a = mr_alloc(sizeof(*a));

	MR_ASSERT(net->magic == MR_NET_MAGIC);
	a->cb = cb;
	a->arg = arg;
	a->sock = adopt(net, fd, on_adopted, a);
	mr_list_add_tail(&net->adopted, &a->link);
}

/* --- the loop --- */

static bool has_pending(const struct mr_net *net)
{
	return net->h2o->_pending_as_client || net->h2o->_pending_as_server;
}

/* What h2o's wait brought is done; now the nested loop, then everything queued in this turn goes out. Callbacks of those writes may queue
 * more, so a few rounds. False: there is still something to do, do not wait. */
static bool turn(struct mr_net *net)
{
	for (int i = 0; i < ROUNDS_A_TURN; i++) {
		/* Where many sockets are ready at once, it would be long until one wait has told of the nested loop as well. */
		if (net->nested_ready || mr_net_has_rest(net) || mr_loop_has_calls(net->loop)) {
			net->nested_ready = false;
			mr_loop_turn(net->loop, 0);
		}
		if (net->config.handled)
			mr_net_more(net, net->config.handled(net->config.arg));
		mr_net_flush_ws(net);
		mr_net_flush_streams(net);
		if (!has_pending(net))
			return net->dirty_ws.n == 0 && !mr_net_has_rest(net) && mr_list_empty(&net->dirty_streams);
		h2o_timeout__do_post_callback(net->h2o); /* runs the pending callbacks */
		if (mr_net_has_rest(net))
			break;
	}
	return false;
}

static void wait_for_events(struct mr_net *net, int32_t ms)
{
	if (h2o_evloop_run(net->h2o, ms) != 0 && errno != EINTR)
		mr_die("waiting for connections failed: %s", strerror(errno));
}

/* What is under way is not out yet, and was not long ago. */
static bool writes_on(const struct mr_net *net)
{
	enum { WRITES_MOST_US = 20 * 1000 };

	return mr_net_has_rest(net) && mr_mono_us() - net->rest_since < WRITES_MOST_US;
}

void mr_net_run(struct mr_net *net)
{
	MR_ASSERT(net->magic == MR_NET_MAGIC);
	net->stopped = false;
	net->nested_ready = true;
	bool settled = turn(net);
	while (!net->stopped) {
		if (net->config.written && !writes_on(net))
			net->config.written(net->config.arg);
		wait_for_events(net, settled ? INT32_MAX : 0);
		settled = turn(net);
	}
}

void mr_net_stop(struct mr_net *net)
{
	net->stopped = true;
}

/* --- the end --- */

static int hang_up(h2o_req_t *req, void *data)
{
	shutdown(h2o_socket_get_fd(req->conn->callbacks->get_socket(req->conn)), SHUT_RDWR);
	return 0;
}

/* Runs the loop until all connections are closed: first what is being written may leave, then they are hung up. */
static void empty(struct mr_net *net)
{
	for (int i = 0; i < LEAVE_ROUNDS && net->connections; i++) {
		if (i == LEAVE_ROUNDS / 8)
			net->global.http1.callbacks.foreach_request(&net->ctx, hang_up, NULL);
		wait_for_events(net, turn(net) ? 10 : 0);
	}
	turn(net);
}

static void release_adopted(struct mr_net *net)
{
	MR_LIST_FOR (e, &net->adopted) {
		struct adopted *a = MR_CONTAINER(e, struct adopted, link);
		release(&a->sock);
		free(a);
	}
	release(&net->nested);
}

/* h2o 2.2 forgets to free the queue of its context; freeing it here would be wrong with a version that does not forget. */
static void excuse_queue(const struct mr_net *net)
{
#if MR_LEAK_CHECK
	__lsan_ignore_object(net->ctx.queue);
#endif
}

static void close_listener(struct mr_net *net)
{
	mr_timer_delete(&net->accept_again);
	mr_timer_delete(&net->tls_look);
	h2o_socket_close(net->listener);
	net->listener = NULL;
}

static void end(struct mr_net *net)
{
	MR_ASSERT(net->magic == MR_NET_MAGIC);
	net->deleting = true;
	net->ctx.shutdown_requested = 1; /* no more keep-alive */
	close_listener(net);
	mr_net_refuse_all(net);
	mr_net_close_streams(net);
	mr_net_close_ws(net);
	empty(net);
	release_adopted(net);
	wait_for_events(net, 0); /* frees what was closed; those who have not left may still want something */
	mr_net_http_fini(net);
	mr_net_ws_fini(net);
	mr_net_stream_fini(net);
	mr_net_linger_fini(net);
	if (net->connections == 0) {
		excuse_queue(net);
		h2o_context_dispose(&net->ctx);
		h2o_evloop_destroy(net->h2o);
		h2o_config_dispose(&net->global);
	}
	mr_files_delete(&net->files);
	mr_tls_close(&net->tls);
	free(net->listen);
	net->magic = 0;
	free(net);
}

void mr_net_delete(struct mr_net **net)
{
	struct mr_net *n = *net;

	*net = NULL;
	if (n)
		end(n);
}
