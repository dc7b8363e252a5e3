/* Frames on their way to clients: bytes with WebSocket framing (RFC 6455) in front, immutable and counted, so that all sockets of all
 * threads send the same ones. A message is one mr_frame, or several that are queued one after the other: begin, cont ..., end.
 *
 * A long payload is cut into fragments, so that control frames need not wait until it is out. All fragments of one mr_frame but the last
 * have the same size on the wire: a control frame may stand at any multiple of MR_FRAGMENT within its bytes, and behind it.
 *
 *   bytes   | head | payload ......... | head | payload ......... | head | rest |
 *           0                          MR_FRAGMENT                2 MR_FRAGMENT
 */
#ifndef MR_FRAME_H
#define MR_FRAME_H

#include <stdatomic.h>

#include "proto/ground/node.h"

enum mr_ws_opcode { MR_WS_CONT = 0, MR_WS_TEXT = 1, MR_WS_BINARY = 2, MR_WS_OP_CLOSE = 8, MR_WS_OP_PING = 9, MR_WS_OP_PONG = 10 };
enum { MR_WS_FIN = 0x80, MR_WS_RSV1 = 0x40 }; /* of the first byte; RSV1: the message is deflated (RFC 7692) */
enum { MR_WS_HEADER_MAX = 10, MR_WS_CONTROL_MAX = 125 };
/* Size of a fragment on the wire. Sending it takes some tens of microseconds of this thread, and 5 ms of a line of 100 Mbit/s: what a ping
 * may have to wait. Its header has 4 bytes. */
enum { MR_FRAGMENT = 64 << 10 };
/* Close codes that we send. */
enum { MR_WS_NORMAL = 1000, MR_WS_AWAY = 1001, MR_WS_PROTOCOL = 1002, MR_WS_KIND = 1003, MR_WS_UTF8 = 1007, MR_WS_SIZE = 1009 };

struct mr_frame {
	atomic_uint refs;
	size_t n; /* bytes on the wire */
	char bytes[];
};
/* A whole message: text for JSON, binary for MessagePack. Here and below: refs is 1, the payload is copied. */
struct mr_frame *mr_frame_new(enum mr_encoding encoding, struct mr_str payload);
/* Pieces of one message: `first` is the opcode with MR_WS_RSV1 or without, MR_WS_CONT for those that go on; final for the last of them. */
struct mr_frame *mr_frame_piece(int first, bool final, struct mr_str payload);
/* Control frames; the payload is cut at 125 bytes, a reason at a character. A code that may not stand in a frame: an empty close frame. */
struct mr_frame *mr_frame_control(enum mr_ws_opcode opcode, struct mr_str payload);
struct mr_frame *mr_frame_close(int code, const char *reason);
/* Any thread. */
struct mr_frame *mr_frame_hold(struct mr_frame *f);
void mr_frame_drop(struct mr_frame **f);

/* A close code that may stand in a frame. */
bool mr_ws_code_ok(int code);
/* Header of an unmasked frame with this first byte; returns its length. */
size_t mr_ws_header(uint8_t out[MR_WS_HEADER_MAX], int first, size_t n);

#endif
