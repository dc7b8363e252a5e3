/* What servers send, cut into pieces: WebSocket frames, lines of NATS, packets of MQTT 3.1.1. No I/O, no state. */
#ifndef BENCH_FANOUT_FRAMING_H
#define BENCH_FANOUT_FRAMING_H

#include "proto/ground/mem.h"

enum framing { FRAMING_WS, FRAMING_NATS, FRAMING_MQTT };
enum piece_kind {
	PIECE_MESSAGE, /* something that was published; a WebSocket message may come in several */
	PIECE_READY,   /* all that was asked for before is in force */
	PIECE_PING,
	PIECE_CLOSE,
	PIECE_OTHER,
};
struct piece {
	enum piece_kind kind;
	struct mr_str payload; /* lies in the input */
	size_t size;           /* bytes of input that the piece takes */
	bool first, last;      /* of a message */
	bool deflated;
};
/* The piece at the beginning of what was read; false: it is not all there. Ends the program on what is none. */
bool mr_framing_next(enum framing framing, struct mr_str in, struct piece *piece);
/* Appends what answers a ping. */
void mr_framing_pong(enum framing framing, struct mr_buf *out, struct mr_str payload);
/* Appends a client's WebSocket frame; its mask is of zeros, which is a mask. */
void mr_framing_ws(struct mr_buf *out, int opcode, struct mr_str payload);

#endif
