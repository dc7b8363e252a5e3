/* The reader of WebSocket frames (RFC 6455), without any I/O: it takes bytes as they come. It knows no sockets, no clock and no HTTP;
 * net_ws.c does. Extensions are not spoken: a set RSV bit is a protocol error. Frames that we send are made in frame.h.
 */
#ifndef MR_WS_H
#define MR_WS_H

#include "frame.h"

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

/* The reader of one connection. It owns no memory while no message is half read. */
struct mr_ws_reader {
	size_t max;      /* largest message */
	bool text;       /* kind of data messages that are taken; the other kind is refused with 1003 */
	bool in_message; /* a fragmented message has begun */
	bool in_payload; /* the header is read */
	bool held;       /* the buffer still holds the payload of the last event */
	bool broken;
	uint8_t n_head;
	uint8_t head[14];
	struct mr_utf8 utf8;
	uint64_t left;  /* payload bytes of this frame still to come */
	uint64_t phase; /* payload bytes of this frame taken */
	struct mr_buf message;
	struct mr_buf control;
};
void mr_ws_reader_init(struct mr_ws_reader *r, enum mr_encoding encoding, size_t max);
void mr_ws_reader_fini(struct mr_ws_reader *r);
/* Takes bytes from *p (unmasking them in place) up to the next event. Call until it says MR_WS_MORE or MR_WS_BAD. */
struct mr_ws_event mr_ws_read(struct mr_ws_reader *r, char **p, size_t *n);

/* Sec-WebSocket-Accept for a key: 28 characters and a NUL. False when the key is not 16 bytes in base64. */
bool mr_ws_accept(struct mr_str key, char out[29]);

#endif
