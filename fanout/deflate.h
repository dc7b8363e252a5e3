/* Deflate for messages: permessage-deflate (RFC 7692) without context takeover in either direction, so that a body is compressed once and
 * sent to everybody, and a connection holds no window. One mr_deflate serves all connections of a thread.
 *
 * A deflated message is put together from pieces. Each ends at a border of bytes and looks back at nothing before itself, so pieces that
 * were compressed apart make a valid stream in any order:
 *
 *   | stored: header of the transition | body A | stored: "," | body B | stored: rest | 00 |
 *
 * The last byte begins an empty stored block, whose other four bytes (00 00 ff ff) the RFC leaves out at a message's end (7.2.1).
 */
#ifndef MR_DEFLATE_H
#define MR_DEFLATE_H

#include "frame.h"

struct mr_deflate;
struct mr_deflate *mr_deflate_new(void);
void mr_deflate_delete(struct mr_deflate **d);

/* Appends a piece: compressed, or stored where that is no larger (true: it was compressed). Text below some size is always stored. */
bool mr_deflate_piece(struct mr_deflate *d, struct mr_buf *out, struct mr_str text);
void mr_deflate_store(struct mr_buf *out, struct mr_str text);
void mr_deflate_end(struct mr_buf *out); /* of a message */
/* A whole message for a client that takes deflated ones: deflated when it is long enough to pay for that. refs is 1. */
struct mr_frame *mr_deflate_frame(struct mr_deflate *d, enum mr_encoding encoding, struct mr_str text);

enum mr_inflated {
	MR_INFLATED,
	MR_INFLATE_BAD,  /* these are no deflated bytes, or not all of them */
	MR_INFLATE_LONG, /* the text is longer than max; no more than that was ever held */
};
/* The text of a message's payload. It is valid until the next call; mr_inflate_done gives back what a long one took. */
enum mr_inflated mr_inflate(struct mr_deflate *d, struct mr_str payload, size_t max, struct mr_str *text);
void mr_inflate_done(struct mr_deflate *d);
/* So long may the payload be at most, whose text has max bytes: what cannot be compressed grows a little. */
size_t mr_inflate_most(size_t max);

#endif
