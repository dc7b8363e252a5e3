#include "frame.h"

#include <stdlib.h>
#include <string.h>

#include "proto/ground/log.h"
#include "proto/ground/refs.h"

enum { HEADER = 4, PAYLOAD = MR_FRAGMENT - HEADER }; /* of a fragment that is not the last */
_Static_assert(PAYLOAD > 125 && PAYLOAD <= 0xffff, "a full fragment has a length of two bytes");

size_t mr_ws_header(uint8_t out[MR_WS_HEADER_MAX], int first, size_t n)
{
	size_t bytes = n < 126 ? 0 : n <= 0xffff ? 2 : 8;

	out[0] = (uint8_t)first;
	out[1] = (uint8_t)(bytes == 0 ? n : bytes == 2 ? 126 : 127);
	for (size_t i = 0; i < bytes; i++)
		out[2 + i] = (uint8_t)((uint64_t)n >> (8 * (bytes - 1 - i)));
	return 2 + bytes;
}

static struct mr_frame *frame_of(size_t n)
{
	struct mr_frame *f = malloc(sizeof(*f) + n); /* not zeroed: it is filled at once */

	if (!f)
		mr_die("out of memory (%zu bytes for a frame)", n);
	atomic_init(&f->refs, 1);
	f->n = n;
	return f;
}

/* Puts a header and its payload at `to`; returns where they end. */
static char *put(char *to, int first, struct mr_str payload)
{
	uint8_t head[MR_WS_HEADER_MAX];
	size_t n = mr_ws_header(head, first, payload.n);

	memcpy(to, head, n);
	if (payload.n)
		memcpy(to + n, payload.p, payload.n);
	return to + n + payload.n;
}

struct mr_frame *mr_frame_piece(int first, bool final, struct mr_str payload)
{
	payload = mr_str_solid(payload);
	size_t cuts = payload.n ? (payload.n - 1) / PAYLOAD : 0, rest = payload.n - cuts * PAYLOAD;
	uint8_t head[MR_WS_HEADER_MAX];
	struct mr_frame *f = frame_of(cuts * MR_FRAGMENT + mr_ws_header(head, 0, rest) + rest);
	char *to = f->bytes;

	for (size_t i = 0; i < cuts; i++)
		to = put(to, i ? MR_WS_CONT : first, (struct mr_str){payload.p + i * PAYLOAD, PAYLOAD});
	to = put(to, (final ? MR_WS_FIN : 0) | (cuts ? MR_WS_CONT : first), (struct mr_str){payload.p + cuts * PAYLOAD, rest});
	MR_ASSERT(to == f->bytes + f->n);
	return f;
}

struct mr_frame *mr_frame_new(enum mr_encoding encoding, struct mr_str payload)
{
	return mr_frame_piece(encoding == MR_JSON ? MR_WS_TEXT : MR_WS_BINARY, true, payload);
}

struct mr_frame *mr_frame_hold(struct mr_frame *f)
{
	mr_refs_hold(&f->refs);
	return f;
}

void mr_frame_drop(struct mr_frame **f)
{
	struct mr_frame *frame = *f;

	*f = NULL;
	if (frame && mr_refs_drop(&frame->refs))
		free(frame);
}

struct mr_frame *mr_frame_control(enum mr_ws_opcode opcode, struct mr_str payload)
{
	payload.n = MR_MIN(payload.n, (size_t)MR_WS_CONTROL_MAX);
	return mr_frame_piece(opcode, true, payload);
}

bool mr_ws_code_ok(int code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code <= 4999);
}

/* Cuts at a character border. */
static size_t cut(const char *p, size_t n, size_t max)
{
	if (n <= max)
		return n;
	while (max && ((uint8_t)p[max] & 0xc0) == 0x80)
		max--;
	return max;
}

struct mr_frame *mr_frame_close(int code, const char *reason)
{
	char bytes[MR_WS_CONTROL_MAX];
	struct mr_str r = mr_str(reason);

	if (!mr_ws_code_ok(code))
		return mr_frame_piece(MR_WS_OP_CLOSE, true, MR_STR(""));
	r.n = cut(r.p, r.n, sizeof(bytes) - 2);
	bytes[0] = (char)(code >> 8);
	bytes[1] = (char)code;
	if (r.n)
		memcpy(bytes + 2, r.p, r.n);
	return mr_frame_piece(MR_WS_OP_CLOSE, true, (struct mr_str){bytes, 2 + r.n});
}
