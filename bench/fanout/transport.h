/* Bytes between a client and its server: as they are, or through TLS. Nothing here blocks. */
#ifndef BENCH_FANOUT_TRANSPORT_H
#define BENCH_FANOUT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct transport {
	int fd;
	void *tls; /* NULL: none */
};
/* Takes a connected socket. Whom it speaks to is not asked for. */
void mr_transport_init(struct transport *t, int fd, bool tls);
/* Closes the socket, without a goodbye. */
void mr_transport_fini(struct transport *t);
/* Goes on with the handshake: 1 when it is done, 0 when the server has to speak first, -1 when it broke off. */
int mr_transport_shake(struct transport *t);
/* As recv and send do; -1 with EAGAIN: not now. */
ssize_t mr_transport_read(struct transport *t, void *p, size_t n);
ssize_t mr_transport_write(struct transport *t, const void *p, size_t n);
/* There is more to read of which the socket knows nothing. */
bool mr_transport_pending(const struct transport *t);

#endif
