#include "ws.h"

#include <stdlib.h>

#include <openssl/sha.h>

#include "proto/ground/hash.h"
#include "proto/ground/log.h"

/* --- UTF-8 over borders --- */

/* Begins a character: how many bytes follow, and the range of the first of them (which rules out overlong forms, surrogates and
 * what lies beyond U+10FFFF). */
static bool utf8_lead(struct mr_utf8 *u, uint8_t c)
{
	u->low = 0x80;
	u->high = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		u->left = 1;
		return true;
	}
	if (c >= 0xe0 && c <= 0xef) {
		u->left = 2;
		if (c == 0xe0)
			u->low = 0xa0;
		if (c == 0xed)
			u->high = 0x9f;
		return true;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		u->left = 3;
		if (c == 0xf0)
			u->low = 0x90;
		if (c == 0xf4)
			u->high = 0x8f;
		return true;
	}
	return false;
}

/* Bytes of plain ASCII at the start. */
static size_t ascii_run(const char *p, size_t n)
{
	size_t i = 0;
	uint64_t w;

	for (; i + 8 <= n; i += 8) {
		memcpy(&w, p + i, 8);
		if (w & 0x8080808080808080ULL)
			break;
	}
	while (i < n && !(p[i] & 0x80))
		i++;
	return i;
}

bool mr_utf8_feed(struct mr_utf8 *u, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)p[i];
		if (u->left) {
			if (c < u->low || c > u->high)
				return false;
			u->low = 0x80;
			u->high = 0xbf;
			u->left--;
		} else if (c < 0x80) {
			i += ascii_run(p + i, n - i) - 1;
		} else if (!utf8_lead(u, c)) {
			return false;
		}
	}
	return true;
}

/* --- reader --- */

void mr_ws_reader_init(struct mr_ws_reader *r, enum mr_encoding encoding, size_t max, bool deflates)
{
	*r = (struct mr_ws_reader){.max = (uint32_t)MR_MIN(max, (size_t)UINT32_MAX), .text = encoding == MR_JSON, .deflates = deflates};
}

void mr_ws_reader_fini(struct mr_ws_reader *r)
{
	if (!r->half)
		return;
	mr_buf_fini(&r->half->message);
	mr_buf_fini(&r->half->control);
	free(r->half);
	r->half = NULL;
}

static int opcode(const struct mr_ws_reader *r)
{
	return r->head[0] & 0x0f;
}
static bool is_final(const struct mr_ws_reader *r)
{
	return r->head[0] & 0x80;
}
static bool is_control(const struct mr_ws_reader *r)
{
	return opcode(r) & 8;
}

static struct mr_ws_event bad(struct mr_ws_reader *r, int code, const char *reason)
{
	mr_ws_reader_fini(r);
	r->broken = true;
	return (struct mr_ws_event){.kind = MR_WS_BAD, .code = code, .reason = reason};
}

/* What is wrong with a control frame's first two bytes, or NULL. */
static const char *check_control(const struct mr_ws_reader *r)
{
	if (opcode(r) > MR_WS_OP_PONG)
		return "unknown opcode";
	if (!is_final(r))
		return "fragmented control frame";
	if ((r->head[1] & 0x7f) > MR_WS_CONTROL_MAX)
		return "control frame above 125 bytes";
	return NULL;
}

static const char *check_data(const struct mr_ws_reader *r)
{
	if (opcode(r) > MR_WS_BINARY)
		return "unknown opcode";
	if (opcode(r) == MR_WS_CONT && !r->in_message)
		return "continuation of nothing";
	if (opcode(r) != MR_WS_CONT && r->in_message)
		return "new message within a fragmented one";
	return NULL;
}

static const char *check_start(const struct mr_ws_reader *r)
{
	int bits = r->deflates && !is_control(r) && opcode(r) != MR_WS_CONT ? MR_WS_RSV1 : 0;
	if (r->head[0] & 0x70 & ~bits)
		return "reserved bit set";
	const char *why = is_control(r) ? check_control(r) : check_data(r);
	if (why)
		return why;
	return r->head[1] & 0x80 ? NULL : "frame from a client is not masked";
}

/* Length of the header whose first two bytes are there. */
static size_t head_size(const struct mr_ws_reader *r)
{
	int len = r->head[1] & 0x7f;
	return 2 + (len == 126 ? 2 : len == 127 ? 8 : 0) + 4;
}

/* The payload's length; false when it was not written in the shortest form. */
static bool payload_size(const struct mr_ws_reader *r, uint64_t *size)
{
	int len = r->head[1] & 0x7f, bytes = len == 126 ? 2 : len == 127 ? 8 : 0;

	*size = bytes ? 0 : (uint64_t)len;
	for (int i = 0; i < bytes; i++)
		*size = *size << 8 | r->head[2 + i];
	if (bytes == 2)
		return *size > 125;
	return bytes == 0 || (*size > 0xffff && !(*size >> 63));
}

/* Copies up to `want` header bytes; true when that many are there. */
static bool take_head(struct mr_ws_reader *r, size_t want, char **p, size_t *n)
{
	while (r->n_head < want && *n) {
		r->head[r->n_head++] = (uint8_t) * *p;
		++*p;
		--*n;
	}
	return r->n_head >= want;
}

/* Payload bytes that the message may still have. */
static uint64_t most(const struct mr_ws_reader *r)
{
	bool first = opcode(r) != MR_WS_CONT, deflated = first ? r->head[0] & MR_WS_RSV1 : r->deflated;
	return (deflated ? mr_inflate_most(r->max) : r->max) - (r->half ? r->half->message.n : 0);
}

/* Reads the header. False: more bytes are needed, or *ev says what is wrong. */
static bool read_head(struct mr_ws_reader *r, char **p, size_t *n, struct mr_ws_event *ev)
{
	const char *why;
	uint64_t size;

	if (!take_head(r, 2, p, n))
		return false;
	if ((why = check_start(r))) {
		*ev = bad(r, MR_WS_PROTOCOL, why);
		return false;
	}
	if (!is_control(r) && opcode(r) != MR_WS_CONT && (opcode(r) == MR_WS_TEXT) != r->text) {
		*ev = bad(r, MR_WS_KIND, r->text ? "this subprotocol has text frames" : "this subprotocol has binary frames");
		return false;
	}
	if (!take_head(r, head_size(r), p, n))
		return false;
	if (!payload_size(r, &size)) {
		*ev = bad(r, MR_WS_PROTOCOL, "length not in its shortest form");
		return false;
	}
	if (!is_control(r) && size > most(r)) {
		*ev = bad(r, MR_WS_SIZE, "message above max_frame");
		return false;
	}
	r->left = size;
	r->phase = 0;
	r->in_payload = true;
	if (!is_control(r) && opcode(r) != MR_WS_CONT) {
		r->utf8 = (struct mr_utf8){0};
		r->deflated = r->head[0] & MR_WS_RSV1;
	}
	return true;
}

static void unmask(const struct mr_ws_reader *r, char *p, size_t n)
{
	const uint8_t *mask = r->head + r->n_head - 4;
	uint8_t turned[8];
	uint64_t wide, w;
	size_t i = 0;

	for (int k = 0; k < 8; k++)
		turned[k] = mask[(r->phase + k) & 3];
	memcpy(&wide, turned, 8);
	for (; i + 8 <= n; i += 8) {
		memcpy(&w, p + i, 8);
		w ^= wide;
		memcpy(p + i, &w, 8);
	}
	for (; i < n; i++)
		p[i] ^= (char)turned[i & 7];
}

static struct mr_ws_event close_event(struct mr_ws_reader *r, struct mr_str payload)
{
	struct mr_utf8 utf8 = {0};

	if (payload.n == 0) {
		r->broken = true; /* nothing may follow a close frame; what does is not read */
		return (struct mr_ws_event){.kind = MR_WS_CLOSE, .code = 1005};
	}
	if (payload.n == 1)
		return bad(r, MR_WS_PROTOCOL, "close frame of one byte");
	int code = (uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1];
	struct mr_str reason = {payload.p + 2, payload.n - 2};
	if (!mr_ws_code_ok(code))
		return bad(r, MR_WS_PROTOCOL, "close code out of range");
	if (!mr_utf8_feed(&utf8, reason.p, reason.n) || !mr_utf8_whole(&utf8))
		return bad(r, MR_WS_UTF8, "close reason is not UTF-8");
	r->broken = true;
	return (struct mr_ws_event){.kind = MR_WS_CLOSE, .code = code, .payload = reason};
}

static struct mr_ws_event control_event(struct mr_ws_reader *r, struct mr_str payload)
{
	if (opcode(r) == MR_WS_OP_CLOSE)
		return close_event(r, payload);
	enum mr_ws_kind kind = opcode(r) == MR_WS_OP_PING ? MR_WS_PING : MR_WS_PONG;
	return (struct mr_ws_event){.kind = kind, .payload = payload};
}

/* Where the pieces of this frame are kept. */
static struct mr_buf *kept(struct mr_ws_reader *r)
{
	if (!r->half)
		r->half = mr_alloc(sizeof(*r->half));
	return is_control(r) ? &r->half->control : &r->half->message;
}

static bool has_kept(const struct mr_ws_reader *r)
{
	return r->half && (is_control(r) ? r->half->control.n : r->half->message.n);
}

/* Takes payload bytes. True when the frame is complete; its payload, or what of it lies in the buffer, is in *whole. False: more bytes
 * are needed, or *ev says what is wrong. */
static bool read_payload(struct mr_ws_reader *r, char **p, size_t *n, struct mr_str *whole, struct mr_ws_event *ev)
{
	size_t take = (size_t)MR_MIN((uint64_t)*n, r->left);
	char *piece = *p;

	unmask(r, piece, take);
	r->phase = (uint8_t)((r->phase + take) & 3);
	r->left -= take;
	*p += take;
	*n -= take;
	if (!is_control(r) && r->text && !r->deflated && !mr_utf8_feed(&r->utf8, piece, take)) {
		*ev = bad(r, MR_WS_UTF8, "text is not UTF-8");
		return false;
	}
	/* A frame that came in one piece and is a whole message is not copied. */
	if (r->left == 0 && is_final(r) && !has_kept(r)) {
		*whole = (struct mr_str){take ? piece : "", take};
		return true;
	}
	if (take)
		mr_buf_add(kept(r), piece, take);
	*whole = has_kept(r) ? mr_buf_view(kept(r)) : MR_STR("");
	return r->left == 0;
}

static struct mr_ws_event inflated_event(struct mr_ws_reader *r, struct mr_deflate *inflater, struct mr_str payload)
{
	struct mr_str text;
	enum mr_inflated got = mr_inflate(inflater, payload, r->max, &text);

	if (got == MR_INFLATE_LONG)
		return bad(r, MR_WS_SIZE, "message above max_frame");
	if (got == MR_INFLATE_BAD)
		return bad(r, MR_WS_UTF8, "message is not deflated as RFC 7692 says");
	if (r->text && !mr_utf8_feed(&r->utf8, text.p, text.n))
		return bad(r, MR_WS_UTF8, "text is not UTF-8");
	return (struct mr_ws_event){.kind = MR_WS_MESSAGE, .payload = text};
}

static struct mr_ws_event message_event(struct mr_ws_reader *r, struct mr_deflate *inflater, struct mr_str payload)
{
	struct mr_ws_event ev = {.kind = MR_WS_MESSAGE, .payload = payload};

	if (r->deflated)
		ev = inflated_event(r, inflater, payload);
	if (ev.kind == MR_WS_MESSAGE && r->text && !mr_utf8_whole(&r->utf8))
		return bad(r, MR_WS_UTF8, "text ends within a character");
	return ev;
}

/* A complete frame: its event, or false when it is a fragment and the message goes on. */
static bool frame_event(struct mr_ws_reader *r, struct mr_deflate *inflater, struct mr_str whole, struct mr_ws_event *ev)
{
	r->in_payload = false;
	r->n_head = 0;
	if (!is_control(r))
		r->in_message = !is_final(r);
	if (!is_control(r) && r->in_message)
		return false;
	r->held = true;
	*ev = is_control(r) ? control_event(r, whole) : message_event(r, inflater, whole);
	return true;
}

/* The last event's bytes are no longer needed. A control frame may stand between fragments: those stay. */
static void release(struct mr_ws_reader *r, struct mr_deflate *inflater)
{
	if (!r->held)
		return;
	r->held = false;
	if (inflater)
		mr_inflate_done(inflater);
	if (!r->in_message)
		mr_ws_reader_fini(r);
	else if (r->half)
		mr_buf_fini(&r->half->control);
}

struct mr_ws_event mr_ws_read(struct mr_ws_reader *r, struct mr_deflate *inflater, char **p, size_t *n)
{
	struct mr_ws_event ev = {.kind = MR_WS_MORE};
	struct mr_str whole;

	release(r, inflater);
	while (!r->broken) {
		if (!r->in_payload && !read_head(r, p, n, &ev))
			return ev;
		if (!read_payload(r, p, n, &whole, &ev))
			return ev;
		if (frame_event(r, inflater, whole, &ev))
			return ev;
	}
	return ev;
}

bool mr_ws_accept(struct mr_str key, char out[29])
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char sum[SHA_DIGEST_LENGTH];
	char text[24 + sizeof(magic)];
	struct mr_buf b = {0};
	bool ok = key.n == 24 && mr_base64_read(&b, key) && b.n == 16;

	if (ok) {
		memcpy(text, key.p, 24);
		memcpy(text + 24, magic, sizeof(magic));
		SHA1((const unsigned char *)text, 24 + sizeof(magic) - 1, sum);
		mr_buf_reset(&b);
		mr_base64(&b, (struct mr_str){(const char *)sum, sizeof(sum)});
		MR_ASSERT(b.n == 28);
		memcpy(out, b.p, 29);
	}
	mr_buf_fini(&b);
	return ok;
}
