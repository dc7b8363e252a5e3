/* Private to net_ws*.c: one WebSocket connection.
 *
 *   open ----------> closing ------------> lingering ------> dead
 *    | mr_ws_close,   our close frame is    it is out; what   freed at the end of the turn
 *    | peer's close,  queued                comes is dropped,
 *    | bad frame                            until EOF or 2 s
 *    +--- EOF, error -----------------------------------------^
 *
 * The user hears ws_closed at the end of the turn in which "open" ends, and nothing after it.
 *
 * An idle connection is this struct and h2o's socket, and nothing else.
 */
#ifndef MR_NET_WS_H
#define MR_NET_WS_H

#include "net_inner.h"
#include "ws_extensions.h"

enum mr_ws_state { MR_WS_OPEN, MR_WS_CLOSING, MR_WS_LINGERING, MR_WS_DEAD };

/* Control frames that wait for a border between fragments; there while some do. */
enum mr_ws_place { MR_WS_OUR_PING, MR_WS_OUR_PONG, MR_WS_OUR_CLOSE, MR_WS_PLACES };
struct mr_ws_control {
	struct mr_frame *wait[MR_WS_PLACES]; /* go in this order; behind the close frame nothing goes */
	struct mr_frame *now;                /* being sent */
	enum mr_ws_place place;              /* of `now` */
	size_t sent;                         /* bytes of `now` */
};

/* Frames in order: frames[head], ... frames[n - 1]. `slots` until there are more. */
struct mr_ws_queue {
	struct mr_frame **frames;
	unsigned head, n, cap;
	struct mr_frame *slots[2];
};

struct mr_ws {
	unsigned magic;
	uint8_t state, encoding;
	bool told : 1;          /* ws_closed was called; the user is gone */
	bool peer_closed : 1;   /* its close frame came first: we close as soon as ours is out */
	bool owes_drained : 1;  /* frames of the user are under way */
	bool wants_drained : 1; /* and it is to be told when they are out */
	bool paused : 1;        /* it is not read, since it does not read */
	bool dirty : 1;         /* in net->dirty_ws */
	bool waiting : 1;       /* for the socket to take more: on_writable, on_encrypted_out */
	bool deflates : 1;      /* what is sent to it may be deflated */
	bool tls : 1;           /* h2o encrypts what is written and decrypts what comes */
	/* What a delivery touches lies together: after a system call little is left in the cache. */
	int fd;
	uint32_t acked; /* bytes (modulo 2^32) that the peer had acknowledged when it was pinged */
	struct mr_net *net;
	size_t pending; /* bytes that are not out */
	size_t flying;  /* encrypted bytes that h2o holds, as they were before encryption */
	struct mr_ws_control *control;
	struct mr_ws_queue queue;
	size_t sent; /* bytes of the first frame that are out */
	h2o_socket_t *sock;
	void *user;
	struct mr_list link;       /* net->awake, pinged, closing */
	int64_t since;             /* heard of last; closing: began */
	char *reason;              /* for ws_closed */
	uint64_t address, entered; /* whose it is, and as whose connection it counts (mr_req) */
	struct mr_ws_reader reader;
};

enum { MR_WS_MUCH = 4096 }; /* bytes: what takes so long to be written that others should not wait for it */

/* net_ws.c */
struct mr_ws *mr_ws_new(
	struct mr_net *net, enum mr_encoding encoding, const struct mr_ws_deflate *deflate); /* without a socket; deflate may be NULL */
void mr_ws_start(struct mr_ws *ws, h2o_socket_t *sock); /* the socket is its own from now on; what it holds is read */
void mr_ws_delete(struct mr_ws *ws);                    /* closes the socket if there is one */
void mr_ws_die(struct mr_ws *ws, const char *reason);   /* deleted when the turn ends */
void mr_ws_all_out(struct mr_ws *ws);                   /* told by the writer: nothing waits any more */
/* net_ws_out.c */
void mr_ws_mark(struct mr_ws *ws);                                                 /* it is looked at when the turn ends */
void mr_ws_push(struct mr_ws *ws, struct mr_frame *frame);                         /* takes the frame over */
void mr_ws_urge(struct mr_ws *ws, enum mr_ws_place place, struct mr_frame *frame); /* instead of one that waits there; takes it over */
void mr_ws_cut(struct mr_ws *ws);   /* drops all messages; of one that is half out no more goes than to the next border */
void mr_ws_write(struct mr_ws *ws); /* as much as goes now, within the quantum */
void mr_ws_drop_all(struct mr_ws *ws);

#endif
