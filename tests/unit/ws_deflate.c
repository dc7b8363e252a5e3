/* Deflated messages: fanout/deflate.h, and the reader of fanout/ws.h over it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "fanout/ws.h"

enum { MAX = 300000 };

/* Text of n bytes that compresses somewhat (kind 0), very well (1) or not at all (2). */
static char *text_of(size_t n, int kind)
{
	char *text = mr_alloc(n + 1);
	uint32_t x = 12345;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		text[i] = kind == 0 ? "etaoin shrdlu,:\"0"[x >> 24 & 15] : kind == 1 ? 'a' : (char)(x >> 24);
	}
	return text;
}

static void test_round_trip(void **state)
{
	static const size_t lengths[] = {0, 1, 127, 128, 129, 1000, 65535, 65536, 65537, MAX};
	struct mr_deflate *d = mr_deflate_new();

	for (size_t i = 0; i < MR_COUNT(lengths); i++)
		for (int kind = 0; kind < 3; kind++) {
			char *text = text_of(lengths[i], kind);
			struct mr_str in = {text, lengths[i]}, out;
			struct mr_buf b = {0};
			bool smaller = mr_deflate_piece(d, &b, in);
			mr_deflate_end(&b);
			assert_int_equal(smaller, lengths[i] >= 128 && kind < 2);
			assert_true(b.n <= mr_inflate_most(lengths[i]));
			assert_int_equal(mr_inflate(d, mr_buf_view(&b), lengths[i], &out), MR_INFLATED);
			assert_true(mr_str_eq(in, out));
			if (lengths[i]) {
				assert_int_equal(mr_inflate(d, mr_buf_view(&b), lengths[i] - 1, &out), MR_INFLATE_LONG);
				assert_true(out.n <= lengths[i]);
			}
			mr_inflate_done(d);
			mr_buf_fini(&b);
			free(text);
		}
	mr_deflate_delete(&d);
}

/* Pieces that were made apart, stored ones among them, in any order and as often as you like. */
static void test_pieces_join(void **state)
{
	static const size_t lengths[] = {3, 2000, 0, 90000, 50, 2000, 500};
	struct mr_deflate *d = mr_deflate_new();
	struct mr_buf pieces[7] = {{0}};
	char *texts[7];

	for (size_t i = 0; i < 7; i++) {
		texts[i] = text_of(lengths[i], (int)(i % 3));
		mr_deflate_piece(d, &pieces[i], (struct mr_str){texts[i], lengths[i]});
	}
	for (unsigned round = 0; round < 200; round++) {
		struct mr_buf joined = {0}, expected = {0};
		struct mr_str out;
		for (unsigned k = 0; k < round % 9; k++) {
			unsigned i = (round * 31 + k * 17) % 7;
			mr_buf_str(&joined, mr_buf_view(&pieces[i]));
			mr_buf_add(&expected, texts[i], lengths[i]);
		}
		mr_deflate_end(&joined);
		assert_int_equal(mr_inflate(d, mr_buf_view(&joined), 10 * 90000, &out), MR_INFLATED);
		assert_true(mr_str_eq(out, expected.n ? mr_buf_view(&expected) : MR_STR("")));
		mr_buf_fini(&joined);
		mr_buf_fini(&expected);
	}
	for (size_t i = 0; i < 7; i++) {
		mr_buf_fini(&pieces[i]);
		free(texts[i]);
	}
	mr_deflate_delete(&d);
}

static enum mr_inflated inflate_bytes(struct mr_deflate *d, const char *bytes, size_t n, const char *expected)
{
	char *copy = malloc(n ? n : 1); /* a block of its own, so that reading past it is noticed */
	struct mr_str out;

	memcpy(copy, bytes, n);
	enum mr_inflated got = mr_inflate(d, (struct mr_str){copy, n}, 100, &out);
	if (got == MR_INFLATED)
		assert_true(mr_str_is(out, expected));
	free(copy);
	return got;
}

/* The RFC's own examples (7.2.3.1 to 7.2.3.6). */
static void test_examples(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *text;
	} cases[] = {
		{"\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"},
		{"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello"},
		{"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello"},                      /* a final block */
		{"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello"}, /* two blocks */
		{"\x00", 1, ""},
		{"\x02\x00", 2, ""},
	};
	struct mr_deflate *d = mr_deflate_new();

	for (size_t i = 0; i < MR_COUNT(cases); i++)
		assert_int_equal(inflate_bytes(d, cases[i].bytes, cases[i].n, cases[i].text), MR_INFLATED);
	/* Looks back into a message before it, which we do not keep. */
	assert_int_equal(inflate_bytes(d, "\xf2\x00\x11\x00\x00", 5, ""), MR_INFLATE_BAD);
	assert_int_equal(inflate_bytes(d, "", 0, ""), MR_INFLATE_BAD);
	assert_int_equal(inflate_bytes(d, "\xff\xff\xff", 3, ""), MR_INFLATE_BAD);
	assert_int_equal(inflate_bytes(d, "\x06", 1, ""), MR_INFLATE_BAD); /* block type 3 */
	for (size_t n = 1; n < 7; n++) /* cut: some of these are texts by themselves, none is this one */
		assert_int_not_equal(inflate_bytes(d, cases[0].bytes, n, n == 6 ? "Hello" : "Hell"), MR_INFLATE_LONG);
	assert_int_equal(inflate_bytes(d, cases[0].bytes, 7, "Hello"), MR_INFLATED);
	mr_deflate_delete(&d);
}

/* A hundred megabytes in a hundred kilobytes: refused, with no more memory than the limit takes. */
static void test_bomb(void **state)
{
	struct mr_deflate *d = mr_deflate_new();
	struct mr_buf bomb = {0};
	char *zeros = mr_alloc(1 << 20);
	z_stream z = {0};
	struct mr_str out;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	for (int i = 0; i < 100; i++) {
		z.next_in = (Bytef *)zeros;
		z.avail_in = 1 << 20;
		while (z.avail_in) {
			z.next_out = (Bytef *)mr_buf_room(&bomb, 4096);
			z.avail_out = 4096;
			assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
			bomb.n += 4096 - z.avail_out;
		}
	}
	deflateEnd(&z);
	assert_int_equal(mr_inflate(d, mr_buf_view(&bomb), MAX, &out), MR_INFLATE_LONG);
	assert_true(out.n == MAX + 1);
	mr_deflate_delete(&d);
	mr_buf_fini(&bomb);
	free(zeros);
}

static void add_frame(struct mr_buf *b, int first, struct mr_str payload)
{
	uint8_t head[MR_WS_HEADER_MAX];
	size_t n = mr_ws_header(head, first, payload.n);

	head[1] |= 0x80;
	mr_buf_add(b, head, n);
	mr_buf_add(b, "\0\0\0\0", 4);
	mr_buf_str(b, payload);
}

/* A deflated message in fragments with control frames between them, byte by byte, then one that is not deflated. */
static void test_reader(void **state)
{
	struct mr_deflate *d = mr_deflate_new();
	char *text = text_of(5000, 0);
	struct mr_buf packed = {0}, in = {0}, said = {0}, expected = {0};
	struct mr_ws_reader r;

	mr_deflate_piece(d, &packed, (struct mr_str){text, 5000});
	mr_deflate_end(&packed);
	add_frame(&in, MR_WS_TEXT | MR_WS_RSV1, (struct mr_str){packed.p, 10});
	add_frame(&in, MR_WS_FIN | MR_WS_OP_PING, MR_STR("p"));
	add_frame(&in, MR_WS_CONT, (struct mr_str){packed.p + 10, packed.n - 10});
	add_frame(&in, MR_WS_FIN | MR_WS_CONT, MR_STR(""));
	add_frame(&in, MR_WS_FIN | MR_WS_TEXT, MR_STR("as it is"));
	mr_buf_printf(&expected, "%d p %d %s %d as it is ", MR_WS_PING, MR_WS_MESSAGE, text, MR_WS_MESSAGE);
	mr_ws_reader_init(&r, MR_JSON, MAX, true);
	for (size_t i = 0; i < in.n; i++) {
		char *p = &in.p[i];
		size_t n = 1;
		struct mr_ws_event ev;
		while ((ev = mr_ws_read(&r, d, &p, &n)).kind != MR_WS_MORE) {
			assert_int_not_equal(ev.kind, MR_WS_BAD);
			mr_buf_printf(&said, "%d %.*s ", ev.kind, (int)ev.payload.n, ev.payload.p);
		}
	}
	assert_string_equal(said.p, expected.p);
	assert_null(r.half);
	mr_ws_reader_fini(&r);
	mr_buf_fini(&packed);
	mr_buf_fini(&in);
	mr_buf_fini(&said);
	mr_buf_fini(&expected);
	free(text);
	mr_deflate_delete(&d);
}

/* A message that goes to one client: short ones, and what does not shrink, as they are. */
static void test_frames(void **state)
{
	struct mr_deflate *d = mr_deflate_new();

	for (int kind = 0; kind < 3; kind++)
		for (size_t n = 1000; n < 200000; n *= 3) {
			char *text = text_of(n, kind);
			struct mr_frame *f = mr_deflate_frame(d, MR_JSON, (struct mr_str){text, n});
			bool deflated = (uint8_t)f->bytes[0] & MR_WS_RSV1;
			assert_int_equal(deflated, kind < 2 && n >= 1024);
			assert_true(deflated ? f->n < n : f->n > n);
			mr_frame_drop(&f);
			free(text);
		}
	mr_deflate_delete(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_pieces_join),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
