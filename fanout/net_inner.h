/* Private to net*.c: the one place that sees h2o. Rules of its house (libh2o-evloop 2.2):
 *  - Sockets that are closed outside of h2o's own callbacks are freed at the start of the next h2o_evloop_run, even while they still stand
 *    in its list of pending callbacks. So mr_net_run runs that list empty (mr_net_pending) after whatever it did itself.
 *  - One write at a time on a socket; its callback always comes later; after h2o_socket_close it does not come.
 *  - While a response is due or under way h2o does not read, so a client that left is noticed by a watch of ours (mr_req_on_gone, streams).
 */
#ifndef MR_NET_INNER_H
#define MR_NET_INNER_H

#include <stdatomic.h>

#include <h2o.h>
#include <h2o/http1.h>

#include "net.h"
#include "net_tls.h"
#include "proto/ground/atomic.h"
#include "proto/ground/list.h"
#include "ws.h"

enum { MR_NET_MAGIC = 0x6e657430, MR_REQ_MAGIC = 0x72657130, MR_STREAM_MAGIC = 0x73747230, MR_WS_MAGIC = 0x77736b30 };
enum { MR_NET_READ = 64 * 1024 }; /* bytes that one connection may bring in one turn */

struct mr_ws_batch {
	struct mr_ws **v;
	size_t n, cap;
};

/* For whom a turn was too short, from `from` on: their turn comes bit by bit. */
struct mr_ws_rest {
	struct mr_ws_batch ws;
	size_t from;
};

struct mr_net {
	unsigned magic;
	struct mr_loop *loop;
	struct mr_net_config config;
	char *listen;
	int port;

	h2o_loop_t *h2o;
	h2o_globalconf_t global;
	h2o_context_t ctx;
	h2o_accept_ctx_t accept;
	h2o_hostconf_t *host;
	h2o_socket_t *listener, *nested;
	bool nested_ready;             /* the nested loop has events */
	struct mr_timer *accept_again; /* runs while descriptors are short */
	int64_t starved_told;
	struct mr_tls tls;
	struct mr_timer *tls_look;
	struct mr_list adopted;
	int connections;    /* sockets accepted and not yet closed */
	atomic_int counted; /* the same, where no others share the limit */
	bool stopped, deleting;

	/* State is list: a WebSocket is awake (heard of lately), pinged (silent since), or closing. Each is in order of `since`. */
	struct mr_list awake, pinged, closing;
	struct mr_ws_batch dirty_ws, spare_ws; /* those to be looked at when the turn ends; room for the next of them */
	struct mr_ws_rest rest[2];             /* of those with little to be written, and of those with much */
	int64_t rest_since;
	/* What each frame that is sent at once touches. */
	_Atomic int64_t bytes_sent; /* written by its own thread (mr_count_own) */
	int64_t at_once_until;
	unsigned at_once; /* how often it was asked in this turn whether there is time for more */
	bool late;        /* there is not */
	bool more;        /* and more is to be sent */

	struct mr_deflate *deflate;
	struct mr_timer *janitor;
	int64_t janitor_due;

	struct mr_list requests; /* not yet answered */
	struct mr_list streams, dirty_streams;
	struct mr_timer *watch_waiting; /* clients that wait for an answer */
	struct mr_timer *heartbeat;
	struct mr_files *files;
	struct mr_list lingering;
	int lingerers;
	const h2o_req_t *answering; /* the response that starts now is ours, not one of h2o's error pages */

	char scratch[MR_NET_READ];
};

struct mr_req {
	unsigned magic;
	struct mr_net *net;
	h2o_req_t *h2o;
	struct mr_list link;
	struct mr_arena arena;
	struct mr_str path, raw_path, query;
	bool answered;
	bool to_itself;   /* mr_req_keep_to_itself */
	uint64_t entered; /* the address among whose connections it counts; 0: none */
	void (*gone)(void *arg);
	void *gone_arg;
	struct mr_watch *watch;
	struct mr_stream *stream;
};

/* net.c */
struct mr_list *mr_net_pop(struct mr_list *list); /* takes the first element out; NULL when there is none */
int mr_net_fd(const struct mr_req *req);
/* net_peer.c */
enum mr_peer { MR_PEER_CLIENT, MR_PEER_PROXY, MR_PEER_LOCAL };
enum mr_peer mr_net_peer(const struct mr_net *net, const struct sockaddr *address, uint64_t *key); /* key: of CLIENT, else 0 */
/* net_http.c */
void mr_net_http_init(struct mr_net *net);
void mr_net_http_fini(struct mr_net *net);
void mr_net_refuse_all(struct mr_net *net);                                  /* answers every request that waits: the server stops */
void mr_req_begin(struct mr_req *req, int status, const char *content_type); /* status line and common headers; counts as answered */
void mr_req_start(struct mr_req *req, h2o_generator_t *generator);           /* h2o_start_response for a response of ours */
/* net_stream.c */
void mr_net_stream_init(struct mr_net *net);
void mr_net_stream_fini(struct mr_net *net);
void mr_net_stream_gone(struct mr_stream *s); /* its request is being freed */
void mr_net_flush_streams(struct mr_net *net);
void mr_net_close_streams(struct mr_net *net);
/* net_linger.c */
void mr_net_linger_init(struct mr_net *net);
void mr_net_linger_fini(struct mr_net *net);
void mr_net_linger(struct mr_net *net, int fd); /* h2o answers now and closes; what still comes is read and dropped for a while */
/* net_ws_upgrade.c */
void mr_net_ws_request(struct mr_req *req);
/* net_ws.c */
void mr_net_ws_init(struct mr_net *net);
void mr_net_ws_fini(struct mr_net *net);
void mr_net_flush_ws(struct mr_net *net);
bool mr_net_has_rest(const struct mr_net *net); /* some wait for their turn to be written to, or there is more to be sent: */
void mr_net_more(struct mr_net *net, bool more);
void mr_net_close_ws(struct mr_net *net);

#endif
