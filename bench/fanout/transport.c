#include "transport.h"

#include <errno.h>
#include <limits.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/latency/line.h"

static SSL_CTX *context(void)
{
	static SSL_CTX *ctx;
	if (!ctx) {
		ctx = SSL_CTX_new(TLS_client_method());
		if (!ctx)
			mr_bench_die("OpenSSL does not start");
		SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	}
	return ctx;
}

void mr_transport_init(struct transport *t, int fd, bool tls)
{
	*t = (struct transport){.fd = fd};
	if (!tls)
		return;
	SSL *ssl = SSL_new(context());
	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		mr_bench_die("OpenSSL does not take a socket");
	SSL_set_connect_state(ssl);
	t->tls = ssl;
}

void mr_transport_fini(struct transport *t)
{
	SSL_free(t->tls);
	close(t->fd);
	*t = (struct transport){.fd = -1};
}

/* What a call of OpenSSL's means in the words of a system call. */
static int result(const struct transport *t, int status)
{
	if (status > 0)
		return status;
	switch (SSL_get_error(t->tls, status)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = ECONNRESET;
		return -1;
	}
}

int mr_transport_shake(struct transport *t)
{
	if (!t->tls)
		return 1;
	int status = result(t, SSL_do_handshake(t->tls));
	return status > 0 ? 1 : status < 0 && errno == EAGAIN ? 0 : -1;
}

ssize_t mr_transport_read(struct transport *t, void *p, size_t n)
{
	return t->tls ? result(t, SSL_read(t->tls, p, n > INT_MAX ? INT_MAX : (int)n)) : recv(t->fd, p, n, 0);
}

ssize_t mr_transport_write(struct transport *t, const void *p, size_t n)
{
	return t->tls ? result(t, SSL_write(t->tls, p, (int)n)) : send(t->fd, p, n, MSG_NOSIGNAL);
}

bool mr_transport_pending(const struct transport *t)
{
	return t->tls && SSL_pending(t->tls) > 0;
}
