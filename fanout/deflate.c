#include "deflate.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "proto/ground/log.h"

enum {
	WINDOW = -15, /* raw */
	MEMORY = 8,
	STORED_MOST = 0xffff,
	STORED_HEAD = 5,
	TEXT_LEAST = 128,     /* shorter text is stored: compressing it takes longer than the bytes would, and wins little */
	MESSAGE_LEAST = 1024, /* a message that goes to one client only */
	LONG_TEXT = 64 << 10, /* from here on it is compressed fast rather than well, since everybody waits meanwhile */
	TEXT_KEPT = 64 << 10, /* room for inflated text that is not given back */
	TEXT_FIRST = 4 << 10,
};

struct mr_deflate {
	bool writes, reads; /* the streams below are there */
	z_stream out, in;
	struct mr_buf text;
};

/* zlib fails only for want of memory, or when it is called wrongly. */
static void must(int code)
{
	if (code != Z_OK)
		mr_die("zlib failed with %d", code);
}

struct mr_deflate *mr_deflate_new(void)
{
	return mr_alloc(sizeof(struct mr_deflate));
}

void mr_deflate_delete(struct mr_deflate **d)
{
	if (!*d)
		return;
	if ((*d)->writes)
		deflateEnd(&(*d)->out);
	if ((*d)->reads)
		inflateEnd(&(*d)->in);
	mr_buf_fini(&(*d)->text);
	free(*d);
	*d = NULL;
}

/* --- out --- */

void mr_deflate_store(struct mr_buf *out, struct mr_str text)
{
	for (size_t at = 0; at < text.n;) {
		size_t n = MR_MIN(text.n - at, (size_t)STORED_MOST);
		uint8_t head[STORED_HEAD] = {0, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)~n, (uint8_t)(~n >> 8)};
		mr_buf_add(out, head, sizeof(head));
		mr_buf_add(out, text.p + at, n);
		at += n;
	}
}

/* A stream with an empty window. */
static z_stream *fresh_out(struct mr_deflate *d, int level)
{
	z_stream *z = &d->out;

	if (!d->writes)
		must(deflateInit2(z, level, Z_DEFLATED, WINDOW, MEMORY, Z_DEFAULT_STRATEGY));
	else
		must(deflateReset(z)), must(deflateParams(z, level, Z_DEFAULT_STRATEGY));
	d->writes = true;
	return z;
}

bool mr_deflate_piece(struct mr_deflate *d, struct mr_buf *out, struct mr_str text)
{
	size_t from = out->n;

	if (text.n < TEXT_LEAST) {
		mr_deflate_store(out, text);
		return false;
	}
	z_stream *z = fresh_out(d, text.n < LONG_TEXT ? Z_DEFAULT_COMPRESSION : Z_BEST_SPEED);
	/* With room for as much as it had been stored: where that does not do, storing it is better. */
	size_t most = text.n + (text.n / STORED_MOST + 1) * STORED_HEAD;
	z->next_in = (Bytef *)text.p;
	z->avail_in = (uInt)text.n;
	z->next_out = (Bytef *)mr_buf_room(out, most);
	z->avail_out = (uInt)most;
	MR_ASSERT(text.n <= UINT32_MAX / 2);
	must(deflate(z, Z_SYNC_FLUSH));
	if (z->avail_in || !z->avail_out) {
		out->n = from;
		mr_deflate_store(out, text);
		return false;
	}
	out->n += most - z->avail_out;
	return true;
}

void mr_deflate_end(struct mr_buf *out)
{
	mr_buf_char(out, 0);
}

struct mr_frame *mr_deflate_frame(struct mr_deflate *d, enum mr_encoding encoding, struct mr_str text)
{
	struct mr_buf out = {0};

	if (text.n < MESSAGE_LEAST || !mr_deflate_piece(d, &out, text)) {
		mr_buf_fini(&out);
		return mr_frame_new(encoding, text);
	}
	mr_deflate_end(&out);
	struct mr_frame *f = mr_frame_piece((encoding == MR_JSON ? MR_WS_TEXT : MR_WS_BINARY) | MR_WS_RSV1, true, mr_buf_view(&out));
	mr_buf_fini(&out);
	return f;
}

/* --- in --- */

size_t mr_inflate_most(size_t max)
{
	return max + (max >> 8) + 64;
}

static z_stream *fresh_in(struct mr_deflate *d)
{
	z_stream *z = &d->in;

	if (!d->reads)
		must(inflateInit2(z, WINDOW));
	else
		must(inflateReset(z));
	d->reads = true;
	return z;
}

/* More room at the end of the text, which has z->next_out; never more than one byte above max in all. */
static void widen(struct mr_deflate *d, z_stream *z, size_t max)
{
	size_t room = MR_MIN(MR_MAX(d->text.n, (size_t)TEXT_FIRST), max + 1 - d->text.n);

	z->next_out = (Bytef *)mr_buf_room(&d->text, room);
	z->avail_out = (uInt)room;
}

/* Inflates all of p. A final block (BFINAL) is no end: more blocks may follow it (7.2.3.4). */
static enum mr_inflated run(struct mr_deflate *d, z_stream *z, struct mr_str p, size_t max)
{
	z->next_in = (Bytef *)p.p;
	z->avail_in = (uInt)p.n;
	for (;;) {
		if (d->text.n > max)
			return MR_INFLATE_LONG;
		widen(d, z, max);
		size_t room = z->avail_out;
		int got = inflate(z, Z_SYNC_FLUSH);
		d->text.n += room - z->avail_out;
		if (got == Z_STREAM_END)
			got = inflateResetKeep(z);
		else if (got == Z_BUF_ERROR)
			got = Z_OK; /* no input was left */
		if (got != Z_OK)
			return MR_INFLATE_BAD;
		if (!z->avail_in && z->avail_out)
			return d->text.n > max ? MR_INFLATE_LONG : MR_INFLATED;
	}
}

enum mr_inflated mr_inflate(struct mr_deflate *d, struct mr_str payload, size_t max, struct mr_str *text)
{
	enum { BETWEEN_BLOCKS = 128 }; /* of data_type */
	z_stream *z = fresh_in(d);

	mr_buf_reset(&d->text);
	enum mr_inflated got = run(d, z, payload, max);
	if (got == MR_INFLATED)
		got = run(d, z, MR_STR("\x00\x00\xff\xff"), max);
	if (got == MR_INFLATED && !(z->data_type & BETWEEN_BLOCKS))
		got = MR_INFLATE_BAD;
	*text = d->text.n ? mr_buf_view(&d->text) : MR_STR("");
	return got;
}

void mr_inflate_done(struct mr_deflate *d)
{
	if (d->text.cap > TEXT_KEPT)
		mr_buf_fini(&d->text);
}
