/* The WebSocket reader and writers of fanout/ws.h: every case whole, byte by byte and cut in two at each place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fanout/ws.h"
#include "proto/ground/hash.h"

enum { MAX = 70000 };

/* What a reader said, as text: "m:payload;", "ping:..;", "pong:..;", "close CODE:reason;", "bad CODE;". */
static void tell(struct mr_buf *said, const struct mr_ws_event *ev)
{
	static const char *const names[] = {
		[MR_WS_MESSAGE] = "m", [MR_WS_PING] = "ping", [MR_WS_PONG] = "pong", [MR_WS_CLOSE] = "close", [MR_WS_BAD] = "bad"};

	mr_buf_z(said, names[ev->kind]);
	if (ev->kind == MR_WS_CLOSE || ev->kind == MR_WS_BAD)
		mr_buf_printf(said, " %d", ev->code);
	if (ev->kind != MR_WS_BAD) {
		mr_buf_char(said, ':');
		mr_buf_str(said, ev->payload);
	}
	mr_buf_char(said, ';');
}

static void feed(struct mr_ws_reader *r, struct mr_str bytes, struct mr_buf *said)
{
	char *copy = malloc(bytes.n + 1), *p = copy; /* a block of its own, so that reading past it is noticed */
	size_t n = bytes.n;
	struct mr_ws_event ev;

	memcpy(copy, bytes.p, bytes.n);
	while ((ev = mr_ws_read(r, NULL, &p, &n)).kind != MR_WS_MORE) {
		tell(said, &ev);
		if (ev.kind == MR_WS_BAD || ev.kind == MR_WS_CLOSE)
			break;
	}
	assert_true(n == 0 || ev.kind == MR_WS_BAD || ev.kind == MR_WS_CLOSE);
	free(copy);
}

/* Reads in pieces: up to `first`, then up to `rest` bytes at a time. */
static void read_in_pieces(struct mr_str bytes, enum mr_encoding encoding, size_t first, size_t rest, struct mr_buf *said)
{
	struct mr_ws_reader r;

	mr_ws_reader_init(&r, encoding, MAX, false);
	for (size_t at = 0, n; at < bytes.n && !r.broken; at += n) {
		n = MR_MIN(at ? rest : first, bytes.n - at);
		feed(&r, (struct mr_str){bytes.p + at, n}, said);
	}
	mr_ws_reader_fini(&r);
}

static void expect_as(enum mr_encoding encoding, const struct mr_buf *in, const char *expected)
{
	struct mr_str bytes = mr_buf_view(in);

	for (size_t cut = 1; cut <= MR_MIN(bytes.n, (size_t)300); cut++) {
		struct mr_buf said = {0};
		read_in_pieces(bytes, encoding, cut == 300 ? bytes.n : cut, cut == 1 ? 1 : bytes.n, &said);
		assert_string_equal(said.p ? said.p : "", expected);
		mr_buf_fini(&said);
	}
}

static void expect(struct mr_buf *in, const char *expected)
{
	expect_as(MR_JSON, in, expected);
	mr_buf_fini(in);
}

enum { FIN = 0x80, MASKED = 0x80 };

/* Appends a frame with any first byte, a length written in `form` bytes (0: the shortest), masked. */
static void add_raw(struct mr_buf *b, int first, uint64_t length, int form, const char *payload, size_t n)
{
	static const char key[4] = {0x12, (char)0x9f, 0x00, (char)0xff};
	int bytes = form ? form : length < 126 ? 1 : length < 65536 ? 2 : 8;

	mr_buf_char(b, (char)first);
	mr_buf_char(b, (char)(MASKED | (bytes == 1 ? (int)length : bytes == 2 ? 126 : 127)));
	for (int i = bytes - 1; bytes > 1 && i >= 0; i--)
		mr_buf_char(b, (char)(length >> (8 * i)));
	mr_buf_add(b, key, 4);
	for (size_t i = 0; i < n; i++)
		mr_buf_char(b, (char)(payload[i] ^ key[i & 3]));
}

static void add(struct mr_buf *b, int first, const char *payload)
{
	add_raw(b, first, strlen(payload), 0, payload, strlen(payload));
}

/* --- cases --- */

static void test_messages(void **state)
{
	struct mr_buf b = {0};
	add(&b, FIN | MR_WS_TEXT, "Hello");
	add(&b, FIN | MR_WS_TEXT, "");
	add(&b, FIN | MR_WS_TEXT, "\xce\xba\xe1\xbd\xb9\xf0\x9f\x8e\x88");
	expect(&b, "m:Hello;m:;m:\xce\xba\xe1\xbd\xb9\xf0\x9f\x8e\x88;");
	add(&b, FIN | MR_WS_BINARY, "\xff\xfe");
	expect_as(MR_MSGPACK, &b, "m:\xff\xfe;");
	mr_buf_fini(&b);
}

static void test_lengths(void **state)
{
	static const size_t lengths[] = {1, 7, 8, 9, 125, 126, 127, 65535, 65536, MAX};

	for (size_t i = 0; i < MR_COUNT(lengths); i++) {
		size_t n = lengths[i];
		struct mr_buf b = {0}, expected = {0};
		char *text = mr_alloc(n + 1);
		for (size_t k = 0; k < n; k++)
			text[k] = (char)('a' + k % 26);
		add(&b, FIN | MR_WS_TEXT, text);
		mr_buf_printf(&expected, "m:%s;", text);
		struct mr_buf whole = {0}, pieces = {0};
		read_in_pieces(mr_buf_view(&b), MR_JSON, b.n, b.n, &whole);
		read_in_pieces(mr_buf_view(&b), MR_JSON, 5, 1000, &pieces);
		assert_string_equal(whole.p, expected.p);
		assert_string_equal(pieces.p, expected.p);
		mr_buf_fini(&whole);
		mr_buf_fini(&pieces);
		mr_buf_fini(&b);
		mr_buf_fini(&expected);
		free(text);
	}
}

static void test_fragments(void **state)
{
	struct mr_buf b = {0};
	add(&b, MR_WS_TEXT, "Hel");
	add(&b, FIN | MR_WS_OP_PING, "p1");
	add(&b, MR_WS_CONT, "");
	add(&b, FIN | MR_WS_OP_PONG, "");
	add(&b, FIN | MR_WS_CONT, "lo");
	add(&b, FIN | MR_WS_TEXT, "next");
	expect(&b, "ping:p1;pong:;m:Hello;m:next;");
	add(&b, MR_WS_TEXT, "");
	add(&b, MR_WS_CONT, "");
	add(&b, FIN | MR_WS_CONT, "all in the last");
	add(&b, MR_WS_TEXT, "all in the first");
	add(&b, FIN | MR_WS_CONT, "");
	add(&b, MR_WS_TEXT, "");
	add(&b, FIN | MR_WS_CONT, "");
	expect(&b, "m:all in the last;m:all in the first;m:;");
	add(&b, MR_WS_TEXT, "half");
	add(&b, FIN | MR_WS_OP_CLOSE, "\x03\xe8");
	expect(&b, "close 1000:;");
}

static void test_order_of_fragments(void **state)
{
	struct mr_buf b = {0};
	add(&b, FIN | MR_WS_CONT, "x");
	expect(&b, "bad 1002;");
	add(&b, MR_WS_CONT, "x");
	expect(&b, "bad 1002;");
	add(&b, MR_WS_TEXT, "x");
	add(&b, FIN | MR_WS_TEXT, "y");
	expect(&b, "bad 1002;");
	add(&b, FIN | MR_WS_TEXT, "x");
	add(&b, FIN | MR_WS_CONT, "y");
	expect(&b, "m:x;bad 1002;");
}

static void test_control(void **state)
{
	struct mr_buf b = {0};
	char long_text[127];

	memset(long_text, 'x', 126);
	long_text[126] = '\0';
	add(&b, MR_WS_OP_PING, "x"); /* not final */
	expect(&b, "bad 1002;");
	add(&b, FIN | MR_WS_OP_PING, long_text);
	expect(&b, "bad 1002;");
	add(&b, FIN | MR_WS_OP_PING, long_text + 1);
	mr_buf_z(&b, "");
	struct mr_buf said = {0};
	read_in_pieces(mr_buf_view(&b), MR_JSON, 3, 7, &said);
	assert_int_equal(said.n, strlen("ping:;") + 125);
	mr_buf_fini(&said);
	mr_buf_fini(&b);
	for (int op = 11; op < 16; op++) {
		add(&b, FIN | op, "");
		expect(&b, "bad 1002;");
	}
	for (int op = 3; op < 8; op++) {
		add(&b, FIN | op, "");
		expect(&b, "bad 1002;");
	}
}

static void test_reserved_and_mask(void **state)
{
	struct mr_buf b = {0};
	for (int bit = 0x10; bit <= 0x40; bit <<= 1) {
		add(&b, FIN | bit | MR_WS_TEXT, "x");
		expect(&b, "bad 1002;");
		add(&b, FIN | bit | MR_WS_OP_PING, "x");
		expect(&b, "bad 1002;");
	}
	mr_buf_add(&b, "\x81\x01x", 3);
	expect(&b, "bad 1002;");
	mr_buf_add(&b, "\x88\x00", 2);
	expect(&b, "bad 1002;");
}

static void test_kind(void **state)
{
	struct mr_buf b = {0};
	add(&b, FIN | MR_WS_BINARY, "x");
	expect(&b, "bad 1003;");
	add(&b, FIN | MR_WS_TEXT, "x");
	expect_as(MR_MSGPACK, &b, "bad 1003;");
	mr_buf_fini(&b);
}

static void test_length_forms(void **state)
{
	struct mr_buf b = {0};
	add_raw(&b, FIN | MR_WS_TEXT, 125, 2, "", 0);
	expect(&b, "bad 1002;");
	add_raw(&b, FIN | MR_WS_TEXT, 65535, 8, "", 0);
	expect(&b, "bad 1002;");
	add_raw(&b, FIN | MR_WS_TEXT, 1ULL << 63, 8, "", 0);
	expect(&b, "bad 1002;");
	add_raw(&b, FIN | MR_WS_TEXT, (1ULL << 63) - 1, 8, "", 0);
	expect(&b, "bad 1009;");
	add_raw(&b, FIN | MR_WS_TEXT, MAX + 1, 8, "", 0);
	expect(&b, "bad 1009;");
	add_raw(&b, MR_WS_TEXT, 3, 1, "abc", 3);
	add_raw(&b, MR_WS_CONT, MAX - 2, 8, "", 0);
	expect(&b, "bad 1009;");
}

static void test_close(void **state)
{
	static const int good[] = {1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999};
	static const int wrong[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
	char payload[10], expected[40];
	struct mr_buf b = {0};

	add(&b, FIN | MR_WS_OP_CLOSE, "");
	add(&b, FIN | MR_WS_TEXT, "after it");
	expect(&b, "close 1005:;");
	add(&b, FIN | MR_WS_OP_CLOSE, "x");
	expect(&b, "bad 1002;");
	for (size_t i = 0; i < MR_COUNT(good); i++) {
		snprintf(payload, sizeof(payload), "%c%cbye", good[i] >> 8, good[i] & 255);
		snprintf(expected, sizeof(expected), "close %d:bye;", good[i]);
		add_raw(&b, FIN | MR_WS_OP_CLOSE, 5, 1, payload, 5);
		expect(&b, expected);
		assert_true(mr_ws_code_ok(good[i]));
	}
	for (size_t i = 0; i < MR_COUNT(wrong); i++) {
		snprintf(payload, sizeof(payload), "%c%c", wrong[i] >> 8, wrong[i] & 255);
		add_raw(&b, FIN | MR_WS_OP_CLOSE, 2, 1, payload, 2);
		expect(&b, "bad 1002;");
		assert_false(mr_ws_code_ok(wrong[i]));
	}
	add(&b, FIN | MR_WS_OP_CLOSE, "\x03\xe8\xc3");
	expect(&b, "bad 1007;");
}

/* Each of these is refused, also when a fragment's border lies within it. */
static void test_bad_utf8(void **state)
{
	static const char *const wrong[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x80\x80", "\xe0\x9f\xbf",
		"\xe2\x82", "\xe2\x28\xa1", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xf0\x9f\x8e", "\xff", "\xfe", "ok so far \xc3\xa9 \xe9"};

	for (size_t i = 0; i < MR_COUNT(wrong); i++) {
		struct mr_buf b = {0};
		add(&b, FIN | MR_WS_TEXT, wrong[i]);
		expect(&b, "bad 1007;");
		for (size_t cut = 0; cut <= strlen(wrong[i]); cut++) {
			add_raw(&b, MR_WS_TEXT, cut, 0, wrong[i], cut);
			add(&b, FIN | MR_WS_OP_PONG, "");
			add(&b, FIN | MR_WS_CONT, wrong[i] + cut);
			struct mr_buf said = {0};
			read_in_pieces(mr_buf_view(&b), MR_JSON, b.n, b.n, &said);
			assert_non_null(strstr(said.p, "bad 1007;"));
			mr_buf_fini(&said);
			mr_buf_fini(&b);
		}
	}
}

/* All characters of one, two, three and four bytes at the borders of their ranges, cut at each byte; and against the whole-string check. */
static void test_utf8_borders(void **state)
{
	static const char *const good[] = {"\x01", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
		"\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};

	for (size_t i = 0; i < MR_COUNT(good); i++)
		for (size_t cut = 0; cut <= strlen(good[i]); cut++) {
			struct mr_utf8 u = {0};
			assert_true(mr_utf8_feed(&u, good[i], cut));
			assert_true(mr_utf8_feed(&u, good[i] + cut, strlen(good[i]) - cut));
			assert_true(mr_utf8_whole(&u));
		}
	for (unsigned x = 0; x < 1u << 24; x += 7) {
		char bytes[5] = {(char)(x | 1), (char)(x >> 8 | 1), (char)(x >> 16 | 1), (char)(0x80 | (x & 63)), 'a'};
		struct mr_utf8 u = {0};
		bool ok = mr_utf8_feed(&u, bytes, 2) && mr_utf8_feed(&u, bytes + 2, 3) && mr_utf8_whole(&u);
		assert_int_equal(ok, mr_utf8_ok((struct mr_str){bytes, 5}));
	}
}

static void test_idle_reader_owns_nothing(void **state)
{
	struct mr_buf b = {0}, said = {0};
	struct mr_ws_reader r;

	mr_ws_reader_init(&r, MR_JSON, MAX, false);
	add(&b, MR_WS_TEXT, "some ");
	add(&b, FIN | MR_WS_CONT, "more");
	for (size_t i = 0; i < b.n; i++)
		feed(&r, (struct mr_str){b.p + i, 1}, &said);
	assert_string_equal(said.p, "m:some more;");
	assert_null(r.half);
	mr_buf_fini(&b);
	mr_buf_fini(&said);
}

/* An announced length costs nothing until bytes come. */
static void test_announced_length(void **state)
{
	struct mr_buf b = {0}, said = {0};
	struct mr_ws_reader r;

	mr_ws_reader_init(&r, MR_JSON, 1 << 30, false);
	add_raw(&b, FIN | MR_WS_TEXT, 1 << 29, 8, "abc", 3);
	feed(&r, mr_buf_view(&b), &said);
	assert_true(r.half->message.cap < 10000);
	mr_ws_reader_fini(&r);
	mr_buf_fini(&b);
	mr_buf_fini(&said);
}

static void test_writers(void **state)
{
	static const size_t lengths[] = {0, 1, 125, 126, 65532};
	char text[65537];

	memset(text, 'z', sizeof(text));
	for (size_t i = 0; i < MR_COUNT(lengths); i++) {
		size_t n = lengths[i], head = n < 126 ? 2 : 4;
		struct mr_frame *f = mr_frame_new(i & 1 ? MR_MSGPACK : MR_JSON, (struct mr_str){text, n});
		assert_int_equal(f->n, head + n);
		assert_int_equal((uint8_t)f->bytes[0], i & 1 ? 0x82 : 0x81);
		assert_int_equal((uint8_t)f->bytes[1], head == 2 ? n : 126);
		assert_memory_equal(f->bytes + head, text, n);
		struct mr_frame *again = mr_frame_hold(f);
		mr_frame_drop(&f);
		assert_null(f);
		assert_int_equal(again->refs, 1);
		mr_frame_drop(&again);
	}
	mr_frame_drop(&(struct mr_frame *){NULL});
}

/* Takes the frames at `f` apart: each but the last has MR_FRAGMENT bytes; the payloads together are `payload`. */
static void check_fragments(const struct mr_frame *f, int first, bool final, struct mr_str payload)
{
	size_t at = 0, got = 0;

	for (int i = 0; at < f->n; i++) {
		bool last = f->n - at <= MR_FRAGMENT;
		size_t len = (uint8_t)f->bytes[at + 1], head = len == 126 ? 4 : 2;
		assert_int_equal((uint8_t)f->bytes[at], (last && final ? FIN : 0) | (i ? MR_WS_CONT : first));
		if (len == 126)
			len = (size_t)(uint8_t)f->bytes[at + 2] << 8 | (uint8_t)f->bytes[at + 3];
		assert_true(last || head + len == MR_FRAGMENT);
		assert_true(got + len <= payload.n);
		assert_memory_equal(f->bytes + at + head, payload.p + got, len);
		got += len;
		at += head + len;
	}
	assert_int_equal(at, f->n);
	assert_int_equal(got, payload.n);
}

static void test_fragments_out(void **state)
{
	static const size_t lengths[] = {0, 1, 126, 65532, 65533, 65536, 2 * 65532, 2 * 65532 + 1, 300000};
	static const int firsts[] = {MR_WS_TEXT, MR_WS_BINARY, MR_WS_CONT, MR_WS_TEXT | MR_WS_RSV1, MR_WS_BINARY | MR_WS_RSV1};
	char *text = mr_alloc(300000);

	for (size_t i = 0; i < 300000; i++)
		text[i] = (char)(i * 31 >> 3);
	for (size_t i = 0; i < MR_COUNT(lengths); i++)
		for (size_t k = 0; k < 2 * MR_COUNT(firsts); k++) {
			struct mr_frame *f = mr_frame_piece(firsts[k / 2], k & 1, (struct mr_str){text, lengths[i]});
			check_fragments(f, firsts[k / 2], k & 1, (struct mr_str){text, lengths[i]});
			mr_frame_drop(&f);
		}
	free(text);
}

static void test_close_frames(void **state)
{
	struct mr_frame *f = mr_frame_close(1001, "bye");
	assert_int_equal(f->n, 7);
	assert_memory_equal(f->bytes,
		"\x88\x05\x03\xe9"
		"bye",
		7);
	mr_frame_drop(&f);
	f = mr_frame_close(1005, "not sent");
	assert_int_equal(f->n, 2);
	mr_frame_drop(&f);
	char text[200];
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[199] = '\0';
	f = mr_frame_close(1000, text); /* 123 bytes would end within a character */
	assert_int_equal(f->n, 2 + 2 + 122);
	mr_frame_drop(&f);
}

static void test_accept(void **state)
{
	char out[29];
	assert_true(mr_ws_accept(MR_STR("dGhlIHNhbXBsZSBub25jZQ=="), out));
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_false(mr_ws_accept(MR_STR(""), out));
	assert_false(mr_ws_accept(MR_STR("dGhlIHNhbXBsZSBub25jZQ="), out));
	assert_false(mr_ws_accept(MR_STR("dGhlIHNhbXBsZSBub25jZTE="), out));
	assert_false(mr_ws_accept(MR_STR("dGhlIHNhb-BsZSBub25jZ*=="), out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_order_of_fragments),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_reserved_and_mask),
		cmocka_unit_test(test_kind),
		cmocka_unit_test(test_length_forms),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_bad_utf8),
		cmocka_unit_test(test_utf8_borders),
		cmocka_unit_test(test_idle_reader_owns_nothing),
		cmocka_unit_test(test_announced_length),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_fragments_out),
		cmocka_unit_test(test_close_frames),
		cmocka_unit_test(test_accept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
