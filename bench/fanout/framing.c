#include "framing.h"

#include <stdlib.h>

#include "bench/latency/line.h"
#include "proto/ground/log.h"

enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum { MQTT_PUBLISH = 3, MQTT_SUBACK = 9 };

static const uint8_t *octets(struct mr_str s)
{
	return (const uint8_t *)s.p;
}

static bool next_ws(struct mr_str in, struct piece *piece)
{
	const uint8_t *p = octets(in);
	if (in.n < 2)
		return false;
	size_t n = p[1] & 0x7f, head = 2, more = n == 127 ? 8 : n == 126 ? 2 : 0;
	if (in.n < head + more)
		return false;
	if (more)
		for (n = 0; head < 2 + more; head++)
			n = n << 8 | p[head];
	if (in.n - head < n)
		return false;
	int op = p[0] & 15;
	*piece = (struct piece){.kind = op <= OP_BINARY  ? PIECE_MESSAGE
					: op == OP_PING  ? PIECE_PING
					: op == OP_CLOSE ? PIECE_CLOSE
							 : PIECE_OTHER,
		.payload = {in.p + head, n},
		.size = head + n,
		.first = op != OP_MORE,
		.last = p[0] & 0x80,
		.deflated = p[0] & 0x40};
	return true;
}

static bool next_nats(struct mr_str in, struct piece *piece)
{
	const char *end = in.n ? memmem(in.p, in.n, "\r\n", 2) : NULL;
	if (!end)
		return false;
	struct mr_str line = {in.p, (size_t)(end - in.p)};
	*piece = (struct piece){.kind = PIECE_OTHER, .payload = line, .size = line.n + 2, .first = true, .last = true};
	if (line.n == 4 && memcmp(line.p, "PING", 4) == 0) {
		piece->kind = PIECE_PING;
	} else if (line.n == 4 && memcmp(line.p, "PONG", 4) == 0) {
		piece->kind = PIECE_READY;
	} else if (line.n > 4 && memcmp(line.p, "MSG ", 4) == 0) {
		const char *number = memrchr(line.p, ' ', line.n);
		piece->kind = PIECE_MESSAGE;
		piece->payload = (struct mr_str){end + 2, strtoul(number + 1, NULL, 10)};
		piece->size += piece->payload.n + 2;
	} else if (line.n > 4 && memcmp(line.p, "-ERR", 4) == 0) {
		mr_bench_die("the server says %.*s", (int)line.n, line.p);
	}
	return piece->size <= in.n;
}

static bool next_mqtt(struct mr_str in, struct piece *piece)
{
	const uint8_t *p = octets(in);
	size_t n = 0, head = 1;
	for (int shift = 0;; shift += 7) {
		if (head >= in.n)
			return false;
		n |= (size_t)(p[head] & 0x7f) << shift;
		if (!(p[head++] & 0x80))
			break;
	}
	if (in.n - head < n)
		return false;
	int type = p[0] >> 4;
	*piece = (struct piece){.kind = type == MQTT_PUBLISH  ? PIECE_MESSAGE
					: type == MQTT_SUBACK ? PIECE_READY
							      : PIECE_OTHER,
		.payload = {in.p + head, n},
		.size = head + n,
		.first = true,
		.last = true};
	return true;
}

bool mr_framing_next(enum framing framing, struct mr_str in, struct piece *piece)
{
	switch (framing) {
	case FRAMING_NATS:
		return next_nats(in, piece);
	case FRAMING_MQTT:
		return next_mqtt(in, piece);
	default:
		return next_ws(in, piece);
	}
}

void mr_framing_pong(enum framing framing, struct mr_buf *out, struct mr_str payload)
{
	if (framing == FRAMING_NATS)
		mr_buf_z(out, "PONG\r\n");
	else if (framing == FRAMING_WS)
		mr_framing_ws(out, OP_PONG, payload);
}

void mr_framing_ws(struct mr_buf *out, int opcode, struct mr_str payload)
{
	mr_buf_char(out, (char)(0x80 | opcode));
	if (payload.n < 126) {
		mr_buf_char(out, (char)(0x80 | payload.n));
	} else {
		MR_ASSERT(payload.n <= UINT16_MAX);
		mr_buf_char(out, (char)(0x80 | 126));
		mr_buf_char(out, (char)(payload.n >> 8));
		mr_buf_char(out, (char)payload.n);
	}
	mr_buf_add(out, "\0\0\0\0", 4);
	mr_buf_str(out, payload);
}
