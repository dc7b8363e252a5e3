/* The network side of the fanout: listener, HTTP requests, response streams, WebSocket connections. h2o stays behind this header, and the
 * WebSocket frames are our own: h2o serves the upgrade and then gives us its socket. One thread; callbacks come from its loop.
 */
#ifndef MR_NET_H
#define MR_NET_H

#include <stdatomic.h>

#include "deflate.h"
#include "proto/ground/loop.h"
#include "proto/ground/node.h"
#include "proto/peer.h"

struct mr_rates;

struct mr_net;
struct mr_ws;
struct mr_req;
struct mr_stream;

/* Several of one process may share a port; the kernel spreads connections over them. The first sees to it that nobody else has it. */
enum mr_net_sharing { MR_NET_ALONE, MR_NET_SHARES_FIRST, MR_NET_SHARES };

struct mr_net_config {
	const char *listen;
	int port; /* 0: a free one */
	enum mr_net_sharing sharing;
	const char *tls_certificate, *tls_key; /* paths of PEM files; empty or NULL: no TLS */
	size_t max_frame;                      /* largest WebSocket message or HTTP body */
	size_t max_body;                       /* largest HTTP body that may be meant for another path than /api; 0: max_frame */
	size_t unread_most;                    /* bytes waiting for one WebSocket above which nothing more is read from it; 0: none */
	int max_connections;
	atomic_int *connections;           /* how many there are, in all that share the limit; NULL: none do */
	struct mr_rates *rates;            /* by address; NULL: no limits */
	struct mr_ip_ranges proxies;       /* that speak for others; the caller's, lives longer */
	enum mr_proxy_header proxy_header; /* by which */
	bool compress;                     /* permessage-deflate is agreed to */
	int64_t ping_interval_ms;          /* silence after which we ping; twice that closes */
	/* A WebSocket opened at /api/sync. Returns the user pointer for the other callbacks. */
	void *(*ws_open)(struct mr_ws *ws, enum mr_encoding encoding, void *arg);
	void (*ws_message)(void *user, struct mr_str payload); /* a whole message, of the kind that fits the encoding */
	void (*ws_drained)(void *user);                        /* all that was given to mr_ws_send has gone to the kernel; when wanted */
	void (*ws_closed)(void *user, const char *reason);     /* last callback; ws is gone after it */
	/* Any other request, once its body is there. Must be answered, now or later, by mr_req_reply, mr_req_file or mr_req_stream. */
	void (*request)(struct mr_req *req, void *arg);
	/* What has come is handled, for now; what was queued goes out next. True: more is to be sent, at the next turn. May be NULL. */
	bool (*handled)(void *arg);
	void (*written)(
		void *arg); /* every socket has had its turn to write what was queued; the next wait is about to begin. May be NULL */
	void *arg;
};
/* Makes h2o's loop the thread's loop, with `loop` nested in it. Ignores SIGPIPE. NULL and *err when it cannot listen (the sentence names
 * the port). */
struct mr_net *mr_net_new(struct mr_loop *loop, const struct mr_net_config *config, struct mr_error *err);
int mr_net_port(const struct mr_net *net);
int64_t mr_net_bytes_sent(const struct mr_net *net); /* frames and bodies given to sockets so far */
void mr_net_run(struct mr_net *net);                 /* until mr_net_stop */
void mr_net_stop(struct mr_net *net);
/* Closes all that is open (1001, shutting_down): every ws_closed, closed and gone is called within. Not from within a callback. */
void mr_net_delete(struct mr_net **net);
/* Adopts a descriptor that is readable often (the bell): cb is called from h2o's own loop, without the detour over the nested one. */
void mr_net_on_readable(struct mr_net *net, int fd, void (*cb)(void *arg), void *arg);

/* Queues the frame (holds it); the pieces of one message are queued one after the other. Everything small that is queued in one turn of the
 * loop goes out in one write at its end; of what is long a part each turn, so that others have theirs. */
void mr_ws_send(struct mr_ws *ws, struct mr_frame *frame);
/* The same for what is likely to be the only one in this turn: it does not wait for the turn's end where nothing is in its way. Who has
 * many asks before each whether there is time for it in this turn. */
void mr_ws_send_at_once(struct mr_ws *ws, struct mr_frame *frame);
bool mr_net_has_time(struct mr_net *net);
/* For a client that takes deflated messages: what deflates them (the network's, used by its thread only). Else NULL. */
struct mr_deflate *mr_ws_deflate(const struct mr_ws *ws);
void mr_ws_want_drained(struct mr_ws *ws, bool want); /* it does not, at first */
void mr_ws_fetch(const struct mr_ws *ws);             /* into the cache: it is about to be sent to */
size_t mr_ws_pending(const struct mr_ws *ws);         /* bytes queued or being written */
/* Sends a close frame with code and reason, closes when it is out (or after 2 s). ws_closed follows. */
void mr_ws_close(struct mr_ws *ws, int code, const char *reason);

/* Requests: method "GET", path decoded without the query, query parameter decoded (p NULL: absent), header by lower-case name. */
struct mr_str mr_req_method(const struct mr_req *req);
struct mr_str mr_req_path(const struct mr_req *req);
struct mr_str mr_req_param(struct mr_req *req, const char *name);
bool mr_req_next_param(struct mr_req *req, size_t *at, struct mr_str *name); /* names in their order; *at begins as 0 */
struct mr_str mr_req_header(const struct mr_req *req, const char *name);
/* Names and values of headers in their order, the name in lower case; *at begins as 0. Without Host and what is the connection's own. */
bool mr_req_next_header(const struct mr_req *req, size_t *at, struct mr_str *name, struct mr_str *value);
struct mr_str mr_req_raw_path(const struct mr_req *req); /* as it stands in the request line, without the query */
struct mr_str mr_req_query(const struct mr_req *req);    /* what stands behind "?"; p NULL: nothing does, nor a "?" */
bool mr_req_is_tls(const struct mr_req *req);            /* the client's own way here: as a trusted proxy says, else this connection's */
struct mr_str mr_req_body(const struct mr_req *req);
struct mr_arena *mr_req_arena(struct mr_req *req); /* freed with the request */
/* Who asks, by key (proto/peer.h): as a trusted proxy says, else the connection's other end. 0: it has no address. */
uint64_t mr_req_address(const struct mr_req *req);
uint64_t mr_ws_address(const struct mr_ws *ws); /* as of its upgrade */
/* Before an answer that goes on: counts among the connections of its address until its end. False: too_many_connections. */
bool mr_req_enter(struct mr_req *req, struct mr_error *err);
/* Told when the connection broke before an answer (a client that only ended its side still waits); the req is gone after it. */
void mr_req_on_gone(struct mr_req *req, void (*cb)(void *arg), void *arg);
/* Before replying; copied. The same name again replaces the value. */
void mr_req_add_header(struct mr_req *req, const char *name, const char *value);
/* The same, one more of its name; name and value without bytes that end a line (asserted). */
void mr_req_append_header(struct mr_req *req, struct mr_str name, struct mr_str value);
/* Errors of this request are for pages of the own origin only, unless headers said otherwise. */
void mr_req_keep_to_itself(struct mr_req *req);
void mr_req_reply(struct mr_req *req, int status, const char *content_type, struct mr_str body);
/* The head alone, for HEAD; of a body of `length` bytes, or MR_LENGTH_UNKNOWN. */
#define MR_LENGTH_UNKNOWN SIZE_MAX
void mr_req_reply_head(struct mr_req *req, int status, size_t length);
/* {"error":{code,message,data}} with the code's status. */
void mr_req_error(struct mr_req *req, const struct mr_error *err);
/* Serves a file below root, with type by suffix, ETag, If-None-Match, gzip when large and text; 404 otherwise. Never leaves root. */
void mr_req_file(struct mr_req *req, const char *root, struct mr_str path);

/* A response that goes on (server-sent events). closed is the last callback, also after mr_stream_close; it comes at the end of a turn. An
 * event stream begins with a comment line and gets one whenever it was silent for 15 s. */
struct mr_stream_handler {
	void (*drained)(void *arg);
	void (*closed)(void *arg);
	void *arg;
};
struct mr_stream *mr_req_stream(struct mr_req *req, const char *content_type, const struct mr_stream_handler *handler);
/* The same with any status, for a body whose type was said by a header; what it has is the caller's alone to say: no comment lines. The
 * head leaves at once. length: of the whole body, which is then to have it, or MR_LENGTH_UNKNOWN. */
struct mr_stream *mr_req_stream_body(struct mr_req *req, int status, size_t length, const struct mr_stream_handler *handler);
void mr_stream_send(struct mr_stream *s, struct mr_str bytes); /* copied, queued */
size_t mr_stream_pending(const struct mr_stream *s);
struct mr_req *mr_stream_req(const struct mr_stream *s); /* for its body; NULL: the client is gone */
void mr_stream_close(struct mr_stream *s);
void mr_stream_cut(struct mr_stream *s); /* ends it so that the client sees that something is missing */

#endif
