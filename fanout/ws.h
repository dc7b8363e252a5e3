/* The reader of WebSocket frames (RFC 6455, RFC 7692), without any I/O: it takes bytes as they come. It knows no sockets, no clock and no
 * HTTP; net_ws.c does. Frames that we send are made in frame.h.
 */
#ifndef MR_WS_H
#define MR_WS_H

#include "deflate.h"

enum mr_ws_kind {
	MR_WS_MORE,    /* all bytes are taken, nothing is complete */
	MR_WS_MESSAGE, /* payload: a whole message of the expected kind */
	MR_WS_PING,    /* payload: to be sent back in a pong */
	MR_WS_PONG,
	MR_WS_CLOSE, /* code (1005: none was given) and payload, the reason */
	MR_WS_BAD,   /* the peer broke the protocol: close with code and reason; the reader takes nothing more */
};
struct mr_ws_event {
	enum mr_ws_kind kind;
	struct mr_str payload; /* valid until the next mr_ws_read, or until the input goes */
	int code;
	const char *reason; /* MR_WS_BAD: a constant */
};

/* Where UTF-8 text stands between two pieces. Zero-initialise it. */
struct mr_utf8 {
	uint8_t left;      /* continuation bytes still to come */
	uint8_t low, high; /* range of the next one */
};
bool mr_utf8_feed(struct mr_utf8 *u, const char *p, size_t n); /* false: these bytes can never become valid */
static inline bool mr_utf8_whole(const struct mr_utf8 *u)
{
	return u->left == 0;
}

/* What has come of a message or a control frame that is half read. */
struct mr_ws_half {
	struct mr_buf message, control;
};

/* The reader of one connection. It owns no memory while no message is half read. */
struct mr_ws_reader {
	uint32_t max;        /* largest message, as the user gets it */
	bool text : 1;       /* kind of data messages that are taken; the other kind is refused with 1003 */
	bool deflates : 1;   /* permessage-deflate was agreed on */
	bool in_message : 1; /* a fragmented message has begun */
	bool deflated : 1;   /* the message is */
	bool in_payload : 1; /* the header is read */
	bool held : 1;       /* `half` or the inflater still holds the payload of the last event */
	bool broken : 1;
	uint8_t n_head;
	uint8_t head[14];
	uint8_t phase; /* payload bytes of this frame taken, modulo 4 */
	struct mr_utf8 utf8;
	uint64_t left; /* payload bytes of this frame still to come */
	struct mr_ws_half *half;
};
void mr_ws_reader_init(struct mr_ws_reader *r, enum mr_encoding encoding, size_t max, bool deflates);
void mr_ws_reader_fini(struct mr_ws_reader *r);
/* Takes bytes from *p (unmasking them in place) up to the next event. Call until it says MR_WS_MORE or MR_WS_BAD. The inflater is the
 * thread's; it may be NULL where permessage-deflate was not agreed on. */
struct mr_ws_event mr_ws_read(struct mr_ws_reader *r, struct mr_deflate *inflater, char **p, size_t *n);

/* Sec-WebSocket-Accept for a key: 28 characters and a NUL. False when the key is not 16 bytes in base64. */
bool mr_ws_accept(struct mr_str key, char out[29]);

#endif
